/**
 * The veth pair of one pod and what the pod's netns holds, the same for docker and the bridge plugin but for who says so. Chance (names, MACs)
 * comes from a stream of the pod's own, so that one pod more changes nothing for the others.
 */
import { broadcastOf, cidr, type Cidr } from '../base/cidr.js'
import type { Ip } from '../base/ip.js'
import { randomMac, type Mac } from '../base/mac.js'
import { hashText, Prng } from '../base/prng.js'
import {
  EMPTY_DATAPLANE,
  LOOPBACK,
  type AddressSpec,
  type BridgePortSpec,
  type Dataplane,
  type DeviceSpec,
  type Provenance,
  type RouteSpec,
} from '../dataplane/dataplane.js'
import { netnsOf, objectOf, subnetOf, type AttachedPod, type BridgeView, type PodAttachment } from './attachment.js'

const HEX = '0123456789abcdef'
const NO_ADDRESSES: readonly AddressSpec[] = []

interface VethStyle {
  readonly view: BridgeView
  readonly bridge: string
  /** `docker`, `bridge plugin` */
  readonly by: string
  /** Who gave the address: `docker`, `host-local`. */
  readonly ipam: string
  /** Digits after `veth` in the host's end. */
  readonly digits: number
  readonly hairpin: boolean
  /** MAC of eth0; absent: the kernel draws one. */
  readonly macOf?: (address: Ip) => Mac
  /** What the pod reaches through the bridge's address, in the order of the table. */
  readonly destinations: readonly Cidr[]
  readonly sysctls: Readonly<Record<string, number>>
}

/** With the broadcast address that docker's and the plugins' netlink library fills in where there is room for one. */
export function interfaceAddress(address: Ip, length: number): AddressSpec {
  return { address, length, scope: 'global', ...(length > 30 ? {} : { broadcast: broadcastOf(cidr(address, length)) }) }
}

/** What the kernel adds with a device's address. */
export function connectedRoute(destination: Cidr, device: string, source: Ip, object: string): RouteSpec {
  return { destination, type: 'unicast', device, protocol: 'kernel', scope: 'link', source, provenance: { by: 'kernel', object } }
}

/** A route of the pod through the bridge's address. */
function viaGateway(view: BridgeView, destination: Cidr, provenance: Provenance): RouteSpec {
  return { destination, type: 'unicast', via: view.subnet.address, device: 'eth0', scope: 'global', provenance }
}

/** What a bridge draws of its own. */
export function bridgeStream(view: BridgeView, bridge: string): Prng {
  return new Prng(view.seed ^ hashText(`${view.node}/${bridge}`))
}

export interface GivenAddress {
  readonly pod: PodAttachment
  readonly address: Ip
}

interface AttachedPods {
  readonly hostEnds: readonly DeviceSpec[]
  readonly pods: readonly AttachedPod[]
}

/** The host's ends and the pods, in the order given. Names never meet one another nor the bridge. */
export function attachPods(given: readonly GivenAddress[], style: VethStyle): AttachedPods {
  const taken = new Set([style.bridge, ...given.flatMap(({ pod }) => pod.pinnedHostDevice ?? [])])
  const hostEnds: DeviceSpec[] = []
  const pods: AttachedPod[] = []
  const shared = { subnet: subnetOf(style.view), bridgePort: { hairpin: style.hairpin } }
  for (const one of given) {
    const { hostEnd, pod } = attach(one, { ...style, ...shared }, taken)
    taken.add(hostEnd.name)
    hostEnds.push(hostEnd)
    pods.push(pod)
  }
  return { hostEnds: hostEnds.slice(), pods: pods.slice() }
}

/** With what the pods of a node have in common. */
interface NodeStyle extends VethStyle {
  readonly subnet: Cidr
  readonly bridgePort: BridgePortSpec
}

interface Attached {
  readonly hostEnd: DeviceSpec
  readonly pod: AttachedPod
}

function attach({ pod, address }: GivenAddress, style: NodeStyle, taken: ReadonlySet<string>): Attached {
  const { view } = style
  const netns = netnsOf(pod)
  const prng = new Prng(view.seed ^ hashText(netns))
  // drawn whether used or not: what is pinned must not shift what is not
  const drawnName = drawName(prng, style.digits)
  const drawnHostMac = randomMac(prng)
  const drawnMac = randomMac(prng)
  let hostDevice = pod.pinnedHostDevice ?? drawnName
  while (pod.pinnedHostDevice === undefined && taken.has(hostDevice)) hostDevice = drawName(prng, style.digits)
  const provenance: Provenance = { by: style.by, object: objectOf(pod) }
  const hostEnd: DeviceSpec = {
    kind: 'veth',
    name: hostDevice,
    mtu: view.mtu,
    mac: pod.pinnedHostMac ?? drawnHostMac,
    up: true,
    addresses: NO_ADDRESSES,
    master: style.bridge,
    bridgePort: style.bridgePort,
    peer: { netns, device: 'eth0' },
    provenance,
  }
  const mac = pod.pinnedMac ?? style.macOf?.(address) ?? drawnMac
  return { hostEnd, pod: { attachment: pod, address, dataplane: podDataplane({ pod, address }, { netns, hostDevice, mac, provenance }, style) } }
}

function drawName(prng: Prng, digits: number): string {
  let name = 'veth'
  for (let i = 0; i < digits; i++) name += HEX[prng.below(16)]
  return name
}

interface PodEnd {
  readonly netns: string
  readonly hostDevice: string
  readonly mac: Mac
  readonly provenance: Provenance
}

function podDataplane({ pod, address }: GivenAddress, { netns, hostDevice, mac, provenance }: PodEnd, style: NodeStyle): Dataplane {
  const { view } = style
  const { object = '' } = provenance
  const ipam = { by: style.ipam, object }
  const eth0: DeviceSpec = {
    kind: 'veth',
    name: 'eth0',
    mtu: view.mtu,
    mac,
    up: true,
    addresses: [interfaceAddress(address, view.subnet.length)],
    peer: { netns: view.node, device: hostDevice },
    provenance: ipam,
  }
  const { rules, neighbours, fdb, iptables, ipsets, sockets } = EMPTY_DATAPLANE
  return {
    devices: [LOOPBACK, eth0],
    routes: style.destinations.map((destination) => viaGateway(view, destination, provenance)).concat(connectedRoute(style.subnet, 'eth0', address, object)),
    rules,
    neighbours,
    fdb,
    sysctls: style.sysctls,
    iptables,
    ipsets,
    sockets: pod.sockets ?? sockets,
    netns,
  }
}
