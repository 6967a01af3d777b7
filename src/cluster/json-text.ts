/**
 * JSON text → located values (RFC 8259), several values one after the other as `kubectl cluster-info dump` writes them. Own reader, because
 * JSON.parse knows no lines, takes the last of duplicate keys without a word, and needs the whole text in one string; this one reads bytes as
 * they come, and leaves out on the way what nobody reads (noise.ts).
 */
import { ByteWindow } from './byte-window.js'
import { isIndexKey, Lines, LineTable, MAX_DEPTH, setKey, type JsonValue, type Located, type TextIssue, type TextResult } from './located.js'
import { ALL_NOISE, noiseAt, noiseOf, type Noise } from './noise.js'
import { decodeUtf8, HASH_PRIME, SharedStrings } from './shared-strings.js'
import { SharedValues } from './shared-values.js'

/** Ends the reading of a text; the reader says where. */
export class JsonSyntaxError extends Error {
  readonly issue: TextIssue

  constructor(issue: TextIssue) {
    super(issue.what)
    this.issue = issue
  }
}

const LONGEST_WORD = 4096
const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/
const LITERALS: ReadonlyMap<string, JsonValue> = new Map<string, JsonValue>([
  ['true', true],
  ['false', false],
  ['null', null],
])

/** @param firstLine the line of the file on which `text` starts. Reads up to the first syntax error. */
export function readJson(text: string, firstLine: number): TextResult {
  const window = new ByteWindow([new TextEncoder().encode(text)], firstLine, 1)
  const issues: TextIssue[] = []
  const reader = new JsonReader(window, issues, text.length)
  const documents: Located[] = []
  try {
    for (let document = reader.next(); document !== undefined; document = reader.next()) documents.push(document)
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error
    issues.push(error.issue)
  }
  return { documents, issues }
}

/** A string of a file is not longer: V8 allows 2^29 - 24 characters. */
const LONGEST_STRING = 1 << 28

/** Where an object's noise is found out as its own apiVersion and kind are read; given by a list for its items. */
interface Head {
  readonly apiVersion?: string
  readonly kind?: string
}

export class JsonReader {
  private readonly issues: TextIssue[]
  private readonly window: ByteWindow
  private readonly table: LineTable
  private readonly shared: SharedStrings
  private readonly values = new SharedValues()
  /** Under which the value stands that is read. */
  private key = ''

  /** @param size of the text, roughly, in bytes */
  constructor(window: ByteWindow, issues: TextIssue[], size: number) {
    this.window = window
    this.issues = issues
    this.table = new LineTable(Math.min(1 << 16, 16 + Math.ceil(size / 16)))
    this.shared = new SharedStrings(size)
  }

  /** @throws {JsonSyntaxError} */
  next(): Located | undefined {
    this.table.length = 0
    if (this.skipSpace() === undefined) return undefined
    const value = this.readValue(0, undefined, {}, this.window.line)
    return { value, lines: new Lines(value, this.table.take(), 0) }
  }

  /**
   * At the first byte of the value.
   * @param head of an object of Kubernetes, or of the list of them; undefined: a part of one
   */
  private readValue(depth: number, noise: Noise | undefined, head: Head | undefined, line: number): JsonValue {
    const first = this.window.buffer[this.window.position]
    if (noise === ALL_NOISE) return this.passOver(depth, first)
    if (first === 0x7b || first === 0x5b) {
      if (depth > MAX_DEPTH) this.failTooDeep()
      const start = this.table.open(line)
      const value = first === 0x7b ? this.readObject(depth, noise, head) : this.readArray(depth, noise, head)
      this.table.close(start)
      return value
    }
    this.table.push(line)
    return first === 0x22 ? this.readString(true) : this.readScalar()
  }

  private readObject(depth: number, noise: Noise | undefined, head: Head | undefined): JsonValue {
    const { window, table } = this
    const opened = window.line
    const value: Record<string, JsonValue> = {}
    let around = head === undefined ? noise : noiseOf(head.apiVersion, head.kind)
    let known = head
    const keys = new KeyOrder(table.length)
    const standsUnder = this.key
    window.position++
    for (let first = this.skipSpace(); first !== 0x7d; first = this.skipSpace()) {
      const line = window.line
      const key = this.readKey(opened)
      if (Object.hasOwn(value, key)) {
        const before = table.at(keys.placeOf(key))
        this.issues.push({ line, what: `the key "${key}" stands twice in one object, first on line ${before}`, fix: 'Keep one of the two.' })
        keys.isIrregular = true
      }
      keys.add(key, table.length)
      const inner = noiseAt(around, key)
      this.key = key
      const isItems = known !== undefined && key === 'items'
      const part = this.readValue(depth + 1, isItems ? undefined : inner, isItems ? itemHead(known) : undefined, line)
      if (inner !== ALL_NOISE) setKey(value, key, part)
      if (known !== undefined && typeof part === 'string' && (key === 'kind' || key === 'apiVersion')) {
        known = { ...known, [key]: part }
        around = noiseOf(known.apiVersion, known.kind)
      }
      this.separator(0x7d, opened)
    }
    window.position++
    if (!keys.isIrregular) return this.values.mapping(standsUnder, value, keys.keys)
    keys.restore(value, table)
    return Object.freeze(value)
  }

