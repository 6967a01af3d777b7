/**
 * A route between BIRD's table and a peer: loops, next hop, reflection, filters (proto/bgp/attrs.c bgp_import_control, bgp_create_attrs, bgp_update_attrs,
 * bgp_decode_attrs; packets.c bgp_set_next_hop). RFC 4271 sections 5 and 9, RFC 4456.
 */
import type { Ip } from '../../base/ip.js'
import { countAs, prependAs, type PathAttributes } from './attributes.js'
import type { BirdConfig, PeerConfig } from './config.js'
import { originated, runExport, runImport } from './filter.js'
import type { PathPrefix } from './message.js'
import { PREFERENCE, type BirdRoute } from './route.js'
import { sameDestination, type Resolution, type RouteTable } from './route-table.js'
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
  /** By the protocol's name. */
  sessionNamed(protocol: string): BgpSession | undefined
  readonly timers: { readonly nowNs: number }
  deviceTo(address: Ip): string | undefined
}

/** What the peer said, as a route, shared with other daemons that take the same of the same message; undefined: not taken, and what stood in its place goes. */
export function importRoute(bird: Exchange, session: BgpSession, path: PathPrefix, attributes: PathAttributes): BirdRoute | undefined {
  const peer = session.config
  if (isLoop(bird, peer, attributes)) return undefined
  const localPreference = (session.internal ? attributes.localPreference : undefined) ?? DEFAULT_LOCAL_PREFERENCE
  const given = localPreference === attributes.localPreference ? attributes : { ...attributes, localPreference }
  const taken = runImport(bird.config, peer, { prefix: path.prefix, fromBgp: true, attributes: given, preference: PREFERENCE.bgp })
  if (taken === undefined) return undefined
  const { destination, igpMetric } = bird.table.resolve(taken.attributes.nextHop)
  const shared = path instanceof SharedPath ? path.taken : undefined
  const facts: Taken = { attributes: taken.attributes, preference: taken.preference, destination, igpMetric, nowNs: bird.timers.nowNs }
  if (shared !== undefined && isTakenBy(shared, session, facts)) return shared
  const route = routeOf(session, path, facts)
  if (path instanceof SharedPath) path.taken = route
  return route
}

interface Taken extends Resolution {
  readonly attributes: PathAttributes
  readonly preference: number
  readonly nowNs: number
}

function isTakenBy(route: BirdRoute, session: BgpSession, { attributes, preference, destination, igpMetric, nowNs }: Taken): boolean {
  const { config, remoteId, internal } = session
  const { bgp } = route
  return (
    bgp?.attributes === attributes &&
    route.protocol === config.name &&
    bgp.from === config.neighbour &&
    bgp.peerId === remoteId &&
    bgp.internal === internal &&
    bgp.remoteAs === config.remoteAs &&
    bgp.igpMetric === igpMetric &&
    route.preference === preference &&
    route.changedNs === nowNs &&
    sameDestination(route.destination, destination)
  )
}

function routeOf(session: BgpSession, path: PathPrefix, { attributes, preference, destination, igpMetric, nowNs }: Taken): BirdRoute {
  const peer = session.config
  return {
    prefix: path.prefix,
    protocol: peer.name,
    kind: 'bgp',
    source: path.pathId,
    preference,
    destination,
    bgp: {
      attributes,
      from: peer.neighbour,
      peerId: session.remoteId,
      internal: session.internal,
      remoteAs: peer.remoteAs,
      igpMetric,
      stale: false,
    },
    changedNs: nowNs,
  }
}

/** The cluster list counts on sessions to clients only: two reflectors of one cluster keep each other's copies. */
function isLoop(bird: Exchange, peer: PeerConfig, attributes: PathAttributes): boolean {
  return (
    countAs(attributes.asPath, peer.localAs) > peer.allowLocalAs ||
    attributes.originatorId === bird.routerId ||
    (peer.clusterId !== undefined && (attributes.clusterList?.includes(peer.clusterId) ?? false))
  )
}

/** Not back to where it came from, and from one peer of the own AS to another by a reflector only. */
export function mayPass(bird: Exchange, session: BgpSession, route: BirdRoute): boolean {
  if (route.protocol === session.config.name) return false
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
