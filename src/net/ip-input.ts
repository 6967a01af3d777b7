// hot path
/**
 * An IPv4 packet arrives: PREROUTING, the route, then up to a socket, on to another device, or back as an error.
 * Source: net/ipv4/ip_input.c (ip_rcv, ip_rcv_finish, ip_local_deliver), route.c (ip_error).
 */
import { isFragment, PROTO_ICMP, PROTO_IGMP, PROTO_IPIP, PROTO_TCP, PROTO_UDP, PROTO_UDPLITE, type Packet } from '../wire/packet.js'
import type { Device } from './device.js'
import {
  CORRUPT,
  INCOMPLETE,
  MARTIAN,
  NEIGHBOR_FAILED,
  NO_ROUTE,
  NULL_ROUTED,
  REASON_IP_CSUM,
  REASON_IP_INADDRERRORS,
  REASON_IP_INNOROUTES,
  REASON_IP_INVALID_DEST,
  REASON_IP_INVALID_SOURCE,
  REASON_IP_LOCAL_SOURCE,
  REASON_IP_LOCALNET,
  REASON_IP_RPFILTER,
  REASON_OTHERHOST,
  REASON_PKT_TOO_SMALL,
  RPFILTER,
  NO_SOCKET,
  REASON_NONE,
} from './disposition.js'
import { dropPacket } from './drop.js'
import {
  EACCES,
  EHOSTUNREACH,
  ENETUNREACH,
  isLoopback,
  isMulticast,
  MARTIAN_DESTINATION,
  MARTIAN_LOCAL_SOURCE,
  MARTIAN_NONE,
  MARTIAN_RPFILTER,
  RTN_BROADCAST,
  RTN_LOCAL,
  RTN_PROHIBIT,
  RTN_UNREACHABLE,
  type RouteResult,
} from './fib.js'
import { ROUTE_RESULT, routeInput } from './route-input.js'
import {
  icmpReceive,
  icmpSend,
  icmpSendRouteError,
  ICMP_DEST_UNREACH,
  ICMP_HOST_UNREACH,
  ICMP_NET_UNREACH,
  ICMP_PKT_FILTERED,
  ICMP_PROT_UNREACH,
} from './icmp.js'
import { ipForward } from './ip-forward.js'
import { DEFRAG_LOCAL_DELIVER, ipDefrag } from './ip-fragment.js'
import { ipipReceive } from './ipip.js'
import { runHook } from './netfilter-hook.js'
import { HOOK_INPUT, HOOK_PREROUTING } from './netfilter/netfilter.js'
import { noteRoute, ROUTE_IN } from './route-step.js'
import type { Netns } from './netns.js'
import { PACKET_HOST, PACKET_OTHERHOST } from './packet-type.js'
import { deliverToKernel } from './socket.js'
import { tcpReceive } from './tcp.js'
import { udpReceive } from './udp.js'

/** ip_rcv: the row is taken. */
export function ipReceive(packet: Packet, device: Device): void {
  const netns = device.netns
  if (packet.packetType === PACKET_OTHERHOST) {
    device.rxDropped++
    dropPacket(netns, packet, NEIGHBOR_FAILED, REASON_OTHERHOST, 'the frame is for another MAC')
    return
  }
  if (packet.headerFault !== 0) {
    dropPacket(netns, packet, CORRUPT, REASON_IP_CSUM, 'wrong checksum of the IP header')
    return
  }
  if (packet.truncatedLength > 0 && packet.truncatedLength < packet.ipLength) {
    dropPacket(netns, packet, CORRUPT, REASON_PKT_TOO_SMALL, 'the datagram is shorter than its header says', packet.truncatedLength, packet.ipLength)
    return
  }
  if (packet.flooded === 1 && packet.packetType === PACKET_HOST) {
    packet.flooded = 0
    netns.world.live++
  }
  // ip_rcv_core clears the control block: in how large pieces it came to a bridge that put it together is forgotten (ignore_df stays)
  packet.fragMaxSize = 0
  // ip_sabotage_in: a bridge has already shown it to PREROUTING
  const seen = packet.bridgeNfDone
  packet.bridgeNfDone = 0
  if (seen === 0 && netns.netfilter !== null && !runHook(netns, HOOK_PREROUTING, packet, device, null)) return
  receiveFinish(packet, device)
}

/** ip_rcv_finish, dst_input. */
function receiveFinish(packet: Packet, device: Device): void {
  const netns = device.netns
  if (isMulticast(packet.dst)) {
    dropPacket(netns, packet, INCOMPLETE, REASON_NONE, 'who listens to a multicast address is not modelled')
    return
  }
  // over lo a packet keeps the route that it left with (skb_valid_dst)
  if (device === netns.loopback) {
    localDeliver(packet, device)
    return
  }
  const result = ROUTE_RESULT
  const error = routeInput(netns, packet, device, result)
  if (error !== 0) {
    refuseRoute(packet, device, error, result)
    return
  }
  noteRoute(netns, packet, result, ROUTE_IN)
  if (result.type === RTN_LOCAL || result.type === RTN_BROADCAST) {
    localDeliver(packet, device)
    return
  }
  ipForward(packet, device, result)
}

