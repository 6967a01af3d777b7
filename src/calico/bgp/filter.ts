/**
 * The filters that confd writes for BIRD, run on a route: import (BGPFilters, then preference by LOCAL_PREF), export (priority, BGPFilters, pools that
 * are not announced, tunnel devices, communities, own blocks, services, pools) and the kernel's. Source: calico v3.32.1
 * confd/etc/calico/confd/templates/bird_{ipam,aggr}.cfg.template, confd/pkg/backends/calico/bgp_processor.go buildImportFilter, buildExportFilter.
 */
import { contains, covers, type Cidr } from '../../base/cidr.js'
import { addCommunity, ORIGIN_IGP, type PathAttributes } from './attributes.js'
import { bgpFilterVerdict, type Filtered } from './bgp-filter.js'
import { OVERRIDE_PREFERENCE, PRIORITY_TOP, type BirdConfig, type ExportPolicy, type KernelPolicy, type PeerConfig } from './config.js'
import type { BirdRoute } from './route.js'

/** undefined: rejected. */
type FilterResult = Filtered | undefined

/** A route that a peer sent; undefined: rejected. */
export function runImport(config: BirdConfig, peer: PeerConfig, route: Filtered): FilterResult {
  const sameAs = peer.remoteAs === peer.localAs
  let current = route
  for (const name of peer.filters) {
    const filter = config.bgpFilters.find((candidate) => candidate.name === name)
    if (filter === undefined) continue
    const verdict = bgpFilterVerdict(filter.importV4, current, sameAs)
    // a rule that accepts ends the whole filter: the preference below is not set then
    if (verdict.action === 'Reject') return undefined
    if (verdict.action === 'Accept') return verdict.route
    current = verdict.route
  }
  const normal = config.exports?.normalPriority
  const localPreference = current.attributes.localPreference
  const overrides = normal !== undefined && localPreference !== undefined && localPreference > PRIORITY_TOP - normal
  return overrides ? { ...current, preference: OVERRIDE_PREFERENCE } : current
}

/** A route on its way to a peer; undefined: not sent. */
export function runExport(config: BirdConfig, peer: PeerConfig, route: Filtered): FilterResult {
  const policy = config.exports
  if (policy === undefined) return route
  const sameAs = peer.remoteAs === peer.localAs
  let current = withPriority(policy, route)
  for (const name of peer.filters) {
    const filter = config.bgpFilters.find((candidate) => candidate.name === name)
    if (filter === undefined) continue
    const verdict = bgpFilterVerdict(filter.exportV4, current, sameAs)
    if (verdict.action === 'Reject') return undefined
    if (verdict.action === 'Accept') return verdict.route
    current = verdict.route
  }
  return exportToPeers(policy, current, sameAs)
}

/** LOCAL_PREF carries the metric: that of a route from BGP gives the metric, that of any other comes from it. */
function withPriority(policy: ExportPolicy, route: Filtered): Filtered {
  if (policy.normalPriority === undefined) return route
  const localPreference = route.attributes.localPreference
  if (route.fromBgp && localPreference !== undefined) return { ...route, metric: PRIORITY_TOP - localPreference }
  const metric = route.metric ?? policy.normalPriority
  return { ...route, metric, attributes: { ...route.attributes, localPreference: PRIORITY_TOP - metric } }
}

function exportToPeers(policy: ExportPolicy, route: Filtered, sameAs: boolean): FilterResult {
  const within = (prefixes: readonly Cidr[]): boolean => prefixes.some((prefix) => covers(prefix, route.prefix))
  if (within(policy.disabledPools)) return undefined
  if (sameAs && route.device !== undefined && /\.(cali|calico)$/.test(route.device)) return undefined
  if (route.device !== undefined && /^bpf.*\.cali$/.test(route.device)) return undefined
  const marked = withCommunities(policy, route)
  for (const block of policy.blocks) {
    if (block.state !== 'confirmed' || !covers(block.cidr, route.prefix)) continue
    const elevated = policy.normalPriority !== undefined && route.metric !== undefined && route.metric < policy.normalPriority
    return block.cidr.length === route.prefix.length || elevated ? marked : undefined
  }
  return within(policy.services) || within(policy.reflected) || within(policy.pools) ? marked : undefined
}

function withCommunities(policy: ExportPolicy, route: Filtered): Filtered {
  let { attributes } = route
  for (const { cidr, values } of policy.communities) {
    if (!covers(cidr, route.prefix)) continue
    for (const value of values) attributes = addCommunity(attributes, value)
  }
  return attributes === route.attributes ? route : { ...route, attributes }
}

/** The device of IP in IP. */
export const TUNNEL = 'tunl0'

export interface KernelVerdict {
  readonly metric?: number
  readonly preference: number
  /** Set: over this device, straight to the BGP next hop. */
  readonly tunnel?: string
}

/** The kernel's export filter; undefined: kept out. */
export function runKernelExport(policy: KernelPolicy, route: BirdRoute): KernelVerdict | undefined {
  if (policy.rejected.some((prefix) => covers(prefix, route.prefix))) return undefined
  const priority = kernelPriority(policy, route)
  for (const pool of policy.pools) {
    if (!covers(pool.cidr, route.prefix)) continue
    if (pool.action === 'reject') return undefined
    if (pool.action === 'plain') return priority
    const nextHop = route.bgp?.attributes.nextHop
    const near = pool.unless !== undefined && nextHop !== undefined && contains(pool.unless, nextHop)
    return near ? priority : { ...priority, tunnel: TUNNEL }
  }
  return priority
}

function kernelPriority(policy: KernelPolicy, route: BirdRoute): KernelVerdict {
  if (route.bgp === undefined || policy.normalPriority === undefined) return { preference: route.preference }
  const localPreference = route.bgp.attributes.localPreference
  const metric = localPreference === undefined ? policy.normalPriority : PRIORITY_TOP - localPreference
  return { metric, preference: metric < policy.normalPriority ? OVERRIDE_PREFERENCE : route.preference }
}

/** Attributes of a route that does not come from BGP (proto/bgp/attrs.c bgp_create_attrs); LOCAL_PREF 100 unless a filter sets it. */
export function originated(nextHop: number, path: PathAttributes['asPath']): PathAttributes {
  return { origin: ORIGIN_IGP, asPath: path, nextHop, localPreference: 100 }
}
