// hot path
/**
 * TCP as far as a question needs it: a SYN to an open port is answered, one to a closed port reset, a handshake and one data
 * segment completed. No retransmission, no windows in motion. Source: net/ipv4/tcp_ipv4.c, tcp_output.c, tcp_input.c.
 */
import {
  ETHERTYPE_IPV4,
  ETHERTYPE_NONE,
  IPV4_HEADER,
  ipHeaderLength,
  l4HeaderLength,
  LEG_FORWARD,
  LEG_REPLY,
  PAYLOAD_RAW,
  PROTO_TCP,
  TCP_ACK,
  TCP_CWR,
  TCP_ECE,
  TCP_FIN,
  TCP_OPTIONS_MSS,
  TCP_OPTIONS_NONE,
  TCP_OPTIONS_SYN,
  TCP_OPTIONS_TIMESTAMP,
  TCP_PSH,
  TCP_RST,
  TCP_SYN,
  type Packet,
} from '../wire/packet.js'
import { checksumOf, pseudoHeaderSum } from '../wire/checksum.js'
import { DEVICE_TUN, type Device } from './device.js'
import { deviceTransmit } from './device-io.js'
import { CORRUPT, NO_SOCKET, REASON_NO_SOCKET, REASON_NONE, REASON_PKT_TOO_SMALL, REASON_TCP_CSUM, REASON_TCP_FLAGS, REASON_TCP_RESET } from './disposition.js'
import { dropPacket } from './drop.js'
import { arrivedType, isMulticast, RouteResult, RTN_LOCAL } from './fib.js'
import { outputMtu, routeOutputFrom } from './route-output.js'
import { ipLocalOut } from './ip-output.js'
import type { Netns } from './netns.js'
import { PACKET_HOST } from './packet-type.js'
import { deliver, deliverToClient, isForClient } from './socket.js'
import { STEP_ORIGINATE } from './trace.js'
import { linearized } from './truesize.js'

/** 65535, or half of net.ipv4.tcp_rmem[1] (131072), whichever is less: what tcp_select_initial_window() rounds down to whole segments. */
const INITIAL_WINDOW = 65535
/** For tcp_rmem[2] of 32 MiB, the default since Linux 6.16 (recorded on 6.18). */
export const WINDOW_SCALE = 10
const TIMESTAMP_ROOM = 12

const SEGMENT_ROUTE = new RouteResult()

/** The window a SYN offers, for its MSS. */
export function initialWindow(mss: number): number {
  const space = INITIAL_WINDOW + 1
  // tcp_select_initial_window: whole segments of half the buffer, and then no more than 16 bits
  return mss > INITIAL_WINDOW ? INITIAL_WINDOW : Math.min(space - (space % mss), INITIAL_WINDOW)
}

/** tcp_rmem[1]: the receive buffer, of which half is taken for payload until a segment shows how much really is (TCP_DEFAULT_SCALING_RATIO). */
const RECEIVE_BUFFER = 131072
const HALF = 128
/** TCP_MSS_DEFAULT: what tcp_initialize_rcv_mss() takes a peer's segments for at most. */
const FIRST_SEGMENT = 536
/** skb->truesize less its payload, of a segment that came from a socket of this host over veths: struct sk_buff and the head (measured on 6.18). */
const BUFFER_OVERHEAD = 832
const TCP_ECN = TCP_ECE | TCP_CWR
const INET_ECN_MASK = 3
/** net.ipv4.tcp_ecn. */
const ECN_WHEN_ASKED = 2
/** tcp_event_data_recv: shorter segments grow nothing. */
const GROWING_SEGMENT = 128

/** A scaled window is rounded up, so that it is not scaled away (__tcp_select_window). */
export function scaledWindow(bytes: number): number {
  return (bytes + (1 << WINDOW_SCALE) - 1) >>> WINDOW_SCALE
}

/**
 * The window in the acknowledgement of the first segment of data: tcp_init_buffer_space() reserves a segment, tcp_measure_rcv_mss() takes the
 * ratio of payload to buffer from the segment, tcp_grow_window() grows by two segments where there is room, and tcp_select_window() never
 * takes back what was offered.
 */
