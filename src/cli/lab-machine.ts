/** What the verbs that build a network on this kernel share: is the machine able, how far is it, why did it stop. */
import { checkKernel, type KernelCheck } from '../kernel/lab-check.js'
import { LabError } from '../kernel/lab-process.js'
import type { LabNetwork } from '../kernel/lab-types.js'
import { EXIT_UNKNOWN } from './exit.js'
import type { Io } from './io.js'
import { safe } from './load-network.js'
import { tell } from './question.js'

/** Of this process's namespaces: no other's have it. */
export function labPrefix(): string {
  return `netsim-${process.pid}-`
}

/**
 * `work` on a machine that has all that it takes; what is lacking, or what stops it, is told.
 * @param tools that are wanted besides a lab's own, with Debian's package of each
 * @returns the exit status
 */
export async function onThisMachine(
  network: Pick<LabNetwork, 'specs'>,
  { tools, io }: { readonly tools: Readonly<Record<string, string>>; readonly io: Io },
  work: (machine: KernelCheck) => Promise<number>,
): Promise<number> {
  try {
    const machine = await checkKernel(network, labPrefix(), tools)
    if (machine.missing.length === 0) return await work(machine)
    await tell(machine.missing, io)
  } catch (error) {
    if (!(error instanceof LabError)) throw error
    await io.err(`error: ${safe(error.what)}${error.fix === '' ? '' : `\n    ${safe(error.fix)}`}\n`)
  }
  return EXIT_UNKNOWN
}

/** One line that the next one overwrites; at the end nothing. Nothing at all where nobody looks. */
export function labProgress(io: Io): { progress?: (done: number, total: number, name: string) => void } {
  if (!io.outIsTerminal) return {}
  return { progress: (done, total, name) => void io.err(done === total ? '\r\u001b[K' : `\r\u001b[K${done + 1}/${total} ${safe(name).slice(0, 60)}`) }
}
