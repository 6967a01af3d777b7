// hot path
/**
 * Routing: rules, tables, longest prefix, metric, scope, multipath; the checks on input (martians, rp_filter) and the choice of
 * source on output. Source: net/ipv4/fib_frontend.c, fib_trie.c, fib_semantics.c, route.c.
 */
import type { Packet } from '../wire/packet.js'
import { PROTO_TCP, PROTO_UDP } from '../wire/packet.js'
import { SCOPE_HOST, SCOPE_LINK, type Device } from './device.js'
import type { Route, RouteTable, RoutingRule } from './fib-table.js'
import { flowHash } from './flow-hash.js'
import type { Netns } from './netns.js'

export const RTN_UNSPEC = 0
export const RTN_UNICAST = 1
export const RTN_LOCAL = 2
export const RTN_BROADCAST = 3
export const RTN_ANYCAST = 4
export const RTN_MULTICAST = 5
export const RTN_BLACKHOLE = 6
export const RTN_UNREACHABLE = 7
export const RTN_PROHIBIT = 8
export const RTN_THROW = 9

// errno, as positive integers
export const EACCES = 13
export const EINVAL = 22
export const ENETUNREACH = 101
export const EHOSTUNREACH = 113
/** Not an errno of lookups but of source validation: EXDEV, the reverse path filter. */
export const EXDEV = 18

/** Why an input route was refused, beyond its errno: which martian. */
export const MARTIAN_NONE = 0
export const MARTIAN_SOURCE = 1
export const MARTIAN_DESTINATION = 2
export const MARTIAN_LOCAL_SOURCE = 3
export const MARTIAN_RPFILTER = 4

/** The answer of a lookup; the caller owns the object and copies what it needs before it calls on. */
export class RouteResult {
  type = RTN_UNSPEC
  /** 0: on-link. */
  gateway = 0
  device: Device | null = null
  /** Source that the route prefers, or the one chosen on output. */
  source = 0
  scope = 0
  /** `mtu` attribute, 0 without. */
  mtu = 0
  mtuLocked = 0
  route: Route | null = null
  /** Input only: the sender should have gone another way (IPSKB_DOREDIRECT). */
  redirect = 0
  martian = MARTIAN_NONE
  /** The source is on-link on the input device. */
  sourceOnLink = 0
}

/** The result of the input path; see RouteResult for who may hold on to it. */
export const ROUTE_RESULT = new RouteResult()
const SOURCE_RESULT = new RouteResult()

/** What a lookup is about (struct flowi4). */
class Flow {
  dst = 0
  src = 0
  tos = 0
  mark = 0
  proto = 0
  sport = 0
  dport = 0
  iif: Device | null = null
  oif: Device | null = null
  scope = 0
}

const INPUT_FLOW = new Flow()
const OUTPUT_FLOW = new Flow()
const SOURCE_FLOW = new Flow()

export class Fib {
  readonly netns: Netns
  /** Sorted by priority. */
  readonly rules: readonly RoutingRule[]
  readonly local: RouteTable
  readonly main: RouteTable
  readonly fallback: RouteTable
  /** Rules other than the three built-in ones. */
  readonly customRules: number
  readonly customLocalRoutes: number
  /** All routes of all tables, for the trace: Route.index points here. */
  readonly routes: readonly Route[]
  /** Path MTUs learned (struct fib_nh_exception): destination → MTU. */
  readonly pathMtus = new Map<number, number>()

  constructor(netns: Netns, parts: Pick<Fib, 'rules' | 'local' | 'main' | 'fallback' | 'customRules' | 'customLocalRoutes' | 'routes'>) {
    this.netns = netns
    this.rules = parts.rules
    this.local = parts.local
    this.main = parts.main
    this.fallback = parts.fallback
    this.customRules = parts.customRules
    this.customLocalRoutes = parts.customLocalRoutes
    this.routes = parts.routes
  }
}

