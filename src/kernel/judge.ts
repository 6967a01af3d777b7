/** One question's prediction beside what a kernel did: frames, losses, rules → the verdict of a probe with everything that differs named. */
import { summarizeFrame } from '../wire/frame-summary.js'
import { hearingDifference } from './hearing.js'
import { compareFrames, type FrameDifference, type SeenFrame } from './compare.js'
import type { KernelDrop, KernelRule, Sighting } from './lab-types.js'
import type { OutcomePredictions } from './outcome-predictions.js'
import type { PredictedDrop, Prediction, RuleTaken, TimedDrop } from './prediction.js'
import type { DifferenceDocument, DropsDocument, FrameWords, ProbeDocument, RulesDocument, RuleWords } from './verify-report.js'

/** What of a sighting is judged; a test may give its own. Without `heard` nobody listened. */
export type Judged = Pick<Sighting, 'frames' | 'error' | 'drops' | 'dropsWhy' | 'rules' | 'rulesWhy' | 'lost'> & Partial<Pick<Sighting, 'heard' | 'injected'>>

export function judge(name: string, prediction: Prediction, sighting: Judged): ProbeDocument {
  const { request, natPorts, tunnelPorts, concurrent, outcome } = prediction
  // the question's own packet may be wrong; whatever else is made, by either side, must be right
  const corrupt = request.packet !== undefined
  const compared = compareFrames(prediction.frames, sighting.frames, {
    cold: request.cold,
    concurrent,
    natPorts,
    tunnelPorts,
    corrupt,
    injected: sighting.injected === true ? outcome.packetId : undefined,
  })
  const drops = dropsOf(prediction.drops, sighting)
  const rules = rulesOf(prediction, sighting)
  const common = { ...headOf(name, prediction), error: sighting.error, disposition: outcome.disposition, drops, rules, outcomes: null }
  const frames = { predicted: compared.predicted, captured: compared.captured, equal: compared.matched, upkeep: compared.upkeep }
  if (sighting.lost > 0) return { ...common, verdict: 'left-out', why: `the capture lost ${sighting.lost} frames`, frames, differences: [] }
  const taken = sighting.heard === undefined ? undefined : hearingDifference(prediction, sighting.heard)
  const differences = taken === undefined ? compared.differences : [...compared.differences, taken]
  const equal = differences.length === 0 && rules.equal !== false && drops.equal !== false
  return { ...common, verdict: equal ? 'equal' : 'differs', why: '', frames, differences: differences.map((one) => differenceOf(prediction, one)) }
}

/**
 * Equal when all of it is equal to one outcome. Where to none, the nearest is told; but where some could not be followed, the kernel may have drawn one of
 * those.
 */
export function judgeOutcomes(name: string, { all, followed }: OutcomePredictions, sighting: Judged): ProbeDocument {
  const certain = all.length === 1 && followed === 1
  let nearest: ProbeDocument | undefined
  for (const [index, prediction] of all.entries()) {
    const judged = judge(name, prediction, sighting)
    const told = certain ? judged : { ...judged, outcomes: { count: all.length, shown: index + 1, probability: prediction.probability, followed } }
    if (told.verdict === 'equal') return told
    if (nearest === undefined || distance(told) < distance(nearest)) nearest = told
  }
  const found = nearest as ProbeDocument
  if (followed === 1 || found.verdict !== 'differs') return found
  return { ...found, verdict: 'left-out', why: `the kernel took none of the first ${all.length} outcomes; there are too many to follow all`, differences: [] }
}

/** A frame with a wrong field is nearer than none at all. */
const WHOLE_FRAME = 8

function distance({ differences, rules, drops }: ProbeDocument): number {
  const apart = differences.reduce((sum, { kind, fields }) => sum + (kind === 'missing' || kind === 'extra' ? WHOLE_FRAME : fields.length), 0)
  return apart + Number(rules.equal === false) + Number(drops.equal === false)
}

/** A question that could not be put to this kernel. */
export function leftOut(name: string, prediction: Prediction, why: string): ProbeDocument {
  return {
    ...headOf(name, prediction),
    verdict: 'left-out',
    why,
    disposition: prediction.outcome.disposition,
    frames: { predicted: prediction.frames.length, captured: 0, equal: 0, upkeep: 0 },
    error: '',
    differences: [],
    drops: { equal: null, why, named: 0, predicted: prediction.drops.map(wordsOfDrop), kernel: [] },
    rules: { equal: null, why, predicted: prediction.rules.map(wordsOf), kernel: [], what: '' },
    outcomes: null,
  }
}

function headOf(name: string, { request, outcome }: Prediction): Pick<ProbeDocument, 'name' | 'source' | 'destination' | 'proto'> {
  return { name, source: request.source, destination: request.destination, proto: outcome.proto }
}

