// hot path
/** UDP arrives: a tunnel, a process, an open port, or nobody, which is answered. Source: net/ipv4/udp.c (__udp4_lib_rcv). */
import { checksumOf, pseudoHeaderSum } from '../wire/checksum.js'
import { ETHERTYPE_NONE, IPV4_HEADER, LEG_FORWARD, LEG_REPLY, PAYLOAD_BYTES, PAYLOAD_RAW, PROTO_UDP, type Packet } from '../wire/packet.js'
import type { Device } from './device.js'
import { CORRUPT, NO_SOCKET, REASON_NO_SOCKET, REASON_NONE, REASON_PKT_TOO_SMALL, REASON_UDP_CSUM } from './disposition.js'
import { dropPacket } from './drop.js'
import { icmpSend, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH } from './icmp.js'
import { arrivedType, RouteResult, RTN_LOCAL } from './fib.js'
import { outputMtu, routeOutputFrom } from './route-output.js'
import { ipLocalOut } from './ip-output.js'
import type { Netns } from './netns.js'
import { deliver, deliverToClient, isForClient } from './socket.js'
import { STEP_ORIGINATE } from './trace.js'
import { vxlanReceive, vxlanSocket } from './vxlan.js'
import { wireguardReceive, wireguardSocket } from './wireguard.js'

export function udpReceive(packet: Packet, device: Device): void {
  const netns = device.netns
  const length = packet.payloadKind === PAYLOAD_RAW ? soundLength(packet) : 0
  if (length < 0) {
    dropPacket(netns, packet, CORRUPT, REASON_PKT_TOO_SMALL, 'the length in the UDP header is more than there is')
    return
  }
  if (length > 0 && !isChecksumRight(packet, length)) {
    dropPacket(netns, packet, CORRUPT, REASON_UDP_CSUM, 'wrong UDP checksum')
    return
  }
  if (packet.corrupt !== 0) {
    dropPacket(netns, packet, CORRUPT, REASON_UDP_CSUM, 'wrong UDP checksum')
    return
  }
  if (vxlanSocket(netns, packet.dport)) {
    vxlanReceive(packet, device)
    return
  }
  if (netns.wireguardDevices.length > 0) {
    const tunnel = wireguardSocket(netns, packet.dport)
    if (tunnel !== null) {
      wireguardReceive(packet, tunnel)
      return
    }
  }
  if (isForClient(netns, packet)) {
    deliverToClient(netns, packet)
    return
  }
  const listener = netns.sockets.find(PROTO_UDP, packet.dst, packet.dport)
  if (listener < 0) {
    // nf_reset_ct: the error belongs to no connection until conntrack has read its quotation
    packet.conntrack = -1
    packet.conntrackState = 0
    if (netns.unknown?.sockets === undefined) icmpSend(netns, packet, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0)
    // __udp4_lib_mcast_deliver gives no reason
    const reason = arrivedType(netns, packet.dst) === RTN_LOCAL ? REASON_NO_SOCKET : REASON_NONE
    dropPacket(netns, packet, NO_SOCKET, reason, 'nothing listens on the UDP port', packet.dport)
    return
  }
  const process = netns.sockets.processOf(listener)
  if (process !== null) {
    process.receive(packet, null)
    return
  }
  const answer = netns.world.datagramAnswer
  if (answer !== null && packet.leg === LEG_FORWARD) answerDatagram(netns, packet, answer)
  deliver(netns, packet, listener)
}

/** Cold. The server of the question answers with these bytes, from the address and port it was asked at. */
function answerDatagram(netns: Netns, packet: Packet, bytes: Uint8Array): void {
  const { world } = netns
  const datagram = world.packets.take()
  datagram.id = world.newPacketId()
  datagram.leg = LEG_REPLY
  datagram.etherType = ETHERTYPE_NONE
  datagram.proto = PROTO_UDP
  datagram.src = packet.dst
  datagram.dst = packet.src
  datagram.sport = packet.dport
  datagram.dport = packet.sport
  datagram.ttl = netns.defaultTtl
  datagram.ipId = world.prng.nextInt32() & 0xffff
  datagram.payloadKind = PAYLOAD_BYTES
  datagram.payloadBytes = bytes
  datagram.payloadLength = bytes.length
  datagram.ipLength = IPV4_HEADER + UDP_HEADER + bytes.length
  world.live++
  if (world.trace.on === 1) world.trace.note(STEP_ORIGINATE, ORIGINATE_DATAGRAM_ANSWER, netns, datagram, datagram.src, datagram.dst)
  sendDatagram(netns, datagram)
}

const ORIGINATE_DATAGRAM_ANSWER = 5
const UDP_HEADER = 8

/** Of a datagram that a row cannot say: its length may be less than there is, not more; -1: it is. */
function soundLength({ payloadBytes: bytes }: Packet): number {
  if (bytes === null || bytes.length < 8) return -1
  const length = (bytes[4] << 8) | bytes[5]
  return length >= 8 && length <= bytes.length ? length : -1
}

/** Over as many bytes as the header says, the same number in the pseudo header; 0: there is none. */
function isChecksumRight({ payloadBytes: bytes, src, dst }: Packet, length: number): boolean {
  if (bytes === null || (bytes[6] === 0 && bytes[7] === 0)) return true
  return checksumOf(bytes, 0, length, pseudoHeaderSum(src, dst, PROTO_UDP, length)) === 0
}

const DATAGRAM_ROUTE = new RouteResult()

/**
 * A process sends a datagram on an unconnected socket: DF is set while the datagram fits the path (IP_PMTUDISC_WANT, the
 * default), and cleared, with fragments made here, when it does not. The row is taken; its source may be 0.
 */
export function sendDatagram(netns: Netns, packet: Packet): number {
  packet.dontFragment = 0
  if (netns.ipNoPmtuDisc === 0 && routeOutputFrom(netns, packet, null, DATAGRAM_ROUTE) === 0 && DATAGRAM_ROUTE.device !== null) {
    packet.dontFragment = packet.ipLength <= outputMtu(netns, packet.dst, DATAGRAM_ROUTE) ? 1 : 0
  }
  return ipLocalOut(packet, netns, null, 0)
}
