/**
 * Calico's selector language: text → tree, its matching against labels, and the one canonical text by which Calico names what a selector
 * selects. Source: libcalico-go/lib/selector/{tokenizer,parser} (calico v3.32.1).
 *
 *   or        = and *( "||" and )
 *   and       = operation *( "&&" operation )
 *   operation = *"!" ( "has(" label ")" / "all()" / "global()" / "(" or ")" / label comparison )
 */
import type { Labels } from './labels.js'

type Comparison = '==' | '!=' | 'contains' | 'starts with' | 'ends with'

export type SelectorNode =
  | { readonly kind: 'all' }
  /** Always true here; what it means for a policy is written out before it is asked. */
  | { readonly kind: 'global' }
  | { readonly kind: 'has'; readonly label: string }
  | { readonly kind: 'compare'; readonly label: string; readonly operator: Comparison; readonly value: string }
  /** Values sorted, each once. */
  | { readonly kind: 'in' | 'not in'; readonly label: string; readonly values: readonly string[] }
  | { readonly kind: 'not'; readonly operand: SelectorNode }
  | { readonly kind: 'and' | 'or'; readonly operands: readonly SelectorNode[] }

export interface Selector {
  readonly root: SelectorNode
  /** Canonical: two selectors with the same text are the same. */
  readonly text: string
}

interface SelectorFault {
  readonly fault: string
  /** 0-based, into the text. */
  readonly at: number
}

const MAX_LABEL_LENGTH = 512
/** Deeper nesting than this is taken for a mistake; the readers and matchers recurse. */
const MAX_DEPTH = 500
/** For selectors that were put together from ones that could be read. */
export const COMPOSED_DEPTH = 510

export function isSelectorFault(result: Selector | SelectorFault): result is SelectorFault {
  return 'fault' in result
}

/** Blank text selects everything. */
export function parseSelector(text: string, maxDepth: number = MAX_DEPTH): Selector | SelectorFault {
  try {
    return selectorOf(new SelectorReader(text, maxDepth).read())
  } catch (error) {
    if (error instanceof SelectorSyntaxError) return { fault: error.message, at: error.at }
    throw error
  }
}

export function selectorOf(root: SelectorNode): Selector {
  return { root, text: formatSelectorNode(root) }
}

/** Every label name with `prefix` before it: how Calico turns selectors over a namespace's or service account's labels into ones over a pod's. */
export function withLabelPrefix(selector: Selector, prefix: string): Selector {
  return selectorOf(prefixed(selector.root, prefix))
}

export function matchesCalicoSelector(selector: Selector, labels: Labels): boolean {
  return matches(selector.root, labels)
}

function matches(node: SelectorNode, labels: Labels): boolean {
  switch (node.kind) {
    case 'all':
    case 'global':
      return true
    case 'has':
      return Object.hasOwn(labels, node.label)
    case 'compare':
      return compares(node.operator, valueOf(labels, node.label), node.value)
    case 'in': {
      const value = valueOf(labels, node.label)
      return value !== undefined && node.values.includes(value)
    }
    case 'not in': {
      const value = valueOf(labels, node.label)
      return value === undefined || !node.values.includes(value)
    }
    case 'not':
      return !matches(node.operand, labels)
    case 'and':
      return node.operands.every((operand) => matches(operand, labels))
    case 'or':
      return node.operands.some((operand) => matches(operand, labels))
  }
}

/** Own properties only: a label may be called `constructor`. */
function valueOf(labels: Labels, label: string): string | undefined {
  return Object.hasOwn(labels, label) ? labels[label] : undefined
}

/** An absent label is unequal to every value, and nothing else of these. */
function compares(operator: Comparison, value: string | undefined, wanted: string): boolean {
  if (value === undefined) return operator === '!='
  switch (operator) {
    case '==':
      return value === wanted
    case '!=':
      return value !== wanted
    case 'contains':
      return value.includes(wanted)
    case 'starts with':
      return value.startsWith(wanted)
    case 'ends with':
      return value.endsWith(wanted)
  }
}

function prefixed(node: SelectorNode, prefix: string): SelectorNode {
  switch (node.kind) {
    case 'all':
    case 'global':
      return node
    case 'not':
      return { kind: 'not', operand: prefixed(node.operand, prefix) }
    case 'and':
    case 'or':
      return { kind: node.kind, operands: node.operands.map((operand) => prefixed(operand, prefix)) }
    default:
      return { ...node, label: prefix + node.label }
  }
}

/** In what the texts that Felix's generations make of one tree differ. */
export interface SelectorSpelling {
  readonly value: (value: string) => string
  readonly comma: string
  readonly not: string
}

const CANONICAL: SelectorSpelling = { value: quoted, comma: ', ', not: '!' }

export function formatSelectorNode(node: SelectorNode, spelling = CANONICAL): string {
  switch (node.kind) {
    case 'all':
    case 'global':
      return `${node.kind}()`
    case 'has':
      return `has(${node.label})`
    case 'compare':
      return `${node.label} ${node.operator} ${spelling.value(node.value)}`
    case 'in':
    case 'not in':
      return `${node.label} ${node.kind} {${node.values.map(spelling.value).join(spelling.comma)}}`
    case 'not':
      return spelling.not + formatSelectorNode(node.operand, spelling)
    case 'and':
    case 'or':
      return `(${node.operands.map((operand) => formatSelectorNode(operand, spelling)).join(node.kind === 'and' ? ' && ' : ' || ')})`
  }
}

/** A value never holds both kinds of quote: the grammar has no escapes. */
function quoted(value: string): string {
  return value.includes('"') ? `'${value}'` : `"${value}"`
}

