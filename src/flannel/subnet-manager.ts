/**
 * What flanneld asks of a subnet manager, and the set of known leases between a manager's watch and flanneld's backends.
 * Two managers (subnet-manager-etcd.ts, subnet-manager-kubernetes.ts) tell the same LeaseEvents.
 * Source: flannel pkg/subnet/subnet.go, pkg/lease/lease.go (LeaseWatcher).
 */
import type { Cidr } from '../base/cidr.js'
import type { Mac } from '../base/mac.js'
import type { Problem } from '../base/problem.js'
import type { FlannelConfig } from './config.js'
import type { Lease, LeaseAttributes, LeaseEvent } from './lease.js'
import type { KnownLeases } from './lease-feed.js'
import { sameSubnet, subnetId } from './subnet-allocation.js'
import { atLeast } from './version.js'

export interface LeaseRequest {
  readonly attributes: LeaseAttributes
  /** What subnet.env of the last run says. */
  readonly previousSubnet?: Cidr
}

export type AcquireResult =
  | { readonly kind: 'acquired'; readonly lease: Lease; readonly why: string }
  /** Somebody else made the key first. `fatal`: flanneld of this version does not try again. */
  | { readonly kind: 'conflict'; readonly error: string; readonly fatal: boolean }
  | { readonly kind: 'failed'; readonly error: string; readonly fatal: boolean }

export interface LeaseListing {
  /** In the order of their keys. */
  readonly leases: readonly Lease[]
  /** The state that this is; a watch goes on after it. */
  readonly revision: number
  /** Of every lease, in that order; the manager makes it where it can be shared. */
  readonly added?: readonly LeaseEvent[]
  readonly problems: readonly Problem[]
}

export interface LeaseWatchHandlers {
  /** Events of other nodes' leases, as the backends get them: a first batch at once, then one per change. */
  readonly onEvents: (events: readonly LeaseEvent[], watch: LeaseWatch) => void
  /** The own lease was written (by a renewal or by hand). */
  readonly onOwnLease?: (lease: Lease) => void
  /** The own lease is gone: flanneld ends itself. */
  readonly onRevoked?: () => void
  readonly onProblems?: (problems: readonly Problem[]) => void
}

/** Can be cut and taken up again, as when the datastore or the way to it was away. */
export interface LeaseWatch {
  /** How many changes of its feed it has heard, or need not hear. */
  readonly position: number
  /** It hears nothing until `reconnect`. */
  close(): void
  reconnect(): void
  /** What onEvents has told by now, or would have told where LeaseFeed.passesOver did not care. */
  known(): KnownLeases
  /** From now on in the order of a listing of now, as of one who began to watch after all others. */
  rebase(): void
}

export interface SubnetManager {
  readConfig(): { readonly config?: FlannelConfig; readonly problems: readonly Problem[] }
  list(): LeaseListing
  /** One try, decided on a listing that may be out of date by now: that is how races are lost. */
  tryAcquire(config: FlannelConfig, request: LeaseRequest, listing: LeaseListing): AcquireResult
  /** undefined when it failed. */
  renew(lease: Lease): Lease | undefined
  /** Nanoseconds until the lease is to be renewed, at least 0; Infinity: never. */
  renewDelayNs(lease: Lease): number
  watch(own: Lease, handlers: LeaseWatchHandlers): LeaseWatch
  /** The lease that the node has already, where it is not known by its PublicIP alone. */
  standing?(): Lease | undefined
  /** The VtepMAC that an earlier run published and that this one takes up again; etcd's manager never does. */
  storedMac?(): Mac | undefined
}

/** Tries in all when creates are lost to others. */
export const RACE_RETRIES = 10

/** Listing and trying without a pause between them: nobody can come in between, so a conflict shows only another client's key. */
export function acquire(manager: SubnetManager, config: FlannelConfig, request: LeaseRequest): AcquireResult {
  for (let attempt = 0; attempt < RACE_RETRIES; attempt++) {
    const result = manager.tryAcquire(config, request, manager.list())
    if (result.kind !== 'conflict' || result.fatal) return result
  }
  return { kind: 'failed', error: 'max retries reached trying to acquire a subnet', fatal: true }
}

/** The leases that flanneld knows of; turns listings and changes into events. */
export class LeaseTracker {
  private readonly own: Cidr
  private readonly version: string
  /** In the order in which they were learnt. */
  private known = new Map<number, Lease>()

  /** @param known what it has heard of, the own one among them, where it does not begin */
  constructor(own: Cidr, version: string, known: readonly Lease[] = []) {
    this.own = own
    this.version = version
    for (const lease of known) this.known.set(subnetId(lease.subnet), lease)
  }

  /** A whole listing. Compares subnets only: a lease whose attributes changed meanwhile gives no event. */
  reset(listing: readonly Lease[]): LeaseEvent[] {
    const events: LeaseEvent[] = []
    const vanished = this.known
    for (const lease of listing) {
      if (sameSubnet(lease.subnet, this.own)) continue
      if (!vanished.delete(subnetId(lease.subnet))) events.push({ kind: 'added', lease })
    }
    for (const lease of vanished.values()) {
      // Since 0.22.0 the own lease, which a listing holds too, is "removed" by the next listing.
      if (sameSubnet(lease.subnet, this.own) && !atLeast(this.version, '0.22.0')) continue
      events.push({ kind: 'removed', lease })
    }
    this.known = new Map(listing.map((lease) => [subnetId(lease.subnet), lease]))
    return events
  }

  /** One change. A removal carries the lease as it was known, so that its MAC and PublicIP can be taken away too. */
  update(event: LeaseEvent): LeaseEvent[] {
    const { kind, lease } = event
    if (sameSubnet(lease.subnet, this.own)) return []
    const id = subnetId(lease.subnet)
    const stored = this.known.get(id)
    if (kind === 'added') this.known.set(id, lease)
    else this.known.delete(id)
    return [kind === 'added' ? event : { kind, lease: stored ?? lease }]
  }
}
