// hot path
/**
 * ICMP: what a host answers and what it reports, from which address, how much of the offender it quotes, and how often.
 * Source: net/ipv4/icmp.c (__icmp_send, icmp_reply, icmpv4_xrlim_allow, icmp_global_allow), route.c.
 */
import { write32 } from '../wire/bytes.js'
import { encodeIp } from '../wire/frame.js'
import { ETHERTYPE_NONE, ipHeaderLength, IPV4_HEADER, PAYLOAD_BYTES, PAYLOAD_QUOTE, PROTO_ICMP, PROTO_IPIP, type Packet } from '../wire/packet.js'
import type { Device } from './device.js'
import { CORRUPT, NO_SOCKET, REASON_ICMP_CSUM, REASON_NONE } from './disposition.js'
import { dropPacket } from './drop.js'
import { arrivedType, isMulticast, RouteResult, RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST } from './fib.js'
import { inetSelectAddr, outputMtu, routeOutputFrom } from './route-output.js'
import { SCOPE_LINK } from './device.js'
import { ipLocalOut } from './ip-output.js'
import { ipipError } from './ipip.js'
import type { Netns } from './netns.js'
import { PACKET_HOST } from './packet-type.js'
import { scrubPacket } from './scrub.js'
import { deliverToClient, deliverToKernel } from './socket.js'
import { STEP_ICMP, STEP_ORIGINATE } from './trace.js'
import { LEG_FORWARD, LEG_REPLY } from '../wire/packet.js'

export const ICMP_ECHOREPLY = 0
export const ICMP_DEST_UNREACH = 3
const ICMP_SOURCE_QUENCH = 4
export const ICMP_REDIRECT = 5
export const ICMP_ECHO = 8
export const ICMP_TIME_EXCEEDED = 11
const ICMP_PARAMETERPROB = 12
const ICMP_TIMESTAMP = 13
const ICMP_TIMESTAMPREPLY = 14

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
const ICMP_NOT_ALLOWED = 2
export const ICMP_GLOBAL_LIMIT = 3

/** An ICMP error is at most this long, IP header included (RFC 1812 4.3.2.3). */
const ERROR_LENGTH_MAX = 576
/** IPTOS_TOS_MASK: what of the offender's TOS its report bears, */
const TOS_MASK = 0x1e
/** with the precedence "internetwork control". */
const INTERNETCONTROL = 0xc0
/** net.ipv4.icmp_ratemask: destination unreachable, source quench, time exceeded, parameter problem. */
const DEFAULT_RATEMASK = 6168
/** XRLIM_BURST_FACTOR. */
const BURST_FACTOR = 6

const ERROR_ROUTE = new RouteResult()

/** ip_rt_error_burst and ip_rt_error_cost (net/ipv4/route.c), in ns. */
const ROUTE_ERROR_BURST_NS = 5e9
const ROUTE_ERROR_COST_NS = 1e9
/** ip_rt_redirect_number, ip_rt_redirect_load, ip_rt_redirect_silence. */
const REDIRECT_NUMBER = 9
const REDIRECT_LOAD_NS = 20e6
const REDIRECT_SILENCE_NS = 20e6 * 1024
/** icmp_global_allow fills its bucket at most so often, and for at most a second. */
const GLOBAL_STEP_NS = 20e6
const GLOBAL_REACH_NS = 1e9

/** What a netns remembers of another host to ration what it tells it (struct inet_peer): one bucket for all kinds of messages. */
interface Peer {
  tokensNs: number
  lastNs: number
  redirects: number
}

/** Token buckets: one per peer, one for the netns. */
/** Of hosts that have sent nothing yet. */
const NO_PEERS = new Map<number, Peer>()

export class IcmpLimits {
  /** net.ipv4.icmp_ratelimit, in ns per message; 0: no limit. */
  rateNs = 1e9
  ratemask = DEFAULT_RATEMASK
  messagesPerSecond = 1000
  burst = 50
  private peers = NO_PEERS
  private credit = 0
  private creditStampNs = -Infinity

  private peer(address: number): Peer {
    const known = this.peers.get(address)
    if (known !== undefined) return known
    const peer = { tokensNs: 0, lastNs: -Infinity, redirects: 0 }
    if (this.peers === NO_PEERS) this.peers = new Map()
    this.peers.set(address, peer)
    return peer
  }

