/**
 * Dataplanes become a world: names become objects and integers once, so that the walk looks nothing up by name.
 *
 *   Dataplane ─▶ Netns { devices, fib, neighbours, FDBs, netfilter, sockets }      segments ─▶ Segment with the cards in it
 */
import { maskOf } from '../base/cidr.js'
import { macHigh, macLow } from '../base/mac.js'
import { unreachable } from '../base/assert.js'
import type { Dataplane, DeviceSpec, RouteSpec, RoutingRuleSpec } from '../dataplane/dataplane.js'
import { Bridge, BridgePort } from './bridge.js'
import { connectBacklog } from './device-io.js'
import {
  Device, DEVICE_BRIDGE, DEVICE_DUMMY, DEVICE_IPIP, DEVICE_LOOPBACK, DEVICE_NIC, DEVICE_TUN, DEVICE_VETH, DEVICE_VXLAN, DEVICE_WIREGUARD, SCOPE_GLOBAL, SCOPE_HOST,
  SCOPE_LINK, SCOPE_NOWHERE, SCOPE_SITE, type DeviceAddress,
} from './device.js'
import {
  Fib, RTN_BLACKHOLE, RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST, RTN_PROHIBIT, RTN_THROW, RTN_UNICAST, RTN_UNREACHABLE, RULE_BLACKHOLE, RULE_GOTO, RULE_LOOKUP,
  RULE_NOP, RULE_PROHIBIT, RULE_UNREACHABLE,
} from './fib.js'
import { RouteTable, type Nexthop, type Route, type RoutingRule } from './fib-table.js'
import { FragmentQueues, fragmentTimerFired } from './ip-fragment.js'
import { IcmpLimits } from './icmp.js'
import { frameArrived, InFlight, Segment } from './link.js'
import { neighbourTimerFired, NeighTable, NUD_DELAY, NUD_FAILED, NUD_INCOMPLETE, NUD_NOARP, NUD_PERMANENT, NUD_PROBE, NUD_REACHABLE, NUD_STALE } from './neigh.js'
import { compileNetfilter } from './netfilter/netfilter.js'
import { Netns, World, type UserSpace } from './netns.js'
import { inetSelectAddr } from './route-output.js'
import { SocketTable } from './socket.js'
import { Tun } from './tun.js'
import { Vxlan } from './vxlan.js'

export interface SegmentSpec {
  readonly name: string
  readonly mtu: number
  readonly latencyNs: number
  /** bits per second, 0 without limit */
  readonly rateBps: number
}

export interface NetnsSpec {
  readonly dataplane: Dataplane
  /** NETNS_* */
  readonly role: number
}

const KINDS: Readonly<Record<DeviceSpec['kind'], number>> = {
  loopback: DEVICE_LOOPBACK, nic: DEVICE_NIC, veth: DEVICE_VETH, bridge: DEVICE_BRIDGE, tun: DEVICE_TUN, vxlan: DEVICE_VXLAN, ipip: DEVICE_IPIP,
  wireguard: DEVICE_WIREGUARD, dummy: DEVICE_DUMMY,
}

const SCOPES = { global: SCOPE_GLOBAL, site: SCOPE_SITE, link: SCOPE_LINK, host: SCOPE_HOST, nowhere: SCOPE_NOWHERE } as const

const ROUTE_TYPES: Readonly<Record<RouteSpec['type'], number>> = {
  unicast: RTN_UNICAST, local: RTN_LOCAL, broadcast: RTN_BROADCAST, multicast: RTN_MULTICAST, blackhole: RTN_BLACKHOLE, unreachable: RTN_UNREACHABLE,
  prohibit: RTN_PROHIBIT, throw: RTN_THROW,
}

const NEIGHBOUR_STATES = {
  permanent: NUD_PERMANENT, noarp: NUD_NOARP, reachable: NUD_REACHABLE, stale: NUD_STALE, delay: NUD_DELAY, probe: NUD_PROBE, incomplete: NUD_INCOMPLETE,
  failed: NUD_FAILED,
} as const

