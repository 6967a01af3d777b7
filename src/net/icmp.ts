// hot path
/**
 * ICMP: what a host answers and what it reports, from which address, how much of the offender it quotes, and how often.
 * Source: net/ipv4/icmp.c (__icmp_send, icmp_reply, icmpv4_xrlim_allow, icmp_global_allow), route.c.
 */
import { ETHERTYPE_NONE, ipHeaderLength, IPV4_HEADER, PAYLOAD_QUOTE, PROTO_ICMP, type Packet } from '../wire/packet.js'
import type { Device } from './device.js'
import { CORRUPT, REASON_ICMP_CSUM } from './disposition.js'
import { dropPacket } from './drop.js'
import { inetAddrType, isMulticast, RouteResult, RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST } from './fib.js'
import { inetSelectAddr, outputMtu, routeOutputFrom } from './route-output.js'
import { SCOPE_LINK } from './device.js'
import { ipLocalOut } from './ip-output.js'
import type { Netns } from './netns.js'
import { PACKET_HOST } from './packet-type.js'
import { deliverToClient, deliverToKernel } from './socket.js'
import { STEP_ICMP, STEP_ORIGINATE } from './trace.js'
import { LEG_REPLY } from '../wire/packet.js'

export const ICMP_ECHOREPLY = 0
export const ICMP_DEST_UNREACH = 3
export const ICMP_SOURCE_QUENCH = 4
export const ICMP_REDIRECT = 5
export const ICMP_ECHO = 8
export const ICMP_TIME_EXCEEDED = 11
export const ICMP_PARAMETERPROB = 12

export const ICMP_NET_UNREACH = 0
export const ICMP_HOST_UNREACH = 1
export const ICMP_PROT_UNREACH = 2
export const ICMP_PORT_UNREACH = 3
export const ICMP_FRAG_NEEDED = 4
export const ICMP_PKT_FILTERED = 13
export const ICMP_REDIR_HOST = 1
export const ICMP_EXC_TTL = 0
export const ICMP_EXC_FRAGTIME = 1

export const ICMP_SENT = 0
export const ICMP_RATE_LIMITED = 1
export const ICMP_NOT_ALLOWED = 2
export const ICMP_GLOBAL_LIMIT = 3

/** An ICMP error is at most this long, IP header included (RFC 1812 4.3.2.3). */
const ERROR_LENGTH_MAX = 576
/** IP_ECN bits are not copied into the answer; precedence "internetwork control" is set. */
const INTERNETCONTROL = 0xc0
/** net.ipv4.icmp_ratemask: destination unreachable, source quench, time exceeded, parameter problem. */
const DEFAULT_RATEMASK = 6168
/** XRLIM_BURST_FACTOR. */
const BURST_FACTOR = 6

const ERROR_ROUTE = new RouteResult()

/** Token buckets: one per destination (inet_peer), one for the netns. */
export class IcmpLimits {
  /** net.ipv4.icmp_ratelimit, in ns per message; 0: no limit. */
  rateNs = 1e9
  ratemask = DEFAULT_RATEMASK
  messagesPerSecond = 1000
  burst = 50
  private readonly tokens = new Map<number, number>()
  private readonly stamps = new Map<number, number>()
  private credit = 50
  private creditStampNs = 0

  /** inet_peer_xrlim_allow. */
  peerAllows(destination: number, nowNs: number): boolean {
    if (this.rateNs === 0) return true
    const stamp = this.stamps.get(destination)
    let tokens = stamp === undefined ? this.rateNs * BURST_FACTOR : (this.tokens.get(destination) as number) + (nowNs - stamp)
    if (tokens > this.rateNs * BURST_FACTOR) tokens = this.rateNs * BURST_FACTOR
    this.stamps.set(destination, nowNs)
    const allowed = tokens >= this.rateNs
    this.tokens.set(destination, allowed ? tokens - this.rateNs : tokens)
    return allowed
  }

