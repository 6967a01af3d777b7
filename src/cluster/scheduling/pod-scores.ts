/**
 * How much a pod likes each node for the pods that run there: preferred (anti-)affinity and ScheduleAnyway spread, with the weights of the
 * default scheduler profile. After the Score and NormalizeScore of interpodaffinity and podtopologyspread.
 */
import type { Scheduling } from '../pod-scheduling.js'
import type { ClusterPod } from '../pod.js'
import type { NodeFit } from './node-fit.js'
import { matchOfConstraint, matchOfTerm, type Domains, type NamespaceLabels, type PodCounts } from './pod-counts.js'

const MAX_SCORE = 100
const WEIGHT = 2

export function hasWishesOfPods({ preferredPods, spread }: Scheduling): boolean {
  return preferredPods.length > 0 || spread.some(({ required }) => !required)
}

/** By node, its wishes of nodes included; only the nodes given are comparable. */
export function scorePods(
  pod: ClusterPod,
  feasible: Int32Array,
  { fit, counts, namespaceLabels }: { readonly fit: NodeFit; readonly counts: PodCounts; readonly namespaceLabels: NamespaceLabels },
): Float64Array {
  const { preferredPods, spread } = pod.scheduling
  const soft = spread.filter(({ required }) => !required)
  const score = fit.score === undefined ? new Float64Array(fit.affinity.length) : fit.score.slice()
  const liked = new Float64Array(score.length)
  for (const { weight, term } of preferredPods) {
    const domains = counts.domainsOf(term.topologyKey)
    const sums = counts.byDomain(counts.counterOf(matchOfTerm(term, pod, namespaceLabels)).counts, domains)
    for (const node of feasible) if (domains.of[node] >= 0) liked[node] += weight * sums[domains.of[node]]
  }
  addScaled(score, liked, feasible)
  const crowded = new Float64Array(score.length)
  for (const constraint of soft) {
    const domains = counts.domainsOf(constraint.topologyKey)
    const sums = counts.byDomain(counts.counterOf(matchOfConstraint(constraint, pod)).counts, domains)
    const weight = Math.log(domainsAmong(feasible, domains) + 2)
    // a node without the label is the worst there is
    for (const node of feasible) crowded[node] -= domains.of[node] < 0 ? Number.MAX_SAFE_INTEGER : sums[domains.of[node]] * weight + constraint.maxSkew - 1
  }
  addScaled(score, crowded, feasible)
  return score
}

function domainsAmong(nodes: Int32Array, { of, count }: Domains): number {
  const seen = new Uint8Array(count)
  let distinct = 0
  for (const node of nodes) {
    if (of[node] < 0 || seen[of[node]] === 1) continue
    seen[of[node]] = 1
    distinct++
  }
  return distinct
}

/** Onto 0 … 100, times the weight; nothing when all are the same. */
function addScaled(score: Float64Array, values: Float64Array, feasible: Int32Array): void {
  let [least, most] = [Infinity, -Infinity]
  for (const node of feasible) {
    least = Math.min(least, values[node])
    most = Math.max(most, values[node])
  }
  if (most <= least) return
  for (const node of feasible) score[node] += (WEIGHT * MAX_SCORE * (values[node] - least)) / (most - least)
}
