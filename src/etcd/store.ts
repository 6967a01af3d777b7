/**
 * What an etcd server holds, in memory: keys with revisions, leases in virtual time, the history that watches replay. Both
 * faces (etcd-v2.ts, etcd-v3.ts) are thin readings of this one store. A real server keeps the two APIs' keys apart; give
 * each face its own store to have that, or the same store where only the keys are known and not who wrote them.
 *
 *   etcd-v2 (tree, TTL) ─┐                      ┌─▶ watchers, in the order of their registration
 *                        ├─▶ commit (1 revision) ┤
 *   etcd-v3 (txn)       ─┘                      └─▶ history ◀── compact
 *
 * Source: etcd's mvcc and lease packages. Expiry is exact here; a real server looks every 500 ms.
 */
import { assert } from '../base/assert.js'

/** Virtual time. With the two methods (a Simulation) leases expire by themselves; without, the owner calls `expire()`. */
interface Clock {
  readonly nowNs: number
  register?(handler: (arg: number) => void): number
  schedule?(delayNs: number, handler: number, arg: number): void
}

export interface KeyValue {
  readonly key: string
  readonly value: string
  readonly createRevision: number
  readonly modRevision: number
  /** Number of writes since the key was created, 1 for a new key. */
  readonly version: number
  /** 0: none. */
  readonly lease: number
  /** A directory of the v2 tree; the v3 face does not see it. */
  readonly directory: boolean
}

export interface StoreEvent {
  readonly type: 'put' | 'delete'
  /** Why a key went: by request, or because its lease ended. */
  readonly reason: 'request' | 'expire'
  readonly revision: number
  /** What the face that wrote it calls it (v2: `set`, `compareAndSwap`, …); absent where it has no word for it. */
  readonly label?: string
  /** It went because the directory above it did. */
  readonly withDirectory?: boolean
  /** The key after a put; after a delete the key's name with the revision of its deletion. */
  readonly current: KeyValue
  readonly previous?: KeyValue
}

export type StoreOperation =
  /** `fresh`: createRevision and version start again even when the key exists (v2 `set`). */
  | { readonly kind: 'put'; readonly key: string; readonly value: string; readonly lease?: number; readonly fresh?: boolean; readonly directory?: boolean }
  | { readonly kind: 'delete'; readonly key: string; readonly withDirectory?: boolean }

interface StoreLease {
  readonly id: number
  readonly ttlNs: number
  readonly expiresNs: number
  readonly keys: ReadonlySet<string>
}

interface StoreWatch {
  /** All keys that begin with it. */
  readonly prefix: string
  readonly onEvent: (event: StoreEvent) => void
  /** The history that the watch needs is gone; the watch is closed. */
  readonly onCompacted?: (compactRevision: number) => void
}

interface MutableLease {
  id: number
  ttlNs: number
  expiresNs: number
  keys: Set<string>
}

export class EtcdStore {
  /** The revision of the last change; an empty store has 1, as etcd. */
  revision = 1
  /** Events up to this revision are forgotten. */
  compactRevision = 0
  /** Rises when the end of a lease is another. */
  leaseGeneration = 0
  /** The server is away: nothing expires. Who asks it nevertheless asks a disk. */
  halted = false
  private readonly clock: Clock
  private readonly values = new Map<string, KeyValue>()
  private readonly sortedKeys: string[] = []
  private history: StoreEvent[] = []
  private readonly leases = new Map<number, MutableLease>()
  private nextLease = 1
  /** With the first revision that each wants to hear of. */
  private readonly watches = new Map<StoreWatch, number>()
  private readonly undelivered: StoreEvent[] = []
  private delivering = false
  private readonly expiryHandler: number

  constructor(clock: Clock) {
    this.clock = clock
    this.expiryHandler = clock.register?.(() => this.expire()) ?? -1
  }

  get nowNs(): number {
    return this.clock.nowNs
  }

  get(key: string): KeyValue | undefined {
    return this.values.get(key)
  }

  /** Keys that begin with the prefix, in byte order. */
  range(prefix: string): KeyValue[] {
    const found: KeyValue[] = []
    for (let i = this.lowerBound(prefix); i < this.sortedKeys.length && this.sortedKeys[i].startsWith(prefix); i++) {
      found.push(this.values.get(this.sortedKeys[i]) as KeyValue)
    }
    return found
  }