/** No way on: martians vanish, the rest is answered when this host forwards (ip_error). */
function refuseRoute(packet: Packet, device: Device, error: number, result: RouteResult): void {
  const netns = device.netns
  if (result.martian !== MARTIAN_NONE) {
    refuseMartian(packet, device, result)
    return
  }
  noteRoute(netns, packet, result, ROUTE_IN)
  const nullRouted = result.route !== null
  if (device.forwarding === 0) {
    dropPacket(netns, packet, NO_ROUTE, REASON_IP_INADDRERRORS, 'it is for somebody else and this host does not forward (ip_forward is 0)')
    return
  }
  if (netns.unknown?.routes === undefined) reportRoute(netns, packet, error)
  // ip_error has a reason for one of them alone
  const reason = error === ENETUNREACH ? REASON_IP_INNOROUTES : REASON_NONE
  if (!nullRouted) dropPacket(netns, packet, NO_ROUTE, reason, 'no route to the destination')
  else if (result.type === RTN_UNREACHABLE) dropPacket(netns, packet, NULL_ROUTED, reason, 'an unreachable route')
  else dropPacket(netns, packet, NULL_ROUTED, reason, result.type === RTN_PROHIBIT ? 'a prohibit route' : 'a blackhole route')
}

/** What ip_route_input refuses outright; a bridge that asks for the route of what DNAT changed loses it there (br_nf_pre_routing_finish). */
export function refuseMartian(packet: Packet, device: Device, { martian }: RouteResult): void {
  const { netns } = device
  if (martian === MARTIAN_RPFILTER) {
    dropPacket(netns, packet, RPFILTER, REASON_IP_RPFILTER, 'reverse path filter: the way back is not this device', device.rpFilter)
    return
  }
  const local = martian === MARTIAN_LOCAL_SOURCE
  const reason = local ? REASON_IP_LOCAL_SOURCE : martianReason(packet, martian)
  dropPacket(netns, packet, MARTIAN, reason, local ? 'its source is an address of this host (accept_local is 0)' : 'martian address')
}

/** ip_route_input_slow: 127.0.0.0/8 has a reason of its own. */
function martianReason(packet: Packet, martian: number): number {
  if (isLoopback(packet.src) || isLoopback(packet.dst)) return REASON_IP_LOCALNET
  return martian === MARTIAN_DESTINATION ? REASON_IP_INVALID_DEST : REASON_IP_INVALID_SOURCE
}

/** ip_error: says so, as often as it may; nothing of a blackhole. */
function reportRoute(netns: Netns, packet: Packet, error: number): void {
  const code = error === EHOSTUNREACH ? ICMP_HOST_UNREACH : error === ENETUNREACH ? ICMP_NET_UNREACH : error === EACCES ? ICMP_PKT_FILTERED : -1
  if (code >= 0) icmpSendRouteError(netns, packet, code)
}

/** ip_local_deliver. */
function localDeliver(packet: Packet, device: Device): void {
  const netns = device.netns
  if (isFragment(packet) && ipDefrag(netns, packet, DEFRAG_LOCAL_DELIVER) === 0) return
  if (netns.netfilter !== null && !runHook(netns, HOOK_INPUT, packet, device, null)) return
  switch (packet.proto) {
    case PROTO_ICMP:
      icmpReceive(packet, device)
      return
    case PROTO_UDP:
      udpReceive(packet, device)
      return
    case PROTO_TCP:
      tcpReceive(packet, device)
      return
    case PROTO_IGMP:
      // igmp_rcv: nobody is a member of anything here, so there is nothing to report
      deliverToKernel(netns, packet)
      return
    case PROTO_UDPLITE:
      dropPacket(netns, packet, INCOMPLETE, REASON_NONE, 'UDP-Lite is not modelled')
      return
    case PROTO_IPIP:
      // the protocol is known where its module is, which is where a device is
      if (netns.ipipDevices.length > 0) {
        ipipReceive(packet, device)
        return
      }
      refuseProtocol(netns, packet)
      return
    default:
      refuseProtocol(netns, packet)
  }
}

function refuseProtocol(netns: Netns, packet: Packet): void {
  if (packet.packetType === PACKET_HOST) icmpSend(netns, packet, ICMP_DEST_UNREACH, ICMP_PROT_UNREACH, 0)
  dropPacket(netns, packet, NO_SOCKET, REASON_NONE, 'no protocol handler')
}
