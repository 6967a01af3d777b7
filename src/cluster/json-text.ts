/**
 * JSON text → located values (RFC 8259), several values one after the other as `kubectl cluster-info dump` writes them. Own reader, because
 * JSON.parse knows no lines and takes the last of duplicate keys without a word.
 */
import { MAX_DEPTH, setKey, type JsonValue, type Lines, type Located, type TextIssue, type TextResult } from './located.js'

interface Read {
  readonly value: JsonValue
  readonly lines: Lines
}

class JsonSyntaxError extends Error {
  readonly issue: TextIssue

  constructor(issue: TextIssue) {
    super(issue.what)
    this.issue = issue
  }
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const WORD = /[A-Za-z0-9_.+-]+/y
const LITERALS: ReadonlyMap<string, JsonValue> = new Map<string, JsonValue>([
  ['true', true],
  ['false', false],
  ['null', null],
])

/** @param firstLine the line of the file on which `text` starts. Reads up to the first syntax error. */
export function readJson(text: string, firstLine: number): TextResult {
  const reader = new JsonReader(text, firstLine)
  const documents: Located[] = []
  try {
    for (let document = reader.next(); document !== undefined; document = reader.next()) documents.push(document)
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error
    return { documents, issues: [...reader.issues, error.issue] }
  }
  return { documents, issues: reader.issues }
}

class JsonReader {
  readonly issues: TextIssue[] = []
  private readonly text: string
  private position = 0
  private line: number

  constructor(text: string, firstLine: number) {
    this.text = text
    this.line = firstLine
  }

  next(): Located | undefined {
    this.skipSpace()
    return this.position >= this.text.length ? undefined : this.readValue(0)
  }

  private readValue(depth: number): Read {
    if (depth > MAX_DEPTH) this.failTooDeep()
    this.skipSpace()
    const first = this.text[this.position]
    if (first === '{') return this.readObject(depth)
    if (first === '[') return this.readArray(depth)
    const line = this.line
    if (first === '"') return { value: this.readString(), lines: { line } }
    return { value: this.readScalar(first), lines: { line } }
  }

  private readObject(depth: number): Read {
    const opened = this.line
    const value: Record<string, JsonValue> = {}
    const keys = new Map<string, Lines>()
    this.position++
    this.skipSpace()
    while (this.text[this.position] !== '}') {
      this.skipSpace()
      const line = this.line
      if (this.text[this.position] !== '"') this.failHere('a key in double quotes', `the { of line ${opened}`)
      const key = this.readString()
      if (keys.has(key))
        this.issues.push({ line, what: `the key "${key}" stands twice in one object, first on line ${keys.get(key)?.line}`, fix: 'Keep one of the two.' })
      this.skipSpace()
      if (this.text[this.position] !== ':') this.failHere(`: after the key "${key}"`, `the { of line ${opened}`)
      this.position++
      const entry = this.readValue(depth + 1)
      setKey(value, key, entry.value)
      keys.set(key, { ...entry.lines, line })
      this.separator('}', `the { of line ${opened}`)
    }
    this.position++
    return { value: Object.freeze(value), lines: { line: opened, keys } }
  }

  private readArray(depth: number): Read {
    const opened = this.line
    const value: JsonValue[] = []
    const items: Lines[] = []
    this.position++
    this.skipSpace()
    while (this.text[this.position] !== ']') {
      const entry = this.readValue(depth + 1)
      value.push(entry.value)
      items.push(entry.lines)
      this.separator(']', `the [ of line ${opened}`)
    }
    this.position++
    return { value: Object.freeze(value), lines: { line: opened, items } }
  }

  /** A comma and something after it, or the closing bracket. */
  private separator(close: string, inside: string): void {
    this.skipSpace()
    if (this.text[this.position] === close) return
    if (this.text[this.position] !== ',') this.failHere(`, or ${close}`, inside)
    const line = this.line
    this.position++
    this.skipSpace()
    if (this.text[this.position] === close)
      throw new JsonSyntaxError({ line, what: `a comma before ${close}`, fix: 'JSON allows no comma after the last entry: delete it.' })
  }

  private readString(): string {
    const start = this.position
    for (let at = start + 1; at < this.text.length; at++) {
      const code = this.text.charCodeAt(at)
      if (code === 0x5c) at++
      else if (code < 0x20) break
      else if (code === 0x22) {
        this.position = at + 1
        return this.unescape(this.text.slice(start, at + 1))
      }
    }
    this.fail('a string that does not end on its line', 'Close it with a double quote; a line break inside is written \\n.')
  }

  private unescape(quoted: string): string {
    if (!quoted.includes('\\')) return quoted.slice(1, -1)
    try {
      return JSON.parse(quoted) as string
    } catch {
      this.fail(`a bad escape in the string ${clip(quoted)}`, 'JSON knows \\" \\\\ \\/ \\b \\f \\n \\r \\t and \\u with four hex digits.')
    }
  }

  private readScalar(first: string | undefined): JsonValue {
    if (first === undefined) this.fail('the text ends where a value was due', 'Something is cut off, or a bracket is not closed.')
    NUMBER.lastIndex = this.position
    WORD.lastIndex = this.position
    const word = WORD.exec(this.text)?.[0]
    if (word === undefined) this.fail(`${describe(first)} where a value was due`, '')
    const number = NUMBER.exec(this.text)?.[0]
    if (number !== word && !LITERALS.has(word))
      this.fail(`${clip(word)} is no JSON value`, 'Text stands in double quotes; the bare words are true, false and null.')
    this.position += word.length
    return number === word ? Number(number) : (LITERALS.get(word) as JsonValue)
  }

  private skipSpace(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.position)
      if (code === 0x0a) this.line++
      else if (code !== 0x20 && code !== 0x09 && code !== 0x0d) return
      this.position++
    }
  }

  private failHere(due: string, inside: string): never {
    const found = this.text[this.position]
    this.fail(`${found === undefined ? 'the text ends' : describe(found)} where ${due} was due`, `It belongs to ${inside}.`)
  }

  private failTooDeep(): never {
    const what = `values nested more than ${MAX_DEPTH} deep`
    throw new JsonSyntaxError({ line: this.line, what, fix: 'No Kubernetes object is this deep; check where the brackets close.', tooDeep: true })
  }

  private fail(what: string, fix: string): never {
    throw new JsonSyntaxError({ line: this.line, what, fix })
  }
}

function describe(character: string): string {
  return character < ' ' || character === '\u007f' ? `a control character (${character.charCodeAt(0)})` : character
}

function clip(text: string): string {
  return text.length > 40 ? `${text.slice(0, 37)}...` : text
}