function windowAfterData(mss: number, length: number, bufferSize: number): number {
  const offered = initialWindow(mss)
  let clamp = INITIAL_WINDOW > 2 * mss ? Math.max(2 * mss, INITIAL_WINDOW + 1 - mss) : INITIAL_WINDOW
  let threshold = Math.min(offered, clamp)
  let ratio = HALF
  const truesize = bufferSize > 0 ? bufferSize : BUFFER_OVERHEAD + length
  if (length > Math.min(mss, FIRST_SEGMENT)) {
    ratio = Math.max(1, Math.floor((length * 256) / truesize))
    // a ratio that is what it was moves nothing
    const before = clamp
    if (ratio !== HALF) clamp = (RECEIVE_BUFFER * ratio) >>> 8
    if (ratio !== HALF) threshold = clamp < before ? Math.min(threshold, clamp) : Math.max(threshold, Math.min(offered, clamp))
  }
  const space = ((RECEIVE_BUFFER - truesize) * ratio) >>> 8
  const room = Math.min(clamp, space) - threshold
  if (length >= GROWING_SEGMENT && room > 0) threshold += Math.min(room, Math.max(2 * mss, 2 * length))
  return scaledWindow(Math.max(Math.min(space, threshold), offered - length))
}

/** ip_dont_fragment of a TCP socket: inet_create gives it IP_PMTUDISC_DONT or WANT, and a route whose MTU is locked wants nothing. */
export function discoversPathMtu(netns: Netns, packet: Packet): number {
  if (netns.ipNoPmtuDisc !== 0) return 0
  const error = routeOutputFrom(netns, packet, null, SEGMENT_ROUTE)
  return error === 0 && SEGMENT_ROUTE.mtuLocked === 1 && SEGMENT_ROUTE.mtu > 0 ? 0 : 1
}

/** net.ipv4.route.min_adv_mss: ipv4_default_advmss announces no less, however small the device. */
const MIN_ADV_MSS = 256

/** Largest segment our side of the connection takes: what the route says, else the MTU towards the peer less 40 bytes (dst_metric_advmss). */
export function advertisedMss(netns: Netns, packet: Packet): number {
  if (routeOutputFrom(netns, packet, null, SEGMENT_ROUTE) !== 0 || SEGMENT_ROUTE.device === null) return 536
  const told = SEGMENT_ROUTE.route === null ? 0 : SEGMENT_ROUTE.route.advmss
  return told > 0 ? told : Math.max(outputMtu(netns, packet.dst, SEGMENT_ROUTE) - 40, MIN_ADV_MSS)
}

export function tcpReceive(packet: Packet, device: Device): void {
  const netns = device.netns
  if (packet.packetType !== PACKET_HOST) {
    dropPacket(netns, packet, NO_SOCKET, REASON_NONE, 'TCP takes nothing from a broadcast frame')
    return
  }
  const header = headerLength(packet)
  if (header < MIN_HEADER) {
    dropPacket(netns, packet, CORRUPT, REASON_PKT_TOO_SMALL, 'the TCP header says that it is shorter than it can be')
    return
  }
  if (header > packet.ipLength - ipHeaderLength(packet)) {
    dropPacket(netns, packet, CORRUPT, REASON_NONE, 'the TCP header says that it is longer than the packet')
    return
  }
  if (packet.corrupt !== 0 || !isRawChecksumRight(packet)) {
    dropPacket(netns, packet, CORRUPT, REASON_TCP_CSUM, 'wrong TCP checksum')
    return
  }
  if (isForClient(netns, packet)) {
    deliverToClient(netns, packet)
    return
  }
  const listener = netns.sockets.find(PROTO_TCP, packet.dst, packet.dport)
  if (listener < 0) {
    if ((packet.tcpFlags & TCP_RST) === 0 && netns.unknown?.sockets === undefined) sendReset(netns, packet)
    dropPacket(netns, packet, NO_SOCKET, REASON_NO_SOCKET, 'nothing listens on the TCP port', packet.dport)
    return
  }
  const opening = (packet.tcpFlags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) === TCP_SYN
  if (!opening && !netns.sockets.isAccepted(packet)) {
    refuseStranger(netns, packet)
    return
  }
  netns.sockets.accept(packet)
  if (opening) answerSyn(netns, packet)
  else if (packet.payloadLength > 0) answerData(netns, packet)
  deliver(netns, packet, listener)
}

