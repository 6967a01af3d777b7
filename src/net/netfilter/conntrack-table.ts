// hot path
/**
 * The store of connections: rows of one Int32Array, found by either tuple through a chained hash table, given back through a
 * queue. Nothing here knows what a protocol is.
 */
import type { Packet } from '../../wire/packet.js'
import type { Netns } from '../netns.js'
import {
  E_DST,
  E_ID,
  E_NEXT,
  E_NEXT_BY_SOURCE,
  E_PORTS,
  E_PREVIOUS_BY_SOURCE,
  E_PROTO,
  E_REPLY,
  E_REPLY_DST,
  E_REPLY_PORTS,
  E_REPLY_SRC,
  E_SRC,
  E_STATUS,
  ENTRY_STRIDE,
  hashTuple,
  IPS_CONFIRMED,
  IPS_DYING,
  IPS_FREE,
  IPS_SRC_NAT_DONE,
} from './conntrack-tuple.js'

const FIRST_CAPACITY = 64
/** A slot that was given back is not used again before so many others were: a packet on its way may still name it. */
const QUARANTINE = 32
/** A UDP connection is a stream when it still runs so long after it began. */
const STREAM_NS = 2e9

export class ConntrackTable {
  readonly netns: Netns
  rows = new Int32Array(FIRST_CAPACITY * ENTRY_STRIDE)
  /** Virtual time at which each entry ends. */
  expires = new Float64Array(FIRST_CAPACITY)
  /** Confirmed entries. */
  count = 0

  protected streamSince = new Float64Array(FIRST_CAPACITY)
  protected nextId = 1
  /** Slots ever handed out. */
  used = 0
  private buckets = new Int32Array(FIRST_CAPACITY * 2)
  private bySource = new Int32Array(FIRST_CAPACITY)
  /** Slots given back, a queue in a ring. */
  private freeRing = new Int32Array(FIRST_CAPACITY)
  private freeHead = 0
  private freeCount = 0
  /** The last slots handed out with their ids: those still unconfirmed when they leave the ring were dropped on the way. */
  private readonly recent = new Int32Array(QUARANTINE * 2)
  private recentAt = 0

  constructor(netns: Netns) {
    this.netns = netns
  }

  /** nf_ct_kill: the entry is found no more; packets that name it still do. */
  kill(slot: number): void {
    const row = slot * ENTRY_STRIDE
    const rows = this.rows
    if ((rows[row + E_STATUS] & IPS_FREE) !== 0) return
    if ((rows[row + E_STATUS] & IPS_CONFIRMED) !== 0) {
      this.unlink(slot, 0)
      this.unlink(slot, 1)
      this.count--
    }
    this.release(slot)
  }

  /** slot << 1 | direction of the confirmed entry with this tuple; -1 none. Ends those it finds expired. */
  find(src: number, dst: number, ports: number, proto: number): number {
    const rows = this.rows
    let link = this.buckets[hashTuple(src, dst, ports, proto) & (this.buckets.length - 1)]
    while (link !== 0) {
      const slot = (link - 1) >> 1
      const direction = (link - 1) & 1
      const row = slot * ENTRY_STRIDE
      const tuple = row + direction * E_REPLY
      link = rows[row + E_NEXT + direction]
      if (rows[tuple] !== src || rows[tuple + E_DST] !== dst || rows[tuple + E_PORTS] !== ports || rows[row + E_PROTO] !== proto) continue
      if (this.expires[slot] <= this.netns.world.sim.nowNs) {
        this.kill(slot)
        continue
      }
      return (slot << 1) | direction
    }
    return -1
  }

  /** nf_conntrack_tuple_taken: another connection than this one already has the tuple. */
  taken(slot: number, src: number, dst: number, ports: number, proto: number): boolean {
    const found = this.find(src, dst, ports, proto)
    if (found < 0 || found >> 1 === slot) return false
    const rows = this.rows
    const mine = slot * ENTRY_STRIDE
    const theirs = (found >> 1) * ENTRY_STRIDE
    // the same flow twice, not yet confirmed: no clash
    if (rows[mine] !== rows[theirs] || rows[mine + E_DST] !== rows[theirs + E_DST]) return true
    return rows[mine + E_PORTS] !== rows[theirs + E_PORTS] || rows[mine + E_PROTO] !== rows[theirs + E_PROTO]
  }