/** fib_lookup. @returns 0 or an errno; the result is filled for 0 and for the error route types */
function lookup(fib: Fib, flow: Flow, result: RouteResult): number {
  if (fib.customRules === 0) {
    let error = lookupTable(fib.local, flow, result)
    if (error < 0) error = lookupTable(fib.main, flow, result)
    if (error < 0) error = lookupTable(fib.fallback, flow, result)
    return error < 0 ? ENETUNREACH : error
  }
  return lookupRules(fib, flow, result)
}

function lookupRules(fib: Fib, flow: Flow, result: RouteResult): number {
  const rules = fib.rules
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i]
    if (!ruleMatches(rule, flow)) continue
    switch (rule.action) {
      case RULE_LOOKUP: {
        if (rule.table === null) break
        const error = lookupTable(rule.table, flow, result)
        const suppressed = error === 0 && rule.suppressPrefixLength >= 0 && result.route !== null && result.route.length <= rule.suppressPrefixLength
        if (error >= 0 && !suppressed) return error
        break
      }
      case RULE_GOTO:
        i = rule.gotoIndex - 1
        break
      case RULE_NOP:
        break
      default:
        result.route = null
        result.type = rule.action === RULE_BLACKHOLE ? RTN_BLACKHOLE : rule.action === RULE_PROHIBIT ? RTN_PROHIBIT : RTN_UNREACHABLE
        return rule.action === RULE_BLACKHOLE ? EINVAL : rule.action === RULE_PROHIBIT ? EACCES : ENETUNREACH
    }
  }
  return ENETUNREACH
}

export const RULE_LOOKUP = 0
export const RULE_BLACKHOLE = 1
export const RULE_UNREACHABLE = 2
export const RULE_PROHIBIT = 3
export const RULE_GOTO = 4
export const RULE_NOP = 5

function ruleMatches(rule: RoutingRule, flow: Flow): boolean {
  const matches =
    ((flow.src ^ rule.from) & rule.fromMask) === 0 &&
    ((flow.dst ^ rule.to) & rule.toMask) === 0 &&
    (rule.iif === '' || (flow.iif !== null && flow.iif.name === rule.iif)) &&
    (rule.oif === '' || (flow.oif !== null && flow.oif.name === rule.oif)) &&
    ((flow.mark ^ rule.mark) & rule.markMask) === 0 &&
    (rule.tos === 0 || rule.tos === flow.tos) &&
    (rule.proto === 0 || rule.proto === flow.proto) &&
    (rule.sportLast === 0 || (flow.sport >= rule.sportFirst && flow.sport <= rule.sportLast)) &&
    (rule.dportLast === 0 || (flow.dport >= rule.dportFirst && flow.dport <= rule.dportLast))
  return rule.not === 1 ? !matches : matches
}

/** fib_table_lookup. @returns 0, an errno of an error route, or -1 when the table has nothing (also for a throw route) */
function lookupTable(table: RouteTable, flow: Flow, result: RouteResult): number {
  let group = table.findGroup(flow.dst)
  while (group >= 0) {
    const routes = table.groups[group]
    for (let i = 0; i < routes.length; i++) {
      const route = routes[i]
      if (route.tos !== 0 && route.tos !== flow.tos) continue
      if (route.scope < flow.scope) continue
      if (route.type >= RTN_BLACKHOLE) {
        result.type = route.type
        result.route = route
        result.device = null
        if (route.type === RTN_THROW) return -1
        return route.type === RTN_BLACKHOLE ? EINVAL : route.type === RTN_PROHIBIT ? EACCES : EHOSTUNREACH
      }
      if (route.nexthops !== null) {
        if (fillMultipath(route, flow, result)) return 0
        continue
      }
      const device = route.device as Device
      if (device.up === 0 || (flow.oif !== null && device !== flow.oif && route.type !== RTN_LOCAL)) continue
      fill(route, route.gateway, device, result)
      return 0
    }
    group = table.parents[group]
  }
  return -1
}

function fill(route: Route, gateway: number, device: Device, result: RouteResult): void {
  result.type = route.type
  result.gateway = gateway
  result.device = device
  result.source = route.source
  result.scope = route.scope
  result.mtu = route.mtu
  result.mtuLocked = route.mtuLocked
  result.route = route
}

