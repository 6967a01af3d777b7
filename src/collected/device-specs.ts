/**
 * What `ip -d addr` said of the devices of a node and its pods → DeviceSpecs. The two ends of a veth find one another by their indexes, over all of the
 * netns that were gathered; what cannot be made sense of becomes a device of kind `other`, which says why.
 */
import { parseIp } from '../base/ip.js'
import { parsePort } from '../dataplane/protocols.js'
import type { BridgePortSpec, DeviceSpec } from '../dataplane/dataplane.js'
import { parseInteger } from '../dataplane/text.js'
import { DUMP, type NotUnderstood } from './collected-node.js'
import { valueOf, type Link } from './links.js'
import type { SysDevice } from './sys-devices.js'
import type { WireguardDevice } from './wireguard-text.js'

/** The devices of one netns with what helps to tell them. */
export interface NetnsLinks {
  /** The name of its Dataplane. */
  readonly netns: string
  /** Its name under /run/netns, where it has one. */
  readonly registered?: string
  readonly file: string
  readonly links: readonly Link[]
  /** The kinds of devices were printed (`ip -d`). */
  readonly detailed: boolean
  readonly sys: ReadonlyMap<string, SysDevice>
  readonly wireguard: ReadonlyMap<string, WireguardDevice>
  /** The names of others by their numbers in it (`ip netns list-id`). */
  readonly names: ReadonlyMap<number, string>
}

interface VethEnd {
  readonly netns: string
  readonly device: string
}

/** Kinds that a host's way out of the machine may have, and which carry its packets as one card would. */
const UPLINKS: ReadonlySet<string> = new Set(['bond', 'team', 'vlan'])

export interface SpecReading {
  readonly devices: ReadonlyMap<string, readonly DeviceSpec[]>
  readonly notUnderstood: readonly NotUnderstood[]
}

export function deviceSpecs(all: readonly NetnsLinks[]): SpecReading {
  const notUnderstood: NotUnderstood[] = []
  const ends = vethEnds(all)
  const devices = all.map((one): [string, readonly DeviceSpec[]] => {
    const specs = one.links.map((link) => {
      const spec = specOf(link, one, ends.get(link))
      const note = noteOn(spec, link)
      if (note !== undefined && spec.up) notUnderstood.push({ what: note, file: one.file, line: link.line })
      return spec
    })
    const guessed = one.links.filter((link) => isGuessed(link, one)).map((link) => `${link.name} for a ${kindOf(link, one) ?? 'card'}`)
    if (guessed.length > 0) notUnderstood.push({ what: `${NOT_DETAILED}: ${guessed.join(', ')}`, file: one.file, line: 1, fix: 'Gather ip -d addr.' })
    return [one.netns, specs]
  })
  return { devices: new Map(devices), notUnderstood }
}

const NOT_DETAILED = 'printed without -d, and there is no file sys: devices are taken for what their names and ports tell'

/** Ethernet devices beside veths, which their indexes tell: nobody says what they are. */
function isGuessed(link: Link, { detailed, sys }: Pick<NetnsLinks, 'links' | 'detailed' | 'sys'>): boolean {
  return !detailed && link.linkType === 'ether' && link.peerIndex === undefined && link.beside === undefined && !sys.has(link.name)
}

function noteOn(spec: DeviceSpec, link: Link): string | undefined {
  if (spec.kind === 'nic' && link.kind !== undefined && UPLINKS.has(link.kind)) return `${link.name} is a ${link.kind}: it is taken as one card`
  if (spec.kind !== 'other') return undefined
  return spec.why ?? `${link.name} is a device of kind ${spec.type}, which is not modelled`
}

/** `veth` where ip named no kind: another netns's index behind the name is a veth's, or that of what sits on another device. */
function kindOf(link: Link, { links, detailed, sys }: Pick<NetnsLinks, 'links' | 'detailed' | 'sys'>): string | undefined {
  if (link.kind !== undefined) return link.kind
  const told = sys.get(link.name)
  const devtype = told?.get('devtype')
  if (devtype !== undefined) return devtype
  if (told?.get('tun_flags') !== undefined) return 'tun'
  if (link.linkType === 'ipip' && link.name === FALLBACK_TUNNEL) return 'ipip'
  if (isGuessed(link, { links, detailed, sys })) return guessedKind(link, links)
  if (told?.get('hardware') === undefined && link.linkType === 'ether' && (link.peerIndex !== undefined || link.beside !== undefined)) return 'veth'
  return undefined
}

