/** `netsim trace --mtu`: how large packets between the two ends may be. Loaded when it is called. */
import type { MtuReport } from '../analysis/mtu-document.js'
import { mtuReport } from '../analysis/mtu-report.js'
import { mtuText } from '../analysis/mtu-text.js'
import type { TraceRequest } from '../network/request.js'
import { EXIT_BAD_INPUT, EXIT_NOT_DELIVERED, EXIT_OK, EXIT_UNKNOWN, UsageError } from './exit.js'
import type { Io } from './io.js'
import { loadMoment, requestOfMoment } from './load-moment.js'
import { refusesTouched } from './load-network.js'
import { inputFlags, isRefusal, refuse } from './question.js'
import { wantsAscii, wantsColor, widthOf } from './terminal.js'
import type { TraceFlags } from './trace-options.js'
import { VERSION } from './version.js'

/** The exit status. @throws UsageError when a flag asks for something else than sizes */
export async function mtu(request: TraceRequest, flags: TraceFlags, io: Io): Promise<number> {
  checkFlags(flags)
  const loaded = await loadMoment(flags, io)
  if (loaded === undefined) return EXIT_BAD_INPUT
  const told = mtuReport(loaded.network, requestOfMoment(request, loaded))
  if (await refusesTouched(loaded.network, io)) return EXIT_BAD_INPUT
  if (isRefusal(told)) return refuse(told, io)
  const { cluster, inputs } = loaded
  const report: MtuReport = {
    ...told,
    metadata: { ...told.metadata, tool: `netsim ${VERSION}`, inputs, runtime: cluster.runtime.name, nodes: cluster.nodes.length },
    next: told.next.map((command) => command + inputFlags(flags)),
  }
  await io.out(flags.output === 'json' ? `${JSON.stringify(report, null, 2)}\n` : mtuText(report, textOptions(flags, io)))
  return statusOf(report)
}

function checkFlags({ size, output, svg, pcap, expect, all }: TraceFlags): void {
  if (all === true) throw new UsageError('--mtu and --all are two questions: ask one of them')
  if (size !== undefined) throw new UsageError('--mtu tries the sizes itself: leave --size out')
  if (output !== 'text' && output !== 'json') throw new UsageError(`--mtu has no -o ${output}: take text or json`)
  for (const [flag, given] of [
    ['--svg', svg !== undefined],
    ['--pcap', pcap !== undefined],
    ['--expect', expect.length > 0],
  ] as const)
    if (given) throw new UsageError(`${flag} is of one packet, and --mtu sends many: ask without --mtu`)
}

function textOptions(flags: TraceFlags, io: Io): Parameters<typeof mtuText>[1] {
  const color = wantsColor(flags.color === false ? 'never' : flags.color, io)
  return { width: widthOf(io), color, ascii: wantsAscii(flags.ascii, io), summaryOnly: flags.summary }
}

/** A sender that is told, or whose packets arrive in pieces, gets through. */
function statusOf({ verdict }: MtuReport): number {
  if (verdict === 'UNKNOWN') return EXIT_UNKNOWN
  return verdict === 'BLACKHOLE' || verdict === 'UNREACHABLE' ? EXIT_NOT_DELIVERED : EXIT_OK
}
