/**
 * Dataplanes become a world: names become objects and integers once, so that the walk looks nothing up by name. A host with its pods sleeps, and is
 * neither rendered nor compiled, until a frame is sent to its card or somebody asks for it.
 *
 *   Dataplane ─▶ Netns { devices, fib, neighbours, FDBs, netfilter, sockets }      segments ─▶ Segment with the cards in it
 */
import { assert } from '../base/assert.js'
import { macHigh, macLow } from '../base/mac.js'
import type { Dataplane, DeviceSpec } from '../dataplane/dataplane.js'
import { compileDevices, connectDevices, type Roommates } from './compile-devices.js'
import { compileFib } from './compile-fib.js'
import { connectBacklog } from './device-io.js'
import { DEVICE_WIREGUARD, type Device } from './device.js'
import { proxyTimerFired } from './arp.js'
import { FragmentQueues, fragmentTimerFired } from './ip-fragment.js'
import { IcmpLimits } from './icmp.js'
import { frameArrived, InFlight, Segment } from './link.js'
import {
  neighbourTimerFired,
  NeighTable,
  NUD_DELAY,
  NUD_FAILED,
  NUD_INCOMPLETE,
  NUD_NOARP,
  NUD_PERMANENT,
  NUD_PROBE,
  NUD_REACHABLE,
  NUD_STALE,
} from './neigh.js'
import { compileNetfilter } from './netfilter/netfilter.js'
import { deviceNamed, Netns, World, type Sleeper, type UserSpace } from './netns.js'
import { SocketTable } from './socket.js'
import { wireguardTimerFired } from './wireguard.js'

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
  /** A cloud's fabric (ip-forward.ts). */
  readonly fabric?: boolean
}

const NEIGHBOUR_STATES = {
  permanent: NUD_PERMANENT,
  noarp: NUD_NOARP,
  reachable: NUD_REACHABLE,
  stale: NUD_STALE,
  delay: NUD_DELAY,
  probe: NUD_PROBE,
  incomplete: NUD_INCOMPLETE,
  failed: NUD_FAILED,
} as const

/** What wakes together: no cable but an underlay's leads out of it. */
export interface Unit {
  /** How many netns it is at most; each has its place in World.netns whoever wakes first. */
  readonly size: number
  /** Its cards on segments, in the order in which its specs have them. */
  readonly cards: readonly Card[]
  /** Might a card of it answer an ARP request for the address? Not sure is yes. */
  mayAnswer(address: number): boolean
  /** Asked once, when it wakes. */
  specs(): readonly NetnsSpec[]
  /** It runs now: for processes that belong to it. */
  woken(byName: ReadonlyMap<string, Netns>): void
}

export type Card = Pick<Extract<DeviceSpec, { kind: 'nic' }>, 'segment' | 'mac'>

/** Everybody is awake, in the order of the specs. */
export function compileWorld(specs: readonly NetnsSpec[], segments: readonly SegmentSpec[], seed: number): World {
  const world = composeWorld([{ size: specs.length, cards: cardsOf(specs), mayAnswer: () => true, specs: () => specs, woken() {} }], segments, seed)
  world.wakeAll()
  return world
}

export function cardsOf(specs: readonly NetnsSpec[]): readonly Card[] {
  return specs.flatMap(({ dataplane }) => dataplane.devices.filter((device) => device.kind === 'nic'))
}

/** Everybody sleeps; a card's place on its segment goes by the order of the units. */
export function composeWorld(units: readonly Unit[], segments: readonly SegmentSpec[], seed: number): World {
  const world = new World(seed)
  connectBacklog(world)
  world.inFlight = new InFlight()
  world.arrivalHandler = world.sim.register((slot) => frameArrived(world, slot))
  world.neighbourTimer = world.sim.register((argument) => neighbourTimerFired(world, argument))
  world.fragmentTimer = world.sim.register((index) => fragmentTimerFired(world, index))
  world.proxyTimer = world.sim.register((slot) => proxyTimerFired(world, slot))
  world.wireguardTimer = world.sim.register((argument) => wireguardTimerFired(world, argument))
  for (const segment of segments) {
    world.segments.push(new Segment(world.segments.length, segment.name, segment.mtu, segment.latencyNs, segment.rateBps))
  }
  const segmentNamed = new Map(world.segments.map((segment) => [segment.name, segment]))
  let size = 0
  for (const unit of units) {
    const sleeper = new SleepingUnit(world, unit, size)
    world.sleepers.push(sleeper)
    for (const { segment, mac = 0 } of unit.cards) segmentNamed.get(segment ?? '')?.reserve(macHigh(mac), macLow(mac), sleeper)
    size += unit.size
  }
  world.netns.length = size
  return world
}

class SleepingUnit implements Sleeper {
  private readonly world: World
  private readonly unit: Unit
  /** Index of its first netns. */
  private readonly first: number
  private awake = false

  constructor(world: World, unit: Unit, first: number) {
    this.world = world
    this.unit = unit
    this.first = first
  }

  mayAnswer(address: number): boolean {
    return this.awake || this.unit.mayAnswer(address)
  }

  wake(): void {
    if (this.awake) return
    this.awake = true
    const { world, unit } = this
    const specs = unit.specs()
    assert(specs.length <= unit.size, 'more network stacks wake than there are places for')
    const made = specs.map((spec, at) => makeNetns(world, spec, this.first + at))
    const byName = new Map(made.map((netns) => [netns.name, netns]))
    for (const netns of made) compileNetns(netns, { byName, sleeper: this })
    unit.woken(byName)
  }
}

