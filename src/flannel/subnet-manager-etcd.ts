/**
 * Leases in etcd: the keys under `<prefix>/subnets`, through the v2 API up to 0.17 and the v3 API since 0.18. From keys to
 * leases and events; from requests to keys.
 * Source: flannel pkg/subnet/etcd/{registry,local_manager}.go and subnet/etcdv2 of v0.10.0.
 */
import { formatCidr, type Cidr } from '../base/cidr.js'
import { DEFAULT_ETCD_PREFIX } from '../base/etcd-tree.js'
import type { Prng } from '../base/prng.js'
import { hasErrors, type Problem } from '../base/problem.js'
import { EtcdV2, EVENT_INDEX_CLEARED, isEtcdV2Error, NODE_EXISTS, type EtcdV2Node } from '../etcd/etcd-v2.js'
import { EtcdV3 } from '../etcd/etcd-v3.js'
import type { EtcdStore, StoreEvent } from '../etcd/store.js'
import { parseFlannelConfig, type FlannelConfig } from './config.js'
import { problemAt, type TextSource } from './go-json.js'
import {
  DEFAULT_RENEW_MARGIN_MINUTES,
  formatLeaseValue,
  LEASE_TTL_SECONDS,
  parseLeaseValue,
  parseSubnetKey,
  subnetKey,
  type Lease,
  type LeaseAttributes,
} from './lease.js'
import { allocate, sameSubnet } from './subnet-allocation.js'
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
  readonly version: string
  readonly prng: Prng
  /** Default `/coreos.com/network`. */
  readonly prefix?: string
  /** `--subnet-lease-renew-margin`, 1 to 1439, default 60. */
  readonly renewMarginMinutes?: number
}

/** A watch that can be cut and taken up again, as when etcd or the way to it was away. */
interface EtcdLeaseWatch extends LeaseWatch {
  disconnect(): void
  reconnect(): void
}

export class EtcdSubnetManager implements SubnetManager {
  private readonly store: EtcdStore
  private readonly api: LeaseApi
  private readonly version: string
  private readonly prng: Prng
  private readonly prefix: string
  private readonly renewMarginNs: number

  constructor(options: EtcdSubnetManagerOptions) {
    this.store = options.store
    this.version = options.version
    this.prng = options.prng
    this.prefix = options.prefix ?? DEFAULT_ETCD_PREFIX
    this.renewMarginNs = (options.renewMarginMinutes ?? DEFAULT_RENEW_MARGIN_MINUTES) * NS_PER_MINUTE
    this.api = atLeast(options.version, '0.18.0') ? new LeaseApiV3(options.store, this.prefix) : new LeaseApiV2(options.store, this.prefix)
  }

  readConfig(): { readonly config?: FlannelConfig; readonly problems: readonly Problem[] } {
    const source: TextSource = { file: 'etcd', line: 0, object: `${this.prefix}/config` }
    const text = this.api.readConfig()
    if (text !== undefined) return parseFlannelConfig(text, { version: this.version, manager: 'etcd', source })
    const hint =
      this.api.name === 'v3'
        ? `flannel ${this.version} reads the v3 API; what was written through the v2 API it does not see`
        : 'flannel waits until it is there'
    return { problems: [problemAt(source, 'flannel network configuration not found', hint)] }
  }

  list(): LeaseListing {
    return this.api.list()
  }

