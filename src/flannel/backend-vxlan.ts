/**
 * The vxlan backend: one VXLAN device, and for each remote lease a neighbour, an FDB entry and a route, all permanent.
 *   10.1.20.0/24 via 10.1.20.0 dev flannel.1 onlink ─▶ neigh 10.1.20.0 = VtepMAC ─▶ fdb VtepMAC = PublicIP ─▶ UDP 8472
 * Source: flannel pkg/backend/vxlan, since 0.9.0; Linux vxlan_config_apply.
 */
import { formatIp } from '../base/ip.js'
import { formatMac, macHigh, parseMac, randomMac, type Mac } from '../base/mac.js'
import { hashText, Prng } from '../base/prng.js'
import type { Problem } from '../base/problem.js'
import { withPieces, type Pieces } from '../dataplane/common-rows.js'
import type { FdbSpec, NeighbourSpec, RouteSpec } from '../dataplane/dataplane.js'
import {
  backendSource,
  EMPTY_PART,
  fromLease,
  leaseProblem,
  optionSince,
  remoteLeases,
  type Backend,
  type BackendPart,
  type FlannelView,
  type RegistrationView,
} from './backend.js'
import { directRoute } from './backend-host-gw.js'
import { commonLeases } from './common-leases.js'
import { GoFields, isJsonObject } from './go-json.js'
import type { Lease } from './lease.js'
import { atLeast } from './version.js'

/** Linux's default, not the 4789 of RFC 7348. */
const VXLAN_DEFAULT_PORT = 8472
/** IPv4, UDP, VXLAN and inner Ethernet header. */
const VXLAN_OVERHEAD = 50

export const vxlanBackend: Backend = { type: 'vxlan', attributes: vxlanAttributes, render: renderVxlan }

interface VxlanOptions {
  readonly vni: number
  readonly port: number
  readonly gbp: boolean
  readonly learning: boolean
  readonly directRouting: boolean
  /** Of the underlay, as configured. */
  readonly mtu: number
}

/** Options that a version does not know are passed over, as Go does with fields that a struct lacks. */
function parseVxlanOptions(view: Pick<FlannelView, 'version' | 'config' | 'externalInterface'>): {
  readonly options: VxlanOptions
  readonly problems: readonly Problem[]
} {
  const { version, externalInterface } = view
  const fields = new GoFields(view.config.backend, backendSource('vxlan'))
  const vni = fields.integer('VNI') ?? 1
  const port = fields.integer('Port') ?? 0
  if (vni < 0 || vni > 0xffffff) fields.problem(`VNI ${vni} does not fit in 24 bits`)
  if (port < 0 || port > 65535) fields.problem(`Port ${port} is not a UDP port`)
  const mtu = optionSince(fields, 'MTU', '0.21.3', version) ? fields.integer('MTU') : undefined
  const options: VxlanOptions = {
    vni,
    port: port === 0 ? VXLAN_DEFAULT_PORT : port,
    gbp: fields.boolean('GBP') ?? false,
    learning: optionSince(fields, 'Learning', '0.12.0', version) ? (fields.boolean('Learning') ?? false) : false,
    directRouting: optionSince(fields, 'DirectRouting', '0.9.0', version) ? (fields.boolean('DirectRouting') ?? false) : false,
    mtu: mtu ?? externalInterface.mtu,
  }
  return { options, problems: fields.problems }
}

/** The MAC of the node's own flannel.N: pinned, kept by the kernel, published, or drawn; the same each time. */
function vtepMac(view: RegistrationView & { readonly ownLease?: Lease }): Mac {
  const published = view.ownLease === undefined ? undefined : publishedMac(view.ownLease)
  return view.pinnedMac ?? view.existingDevice?.mac ?? published ?? randomMac(new Prng(view.seed ^ hashText(`${view.nodeName} VtepMAC`)))
}

function vxlanAttributes(view: RegistrationView): { readonly publicIp: number; readonly backendType: string; readonly backendData: unknown } {
  const mac = formatMac(vtepMac(view))
  const { options } = parseVxlanOptions(view)
  const backendData = atLeast(view.version, '0.14.0') ? { VNI: options.vni, VtepMAC: mac } : { VtepMAC: mac }
  return { publicIp: view.externalInterface.publicIp, backendType: 'vxlan', backendData }
}

function renderVxlan(view: FlannelView): BackendPart {
  const { version, externalInterface, ownLease } = view
  const { options, problems } = parseVxlanOptions(view)
  const name = `flannel.${options.vni}`
  const mtu = options.mtu - VXLAN_OVERHEAD
  if (!atLeast(version, '0.9.0')) {
    const what = `the vxlan backend of flannel ${version} (neighbours and FDB entries made on L2 and L3 misses, before 0.9.0) is not modelled`
    return { ...EMPTY_PART, mtu, problems: [...problems, { severity: 'error', ...backendSource('vxlan'), what, fix: 'use 0.9.0 or newer' }] }
  }
  const common = commonRemotes(view, name, options.directRouting)
  const remote = common === undefined ? renderRemotes(view, name, options.directRouting) : NO_REMOTES
  const part: BackendPart = {
    ...EMPTY_PART,
    ...remote,
    devices: [
      {
        kind: 'vxlan',
        name,
        mtu: view.existingDevice?.mtu ?? deviceMtu(mtu, externalInterface.mtu, version),
        mac: vtepMac(view),
        up: true,
        addresses: [{ address: ownLease.subnet.base, length: 32, scope: 'global' }],
        vni: options.vni,
        port: options.port,
        local: atLeast(version, '0.27.4') ? externalInterface.publicIp : externalInterface.address,
        link: externalInterface.name,
        learning: options.learning,
        gbp: options.gbp,
        ttl: 0,
        tos: 0,
        df: 'unset',
        udpChecksum: true,
        provenance: fromLease(ownLease.subnet),
      },
    ],
    mtu,
    problems: [...problems, ...remote.problems],
  }
  return common === undefined ? part : withPieces(part, common)
}

