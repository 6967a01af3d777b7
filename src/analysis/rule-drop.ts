/**
 * A packet that a table dropped → what all the rules that it tried say of the drop. A question at level 0 has not written down which rules failed:
 * it is asked once more aside, and its own rows stay.
 */
import { assert } from '../base/assert.js'
import { ROW_NETNS, STEP_STRIDE } from '../net/trace.js'
import type { Network } from '../network/network.js'
import { droppingTable } from '../network/dropping-table.js'
import type { LegOutcome } from '../network/leg-outcome.js'
import { isOutcome, type TraceOutcome } from '../network/probe.js'
import { nearnessOf, type Nearness } from './near-miss.js'
import { packetFacts } from './packet-facts.js'
import type { PolicyDrop } from './policy-advice.js'
import { policyVerdicts } from './policy-verdict.js'
import { triedRules } from './rule-walk.js'

export interface RuleDrop {
  readonly nearness: Nearness
  /** Where policy dropped it. */
  readonly policy?: PolicyDrop
}

/** undefined where no table dropped the packet. */
export function ruleDropOf(network: Network, outcome: TraceOutcome): RuleDrop | undefined {
  const losing = losingLeg(outcome)
  if (losing.step < 0 || (losing.disposition !== 'DENIED' && losing.disposition !== 'REJECTED')) return undefined
  if (outcome.request.level > 0) return readDrop(network, outcome)
  return network.traceAside({ ...outcome.request, level: 1 }, (again) => {
    assert(isOutcome(again), 'a question that was answered is answered again')
    return readDrop(network, again)
  })
}

/** Whose loss is told. */
export function losingLeg({ disposition, forward, reply }: TraceOutcome): LegOutcome {
  const arrived = disposition === 'REPLY_LOST' || (disposition === 'INCOMPLETE' && forward.disposition === 'DELIVERED')
  return arrived ? (reply ?? forward) : forward
}

function readDrop(network: Network, outcome: TraceOutcome): RuleDrop | undefined {
  const { trace, netns } = network.world
  const index = droppingTable(network.world, losingLeg(outcome).step)
  if (index < 0) return undefined
  const tried = triedRules(network, netns[trace.steps[index * STEP_STRIDE + ROW_NETNS]], index)
  const facts = packetFacts(network, outcome, index)
  const book = network.calico?.book()
  const nearness = nearnessOf({ tried, facts, namer: network, book })
  const verdict = book === undefined ? undefined : policyVerdicts(tried, book).at(-1)
  return { nearness, ...(verdict?.verdict === 'Deny' ? { policy: { verdict, nearness, facts, namer: network } } : {}) }
}
