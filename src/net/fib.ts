// hot path
/**
 * The lookup: rules, tables, longest prefix, metric, scope, multipath. What a packet that comes in or goes out is asked beyond it
 * stands in route-input.ts and route-output.ts. Source: net/ipv4/fib_rules.c, fib_trie.c, fib_semantics.c.
 */
import type { RouteSpec } from '../dataplane/dataplane.js'
import { isFragment, PROTO_TCP, PROTO_UDP, type Packet } from '../wire/packet.js'
import type { Device } from './device.js'
import { COMMON_ROUTES, type CommonPart, type RouteTable, type Route, type RoutingRule } from './fib-table.js'
import { flowHash } from './flow-hash.js'
import type { Netns } from './netns.js'

const RTN_UNSPEC = 0
export const RTN_UNICAST = 1
export const RTN_LOCAL = 2
export const RTN_BROADCAST = 3
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

/** What a lookup is about (struct flowi4). */
export class Flow {
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
  /** 1: the packet is made here. */
  local = 0
}

type FibParts = Pick<Fib, 'rules' | 'local' | 'localTrie' | 'fallback' | 'customRules' | 'customLocalRoutes'> & {
  readonly routes: readonly Route[]
  /** Of the table main. */
  readonly common?: CommonPart
}

export class Fib {
  readonly netns: Netns
  /** Sorted by priority; empty while there are only the three built-in ones. */
  readonly rules: readonly RoutingRule[]
  /** The host's own addresses. */
  readonly local: RouteTable
  /** What a lookup in the table local sees: main too, while there are no rules of one's own. */
  readonly localTrie: RouteTable
  readonly fallback: RouteTable
  /** Rules other than the three built-in ones. */
  readonly customRules: number
  readonly customLocalRoutes: number
  /** All routes of all tables but those that others have in common, for the trace: Route.index points here, and behind them into the common ones. */
  private readonly ownRoutes: readonly Route[]
  private readonly common: CommonPart | null
  /** Path MTUs learned (struct fib_nh_exception): destination → MTU. */
  readonly pathMtus = new Map<number, number>()

  constructor(netns: Netns, parts: FibParts) {
    this.netns = netns
    this.rules = parts.rules
    this.local = parts.local
    this.localTrie = parts.localTrie
    this.fallback = parts.fallback
    this.customRules = parts.customRules
    this.customLocalRoutes = parts.customLocalRoutes
    this.ownRoutes = parts.routes
    this.common = parts.common ?? null
  }

  /** Cold. By Route.index; undefined: none. */
  routeAt(index: number): Route | undefined {
    const { common, ownRoutes } = this
    return common === null || index < COMMON_ROUTES ? ownRoutes[index] : ofDevice(common.common.routes[index - COMMON_ROUTES], common)
  }

  /** Cold. Of all tables. */
  get routes(): readonly Route[] {
    const { common, ownRoutes } = this
    if (common === null) return ownRoutes
    const kept = common.common.table.groups.filter((_, group) => !common.lacks.has(group))
    return [...ownRoutes, ...kept.flat().map((route) => ofDevice(route, common))]
  }

  /** Cold. What the route was compiled from; undefined: the kernel made it of an address. */
  specOf({ index, spec }: Route): RouteSpec | undefined {
    if (spec < 0) return undefined
    return index < COMMON_ROUTES ? this.netns.dataplane.routes[spec] : this.common?.common.specs[spec]
  }
}

/** Cold. */
function ofDevice(route: Route, { device }: CommonPart): Route {
  return { ...route, device }
}

/** fib_lookup. @returns 0 or an errno; the result is filled for 0 and for the error route types */
export function fibLookup(fib: Fib, flow: Flow, result: RouteResult): number {
  if (fib.customRules === 0) {
    let error = lookupTable(fib.localTrie, flow, result)
    if (error < 0) error = lookupTable(fib.fallback, flow, result)
    return error < 0 ? noRoute(result) : error
  }
  return lookupRules(fib, flow, result)
}

/** Nothing of an earlier lookup stays in the result, nor a throw route. */
function noRoute(result: RouteResult): number {
  result.type = RTN_UNSPEC
  result.gateway = 0
  result.device = null
  result.source = 0
  result.route = null
  return ENETUNREACH
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
        noRoute(result)
        result.type = rule.action === RULE_BLACKHOLE ? RTN_BLACKHOLE : rule.action === RULE_PROHIBIT ? RTN_PROHIBIT : RTN_UNREACHABLE
        return rule.action === RULE_BLACKHOLE ? EINVAL : rule.action === RULE_PROHIBIT ? EACCES : ENETUNREACH
    }
  }
  return noRoute(result)
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
    const routes = table.groupAt(group)
    for (let i = 0; i < routes.length; i++) {
      const route = routes[i]
      if (route.tos !== 0 && route.tos !== flow.tos) continue
      if (route.scope < flow.scope) continue
      if (route.type >= RTN_BLACKHOLE) {
        result.type = route.type
        result.route = route
        result.device = null
        result.gateway = 0
        result.source = 0
        if (route.type === RTN_THROW) return -1
        return route.type === RTN_BLACKHOLE ? EINVAL : route.type === RTN_PROHIBIT ? EACCES : EHOSTUNREACH
      }
      if (route.nexthops !== null) {
        if (fillMultipath(route, flow, result)) return 0
        continue
      }
      const device = (route.device === null ? table.commonDevice : route.device) as Device
      // fib_sync_down_dev: the host's own addresses outlive their device's going down
      if ((device.up === 0 || (flow.oif !== null && device !== flow.oif)) && route.type !== RTN_LOCAL) continue
      fill(route, route.gateway, device, result)
      return 0
    }
    group = table.nextGroup(group, flow.dst)
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

