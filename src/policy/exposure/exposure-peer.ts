/**
 * Peers that no object is: what a rule's peer says of pods, as two LabelSelectors, and a pod made up to have exactly such labels. The names are
 * those of netpol-analyzer (`ns/[all pods]`, `[namespace with {env=prod}]/[pod with {app=x}]`).
 */
import type { LabelSelector, Requirement } from '../../cluster/labels.js'
import type { Condition, Peer } from '../model.js'

/** The label that every namespace has. */
export const METADATA_NAME = 'kubernetes.io/metadata.name'

/** Pods of namespaces so selected; an empty selector is all of them. */
export interface PeerSelectors {
  readonly namespace: LabelSelector
  readonly pod: LabelSelector
}

/** Undefined: the peer is not put into LabelSelectors (networks, nodes, everybody, Calico's selectors). */
export function peerSelectors({ conditions }: Peer): PeerSelectors | undefined {
  let namespace: LabelSelector | undefined
  let pod: LabelSelector | undefined
  for (const condition of conditions) {
    const own = selectorOfCondition(condition)
    if (own === undefined) return undefined
    if (own.of === 'pod') pod = own.selector
    else namespace = own.selector
  }
  return namespace === undefined && pod === undefined ? undefined : { namespace: namespace ?? {}, pod: pod ?? {} }
}

function selectorOfCondition(condition: Condition): { readonly of: 'pod' | 'namespace'; readonly selector: LabelSelector } | undefined {
  if (condition.kind === 'namespace') return { of: 'namespace', selector: { matchLabels: { [METADATA_NAME]: condition.name } } }
  if (condition.kind !== 'labels' || condition.written === undefined) return undefined
  return condition.of === 'pod' || condition.of === 'namespace' ? { of: condition.of, selector: condition.written } : undefined
}

export function isEverybody({ namespace, pod }: PeerSelectors): boolean {
  return selectsAll(namespace) && selectsAll(pod)
}

export function selectsAll({ matchLabels = {}, matchExpressions = [] }: LabelSelector): boolean {
  return Object.keys(matchLabels).length === 0 && matchExpressions.length === 0
}

/** Equal for selectors that ask the same: whatever the order of keys and values, `In [x]` and `=x`. */
export function selectorKey({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  const parts = [...Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`), ...matchExpressions.map(requirementKey)]
  return parts.sort().join(',')
}

function requirementKey({ key, operator, values = [] }: Requirement): string {
  if (operator === 'In' && values.length === 1) return `${key}=${values[0]}`
  return `${key} ${operator} (${[...new Set(values)].sort().join(',')})`
}

export function peerKey({ namespace, pod }: PeerSelectors): string {
  return `${selectorKey(namespace)}/${selectorKey(pod)}`
}

/** The name of a namespace where the selector is that name and nothing else. */
export function namespaceNamed({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string | undefined {
  const keys = Object.keys(matchLabels)
  return keys.length === 1 && keys[0] === METADATA_NAME && matchExpressions.length === 0 ? matchLabels[METADATA_NAME] : undefined
}

export function namespaceWords(selector: LabelSelector): string {
  return selectsAll(selector) ? 'all namespaces' : `namespace with {${selectorWords(selector)}}`
}

export function podWords(selector: LabelSelector): string {
  return selectsAll(selector) ? 'all pods' : `pod with {${selectorWords(selector)}}`
}

/** `ns/[all pods]`, `[all namespaces]/[pod with {app=x}]`. */
export function peerWords({ namespace, pod }: PeerSelectors): string {
  return `${namespaceNamed(namespace) ?? `[${namespaceWords(namespace)}]`}/[${podWords(pod)}]`
}

/** Labels by key, then expressions as Go prints them: `{Key:app,Operator:NotIn,Values:[a b],}`. */
function selectorWords({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  const labels = Object.keys(matchLabels)
    .sort()
    .map((key) => `${key}=${matchLabels[key]}`)
  const expressions = matchExpressions.map(({ key, operator, values = [] }) => `{Key:${key},Operator:${operator},Values:[${values.join(' ')}],}`)
  return [...labels, ...expressions.sort()].join(',')
}
