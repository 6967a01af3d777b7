/**
 * YAML 1.2 text → located values, by the package `yaml`: its node tree is walked here, because every value's line is wanted, merge keys
 * (`<<`, which kubectl reads too) have to work, and aliases must not blow up: an alias shares the converted value, and what it would
 * amount to written out is counted.
 */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseAllDocuments,
  Scalar,
  type Document,
  type ParsedNode,
  type YAMLError,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml'
import { isObject, Lines, MAX_DEPTH, setKey, type JsonValue, type Located, type TextIssue, type TextResult } from './located.js'

/** What the aliases of one document may amount to, in values, all written out; a long text counts as several. */
const MAX_ALIASED_VALUES = 500_000
/** How the text of a syntax error begins. */
export const YAML_FAULT = 'YAML: '
/** Syntax errors reported per document. */
const MAX_ISSUES = 20

/** Where a value and its parts stand, while the document is converted: aliases share theirs. */
interface Places {
  readonly line: number
  readonly keys?: ReadonlyMap<string, Places>
  readonly items?: readonly Places[]
  readonly block?: boolean
}

interface Read {
  readonly value: JsonValue
  readonly lines: Places
  /** Values, aliases written out. */
  readonly size: number
}

interface Context {
  readonly lineCounter: LineCounter
  readonly lineOffset: number
  readonly anchors: Map<string, Read | 'open'>
  readonly issues: TextIssue[]
  /** Values that aliases have stood for so far. */
  aliased: number
}

class ConversionStopped extends Error {}

/** @param firstLine the line of the file on which `text` starts. Never throws; a document with a syntax error is left out. */
export function readYaml(text: string, firstLine: number): TextResult {
  const lineCounter = new LineCounter()
  const issues: TextIssue[] = []
  const lineOffset = firstLine - 1
  let parsed: readonly Document.Parsed[]
  try {
    parsed = parseText(text, lineCounter)
    if (parsed.some(({ errors }) => errors.length > 0)) parsed = parseWithFlowTabs(text) ?? parsed
  } catch (error) {
    // the package's parser is recursive: brackets nested thousands deep exhaust the stack
    const what =
      error instanceof RangeError
        ? 'values nested too deep to read'
        : `text that cannot be read as YAML (${error instanceof Error ? error.message : String(error)})`
    return { documents: [], issues: [{ line: firstLine, what, fix: 'Check where the brackets and the indentation close.' }] }
  }
  const documents: Located[] = []
  for (const document of parsed) {
    const found = document.errors.map((error) => describeError(error, lineCounter, lineOffset))
    if (found.length > 0) issues.push(...limit(found))
    else if (document.contents !== null)
      documents.push(...convertDocument(document.contents, { lineCounter, lineOffset, anchors: new Map(), issues, aliased: 0 }))
  }
  return { documents, issues }
}

function parseText(text: string, lineCounter = new LineCounter()): readonly Document.Parsed[] {
  const result = parseAllDocuments(text, { lineCounter, prettyErrors: false, uniqueKeys: false, logLevel: 'silent', keepSourceTokens: false })
  return Array.isArray(result) ? result : []
}

/**
 * Between brackets kubectl's reader (go-yaml) takes tabs for blanks at the start of a line too, which YAML itself does not. undefined: a tab stands
 * elsewhere, or that is not what is wrong. Places are those of the text.
 */
function parseWithFlowTabs(text: string): readonly Document.Parsed[] | undefined {
  const tabs = [...text.matchAll(/^[ \t]*\t/gm)].map(({ index }) => index)
  if (tabs.length === 0) return undefined
  const parsed = parseText(text.replace(/^[ \t]*\t/gm, (blanks) => ' '.repeat(blanks.length)))
  const brackets: (readonly [from: number, to: number])[] = []
  const note = (node: ParsedNode | null): void => {
    if (isMap(node)) for (const { value } of node.items) note(value)
    else if (isSeq(node)) for (const item of node.items) note(item)
    if ((isMap(node) || isSeq(node)) && node.flow === true) brackets.push([node.range[0], node.range[1]])
  }
  for (const { errors, contents } of parsed) {
    if (errors.length > 0) return undefined
    note(contents)
  }
  return tabs.every((at) => brackets.some(([from, to]) => from < at && at < to)) ? parsed : undefined
}

