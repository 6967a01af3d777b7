/**
 * A route between BIRD's table and a peer: loops, next hop, reflection, filters (proto/bgp/attrs.c bgp_import_control, bgp_create_attrs, bgp_update_attrs,
 * bgp_decode_attrs; packets.c bgp_set_next_hop). RFC 4271 sections 5 and 9, RFC 4456.
 */
import type { Ip } from '../../base/ip.js'
import { countAs, prependAs, type PathAttributes } from './attributes.js'
import type { BirdConfig, PeerConfig } from './config.js'
import { originated, runExport, runImport } from './filter.js'
import type { PathPrefix } from './message.js'
import type { Commons } from './commons.js'
import type { Resolution } from './resolution.js'
import { PREFERENCE, sameDestination, type BirdRoute } from './route.js'
import type { RouteTable } from './route-table.js'
import type { BgpSession } from './session.js'
import { SharedPath } from './shared-path.js'

const NO_EXPORT = 0xffffff01
const NO_ADVERTISE = 0xffffff02
const NO_EXPORT_SUBCONFED = 0xffffff03
const DEFAULT_LOCAL_PREFERENCE = 100

export interface Exchange {
  readonly config: BirdConfig
  readonly routerId: Ip
  readonly table: RouteTable
  readonly commons: Commons
  /** By the protocol's name. */
  sessionNamed(protocol: string): BgpSession | undefined
  readonly timers: { readonly nowNs: number }
  deviceTo(address: Ip): string | undefined
}

/** What the peer said, as a route, shared with other daemons that take the same of the same message; undefined: not taken, and what stood in its place goes. */
export function importRoute(bird: Exchange, session: BgpSession, path: PathPrefix, attributes: PathAttributes): BirdRoute | undefined {
  if (attributes.originatorId === bird.routerId) return undefined
  return (path instanceof SharedPath ? alreadyTaken(bird, session, path, attributes) : undefined) ?? imported(bird, session, path, attributes)
}

/** As another daemon took it, where this one would make the same of it. */
function alreadyTaken(bird: Exchange, session: BgpSession, { taken }: SharedPath, received: PathAttributes): BirdRoute | undefined {
  if (taken?.received !== received || taken.kind !== importKindOf(bird, session) || taken.origin !== session.origin) return undefined
  const { route, hop } = taken
  if (route.changedNs !== bird.timers.nowNs) return undefined
  const { destination, igpMetric } = bird.table.resolve(hop)
  return route.bgp?.igpMetric === igpMetric && sameDestination(route.destination, destination) ? route : undefined
}

/** Sessions of one number take the same of the same, but for loops to the daemon itself. */
function importKindOf({ config, commons }: Exchange, session: BgpSession): number {
  if (session.importKind >= 0) return session.importKind
  const { localAs, remoteAs, allowLocalAs, clusterId, filters } = session.config
  const rules = filters.map((name) => config.bgpFilters.find((candidate) => candidate.name === name)?.importV4)
  const kind = commons.kind(JSON.stringify(['import', localAs, remoteAs, allowLocalAs, clusterId, rules, config.exports?.normalPriority]))
  session.importKind = kind
  return kind
}

function imported(bird: Exchange, session: BgpSession, path: PathPrefix, attributes: PathAttributes): BirdRoute | undefined {
  const peer = session.config
  if (isLoop(peer, attributes)) return undefined
  const localPreference = (session.internal ? attributes.localPreference : undefined) ?? DEFAULT_LOCAL_PREFERENCE
  const given = localPreference === attributes.localPreference ? attributes : { ...attributes, localPreference }
  const taken = runImport(bird.config, peer, { prefix: path.prefix, fromBgp: true, attributes: given, preference: PREFERENCE.bgp })
  if (taken === undefined) return undefined
  const hop = bird.commons.nextHop(taken.attributes.nextHop)
  const route = routeOf(session, path, { ...taken, ...bird.table.resolve(hop), nowNs: bird.timers.nowNs })
  if (path instanceof SharedPath) path.taken = { route, received: attributes, origin: session.origin, kind: importKindOf(bird, session), hop }
  return route
}

interface Facts extends Resolution {
  readonly attributes: PathAttributes
  readonly preference: number
  readonly nowNs: number
}

function routeOf({ origin }: BgpSession, { prefix, pathId }: PathPrefix, { attributes, preference, destination, igpMetric, nowNs }: Facts): BirdRoute {
  const { protocol, from, peerId, internal, remoteAs } = origin
  const bgp = { attributes, from, peerId, internal, remoteAs, igpMetric, stale: false }
  return { prefix, protocol, kind: 'bgp', source: pathId, preference, destination, bgp, changedNs: nowNs }
}

