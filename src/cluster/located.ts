/**
 * Values read from text that remember their lines: text → (value, Lines). Every reader (JSON, YAML) gives this, so that every later check
 * can say file:line without knowing which syntax it was.
 */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject
export interface JsonObject {
  readonly [key: string]: JsonValue
}

export type Path = readonly (string | number)[]

/**
 * Where a value and its parts stand: 1-based lines of the file, in a table that all values of a document share (a dump has millions of parts).
 * The order is a walk's: the value itself, then its items or the values of its keys, in JavaScript's order of keys. A part's line is its key's
 * where it has one; negative: a YAML block scalar, whose text starts on the line after. A list or mapping has a second number behind its line:
 * how many the whole of it takes.
 */
export class Lines {
  readonly value: JsonValue
  readonly table: Int32Array
  readonly start: number

  constructor(value: JsonValue, table: Int32Array, start: number) {
    this.value = value
    this.table = table
    this.start = start
  }

  get line(): number {
    return Math.abs(this.table[this.start])
  }

  get block(): boolean {
    return this.table[this.start] < 0
  }

  /** Those of a list's items, in one walk. */
  items(): Lines[] {
    if (!Array.isArray(this.value)) return []
    let index = this.start + 2
    return this.value.map((item: JsonValue) => {
      const lines = new Lines(item, this.table, index)
      index += sizeAt(item, this.table, index)
      return lines
    })
  }
}

/** One document of a file, converted; deeply frozen. */
export interface Located {
  readonly value: JsonValue
  readonly lines: Lines
}

/** Something that a reader found wrong in the text; the caller adds the file. */
export interface TextIssue {
  readonly line: number
  readonly what: string
  readonly fix: string
  /** Values are nested beyond MAX_DEPTH: no other reader need try. */
  readonly tooDeep?: boolean
}

/** What a reader made of a text: the documents that could be read, and what was wrong. */
export interface TextResult {
  readonly documents: readonly Located[]
  readonly issues: readonly TextIssue[]
}

/** Nesting beyond this is refused: no Kubernetes object comes near, and every later walk is recursive. */
export const MAX_DEPTH = 100

/** The lines of the deepest part of `path` that exists. */
export function linesAt(lines: Lines, path: Path): Lines {
  const { table } = lines
  let { value, start } = lines
  for (const step of path) {
    let index = start + 2
    if (Array.isArray(value) && typeof step === 'number' && step >= 0 && step < value.length) {
      for (let at = 0; at < step; at++) index += sizeAt(value[at] as JsonValue, table, index)
      value = value[step] as JsonValue
    } else if (isObject(value) && Object.hasOwn(value, step)) {
      for (const key of Object.keys(value)) {
        if (key === step) break
        index += sizeAt(value[key], table, index)
      }
      value = value[step]
    } else break
    start = index
  }
  return new Lines(value, table, start)
}

/** How many numbers a value takes whose first is at `index`. */
export function sizeAt(value: JsonValue, table: Int32Array, index: number): number {
  return typeof value === 'object' && value !== null ? table[index + 1] : 1
}

/** A table that grows while a document is read. */
export class LineTable {
  length = 0
  private table: Int32Array

  constructor(capacity: number) {
    this.table = new Int32Array(capacity)
  }

  push(line: number): void {
    if (this.length === this.table.length) this.grow(this.length + 1)
    this.table[this.length++] = line
  }

  at(index: number): number {
    return this.table[index]
  }

  /** Of a list or mapping: its line, and a place for its size. */
  open(line: number): number {
    this.push(line)
    this.push(0)
    return this.length - 2
  }

  close(start: number): void {
    this.table[start + 1] = this.length - start
  }

  /** Puts the stretches [from, to) one after the other in place of all that stands from `start` on. */
  rearrange(start: number, stretches: readonly (readonly [number, number])[]): void {
    const parts = stretches.map(([from, to]) => this.table.slice(from, to))
    this.length = start
    for (const part of parts) {
      this.table.set(part, this.length)
      this.length += part.length
    }
  }

  /** What was read since the last time, and an empty table again. */
  take(): Int32Array {
    const taken = this.table.slice(0, this.length)
    this.length = 0
    return taken
  }

  private grow(least: number): void {
    const wider = new Int32Array(Math.max(least, this.table.length * 2))
    wider.set(this.table.subarray(0, this.length))
    this.table = wider
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Sets a key as own data whatever it is called (`__proto__` would set the prototype). */
export function setKey(target: Record<string, JsonValue>, key: string, value: JsonValue): void {
  if (key === '__proto__') Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true })
  else target[key] = value
}

/** JavaScript puts such keys before all others, in numeric order: the order of the text is then not the order of a walk. */
export function isIndexKey(key: string): boolean {
  const first = key.charCodeAt(0)
  return first >= 0x30 && first <= 0x39 && /^(0|[1-9][0-9]{0,9})$/.test(key)
}

/** undefined where the path leads nowhere. */
export function valueAt(value: JsonValue | undefined, path: Path): JsonValue | undefined {
  return path.reduce<JsonValue | undefined>((inner, step) => (isObject(inner) && Object.hasOwn(inner, step) ? inner[step] : undefined), value)
}

/** The value with another at `path`; a mapping is made where there is none on the way. */
export function withValue(value: JsonObject, [first, ...rest]: Path, end: JsonValue): JsonObject {
  const inner = Object.hasOwn(value, first) ? value[first] : undefined
  return { ...value, [first]: rest.length === 0 ? end : withValue(isObject(inner) ? inner : {}, rest, end) }
}
