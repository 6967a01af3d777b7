/** What the Kubernetes dialects share: label selectors → conditions, lists of ports → exact connections, and the words for both. */
import type { NamespacedPods } from '../../cluster/calico/cluster-network-policy.js'
import type { LabelSelector, Requirement } from '../../cluster/labels.js'
import type { KubernetesObject } from '../../cluster/manifest.js'
import type { Path } from '../../cluster/located.js'
import type { Place } from '../../cluster/problem-list.js'
import { selectorOf, type Selector, type SelectorNode } from '../../cluster/selector.js'
import { parseRange, type AddressRange } from '../address-range.js'
import { ConnectionSet, type Protocol } from '../connections.js'
import type { Condition, NamedPort, Peer, Policy, RulePorts } from '../model.js'

/** The place of a part of an object; of what netsim stands in for, nowhere. */
export function placeIn(object: KubernetesObject | undefined, path: Path): Place {
  return object?.at(...path) ?? { file: '', line: 0 }
}

/** NotIn and DoesNotExist hold for labels without the key. */
export function selectorFrom({ matchLabels = {}, matchExpressions = [] }: LabelSelector): Selector {
  const operands: SelectorNode[] = [
    ...Object.entries(matchLabels).map(([label, value]): SelectorNode => ({ kind: 'compare', label, operator: '==', value })),
    ...matchExpressions.map(requirementNode),
  ]
  if (operands.length === 0) return selectorOf({ kind: 'all' })
  return selectorOf(operands.length === 1 ? operands[0] : { kind: 'and', operands })
}

/** Of a selector that was read without fault: the operators are these four. */
function requirementNode({ key, operator, values = [] }: Requirement): SelectorNode {
  const sorted = [...new Set(values)].sort()
  switch (operator) {
    case 'In':
      return { kind: 'in', label: key, values: sorted }
    case 'NotIn':
      return { kind: 'not in', label: key, values: sorted }
    case 'Exists':
      return { kind: 'has', label: key }
    default:
      return { kind: 'not', operand: { kind: 'has', label: key } }
  }
}

export function isEmptySelector({ matchLabels = {}, matchExpressions = [] }: LabelSelector): boolean {
  return Object.keys(matchLabels).length === 0 && matchExpressions.length === 0
}