  private readArray(depth: number, noise: Noise | undefined, head: Head | undefined): JsonValue {
    const { window } = this
    const opened = window.line
    const value: JsonValue[] = []
    const { key } = this
    window.position++
    while (this.skipSpace() !== 0x5d) {
      this.key = key
      value.push(this.readValue(depth + 1, noise, head, window.line))
      this.separator(0x5d, opened)
    }
    window.position++
    return this.values.list(key, value)
  }

  /** A value that nobody wants: its syntax is checked, nothing is kept. */
  private passOver(depth: number, first: number): null {
    if (first !== 0x7b && first !== 0x5b) {
      if (first === 0x22) this.readString(false)
      else this.readScalar()
      return null
    }
    if (depth > MAX_DEPTH) this.failTooDeep()
    const { window } = this
    const opened = window.line
    const close = first + 2
    window.position++
    while (this.skipSpace() !== close) {
      if (first === 0x7b) this.readKey(opened, false)
      this.passOver(depth + 1, window.buffer[window.position])
      this.separator(close, opened)
    }
    window.position++
    return null
  }

  /** The key, its colon and the space behind it. */
  private readKey(opened: number, isWanted = true): string {
    if (this.window.buffer[this.window.position] !== 0x22) this.failHere('a key in double quotes', 0x7d, opened)
    const key = this.readString(isWanted)
    if (this.skipSpace() !== 0x3a) this.failHere(`: after the key "${key}"`, 0x7d, opened)
    this.window.position++
    this.skipSpace()
    return key
  }

  /** A comma and something after it, or the closing bracket. */
  private separator(close: number, opened: number): void {
    const found = this.skipSpace()
    if (found === close) return
    if (found !== 0x2c) this.failHere(`, or ${String.fromCharCode(close)}`, close, opened)
    const line = this.window.line
    this.window.position++
    if (this.skipSpace() === close)
      throw new JsonSyntaxError({
        line,
        what: `a comma before ${String.fromCharCode(close)}`,
        fix: 'JSON allows no comma after the last entry: delete it.',
      })
  }

  /** Empty where it is not wanted, and checked all the same. */
  private readString(isWanted: boolean): string {
    const { window } = this
    let at = window.position + 1
    let hash = 0
    let escaped = false
    let wide = 0
    window.token = window.position
    for (;;) {
      const code = window.buffer[at]
      if (code === 0x22) break
      if (code >= 0x20 && code !== 0x5c) {
        wide |= code
        hash = Math.imul(hash ^ code, HASH_PRIME)
        at++
      } else if (code === 0x5c) {
        escaped = true
        window.position = at
        const length = this.escapeLength()
        at = window.position + length
      } else if (code === 0 && at >= window.end) {
        window.position = at
        if (at - window.token > LONGEST_STRING) this.fail(`a string of more than ${LONGEST_STRING >> 20} MiB`, 'No field of Kubernetes is this long.')
        if (!window.fill()) this.failInString()
        at = window.position
      } else this.failInString()
    }
    const start = window.token
    window.token = -1
    window.position = at + 1
    if (!isWanted) return ''
    if (escaped) return JSON.parse(this.decode(start, at + 1)) as string
    return wide >= 0x80 ? this.decode(start + 1, at) : this.shared.ascii(window.buffer, start + 1, at, hash)
  }

  /** At a backslash: how many bytes the escape has. */
  private escapeLength(): number {
    const kind = this.window.peek(1)
    if (kind === 0x75) {
      for (let digit = 2; digit < 6; digit++) if (!isHexDigit(this.window.peek(digit))) this.failEscape()
      return 6
    }
    if (kind === undefined) this.failInString()
    if (!'"\\/bfnrt'.includes(String.fromCharCode(kind))) this.failEscape()
    return 2
  }

  private failEscape(): never {
    const { token, position } = this.window
    const text = new TextDecoder().decode(this.window.buffer.subarray(Math.max(token, position - 30), position + 2))
    this.fail(`a bad escape in the string ${clip(text)}`, 'JSON knows \\" \\\\ \\/ \\b \\f \\n \\r \\t and \\u with four hex digits.')
  }

