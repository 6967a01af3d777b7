/** `netsim policy test`: reads the manifests and the assertions, holds the one against the other, prints what came of it. Loaded when it is called. */
import { match } from 'ts-pattern'
import { keyLines } from '../analysis/trace-text-verdict.js'
import { printable, styleOf } from '../analysis/text-style.js'
import { hasErrors, type Problem } from '../base/problem.js'
import { endResolver } from '../policy/assert/assertion-ends.js'
import { runAssertions } from '../policy/assert/assertions.js'
import { assertionsDocument, type AssertionReportDocument, type AssertionResultDocument } from '../policy/assert/assertions-document.js'
import { assertionsJunit, assertionTitle } from './policy-test-junit.js'
import { readAssertions } from '../policy/assert/assertions-file.js'
import { EXIT_BAD_INPUT, EXIT_NOT_DELIVERED, UsageError } from './exit.js'
import { readInputs } from './input.js'
import type { Io } from './io.js'
import { report, safe } from './load-network.js'
import { loadPolicyState } from './policy-input.js'
import type { PolicyTestFlags } from './policy-test-verb.js'
import { wantsAscii, wantsColor, widthOf } from './terminal.js'

/** The exit status. */
export async function policyTest(files: readonly string[], flags: PolicyTestFlags, io: Io): Promise<number> {
  if (files.includes('-') && flags.filename.includes('-')) throw new UsageError('standard input cannot be both the manifests and the assertions')
  const loaded = await loadPolicyState(flags, io)
  const { inputs, problems: unread } = await readInputs(files, false, io)
  const read = inputs.map((input) => readAssertions({ file: input.file, text: textOf(input) }))
  const problems: Problem[] = [...unread, ...read.flatMap((one) => one.problems)]
  if (loaded === undefined) {
    await report(problems, io)
    return EXIT_BAD_INPUT
  }
  const { world } = loaded
  if (world.noEngine !== undefined)
    await io.err(`warning: ${safe(world.noEngine)}: the policies of the input have no effect, everything is open (--enforced: as if they had)\n`)
  const run = runAssertions(
    world,
    read.flatMap(({ assertions }) => assertions),
    endResolver(flags.namespace),
  )
  problems.push(...run.problems)
  await report(problems, io)
  const document = assertionsDocument(world, run.report)
  if (document.provesNothing !== null) await io.err(`warning: ${safe(document.provesNothing)}\n`)
  // what could be asked is told all the same
  if (document.results.length > 0) await io.out(printed(document, flags, io))
  if (hasErrors(problems)) return EXIT_BAD_INPUT
  return document.failed > 0 || (flags.requireControl && document.provesNothing !== null) ? EXIT_NOT_DELIVERED : loaded.exit
}

function textOf(input: { readonly text: string } | { readonly chunks: Iterable<Uint8Array> }): string {
  if ('text' in input) return input.text
  const decoder = new TextDecoder()
  let text = ''
  for (const chunk of input.chunks) text += decoder.decode(chunk, { stream: true })
  return text + decoder.decode()
}

function printed(document: AssertionReportDocument, flags: PolicyTestFlags, io: Io): string {
  return match(flags.output)
    .with('json', () => `${JSON.stringify(document, null, 2)}\n`)
    .with('junit', () => assertionsJunit(document))
    .with('text', () => reportText(document, flags, io))
    .exhaustive()
}

function reportText({ results, passed, failed }: AssertionReportDocument, flags: PolicyTestFlags, io: Io): string {
  const style = styleOf(wantsColor(flags.color === false ? 'never' : flags.color, io))
  const page = { style, width: Math.max(72, widthOf(io)), clean: (text: string): string => printable(text, wantsAscii(flags.ascii, io)) }
  const lines = results.flatMap((result) => {
    const word = result.passed ? style.green('ok    ') : style.red(style.bold('FAILED'))
    const head = `${word}  ${page.clean(`${assertionTitle(result)}${countText(result)}`)}`
    const failures = result.failures.flatMap(({ src, dst, conn, text }) => [
      ...keyLines(page, 'failed', { text: `${src} → ${dst} ${conn} is ${result.expect === 'allow' ? 'closed' : 'open'}` }),
      ...keyLines(page, 'why', { text }),
    ])
    const more = result.failedProbes - result.failures.length
    const place = result.passed ? [] : keyLines(page, 'asked', { text: `${result.file}:${result.line}`, style: 'dim' })
    return [head, ...failures, ...(more > 0 ? keyLines(page, 'failed', { text: `… ${more} more` }) : []), ...place]
  })
  const total = `${passed} passed, ${failed} failed`
  return `${[...lines, style.bold(failed > 0 ? style.red(total) : style.green(total))].map((line) => line.trimEnd()).join('\n')}\n`
}

function countText({ probes, failedProbes }: AssertionResultDocument): string {
  if (probes === 1) return ''
  return failedProbes === 0 ? ` (${probes} pairs)` : ` (${failedProbes} of ${probes} pairs)`
}
