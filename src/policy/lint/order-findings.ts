/** Tiers and priorities: rules that earlier ones leave nothing to decide, policies whose order nobody defines, baselines that are never asked. */
import type { Finding } from '../../base/finding.js'
import { selectorOf, type SelectorNode } from '../../cluster/selector.js'
import { evaluatePair } from '../evaluate.js'
import { policyName } from '../explain/explain-line.js'
import type { Condition, Direction, End, Policy, PolicyRule, PolicyWorld, Tier } from '../model.js'
import { lintFinding } from './catalogue.js'
import { conditionsImply } from './condition-cover.js'
import { DIRECTIONS, listed, podsWords, rulesOf, ruleWords, type LintFacts, type PodClass } from './facts.js'
import { coveringRules, selectsAllOf, type Other } from './rule-cover.js'
import { labelsOf } from './selector-cover.js'

export function orderFindings(facts: LintFacts): readonly Finding[] {
  return [...unreachableFindings(facts), ...priorityFindings(facts), ...baselineFindings(facts)]
}

export interface Unreachable {
  readonly policy: Policy
  readonly direction: Direction
  readonly rule: PolicyRule
  readonly by: readonly Other[]
}

/** Rules that are never asked about a connection that they name, proven by form. */
export function unreachableRules({ tiers, namespaces }: Pick<PolicyWorld, 'tiers' | 'namespaces'>): readonly Unreachable[] {
  const pin = new NamespacePins(tiers, namespaces)
  return tiers.flatMap((tier, at) =>
    tier.policies.flatMap((policy) =>
      DIRECTIONS.flatMap((direction) => {
        const pinned = pin.policy(policy)
        const before = tiers.slice(0, at).flatMap((one) => decidersOf(one, pinned, direction))
        const inTier = isOrdered(policy) ? earlierIn(tier, policy, direction) : []
        return rulesOf(policy, direction).flatMap((rule, index): Unreachable | [] => {
          if (rule.action === 'log' || rule.peers.length === 0) return []
          const own = isOrdered(policy) ? policy[direction].slice(0, index).map((one): Other => ({ policy, rule: one })) : []
          const deciding = [...inTier, ...own].filter(({ rule: { action } }) => action !== 'log')
          const by = coveringRules(pinned, pin.rule(rule), [...before, ...deciding])
          return by === undefined || by.length === 0 ? [] : { policy, direction, rule, by }
        })
      }),
    ),
  )
}

/** Conditions that name a namespace, with the labels that it has: tiers above select namespaces by their labels. */
class NamespacePins {
  private readonly namespaces: PolicyWorld['namespaces']
  /** That selectors of namespaces ask for; the others are nobody's affair. */
  private readonly keys: readonly string[]

  constructor(tiers: readonly Tier[], namespaces: PolicyWorld['namespaces']) {
    this.namespaces = namespaces
    const rules = tiers.flatMap(({ policies }) =>
      policies.flatMap(({ subject, ingress, egress }) => [subject, ...[...ingress, ...egress].flatMap(conditionsOf)]),
    )
    this.keys = [
      ...new Set(rules.flatMap((list) => list.flatMap((one) => (one.kind === 'labels' && one.of === 'namespace' ? labelsOf(one.selector.root) : [])))),
    ]
  }

  policy(policy: Policy): Policy {
    return { ...policy, subject: this.pinned(policy.subject) }
  }

  rule(rule: PolicyRule): PolicyRule {
    return { ...rule, peers: rule.peers.map((peer) => ({ ...peer, conditions: this.pinned(peer.conditions) })) }
  }

  private pinned(conditions: readonly Condition[]): readonly Condition[] {
    return conditions.flatMap((one): readonly Condition[] => {
      const labels = one.kind === 'namespace' ? this.namespaces.get(one.name)?.labels : undefined
      if (labels === undefined || this.keys.length === 0) return [one]
      const operands = this.keys.map((label): SelectorNode =>
        Object.hasOwn(labels, label) ? { kind: 'compare', label, operator: '==', value: labels[label] } : { kind: 'not', operand: { kind: 'has', label } },
      )
      return [one, { kind: 'labels', of: 'namespace', selector: selectorOf({ kind: 'and', operands }), words: '', file: one.file, line: one.line }]
    })
  }
}

function conditionsOf({ peers, local }: PolicyRule): readonly (readonly Condition[])[] {
  return [local, ...peers.map(({ conditions }) => conditions)]
}

/** NetworkPolicies have no order among themselves. */
function isOrdered({ kind }: Policy): boolean {
  return kind !== 'NetworkPolicy' && kind !== 'NamespaceIsolation'
}

/** Of a tier that is asked before: what it allows or denies is decided. Where it may pass something on, only what comes before that. */
function decidersOf(tier: Tier, policy: Policy, direction: Direction): readonly Other[] {
  const found: Other[] = []
  for (const other of tier.policies) {
    if (!other.directions.includes(direction)) continue
    const selects = conditionsImply(policy.subject, other.subject)
    for (const rule of other[direction]) {
      if (rule.action === 'pass') return found
      if (selects && rule.action !== 'log' && other.kind !== 'NetworkPolicy') found.push({ policy: other, rule })
    }
  }
  return found
}

/** Rules of policies before it in its tier; with equal priority the order is anybody's. */
function earlierIn(tier: Tier, policy: Policy, direction: Direction): readonly Other[] {
  const before = tier.policies.slice(0, tier.policies.indexOf(policy))
  return before
    .filter((other) => selectsAllOf(other, policy, direction) && (other.order !== policy.order || isNamed(policy)))
    .flatMap((other) => other[direction].map((rule): Other => ({ policy: other, rule })))
}

