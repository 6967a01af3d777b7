/**
 * One random world on netsim and on the real kernel: built once, each probe from a fresh state, everything that differs told.
 *
 *   WorldDraft ─▶ manifestOf ─▶ Network ─┬▶ prediction ┐
 *                                        └▶ KernelLab ──┴▶ judge ─▶ Difference
 */
import { scheduler } from 'node:timers/promises'
import { formatProblem, hasErrors, type Problem } from '../../src/base/problem.js'
import { buildCluster } from '../../src/cluster/cluster.js'
import { judgeOutcomes } from '../../src/kernel/judge.js'
import { KernelLab, labNetworkOf } from '../../src/kernel/lab.js'
import { labLimit } from '../../src/kernel/lab-limits.js'
import { Rations } from '../../src/kernel/lab-rest.js'
import { labProbeOf } from '../../src/kernel/lab-question.js'
import { addressesIn } from '../../src/kernel/lab-warm.js'
import type { LabNetwork, LabProbe } from '../../src/kernel/lab-types.js'
import { areOutcomes, longest, predictOutcomes, together } from '../../src/kernel/outcome-predictions.js'
import type { Prediction } from '../../src/kernel/prediction.js'
import type { ProbeDocument } from '../../src/kernel/verify-report.js'
import { buildNetwork } from '../../src/network/build-network.js'
import type { Network } from '../../src/network/network.js'
import { DEFAULT_REQUEST, type TraceRequest } from '../../src/network/request.js'
import { bytesOfPacket } from './random-packets.js'
import { manifestOf, type ProbeDraft, type WorldDraft } from './random-world.js'

export interface Played {
  readonly probes: readonly ProbeDocument[]
  /** Why each of the others was not: netsim says INCOMPLETE or refuses, or no process can send it. */
  readonly unplayed: readonly string[]
  /** The world itself is wrong: then nothing was played. */
  readonly problems: readonly Problem[]
}

export interface PlayOptions {
  readonly prefix: string
  /** So many probes are enough: the others stand in for those that cannot be played. */
  readonly enough?: number
}

/** @throws LabError when this machine cannot build it */
export async function play(draft: WorldDraft, options: PlayOptions): Promise<Played> {
  const { cluster, problems } = buildCluster([{ file: `seed-${draft.seed}.json`, text: manifestOf(draft) }])
  if (hasErrors(problems)) return { probes: [], problems, unplayed: [] }
  const built = buildNetwork(cluster, { seed: 1 })
  if (hasErrors(built.problems)) return { probes: [], problems: built.problems, unplayed: [] }
  const lab = await KernelLab.start(inHaste(labNetworkOf(built.network)), options)
  try {
    const probes: ProbeDocument[] = []
    const unplayed: string[] = []
    await hastenProxies(built.network, lab)
    const rations = new Rations()
    for (const [index, probe] of draft.probes.entries()) {
      if (probes.length === options.enough) break
      const document = await playProbe(built.network, lab, { probe, index, rations })
      if (typeof document === 'string') unplayed.push(document)
      else probes.push(document)
    }
    return { probes, unplayed, problems: lab.complaints.map((what) => ({ severity: 'error', file: 'kernel', line: 0, object: '', what, fix: '' })) }
  } finally {
    await lab.close()
  }
}

const HASTE = 10
const NEIGHBOUR_MS = 1000
const FRAGMENT_NS = 30e9
/** Longer than the five seconds after which a neighbour that was used is asked, here one (delay_first_probe_time). */
const FRAGMENT_SECONDS = 2

/** The kernel's timers of seconds run short, so that nobody waits for what netsim has in virtual time: what happens is the same, sooner. */
export function inHaste(network: LabNetwork): LabNetwork {
  const specs = network.specs.map((spec) => {
    const { sysctls, devices } = spec.dataplane
    const arp = devices.filter(({ kind }) => kind !== 'tun' && kind !== 'loopback').map(({ name }) => name.replaceAll('.', '/'))
    const neighbours = arp.flatMap((device) => [
      [`net.ipv4.neigh.${device}.retrans_time_ms`, NEIGHBOUR_MS / HASTE] as const,
      [`net.ipv4.neigh.${device}.delay_first_probe_time`, 1] as const,
    ])
    return { ...spec, dataplane: { ...spec.dataplane, sysctls: { ...sysctls, ...Object.fromEntries(neighbours), 'net.ipv4.ipfrag_time': FRAGMENT_SECONDS } } }
  })
  return { ...network, specs }
}