  /** inet_peer_xrlim_allow. */
  peerAllows(destination: number, nowNs: number): boolean {
    return this.rateNs === 0 || spend(this.peer(destination), nowNs, this.rateNs * BURST_FACTOR, this.rateNs)
  }

  /** ip_error: what a forwarding host says of missing routes is rationed by itself first. */
  routeErrorAllows(sender: number, nowNs: number): boolean {
    return spend(this.peer(sender), nowNs, ROUTE_ERROR_BURST_NS, ROUTE_ERROR_COST_NS)
  }

  /** ip_rt_send_redirect: each further one after twice the time, and after the ninth none until the sender has been silent. */
  redirectAllows(sender: number, nowNs: number): boolean {
    const peer = this.peer(sender)
    if (nowNs > peer.lastNs + REDIRECT_SILENCE_NS) {
      peer.tokensNs = 0
      peer.redirects = 0
    }
    if (peer.redirects >= REDIRECT_NUMBER) {
      peer.lastNs = nowNs
      return false
    }
    if (peer.redirects !== 0 && nowNs <= peer.lastNs + REDIRECT_LOAD_NS * 2 ** peer.redirects) return false
    peer.lastNs = nowNs
    peer.redirects++
    return true
  }

  /** icmp_global_allow: the bucket is filled only when it is empty. */
  globalAllows(nowNs: number): boolean {
    if (this.credit > 0) return true
    const elapsedNs = Math.min(nowNs - this.creditStampNs, GLOBAL_REACH_NS)
    if (elapsedNs < GLOBAL_STEP_NS) return false
    const earned = Math.floor((this.messagesPerSecond * elapsedNs) / 1e9)
    if (earned === 0) return false
    this.creditStampNs = nowNs
    this.credit = Math.min(this.credit + earned, this.burst)
    return true
  }

  /** icmp_global_consume: the kernel draws 0 to 2, netsim takes the middle. */
  consumeGlobal(): void {
    this.credit--
  }

  /** As in a netns that is new: the first message fills the bucket. */
  reset(): void {
    this.peers.clear()
    this.credit = 0
    this.creditStampNs = -Infinity
  }

  limits(type: number, code: number): boolean {
    if (type === ICMP_DEST_UNREACH && code === ICMP_FRAG_NEEDED) return false
    return type <= 18 && ((1 << type) & this.ratemask) !== 0
  }
}

/** inet_peer_xrlim_allow: time is the currency. */
function spend(peer: Peer, nowNs: number, burstNs: number, costNs: number): boolean {
  peer.tokensNs = Math.min(peer.tokensNs + (nowNs - peer.lastNs), burstNs)
  peer.lastNs = nowNs
  if (peer.tokensNs < costNs) return false
  peer.tokensNs -= costNs
  return true
}

/** icmp_pointers[].error; a type that nobody knows is taken for one. */
function isError(type: number): boolean {
  return (
    type > 18 ||
    type === ICMP_DEST_UNREACH ||
    type === ICMP_SOURCE_QUENCH ||
    type === ICMP_REDIRECT ||
    type === ICMP_TIME_EXCEEDED ||
    type === ICMP_PARAMETERPROB
  )
}

/**
 * icmp_send: reports the offender's fate to its sender; the offender stays the caller's.
 * @param info next-hop MTU of a frag-needed, gateway of a redirect, 0 otherwise
 */
