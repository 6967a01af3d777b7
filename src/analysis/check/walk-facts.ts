/** The rows of the last question → what a check wants to know of it: as whom the packet arrived, who rewrote it, which rule or tunnel it was lost in. */
import type { Provenance } from '../../dataplane/dataplane.js'
import { printRule } from '../../dataplane/iptables-print.js'
import type { Ip } from '../../base/ip.js'
import type { LegOutcome } from '../../network/leg-outcome.js'
import type { TraceOutcome } from '../../network/probe.js'
import type { Network } from '../../network/network.js'
import {
  DIRECTION_RX,
  FRAME_STRIDE,
  ROW_A,
  ROW_KIND,
  ROW_LEG,
  ROW_NETNS,
  ROW_PACKET,
  STEP_AGENT,
  STEP_DECAP,
  STEP_ENCAP,
  STEP_FRAGMENT,
  STEP_NAT,
  STEP_ROUTE,
  STEP_STRIDE,
  STEP_TABLE,
} from '../../net/trace.js'
import { LEG_FORWARD } from '../../wire/packet.js'
import { policyVerdicts } from '../policy-verdict.js'
import { droppingTable } from '../../network/dropping-table.js'
import { losingLeg } from '../rule-drop.js'
import { triedRules } from '../rule-walk.js'
import { TABLE_WORDS } from '../trace-step.js'
import type { PolicyVerdictDocument } from '../trace-document.js'

const TABLE_NAT = TABLE_WORDS.indexOf('nat')
/** STEP_NAT's first argument. */
const SIDE_SOURCE = 0
const PROXY_SENT = 1

/** A rule of a netns, or the policy of a chain, in words. */
export interface RuleFact {
  readonly netns: string
  readonly table: string
  readonly chain: string
  /** As iptables-save prints it; empty: the policy of the chain. */
  readonly text: string
  /** 1-based; 0: the policy of the chain. */
  readonly number: number
  readonly provenance?: Provenance
}

export interface NatFact {
  readonly side: 'source' | 'destination'
  readonly from: Ip
  readonly to: Ip
  readonly netns: string
  /** undefined where conntrack knew the connection. */
  readonly rule?: RuleFact
}

export interface LossFact {
  readonly leg: LegOutcome
  readonly netns: string
  /** The detail of the drop, in the walk's own words. */
  readonly detail: string
  readonly rule?: RuleFact
  /** Where a policy engine's chains said so. */
  readonly policy?: PolicyVerdictDocument
  /** Inside a tunnel. */
  readonly encapsulated: boolean
}

export interface WalkFacts {
  /** The address that it was sent from. */
  readonly sentFrom: Ip
  /** As it arrived; undefined where it did not. */
  readonly arrived?: { readonly source: Ip; readonly destination: Ip }
  /** Those of the forward leg that rewrote the packet itself, not a tunnel's. */
  readonly nat: readonly NatFact[]
  readonly fragmented: boolean
  readonly loss?: LossFact
}

/** Reads the rows of the network's last question: call it before the next one is asked. */
export function walkFacts(network: Network, outcome: TraceOutcome): WalkFacts {
  const { trace } = network.world
  const nat: NatFact[] = []
  let sentFrom = outcome.source.address
  let routed = false
  let depth = 0
  let fragmented = false
  for (let row = 0; row < trace.stepCount; row++) {
    const at = row * STEP_STRIDE
    if (trace.steps[at + ROW_LEG] !== LEG_FORWARD) continue
    const kind = trace.steps[at + ROW_KIND]
    if (kind === STEP_FRAGMENT) fragmented = true
    if (trace.steps[at + ROW_PACKET] !== outcome.packetId) continue
    if (kind === STEP_ROUTE && !routed) {
      routed = true
      // a node's process is bound to nothing: the first lookup chooses
      if (trace.steps[at + ROW_A + 5] !== 0) sentFrom = trace.steps[at + ROW_A + 5]
    }
    depth += depthOf(kind, trace.steps[at + ROW_A])
    if (kind === STEP_NAT && depth === 0) nat.push(natFact(network, row))
  }
  const loss = outcome.disposition === 'DELIVERED' ? undefined : lossFact(network, outcome)
  const arrived = outcome.forward.disposition === 'DELIVERED' ? arrivalOf(network, outcome) : undefined
  return { sentFrom, nat, fragmented, ...(arrived === undefined ? {} : { arrived }), ...(loss === undefined ? {} : { loss }) }
}