export function compileWorld(specs: readonly NetnsSpec[], segments: readonly SegmentSpec[], seed: number): World {
  const world = new World(seed)
  connectBacklog(world)
  world.inFlight = new InFlight()
  world.arrivalHandler = world.sim.register((slot) => frameArrived(world, slot))
  world.neighbourTimer = world.sim.register((argument) => neighbourTimerFired(world, argument))
  world.fragmentTimer = world.sim.register((index) => fragmentTimerFired(world, index))
  for (const segment of segments) {
    world.segments.push(new Segment(world.segments.length, segment.name, segment.mtu, segment.latencyNs, segment.rateBps))
  }
  const byName = new Map<string, Netns>()
  for (const spec of specs) {
    const netns = new Netns(world, world.netns.length, spec.dataplane.netns, spec.role)
    world.netns.push(netns)
    byName.set(netns.name, netns)
    compileDevices(netns, spec.dataplane)
  }
  specs.forEach((spec, index) => {
    const netns = world.netns[index]
    connectDevices(netns, spec.dataplane, byName)
    compileSysctls(netns, spec.dataplane)
    netns.fib = compileFib(netns, spec.dataplane)
    netns.fragments = new FragmentQueues(netns)
    netns.icmpLimits = compileIcmpLimits(netns)
    netns.socketSpecs = spec.dataplane.sockets
    netns.sockets = new SocketTable(spec.dataplane.sockets)
    loadNeighbours(netns, spec.dataplane)
    loadFdb(netns, spec.dataplane)
    netns.netfilter = compileNetfilter(netns, spec.dataplane.iptables, spec.dataplane.ipsets)
  })
  return world
}

/** The state a question starts from: nothing dynamic known, nothing under way; the warm state is filled in as it is asked for. */
export function resetWorld(world: World, options: { readonly seed: number; readonly warm: boolean }, specs: readonly NetnsSpec[]): void {
  world.sim.reset()
  world.trace.clear()
  world.reseed(options.seed)
  world.warm = options.warm ? 1 : 0
  world.live = 0
  world.fragmentQueues.length = 0
  world.neighbours.length = 0
  for (const process of world.userSpaces) process.reset()
  world.netns.forEach((netns, index) => {
    netns.fragments.clear()
    netns.icmpLimits.reset()
    netns.fib.pathMtus.clear()
    netns.sockets.forget()
    if (netns.netfilterUsed === 1) {
      netns.netfilterUsed = 0
      netns.conntrack = null
      netns.netfilter = compileNetfilter(netns, specs[index].dataplane.iptables, specs[index].dataplane.ipsets)
    }
    for (const device of netns.devices) {
      device.busyUntilNs = 0
      if (device.neighbours !== null) device.neighbours = new NeighTable(device)
      device.bridge?.forgetLearned()
    }
    loadNeighbours(netns, specs[index].dataplane)
  })
}

/** A process takes the sockets and TUN devices that name it as their handler. */
export function attachProcess(netns: Netns, handler: string, process: UserSpace, dataplane: Dataplane): void {
  netns.world.userSpaces.push(process)
  dataplane.sockets.forEach((socket, index) => {
    if (socket.handler === handler) netns.sockets.bind(index, process)
  })
  for (const spec of dataplane.devices) {
    if (spec.kind !== 'tun' || spec.handler !== handler) continue
    const tun = deviceNamed(netns, spec.name)?.tun
    if (tun !== null && tun !== undefined) tun.process = process
  }
}

function compileDevices(netns: Netns, dataplane: Dataplane): void {
  const world = netns.world
  const specs = dataplane.devices.some((device) => device.kind === 'loopback') ? dataplane.devices : [LOOPBACK, ...dataplane.devices]
  for (const spec of specs) {
    const device = new Device(netns, world.devices.length, spec.name, KINDS[spec.kind], spec.mtu)
    world.devices.push(device)
    netns.devices.push(device)
    device.ifindex = netns.devices.length
    device.up = spec.up ? 1 : 0
    if (spec.mac !== undefined) {
      device.macHigh = macHigh(spec.mac)
      device.macLow = macLow(spec.mac)
    }
    device.addresses = compileAddresses(spec)
    if (spec.kind === 'loopback') netns.loopback = device
    else if (device.ethernet === 1) device.neighbours = new NeighTable(device)
  }
}

const LOOPBACK: DeviceSpec = {
  kind: 'loopback', name: 'lo', mtu: 65536, mac: 0, up: true, addresses: [{ address: 0x7f000001, length: 8, scope: 'host' }],
}

function compileAddresses(spec: DeviceSpec): DeviceAddress[] {
  const addresses: DeviceAddress[] = []
  for (const { address, length, scope } of spec.addresses) {
    const secondary = addresses.some((other) => other.length === length && ((other.address ^ address) & maskOf(length)) === 0 && other.scope === SCOPES[scope])
    addresses.push({ address, length, scope: SCOPES[scope], secondary: secondary ? 1 : 0 })
  }
  return addresses
}

