/** Where the answer of `netsim trace` goes: the text or another form of it, a picture, a capture; each to a file or to standard output. */
import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { match } from 'ts-pattern'
import { pathSvg } from '../analysis/path-svg.js'
import type { TraceDocument } from '../analysis/trace-document.js'
import { traceJsonLines } from '../analysis/trace-jsonl.js'
import { traceMermaid } from '../analysis/trace-mermaid.js'
import { traceMinimal } from '../analysis/trace-minimal.js'
import { tracePcap } from '../analysis/trace-pcap.js'
import { traceText } from '../analysis/trace-text.js'
import { traceWide } from '../analysis/trace-wide.js'
import { UsageError } from './exit.js'
import type { Io } from './io.js'
import { wantsAscii, wantsColor, widthOf } from './terminal.js'
import type { TraceFlags } from './trace-options.js'

const STANDARD_OUTPUT = '-'

/** Before any work is done. @throws UsageError when two things want standard output, or bytes would go to a terminal */
export function checkOutputs({ output, svg, pcap }: TraceFlags, { outIsTerminal }: Io): void {
  if (svg === '' || pcap === '') throw new UsageError(`${svg === '' ? '--svg' : '--pcap'} needs the name of a file, or - for standard output`)
  if (pcap !== STANDARD_OUTPUT) return
  const other = svg === STANDARD_OUTPUT ? '--svg -' : output === 'text' ? undefined : `-o ${output}`
  if (other !== undefined) throw new UsageError(`--pcap - and ${other} both want standard output: give one of them a file`)
  if (outIsTerminal) throw new UsageError('--pcap - writes bytes, and standard output is a terminal: pipe it (| wireshark -k -i -) or name a file')
}

export async function writeOutputs(document: TraceDocument, flags: TraceFlags, io: Io): Promise<void> {
  const { svg, pcap } = flags
  if (svg !== undefined && svg !== STANDARD_OUTPUT) await write('--svg', svg, { content: pathSvg(document), io })
  if (pcap !== undefined && pcap !== STANDARD_OUTPUT) await write('--pcap', pcap, { content: tracePcap(document), io })
  if (svg === STANDARD_OUTPUT) return io.out(pathSvg(document))
  if (pcap === STANDARD_OUTPUT) return io.out(tracePcap(document))
  await io.out(textOf(document, flags, io))
}

function textOf(document: TraceDocument, flags: TraceFlags, io: Io): string {
  const ascii = wantsAscii(flags.ascii, io)
  return match(flags.output)
    .with('json', () => `${JSON.stringify(document, null, 2)}\n`)
    .with('jsonl', () => traceJsonLines(document))
    .with('minimal', () => traceMinimal(document))
    .with('mermaid', () => traceMermaid(document))
    .with('wide', () => traceWide(document, { ascii }))
    .with('text', () =>
      traceText(document, {
        width: widthOf(io),
        color: wantsColor(flags.color === false ? 'never' : flags.color, io),
        ascii,
        verbosity: flags.verbose,
        summaryOnly: flags.summary,
      }),
    )
    .exhaustive()
}

async function write(flag: string, file: string, { content, io }: { readonly content: string | Uint8Array; readonly io: Io }): Promise<void> {
  try {
    await writeFile(resolve(io.cwd, file), content)
  } catch (error) {
    throw new UsageError(`${flag} ${file} cannot be written: ${error instanceof Error ? error.message : String(error)}`)
  }
}
