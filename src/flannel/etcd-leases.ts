/**
 * The keys under `<prefix>/subnets` of one etcd as leases, read once for all that ask: through the v2 API up to flannel 0.17, the v3 API since 0.18.
 * From keys to leases and changes; from requests to keys. Source: flannel pkg/subnet/etcd/registry.go and subnet/etcdv2 of v0.10.0.
 */
import type { Cidr } from '../base/cidr.js'
import { hasErrors, type Problem } from '../base/problem.js'
import { EtcdV2, HISTORY_LENGTH, isEtcdV2Error, NODE_EXISTS, normalized } from '../etcd/etcd-v2.js'
import { EtcdV3 } from '../etcd/etcd-v3.js'
import type { EtcdStore, KeyValue, StoreEvent } from '../etcd/store.js'
import { problemAt, type TextSource } from './go-json.js'
import { parseLeaseValue, parseSubnetKey, subnetKey, type Lease, type LeaseEvent } from './lease.js'
import { LeaseFeed, type Delivery } from './lease-feed.js'
import type { LeaseListing } from './subnet-manager.js'
import { atLeast } from './version.js'

const NS_PER_SECOND = 1e9

interface ReadLease {
  readonly lease?: Lease
  readonly problems: readonly Problem[]
}

export class EtcdLeases {
  readonly api: 'v2' | 'v3'
  readonly feed: LeaseFeed
  private readonly store: EtcdStore
  private readonly v2: EtcdV2
  private readonly v3: EtcdV3
  private readonly prefix: string
  /** What keys of leases begin with. */
  private readonly path: string
  /** Those that a listing finds and that are leases, in order; beside them, place by place, the leases and what a first batch tells of them. */
  private keys: string[] = []
  /** Copied before they change: listings hold them. */
  private leases: Lease[] = []
  private added: LeaseEvent[] = []
  /** By key. */
  private readonly faults = new Map<string, readonly Problem[]>()
  private revision = 0
  private leaseGeneration = -1
  private listing: LeaseListing | undefined

  /** @param delivery when watchers hear of a change; absent: at once */
  constructor(store: EtcdStore, version: string, prefix: string, delivery?: Delivery) {
    this.store = store
    this.v2 = new EtcdV2(store)
    this.v3 = new EtcdV3(store)
    this.api = atLeast(version, '0.18.0') ? 'v3' : 'v2'
    this.prefix = prefix
    // No slash at the end through v3: that is how flannel asks.
    this.path = this.api === 'v3' ? `${prefix}/subnets` : normalized(`${prefix}/subnets`)
    this.feed = new LeaseFeed(delivery)
    this.readAll()
    this.feed.prime(this.leases)
    store.watch({ prefix: this.path, onEvent: () => this.catchUp() })
  }

  readConfig(): string | undefined {
    if (this.api === 'v3') return this.v3.get(`${this.prefix}/config`)?.value
    const result = this.v2.get(`${this.prefix}/config`)
    return isEtcdV2Error(result) ? undefined : result.node.value
  }

  /** The same object until something changes. */
  list(): LeaseListing {
    this.catchUp()
    if (this.leaseGeneration !== this.store.leaseGeneration) this.readAll()
    if (this.listing?.revision !== this.store.revision) {
      const keys = [...this.faults.keys()].sort()
      const problems = keys.flatMap((key) => this.faults.get(key) ?? [])
      this.listing = { leases: this.leases, added: this.added, revision: this.store.revision, problems }
    }
    return this.listing
  }

  /** false when the key is there already. */
  create(subnet: Cidr, value: string, ttlSeconds: number): boolean {
    const key = subnetKey(this.prefix, subnet)
    if (this.api === 'v2') {
      const result = this.v2.set(key, value, { prevExist: false, ttl: ttlSeconds })
      return !(isEtcdV2Error(result) && result.errorCode === NODE_EXISTS)
    }
    const lease = this.v3.grant(ttlSeconds)
    const result = this.v3.transaction({ compare: [{ key, target: 'version', result: '=', operand: 0 }], then: [{ kind: 'put', key, value, lease }] })
    const succeeded = !('error' in result) && result.succeeded
    if (!succeeded) this.v3.revoke(lease)
    return succeeded
  }

  /** @param ttlSeconds 0: for ever */
  update(subnet: Cidr, value: string, ttlSeconds: number): void {
    const key = subnetKey(this.prefix, subnet)
    if (this.api === 'v2') this.v2.set(key, value, { ttl: ttlSeconds })
    else this.v3.put(key, value, this.v3.grant(ttlSeconds))
  }

  delete(subnet: Cidr): void {
    const key = subnetKey(this.prefix, subnet)
    if (this.api === 'v2') this.v2.delete(key)
    else this.v3.delete(key)
  }