/** Calico's policies of equal order go by their names. */
function isNamed({ kind }: Policy): boolean {
  return kind === 'CalicoNetworkPolicy' || kind === 'GlobalNetworkPolicy'
}

function unreachableFindings(facts: LintFacts): readonly Finding[] {
  return unreachableRules(facts.world)
    .filter(({ policy }) => policy.kind !== 'Profile')
    .map(({ policy, direction, rule, by }) => {
      const deciding = listed(by.map((other) => `${ruleWords(other.policy, direction, other.rule)} (${other.rule.action})`))
      // the same said twice, in tiers that may belong to different people
      const isSame = by.every((other) => other.rule.action === rule.action && other.policy.kind !== policy.kind)
      return lintFinding('NP409', {
        ...(isSame ? { severity: 'info' as const } : {}),
        what: `${ruleWords(policy, direction, rule)} (${rule.action}) never decides: ${deciding} ${by.length === 1 ? 'comes' : 'come'} before it`,
        evidence: [facts.evidence(policy, 'never decides', rule), ...by.map((other) => facts.evidence(other.policy, 'comes before', other.rule))],
      })
    })
}

/** Undefined by the API where they disagree about a connection of a pod that both select. */
function priorityFindings(facts: LintFacts): readonly Finding[] {
  return facts.world.tiers.flatMap((tier) => {
    const ordered = tier.policies.filter(({ kind, order }) => order !== undefined && (kind === 'AdminNetworkPolicy' || kind === 'ClusterNetworkPolicy'))
    return ordered.flatMap((policy, index) =>
      ordered.slice(index + 1).flatMap((other): Finding | [] => {
        if (other.order !== policy.order || other.kind !== policy.kind) return []
        const found = disagreement(facts, { tier, policy, other })
        if (found === undefined) return []
        return lintFinding('NP501', {
          what: `${policyName(policy)} and ${policyName(other)} have priority ${policy.order ?? ''}, and disagree about ${found}`,
          evidence: [facts.evidence(policy, `priority ${policy.order ?? ''}`), facts.evidence(other, `priority ${other.order ?? ''}`)],
        })
      }),
    )
  })
}

/** Of a large cluster not every pair is asked: one that shows it is enough. */
const MOST_PAIRS = 20_000
const LEAST_REMOTES = 50

interface Equals {
  readonly tier: Tier
  readonly policy: Policy
  readonly other: Policy
}

/** A connection that goes one way when one is asked first, and the other way when the other is. */
function disagreement(facts: LintFacts, { tier, policy, other }: Equals): string | undefined {
  const swapped = tier.policies.map((one) => (one === policy ? other : one === other ? policy : one))
  const second: PolicyWorld = { ...facts.world, tiers: facts.world.tiers.map((one) => (one === tier ? { ...tier, policies: swapped } : one)) }
  const common = facts.selected(policy).filter((one) => facts.selected(other).includes(one))
  const named: readonly End[] = [...facts.world.nodes, ...outsideEnds([policy, other]), ...facts.classes.map(({ pod }) => pod)]
  const remotes = named.slice(0, Math.max(MOST_PAIRS / Math.max(1, common.length), LEAST_REMOTES))
  for (const { pod } of common)
    for (const direction of DIRECTIONS) {
      if (!policy.directions.includes(direction) || !other.directions.includes(direction)) continue
      for (const remote of remotes) {
        const [source, destination] = direction === 'egress' ? [pod, remote] : [remote, pod]
        const first = evaluatePair(facts.world, source, destination)[direction].allowed
        const then = evaluatePair(second, source, destination)[direction].allowed
        const witness = first.minus(then).union(then.minus(first)).witness()
        if (witness !== undefined) return `${direction} of ${pod.namespace}/${pod.name}, ${remoteWords(remote)}, ${String(witness.protocol)} ${witness.port}`
      }
    }
  return undefined
}

function outsideEnds(policies: readonly Policy[]): readonly End[] {
  return policies.flatMap(({ ingress, egress }) =>
    [...ingress, ...egress].flatMap(({ peers }) =>
      peers.flatMap(({ conditions }) =>
        conditions.flatMap((one) =>
          one.kind === 'networks' ? one.include.map((range): End => ({ kind: 'outside', range: { ...range, last: range.first } })) : [],
        ),
      ),
    ),
  )
}

function remoteWords(end: End): string {
  if (end.kind === 'pod') return `${end.namespace}/${end.name}`
  return end.kind === 'node' ? `node ${end.name}` : 'an address outside'
}

function baselineFindings(facts: LintFacts): readonly Finding[] {
  const isolating = facts.policies.filter(({ policy }) => policy.kind === 'NetworkPolicy')
  const covered = new Map<Direction, ReadonlySet<PodClass>>(
    DIRECTIONS.map((direction) => [
      direction,
      new Set(isolating.filter(({ policy }) => policy.directions.includes(direction)).flatMap(({ policy }) => facts.selected(policy))),
    ]),
  )
  return facts.policies
    .filter(({ tier, policy }) => policy.kind === 'BaselineAdminNetworkPolicy' || (policy.kind === 'ClusterNetworkPolicy' && tier.name === 'baseline'))
    .flatMap(({ policy }) => {
      const selected = facts.selected(policy)
      const asked = policy.directions.filter((direction) => policy[direction].length > 0)
      const idle = asked.filter((direction) => selected.every((one) => covered.get(direction)?.has(one) === true))
      if (selected.length === 0 || idle.length === 0) return []
      return [
        lintFinding('NP502', {
          what: `${policyName(policy)} is never asked for ${idle.join(' and ')}: NetworkPolicies select ${podsWords(selected)}, all that it selects`,
          evidence: [facts.evidence(policy, policy.subjectWords)],
        }),
      ]
    })
}
