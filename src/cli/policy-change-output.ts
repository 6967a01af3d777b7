/** A change of policies in the form that was asked for, and the exit status that it means. */
import { match } from 'ts-pattern'
import { findingsJunit } from '../analysis/findings-junit.js'
import { sarifLog } from '../analysis/findings-sarif.js'
import { changeBetween, type Change, type ChangeSide } from '../policy/change/change.js'
import { summaryWords } from '../policy/change/change-words.js'
import { rowDocuments } from '../policy/change/diff-document.js'
import { npGuardDiffCsv, npGuardDiffDot, npGuardDiffMarkdown, npGuardDiffText } from '../policy/change/diff-np-guard.js'
import type { Touched } from '../policy/change/edit.js'
import { EXIT_NOT_DELIVERED, EXIT_OK } from './exit.js'
import type { Io } from './io.js'
import { safe } from './load-network.js'
import { CHANGE_CATALOGUE, breaks, changeReport } from './policy-change-findings.js'
import { changeMarkdown } from './policy-change-markdown.js'
import { changeText } from './policy-change-text.js'
import type { Expectation, PolicyChangeFlags } from './policy-change-verb.js'
import { fileUri } from './file-uri.js'
import { wantsAscii, wantsColor, widthOf } from './terminal.js'
import { VERSION } from './version.js'

const TEXT_LIMIT = 50
const MARKDOWN_LIMIT = 20

export interface Told {
  readonly before: ChangeSide
  readonly after: ChangeSide
  /** `netsim policy diff` */
  readonly command: string
  /** Of a what-if. */
  readonly touched?: readonly Touched[]
}

/** The exit status. */
export async function tellChange({ before, after, command, touched }: Told, flags: PolicyChangeFlags, io: Io): Promise<number> {
  const isDot = flags.output === 'dot'
  const future = flags.compat === undefined && ['txt', 'md'].includes(flags.output)
  const drawn = changeBetween(before, after, { unchanged: isDot && flags.compat !== undefined, future })
  const change: Change = { ...drawn, rows: drawn.rows.filter((row) => !row.before.equals(row.after)) }
  const noEngine = change.noEngine
  if (noEngine !== undefined && (flags.output !== 'txt' || flags.compat !== undefined))
    await io.err(`warning: ${safe(noEngine)}: the change has no effect (--enforced: as if somebody did)\n`)
  await io.out(flags.compat === undefined ? printed(change, { command, touched }, flags, io) : compatible(change, drawn, flags))
  return exitOf(change, flags.expect)
}

function exitOf(change: Change, expect: Expectation | undefined): number {
  const isSo = expect === undefined ? change.rows.length === 0 : !change.rows.some((row) => breaks(row, expect))
  return isSo ? EXIT_OK : EXIT_NOT_DELIVERED
}

function printed(
  change: Change,
  { command, touched }: { readonly command: string; readonly touched: Told['touched'] },
  flags: PolicyChangeFlags,
  io: Io,
): string {
  const { output, limit, expect, ref1, ref2 } = flags
  const page = { width: widthOf(io), color: wantsColor(flags.color === false ? 'never' : flags.color, io), ascii: wantsAscii(flags.ascii, io) }
  return match(output)
    .with('txt', () => changeText(change, { ...page, limit: limit ?? TEXT_LIMIT, ...(touched === undefined ? {} : { touched }) }))
    .with('md', () => safe(changeMarkdown(change, limit ?? MARKDOWN_LIMIT)))
    .with('json', () => json(change, flags))
    .with('csv', () => safe(npGuardDiffCsv(change.rows, { ref1, ref2 })))
    .with('dot', () => npGuardDiffDot(change.rows, { ref1, ref2 }))
    .with('junit', () => findingsJunit(changeReport(change, expect, 'warning'), { command, suite: summaryWords(change), judged: CHANGE_CATALOGUE }))
    .with('sarif', () => {
      const options = { catalogue: CHANGE_CATALOGUE, version: VERSION, relative: (file: string) => fileUri(file, io) }
      return `${JSON.stringify(sarifLog(changeReport(change, expect, 'info'), options), null, 2)}\n`
    })
    .exhaustive()
}

/** @param drawn what did not change is in it, too, where the form shows it */
function compatible(change: Change, drawn: Change, flags: PolicyChangeFlags): string {
  const names = { ref1: flags.ref1, ref2: flags.ref2 }
  return match(flags.output)
    .with('csv', () => safe(npGuardDiffCsv(change.rows, names)))
    .with('md', () => safe(npGuardDiffMarkdown(change.rows, names)))
    .with('dot', () => npGuardDiffDot(drawn.rows, names))
    .with('json', () => json(change, flags))
    .otherwise(() => safe(npGuardDiffText(change.rows, names)))
}

function json({ rows, switches }: Change, _flags: PolicyChangeFlags): string {
  return `${JSON.stringify(rowDocuments(rows, { transportOnly: switches.as === 'np-guard' }), null, 2)}\n`
}
