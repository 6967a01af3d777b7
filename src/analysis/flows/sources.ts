/** Flows that nobody wrote down: every pair of pods, or pairs that chance draws. Flow by flow from its number alone. */
import { hashText, Prng } from '../../base/prng.js'
import type { Cluster } from '../../cluster/cluster.js'
import type { ClusterPod } from '../../cluster/pod.js'
import type { Network } from '../../network/network.js'
import type { Flow, FlowSource } from './flow.js'
import type { Pick } from './picks.js'

/** What each flow of a source is alike in. */
export type FlowShape = Omit<Flow, 'source' | 'destination'>

/** Pods with a network of their own, in the order of the cluster; and how many there are without. */
export function podsWithNetwork(network: Network): { readonly pods: readonly ClusterPod[]; readonly left: number } {
  const { cluster } = network
  const pods = cluster.pods.filter((pod) => hasNetwork(pod) && network.addressOf(pod) !== undefined)
  return { pods, left: cluster.pods.length - pods.length }
}

function hasNetwork({ terminated, pending, node, hostNetwork }: ClusterPod): boolean {
  return !terminated && pending === undefined && node !== undefined && !hostNetwork
}

/** A namespace may be called as a kind of end is: then the kind is written too. */
const KINDS: readonly string[] = ['pod', 'svc', 'service', 'node', 'host', 'router']

export function nameOf({ namespace, name }: Cluster['pods'][number]): string {
  return KINDS.includes(namespace) ? `pod/${namespace}/${name}` : `${namespace}/${name}`
}

/** Each pod to each other, in the order of the cluster. */
export function allPairs(pods: readonly ClusterPod[], shape: FlowShape): FlowSource {
  const others = pods.length - 1
  return {
    count: pods.length * Math.max(0, others),
    flow(index) {
      const from = Math.floor(index / others)
      const to = index % others
      return { ...shape, source: nameOf(pods[from]), destination: nameOf(pods[to < from ? to : to + 1]) }
    },
  }
}

/**
 * So many pairs of different pods: the source as likely as any other; the destination too, or zipf: of pods in an order that the seed draws, the one at
 * place k is spoken to with a likelihood in proportion to 1/k.
 */
export function randomPairs(
  pods: readonly ClusterPod[],
  options: { readonly count: number; readonly seed: number; readonly pick: Pick },
  shape: FlowShape,
): FlowSource {
  const { count, seed, pick } = options
  const ranks = pick === 'zipf' ? zipf(pods.length) : undefined
  const order = pick === 'zipf' ? shuffled(pods, new Prng(seed ^ hashText('flows order'))) : pods
  return {
    count: pods.length < 2 ? 0 : count,
    flow(index) {
      const prng = new Prng(seed ^ hashText(`flow ${index}`))
      const source = pods[prng.below(pods.length)]
      let destination = source
      while (destination === source) destination = order[ranks === undefined ? prng.below(order.length) : rankOf(ranks, prng)]
      return { ...shape, source: nameOf(source), destination: nameOf(destination) }
    },
  }
}

/** Whole numbers, so that every machine draws the same: by place, what the likelihoods of it and all before it sum up to. */
const ZIPF_UNIT = 2 ** 20

function zipf(length: number): Float64Array {
  const sums = new Float64Array(length)
  let sum = 0
  for (let place = 0; place < length; place++) {
    sum += Math.max(1, Math.round(ZIPF_UNIT / (place + 1)))
    sums[place] = sum
  }
  return sums
}

function rankOf(sums: Float64Array, prng: Prng): number {
  const drawn = prng.below(sums[sums.length - 1])
  let low = 0
  let high = sums.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if (sums[middle] > drawn) high = middle
    else low = middle + 1
  }
  return low
}

/** Fisher and Yates. */
function shuffled<Item>(items: readonly Item[], prng: Prng): readonly Item[] {
  const order = [...items]
  for (let i = order.length - 1; i > 0; i--) {
    const j = prng.below(i + 1)
    ;[order[i], order[j]] = [order[j], order[i]]
  }
  return order
}

/** `part` of `parts`, from 0: flows that follow one another. */
export function rangeOf(count: number, part: number, parts: number): { readonly from: number; readonly to: number } {
  return { from: Math.floor((count * part) / parts), to: Math.floor((count * (part + 1)) / parts) }
}
