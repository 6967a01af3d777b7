/** A loss by kube-proxy's own word: the Service has no endpoint, or none on this node. */
import { DUMP } from '../collected/collected-node.js'
import type { Rule } from '../dataplane/iptables.js'
import { ROW_A, ROW_NETNS, STEP_STRIDE } from '../net/trace.js'
import type { World } from '../net/netns.js'
import { droppingTable } from './dropping-table.js'

/** The comment of such a rule (kubernetes pkg/proxy/iptables/proxier.go). */
const NO_ENDPOINT = / has no (?:local )?endpoints$/

/** @param step of the drop */
export function lacksEndpoint(world: World, step: number): boolean {
  const rule = rulingBefore(world, step)
  const by = rule?.provenance?.by
  // in a dump nobody says whose a rule is: it goes by its words
  return (by === 'kube-proxy' || by === DUMP) && rule !== undefined && rule.matches.some((match) => match.kind === 'comment' && NO_ENDPOINT.test(match.text))
}

/** The rule of the table that dropped it. */
function rulingBefore(world: World, step: number): Rule | undefined {
  const table = step < 0 ? -1 : droppingTable(world, step)
  if (table < 0) return undefined
  const at = table * STEP_STRIDE
  const { steps } = world.trace
  const [, number, chain, rule] = steps.subarray(at + ROW_A, at + ROW_A + 4)
  return rule < 0 ? undefined : world.netns[steps[at + ROW_NETNS]].netfilter?.ruleAt(number, chain, rule)
}