export function icmpSend(netns: Netns, offender: Packet, type: number, code: number, info: number): void {
  if (netns.fabric === 1) return
  const world = netns.world
  if (world.icmpSocketHeld === 1 || !mayReport(netns, offender)) {
    note(netns, offender, type, code, 0, info, ICMP_NOT_ALLOWED)
    return
  }
  const limits = netns.icmpLimits
  const nowNs = world.sim.nowNs
  const rationed = limits.limits(type, code) && offender.inDevice !== netns.loopback.index
  if (rationed && !limits.globalAllows(nowNs)) {
    note(netns, offender, type, code, 0, info, ICMP_GLOBAL_LIMIT)
    return
  }
  const error = world.packets.take()
  error.id = world.newPacketId()
  error.leg = LEG_REPLY
  // about what a tunnel said for itself: no news either
  error.flooded = offender.flooded & ~1
  error.etherType = ETHERTYPE_NONE
  error.proto = PROTO_ICMP
  error.sport = type
  error.dport = code
  error.tos = (offender.tos & TOS_MASK) | INTERNETCONTROL
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
  // nf_ct_attach
  netns.conntrack?.attach(error, offender)
  if (rationed) {
    if (result.device !== netns.loopback && !limits.peerAllows(error.dst, nowNs)) {
      note(netns, offender, type, code, error.src, info, ICMP_RATE_LIMITED)
      world.packets.release(error)
      return
    }
    limits.consumeGlobal()
  }
  const room = Math.min(outputMtu(netns, error.dst, result), ERROR_LENGTH_MAX) - IPV4_HEADER - 8
  error.payloadKind = PAYLOAD_QUOTE
  error.inner = world.packets.clone(offender)
  error.payloadLength = Math.min(type === ICMP_TIME_EXCEEDED && code === ICMP_EXC_FRAGTIME ? queuedLength(offender) : offender.ipLength, room)
  error.ipLength = IPV4_HEADER + 8 + error.payloadLength
  error.ipId = world.prng.nextInt32() & 0xffff
  note(netns, error, type, code, error.src, info, ICMP_SENT)
  if (error.flooded === 0) world.live++
  sendHoldingSocket(netns, error, 1)
}

/** ip_frag_queue: of a piece that is not the last whole eights are kept. */
function queuedLength(piece: Packet): number {
  const header = ipHeaderLength(piece)
  return piece.moreFragments === 1 ? header + ((piece.ipLength - header) & ~7) : piece.ipLength
}

/** icmp_ndo_send: as above, from within a device, where the offender's source may be translated already: it is reported to whom it was from. */
export function icmpNdoSend(netns: Netns, offender: Packet, type: number, code: number, info: number): void {
  const translated = offender.src
  if (netns.conntrack !== null) offender.src = netns.conntrack.originalSource(offender)
  icmpSend(netns, offender, type, code, info)
  offender.src = translated
}

/** ip_error: a destination-unreachable for want of a route, which has a ration of its own before that of all errors. */
export function icmpSendRouteError(netns: Netns, offender: Packet, code: number): void {
  if (netns.icmpLimits.routeErrorAllows(offender.src, netns.world.sim.nowNs)) icmpSend(netns, offender, ICMP_DEST_UNREACH, code, 0)
  else note(netns, offender, ICMP_DEST_UNREACH, code, 0, 0, ICMP_RATE_LIMITED)
}

/** RFC 1122 3.2.2: no report about reports, about later fragments, about broadcasts, to nobody. */
function mayReport(netns: Netns, offender: Packet): boolean {
  if (offender.packetType !== PACKET_HOST) return false
  if (offender.fragmentOffset !== 0) return false
  if (offender.proto === PROTO_ICMP && isError(offender.sport)) return false
  const to = arrivedType(netns, offender.dst)
  if (to === RTN_BROADCAST || to === RTN_MULTICAST) return false
  return offender.src !== 0 && offender.src !== -1 && !isMulticast(offender.src)
}

