// hot path
/**
 * IPIP: a packet sent to the device is put into another of protocol 4, for the device's remote end or, where it has none, for the
 * gateway of the packet's own route; one received comes out of the device that its outer addresses name. Source: net/ipv4/ipip.c,
 * ip_tunnel.c (ip_tunnel_xmit, ip_tunnel_lookup, ip_tunnel_rcv), ip_tunnel_core.c (iptunnel_xmit), tunnel4.c; RFC 2003.
 *
 *   IPv4 20 | inner IP packet       the inner packet grows by 20 bytes
 */
import { ETHERTYPE_NONE, IPV4_HEADER, PAYLOAD_INNER, PROTO_IPIP, type Packet } from '../wire/packet.js'
import { frameLength } from '../wire/frame.js'
import type { Device } from './device.js'
import {
  CORRUPT,
  INCOMPLETE,
  LOOP,
  NO_VTEP,
  REASON_IP_INHDR,
  REASON_IP_TUNNEL_ECN,
  REASON_NONE,
  REASON_PKT_TOO_BIG,
  REASON_RECURSION_LIMIT,
  TOO_BIG,
} from './disposition.js'
import { dropPacket } from './drop.js'
import { RouteResult } from './fib.js'
import { icmpNdoSend, icmpSend, ICMP_DEST_UNREACH, ICMP_EXC_TTL, ICMP_FRAG_NEEDED, ICMP_HOST_UNREACH, ICMP_PORT_UNREACH, ICMP_TIME_EXCEEDED } from './icmp.js'
import { localOut } from './ip-output.js'
import type { Netns } from './netns.js'
import { PACKET_HOST } from './packet-type.js'
import { outputMtu, routeOutput } from './route-output.js'
import { noteRoute, ROUTE_OUT } from './route-step.js'
import { scrubPacket } from './scrub.js'
import { STEP_DECAP, STEP_ENCAP } from './trace.js'
import { ecnDecapsulate, ecnEncapsulate, TUNNEL_DEPTH_MAX } from './tunnel.js'

/** IPTUNNEL_ERR_TIMEO. */
const ERROR_TIME_NS = 30e9
/** net.ipv4.route.min_pmtu. */
const PATH_MTU_MIN = 552

const OUTER_ROUTE = new RouteResult()

export class Ipip {
  /** 0: any. */
  readonly local: number
  /** 0: the gateway of each packet's route. */
  readonly remote: number
  /** 0: as the inner packet. */
  ttl = 0
  /** -1: as the inner packet. */
  tos = 0
  /** 1: outer packets are never fragmented on the way. */
  pathMtuDiscovery = 0
  /** 1: tunl0, which takes what no other device of the netns does. */
  fallback = 0
  /** Errors heard from the underlay, each of which is told to the next sender. */
  errorCount = 0
  errorNs = 0

  constructor(local: number, remote: number) {
    this.local = local
    this.remote = remote
  }

  reset(): void {
    this.errorCount = 0
  }
}

/** ip_tunnel_xmit: the row becomes the inner packet of a new one. */
export function ipipTransmit(inner: Packet, device: Device): void {
  const netns = device.netns
  const { packets, prng } = netns.world
  const ipip = device.ipip as Ipip
  if (inner.depth >= TUNNEL_DEPTH_MAX) {
    refuse(inner, device, LOOP, REASON_RECURSION_LIMIT, 'the tunnel routes into itself')
    return
  }
  const base = ipip.tos < 0 ? inner.tos : ipip.tos
  const outer = packets.take()
  outer.proto = PROTO_IPIP
  outer.src = ipip.local
  outer.dst = ipip.remote === 0 ? inner.nextHop : ipip.remote
  outer.tos = base & ~3
  // the route is that of the tunnel's own mark, 0, whatever the packet bears
  const result = OUTER_ROUTE
  if (routeOutput(netns, outer, null, result) !== 0 || result.device === null) {
    const to = outer.dst
    packets.release(outer)
    const unknown = netns.unknown?.routes
    if (unknown !== undefined) refuse(inner, device, INCOMPLETE, REASON_NONE, unknown)
    else refuse(inner, device, NO_VTEP, REASON_NONE, 'no route to the other end of the tunnel, or its local address is not one of this host', to)
    return
  }
  if (result.device === device) {
    packets.release(outer)
    refuse(inner, device, LOOP, REASON_NONE, 'the route to the other end of the tunnel leads into the tunnel')
    return
  }
  const mtu = outputMtu(netns, outer.dst, result)
  outer.dontFragment = ipip.pathMtuDiscovery === 1 ? 1 : inner.dontFragment
  if (outer.dontFragment === 1 && !fitsPath(inner, device, mtu - IPV4_HEADER)) {
    packets.release(outer)
    return
  }
  if (ipip.errorCount > 0) tellOfFailure(inner, ipip, netns)
  if (outer.src === 0) outer.src = result.source
  outer.id = inner.id
  outer.leg = inner.leg
  outer.flooded = inner.flooded
  outer.etherType = ETHERTYPE_NONE
  outer.ttl = ipip.ttl === 0 ? inner.ttl : ipip.ttl
  outer.tos = ecnEncapsulate(base, inner.tos)
  outer.mark = inner.mark
  outer.depth = inner.depth + 1
  outer.ipId = prng.nextInt32() & 0xffff
  outer.inner = inner
  outer.payloadKind = PAYLOAD_INNER
  outer.payloadLength = frameLength(inner)
  outer.ipLength = IPV4_HEADER + outer.payloadLength
  const { trace } = netns.world
  if (trace.tally !== null) trace.tally.encapsulated(device.index, IPV4_HEADER)
  if (trace.on === 1) trace.note(STEP_ENCAP, 0, netns, outer, device.index, outer.src, outer.dst, 0, 0, IPV4_HEADER)
  noteRoute(netns, outer, result, ROUTE_OUT)
  localOut(outer, netns, result.device, result.gateway, mtu)
}

