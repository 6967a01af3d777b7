/**
 * A thread that runs flows: it reads the cluster as the command did and takes chunks until none is left. The command loads this module too, to know which
 * file a thread begins with; only where it is a thread's own does it wait for work.
 */
import { fileURLToPath } from 'node:url'
import { isMainThread, workerData } from 'node:worker_threads'
import workerpool from 'workerpool'
import { CHUNKS_WRITTEN, FLOWS_THREAD, NEXT_CHUNK, type Assignment, type Done } from './flows-assignment.js'
import { ChunkRunner, type JobEvent } from './flows-job.js'
import { sameStamps, stampsOf } from './flows-stamps.js'
import type { Io } from './io.js'
import { readNetwork } from './load-network.js'

/** What a thread begins with; undefined where sources run as they are, which a thread cannot load. */
export function workerFile(): string | undefined {
  return import.meta.url.endsWith('.ts') ? undefined : fileURLToPath(import.meta.url)
}

/** undefined: the files are others by now. Their cluster is not what was asked about, and the others run all that there is. */
async function work(assignment: Assignment): Promise<Done | undefined> {
  const { input, stamps, job, chunks, ahead, shared } = assignment
  const { network, inputs } = await readNetwork(input, silentIo(assignment))
  if (network === undefined || !sameStamps(await stampsOf(inputs, assignment.cwd), stamps)) return undefined
  const runner = new ChunkRunner(network, job, (event: JobEvent) => workerpool.workerEmit(event))
  for (let at = Atomics.add(shared, NEXT_CHUNK, 1); at < chunks; at = Atomics.add(shared, NEXT_CHUNK, 1)) {
    for (let written = Atomics.load(shared, CHUNKS_WRITTEN); at > written + ahead; written = Atomics.load(shared, CHUNKS_WRITTEN)) {
      Atomics.wait(shared, CHUNKS_WRITTEN, written)
    }
    runner.run(at)
  }
  return { sums: runner.harvest(), lateProblems: network.lateProblems }
}

/** Reads; what is wrong with the input has been said. */
function silentIo({ cwd, env, stdin }: Assignment): Io {
  const nothing = (): Promise<void> => Promise.resolve()
  return { out: nothing, err: nothing, stdin: () => Promise.resolve(stdin), env, cwd, outIsTerminal: false, columns: undefined }
}

if (!isMainThread && workerData === FLOWS_THREAD) workerpool.worker({ work })
