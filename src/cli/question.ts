/** A question on the command line, whatever is asked of its path: refused where it names what is not there, and asked again of the same network. */
import { momentText } from '../analysis/timeline/duration.js'
import type { TraceDocument } from '../analysis/trace-document.js'
import type { Problem } from '../base/problem.js'
import { shellWord } from '../base/shell.js'
import { NOT_MODELLED } from '../network/request-problem.js'
import { etcdWords, type EtcdFlags } from './etcd-flags.js'
import type { NodeFlags } from './node-flags.js'
import { EXIT_UNKNOWN, EXIT_USAGE } from './exit.js'
import type { Io } from './io.js'
import type { LoadedMoment } from './load-moment.js'
import { safe } from './load-network.js'
import type { TraceFlags } from './trace-options.js'
import { VERSION } from './version.js'

/** The question names what is not there. @returns the exit status */
export async function refuse(problems: readonly Problem[], io: Io): Promise<number> {
  await tell(problems, io)
  return problems.every(({ file }) => file === NOT_MODELLED) ? EXIT_UNKNOWN : EXIT_USAGE
}

/** What is wrong, of no file. */
export async function tell(problems: readonly Problem[], io: Io): Promise<void> {
  for (const { what, fix } of problems) await io.err(`${safe(`error: ${what}${fix === '' ? '' : `\n    ${fix}`}`)}\n`)
}

/** So that a command of `next` asks the same network. */
export function inputFlags({ filename, recursive, at, node = [], ...etcd }: Pick<TraceFlags, 'filename' | 'recursive' | 'at'> & EtcdFlags & NodeFlags): string {
  const files = filename.map((name) => ` -f ${shellWord(name)}`).join('') + (recursive ? ' -R' : '')
  const words = [...node.flatMap((value) => ['--node', value]), ...etcdWords(etcd), ...(at === undefined ? [] : ['--at', momentText(at)])]
  return files + words.map((word) => ` ${shellWord(word)}`).join('')
}

/** A trace of what the command line gave it. */
export function ofInputs(flow: TraceDocument, { cluster, inputs, moment }: LoadedMoment, flags: TraceFlags): TraceDocument {
  return {
    ...flow,
    metadata: {
      ...flow.metadata,
      tool: `netsim ${VERSION}`,
      inputs,
      runtime: cluster.runtime.name,
      nodes: cluster.nodes.length,
      ...(moment === undefined ? {} : { moment }),
    },
    result: { ...flow.result, next: flow.result.next.map((command) => command + inputFlags(flags)) },
  }
}

export function isRefusal<Outcome extends object>(outcome: Outcome | readonly Problem[]): outcome is readonly Problem[] {
  return Array.isArray(outcome)
}
