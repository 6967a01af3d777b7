/**
 * Leases in etcd: the keys under `<prefix>/subnets`, through the v2 API up to 0.17 and the v3 API since 0.18. From keys to
 * leases and events; from requests to keys.
 * Source: flannel pkg/subnet/etcd/{registry,local_manager}.go and subnet/etcdv2 of v0.10.0.
 */
import { formatCidr, type Cidr } from '../base/cidr.js'
import { DEFAULT_ETCD_PREFIX } from '../base/etcd-tree.js'
import type { Prng } from '../base/prng.js'
import type { Problem } from '../base/problem.js'
import type { EtcdStore } from '../etcd/store.js'
import { parseFlannelConfig, type FlannelConfig } from './config.js'
import { EtcdLeases } from './etcd-leases.js'
import { problemAt, type TextSource } from './go-json.js'
import { DEFAULT_RENEW_MARGIN_MINUTES, formatLeaseValue, LEASE_TTL_SECONDS, type Lease, type LeaseAttributes, type LeaseEvent } from './lease.js'
import { KnownLeases, type LeaseChange, type LeaseFollower } from './lease-feed.js'
import { allocate, sameSubnet, subnetId } from './subnet-allocation.js'
import {
  LeaseTracker,
  type AcquireResult,
  type LeaseListing,
  type LeaseRequest,
  type LeaseWatch,
  type LeaseWatchHandlers,
  type SubnetManager,
} from './subnet-manager.js'
import { atLeast } from './version.js'

const NS_PER_SECOND = 1e9
const NS_PER_MINUTE = 60e9

interface EtcdSubnetManagerOptions {
  readonly store: EtcdStore
  /** Of that store, prefix and version's API, where several managers share one reading of it. */
  readonly leases?: EtcdLeases
  readonly version: string
  readonly prng: Prng
  /** Default `/coreos.com/network`. */
  readonly prefix?: string
  /** `--subnet-lease-renew-margin`, 1 to 1439, default 60. */
  readonly renewMarginMinutes?: number
  /** Whole seconds, default 24 h. */
  readonly ttlSeconds?: number
}

export class EtcdSubnetManager implements SubnetManager {
  private readonly store: EtcdStore
  private readonly leases: EtcdLeases
  private readonly version: string
  private readonly prng: Prng
  private readonly prefix: string
  private readonly renewMarginNs: number
  private readonly ttlSeconds: number

  constructor(options: EtcdSubnetManagerOptions) {
    this.store = options.store
    this.version = options.version
    this.prng = options.prng
    this.prefix = options.prefix ?? DEFAULT_ETCD_PREFIX
    this.renewMarginNs = (options.renewMarginMinutes ?? DEFAULT_RENEW_MARGIN_MINUTES) * NS_PER_MINUTE
    this.ttlSeconds = options.ttlSeconds ?? LEASE_TTL_SECONDS
    this.leases = options.leases ?? new EtcdLeases(options.store, options.version, this.prefix)
  }

  readConfig(): { readonly config?: FlannelConfig; readonly problems: readonly Problem[] } {
    const source: TextSource = { file: 'etcd', line: 0, object: `${this.prefix}/config` }
    const text = this.leases.readConfig()
    if (text !== undefined) return parseFlannelConfig(text, { version: this.version, manager: 'etcd', source })
    const hint =
      this.leases.api === 'v3'
        ? `flannel ${this.version} reads the v3 API; what was written through the v2 API it does not see`
        : 'flannel waits until it is there'
    return { problems: [problemAt(source, 'flannel network configuration not found', hint)] }
  }

  list(): LeaseListing {
    return this.leases.list()
  }

  tryAcquire(config: FlannelConfig, request: LeaseRequest, listing: LeaseListing): AcquireResult {
    const { attributes, previousSubnet } = request
    const fatal = atLeast(this.version, '0.5.6')
    const allocation = allocate({ leases: listing.leases, publicIp: attributes.publicIp, config, previousSubnet, version: this.version, prng: this.prng })
    for (const lease of allocation.delete) this.leases.delete(lease.subnet)
    if (allocation.kind === 'failed') return { kind: 'failed', error: allocation.error, fatal }
    if (allocation.kind === 'update') {
      // A lease without an end is a reservation. Through the v3 API it shows an end one second ago, and so becomes a lease of 24 h.
      const ttl = allocation.lease.expiresNs === undefined ? 0 : this.ttlSeconds
      return { kind: 'acquired', lease: this.write(allocation.lease.subnet, attributes, ttl), why: allocation.why }
    }
    const created = this.leases.create(allocation.subnet, formatLeaseValue(attributes, this.version), this.ttlSeconds)
    if (created) return { kind: 'acquired', lease: this.leaseOf(allocation.subnet, attributes, this.ttlSeconds), why: allocation.why }
    // Since 0.18.0 the test for a lost race looks for an error that create never returns.
    return { kind: 'conflict', error: `subnet ${formatCidr(allocation.subnet)} already exists`, fatal: atLeast(this.version, '0.18.0') }
  }

  /** Not a keep-alive: the key is written anew, and every watcher hears of it. */
  renew(lease: Lease): Lease | undefined {
    return this.write(lease.subnet, lease.attributes, this.ttlSeconds)
  }

  renewDelayNs(lease: Lease): number {
    // A reservation's end is the zero time; the delay computed from it overflows to 292 years.
    return lease.expiresNs === undefined ? Infinity : Math.max(0, lease.expiresNs - this.store.nowNs - this.renewMarginNs)
  }

