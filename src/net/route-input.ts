// hot path
/**
 * The route of a packet that came in, and the checks on where it says it is from: martians, rp_filter, accept_local.
 * Source: net/ipv4/route.c (ip_route_input_slow), fib_frontend.c (fib_validate_source), xt_rpfilter.
 */
import { isFragment, PROTO_TCP, PROTO_UDP, type Packet } from '../wire/packet.js'
import type { Device } from './device.js'
import {
  EHOSTUNREACH,
  EINVAL,
  EXDEV,
  fibLookup,
  Flow,
  fromPacket,
  isLoopback,
  isMulticast,
  isZeronet,
  MARTIAN_DESTINATION,
  MARTIAN_LOCAL_SOURCE,
  MARTIAN_NONE,
  MARTIAN_RPFILTER,
  MARTIAN_SOURCE,
  RouteResult,
  RTN_BROADCAST,
  RTN_LOCAL,
  RTN_UNICAST,
} from './fib.js'
import type { Netns } from './netns.js'

/** The result of the input path; see RouteResult for who may hold on to it. */
export const ROUTE_RESULT = new RouteResult()
const SOURCE_RESULT = new RouteResult()

const INPUT_FLOW = new Flow()
const SOURCE_FLOW = new Flow()

/** ip_route_input_slow. @returns 0 or an errno; result.martian says which check refused it */
export function routeInput(netns: Netns, packet: Packet, device: Device, result: RouteResult): number {
  result.martian = MARTIAN_NONE
  result.redirect = 0
  result.route = null
  const src = packet.src
  const dst = packet.dst
  if (isMulticast(src) || src === -1) return martian(result, MARTIAN_SOURCE)
  if (dst === -1 || (src === 0 && dst === 0)) return broadcastInput(netns, packet, device, result)
  if (isZeronet(src)) return martian(result, MARTIAN_SOURCE)
  if (isZeronet(dst)) return martian(result, MARTIAN_DESTINATION)
  if (device.routeLocalnet === 0 && device !== netns.loopback) {
    if (isLoopback(dst)) return martian(result, MARTIAN_DESTINATION)
    if (isLoopback(src)) return martian(result, MARTIAN_SOURCE)
  }
  const flow = INPUT_FLOW
  fromPacket(flow, packet)
  flow.iif = device
  flow.oif = null
  const error = fibLookup(netns.fib, flow, result)
  if (error !== 0) return device.forwarding === 0 ? EHOSTUNREACH : error
  if (result.type === RTN_BROADCAST) return broadcastInput(netns, packet, device, result)
  if (result.type === RTN_LOCAL) return validateSource(netns, packet, device, null, result)
  if (device.forwarding === 0) {
    result.route = null
    return EHOSTUNREACH
  }
  if (result.type !== RTN_UNICAST) return martian(result, MARTIAN_DESTINATION)
  return forwardInput(netns, packet, device, result)
}

/** __mkroute_input. */
function forwardInput(netns: Netns, packet: Packet, device: Device, result: RouteResult): number {
  const out = result.device
  const error = validateSource(netns, packet, device, out, result)
  if (error !== 0) return error
  if (out === device && result.sourceOnLink === 1 && device.sendRedirects === 1) result.redirect = 1
  return 0
}

function broadcastInput(netns: Netns, packet: Packet, device: Device, result: RouteResult): number {
  if (!isZeronet(packet.src)) {
    const error = validateSource(netns, packet, device, null, result)
    if (error !== 0) return error
  }
  result.type = RTN_BROADCAST
  result.device = device
  result.gateway = 0
  return 0
}

function martian(result: RouteResult, why: number): number {
  result.martian = why
  return EINVAL
}

/** fib_validate_source: the cheap check first, the reverse lookup when it is asked for. */
function validateSource(netns: Netns, packet: Packet, device: Device, out: Device | null, result: RouteResult): number {
  result.sourceOnLink = 0
  if (device.rpFilter === 0 && (out !== device || device.sendRedirects === 0)) {
    if (device.acceptLocal === 1) return 0
    if (netns.fib.customLocalRoutes === 0 && netns.fib.customRules === 0) {
      return netns.fib.local.hasLocalAddress(packet.src) ? martian(result, MARTIAN_LOCAL_SOURCE) : 0
    }
  }
  return reverseLookup(netns, packet, device, out, result)
}

/** __fib_validate_source. */
function reverseLookup(netns: Netns, packet: Packet, device: Device, out: Device | null, result: RouteResult): number {
  const flow = SOURCE_FLOW
  flow.dst = packet.src
  flow.src = packet.dst
  flow.tos = packet.tos & 0x1c
  flow.mark = device.srcValidMark === 1 ? packet.mark : 0
  // only rules that ask for protocol or ports look at them (fib4_rules_early_flow_dissect), the other way round
  const ports = (packet.proto === PROTO_UDP || packet.proto === PROTO_TCP) && !isFragment(packet)
  flow.proto = packet.proto
  flow.sport = ports ? packet.dport : 0
  flow.dport = ports ? packet.sport : 0
  flow.scope = 0
  flow.iif = out ?? netns.loopback
  flow.oif = null
  const reverse = SOURCE_RESULT
  if (fibLookup(netns.fib, flow, reverse) !== 0) return device.rpFilter > 0 ? martianRpfilter(result) : 0
  if (reverse.type !== RTN_UNICAST && (reverse.type !== RTN_LOCAL || device.acceptLocal === 0)) return martian(result, MARTIAN_LOCAL_SOURCE)
  const match = usesDevice(reverse, device) || (reverse.type === RTN_LOCAL && device === netns.loopback)
  if (match) {
    result.sourceOnLink = reverse.gateway === 0 ? 1 : 0
    return 0
  }
  if (device.addresses.length === 0) return device.rpFilter > 0 ? martianRpfilter(result) : 0
  if (device.rpFilter === 1) return martianRpfilter(result)
  flow.oif = device
  if (fibLookup(netns.fib, flow, reverse) === 0 && reverse.type === RTN_UNICAST) result.sourceOnLink = reverse.gateway === 0 ? 1 : 0
  return 0
}

function martianRpfilter(result: RouteResult): number {
  result.martian = MARTIAN_RPFILTER
  return EXDEV
}

/** fib_info_nh_uses_dev. */
function usesDevice(result: RouteResult, device: Device): boolean {
  const nexthops = result.route === null ? null : result.route.nexthops
  if (nexthops === null) return result.device === device
  for (let i = 0; i < nexthops.length; i++) if (nexthops[i].device === device) return true
  return false
}

/** -m rpfilter (rpfilter_lookup_reverse). @returns 1 when the packet passes */
export function rpfilterCheck(netns: Netns, packet: Packet, device: Device, loose: number, validMark: number, acceptLocal: number): number {
  const flow = SOURCE_FLOW
  flow.dst = packet.src
  flow.src = packet.dst
  flow.tos = packet.tos & 0x1c
  flow.mark = validMark === 1 ? packet.mark : 0
  flow.proto = 0
  flow.sport = 0
  flow.dport = 0
  flow.scope = 0
  flow.iif = netns.loopback
  flow.oif = null
  const reverse = SOURCE_RESULT
  if (fibLookup(netns.fib, flow, reverse) !== 0) return 0
  if (reverse.type !== RTN_UNICAST && (reverse.type !== RTN_LOCAL || acceptLocal === 0)) return 0
  return usesDevice(reverse, device) || loose === 1 ? 1 : 0
}