  /** icmp_global_allow. */
  globalAllows(nowNs: number): boolean {
    const earned = Math.floor(((nowNs - this.creditStampNs) * this.messagesPerSecond) / 1e9)
    if (earned > 0) {
      this.credit = Math.min(this.burst, this.credit + earned)
      this.creditStampNs = nowNs
    }
    if (this.credit === 0) return false
    this.credit--
    return true
  }

  /** As after a long silence. */
  reset(): void {
    this.tokens.clear()
    this.stamps.clear()
    this.credit = this.burst
    this.creditStampNs = 0
  }

  limits(type: number, code: number): boolean {
    if (type === ICMP_DEST_UNREACH && code === ICMP_FRAG_NEEDED) return false
    return type <= 18 && ((1 << type) & this.ratemask) !== 0
  }
}

function isError(type: number): boolean {
  return type === ICMP_DEST_UNREACH || type === ICMP_SOURCE_QUENCH || type === ICMP_REDIRECT || type === ICMP_TIME_EXCEEDED || type === ICMP_PARAMETERPROB
}

/**
 * icmp_send: reports the offender's fate to its sender; the offender stays the caller's.
 * @param info next-hop MTU of a frag-needed, gateway of a redirect, 0 otherwise
 */
export function icmpSend(netns: Netns, offender: Packet, type: number, code: number, info: number): void {
  const world = netns.world
  if (!mayReport(netns, offender)) {
    note(netns, offender, type, code, 0, info, ICMP_NOT_ALLOWED)
    return
  }
  const error = world.packets.take()
  error.id = world.newPacketId()
  error.leg = LEG_REPLY
  error.flooded = 0
  error.etherType = ETHERTYPE_NONE
  error.proto = PROTO_ICMP
  error.sport = type
  error.dport = code
  error.tos = (offender.tos & 0x1c) | INTERNETCONTROL
  error.ttl = netns.defaultTtl
  error.dst = offender.src
  error.src = sourceOf(netns, offender)
  if (type === ICMP_REDIRECT) {
    error.icmpId = info >>> 16
    error.icmpSequence = info & 0xffff
  } else error.icmpSequence = info
  const result = ERROR_ROUTE
  if (routeOutputFrom(netns, error, null, result) !== 0 || result.device === null) {
    note(netns, offender, type, code, error.src, info, ICMP_NOT_ALLOWED)
    world.packets.release(error)
    return
  }
  if (error.src === 0) error.src = result.source
  const limits = netns.icmpLimits
  if (limits.limits(type, code) && result.device !== netns.loopback) {
    const nowNs = world.sim.nowNs
    const withheld = !limits.peerAllows(error.dst, nowNs) ? ICMP_RATE_LIMITED : !limits.globalAllows(nowNs) ? ICMP_GLOBAL_LIMIT : ICMP_SENT
    if (withheld !== ICMP_SENT) {
      note(netns, offender, type, code, error.src, info, withheld)
      world.packets.release(error)
      return
    }
  }
  const room = Math.min(outputMtu(netns, error.dst, result), ERROR_LENGTH_MAX) - IPV4_HEADER - 8
  error.payloadKind = PAYLOAD_QUOTE
  error.inner = world.packets.clone(offender)
  error.payloadLength = Math.min(offender.ipLength, room)
  error.ipLength = IPV4_HEADER + 8 + error.payloadLength
  error.ipId = world.prng.nextInt32() & 0xffff
  note(netns, error, type, code, error.src, info, ICMP_SENT)
  world.live++
  ipLocalOut(error, netns, null, 1)
}

/** RFC 1122 3.2.2: no report about reports, about later fragments, about broadcasts, to nobody. */
function mayReport(netns: Netns, offender: Packet): boolean {
  if (offender.packetType !== PACKET_HOST) return false
  if (offender.fragmentOffset !== 0) return false
  if (offender.proto === PROTO_ICMP && isError(offender.sport)) return false
  const to = inetAddrType(netns, offender.dst, null)
  if (to === RTN_BROADCAST || to === RTN_MULTICAST) return false
  return offender.src !== 0 && offender.src !== -1 && !isMulticast(offender.src)
}

