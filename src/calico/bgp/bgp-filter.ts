/**
 * BGPFilter resources run on a route. All terms of a rule must hold; the first rule that holds decides; where none does, the route goes on to what
 * follows. Source: calico v3.32.1 confd/pkg/resource/template/template_funcs.go filterStatement, BGPFilterBIRDFuncs.
 */
import { covers, type Cidr } from '../../base/cidr.js'
import type { BGPFilterOperation, BGPFilterRule } from '../../cluster/calico/bgp.js'
import { addCommunity, prependAs, type PathAttributes } from './attributes.js'
import { PRIORITY_TOP } from './config.js'

/** What a filter reads and writes. */
export interface Filtered {
  readonly prefix: Cidr
  /** RTS_BGP of BIRD. */
  readonly fromBgp: boolean
  readonly device?: string
  readonly attributes: PathAttributes
  readonly metric?: number
  readonly preference: number
}

interface BgpFilterVerdict {
  readonly action: 'Accept' | 'Reject' | 'none'
  readonly route: Filtered
}

export function bgpFilterVerdict(rules: readonly BGPFilterRule[], route: Filtered, sameAs: boolean): BgpFilterVerdict {
  for (const rule of rules) {
    if (!holds(rule, route, sameAs)) continue
    return { action: rule.action, route: rule.action === 'Accept' ? rule.operations.reduce(operated, route) : route }
  }
  return { action: 'none', route }
}

function holds(rule: BGPFilterRule, route: Filtered, sameAs: boolean): boolean {
  if (rule.peerType !== undefined && (rule.peerType === 'iBGP') !== sameAs) return false
  if (!matchesPrefix(rule, route)) return false
  if (rule.source === 'RemotePeers' && !route.fromBgp) return false
  if (rule.interface !== undefined && (route.device === undefined || !matchesPattern(rule.interface, route.device))) return false
  if (rule.communities !== undefined && !rule.communities.every((value) => hasCommunity(route, value))) return false
  if (rule.asPathPrefix !== undefined) {
    const path = route.attributes.asPath.flatMap(({ set, asNumbers }) => (set ? [] : asNumbers))
    if (!rule.asPathPrefix.every((number, i) => path[i] === number)) return false
  }
  return rule.priority === undefined || route.attributes.localPreference === PRIORITY_TOP - rule.priority
}

function matchesPrefix(rule: BGPFilterRule, route: Filtered): boolean {
  if (rule.cidr === undefined) return true
  const inside = covers(rule.cidr, route.prefix)
  const equal = inside && rule.cidr.length === route.prefix.length
  const { min = rule.cidr.length, max = 32 } = rule.prefixLength ?? {}
  const fits = rule.prefixLength === undefined || (route.prefix.length >= min && route.prefix.length <= max)
  switch (rule.matchOperator) {
    case 'Equal':
      return equal
    case 'NotEqual':
      return !equal
    case 'NotIn':
      return !(inside && fits)
    case 'In':
    case undefined:
      return inside && fits
  }
}

/** BIRD's patterns: `*` any text, `?` any character. */
function matchesPattern(pattern: string, text: string): boolean {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${source}$`).test(text)
}

function hasCommunity(route: Filtered, value: string): boolean {
  const parts = value.split(':').map(Number)
  if (parts.length === 3) return route.attributes.largeCommunities?.some((have) => have.every((part, i) => part === parts[i])) ?? false
  return route.attributes.communities?.includes(parts[0] * 0x10000 + parts[1]) ?? false
}

function operated(route: Filtered, operation: BGPFilterOperation): Filtered {
  const { attributes } = route
  switch (operation.kind) {
    case 'addCommunity':
      return { ...route, attributes: addCommunity(attributes, operation.value) }
    case 'prependASPath':
      return { ...route, attributes: { ...attributes, asPath: operation.prefix.toReversed().reduce(prependAs, attributes.asPath) } }
    case 'setPriority':
      return { ...route, attributes: { ...attributes, localPreference: PRIORITY_TOP - operation.value } }
  }
}