/** fib_select_multipath: the flow's hash falls into one next hop's share. */
function fillMultipath(route: Route, flow: Flow, result: RouteResult): boolean {
  const nexthops = route.nexthops as NonNullable<Route['nexthops']>
  let total = 0
  for (let i = 0; i < nexthops.length; i++) if (nexthopAlive(nexthops[i].device, flow)) total += nexthops[i].weight
  if (total === 0) return false
  const netns = nexthops[0].device.netns
  const l4 = netns.multipathHashPolicy === 1
  const hash = flowHash(flow.src, flow.dst, l4 ? flow.proto : 0, l4 ? flow.sport : 0, l4 ? flow.dport : 0, netns.world.hashSeed) >>> 1
  let share = Math.floor((hash / 0x80000000) * total)
  for (let i = 0; i < nexthops.length; i++) {
    if (!nexthopAlive(nexthops[i].device, flow)) continue
    share -= nexthops[i].weight
    if (share < 0) {
      fill(route, nexthops[i].gateway, nexthops[i].device, result)
      return true
    }
  }
  return false
}

function nexthopAlive(device: Device, flow: Flow): boolean {
  return device.up === 1 && (flow.oif === null || flow.oif === device)
}

function isZeronet(address: number): boolean {
  return (address & 0xff000000) === 0
}

function isLoopback(address: number): boolean {
  return (address >>> 24) === 127
}

export function isMulticast(address: number): boolean {
  return (address >>> 28) === 14
}

function fromPacket(flow: Flow, packet: Packet): void {
  flow.src = packet.src
  flow.dst = packet.dst
  flow.tos = packet.tos & 0x1c
  flow.mark = packet.mark
  flow.proto = packet.proto
  const ports = packet.proto === PROTO_UDP || packet.proto === PROTO_TCP
  flow.sport = ports ? packet.sport : 0
  flow.dport = ports ? packet.dport : 0
  flow.scope = 0
}

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
  const error = lookup(netns.fib, flow, result)
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
  flow.proto = 0
  flow.sport = 0
  flow.dport = 0
  flow.scope = 0
  flow.iif = out ?? netns.loopback
  flow.oif = null
  const reverse = SOURCE_RESULT
  if (lookup(netns.fib, flow, reverse) !== 0) return device.rpFilter > 0 ? martianRpfilter(result) : 0
  if (reverse.type !== RTN_UNICAST && (reverse.type !== RTN_LOCAL || device.acceptLocal === 0)) return martian(result, MARTIAN_LOCAL_SOURCE)
  const match = usesDevice(reverse, device) || (reverse.type === RTN_LOCAL && device === netns.loopback)
  if (match) {
    result.sourceOnLink = reverse.gateway === 0 ? 1 : 0
    return 0
  }
  if (device.addresses.length === 0) return device.rpFilter > 0 ? martianRpfilter(result) : 0
  if (device.rpFilter === 1) return martianRpfilter(result)
  flow.oif = device
  if (lookup(netns.fib, flow, reverse) === 0 && reverse.type === RTN_UNICAST) result.sourceOnLink = reverse.gateway === 0 ? 1 : 0
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
  if (lookup(netns.fib, flow, reverse) !== 0) return 0
  if (reverse.type !== RTN_UNICAST && (reverse.type !== RTN_LOCAL || acceptLocal === 0)) return 0
  return usesDevice(reverse, device) || loose === 1 ? 1 : 0
}

/** ip_route_output_key_hash for a packet whose source may be 0 (then it is chosen). @returns 0 or an errno */
export function routeOutput(netns: Netns, packet: Packet, oif: Device | null, result: RouteResult): number {
  result.route = null
  result.redirect = 0
  result.martian = MARTIAN_NONE
  if (packet.src !== 0) {
    if (isMulticast(packet.src) || packet.src === -1 || isZeronet(packet.src)) return EINVAL
    if (oif === null && !netns.fib.local.hasLocalAddress(packet.src) && !isLoopback(packet.src)) return EINVAL
  }
  return routeOutputFrom(netns, packet, oif, result)
}

