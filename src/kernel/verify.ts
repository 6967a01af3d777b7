/**
 * `netsim verify`: asks netsim and a real kernel the same questions. One network is built for real, each question is predicted, sent, seen and
 * judged; what this kernel cannot make is named and what needs it is left out.
 *
 *   Network, probes ─▶ KernelLab ─▶ { predict ‖ send } ─▶ judge ─▶ VerificationDocument
 */
import { hrtime } from 'node:process'
import { scheduler } from 'node:timers/promises'
import type { HopDocument } from '../analysis/trace-document.js'
import type { Problem } from '../base/problem.js'
import type { Network } from '../network/network.js'
import { controlCounts, type ControlDocument } from './control-report.js'
import { KernelLab, labNetworkOf } from './lab.js'
import { labLimit } from './lab-limits.js'
import { labProbeOf } from './lab-question.js'
import { Rations } from './lab-rest.js'
import { addressesIn } from './lab-warm.js'
import type { LabNetwork, NotBuilt } from './lab-types.js'
import { judgeOutcomes, leftOut } from './judge.js'
import { areOutcomes, longest, predictOutcomes, together } from './outcome-predictions.js'
import { isPrediction, predict, type Prediction } from './prediction.js'
import type { VerifyProbe } from './probes.js'
import type { ProbeDocument, SummaryDocument, Verdict, VerificationDocument } from './verify-report.js'

export interface VerifyOptions {
  readonly probes: readonly VerifyProbe[]
  /** Begins the name of everything that is made. */
  readonly prefix: string
  readonly iptables?: 'nft' | 'legacy'
  /** Ask the kernel for the rules that packets took. */
  readonly rules: boolean
  /** What the kernel is given in place of the network itself: a test's deliberate fault. */
  readonly built?: LabNetwork
  readonly progress?: (done: number, total: number, name: string) => void
  /** Asked of the lab when all questions are: what a real control plane does in it. */
  readonly control?: (lab: KernelLab) => Promise<readonly ControlDocument[]>
  /** Called when all is asked and the lab still stands. */
  readonly keep?: (lab: KernelLab, verified: Verified) => Promise<void>
}

export interface Verified {
  readonly probes: readonly ProbeDocument[]
  readonly notBuilt: readonly NotBuilt[]
  readonly complaints: readonly string[]
  readonly control: readonly ControlDocument[]
  readonly summary: SummaryDocument
  readonly verdict: Verdict
}

/** Problems where a question names what is not there: then nothing is built. */
export function refusals(network: Network, probes: readonly VerifyProbe[]): readonly Problem[] {
  return probes.flatMap(({ request }) => {
    const result = predict(network, request)
    return isPrediction(result) ? [] : [...result]
  })
}

/** @throws LabError when this machine will not build it; nothing remains then, nor at any other end */
export async function verifyNetwork(network: Network, options: VerifyOptions): Promise<Verified> {
  const built = options.built ?? labNetworkOf(network)
  const lab = await KernelLab.start(built, { prefix: options.prefix, ...(options.iptables === undefined ? {} : { iptables: options.iptables }) })
  try {
    const probes: ProbeDocument[] = []
    const rations = new Rations()
    for (const [index, probe] of options.probes.entries()) {
      options.progress?.(index, options.probes.length, probe.name)
      probes.push(await ask(network, probe, { lab, options, rations }))
    }
    options.progress?.(options.probes.length, options.probes.length, '')
    const control = (await options.control?.(lab)) ?? []
    const summary = summaryOf(probes, control)
    const { notBuilt, complaints } = lab
    const verified = { probes, notBuilt, complaints, control, summary, verdict: verdictOf(summary, [...notBuilt, ...complaints]) }
    await options.keep?.(lab, verified)
    return verified
  } finally {
    await lab.close()
  }
}

async function ask(
  network: Network,
  probe: VerifyProbe,
  { lab, options, rations }: { readonly lab: KernelLab; readonly options: VerifyOptions; readonly rations: Rations },
): Promise<ProbeDocument> {
  const { request } = probe
  const predicted = predictOutcomes(network, request)
  if (!areOutcomes(predicted)) throw new Error(`a question that was sound is refused: ${probe.name}`)
  for (const prediction of predicted.all) {
    const why = whyNotAsked(network, prediction, lab.notBuilt)
    if (why !== undefined) return leftOut(probe.name, prediction, why)
  }
  const prediction = longest(predicted)
  const question = labProbeOf(network, prediction, { trace: options.rules })
  if (question === undefined) return leftOut(probe.name, prediction, `${prediction.outcome.proto} from ${request.source} cannot be sent here`)
  const brings = together(predicted)
  const rest = rations.before(brings, milliseconds())
  if (rest > 0) await scheduler.wait(rest)
  if (request.cold) await lab.cold()
  else await lab.warm(addressesIn(brings))
  const sighting = await lab.send(question)
  rations.after(brings, milliseconds())
  return judgeOutcomes(probe.name, predicted, sighting)
}

