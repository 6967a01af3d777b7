// hot path
/**
 * A packet leaves: OUTPUT for our own, POSTROUTING, fragmentation, the neighbour, the device.
 * Source: net/ipv4/ip_output.c, netfilter.c (ip_route_me_harder).
 */
import { ETHERTYPE_IPV4, ETHERTYPE_NONE, ipHeaderLength, LEG_REPLY, PAYLOAD_INNER, PROTO_TCP, PROTO_UDP, type Packet } from '../wire/packet.js'
import { DEVICE_LOOPBACK, type Device } from './device.js'
import { deviceTransmit } from './device-io.js'
import { NO_ROUTE, NULL_ROUTED, REASON_IP_OUTNOROUTES, REASON_PKT_TOO_BIG, TOO_BIG, REASON_NONE, INCOMPLETE } from './disposition.js'
import { consumePacket, dropPacket } from './drop.js'
import { isMulticast, RouteResult, RTN_BROADCAST, RTN_MULTICAST } from './fib.js'
import { outputMtu, routeOutput, routeOutputFrom } from './route-output.js'
import { icmpSend, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED } from './icmp.js'
import { neighbourOutput } from './neigh.js'
import { runHook } from './netfilter-hook.js'
import { HOOK_OUTPUT, HOOK_POSTROUTING } from './netfilter/netfilter.js'
import { noteRoute, ROUTE_OUT } from './route-step.js'
import type { Netns } from './netns.js'
import { STEP_FRAGMENT } from './trace.js'

const OUTPUT_ROUTE = new RouteResult()
const REROUTE = new RouteResult()

/** How an own packet was refused before it was sent: the sender's call fails with this errno and no frame is seen. */
export const SEND_OK = 0
export const SEND_NO_ROUTE = 1
export const SEND_TOO_BIG = 2

/**
 * ip_local_out for a packet whose source may still be 0. `anySource`: tunnels and answers in another's name skip the check that
 * the source is ours. The row is taken.
 */
export function ipLocalOut(packet: Packet, netns: Netns, oif: Device | null, anySource: number): number {
  const result = OUTPUT_ROUTE
  const error = anySource === 1 ? routeOutputFrom(netns, packet, oif, result) : routeOutput(netns, packet, oif, result)
  noteRoute(netns, packet, result, ROUTE_OUT)
  if (error !== 0 || result.device === null) {
    // what a host answers with is made once there is a route for it: no packet, no reason (icmp_reply, ip_send_unicast_reply, inet_csk_route_req)
    // nor is there one of a process that is told (flanneld's sendto)
    const ofProcess = packet.payloadKind === PAYLOAD_INNER && packet.vni < 0
    const reason = ofProcess || (packet.leg === LEG_REPLY && packet.payloadKind !== PAYLOAD_INNER) ? REASON_NONE : REASON_IP_OUTNOROUTES
    if (result.route !== null) dropPacket(netns, packet, NULL_ROUTED, reason, 'a route refuses the destination')
    else dropPacket(netns, packet, NO_ROUTE, reason, 'no route to the destination (the call fails, nothing is sent)')
    return SEND_NO_ROUTE
  }
  if (packet.proto === PROTO_TCP && packet.leg !== LEG_REPLY && anySource === 0 && (result.type === RTN_BROADCAST || result.type === RTN_MULTICAST)) {
    // tcp_v4_connect
    dropPacket(netns, packet, NO_ROUTE, REASON_IP_OUTNOROUTES, 'nobody connects to many: the call fails, nothing is sent')
    return SEND_NO_ROUTE
  }
  if (packet.src === 0) packet.src = result.source
  const device = result.device
  const gateway = result.gateway
  const mtu = outputMtu(netns, packet.dst, result)
  if (packet.ipLength > mtu && packet.dontFragment === 1) {
    dropPacket(
      netns,
      packet,
      TOO_BIG,
      REASON_PKT_TOO_BIG,
      'larger than the MTU, and DF is set: the call fails with EMSGSIZE, nothing is sent',
      packet.ipLength,
      mtu,
    )
    return SEND_TOO_BIG
  }
  // TCP leaves every checksum to the device (tcp_v4_send_check), UDP to one that makes them: of those here lo alone (__ip_append_data)
  if (anySource === 0 && (packet.proto === PROTO_TCP || (packet.proto === PROTO_UDP && device === netns.loopback && packet.ipLength <= mtu))) packet.partial = 1
  localOut(packet, netns, device, gateway, mtu)
  return SEND_OK
}

/** __ip_local_out of a packet with its route: OUTPUT, and another route when it changed what the route was chosen by. */
export function localOut(packet: Packet, netns: Netns, device: Device, gateway: number, mtu: number): void {
  if (netns.touched === 0) netns.world.touch(netns)
  if (netns.netfilter === null) {
    ipOutput(packet, netns, device, gateway, mtu)
    return
  }
  if (!runHook(netns, HOOK_OUTPUT, packet, null, device)) return
  if (netns.netfilter.rerouted === 0) ipOutput(packet, netns, device, gateway, mtu)
  else ipOutput(packet, netns, REROUTE.device as Device, REROUTE.gateway, outputMtu(netns, packet.dst, REROUTE))
}

/** ip_route_me_harder: OUTPUT has changed what the route was chosen by; the one that it has now is in REROUTE. false: there is none. */
export function routeMeHarder(netns: Netns, packet: Packet): boolean {
  const error = routeOutputFrom(netns, packet, null, REROUTE)
  noteRoute(netns, packet, REROUTE, ROUTE_OUT)
  return error === 0 && REROUTE.device !== null
}

