/**
 * `--at TIME`: the network of a moment. With a Scenario among the inputs it is run until then, and its agents have come as far as they have; without one the
 * network is that of the manifests, in which time changes only what leases have left.
 */
import { Buffer } from 'node:buffer'
import { momentText } from '../analysis/timeline/duration.js'
import type { Ip } from '../base/ip.js'
import type { CalicoCluster } from '../calico/calico-cluster.js'
import { isObject, valueAt } from '../cluster/located.js'
import { readManifests, type Input, type KubernetesObject } from '../cluster/manifest.js'
import type { ClusterPod } from '../cluster/pod.js'
import { ProblemList } from '../cluster/problem-list.js'
import { isScenario } from '../cluster/scenario/read-scenario.js'
import type { HappenedDocument, MomentDocument } from '../analysis/trace-document.js'
import type { Network } from '../network/network.js'
import type { TraceRequest } from '../network/request.js'
import type { Run } from '../network/time/control-plane.js'
import type { DiaryEntry } from '../network/time/diary.js'
import { networkAt } from '../network/time/network-at.js'
import { stateAt, type NetworkState } from '../network/time/network-state.js'
import { UsageError } from './exit.js'
import { readInputs } from './input.js'
import type { Io } from './io.js'
import { loadNetwork, report, type InputOptions, type Loaded } from './load-network.js'

const WORD = 'Scenario'

export interface MomentOptions extends InputOptions {
  readonly namespace: string
  /** --seed was given: it wins over the scenario's. */
  readonly seedGiven?: boolean
}

export interface LoadedMoment extends Loaded {
  /** Absent where no Scenario was run. */
  readonly moment?: MomentDocument
  /** Of the run. */
  readonly seed?: number
  /** The run, ended at the moment: what agents hold then that stands in no kernel. */
  readonly ended?: () => Run
  /** It is held against another: what is shown of both has the same columns. */
  readonly compared?: boolean
  /** What the API says then; agents may not have come to it. */
  readonly told?: ToldMoment
}

export interface ToldMoment {
  /** Calico's resources, addresses and endpoints. */
  readonly calico?: CalicoCluster
  /** What a pod was given, whether or not its node runs. */
  addressOf(pod: ClusterPod): Ip | undefined
  /** What is not as it should be with a node. */
  stateOf(node: string): string | undefined
  /** Of its card, where an event changed it. */
  mtuOf(node: string): number | undefined
}

/** The network of `options.at`; without it that of the manifests. undefined: bad input, all of it told. */
export async function loadMoment(options: MomentOptions, io: Io): Promise<LoadedMoment | undefined> {
  const { at } = options
  if (at === undefined) return loadNetwork(options, io)
  const again = rereadable(io)
  if (!(await namesScenario(options, again))) return loadNetwork(options, again)
  if ((options.node ?? []).length > 0) throw new UsageError('--node is of a network as it is, and no moment of a Scenario has what was found on a node')
  return (await loadMoments(options, [at], again))?.[0]
}

/** The networks of several moments of one run. undefined: bad input, or no Scenario in it; all of it told. */
export async function loadMoments(options: MomentOptions, times: readonly number[], io: Io): Promise<readonly LoadedMoment[] | undefined> {
  const { loadScenario } = await import('./scenario-input.js')
  const loaded = await loadScenario(undefined, { ...options, seedGiven: options.seedGiven === true }, io)
  if (loaded === undefined) return undefined
  const { runLoaded } = await import('./scenario-run.js')
  const untilNs = Math.max(...times)
  const runUntil = (endNs: number): Run => runLoaded(loaded, { namespace: options.namespace, untilNs: endNs }, io)
  const run = runUntil(untilNs)
  await report(run.problems, io)
  const { inputs, seed, scenario } = loaded
  return times.map((atNs) => {
    const state = stateAt(run.states, atNs)
    const network = networkAt(run.book, state)
    let ended: Run | undefined
    return {
      cluster: network.cluster,
      network,
      inputs,
      seed,
      moment: { scenario: scenario.name, atNs, ...lastOf(run, atNs) },
      told: toldAt(run, state, network),
      ended: () => (ended ??= atNs === untilNs ? run : runUntil(atNs)),
    }
  })
}

function toldAt({ book }: Run, state: NetworkState, network: Network): ToldMoment {
  const calico = book.calico(state.version)?.cluster
  return {
    ...(calico === undefined ? {} : { calico }),
    mtuOf: (name) => state.nodes.get(name)?.mtu,
    addressOf: (pod) => network.addressOf(pod) ?? book.composition(state.version).addressOf(pod),
    stateOf: (name) => {
      const object = book.cluster(state.version).nodeByName.get(name)?.object
      const { cut = false, loss = 0, delayNs = 0 } = state.nodes.get(name)?.cable ?? {}
      const absent = network.absenceOf(name)
      const words = [
        ...(object === undefined ? ['no Node object, its machine runs'] : isUnknown(object) ? ['NotReady'] : []),
        ...(absent === undefined ? [] : [absent]),
        ...(cut ? ['its cable is cut'] : []),
        ...(loss > 0 ? [`its cable loses ${Math.round(loss * 1e6) / 1e4} %`] : []),
        ...(delayNs > 0 ? [`its cable delays ${momentText(delayNs)}`] : []),
      ]
      return words.length === 0 ? undefined : words.join(', ')
    },
  }
}

/** As the node controller writes it; also of an input that says so. */
function isUnknown({ value }: KubernetesObject): boolean {
  const conditions = valueAt(value, ['status', 'conditions'])
  return Array.isArray(conditions) && conditions.some((one) => isObject(one) && one.type === 'Ready' && one.status !== 'True')
}

/** What had happened last: of the scenario, and at all. */
function lastOf({ diary }: Run, atNs: number): Pick<MomentDocument, 'event' | 'last'> {
  const before = diary.entries.filter((entry) => entry.atNs <= atNs && entry.atNs >= 0)
  const event = before.findLast(({ kind }) => kind === 'event')
  const last = before.findLast(({ kind }) => kind !== 'watch' && kind !== 'bgp-message')
  return { ...(event === undefined ? {} : { event: happened(event) }), ...(last === undefined || last === event ? {} : { last: happened(last) }) }
}

function happened({ atNs, agent, node, what, file, line }: DiaryEntry): HappenedDocument {
  const by = node === undefined ? agent : `${agent} ${node}`
  return { atNs, by, what, ...(file === undefined ? {} : { file }), ...(line === undefined ? {} : { line }) }
}

/** The question in the words of the run that it is asked of. */
export function requestOfMoment(request: TraceRequest, { seed }: LoadedMoment): TraceRequest {
  return seed === undefined ? request : { ...request, seed }
}

/** Standard input is read once and may be asked for again. */
function rereadable(io: Io): Io {
  let read: Promise<Uint8Array | undefined> | undefined
  return { ...io, stdin: (most) => (read ??= io.stdin(most)) }
}

async function namesScenario({ filename, recursive }: InputOptions, io: Io): Promise<boolean> {
  const { inputs } = await readInputs(filename, recursive, io)
  // manifests without the word are not read twice
  const likely = inputs.filter(mentionsScenario)
  return likely.length > 0 && readManifests(likely, new ProblemList()).objects.some(isScenario)
}

function mentionsScenario(input: Input): boolean {
  if ('text' in input) return input.text.includes(WORD)
  let before = ''
  for (const chunk of input.chunks) {
    const text = before + Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString('latin1')
    if (text.includes(WORD)) return true
    before = text.slice(1 - WORD.length)
  }
  return false
}