  watch(own: Lease, handlers: LeaseWatchHandlers): LeaseWatch {
    return new LeaseWatching(this.leases, own.subnet, this.version, handlers)
  }

  private write(subnet: Cidr, attributes: LeaseAttributes, ttlSeconds: number): Lease {
    this.leases.update(subnet, formatLeaseValue(attributes, this.version), ttlSeconds)
    return this.leaseOf(subnet, attributes, ttlSeconds)
  }

  private leaseOf(subnet: Cidr, attributes: LeaseAttributes, ttlSeconds: number): Lease {
    const end = ttlSeconds === 0 ? {} : { expiresNs: this.store.nowNs + ttlSeconds * NS_PER_SECOND }
    return { subnet, attributes, revision: this.store.revision, ...end }
  }
}

/** Listing, then following; own key apart from the others. */
class LeaseWatching implements LeaseWatch, LeaseFollower {
  heardTo = 0
  follows = false
  listens = true
  readonly ownId: number
  private readonly leases: EtcdLeases
  private readonly own: Cidr
  private readonly version: string
  private readonly handlers: LeaseWatchHandlers
  /** What it began with, and the first change after that. */
  private base: readonly Lease[] = []
  private from = 0
  /** Kept apart only once a second listing came: until then it knows what all do who began at that time. */
  private tracker: LeaseTracker | undefined
  /** Of the listing that it began with. */
  private listedRevision = 0

  constructor(leases: EtcdLeases, own: Cidr, version: string, handlers: LeaseWatchHandlers) {
    this.leases = leases
    this.own = own
    this.ownId = subnetId(own)
    this.version = version
    this.handlers = handlers
    const listing = leases.list()
    this.startAt(listing, listing.leases)
    const added = listing.added ?? []
    this.listed(
      listing,
      added.filter(({ lease }) => !sameSubnet(lease.subnet, own)),
    )
  }

  get position(): number {
    return this.follows ? Math.max(this.heardTo, this.leases.feed.delivered) : this.heardTo
  }

  get isPlain(): boolean {
    return this.tracker === undefined
  }

  /** Of what it has heard last. */
  private get revision(): number {
    const { position } = this
    return position === this.from ? this.listedRevision : this.leases.feed.changes[position - 1].revision
  }

  close(): void {
    this.listens = false
    this.leases.feed.leave(this)
  }

  reconnect(): void {
    if (this.listens) return
    this.listens = true
    this.follow()
  }

  known(): KnownLeases {
    return new KnownLeases(this.own, this.base, { changes: this.leases.feed.changes, from: this.from, to: this.position })
  }

  rebase(): void {
    if (this.tracker !== undefined || this.position !== this.leases.feed.changes.length) return
    const listing = this.leases.list()
    this.startAt(listing, listing.leases)
  }

  hear(change: LeaseChange): void {
    if (change.problems.length > 0) this.tell(change.problems)
    if (change.lease === undefined) return
    if (change.id === this.ownId) {
      if (change.kind === 'removed') this.handlers.onRevoked?.()
      else this.handlers.onOwnLease?.(change.lease)
      return
    }
    const events = this.tracker === undefined ? change.events : this.tracker.update({ kind: change.kind, lease: change.lease })
    if (events.length > 0) this.handlers.onEvents(events, this)
  }

  private startAt(listing: LeaseListing, base: readonly Lease[]): void {
    this.base = base
    this.listedRevision = listing.revision
    this.from = this.leases.feed.changes.length
    this.heardTo = this.from
  }

  private listed(listing: LeaseListing, events: readonly LeaseEvent[]): void {
    this.tell(listing.problems)
    if (events.length > 0) this.handlers.onEvents(events, this)
    if (!listing.leases.some((lease) => sameSubnet(lease.subnet, this.own))) this.handlers.onRevoked?.()
    else if (this.listens) this.follow()
  }

  /** What changed in the gap shows as subnets that came or went; the attributes of the others stay as they were told. */
  private relist(): void {
    const told = new Map(
      this.known()
        .leases()
        .map((lease) => [subnetId(lease.subnet), lease]),
    )
    const own = this.base.filter((lease) => sameSubnet(lease.subnet, this.own))
    this.tracker ??= new LeaseTracker(this.own, this.version, [...own, ...told.values()])
    const listing = this.leases.list()
    const events = this.tracker.reset(listing.leases)
    for (const { kind, lease } of events) {
      if (kind === 'added') told.set(subnetId(lease.subnet), lease)
      else told.delete(subnetId(lease.subnet))
    }
    this.startAt(listing, [...own, ...told.values()])
    this.listed(listing, events)
  }

  private follow(): void {
    if (this.leases.hasLost(this.revision)) this.lost()
    else this.leases.feed.follow(this)
  }

  /** What the watch needed was compacted away (v3) or fell out of the last 1000 events (v2). */
  private lost(): void {
    if (this.leases.api === 'v2' || atLeast(this.version, '0.28.6')) {
      this.relist()
      return
    }
    this.listens = false
    const source = { file: 'etcd', line: 0, object: 'watch' }
    const what = `revision ${this.revision + 1} is compacted; flannel ${this.version} asks for it again for ever and learns of no further lease`
    this.tell([problemAt(source, what, 'restart flanneld, or use 0.28.6 or newer', 'warning')])
  }

  private tell(problems: readonly Problem[]): void {
    if (problems.length > 0) this.handlers.onProblems?.(problems)
  }
}
