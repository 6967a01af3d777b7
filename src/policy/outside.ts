/**
 * The addresses outside, cut so finely that no network of any policy holds a part of a range: what a question about "everybody outside" is asked
 * of. Ranges never stand for pods, though a pod's address may lie in one.
 */
import { EVERY_IPV4, EVERY_IPV6, meetsRange, type AddressRange } from './address-range.js'
import type { Condition, Direction, OutsideRange, PolicyWorld } from './model.js'

/** Disjoint, ascending, together all of `whole`: cut at the ends of every range of its family. */
export function partition(whole: AddressRange, cuts: readonly AddressRange[]): readonly AddressRange[] {
  const { family, first, last } = whole
  const starts = new Set([first])
  for (const cut of cuts) {
    if (cut.family !== family || cut.last < first || last < cut.first) continue
    if (cut.first > first) starts.add(cut.first)
    if (cut.last < last) starts.add(cut.last + 1n)
  }
  const sorted = [...starts].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
  return sorted.map((start, index) => ({ family, first: start, last: index + 1 < sorted.length ? sorted[index + 1] - 1n : last }))
}

/**
 * All of IPv4, and of IPv6 where a policy names any of it.
 * @param direction cut by the rules of that direction alone: its ends are the sources of ingress, or the destinations of egress
 */
export function outsideRanges(world: PolicyWorld, direction?: Direction): readonly OutsideRange[] {
  const cuts = namedRanges(world, direction)
  // netpol-analyzer knows no IPv6
  const wholes = world.switches.as !== 'np-guard' && cuts.some(({ family }) => family === 6) ? [EVERY_IPV4, EVERY_IPV6] : [EVERY_IPV4]
  return wholes.flatMap((whole) => partition(whole, cuts)).map((range): OutsideRange => ({ kind: 'outside', range }))
}

/** Every range of addresses that a rule of some policy asks for, itself or through a set of Calico's; exceptions are cut out of it. */
export function namedRanges(world: PolicyWorld, direction?: Direction): readonly AddressRange[] {
  const policies = world.tiers.flatMap((tier) => tier.policies)
  const rules = policies.flatMap(({ ingress, egress }) => [...(direction === 'egress' ? [] : ingress), ...(direction === 'ingress' ? [] : egress)])
  const conditions = rules.flatMap(({ peers, local }) => [...local, ...peers.flatMap((peer) => peer.conditions)])
  const bySet = conditions.some(({ kind, ...rest }) => kind === 'notLabels' || (kind === 'labels' && 'of' in rest && rest.of === 'endpoint'))
  return [...conditions.flatMap((condition) => rangesOf(condition, world)), ...(bySet ? world.networkSets.flatMap(({ ranges }) => ranges) : [])]
}

/** Ranges at whose bounds the condition's answer may change; of sets of labelled networks, none. */
export function rangesOf(condition: Condition, { services }: PolicyWorld): readonly AddressRange[] {
  if (condition.kind === 'networks') return networkPieces(condition)
  if (condition.kind !== 'service') return []
  const behind = services.filter(({ namespace, name }) => namespace === condition.namespace && name === condition.name)
  return behind.flatMap(({ endpoints }) => endpoints.map(({ address }) => address))
}

/** What each network of the condition leaves once its exceptions are out of it: two that touch are one hole. */
function networkPieces({ include, exclude }: Extract<Condition, { kind: 'networks' }>): readonly AddressRange[] {
  const named = [...include, ...exclude]
  const every = [EVERY_IPV4, ...(named.some(({ family }) => family === 6) ? [EVERY_IPV6] : [])]
  return (include.length === 0 ? every : include).flatMap((whole) => without(whole, exclude))
}

/** Ascending. */
export function without(whole: AddressRange, holes: readonly AddressRange[]): readonly AddressRange[] {
  const { family } = whole
  const sorted = holes.filter((hole) => meetsRange(hole, whole)).sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))
  const pieces: AddressRange[] = []
  let first = whole.first
  for (const hole of sorted) {
    if (hole.first > first) pieces.push({ family, first, last: hole.first - 1n })
    if (hole.last >= first) first = hole.last + 1n
  }
  if (first <= whole.last) pieces.push({ family, first, last: whole.last })
  return pieces
}
