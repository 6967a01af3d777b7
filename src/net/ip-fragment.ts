// hot path
/**
 * Reassembly: fragments wait until their datagram is whole, or for 30 seconds. The whole one remembers where it was cut.
 * Source: net/ipv4/ip_fragment.c, inet_fragment.c.
 */
import { ETHERTYPE_ARP, ipHeaderLength, isFragment, type Packet } from '../wire/packet.js'
import { CORRUPT, REASON_DUP_FRAG, REASON_FRAG_REASM_TIMEOUT } from './disposition.js'
import { consumePacket, dropPacket } from './drop.js'
import { RouteResult, RTN_LOCAL } from './fib.js'
import { icmpSend, ICMP_EXC_FRAGTIME, ICMP_TIME_EXCEEDED } from './icmp.js'
import type { Netns, World } from './netns.js'
import { routeInput } from './route-input.js'
import { STEP_DEFRAGMENT } from './trace.js'
import { fragmentBuffer, fragmentTailroom } from './truesize.js'

/** Of enum ip_defrag_users, as those of connection tracking in netfilter/netfilter.ts: datagrams of different users never mix. */
export const DEFRAG_LOCAL_DELIVER = 0

/** net.ipv4.ipfrag_time. */
const FRAGMENT_TIME_NS = 30e9

/** One datagram in the making. */
class FragmentQueue {
  user = 0
  src = 0
  dst = 0
  proto = 0
  ipId = 0
  /** Bytes of IP payload it will have, -1 until the last fragment is here. */
  total = -1
  received = 0
  /** Where the furthest piece ends. */
  end = 0
  /** By offset. */
  pieces: Packet[] = []
}

/** Of a netns in which nothing waits. */
const NO_QUEUES: FragmentQueue[] = []

export class FragmentQueues {
  private readonly netns: Netns
  private queues = NO_QUEUES

  constructor(netns: Netns) {
    this.netns = netns
  }

  find(packet: Packet, user: number): FragmentQueue {
    for (let i = 0; i < this.queues.length; i++) {
      const queue = this.queues[i]
      if (queue.ipId === packet.ipId && queue.src === packet.src && queue.dst === packet.dst && queue.proto === packet.proto && queue.user === user)
        return queue
    }
    const queue = new FragmentQueue()
    queue.user = user
    queue.src = packet.src
    queue.dst = packet.dst
    queue.proto = packet.proto
    queue.ipId = packet.ipId
    if (this.queues === NO_QUEUES) this.queues = []
    this.queues.push(queue)
    const world = this.netns.world
    world.sim.schedule(FRAGMENT_TIME_NS, world.fragmentTimer, world.fragmentQueues.push({ netns: this.netns, queue }) - 1)
    return queue
  }

  remove(queue: FragmentQueue): boolean {
    const at = this.queues.indexOf(queue)
    if (at < 0) return false
    this.queues.splice(at, 1)
    return true
  }

  clear(): void {
    this.queues = NO_QUEUES
  }
}

export type PendingQueue = { readonly netns: Netns; readonly queue: FragmentQueue }

/**
 * ip_defrag.
 * @returns 0 when the fragment was kept (the row is taken), 1 when the row now holds the whole datagram
 */
export function ipDefrag(netns: Netns, packet: Packet, user: number): number {
  if (!isFragment(packet)) return 1
  const queue = netns.fragments.find(packet, user)
  const last = packet.moreFragments === 0
  // a piece that is not the last carries whole eights
  const size = last ? packet.ipLength - ipHeaderLength(packet) : (packet.ipLength - ipHeaderLength(packet)) & ~7
  const end = packet.fragmentOffset + size
  const fit = size === 0 || !endsAgree(queue, end, last) ? OVERLAP : fits(queue, packet.fragmentOffset, end)
  if (fit === DUPLICATE) {
    dropPacket(netns, packet, CORRUPT, REASON_DUP_FRAG, 'the fragment is already there')
    return 0
  }
  if (fit === OVERLAP) {
    discard(netns, queue, packet)
    return 0
  }
  let at = 0
  while (at < queue.pieces.length && queue.pieces[at].fragmentOffset < packet.fragmentOffset) at++
  if (last) queue.total = end
  if (end > queue.end) queue.end = end
  queue.received += size
  queue.pieces.splice(at, 0, packet)
  if (queue.total < 0 || queue.received < queue.total) {
    note(netns, packet, queue, 0)
    return 0
  }
  netns.fragments.remove(queue)
  assemble(netns, packet, queue)
  return 1
}

const FITS = 0
const DUPLICATE = 1
const OVERLAP = 2

/** ip_frag_queue: nothing lies beyond the last fragment, and there is one end only. */
function endsAgree(queue: FragmentQueue, end: number, last: boolean): boolean {
  if (last) return end >= queue.end && (queue.total < 0 || queue.total === end)
  return queue.total < 0 || end <= queue.total
}

