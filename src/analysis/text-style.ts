/** Text for terminals: colours that each have a word beside them, wrapping by words, and plain letters where a terminal has no others. */

/** Every method gives its text back as it was when colours are off. */
export interface Style {
  green(text: string): string
  red(text: string): string
  yellow(text: string): string
  cyan(text: string): string
  dim(text: string): string
  bold(text: string): string
}

export type StyleName = keyof Style

/** Select Graphic Rendition: on, off (ECMA-48 §8.3.117). */
const CODES: Readonly<Record<StyleName, readonly [on: number, off: number]>> = {
  green: [32, 39],
  red: [31, 39],
  yellow: [33, 39],
  cyan: [36, 39],
  dim: [2, 22],
  bold: [1, 22],
}

export function styleOf(color: boolean): Style {
  const paint =
    (name: StyleName) =>
    (text: string): string => {
      const [on, off] = CODES[name]
      return color && text !== '' ? `\u001b[${on}m${text}\u001b[${off}m` : text
    }
  return { green: paint('green'), red: paint('red'), yellow: paint('yellow'), cyan: paint('cyan'), dim: paint('dim'), bold: paint('bold') }
}

const ASCII: ReadonlyMap<string, string> = new Map([
  ['→', '->'],
  ['←', '<-'],
  ['⇒', '=>'],
  ['≤', '<='],
  ['≥', '>='],
  ['·', '-'],
  ['–', '-'],
  ['—', '-'],
  ['…', '...'],
  ['×', 'x'],
  ['µ', 'u'],
])

/** Names come from files: whatever would steer a terminal becomes a `?`. With `ascii`, other letters become their nearest plain ones. */
export function printable(text: string, ascii: boolean): string {
  // eslint-disable-next-line no-control-regex
  const safe = text.replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '?')
  return ascii ? safe.replace(/[^\u0020-\u007e]/gu, (letter) => ASCII.get(letter) ?? '?') : safe
}

/** A stretch of text in one style. */
export interface Span {
  readonly text: string
  readonly style?: StyleName
  /** Not broken at its blanks. */
  readonly whole?: boolean
}

/** Breaks between words, and inside a word only where it is longer than a line. At least one line. */
export function wrap(spans: readonly Span[], width: number, style: Style): string[] {
  const lines: string[] = []
  let line = ''
  let used = 0
  for (const { text, style: name, whole } of spans) {
    for (const word of (whole === true ? [text] : text.split(' ')).flatMap((part) => pieces(part, width))) {
      if (used > 0 && used + 1 + word.length > width) {
        lines.push(line)
        line = ''
        used = 0
      }
      line += `${used > 0 ? ' ' : ''}${name === undefined ? word : style[name](word)}`
      used += (used > 0 ? 1 : 0) + word.length
    }
  }
  return [...lines, line]
}

/** An empty word stands for a second blank in a row: it keeps the gap that the writer made. */
function pieces(word: string, width: number): string[] {
  const parts: string[] = []
  for (let at = 0; at < word.length || at === 0; at += width) parts.push(word.slice(at, at + width))
  return parts
}

/** Left and right on one line of `width`; at least two blanks between them. */
export function leftRight(left: string, right: string, width: number): string {
  return right === '' ? left : left + ' '.repeat(Math.max(2, width - left.length - right.length)) + right
}

/** `0.0 us`, `12.3 ms`, `4.001 s`: as far as it tells something. */
export function formatTime(nanoseconds: number): string {
  if (nanoseconds < 1e6) return `${(nanoseconds / 1e3).toFixed(1)} us`
  return nanoseconds < 1e9 ? `${(nanoseconds / 1e6).toFixed(3)} ms` : `${(nanoseconds / 1e9).toFixed(3)} s`
}
