// hot path
/**
 * A packet that a process has made whole, header included (a raw socket with IP_HDRINCL): any source, any flags, any protocol.
 * Source: net/ipv4/raw.c (raw_sendmsg, raw_send_hdrinc).
 */
import { PAYLOAD_RAW, PROTO_RAW, PROTO_TCP, PROTO_UDP, type Packet } from '../wire/packet.js'
import { NO_ROUTE, NULL_ROUTED, REASON_IP_OUTNOROUTES, REASON_PKT_TOO_BIG, TOO_BIG } from './disposition.js'
import { dropPacket } from './drop.js'
import { RouteResult } from './fib.js'
import { localOut, SEND_NO_ROUTE, SEND_OK, SEND_TOO_BIG } from './ip-output.js'
import type { Netns } from './netns.js'
import { outputMtu, routeOutputFrom } from './route-output.js'
import { noteRoute, ROUTE_OUT } from './route-step.js'

const ROUTE = new RouteResult()

/** The row is taken. @returns SEND_*: what the process is told */
export function rawSend(packet: Packet, netns: Netns): number {
  const result = ROUTE
  const { src, tos, proto } = packet
  // the route is the socket's, bound to no address: what the header says is not looked at
  packet.src = 0
  packet.tos = 0
  packet.proto = PROTO_RAW
  const error = routeOutputFrom(netns, packet, null, result)
  packet.src = src === 0 ? result.source : src
  packet.tos = tos
  packet.proto = proto
  if (src === 0) keepChecksum(packet, result.source)
  noteRoute(netns, packet, result, ROUTE_OUT)
  const device = result.device
  if (error !== 0 || device === null) {
    const refused = result.route !== null
    dropPacket(netns, packet, refused ? NULL_ROUTED : NO_ROUTE, REASON_IP_OUTNOROUTES, 'the call fails, nothing is sent: there is no way to the destination')
    return SEND_NO_ROUTE
  }
  if (packet.ipLength > device.mtu) {
    dropPacket(netns, packet, TOO_BIG, REASON_PKT_TOO_BIG, 'larger than the MTU: the call fails with EMSGSIZE, nothing is sent', packet.ipLength, device.mtu)
    return SEND_TOO_BIG
  }
  localOut(packet, netns, device, result.gateway, outputMtu(netns, packet.dst, result))
  return SEND_OK
}

/** raw_send_hdrinc puts the source into the header; a transport checksum that was made without it stays as it was. */
function keepChecksum(packet: Packet, source: number): void {
  const summed = packet.proto === PROTO_TCP || packet.proto === PROTO_UDP
  if (!summed || packet.payloadKind === PAYLOAD_RAW || packet.fragmentOffset !== 0) return
  packet.corrupt = (packet.corrupt + (source >>> 16) + (source & 0xffff)) % 0xffff
}
