/**
 * Small worlds from the tools' own words. A host is a text, one thing a line, that netsim and a real kernel both understand
 * (test/real-kernel/walk-lab.ts loads the same text):
 *
 *   link eth0 veth r/ra [mtu 1400] [master br0] [hairpin] [isolated] [nolearning] [noflood] [down]
 *   link br0 bridge | link d0 dummy | link t0 tun | link eth0 nic s0 | link vx0 vxlan id 1 local 10.0.0.1 dstport 8472 [gbp] [learning]
 *   link t1 ipip [local 10.0.0.1] [remote 10.0.0.2] [ttl 9] [tos 8|inherit] [pmtudisc]       link wg0 wireguard key A port 51820 [fwmark 7]
 *   wg wg0 peer B [endpoint 10.0.0.2:51820] allowed-ips 10.1.2.0/24,10.1.3.0/24
 *   addr 10.1.0.2/24 dev eth0 [scope link]            route add …      rule add …      neigh add …      fdb add …
 *   sysctl net.ipv4.ip_forward=1                      socket udp 9000
 */
import { cidr, parseAddressWithLength } from '../../src/base/cidr.js'
import { ip } from '../../src/base/ip.js'
import type { Problem } from '../../src/base/problem.js'
import { applyFdbCommand } from '../../src/dataplane/bridge-fdb.js'
import { EMPTY_DATAPLANE, type AddressSpec, type Dataplane, type DeviceSpec, type SocketSpec, type WireguardPeerSpec } from '../../src/dataplane/dataplane.js'
import { applyNeighbourCommand } from '../../src/dataplane/ip-neigh.js'
import { applyRouteCommand } from '../../src/dataplane/ip-route-command.js'
import { applyRuleCommand } from '../../src/dataplane/ip-rule.js'
import { parseIptablesSave } from '../../src/dataplane/iptables-save.js'
import { parseSysctls } from '../../src/dataplane/sysctl.js'
import { compileWorld, type SegmentSpec } from '../../src/net/compile.js'
import { deviceNamed } from '../../src/net/netns.js'
import { DEVICE_LOOPBACK, type Device } from '../../src/net/device.js'
import { deviceTransmit } from '../../src/net/device-io.js'
import { DISPOSITIONS, REASONS, type Disposition } from '../../src/net/disposition.js'
import { ipLocalOut } from '../../src/net/ip-output.js'
import { NETNS_NODE, type Netns, type World } from '../../src/net/netns.js'
import { END_STRIDE, FRAME_STRIDE } from '../../src/net/trace.js'
import { encodeFrame } from '../../src/wire/frame.js'
import {
  ETHERTYPE_NONE,
  Packet,
  PAYLOAD_PATTERN,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
  TCP_OPTIONS_NONE,
  TCP_OPTIONS_SYN,
  TCP_SYN,
  wholeIpPayloadLength,
} from '../../src/wire/packet.js'

export interface HostText {
  readonly text: string
  /** What iptables-save prints. */
  readonly iptables?: string
}

export type Hosts = Readonly<Record<string, string | HostText>>

export interface WorldOptions {
  /** Default: nothing dynamic is known, ARP is spoken. */
  readonly warm?: boolean
  readonly seed?: number
  readonly segments?: readonly SegmentSpec[]
}

/** The MAC of the device that stands in this place of its host's text. */
export function macFor(host: number, device: number): number {
  return 0x020000000000 + host * 256 + device
}

/** The lines of a host's text as words, comments and blank lines left out. */
export function linesOfHost(host: string | HostText): readonly (readonly string[])[] {
  const text = typeof host === 'string' ? host : host.text
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([word]) => word !== '' && !word.startsWith('#'))
}

const PLACE = { file: 'kit', line: 1 }

function sound<T extends { readonly problems: readonly Problem[] }>(result: T): T {
  if (result.problems.some(({ severity }) => severity === 'error')) throw new Error(JSON.stringify(result.problems))
  return result
}

function valueAfter(words: readonly string[], word: string): string | undefined {
  const at = words.indexOf(word)
  return at < 0 ? undefined : words[at + 1]
}

