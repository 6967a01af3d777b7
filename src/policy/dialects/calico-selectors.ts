/**
 * Calico's selectors → one selector over the labels that an endpoint has in Calico (endpoint-labels.ts): those of namespaces and service accounts
 * carry a prefix there, and the policy's own namespace is a term. Written from Calico's documents, apart from the code of src/calico.
 * Source: libcalico-go/lib/backend/syncersv1/updateprocessors (networkpolicyprocessor.go, globalnetworkpolicyprocessor.go, rules.go).
 */
import type { CalicoPolicy, EntityRule } from '../../cluster/calico/policy.js'
import { isSelectorFault, parseSelector, selectorOf, withLabelPrefix, type Selector, type SelectorNode } from '../../cluster/selector.js'
import { NAMESPACE_PREFIX, SERVICE_ACCOUNT_PREFIX } from '../endpoint-labels.js'

const NAMESPACE_LABEL = 'projectcalico.org/namespace'
const ACCOUNT_LABEL = 'projectcalico.org/serviceaccount'

/** Whom the policy is for. */
export function subjectSelector(policy: Pick<CalicoPolicy, 'namespace' | 'selector' | 'serviceAccountSelector' | 'namespaceSelector'>): Selector {
  const { namespace, selector, serviceAccountSelector, namespaceSelector } = policy
  const accounts = serviceAccountSelector === '' ? [] : [prefixed(serviceAccountSelector, SERVICE_ACCOUNT_PREFIX)]
  const own = selector === '' ? [] : [nodeOf(selector)]
  if (namespace !== '') return all([...own, inNamespace(namespace), ...accounts])
  // all() beside such a selector means whatever has a namespace, or an account; it falls on the policy's own all() too
  const inAny = namespaceSelector === '' ? own : [...own, prefixed(namespaceSelector, NAMESPACE_PREFIX)].map((node) => withoutAll(node, NAMESPACE_LABEL))
  return all(accounts.length === 0 ? inAny : [...inAny, ...accounts].map((node) => withoutAll(node, ACCOUNT_LABEL)))
}

export interface PeerSelectors {
  /** Absent: no restriction. */
  readonly selected?: Selector
  /** Whoever is selected by it does not match; there where nothing else is said. */
  readonly notSelected?: Selector
}

/** @param namespace the policy's, empty for global ones */
export function peerSelectors(entity: EntityRule, namespace: string): PeerSelectors {
  const { selector, notSelector, namespaceSelector, serviceAccounts } = entity
  const accounts = serviceAccounts === undefined ? [] : accountNodes(serviceAccounts)
  const own = [...accounts, ...(selector === '' ? [] : [nodeOf(selector)])]
  // a rule that names no endpoints at all is not confined to the policy's namespace
  const confined = namespace !== '' && namespaceSelector === '' && (own.length > 0 || notSelector !== '')
  const within = namespaceSelector === '' ? (confined ? [inNamespace(namespace)] : []) : [inNamespaces(namespaceSelector)]
  const positive = [...within, ...own]
  if (notSelector === '') return positive.length === 0 ? {} : { selected: all(positive) }
  if (positive.length === 0) return { notSelected: all([nodeOf(notSelector)]) }
  return { selected: all([...positive, { kind: 'not', operand: nodeOf(notSelector) }]) }
}

/** `namespaces env == 'prod'; app == 'web'; not role == 'db'`: as it was written. */
export function peerSelectorWords({ selector, notSelector, namespaceSelector, serviceAccounts }: EntityRule): readonly string[] {
  const names = serviceAccounts?.names ?? []
  const accounts = serviceAccounts?.selector ?? ''
  return [
    ...(namespaceSelector === '' ? [] : [`namespaces ${namespaceSelector}`]),
    ...(names.length === 0 ? [] : [`service accounts ${names.join(', ')}`]),
    ...(accounts === '' ? [] : [`service accounts ${accounts}`]),
    ...(selector === '' ? [] : [selector]),
    ...(notSelector === '' ? [] : [`not ${notSelector}`]),
  ]
}

function accountNodes({ names, selector }: NonNullable<EntityRule['serviceAccounts']>): readonly SelectorNode[] {
  return [
    ...(selector === '' ? [] : [prefixed(selector, SERVICE_ACCOUNT_PREFIX)]),
    ...(names.length === 0 ? [] : [{ kind: 'in', label: ACCOUNT_LABEL, values: [...new Set(names)].sort() } as const]),
  ]
}

/** Endpoints by the labels of their namespaces; of every namespace: whatever has one. */
export function endpointsInNamespaces(namespaces: Selector): Selector {
  return all([inSome(withLabelPrefix(namespaces, NAMESPACE_PREFIX).root)])
}

function inNamespaces(text: string): SelectorNode {
  return inSome(prefixed(text, NAMESPACE_PREFIX))
}

/** Of a rule: all() is any namespace, global() none. */
function inSome(node: SelectorNode): SelectorNode {
  const has: SelectorNode = { kind: 'has', label: NAMESPACE_LABEL }
  return replaced(node, ({ kind }) => (kind === 'all' ? has : kind === 'global' ? { kind: 'not', operand: has } : undefined))
}

function inNamespace(namespace: string): SelectorNode {
  return { kind: 'compare', label: NAMESPACE_LABEL, operator: '==', value: namespace }
}

/** Of a text that was read without fault. */
function nodeOf(text: string): SelectorNode {
  const read = parseSelector(text)
  return isSelectorFault(read) ? { kind: 'not', operand: { kind: 'all' } } : read.root
}

function prefixed(text: string, prefix: string): SelectorNode {
  return withLabelPrefix(selectorOf(nodeOf(text)), prefix).root
}

function withoutAll(node: SelectorNode, label: string): SelectorNode {
  return replaced(node, ({ kind }) => (kind === 'all' ? { kind: 'has', label } : undefined))
}

function replaced(node: SelectorNode, by: (node: SelectorNode) => SelectorNode | undefined): SelectorNode {
  const other = by(node)
  if (other !== undefined) return other
  switch (node.kind) {
    case 'not':
      return { kind: 'not', operand: replaced(node.operand, by) }
    case 'and':
    case 'or':
      return { kind: node.kind, operands: node.operands.map((operand) => replaced(operand, by)) }
    default:
      return node
  }
}

function all(nodes: readonly SelectorNode[]): Selector {
  if (nodes.length === 0) return selectorOf({ kind: 'all' })
  return selectorOf(nodes.length === 1 ? nodes[0] : { kind: 'and', operands: nodes })
}
