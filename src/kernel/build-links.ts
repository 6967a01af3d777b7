/**
 * Devices as lines for `ip -batch` (iproute2 iplink.c, iplink_vxlan.c, iplink_bridge.c). Cables (veth) are made from outside, between two
 * namespaces at once; every other device inside its own.
 */
import { formatIp } from '../base/ip.js'
import { formatMac, type Mac } from '../base/mac.js'
import type { Dataplane, DeviceSpec } from '../dataplane/dataplane.js'
import type { SegmentSpec } from '../net/compile.js'
import type { Indexes, LabNames } from './build-names.js'

type Of<Kind extends DeviceSpec['kind']> = Extract<DeviceSpec, { kind: Kind }>

/** __is_skb_forwardable: the receiving end of a veth loses what is longer than its MTU and room for a tag, without a word, as a switch does. */
const VLAN_TAG = 4
/** ETH_MIN_MTU. */
const SMALLEST_MTU = 68

/** One end of a cable. */
interface End {
  readonly netns: string
  readonly device: string
  readonly mtu: number
  readonly mac?: Mac
}

export interface SwitchPort {
  readonly device: string
  /** The card that is plugged in. */
  readonly mac: Mac | undefined
  /** A bridge is behind the card: stations of its own. */
  readonly bridged: boolean
}

interface Cables {
  /** For one `ip -batch` outside all of them. */
  readonly lines: readonly string[]
  /** By segment. */
  readonly ports: ReadonlyMap<string, readonly SwitchPort[]>
  /** Ends in the namespace `nowhere`: they stay down. */
  readonly loose: readonly string[]
}

interface Laying {
  readonly indexes: Indexes
  /** Two cards alone on a segment are joined without a switch. */
  readonly direct: boolean
}

/** Every veth, and every card with its cable into the segment's switch. */
export function cablesOf(dataplanes: readonly Dataplane[], segments: readonly SegmentSpec[], names: LabNames, { indexes, direct }: Laying): Cables {
  const lines: string[] = []
  const loose: string[] = []
  const ports = new Map<string, SwitchPort[]>(segments.map(({ name }) => [name, []]))
  const has = (netns: string, device: string): DeviceSpec | undefined =>
    dataplanes.find((one) => one.netns === netns)?.devices.find(({ name }) => name === device)
  const done = new Set<string>()
  const cable = (a: End, b: End): void => void lines.push(`link add ${endWords(a, indexes)} type veth peer name ${endWords(b, indexes)}`)
  const dangling = (mtu: number): End => {
    const device = `loose${loose.length}`
    loose.push(device)
    return { netns: names.nowhere, device, mtu }
  }
  const pairs = direct ? pairsOf(dataplanes, names) : new Map<string, readonly End[]>()
  for (const { netns, devices } of dataplanes) {
    for (const spec of devices) {
      const own = endOf(spec, names.netns.get(netns) ?? '')
      if (spec.kind === 'nic') {
        const segment = segments.find(({ name }) => name === spec.segment)
        const plugged = segment === undefined ? undefined : ports.get(segment.name)
        if (segment === undefined || plugged === undefined) cable(own, dangling(spec.mtu))
        else if (pairs.has(segment.name)) {
          const [first, second] = pairs.get(segment.name) as readonly End[]
          if (first.netns === own.netns && first.device === own.device) cable(first, second)
        } else {
          const port = { device: `port${plugged.length}`, mac: spec.mac, bridged: spec.master !== undefined }
          plugged.push(port)
          cable(own, { netns: names.segments.get(segment.name) ?? '', device: port.device, mtu: Math.max(segment.mtu - VLAN_TAG, SMALLEST_MTU) })
        }
      } else if (spec.kind === 'veth' && !done.has(`${netns} ${spec.name}`)) {
        const peer = has(spec.peer.netns, spec.peer.device)
        if (peer === undefined) cable(own, dangling(spec.mtu))
        else {
          done.add(`${spec.peer.netns} ${spec.peer.device}`)
          cable(own, endOf(peer, names.netns.get(spec.peer.netns) ?? ''))
        }
      }
    }
  }
  return { lines, ports, loose }
}

/** The cards of each segment that has two. */
function pairsOf(dataplanes: readonly Dataplane[], names: LabNames): ReadonlyMap<string, readonly End[]> {
  const cards = new Map<string, End[]>()
  for (const { netns, devices } of dataplanes) {
    for (const spec of devices) {
      if (spec.kind !== 'nic' || spec.segment === undefined) continue
      cards.set(spec.segment, [...(cards.get(spec.segment) ?? []), endOf(spec, names.netns.get(netns) ?? '')])
    }
  }
  return new Map([...cards].filter(([, ends]) => ends.length === 2))
}

function endOf({ name, mtu, mac }: DeviceSpec, netns: string): End {
  return { netns, device: name, mtu, ...(mac === undefined ? {} : { mac }) }
}

