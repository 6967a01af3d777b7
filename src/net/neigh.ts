// hot path
/**
 * Neighbours: address → MAC per device, with the kernel's states. A miss queues the packet and asks by ARP; three unanswered
 * questions, one second apart (net.ipv4.neigh.DEV.*), fail it and tell the senders. Source: net/core/neighbour.c, net/ipv4/arp.c.
 */
import type { Packet } from '../wire/packet.js'
import { arpSolicit } from './arp.js'
import type { Device } from './device.js'
import { NEIGHBOR_FAILED, REASON_NEIGH_FAILED, REASON_NEIGH_QUEUEFULL, REASON_NONE } from './disposition.js'
import { dropPacket } from './drop.js'
import { icmpSend, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH } from './icmp.js'
import { sendToNeighbour } from './ip-output.js'
import { answerTo } from './l2-search.js'
import type { World } from './netns.js'
import { STEP_NEIGH } from './trace.js'

// enum NUD_*
export const NUD_INCOMPLETE = 0x01
export const NUD_REACHABLE = 0x02
export const NUD_STALE = 0x04
export const NUD_DELAY = 0x08
export const NUD_PROBE = 0x10
export const NUD_FAILED = 0x20
export const NUD_NOARP = 0x40
export const NUD_PERMANENT = 0x80
export const NUD_NONE = 0x00

const NUD_CONNECTED = NUD_REACHABLE | NUD_NOARP | NUD_PERMANENT
const NUD_SENDABLE = NUD_CONNECTED | NUD_STALE | NUD_DELAY | NUD_PROBE

/** unres_qlen (unres_qlen_bytes 212992 over the smallest truesize). */
const QUEUE_MAX = 101

export class Neighbour {
  readonly device: Device
  readonly address: number
  /** In the world's table, once it waits for a timer; -1. */
  index = -1
  /** 1: the last question has found or made it. */
  asked = 0
  macHigh = 0
  macLow = 0
  state = NUD_NONE
  confirmedNs = 0
  /** Last change of MAC or state. */
  updatedNs = -Infinity
  probes = 0
  /** 1: a packet has been sent to it, and its link-layer header is kept (hh_cache); who is known and was never sent to has none. */
  headerCached = 0
  /** Timers that are of no use any more carry an older number. */
  timer = 0
  /** When the newest of them fires. */
  timerNs = -1
  queue: Packet[] | null = null

  constructor(device: Device, address: number) {
    this.device = device
    this.address = address
  }
}

/** Of an entry that no question has touched. */
function copyOf(neighbour: Neighbour): Neighbour {
  const copy = new Neighbour(neighbour.device, neighbour.address)
  copy.state = neighbour.state
  copy.macHigh = neighbour.macHigh
  copy.macLow = neighbour.macLow
  return copy
}

/** Permanent entries that the tables of many netns have in common (dataplane/common-rows.ts). */
export interface CommonNeighbours {
  readonly slots: ReadonlyMap<number, number>
  readonly macHighs: Int32Array
  readonly macLows: Int32Array
}

// What a table has while it has nothing: most tables of a large world do.
const NO_ENTRIES = new Map<number, Neighbour>()
const NOBODY: Neighbour[] = []
const NOTHING: (Neighbour | null)[] = []
const NO_ADDRESSES = new Set<number>()

export class NeighTable {
  private entries: Map<number, Neighbour> = NO_ENTRIES
  /** Those that the last question has found or made; and as it found them, null what it made. */
  private asked = NOBODY
  private found = NOTHING
  /** `ip neigh add proxy`. */
  private proxies = NO_ADDRESSES
  private common: CommonNeighbours | null = null
  /** Addresses of the common entries that this table lacks. */
  private lacks: ReadonlySet<number> = NO_ADDRESSES
  private readonly device: Device

  constructor(device: Device) {
    this.device = device
  }

  find(address: number): Neighbour | undefined {
    const neighbour = this.entries.get(address)
    if (neighbour === undefined) return this.takeCommon(address)
    if (neighbour.asked === 0) this.ask(neighbour, copyOf(neighbour))
    return neighbour
  }

