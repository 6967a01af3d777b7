/** A loss by kube-proxy's own word: the Service has no endpoint, or none on this node. */
import type { Rule } from '../dataplane/iptables.js'
import { ROW_A, ROW_NETNS, ROW_PACKET, STEP_STRIDE, STEP_TABLE } from '../net/trace.js'
import type { World } from '../net/netns.js'

/** The comment of such a rule (kubernetes pkg/proxy/iptables/proxier.go). */
const NO_ENDPOINT = / has no (?:local )?endpoints$/

/** @param step of the drop */
export function lacksEndpoint(world: World, step: number): boolean {
  const rule = rulingBefore(world, step)
  return rule?.provenance?.by === 'kube-proxy' && rule.matches.some((match) => match.kind === 'comment' && NO_ENDPOINT.test(match.text))
}

/** The rule that decided in the last table before a step. */
function rulingBefore({ trace, netns }: World, step: number): Rule | undefined {
  for (let i = step; i >= 0; i--) {
    const at = i * STEP_STRIDE
    // the ICMP message of a REJECT has been through tables of its own since
    if (trace.steps[at] !== STEP_TABLE || trace.steps[at + ROW_PACKET] !== trace.steps[step * STEP_STRIDE + ROW_PACKET]) continue
    const [, table, chain, rule] = trace.steps.subarray(at + ROW_A, at + ROW_A + 4)
    return rule < 0 ? undefined : netns[trace.steps[at + ROW_NETNS]].netfilter?.ruleAt(table, chain, rule)
  }
  return undefined
}
