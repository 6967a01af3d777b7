/**
 * Does one selector take in everything that another does, whatever labels there will be? Sound, not complete: true is proven, false says nothing.
 * Values of one label are decided exactly where the narrower selector leaves few of them.
 */
import { matchesCalicoSelector, type SelectorNode } from '../../cluster/selector.js'

/** Whatever `a` selects `b` selects. */
export function selectorImplies(a: SelectorNode, b: SelectorNode): boolean {
  return implies(positive(a, false), positive(b, false))
}

/** Selects everything, by its form. */
export function selectsAll(node: SelectorNode): boolean {
  return selectorImplies({ kind: 'all' }, node)
}

/** In place of one that names several values, one for each: together they select the same. */
export function selectorCases(node: SelectorNode): readonly SelectorNode[] {
  const plain = positive(node, false)
  if (plain.kind === 'or') return plain.operands.flatMap(selectorCases)
  if (plain.kind === 'in') return plain.values.map((value) => ({ kind: 'compare', label: plain.label, operator: '==', value }))
  if (plain.kind !== 'and') return [plain]
  return plain.operands.reduce<readonly SelectorNode[]>(
    (cases, operand) => {
      const own = selectorCases(operand)
      // more than a few dozen would tell no more
      if (cases.length * own.length > MOST_CASES) return cases.map((one) => both(one, operand))
      return cases.flatMap((one) => own.map((other) => both(one, other)))
    },
    [{ kind: 'all' }],
  )
}

const MOST_CASES = 64

export function both(a: SelectorNode, b: SelectorNode): SelectorNode {
  if (a.kind === 'all') return b
  if (b.kind === 'all') return a
  return { kind: 'and', operands: [...(a.kind === 'and' ? a.operands : [a]), ...(b.kind === 'and' ? b.operands : [b])] }
}

/** The same without `not` but before has(): negation goes down to the comparisons that have an opposite. */
function positive(node: SelectorNode, negated: boolean): SelectorNode {
  switch (node.kind) {
    case 'global':
      return positive({ kind: 'all' }, negated)
    case 'not':
      return positive(node.operand, !negated)
    case 'and':
    case 'or': {
      const turned = negated ? (node.kind === 'and' ? 'or' : 'and') : node.kind
      return { kind: turned, operands: node.operands.map((operand) => positive(operand, negated)) }
    }
    case 'in':
    case 'not in':
      return negated ? { ...node, kind: node.kind === 'in' ? 'not in' : 'in' } : node
    case 'compare':
      if (negated && node.operator === '==') return { ...node, operator: '!=' }
      if (negated && node.operator === '!=') return { ...node, operator: '==' }
      return negated ? { kind: 'not', operand: node } : node
    default:
      return negated ? { kind: 'not', operand: node } : node
  }
}

/** Both without negations inside. */
function implies(a: SelectorNode, b: SelectorNode): boolean {
  if (b.kind === 'all' || isNothing(a) || JSON.stringify(a) === JSON.stringify(b)) return true
  if (b.kind === 'and') return b.operands.every((operand) => implies(a, operand))
  if (a.kind === 'or') return a.operands.every((operand) => implies(operand, b))
  if (b.kind === 'or' && b.operands.some((operand) => implies(a, operand))) return true
  if (a.kind === 'and') return a.operands.some((operand) => implies(operand, b))
  return b.kind !== 'or' && atomImplies(a, b)
}

function isNothing(node: SelectorNode): boolean {
  return node.kind === 'not' && node.operand.kind === 'all'
}

function atomImplies(a: SelectorNode, b: SelectorNode): boolean {
  const label = labelOf(a)
  if (label === undefined || label !== labelOf(b)) return false
  const holdsOf = (value: string | undefined): boolean =>
    matchesCalicoSelector({ root: b, text: '' }, value === undefined ? {} : Object.fromEntries([[label, value]]))
  if (a.kind === 'in') return a.values.every(holdsOf)
  if (a.kind === 'compare' && a.operator === '==') return holdsOf(a.value)
  if (a.kind === 'not' && a.operand.kind === 'has') return holdsOf(undefined)
  const left = excluded(a)
  const wanted = excluded(b)
  if (left !== undefined && wanted !== undefined) return wanted.every((value) => left.includes(value))
  // contains, starts with, ends with and has() need the label
  return b.kind === 'has' && (a.kind === 'has' || (a.kind === 'compare' && a.operator !== '!='))
}

/** Absent labels and every value but these. */
function excluded(node: SelectorNode): readonly string[] | undefined {
  if (node.kind === 'not in') return node.values
  return node.kind === 'compare' && node.operator === '!=' ? [node.value] : undefined
}

function labelOf(node: SelectorNode): string | undefined {
  if (node.kind === 'not') return labelOf(node.operand)
  return 'label' in node ? node.label : undefined
}

/** Every label that it asks for, with the values that it names. */
export function termsOf(node: SelectorNode): readonly { readonly label: string; readonly values: readonly string[] }[] {
  switch (node.kind) {
    case 'all':
    case 'global':
      return []
    case 'not':
      return []
    case 'and':
    case 'or':
      return node.operands.flatMap(termsOf)
    case 'has':
      return [{ label: node.label, values: [] }]
    case 'in':
      return [{ label: node.label, values: node.values }]
    case 'compare':
      return node.operator === '!=' ? [] : [{ label: node.label, values: node.operator === '==' ? [node.value] : [] }]
    case 'not in':
      return []
  }
}

/** Every label that it asks about, also by its absence. */
export function labelsOf(node: SelectorNode): readonly string[] {
  if (node.kind === 'not') return labelsOf(node.operand)
  if (node.kind === 'and' || node.kind === 'or') return node.operands.flatMap(labelsOf)
  return 'label' in node ? [node.label] : []
}
