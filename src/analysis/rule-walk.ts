/** The rules that a table tried, in the order of the walk: each with its rule, what came of it, and which of its matches failed. */
import type { Match, Rule } from '../dataplane/iptables.js'
import type { Netns } from '../net/netns.js'
import { ROW_A, ROW_KIND, ROW_MARK, STEP_RULE, STEP_STRIDE } from '../net/trace.js'
import type { Network } from '../network/network.js'

export interface TriedRule {
  readonly chain: string
  /** 1-based. */
  readonly number: number
  readonly rule: Rule
  readonly matched: boolean
  /** Those that failed, in the order of the text. One that counts or draws when it is asked is among them only where the kernel left off at it. */
  readonly failing: readonly Match[]
  /** The one at which the kernel left off. */
  readonly failed?: Match
  /** fwmark behind the rule. */
  readonly mark: number
}

/** Of the table whose step stands at `index`: those that matched, and from level 1 on all that were tried. */
export function triedRules({ world: { trace } }: Network, { netfilter }: Netns, index: number): readonly TriedRule[] {
  if (netfilter === null) return []
  const tried: TriedRule[] = []
  for (let row = index + 1; row < trace.stepCount && trace.steps[row * STEP_STRIDE + ROW_KIND] === STEP_RULE; row++) {
    const at = row * STEP_STRIDE
    const [table, chain, number, matched, first, failing] = trace.steps.subarray(at + ROW_A, at + ROW_A + 6)
    const rule = number < 0 ? undefined : netfilter.ruleAt(table, chain, number)
    if (rule === undefined) continue
    const failed = matched === 1 || first < 0 ? undefined : rule.matches.at(first)
    tried.push({
      chain: netfilter.chainName(chain),
      number: number + 1,
      rule,
      matched: matched === 1,
      failing: matched === 1 ? [] : rule.matches.filter((match, place) => ((failing >>> place) & 1) !== 0 || match === failed),
      ...(failed === undefined ? {} : { failed }),
      mark: trace.steps[at + ROW_MARK],
    })
  }
  return tried
}

/** The comments of a rule but for Felix's own hash. */
export function commentsOf({ matches }: Rule): readonly string[] {
  return matches.flatMap((match) => (match.kind === 'comment' && !match.text.startsWith('cali:') ? [match.text] : []))
}
