/**
 * Which policies an endpoint has, in which order: tiers by order, policies by order and name, the unmatched left out; runs of one selector as
 * groups. After felix/calc/{policy_sorter,policy_resolver,event_sequencer}.go and groupPolicies of felix/dataplane/linux/endpoint_mgr.go.
 */
import type { PolicyDirection, Tier } from '../../cluster/calico/policy.js'
import type { Labels } from '../../cluster/labels.js'
import { COMPOSED_DEPTH, isSelectorFault, matchesCalicoSelector, parseSelector, type Selector } from '../../cluster/selector.js'
import type { CalicoProfile } from '../version.js'
import type { BackendPolicy } from './backend-policy.js'
import type { EndpointTier, FelixPolicy, PolicyGroup } from './model.js'
import type { RuleScanner } from './rule-scanner.js'
import { compareText } from './static-tables.js'

/** A policy that can be read, with its rules scanned. */
interface ActivePolicy {
  readonly policy: BackendPolicy
  readonly selector: Selector
  readonly rules: FelixPolicy
}

interface SortedTier {
  readonly name: string
  /** Empty for a tier that no object declares. */
  readonly defaultAction: string
  readonly policies: readonly ActivePolicy[]
}

/** An endpoint's tiers by what their policies are for; workloads have `normal` alone. */
export interface ResolvedTiers {
  readonly normal: readonly EndpointTier[]
  readonly untracked: readonly EndpointTier[]
  readonly preDnat: readonly EndpointTier[]
  readonly forward: readonly EndpointTier[]
  /** All that are named in them. */
  readonly policies: readonly ActivePolicy[]
}

type Declared = Pick<Tier, 'name' | 'order' | 'defaultAction'>

export class PolicyResolver {
  /** In the order in which they are asked; those without a policy left out. */
  readonly tiers: readonly SortedTier[]
  private readonly groups: Groups = new Map()

  constructor(
    policies: readonly BackendPolicy[],
    options: { readonly tiers: readonly Declared[]; readonly release: CalicoProfile; readonly scanner: RuleScanner },
  ) {
    const { tiers, release, scanner } = options
    const active = policies.flatMap((policy): ActivePolicy[] => {
      const selector = parseSelector(policy.selector, COMPOSED_DEPTH)
      const rules = isSelectorFault(selector) ? undefined : scanner.policy(policy)
      return isSelectorFault(selector) || rules === undefined ? [] : [{ policy, selector, rules }]
    })
    this.tiers = sortTiers(active, tiers, release)
  }

  /** @param labels with those inherited from profiles */
  resolve(labels: Labels): ResolvedTiers {
    const { groups } = this
    const matched = this.tiers
      .map((tier) => ({ ...tier, policies: tier.policies.filter(({ selector }) => matchesCalicoSelector(selector, labels)) }))
      .filter(({ policies }) => policies.length > 0)
    const isNormal = ({ policy }: ActivePolicy): boolean => !policy.untracked && !policy.preDnat
    return {
      normal: tiersOf(matched, isNormal, { groups }),
      untracked: tiersOf(matched, ({ policy }) => policy.untracked, { groups, passing: true }),
      preDnat: tiersOf(matched, ({ policy }) => policy.preDnat && !policy.untracked, { groups, passing: true, ingressOnly: true }),
      forward: tiersOf(matched, (active) => isNormal(active) && active.policy.applyOnForward, { groups }),
      policies: matched.flatMap(({ policies }) => policies),
    }
  }
}

/** Declared tiers by order and name; policies of a tier that nobody declared come last, and their end denies. */
function sortTiers(active: readonly ActivePolicy[], declared: readonly Declared[], release: CalicoProfile): readonly SortedTier[] {
  const known = new Map<string, Declared>([...release.builtInTiers, ...declared].map((tier) => [tier.name, tier]))
  const sorted = [...known.values()].sort((a, b) => compareOrder(a.order, b.order) || compareText(a.name, b.name))
  const unknown = [...new Set(active.map(({ policy }) => policy.tier))].filter((name) => !known.has(name)).sort(compareText)
  const all = [...sorted.map(({ name, defaultAction }) => ({ name, defaultAction })), ...unknown.map((name) => ({ name, defaultAction: '' }))]
  return all
    .map((tier) => ({
      ...tier,
      policies: active.filter(({ policy }) => policy.tier === tier.name).sort((a, b) => comparePolicies(a.policy, b.policy, release)),
    }))
    .filter(({ policies }) => policies.length > 0)
}

/** Infinity less Infinity is no number. */
function compareOrder(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1
}

function comparePolicies(a: BackendPolicy, b: BackendPolicy, release: CalicoProfile): number {
  const key = ({ id }: BackendPolicy): string => {
    if (release.sortByKind) return `${id.name}/${id.namespace}/${id.kind}`
    return id.namespace === '' ? id.name : `${id.namespace}/${id.name}`
  }
  return compareOrder(a.order, b.order) || compareText(key(a), key(b))
}

function tiersOf(
  matched: readonly SortedTier[],
  wanted: (policy: ActivePolicy) => boolean,
  { groups: known, passing = false, ingressOnly = false }: { readonly groups: Groups; readonly passing?: boolean; readonly ingressOnly?: boolean },
): readonly EndpointTier[] {
  return matched.flatMap((tier) => {
    const policies = tier.policies.filter(wanted)
    const groups = (direction: PolicyDirection): readonly PolicyGroup[] =>
      groupPolicies(
        policies.filter(({ policy }) => policy.types.includes(direction)),
        known,
      )
    const ingress = groups('ingress')
    const egress = ingressOnly ? [] : groups('egress')
    if (ingress.length + egress.length === 0) return []
    // after untracked and pre-DNAT policies the normal ones must still be asked
    return [{ name: tier.name, defaultAction: passing ? 'Pass' : tier.defaultAction, ingress, egress }]
  })
}

/** By selector and policies: endpoints with the same policies share their groups. */
type Groups = Map<string, PolicyGroup>

function groupPolicies(policies: readonly ActivePolicy[], known: Groups): readonly PolicyGroup[] {
  const groups: { selector: string; policies: ActivePolicy['policy']['id'][] }[] = []
  for (const { policy, selector } of policies) {
    const last = groups.at(-1)
    if (last !== undefined && last.selector === selector.text) last.policies.push(policy.id)
    else groups.push({ selector: selector.text, policies: [policy.id] })
  }
  return groups.map((group) => {
    const key = [group.selector, ...group.policies.map(({ kind, namespace, name }) => `${kind}/${namespace}/${name}`)].join('\n')
    const same = known.get(key) ?? group
    known.set(key, same)
    return same
  })
}
