/** A change of policies as people read it: what was edited, what closes and opens with the rules before and after, and the sum last. */
import { printable, styleOf, wrap, type Style, type StyleName } from '../analysis/text-style.js'
import { counted } from '../analysis/findings-text.js'
import { formatPlace, type Place } from '../cluster/problem-list.js'
import { groupRows, type RowGroup } from '../policy/change/change-groups.js'
import type { Change } from '../policy/change/change.js'
import { noteWords, summaryWords } from '../policy/change/change-words.js'
import { connectionWords } from '../policy/connection-words.js'
import type { Cause, Decision } from '../policy/change/diff-causes.js'
import type { DiffType } from '../policy/change/diff-document.js'
import { decisionWords, placesWords } from '../policy/change/diff-words.js'
import type { Touched } from '../policy/change/edit.js'
import { policyName } from '../policy/explain/explain-line.js'

export interface ChangeTextOptions {
  readonly width: number
  readonly color: boolean
  readonly ascii: boolean
  /** Groups of rows that are told. */
  readonly limit: number
  /** Of a what-if; absent: two states were compared. */
  readonly touched?: readonly Touched[]
}

interface Page extends ChangeTextOptions {
  readonly style: Style
}

const LEAST_WIDTH = 72
const HEADS: Readonly<Record<DiffType, readonly [word: string, color: StyleName]>> = {
  removed: ['CLOSED', 'red'],
  changed: ['CHANGED', 'yellow'],
  added: ['OPENED', 'green'],
}
const KEY_WIDTH = 10

/** Empty where nothing changed and there is nothing to say of it. */
export function changeText(change: Change, options: ChangeTextOptions): string {
  const page: Page = { ...options, width: Math.max(LEAST_WIDTH, options.width), style: styleOf(options.color) }
  const groups = groupRows(change.rows)
  const shown = groups.slice(0, options.limit)
  const left = groups.slice(options.limit).reduce((sum, { count }) => sum + count, 0)
  const edited = editLines(page, change)
  const notes = noteWords(change).flatMap((note) => keyLines(page, 'note', note, 'dim'))
  if (shown.length === 0 && notes.length === 0 && options.touched === undefined) return ''
  const lines = [
    ...edited,
    ...(edited.length === 0 ? [] : ['']),
    ...shown.flatMap((group) => [...groupLines(page, group), '']),
    ...(left === 0 ? [] : [page.style.dim(`and ${counted(left, 'pair')} more (--limit)`), '']),
    ...notes,
    ...(notes.length === 0 ? [] : ['']),
    page.style.bold(printable(summaryWords(change), page.ascii)),
  ]
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`
}

function editLines(page: Page, { policies }: Change): readonly string[] {
  const { touched } = page
  if (touched !== undefined)
    return touched.flatMap(({ how, object, detail, ...place }) =>
      keyLines(page, how, `${object}${detail === '' ? '' : `: ${detail}`}${placeWords(place)}`, 'cyan'),
    )
  return policies.flatMap(({ how, policy, was }) => {
    const from = was === undefined ? '' : `, was ${formatPlace(was)}`
    return keyLines(page, how, `${policyName(policy)} (${formatPlace(policy)}${from})`, 'cyan')
  })
}

function groupLines(page: Page, { type, sources, destinations, row }: RowGroup): readonly string[] {
  const [word, color] = HEADS[type]
  const head = keyLines(page, word, `${endsWords(sources)} → ${endsWords(destinations)}`, color)
  const { before, after, opened, closed, led } = row
  const what =
    type === 'added'
      ? [['now', connectionWords(after)] as const]
      : type === 'removed'
        ? [['was', connectionWords(before)] as const]
        : [
            ['was', connectionWords(before)] as const,
            ['now', connectionWords(after)] as const,
            ...(opened.isEmpty ? [] : [['opened', connectionWords(opened)] as const]),
            ...(closed.isEmpty ? [] : [['closed', connectionWords(closed)] as const]),
          ]
  return [
    ...head,
    ...what.flatMap(([key, text]) => keyLines(page, key, text, 'dim')),
    ...ledLines(page, led),
    ...row.causes.flatMap((cause) => causeLines(page, cause, row.causes.length > 1 && !cause.connections.equals(cause.effect === 'opened' ? opened : closed))),
  ]
}

const SHOWN_ENDS = 6

function endsWords(names: readonly string[]): string {
  return names.length <= SHOWN_ENDS ? names.join(', ') : `${names.slice(0, SHOWN_ENDS).join(', ')} and ${names.length - SHOWN_ENDS} more`
}

function ledLines(page: Page, led: RowGroup['row']['led']): readonly string[] {
  if (led === undefined || led[0].join() === led[1].join()) return []
  const words = (by: readonly string[]): string => (by.length === 0 ? 'nothing leads there' : `${by.join(', ')} ${by.length === 1 ? 'leads' : 'lead'} there`)
  return keyLines(page, 'led', `before: ${words(led[0])}; after: ${words(led[1])}`, 'dim')
}

/** @param isPart the cause speaks of a part of what was opened or closed */
function causeLines(page: Page, { direction, connections, before, after }: Cause, isPart: boolean): readonly string[] {
  const of = isPart ? ` of ${connectionWords(connections)}` : ''
  const told = (when: string, decision: Decision | undefined): readonly string[] =>
    decision === undefined ? [] : keyLines(page, direction, `${when}${of} ${decisionWords(decision, direction)}${placesWords(decision, direction)}`, 'dim')
  return [...told('before', before), ...told('after ', after)]
}

function placeWords(place: Place): string {
  return place.file === '' ? '' : ` (${formatPlace(place)})`
}

function keyLines({ style, width, ascii }: Page, key: string, text: string, color: StyleName): readonly string[] {
  const lines = wrap([{ text: printable(text, ascii) }], width - KEY_WIDTH, style)
  return lines.map((line, index) => `${index === 0 ? style[color](key.padEnd(KEY_WIDTH)) : ' '.repeat(KEY_WIDTH)}${line}`)
}
