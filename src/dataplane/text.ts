/**
 * What every reader of a tool's text in this folder shares: where a line stands, the list of Problems that grows while the
 * rest is still read, words with the shell's quoting, and a cursor over them.
 */
import type { Problem } from '../base/problem.js'
import type { Provenance } from './dataplane.js'

/** Where a text begins: `line` is the 1-based line of its first line in `file` (0: the text is a file of its own, or has no line). */
export interface Place {
  readonly file: string
  readonly line: number
  /** The object that the text stands in, as Problem has it. */
  readonly object?: string
  /** Whose work the things read are said to be: each is then given a provenance of this author, the file and its line. */
  readonly by?: string
}

/** What the commands of all tools take besides the state, the text and the place. */
export interface CommandOptions {
  /** Kept with everything that the command adds. */
  readonly provenance?: Provenance
}

/** A word of a Problem, at most. A dump may hold a line of megabytes. */
const SAID_MAX = 400
/** Problems of one reading that are kept; the rest is counted. */
const PROBLEMS_MAX = 1000
/** Problems of one reading that say the same; further ones are counted. */
const ALIKE_MAX = 5

/** Problems of one reading; `at` moves the place from line to line. */
export class Report {
  private readonly kept: Problem[] = []
  private readonly start: Place
  private line: number
  private readonly alike = new Map<string, { count: number; last: number; readonly severity: Problem['severity'] }>()
  private left = 0

  /** The text is what a tool printed, of whatever age and with whatever names in /etc/iproute2: not a command that it would refuse. */
  readonly printed: boolean

  constructor(place: Place, { printed = false }: { readonly printed?: boolean } = {}) {
    this.start = place
    this.line = place.line
    this.printed = printed
  }

  /** All that is wrong. What was said too often, or too much, is told by its number behind the rest. */
  get problems(): readonly Problem[] {
    const more = [...this.alike].flatMap(([what, { count, last, severity }]) =>
      count <= ALIKE_MAX ? [] : [this.problem(severity, `${what} (and ${count - ALIKE_MAX} times more)`, '', last)],
    )
    const rest = this.left === 0 ? [] : [this.problem('error', `${this.left} further lines are wrong`, `The first ${PROBLEMS_MAX} are told.`, this.line)]
    return [...this.kept, ...more, ...rest]
  }

  /** Of what stands on the line, to be spread into it; nothing where the place names no author. */
  get origin(): { readonly provenance?: Provenance } {
    const { by, file } = this.start
    return by === undefined ? {} : { provenance: { by, file, line: this.line } }
  }

  /** Moves to the line `index` (0-based) of the text. */
  at(index: number): void {
    this.line = Math.max(1, this.start.line) + index
  }

  error(what: string, fix = ''): undefined {
    this.add('error', what, fix)
    return undefined
  }

  warning(what: string, fix = ''): void {
    this.add('warning', what, fix)
  }

  private add(severity: Problem['severity'], said: string, fix: string): void {
    const what = printable(said)
    const alike = this.alike.get(what)
    if (alike !== undefined) {
      alike.count++
      alike.last = this.line
      if (alike.count > ALIKE_MAX) return
    } else if (this.kept.length >= PROBLEMS_MAX) {
      this.left++
      return
    } else this.alike.set(what, { count: 1, last: this.line, severity })
    this.kept.push(this.problem(severity, what, fix, this.line))
  }

  private problem(severity: Problem['severity'], what: string, fix: string, line: number): Problem {
    return { severity, file: this.start.file, line, object: this.start.object ?? '', what, fix }
  }
}

/** As it can be shown: cut, and without what a terminal would act on. */
function printable(text: string): string {
  const cut = text.length <= SAID_MAX ? text : `${text.slice(0, SAID_MAX)}… (${text.length} characters)`
  // eslint-disable-next-line no-control-regex -- these are what is looked for
  return cut.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd')
}

/** The longest line that is read. Rules, routes and elements of a kernel are a few hundred characters long. */
const LINE_MAX = 1 << 16

/**
 * The lines of a text with their indexes, the report moved to each; what no tool prints (a line that is too long, NUL bytes) is reported and passed
 * over. Takes the line ends of Windows and the byte order mark of its editors. One line is held at a time.
 */
export function* numberedLines(text: string, report: Report): Generator<readonly [index: number, line: string]> {
  let from = text.startsWith('\ufeff') ? 1 : 0
  for (let index = 0; from <= text.length; index++) {
    const end = text.indexOf('\n', from)
    const to = end < 0 ? text.length : end
    const line = text[to - 1] === '\r' && to > from ? text.slice(from, to - 1) : text.slice(from, to)
    from = to + 1
    report.at(index)
    if (line.length > LINE_MAX)
      report.error(`a line of ${line.length} characters is left out`, `No tool prints more than ${LINE_MAX}: is the file whole, and text?`)
    else if (line.includes('\0')) report.error('a line with NUL bytes is left out', 'Is the file text? UTF-16 has to be made UTF-8 first.')
    else yield [index, line]
  }
}

