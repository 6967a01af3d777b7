/** A run of flows over threads, or here: the same flows, the same sums, whoever ran which of them. */
import workerpool from 'workerpool'
import type { Problem } from '../base/problem.js'
import { addSums, type FlowSums } from '../analysis/flows/sums.js'
import type { Network } from '../network/network.js'
import { CHUNKS_WRITTEN, FLOWS_THREAD, type Assignment, type Done } from './flows-assignment.js'
import { chunksOf, runJob, type Job, type JobEvent } from './flows-job.js'

/** Chunks for each thread that may wait for the ones before them. */
const AHEAD = 8

export interface Run {
  readonly job: Job
  readonly network: Network
  readonly workers: number
  /** For threads: what they read. */
  readonly input: Pick<Assignment, 'input' | 'cwd' | 'env' | 'stdin'>
}

export interface Listener {
  /** Lines of flows, in their order. */
  readonly lines: (text: string) => Promise<void>
  readonly walked: (packets: number) => void
}

export interface Outcome {
  readonly sums: FlowSums
  /** What came to light in the nodes that were touched. */
  readonly lateProblems: readonly Problem[]
}

export async function runFlows(run: Run, listener: Listener): Promise<Outcome> {
  // a file of its own, for threads to begin with
  const { workerFile } = await import('./flows-worker.js')
  const file = workerFile()
  const chunks = chunksOf(run.job)
  const threads = Math.min(run.workers, chunks)
  return threads > 1 && file !== undefined ? overThreads(run, listener, { file, threads, chunks }) : here(run, listener, chunks)
}

async function here({ job, network }: Run, { lines, walked }: Listener, chunks: number): Promise<Outcome> {
  let next = 0
  const pending: Promise<void>[] = []
  const sums = runJob(network, job, {
    take: () => (next < chunks ? next++ : -1),
    tell: (event) => {
      if (event.kind === 'walked') walked(event.packets)
      else if (event.lines !== '') pending.push(lines(event.lines))
    },
  })
  await Promise.all(pending)
  return { sums: addSums([sums]), lateProblems: network.lateProblems }
}

interface Threads {
  readonly file: string
  readonly threads: number
  readonly chunks: number
}

async function overThreads({ job, network, input }: Run, listener: Listener, { file, threads, chunks }: Threads): Promise<Outcome> {
  const shared = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT))
  const pool = workerpool.pool(file, {
    minWorkers: threads,
    maxWorkers: threads,
    workerType: 'thread',
    workerThreadOpts: { workerData: FLOWS_THREAD },
  })
  const order = new InOrder(listener, () => {
    Atomics.add(shared, CHUNKS_WRITTEN, 1)
    Atomics.notify(shared, CHUNKS_WRITTEN)
  })
  const assignment: Assignment = { ...input, job, chunks, ahead: AHEAD * threads, shared }
  try {
    const done = await Promise.all(
      Array.from({ length: threads }, () => pool.exec('work', [assignment], { on: (event: JobEvent) => order.take(event) }) as Promise<Done>),
    )
    await order.end()
    return { sums: addSums(done.map(({ sums }) => sums)), lateProblems: [...network.lateProblems, ...done.flatMap(({ lateProblems }) => lateProblems)] }
  } finally {
    await pool.terminate(true)
  }
}

/** Chunks come as they are done, and are handed on in their order, one when the one before has been taken. */
class InOrder {
  private readonly listener: Listener
  private readonly handedOn: () => void
  private readonly waiting = new Map<number, string>()
  private next = 0
  private tail: Promise<void> = Promise.resolve()

  constructor(listener: Listener, handedOn: () => void) {
    this.listener = listener
    this.handedOn = handedOn
  }

  take(event: JobEvent): void {
    if (event.kind === 'walked') {
      this.listener.walked(event.packets)
      return
    }
    this.waiting.set(event.at, event.lines)
    for (let lines = this.waiting.get(this.next); lines !== undefined; lines = this.waiting.get(this.next)) {
      this.waiting.delete(this.next++)
      this.tail = this.handOn(this.tail, lines)
    }
  }

  end(): Promise<void> {
    return this.tail
  }

  private async handOn(before: Promise<void>, lines: string): Promise<void> {
    await before
    if (lines !== '') await this.listener.lines(lines)
    this.handedOn()
  }
}
