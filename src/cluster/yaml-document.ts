/**
 * One YAML document, as lines of bytes → located values. A long one is taken apart while it comes: the items of a List (kubectl get -o yaml)
 * are read one by one, so that neither the text nor the package's tree of all of it is ever in memory.
 */
import { awaitsItems, BlockYaml } from './block-yaml.js'
import { isIndexKey, isObject, Lines, linesAt, sizeAt, type JsonValue, type Located, type TextIssue, type TextResult } from './located.js'
import { decodeUtf8, SharedStrings } from './shared-strings.js'
import { readYaml } from './yaml-text.js'

/** A longer document is taken apart. */
const LONGEST_WHOLE = 1 << 20
/** V8 has no longer strings; the package would take minutes long before. */
const LONGEST_TEXT = 1 << 28

const LF = 0x0a
const DASH = 0x2d

/** @param lines each with its newline; its bytes hold until the next one is asked for */
export function readYamlDocument(lines: Iterable<Uint8Array>, firstLine: number): TextResult {
  const source = lines[Symbol.iterator]()
  const piece = new Piece(firstLine)
  let next = source.next()
  for (; next.done !== true && piece.length <= LONGEST_WHOLE; next = source.next()) piece.add(next.value)
  if (next.done === true) return new PieceReader(piece.length).read(piece)
  return new LongDocument(piece, next.value, source).read()
}

/** Bytes that grow line by line. */
class Piece {
  length = 0
  lines = 0
  line: number
  private buffer = new Uint8Array(1 << 12)

  constructor(line: number) {
    this.line = line
  }

  get bytes(): Uint8Array {
    return this.buffer.subarray(0, this.length)
  }

  add(line: Uint8Array): void {
    if (this.length + line.length > this.buffer.length) {
      const wider = new Uint8Array(Math.max(this.buffer.length * 2, this.length + line.length))
      wider.set(this.bytes)
      this.buffer = wider
    }
    this.buffer.set(line, this.length)
    this.length += line.length
    this.lines++
  }

  restart(line: number): void {
    this.length = 0
    this.lines = 0
    this.line = line
  }
}

class PieceReader {
  private readonly block: BlockYaml

  constructor(size: number) {
    this.block = new BlockYaml(new SharedStrings(size))
  }

  read({ bytes, line, length }: Piece): TextResult {
    const plain = this.block.read(bytes, line)
    // `null` alone is no document
    if (plain !== undefined) return { documents: [plain], issues: [] }
    if (length > LONGEST_TEXT) return wrong(line, 'a document too long to read as YAML', 'Ask for it as JSON: -o json.')
    const text = decodeUtf8(bytes)
    return text === undefined ? wrong(line, 'text that is not in UTF-8', 'Save the file as UTF-8.') : readYaml(text, line)
  }
}

function wrong(line: number, what: string, fix: string): TextResult {
  return { documents: [], issues: [{ line, what, fix }] }
}

/** A document of the form `…items:`, items, more keys; any other is collected whole after all. */
class LongDocument {
  private readonly reader = new PieceReader(Infinity)
  private readonly lines: Iterator<Uint8Array>
  private readonly issues: TextIssue[] = []
  private readonly items: Lines[] = []
  private line: number

  constructor(begun: Piece, next: Uint8Array, rest: Iterator<Uint8Array>) {
    this.line = begun.line
    this.lines = chain(begun.bytes, next, rest)
  }

  read(): TextResult {
    const head = new Piece(this.line)
    let next = this.lines.next()
    let opened = false
    for (; next.done !== true && !opened; next = this.lines.next()) {
      opened = isItemsKey(next.value)
      this.add(head, next.value)
    }
    const start = opened ? this.reader.read(head).documents[0] : undefined
    if (next.done === true || start === undefined || !awaitsItems(start.value)) return this.readWhole(head, next)
    const tail = this.readItems(next)
    const end = tail === undefined ? undefined : this.readTail(tail, start)
    return { documents: this.issues.length > 0 && this.items.length === 0 ? [] : [joined(start, this.items, end)], issues: this.issues }
  }

