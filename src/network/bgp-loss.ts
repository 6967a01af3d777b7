/** Why a segment of BGP does not get through, in words: the rule that took it, or what the kernel says of it. Read from the rows of the question just asked. */
import type { Provenance } from '../dataplane/dataplane.js'
import { printRule } from '../dataplane/iptables-print.js'
import { TABLE_NAMES } from '../dataplane/iptables.js'
import { ROW_A, ROW_KIND, ROW_NETNS, STEP_RULE, STEP_STRIDE } from '../net/trace.js'
import { droppingTable } from './dropping-table.js'
import type { Network } from './network.js'
import type { LegOutcome } from './leg-outcome.js'

export interface Loss {
  /** `node-2: filter/cali-fw-eth0 #3 drops it: -m comment … -j DROP`. */
  readonly text: string
  /** Of the rule: who wrote it, and where. */
  readonly provenance?: Provenance
}

/** @param leg of the outcome of the network's last question, not delivered */
export function lossOf(network: Network, leg: LegOutcome): Loss {
  const netns = leg.netns < 0 ? undefined : network.world.netns[leg.netns]
  const place = netns?.name ?? 'nowhere'
  const table = leg.disposition === 'DENIED' || leg.disposition === 'REJECTED' ? droppingTable(network.world, leg.step) : -1
  if (table < 0) return { text: `${place}: ${leg.disposition}${leg.kernelReason === '' ? '' : ` (${leg.kernelReason})`}` }
  const { steps } = network.world.trace
  const [, number, chain, rule] = steps.subarray(table * STEP_STRIDE + ROW_A, table * STEP_STRIDE + ROW_A + 4)
  const netfilter = netns?.netfilter
  const decided = rule < 0 ? undefined : netfilter?.ruleAt(number, chain, rule)
  const where = `${TABLE_NAMES[number]}/${netfilter?.chainName(chain) ?? '?'}`
  const verb = leg.disposition === 'DENIED' ? 'drops' : 'rejects'
  if (decided === undefined) return { text: `${place}: the policy of ${where} ${verb} it` }
  const provenance = decided.provenance ?? lastMatched(network, table)
  return { text: `${place}: ${where} #${rule + 1} ${verb} it: ${printRule(decided)}`, ...(provenance === undefined ? {} : { provenance }) }
}

/** A chain's closing DROP is nobody's; the last rule with an owner that led there has one. */
function lastMatched({ world: { trace, netns } }: Network, table: number): Provenance | undefined {
  let found: Provenance | undefined
  for (let i = table + 1; i < trace.stepCount && trace.steps[i * STEP_STRIDE + ROW_KIND] === STEP_RULE; i++) {
    const at = i * STEP_STRIDE
    const [number, chain, rule, matched] = trace.steps.subarray(at + ROW_A, at + ROW_A + 4)
    if (matched === 1 && rule >= 0) found = netns[trace.steps[at + ROW_NETNS]].netfilter?.ruleAt(number, chain, rule)?.provenance ?? found
  }
  return found
}
