/**
 * Routes and rules of a Dataplane, with those that the kernel itself makes of addresses, become tables for the lookup
 * (fib_add_ifaddr, fib_create_info).
 */
import { maskOf } from '../base/cidr.js'
import { isExcerpt, piecesOf } from '../dataplane/common-rows.js'
import type { Dataplane, RouteSpec, RoutingRuleSpec } from '../dataplane/dataplane.js'
import { DEVICE_LOOPBACK, SCOPE_GLOBAL, SCOPE_HOST, SCOPE_LINK, SCOPES, type Device } from './device.js'
import {
  Fib,
  RTN_BLACKHOLE,
  RTN_BROADCAST,
  RTN_LOCAL,
  RTN_MULTICAST,
  RTN_PROHIBIT,
  RTN_THROW,
  RTN_UNICAST,
  RTN_UNREACHABLE,
  RULE_BLACKHOLE,
  RULE_GOTO,
  RULE_LOOKUP,
  RULE_NOP,
  RULE_PROHIBIT,
  RULE_UNREACHABLE,
} from './fib.js'
import { COMMON_ROUTES, RouteTable, type CommonPart, type CommonRoutes, type Nexthop, type Route, type RoutingRule } from './fib-table.js'
import { deviceNamed, type Netns } from './netns.js'
import { inetSelectAddr } from './route-output.js'

const ROUTE_TYPES: Readonly<Record<RouteSpec['type'], number>> = {
  unicast: RTN_UNICAST,
  local: RTN_LOCAL,
  broadcast: RTN_BROADCAST,
  multicast: RTN_MULTICAST,
  blackhole: RTN_BLACKHOLE,
  unreachable: RTN_UNREACHABLE,
  prohibit: RTN_PROHIBIT,
  throw: RTN_THROW,
}

/** Table numbers of /etc/iproute2/rt_tables. */
const LOCAL_TABLE = 'local'
const MAIN_TABLE = 'main'
const DEFAULT_TABLE = 'default'

function tableName(text: string | undefined): string {
  if (text === undefined || text === '254') return MAIN_TABLE
  return text === '255' ? LOCAL_TABLE : text === '253' ? DEFAULT_TABLE : text
}

/** The netns's devices and sysctls are compiled already. */
export function compileFib(netns: Netns, dataplane: Dataplane): Fib {
  const tables = new Map<string, Route[]>([
    [LOCAL_TABLE, []],
    [MAIN_TABLE, []],
    [DEFAULT_TABLE, []],
  ])
  let customLocalRoutes = 0
  const add = (spec: RouteSpec, index: number): void => {
    const name = tableName(spec.table)
    const route = compileRoute(netns, spec, index)
    if (route === null) return
    if (name === LOCAL_TABLE && spec.protocol !== 'kernel') customLocalRoutes = 1
    const table = tables.get(name)
    if (table === undefined) tables.set(name, [route])
    else table.push(route)
  }
  const part = commonPart(netns, dataplane)
  if (part === undefined) dataplane.routes.forEach(add)
  else for (const [spec, index] of part.own) add(spec, index)
  if (dataplane.routesAreAll !== true) {
    const dead = dataplane.routes.filter((spec) => spec.dead === true)
    addKernelRoutes(netns, { local: tables.get(LOCAL_TABLE) as Route[], main: tables.get(MAIN_TABLE) as Route[], dead })
  }
  const common = part === undefined || !isApart(part.common, tables) ? undefined : part.common
  if (part !== undefined && common === undefined) return compileFib(netns, { ...dataplane })
  const routes = [...tables.values()].flat()
  routes.forEach((route, index) => (route.index = index))
  return new Fib(netns, { ...compileTables(tables, dataplane.rules, common), customLocalRoutes, routes, ...(common === undefined ? {} : { common }) })
}

type Tables = Pick<Fib, 'rules' | 'local' | 'localTrie' | 'fallback' | 'customRules'>

const EMPTY_TABLE = new RouteTable(DEFAULT_TABLE, [])

