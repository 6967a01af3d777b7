/**
 * What a daemon tells all peers of one kind, as the UPDATEs in which it goes out: made once, read by each of them from the start, who leaves out what came from
 * himself. From exporter.ts over announcements.ts to the peer.
 */
import type { Ip } from '../../base/ip.js'
import type { PathAttributes } from './attributes.js'
import { Buckets } from './buckets.js'
import type { PeerConfig } from './config.js'
import type { SessionRules, UpdateMessage } from './message.js'
import { messageLength, segmentOf, type Segment } from './on-the-wire.js'
import { pathKey, type SharedPath } from './shared-path.js'

interface Announced {
  readonly path: SharedPath
  readonly attributes: PathAttributes
  /** Whoever brought it hears nothing of it. */
  readonly protocol: string
}

/** One change, as it is told to each: that this is the way now, else that what was is gone. */
export interface Offer {
  announced?: Announced
  withdrawn?: Omit<Announced, 'attributes'>
  /** A peer that is the next hop himself hears that it is gone. */
  readonly withdrawsPeersOwn: boolean
}

/** As it is told to one. */
export function replay({ announced, withdrawn, withdrawsPeersOwn }: Offer, peer: PeerConfig, into: Buckets): void {
  if (announced !== undefined && announced.protocol !== peer.name) {
    if (announced.attributes.nextHop !== peer.neighbour) into.announce(announced.path, announced.attributes)
    else if (withdrawsPeersOwn) into.withdraw(announced.path)
  } else if (withdrawn !== undefined && withdrawn.protocol !== peer.name) into.withdraw(withdrawn.path)
}

/** Offers as UPDATEs for a peer whom all of them concern. */
export class SharedFeed {
  readonly updates: UpdateMessage[] = []
  /** What the peer reads of each. */
  readonly segments: Segment[] = []
  /** Of each, bytes. */
  readonly lengths: number[] = []
  private readonly protocols: string[] = []
  private readonly nextHops: (Ip | undefined)[] = []
  /** Who must be told apart: to them it is not the same with something left out. */
  private readonly apart = new Apart()

  constructor(offers: readonly Offer[], rules: SessionRules) {
    const buckets = new Buckets()
    for (const offer of offers) {
      this.apart.note(offer)
      const { announced, withdrawn } = offer
      if (announced !== undefined) buckets.announce(announced.path, announced.attributes)
      else if (withdrawn !== undefined) buckets.withdraw(withdrawn.path)
    }
    for (let update = buckets.next(rules); update !== undefined; update = buckets.next(rules)) {
      this.updates.push(update)
      this.segments.push(segmentOf(update, rules))
      this.lengths.push(messageLength(update, rules))
      this.protocols.push(this.apart.protocolOf(update.attributes))
      this.nextHops.push(update.attributes?.nextHop)
    }
  }

  suits({ name, neighbour }: PeerConfig): boolean {
    return !this.apart.protocols.has(name) && !this.apart.nextHops.has(neighbour)
  }

  /** Of a peer whom it suits: what came from him is not told to him, nor that he himself is a next hop. */
  isKeptFrom(at: number, peer: PeerConfig): boolean {
    return this.protocols[at] === peer.name || this.nextHops[at] === peer.neighbour
  }

  /** What such a peer has not been told yet. @param from the UPDATE with which that begins */
  unfold(from: number, peer: PeerConfig, into: Buckets): void {
    for (let at = from; at < this.updates.length; at++) {
      const { withdrawn, attributes, reachable } = this.updates[at]
      if (this.isKeptFrom(at, peer)) continue
      for (const path of withdrawn) into.withdraw(path)
      if (attributes !== undefined) for (const path of reachable) into.announce(path, attributes)
    }
  }
}

/** Whom offers that become UPDATEs together concern in part. */
class Apart {
  readonly protocols = new Set<string>()
  readonly nextHops = new Set<Ip>()
  /** The first that touched a bucket, by its attributes, and a path. */
  private readonly buckets = new Map<PathAttributes | undefined, string>()
  private readonly paths = new Map<string, { readonly protocol: string; readonly nextHop: Ip | undefined }>()

  protocolOf(attributes: PathAttributes | undefined): string {
    return this.buckets.get(attributes) ?? ''
  }

  note({ announced, withdrawn, withdrawsPeersOwn }: Offer): void {
    // he who brought the new one hears that the old one is gone
    if (announced !== undefined && withdrawn !== undefined) this.protocols.add(announced.protocol)
    const said = announced ?? withdrawn
    if (said === undefined) return
    const { path, protocol } = said
    const attributes = announced?.attributes
    const nextHop = attributes?.nextHop
    if (withdrawsPeersOwn && nextHop !== undefined) this.nextHops.add(nextHop)
    const bucket = this.buckets.get(attributes)
    if (bucket === undefined) this.buckets.set(attributes, protocol)
    else if (bucket !== protocol) this.protocols.add(bucket).add(protocol)
    const key = pathKey(path)
    const first = this.paths.get(key)
    if (first === undefined) this.paths.set(key, { protocol, nextHop })
    else if (first.protocol !== protocol) this.protocols.add(first.protocol).add(protocol)
    if (first === undefined || first.nextHop === nextHop) return
    for (const one of [first.nextHop, nextHop]) if (one !== undefined) this.nextHops.add(one)
  }
}

/** A stretch of a feed, as it goes to one peer: one after the other, up to `to`. */
export class FeedRun {
  readonly feed: SharedFeed
  readonly from: number
  readonly to: number

  constructor(feed: SharedFeed, from: number, to: number) {
    this.feed = feed
    this.from = from
    this.to = to
  }
}

/** Stretches of which the UPDATEs are kept: peers that began to follow at different times. */
const KEPT_MAX = 8

/** Change after change, as all peers of a kind are told. Each of them knows how far he is. */
export class OfferLog {
  private readonly entries: Offer[] = []
  /** Before it all has been told to all. */
  private begin = 0
  private readonly feeds = new Map<number, SharedFeed>()

  get end(): number {
    return this.begin + this.entries.length
  }

  get length(): number {
    return this.entries.length
  }

  add(offer: Offer): void {
    this.entries.push(offer)
    this.feeds.clear()
  }

  /** @param from place in the log; what lies before it is needed no more */
  forget(from: number): void {
    this.entries.splice(0, from - this.begin)
    this.begin = from
  }

  offers(from: number): readonly Offer[] {
    return this.entries.slice(from - this.begin)
  }

  /** @param rules of all who follow this log */
  since(from: number, rules: SessionRules): SharedFeed {
    let feed = this.feeds.get(from)
    if (feed === undefined) {
      if (this.feeds.size === KEPT_MAX) this.feeds.clear()
      feed = new SharedFeed(this.offers(from), rules)
      this.feeds.set(from, feed)
    }
    return feed
  }
}
