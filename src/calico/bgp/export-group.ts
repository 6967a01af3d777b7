/** What a daemon tells the peers of one kind: from exporter.ts to announcements.ts of each. */
import type { PathAttributes } from './attributes.js'
import type { BirdRoute } from './route.js'
import { OfferLog, type Offer, type SharedFeed } from './shared-feed.js'

/** At so many entries a log is looked through for what all have been told. */
export const LOG_MIN = 256

/** Sessions that are offered the same, of a route that none of them brought, and say it in the same form. */
export class ExportGroup {
  readonly log = new OfferLog()
  logMax = LOG_MIN
  /** The table as it was when the last of them was fed, and what that one and those after it are told; undefined: one was. */
  fedVersion = -1
  feed: SharedFeed | undefined
  /** The change that is told, and what they are offered of it; undefined: nobody asked, null: it is kept from them. */
  turn = -1
  before: BirdRoute | undefined
  after: BirdRoute | undefined
  offerBefore: PathAttributes | null | undefined
  offerAfter: PathAttributes | null | undefined
  offer: Offer | undefined

  begin(turn: number, before: BirdRoute | undefined, after: BirdRoute | undefined): void {
    this.turn = turn
    this.before = before
    this.after = after
    this.offer = this.offerBefore = this.offerAfter = undefined
  }
}