const MIN_HEADER = 20

/** What the header says of itself, which in a segment that a row cannot say may be wrong. */
function headerLength(packet: Packet): number {
  if (packet.payloadKind !== PAYLOAD_RAW) return l4HeaderLength(packet)
  const bytes = packet.payloadBytes
  return bytes === null || bytes.length < MIN_HEADER ? 0 : (bytes[12] >>> 4) * 4
}

/** Of a segment that a row cannot say: by its bytes. */
function isRawChecksumRight({ payloadKind, payloadBytes: bytes, src, dst }: Packet): boolean {
  if (payloadKind !== PAYLOAD_RAW || bytes === null) return true
  return checksumOf(bytes, 0, bytes.length, pseudoHeaderSum(src, dst, PROTO_TCP, bytes.length)) === 0
}

/** tcp_rcv_state_process in LISTEN: an acknowledgement of nothing is reset, what opens nothing is not answered at all. */
function refuseStranger(netns: Netns, packet: Packet): void {
  const flags = packet.tcpFlags
  if ((flags & (TCP_ACK | TCP_RST)) === TCP_ACK) sendReset(netns, packet)
  const reason = (flags & (TCP_ACK | TCP_RST)) === TCP_RST ? REASON_TCP_RESET : REASON_TCP_FLAGS
  dropPacket(netns, packet, NO_SOCKET, reason, 'the port listens, and the segment opens no connection', packet.dport)
}

/** A segment back to the sender of this one: addresses and ports turned round. */
function segmentTo(netns: Netns, packet: Packet): Packet {
  const world = netns.world
  const segment = world.packets.take()
  segment.id = world.newPacketId()
  segment.leg = packet.leg === LEG_FORWARD ? LEG_REPLY : packet.leg
  segment.etherType = ETHERTYPE_NONE
  segment.proto = PROTO_TCP
  segment.src = packet.dst
  segment.dst = packet.src
  segment.sport = packet.dport
  segment.dport = packet.sport
  segment.ttl = netns.defaultTtl
  segment.dontFragment = discoversPathMtu(netns, segment)
  return segment
}

function send(netns: Netns, segment: Packet, anySource: number): void {
  register(netns, segment)
  ipLocalOut(segment, netns, null, anySource)
}

/** The segment is whole: one more packet is under way. */
function register(netns: Netns, segment: Packet): void {
  segment.ipLength = IPV4_HEADER + l4HeaderLength(segment) + segment.payloadLength
  netns.world.live++
  if (netns.world.trace.on === 1) netns.world.trace.note(STEP_ORIGINATE, 3, netns, segment, segment.src, segment.dst)
}

/** tcp_v4_send_reset: in nobody's name but the host's own. */
function sendReset(netns: Netns, packet: Packet): void {
  if (arrivedType(netns, packet.dst) !== RTN_LOCAL) return
  const segment = resetFor(netns, packet)
  // __ip_make_skb: a socket's multicast TTL
  if (isMulticast(segment.dst)) segment.ttl = 1
  // ip_send_unicast_reply: the precedence of what it answers, without its ECN bits
  segment.tos = packet.tos & ~3
  send(netns, segment, 1)
}

/**
 * nf_send_reset: what a REJECT rule sends in another's name. What came in by a bridge port that iptables saw goes straight back out
 * of that port, the MACs turned round. It belongs to the connection of what it refuses (nf_ct_attach).
 */
export function sendRejectReset(netns: Netns, packet: Packet): void {
  const segment = resetFor(netns, packet)
  segment.partial = 1
  netns.conntrack?.attach(segment, packet)
  if (packet.physIn < 0) {
    send(netns, segment, 1)
    return
  }
  segment.etherType = ETHERTYPE_IPV4
  segment.srcMacHigh = packet.dstMacHigh
  segment.srcMacLow = packet.dstMacLow
  segment.dstMacHigh = packet.srcMacHigh
  segment.dstMacLow = packet.srcMacLow
  register(netns, segment)
  deviceTransmit(segment, netns.world.devices[packet.physIn])
}