/** Of any outcome, since the kernel may draw it. */
function whyNotAsked(network: Network, prediction: Prediction, notBuilt: readonly NotBuilt[]): string | undefined {
  if (prediction.outcome.disposition === 'INCOMPLETE') return 'netsim does not model what the packet meets'
  return whyNotHere(network, prediction, notBuilt) ?? labLimit(network, prediction)
}

/** The kernel's rations are refilled by real time. */
function milliseconds(): number {
  return Number(hrtime.bigint() / 1_000_000n)
}

/** What this machine cannot stand in for, of what the packet or its answer meets; undefined: nothing. */
export function whyNotHere(network: Network, prediction: Prediction, notBuilt: readonly NotBuilt[]): string | undefined {
  const lacking = notBuilt.find((device) => crosses(prediction, device))
  if (lacking !== undefined) return `${lacking.netns} ${lacking.device} (${lacking.kind}) cannot be made here: ${lacking.why}`
  const fabric = fabricOf(network, prediction)
  return fabric === undefined ? undefined : `${fabric} is the fabric of a cloud and no Linux kernel: none can stand in for it`
}

function hopsOf({ document }: Prediction): readonly HopDocument[] {
  return [...document.forward.hops, ...(document.reply?.hops ?? [])]
}

/** The packet or its answer meets the device. */
function crosses(prediction: Prediction, { netns, device }: NotBuilt): boolean {
  return hopsOf(prediction).some((hop) => hop.netns === netns && hop.steps.some(({ at }) => at?.device === device))
}

/** A cloud's fabric, modelled after its documents, where the packet or its answer leaves a card: whether it comes out again is the fabric's to say. */
function fabricOf(network: Network, { frames }: Prediction): string | undefined {
  const fabric = network.specs.find((spec) => spec.fabric === true)?.dataplane.netns
  const onCard = frames.some(({ netns, device }) => network.dataplanes.get(netns)?.devices.find(({ name }) => name === device)?.kind === 'nic')
  return onCard ? fabric : undefined
}

export function summaryOf(probes: readonly ProbeDocument[], control: readonly ControlDocument[] = []): SummaryDocument {
  const asked = probes.filter(({ verdict }) => verdict !== 'left-out')
  const total = (count: (probe: ProbeDocument) => number): number => asked.reduce((sum, probe) => sum + count(probe), 0)
  return {
    ...controlCounts(control),
    probes: probes.length,
    equal: probes.filter(({ verdict }) => verdict === 'equal').length,
    differ: probes.filter(({ verdict }) => verdict === 'differs').length,
    leftOut: probes.length - asked.length,
    frames: total(({ frames }) => frames.predicted),
    framesEqual: total(({ frames }) => frames.equal),
    upkeep: total(({ frames }) => frames.upkeep),
    drops: total(({ drops }) => (drops.equal === null ? 0 : drops.predicted.length)),
    dropsEqual: total(({ drops }) => drops.named),
    rules: total(({ rules }) => (rules.equal === null ? 0 : rules.predicted.length)),
    rulesEqual: total(({ rules }) => (rules.equal === true ? rules.predicted.length : 0)),
  }
}

/** @param lacking what could not be built, or only with a complaint */
export function verdictOf({ probes, differ, leftOut: missing, control, controlEqual, controlDiffer }: SummaryDocument, lacking: readonly unknown[]): Verdict {
  if (differ > 0 || controlDiffer > 0) return 'differs'
  // of a network in which there is nothing to ask (one node, no pod) nothing was found
  return probes + control === 0 || missing > 0 || controlEqual < control || lacking.length > 0 ? 'incomplete' : 'equal'
}

interface ReportContext {
  readonly tool: string
  readonly kernel: string
  readonly privilege: string
  readonly iptables: string
  readonly inputs: readonly string[]
  readonly seed: number
}

export function verificationDocument(network: Network, verified: Verified, context: ReportContext): VerificationDocument {
  const { verdict, summary, notBuilt, complaints, probes, control } = verified
  const { cluster, flannel } = network
  const metadata = { ...context, cni: cluster.cni, backend: flannel?.config?.backendType ?? 'none' }
  return { apiVersion: 'netsim/v1', kind: 'Verification', verdict, metadata, summary, notBuilt, complaints, probes, control }
}