/** Whoever answers for others does so at the next tick: after the others, and of several in the order in which they were asked, as netsim has it. */
export async function hastenProxies({ specs }: Network, lab: KernelLab): Promise<void> {
  for (const { dataplane } of specs) {
    const { netns, sysctls, neighbours, devices } = dataplane
    const proxies = neighbours.some(({ proxy }) => proxy === true) || Object.keys(sysctls).some((key) => /proxy_arp(_pvlan)?$/.test(key) && sysctls[key] !== 0)
    if (!proxies) continue
    // Felix's devices wait for nobody
    const waiting = devices.filter(({ kind, name }) => kind !== 'tun' && sysctls[`net.ipv4.neigh.${name}.proxy_delay`] !== 0)
    const lines = waiting.map(({ name }) => `ip ntable change name arp_cache dev ${name} proxy_delay ${TICK_MS}`)
    await lab.run(netns, ['sh', '-c', lines.join('\n')])
  }
}

/** Of a kernel with HZ=250. */
const TICK_MS = 4

/** The kernel's timers are late by some ticks. */
function hastenedNs(durationNs: number): number {
  const [fragments, rest] = [Math.floor(durationNs / FRAGMENT_NS), durationNs % FRAGMENT_NS]
  return Math.round((fragments * FRAGMENT_SECONDS * 1e9 + (rest > 9e8 ? rest / HASTE : rest)) * 1.15)
}

const MOST_EXTRA_FRAMES = 50

interface Numbered {
  readonly probe: ProbeDraft
  readonly index: number
  readonly rations: Rations
}

/** netsim rations errors that the laboratory does not. */
function isRationed({ document }: Prediction): boolean {
  const hops = [...document.forward.hops, ...(document.reply?.hops ?? [])]
  return hops.some(({ steps }) => steps.some(({ kind, action }) => kind === 'icmp' && action === 'RATE_LIMITED'))
}

/** A word: why it was not played. */
async function playProbe(network: Network, lab: KernelLab, { probe, index, rations }: Numbered): Promise<ProbeDocument | string> {
  const predicted = predictOutcomes(network, requestOf(probe))
  if (!areOutcomes(predicted)) return predicted.map(formatProblem).join('; ')
  for (const prediction of predicted.all) {
    const why = whyUnplayed(network, prediction)
    if (why !== undefined) return why
  }
  const prediction = longest(predicted)
  const question = questionOf(network, probe, prediction)
  if (question === undefined) return 'no process sends this'
  const brings = together(predicted)
  const rest = rations.before(brings, performance.now())
  if (rest > 0) await scheduler.wait(rest)
  if (prediction.request.cold) await lab.cold()
  else await lab.warm(addressesIn(brings))
  const sighting = await lab.send(question)
  rations.after(brings, performance.now())
  // of a storm that netsim does not predict the beginning says enough
  const frames = sighting.frames.slice(0, 2 * Math.max(...predicted.all.map((one) => one.frames.length)) + MOST_EXTRA_FRAMES)
  return judgeOutcomes(`${index}: ${JSON.stringify(probe)}`, predicted, { ...sighting, frames })
}

function whyUnplayed(network: Network, prediction: Prediction): string | undefined {
  if (prediction.outcome.disposition === 'INCOMPLETE') return `INCOMPLETE: ${prediction.document.forward.hops.at(-1)?.steps.at(-1)?.text ?? ''}`
  if (isRationed(prediction)) return 'errors are rationed'
  return labLimit(network, prediction)?.replace(/^.*?: /, '')
}

export function requestOf(probe: ProbeDraft): TraceRequest {
  if (probe.kind === 'raw') return { ...DEFAULT_REQUEST, source: probe.source, destination: probe.packet.destination, packet: bytesOfPacket(probe.packet) }
  const { source, destination, proto, size, df, ttl, cold } = probe
  const ask = { ...(proto === undefined ? {} : { proto }), ...(size === undefined ? {} : { size }) }
  return { ...DEFAULT_REQUEST, source, destination, df, ttl, cold, ...ask }
}

export function questionOf(network: Network, probe: ProbeDraft, prediction: Prediction): LabProbe | undefined {
  const predictedNs = hastenedNs(prediction.durationNs)
  if (probe.kind === 'raw') return { kind: 'raw', netns: prediction.outcome.source.netns ?? '', packet: bytesOfPacket(probe.packet), predictedNs }
  const question = labProbeOf(network, prediction, { trace: false })
  return question === undefined ? undefined : { ...question, predictedNs }
}