function connectDevices(netns: Netns, dataplane: Dataplane, byName: ReadonlyMap<string, Netns>): void {
  for (const spec of dataplane.devices) {
    const device = deviceNamed(netns, spec.name) as Device
    switch (spec.kind) {
      case 'nic': {
        const segment = netns.world.segments.find((candidate) => candidate.name === spec.segment)
        if (segment === undefined) device.carrier = 0
        else segment.plug(device)
        break
      }
      case 'veth': {
        const peerNetns = byName.get(spec.peer.netns)
        device.peer = peerNetns === undefined ? null : deviceNamed(peerNetns, spec.peer.device)
        device.carrier = device.peer === null ? 0 : 1
        break
      }
      case 'bridge':
        device.bridge = new Bridge(device)
        if (spec.ageing !== undefined) device.bridge.ageingNs = spec.ageing * 1e9
        device.bridge.nfCallIptables = spec.nfCallIptables === true ? 1 : 0
        device.bridge.addPermanent(device.macHigh, device.macLow, null, 1)
        break
      case 'tun':
        device.tun = new Tun()
        break
      case 'vxlan':
        device.vxlan = compileVxlan(spec)
        netns.vxlanDevices.push(device)
        break
      case 'loopback':
      case 'ipip':
      case 'wireguard':
      case 'dummy':
        break
      default:
        unreachable(spec)
    }
  }
  for (const spec of dataplane.devices) if (spec.master !== undefined) enslave(netns, spec)
}

function enslave(netns: Netns, spec: DeviceSpec): void {
  const bridge = deviceNamed(netns, spec.master as string)?.bridge
  if (bridge === null || bridge === undefined) return
  const device = deviceNamed(netns, spec.name) as Device
  const port = new BridgePort(device, bridge)
  port.hairpin = spec.bridgePort?.hairpin === true ? 1 : 0
  port.learning = spec.bridgePort?.learning === false ? 0 : 1
  port.flood = spec.bridgePort?.flood === false ? 0 : 1
  port.isolated = spec.bridgePort?.isolated === true ? 1 : 0
  device.port = port
  bridge.ports.unshift(port)
  bridge.addPermanent(device.macHigh, device.macLow, port, 1)
  bridge.addPermanent(bridge.device.macHigh, bridge.device.macLow, null, 1)
}

function compileVxlan(spec: Extract<DeviceSpec, { kind: 'vxlan' }>): Vxlan {
  const vxlan = new Vxlan(spec.vni, spec.port)
  vxlan.local = spec.local ?? 0
  vxlan.learning = spec.learning ? 1 : 0
  vxlan.gbp = spec.gbp ? 1 : 0
  vxlan.inheritTtl = spec.ttl === 'inherit' ? 1 : 0
  vxlan.ttl = spec.ttl === 'inherit' ? 0 : spec.ttl
  vxlan.tos = spec.tos === 'inherit' ? -1 : spec.tos
  vxlan.df = spec.df === 'set' ? 1 : spec.df === 'inherit' ? 2 : 0
  return vxlan
}

export function deviceNamed(netns: Netns, name: string): Device | null {
  return netns.devices.find((device) => device.name === name) ?? null
}

