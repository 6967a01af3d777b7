// hot path
/**
 * A packet for somebody else: TTL, MTU, FORWARD. Source: net/ipv4/ip_forward.c.
 * A cloud's fabric is no Linux router: each machine's virtual switch routes (cloud.google.com/vpc/docs/routes: "distributed virtual
 * routing"), and a traceroute shows no such hop, as TTLs are left alone; so it is here, and nothing is cut or reported either.
 */
import { type Packet } from '../wire/packet.js'
import type { Device } from './device.js'
import { BLACKHOLE, REASON_IP_INHDR, REASON_OTHERHOST, REASON_PKT_TOO_BIG, NEIGHBOR_FAILED, TOO_BIG, TTL_EXCEEDED } from './disposition.js'
import { dropPacket } from './drop.js'
import { type RouteResult } from './fib.js'
import { forwardMtu } from './route-output.js'
import { icmpSend, ICMP_DEST_UNREACH, ICMP_EXC_TTL, ICMP_FRAG_NEEDED, ICMP_REDIRECT, ICMP_REDIR_HOST, ICMP_TIME_EXCEEDED } from './icmp.js'
import { ipOutput } from './ip-output.js'
import { runHook } from './netfilter-hook.js'
import { HOOK_FORWARD } from './netfilter/netfilter.js'
import { PACKET_HOST } from './packet-type.js'
import { STEP_FORWARD } from './trace.js'

/** ip_forward: the row is taken; the route is read before anything else is called. */
export function ipForward(packet: Packet, device: Device, route: RouteResult): void {
  const netns = device.netns
  const out = route.device as Device
  const gateway = route.gateway
  const redirect = route.redirect
  const mtu = forwardMtu(route)
  if (packet.packetType !== PACKET_HOST) {
    dropPacket(netns, packet, NEIGHBOR_FAILED, REASON_OTHERHOST, 'a broadcast frame is not forwarded')
    return
  }
  if (netns.fabric === 1) {
    fabricForward(packet, device, out, gateway, mtu)
    return
  }
  if (packet.ttl <= 1) {
    icmpSend(netns, packet, ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, 0)
    dropPacket(netns, packet, TTL_EXCEEDED, REASON_IP_INHDR, 'its time to live has run out')
    return
  }
  // ip_exceeds_mtu: what conntrack put together may be cut again, unless a piece of it was too big already
  if (packet.ipLength > mtu && packet.dontFragment === 1 && (packet.fragmentSizes === null || packet.fragMaxSize > mtu)) {
    icmpSend(netns, packet, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, mtu)
    dropPacket(netns, packet, TOO_BIG, REASON_PKT_TOO_BIG, 'larger than the MTU of the next device, and DF is set', packet.ipLength, mtu)
    return
  }
  packet.ttl--
  const trace = netns.world.trace
  if (trace.on === 1) trace.note(STEP_FORWARD, 0, netns, packet, device.index, out.index, packet.ttl + 1, packet.ttl)
  if (redirect === 1 && netns.icmpLimits.redirectAllows(packet.src, netns.world.sim.nowNs))
    icmpSend(netns, packet, ICMP_REDIRECT, ICMP_REDIR_HOST, gateway === 0 ? packet.dst : gateway)
  if (netns.netfilter !== null && !runHook(netns, HOOK_FORWARD, packet, device, out)) return
  ipOutput(packet, netns, out, gateway, mtu)
}

function fabricForward(packet: Packet, device: Device, out: Device, gateway: number, mtu: number): void {
  const netns = device.netns
  if (packet.ipLength > mtu) {
    dropPacket(netns, packet, BLACKHOLE, REASON_PKT_TOO_BIG, 'larger than what the cloud carries on that segment, and it says nothing', packet.ipLength, mtu)
    return
  }
  const trace = netns.world.trace
  if (trace.on === 1) trace.note(STEP_FORWARD, 0, netns, packet, device.index, out.index, packet.ttl, packet.ttl)
  if (netns.netfilter !== null && !runHook(netns, HOOK_FORWARD, packet, device, out)) return
  ipOutput(packet, netns, out, gateway, mtu)
}