function limit(issues: readonly TextIssue[]): TextIssue[] {
  if (issues.length <= MAX_ISSUES) return [...issues]
  return [
    ...issues.slice(0, MAX_ISSUES),
    {
      line: issues[MAX_ISSUES].line,
      what: `${issues.length - MAX_ISSUES} more errors from here on`,
      fix: 'Mend the first one; the others may follow from it.',
    },
  ]
}

function convertDocument(contents: ParsedNode, context: Context): Located[] {
  const before = context.issues.length
  try {
    const read = convert(contents, context, 0)
    // only duplicate keys leave issues behind without stopping: the document is still worth checking
    return read.value === null && context.issues.length === before ? [] : [{ value: read.value, lines: linesOf(read) }]
  } catch (error) {
    if (!(error instanceof ConversionStopped)) throw error
    return []
  }
}

function linesOf({ value, lines }: Read): Lines {
  const table: number[] = []
  const add = (part: JsonValue, { line, block, items, keys }: Places): void => {
    const start = table.push(block === true ? -line : line) - 1
    if (typeof part !== 'object' || part === null) return
    table.push(0)
    if (Array.isArray(part)) part.forEach((item: JsonValue, index) => add(item, items?.[index] ?? { line }))
    else if (isObject(part)) for (const key of Object.keys(part)) add(part[key], keys?.get(key) ?? { line })
    table[start + 1] = table.length - start
  }
  add(value, lines)
  return new Lines(value, Int32Array.from(table), 0)
}

function convert(node: ParsedNode | null, context: Context, depth: number): Read {
  if (node === null) return { value: null, lines: { line: context.lineOffset + 1 }, size: 1 }
  if (depth > MAX_DEPTH)
    stop(node, context, `values nested more than ${MAX_DEPTH} deep`, 'No Kubernetes object is this deep; check the brackets and the indentation.')
  if (isAlias(node)) return resolveAlias(node, context)
  const anchor = node.anchor
  if (anchor !== undefined) context.anchors.set(anchor, 'open')
  const read = isMap(node) ? convertMap(node, context, depth) : isSeq(node) ? convertSequence(node, context, depth) : convertScalar(node, context)
  if (anchor !== undefined) context.anchors.set(anchor, read)
  return read
}

function resolveAlias(node: ParsedNode & { readonly source: string }, context: Context): Read {
  const target = context.anchors.get(node.source)
  if (target === 'open') stop(node, context, `the alias *${node.source} stands inside the value that it repeats`, 'Write the value out.')
  if (target === undefined)
    stop(
      node,
      context,
      `the alias *${node.source} names no anchor before it`,
      `Write &${node.source} before the value to repeat, or quote the text if the asterisk was meant.`,
    )
  context.aliased += target.size
  if (context.aliased > MAX_ALIASED_VALUES)
    stop(node, context, `aliases that amount to more than ${MAX_ALIASED_VALUES} values`, 'Aliases of aliases multiply; write the values out.')
  return { ...target, lines: { ...target.lines, line: lineOf(node, context) } }
}

function convertScalar(node: ParsedNode, context: Context): Read {
  const line = lineOf(node, context)
  if (!isScalar(node)) stop(node, context, 'a value that is no scalar, list or mapping', '')
  const block = node.type === Scalar.BLOCK_LITERAL || node.type === Scalar.BLOCK_FOLDED
  const raw: unknown = node.value
  // what JSON cannot say (.inf, .nan, dates of a tag) stays the text that it was
  const plain = raw === null || typeof raw === 'string' || typeof raw === 'boolean' || (typeof raw === 'number' && Number.isFinite(raw))
  const value = plain ? raw : (node.source ?? '')
  return { value, lines: block ? { line, block } : { line }, size: typeof value === 'string' ? 1 + (value.length >> 5) : 1 }
}

function convertSequence(node: YAMLSeq.Parsed, context: Context, depth: number): Read {
  const value: JsonValue[] = []
  const items: Places[] = []
  let size = 1
  for (const item of node.items) {
    const read = convert(item, context, depth + 1)
    value.push(read.value)
    items.push(read.lines)
    size += read.size
  }
  return { value: Object.freeze(value), lines: { line: lineOf(node, context), items }, size }
}

