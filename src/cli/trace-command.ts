/** `netsim trace`: builds the network, asks it, prints the answer. Loaded when it is called. */
import type { Problem } from '../base/problem.js'
import type { TraceDocument } from '../analysis/trace-document.js'
import { traceDocument } from '../analysis/trace-report.js'
import type { TraceRequest } from '../network/request.js'
import { EXIT_BAD_INPUT, EXIT_UNKNOWN, EXIT_USAGE, exitOf } from './exit.js'
import { etcdWords } from './etcd-flags.js'
import { NOT_MODELLED } from '../network/endpoint.js'
import type { Io } from './io.js'
import { loadNetwork, safe } from './load-network.js'
import { checkOutputs, writeOutputs } from './trace-output.js'
import type { TraceFlags } from './trace-options.js'
import { VERSION } from './version.js'

/** The exit status. */
export async function trace(request: TraceRequest, flags: TraceFlags, io: Io): Promise<number> {
  checkOutputs(flags, io)
  const loaded = await loadNetwork(flags, io)
  if (loaded === undefined) return EXIT_BAD_INPUT
  const outcome = loaded.network.trace(request)
  if (isRefusal(outcome)) return refuse(outcome, io)
  const told = traceDocument(loaded.network, outcome)
  const { cluster, inputs } = loaded
  const document: TraceDocument = {
    ...told,
    metadata: { ...told.metadata, tool: `netsim ${VERSION}`, inputs, runtime: cluster.runtime.name, nodes: cluster.nodes.length },
    result: { ...told.result, next: told.result.next.map((command) => command + inputFlags(flags)) },
  }
  await writeOutputs(document, flags, io)
  return exitOf(document.disposition, flags.expect)
}

/** The question names what is not there. @returns the exit status */
export async function refuse(problems: readonly Problem[], io: Io): Promise<number> {
  for (const { what, fix } of problems) await io.err(`${safe(`error: ${what}${fix === '' ? '' : `\n    ${fix}`}`)}\n`)
  return problems.every(({ file }) => file === NOT_MODELLED) ? EXIT_UNKNOWN : EXIT_USAGE
}

/** So that a command of `next` asks the same network. */
export function inputFlags({ filename, recursive, ...etcd }: TraceFlags): string {
  const quoted = (name: string): string => (/^[\w./:@%+=,-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`)
  const files = filename.map((name) => ` -f ${quoted(name)}`).join('') + (recursive ? ' -R' : '')
  return (
    files +
    etcdWords(etcd)
      .map((word) => ` ${quoted(word)}`)
      .join('')
  )
}

export function isRefusal<Outcome extends object>(outcome: Outcome | readonly Problem[]): outcome is readonly Problem[] {
  return Array.isArray(outcome)
}
