/**
 * Rules, peers and policies that change nothing, proven by form: whoever comes, the others decide every connection that they name. What was found to
 * add nothing is no reason for anything else: all that is told can be taken out together.
 */
import type { Finding } from '../../base/finding.js'
import { grouped } from '../../base/grouped.js'
import { policyName } from '../explain/explain-line.js'
import type { Direction, Peer, Policy, PolicyRule, Tier } from '../model.js'
import { lintFinding } from './catalogue.js'
import { conditionsImply } from './condition-cover.js'
import { DIRECTIONS, listed, rulesOf, ruleWords, type LintFacts } from './facts.js'
import { coveringRules, selectsAllOf, type Other } from './rule-cover.js'

export interface Redundant {
  readonly policy: Policy
  readonly direction: Direction
  readonly rule: PolicyRule
  readonly by: readonly Other[]
}

/** Rules of policies that only allow and have no order (NetworkPolicy): those that others make superfluous, the later ones first. */
export function redundantRules(tier: Pick<Tier, 'policies'>): readonly Redundant[] {
  const found: Redundant[] = []
  const out = new Set<PolicyRule>()
  for (const policies of unordered(tier))
    for (const policy of [...policies].reverse())
      for (const direction of DIRECTIONS) {
        const beside = policies.filter((other) => other !== policy && selectsAllOf(other, policy, direction))
        for (const rule of [...rulesOf(policy, direction)].reverse()) {
          const left = (other: Policy): readonly Other[] =>
            other[direction].filter((one) => one !== rule && !out.has(one)).map((one): Other => ({ policy: other, rule: one }))
          // of one's own policy first: that is told apart
          const by = coveringRules(policy, rule, left(policy)) ?? coveringRules(policy, rule, [policy, ...beside].flatMap(left))
          if (by === undefined) continue
          out.add(rule)
          found.push({ policy, direction, rule, by })
        }
      }
  return found
}

/** Policies that can go as a whole: their rules add nothing, and others isolate the same pods. Together with the redundant rules they can all go. */
export function redundantPolicies(tier: Pick<Tier, 'policies'>, rules: readonly Redundant[]): readonly Policy[] {
  const out = new Set(rules.map(({ rule }) => rule))
  const gone = new Set<Policy>()
  for (const policies of unordered(tier))
    for (const policy of [...policies].reverse()) {
      const isIdle = DIRECTIONS.every(
        (direction) =>
          rulesOf(policy, direction).every((rule) => out.has(rule)) &&
          (!policy.directions.includes(direction) || policies.some((other) => other !== policy && !gone.has(other) && selectsAllOf(other, policy, direction))),
      )
      if (isIdle) gone.add(policy)
    }
  return [...gone]
}

/** NetworkPolicies of one namespace that no policy of another kind stands between: their order plays no part. */
function unordered({ policies }: Pick<Tier, 'policies'>): readonly (readonly Policy[])[] {
  let run = 0
  const keyed = policies.flatMap((policy) => (policy.kind === 'NetworkPolicy' ? { policy, key: `${run} ${policy.namespace}` } : (run++, [])))
  return [...grouped(keyed, ({ key }) => key).values()].map((group) => group.map(({ policy }) => policy))
}

export function redundancyFindings(facts: LintFacts): readonly Finding[] {
  return facts.world.tiers.flatMap((tier) => {
    const rules = redundantRules(tier)
    const policies = redundantPolicies(tier, rules)
    return [
      // a rule that nobody meets is told as that
      ...rules.filter(({ policy, by }) => by.length > 0 && !policies.includes(policy)).map((one) => ruleFinding(facts, one)),
      ...policies.map((policy) => policyFinding(facts, policy, { tier, rules })),
      ...tier.policies.flatMap((policy) => peerFindings(facts, policy, new Set(rules.map(({ rule }) => rule)))),
    ]
  })
}

function ruleFinding(facts: LintFacts, { policy, direction, rule, by }: Redundant): Finding {
  const others = by.map((other) => ruleWords(other.policy, direction, other.rule))
  const isOwn = by.every((other) => other.policy === policy)
  return lintFinding('NP406', {
    what: `${ruleWords(policy, direction, rule)} adds nothing: ${listed(others)} ${by.length === 1 ? 'allows' : 'allow'} all of it`,
    evidence: [facts.evidence(policy, 'adds nothing', rule), ...by.map((other) => facts.evidence(other.policy, 'allows it', other.rule))],
    // policies that each stand alone may well say the same
    ...(isOwn ? {} : { severity: 'info' as const }),
  })
}

interface Within {
  readonly tier: Tier
  readonly rules: readonly Redundant[]
}

function policyFinding(facts: LintFacts, policy: Policy, { tier, rules }: Within): Finding {
  const others = tier.policies.filter((other) => other !== policy && policy.directions.some((direction) => selectsAllOf(other, policy, direction)))
  const allowing = rules.filter((one) => one.policy === policy).flatMap(({ by }) => by.map((other) => other.policy))
  const named = [...new Set([...allowing.filter((other) => other !== policy), ...others])]
  return lintFinding('NP408', {
    what: `${policyName(policy)} adds nothing beside ${listed(named.map(policyName))}`,
    evidence: [facts.evidence(policy, 'adds nothing'), ...named.slice(0, MOST_OTHERS).map((other) => facts.evidence(other, 'selects the same pods'))],
  })
}

const MOST_OTHERS = 4

/** A slip of "and" and "or" is told as such; everybody beside somebody is no slip of that kind. */
function peerFindings(facts: LintFacts, policy: Policy, redundant: ReadonlySet<PolicyRule>): readonly Finding[] {
  if (policy.kind === 'Profile') return []
  return DIRECTIONS.flatMap((direction) =>
    rulesOf(policy, direction)
      .filter((rule) => !redundant.has(rule))
      .flatMap((rule) =>
        rule.peers.flatMap((peer, index): Finding | [] => {
          const wider = rule.peers.find((other, at) => other !== peer && isWider(other, peer, at < index) && !isSlip(rule.peers, other, peer))
          if (wider === undefined) return []
          return lintFinding('NP407', {
            what: `${ruleWords(policy, direction, rule)}: ${peer.words} adds nothing beside ${wider.words}`,
            evidence: [facts.evidence(policy, peer.words, peer), facts.evidence(policy, wider.words, wider)],
          })
        }),
      ),
  )
}

/** Of two that are alike the later one adds nothing. */
function isWider(other: Peer, peer: Peer, isEarlier: boolean): boolean {
  return conditionsImply(peer.conditions, other.conditions) && (isEarlier || !conditionsImply(other.conditions, peer.conditions))
}

/** Neighbours, one by namespace alone and one by pods alone: NP104 tells it. */
function isSlip(peers: readonly Peer[], wider: Peer, peer: Peer): boolean {
  const isByNamespace = wider.conditions.length === 1 && wider.conditions[0].kind === 'labels' && wider.conditions[0].of === 'namespace'
  const isByPod = peer.conditions.length === 2 && peer.conditions[0].kind === 'namespace'
  return isByNamespace && isByPod && Math.abs(peers.indexOf(wider) - peers.indexOf(peer)) === 1
}