function resetFor(netns: Netns, packet: Packet): Packet {
  const segment = segmentTo(netns, packet)
  segment.tcpOptions = TCP_OPTIONS_NONE
  // tcp_v4_init: the socket of resets has IP_PMTUDISC_DO; so does nf_reject_iphdr_put
  segment.dontFragment = 1
  segment.tcpFlags = TCP_RST
  if ((packet.tcpFlags & TCP_ACK) !== 0) segment.tcpSeq = packet.tcpAck
  else {
    segment.tcpFlags = TCP_RST | TCP_ACK
    const flags = ((packet.tcpFlags & TCP_SYN) !== 0 ? 1 : 0) + ((packet.tcpFlags & TCP_FIN) !== 0 ? 1 : 0)
    segment.tcpAck = (packet.tcpSeq + flags + packet.ipLength - ipHeaderLength(packet) - headerLength(packet)) | 0
  }
  return segment
}

/** tcp_ecn_create_request: who is asked for ECN agrees, unless the SYN itself bears a mark. */
function agreesToEcn(netns: Netns, { tcpFlags, tos }: Packet): boolean {
  return (tcpFlags & TCP_ECN) === TCP_ECN && (tos & INET_ECN_MASK) === 0 && (netns.sysctls['net.ipv4.tcp_ecn'] ?? ECN_WHEN_ASKED) !== 0
}

/** tcp_make_synack. */
function answerSyn(netns: Netns, packet: Packet): void {
  const segment = segmentTo(netns, packet)
  const prng = netns.world.prng
  // ip_build_and_send_pkt: what every link carries gets no identification to be cut by
  segment.dontFragment = 1
  segment.tcpFlags = TCP_SYN | TCP_ACK | (agreesToEcn(netns, packet) ? TCP_ECE : 0)
  segment.tcpSeq = prng.nextInt32()
  segment.tcpAck = (packet.tcpSeq + 1) | 0
  segment.tcpMss = advertisedMss(netns, segment)
  if (packet.tcpOptions === TCP_OPTIONS_SYN) {
    segment.tcpOptions = TCP_OPTIONS_SYN
    segment.tcpWscale = WINDOW_SCALE
    segment.tcpWindow = initialWindow(segment.tcpMss - TIMESTAMP_ROOM)
    segment.tcpTsVal = prng.nextInt32()
    segment.tcpTsEcr = packet.tcpTsVal
  } else {
    // tcp_synack_options: nothing that the SYN did not offer but the MSS
    segment.tcpOptions = TCP_OPTIONS_MSS
    segment.tcpWindow = initialWindow(segment.tcpMss)
  }
  send(netns, segment, 0)
}

/** 0: a socket's of this host. */
function bufferSizeOf({ world }: Netns, { bufferSize, inDevice, ipLength }: Packet): number {
  const written = bufferSize === 0 || world.devices[inDevice].kind === DEVICE_TUN
  return written ? bufferSize : linearized(bufferSize, ipLength)
}

function answerData(netns: Netns, packet: Packet): void {
  const segment = segmentTo(netns, packet)
  segment.ipId = netns.world.prng.nextInt32() & 0xffff
  segment.tcpFlags = TCP_ACK
  segment.tcpSeq = packet.tcpAck
  segment.tcpAck = (packet.tcpSeq + packet.payloadLength) | 0
  segment.tcpOptions = TCP_OPTIONS_TIMESTAMP
  segment.tcpWindow = windowAfterData(advertisedMss(netns, segment) - TIMESTAMP_ROOM, packet.payloadLength, bufferSizeOf(netns, packet))
  segment.tcpTsVal = netns.world.prng.nextInt32()
  segment.tcpTsEcr = packet.tcpTsVal
  segment.payloadLength = netns.sockets.answerLength
  if (segment.payloadLength > 0) segment.tcpFlags |= TCP_PSH
  send(netns, segment, 0)
}