function makeNetns(world: World, spec: NetnsSpec, index: number): Netns {
  const netns = new Netns(world, index, spec.dataplane.netns, spec.role)
  netns.fabric = spec.fabric === true ? 1 : 0
  netns.dataplane = spec.dataplane
  world.netns[index] = netns
  world.awake.push(netns)
  compileDevices(netns, spec.dataplane)
  return netns
}

/** The devices of all its roommates are made. */
function compileNetns(netns: Netns, roommates: Roommates): void {
  const { dataplane } = netns
  connectDevices(netns, dataplane, roommates)
  compileSysctls(netns, dataplane)
  netns.fib = compileFib(netns, dataplane)
  netns.fragments = new FragmentQueues(netns)
  netns.icmpLimits = compileIcmpLimits(netns)
  netns.socketSpecs = dataplane.sockets
  netns.sockets = new SocketTable(dataplane.sockets)
  loadNeighbours(netns, dataplane)
  loadFdb(netns, dataplane)
  netns.netfilter = compileNetfilter(netns, dataplane.iptables, dataplane.ipsets)
}

/** The state a question starts from: nothing dynamic known, nothing under way; the warm state is filled in as it is asked for. */
export function resetWorld(world: World, options: { readonly seed: number; readonly warm: boolean }): void {
  world.sim.reset()
  world.inFlight.reset()
  world.trace.clear()
  world.reseed(options.seed)
  world.warm = options.warm ? 1 : 0
  world.live = 0
  world.icmpSocketHeld = 0
  world.fragmentQueues.length = 0
  world.neighbours.length = 0
  world.wireguard.reset()
  for (const process of world.userSpaces) process.reset()
  for (const netns of world.awake) {
    const { dataplane } = netns
    netns.fragments.clear()
    netns.icmpLimits.reset()
    netns.fib.pathMtus.clear()
    netns.sockets.forget()
    if (netns.netfilterUsed === 1) {
      netns.netfilterUsed = 0
      netns.conntrack = null
      netns.netfilter = compileNetfilter(netns, dataplane.iptables, dataplane.ipsets, netns.netfilter)
    }
    for (const device of netns.devices) {
      device.busyUntilNs = 0
      if (device.neighbours !== null) device.neighbours = new NeighTable(device)
      device.bridge?.forgetLearned()
      device.vxlan?.forgetLearned()
      device.ipip?.reset()
      device.wireguard?.reset()
    }
    loadNeighbours(netns, dataplane)
  }
}

/** A process takes the sockets and TUN devices that name it as their handler. */
export function attachProcess(netns: Netns, handler: string, process: UserSpace): void {
  const { dataplane } = netns
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

/** USER_HZ: what settings in jiffies are counted in. */
const TICK_NS = 10e6

/** arp_tbl.parms (net/ipv4/arp.c), by the names and in the units of sysctl (net/core/neighbour.c neigh_sysctl_template). */
const NEIGHBOUR_SETTINGS = {
  base_reachable_time_ms: 30_000,
  retrans_time_ms: 1000,
  delay_first_probe_time: 5,
  ucast_solicit: 3,
  mcast_solicit: 3,
  locktime: 100,
  proxy_delay: 80,
} as const

/** The kernel lets no two probes follow within 10 ms (neigh_timer_handler, max(RETRANS_TIME, HZ/100)). */
const RETRANSMIT_MIN_NS = 10e6

/** net.ipv4.neigh.DEV.*, or of `default` in its place (neigh_parms_alloc copies it). */
function compileNeighbourTimes(device: Device, sysctls: Readonly<Record<string, number>>): void {
  const setting = (key: keyof typeof NEIGHBOUR_SETTINGS): number => {
    const own = sysctls[`net.ipv4.neigh.${device.name}.${key}`] ?? sysctls[`net.ipv4.neigh.${device.name.replaceAll('.', '/')}.${key}`]
    return own ?? sysctls[`net.ipv4.neigh.default.${key}`] ?? NEIGHBOUR_SETTINGS[key]
  }
  device.reachableNs = setting('base_reachable_time_ms') * 1e6
  device.retransmitNs = Math.max(setting('retrans_time_ms') * 1e6, RETRANSMIT_MIN_NS)
  device.firstProbeNs = setting('delay_first_probe_time') * 1e9
  device.ucastSolicit = setting('ucast_solicit')
  device.mcastSolicit = setting('mcast_solicit')
  device.locktimeNs = setting('locktime') * TICK_NS
  device.proxyDelayNs = (setting('proxy_delay') * TICK_NS) / 2
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
      sysctls[`net.ipv4.conf.${device.name}.${key}`] ??
      sysctls[`net.ipv4.conf.${device.name.replaceAll('.', '/')}.${key}`] ??
      value(`net.ipv4.conf.default.${key}`, fallback)
    const all = (key: string, fallback: number): number => value(`net.ipv4.conf.all.${key}`, fallback)
    const or = (key: string, fallback: number): number => (own(key, fallback) !== 0 || all(key, fallback) !== 0 ? 1 : 0)
    const max = (key: string): number => Math.max(own(key, 0), all(key, 0))
    device.forwarding = own('forwarding', netns.ipForward)
    device.rpFilter = max('rp_filter')
    device.acceptLocal = or('accept_local', 0)
    device.proxyArp = or('proxy_arp', 0)
    device.proxyArpPvlan = or('proxy_arp_pvlan', 0)
    compileNeighbourTimes(device, sysctls)
    device.arpIgnore = max('arp_ignore')
    device.arpAnnounce = max('arp_announce')
    device.arpFilter = or('arp_filter', 0)
    // wg_open: the device sends none, and `all` is turned off with it
    device.sendRedirects = device.kind === DEVICE_WIREGUARD ? (sysctls[`net.ipv4.conf.${device.name}.send_redirects`] ?? 0) : or('send_redirects', 1)
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