/** The cluster list counts on sessions to clients only: two reflectors of one cluster keep each other's copies. */
function isLoop(peer: PeerConfig, attributes: PathAttributes): boolean {
  return (
    countAs(attributes.asPath, peer.localAs) > peer.allowLocalAs ||
    (peer.clusterId !== undefined && (attributes.clusterList?.includes(peer.clusterId) ?? false))
  )
}

/** Not back to where it came from, and from one peer of the own AS to another by a reflector only. */
export function mayPass(bird: Exchange, session: BgpSession, route: BirdRoute): boolean {
  return route.protocol !== session.config.name && passesToKind(bird, session, route)
}

/** To whoever of the session's kind did not bring it. */
export function passesToKind(bird: Exchange, session: BgpSession, route: BirdRoute): boolean {
  if (route.bgp === undefined) return true
  const source = bird.sessionNamed(route.protocol)
  if (source === undefined) return false
  return session.reflects || source.reflects || !areInternal(session, source)
}

function areInternal(session: BgpSession, source: BgpSession): boolean {
  return session.config.localAs === source.config.localAs && session.internal && source.internal
}

/** What the session is told of a route that may pass; undefined: nothing. */
export function exportAttributes(bird: Exchange, session: BgpSession, route: BirdRoute): PathAttributes | undefined {
  const offered = route.bgp === undefined ? ownAttributes(session, route) : passedOn(bird, session, route, route.bgp.attributes)
  if (offered === undefined) return undefined
  const device = route.destination.kind === 'device' || route.destination.kind === 'router' ? route.destination.device : undefined
  const filtered = runExport(bird.config, session.config, {
    prefix: route.prefix,
    fromBgp: route.kind === 'bgp',
    ...(device === undefined ? {} : { device }),
    ...(route.kernel === undefined ? {} : { metric: route.kernel.metric }),
    attributes: offered,
    preference: route.preference,
  })
  return filtered?.attributes
}

/** A route that BGP did not bring: the gateway is the next hop for peers of the own AS, else this node. */
function ownAttributes(session: BgpSession, route: BirdRoute): PathAttributes {
  const { config } = session
  const gateway = route.destination.kind === 'router' && (session.internal || config.nextHop === 'keep') ? route.destination.gateway : undefined
  const nextHop = config.nextHop === 'self' || gateway === undefined ? session.sourceAddress : gateway
  return originated(nextHop, session.internal ? [] : [{ set: false, asNumbers: [config.localAs] }])
}

function passedOn(bird: Exchange, session: BgpSession, route: BirdRoute, attributes: PathAttributes): PathAttributes | undefined {
  const { config } = session
  const source = bird.sessionNamed(route.protocol)
  if (source === undefined) return undefined
  if (config.clusterId !== undefined && (attributes.clusterList?.includes(config.clusterId) ?? false)) return undefined
  if (stopsHere(attributes, session.internal)) return undefined
  const path = session.internal ? attributes.asPath : prependAs(attributes.asPath, config.localAs)
  const med = attributes.med === undefined ? {} : { med: session.internal ? attributes.med : 0 }
  const passed: PathAttributes = { ...attributes, ...med, asPath: path, nextHop: nextHopFor(bird, { session, source }, route, attributes.nextHop) }
  return areInternal(session, source) ? reflected(passed, session, source) : passed
}

interface Way {
  readonly session: BgpSession
  /** Where the route came from. */
  readonly source: BgpSession
}

function nextHopFor(bird: Exchange, { session, source }: Way, route: BirdRoute, nextHop: Ip): Ip {
  const { config } = session
  if (config.nextHop === 'self' || (config.nextHop === 'self ebgp' && !source.internal)) return session.sourceAddress
  if (config.nextHop === 'keep' || (session.internal && nextHop !== 0)) return nextHop
  const shared = !session.multihop && route.destination.kind === 'router' && bird.deviceTo(config.neighbour) === route.destination.device
  return shared ? nextHop : session.sourceAddress
}

function reflected(attributes: PathAttributes, session: BgpSession, source: BgpSession): PathAttributes {
  const entering = source.config.clusterId ?? session.config.clusterId
  const leaving = session.config.clusterId
  const added = [
    ...(source.reflects && leaving !== undefined && source.config.clusterId !== leaving ? [leaving] : []),
    ...(entering === undefined ? [] : [entering]),
  ]
  return { ...attributes, originatorId: attributes.originatorId ?? source.remoteId, clusterList: [...added, ...(attributes.clusterList ?? [])] }
}

/** Well-known communities (RFC 1997). */
function stopsHere(attributes: PathAttributes, internal: boolean): boolean {
  const communities = attributes.communities ?? []
  return communities.includes(NO_ADVERTISE) || (!internal && (communities.includes(NO_EXPORT) || communities.includes(NO_EXPORT_SUBCONFED)))
}