  private failInString(): never {
    this.fail('a string that does not end on its line', 'Close it with a double quote; a line break inside is written \\n.')
  }

  private decode(start: number, end: number): string {
    const text = decodeUtf8(this.window.buffer.subarray(start, end))
    if (text === undefined) this.fail('a string that is not text in UTF-8', 'Save the file as UTF-8.')
    return text
  }

  private readScalar(): JsonValue {
    const { window } = this
    let length = 0
    for (let code = window.peek(0); isWordByte(code); code = window.peek(++length)) if (length > LONGEST_WORD) break
    const first = window.peek(0)
    if (first === undefined) this.fail('the text ends where a value was due', 'Something is cut off, or a bracket is not closed.')
    if (length === 0) this.fail(`${this.describe(first)} where a value was due`, '')
    const word = String.fromCharCode.apply(null, window.buffer.subarray(window.position, window.position + length) as unknown as number[])
    const literal = LITERALS.get(word)
    if (literal === undefined && !NUMBER.test(word))
      this.fail(`${clip(word)} is no JSON value`, 'Text stands in double quotes; the bare words are true, false and null.')
    window.position += length
    return literal === undefined ? Number(word) : literal
  }

  /** The byte that is not space; undefined at the end. */
  private skipSpace(): number | undefined {
    const { window } = this
    for (;;) {
      const code = window.buffer[window.position]
      if (code === 0x0a) window.line++
      else if (code === 0 && window.position >= window.end) {
        if (!window.fill()) return undefined
        continue
      } else if (code !== 0x20 && code !== 0x09 && code !== 0x0d) return code
      window.position++
    }
  }

  /** @param close the bracket that would close what was opened on line `opened` */
  private failHere(due: string, close: number, opened: number): never {
    const found = this.window.peek(0)
    const what = `${found === undefined ? 'the text ends' : this.describe(found)} where ${due} was due`
    this.fail(what, `It belongs to the ${close === 0x7d ? '{' : '['} of line ${opened}.`)
  }

  private failTooDeep(): never {
    const what = `values nested more than ${MAX_DEPTH} deep`
    throw new JsonSyntaxError({ line: this.window.line, what, fix: 'No Kubernetes object is this deep; check where the brackets close.', tooDeep: true })
  }

  private fail(what: string, fix: string): never {
    this.window.token = -1
    throw new JsonSyntaxError({ line: this.window.line, what, fix })
  }

  /** The character at the position. */
  private describe(first: number): string {
    if (first < 0x20 || first === 0x7f) return `a control character (${first})`
    if (first < 0x80) return String.fromCharCode(first)
    this.window.peek(3)
    const { buffer, position, end } = this.window
    return String.fromCodePoint(new TextDecoder().decode(buffer.subarray(position, Math.min(end, position + 4))).codePointAt(0) as number)
  }
}

/** `PodList` of v1 holds Pods of v1. */
function itemHead(list: Head | undefined): Head {
  if (list?.apiVersion === undefined || list.kind === undefined || !/.List$/.test(list.kind)) return {}
  return { apiVersion: list.apiVersion, kind: list.kind.slice(0, -'List'.length) }
}

/** The keys of one object as the text has them, for one whose keys a walk would meet in another order. */
class KeyOrder {
  isIrregular = false
  private readonly start: number
  readonly keys: string[] = []
  private readonly places: number[] = []

  constructor(start: number) {
    this.start = start
  }

  add(key: string, place: number): void {
    if (isIndexKey(key)) this.isIrregular = true
    this.keys.push(key)
    this.places.push(place)
  }

  placeOf(key: string): number {
    return this.places[this.keys.indexOf(key)]
  }

  /** Puts the lines in the walk's order; of a key that stands twice the last counts, as its value does. */
  restore(value: Record<string, JsonValue>, table: LineTable): void {
    const last = new Map(this.keys.map((key, index) => [key, index]))
    const stretches = Object.keys(value).map((key): [number, number] => {
      const at = last.get(key) as number
      return [this.places[at], this.places[at + 1] ?? table.length]
    })
    table.rearrange(this.start, stretches)
  }
}

function isHexDigit(code: number | undefined): boolean {
  return code !== undefined && ((code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x46) || (code >= 0x61 && code <= 0x66))
}

/** A letter, a digit, or one of _ . + -. */
function isWordByte(code: number | undefined): boolean {
  if (code === undefined) return false
  return (
    (code >= 0x30 && code <= 0x39) ||
    (code >= 0x41 && code <= 0x5a) ||
    (code >= 0x61 && code <= 0x7a) ||
    code === 0x5f ||
    code === 0x2e ||
    code === 0x2b ||
    code === 0x2d
  )
}

function clip(text: string): string {
  return text.length > 40 ? `${text.slice(0, 37)}...` : text
}