/** From the address the offender was sent to, when it is ours; else from the one that the route to its sender prefers (0: chosen there). */
function sourceOf(netns: Netns, offender: Packet): number {
  if (arrivedType(netns, offender.dst) === RTN_LOCAL) return offender.dst
  // what a bridge shows to FORWARD has no route of its own that it came in by (rt_is_input_route of bridge_parent_rtable)
  if (netns.icmpErrorsUseInboundIfaddr === 1 && offender.inDevice >= 0 && offender.bridgeNfDone === 0) {
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
  if (packet.corrupt !== 0) {
    dropPacket(netns, packet, CORRUPT, REASON_ICMP_CSUM, 'wrong ICMP checksum')
    return
  }
  if (packet.sport === ICMP_ECHO) {
    const broadcast = packet.packetType !== PACKET_HOST || arrivedType(netns, packet.dst) !== RTN_LOCAL
    if (netns.icmpEchoIgnoreAll === 1 || (broadcast && netns.icmpEchoIgnoreBroadcasts === 1)) {
      deliverToKernel(netns, packet)
      return
    }
    answer(packet, device, ICMP_ECHOREPLY)
    return
  }
  if (packet.sport === ICMP_TIMESTAMP) {
    const ignored = netns.icmpEchoIgnoreBroadcasts === 1 && (packet.packetType !== PACKET_HOST || arrivedType(netns, packet.dst) !== RTN_LOCAL)
    if (ignored || packet.payloadLength < 4) deliverToKernel(netns, packet)
    else answer(packet, device, ICMP_TIMESTAMPREPLY)
    return
  }
  if (packet.sport === ICMP_ECHOREPLY && !isAsked(netns, packet)) {
    dropPacket(netns, packet, NO_SOCKET, REASON_NONE, 'the echo reply has another identifier than the request', packet.icmpId)
    return
  }
  if (packet.sport === ICMP_DEST_UNREACH && packet.dport === ICMP_FRAG_NEEDED) learnPathMtu(netns, packet)
  else if (packet.inner !== null && packet.inner.proto === PROTO_IPIP && packet.payloadKind === PAYLOAD_QUOTE) ipipError(netns, packet)
  deliverToClient(netns, packet)
}

/** ping_lookup: a reply is for whoever asked with its identifier; who asked something else hears of it all the same and knows better. */
function isAsked({ sockets: { client } }: Netns, packet: Packet): boolean {
  return client === null || client.proto !== PROTO_ICMP || packet.leg === LEG_FORWARD || packet.flooded !== 0 || packet.icmpId === client.port
}

/** ip_rt_update_pmtu: our own packets to that destination are to be no larger. */
function learnPathMtu(netns: Netns, packet: Packet): void {
  const quoted = packet.inner
  if (quoted === null || netns.ipNoPmtuDisc !== 0) return
  const mtu = packet.icmpSequence
  if (mtu >= 68) netns.fib.pathMtus.set(quoted.dst, Math.max(mtu, 552))
}

/** icmp_echo: the same payload back, from the address that was asked; icmp_timestamp: the times with it. */
function answer(packet: Packet, device: Device, type: number): void {
  const netns = device.netns
  const world = netns.world
  const reply = world.packets.clone(packet)
  deliverToKernel(netns, packet)
  reply.id = world.newPacketId()
  reply.leg = LEG_REPLY
  reply.flooded = 0
  const to = reply.src
  reply.src = arrivedType(netns, reply.dst) === RTN_LOCAL ? reply.dst : inetSelectAddr(device, to, SCOPE_LINK)
  reply.dst = to
  reply.sport = type
  if (type === ICMP_TIMESTAMPREPLY) fillTimes(reply, world.sim.nowNs)
  reply.ttl = netns.defaultTtl
  reply.ipId = world.prng.nextInt32() & 0xffff
  reply.dontFragment = 0
  reply.ipLength = reply.ipLength - ipHeaderLength(reply) + IPV4_HEADER
  reply.ipOptions = null
  clearMetadata(reply)
  world.live++
  if (world.trace.on === 1) world.trace.note(STEP_ORIGINATE, 2, netns, reply, reply.src, reply.dst)
  sendHoldingSocket(netns, reply, 0)
}

const DAY_MS = 86_400_000

/** Cold. icmp_timestamp: the sender's time again, and twice the own, in milliseconds since midnight UT (RFC 792): the world begins at one. */
function fillTimes(reply: Packet, nowNs: number): void {
  const asked = encodeIp(reply).subarray(ipHeaderLength(reply) + 8)
  const times = new Uint8Array(12)
  const now = Math.floor(nowNs / 1e6) % DAY_MS
  times.set(asked.subarray(0, 4))
  write32(times, 4, now)
  write32(times, 8, now)
  reply.dport = 0
  reply.payloadKind = PAYLOAD_BYTES
  reply.payloadBytes = times
  reply.payloadLength = times.length
  reply.ipLength = ipHeaderLength(reply) + 8 + times.length
}

/**
 * icmp_xmit_lock: one ICMP message of our own at a time, down to the queue of the device that it leaves by. What goes wrong with it
 * on the way, or with the tunnel packet around it, is reported to nobody.
 */
function sendHoldingSocket(netns: Netns, message: Packet, anySource: number): void {
  const { world } = netns
  world.icmpSocketHeld = 1
  ipLocalOut(message, netns, null, anySource)
  world.icmpSocketHeld = 0
}

/** A row that is a new packet of this host from here on. */
function clearMetadata(packet: Packet): void {
  scrubPacket(packet)
  packet.mark = 0
  packet.inDevice = -1
  packet.packetType = PACKET_HOST
  packet.rejectWith = 0
  packet.flowHash = 0
  packet.truncatedLength = 0
}
