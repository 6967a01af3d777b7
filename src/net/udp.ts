// hot path
/** UDP arrives: a tunnel, a process, an open port, or nobody, which is answered. Source: net/ipv4/udp.c (__udp4_lib_rcv). */
import { PROTO_UDP, type Packet } from '../wire/packet.js'
import type { Device } from './device.js'
import { CORRUPT, NO_SOCKET, REASON_NO_SOCKET, REASON_UDP_CSUM } from './disposition.js'
import { dropPacket } from './drop.js'
import { icmpSend, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH } from './icmp.js'
import { RouteResult } from './fib.js'
import { outputMtu, routeOutputFrom } from './route-output.js'
import { ipLocalOut } from './ip-output.js'
import type { Netns } from './netns.js'
import { deliver, deliverToClient, isForClient } from './socket.js'
import { vxlanReceive, vxlanSocket } from './vxlan.js'
import { wireguardReceive, wireguardSocket } from './wireguard.js'

export function udpReceive(packet: Packet, device: Device): void {
  const netns = device.netns
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
    icmpSend(netns, packet, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0)
    dropPacket(netns, packet, NO_SOCKET, REASON_NO_SOCKET, 'nothing listens on the UDP port', packet.dport)
    return
  }
  const process = netns.sockets.processOf(listener)
  if (process !== null) {
    process.receive(packet, null)
    return
  }
  deliver(netns, packet, listener)
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
