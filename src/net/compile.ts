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
import { loadFdb, loadNeighbours } from './compile-neighbours.js'
import { compileSysctls } from './compile-sysctls.js'
import { connectBacklog } from './device-io.js'
import { proxyTimerFired } from './arp.js'
import { FragmentQueues, fragmentTimerFired } from './ip-fragment.js'
import { IcmpLimits } from './icmp.js'
import { frameArrived, InFlight, Segment } from './link.js'
import { neighbourTimerFired, NeighTable } from './neigh.js'
import { Conntrack } from './netfilter/conntrack.js'
import { compileNetfilter } from './netfilter/netfilter.js'
import { deviceNamed, Netns, NETNS_POD, World, type Home, type Sleeper, type UserSpace } from './netns.js'
import { SocketTable } from './socket.js'
import { wireguardTimerFired } from './wireguard.js'

export interface SegmentSpec {
  readonly name: string
  readonly mtu: number
  readonly latencyNs: number
  /** bits per second, 0 without limit */
  readonly rateBps: number
  /** Why nobody knows who else is on it; absent: all that are on it are known. */
  readonly othersUnknown?: string
}

export interface NetnsSpec {
  readonly dataplane: Dataplane
  /** NETNS_* */
  readonly role: number
  /** A cloud's fabric (ip-forward.ts). */
  readonly fabric?: boolean
}

/** What wakes together: no cable but an underlay's leads out of it. */
export interface Unit {
  /** How many netns it is at most; each has its place in World.netns whoever wakes first. */
  readonly size: number
  /** Its cards on segments, in the order in which its specs have them. */
  readonly cards: readonly Card[]
  /** Might a card of it answer an ARP request for the address? Not sure is yes. */
  mayAnswer(address: number): boolean
  /** Where the same stands for many at once. */
  readonly home?: Home
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
  world.compileFib = (netns) => compileFib(netns, netns.dataplane)
  world.compileIcmpLimits = compileIcmpLimits
  world.compileSockets = (netns) => new SocketTable(netns.socketSpecs)
  world.arrivalHandler = world.sim.register((slot) => frameArrived(world, slot))
  world.neighbourTimer = world.sim.register((argument) => neighbourTimerFired(world, argument))
  world.fragmentTimer = world.sim.register((index) => fragmentTimerFired(world, index))
  world.proxyTimer = world.sim.register((slot) => proxyTimerFired(world, slot))
  world.wireguardTimer = world.sim.register((argument) => wireguardTimerFired(world, argument))
  for (const segment of segments) {
    const { name, mtu, latencyNs, rateBps, othersUnknown = null } = segment
    const made = new Segment(world.segments.length, name, mtu, latencyNs, rateBps)
    made.othersUnknown = othersUnknown
    world.segments.push(made)
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
  readonly home?: Home
  private readonly world: World
  private readonly unit: Unit
  /** Index of its first netns. */
  private readonly first: number
  private awake = false

  constructor(world: World, unit: Unit, first: number) {
    this.world = world
    this.unit = unit
    if (unit.home !== undefined) this.home = unit.home
    this.first = first
  }

  mayAnswer(address: number): boolean {
    return this.unit.mayAnswer(address)
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
  netns.unknown = spec.dataplane.unknown ?? null
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
  if (netns.role !== NETNS_POD) netns.fib = compileFib(netns, dataplane)
  netns.fragments = new FragmentQueues(netns)
  netns.socketSpecs = dataplane.sockets
  loadNeighbours(netns, dataplane)
  loadFdb(netns, dataplane)
  netns.netfilter = compileNetfilter(netns, dataplane.iptables, dataplane.ipsets)
}

export interface ResetOptions {
  readonly seed: number
  readonly warm: boolean
  /** Rules go on counting over several questions. */
  readonly keepCounters?: boolean
}

/**
 * The state a question starts from: nothing dynamic known, nothing under way; the warm state is filled in as it is asked for. It costs what the question
 * before has touched, whatever the size of the world.
 */
export function resetWorld(world: World, { seed, warm, keepCounters = false }: ResetOptions): void {
  world.sim.reset()
  world.inFlight.reset()
  world.trace.clear()
  world.reseed(seed)
  const warmed = warm ? 1 : 0
  const turned = world.warm !== warmed
  world.warm = warmed
  world.live = 0
  world.icmpSocketHeld = 0
  world.fragmentQueues.length = 0
  world.neighbours.length = 0
  world.wireguard.reset()
  for (const process of world.userSpaces) process.reset()
  for (const netns of world.touched) resetNetns(netns, keepCounters)
  world.touched.length = 0
  if (turned) for (const netns of world.awake) reloadNeighbours(netns)
}

function resetNetns(netns: Netns, keepCounters: boolean): void {
  netns.touched = 0
  netns.fragments.clear()
  netns.forgetQuestion()
  netns.fib.pathMtus.clear()
  if (netns.netfilterUsed === 1) resetNetfilter(netns, keepCounters)
  for (const device of netns.devices) {
    device.busyUntilNs = 0
    device.neighbours?.forget()
    device.bridge?.forgetLearned()
    device.vxlan?.forgetLearned()
    device.ipip?.reset()
    device.wireguard?.reset()
  }
}

function resetNetfilter(netns: Netns, keepCounters: boolean): void {
  const { netfilter, dataplane } = netns
  netns.netfilterUsed = 0
  if (netns.conntrack !== null) netns.conntrack = new Conntrack(netns)
  if (netfilter === null || netfilter.forget(keepCounters)) return
  netns.netfilter = compileNetfilter(netns, dataplane.iptables, dataplane.ipsets)
  if (keepCounters) netns.netfilter?.countOn(netfilter)
}

/** A network turns cold or warm: what neighbours there are for it hangs on that. */
function reloadNeighbours(netns: Netns): void {
  for (const device of netns.devices) if (device.neighbours !== null) device.neighbours = new NeighTable(device)
  loadNeighbours(netns, netns.dataplane)
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

function compileIcmpLimits(netns: Netns): IcmpLimits {
  const limits = new IcmpLimits()
  limits.rateNs = (netns.sysctls['net.ipv4.icmp_ratelimit'] ?? 1000) * 1e6
  limits.ratemask = netns.sysctls['net.ipv4.icmp_ratemask'] ?? limits.ratemask
  limits.messagesPerSecond = netns.sysctls['net.ipv4.icmp_msgs_per_sec'] ?? limits.messagesPerSecond
  limits.burst = netns.sysctls['net.ipv4.icmp_msgs_burst'] ?? limits.burst
  limits.reset()
  return limits
}
