/** A trace document → one row a step, both legs, columns aligned and nothing cut: for awk, for a wide screen, for reading two traces side by side. */
import { printable } from './text-style.js'
import type { HopDocument, LegDocument, StepDocument, TraceDocument } from './trace-document.js'

const HEADING = ['STEP', 'TIME(us)', 'LEG', 'NODE', 'NETNS', 'DEVICE', 'KIND', 'ACTION', 'TTL', 'LENGTH', 'FRAME', 'MARK', 'WHAT'] as const
/** Numbers stand to the right. */
const RIGHT: readonly string[] = ['STEP', 'TIME(us)', 'TTL', 'LENGTH', 'FRAME']

/** Every cell holds something (`-` for nothing); the last column, the only one with blanks in it, goes on to the end of the line. */
export function traceWide(document: TraceDocument, { ascii }: { readonly ascii: boolean }): string {
  const rows = [...legRows('forward', document.forward), ...legRows('reply', document.reply)]
  const cells = [[...HEADING], ...rows.map((row) => row.map((cell) => printable(cell === '' ? '-' : cell, ascii)))]
  const widths = HEADING.map((_, column) => cells.reduce((widest, row) => Math.max(widest, lengthOf(row[column])), 0))
  const line = (row: readonly string[]): string => row.map((cell, column) => aligned(cell, widths[column], RIGHT.includes(HEADING[column]))).join('  ')
  return `${cells.map((row) => line(row).trimEnd()).join('\n')}\n`
}

/** In letters, not in halves of them. */
function lengthOf(text: string): number {
  return [...text].length
}

function aligned(cell: string, width: number, right: boolean): string {
  const gap = ' '.repeat(width - lengthOf(cell))
  return right ? gap + cell : cell + gap
}

function legRows(name: string, leg: LegDocument | null): string[][] {
  return leg === null ? [] : leg.hops.flatMap((hop) => hop.steps.map((step) => rowOf(name, hop, step)))
}

function rowOf(leg: string, hop: HopDocument, step: StepDocument): string[] {
  const { n, kind, action, at, text, ttl, length, frameLength, mark } = step
  const what = kind === 'table' && at?.table !== undefined ? `${at.table} ${text}` : text
  const number = (value: number | undefined): string => (value === undefined || value === 0 ? '' : `${value}`)
  return [
    `${n}`,
    ((step.timeNs ?? hop.timeNs) / 1000).toFixed(3),
    leg,
    word(hop.node),
    word(hop.netns),
    word(at?.device ?? ''),
    kind,
    action,
    number(ttl),
    number(length),
    number(frameLength),
    mark === undefined || mark === 0 ? '' : `0x${(mark >>> 0).toString(16)}`,
    what,
  ]
}

/** Without blanks, so that columns can be counted. */
function word(text: string): string {
  return text.replace(/\s/gu, '_')
}
