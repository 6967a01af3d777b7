/**
 * Which of two routes to one prefix is the better, and which may stand beside the best for equal-cost paths: RFC 4271 section 9.1.2, RFC 4456 section 9,
 * in the order of BIRD (nest/rt-table.c rte_better, proto/bgp/attrs.c bgp_rte_better, bgp_rte_mergable).
 */
import { compareIp } from '../../base/ip.js'
import { asPathLength, firstAs } from './attributes.js'
import { isReachable, type BgpFacts, type BirdRoute } from './route.js'

const DEFAULT_LOCAL_PREFERENCE = 100
/** Among protocols of one preference the one whose code lies higher in memory wins; only an order that stays is needed. */
const KIND_ORDER = ['direct', 'static', 'kernel', 'bgp'] as const

export function isBetter(candidate: BirdRoute, best: BirdRoute | undefined): boolean {
  if (best === undefined) return true
  if (candidate.preference !== best.preference) return candidate.preference > best.preference
  if (candidate.kind !== best.kind) return KIND_ORDER.indexOf(candidate.kind) > KIND_ORDER.indexOf(best.kind)
  if (candidate.bgp === undefined || best.bgp === undefined) return false
  return compareBgp(candidate, candidate.bgp, best, best.bgp) < 0
}

/** Negative: the first is the better. */
function compareBgp(a: BirdRoute, x: BgpFacts, b: BirdRoute, y: BgpFacts): number {
  const equalCost = compareCost(a, x, b, y)
  if (equalCost !== 0) return equalCost
  return (
    compareIp(x.attributes.originatorId ?? x.peerId, y.attributes.originatorId ?? y.peerId) ||
    (x.attributes.clusterList?.length ?? 0) - (y.attributes.clusterList?.length ?? 0) ||
    compareIp(x.from, y.from)
  )
}

function compareCost(a: BirdRoute, x: BgpFacts, b: BirdRoute, y: BgpFacts): number {
  const sameNeighbour = (firstAs(x.attributes.asPath) ?? x.remoteAs) === (firstAs(y.attributes.asPath) ?? y.remoteAs)
  return (
    Number(isReachable(b.destination)) - Number(isReachable(a.destination)) ||
    localPreference(y) - localPreference(x) ||
    asPathLength(x.attributes.asPath) - asPathLength(y.attributes.asPath) ||
    x.attributes.origin - y.attributes.origin ||
    (sameNeighbour ? (x.attributes.med ?? 0) - (y.attributes.med ?? 0) : 0) ||
    Number(x.internal) - Number(y.internal) ||
    x.igpMetric - y.igpMetric
  )
}

function localPreference(bgp: BgpFacts): number {
  return bgp.attributes.localPreference ?? DEFAULT_LOCAL_PREFERENCE
}

/** May `other` be one of several next hops beside `best`? */
export function mayMerge(best: BirdRoute, other: BirdRoute): boolean {
  if (best.kind !== 'bgp' || other.kind !== 'bgp' || best.preference !== other.preference) return false
  if (best.bgp === undefined || other.bgp === undefined || !isReachable(other.destination)) return false
  return compareCost(best, best.bgp, other, other.bgp) === 0
}