function deviceOf(words: readonly string[], mac: number, host: string): DeviceSpec {
  const [, name, kind] = words
  const port = {
    ...(words.includes('hairpin') ? { hairpin: true } : {}),
    ...(words.includes('isolated') ? { isolated: true } : {}),
    ...(words.includes('nolearning') ? { learning: false } : {}),
    ...(words.includes('noflood') ? { flood: false } : {}),
  }
  const master = valueAfter(words, 'master')
  const common = {
    name,
    mac,
    up: !words.includes('down'),
    mtu: Number(valueAfter(words, 'mtu') ?? (kind === 'vxlan' ? 1450 : 1500)),
    addresses: [],
    ...(master === undefined ? {} : { master, bridgePort: port }),
  }
  switch (kind) {
    case 'veth': {
      const [netns, device] = words[3].split('/')
      return { ...common, kind, peer: { netns, device } }
    }
    case 'nic':
      return { ...common, kind, segment: words[3] }
    case 'bridge':
      return { ...common, kind, ...(words.includes('ageing') ? { ageing: Number(valueAfter(words, 'ageing')) } : {}) }
    case 'dummy':
      return { ...common, kind }
    case 'tun':
      return { ...common, kind, mac: undefined }
    case 'vxlan':
      return {
        ...common,
        kind,
        vni: Number(valueAfter(words, 'id')),
        port: Number(valueAfter(words, 'dstport')),
        local: ip(valueAfter(words, 'local') ?? ''),
        learning: words.includes('learning'),
        gbp: words.includes('gbp'),
        ttl: 0,
        tos: 0,
        df: 'unset',
        udpChecksum: false,
      }
    case 'ipip':
    case 'wireguard':
      return tunnelOf(words, { ...common, mac: undefined })
    default:
      throw new Error(`${host}: what is a ${kind}?`)
  }
}

function tunnelOf(words: readonly string[], common: Omit<Extract<DeviceSpec, { kind: 'dummy' }>, 'kind'>): DeviceSpec {
  if (words[2] === 'wireguard') {
    const fwmark = valueAfter(words, 'fwmark')
    return {
      ...common,
      kind: 'wireguard',
      mtu: Number(valueAfter(words, 'mtu') ?? 1420),
      port: Number(valueAfter(words, 'port')),
      publicKey: valueAfter(words, 'key') ?? '',
      peers: [],
      ...(fwmark === undefined ? {} : { fwmark: Number(fwmark) }),
    }
  }
  const local = valueAfter(words, 'local')
  const remote = valueAfter(words, 'remote')
  const tos = valueAfter(words, 'tos') ?? '0'
  return {
    ...common,
    kind: 'ipip',
    mtu: Number(valueAfter(words, 'mtu') ?? 1480),
    ttl: Number(valueAfter(words, 'ttl') ?? 0),
    tos: tos === 'inherit' ? tos : Number(tos),
    pmtudisc: words.includes('pmtudisc'),
    ...(local === undefined ? {} : { local: ip(local) }),
    ...(remote === undefined ? {} : { remote: ip(remote) }),
  }
}

function peerOf(words: readonly string[]): WireguardPeerSpec {
  const endpoint = valueAfter(words, 'endpoint')?.split(':')
  return {
    publicKey: valueAfter(words, 'peer') ?? '',
    allowedIps: (valueAfter(words, 'allowed-ips') ?? '')
      .split(',')
      .map((text) => parseAddressWithLength(text))
      .map((found) => cidr(found?.address ?? 0, found?.length ?? 0)),
    persistentKeepalive: 0,
    ...(endpoint === undefined ? {} : { endpoint: { address: ip(endpoint[0]), port: Number(endpoint[1]) } }),
  }
}

function addressOf(words: readonly string[]): AddressSpec {
  const parsed = parseAddressWithLength(words[1])
  if (parsed === undefined) throw new Error(`not an address: ${words[1]}`)
  return { ...parsed, scope: (valueAfter(words, 'scope') ?? 'global') as AddressSpec['scope'] }
}

function socketOf(words: readonly string[]): SocketSpec {
  return { proto: words[1] as SocketSpec['proto'], address: words[3] === undefined ? 0 : ip(words[3]), port: Number(words[2]), handler: 'open' }
}

