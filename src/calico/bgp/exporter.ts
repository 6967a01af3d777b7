/**
 * What a daemon tells its peers of its table (nest/rt-table.c rt_notify_basic, rt_notify_any). Peers with the same export rules are offered the same of a
 * route, so that it is worked out once for all of them.
 */
import { compareIp } from '../../base/ip.js'
import { attributesKey, type PathAttributes } from './attributes.js'
import { ExportGroup, LOG_MIN } from './export-group.js'
import { exportAttributes, mayPass, passesToKind, type Exchange } from './exchange.js'
import type { BirdFlavour } from './flavour.js'
import type { Change } from './net.js'
import type { BirdRoute } from './route.js'
import type { BgpSession } from './session.js'
import { SharedFeed, type Offer } from './shared-feed.js'
import { SharedPath } from './shared-path.js'

interface Speaker extends Exchange {
  readonly sessions: readonly BgpSession[]
  readonly flavour: BirdFlavour
}

/** Of one route. */
interface Told {
  readonly path: SharedPath
  /** For peers without ADD-PATH. */
  readonly plain: SharedPath
  /** By kind of session; null: it is kept from them. */
  readonly offers: (PathAttributes | null | undefined)[]
}

function isOfOwnAs(route: BirdRoute | undefined): boolean {
  return route === undefined || route.bgp?.internal === true
}

export class Exporter {
  private told = new WeakMap<BirdRoute, Told>()
  private readonly equal = new Map<string, PathAttributes>()
  private readonly kinds = new Map<string, number>()
  /** A path keeps its identifier as long as its protocol and number are the same (nest/rt-attr.c rte_src global_id). */
  private readonly pathIds = new Map<string, Map<number, number>>()
  private nextId = 1
  /** Some peer hears of what others of the own AS said. */
  private passesOn = false
  private readonly groups = new Map<number, ExportGroup>()
  /** Number of the change that is told. */
  private turn = 0
  private readonly speaker: Speaker

  constructor(speaker: Speaker) {
    this.speaker = speaker
  }

  /** Filters or sessions are others. */
  reset(): void {
    this.told = new WeakMap()
    for (const group of this.groups.values()) group.fedVersion = -1
    this.passesOn = this.speaker.sessions.some((session) => session.reflects || !session.internal)
  }

  announce(change: Change): void {
    const { net, before, after, bestBefore } = change
    const best = net.routes.at(0)
    if (!this.passesOn && isOfOwnAs(before) && isOfOwnAs(after) && isOfOwnAs(bestBefore) && isOfOwnAs(best)) return
    const turn = ++this.turn
    for (const session of this.speaker.sessions) {
      if (session.phase !== 'up' || session.exportWaits) continue
      const { addPathSend } = session.rules
      if (!addPathSend && best === bestBefore) continue
      const group = session.exportGroup ?? this.groupOf(session)
      if (group.turn !== turn) group.begin(turn, addPathSend ? before : bestBefore, addPathSend ? after : best)
      if (!this.concerns(session, group)) continue
      session.announcements.follow(group.log)
      session.kick()
    }
  }

  /** The group's log has what the session is told of the change, unless that is nothing. */
  private concerns(session: BgpSession, group: ExportGroup): boolean {
    const { before, after } = group
    const { name } = session.config
    if (after !== undefined && after.protocol !== name) {
      if (group.offerAfter === undefined) {
        group.offerAfter = this.passed(session, after) ?? null
        if (group.offerAfter !== null)
          this.offerOf(group).announced = { path: this.pathOf(session, after), attributes: group.offerAfter, protocol: after.protocol }
      }
      if (group.offerAfter !== null) return true
    }
    if (before === undefined || before.protocol === name) return false
    if (group.offerBefore === undefined) {
      group.offerBefore = this.passed(session, before) ?? null
      if (group.offerBefore !== null) this.offerOf(group).withdrawn = { path: this.pathOf(session, before), protocol: before.protocol }
    }
    return group.offerBefore !== null
  }

  /** Of the change that is told, in the log. */
  private offerOf(group: ExportGroup): Offer {
    if (group.offer === undefined) {
      if (group.log.length >= group.logMax) this.trim(group)
      group.offer = { withdrawsPeersOwn: this.speaker.flavour.withdrawsPeersOwn }
      group.log.add(group.offer)
    }
    return group.offer
  }

  /** Forgets what nobody needs any more. */
  private trim(group: ExportGroup): void {
    const { log } = group
    log.forget(this.speaker.sessions.reduce((least, { announcements }) => Math.min(least, announcements.needs(log) ?? least), log.end))
    group.logMax = Math.max(LOG_MIN, 2 * log.length)
  }

  private groupOf(session: BgpSession): ExportGroup {
    const { rules } = session
    const key = 4 * this.kindOf(session) + (rules.addPathSend ? 2 : 0) + (rules.as4 ? 1 : 0)
    let group = this.groups.get(key)
    if (group === undefined) {
      group = new ExportGroup()
      this.groups.set(key, group)
    }
    session.exportGroup = group
    return group
  }