  /** Can a watch not go on after the revision? Compacted away (v3), or no more among the last events (v2). */
  hasLost(revision: number): boolean {
    if (revision + 1 <= this.store.compactRevision) return true
    return this.api === 'v2' && this.store.countFrom(revision + 1) > HISTORY_LENGTH
  }

  private catchUp(): void {
    if (this.revision === this.store.revision) return
    const events = this.store.eventsFrom(this.revision + 1) ?? []
    this.revision = this.store.revision
    for (const event of events) if (event.current.key.startsWith(this.path)) this.changed(event)
  }

  private changed(event: StoreEvent): void {
    const { key } = event.current
    const removed = event.type === 'delete'
    const read = removed ? readRemoval(key, event.revision) : this.read(event.current)
    if (this.isListed(event.current)) this.enter(key, removed ? undefined : read)
    if (this.isHeard(event)) this.feed.append({ kind: removed ? 'removed' : 'added', revision: event.revision, ...read })
  }

  private enter(key: string, read: ReadLease | undefined): void {
    this.listing = undefined
    this.faults.delete(key)
    if (read !== undefined && read.problems.length > 0) this.faults.set(key, read.problems)
    const lease = read?.lease
    const at = this.placeOf(key)
    const known = this.keys[at] === key ? 1 : 0
    if (known === 0 && lease === undefined) return
    this.leases = this.leases.slice()
    this.added = this.added.slice()
    if (lease === undefined) {
      this.keys.splice(at, known)
      this.leases.splice(at, known)
      this.added.splice(at, known)
    } else {
      this.keys.splice(at, known, key)
      this.leases.splice(at, known, lease)
      this.added.splice(at, known, { kind: 'added', lease })
    }
  }

  private readAll(): void {
    this.keys = []
    this.leases = []
    this.added = []
    this.faults.clear()
    for (const found of this.store.range(this.path)) {
      if (!this.isListed(found)) continue
      const { lease, problems } = this.read(found)
      if (problems.length > 0) this.faults.set(found.key, problems)
      if (lease === undefined) continue
      this.keys.push(found.key)
      this.leases.push(lease)
      this.added.push({ kind: 'added', lease })
    }
    this.revision = this.store.revision
    this.leaseGeneration = this.store.leaseGeneration
    this.listing = undefined
  }

  /** v2 lists a directory, one level, without the names that it hides; v3 all that begins so. */
  private isListed({ key, directory }: KeyValue): boolean {
    if (directory || this.api === 'v3') return !directory
    const name = key.slice(this.path.length)
    return name.startsWith('/') && !name.startsWith('/_') && !name.includes('/', 1)
  }

  private isHeard({ current: { key, directory }, withDirectory }: StoreEvent): boolean {
    if (directory || this.api === 'v3') return !directory
    // What went with the directory above it is no event of its own.
    return withDirectory !== true && (key === this.path || key.startsWith(`${this.path}/`))
  }

  private read({ key, value, lease, modRevision }: KeyValue): ReadLease {
    return readLease(key, value, this.endOf(lease), modRevision)
  }

  /** A key without a lease shows through the v3 API an end one second ago (TimeToLive -1), through v2 none. */
  private endOf(lease: number): number | undefined {
    const end = this.store.lease(lease)?.expiresNs
    return end === undefined && this.api === 'v3' ? this.store.nowNs - NS_PER_SECOND : end
  }

  private placeOf(key: string): number {
    let low = 0
    let high = this.keys.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.keys[middle] < key) low = middle + 1
      else high = middle
    }
    return low
  }
}

function readLease(key: string, value: string, expiresNs: number | undefined, revision: number): ReadLease {
  const source: TextSource = { file: 'etcd', line: 0, object: key }
  const parsed = parseSubnetKey(key)
  if (parsed === undefined) return { problems: [problemAt(source, 'the key names no subnet', 'flannel skips it; a lease is named 10.1.15.0-24', 'warning')] }
  const { attributes, problems } = parseLeaseValue(value, source)
  const ipv6 = parsed.ipv6 ? [problemAt(source, 'the IPv6 half of the lease is not modelled', '', 'warning')] : []
  if (attributes === undefined || hasErrors(problems)) return { problems: [...problems, ...ipv6] }
  return { lease: { subnet: parsed.subnet, attributes, revision, ...(expiresNs === undefined ? {} : { expiresNs }) }, problems: [...problems, ...ipv6] }
}

/** A delete event has no value: the lease is bare. */
function readRemoval(key: string, revision: number): ReadLease {
  const parsed = parseSubnetKey(key)
  const lease = parsed === undefined ? {} : { lease: { subnet: parsed.subnet, attributes: { publicIp: 0, backendType: '' }, revision } }
  return { problems: [], ...lease }
}
