/** `netsim trace`: builds the network, asks it, prints the answer. Loaded when it is called. */
import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Problem } from '../base/problem.js'
import { pathSvg } from '../analysis/path-svg.js'
import type { TraceDocument } from '../analysis/trace-document.js'
import { traceDocument } from '../analysis/trace-report.js'
import { traceText } from '../analysis/trace-text.js'
import type { TraceRequest } from '../network/request.js'
import { EXIT_BAD_INPUT, EXIT_UNKNOWN, EXIT_USAGE, exitOf, UsageError } from './exit.js'
import { NOT_MODELLED } from '../network/endpoint.js'
import type { Io } from './io.js'
import { loadNetwork, safe } from './load-network.js'
import { wantsAscii, wantsColor, widthOf } from './terminal.js'
import type { TraceFlags } from './trace-options.js'
import { VERSION } from './version.js'

/** The exit status. */
export async function trace(request: TraceRequest, flags: TraceFlags, io: Io): Promise<number> {
  const loaded = await loadNetwork(flags, io)
  if (loaded === undefined) return EXIT_BAD_INPUT
  const outcome = loaded.network.trace(request)
  if (isRefusal(outcome)) {
    for (const { what, fix } of outcome) await io.err(`${safe(`error: ${what}${fix === '' ? '' : `\n    ${fix}`}`)}\n`)
    return outcome.every(({ file }) => file === NOT_MODELLED) ? EXIT_UNKNOWN : EXIT_USAGE
  }
  const told = traceDocument(loaded.network, outcome)
  const { cluster, inputs } = loaded
  const document: TraceDocument = {
    ...told,
    metadata: { ...told.metadata, tool: `netsim ${VERSION}`, inputs, runtime: cluster.runtime.name, nodes: cluster.nodes.length },
    result: { ...told.result, next: told.result.next.map((command) => command + inputFlags(flags)) },
  }
  await print(document, flags, io)
  return exitOf(document.disposition, flags.expect)
}

/** So that a command of `next` asks the same network. */
function inputFlags({ filename, recursive }: TraceFlags): string {
  const quoted = (name: string): string => (/^[\w./:@%+=,-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`)
  return filename.map((name) => ` -f ${quoted(name)}`).join('') + (recursive ? ' -R' : '')
}

function isRefusal<Outcome extends object>(outcome: Outcome | readonly Problem[]): outcome is readonly Problem[] {
  return Array.isArray(outcome)
}

async function print(document: TraceDocument, flags: TraceFlags, io: Io): Promise<void> {
  if (flags.svg !== undefined && flags.svg !== '-') await writePicture(flags.svg, pathSvg(document), io)
  if (flags.svg === '-') return io.out(pathSvg(document))
  if (flags.output === 'json') return io.out(`${JSON.stringify(document, null, 2)}\n`)
  await io.out(
    traceText(document, {
      width: widthOf(io),
      color: wantsColor(flags.color === false ? 'never' : flags.color, io),
      ascii: wantsAscii(flags.ascii, io),
      verbosity: flags.verbose,
      summaryOnly: flags.summary,
    }),
  )
}

async function writePicture(file: string, svg: string, io: Io): Promise<void> {
  try {
    await writeFile(resolve(io.cwd, file), svg)
  } catch (error) {
    throw new UsageError(`--svg ${file} cannot be written: ${error instanceof Error ? error.message : String(error)}`)
  }
}