/** `app=web, tier in (a, b), !canary`: as kubectl says a selector. */
export function labelSelectorWords({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  return [...Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`), ...matchExpressions.map(requirementWords)].join(', ')
}

function requirementWords({ key, operator, values = [] }: Requirement): string {
  if (operator === 'Exists') return key
  if (operator === 'DoesNotExist') return `!${key}`
  return `${key} ${operator === 'In' ? 'in' : 'notin'} (${values.join(', ')})`
}

/** Pods whose namespace's labels are selected; the empty selector takes every namespace. */
export function namespacesCondition(written: LabelSelector, place: Place): Condition {
  const words = isEmptySelector(written) ? 'every namespace' : `namespace ${labelSelectorWords(written)}`
  return { kind: 'labels', of: 'namespace', selector: selectorFrom(written), written, words, file: place.file, line: place.line }
}

export function namespaceCondition(name: string, place: Place): Condition {
  return { kind: 'namespace', name, words: `namespace ${name}`, file: place.file, line: place.line }
}

/** None for the empty selector: whatever stands beside it says that pods are meant. */
export function podConditions(written: LabelSelector, place: Place): readonly Condition[] {
  if (isEmptySelector(written)) return []
  return [{ kind: 'labels', of: 'pod', selector: selectorFrom(written), written, words: labelSelectorWords(written), file: place.file, line: place.line }]
}

function nodesCondition(written: LabelSelector, place: Place): Condition {
  const words = isEmptySelector(written) ? 'every node' : `node ${labelSelectorWords(written)}`
  return { kind: 'labels', of: 'node', selector: selectorFrom(written), written, words, file: place.file, line: place.line }
}

export function neverCondition(words: string, place: Place): Condition {
  return { kind: 'never', words, file: place.file, line: place.line }
}

/** `pods app=web of namespaces env=prod`, `every pod`. */
export function podsWords(pods: LabelSelector, namespaces: LabelSelector): string {
  const which = isEmptySelector(pods) ? 'every pod' : `pods ${labelSelectorWords(pods)}`
  if (isEmptySelector(namespaces)) return isEmptySelector(pods) ? which : `${which} of every namespace`
  return `${which} of namespaces ${labelSelectorWords(namespaces)}`
}

/** Those of the texts that are ranges; the others were reported where they were read. */
export function rangesOf(texts: readonly string[]): readonly AddressRange[] {
  return texts.flatMap((text) => parseRange(text) ?? [])
}

type Selected = { readonly namespaces: LabelSelector } | { readonly pods: NamespacedPods }

/** Whom a policy of the whole cluster is for. Pods on the host's network are not among them: they are their node (asSeen). */
export function clusterSubject(selected: Selected, object: KubernetesObject | undefined): Pick<Policy, 'subject' | 'subjectWords'> {
  const { conditions, words } = labelPeer(selected, { object, path: ['spec', 'subject'] })
  return { subject: conditions, subjectWords: words }
}

interface Where {
  readonly object: KubernetesObject | undefined
  readonly path: Path
}

/** Pods by the labels of their namespaces, or by those and their own. */
export function labelPeer(selected: Selected, { object, path }: Where): Peer {
  const place = placeIn(object, path)
  if ('namespaces' in selected) {
    const { namespaces } = selected
    return { conditions: [namespacesCondition(namespaces, placeIn(object, [...path, 'namespaces']))], words: podsWords({}, namespaces), ...place }
  }
  const { podSelector, namespaceSelector } = selected.pods
  const at = (field: string): Place => placeIn(object, [...path, 'pods', field])
  return {
    conditions: [namespacesCondition(namespaceSelector, at('namespaceSelector')), ...podConditions(podSelector, at('podSelector'))],
    words: podsWords(podSelector, namespaceSelector),
    ...place,
  }
}

export function networksPeer(networks: readonly string[], { object, path, podsToo }: Where & { readonly podsToo: boolean }): Peer {
  const words = networks.join(', ')
  const place = placeIn(object, [...path, 'networks'])
  const include = rangesOf(networks)
  const condition: Condition = { kind: 'networks', include, exclude: [], ...(podsToo ? { podsToo } : {}), words, ...place }
  return { conditions: [condition], words, ...placeIn(object, path) }
}

export function nodesPeer(nodes: LabelSelector, { object, path }: Where): Peer {
  const condition = nodesCondition(nodes, placeIn(object, [...path, 'nodes']))
  return { conditions: [condition], words: condition.words, ...placeIn(object, path) }
}

/** Names of domains: what addresses they have nobody here can know. */
export function domainNamesPeer(domainNames: readonly string[], { object, path }: Where): Peer {
  const words = `domain names ${domainNames.join(', ')}`
  return { conditions: [neverCondition(words, placeIn(object, [...path, 'domainNames']))], words, ...placeIn(object, path) }
}

/** One peer without conditions. */
export function everybody(place: Place): Peer {
  return { conditions: [], words: 'everybody', file: place.file, line: place.line }
}

/** One port of a rule, in the words of every Kubernetes dialect. */
export type PortChoice =
  | { readonly kind: 'numbers'; readonly protocol: Protocol; readonly first?: number; readonly last?: number }
  | { readonly kind: 'name'; readonly port: NamedPort }

export const ANY_PORT: RulePorts = { fixed: ConnectionSet.all, named: [], except: [], words: 'any port' }
export const NO_PORT: RulePorts = { fixed: ConnectionSet.none, named: [], except: [], words: 'no port' }

/** An empty list is every connection, ICMP and the rest too. */
export function portsOf(choices: readonly PortChoice[]): RulePorts {
  if (choices.length === 0) return ANY_PORT
  const numbers = choices.flatMap((choice) => (choice.kind === 'numbers' ? [choice] : []))
  return {
    fixed: ConnectionSet.union(numbers.map(({ protocol, first, last }) => ConnectionSet.of(protocol, first, last))),
    named: choices.flatMap((choice) => (choice.kind === 'name' ? [choice.port] : [])),
    except: [],
    words: choices.map(choiceWords).join(', '),
  }
}

function choiceWords(choice: PortChoice): string {
  if (choice.kind === 'name') return choice.port.protocol === undefined ? choice.port.name : `${choice.port.protocol} ${choice.port.name}`
  const { protocol, first, last } = choice
  if (first === undefined) return `any port of ${protocol}`
  return last === undefined || last === first ? `${protocol} ${first}` : `${protocol} ${first}-${last}`
}
