/**
 * What a daemon tells its peers of its table (nest/rt-table.c rt_notify_basic, rt_notify_any). Peers with the same export rules are offered the same of a
 * route, so that it is worked out once for all of them.
 */
import { compareIp } from '../../base/ip.js'
import { attributesKey, type PathAttributes } from './attributes.js'
import { exportAttributes, mayPass, type Exchange } from './exchange.js'
import type { BirdFlavour } from './flavour.js'
import type { BirdRoute } from './route.js'
import type { Change, Net } from './route-table.js'
import type { BgpSession } from './session.js'
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
  private readonly speaker: Speaker

  constructor(speaker: Speaker) {
    this.speaker = speaker
  }

  /** Filters or sessions are others. */
  reset(): void {
    this.told = new WeakMap()
    this.passesOn = this.speaker.sessions.some((session) => session.reflects || !session.internal)
  }

  announce(change: Change): void {
    const { net, before, after, bestBefore } = change
    if (!this.passesOn && isOfOwnAs(before) && isOfOwnAs(after) && isOfOwnAs(bestBefore) && isOfOwnAs(net.routes.at(0))) return
    for (const session of this.speaker.sessions) {
      if (session.phase !== 'up' || session.exportWaits) continue
      if (session.rules.addPathSend) this.tell(session, before, after)
      else if (net.routes.at(0) !== bestBefore) this.tell(session, bestBefore, net.routes.at(0))
    }
  }

  private tell(session: BgpSession, before: BirdRoute | undefined, after: BirdRoute | undefined): void {
    const attributes = after === undefined ? undefined : this.offered(session, after)
    if (after !== undefined && attributes !== undefined) this.say(session, after, attributes)
    else if (before !== undefined && this.offered(session, before) !== undefined) session.announcements.withdraw(this.pathOf(session, before))
    else return
    session.kick()
  }

  /** All of the table, or what a changed filter makes of it. */
  feed(session: BgpSession, nets: readonly Net[], { initial }: { readonly initial: boolean }): void {
    for (const net of nets) {
      for (const route of session.rules.addPathSend ? net.routes : net.routes.slice(0, 1)) {
        const attributes = this.offered(session, route)
        if (attributes !== undefined) this.say(session, route, attributes)
        // a refeed does not know what the old filter let out
        else if (!initial) session.announcements.withdraw(this.pathOf(session, route))
      }
    }
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
    if (!mayPass(this.speaker, session, route)) return undefined
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
    const sorted = sorts ? { ...attributes, clusterList: attributes.clusterList.toSorted(compareIp) } : attributes
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
    const told: Told = { path: new SharedPath(route.prefix, this.pathIdOf(route)), plain: new SharedPath(route.prefix, 0), offers: [] }
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
