/**
 * Calico's selectors as their authors know them: the terms that Calico adds for namespaces, service accounts and pods turned back into words,
 * and of labels that do not fit what they are.
 */
import { NAMESPACE_LABEL, NAMESPACE_PREFIX, ORCHESTRATOR_LABEL, SERVICE_ACCOUNT_LABEL, SERVICE_ACCOUNT_PREFIX } from './backend-policy.js'
import type { Labels } from '../../cluster/labels.js'
import { matchesCalicoSelector, selectorOf, type Selector, type SelectorNode } from '../../cluster/selector.js'

/** Labels that name a namespace, as endpoints inherit them. */
const NAMESPACE_NAMES = [NAMESPACE_LABEL, `${NAMESPACE_PREFIX}projectcalico.org/name`, `${NAMESPACE_PREFIX}kubernetes.io/metadata.name`]

/** `app == 'web' in namespace default`. */
export function selectorWords({ root }: Selector): string {
  const terms = conjuncts(root).filter((term) => !isPodTerm(term))
  const labels = terms.filter((term) => placeWords(term) === undefined).map((term) => nodeWords(term, terms.length > 1))
  const places = terms.flatMap((term) => placeWords(term) ?? [])
  if (labels.length === 0 && places.length === 0) return 'all()'
  return [labels.length === 0 ? 'all()' : labels.join(' && '), ...places].join(' ')
}

/** Of a conjunction the terms that do not hold, with what stands there: `has app=api`, `has no label tier`, `is in namespace shop`. */
export function mismatchWords({ root }: Selector, labels: Labels): readonly string[] {
  return conjuncts(root)
    .filter((term) => !matchesCalicoSelector(selectorOf(term), labels))
    .flatMap((term) => labelsIn(term).map((label) => labelWords(label, labels)))
    .filter((text, index, all) => all.indexOf(text) === index)
}

/** Labels that would make the terms of a conjunction hold, where equality says which; undefined where that cannot be said so simply. */
export function wantedLabels({ root }: Selector, labels: Labels): readonly string[] | undefined {
  const missing = conjuncts(root).filter((term) => !matchesCalicoSelector(selectorOf(term), labels))
  const wanted = missing.map((term) =>
    term.kind === 'compare' && term.operator === '==' && !isInternal(term.label) ? `${term.label}=${term.value}` : undefined,
  )
  return wanted.length > 0 && wanted.every((text) => text !== undefined) ? wanted : undefined
}

function conjuncts(node: SelectorNode): readonly SelectorNode[] {
  return node.kind === 'and' ? node.operands.flatMap(conjuncts) : node.kind === 'all' ? [] : [node]
}

function isInternal(label: string): boolean {
  return (
    [NAMESPACE_LABEL, ORCHESTRATOR_LABEL, SERVICE_ACCOUNT_LABEL].includes(label) ||
    label.startsWith(NAMESPACE_PREFIX) ||
    label.startsWith(SERVICE_ACCOUNT_PREFIX)
  )
}

/** What keeps host endpoints out of Kubernetes' policies. */
function isPodTerm(term: SelectorNode): boolean {
  return term.kind === 'compare' && term.label === ORCHESTRATOR_LABEL && term.operator === '==' && term.value === 'k8s'
}

function placeWords(term: SelectorNode): string | undefined {
  if (term.kind === 'has' && term.label === NAMESPACE_LABEL) return 'in any namespace'
  if (term.kind === 'not' && term.operand.kind === 'has' && term.operand.label === NAMESPACE_LABEL) return 'outside of namespaces'
  if (term.kind === 'compare' && term.operator === '==' && NAMESPACE_NAMES.includes(term.label)) return `in namespace ${term.value}`
  if (term.kind === 'in' && NAMESPACE_NAMES.includes(term.label)) return `in namespace ${term.values.join(' or ')}`
  return undefined
}

function nodeWords(node: SelectorNode, nested: boolean): string {
  switch (node.kind) {
    case 'all':
    case 'global':
      return `${node.kind}()`
    case 'has':
      return `has(${labelName(node.label)})`
    case 'compare':
      return `${labelName(node.label)} ${node.operator} ${quoted(node.value)}`
    case 'in':
    case 'not in':
      return `${labelName(node.label)} ${node.kind} {${node.values.map(quoted).join(', ')}}`
    case 'not':
      return `!${nodeWords(node.operand, true)}`
    case 'and':
    case 'or': {
      const text = node.operands.map((operand) => nodeWords(operand, true)).join(node.kind === 'and' ? ' && ' : ' || ')
      return nested ? `(${text})` : text
    }
  }
}

function quoted(value: string): string {
  return value.includes("'") ? `"${value}"` : `'${value}'`
}

function labelName(label: string): string {
  if (label === SERVICE_ACCOUNT_LABEL) return 'service account'
  if (NAMESPACE_NAMES.includes(label)) return 'namespace'
  if (label.startsWith(NAMESPACE_PREFIX)) return `namespace label ${label.slice(NAMESPACE_PREFIX.length)}`
  if (label.startsWith(SERVICE_ACCOUNT_PREFIX)) return `service account label ${label.slice(SERVICE_ACCOUNT_PREFIX.length)}`
  return label
}

function labelsIn(node: SelectorNode): readonly string[] {
  switch (node.kind) {
    case 'all':
    case 'global':
      return []
    case 'not':
      return labelsIn(node.operand)
    case 'and':
    case 'or':
      return node.operands.flatMap(labelsIn)
    default:
      return [node.label]
  }
}

function labelWords(label: string, labels: Labels): string {
  const value = Object.hasOwn(labels, label) ? labels[label] : undefined
  if (NAMESPACE_NAMES.includes(label)) return value === undefined ? 'is in no namespace' : `is in namespace ${value}`
  if (label === ORCHESTRATOR_LABEL) return value === undefined ? 'is no pod' : `is of orchestrator ${value}`
  if (label === SERVICE_ACCOUNT_LABEL) return value === undefined ? 'has no service account' : `has service account ${value}`
  const name = labelName(label)
  return value === undefined ? `has no ${name === label ? `label ${label}` : name}` : `has ${name}=${value}`
}