  /** The keys behind the items, where they are sound. */
  private readTail(tail: Piece, start: Located): Located | undefined {
    const { documents, issues } = this.reader.read(tail)
    this.issues.push(...issues)
    const end = documents[0] as Located | undefined
    if (end === undefined) return undefined
    const keys = isObject(end.value) ? Object.keys(end.value) : []
    const wrongKey = keys.find((key) => isIndexKey(key) || (isObject(start.value) && Object.hasOwn(start.value, key)))
    if (keys.length > 0 && wrongKey === undefined) return end
    const { line } = wrongKey === undefined ? end.lines : linesAt(end.lines, [wrongKey])
    const what = wrongKey === undefined ? 'text behind the items of a list' : `the key ${wrongKey} does not belong behind the items, or stands twice`
    this.issues.push({ line, what, fix: 'A list has apiVersion, kind, metadata and items.' })
    return undefined
  }

  private add(piece: Piece, line: Uint8Array): void {
    piece.add(line)
    this.line++
  }

  private readWhole(piece: Piece, next: IteratorResult<Uint8Array>): TextResult {
    for (; next.done !== true; next = this.lines.next()) this.add(piece, next.value)
    return this.reader.read(piece)
  }

  /** Up to the line behind the last item; the piece that starts there, or undefined at the end. */
  private readItems(first: IteratorResult<Uint8Array>): Piece | undefined {
    const item = new Piece(this.line)
    let indent = -1
    let next = first
    for (; next.done !== true; next = this.lines.next()) {
      const line = next.value
      const width = indentOf(line)
      if (indent < 0 && width >= 0) indent = width
      if (width >= 0 && width <= indent) {
        const isItem = width === indent && line[width] === DASH
        if (!isItem) break
        this.take(item)
      }
      this.add(item, line)
    }
    this.take(item)
    if (next.done === true) return undefined
    const tail = new Piece(this.line)
    for (; next.done !== true; next = this.lines.next()) this.add(tail, next.value)
    return tail
  }

  private take(piece: Piece): void {
    if (piece.lines > 0) {
      const { documents, issues } = this.reader.read(piece)
      this.issues.push(...issues)
      for (const { lines } of documents) for (const found of lines.items()) this.items.push(found)
    }
    piece.restart(this.line)
  }
}

function* chain(begun: Uint8Array, next: Uint8Array, rest: Iterator<Uint8Array>): Generator<Uint8Array> {
  const line = next.slice()
  for (let at = 0; at < begun.length;) {
    const end = begun.indexOf(LF, at) + 1 || begun.length
    yield begun.subarray(at, end)
    at = end
  }
  yield line
  for (let more = rest.next(); more.done !== true; more = rest.next()) yield more.value
}

/** `items:` alone, at the start of the line. */
function isItemsKey(line: Uint8Array): boolean {
  return line.length < 16 && String.fromCharCode(...line).trimEnd() === 'items:' && line[0] === 0x69
}

/** -1 for a line without content. */
function indentOf(line: Uint8Array): number {
  let at = 0
  while (line[at] === 0x20) at++
  const first = line[at]
  return first === undefined || first === LF || first === 0x0d || first === 0x23 ? -1 : at
}

/** One document of its beginning, its items and its end. */
function joined(start: Located, items: readonly Lines[], end: Located | undefined): Located {
  const tail = isObject(end?.value) ? end.value : {}
  const list: readonly JsonValue[] = Object.freeze(items.map(({ value }) => value))
  const value = Object.freeze({ ...(start.value as Readonly<Record<string, JsonValue>>), items: list, ...tail })
  const parts = items.map(({ value: item, table, start: from }) => table.subarray(from, from + sizeAt(item, table, from)))
  // the head's last number is the line of `items`, whose value was not there yet
  const head = start.lines.table
  const rest = end === undefined ? new Int32Array(0) : end.lines.table.subarray(2)
  const listSize = parts.reduce((sum, part) => sum + part.length, 2)
  const table = new Int32Array(head.length - 1 + listSize + rest.length)
  let at = 0
  for (const part of [head, [listSize], ...parts, rest]) {
    table.set(part, at)
    at += part.length
  }
  table[1] = table.length
  return { value, lines: new Lines(value, table, 0) }
}
