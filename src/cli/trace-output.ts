/**
 * Where the answer of `netsim trace` goes: the text or another form of it, a picture, a capture; each to a file or to standard output.
 * The forms other than the text are loaded when they are asked for.
 */
import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { match } from 'ts-pattern'
import type { TraceDocument } from '../analysis/trace-document.js'
import { traceText } from '../analysis/trace-text.js'
import { UsageError } from './exit.js'
import type { Io } from './io.js'
import { wantsAscii, wantsColor, widthOf } from './terminal.js'
import type { TraceFlags } from './trace-options.js'

export const STANDARD_OUTPUT = '-'

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
  if (svg !== undefined && svg !== STANDARD_OUTPUT) await writeFlagged('--svg', svg, { content: await svgOf(document), io })
  if (pcap !== undefined && pcap !== STANDARD_OUTPUT) await writeFlagged('--pcap', pcap, { content: await pcapOf(document), io })
  if (svg === STANDARD_OUTPUT) return io.out(await svgOf(document))
  if (pcap === STANDARD_OUTPUT) return io.out(await pcapOf(document))
  await io.out(await textOf(document, flags, io))
}

async function svgOf(document: TraceDocument): Promise<string> {
  const { pathSvg } = await import('../analysis/path-svg.js')
  return pathSvg(document)
}

async function pcapOf(document: TraceDocument): Promise<Uint8Array> {
  const { tracePcap } = await import('../analysis/trace-pcap.js')
  return tracePcap(document)
}

async function textOf(document: TraceDocument, flags: TraceFlags, io: Io): Promise<string> {
  const ascii = wantsAscii(flags.ascii, io)
  return match(flags.output)
    .with('json', () => `${JSON.stringify(document, null, 2)}\n`)
    .with('jsonl', async () => (await import('../analysis/trace-jsonl.js')).traceJsonLines(document))
    .with('minimal', async () => (await import('../analysis/trace-minimal.js')).traceMinimal(document))
    .with('mermaid', async () => (await import('../analysis/trace-mermaid.js')).traceMermaid(document))
    .with('wide', async () => (await import('../analysis/trace-wide.js')).traceWide(document, { ascii }))
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

/** @throws UsageError where the file cannot be written */
export async function writeFlagged(flag: string, file: string, { content, io }: { readonly content: string | Uint8Array; readonly io: Io }): Promise<void> {
  try {
    await writeFile(resolve(io.cwd, file), content)
  } catch (error) {
    throw new UsageError(`${flag} ${file} cannot be written: ${error instanceof Error ? error.message : String(error)}`)
  }
}