/** By how many tunnels the packet is deeper behind the step than before. @param first its first argument */
export function depthOf(kind: number, first: number): number {
  if (kind === STEP_ENCAP) return 1
  if (kind === STEP_DECAP) return -1
  return kind === STEP_AGENT ? (first === PROXY_SENT ? 1 : -1) : 0
}

function natFact(network: Network, row: number): NatFact {
  const { trace, netns } = network.world
  const at = row * STEP_STRIDE
  const rule = ruleBefore(network, row)
  return {
    side: trace.steps[at + ROW_A] === SIDE_SOURCE ? 'source' : 'destination',
    from: trace.steps[at + ROW_A + 1],
    to: trace.steps[at + ROW_A + 2],
    netns: netns[trace.steps[at + ROW_NETNS]].name,
    ...(rule === undefined ? {} : { rule }),
  }
}

/** The rule of the nat table that the packet met last, in the same netns. */
export function ruleBefore(network: Network, row: number): RuleFact | undefined {
  const { steps } = network.world.trace
  const at = row * STEP_STRIDE
  for (let i = row - 1; i >= 0; i--) {
    const here = i * STEP_STRIDE
    if (steps[here + ROW_NETNS] !== steps[at + ROW_NETNS] || steps[here + ROW_PACKET] !== steps[at + ROW_PACKET]) continue
    if (steps[here + ROW_KIND] === STEP_TABLE && steps[here + ROW_A + 1] === TABLE_NAT) return ruleFact(network, i)
  }
  return undefined
}

/** Of the row of a table: the rule that decided, or the policy of the chain. */
function ruleFact(network: Network, row: number): RuleFact {
  const { trace, netns } = network.world
  const at = row * STEP_STRIDE
  const stack = netns[trace.steps[at + ROW_NETNS]]
  const [table, chain, number] = trace.steps.subarray(at + ROW_A + 1, at + ROW_A + 4)
  const rule = number < 0 ? undefined : stack.netfilter?.ruleAt(table, chain, number)
  return {
    netns: stack.name,
    table: TABLE_WORDS[table],
    chain: stack.netfilter?.chainName(chain) ?? '',
    text: rule === undefined ? '' : printRule(rule),
    number: number + 1,
    ...(rule?.provenance === undefined ? {} : { provenance: rule.provenance }),
  }
}

function lossFact(network: Network, outcome: TraceOutcome): LossFact | undefined {
  const { trace, netns, words } = network.world
  const leg = losingLeg(outcome)
  if (leg.netns < 0) return undefined
  const { step } = leg
  const table = step < 0 ? -1 : droppingTable(network.world, step)
  const stack = netns[leg.netns]
  const book = network.calico?.book()
  const verdict = table < 0 || book === undefined ? undefined : policyVerdicts(triedRules(network, stack, table), book).at(-1)
  return {
    leg,
    netns: stack.name,
    detail: step < 0 ? '' : (words[trace.steps[step * STEP_STRIDE + ROW_A + 2]] ?? ''),
    encapsulated: step >= 0 && depthBefore(network, step) > 0,
    ...(table < 0 ? {} : { rule: ruleFact(network, table) }),
    ...(verdict?.verdict === 'Deny' ? { policy: verdict } : {}),
  }
}

function depthBefore(network: Network, step: number): number {
  const { steps } = network.world.trace
  let depth = 0
  for (let row = 0; row < step; row++) {
    const at = row * STEP_STRIDE
    if (steps[at + ROW_PACKET] === steps[step * STEP_STRIDE + ROW_PACKET]) depth += depthOf(steps[at + ROW_KIND], steps[at + ROW_A])
  }
  return depth
}

/** What a packet socket beside the receiver sees. */
function arrivalOf(network: Network, outcome: TraceOutcome): WalkFacts['arrived'] {
  const { trace } = network.world
  for (let i = trace.frameCount - 1; i >= 0; i--) {
    const [netns, , direction, leg, packet] = trace.frames.subarray(i * FRAME_STRIDE, i * FRAME_STRIDE + 5)
    if (netns !== outcome.forward.netns || direction !== DIRECTION_RX || leg !== LEG_FORWARD || packet !== outcome.packetId) continue
    const { src, dst } = trace.framePackets[i]
    return { source: src, destination: dst }
  }
  return undefined
}

/** `host-a nat/POSTROUTING #1  -s … -j MASQUERADE`, or `host-a filter/FORWARD policy DROP`. */
export function ruleWords({ netns, table, chain, number, text }: RuleFact): string {
  return number === 0 ? `${netns} ${table}/${chain} policy DROP` : `${netns} ${table}/${chain} #${number}  ${text}`
}