/** By bytes of UTF-8, as Go compares strings; JavaScript's order of UTF-16 units differs beyond the basic plane. */
function compareBytes(a: string, b: string): number {
  const [left, right] = [[...a], [...b]]
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const difference = (left[i].codePointAt(0) as number) - (right[i].codePointAt(0) as number)
    if (difference !== 0) return difference
  }
  return left.length - right.length
}

class SelectorSyntaxError extends Error {
  readonly at: number

  constructor(message: string, at: number) {
    super(message)
    this.at = at
  }
}

const OPERATORS: readonly (readonly [RegExp, Comparison | 'in' | 'not in'])[] = [
  [/contains(?![\w./-])/y, 'contains'],
  [/starts[ \t]*with(?![ \t]*[\w./-])/y, 'starts with'],
  [/ends[ \t]*with(?![ \t]*[\w./-])/y, 'ends with'],
  [/not[ \t]*in(?![ \t]*[\w./-])/y, 'not in'],
  [/in(?![\w./-])/y, 'in'],
  [/==/y, '=='],
  [/!=/y, '!='],
]

class SelectorReader {
  private readonly text: string
  private readonly maxDepth: number
  private at = 0
  private depth = 0

  constructor(text: string, maxDepth: number) {
    this.text = text
    this.maxDepth = maxDepth
  }

  read(): SelectorNode {
    this.skipBlanks()
    if (this.at === this.text.length) return { kind: 'all' }
    const root = this.readOr()
    this.skipBlanks()
    if (this.at < this.text.length) this.fail(`unexpected ${JSON.stringify(this.text.slice(this.at, this.at + 20))}`)
    return root
  }

  private readOr(): SelectorNode {
    const operands = [this.readAnd()]
    while (this.take('||')) operands.push(this.readAnd())
    return operands.length === 1 ? operands[0] : { kind: 'or', operands }
  }

  private readAnd(): SelectorNode {
    const operands = [this.readOperation()]
    while (this.take('&&')) operands.push(this.readOperation())
    return operands.length === 1 ? operands[0] : { kind: 'and', operands }
  }

  /** Several ! cancel out in pairs; what is left binds to this one operation. */
  private readOperation(): SelectorNode {
    let negated = false
    while (this.take('!')) negated = !negated
    const operand = this.readOperand()
    return negated ? { kind: 'not', operand } : operand
  }

  private readOperand(): SelectorNode {
    this.skipBlanks()
    if (this.take('has(')) {
      this.skipBlanks()
      const label = this.readLabel()
      this.expect(')', 'no closing ) after has(')
      return { kind: 'has', label }
    }
    for (const kind of ['all', 'global'] as const) {
      if (!this.take(`${kind}(`)) continue
      this.expect(')', `no closing ) after ${kind}(`)
      return { kind }
    }
    if (this.take('(')) {
      if (++this.depth > this.maxDepth) this.fail('too many nested parentheses')
      const inner = this.readOr()
      this.depth--
      this.expect(')', 'a ) is missing')
      return inner
    }
    return this.readComparison(this.readLabel())
  }

  private readComparison(label: string): SelectorNode {
    this.skipBlanks()
    for (const [pattern, operator] of OPERATORS) {
      pattern.lastIndex = this.at
      const found = pattern.exec(this.text)
      if (found === null) continue
      this.at += found[0].length
      if (operator === 'in' || operator === 'not in') return { kind: operator, label, values: this.readSet() }
      return { kind: 'compare', label, operator, value: this.readString() }
    }
    return this.fail(`an operator is due after the label ${label}`)
  }

  /** A comma after the last value is let through. */
  private readSet(): readonly string[] {
    this.expect('{', 'a set in braces is due')
    const values = new Set<string>()
    for (;;) {
      this.skipBlanks()
      if (this.text[this.at] !== '"' && this.text[this.at] !== "'") break
      values.add(this.readString())
      if (!this.take(',')) break
    }
    this.expect('}', 'a } is missing')
    return [...values].sort(compareBytes)
  }

  private readString(): string {
    this.skipBlanks()
    const quote = this.text[this.at]
    if (quote !== '"' && quote !== "'") this.fail('a text in quotes is due')
    const end = this.text.indexOf(quote, this.at + 1)
    if (end < 0) this.fail('a text without its closing quote')
    const value = this.text.slice(this.at + 1, end)
    this.at = end + 1
    return value
  }

  private readLabel(): string {
    const pattern = /[A-Za-z0-9_./-]*/y
    pattern.lastIndex = this.at
    const label = pattern.exec(this.text)?.[0] ?? ''
    if (label === '') this.fail(this.at === this.text.length ? 'the selector ends too early' : 'a label is due')
    if (label.length > MAX_LABEL_LENGTH) this.fail(`a label of more than ${MAX_LABEL_LENGTH} characters`)
    this.at += label.length
    return label
  }

  /** `!` is not taken where it begins `!=`. */
  private take(word: string): boolean {
    this.skipBlanks()
    if (!this.text.startsWith(word, this.at) || (word === '!' && this.text[this.at + 1] === '=')) return false
    this.at += word.length
    return true
  }

  private expect(word: string, otherwise: string): void {
    if (!this.take(word)) this.fail(otherwise)
  }

  /** A line break is no blank. */
  private skipBlanks(): void {
    while (this.text[this.at] === ' ' || this.text[this.at] === '\t') this.at++
  }

  private fail(message: string): never {
    throw new SelectorSyntaxError(message, this.at)
  }
}