/** While nobody has rules of his own, local and main are one. */
function compileTables(tables: ReadonlyMap<string, readonly Route[]>, rules: readonly RoutingRuleSpec[], common: CommonPart | undefined): Tables {
  const routesOf = (name: string): readonly Route[] => tables.get(name) ?? []
  if (isDefaultRules(rules)) {
    const localTrie = RouteTable.merged(routesOf(LOCAL_TABLE), routesOf(MAIN_TABLE), common)
    const local = routesOf(MAIN_TABLE).some(({ type }) => type === RTN_LOCAL) ? new RouteTable(LOCAL_TABLE, routesOf(LOCAL_TABLE)) : localTrie
    const fallback = routesOf(DEFAULT_TABLE).length === 0 ? EMPTY_TABLE : new RouteTable(DEFAULT_TABLE, routesOf(DEFAULT_TABLE))
    return { rules: [], local, localTrie, fallback, customRules: 0 }
  }
  const withCommon = common === undefined ? {} : { common }
  const compiled = new Map([...tables].map(([name, routes]) => [name, new RouteTable(name, routes, name === MAIN_TABLE ? withCommon : {})]))
  const local = compiled.get(LOCAL_TABLE) as RouteTable
  return { rules: compileRules(rules, compiled), local, localTrie: local, fallback: compiled.get(DEFAULT_TABLE) as RouteTable, customRules: 1 }
}

interface OwnAndCommon {
  readonly common: CommonPart
  /** With their places in the whole list. */
  readonly own: readonly (readonly [spec: RouteSpec, index: number])[]
}

/** undefined: the netns has no routes in common with others, or more than one such list. */
function commonPart(netns: Netns, dataplane: Dataplane): OwnAndCommon | undefined {
  const pieces = piecesOf(dataplane).routes
  const [excerpt, ...more] = pieces.filter(isExcerpt)
  const routes = excerpt === undefined || more.length > 0 ? undefined : commonRoutes(excerpt.common)
  const device = routes === undefined ? null : deviceNamed(netns, routes.specs[0].device as string)
  if (routes === undefined || device === null) return undefined
  const own: [RouteSpec, number][] = []
  let index = 0
  const lacks = new Set<number>()
  for (const piece of pieces) {
    if (!isExcerpt(piece)) for (const spec of piece) own.push([spec, index++])
    else {
      let shift = 0
      for (const [at, instead] of [...piece.instead].sort(([a], [b]) => a - b)) {
        const { base, length } = piece.common[at].destination
        lacks.add(routes.table.groupOf(base, length))
        instead.forEach((spec, nth) => own.push([spec, index + at + shift + nth]))
        shift += instead.length - 1
      }
      index += piece.common.length + shift
    }
  }
  return { common: { common: routes, device, lacks }, own }
}

/** The common routes decide by themselves: where two routes of one prefix are to be weighed the table is compiled whole. */
function isApart({ common: { table }, lacks }: CommonPart, tables: ReadonlyMap<string, readonly Route[]>): boolean {
  return [LOCAL_TABLE, MAIN_TABLE].every((name) =>
    (tables.get(name) as readonly Route[]).every(({ base, length }) => {
      const group = table.groupOf(base, length)
      return group < 0 || lacks.has(group)
    }),
  )
}

const COMMON = new WeakMap<readonly RouteSpec[], CommonRoutes | null>()

/** undefined where they need more than a prefix each and one device for all. */
function commonRoutes(specs: readonly RouteSpec[]): CommonRoutes | undefined {
  let known = COMMON.get(specs)
  if (known === undefined) {
    known = makeCommonRoutes(specs)
    COMMON.set(specs, known)
  }
  return known ?? undefined
}