export function dataplaneOf(name: string, index: number, host: string | HostText): Dataplane {
  const lines = linesOfHost(host)
  const devices: DeviceSpec[] = lines.filter(([word]) => word === 'link').map((words, i) => deviceOf(words, macFor(index, i + 1), name))
  const loopback: DeviceSpec = { kind: 'loopback', name: 'lo', mtu: 65536, mac: 0, up: true, addresses: [{ address: 0x7f000001, length: 8, scope: 'host' }] }
  let dataplane: Dataplane = { ...EMPTY_DATAPLANE, netns: name, devices: [loopback, ...devices] }
  for (const words of lines) {
    const rest = words.slice(1).join(' ')
    const known = { devices: dataplane.devices }
    switch (words[0]) {
      case 'link':
        break
      case 'addr': {
        const device = valueAfter(words, 'dev')
        if (!dataplane.devices.some((one) => one.name === device)) throw new Error(`${name}: no device ${device}`)
        dataplane = {
          ...dataplane,
          devices: dataplane.devices.map((one) => (one.name === device ? { ...one, addresses: [...one.addresses, addressOf(words)] } : one)),
        }
        break
      }
      case 'wg':
        dataplane = {
          ...dataplane,
          devices: dataplane.devices.map((one) => (one.name === words[1] && one.kind === 'wireguard' ? { ...one, peers: [...one.peers, peerOf(words)] } : one)),
        }
        break
      case 'route':
        dataplane = { ...dataplane, routes: sound(applyRouteCommand(dataplane.routes, rest, PLACE, known)).routes }
        break
      case 'rule':
        dataplane = { ...dataplane, rules: sound(applyRuleCommand(dataplane.rules, rest, PLACE)).rules }
        break
      case 'neigh':
        dataplane = { ...dataplane, neighbours: sound(applyNeighbourCommand(dataplane.neighbours, rest, PLACE, known)).neighbours }
        break
      case 'fdb':
        dataplane = { ...dataplane, fdb: sound(applyFdbCommand(dataplane.fdb, rest, PLACE, known)).fdb }
        break
      case 'sysctl':
        dataplane = { ...dataplane, sysctls: { ...dataplane.sysctls, ...sound(parseSysctls(`sysctl ${rest}`, PLACE)).sysctls } }
        break
      case 'socket':
        dataplane = { ...dataplane, sockets: [...dataplane.sockets, socketOf(words)] }
        break
      default:
        throw new Error(`${name}: what is "${words.join(' ')}"?`)
    }
  }
  const iptables = typeof host === 'string' ? undefined : host.iptables
  return iptables === undefined ? dataplane : { ...dataplane, iptables: sound(parseIptablesSave(iptables, PLACE)).state }
}

export interface SeenFrame {
  readonly netns: string
  readonly device: string
  readonly out: boolean
  readonly bytes: Uint8Array
  readonly timeNs: number
  readonly packet: Packet
}

export interface SeenEnd {
  readonly disposition: Disposition
  readonly reason: string
  readonly netns: string
  readonly leg: number
  readonly id: number
}

/** A compiled world with a trace on, and what tests ask of it. */
export class Kit {
  readonly world: World
  readonly dataplanes: readonly Dataplane[]
  private readonly wake: number

  constructor(hosts: Hosts, options: WorldOptions = {}) {
    this.dataplanes = Object.entries(hosts).map(([name, host], index) => dataplaneOf(name, index + 1, host))
    this.world = compileWorld(
      this.dataplanes.map((dataplane) => ({ dataplane, role: NETNS_NODE })),
      options.segments ?? [],
      options.seed ?? 1,
    )
    this.world.warm = options.warm === true ? 1 : 0
    this.world.trace.on = 1
    this.wake = this.world.sim.register(() => undefined)
  }

  netns(name: string): Netns {
    const found = this.world.netns.find((netns) => netns.name === name)
    if (found === undefined) throw new Error(`no netns ${name}`)
    return found
  }

  /** `r/ra`. */
  device(path: string): Device {
    const [netns, name] = path.split('/')
    const found = deviceNamed(this.netns(netns), name)
    if (found === null) throw new Error(`no device ${path}`)
    return found
  }

  /** A process of the netns sends the packet (IP_HDRINCL: the source is not questioned). */
  send(netns: string, packet: Packet): void {
    const row = this.row(packet)
    row.etherType = ETHERTYPE_NONE
    ipLocalOut(row, this.netns(netns), null, 1)
    this.world.drain()
  }

  /** A packet socket puts a whole frame on the device. */
  transmit(device: string, packet: Packet): void {
    deviceTransmit(this.row(packet), this.device(device))
    this.world.drain()
  }

  private row(packet: Packet): Packet {
    const row = this.world.packets.clone(packet)
    row.id = this.world.newPacketId()
    if (row.etherType !== 0x0806) this.world.live++
    return row
  }

  /** Lets that much virtual time pass. */
  pass(ms: number): void {
    this.world.sim.schedule(Math.round(ms * 1e6), this.wake, 0)
    this.world.sim.run(this.world.sim.nowNs + Math.round(ms * 1e6))
  }

  frames(): SeenFrame[] {
    const { trace } = this.world
    const seen: SeenFrame[] = []
    for (let i = 0; i < trace.frameCount; i++) {
      const at = i * FRAME_STRIDE
      const device = this.world.devices[trace.frames[at + 1]]
      seen.push({
        netns: this.world.netns[trace.frames[at]].name,
        device: device.name,
        out: trace.frames[at + 2] === 1,
        bytes: encodeFrame(trace.framePackets[i]),
        timeNs: trace.frameTimes[i],
        packet: trace.framePackets[i],
      })
    }
    return seen
  }

