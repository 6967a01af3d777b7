/** Rows of a timeline → a line each: when, where, who, what, and the bytes of a message. */
import { printable, styleOf, type Style } from '../text-style.js'
import type { TimelineRow } from './diary-rows.js'
import { momentText } from './duration.js'
import { columns, entryText } from './report-page.js'

const HEADING = ['TIME', 'NODE', 'AGENT', 'BYTES']

/** Ends with a newline where there is a row. Times are written as `--at` reads them. */
export function diaryText(rows: readonly TimelineRow[], { color, ascii }: { readonly color: boolean; readonly ascii: boolean }): string {
  if (rows.length === 0) return ''
  const style = styleOf(color)
  const clean = (text: string): string => printable(text, ascii)
  const cells = rows.map((row) => [momentText(row.atNs), clean(whereOf(row)), row.agent, 'bytes' in row && row.bytes !== undefined ? `${row.bytes}` : ''])
  const hasBytes = cells.some((row) => row[3] !== '')
  const widths = columns([HEADING, ...cells])
  const line = ([time, where, agent, bytes]: readonly string[], what: string): string => {
    const lead = [style.dim(time.padStart(widths[0])), style.cyan(where.padEnd(widths[1])), agent.padEnd(widths[2])]
    return [...lead, ...(hasBytes ? [bytes.padStart(widths[3])] : []), what].join('  ').trimEnd()
  }
  return `${[line(HEADING, 'WHAT'), ...cells.map((row, index) => line(row, whatText(rows[index], style, clean)))].join('\n')}\n`
}

function whereOf(row: TimelineRow): string {
  return 'netns' in row ? row.netns : (row.node ?? '-')
}

function whatText(row: TimelineRow, style: Style, clean: (text: string) => string): string {
  if ('id' in row) return clean(row.kind === 'event' ? entryText(row) : row.what)
  return style[row.what.startsWith('+') ? 'green' : 'red'](clean(row.what))
}
