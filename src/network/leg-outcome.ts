/** The ends that a walk wrote down, weighed into what became of a leg. */
import { DELIVERED, DISPOSITIONS, LOOP, REASONS, TTL_EXCEEDED, type Disposition } from '../net/disposition.js'
import type { Netns } from '../net/netns.js'
import { END_STRIDE, ROW_LEG, ROW_NETNS, STEP_FORWARD, STEP_STRIDE } from '../net/trace.js'
import { LEG_FORWARD, LEG_REPLY } from '../wire/packet.js'
import type { Network } from './network.js'

export interface LegOutcome {
  readonly disposition: Disposition
  /** Index of the step that decided, -1 none. */
  readonly step: number
  readonly kernelReason: string
  readonly netns: number
}

export const NO_END: LegOutcome = { disposition: 'INCOMPLETE', step: -1, kernelReason: '', netns: -1 }

/** Of several ends of the packet (fragments, flooded copies): it arrived if one did; else the last loss tells. */
export function forwardOutcome(network: Network, packetId: number): LegOutcome {
  const { trace } = network.world
  let outcome = NO_END
  for (let i = 0; i < trace.endCount; i++) {
    const at = i * END_STRIDE
    if (trace.ends[at] !== LEG_FORWARD || trace.ends[at + 4] !== packetId) continue
    if (trace.ends[at + 1] === DELIVERED) return legOutcome(network, at)
    outcome = legOutcome(network, at)
  }
  if (outcome !== NO_END) return outcome
  // a handshake that never got to its data segment
  for (let i = trace.endCount - 1; i >= 0; i--) if (trace.ends[i * END_STRIDE] === LEG_FORWARD) return legOutcome(network, i * END_STRIDE)
  return outcome
}

/** What came back, weighed by the asker: an ICMP error about a lost answer is delivered to whoever answered, and tells nothing of the answer. */
export function replyOutcome(network: Network, asker: Netns): LegOutcome | undefined {
  const { trace } = network.world
  const arrived = ({ disposition, netns }: LegOutcome): boolean => disposition === 'DELIVERED' && netns === asker.index
  let outcome: LegOutcome | undefined
  for (let i = 0; i < trace.endCount; i++) {
    const at = i * END_STRIDE
    if (trace.ends[at] !== LEG_REPLY) continue
    const next = legOutcome(network, at)
    if (outcome === undefined || arrived(next) || (!arrived(outcome) && next.disposition !== 'DELIVERED')) outcome = next
  }
  if (outcome !== undefined) return outcome
  for (let i = 0; i < trace.stepCount; i++) if (trace.steps[i * STEP_STRIDE + ROW_LEG] === LEG_REPLY) return NO_END
  return undefined
}

function legOutcome(network: Network, at: number): LegOutcome {
  const { trace } = network.world
  const code = trace.ends[at + 1]
  const disposition = code === TTL_EXCEEDED && loops(network, trace.ends[at + 3]) ? LOOP : code
  return { disposition: DISPOSITIONS[disposition], step: trace.ends[at + 5], kernelReason: REASONS[trace.ends[at + 2]], netns: trace.ends[at + 3] }
}

/** The same netns forwarded it three times: it goes round. */
function loops(network: Network, netns: number): boolean {
  const { trace } = network.world
  let visits = 0
  for (let i = 0; i < trace.stepCount; i++) {
    const at = i * STEP_STRIDE
    if (trace.steps[at] === STEP_FORWARD && trace.steps[at + ROW_NETNS] === netns && trace.steps[at + ROW_LEG] === LEG_FORWARD) visits++
  }
  return visits >= 3
}
