/** A change of policies for a comment on a pull request: the sum, a table of what closes and opens with the rules before and after, the notes. */
import { groupRows, type RowGroup } from '../policy/change/change-groups.js'
import type { Change } from '../policy/change/change.js'
import { noteWords, summaryWords } from '../policy/change/change-words.js'
import { connectionText } from '../policy/connection-text.js'
import type { Cause, Decision } from '../policy/change/diff-causes.js'
import type { DiffType } from '../policy/change/diff-document.js'
import { decisionWords, placesWords } from '../policy/change/diff-words.js'

const WORDS: Readonly<Record<DiffType, string>> = { removed: 'closed', changed: 'changed', added: 'opened' }
const SHOWN_ENDS = 4
const SHOWN_CAUSES = 2

/** Empty where nothing changed. @param limit rows of the table */
export function changeMarkdown(change: Change, limit: number): string {
  const groups = groupRows(change.rows)
  const notes = noteWords(change)
  if (groups.length === 0 && notes.length === 0) return ''
  const shown = groups.slice(0, limit)
  const left = groups.slice(limit).reduce((sum, { count }) => sum + count, 0)
  return [
    `**Policies: ${escaped(summaryWords(change))}**`,
    '',
    ...(shown.length === 0 ? [] : ['| | from | to | before | after | why |', '|---|---|---|---|---|---|', ...shown.map(tableRow), '']),
    ...(left === 0 ? [] : [`… and ${left} more ${left === 1 ? 'pair' : 'pairs'}.`, '']),
    ...notes.map((note) => `- ${escaped(note)}`),
    ...(notes.length === 0 ? [] : ['']),
  ].join('\n')
}

function tableRow({ type, sources, destinations, row }: RowGroup): string {
  const why = row.causes.slice(0, SHOWN_CAUSES).map(causeWords)
  const more = row.causes.length > SHOWN_CAUSES ? [`and ${row.causes.length - SHOWN_CAUSES} more reasons`] : []
  const cells = [WORDS[type], ends(sources), ends(destinations), connectionText(row.before), connectionText(row.after), [...why, ...more].join('; ')]
  return `| ${cells.map(escaped).join(' | ')} |`
}

function ends(names: readonly string[]): string {
  return names.length <= SHOWN_ENDS ? names.join(', ') : `${names.slice(0, SHOWN_ENDS).join(', ')} and ${names.length - SHOWN_ENDS} more`
}

/** `ingress was denied: no ingress rule … (a.yaml:4), is allowed by … (b.yaml:9)`. */
function causeWords({ direction, before, after }: Cause): string {
  const told = (when: string, decision: Decision | undefined): readonly string[] => {
    if (decision === undefined) return []
    return [`${when} ${decisionWords(decision, direction)}${placesWords(decision, direction)}`]
  }
  return `${direction} ${[...told('was', before), ...told('is', after)].join(', ')}`
}

/** Names come from files: none may end a cell, begin a link or be HTML. */
function escaped(text: string): string {
  return text.replace(/[\r\n]+/g, ' ').replace(/[|<>`*_[\]\\]/g, '\\$&')
}
