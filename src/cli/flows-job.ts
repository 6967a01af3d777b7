/**
 * What a run of flows consists of, in a shape that a thread can be handed, and the run of any part of it: chunks of flows, taken one by one from a count
 * that all who run share.
 */
import { classPairs } from '../analysis/flows/classes.js'
import { requestOf, type CommonRequest, type FlowSource } from '../analysis/flows/flow.js'
import { flowLine } from '../analysis/flows/flow-line.js'
import { matrixSource, type MatrixRows } from '../analysis/flows/matrix.js'
import type { Pick as WhomPicked } from '../analysis/flows/picks.js'
import { FlowRunner } from '../analysis/flows/runner.js'
import { allPairs, podsWithNetwork, randomPairs, type FlowShape } from '../analysis/flows/sources.js'
import type { FlowSums } from '../analysis/flows/sums.js'
import type { Network } from '../network/network.js'

/** Where flows come from. */
export type Plan =
  | { readonly kind: 'matrix'; readonly matrix: MatrixRows }
  | { readonly kind: 'all-pairs'; readonly shape: FlowShape; readonly byClass: boolean }
  | { readonly kind: 'random'; readonly shape: FlowShape; readonly count: number; readonly pick: WhomPicked }

export interface Job {
  readonly plan: Plan
  readonly common: CommonRequest
  /** Flows of this part, by number, and how many make a chunk. */
  readonly from: number
  readonly to: number
  readonly chunk: number
  /** A line for each flow is wanted. */
  readonly lines: boolean
}

export type JobEvent =
  | { readonly kind: 'walked'; readonly packets: number }
  /** Chunk `at` is done; its lines, each with its end. */
  | { readonly kind: 'chunk'; readonly at: number; readonly lines: string }

export function sourceOf(plan: Plan, network: Network, seed: number): FlowSource {
  switch (plan.kind) {
    case 'matrix':
      return matrixSource(plan.matrix)
    case 'random':
      return randomPairs(podsWithNetwork(network).pods, { count: plan.count, seed, pick: plan.pick }, plan.shape)
    default:
      return plan.byClass ? classPairs(network, plan.shape) : allPairs(podsWithNetwork(network).pods, plan.shape)
  }
}

export function chunksOf({ from, to, chunk }: Pick<Job, 'from' | 'to' | 'chunk'>): number {
  return Math.ceil((to - from) / chunk)
}

/** What one thread runs of a job: any of its chunks, on a network of its own. */
export class ChunkRunner {
  private readonly job: Job
  private readonly tell: (event: JobEvent) => void
  private readonly source: FlowSource
  private readonly runner: FlowRunner

  /** @param source of the same plan on the same network, where it is there already */
  constructor(network: Network, job: Job, tell: (event: JobEvent) => void, source = sourceOf(job.plan, network, job.common.seed)) {
    this.job = job
    this.tell = tell
    this.source = source
    this.runner = new FlowRunner(network, (packets) => tell({ kind: 'walked', packets }))
  }

  run(at: number): void {
    const { common, from, to, chunk, lines } = this.job
    let text = ''
    for (let index = from + at * chunk; index < Math.min(to, from + (at + 1) * chunk); index++) {
      const flow = this.source.flow(index)
      const request = requestOf(flow, index, common)
      const result = this.runner.run({ request, packets: flow.packets, rate: flow.rate, ...(flow.pairs === undefined ? {} : { pairs: flow.pairs }) })
      if (lines) text += `${JSON.stringify(flowLine(index, flow, request, result))}\n`
    }
    this.tell({ kind: 'chunk', at, lines: text })
  }

  harvest(): FlowSums {
    return this.runner.harvest()
  }
}