/** The same without the check that the source is ours (FLOWI_FLAG_ANYSRC): rerouting after NAT or a mark, tunnels. */
export function routeOutputFrom(netns: Netns, packet: Packet, oif: Device | null, result: RouteResult): number {
  const flow = OUTPUT_FLOW
  fromPacket(flow, packet)
  flow.iif = netns.loopback
  flow.oif = oif
  if (packet.dst === -1 || isMulticast(packet.dst)) return outputToMany(netns, packet, flow, result)
  const error = lookup(netns.fib, flow, result)
  if (error !== 0) {
    if (oif === null) return error === EINVAL || error === EACCES ? error : error
    result.type = RTN_UNICAST
    result.gateway = 0
    result.device = oif
    result.scope = SCOPE_LINK
    result.source = 0
    result.mtu = 0
    if (packet.src === 0) result.source = inetSelectAddr(oif, packet.dst, SCOPE_LINK)
    return 0
  }
  if (result.type === RTN_LOCAL) {
    if (packet.src === 0 && result.source === 0) result.source = packet.dst
    result.device = netns.loopback
    result.gateway = 0
    return 0
  }
  if (result.source === 0 && result.device !== null) {
    result.source = inetSelectAddr(result.device, result.gateway === 0 ? packet.dst : result.gateway, result.scope)
  }
  return 0
}

function outputToMany(netns: Netns, packet: Packet, flow: Flow, result: RouteResult): number {
  const error = lookup(netns.fib, flow, result)
  if (error !== 0 && flow.oif === null) return error
  const device = flow.oif ?? result.device
  result.type = packet.dst === -1 ? RTN_BROADCAST : RTN_MULTICAST
  result.gateway = 0
  result.device = device
  result.mtu = 0
  if (device !== null) result.source = inetSelectAddr(device, 0, SCOPE_LINK)
  return 0
}

/** inet_select_addr: the address of the device, else of any device, that may speak to the destination. 0 when there is none. */
export function inetSelectAddr(device: Device, destination: number, scope: number): number {
  let found = 0
  const addresses = device.addresses
  for (let i = 0; i < addresses.length; i++) {
    const address = addresses[i]
    if (address.scope > scope || address.secondary === 1) continue
    if (destination === 0 || sameSubnet(address.address, destination, address.length)) return address.address
    if (found === 0) found = address.address
  }
  if (found !== 0) return found
  const devices = device.netns.devices
  for (let i = 0; i < devices.length; i++) {
    const others = devices[i].addresses
    if (devices[i].up === 0) continue
    for (let j = 0; j < others.length; j++) {
      if (others[j].secondary === 0 && others[j].scope !== SCOPE_LINK && others[j].scope <= scope && others[j].scope !== SCOPE_HOST) return others[j].address
    }
  }
  return 0
}

function sameSubnet(a: number, b: number, length: number): boolean {
  return length === 0 || ((a ^ b) >>> (32 - length)) === 0
}

/** inet_addr_type, or inet_dev_addr_type when a device is given. */
export function inetAddrType(netns: Netns, address: number, device: Device | null): number {
  if (isZeronet(address) || address === -1) return RTN_BROADCAST
  if (isMulticast(address)) return RTN_MULTICAST
  const group = netns.fib.local.findGroup(address)
  if (group < 0) return RTN_UNICAST
  const routes = netns.fib.local.groups[group]
  for (let i = 0; i < routes.length; i++) {
    if (device === null || routes[i].device === device) return routes[i].type
  }
  return RTN_UNICAST
}

/** The MTU towards a destination of our own packets: the device's, the route's, what was learned (ipv4_mtu). */
export function outputMtu(netns: Netns, destination: number, result: RouteResult): number {
  const device = result.device as Device
  if (result.mtuLocked === 1 && result.mtu > 0) return result.mtu
  const learned = netns.fib.pathMtus.get(destination)
  const own = result.mtu > 0 ? result.mtu : device.mtu
  return learned !== undefined && learned < own ? learned : own
}

/** ip_dst_mtu_maybe_forward for a forwarded packet: learned path MTUs do not count (ip_forward_use_pmtu is 0). */
export function forwardMtu(result: RouteResult): number {
  return result.mtu > 0 ? result.mtu : (result.device as Device).mtu
}
