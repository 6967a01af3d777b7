/**
 * The plain part of YAML that programs print (kubectl -o yaml, helm) → located values: block mappings and sequences, scalars on one line, literal blocks;
 * and `{a: b}`, `[a, b]` whole on one line, as people write them. Many times as fast as the package `yaml`, which reads everything else, and everything
 * that is wrong: at the first sign of either this reader gives up. What it does read it reads as the package does (YAML 1.2, core schema).
 */
import { isIndexKey, isObject, Lines, LineTable, setKey, type JsonValue, type Located } from './located.js'
import { ALL_NOISE, noiseAt, noiseOf, type Noise } from './noise.js'
import { decodeUtf8, HASH_PRIME, type SharedStrings } from './shared-strings.js'

const DEEPEST = 60

class NotPlain extends Error {}

/** Bytes, by their signs. */
const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20
const DASH = 0x2d
const COLON = 0x3a
const HASH = 0x23
const DOUBLE = 0x22
const SINGLE = 0x27
const PIPE = 0x7c
const COMMA = 0x2c
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const OPEN_MAP = 0x7b
const CLOSE_MAP = 0x7d

/** YAML 1.2, 7.4: a longer key is none. */
const LONGEST_FLOW_KEY = 1000

/** What no plain scalar starts with: quotes, brackets, and the indicators of YAML 1.2, 5.3. */
const INDICATORS = new Set([...'?:,[]{}#&*!|>\'"%@`'].map((sign) => sign.charCodeAt(0)))
const INTEGER = /^[-+]?[0-9]+$/
const FLOAT = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/
/** Read as numbers too, and left to the package. */
const ODD_NUMBER = /^(?:0o[0-7]+|0x[0-9a-fA-F]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/
const WORDS: ReadonlyMap<string, JsonValue> = new Map<string, JsonValue>([
  ...['~', 'null', 'Null', 'NULL'].map((word): [string, JsonValue] => [word, null]),
  ...['true', 'True', 'TRUE'].map((word): [string, JsonValue] => [word, true]),
  ...['false', 'False', 'FALSE'].map((word): [string, JsonValue] => [word, false]),
])

export class BlockYaml {
  private readonly shared: SharedStrings
  private readonly table = new LineTable(256)
  private bytes: Uint8Array = new Uint8Array(0)
  /** Of the line at hand: its number, indentation, content [start, stop), and where the next begins. A `- ` moves the start along. */
  private line = 0
  private indent = -1
  private start = 0
  private stop = 0
  private next = 0

  constructor(shared: SharedStrings) {
    this.shared = shared
  }

  /** One document without its `---`. undefined: left to the package. */
  read(bytes: Uint8Array, firstLine: number): Located | undefined {
    this.bytes = bytes
    this.line = firstLine - 1
    this.next = 0
    this.table.length = 0
    try {
      if (hasLoneReturn(bytes) || !this.advance()) return undefined
      const value = this.readBlock(0, undefined, true, this.line)
      return this.indent >= 0 ? undefined : { value, lines: new Lines(value, this.table.take(), 0) }
    } catch (error) {
      if (error instanceof NotPlain) return undefined
      throw error
    }
  }

  /** To the next line with content; false, and an indentation of -1, at the end. */
  private advance(): boolean {
    const { bytes } = this
    while (this.next < bytes.length) {
      const found = bytes.indexOf(LF, this.next)
      const end = found < 0 ? bytes.length : found
      let start = this.next
      while (bytes[start] === SPACE) start++
      let stop = end
      while (stop > start && (bytes[stop - 1] === SPACE || bytes[stop - 1] === CR)) stop--
      this.indent = start - this.next
      this.next = end + 1
      this.line++
      if (start >= stop || bytes[start] === HASH) continue
      this.start = start
      this.stop = stop
      if (bytes[start] === 0x09 || (this.indent === 0 && this.isMarker())) throw new NotPlain()
      return true
    }
    this.indent = -1
    return false
  }

  /** `---` and `...` part documents. */
  private isMarker(): boolean {
    const first = this.bytes[this.start]
    return (
      (first === DASH || first === 0x2e || first === 0x25) && (first === 0x25 || (this.bytes[this.start + 1] === first && this.bytes[this.start + 2] === first))
    )
  }

  private isDash(): boolean {
    return this.bytes[this.start] === DASH && (this.start + 1 === this.stop || this.bytes[this.start + 1] === SPACE)
  }

  private readBlock(depth: number, noise: Noise | undefined, isHead: boolean, line: number): JsonValue {
    if (depth > DEEPEST) throw new NotPlain()
    if (this.isDash()) return this.readSequence(depth, noise, isHead, line)
    return this.readMapping(depth, noise, isHead, line)
  }

  private readSequence(depth: number, noise: Noise | undefined, isHead: boolean, line: number): JsonValue {
    const { indent } = this
    const opened = this.table.open(line)
    const items: JsonValue[] = []
    while (this.indent === indent && this.isDash()) {
      let start = this.start + 1
      while (this.bytes[start] === SPACE) start++
      // an item on the lines below its dash
      if (start >= this.stop) throw new NotPlain()
      this.indent = indent + start - this.start
      this.start = start
      if (this.isDash() || this.keyEnd() >= 0) items.push(this.readBlock(depth + 1, noise, isHead, this.line))
      else items.push(this.readInline(indent, this.line))
    }
    if (this.indent > indent) throw new NotPlain()
    this.table.close(opened)
    return Object.freeze(items)
  }

  private readMapping(depth: number, noise: Noise | undefined, isHead: boolean, line: number): JsonValue {
    const { indent, table } = this
    const opened = table.open(line)
    const value: Record<string, JsonValue> = {}
    let around = isHead ? noiseOf(undefined, undefined) : noise
    while (this.indent === indent && !this.isDash()) {
      const keyEnd = this.keyEnd()
      if (keyEnd < 0) throw new NotPlain()
      const key = this.keyText(keyEnd)
      if (Object.hasOwn(value, key) || isIndexKey(key) || key === '<<') throw new NotPlain()
      this.start = keyEnd + 1
      while (this.bytes[this.start] === SPACE) this.start++
      const inner = noiseAt(around, key)
      if (inner === ALL_NOISE) {
        this.passOver(indent)
        continue
      }
      const isItems = isHead && key === 'items'
      const part = this.readValue(indent, depth, isItems ? undefined : inner, isItems)
      setKey(value, key, part)
      if (isHead && (key === 'kind' || key === 'apiVersion')) around = noiseOf(textOf(value.apiVersion), textOf(value.kind))
    }
    if (this.indent > indent) throw new NotPlain()
    table.close(opened)
    return Object.freeze(value)
  }

  /** What stands behind a key, or on the lines below it. */
  private readValue(indent: number, depth: number, noise: Noise | undefined, isHead: boolean): JsonValue {
    const line = this.line
    if (this.start < this.stop) return this.readInline(indent, line)
    this.advance()
    if (this.indent > indent || (this.indent === indent && this.isDash())) return this.readBlock(depth + 1, noise, isHead, line)
    this.table.push(line)
    return null
  }

  /** A value that nobody wants, with all that is indented below its key. */
  private passOver(indent: number): void {
    const first = this.bytes[this.start]
    const isBelow = this.start >= this.stop
    if (!isBelow && first !== DOUBLE && first !== SINGLE && first !== PIPE && INDICATORS.has(first) && !this.isEmptyFlow()) throw new NotPlain()
    while (this.advance()) if (this.indent < indent || (this.indent === indent && !(isBelow && this.isDash()))) return
  }

  private isEmptyFlow(): boolean {
    const [first, second] = [this.bytes[this.start], this.bytes[this.start + 1]]
    return this.stop - this.start === 2 && ((first === 0x7b && second === 0x7d) || (first === 0x5b && second === 0x5d))
  }

  /** Where the colon of the line's key is; -1: the line is no entry of a mapping. */
  private keyEnd(): number {
    const { bytes, stop } = this
    let at = this.start
    const first = bytes[at]
    if (first === DOUBLE || first === SINGLE) at = this.closingQuote(at) + 1
    else if (INDICATORS.has(first)) return -1
    else while (at < stop && !(bytes[at] === COLON && (at + 1 === stop || bytes[at + 1] === SPACE))) at++
    return at < stop && bytes[at] === COLON && (at + 1 === stop || bytes[at + 1] === SPACE) ? at : -1
  }

  private keyText(end: number): string {
    const first = this.bytes[this.start]
    const key = first === DOUBLE || first === SINGLE ? this.quoted(this.start, end) : this.plain(this.start, end)
    if (typeof key !== 'string') throw new NotPlain()
    return key
  }

  /** A scalar on the line, a literal block, a list or mapping in brackets. */
  private readInline(indent: number, line: number): JsonValue {
    const { start, stop } = this
    const first = this.bytes[start]
    if (first === PIPE) return this.readLiteral(indent, line)
    if (first === OPEN_LIST || first === OPEN_MAP) {
      const value = this.readFlow(0)
      if (this.start !== stop) throw new NotPlain()
      this.advance()
      return value
    }
    const value = first === DOUBLE || first === SINGLE ? this.quoted(start, stop) : this.plain(start, stop)
    this.table.push(line)
    this.advance()
    return value
  }

  /** From the bracket at `start` to behind the one that closes it, on the same line. */
  private readFlow(depth: number): JsonValue {
    if (depth > DEEPEST) throw new NotPlain()
    const { bytes, table } = this
    const close = bytes[this.start] === OPEN_LIST ? CLOSE_LIST : CLOSE_MAP
    const opened = table.open(this.line)
    const items: JsonValue[] = []
    const value: Record<string, JsonValue> = {}
    this.skipSpaces(this.start + 1)
    while (bytes[this.start] !== close) {
      if (close === CLOSE_LIST) items.push(this.readFlowPart(depth))
      else {
        const key = this.flowKey()
        if (Object.hasOwn(value, key) || isIndexKey(key) || key === '<<') throw new NotPlain()
        setKey(value, key, this.readFlowPart(depth))
      }
      if (bytes[this.start] === close) break
      if (bytes[this.start] !== COMMA) throw new NotPlain()
      this.skipSpaces(this.start + 1)
      // a comma behind the last one
      if (bytes[this.start] === close) throw new NotPlain()
    }
    this.start++
    table.close(opened)
    return Object.freeze(close === CLOSE_LIST ? items : value)
  }

  private readFlowPart(depth: number): JsonValue {
    const first = this.bytes[this.start]
    let part: JsonValue
    if (first === OPEN_LIST || first === OPEN_MAP) part = this.readFlow(depth + 1)
    else {
      part = this.flowScalar()
      this.table.push(this.line)
    }
    this.skipSpaces(this.start)
    return part
  }

  /** With the colon and the space behind it. */
  private flowKey(): string {
    const { start } = this
    const key = this.flowScalar()
    const { bytes, start: end } = this
    if (typeof key !== 'string' || end - start > LONGEST_FLOW_KEY || bytes[end] !== COLON || bytes[end + 1] !== SPACE) throw new NotPlain()
    this.skipSpaces(end + 1)
    return key
  }

  private flowScalar(): JsonValue {
    const { bytes, start, stop } = this
    const first = bytes[start]
    let end = start
    if (first === DOUBLE || first === SINGLE) {
      end = this.closingQuote(start) + 1
      this.start = end
      return this.quoted(start, end)
    }
    while (end < stop && !this.endsFlowScalar(end)) end++
    this.start = end
    while (end > start && bytes[end - 1] === SPACE) end--
    if (end === start) throw new NotPlain()
    return this.plain(start, end)
  }

  private endsFlowScalar(at: number): boolean {
    const code = this.bytes[at]
    if (code === COLON) return this.bytes[at + 1] === SPACE
    return code === COMMA || code === OPEN_LIST || code === CLOSE_LIST || code === OPEN_MAP || code === CLOSE_MAP
  }

  private skipSpaces(from: number): void {
    let at = from
    while (at < this.stop && this.bytes[at] === SPACE) at++
    if (at >= this.stop) throw new NotPlain()
    this.start = at
  }

  /** The quote that ends the text; it must stand on the same line. */
  private closingQuote(start: number): number {
    const quote = this.bytes[start]
    for (let at = start + 1; at < this.stop; at++) {
      const code = this.bytes[at]
      if (code < SPACE) throw new NotPlain()
      if (code === 0x5c && quote === DOUBLE) at++
      else if (code === quote) {
        if (quote === SINGLE && this.bytes[at + 1] === SINGLE && at + 1 < this.stop) at++
        else return at
      }
    }
    throw new NotPlain()
  }

  private quoted(start: number, stop: number): string {
    if (this.closingQuote(start) !== stop - 1) throw new NotPlain()
    const text = this.decode(start + 1, stop - 1)
    if (this.bytes[start] === SINGLE) return text.replaceAll("''", "'")
    if (!text.includes('\\')) return text
    // the escapes that YAML has beyond JSON's
    if (/\\(?:[^"\\/bfnrtu]|u(?![0-9a-fA-F]{4}))/.test(text.replaceAll('\\\\', ''))) throw new NotPlain()
    return JSON.parse(`"${text}"`) as string
  }

  private plain(start: number, stop: number): JsonValue {
    const { bytes } = this
    const first = bytes[start]
    if (INDICATORS.has(first) || (first === DASH && (start + 1 === stop || bytes[start + 1] === SPACE)) || bytes[stop - 1] === SPACE) throw new NotPlain()
    let hash = 0
    let wide = 0
    for (let at = start; at < stop; at++) {
      const code = bytes[at]
      if (code < SPACE || code === 0x7f) throw new NotPlain()
      if (code === COLON && (at + 1 === stop || bytes[at + 1] === SPACE)) throw new NotPlain()
      if (code === HASH && bytes[at - 1] === SPACE) throw new NotPlain()
      wide |= code
      hash = Math.imul(hash ^ code, HASH_PRIME)
    }
    const text = wide >= 0x80 ? this.decode(start, stop) : this.shared.ascii(bytes, start, stop, hash)
    return mayBeMore(first) ? resolve(text) : text
  }

  private decode(start: number, stop: number): string {
    const text = decodeUtf8(this.bytes.subarray(start, stop))
    if (text === undefined) throw new NotPlain()
    return text
  }

  /** `|`, `|-`, `|+`: the lines below, without the indentation of the first. */
  private readLiteral(indent: number, line: number): string {
    const header = this.decode(this.start, this.stop)
    if (!/^\|[-+]?$/.test(header)) throw new NotPlain()
    const lines = this.literalLines(indent)
    this.table.push(-line)
    this.advance()
    let kept = lines.length
    while (kept > 0 && lines[kept - 1] === '') kept--
    if (header === '|+') {
      if (kept === 0) throw new NotPlain()
      return `${lines.join('\n')}\n`
    }
    const text = lines.slice(0, kept).join('\n')
    return kept === 0 || header === '|-' ? text : `${text}\n`
  }

  private literalLines(indent: number): string[] {
    const { bytes } = this
    const lines: string[] = []
    let inner = -1
    while (this.next < bytes.length) {
      const end = bytes.indexOf(LF, this.next)
      let start = this.next
      while (bytes[start] === SPACE) start++
      const width = start - this.next
      const stop = bytes[end - 1] === CR ? end - 1 : end
      if (start < stop) {
        if (width <= indent) break
        // the package has its own views on a tab there, and on a last line without an end
        if (inner < 0 ? bytes[start] === 0x09 : width < inner) throw new NotPlain()
        if (inner < 0) inner = width
      }
      if (end < 0 || (start >= stop && width > Math.max(inner, indent + 1))) throw new NotPlain()
      lines.push(start < stop ? this.decode(this.next + inner, stop) : '')
      this.next = end + 1
      this.line++
    }
    return lines
  }
}

function textOf(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** Whether a plain scalar that starts so may be no text. */
function mayBeMore(first: number): boolean {
  return (first >= 0x2b && first <= 0x39) || '~nNtTfF'.includes(String.fromCharCode(first))
}

function resolve(text: string): JsonValue {
  const word = WORDS.get(text)
  if (word !== undefined) return word
  if (ODD_NUMBER.test(text)) throw new NotPlain()
  if (!INTEGER.test(text) && !FLOAT.test(text)) return text
  const number = Number(text)
  if (!Number.isFinite(number)) throw new NotPlain()
  return number
}

function hasLoneReturn(bytes: Uint8Array): boolean {
  for (let at = bytes.indexOf(CR); at >= 0; at = bytes.indexOf(CR, at + 1)) if (bytes[at + 1] !== LF) return true
  return false
}

/** An object whose last key is `items` without a value: the list follows, in pieces. */
export function awaitsItems(value: JsonValue): boolean {
  return isObject(value) && Object.keys(value).at(-1) === 'items' && value.items === null
}
