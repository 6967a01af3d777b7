/** What the blocks of a report's text share: the page, the words of classes and places, columns. */
import type { ProbeClass } from '../../network/time/probe-history.js'
import { wrap, type Span, type Style, type StyleName } from '../text-style.js'
import type { EntryDocument } from './document.js'

export interface Page {
  readonly width: number
  readonly style: Style
  /** Names come from files. */
  readonly clean: (text: string) => string
  /** How a command that asks about this run ends: ` -f scenario.yaml`. */
  readonly inputFlags: string
}

export const CLASS_STYLE: Readonly<Record<ProbeClass, StyleName>> = {
  works: 'green',
  partly: 'yellow',
  'black-holed': 'red',
  refused: 'red',
  looped: 'red',
  unknown: 'yellow',
  'no end': 'yellow',
}

/** `flanneld n1` */
export function whoText({ agent, node }: Pick<EntryDocument, 'agent' | 'node'>): string {
  return node === undefined ? agent : `${agent} ${node}`
}

export function placeText({ file, line }: { readonly file: string; readonly line: number }): string {
  return line > 0 ? `${file}:${line}` : file
}

/** `node n2 goes down (scenario.yaml:12)` */
export function entryText({ what, file, line }: EntryDocument): string {
  return file === undefined ? what : `${what} (${placeText({ file, line: line ?? 0 })})`
}

/** Of each column, the longest cell. */
export function columns(rows: readonly (readonly string[])[]): number[] {
  return (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column].length)))
}

/** Less is no column: words stand below. */
const LEAST_ROOM = 30
const BELOW = '            '

/** Words in the last column of a line: the first line follows `head`, the others stand below. */
export function hanging(head: { readonly text: string; readonly length: number }, words: readonly Span[], { width, style }: Page): string[] {
  const room = width - head.length
  if (room < LEAST_ROOM) return [head.text, ...wrap(words, width - BELOW.length, style).map((line) => BELOW + line)]
  return wrap(words, room, style).map((line, index) => (index === 0 ? head.text : ' '.repeat(head.length)) + line)
}