function differenceOf({ document, frames }: Prediction, difference: FrameDifference): DifferenceDocument {
  const { kind, netns, device, direction, what, fields, predicted, captured } = difference
  const step = predicted?.step ?? frames.slice(0, difference.at).at(-1)?.step ?? 0
  const steps = [document.forward, ...(document.reply === null ? [] : [document.reply])].flatMap(({ hops }) => hops.flatMap((hop) => hop.steps))
  const found = steps.find(({ n }) => n === step)
  return {
    kind,
    netns,
    device,
    direction,
    what,
    fields,
    step,
    stepText: found === undefined ? '' : `${found.kind} ${found.action}: ${found.text}`,
    predicted: frameWords(predicted),
    captured: frameWords(captured),
  }
}

function frameWords(frame: SeenFrame | undefined): FrameWords | null {
  return frame === undefined ? null : { hex: Buffer.from(frame.bytes).toString('hex'), words: summarizeFrame(frame.bytes, { link: frame.link }) }
}

/** What the sender is told where nothing leaves him: then there is no packet yet that the kernel could free (ip_append_data, ip_route_output_flow). */
const TOLD: Readonly<Record<string, readonly string[]>> = {
  PKT_TOO_BIG: ['Message too long'],
  IP_OUTNOROUTES: ['Network is unreachable', 'No route to host', 'Invalid argument', 'Permission denied'],
}

/** The laboratory's cable is a veth, which says nothing when a frame is too large for it (is_skb_forwardable); a switch of the underlay says nothing either. */
function lostOnCable({ reason, location }: KernelDrop): boolean {
  return reason === 'NOT_SPECIFIED' && (location === '' || location.startsWith('__dev_forward_skb'))
}

/**
 * kfree_skb tells a reason and no netns, and others' packets come and go: each predicted reason must be among the kernel's, as often as it is
 * predicted. What the kernel names besides is shown and judged by nobody: a frame that got lost shows in the frames. What a timer leads to comes
 * seconds later and on whichever CPU: it need not be among what was read.
 */
function dropsOf(timed: readonly TimedDrop[], { drops, dropsWhy, error }: Judged): DropsDocument {
  const predicted = timed.map(wordsOfDrop)
  if (drops === null) return { equal: null, why: dropsWhy, named: 0, predicted, kernel: [] }
  const left = drops.map((drop) => (lostOnCable(drop) ? 'PKT_TOO_BIG' : drop.reason))
  const unnamed = timed.filter(({ reason }) => {
    const at = left.indexOf(reason)
    if (at >= 0) left.splice(at, 1)
    return at < 0 && TOLD[reason]?.includes(error) !== true
  })
  const missing = unnamed.filter(({ late }) => !late)
  const kernel = drops.map(({ reason, location, certain }: KernelDrop) => ({ reason, location, certain }))
  const why = missing.length === 0 ? '' : `the kernel did not name ${missing.map(({ reason }) => reason).join(', ')}`
  return { equal: missing.length === 0, why, named: predicted.length - unnamed.length, predicted, kernel }
}

function wordsOfDrop({ netns, disposition, reason, step }: TimedDrop): PredictedDrop {
  return { netns, disposition, reason, step }
}

function wordsOf({ netns, table, chain, text }: RuleTaken | KernelRule): RuleWords {
  return { netns, table, chain, text }
}

/** The kernel tells the rules only of packets that a rule of the laboratory's own marks for tracing. */
function isNoTracing({ table, text }: RuleWords): boolean {
  return table !== 'raw' || text !== '-j TRACE'
}

/**
 * Rule by rule in each netns. Only their number counts where packets are under way together, and where one is made within a rule's own
 * evaluation: the kernel tells of a REJECT after all that its answer has been through (nft_reject_eval, then nft_trace_packet).
 */
function rulesOf({ rules: predicted, concurrent }: Prediction, { rules, rulesWhy }: Judged): RulesDocument {
  const ours = predicted.map(wordsOf).filter(isNoTracing)
  if (rules === null) return { equal: null, why: rulesWhy, predicted: ours, kernel: [], what: '' }
  const theirs = rules
    .filter(({ kind }) => kind === 'rule')
    .map(wordsOf)
    .filter(isNoTracing)
  const unordered = concurrent || ours.some(({ text }) => text.includes('-j REJECT'))
  const line = ({ table, chain, text }: RuleWords): string => `${table} ${chain} ${text}`.trimEnd()
  const what: string[] = []
  for (const netns of new Set([...ours, ...theirs].map((rule) => rule.netns))) {
    const [a, b] = [ours, theirs].map((list) => list.filter((rule) => rule.netns === netns).map(line))
    if (unordered) for (const list of [a, b]) list.sort()
    const at = a.findIndex((text, i) => text !== b[i])
    const parts = at >= 0 ? at : a.length < b.length ? a.length : -1
    if (parts >= 0) what.push(`${netns}: predicted ${a[parts] ?? 'no more rules'}, taken ${b[parts] ?? 'no more rules'}`)
  }
  return { equal: what.length === 0, why: '', predicted: ours, kernel: theirs, what: what.join('; ') }
}
