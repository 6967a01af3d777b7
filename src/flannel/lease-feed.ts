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
  /** subnetId of its subnet; -1: no lease can be read from it. */
  readonly id: number
  readonly problems: readonly Problem[]
  /** 0 where the datastore has none. */
  readonly revision: number
  /** What somebody who has heard all there was gets to hear; a removal carries the lease as it was. */
  readonly events: readonly LeaseEvent[]
}

export interface LeaseFollower {
  /** How many changes it has been told one by one, or need not hear; of a follower the feed's `delivered` counts where it is more. */
  heardTo: number
  /** The feed writes it. */
  follows: boolean
  /** false: it hears nothing. */
  readonly listens: boolean
  /** subnetId of its own lease. */
  readonly ownId: number
  /** Of others' leases it hears what all hear; false: it compares each change with what it knows itself. As long as it follows the one or the other. */
  readonly isPlain: boolean
  hear(change: LeaseChange): void
}

/**
 * Asked before a change is told: may it be passed over by followers to whom it would be an event of another's lease like all others? How many they are is
 * told, since nobody else counts them then.
 */
export type PassesOver = (change: LeaseChange, followers: number) => boolean

/** Calls back after the delay of the watch. */
export type Delivery = (deliver: () => void) => void

export class LeaseFeed {
  readonly changes: LeaseChange[] = []
  /** Thousands that hear of every change one by one is what takes the time. */
  passesOver: PassesOver | undefined
  /** How many changes a follower has been told by now. */
  delivered = 0
  private readonly followers = new Set<LeaseFollower>()
  private readonly byOwnId = new Map<number, Set<LeaseFollower>>()
  /** Of the followers, those that are not plain. */
  private readonly particular = new Set<LeaseFollower>()
  /** Of the followers, those who know already what is still on its way to the others. */
  private readonly ahead = new Set<LeaseFollower>()
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

  append(read: Omit<LeaseChange, 'events' | 'id'>): void {
    const change = { ...read, id: read.lease === undefined ? -1 : subnetId(read.lease.subnet) }
    this.changes.push({ ...change, events: this.eventsOf(change) })
    const to = this.changes.length
    this.delivery(() => this.deliver(to))
  }

  follow(follower: LeaseFollower): void {
    const { ownId } = follower
    if (follower.follows) return
    follower.follows = true
    this.followers.add(follower)
    this.byOwnId.set(ownId, (this.byOwnId.get(ownId) ?? new Set()).add(follower))
    if (!follower.isPlain) this.particular.add(follower)
    this.catchUp(follower, this.changes.length)
    if (follower.follows && follower.heardTo > this.delivered) this.ahead.add(follower)
  }

  leave(follower: LeaseFollower): void {
    if (!follower.follows) return
    follower.heardTo = Math.max(follower.heardTo, this.delivered)
    follower.follows = false
    this.followers.delete(follower)
    this.byOwnId.get(follower.ownId)?.delete(follower)
    this.particular.delete(follower)
    this.ahead.delete(follower)
  }

  private eventsOf({ kind, lease, id }: Omit<LeaseChange, 'events'>): readonly LeaseEvent[] {
    if (lease === undefined) return []
    const stored = this.last.get(id)
    if (kind === 'added') this.last.set(id, lease)
    else this.last.delete(id)
    if (kind === 'removed') return [{ kind, lease: stored ?? lease }]
    const renewal = stored !== undefined && JSON.stringify(stored.attributes) === JSON.stringify(lease.attributes)
    return [{ kind, lease, ...(renewal ? { renewal } : {}) }]
  }

  private deliver(to: number): void {
    while (this.delivered < to && this.isPassedOver(this.changes[this.delivered])) this.delivered++
    if (this.delivered < to) {
      for (const follower of this.followers) this.tell(follower, to)
      this.delivered = Math.max(this.delivered, to)
    }
    for (const follower of this.ahead) if (follower.heardTo <= this.delivered) this.ahead.delete(follower)
  }

  /** Whose lease it is hears of it in any case, and who is not plain. */
  private isPassedOver(change: LeaseChange): boolean {
    if (this.passesOver === undefined || change.problems.length > 0) return false
    const apart = new Set([...this.particular, ...(this.byOwnId.get(change.id) ?? []), ...this.ahead])
    if (!this.passesOver(change, this.followers.size - apart.size)) return false
    const to = this.delivered + 1
    for (const follower of apart) this.tell(follower, to)
    return true
  }

  private tell(follower: LeaseFollower, to: number): void {
    // What was passed over it knows.
    if (follower.heardTo < this.delivered) follower.heardTo = this.delivered
    this.catchUp(follower, to)
  }

  private catchUp(follower: LeaseFollower, to: number): void {
    while (follower.heardTo < to && follower.listens) follower.hear(this.changes[follower.heardTo++])
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
