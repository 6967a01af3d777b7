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
  /** In the world's table, for timers. */
  readonly index: number
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

  constructor(device: Device, address: number, index: number) {
    this.device = device
    this.address = address
    this.index = index
  }
}

export class NeighTable {
  private readonly entries = new Map<number, Neighbour>()
  /** `ip neigh add proxy`. */
  readonly proxied = new Set<number>()
  private readonly device: Device

  constructor(device: Device) {
    this.device = device
  }

  find(address: number): Neighbour | undefined {
    return this.entries.get(address)
  }

  create(address: number): Neighbour {
    const all = this.device.netns.world.neighbours
    const neighbour = new Neighbour(this.device, address, all.length)
    all.push(neighbour)
    this.entries.set(address, neighbour)
    return neighbour
  }

  all(): IterableIterator<Neighbour> {
    return this.entries.values()
  }

  /** Forgets what was learned; permanent entries stay. */
  forgetDynamic(): void {
    for (const [address, neighbour] of this.entries) if ((neighbour.state & (NUD_PERMANENT | NUD_NOARP)) === 0) this.entries.delete(address)
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
    icmpSend(netns, queue[told], ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0)
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
