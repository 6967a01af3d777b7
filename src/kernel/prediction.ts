/**
 * A question → everything that netsim predicts of it and that a kernel can confirm: frames in the order of the walk, losses with the kernel's
 * reason, the rules taken.
 */
import { numberSteps, traceDocument } from '../analysis/trace-report.js'
import type { TraceDocument } from '../analysis/trace-document.js'
import { HOOK_NAMES, TABLE_WORDS } from '../analysis/trace-step.js'
import type { Problem } from '../base/problem.js'
import { printRule } from '../dataplane/iptables-print.js'
import { DISPOSITIONS, REASONS, type Disposition } from '../net/disposition.js'
import { DIRECTION_TX, END_STRIDE, FRAME_STRIDE, ROW_A, ROW_KIND, ROW_NETNS, STEP_RULE, STEP_STRIDE, STEP_TABLE } from '../net/trace.js'
import { isBeyond } from '../net/netns.js'
import type { Network } from '../network/network.js'
import { isOutcome, type TraceOutcome } from '../network/probe.js'
import type { TraceRequest } from '../network/request.js'
import { encodeFrame } from '../wire/frame.js'
import { ETHERTYPE_NONE, isFragment, LEG_REPLY, type Packet } from '../wire/packet.js'
import type { PredictedFrame } from './compare.js'

export interface PredictedDrop {
  readonly netns: string
  readonly disposition: Disposition
  /** enum skb_drop_reason, without its prefix. */
  readonly reason: string
  readonly step: number
}

export interface TimedDrop extends PredictedDrop {
  /** A timer of seconds led to it. */
  readonly late: boolean
}

/** A rule that matched, or (rule 0) a chain's policy that decided. */
export interface RuleTaken {
  readonly netns: string
  readonly hook: string
  readonly table: string
  readonly chain: string
  /** From 1. */
  readonly rule: number
  /** As iptables-save prints it after `-A CHAIN`. */
  readonly text: string
  readonly step: number
}

export interface Prediction {
  readonly request: TraceRequest
  readonly outcome: TraceOutcome
  readonly document: TraceDocument
  readonly frames: readonly PredictedFrame[]
  readonly drops: readonly TimedDrop[]
  readonly rules: readonly RuleTaken[]
  /** Ports that NAT drew at random. */
  readonly natPorts: ReadonlySet<number>
  /** Ports to which VXLAN went, after all rewriting. */
  readonly tunnelPorts: ReadonlySet<number>
  /** Several packets are under way at once. */
  readonly concurrent: boolean
  /** Virtual time from the question to its end, nanoseconds. */
  readonly durationNs: number
  /** Of all that chance may make of the question; 1 where nothing is left to it. */
  readonly probability: number
}

/** Problems where the request names what is not there. */
export function predict(network: Network, request: TraceRequest): Prediction | readonly Problem[] {
  const outcome = network.trace(request)
  if (!isOutcome(outcome)) return outcome
  const numbers = stepNumbers(network)
  const { trace } = network.world
  const last = trace.frameCount === 0 ? 0 : trace.frameTimes[trace.frameCount - 1]
  return {
    request,
    outcome,
    document: traceDocument(network, outcome),
    frames: framesOf(network, numbers),
    drops: dropsOf(network, numbers),
    rules: rulesOf(network, numbers),
    natPorts: natPortsOf(network),
    tunnelPorts: tunnelPortsOf(network),
    concurrent: isConcurrent(network, request),
    durationNs: Math.max(last, trace.stepCount === 0 ? 0 : trace.stepTimes[trace.stepCount - 1]) - (trace.stepCount === 0 ? 0 : trace.stepTimes[0]),
    probability: network.world.chance.probability,
  }
}

export function isPrediction(result: Prediction | readonly Problem[]): result is Prediction {
  return !Array.isArray(result)
}

/** Rows without a number of their own (rules) have that of the row before. */
function stepNumbers(network: Network): Int32Array {
  const numbers = numberSteps(network)
  for (let i = 1; i < numbers.length; i++) if (numbers[i] === 0) numbers[i] = numbers[i - 1]
  return numbers
}