  /** Applies all operations under one new revision and tells the watchers. Nothing changes (and no revision is spent) when there is nothing to do. */
  commit(operations: readonly StoreOperation[], note: { readonly reason?: StoreEvent['reason']; readonly label?: string } = {}): StoreEvent[] {
    const revision = this.revision + 1
    const events: StoreEvent[] = []
    for (const operation of operations) {
      const event = operation.kind === 'put' ? this.applyPut(operation, revision) : this.applyDelete(operation, revision)
      if (event !== undefined) events.push({ ...event, reason: note.reason ?? 'request', ...(note.label === undefined ? {} : { label: note.label }) })
    }
    if (events.length === 0) return events
    this.revision = revision
    for (const event of events) this.history.push(event)
    this.deliver(events)
    return events
  }

  /** Events after a revision, oldest first; undefined when some of them were compacted away. */
  eventsFrom(revision: number): readonly StoreEvent[] | undefined {
    return revision <= this.compactRevision ? undefined : this.history.slice(this.firstFrom(revision))
  }

  /** How many events there are from a revision on, of what is kept. */
  countFrom(revision: number): number {
    return this.history.length - this.firstFrom(revision)
  }

  /** Replays what happened from the revision on (0: from now on), then follows. @returns the way to close it */
  watch(watch: StoreWatch, fromRevision = 0): () => void {
    const missed = fromRevision > 0 ? this.eventsFrom(fromRevision) : []
    if (missed === undefined) {
      watch.onCompacted?.(this.compactRevision)
      return () => undefined
    }
    this.watches.set(watch, Math.max(this.revision + 1, fromRevision))
    this.inOrder(() => {
      for (const event of missed) if (this.watches.has(watch) && event.current.key.startsWith(watch.prefix)) watch.onEvent(event)
    })
    return () => {
      this.watches.delete(watch)
    }
  }

  /** Forgets the history up to and including the revision. Live watches are not touched: they are never behind. */
  compact(revision: number): void {
    assert(revision <= this.revision, 'compaction of a revision that is yet to come')
    if (revision <= this.compactRevision) return
    this.compactRevision = revision
    this.history = this.history.filter((event) => event.revision > revision)
  }

  grant(ttlNs: number, id?: number): number {
    assert(ttlNs > 0, 'the time to live of a lease is positive')
    while (this.leases.has(this.nextLease)) this.nextLease++
    const lease: MutableLease = { id: id ?? this.nextLease++, ttlNs, expiresNs: this.clock.nowNs + ttlNs, keys: new Set() }
    assert(!this.leases.has(lease.id), 'lease already exists')
    this.leases.set(lease.id, lease)
    this.scheduleExpiry(lease)
    return lease.id
  }

  lease(id: number): StoreLease | undefined {
    return this.leases.get(id)
  }

  /** Starts the lease's time to live again. */
  keepAlive(id: number): boolean {
    const lease = this.leases.get(id)
    if (lease === undefined) return false
    this.prolong(lease, lease.ttlNs)
    return true
  }

  /** The server's process ends; what it holds is on its disk. */
  halt(): void {
    this.halted = true
  }

  /**
   * The server is back. v3: a leader that is elected gives every lease its whole time to live again, and an election timeout more (lessor.go Promote,
   * without checkpoints of leases, as is the default). v2: the end of a key is a time of day (v2store Node.ExpireTime), and what has passed goes.
   */
  resume(api: 'v2' | 'v3', electionTimeoutNs: number): void {
    this.halted = false
    if (api === 'v3') for (const lease of this.leases.values()) this.prolong(lease, lease.ttlNs + electionTimeoutNs)
    this.expire()
  }

  /** Every lease has its whole time to live again. */
  prolongAll(): void {
    for (const lease of this.leases.values()) this.prolong(lease, lease.ttlNs)
  }