/**
 * fib_select_multipath: the flow's hash falls into one next hop's share. What is sent from here with a source of its own goes by
 * the next hop that would have chosen that source, when there is one (Linux 6.16).
 */
function fillMultipath(route: Route, flow: Flow, result: RouteResult): boolean {
  const nexthops = route.nexthops as NonNullable<Route['nexthops']>
  let total = 0
  let preferred = -1
  for (let i = 0; i < nexthops.length; i++) {
    if (!nexthopAlive(nexthops[i].device, flow)) continue
    total += nexthops[i].weight
    if (preferred < 0 && flow.local === 1 && flow.src !== 0 && nexthops[i].source === flow.src) preferred = i
  }
  if (total === 0) return false
  const netns = nexthops[0].device.netns
  const l4 = netns.multipathHashPolicy === 1
  const hash = flowHash(flow.src, flow.dst, l4 ? flow.proto : 0, l4 ? flow.sport : 0, l4 ? flow.dport : 0, netns.world.hashSeed) >>> 1
  let share =
    netns.world.chance.toldForks === 1
      ? shareAsTold(netns.world.chance.fork(netns.index * 0x80000000 + hash, aliveWeights(nexthops, flow)), nexthops, flow)
      : Math.floor((hash / 0x80000000) * total)
  for (let i = 0; i < nexthops.length; i++) {
    if (!nexthopAlive(nexthops[i].device, flow)) continue
    share -= nexthops[i].weight
    if (share < 0 && (preferred < 0 || nexthops[i].source === flow.src)) {
      fill(route, nexthops[i].gateway, nexthops[i].device, result)
      return true
    }
  }
  fill(route, nexthops[preferred].gateway, nexthops[preferred].device, result)
  return true
}

/** Cold. */
function aliveWeights(nexthops: NonNullable<Route['nexthops']>, flow: Flow): number[] {
  return nexthops.filter(({ device }) => nexthopAlive(device, flow)).map(({ weight }) => weight)
}

/** Cold. Where the share of the chosen one begins. */
function shareAsTold(chosen: number, nexthops: NonNullable<Route['nexthops']>, flow: Flow): number {
  return aliveWeights(nexthops, flow)
    .slice(0, chosen)
    .reduce((sum, weight) => sum + weight, 0)
}

function nexthopAlive(device: Device, flow: Flow): boolean {
  return device.up === 1 && (flow.oif === null || flow.oif === device)
}

/** ipv4_is_zeronet: since Linux 5.3 the one address only, the rest of 0.0.0.0/8 is unicast. */
export function isZeronet(address: number): boolean {
  return address === 0
}

export function isLoopback(address: number): boolean {
  return address >>> 24 === 127
}

export function isMulticast(address: number): boolean {
  return address >>> 28 === 14
}

export function fromPacket(flow: Flow, packet: Packet): void {
  flow.src = packet.src
  flow.dst = packet.dst
  flow.tos = packet.tos & 0x1c
  flow.mark = packet.mark
  flow.proto = packet.proto
  // a fragment's are not looked at (__skb_flow_dissect)
  const ports = (packet.proto === PROTO_UDP || packet.proto === PROTO_TCP) && !isFragment(packet)
  flow.sport = ports ? packet.sport : 0
  flow.dport = ports ? packet.dport : 0
  flow.scope = 0
}

/** inet_addr_type, or inet_dev_addr_type when a device is given. */
export function inetAddrType(netns: Netns, address: number, device: Device | null): number {
  if (isZeronet(address) || address === -1) return RTN_BROADCAST
  if (isMulticast(address)) return RTN_MULTICAST
  const table = netns.fib.localTrie
  const group = table.findGroup(address)
  if (group < 0) return RTN_UNICAST
  const routes = table.groupAt(group)
  for (let i = 0; i < routes.length; i++) {
    if (device === null || (routes[i].device ?? table.commonDevice) === device) return routes[i].type >= RTN_BLACKHOLE ? RTN_UNICAST : routes[i].type
  }
  return RTN_UNICAST
}

/** rt_type of a packet that came up to this host: 0.0.0.0 comes over lo alone, with the route to the host itself that it left with. */
export function arrivedType(netns: Netns, destination: number): number {
  return isZeronet(destination) ? RTN_LOCAL : inetAddrType(netns, destination, null)
}