function refuse(inner: Packet, device: Device, disposition: number, reason: number, detail: string, number = 0): void {
  device.txDropped++
  dropPacket(device.netns, inner, disposition, reason, detail, number)
}

/** tnl_update_pmtu: own packets to the inner destination are to be no larger, and one with DF that is, is answered. */
function fitsPath(inner: Packet, device: Device, room: number): boolean {
  const netns = device.netns
  const { pathMtus } = netns.fib
  const learned = pathMtus.get(inner.dst)
  const known = learned !== undefined && learned < inner.nextMtu ? learned : inner.nextMtu
  if (room < known) pathMtus.set(inner.dst, room < PATH_MTU_MIN ? PATH_MTU_MIN : room)
  if (inner.dontFragment === 0 || inner.ipLength <= room) return true
  icmpNdoSend(netns, inner, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, room)
  device.txDropped++
  dropPacket(
    netns,
    inner,
    TOO_BIG,
    REASON_PKT_TOO_BIG,
    'larger than the path to the other end of the tunnel leaves room for, and DF is set',
    inner.ipLength,
    room,
  )
  return false
}

/** ip_tunnel_xmit: the underlay said lately that the other end is out of reach; the sender is told, and the packet goes all the same. */
function tellOfFailure(inner: Packet, ipip: Ipip, netns: Netns): void {
  if (netns.world.sim.nowNs >= ipip.errorNs + ERROR_TIME_NS) {
    ipip.errorCount = 0
    return
  }
  ipip.errorCount--
  icmpSend(netns, inner, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0)
}

/** ip_tunnel_lookup for a packet without a key: both ends, the remote end, the local end, and last tunl0. */
function tunnelFor(netns: Netns, remote: number, local: number): Device | null {
  const devices = netns.ipipDevices
  let best: Device | null = null
  let rank = 0
  for (let i = 0; i < devices.length; i++) {
    const device = devices[i]
    const ipip = device.ipip as Ipip
    if (device.up === 0) continue
    const found = rankOf(ipip, remote, local)
    if (found <= rank) continue
    best = device
    rank = found
  }
  return best
}

function rankOf(ipip: Ipip, remote: number, local: number): number {
  if (ipip.fallback === 1) return 1
  if (ipip.remote === 0) return ipip.local !== 0 && ipip.local === local ? 2 : 0
  if (ipip.remote !== remote) return 0
  return ipip.local === local ? 4 : ipip.local === 0 ? 3 : 0
}

/** tunnel4_rcv, ip_tunnel_rcv: the row is taken; its inner packet arrives on the device. */
export function ipipReceive(outer: Packet, from: Device): void {
  const netns = from.netns
  const { world } = netns
  const device = tunnelFor(netns, outer.src, outer.dst)
  if (device === null) {
    icmpSend(netns, outer, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0)
    dropPacket(netns, outer, NO_VTEP, REASON_NONE, 'no IPIP device here is for these two addresses')
    return
  }
  const inner = outer.inner
  if (inner === null) {
    dropPacket(netns, outer, CORRUPT, REASON_IP_INHDR, 'the payload is no IP packet')
    return
  }
  if (!ecnDecapsulate(outer.tos, inner)) {
    device.rxDropped++
    dropPacket(netns, outer, CORRUPT, REASON_IP_TUNNEL_ECN, 'congestion was marked outside on a packet whose inside does not speak of congestion')
    return
  }
  if (world.trace.on === 1) world.trace.note(STEP_DECAP, 0, netns, inner, device.index, outer.src, IPV4_HEADER)
  inner.leg = outer.leg
  if (outer.flooded === 0 && inner.flooded === 1) inner.flooded = 0
  inner.mark = outer.mark
  scrubPacket(inner)
  inner.packetType = PACKET_HOST
  outer.inner = null
  world.packets.release(outer)
  world.enqueue(inner, device)
}

/**
 * ipip_err: an ICMP error about an outer packet. Only a device with a remote end of its own remembers it, and what has run out of its
 * time to live only if that is the device's own.
 */
export function ipipError(netns: Netns, message: Packet): void {
  const outer = message.inner
  if (outer === null) return
  const exceeded = message.sport === ICMP_TIME_EXCEEDED
  if (exceeded ? message.dport !== ICMP_EXC_TTL : message.sport !== ICMP_DEST_UNREACH || message.dport === ICMP_FRAG_NEEDED) return
  const ipip = tunnelFor(netns, outer.dst, outer.src)?.ipip
  if (ipip === null || ipip === undefined || ipip.remote === 0 || (exceeded && ipip.ttl === 0)) return
  const { nowNs } = netns.world.sim
  ipip.errorCount = nowNs < ipip.errorNs + ERROR_TIME_NS ? ipip.errorCount + 1 : 1
  ipip.errorNs = nowNs
}
