/**
 * What of a pod's wishes the nodes meet by themselves, whoever else runs there: cordon, taints, node selector and affinity, with the weights of
 * PreferNoSchedule and preferred terms. The same for every pod that asks the same.
 */
import { matchesLabels, matchesNodeTerms, type NodeSelectorTerm } from '../labels.js'
import type { NodeReading } from '../node.js'
import type { Scheduling } from '../pod-scheduling.js'
import type { Loads } from './loads.js'
import { tolerates, UNSCHEDULABLE, untolerated } from './taints.js'

export interface NodeFit {
  /** Nodes that pass all of it, ascending. */
  readonly candidates: Int32Array
  /** By node: 1 where node selector and required affinity hold. */
  readonly affinity: Uint8Array
  /** By node: 1 where no taint keeps the pod away. */
  readonly taints: Uint8Array
  /** By node; undefined: all the same. */
  readonly score?: Float64Array
}

/** Weights of the default scheduler profile (apis/config/v1/default_plugins.go). */
const TAINT_WEIGHT = 3
const AFFINITY_WEIGHT = 2
const MAX_SCORE = 100

export class NodeFits {
  private readonly loads: Loads
  private readonly byScheduling = new WeakMap<Scheduling, NodeFit>()
  private readonly byWishes = new Map<string, NodeFit>()
  private readonly all: readonly number[]
  private readonly hasPreferences: boolean

  constructor(loads: Loads) {
    this.loads = loads
    this.all = loads.nodes.map((_, index) => index)
    this.hasPreferences = loads.nodes.some(({ taints }) => taints.some(({ effect }) => effect === 'PreferNoSchedule'))
  }

  of(scheduling: Scheduling): NodeFit {
    const known = this.byScheduling.get(scheduling)
    if (known !== undefined) return known
    const named = namedNodes(scheduling.requiredTerms)
    // a pod for one node only (a DaemonSet's) asks what nobody else asks
    const key = named === undefined ? keyOf(scheduling) : undefined
    const fit = (key === undefined ? undefined : this.byWishes.get(key)) ?? this.find(scheduling, named)
    if (key !== undefined) {
      this.byWishes.set(key, fit)
      this.byScheduling.set(scheduling, fit)
    }
    return fit
  }

  private find(scheduling: Scheduling, named: readonly string[] | undefined): NodeFit {
    const { nodes, indexOf } = this.loads
    const within = named === undefined ? this.all : named.flatMap((name) => indexOf.get(name) ?? []).sort((a, b) => a - b)
    const affinity = new Uint8Array(nodes.length)
    const taints = new Uint8Array(nodes.length)
    const candidates: number[] = []
    for (const index of within) {
      const node = nodes[index]
      if (matchesAffinity(scheduling, node)) affinity[index] = 1
      if (untolerated(scheduling.tolerations, node.taints) === undefined) taints[index] = 1
      if (affinity[index] === 1 && taints[index] === 1 && !isCordoned(scheduling, node)) candidates.push(index)
    }
    const score = this.score(scheduling, candidates)
    return { candidates: Int32Array.from(candidates), affinity, taints, ...(score === undefined ? {} : { score }) }
  }

  private score({ preferredTerms, tolerations }: Scheduling, candidates: readonly number[]): Float64Array | undefined {
    if (preferredTerms.length === 0 && !this.hasPreferences) return undefined
    const { nodes } = this.loads
    const wished = candidates.map((index) => preferredTerms.reduce((sum, { weight, term }) => sum + (matchesNodeTerms([term], nodes[index]) ? weight : 0), 0))
    const avoided = candidates.map(
      (index) => nodes[index].taints.filter((taint) => taint.effect === 'PreferNoSchedule' && !tolerations.some((one) => tolerates(one, taint))).length,
    )
    const [mostWished, mostAvoided] = [greatest(wished), greatest(avoided)]
    const score = new Float64Array(nodes.length)
    candidates.forEach((index, at) => {
      if (mostWished > 0) score[index] += (AFFINITY_WEIGHT * MAX_SCORE * wished[at]) / mostWished
      if (mostAvoided > 0) score[index] += TAINT_WEIGHT * MAX_SCORE * (1 - avoided[at] / mostAvoided)
    })
    return score
  }
}

function greatest(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), 0)
}

export function matchesAffinity({ nodeSelector, requiredTerms }: Scheduling, node: NodeReading): boolean {
  return matchesLabels(nodeSelector, node.labels) && (requiredTerms === undefined || matchesNodeTerms(requiredTerms, node))
}

export function isCordoned({ tolerations }: Scheduling, node: NodeReading): boolean {
  return node.unschedulable && !tolerations.some((toleration) => tolerates(toleration, UNSCHEDULABLE))
}

/** The nodes that every term calls by name; undefined where a term calls none (NodeAffinity.PreFilter of kube-scheduler does the same). */
function namedNodes(terms: readonly NodeSelectorTerm[] | undefined): readonly string[] | undefined {
  if (terms === undefined) return undefined
  const names = new Set<string>()
  for (const term of terms) {
    const named = term.matchFields?.find(({ key, operator }) => key === 'metadata.name' && operator === 'In')
    if (named === undefined) return undefined
    for (const name of named.values ?? []) names.add(name)
  }
  return [...names]
}

function keyOf({ nodeSelector, requiredTerms, preferredTerms, tolerations }: Scheduling): string {
  return JSON.stringify([nodeSelector, requiredTerms, preferredTerms, tolerations])
}
