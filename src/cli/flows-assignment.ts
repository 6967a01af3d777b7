/** What a thread that runs flows is handed, and what it hands back. */
import type { Problem } from '../base/problem.js'
import type { FlowSums } from '../analysis/flows/sums.js'
import type { Job } from './flows-job.js'
import type { Io } from './io.js'
import type { InputOptions } from './load-network.js'

/** Places in the memory that all threads share. */
export const NEXT_CHUNK = 0
/** Chunks whose lines have been handed on: nobody runs far ahead of them. */
export const CHUNKS_WRITTEN = 1

export interface Assignment {
  readonly input: Pick<InputOptions, 'filename' | 'recursive' | 'seed' | 'etcdPrefix'>
  /** Of what the command read (flows-stamps.ts). */
  readonly stamps: readonly string[]
  readonly cwd: string
  readonly env: Io['env']
  /** Standard input, where it was read. */
  readonly stdin?: Uint8Array
  readonly job: Job
  readonly chunks: number
  /** How many chunks may wait to be handed on. */
  readonly ahead: number
  readonly shared: Int32Array
}

export interface Done {
  readonly sums: FlowSums
  readonly lateProblems: readonly Problem[]
}

/** Of a thread's workerData: it is one of these. */
export const FLOWS_THREAD = 'netsim flows'