function convertMap(node: YAMLMap.Parsed, context: Context, depth: number): Read {
  const value: Record<string, JsonValue> = {}
  const keys = new Map<string, Places>()
  const merged: Read[] = []
  let size = 1
  for (const pair of node.items) {
    const line = lineOf(pair.key, context)
    const key = keyText(pair.key, context)
    const read = convert(pair.value, context, depth + 1)
    size += read.size
    if (key === '<<' && isScalar(pair.key) && pair.key.type === Scalar.PLAIN) {
      if (mergeable(read.value)) merged.push(read)
      else
        context.issues.push({
          line,
          what: 'a merge (<<) of what is no mapping',
          fix: 'Write <<: *NAME of a mapping, or quote the key "<<" if it is meant as text.',
        })
      continue
    }
    if (keys.has(key))
      context.issues.push({ line, what: `the key ${key} stands twice in one mapping, first on line ${keys.get(key)?.line}`, fix: 'Keep one of the two.' })
    setKey(value, key, read.value)
    keys.set(key, { ...read.lines, line })
  }
  for (const read of merged) mergeKeys(read, value, keys)
  return { value: Object.freeze(value), lines: { line: lineOf(node, context), keys }, size }
}

/** What a merge takes (as go-yaml, which kubectl reads with): a mapping or a list of mappings. */
function mergeable(value: JsonValue): boolean {
  return Array.isArray(value) ? value.every(isObject) : isObject(value)
}

/** `<<: *base` or `<<: [*a, *b]`; a quoted "<<" is a key like any other. Keys that the mapping has itself win, then the earlier of the list. */
function mergeKeys(from: Pick<Read, 'value' | 'lines'>, value: Record<string, JsonValue>, keys: Map<string, Places>): void {
  if (Array.isArray(from.value)) {
    from.value.forEach((item: JsonValue, index) => mergeKeys({ value: item, lines: from.lines.items?.[index] ?? from.lines }, value, keys))
  } else if (isObject(from.value)) {
    for (const [key, item] of Object.entries(from.value)) {
      if (keys.has(key)) continue
      setKey(value, key, item)
      keys.set(key, from.lines.keys?.get(key) ?? { line: from.lines.line })
    }
  }
}

function keyText(key: ParsedNode, context: Context): string {
  const read = convert(key, context, 0)
  if (typeof read.value === 'object' && read.value !== null)
    stop(key, context, 'a mapping or list as a key', 'Keys are plain text; quote the key if it starts with a bracket.')
  return String(read.value)
}

function lineOf(node: ParsedNode | null, context: Context): number {
  return context.lineOffset + (node === null ? 1 : context.lineCounter.linePos(node.range[0]).line)
}

function stop(node: ParsedNode, context: Context, what: string, fix: string): never {
  context.issues.push({ line: lineOf(node, context), what, fix })
  throw new ConversionStopped(what)
}

function describeError(error: YAMLError, lineCounter: LineCounter, lineOffset: number): TextIssue {
  const line = lineOffset + Math.max(1, lineCounter.linePos(error.pos[0]).line)
  const message = error.message.split('\n')[0]
  return { line, what: `${YAML_FAULT}${message.charAt(0).toLowerCase()}${message.slice(1)}`, fix: FIXES[error.code] ?? '' }
}

const FIXES: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: 'Indent with spaces: YAML allows no tabs there.',
  BAD_INDENT: 'Line the text up with its neighbours of the same level; indent with spaces.',
  MISSING_CHAR: 'A quote or bracket is not closed, or a key has no colon.',
  BAD_ALIAS: 'Quote the text if it starts with an asterisk.',
  BAD_SCALAR_START: 'Quote text that starts with one of @ ` % * & ! | >.',
  BLOCK_AS_IMPLICIT_KEY: 'A key is missing its value, or the text needs quotes (a colon followed by a space ends a key).',
  MULTILINE_IMPLICIT_KEY: 'A key stands on one line with its colon; quote longer text.',
  BAD_DQ_ESCAPE: 'Backslashes are escapes in double quotes; use single quotes.',
  UNEXPECTED_TOKEN: 'Quote the text if the sign belongs to it.',
  TAG_RESOLVE_FAILED: 'Kubernetes objects need no tags: drop it.',
  RESOURCE_EXHAUSTION: 'Check where the brackets and the indentation close.',
}