/** The lines of a text with the report moved to each; empty lines and comments (`#`) are passed over. */
export function* linesOf(text: string, report: Report): Generator<string> {
  for (const [, line] of numberedLines(text, report)) if (line.trim() !== '' && !line.trimStart().startsWith('#')) yield line
}

/** Runs of letters that mean themselves, within quotes and without. */
const BARE = /[^\s"'\\]+/y
const QUOTED = /[^"'\\]+/y

/**
 * Splits at blanks; `"…"` holds a word together with `\` escaping inside it. With `shell`, `'…'` quotes too and `\` escapes
 * outside quotes, as on a command line; without, those two are letters, as iptables-restore and ipset restore read them.
 * undefined: a quote stays open.
 */
export function splitWords(text: string, options: { readonly shell: boolean }): string[] | undefined {
  const words: string[] = []
  let word = ''
  let inWord = false
  let quote = ''
  for (let i = 0; i < text.length; i++) {
    const plain = quote === '' ? BARE : QUOTED
    plain.lastIndex = i
    const run = plain.exec(text)?.[0] ?? ''
    if (run !== '') {
      word += run
      inWord = true
      i += run.length
      if (i === text.length) break
    }
    const char = text[i]
    if (quote === "'") {
      if (char === "'") quote = ''
      else word += char
    } else if (char === '\\' && (quote === '"' || options.shell)) {
      inWord = true
      word += text[++i] ?? ''
    } else if (quote === '"') {
      if (char === '"') quote = ''
      else word += char
    } else if (char === '"' || (char === "'" && options.shell)) {
      quote = char
      inWord = true
    } else if (/\s/.test(char)) {
      if (inWord) words.push(word)
      word = ''
      inWord = false
    } else {
      word += char
      inWord = true
    }
  }
  if (quote !== '') return undefined
  if (inWord) words.push(word)
  return words
}

/** Quotes let a word hold what ends a line of iptables-restore and ipset restore: the rest of it would be a command of its own. */
export function breaksLine(word: string): boolean {
  return word.includes('\n') || word.includes('\0')
}

/** As the netfilter tools print a free text: bare when it is of letters, digits, `_` and `-`, else in double quotes. */
export function quoteText(text: string): string {
  return /^[\w-]+$/.test(text) ? text : `"${text.replace(/["'\\]/g, '\\$&')}"`
}

/** A cursor over the words of one line. */
export class Words {
  private readonly words: readonly string[]
  private index = 0

  constructor(words: readonly string[]) {
    this.words = words
  }

  static of(text: string): Words {
    return new Words(text.split(/\s+/).filter((word) => word !== '' && word !== '\\'))
  }

  get done(): boolean {
    return this.index >= this.words.length
  }

  peek(): string | undefined {
    return this.words[this.index]
  }

  next(): string | undefined {
    return this.words[this.index++]
  }

  /** Takes the next word when it is one of these. */
  takeIf(...candidates: readonly string[]): boolean {
    const found = candidates.includes(this.words[this.index] ?? '')
    if (found) this.index++
    return found
  }

  /** The rest, as a text to name in a Problem. */
  get rest(): string {
    return this.words.slice(this.index).join(' ')
  }
}

/** `0x10`, `020` or `16`, an unsigned integer of up to 32 bits (or `max`); undefined when it is none. Leading zero is octal, as strtoul(…, 0) reads. */
export function parseInteger(text: string | undefined, max = 0xffffffff): number | undefined {
  if (text === undefined || !/^(0x[0-9a-f]+|\d+)$/i.test(text)) return undefined
  const octal = /^0\d+$/.test(text)
  if (octal && !/^[0-7]+$/.test(text)) return undefined
  const value = octal ? Number.parseInt(text, 8) : Number(text)
  return value <= max ? value : undefined
}

/** `0x1a`. */
export function hex(value: number, digits = 1): string {
  return `0x${(value >>> 0).toString(16).padStart(digits, '0')}`
}

/** iproute2 lets a command or an object be cut short: the first of the candidates that begins with the word. */
export function abbreviated<Name extends string>(word: string | undefined, candidates: readonly Name[]): Name | undefined {
  return word === undefined || word === '' ? undefined : candidates.find((candidate) => candidate.startsWith(word))
}
