/**
 * One random world on netsim and on the real kernel: built once, each probe from a fresh state, everything that differs told.
 *
 *   WorldDraft ─▶ manifestOf ─▶ Network ─┬▶ prediction ┐
 *                                        └▶ KernelLab ──┴▶ judge ─▶ Difference
 */
import { hasErrors, type Problem } from '../../src/base/problem.js'
import { buildCluster } from '../../src/cluster/cluster.js'
import { printIptablesSave } from '../../src/dataplane/iptables-save.js'
import { printIpsets } from '../../src/dataplane/ipset-save.js'
import { judge } from '../../src/kernel/judge.js'
import { KernelLab, labNetworkOf } from '../../src/kernel/lab.js'
import { labProbeOf } from '../../src/kernel/lab-question.js'
import type { LabProbe } from '../../src/kernel/lab-types.js'
import { isPrediction, predict, type Prediction } from '../../src/kernel/prediction.js'
import type { ProbeDocument } from '../../src/kernel/verify-report.js'
import { buildNetwork, type Network } from '../../src/network/network.js'
import { DEFAULT_REQUEST, type TraceRequest } from '../../src/network/request.js'
import { bytesOfPacket } from './random-packets.js'
import { manifestOf, type ProbeDraft, type WorldDraft } from './random-world.js'

export interface Played {
  readonly probes: readonly ProbeDocument[]
  /** The world itself is wrong: then nothing was played. */
  readonly problems: readonly Problem[]
}

/** @throws LabError when this machine cannot build it */
export async function play(draft: WorldDraft, options: { readonly prefix: string }): Promise<Played> {
  const { cluster, problems } = buildCluster([{ file: `seed-${draft.seed}.json`, text: manifestOf(draft) }])
  if (hasErrors(problems)) return { probes: [], problems }
  const built = buildNetwork(cluster, { seed: 1 })
  if (hasErrors(built.problems)) return { probes: [], problems: built.problems }
  const lab = await KernelLab.start(labNetworkOf(built.network), options)
  try {
    const probes: ProbeDocument[] = []
    for (const [index, probe] of draft.probes.entries()) {
      const document = await playProbe(built.network, lab, { probe, index })
      if (document !== undefined) probes.push(document)
    }
    return { probes, problems: lab.complaints.map((what) => ({ severity: 'error', file: 'kernel', line: 0, object: '', what, fix: '' })) }
  } finally {
    await lab.close()
  }
}

interface Numbered {
  readonly probe: ProbeDraft
  readonly index: number
}

/** undefined: netsim says INCOMPLETE or refuses, or no process can send it. */
async function playProbe(network: Network, lab: KernelLab, { probe, index }: Numbered): Promise<ProbeDocument | undefined> {
  const prediction = predictionOf(network, probe)
  if (prediction === undefined || prediction.outcome.disposition === 'INCOMPLETE') return undefined
  const question = questionOf(network, probe, prediction)
  if (question === undefined) return undefined
  await forget(network, lab)
  if (prediction.request.cold) await lab.cold()
  else await lab.warm([prediction.outcome.destination.address])
  return judge(`${index}: ${JSON.stringify(probe)}`, prediction, await lab.send(question))
}

function predictionOf(network: Network, probe: ProbeDraft): Prediction | undefined {
  const prediction = predict(network, requestOf(probe))
  return isPrediction(prediction) ? prediction : undefined
}

function requestOf(probe: ProbeDraft): TraceRequest {
  if (probe.kind === 'raw') return { ...DEFAULT_REQUEST, source: probe.source, destination: probe.packet.destination, packet: bytesOfPacket(probe.packet) }
  const { source, destination, proto, size, df, ttl, cold } = probe
  const ask = { ...(proto === undefined ? {} : { proto }), ...(size === undefined ? {} : { size }) }
  return { ...DEFAULT_REQUEST, source, destination, df, ttl, cold, ...ask }
}

function questionOf(network: Network, probe: ProbeDraft, prediction: Prediction): LabProbe | undefined {
  if (probe.kind === 'ask') return labProbeOf(network, prediction, { trace: false })
  return { kind: 'raw', netns: prediction.outcome.source.netns ?? '', packet: bytesOfPacket(probe.packet), predictedNs: prediction.durationNs }
}

const STATEFUL = /-m (statistic|limit|recent)|-j SET /

/** What rules and sets remember from one packet to the next, netsim forgets between questions; so does the kernel when they are loaded anew. */
async function forget(network: Network, lab: KernelLab): Promise<void> {
  for (const { dataplane } of network.nodes) {
    const rules = printIptablesSave(dataplane.iptables)
    if (!STATEFUL.test(rules)) continue
    const empty = dataplane.iptables.tables.map(({ name }) => `*${name}\nCOMMIT\n`).join('')
    await lab.run(dataplane.netns, ['iptables-restore'], empty)
    if (dataplane.ipsets.length > 0) {
      await lab.run(dataplane.netns, ['ipset', 'destroy'])
      await lab.run(dataplane.netns, ['ipset', 'restore'], printIpsets(dataplane.ipsets))
    }
    await lab.run(dataplane.netns, ['iptables-restore'], rules)
  }
}