/** Folds `all` and `default` into each device as the IN_DEV_* macros of include/linux/inetdevice.h do. */
function compileSysctls(netns: Netns, dataplane: Dataplane): void {
  const sysctls = dataplane.sysctls
  netns.sysctls = sysctls
  const value = (key: string, fallback: number): number => sysctls[key] ?? fallback
  netns.ipForward = value('net.ipv4.ip_forward', value('net.ipv4.conf.all.forwarding', 0))
  netns.defaultTtl = value('net.ipv4.ip_default_ttl', 64)
  netns.bridgeNfCallIptables = value('net.bridge.bridge-nf-call-iptables', 1)
  netns.icmpEchoIgnoreAll = value('net.ipv4.icmp_echo_ignore_all', 0)
  netns.icmpEchoIgnoreBroadcasts = value('net.ipv4.icmp_echo_ignore_broadcasts', 1)
  netns.icmpErrorsUseInboundIfaddr = value('net.ipv4.icmp_errors_use_inbound_ifaddr', 0)
  netns.multipathHashPolicy = value('net.ipv4.fib_multipath_hash_policy', 0)
  netns.ipNoPmtuDisc = value('net.ipv4.ip_no_pmtu_disc', 0)
  for (const device of netns.devices) {
    const own = (key: string, fallback: number): number =>
      sysctls[`net.ipv4.conf.${device.name}.${key}`] ?? sysctls[`net.ipv4.conf.${device.name.replaceAll('.', '/')}.${key}`] ?? value(`net.ipv4.conf.default.${key}`, fallback)
    const all = (key: string, fallback: number): number => value(`net.ipv4.conf.all.${key}`, fallback)
    const or = (key: string, fallback: number): number => (own(key, fallback) !== 0 || all(key, fallback) !== 0 ? 1 : 0)
    const max = (key: string): number => Math.max(own(key, 0), all(key, 0))
    device.forwarding = own('forwarding', netns.ipForward)
    device.rpFilter = max('rp_filter')
    device.acceptLocal = or('accept_local', 0)
    device.proxyArp = or('proxy_arp', 0)
    device.proxyArpPvlan = or('proxy_arp_pvlan', 0)
    device.arpIgnore = max('arp_ignore')
    device.arpAnnounce = max('arp_announce')
    device.arpFilter = or('arp_filter', 0)
    device.sendRedirects = or('send_redirects', 1)
    device.routeLocalnet = or('route_localnet', 0)
    device.srcValidMark = or('src_valid_mark', 0)
  }
}

function compileIcmpLimits(netns: Netns): IcmpLimits {
  const limits = new IcmpLimits()
  limits.rateNs = (netns.sysctls['net.ipv4.icmp_ratelimit'] ?? 1000) * 1e6
  limits.ratemask = netns.sysctls['net.ipv4.icmp_ratemask'] ?? limits.ratemask
  limits.messagesPerSecond = netns.sysctls['net.ipv4.icmp_msgs_per_sec'] ?? limits.messagesPerSecond
  limits.burst = netns.sysctls['net.ipv4.icmp_msgs_burst'] ?? limits.burst
  limits.reset()
  return limits
}

/** Table numbers of /etc/iproute2/rt_tables. */
const LOCAL_TABLE = 'local'
const MAIN_TABLE = 'main'
const DEFAULT_TABLE = 'default'

function tableName(text: string | undefined): string {
  if (text === undefined || text === '254') return MAIN_TABLE
  return text === '255' ? LOCAL_TABLE : text === '253' ? DEFAULT_TABLE : text
}

function compileFib(netns: Netns, dataplane: Dataplane): Fib {
  const tables = new Map<string, Route[]>([[LOCAL_TABLE, []], [MAIN_TABLE, []], [DEFAULT_TABLE, []]])
  let customLocalRoutes = 0
  dataplane.routes.forEach((spec, index) => {
    const name = tableName(spec.table)
    const route = compileRoute(netns, spec, index)
    if (route === null) return
    if (name === LOCAL_TABLE && spec.protocol !== 'kernel') customLocalRoutes = 1
    const table = tables.get(name)
    if (table === undefined) tables.set(name, [route])
    else table.push(route)
  })
  addKernelRoutes(netns, tables.get(LOCAL_TABLE) as Route[], tables.get(MAIN_TABLE) as Route[])
  const compiled = new Map([...tables].map(([name, routes]) => [name, new RouteTable(name, routes)]))
  const routes = [...tables.values()].flat()
  routes.forEach((route, index) => (route.index = index))
  const rules = compileRules(dataplane.rules, compiled)
  return new Fib(netns, {
    rules,
    local: compiled.get(LOCAL_TABLE) as RouteTable,
    main: compiled.get(MAIN_TABLE) as RouteTable,
    fallback: compiled.get(DEFAULT_TABLE) as RouteTable,
    customRules: isDefaultRules(dataplane.rules) ? 0 : 1,
    customLocalRoutes,
    routes,
  })
}

function compileRoute(netns: Netns, spec: RouteSpec, index: number): Route | null {
  const device = spec.device === undefined ? null : deviceNamed(netns, spec.device)
  const nexthops: Nexthop[] = []
  for (const hop of spec.nexthops ?? []) {
    const hopDevice = deviceNamed(netns, hop.device)
    if (hopDevice !== null) nexthops.push({ gateway: hop.via ?? 0, device: hopDevice, weight: hop.weight, source: inetSelectAddr(hopDevice, hop.via ?? 0, SCOPE_GLOBAL) })
  }
  const type = ROUTE_TYPES[spec.type]
  const needsDevice = type < RTN_BLACKHOLE && nexthops.length === 0
  if (needsDevice && device === null && type !== RTN_LOCAL) return null
  const scope = spec.scope !== undefined ? SCOPES[spec.scope] : type === RTN_LOCAL ? SCOPE_HOST : type === RTN_BROADCAST ? SCOPE_LINK : SCOPE_GLOBAL
  return {
    index: 0, base: spec.destination.base, length: spec.destination.length, type, gateway: spec.via ?? 0, device: device ?? (type === RTN_LOCAL ? netns.loopback : null),
    source: spec.source ?? 0, scope, metric: spec.metric ?? 0, tos: spec.tos ?? 0, mtu: spec.mtu ?? 0, mtuLocked: spec.mtuLocked === true ? 1 : 0,
    nexthops: nexthops.length > 0 ? nexthops : null, spec: index,
  }
}

