/**
 * What a session still has to say. Most of it is what all peers of its kind are told: of that it keeps from where on it has not been said, and makes buckets
 * of its own (buckets.ts) only where what it is told differs by more than what is left out.
 */
import type { PathAttributes } from './attributes.js'
import { Buckets } from './buckets.js'
import type { PeerConfig } from './config.js'
import type { SessionRules, UpdateMessage } from './message.js'
import { FeedRun, replay, type OfferLog, type SharedFeed } from './shared-feed.js'
import type { SharedPath } from './shared-path.js'

export class Announcements {
  private readonly peer: PeerConfig
  private own: Buckets | undefined
  /** All of the table, and how far it is with that. */
  private feed: SharedFeed | undefined
  private fed = 0
  private log: OfferLog | undefined
  /** What it has not said begins there in the log. */
  private from = 0

  constructor(peer: PeerConfig) {
    this.peer = peer
  }

  /** Nothing waits. @param feed all that there is to say @returns false: it must be told apart */
  begin(feed: SharedFeed): boolean {
    if (!feed.suits(this.peer)) return false
    this.feed = feed
    this.fed = 0
    return true
  }

  /** The last of a log is for this peer too. */
  follow(log: OfferLog): void {
    if (this.log === log) return
    if (this.log !== undefined) this.unfold()
    this.log = log
    this.from = log.end - 1
  }

  /** From where on it needs the log; undefined: it does not. */
  needs(log: OfferLog): number | undefined {
    return this.log === log ? this.from : undefined
  }

  announce(path: SharedPath, attributes: PathAttributes): void {
    this.unfold().announce(path, attributes)
  }

  withdraw(path: SharedPath): void {
    this.unfold().withdraw(path)
  }

  clear(): void {
    this.own = this.feed = this.log = undefined
  }

  /** The next stretch of what others are told too; undefined: no more of that. */
  nextRun(rules: SessionRules): FeedRun | undefined {
    if (this.log !== undefined) this.fold(this.log, rules)
    const { feed } = this
    if (feed === undefined) return undefined
    const { length } = feed.updates
    let from = this.fed
    while (from < length && feed.isKeptFrom(from, this.peer)) from++
    let to = from
    while (to < length && !feed.isKeptFrom(to, this.peer)) to++
    this.fed = to
    if (to === length) this.feed = undefined
    return from === to ? undefined : new FeedRun(feed, from, to)
  }

  /** The next UPDATE of its own, once nothing else is left. */
  next(rules: SessionRules): UpdateMessage | undefined {
    return this.own?.next(rules)
  }

  /** What waits in the log becomes what is said next: as others say it if nothing else waits. */
  private fold(log: OfferLog, rules: SessionRules): void {
    const isFirst = this.feed === undefined && this.own?.isEmpty !== false
    const shared = isFirst ? log.since(this.from, rules) : undefined
    if (shared?.suits(this.peer) !== true) this.unfold()
    else {
      this.log = undefined
      this.feed = shared
      this.fed = 0
    }
  }

  /** A word on a prefix may replace an earlier one: all that waits stands for itself from here on. */
  private unfold(): Buckets {
    const own = (this.own ??= new Buckets())
    const { feed, log, fed, from, peer } = this
    this.feed = this.log = undefined
    feed?.unfold(fed, peer, own)
    if (log !== undefined) for (const offer of log.offers(from)) replay(offer, peer, own)
    return own
  }
}
