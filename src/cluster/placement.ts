/**
 * Where pods without spec.nodeName run: kube-scheduler's filters and the weights of its default profile, and deterministic where it draws: of the
 * nodes that are liked best, the one with the fewest pods of the same owner, then the fewest pods, then the first by name.
 */
import type { Labels } from './labels.js'
import type { NodeReading } from './node.js'
import type { ClusterPod } from './pod.js'
import { Loads, ownerKey } from './scheduling/loads.js'
import { NodeFits, type NodeFit } from './scheduling/node-fit.js'
import { Obstacles } from './scheduling/obstacles.js'
import { PodCounts, type NamespaceLabels } from './scheduling/pod-counts.js'
import { hasWishesOfPods, scorePods } from './scheduling/pod-scores.js'

/** The pods in their order, each with `node`, or with `pending` where no node takes it. */
export function placePods(
  pods: readonly ClusterPod[],
  nodes: readonly NodeReading[],
  namespaces: readonly { readonly name: string; readonly labels: Labels }[] = [],
): ClusterPod[] {
  const waiting = pods.flatMap((pod, index) => (pod.node === undefined && !pod.terminated ? [index] : []))
  if (waiting.length === 0) return [...pods]
  const labels = new Map(namespaces.map((namespace) => [namespace.name, namespace.labels]))
  const scheduler = new Scheduler(nodes, (name) => labels.get(name) ?? { 'kubernetes.io/metadata.name': name })
  // the pods that have their place weigh first, wherever they stand in the input
  for (const pod of pods) if (!pod.terminated) scheduler.count(pod)
  const placed = [...pods]
  // those of a DaemonSet have one node each: what others leave would not do
  const isDaemon = (index: number): number => (pods[index].owner?.kind === 'DaemonSet' ? 0 : 1)
  for (const index of waiting.sort((a, b) => isDaemon(a) - isDaemon(b) || a - b)) placed[index] = scheduler.place(pods[index])
  return placed
}

class Scheduler {
  private readonly loads: Loads
  private readonly fits: NodeFits
  private readonly counts: PodCounts
  private readonly namespaceLabels: NamespaceLabels
  /** The last pod that found no node: until one is placed, its likes find none either. */
  private refused: { readonly pod: ClusterPod; readonly verdict: string } | undefined

  constructor(nodes: readonly NodeReading[], namespaceLabels: NamespaceLabels) {
    this.loads = new Loads(nodes)
    this.fits = new NodeFits(this.loads)
    this.counts = new PodCounts(this.loads, namespaceLabels)
    this.namespaceLabels = namespaceLabels
  }

  /** Nothing where its node is unknown. */
  count(pod: ClusterPod): void {
    const node = pod.node === undefined ? undefined : this.loads.indexOf.get(pod.node)
    if (node !== undefined) this.take(pod, node)
  }

  private take(pod: ClusterPod, node: number): void {
    this.loads.add(pod, node)
    this.counts.add(pod, node)
    this.refused = undefined
  }

  place(pod: ClusterPod): ClusterPod {
    if (this.refused !== undefined && isAlike(this.refused.pod, pod)) return { ...pod, pending: this.refused.verdict }
    const fit = this.fits.of(pod.scheduling)
    const obstacles = new Obstacles(pod, fit, { loads: this.loads, counts: this.counts, namespaceLabels: this.namespaceLabels })
    const node = this.choose(pod, fit, obstacles)
    if (node === undefined) {
      const verdict = obstacles.verdict()
      this.refused = { pod, verdict }
      return { ...pod, pending: verdict }
    }
    const placed = { ...pod, node: this.loads.nodes[node].name, placed: true }
    this.take(placed, node)
    return placed
  }

  private choose(pod: ClusterPod, fit: NodeFit, obstacles: Obstacles): number | undefined {
    if (!hasWishesOfPods(pod.scheduling)) return this.best(pod, fit.candidates, fit.score, obstacles)
    // what is liked is scaled between the nodes that can take the pod
    const feasible = fit.candidates.filter((node) => obstacles.at(node) === 0)
    return this.best(pod, feasible, scorePods(pod, feasible, { fit, counts: this.counts, namespaceLabels: this.namespaceLabels }), obstacles)
  }

  /** Whether a node can take the pod is asked only where it would be better than the best so far. */
  private best(pod: ClusterPod, nodes: Int32Array, score: Float64Array | undefined, obstacles: Obstacles): number | undefined {
    const owner = ownerKey(pod)
    const owned = owner === undefined ? undefined : this.loads.countsOf(owner)
    const { pods } = this.loads
    let best: number | undefined
    for (const node of nodes) {
      if (best !== undefined) {
        const difference =
          (score === undefined ? 0 : score[best] - score[node]) || (owned === undefined ? 0 : owned[node] - owned[best]) || pods[node] - pods[best]
        if (difference >= 0) continue
      }
      if (obstacles.at(node) === 0) best = node
    }
    return best
  }
}

/** Pods of one template ask the same of every node. */
function isAlike(a: ClusterPod, b: ClusterPod): boolean {
  return a.scheduling === b.scheduling && a.labels === b.labels && a.ports === b.ports && a.namespace === b.namespace
}
