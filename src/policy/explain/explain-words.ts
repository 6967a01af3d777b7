/** The reasons of an explanation in sentences, each with the file and line of what it names. */
import { formatPlace, type Place } from '../../cluster/problem-list.js'
import { exemptionWords, policyName, ruleName } from './explain-line.js'
import type { Cited, DirectedPart, NearMiss } from './explain.js'
import type { Policy, PolicyRule } from '../model.js'

/** `NetworkPolicy shop/db ingress[0] (shop.yaml:12)`. */
export function citedWords({ policy, rule, effect }: Omit<Cited, 'tier'>): string {
  if (rule === undefined) return withPlace(policyName(policy), policy)
  return withPlace(`${policyName(policy)} ${ruleName({ policy, rule, effect })}`, rule)
}

function withPlace(text: string, place: Place): string {
  return place.file === '' ? text : `${text} (${formatPlace(place)})`
}

/** Why these connections go as they do. */
export function reasonWords(part: DirectedPart): string {
  const { reason, direction, localName, allowed } = part
  switch (reason.kind) {
    case 'exempt':
      return exemptionWords(reason.why)
    case 'rule': {
      const { policy, rule } = reason
      const cited = citedWords({ policy, rule, effect: allowed ? 'allow' : 'deny' })
      return `${cited} ${allowed ? 'allows' : 'denies'} ${ruleWords(rule, reason.peer.words, direction)}`
    }
    case 'tier-end':
      return reason.policies.map((policy) => isolationWords(policy, part)).join('; ')
    case 'default':
      return part.steps.length === 0
        ? `no policy selects ${localName} for ${direction}: open by default`
        : `no rule of the policies that select ${localName} has the last word: open by default`
  }
}

/** `from app=web, TCP 80`. */
function ruleWords(rule: PolicyRule, peer: string, direction: DirectedPart['direction']): string {
  return `${direction === 'ingress' ? 'from' : 'to'} ${peer}, ${rule.ports.words}`
}

function isolationWords(policy: Policy, { direction, localName }: DirectedPart): string {
  const count = policy[direction].length
  const rules =
    count === 0 ? `has no ${direction} rule` : count === 1 ? `its one ${direction} rule does not match` : `none of its ${count} ${direction} rules matches`
  return `${withPlace(policyName(policy), policy)} selects ${localName}, and ${rules}`
}

/** What did not hold of a rule that came near. */
export function nearWords({ policy, rule, failed }: NearMiss): string {
  const terms = failed.map(({ what, term, text }) => `${what === 'subject' ? 'does not select it: ' : ''}${term}: ${text}`)
  const cited = missesSubject(failed) ? withPlace(policyName(policy), policy) : citedWords({ policy, ...(rule === undefined ? {} : { rule }), effect: 'allow' })
  return `${cited}: ${terms.join('; ')}`
}

function missesSubject(failed: NearMiss['failed']): boolean {
  return failed.some((term) => term.what === 'subject')
}