function makeCommonRoutes(specs: readonly RouteSpec[]): CommonRoutes | null {
  const device = specs.at(0)?.device
  const isPlain = (spec: RouteSpec): boolean =>
    spec.type === 'unicast' && spec.device === device && device !== undefined && spec.nexthops === undefined && tableName(spec.table) === MAIN_TABLE
  if (!specs.every(isPlain)) return null
  const routes = specs.map((spec, index) => routeTo(null, null, spec, index))
  routes.forEach((route, index) => (route.index = COMMON_ROUTES + index))
  const table = new RouteTable(MAIN_TABLE, routes)
  return table.groups.length === 0 || table.groups.length < routes.length ? null : { specs, routes, table }
}

function compileRoute(netns: Netns, spec: RouteSpec, index: number): Route | null {
  // fib_table_lookup passes over what is RTNH_F_DEAD, as ip prints what ignore_routes_with_linkdown lets be ignored (fib_nexthop_info)
  if (spec.dead === true) return null
  const device = spec.device === undefined ? null : deviceNamed(netns, spec.device)
  const nexthops: Nexthop[] = []
  for (const hop of spec.nexthops ?? []) {
    const hopDevice = deviceNamed(netns, hop.device)
    if (hopDevice !== null && hop.dead !== true)
      nexthops.push({ gateway: hop.via ?? 0, device: hopDevice, weight: hop.weight, source: inetSelectAddr(hopDevice, hop.via ?? 0, SCOPE_GLOBAL) })
  }
  const type = ROUTE_TYPES[spec.type]
  const needsDevice = type < RTN_BLACKHOLE && nexthops.length === 0
  if (needsDevice && device === null && type !== RTN_LOCAL) return null
  return routeTo(device ?? (type === RTN_LOCAL ? netns.loopback : null), nexthops.length > 0 ? nexthops : null, spec, index)
}

/** Of one shape, all of them, and made field by field: lookups are as fast as that. */
function routeTo(device: Device | null, nexthops: readonly Nexthop[] | null, spec: RouteSpec, index: number): Route {
  const type = ROUTE_TYPES[spec.type]
  const scope = spec.scope !== undefined ? SCOPES[spec.scope] : type === RTN_LOCAL ? SCOPE_HOST : type === RTN_BROADCAST ? SCOPE_LINK : SCOPE_GLOBAL
  return {
    index: 0,
    base: spec.destination.base,
    length: spec.destination.length,
    type,
    gateway: spec.via ?? 0,
    device,
    source: spec.source ?? 0,
    scope,
    metric: spec.metric ?? 0,
    tos: spec.tos ?? 0,
    mtu: spec.mtu ?? 0,
    mtuLocked: spec.mtuLocked === true ? 1 : 0,
    advmss: spec.advmss ?? 0,
    nexthops,
    spec: index,
  }
}

/** What the kernel makes of an address. */
function kernelRoute(device: Device, { base, length, type, source, scope }: Pick<Route, 'base' | 'length' | 'type' | 'source' | 'scope'>): Route {
  return {
    index: 0,
    base,
    length,
    type,
    gateway: 0,
    device,
    source,
    scope,
    metric: 0,
    tos: 0,
    mtu: 0,
    mtuLocked: 0,
    advmss: 0,
    nexthops: null,
    spec: -1,
  }
}

/** fib_add_ifaddr: what the kernel itself adds for each address of a device that is up. */
function addKernelRoutes(netns: Netns, { local, main, dead }: { readonly local: Route[]; readonly main: Route[]; readonly dead: readonly RouteSpec[] }): void {
  const isDead = (base: number, length: number, device: Device): boolean =>
    dead.some(({ destination, device: name }) => destination.base === base && destination.length === length && name === device.name)
  const has = (routes: readonly Route[], base: number, length: number, device: Device): boolean =>
    routes.some((route) => route.base === base && route.length === length && route.device === device)
  for (const device of netns.devices) {
    for (const { address, length, secondary } of device.addresses) {
      const base = address & maskOf(length)
      if (!has(local, address, 32, device)) {
        const source = primaryOf(device, address, length)
        local.push(kernelRoute(device, { base: address, length: 32, type: RTN_LOCAL, source, scope: SCOPE_HOST }))
      }
      if (device.up === 0) continue
      if (device.kind === DEVICE_LOOPBACK && length < 32) {
        if (!has(local, base, length, device)) local.push(kernelRoute(device, { base, length, type: RTN_LOCAL, source: address, scope: SCOPE_HOST }))
      } else if (length < 32 && secondary === 0 && !has(main, base, length, device) && !isDead(base, length, device)) {
        main.push(kernelRoute(device, { base, length, type: RTN_UNICAST, source: address, scope: SCOPE_LINK }))
      }
      const broadcast = base | ~maskOf(length)
      if (length < 31 && !has(local, broadcast, 32, device)) {
        local.push(kernelRoute(device, { base: broadcast, length: 32, type: RTN_BROADCAST, source: address, scope: SCOPE_LINK }))
      }
    }
  }
}

