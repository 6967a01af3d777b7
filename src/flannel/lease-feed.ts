/**
 * What happens to the leases of one datastore, each change read once however many flannelds watch it: a watcher holds no more than how far it has
 * read, and its own list of leases is made when somebody looks at it.
 *
 *   etcd's keys, Node objects ─▶ changes ─▶ after the watch's delay ─▶ each follower, in the order in which they began
 */
import type { Cidr } from '../base/cidr.js'
import type { Problem } from '../base/problem.js'
import type { Lease, LeaseEvent } from './lease.js'
import { sameSubnet, subnetId } from './subnet-allocation.js'

export interface LeaseChange {
  readonly kind: 'added' | 'removed'
  /** Absent: no lease can be read from it; it is told as a Problem and no more. */
  readonly lease?: Lease
  readonly problems: readonly Problem[]
  /** 0 where the datastore has none. */
  readonly revision: number
  /** What somebody who has heard all there was gets to hear; a removal carries the lease as it was. */
  readonly events: readonly LeaseEvent[]
}

export interface LeaseFollower {
  /** How many changes it has heard, or need not hear. */
  position: number
  /** false: it hears nothing. */
  readonly listens: boolean
  /** Its own lease's: a change of it is told even to one who dozes. */
  readonly ownId: number
  hear(change: LeaseChange): void
}

/** Calls back after the delay of the watch. */
export type Delivery = (deliver: () => void) => void

export class LeaseFeed {
  readonly changes: LeaseChange[] = []
  private readonly followers = new Set<LeaseFollower>()
  /** Who is told only when it asks, by own lease. Thousands that hear of every change one by one is what takes the time. */
  private readonly dozing = new Map<number, Set<LeaseFollower>>()
  /** How many changes a follower has been told by now. */
  private delivered = 0
  /** By subnet, as it was heard of last. */
  private readonly last = new Map<number, Lease>()
  private readonly delivery: Delivery

  constructor(delivery: Delivery = (deliver) => deliver()) {
    this.delivery = delivery
  }

  /** What was there before the first change. */
  prime(leases: readonly Lease[]): void {
    for (const lease of leases) this.last.set(subnetId(lease.subnet), lease)
  }

  append(change: Omit<LeaseChange, 'events'>): void {
    this.changes.push({ ...change, events: this.eventsOf(change) })
    const to = this.changes.length
    this.delivery(() => this.deliver(to))
  }

  follow(follower: LeaseFollower): void {
    this.followers.add(follower)
    this.tell(follower, this.changes.length)
  }

  leave(follower: LeaseFollower): void {
    this.followers.delete(follower)
    this.dozing.get(follower.ownId)?.delete(follower)
  }

  /** Until `wake` it is told of its own lease alone. */
  doze(follower: LeaseFollower): void {
    if (!this.followers.delete(follower)) return
    const those = this.dozing.get(follower.ownId) ?? new Set()
    this.dozing.set(follower.ownId, those.add(follower))
  }

  /** Tells what it would have been told. */
  wake(follower: LeaseFollower): void {
    if (this.dozing.get(follower.ownId)?.delete(follower) !== true) return
    this.followers.add(follower)
    this.tell(follower, this.delivered)
  }

  private eventsOf({ kind, lease }: Omit<LeaseChange, 'events'>): readonly LeaseEvent[] {
    if (lease === undefined) return []
    const id = subnetId(lease.subnet)
    const stored = this.last.get(id)
    if (kind === 'added') this.last.set(id, lease)
    else this.last.delete(id)
    if (kind === 'removed') return [{ kind, lease: stored ?? lease }]
    const renewal = stored !== undefined && JSON.stringify(stored.attributes) === JSON.stringify(lease.attributes)
    return [{ kind, lease, ...(renewal ? { renewal } : {}) }]
  }

  private deliver(to: number): void {
    const from = this.delivered
    this.delivered = Math.max(from, to)
    for (let at = from; at < to; at++) {
      const { lease } = this.changes[at]
      const owners = lease === undefined ? undefined : this.dozing.get(subnetId(lease.subnet))
      if (owners !== undefined) for (const owner of [...owners]) this.wake(owner)
    }
    for (const follower of this.followers) this.tell(follower, to)
  }

  private tell(follower: LeaseFollower, to: number): void {
    while (follower.position < to && follower.listens) follower.hear(this.changes[follower.position++])
  }
}

/** Leases of others as a watcher has been told of them: a picture of one moment, made when it is looked at. */
export class KnownLeases {
  private readonly own: Cidr
  /** What it began with, in that order. */
  private readonly base: readonly Lease[]
  private readonly changes: readonly LeaseChange[]
  private readonly from: number
  private readonly to: number

  constructor(own: Cidr, base: readonly Lease[], heard: { readonly changes: readonly LeaseChange[]; readonly from: number; readonly to: number }) {
    this.own = own
    this.base = base
    this.changes = heard.changes
    this.from = heard.from
    this.to = heard.to
  }

  /** In the order in which they were learnt. */
  leases(): readonly Lease[] {
    const known = new Map<number, Lease>()
    for (const lease of this.base) if (!sameSubnet(lease.subnet, this.own)) known.set(subnetId(lease.subnet), lease)
    for (let at = this.from; at < this.to; at++) {
      const { kind, lease } = this.changes[at]
      if (lease === undefined || sameSubnet(lease.subnet, this.own)) continue
      if (kind === 'added') known.set(subnetId(lease.subnet), lease)
      else known.delete(subnetId(lease.subnet))
    }
    return [...known.values()]
  }
}