  tryAcquire(config: FlannelConfig, request: LeaseRequest, listing: LeaseListing): AcquireResult {
    const { attributes, previousSubnet } = request
    const fatal = atLeast(this.version, '0.5.6')
    const allocation = allocate({ leases: listing.leases, publicIp: attributes.publicIp, config, previousSubnet, version: this.version, prng: this.prng })
    for (const lease of allocation.delete) this.api.delete(lease.subnet)
    if (allocation.kind === 'failed') return { kind: 'failed', error: allocation.error, fatal }
    if (allocation.kind === 'update') {
      // A lease without an end is a reservation. Through the v3 API it shows an end one second ago, and so becomes a lease of 24 h.
      const ttl = allocation.lease.expiresNs === undefined ? 0 : LEASE_TTL_SECONDS
      return { kind: 'acquired', lease: this.write(allocation.lease.subnet, attributes, ttl), why: allocation.why }
    }
    const created = this.api.create(allocation.subnet, formatLeaseValue(attributes, this.version))
    if (created) return { kind: 'acquired', lease: this.leaseOf(allocation.subnet, attributes, LEASE_TTL_SECONDS), why: allocation.why }
    // Since 0.18.0 the test for a lost race looks for an error that create never returns.
    return { kind: 'conflict', error: `subnet ${formatCidr(allocation.subnet)} already exists`, fatal: atLeast(this.version, '0.18.0') }
  }

  /** Not a keep-alive: the key is written anew, and every watcher hears of it. */
  renew(lease: Lease): Lease | undefined {
    return this.write(lease.subnet, lease.attributes, LEASE_TTL_SECONDS)
  }

  renewDelayNs(lease: Lease): number {
    // A reservation's end is the zero time; the delay computed from it overflows to 292 years.
    return lease.expiresNs === undefined ? Infinity : Math.max(0, lease.expiresNs - this.store.nowNs - this.renewMarginNs)
  }

  watch(own: Lease, handlers: LeaseWatchHandlers): EtcdLeaseWatch {
    return new LeaseWatching(this.api, own.subnet, this.version, handlers)
  }

  private write(subnet: Cidr, attributes: LeaseAttributes, ttlSeconds: number): Lease {
    this.api.update(subnet, formatLeaseValue(attributes, this.version), ttlSeconds)
    return this.leaseOf(subnet, attributes, ttlSeconds)
  }

  private leaseOf(subnet: Cidr, attributes: LeaseAttributes, ttlSeconds: number): Lease {
    const end = ttlSeconds === 0 ? {} : { expiresNs: this.store.nowNs + ttlSeconds * NS_PER_SECOND }
    return { subnet, attributes, revision: this.store.revision, ...end }
  }
}

/** One change of a lease key, before it is known whose. */
interface KeyChange {
  readonly kind: 'added' | 'removed'
  readonly key: string
  readonly lease?: Lease
  readonly problems: readonly Problem[]
  readonly revision: number
}

interface LeaseApi {
  readonly name: 'v2' | 'v3'
  readConfig(): string | undefined
  list(): LeaseListing
  /** false when the key is there already. */
  create(subnet: Cidr, value: string): boolean
  /** @param ttlSeconds 0: for ever */
  update(subnet: Cidr, value: string, ttlSeconds: number): void
  delete(subnet: Cidr): void
  /** All changes after the revision. @returns the way to stop */
  follow(afterRevision: number, onChange: (change: KeyChange) => void, onLost: () => void): () => void
}

class LeaseApiV3 implements LeaseApi {
  readonly name = 'v3'
  private readonly etcd: EtcdV3
  private readonly prefix: string

  constructor(store: EtcdStore, prefix: string) {
    this.etcd = new EtcdV3(store)
    this.prefix = prefix
  }

  readConfig(): string | undefined {
    return this.etcd.get(`${this.prefix}/config`)?.value
  }

  list(): LeaseListing {
    // No slash at the end: that is how flannel asks.
    const range = this.etcd.range(`${this.prefix}/subnets`)
    const read = range.values.map((found) => readLease(found.key, found.value, this.expiry(found.lease), found.modRevision))
    return { leases: read.flatMap((one) => one.lease ?? []), revision: range.revision, problems: read.flatMap((one) => one.problems) }
  }

  create(subnet: Cidr, value: string): boolean {
    const key = subnetKey(this.prefix, subnet)
    const lease = this.etcd.grant(LEASE_TTL_SECONDS)
    const result = this.etcd.transaction({ compare: [{ key, target: 'version', result: '=', operand: 0 }], then: [{ kind: 'put', key, value, lease }] })
    const succeeded = !('error' in result) && result.succeeded
    if (!succeeded) this.etcd.revoke(lease)
    return succeeded
  }