/** From the address the offender was sent to, when it is ours; else from the one that the route to its sender prefers (0: chosen there). */
function sourceOf(netns: Netns, offender: Packet): number {
  if (inetAddrType(netns, offender.dst, null) === RTN_LOCAL) return offender.dst
  if (netns.icmpErrorsUseInboundIfaddr === 1 && offender.inDevice >= 0) {
    return inetSelectAddr(netns.world.devices[offender.inDevice], offender.src, SCOPE_LINK)
  }
  return 0
}

function note(netns: Netns, packet: Packet, type: number, code: number, source: number, info: number, outcome: number): void {
  const trace = netns.world.trace
  if (trace.on === 1) trace.note(STEP_ICMP, outcome, netns, packet, type, code, outcome === ICMP_SENT ? packet.dst : packet.src, source, info, outcome)
}

/** icmp_rcv: the row is taken. */
export function icmpReceive(packet: Packet, device: Device): void {
  const netns = device.netns
  if (packet.corrupt === 1) {
    dropPacket(netns, packet, CORRUPT, REASON_ICMP_CSUM, 'wrong ICMP checksum')
    return
  }
  if (packet.sport === ICMP_ECHO) {
    const broadcast = packet.packetType !== PACKET_HOST || inetAddrType(netns, packet.dst, null) !== RTN_LOCAL
    if (netns.icmpEchoIgnoreAll === 1 || (broadcast && netns.icmpEchoIgnoreBroadcasts === 1)) {
      deliverToKernel(netns, packet)
      return
    }
    echoReply(packet, device)
    return
  }
  if (packet.sport === ICMP_DEST_UNREACH && packet.dport === ICMP_FRAG_NEEDED) learnPathMtu(netns, packet)
  deliverToClient(netns, packet)
}

/** ip_rt_update_pmtu: our own packets to that destination are to be no larger. */
function learnPathMtu(netns: Netns, packet: Packet): void {
  const quoted = packet.inner
  if (quoted === null || netns.ipNoPmtuDisc !== 0) return
  const mtu = packet.icmpSequence
  if (mtu >= 68) netns.fib.pathMtus.set(quoted.dst, Math.max(mtu, 552))
}

/** icmp_echo: the same payload back, from the address that was asked. */
function echoReply(packet: Packet, device: Device): void {
  const netns = device.netns
  const world = netns.world
  const reply = world.packets.clone(packet)
  deliverToKernel(netns, packet)
  reply.id = world.newPacketId()
  reply.leg = LEG_REPLY
  reply.flooded = 0
  const to = reply.src
  reply.src = inetAddrType(netns, reply.dst, null) === RTN_LOCAL ? reply.dst : inetSelectAddr(device, to, SCOPE_LINK)
  reply.dst = to
  reply.sport = ICMP_ECHOREPLY
  reply.ttl = netns.defaultTtl
  reply.ipId = world.prng.nextInt32() & 0xffff
  reply.dontFragment = 0
  reply.ipLength = reply.ipLength - ipHeaderLength(reply) + IPV4_HEADER
  reply.ipOptions = null
  clearMetadata(reply)
  world.live++
  if (world.trace.on === 1) world.trace.note(STEP_ORIGINATE, 2, netns, reply, reply.src, reply.dst)
  ipLocalOut(reply, netns, null, 0)
}

/** A row that is a new packet of this host from here on. */
export function clearMetadata(packet: Packet): void {
  packet.mark = 0
  packet.conntrack = -1
  packet.conntrackState = 0
  packet.notrack = 0
  packet.inDevice = -1
  packet.physIn = -1
  packet.physOut = -1
  packet.bridgeNfDone = 0
  packet.fragMaxSize = 0
  packet.fragmentSizes = null
  packet.packetType = PACKET_HOST
  packet.rejectWith = 0
  packet.depth = 0
  packet.flowHash = 0
  packet.truncatedLength = 0
}