function framesOf(network: Network, numbers: Int32Array): PredictedFrame[] {
  const { trace, netns, devices } = network.world
  const frames: PredictedFrame[] = []
  for (let i = 0; i < trace.frameCount; i++) {
    const at = i * FRAME_STRIDE
    const packet = trace.framePackets[i]
    const stack = netns[trace.frames[at]]
    if (isBeyond(stack)) continue
    frames.push({
      netns: stack.name,
      device: devices[trace.frames[at + 1]].name,
      direction: trace.frames[at + 2] === DIRECTION_TX ? 'tx' : 'rx',
      leg: trace.frames[at + 3] === LEG_REPLY ? 'reply' : 'forward',
      packet: trace.frames[at + 4],
      step: trace.frames[at + 5] === 0 ? 0 : numbers[trace.frames[at + 5] - 1],
      timeNs: trace.frameTimes[i],
      link: packet.etherType === ETHERTYPE_NONE ? 'none' : 'ethernet',
      bytes: encodeFrame(packet),
    })
  }
  return frames
}

/** Timers run from here on: the first of them is a neighbour's second. */
const LATE_NS = 0.9e9

function dropsOf(network: Network, numbers: Int32Array): TimedDrop[] {
  const { trace, netns } = network.world
  const drops: TimedDrop[] = []
  for (let i = 0; i < trace.endCount; i++) {
    const [, disposition, reason, where, , step] = trace.ends.subarray(i * END_STRIDE, (i + 1) * END_STRIDE)
    if (reason === 0 || where < 0) continue
    const late = step >= 0 && trace.stepTimes[step] - trace.stepTimes[0] >= LATE_NS
    drops.push({ netns: netns[where].name, disposition: DISPOSITIONS[disposition], reason: REASONS[reason], step: step < 0 ? 0 : numbers[step], late })
  }
  return drops
}

function rulesOf(network: Network, numbers: Int32Array): RuleTaken[] {
  const { trace, netns } = network.world
  const taken: RuleTaken[] = []
  let hook = 0
  for (let i = 0; i < trace.stepCount; i++) {
    const at = i * STEP_STRIDE
    const kind = trace.steps[at + ROW_KIND]
    if (kind === STEP_TABLE) hook = trace.steps[at + ROW_A]
    if (kind !== STEP_RULE || trace.steps[at + ROW_A + 3] !== 1) continue
    const stack = netns[trace.steps[at + ROW_NETNS]]
    const [table, chain, rule] = trace.steps.subarray(at + ROW_A, at + ROW_A + 3)
    const found = stack.netfilter?.ruleAt(table, chain, rule)
    if (stack.netfilter === null || found === undefined) continue
    taken.push({
      netns: stack.name,
      hook: HOOK_NAMES[hook],
      table: TABLE_WORDS[table],
      chain: stack.netfilter.chainName(chain),
      rule: rule + 1,
      text: printRule(found),
      step: numbers[i],
    })
  }
  return taken
}

function tunnelPortsOf({ world: { trace } }: Network): ReadonlySet<number> {
  const ports = new Set<number>()
  for (const outermost of trace.framePackets.slice(0, trace.frameCount)) {
    for (let packet: Packet | null = outermost; packet !== null; packet = packet.inner) if (packet.vni >= 0) ports.add(packet.dport)
  }
  return ports
}

/** Ports that NAT drew, by a rule's wish or because its own was taken. */
function natPortsOf({ world }: Network): ReadonlySet<number> {
  return new Set(world.netns.flatMap(({ conntrack }) => conntrack?.drawnPorts ?? []))
}

/** A packet shows again after another one did, or parts of one are on their way side by side. */
function isConcurrent(network: Network, request: TraceRequest): boolean {
  if (request.cold) return true
  const { trace } = network.world
  const seen = new Set<number>()
  let current = -1
  for (let i = 0; i < trace.frameCount; i++) {
    const packet = trace.framePackets[i]
    if (hasFragments(packet) || packet.flooded === 1) return true
    const id = trace.frames[i * FRAME_STRIDE + 4]
    if (id !== current && seen.has(id)) return true
    seen.add(id)
    current = id
  }
  return false
}

function hasFragments(packet: Packet): boolean {
  return isFragment(packet) || (packet.inner !== null && hasFragments(packet.inner))
}