  create(address: number): Neighbour {
    const neighbour = new Neighbour(this.device, address)
    this.put(neighbour)
    this.ask(neighbour, null)
    return neighbour
  }

  /** Place of a common entry that nobody has asked for by itself yet, -1 none. */
  commonSlot(address: number): number {
    if (this.common === null || this.entries.has(address) || this.lacks.has(address)) return -1
    const slot = this.common.slots.get(address)
    return slot === undefined ? -1 : slot
  }

  commonMacHigh(slot: number): number {
    return (this.common as CommonNeighbours).macHighs[slot]
  }

  commonMacLow(slot: number): number {
    return (this.common as CommonNeighbours).macLows[slot]
  }

  /** Cold. None of them has an address that is kept too. */
  keepCommon(common: CommonNeighbours, lacks: ReadonlySet<number>): void {
    this.common = common
    this.lacks = lacks
  }

  /** An entry of the table's own from now on, as long as the question lasts. */
  private takeCommon(address: number): Neighbour | undefined {
    const slot = this.commonSlot(address)
    if (slot < 0) return undefined
    const neighbour = this.create(address)
    neighbour.state = NUD_PERMANENT
    neighbour.macHigh = this.commonMacHigh(slot)
    neighbour.macLow = this.commonMacLow(slot)
    return neighbour
  }

  private put(neighbour: Neighbour): void {
    if (this.entries === NO_ENTRIES) this.entries = new Map()
    this.entries.set(neighbour.address, neighbour)
  }

  /** Cold. */
  proxy(address: number): void {
    if (this.proxies === NO_ADDRESSES) this.proxies = new Set()
    this.proxies.add(address)
  }

  isProxied(address: number): boolean {
    return this.proxies.has(address)
  }

  /** Cold. An entry that each question finds anew. */
  keep(address: number, state: number, mac: { readonly high: number; readonly low: number }): void {
    const neighbour = new Neighbour(this.device, address)
    neighbour.state = state
    neighbour.macHigh = mac.high
    neighbour.macLow = mac.low
    this.put(neighbour)
  }

  /** Without the common ones that are as they were. */
  all(): IterableIterator<Neighbour> {
    return this.entries.values()
  }

  /** As before the last question. */
  forget(): void {
    for (let i = 0; i < this.asked.length; i++) {
      const { address } = this.asked[i]
      const before = this.found[i]
      if (before === null) this.entries.delete(address)
      else this.entries.set(address, before)
    }
    this.asked.length = 0
    this.found.length = 0
  }

  private ask(neighbour: Neighbour, before: Neighbour | null): void {
    neighbour.asked = 1
    if (this.asked === NOBODY) {
      this.asked = []
      this.found = []
    }
    this.asked.push(neighbour)
    this.found.push(before)
  }
}

/** The entry's state now: REACHABLE wears off with time. */
function currentState(neighbour: Neighbour): number {
  const { device } = neighbour
  if (neighbour.state === NUD_REACHABLE && device.netns.world.sim.nowNs - neighbour.confirmedNs > device.reachableNs) neighbour.state = NUD_STALE
  return neighbour.state
}

/**
 * neigh_resolve_output: the packet goes to the MAC of the next hop, now or once it is known, or is lost. The row is taken.
 */
export function neighbourOutput(packet: Packet, device: Device, address: number): void {
  const table = device.neighbours as NeighTable
  // a bridge's DNAT asks who was sent to (connectedNeighbour)
  const slot = device.bridge === null ? table.commonSlot(address) : -1
  if (slot >= 0) {
    outputCommon(packet, device, address, slot)
    return
  }
  let neighbour = table.find(address)
  if (neighbour === undefined) neighbour = table.create(address)
  let state = currentState(neighbour)
  if ((state & NUD_SENDABLE) === 0 && device.netns.world.warm === 1 && answerTo(neighbour)) {
    state = NUD_REACHABLE
    neighbour.state = state
    neighbour.confirmedNs = device.netns.world.sim.nowNs
  }
  const trace = device.netns.world.trace
  if (trace.on === 1) {
    trace.note(STEP_NEIGH, 0, device.netns, packet, address, state, neighbour.macHigh, neighbour.macLow, device.index, state === NUD_PERMANENT ? 1 : 0)
  }
  if ((state & NUD_SENDABLE) !== 0) {
    if (state === NUD_STALE) startDelay(neighbour)
    neighbour.headerCached = 1
    sendToNeighbour(packet, device, neighbour.macHigh, neighbour.macLow)
    return
  }
  queueOn(neighbour, packet)
}

