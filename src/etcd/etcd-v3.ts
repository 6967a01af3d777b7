/**
 * etcd's v3 API on the store: put, range, transactions, leases, watches. From calls to commits of store.ts.
 * Source: etcd's rpc.proto and v3rpc.
 */
import type { EtcdStore, KeyValue, StoreEvent, StoreOperation } from './store.js'

const NS_PER_SECOND = 1e9
/** etcdserver/server.go minLeaseTTL: three halves of the election timeout of 1 s, in whole seconds. */
const MIN_TTL_SECONDS = 2

interface Compare {
  readonly key: string
  readonly target: 'version' | 'createRevision' | 'modRevision' | 'lease' | 'value'
  readonly result: '=' | '!=' | '<' | '>'
  /** Text for `value`, else a number. */
  readonly operand: number | string
}

type Operation =
  | { readonly kind: 'put'; readonly key: string; readonly value: string; /** 0 or absent: none */ readonly lease?: number }
  | { readonly kind: 'get'; readonly key: string; readonly prefix?: boolean }
  | { readonly kind: 'delete'; readonly key: string; readonly prefix?: boolean }

type OperationResult =
  | { readonly kind: 'put'; readonly previous?: KeyValue }
  | { readonly kind: 'get'; readonly values: readonly KeyValue[] }
  | { readonly kind: 'delete'; readonly deleted: number }

export interface Transaction {
  /** All must hold. */
  readonly compare: readonly Compare[]
  readonly then: readonly Operation[]
  readonly else?: readonly Operation[]
}

type EtcdV3Error =
  'requested lease not found' | 'duplicate key given in txn request' | 'required revision has been compacted' | 'required revision is a future revision'

interface Failure {
  readonly error: EtcdV3Error
}

interface TransactionResult {
  readonly succeeded: boolean
  readonly revision: number
  readonly results: readonly OperationResult[]
}

interface TimeToLive {
  readonly id: number
  /** Whole seconds that remain, rounded down; -1 for a lease that does not exist, which is what lease 0 ("none") gives. */
  readonly ttl: number
  readonly grantedTtl: number
  readonly keys: readonly string[]
}

interface WatchOptions {
  readonly prefix?: boolean
  /** The first revision wanted; absent: from now on. */
  readonly fromRevision?: number
  readonly onEvent: (event: StoreEvent) => void
  readonly onCompacted?: (compactRevision: number) => void
}

export class EtcdV3 {
  readonly store: EtcdStore

  constructor(store: EtcdStore) {
    this.store = store
  }

  /** @param ttlSeconds whole seconds; less than a server's least are as many @returns the id */
  grant(ttlSeconds: number): number {
    return this.store.grant(Math.max(MIN_TTL_SECONDS, ttlSeconds) * NS_PER_SECOND)
  }

  revoke(lease: number): Failure | undefined {
    return this.store.revoke(lease) ? undefined : { error: 'requested lease not found' }
  }

  keepAlive(lease: number): Failure | undefined {
    return this.store.keepAlive(lease) ? undefined : { error: 'requested lease not found' }
  }

  timeToLive(lease: number): TimeToLive {
    const found = this.store.lease(lease)
    if (found === undefined) return { id: lease, ttl: -1, grantedTtl: 0, keys: [] }
    const ttl = Math.floor((found.expiresNs - this.store.nowNs) / NS_PER_SECOND)
    return { id: lease, ttl, grantedTtl: found.ttlNs / NS_PER_SECOND, keys: [...found.keys].sort() }
  }

  put(key: string, value: string, lease = 0): Failure | { readonly revision: number } {
    const result = this.transaction({ compare: [], then: [{ kind: 'put', key, value, lease }] })
    return 'error' in result ? result : { revision: result.revision }
  }

  get(key: string): KeyValue | undefined {
    const found = this.store.get(key)
    return found?.directory === true ? undefined : found
  }

  /** All keys with the prefix, in byte order, and the revision that this is the state of. */
  range(prefix: string): { readonly revision: number; readonly values: readonly KeyValue[] } {
    return { revision: this.store.revision, values: this.store.range(prefix).filter((found) => !found.directory) }
  }

  /** @returns how many keys went */
  delete(key: string, options: { readonly prefix?: boolean } = {}): number {
    return this.store.commit(this.deletions(key, options.prefix === true)).length
  }