  update(subnet: Cidr, value: string, ttlSeconds: number): void {
    this.etcd.put(subnetKey(this.prefix, subnet), value, this.etcd.grant(ttlSeconds))
  }

  delete(subnet: Cidr): void {
    this.etcd.delete(subnetKey(this.prefix, subnet))
  }

  follow(afterRevision: number, onChange: (change: KeyChange) => void, onLost: () => void): () => void {
    const onEvent = (event: StoreEvent): void => {
      const { key, value, lease } = event.current
      if (event.type === 'delete') onChange({ kind: 'removed', ...readRemoval(key, event.revision) })
      else onChange({ kind: 'added', key, revision: event.revision, ...readLease(key, value, this.expiry(lease), event.revision) })
    }
    return this.etcd.watch(`${this.prefix}/subnets`, { prefix: true, fromRevision: afterRevision + 1, onEvent, onCompacted: onLost })
  }

  private expiry(lease: number): number {
    return this.etcd.store.nowNs + this.etcd.timeToLive(lease).ttl * NS_PER_SECOND
  }
}

class LeaseApiV2 implements LeaseApi {
  readonly name = 'v2'
  private readonly etcd: EtcdV2
  private readonly prefix: string

  constructor(store: EtcdStore, prefix: string) {
    this.etcd = new EtcdV2(store)
    this.prefix = prefix
  }

  readConfig(): string | undefined {
    const result = this.etcd.get(`${this.prefix}/config`)
    return isEtcdV2Error(result) ? undefined : result.node.value
  }

  list(): LeaseListing {
    const result = this.etcd.get(`${this.prefix}/subnets`, { recursive: true })
    const revision = this.etcd.store.revision
    if (isEtcdV2Error(result)) return { leases: [], revision, problems: [] }
    const read = (result.node.nodes ?? []).filter((node) => node.dir !== true).map((node) => this.readNode(node))
    return { leases: read.flatMap((one) => one.lease ?? []), revision, problems: read.flatMap((one) => one.problems) }
  }

  create(subnet: Cidr, value: string): boolean {
    const result = this.etcd.set(subnetKey(this.prefix, subnet), value, { prevExist: false, ttl: LEASE_TTL_SECONDS })
    return !(isEtcdV2Error(result) && result.errorCode === NODE_EXISTS)
  }

  update(subnet: Cidr, value: string, ttlSeconds: number): void {
    this.etcd.set(subnetKey(this.prefix, subnet), value, { ttl: ttlSeconds })
  }

  delete(subnet: Cidr): void {
    this.etcd.delete(subnetKey(this.prefix, subnet))
  }

  /** One long poll after the other; those that are answered at once run in this loop. */
  follow(afterRevision: number, onChange: (change: KeyChange) => void, onLost: () => void): () => void {
    let after = afterRevision
    let stopped = false
    let giveUp = (): void => undefined
    const poll = (): void => {
      for (let answeredAtOnce = true; answeredAtOnce && !stopped;) {
        answeredAtOnce = false
        let returned = false
        giveUp = this.etcd.wait(`${this.prefix}/subnets`, { recursive: true, afterIndex: after }, (result) => {
          if (stopped) return
          if (isEtcdV2Error(result)) {
            stopped = true
            if (result.errorCode === EVENT_INDEX_CLEARED) onLost()
            return
          }
          const { node } = result
          after = node.modifiedIndex
          const removed = result.action === 'delete' || result.action === 'expire' || result.action === 'compareAndDelete'
          if (node.dir !== true) {
            onChange(removed ? { kind: 'removed', ...readRemoval(node.key, after) } : { kind: 'added', key: node.key, revision: after, ...this.readNode(node) })
          }
          if (returned) poll()
          else answeredAtOnce = true
        })
        returned = true
      }
    }
    poll()
    return () => {
      stopped = true
      giveUp()
    }
  }