  ends(): SeenEnd[] {
    const { trace } = this.world
    return Array.from({ length: trace.endCount }, (_, i) => {
      const [leg, disposition, reason, netns, id] = trace.ends.subarray(i * END_STRIDE, i * END_STRIDE + 5)
      return { leg, disposition: DISPOSITIONS[disposition], reason: REASONS[reason], netns: this.world.netns[netns].name, id }
    })
  }

  /** Forgets frames and ends; the state of the world stays. */
  clear(): void {
    this.world.trace.clear()
  }

  /** Rows that are out of the pool and belong to nobody: none, once everything has ended. */
  rowsInUse(): number {
    return this.world.packets.made - (this.world.packets as unknown as { free: unknown[] }).free.length
  }
}

export function isLoopback(device: Device): boolean {
  return device.kind === DEVICE_LOOPBACK
}

export interface PacketWords {
  readonly src?: string
  readonly dst: string
  readonly proto?: 'udp' | 'tcp' | 'icmp' | number
  readonly sport?: number
  readonly dport?: number
  readonly icmpType?: number
  readonly icmpCode?: number
  /** Of the IP packet; of a fragment: of this fragment. */
  readonly length?: number
  /** Of the whole datagram, for a fragment. */
  readonly whole?: number
  readonly offset?: number
  readonly more?: boolean
  readonly ttl?: number
  readonly tos?: number
  readonly df?: boolean
  readonly id?: number
  readonly flags?: number
  readonly quote?: Packet
  readonly from?: Device | number
  readonly to?: Device | number
}

const PROTOS = { udp: PROTO_UDP, tcp: PROTO_TCP, icmp: PROTO_ICMP } as const

function macHalves(mac: Device | number | undefined): readonly [number, number] {
  if (mac === undefined) return [0, 0]
  return typeof mac === 'number' ? [Math.floor(mac / 2 ** 32), mac | 0] : [mac.macHigh, mac.macLow]
}

/** UDP 40000 → 9000 of 60 bytes where nothing else is said; an echo request of 84; a SYN of 60. */
export function packetOf(words: PacketWords): Packet {
  const packet = new Packet()
  packet.src = words.src === undefined ? 0 : ip(words.src)
  packet.dst = ip(words.dst)
  packet.proto = typeof words.proto === 'number' ? words.proto : PROTOS[words.proto ?? 'udp']
  packet.ttl = words.ttl ?? 64
  packet.tos = words.tos ?? 0
  packet.ipId = words.id ?? 0x1234
  packet.dontFragment = words.df === true ? 1 : 0
  packet.moreFragments = words.more === true ? 1 : 0
  packet.fragmentOffset = words.offset ?? 0
  packet.payloadKind = PAYLOAD_PATTERN
  packet.tcpOptions = TCP_OPTIONS_NONE
  if (packet.proto === PROTO_ICMP) {
    packet.sport = words.icmpType ?? 8
    packet.dport = words.icmpCode ?? 0
    packet.icmpId = words.quote === undefined ? 77 : 0
    packet.icmpSequence = words.quote === undefined ? 1 : 0
  } else {
    packet.sport = words.sport ?? 40000
    packet.dport = words.dport ?? 9000
  }
  if (packet.proto === PROTO_TCP) {
    packet.tcpFlags = words.flags ?? TCP_SYN
    packet.tcpSeq = 1000
    packet.tcpWindow = 64240
    if (packet.tcpFlags === TCP_SYN) {
      packet.tcpOptions = TCP_OPTIONS_SYN
      packet.tcpMss = 1460
      packet.tcpWscale = 7
      packet.tcpTsVal = 7
    }
  }
  const length = words.length ?? (packet.proto === PROTO_ICMP ? 84 : 60)
  packet.ipLength = length
  packet.payloadLength = (words.whole ?? length) - 20 - wholeIpPayloadLength(packet)
  ;[packet.srcMacHigh, packet.srcMacLow] = macHalves(words.from)
  ;[packet.dstMacHigh, packet.dstMacLow] = macHalves(words.to)
  if (words.to !== undefined) packet.etherType = 0x0800
  return packet
}

/** An ARP packet from outside. */
export function arpOf(operation: number, from: { readonly mac: number; readonly ip: string }, to: { readonly mac: number; readonly ip: string }): Packet {
  const packet = new Packet()
  packet.etherType = 0x0806
  packet.arpOperation = operation
  ;[packet.srcMacHigh, packet.srcMacLow] = macHalves(from.mac)
  ;[packet.dstMacHigh, packet.dstMacLow] = macHalves(to.mac)
  packet.arpSenderMacHigh = packet.srcMacHigh
  packet.arpSenderMacLow = packet.srcMacLow
  packet.src = ip(from.ip)
  packet.dst = ip(to.ip)
  return packet
}