/** ip_output: POSTROUTING, then pieces no larger than the MTU. */
export function ipOutput(packet: Packet, netns: Netns, device: Device, gateway: number, mtu: number): void {
  packet.nextHop = gateway === 0 ? packet.dst : gateway
  packet.nextMtu = mtu
  if (netns.netfilter !== null && !runHook(netns, HOOK_POSTROUTING, packet, packet.inDevice < 0 ? null : netns.world.devices[packet.inDevice], device)) return
  const nextHop = gateway === 0 ? packet.dst : gateway
  if (packet.ipLength <= mtu && packet.fragMaxSize === 0) {
    finishOutput(packet, netns, device, nextHop)
    return
  }
  if (packet.ipLength <= mtu && packet.ipLength <= packet.fragMaxSize) {
    finishOutput(packet, netns, device, nextHop)
    return
  }
  // ip_fragment: only what was put together from fragments may be cut again in spite of DF (ignore_df)
  if (packet.dontFragment === 1 && (packet.fragmentSizes === null || packet.fragMaxSize > mtu)) {
    if (packet.inDevice < 0 && packet.proto === PROTO_UDP && packet.payloadKind === PAYLOAD_INNER && packet.vni < 0) {
      // ip_sk_ignore_df: the pieces may come back for ever
      dropPacket(netns, packet, INCOMPLETE, REASON_NONE, 'not modelled: flanneld’s own datagram, turned to where it no longer fits, is cut in spite of DF')
      return
    }
    icmpSend(netns, packet, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, mtu)
    dropPacket(netns, packet, TOO_BIG, REASON_PKT_TOO_BIG, 'larger than the MTU of the device, and DF is set', packet.ipLength, mtu)
    return
  }
  const pieces: Packet[] = []
  fragmentPacket(netns, packet, device, mtu, pieces)
  for (let i = 0; i < pieces.length; i++) finishOutput(pieces[i], netns, device, nextHop)
}

/**
 * ip_do_fragment: cuts at the old places when the packet was put together from fragments that still fit, else into pieces of the
 * MTU (of the largest fragment it came in, when that is smaller). The row is given back; the pieces are new rows.
 */
export function fragmentPacket(netns: Netns, packet: Packet, device: Device, deviceMtu: number, pieces: Packet[]): void {
  const header = ipHeaderLength(packet)
  const mtu = packet.fragMaxSize > 0 && packet.fragMaxSize < deviceMtu ? packet.fragMaxSize : deviceMtu
  const room = mtu - header
  const total = packet.ipLength - header
  const sizes = packet.fragmentSizes
  const keep = sizes !== null && sizesFit(sizes, room)
  const trace = netns.world.trace
  let offset = 0
  let index = 0
  while (offset < total) {
    const left = total - offset
    const size = keep ? sizes[index] : left <= room ? left : room & ~7
    const piece = netns.world.packets.clone(packet)
    piece.fragmentOffset = packet.fragmentOffset + offset
    piece.moreFragments = offset + size < total ? 1 : packet.moreFragments
    piece.ipLength = header + size
    piece.fragMaxSize = 0
    piece.partial = 0
    piece.fragmentSizes = null
    // ip_fraglist_init forgets DF; only pieces that are cut anew bear it again (IPSKB_FRAG_PMTU)
    if (keep || packet.fragMaxSize === 0) piece.dontFragment = 0
    if (piece.flooded === 0) netns.world.live++
    if (trace.on === 1) trace.note(STEP_FRAGMENT, 0, netns, piece, device.index, mtu, piece.fragmentOffset, size, piece.moreFragments === 0 ? 1 : 0)
    pieces.push(piece)
    offset += size
    index++
  }
  consumePacket(netns, packet)
}

function sizesFit(sizes: Int32Array, room: number): boolean {
  for (let i = 0; i < sizes.length; i++) if (sizes[i] > room) return false
  return true
}

/** ip_finish_output2: to the neighbour, or straight onto a device without neighbours. */
function finishOutput(packet: Packet, netns: Netns, device: Device, nextHop: number): void {
  packet.fragMaxSize = 0
  packet.fragmentSizes = null
  if (device.ethernet === 0) {
    packet.etherType = ETHERTYPE_NONE
    deviceTransmit(packet, device)
    return
  }
  packet.etherType = ETHERTYPE_IPV4
  if (device.kind === DEVICE_LOOPBACK) {
    sendToNeighbour(packet, device, 0, 0)
    return
  }
  if (nextHop === -1) {
    sendToNeighbour(packet, device, 0xffff, -1)
    return
  }
  if (isMulticast(nextHop)) {
    sendToNeighbour(packet, device, 0x0100, 0x5e000000 | (nextHop & 0x7fffff))
    return
  }
  if (nextHop === packet.dst && isSubnetBroadcast(device, nextHop)) {
    sendToNeighbour(packet, device, 0xffff, -1)
    return
  }
  if (device.neighbours === null) {
    dropPacket(netns, packet, INCOMPLETE, REASON_NONE, 'the device has no neighbour table')
    return
  }
  neighbourOutput(packet, device, nextHop)
}

function isSubnetBroadcast(device: Device, address: number): boolean {
  for (let i = 0; i < device.addresses.length; i++) {
    const own = device.addresses[i]
    if (own.length < 31 && address === (own.address | (-1 >>> own.length))) return true
  }
  return false
}

/** The MAC is known: the frame is complete (neigh_hh_output, dev_hard_header). */
export function sendToNeighbour(packet: Packet, device: Device, macHigh: number, macLow: number): void {
  packet.dstMacHigh = macHigh
  packet.dstMacLow = macLow
  packet.srcMacHigh = device.macHigh
  packet.srcMacLow = device.macLow
  deviceTransmit(packet, device)
}