function endWords({ netns, device, mtu, mac }: End, indexes: Indexes): string {
  return `${device} index ${indexes.next()}${mac === undefined ? '' : ` address ${formatMac(mac)}`} mtu ${mtu} netns ${netns}`
}

/** Devices that are made inside their netns, lower ones first. */
export function deviceLines({ devices }: Dataplane, indexes: Indexes): readonly string[] {
  return devices.flatMap((spec) => {
    const address = spec.mac === undefined || spec.kind === 'loopback' ? '' : ` address ${formatMac(spec.mac)}`
    const words = kindWords(spec)
    const mtu = spec.kind === 'nic' || spec.kind === 'veth' ? [] : [`link set ${spec.name} mtu ${spec.mtu}`]
    return words === undefined ? mtu : [`link add ${spec.name} index ${indexes.next()}${address} type ${words}`, ...mtu]
  })
}

/** undefined: made elsewhere. */
function kindWords(spec: DeviceSpec): string | undefined {
  switch (spec.kind) {
    case 'bridge':
      return bridgeWords(spec)
    case 'vxlan':
      return vxlanWords(spec)
    case 'dummy':
      return 'dummy'
    case 'ipip':
      return ipipWords(spec)
    default:
      return undefined
  }
}

/** Times in hundredths of a second. No multicast snooping: it would ask questions of its own. */
function bridgeWords(spec: Of<'bridge'>): string {
  const words = [
    'bridge stp_state 0 forward_delay 0 mcast_snooping 0',
    spec.ageing === undefined ? '' : `ageing_time ${spec.ageing * 100}`,
    `nf_call_iptables ${spec.nfCallIptables === true ? 1 : 0}`,
    spec.vlanFiltering === true ? 'vlan_filtering 1' : '',
  ]
  return words.filter((word) => word !== '').join(' ')
}

function vxlanWords(spec: Of<'vxlan'>): string {
  const words = [
    `vxlan id ${spec.vni}`,
    spec.local === undefined ? '' : `local ${formatIp(spec.local)}`,
    spec.link === undefined ? '' : `dev ${spec.link}`,
    `dstport ${spec.port}`,
    spec.learning ? 'learning' : 'nolearning',
    spec.udpChecksum ? 'udpcsum' : 'noudpcsum',
    spec.ttl === 0 ? '' : `ttl ${spec.ttl}`,
    spec.tos === 0 ? '' : `tos ${spec.tos}`,
    spec.df === 'unset' ? '' : `df ${spec.df}`,
    spec.gbp ? 'gbp' : '',
  ]
  return words.filter((word) => word !== '').join(' ')
}

function ipipWords(spec: Of<'ipip'>): string {
  const words = [
    'ipip',
    spec.local === undefined ? '' : `local ${formatIp(spec.local)}`,
    spec.remote === undefined ? '' : `remote ${formatIp(spec.remote)}`,
    `ttl ${spec.ttl}`,
    `tos ${spec.tos}`,
    spec.pmtudisc ? 'pmtudisc' : 'nopmtudisc',
  ]
  return words.filter((word) => word !== '').join(' ')
}

/** Ports to their bridges, in the order given: a flood goes from the newest to the oldest. */
export function portLines({ devices }: Dataplane): readonly string[] {
  const onOff = (flag: boolean): string => (flag ? 'on' : 'off')
  return devices.flatMap(({ name, master, bridgePort }) => {
    if (master === undefined || !devices.some((device) => device.kind === 'bridge' && device.name === master)) return []
    const flags = [
      bridgePort?.hairpin === undefined ? '' : `hairpin ${onOff(bridgePort.hairpin)}`,
      bridgePort?.learning === undefined ? '' : `learning ${onOff(bridgePort.learning)}`,
      bridgePort?.flood === undefined ? '' : `flood ${onOff(bridgePort.flood)}`,
      bridgePort?.isolated === undefined ? '' : `isolated ${onOff(bridgePort.isolated)}`,
    ].filter((word) => word !== '')
    return [`link set ${name} master ${master}`, ...(flags.length === 0 ? [] : [`link set ${name} type bridge_slave ${flags.join(' ')}`])]
  })
}

/** The switch of a segment: one bridge that asks nothing and, where only cards are plugged in, learns nothing, as it knows them. */
export function switchLines(ports: readonly SwitchPort[], indexes: Indexes): readonly string[] {
  return [
    `link add switch index ${indexes.next()} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
    ...ports.flatMap(({ device, bridged }) => [
      `link set ${device} master switch`,
      `link set ${device} type bridge_slave learning ${bridged ? 'on' : 'off'}`,
      `link set ${device} up`,
    ]),
  ]
}

export function switchFdbLines(ports: readonly SwitchPort[]): readonly string[] {
  return ports.flatMap(({ device, mac }) => (mac === undefined ? [] : [`fdb replace ${formatMac(mac)} dev ${device} master static`]))
}