function outputCommon(packet: Packet, device: Device, address: number, slot: number): void {
  const table = device.neighbours as NeighTable
  const macHigh = table.commonMacHigh(slot)
  const macLow = table.commonMacLow(slot)
  const trace = device.netns.world.trace
  if (trace.on === 1) trace.note(STEP_NEIGH, 0, device.netns, packet, address, NUD_PERMANENT, macHigh, macLow, device.index, 1)
  sendToNeighbour(packet, device, macHigh, macLow)
}

/** Who a next hop is, where a packet was sent to it before and nothing has called its MAC in question since; the bridge's DNAT asks that, and sends nothing. */
export function connectedNeighbour(device: Device, address: number): Neighbour | null {
  const neighbour = (device.neighbours as NeighTable).find(address)
  if (neighbour === undefined || (currentState(neighbour) & NUD_CONNECTED) === 0 || neighbour.headerCached === 0) return null
  return neighbour
}

/** __neigh_event_send for an entry without a usable MAC. */
function queueOn(neighbour: Neighbour, packet: Packet): void {
  if (neighbour.device.mcastSolicit === 0 && neighbour.state !== NUD_INCOMPLETE) {
    neighbour.state = NUD_FAILED
    dropPacket(neighbour.device.netns, packet, NEIGHBOR_FAILED, REASON_NEIGH_FAILED, 'ARP requests are switched off (mcast_solicit 0)', neighbour.address)
    return
  }
  if (neighbour.queue === null) neighbour.queue = []
  if (neighbour.queue.length >= QUEUE_MAX) {
    const oldest = neighbour.queue.shift() as Packet
    dropPacket(neighbour.device.netns, oldest, NEIGHBOR_FAILED, REASON_NEIGH_QUEUEFULL, 'too many packets wait for this neighbour')
  }
  neighbour.queue.push(packet)
  if (neighbour.state === NUD_INCOMPLETE) return
  neighbour.state = NUD_INCOMPLETE
  neighbour.probes = 1
  armTimer(neighbour, neighbour.device.retransmitNs)
  arpSolicit(neighbour, packet)
}

function startDelay(neighbour: Neighbour): void {
  neighbour.state = NUD_DELAY
  neighbour.updatedNs = neighbour.device.netns.world.sim.nowNs
  armTimer(neighbour, neighbour.device.firstProbeNs)
}

function armTimer(neighbour: Neighbour, delayNs: number): void {
  const world = neighbour.device.netns.world
  if (neighbour.index < 0) neighbour.index = world.neighbours.push(neighbour) - 1
  neighbour.timer++
  neighbour.timerNs = world.sim.nowNs + delayNs
  world.sim.schedule(delayNs, world.neighbourTimer, neighbour.index * TIMER_WRAP + (neighbour.timer & (TIMER_WRAP - 1)))
}

/** Cold. What is remembered of a neighbour waits for its timer as it did (kernel-memory.ts). */
export function resumeTimer(neighbour: Neighbour, delayNs: number): void {
  armTimer(neighbour, delayNs)
}

/** Of these states a timer makes another one by itself. */
export const NUD_IN_TIMER = NUD_INCOMPLETE | NUD_DELAY | NUD_PROBE

/** A timer's argument holds the entry and the low bits of its timer number. */
const TIMER_WRAP = 64