  /** Remembers whose source an entry translates, so that one source keeps its mapping. Called once an entry. */
  linkBySource(slot: number): void {
    const rows = this.rows
    const row = slot * ENTRY_STRIDE
    const bucket = this.sourceBucket(row)
    const next = this.bySource[bucket]
    rows[row + E_NEXT_BY_SOURCE] = next
    rows[row + E_PREVIOUS_BY_SOURCE] = 0
    if (next !== 0) rows[(next - 1) * ENTRY_STRIDE + E_PREVIOUS_BY_SOURCE] = slot + 1
    this.bySource[bucket] = slot + 1
  }

  /** First entry with the bucket of this original source (compare it yourself); -1 none. */
  firstBySource(src: number, sourcePort: number, proto: number): number {
    return this.bySource[hashTuple(src, 0, sourcePort, proto) & (this.bySource.length - 1)] - 1
  }

  nextBySource(slot: number): number {
    return this.rows[slot * ENTRY_STRIDE + E_NEXT_BY_SOURCE] - 1
  }

  /** Slots handed out so far, in use or not: a test holds it still. */
  get capacity(): number {
    return this.expires.length
  }

  /** Number of the next entry. Cold. */
  get next(): number {
    return this.nextId
  }

  set next(id: number) {
    this.nextId = id
  }

  /** When a UDP connection that still runs is a stream. Cold. */
  streamOf(slot: number): number {
    return this.streamSince[slot]
  }

  /** Cold. A confirmed entry that was there before (kernel-memory.ts): all of its row but the links, which are the table's own. */
  recall(known: Int32Array, expiresNs: number, streamNs: number): void {
    const slot = this.takeSlot()
    const row = slot * ENTRY_STRIDE
    this.rows.set(known, row)
    this.rows[row + E_NEXT] = 0
    this.rows[row + E_NEXT + 1] = 0
    this.rows[row + E_NEXT_BY_SOURCE] = 0
    this.rows[row + E_PREVIOUS_BY_SOURCE] = 0
    this.expires[slot] = expiresNs
    this.streamSince[slot] = streamNs
    this.link(slot, 0)
    this.link(slot, 1)
    if ((this.rows[row + E_STATUS] & IPS_SRC_NAT_DONE) !== 0) this.linkBySource(slot)
    this.count++
  }

  isLive(slot: number): boolean {
    return (this.rows[slot * ENTRY_STRIDE + E_STATUS] & (IPS_CONFIRMED | IPS_FREE)) === IPS_CONFIRMED
  }

  protected create(packet: Packet, ports: number, replyPorts: number): number {
    const slot = this.takeSlot()
    const rows = this.rows
    const row = slot * ENTRY_STRIDE
    rows.fill(0, row, row + ENTRY_STRIDE)
    rows[row + E_SRC] = packet.src
    rows[row + E_DST] = packet.dst
    rows[row + E_PORTS] = ports
    rows[row + E_REPLY_SRC] = packet.dst
    rows[row + E_REPLY_DST] = packet.src
    rows[row + E_REPLY_PORTS] = replyPorts
    rows[row + E_PROTO] = packet.proto
    const id = this.nextId
    this.nextId = (id + 1) & 0x7fffffff
    rows[row + E_ID] = id
    this.streamSince[slot] = this.netns.world.sim.nowNs + STREAM_NS
    this.watch(slot, id)
    return slot
  }

  /** Notes a new entry; the one noted QUARANTINE entries ago, when nobody confirmed or dropped it, is given back. */
  private watch(slot: number, id: number): void {
    const at = this.recentAt
    this.recentAt = (at + 1) % QUARANTINE
    const old = this.recent[at * 2]
    const row = old * ENTRY_STRIDE
    const oldId = this.recent[at * 2 + 1]
    if (oldId !== 0 && this.rows[row + E_ID] === oldId && (this.rows[row + E_STATUS] & (IPS_CONFIRMED | IPS_FREE)) === 0) this.release(old)
    this.recent[at * 2] = slot
    this.recent[at * 2 + 1] = id
  }

  private takeSlot(): number {
    if (this.freeCount <= QUARANTINE && this.used === this.expires.length) {
      this.sweep()
      if (this.freeCount <= QUARANTINE * 2) this.grow()
    }
    if (this.freeCount > QUARANTINE) {
      const slot = this.freeRing[this.freeHead]
      this.freeHead = (this.freeHead + 1) % this.freeRing.length
      this.freeCount--
      return slot
    }
    return this.used++
  }

