/** A decision of the policies in words, with the places of its YAML: for the rows of a change. */
import type { Decision } from './diff-causes.js'
import { formatPlace } from '../../cluster/problem-list.js'
import type { RuleDocument } from '../explain/explain-document.js'
import { policyName, ruleName } from '../explain/explain-line.js'
import type { Direction, Policy, PolicyRule, Tier } from '../model.js'

/** Those that passed the connections on, then what decided. */
export function rulesOf({ part }: Decision, direction: Direction): readonly RuleDocument[] {
  const { reason, passedBy, allowed } = part
  const passes = passedBy.map(({ policy, rule }) => ruleDocument({ tier: undefined, policy, rule, effect: 'pass' }, direction))
  switch (reason.kind) {
    case 'rule':
      return [...passes, ruleDocument({ ...reason, effect: allowed ? 'allow' : 'deny' }, direction)]
    case 'tier-end':
      return [...passes, ...reason.policies.map((policy) => ruleDocument({ tier: reason.tier, policy, effect: 'isolate' }, direction))]
    default:
      return passes
  }
}

interface Cited {
  readonly tier: Tier | undefined
  readonly policy: Policy
  /** Absent: the policy as a whole. */
  readonly rule?: PolicyRule
  readonly effect: RuleDocument['effect']
}

function ruleDocument({ tier, policy, rule, effect }: Cited, direction: Direction): RuleDocument {
  const { kind, namespace, name } = policy
  const { file, line } = rule ?? policy
  const named = rule?.name === undefined ? {} : { ruleName: rule.name }
  return { kind, namespace, name, tier: tier?.name ?? '', file, line, effect, direction, rule: rule?.index ?? null, ...named }
}

/** Without the places: `allowed by NetworkPolicy shop/db, ingress rule #1: app=api, TCP 5432`. */
export function decisionWords({ part, selecting }: Decision, direction: Direction): string {
  const { reason, allowed, passedBy } = part
  const passed = passedBy.length === 0 ? '' : ` (passed on by ${passedBy.map(({ policy, rule }) => ruleWords(policy, rule)).join(', ')})`
  switch (reason.kind) {
    case 'rule': {
      const { policy, rule, peer } = reason
      return `${allowed ? 'allowed' : 'denied'} by ${ruleWords(policy, rule)}: ${peer.words}, ${rule.ports.words}${passed}`
    }
    case 'tier-end': {
      const { policies } = reason
      return `denied: no ${direction} rule of ${policiesWords(policies)} names it${passed}`
    }
    case 'default':
      return selecting.length === 0
        ? `allowed: no policy selects it for ${direction}`
        : `allowed by default: ${policiesWords(selecting)} ${selecting.length === 1 ? 'does' : 'do'} not decide it${passed}`
    case 'exempt':
      return `allowed: ${EXEMPT_WORDS[reason.why]}`
  }
}

const EXEMPT_WORDS = {
  hairpin: 'a pod may reach itself',
  'own-node': 'a node may reach its own pods',
  'other-protocols': 'the policies hold TCP, UDP and SCTP alone',
  'not-a-pod': 'it is no pod, and policies do not hold it',
  'no-engine': 'nobody enforces policies here',
} as const

const NAMED = 2

function policiesWords(policies: readonly Policy[]): string {
  const shown = policies.slice(0, NAMED).map(policyName).join(' and ')
  return policies.length > NAMED ? `${shown} and ${policies.length - NAMED} more` : shown
}

function ruleWords(policy: Policy, rule: PolicyRule): string {
  return `${policyName(policy)} ${ruleName({ policy, rule, effect: 'allow' })}`
}

const PLACES = 2

/** Where what decided stands: ` (a.yaml:4)`, ` (a.yaml:4, b.yaml:9)`; empty where nothing stands in a file (a default). */
export function placesWords(decision: Decision, direction: Direction): string {
  const deciding = decision.part.reason.kind === 'rule' ? rulesOf(decision, direction).slice(-1) : rulesOf(decision, direction)
  const places = [...new Set(deciding.filter(({ file }) => file !== '').map(formatPlace))]
  return places.length === 0 ? '' : ` (${places.slice(0, PLACES).join(', ')}${places.length > PLACES ? ', …' : ''})`
}