/** inet_frag_queue_insert: what a run of adjoining pieces holds already is a duplicate; what it holds in part is an overlap. */
function fits(queue: FragmentQueue, start: number, end: number): number {
  const { pieces } = queue
  for (let i = 0; i < pieces.length;) {
    const runStart = pieces[i].fragmentOffset
    let runEnd = endOf(pieces[i++])
    while (i < pieces.length && pieces[i].fragmentOffset === runEnd) runEnd = endOf(pieces[i++])
    if (end <= runStart || start >= runEnd) continue
    return start >= runStart && end <= runEnd ? DUPLICATE : OVERLAP
  }
  return FITS
}

function endOf(piece: Packet): number {
  const size = piece.ipLength - ipHeaderLength(piece)
  return piece.fragmentOffset + (piece.moreFragments === 0 ? size : size & ~7)
}

/** RFC 5722: pieces that overlap, or whose ends disagree, are no datagram; all of them go (discard_qp). */
function discard(netns: Netns, queue: FragmentQueue, packet: Packet): void {
  netns.fragments.remove(queue)
  for (let i = 0; i < queue.pieces.length; i++)
    dropPacket(netns, queue.pieces[i], CORRUPT, REASON_DUP_FRAG, 'a later fragment overlaps it: the datagram is given up')
  dropPacket(netns, packet, CORRUPT, REASON_DUP_FRAG, 'the fragment overlaps one that is already there: the datagram is given up')
}

/** ip_frag_reasm: the row of the last arrival becomes the datagram, with the header of its first fragment. */
function assemble(netns: Netns, packet: Packet, queue: FragmentQueue): void {
  const pieces = queue.pieces
  const first = pieces[0]
  const sizes = new Int32Array(pieces.length)
  let largest = 0
  let withDf = 0
  for (let i = 0; i < pieces.length; i++) {
    const piece = pieces[i]
    sizes[i] = piece.ipLength - ipHeaderLength(piece)
    if (piece.ipLength > largest) largest = piece.ipLength
    if (piece.dontFragment === 1 && piece.ipLength > withDf) withDf = piece.ipLength
  }
  const bufferSize = gathered(queue)
  if (first !== packet) {
    const inner = packet.inner
    packet.copyFrom(first)
    first.inner = inner
  }
  for (let i = 0; i < pieces.length; i++) if (pieces[i] !== packet) consumePacket(netns, pieces[i])
  packet.moreFragments = 0
  packet.fragmentOffset = 0
  packet.ipLength = ipHeaderLength(packet) + queue.total
  packet.dontFragment = withDf > 0 && withDf === largest ? 1 : 0
  packet.fragMaxSize = largest
  packet.fragmentSizes = sizes
  packet.bufferSize = bufferSize
  note(netns, packet, queue, 1)
}

/** The memory of all pieces; on the way to a socket what fits behind the first is copied there (ip_frag_coalesce_ok, skb_try_coalesce). */
function gathered({ pieces, user }: FragmentQueue): number {
  const first = pieces[0].ipLength
  let size = fragmentBuffer(first)
  let room = user === DEFRAG_LOCAL_DELIVER ? fragmentTailroom(first) : 0
  for (let i = 1; i < pieces.length; i++) {
    const length = pieces[i].ipLength
    if (length - ipHeaderLength(pieces[i]) <= room) room -= length - ipHeaderLength(pieces[i])
    else size += fragmentBuffer(length)
  }
  return size
}

function note(netns: Netns, packet: Packet, queue: FragmentQueue, complete: number): void {
  const trace = netns.world.trace
  if (trace.on === 1) trace.note(STEP_DEFRAGMENT, complete, netns, packet, queue.received, complete, packet.fragMaxSize, queue.user)
}

const EXPIRED_ROUTE = new RouteResult()

/** It is for this host, by the route from where it came in; over lo, where no route is asked for otherwise, its own source is a martian. */
function isExpected(netns: Netns, first: Packet): boolean {
  if (first.inDevice < 0) return false
  const device = netns.world.devices[first.inDevice]
  return routeInput(netns, first, device.port === null ? device : device.port.bridge.device, EXPIRED_ROUTE) === 0 && EXPIRED_ROUTE.type === RTN_LOCAL
}

/** ip_expire: the time is over; the sender is told when its first fragment is here and the datagram was for us. */
export function fragmentTimerFired(world: World, index: number): void {
  const { netns, queue } = world.fragmentQueues[index]
  if (!netns.fragments.remove(queue)) return
  const first = queue.pieces[0]
  if (first.fragmentOffset === 0 && first.etherType !== ETHERTYPE_ARP && isExpected(netns, first))
    icmpSend(netns, first, ICMP_TIME_EXCEEDED, ICMP_EXC_FRAGTIME, 0)
  for (let i = 0; i < queue.pieces.length; i++) {
    dropPacket(netns, queue.pieces[i], CORRUPT, REASON_FRAG_REASM_TIMEOUT, 'the other fragments of the datagram did not come within 30 s')
  }
  world.drain()
}
