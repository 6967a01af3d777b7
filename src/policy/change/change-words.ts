/** Sentences about a change that every form of its report shares. */
import type { Change } from './change.js'
import type { FutureNote } from './change-future.js'
import { assumptionText } from '../explain/explain-assumptions.js'
import { policyName, ruleName } from '../explain/explain-line.js'
import type { ChangeClass } from './diff.js'
import { diffTypeOf, type DiffType } from './diff-document.js'

export const CLASS_WORDS: Readonly<Record<ChangeClass, string>> = {
  'no-op': 'no-op',
  'only-loosens': 'only loosens',
  'only-tightens': 'only tightens',
  mixed: 'mixed',
}

export function rowCounts({ rows }: Change): Readonly<Record<DiffType, number>> {
  const count = (type: DiffType): number => rows.filter((row) => diffTypeOf(row) === type).length
  return { added: count('added'), removed: count('removed'), changed: count('changed') }
}

/** `2 pairs closed, 1 changed, 0 opened: only tightens`. */
export function summaryWords(change: Change): string {
  const { added, removed, changed } = rowCounts(change)
  const apart = change.rows.filter(({ comesOrGoes }) => comesOrGoes).length
  const aside = apart === 0 ? '' : ` (${apart} of them with workloads that come or go, which count apart)`
  return `${removed} closed, ${changed} changed, ${added} opened${aside}: ${CLASS_WORDS[change.change]}`
}

/** What the report rests on, and what its rows do not say. In the order of weight. */
export function noteWords(change: Change): readonly string[] {
  const { added, removed, stopped, started, rows, assumed, switches, noEngine, future } = change
  if (noEngine !== undefined) return [`${noEngine}: the change has no effect, everything is open before and after (--enforced: as if somebody did)`]
  return [
    ...(added.length === 0 ? [] : [`come: ${listed(added)}`]),
    ...(removed.length === 0 ? [] : [`go: ${listed(removed)}; connections with them end`]),
    ...(stopped.length === 0 ? [] : [`no pod runs any more of ${listed(stopped)}: what they talked to and from ends, though the policies let it through`]),
    ...(started.length === 0 ? [] : [`pods run now of ${listed(started)}: what the policies let through for them was so before`]),
    ...future.map(futureWords),
    ...(rows.some(({ comesOrGoes, closed }) => !comesOrGoes && !closed.isEmpty) ? [existingWords(change)] : []),
    ...assumed.map((name) => `taken so: ${assumptionText(name, switches)}`),
  ]
}

/**
 * Replies and connections that exist: in Calico's chains the first rule of each endpoint accepts what conntrack calls RELATED or ESTABLISHED, before
 * any policy is asked (felix/rules/endpoints.go, endpointIptablesChain); a one-way UDP flow stays NEW until it is answered.
 */
export function existingWords({ engine }: Pick<Change, 'engine'>): string {
  const calico =
    "Calico's iptables rules accept what conntrack calls ESTABLISHED before any policy is asked, so connections go on until they end; " +
    'UDP that was never answered is cut at once.'
  const survive = engine.kind === 'calico' ? 'Those that exist survive:' : 'Those that exist may survive: the API leaves it open.'
  return `closed means for new connections. ${survive} ${calico}`
}

/** `a pod that does not exist yet (pods app=db of namespace shop, no other labels) could no longer be reached by …: NetworkPolicy shop/db selects it`. */
export function futureWords({ change, rule, words, effects }: FutureNote): string {
  const { how, policy } = change
  const named = rule === undefined ? 'selects it' : `names it in ${ruleName({ policy, rule: rule.rule, effect: 'allow' })}`
  const happens = effects.map(({ effect, direction, others }) => {
    const able = direction === 'ingress' ? 'be reached by' : 'reach'
    return `${effect === 'closed' ? 'could no longer' : 'could now'} ${able} ${listed(others)}`
  })
  const verb = how === 'deleted' ? named.replace('selects', 'selected').replace('names', 'named') : named
  return `a pod that does not exist yet (${words}, no other labels) ${happens.join(' and ')}: ${policyName(policy)} ${verb}`
}

const SHOWN = 3

function listed(names: readonly string[]): string {
  return names.length <= SHOWN ? names.join(', ') : `${names.slice(0, SHOWN).join(', ')} and ${names.length - SHOWN} more`
}
