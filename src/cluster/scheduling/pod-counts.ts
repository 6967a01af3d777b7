/**
 * How many pods that a selector matches each node bears, and how many that hold an anti-affinity term: counted once, then kept up to date as
 * pods get their places. Topology domains are the values of a node label. After the plugins interpodaffinity and podtopologyspread of
 * kube-scheduler.
 */
import { matchesSelector, type Labels, type LabelSelector, type Requirement } from '../labels.js'
import type { PodAffinityTerm, SpreadConstraint } from '../pod-scheduling.js'
import type { ClusterPod } from '../pod.js'
import type { Loads } from './loads.js'

/** By name; what a Namespace object says, and the name itself. */
export type NamespaceLabels = (namespace: string) => Labels

/** Which pods are meant. */
export interface PodMatch {
  readonly topologyKey: string
  /** The same text means the same pods. */
  readonly key: string
  readonly namespace: (name: string) => boolean
  readonly pod: (pod: ClusterPod) => boolean
}

/** A term as one pod means it: its own namespace, its own labels under matchLabelKeys. */
export function matchOfTerm(term: PodAffinityTerm, owner: ClusterPod, namespaceLabels: NamespaceLabels): PodMatch {
  const { namespaceSelector, topologyKey } = term
  const names = term.namespaces.length === 0 && namespaceSelector === undefined ? [owner.namespace] : term.namespaces
  const selector = withLabelKeys(term.selector, owner.labels, term)
  return {
    topologyKey,
    key: JSON.stringify([names, namespaceSelector, selector]),
    namespace: (name) => names.includes(name) || (namespaceSelector !== undefined && matchesSelector(namespaceSelector, namespaceLabels(name))),
    pod: (pod) => selector !== undefined && matchesSelector(selector, pod.labels),
  }
}

export function matchOfConstraint(constraint: SpreadConstraint, owner: ClusterPod): PodMatch {
  const selector = withLabelKeys(constraint.selector, owner.labels, constraint)
  return {
    topologyKey: constraint.topologyKey,
    key: JSON.stringify(['spread', owner.namespace, selector]),
    namespace: (name) => name === owner.namespace,
    pod: (pod) => !pod.terminating && selector !== undefined && matchesSelector(selector, pod.labels),
  }
}

interface LabelKeys {
  readonly matchLabelKeys: readonly string[]
  readonly mismatchLabelKeys?: readonly string[]
}

/** The API server adds what the pod itself has under these keys. */
function withLabelKeys(selector: LabelSelector | undefined, labels: Labels, { matchLabelKeys, mismatchLabelKeys = [] }: LabelKeys): LabelSelector | undefined {
  if (selector === undefined || matchLabelKeys.length + mismatchLabelKeys.length === 0) return selector
  const added = [...matchLabelKeys.map((key) => ({ key, operator: 'In' })), ...mismatchLabelKeys.map((key) => ({ key, operator: 'NotIn' }))].flatMap(
    ({ key, operator }): Requirement | [] => (Object.hasOwn(labels, key) ? { key, operator, values: [labels[key]] } : []),
  )
  return { ...selector, matchExpressions: [...(selector.matchExpressions ?? []), ...added] }
}

export interface Counter {
  readonly match: PodMatch
  /** By node. */
  readonly counts: Int32Array
  total: number
}

/** Node → domain; -1 where the label is missing. */
export interface Domains {
  readonly of: Int32Array
  readonly count: number
}

export class PodCounts {
  private readonly loads: Loads
  private readonly placed: { readonly pod: ClusterPod; readonly node: number }[] = []
  private readonly counters = new Register()
  private readonly holders = new Register()
  private readonly domains = new Map<string, Domains>()
  private readonly namespaceLabels: NamespaceLabels

  constructor(loads: Loads, namespaceLabels: NamespaceLabels) {
    this.loads = loads
    this.namespaceLabels = namespaceLabels
  }

  add(pod: ClusterPod, node: number): void {
    this.placed.push({ pod, node })
    for (const counter of this.counters.about(pod.namespace)) if (counter.match.pod(pod)) increase(counter, node)
    for (const term of pod.scheduling.podAntiAffinity) {
      const match = matchOfTerm(term, pod, this.namespaceLabels)
      const key = `${term.topologyKey}\n${match.key}`
      increase(this.holders.get(key) ?? this.holders.add(key, match, this.loads.nodes.length), node)
    }
  }

  counterOf(match: PodMatch): Counter {
    const known = this.counters.get(match.key)
    if (known !== undefined) return known
    const counter = this.counters.add(match.key, match, this.loads.nodes.length)
    for (const { pod, node } of this.placed) if (match.namespace(pod.namespace) && match.pod(pod)) increase(counter, node)
    return counter
  }

  /** The anti-affinity terms of placed pods that the pod must keep away from. */
  holdersAgainst(pod: ClusterPod): readonly Counter[] {
    return this.holders.about(pod.namespace).filter(({ match }) => match.pod(pod))
  }

  domainsOf(topologyKey: string): Domains {
    const known = this.domains.get(topologyKey)
    if (known !== undefined) return known
    const ids = new Map<string, number>()
    const of = Int32Array.from(this.loads.nodes, ({ labels, name }) => {
      // every kubelet labels its node with its name
      const value = Object.hasOwn(labels, topologyKey) ? labels[topologyKey] : topologyKey === 'kubernetes.io/hostname' ? name : undefined
      if (value === undefined) return -1
      const id = ids.get(value) ?? ids.size
      ids.set(value, id)
      return id
    })
    const domains = { of, count: ids.size }
    this.domains.set(topologyKey, domains)
    return domains
  }

  /** Summed over the nodes of each domain. */
  byDomain(counts: Int32Array, domains: Domains): Int32Array {
    const sums = new Int32Array(domains.count)
    for (let node = 0; node < counts.length; node++) {
      const domain = domains.of[node]
      if (domain >= 0) sums[domain] += counts[node]
    }
    return sums
  }
}

function increase(counter: Counter, node: number): void {
  counter.counts[node]++
  counter.total++
}

/** Counters by key, and by the namespaces that they are about. */
class Register {
  private readonly byKey = new Map<string, Counter>()
  private readonly byNamespace = new Map<string, Counter[]>()

  get(key: string): Counter | undefined {
    return this.byKey.get(key)
  }

  add(key: string, match: PodMatch, nodes: number): Counter {
    const counter = { match, counts: new Int32Array(nodes), total: 0 }
    this.byKey.set(key, counter)
    for (const [namespace, about] of this.byNamespace) if (match.namespace(namespace)) about.push(counter)
    return counter
  }

  about(namespace: string): readonly Counter[] {
    let about = this.byNamespace.get(namespace)
    if (about === undefined) this.byNamespace.set(namespace, (about = [...this.byKey.values()].filter(({ match }) => match.namespace(namespace))))
    return about
  }
}