/** neigh_timer_handler. */
export function neighbourTimerFired(world: World, argument: number): void {
  const neighbour = world.neighbours[Math.floor(argument / TIMER_WRAP)]
  if ((neighbour.timer & (TIMER_WRAP - 1)) !== argument % TIMER_WRAP) return
  if (neighbour.state === NUD_DELAY) {
    neighbour.state = NUD_PROBE
    neighbour.probes = 0
  }
  if ((neighbour.state & (NUD_INCOMPLETE | NUD_PROBE)) === 0) return
  if (neighbour.probes >= (neighbour.state === NUD_PROBE ? neighbour.device.ucastSolicit : neighbour.device.mcastSolicit)) {
    fail(neighbour)
    return
  }
  neighbour.probes++
  armTimer(neighbour, neighbour.device.retransmitNs)
  arpSolicit(neighbour, neighbour.queue === null || neighbour.queue.length === 0 ? null : neighbour.queue[0])
  world.drain()
}

/** neigh_invalidate: every packet that waited is lost, its sender told (arp_error_report, ipv4_link_failure). */
function fail(neighbour: Neighbour): void {
  const netns = neighbour.device.netns
  neighbour.state = NUD_FAILED
  const queue = neighbour.queue
  neighbour.queue = null
  if (queue === null) return
  let told = 0
  for (; told < queue.length && neighbour.state === NUD_FAILED; told++) {
    if (netns.unknown?.neighbours === undefined) icmpSend(netns, queue[told], ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0)
    dropPacket(netns, queue[told], NEIGHBOR_FAILED, REASON_NEIGH_FAILED, unanswered(neighbour), neighbour.address, neighbour.device.index)
  }
  // a report that goes to the very neighbour asks for it anew, and is lost with all that waited (__skb_queue_purge)
  purge(neighbour, queue, told)
  const reports = neighbour.queue
  neighbour.queue = null
  if (reports !== null) purge(neighbour, reports, 0)
  netns.world.drain()
}

function unanswered({ device }: Neighbour): string {
  return device.mcastSolicit === 3 ? 'nobody answered three ARP requests' : 'nobody answered the ARP requests'
}

function purge({ device }: Neighbour, packets: readonly Packet[], from: number): void {
  for (let i = from; i < packets.length; i++) {
    dropPacket(device.netns, packets[i], NEIGHBOR_FAILED, REASON_NONE, 'nobody answered the ARP requests, and what waited is given up')
  }
}

/** What is heard of a neighbour: that it answered us, that it asked us, or something said to all (arp_process). */
export const HEARD_ANSWER = 0
export const HEARD_QUESTION = 1
export const HEARD_TALK = 2

/**
 * neigh_update: a MAC was heard. An answer makes the entry REACHABLE, everything else STALE unless it is known so already. Another
 * MAC than the known one is believed when it asks (NEIGH_UPDATE_F_OVERRIDE), else only once the entry is older than its locktime.
 */
export function neighbourUpdate(neighbour: Neighbour, macHigh: number, macLow: number, heard: number): void {
  const state = currentState(neighbour)
  if ((state & (NUD_PERMANENT | NUD_NOARP)) !== 0) return
  const nowNs = neighbour.device.netns.world.sim.nowNs
  const same = neighbour.macHigh === macHigh && neighbour.macLow === macLow
  const valid = (state & NUD_SENDABLE) !== 0
  if (valid && !same && heard !== HEARD_QUESTION && nowNs - neighbour.updatedNs <= neighbour.device.locktimeNs) return
  if (heard === HEARD_ANSWER) neighbour.confirmedNs = nowNs
  const next = heard === HEARD_ANSWER ? NUD_REACHABLE : valid && same ? state : NUD_STALE
  if (next === state && same) return
  neighbour.macHigh = macHigh
  neighbour.macLow = macLow
  neighbour.updatedNs = nowNs
  if (next !== state) neighbour.timer++
  neighbour.state = next
  const queue = neighbour.queue
  neighbour.queue = null
  if (queue === null) return
  neighbour.headerCached = 1
  for (let i = 0; i < queue.length; i++) {
    if (neighbour.state === NUD_STALE) startDelay(neighbour)
    sendToNeighbour(queue[i], neighbour.device, macHigh, macLow)
  }
}
