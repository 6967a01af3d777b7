/** A network from text, and questions to it: what the tests of the composition share. */
import { formatProblem, hasErrors, type Problem } from '../../src/base/problem.js'
import { traceDocument } from '../../src/analysis/trace-report.js'
import type { TraceDocument } from '../../src/analysis/trace-document.js'
import { buildCluster, type Cluster } from '../../src/cluster/cluster.js'
import { buildNetwork } from '../../src/network/build-network.js'
import type { Network } from '../../src/network/network.js'
import { isOutcome, type TraceOutcome } from '../../src/network/probe.js'
import { DEFAULT_REQUEST, type TraceRequest } from '../../src/network/request.js'

export interface Built {
  readonly cluster: Cluster
  readonly network: Network
  readonly problems: readonly Problem[]
}

/** Whatever the input is worth. */
export function buildText(text: string, options: { readonly seed?: number; readonly atNs?: number } = {}): Built {
  const { cluster, problems } = buildCluster([{ file: 'test.yaml', text }])
  const built = buildNetwork(cluster, { seed: options.seed ?? 1, atNs: options.atNs ?? 0 })
  return { cluster, network: built.network, problems: [...problems, ...built.problems] }
}

/** Of sound input; a Problem that is an error fails the test with its text. */
export function networkOf(text: string, options: { readonly seed?: number; readonly atNs?: number } = {}): Network {
  const { network, problems } = buildText(text, options)
  if (hasErrors(problems)) throw new Error(problems.map(formatProblem).join('\n'))
  return network
}

export type Ask = Partial<TraceRequest>

export interface Answered {
  readonly outcome: TraceOutcome
  readonly document: TraceDocument
}

/** Asks, and reads the answer at once, before the next question overwrites it. */
export function answer(network: Network, source: string, destination: string, ask: Ask = {}): Answered {
  const outcome = network.trace({ ...DEFAULT_REQUEST, source, destination, ...ask })
  if (!isOutcome(outcome)) throw new Error(outcome.map(formatProblem).join('\n'))
  return { outcome, document: traceDocument(network, outcome) }
}