/** fib_add_ifaddr: what the kernel itself adds for each address of a device that is up. */
function addKernelRoutes(netns: Netns, local: Route[], main: Route[]): void {
  const common = { index: 0, gateway: 0, metric: 0, tos: 0, mtu: 0, mtuLocked: 0, nexthops: null, spec: -1 }
  const has = (routes: readonly Route[], base: number, length: number, device: Device): boolean =>
    routes.some((route) => route.base === base && route.length === length && route.device === device)
  for (const device of netns.devices) {
    for (const { address, length, secondary } of device.addresses) {
      const base = address & maskOf(length)
      if (!has(local, address, 32, device)) {
        local.push({ ...common, base: address, length: 32, type: RTN_LOCAL, device, source: primaryOf(device, address, length), scope: SCOPE_HOST })
      }
      if (device.up === 0) continue
      if (device.kind === DEVICE_LOOPBACK && length < 32) {
        if (!has(local, base, length, device)) local.push({ ...common, base, length, type: RTN_LOCAL, device, source: address, scope: SCOPE_HOST })
      } else if (length < 32 && secondary === 0 && !has(main, base, length, device)) {
        main.push({ ...common, base, length, type: RTN_UNICAST, device, source: address, scope: SCOPE_LINK })
      }
      const broadcast = base | ~maskOf(length)
      if (length < 31 && !has(local, broadcast, 32, device)) {
        local.push({ ...common, base: broadcast, length: 32, type: RTN_BROADCAST, device, source: address, scope: SCOPE_LINK })
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
    rules.every((rule, i) => rule.priority === DEFAULT_RULES[i].priority && rule.action === 'lookup' && tableName(rule.table) === DEFAULT_RULES[i].table
      && rule.from === undefined && rule.to === undefined && rule.fwmark === undefined && rule.iif === undefined && rule.oif === undefined)
  )
}

const RULE_ACTIONS: Readonly<Record<RoutingRuleSpec['action'], number>> = {
  lookup: RULE_LOOKUP, blackhole: RULE_BLACKHOLE, unreachable: RULE_UNREACHABLE, prohibit: RULE_PROHIBIT, goto: RULE_GOTO, nop: RULE_NOP,
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

function loadNeighbours(netns: Netns, dataplane: Dataplane): void {
  for (const spec of dataplane.neighbours) {
    const table = deviceNamed(netns, spec.device)?.neighbours
    if (table === null || table === undefined) continue
    if (spec.proxy === true) {
      table.proxied.add(spec.address)
      continue
    }
    const permanent = spec.state === 'permanent' || spec.state === 'noarp'
    if (!permanent && netns.world.warm === 0) continue
    const neighbour = table.find(spec.address) ?? table.create(spec.address)
    neighbour.state = NEIGHBOUR_STATES[spec.state]
    neighbour.macHigh = macHigh(spec.mac ?? 0)
    neighbour.macLow = macLow(spec.mac ?? 0)
  }
}

function loadFdb(netns: Netns, dataplane: Dataplane): void {
  for (const spec of dataplane.fdb) {
    const device = deviceNamed(netns, spec.device)
    if (device === null) continue
    if (device.vxlan !== null && spec.destination !== undefined) {
      device.vxlan.add(macHigh(spec.mac), macLow(spec.mac), spec.destination, spec.port ?? device.vxlan.port, spec.vni ?? device.vxlan.vni)
    } else if (device.port !== null && spec.master !== undefined && spec.mac !== undefined) {
      // permanent is local, for the host itself; static leads to the port (br_fdb.c fdb_add_entry)
      device.port.bridge.addPermanent(macHigh(spec.mac), macLow(spec.mac), device.port, spec.state === 'permanent' ? 1 : 0)
    }
  }
}