  /** All of the table, or what a changed filter makes of it. */
  feed(session: BgpSession, { initial }: { readonly initial: boolean }): void {
    const shared = initial ? this.sharedFeed(session, session.exportGroup ?? this.groupOf(session)) : undefined
    if (shared !== undefined && session.announcements.begin(shared)) return
    for (const net of this.speaker.table.all()) {
      for (const route of session.rules.addPathSend ? net.routes : net.routes.slice(0, 1)) {
        const attributes = this.offered(session, route)
        if (attributes !== undefined) this.say(session, route, attributes)
        // a refeed does not know what the old filter let out
        else if (!initial) session.announcements.withdraw(this.pathOf(session, route))
      }
    }
  }

  /** From the second session on to which the same table is told; the first numbers the paths as it goes. */
  private sharedFeed(session: BgpSession, group: ExportGroup): SharedFeed | undefined {
    const { table } = this.speaker
    if (group.fedVersion === table.version) return (group.feed ??= new SharedFeed(this.offersOf(session), session.rules))
    group.fedVersion = table.version
    group.feed = undefined
    return undefined
  }

  private offersOf(session: BgpSession): Offer[] {
    const { withdrawsPeersOwn } = this.speaker.flavour
    const offers: Offer[] = []
    for (const net of this.speaker.table.all()) {
      for (const route of session.rules.addPathSend ? net.routes : net.routes.slice(0, 1)) {
        const attributes = this.passed(session, route)
        if (attributes === undefined) continue
        offers.push({ announced: { path: this.pathOf(session, route), attributes, protocol: route.protocol }, withdrawsPeersOwn })
      }
    }
    return offers
  }

  /** A peer is never sent to itself: BIRD 1 keeps such a route back, BIRD 2 withdraws it. */
  private say(session: BgpSession, route: BirdRoute, attributes: PathAttributes): void {
    if (attributes.nextHop !== session.config.neighbour) session.announcements.announce(this.pathOf(session, route), attributes)
    else if (this.speaker.flavour.withdrawsPeersOwn) session.announcements.withdraw(this.pathOf(session, route))
  }

  private pathOf(session: BgpSession, route: BirdRoute): SharedPath {
    const told = this.toldOf(route)
    return session.rules.addPathSend ? told.path : told.plain
  }

  private offered(session: BgpSession, route: BirdRoute): PathAttributes | undefined {
    return mayPass(this.speaker, session, route) ? this.offer(session, route) : undefined
  }

  /** To whoever of the session's kind did not bring it. */
  private passed(session: BgpSession, route: BirdRoute): PathAttributes | undefined {
    return passesToKind(this.speaker, session, route) ? this.offer(session, route) : undefined
  }

  private offer(session: BgpSession, route: BirdRoute): PathAttributes | undefined {
    const { offers } = this.toldOf(route)
    const kind = this.kindOf(session)
    const known = offers[kind]
    if (known !== undefined) return known ?? undefined
    const offer = this.work(session, route)
    offers[kind] = offer ?? null
    return offer
  }

  private work(session: BgpSession, route: BirdRoute): PathAttributes | undefined {
    const attributes = exportAttributes(this.speaker, session, route)
    if (attributes === undefined) return undefined
    const sorts = this.speaker.flavour.sortsClusterList && attributes.clusterList !== undefined
    const sorted = sorts
      ? {
          ...attributes,
          clusterList: attributes.clusterList.toSorted(compareIp),
        }
      : attributes
    const key = attributesKey(sorted)
    const equal = this.equal.get(key)
    if (equal === undefined) this.equal.set(key, sorted)
    return equal ?? sorted
  }

  /** Sessions of one number are offered the same of a route that none of them brought. */
  private kindOf(session: BgpSession): number {
    if (session.exportKind >= 0) return session.exportKind
    const { localAs, remoteAs, clusterId, nextHop, filters, neighbour } = session.config
    // the neighbour's network decides on the next hop, and the loop check on its own AS
    const far = session.internal ? '' : `${neighbour} ${session.multihop}`
    const key = JSON.stringify([localAs, remoteAs, clusterId, nextHop, filters, session.sourceAddress, far])
    const kind = this.kinds.get(key) ?? this.kinds.size
    this.kinds.set(key, kind)
    session.exportKind = kind
    return kind
  }

  private toldOf(route: BirdRoute): Told {
    const known = this.told.get(route)
    if (known !== undefined) return known
    const place = this.speaker.commons.place(route.prefix)
    const told: Told = { path: new SharedPath(place, this.pathIdOf(route)), plain: new SharedPath(place, 0), offers: [] }
    this.told.set(route, told)
    return told
  }

  private pathIdOf({ protocol, source }: BirdRoute): number {
    const ids = this.pathIds.get(protocol) ?? new Map<number, number>()
    this.pathIds.set(protocol, ids)
    const id = ids.get(source) ?? this.nextId++
    ids.set(source, id)
    return id
  }
}
