/**
 * Values read from text that remember their lines: text → (value, Lines). Both readers (JSON, YAML) give this, so that every later check
 * can say file:line without knowing which syntax it was.
 */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject
export interface JsonObject {
  readonly [key: string]: JsonValue
}

export type Path = readonly (string | number)[]

/** Where a value and its parts stand; 1-based lines of the file. */
export interface Lines {
  readonly line: number
  /** A mapping: the line of each key. */
  readonly keys?: ReadonlyMap<string, Lines>
  /** A sequence: the line of each item. */
  readonly items?: readonly Lines[]
  /** A YAML block scalar: its text starts on the line after. */
  readonly block?: boolean
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
  let at = lines
  for (const step of path) {
    const next = typeof step === 'number' ? at.items?.[step] : at.keys?.get(step)
    if (next === undefined) break
    at = next
  }
  return at
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Sets a key as own data whatever it is called (`__proto__` would set the prototype). */
export function setKey(target: Record<string, JsonValue>, key: string, value: JsonValue): void {
  if (key === '__proto__') Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true })
  else target[key] = value
}