/** inet_ifa_byprefix: who speaks to a secondary address of this host speaks from the primary one of its subnet. */
function primaryOf(device: Device, address: number, length: number): number {
  const primary = device.addresses.find((other) => other.secondary === 0 && other.length === length && ((other.address ^ address) & maskOf(length)) === 0)
  return primary === undefined ? address : primary.address
}

const DEFAULT_RULES: readonly RoutingRuleSpec[] = [
  { priority: 0, action: 'lookup', table: LOCAL_TABLE },
  { priority: 32766, action: 'lookup', table: MAIN_TABLE },
  { priority: 32767, action: 'lookup', table: DEFAULT_TABLE },
]

function isDefaultRules(rules: readonly RoutingRuleSpec[]): boolean {
  if (rules.length === 0) return true
  return (
    rules.length === DEFAULT_RULES.length &&
    rules.every(
      (rule, i) =>
        rule.priority === DEFAULT_RULES[i].priority &&
        rule.action === 'lookup' &&
        tableName(rule.table) === DEFAULT_RULES[i].table &&
        rule.from === undefined &&
        rule.to === undefined &&
        rule.fwmark === undefined &&
        rule.iif === undefined &&
        rule.oif === undefined,
    )
  )
}

const RULE_ACTIONS: Readonly<Record<RoutingRuleSpec['action'], number>> = {
  lookup: RULE_LOOKUP,
  blackhole: RULE_BLACKHOLE,
  unreachable: RULE_UNREACHABLE,
  prohibit: RULE_PROHIBIT,
  goto: RULE_GOTO,
  nop: RULE_NOP,
}

function compileRules(specs: readonly RoutingRuleSpec[], tables: ReadonlyMap<string, RouteTable>): RoutingRule[] {
  const sorted = [...(specs.length === 0 ? DEFAULT_RULES : specs)].sort((a, b) => a.priority - b.priority)
  return sorted.map((spec) => ({
    priority: spec.priority,
    action: RULE_ACTIONS[spec.action],
    table: spec.table === undefined ? null : (tables.get(tableName(spec.table)) ?? null),
    gotoIndex: spec.goto === undefined ? 0 : sorted.findIndex((other) => other.priority >= (spec.goto as number)),
    not: spec.not === true ? 1 : 0,
    from: spec.from?.base ?? 0,
    fromMask: spec.from === undefined ? 0 : maskOf(spec.from.length),
    to: spec.to?.base ?? 0,
    toMask: spec.to === undefined ? 0 : maskOf(spec.to.length),
    iif: spec.iif ?? '',
    oif: spec.oif ?? '',
    mark: spec.fwmark ?? 0,
    markMask: spec.fwmark === undefined ? 0 : (spec.fwmask ?? -1) | 0,
    tos: spec.tos ?? 0,
    proto: spec.ipproto ?? 0,
    sportFirst: spec.sport?.[0] ?? 0,
    sportLast: spec.sport?.[1] ?? 0,
    dportFirst: spec.dport?.[0] ?? 0,
    dportLast: spec.dport?.[1] ?? 0,
    suppressPrefixLength: spec.suppressPrefixLength ?? -1,
  }))
}