  transaction(transaction: Transaction): Failure | TransactionResult {
    // Both branches are checked, also the one that is not taken.
    if (writesTwice(transaction.then) || writesTwice(transaction.else ?? [])) return { error: 'duplicate key given in txn request' }
    const succeeded = transaction.compare.every((compare) => this.holds(compare))
    const operations = succeeded ? transaction.then : (transaction.else ?? [])
    const leaseless = operations.some(
      (operation) => operation.kind === 'put' && (operation.lease ?? 0) !== 0 && this.store.lease(operation.lease as number) === undefined,
    )
    if (leaseless) return { error: 'requested lease not found' }
    // Reads see the state that the operations before them left; all writes share one revision.
    const results: OperationResult[] = []
    const writes: StoreOperation[] = []
    const overlay = new Map<string, KeyValue | undefined>()
    for (const operation of operations) results.push(this.plan(operation, writes, overlay))
    this.store.commit(writes)
    return { succeeded, revision: this.store.revision, results }
  }

  /** @returns the way to close it */
  watch(key: string, options: WatchOptions): () => void {
    const wanted = (event: StoreEvent): void => {
      if (!event.current.directory && (options.prefix === true || event.current.key === key)) options.onEvent(event)
    }
    return this.store.watch({ prefix: key, onEvent: wanted, onCompacted: options.onCompacted }, options.fromRevision ?? 0)
  }

  compact(revision: number): Failure | undefined {
    if (revision > this.store.revision) return { error: 'required revision is a future revision' }
    if (revision <= this.store.compactRevision) return { error: 'required revision has been compacted' }
    this.store.compact(revision)
    return undefined
  }

  private plan(operation: Operation, writes: StoreOperation[], overlay: Map<string, KeyValue | undefined>): OperationResult {
    if (operation.kind === 'put') {
      const previous = overlay.has(operation.key) ? overlay.get(operation.key) : this.get(operation.key)
      const revision = this.store.revision + 1
      const { key, value, lease = 0 } = operation
      const version = (previous?.version ?? 0) + 1
      overlay.set(key, { key, value, lease, createRevision: previous?.createRevision ?? revision, modRevision: revision, version, directory: false })
      writes.push({ kind: 'put', key, value, lease })
      return { kind: 'put', previous }
    }
    const visible = this.overlaid(operation.key, operation.prefix === true, overlay)
    if (operation.kind === 'get') return { kind: 'get', values: visible }
    for (const found of visible) {
      overlay.set(found.key, undefined)
      writes.push({ kind: 'delete', key: found.key })
    }
    return { kind: 'delete', deleted: visible.length }
  }

  private overlaid(key: string, prefix: boolean, overlay: ReadonlyMap<string, KeyValue | undefined>): KeyValue[] {
    const wanted = (name: string): boolean => (prefix ? name.startsWith(key) : name === key)
    const stored = this.store.range(key).filter((found) => !found.directory && wanted(found.key) && !overlay.has(found.key))
    const planned = [...overlay].flatMap(([name, value]) => (value !== undefined && wanted(name) ? [value] : []))
    return [...stored, ...planned].sort((a, b) => (a.key < b.key ? -1 : 1))
  }

  private deletions(key: string, prefix: boolean): StoreOperation[] {
    const found = prefix ? this.range(key).values : [this.get(key)].filter((value) => value !== undefined)
    return found.map((value) => ({ kind: 'delete', key: value.key }))
  }

  private holds(compare: Compare): boolean {
    const found = this.get(compare.key)
    // A key that does not exist has version and revisions 0, and no value that any comparison could hold for.
    if (found === undefined && compare.target === 'value') return false
    const actual = found === undefined ? 0 : found[compare.target]
    if (compare.result === '=') return actual === compare.operand
    if (compare.result === '!=') return actual !== compare.operand
    return compare.result === '<' ? actual < compare.operand : actual > compare.operand
  }
}

/** One key put twice, or put and deleted. */
function writesTwice(operations: readonly Operation[]): boolean {
  const written = new Set<string>()
  for (const operation of operations) {
    if (operation.kind !== 'put') continue
    const { key } = operation
    const deleted = operations.some((other) => other.kind === 'delete' && (other.prefix === true ? key.startsWith(other.key) : key === other.key))
    if (written.has(key) || deleted) return true
    written.add(key)
  }
  return false
}