/** The one that the module ipip makes: any to any, ttl inherit, nopmtudisc (net/ipv4/ip_tunnel.c ip_tunnel_init_net). */
const FALLBACK_TUNNEL = 'tunl0'
const FALLBACK_DETAILS = ['remote', 'any', 'local', 'any', 'ttl', 'inherit', 'nopmtudisc']

/** Of a device that an agent has named; undefined: anybody's. */
export function agentsKind(name: string): 'vxlan' | undefined {
  return /^(flannel\.\d+$|vxlan|cilium_vxlan$)/.test(name) ? 'vxlan' : undefined
}

/** As agents name them, bridges and bonds by their ports; undefined: a card. */
function guessedKind({ name }: Link, links: readonly Link[]): string | undefined {
  const known = agentsKind(name)
  if (known !== undefined) return known
  const port = links.find(({ master }) => master === name)
  return port === undefined ? undefined : port.flags.has('SLAVE') ? 'bond' : 'bridge'
}

function vethEnds(all: readonly NetnsLinks[]): ReadonlyMap<Link, VethEnd> {
  const byIndex = new Map<number, { readonly at: NetnsLinks; readonly link: Link }[]>()
  for (const at of all) {
    for (const link of at.links) {
      const known = byIndex.get(link.index)
      if (known === undefined) byIndex.set(link.index, [{ at, link }])
      else known.push({ at, link })
    }
  }
  const ends = new Map<Link, VethEnd>()
  for (const at of all) {
    for (const link of at.links) {
      const beside = link.beside === undefined ? undefined : at.links.find(({ name, beside: back }) => name === link.beside && back === link.name)
      if (beside !== undefined && kindOf(link, at) === 'veth') ends.set(link, { netns: at.netns, device: beside.name })
      if (link.peerIndex === undefined) continue
      const others = (byIndex.get(link.peerIndex) ?? []).filter(
        (other) => other.at !== at && other.link.peerIndex === link.index && mayLead(link, at, other.at) && mayLead(other.link, other.at, at),
      )
      // two that fit as well as each other: neither is known to be it
      if (others.length === 1) ends.set(link, { netns: others[0].at.netns, device: others[0].link.name })
    }
  }
  return ends
}

/** May the other end be in that netns? */
function mayLead(link: Link, at: NetnsLinks, to: NetnsLinks): boolean {
  const name = link.peerNetns ?? (link.peerNsid === undefined ? undefined : at.names.get(link.peerNsid))
  return name === undefined || to.registered === undefined || name === to.registered
}

function specOf(link: Link, at: NetnsLinks, end: VethEnd | undefined): DeviceSpec {
  const common = commonOf(link, at)
  const kind = kindOf(link, at)
  const other = (why?: string): DeviceSpec => ({ ...common, kind: 'other', type: kind ?? link.linkType, ...(why === undefined ? {} : { why }) })
  if (link.linkType === 'loopback') return { ...common, kind: 'loopback' }
  switch (kind) {
    case undefined:
      if (link.linkType === 'ether') return nicOf(link, common)
      return other(at.detailed ? undefined : `the dump does not tell what kind of device ${link.name} (link/${link.linkType}) is`)
    case 'veth':
      if (end !== undefined) return { ...common, kind: 'veth', peer: end }
      // a node that is itself a container has a veth for a card
      if (isUplink(link)) return nicOf(link, common)
      // behind the @ of a VLAN, a macvlan or an ipvlan stands the card below, which has nothing behind its own
      if (link.kind === undefined && link.beside !== undefined) return other(`the dump does not tell what kind of device ${link.name} on ${link.beside} is`)
      return other(`the other end of the veth ${link.name} is not in the dump`)
    case 'bridge':
      return bridgeOf(link, at, common)
    case 'vxlan':
      return vxlanOf(link, common) ?? other(`the dump does not tell the VNI and the port of the VXLAN device ${link.name}`)
    case 'ipip':
      return ipipOf(link.kind === undefined ? { ...link, details: FALLBACK_DETAILS } : link, common)
    case 'tun':
      return link.details.includes('tap') || link.linkType === 'ether' ? other() : { ...common, kind: 'tun' }
    case 'wireguard':
      return wireguardOf(link, at, common) ?? other(`the dump does not tell the keys and peers of the WireGuard device ${link.name}`)
    case 'dummy':
      return { ...common, kind: 'dummy' }
    default:
      return UPLINKS.has(kind) && isUplink(link) ? nicOf(link, common) : other()
  }
}

type Common = Omit<Extract<DeviceSpec, { kind: 'dummy' }>, 'kind'>

