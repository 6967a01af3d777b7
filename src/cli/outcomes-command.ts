/** `netsim trace --all`: every outcome of a question with how likely it is. Loaded when it is called. */
import { allOutcomes, type Outcome, type Outcomes } from '../analysis/outcomes.js'
import { printable, styleOf } from '../analysis/text-style.js'
import type { TraceRequest } from '../network/request.js'
import { EXIT_BAD_INPUT, EXIT_NOT_DELIVERED, EXIT_OK, EXIT_UNKNOWN, UsageError } from './exit.js'
import type { Io } from './io.js'
import { loadMoment, requestOfMoment } from './load-moment.js'
import { refusesTouched } from './load-network.js'
import { isRefusal, refuse } from './question.js'
import { table } from './table.js'
import { wantsAscii, wantsColor } from './terminal.js'
import type { TraceFlags } from './trace-options.js'

/** The exit status. @throws UsageError when a flag asks for one packet's path */
export async function outcomes(request: TraceRequest, flags: TraceFlags, io: Io): Promise<number> {
  checkFlags(flags)
  const loaded = await loadMoment(flags, io)
  if (loaded === undefined) return EXIT_BAD_INPUT
  const told = allOutcomes(loaded.network, { ...requestOfMoment(request, loaded), level: 0 })
  if (await refusesTouched(loaded.network, io)) return EXIT_BAD_INPUT
  if (isRefusal(told)) return refuse(told, io)
  await io.out(flags.output === 'json' ? `${JSON.stringify(told, null, 2)}\n` : outcomesText(told, flags, io))
  return statusOf(told, flags)
}

function checkFlags({ output, svg, pcap, dns }: TraceFlags): void {
  if (dns === true) throw new UsageError('--all and --dns are two questions: ask the DNS server with svc/NAMESPACE/NAME --proto udp --all')
  if (output !== 'text' && output !== 'json') throw new UsageError(`--all has no -o ${output}: take text or json`)
  for (const [flag, given] of [
    ['--svg', svg !== undefined],
    ['--pcap', pcap !== undefined],
  ] as const)
    if (given) throw new UsageError(`${flag} is of one packet, and --all follows many: ask without --all, with another --seed for another draw`)
}

/** As asked only when every outcome is. */
function statusOf({ outcomes: found, unfollowed }: Outcomes, { expect }: TraceFlags): number {
  const wanted = expect.length === 0 ? ['DELIVERED'] : expect
  if (found.some(({ disposition }) => !wanted.includes(disposition) && ['INCOMPLETE', 'AMBIGUOUS'].includes(disposition))) return EXIT_UNKNOWN
  if (found.some(({ disposition }) => !wanted.includes(disposition))) return EXIT_NOT_DELIVERED
  return unfollowed > 0 ? EXIT_UNKNOWN : EXIT_OK
}

function outcomesText(told: Outcomes, flags: TraceFlags, io: Io): string {
  const ascii = wantsAscii(flags.ascii, io)
  const style = styleOf(wantsColor(flags.color === false ? 'never' : flags.color, io))
  const { request, outcomes: found, asked, unfollowed } = told
  const port = request.dport === 0 ? '' : `:${request.dport}`
  const head = `${nameOf(request.source)} → ${nameOf(request.destination)}${port}   ${request.proto}`
  const count = `${found.length === 1 ? 'one outcome' : `${found.length} outcomes`} of ${asked === 1 ? 'one question' : `${asked} questions`}`
  const rows = found.map((outcome) => rowOf(outcome))
  const lines = [`${head}, ${count}`, '', table(['LIKELY', 'OUTCOME', 'SERVER', 'SEES', 'PATH'], rows).trimEnd()]
  if (unfollowed > 0) lines.push('', `not followed: ${percent(unfollowed)} of what may happen; there are more choices than netsim asks about`)
  return `${lines
    .map((line) =>
      line
        .split('\n')
        .map((part) => painted(printable(part, ascii)))
        .join('\n'),
    )
    .join('\n')}\n`

  function painted(line: string): string {
    return line.replace(/(?<= %\s+)[A-Z_]+/, (word) => style[word === 'DELIVERED' || word === 'EXITED' ? 'green' : 'red'](word))
  }
}

/** An address is its own name. */
function nameOf({ name, address }: Outcomes['request']['source']): string {
  return name === address ? address : `${name} ${address}`
}

function rowOf({ probability, disposition, server, path, kernelReason }: Outcome): string[] {
  const at = server?.port === undefined ? (server?.address ?? '') : `${server.address}:${server.port}`
  const took = server === undefined ? '' : `${server.netns} ${at}`
  const lost = kernelReason === undefined ? disposition : `${disposition} (${kernelReason})`
  return [percent(probability), lost, took, server?.sees.address ?? '', pathText(path)]
}

const PATH_SHOWN = 16

/** A loop is told by its beginning. */
function pathText(path: readonly string[]): string {
  return path.length <= PATH_SHOWN ? path.join(' → ') : `${path.slice(0, PATH_SHOWN / 2).join(' → ')} → … ${path.length - PATH_SHOWN / 2} more`
}

/** `33.3 %`; what is rarer than a tenth of a percent by its first digit. */
function percent(share: number): string {
  const value = share * 100
  return `${value >= 0.1 || value === 0 ? Number(value.toFixed(1)) : Number(value.toPrecision(1))} %`
}