  private readNode(node: EtcdV2Node): { readonly lease?: Lease; readonly problems: readonly Problem[] } {
    const end = node.ttl === undefined ? undefined : this.etcd.store.nowNs + node.ttl * NS_PER_SECOND
    return readLease(node.key, node.value ?? '', end, node.modifiedIndex)
  }
}

/** Listing, then following; own key apart from the others. */
class LeaseWatching implements EtcdLeaseWatch {
  private readonly api: LeaseApi
  private readonly own: Cidr
  private readonly version: string
  private readonly handlers: LeaseWatchHandlers
  private readonly tracker: LeaseTracker
  private revision = 0
  private stop: () => void = () => undefined

  constructor(api: LeaseApi, own: Cidr, version: string, handlers: LeaseWatchHandlers) {
    this.api = api
    this.own = own
    this.version = version
    this.handlers = handlers
    this.tracker = new LeaseTracker(own, version)
    this.relist()
  }

  close(): void {
    this.stop()
  }

  disconnect(): void {
    this.stop()
  }

  reconnect(): void {
    this.follow()
  }

  private relist(): void {
    const listing = this.api.list()
    this.revision = listing.revision
    this.tell(listing.problems)
    const own = listing.leases.find((lease) => sameSubnet(lease.subnet, this.own))
    const events = this.tracker.reset(listing.leases)
    if (events.length > 0) this.handlers.onEvents(events)
    if (own === undefined) this.handlers.onRevoked?.()
    else this.follow()
  }

  private follow(): void {
    this.stop = this.api.follow(
      this.revision,
      (change) => this.changed(change),
      () => this.lost(),
    )
  }

  /** What the watch needed was compacted away (v3) or fell out of the last 1000 events (v2). */
  private lost(): void {
    if (this.api.name === 'v2' || atLeast(this.version, '0.28.6')) {
      this.relist()
      return
    }
    const source = { file: 'etcd', line: 0, object: 'watch' }
    const what = `revision ${this.revision + 1} is compacted; flannel ${this.version} asks for it again for ever and learns of no further lease`
    this.tell([problemAt(source, what, 'restart flanneld, or use 0.28.6 or newer', 'warning')])
  }

  private changed(change: KeyChange): void {
    this.revision = change.revision
    this.tell(change.problems)
    if (change.lease === undefined) return
    if (sameSubnet(change.lease.subnet, this.own)) {
      if (change.kind === 'removed') this.handlers.onRevoked?.()
      else this.handlers.onOwnLease?.(change.lease)
      return
    }
    const events = this.tracker.update({ kind: change.kind, lease: change.lease })
    if (events.length > 0) this.handlers.onEvents(events)
  }

  private tell(problems: readonly Problem[]): void {
    if (problems.length > 0) this.handlers.onProblems?.(problems)
  }
}

function readLease(
  key: string,
  value: string,
  expiresNs: number | undefined,
  revision: number,
): { readonly lease?: Lease; readonly problems: readonly Problem[] } {
  const source: TextSource = { file: 'etcd', line: 0, object: key }
  const parsed = parseSubnetKey(key)
  if (parsed === undefined) return { problems: [problemAt(source, 'the key names no subnet', 'flannel skips it; a lease is named 10.1.15.0-24', 'warning')] }
  const { attributes, problems } = parseLeaseValue(value, source)
  const ipv6 = parsed.ipv6 ? [problemAt(source, 'the IPv6 half of the lease is not modelled', '', 'warning')] : []
  if (attributes === undefined || hasErrors(problems)) return { problems: [...problems, ...ipv6] }
  return { lease: { subnet: parsed.subnet, attributes, revision, ...(expiresNs === undefined ? {} : { expiresNs }) }, problems: [...problems, ...ipv6] }
}

/** A delete event has no value: the lease is bare. */
function readRemoval(key: string, revision: number): Omit<KeyChange, 'kind'> {
  const parsed = parseSubnetKey(key)
  const lease = parsed === undefined ? {} : { lease: { subnet: parsed.subnet, attributes: { publicIp: 0, backendType: '' }, revision } }
  return { key, revision, problems: [], ...lease }
}