function commonOf(link: Link, { file, sys }: NetnsLinks): Common {
  const port = portOf(link, sys.get(link.name))
  return {
    name: link.name,
    mtu: link.mtu,
    ...(link.mac === undefined ? {} : { mac: link.mac }),
    up: link.flags.has('UP'),
    addresses: link.addresses,
    ...(link.master === undefined ? {} : { master: link.master }),
    ...(port === undefined ? {} : { bridgePort: port }),
    provenance: { by: DUMP, file, line: link.line },
  }
}

/** What is as the kernel makes it is left out. */
function portOf(link: Link, sys: SysDevice | undefined): BridgePortSpec | undefined {
  const flag = (word: string, file: string): boolean | undefined => {
    const said = valueOf(link.port ?? [], word)
    if (said !== undefined) return said === 'on'
    const value = sys?.get(`brport/${file}`)
    return value === undefined ? undefined : value === '1'
  }
  const port: BridgePortSpec = {
    ...(flag('hairpin', 'hairpin_mode') === true ? { hairpin: true } : {}),
    ...(flag('learning', 'learning') === false ? { learning: false } : {}),
    ...(flag('flood', 'unicast_flood') === false ? { flood: false } : {}),
    ...(flag('isolated', 'isolated') === true ? { isolated: true } : {}),
  }
  return Object.keys(port).length === 0 ? undefined : port
}

/** It speaks for the host itself: with an address, and no port of a bridge or of a bond. */
function isUplink(link: Link): boolean {
  return link.master === undefined && link.addresses.some(({ scope, length }) => scope === 'global' && length < 32)
}

function nicOf(link: Link, common: Common): DeviceSpec {
  return { ...common, kind: 'nic', ...(link.flags.has('NO-CARRIER') ? { cable: { cut: true } } : {}) }
}

/** USER_HZ: what ip prints ages in. */
const TICKS_PER_SECOND = 100

function bridgeOf(link: Link, { sys }: NetnsLinks, common: Common): DeviceSpec {
  const told = sys.get(link.name)
  const value = (word: string): number | undefined => parseInteger(valueOf(link.details, word) ?? told?.get(`bridge/${word}`))
  const ageing = value('ageing_time')
  return {
    ...common,
    kind: 'bridge',
    ...(ageing === undefined ? {} : { ageing: Math.round(ageing / TICKS_PER_SECOND) }),
    ...(value('nf_call_iptables') === 1 ? { nfCallIptables: true } : {}),
    ...(value('vlan_filtering') === 1 ? { vlanFiltering: true } : {}),
  }
}

function vxlanOf(link: Link, common: Common): DeviceSpec | undefined {
  const { details } = link
  const [vni, port] = [parseInteger(valueOf(details, 'id')), parsePort(valueOf(details, 'dstport') ?? '')]
  if (vni === undefined || port === undefined || details.includes('external')) return undefined
  const local = parseIp(valueOf(details, 'local') ?? '')
  const lower = valueOf(details, 'dev') ?? link.beside
  const df = valueOf(details, 'df')
  return {
    ...common,
    kind: 'vxlan',
    vni,
    port,
    ...(local === undefined ? {} : { local }),
    ...(lower === undefined ? {} : { link: lower }),
    learning: !details.includes('nolearning'),
    gbp: details.includes('gbp'),
    ttl: inherited(valueOf(details, 'ttl')),
    tos: inherited(valueOf(details, 'tos')),
    df: df === 'set' || df === 'inherit' ? df : 'unset',
    udpChecksum: details.includes('udpcsum'),
  }
}

/** `auto`, and what is not said, is 0. */
function inherited(text: string | undefined): number | 'inherit' {
  return text === 'inherit' ? 'inherit' : (parseInteger(text) ?? 0)
}

function ipipOf(link: Link, common: Common): DeviceSpec {
  const { details } = link
  const [local, remote] = [parseIp(valueOf(details, 'local') ?? ''), parseIp(valueOf(details, 'remote') ?? '')]
  return {
    ...common,
    kind: 'ipip',
    ...(local === undefined ? {} : { local }),
    ...(remote === undefined ? {} : { remote }),
    ttl: valueOf(details, 'ttl') === undefined ? 'inherit' : inherited(valueOf(details, 'ttl')),
    tos: inherited(valueOf(details, 'tos')),
    pmtudisc: !details.includes('nopmtudisc'),
  }
}

function wireguardOf(link: Link, { wireguard }: NetnsLinks, common: Common): DeviceSpec | undefined {
  const told = wireguard.get(link.name)
  if (told?.publicKey === undefined || told.port === undefined) return undefined
  return {
    ...common,
    kind: 'wireguard',
    port: told.port,
    publicKey: told.publicKey,
    ...(told.fwmark === undefined || told.fwmark === 0 ? {} : { fwmark: told.fwmark }),
    peers: [...told.peers.values()],
  }
}