/** Up to 0.21.2 flannel leaves the MTU to the kernel; later it asks, and the kernel grants no more than the lower device bears. */
function deviceMtu(asked: number, lowerMtu: number, version: string): number {
  const limit = lowerMtu - VXLAN_OVERHEAD
  return atLeast(version, '0.21.3') ? Math.min(asked, limit) : limit
}

interface Remotes {
  readonly neighbours: readonly NeighbourSpec[]
  readonly fdb: readonly FdbSpec[]
  readonly routes: readonly RouteSpec[]
  readonly problems: readonly Problem[]
}

const NO_REMOTES: Remotes = { neighbours: [], fdb: [], routes: [], problems: [] }

/** The same on each node: of leases that have a MAC each, and where DirectRouting finds all nodes on one link. */
function commonRemotes(view: FlannelView, device: string, directRouting: boolean): Pieces | undefined {
  const leases = commonLeases(view, 'vxlan')
  if (leases === undefined) return undefined
  if (directRouting) {
    const link = view.underlay.linkOf(leases.publicIps)
    const direct = link === undefined ? undefined : leases.others(view, `direct ${link}`, (all) => all.map((lease) => directRoute(lease, link)))
    return direct === undefined ? undefined : { routes: [direct], neighbours: [], fdb: [] }
  }
  const routes = leases.others(view, `routes ${device}`, (all) => all.map((lease) => remoteRoute(lease, device)))
  const neighbours = leases.others(view, `neighbours ${device}`, (all) => macsOf(all)?.map((mac, at) => remoteNeighbour(all[at], device, mac)))
  const fdb = leases.others(view, `fdb ${device}`, (all) => macsOf(all)?.map((mac, at) => remoteVtep(all[at], device, mac)))
  return routes === undefined || neighbours === undefined || fdb === undefined ? undefined : { routes: [routes], neighbours: [neighbours], fdb: [fdb] }
}

/** undefined unless each has one of its own. */
function macsOf(leases: readonly Lease[]): readonly Mac[] | undefined {
  const macs = new Set(leases.flatMap((lease) => publishedMac(lease) ?? []))
  return macs.size === leases.length ? [...macs] : undefined
}

function remoteRoute({ subnet }: Lease, device: string): RouteSpec {
  return { destination: subnet, type: 'unicast', via: subnet.base, device, onlink: true, scope: 'global', provenance: fromLease(subnet) }
}

function remoteNeighbour({ subnet }: Lease, device: string, mac: Mac): NeighbourSpec {
  return { address: subnet.base, device, mac, state: 'permanent', provenance: fromLease(subnet) }
}

function remoteVtep({ subnet, attributes }: Lease, device: string, mac: Mac): FdbSpec {
  return { mac, device, destination: attributes.publicIp, self: true, state: 'permanent', provenance: fromLease(subnet) }
}

function renderRemotes(view: FlannelView, device: string, directRouting: boolean): Remotes {
  const neighbours: NeighbourSpec[] = []
  const fdb = new Map<string, FdbSpec>()
  const routes: RouteSpec[] = []
  const problems: Problem[] = []
  for (const lease of remoteLeases(view, 'vxlan', problems)) {
    const { attributes } = lease
    const mac = publishedMac(lease)
    if (mac === undefined) {
      const what = `BackendData ${JSON.stringify(attributes.backendData) ?? '(none)'} holds no VtepMAC that a device can have; nothing leads there`
      problems.push(leaseProblem(lease, what, 'write {"VtepMAC": "…"} as the node published it'))
      continue
    }
    const direct = directRouting ? view.underlay.lookup(attributes.publicIp) : undefined
    if (direct !== undefined && direct.gateway === undefined) {
      routes.push(directRoute(lease, direct.device))
      continue
    }
    neighbours.push(remoteNeighbour(lease, device, mac))
    const key = formatMac(mac)
    const earlier = fdb.get(key)
    if (earlier !== undefined) {
      const what = `VtepMAC ${key} is also that of ${earlier.provenance?.object ?? 'another lease'}; the FDB keeps one destination per MAC`
      problems.push(leaseProblem(lease, `${what}, now ${formatIp(attributes.publicIp)}`, 'give each node its own MAC'))
    }
    fdb.set(key, remoteVtep(lease, device, mac))
    routes.push(remoteRoute(lease, device))
  }
  return { neighbours, fdb: [...fdb.values()], routes, problems }
}

/** VtepMAC of a lease; Go's field names, so `vtepmac` will do. */
export function publishedMac(lease: Lease): Mac | undefined {
  const data = lease.attributes.backendData
  if (!isJsonObject(data)) return undefined
  const text = new GoFields(data, { file: '', line: 0, object: '' }).string('VtepMAC')
  const mac = text === undefined ? undefined : parseMac(text)
  // is_valid_ether_addr: no device can have the others
  return mac === undefined || mac === 0 || (macHigh(mac) & 0x0100) !== 0 ? undefined : mac
}
