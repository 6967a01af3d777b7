/** A run of flows over threads, or here: the same flows, the same sums, whoever ran which of them. */
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises'
import workerpool from 'workerpool'
import type { Problem } from '../base/problem.js'
import { addSums, type FlowSums } from '../analysis/flows/sums.js'
import type { FlowSource } from '../analysis/flows/flow.js'
import type { Network } from '../network/network.js'
import { CHUNKS_WRITTEN, FLOWS_THREAD, NEXT_CHUNK, type Assignment, type Done } from './flows-assignment.js'
import { ChunkRunner, chunksOf, type Job, type JobEvent } from './flows-job.js'

/** Chunks for each thread that may wait for the ones before them. */
const AHEAD = 8
/** How long the calling thread leaves its own work when lines are not taken as fast as they are made. */
const AHEAD_WAIT_MS = 2

export interface Run {
  readonly job: Job
  readonly network: Network
  /** The job's flows, of this network. */
  readonly source: FlowSource
  /** Threads, the calling one among them. */
  readonly workers: number
  /** For threads: what they read. */
  readonly input: Pick<Assignment, 'input' | 'stamps' | 'cwd' | 'env' | 'stdin'>
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

/**
 * The calling thread runs chunks too, from the first moment on: it has read the cluster already, which the others still have to do. Between two chunks it
 * hands on what they have told.
 */
export async function runFlows(run: Run, listener: Listener): Promise<Outcome> {
  // a file of its own, for threads to begin with
  const { workerFile } = await import('./flows-worker.js')
  const file = workerFile()
  const { job, network, input } = run
  const chunks = chunksOf(job)
  const threads = file === undefined ? 1 : Math.max(1, Math.min(run.workers, chunks))
  const shared = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT))
  const order = new InOrder(listener, () => {
    Atomics.add(shared, CHUNKS_WRITTEN, 1)
    Atomics.notify(shared, CHUNKS_WRITTEN)
  })
  const assignment: Assignment = { ...input, job, chunks, ahead: AHEAD * threads, shared }
  const others = threads > 1 && file !== undefined ? new OtherThreads(file, threads - 1, { assignment, order }) : undefined
  try {
    const here = chunksHere(run, { assignment, order })
    // a thread that fails ends the run: what it took is nobody's any more
    const own = await (others === undefined ? here : Promise.race([here, others.done.then(() => here)]))
    // who ran every chunk need not wait for threads that have only read
    const done = own.ran === chunks ? [] : ((await others?.done) ?? [])
    await order.end()
    return { sums: addSums([own.sums, ...done.map(({ sums }) => sums)]), lateProblems: [...network.lateProblems, ...done.flatMap((one) => one.lateProblems)] }
  } finally {
    Atomics.store(shared, NEXT_CHUNK, chunks)
    await others?.end()
  }
}

interface Shared {
  readonly assignment: Assignment
  readonly order: InOrder
}

async function chunksHere({ job, network, source }: Run, { assignment, order }: Shared): Promise<{ readonly sums: FlowSums; readonly ran: number }> {
  const { shared, chunks, ahead } = assignment
  const runner = new ChunkRunner(network, job, (event) => order.take(event), source)
  let ran = 0
  for (;;) {
    await nextTurn()
    // once all are taken there is nothing to wait for: of a run that has failed none is written any more
    for (let next = nextOf(shared); next < chunks && next > Atomics.load(shared, CHUNKS_WRITTEN) + ahead; next = nextOf(shared)) await delay(AHEAD_WAIT_MS)
    const at = Atomics.add(shared, NEXT_CHUNK, 1)
    if (at >= chunks) return { sums: runner.harvest(), ran }
    runner.run(at)
    ran++
  }
}

function nextOf(shared: Int32Array): number {
  return Atomics.load(shared, NEXT_CHUNK)
}

class OtherThreads {
  readonly done: Promise<readonly Done[]>
  private readonly pool: workerpool.Pool

  constructor(file: string, count: number, { assignment, order }: Shared) {
    this.pool = workerpool.pool(file, { minWorkers: count, maxWorkers: count, workerType: 'thread', workerThreadOpts: { workerData: FLOWS_THREAD } })
    const on = (event: JobEvent): void => order.take(event)
    this.done = Promise.all(Array.from({ length: count }, () => this.pool.exec('work', [assignment], { on }) as Promise<Done | undefined>)).then((done) =>
      done.filter((one) => one !== undefined),
    )
    // nobody may be waiting for it when it fails
    this.done.catch(() => undefined)
  }

  async end(): Promise<void> {
    await this.pool.terminate(true)
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