  protected release(slot: number): void {
    const row = slot * ENTRY_STRIDE
    if ((this.rows[row + E_STATUS] & IPS_FREE) !== 0) return
    if ((this.rows[row + E_STATUS] & IPS_SRC_NAT_DONE) !== 0) this.unlinkBySource(slot)
    this.rows[row + E_STATUS] |= IPS_FREE | IPS_DYING
    this.freeRing[(this.freeHead + this.freeCount) % this.freeRing.length] = slot
    this.freeCount++
  }

  /** Ends every expired entry (the kernel's gc_worker). */
  protected sweep(): void {
    const now = this.netns.world.sim.nowNs
    for (let slot = 0; slot < this.used; slot++) {
      if (this.isLive(slot) && this.expires[slot] <= now) this.kill(slot)
    }
  }

  private grow(): void {
    const capacity = this.expires.length * 2
    this.rows = grownInts(this.rows, capacity * ENTRY_STRIDE)
    this.expires = grownFloats(this.expires, capacity)
    this.streamSince = grownFloats(this.streamSince, capacity)
    const ring = new Int32Array(capacity)
    for (let i = 0; i < this.freeCount; i++) ring[i] = this.freeRing[(this.freeHead + i) % this.freeRing.length]
    this.freeRing = ring
    this.freeHead = 0
    this.rehash(capacity)
  }

  private rehash(capacity: number): void {
    this.buckets = new Int32Array(capacity * 2)
    this.bySource = new Int32Array(capacity)
    for (let slot = 0; slot < this.used; slot++) {
      const status = this.rows[slot * ENTRY_STRIDE + E_STATUS]
      if ((status & IPS_FREE) !== 0) continue
      if ((status & IPS_CONFIRMED) !== 0) {
        this.link(slot, 0)
        this.link(slot, 1)
      }
      if ((status & IPS_SRC_NAT_DONE) !== 0) this.linkBySource(slot)
    }
  }

  private bucketOf(row: number, direction: number): number {
    const rows = this.rows
    const tuple = row + direction * E_REPLY
    return hashTuple(rows[tuple], rows[tuple + E_DST], rows[tuple + E_PORTS], rows[row + E_PROTO]) & (this.buckets.length - 1)
  }

  protected link(slot: number, direction: number): void {
    const row = slot * ENTRY_STRIDE
    const bucket = this.bucketOf(row, direction)
    this.rows[row + E_NEXT + direction] = this.buckets[bucket]
    this.buckets[bucket] = ((slot << 1) | direction) + 1
  }

  private unlink(slot: number, direction: number): void {
    const rows = this.rows
    const row = slot * ENTRY_STRIDE
    const bucket = this.bucketOf(row, direction)
    const self = ((slot << 1) | direction) + 1
    const next = rows[row + E_NEXT + direction]
    let link = this.buckets[bucket]
    if (link === self) {
      this.buckets[bucket] = next
      return
    }
    while (link !== 0) {
      const at = ((link - 1) >> 1) * ENTRY_STRIDE + E_NEXT + ((link - 1) & 1)
      link = rows[at]
      if (link !== self) continue
      rows[at] = next
      return
    }
  }

  private sourceBucket(row: number): number {
    const rows = this.rows
    return hashTuple(rows[row], 0, rows[row + E_PORTS] >>> 16, rows[row + E_PROTO]) & (this.bySource.length - 1)
  }

  private unlinkBySource(slot: number): void {
    const rows = this.rows
    const row = slot * ENTRY_STRIDE
    const next = rows[row + E_NEXT_BY_SOURCE]
    const previous = rows[row + E_PREVIOUS_BY_SOURCE]
    if (next !== 0) rows[(next - 1) * ENTRY_STRIDE + E_PREVIOUS_BY_SOURCE] = previous
    if (previous !== 0) rows[(previous - 1) * ENTRY_STRIDE + E_NEXT_BY_SOURCE] = next
    else this.bySource[this.sourceBucket(row)] = next
  }
}

function grownInts(from: Int32Array, length: number): Int32Array<ArrayBuffer> {
  const to = new Int32Array(length)
  to.set(from)
  return to
}

function grownFloats(from: Float64Array, length: number): Float64Array<ArrayBuffer> {
  const to = new Float64Array(length)
  to.set(from)
  return to
}