  /** Ends the lease and deletes its keys, all in one revision. */
  revoke(id: number, reason: StoreEvent['reason'] = 'request'): boolean {
    const lease = this.leases.get(id)
    if (lease === undefined) return false
    this.leases.delete(id)
    const deletions = [...lease.keys].sort().flatMap((key): StoreOperation[] => [...this.beneath(key), { kind: 'delete', key }])
    this.commit(deletions, { reason })
    return true
  }

  /** What goes with a key when it is a directory. */
  beneath(key: string): StoreOperation[] {
    if (this.values.get(key)?.directory === false) return []
    return this.range(`${key}/`).map((found) => ({ kind: 'delete', key: found.key, withDirectory: true }))
  }

  /** Ends every lease whose time has come, oldest first. A Simulation calls this by itself. */
  expire(): void {
    if (this.halted) return
    const due = [...this.leases.values()].filter((lease) => lease.expiresNs <= this.clock.nowNs)
    due.sort((a, b) => a.expiresNs - b.expiresNs || a.id - b.id)
    for (const lease of due) this.revoke(lease.id, 'expire')
  }

  private prolong(lease: MutableLease, ttlNs: number): void {
    lease.expiresNs = this.clock.nowNs + ttlNs
    this.leaseGeneration++
    this.scheduleExpiry(lease)
  }

  /** Index in the history. */
  private firstFrom(revision: number): number {
    let low = 0
    let high = this.history.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.history[middle].revision < revision) low = middle + 1
      else high = middle
    }
    return low
  }

  private scheduleExpiry(lease: MutableLease): void {
    this.clock.schedule?.(lease.expiresNs - this.clock.nowNs, this.expiryHandler, 0)
  }

  private applyPut(operation: Extract<StoreOperation, { kind: 'put' }>, revision: number): Omit<StoreEvent, 'reason'> {
    const previous = this.values.get(operation.key)
    const kept = operation.fresh === true ? undefined : previous
    const current: KeyValue = {
      key: operation.key,
      value: operation.value,
      createRevision: kept?.createRevision ?? revision,
      modRevision: revision,
      version: (kept?.version ?? 0) + 1,
      lease: operation.lease ?? 0,
      directory: operation.directory === true,
    }
    if (previous === undefined) this.sortedKeys.splice(this.lowerBound(operation.key), 0, operation.key)
    else this.leases.get(previous.lease)?.keys.delete(operation.key)
    this.values.set(operation.key, current)
    if (current.lease !== 0) {
      const lease = this.leases.get(current.lease)
      assert(lease !== undefined, `put with lease ${current.lease}, which does not exist`)
      lease.keys.add(operation.key)
    }
    return { type: 'put', revision, current, previous }
  }

  private applyDelete(operation: Extract<StoreOperation, { kind: 'delete' }>, revision: number): Omit<StoreEvent, 'reason'> | undefined {
    const { key } = operation
    const previous = this.values.get(key)
    if (previous === undefined) return undefined
    this.values.delete(key)
    this.sortedKeys.splice(this.lowerBound(key), 1)
    this.leases.get(previous.lease)?.keys.delete(key)
    const current: KeyValue = { key, value: '', createRevision: 0, modRevision: revision, version: 0, lease: 0, directory: previous.directory }
    return { type: 'delete', revision, current, previous, ...(operation.withDirectory === true ? { withDirectory: true } : {}) }
  }

  private deliver(events: readonly StoreEvent[]): void {
    this.undelivered.push(...events)
    this.inOrder(() => undefined)
  }

  /** What callbacks write meanwhile waits until every watcher has seen what came before. */
  private inOrder(first: () => void): void {
    if (this.delivering) return first()
    this.delivering = true
    try {
      first()
      for (let event = this.undelivered.shift(); event !== undefined; event = this.undelivered.shift()) this.tell(event)
    } finally {
      this.delivering = false
    }
  }

  private tell(event: StoreEvent): void {
    for (const [watch, from] of [...this.watches]) {
      if (event.revision >= from && this.watches.has(watch) && event.current.key.startsWith(watch.prefix)) watch.onEvent(event)
    }
  }

  private lowerBound(key: string): number {
    let low = 0
    let high = this.sortedKeys.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.sortedKeys[middle] < key) low = middle + 1
      else high = middle
    }
    return low
  }
}
