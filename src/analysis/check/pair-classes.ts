/**
 * Who asks whom. Pods that no rule can tell apart are one class: those of a node, where policies are of one namespace and with one set of labels, that
 * the same prefixes of what people wrote by hand take in. One packet between two classes stands for all pairs of their pods. Where there are more
 * pairs of classes than a check may ask, each class asks some on its own node, on its segment and beyond, all over the cluster, and always the same.
 */
import { contains, parseCidr, type Cidr } from '../../base/cidr.js'
import type { Cluster } from '../../cluster/cluster.js'
import type { ClusterPod } from '../../cluster/pod.js'
import type { Network } from '../../network/network.js'

export interface PodClass {
  readonly node: string
  readonly segment: string
  readonly pods: readonly ClusterPod[]
}

export interface ClassPair<From, To> {
  readonly from: From
  readonly to: To
  /** Of pods, or of a node and a pod, that it stands for. */
  readonly pairs: number
}

export interface Chosen<From, To> {
  readonly asked: readonly ClassPair<From, To>[]
  /** Of all. */
  readonly of: number
  readonly pairs: number
}

/** Of the pods that have a network of their own; few of their nodes need be rendered for it. */
export function podClasses(network: Network): readonly PodClass[] {
  const { cluster } = network
  const policies = hasPolicies(network)
  const prefixes = writtenPrefixes(cluster)
  const classes = new Map<string, ClusterPod[]>()
  for (const pod of cluster.pods) {
    if (pod.hostNetwork || pod.terminated || pod.node === undefined || !cluster.nodeByName.has(pod.node)) continue
    const address = prefixes.length === 0 ? undefined : network.podPlan(pod.namespace, pod.name)?.address
    const shared = pod.address !== undefined && (cluster.podsByAddress.get(pod.address)?.length ?? 0) > 1
    const key = JSON.stringify([
      pod.node,
      policies ? [pod.namespace, Object.entries(pod.labels).sort(([a], [b]) => (a < b ? -1 : 1))] : [],
      address === undefined ? [] : prefixes.flatMap((prefix, index) => (contains(prefix, address) ? [index] : [])),
      shared ? podName(pod) : '',
    ])
    const members = classes.get(key)
    if (members === undefined) classes.set(key, [pod])
    else members.push(pod)
  }
  return [...classes.values()].map((pods) => {
    const node = pods[0].node ?? ''
    return { node, segment: cluster.nodeByName.get(node)?.segment ?? '', pods }
  })
}

/** Felix has rules that tell pods apart by more than their address. */
function hasPolicies({ cluster, calico }: Network): boolean {
  return calico !== undefined && (cluster.networkPolicies.length > 0 || calico.book().policies.size > 0)
}

/** Addresses and prefixes in the commands of owners: what tells pods of a node apart where no policy does. */
function writtenPrefixes({ hosts, routers }: Cluster): readonly Cidr[] {
  const commands = [
    ...hosts.flatMap(({ iptables, ip, ipset, bridge }) => [...iptables, ...ip, ...ipset, ...bridge]),
    ...routers.flatMap(({ routes, iptables }) => [...routes, ...iptables]),
  ]
  const found = new Map<string, Cidr>()
  for (const { text } of commands) {
    for (const [word] of text.matchAll(/\b\d{1,3}(?:\.\d{1,3}){3}(?:\/\d{1,2})?/g)) {
      const prefix = parseCidr(word.includes('/') ? word : `${word}/32`)
      if (typeof prefix !== 'string') found.set(word, prefix)
    }
  }
  return [...found.values()]
}

export function podName({ namespace, name }: Pick<ClusterPod, 'namespace' | 'name'>): string {
  return `${namespace}/${name}`
}

/** Ordered pairs of classes; a class of several pods with itself. @param most how many may be asked */
export function podPairs(classes: readonly PodClass[], most: number): Chosen<ClusterPod, ClusterPod> {
  const pods = classes.reduce((sum, one) => sum + one.pods.length, 0)
  const alone = classes.filter((one) => one.pods.length < 2).length
  const asked = chooseIndexes(classes, classes, most).flatMap(([from, to]) => {
    const [a, b] = [classes[from], classes[to]]
    if (from !== to) return [{ from: a.pods[0], to: b.pods[0], pairs: a.pods.length * b.pods.length }]
    return a.pods.length < 2 ? [] : [{ from: a.pods[0], to: a.pods[1], pairs: a.pods.length * (a.pods.length - 1) }]
  })
  return { asked, of: classes.length ** 2 - alone, pairs: pods * (pods - 1) }
}

/** Each node and each class of pods, the node's own among them. */
export function nodePairs(network: Network, classes: readonly PodClass[], most: number): Chosen<string, ClusterPod> {
  const nodes = network.cluster.nodes.map(({ name, segment }) => ({ node: name, segment }))
  const pods = classes.reduce((sum, one) => sum + one.pods.length, 0)
  const asked = chooseIndexes(nodes, classes, most).map(([from, to]) => ({ from: nodes[from].node, to: classes[to].pods[0], pairs: classes[to].pods.length }))
  return { asked, of: nodes.length * classes.length, pairs: nodes.length * pods }
}

type Placed = Pick<PodClass, 'node' | 'segment'>

const RELATIONS = ['one node', 'one segment', 'routed'] as const

function relationOf(from: Placed, to: Placed): (typeof RELATIONS)[number] {
  if (from.node === to.node) return 'one node'
  return from.segment === to.segment ? 'one segment' : 'routed'
}

/** All where they are few; else from each one (where even that is too much from each so-manieth) some of each relation, all over the list. */
function chooseIndexes(froms: readonly Placed[], tos: readonly Placed[], most: number): (readonly [number, number])[] {
  const chosen: (readonly [number, number])[] = []
  if (froms.length * tos.length <= most) {
    froms.forEach((_, from) => tos.forEach((__, to) => chosen.push([from, to])))
    return chosen
  }
  const relations = relationsAmong(tos)
  const stride = Math.max(1, Math.ceil((froms.length * relations.length) / most))
  const each = Math.max(1, Math.floor(most / (Math.ceil(froms.length / stride) * relations.length)))
  const hop = farHop(tos.length)
  for (let from = 0; from < froms.length; from += stride) {
    // each starts elsewhere, so that everyone is asked as well
    const start = Math.floor((from * tos.length) / froms.length)
    for (const relation of relations) {
      let taken = 0
      for (let step = 1; taken < each && step <= tos.length; step++) {
        const to = (start + step * hop) % tos.length
        if (relationOf(froms[from], tos[to]) !== relation) continue
        chosen.push([from, to])
        taken++
      }
    }
  }
  return chosen
}

/** Steps of about 0.618 of the length, which meet everyone once: neighbours in the list are of one node, and of one kind. */
function farHop(length: number): number {
  let hop = Math.max(1, Math.round(length * 0.618))
  while (greatestDivisor(hop, length) > 1) hop++
  return hop
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b)
}

function relationsAmong(all: readonly Placed[]): readonly (typeof RELATIONS)[number][] {
  const segments = new Map<string, Set<string>>()
  for (const { node, segment } of all) segments.set(segment, (segments.get(segment) ?? new Set<string>()).add(node))
  const near = [...segments.values()].some((nodes) => nodes.size > 1)
  return RELATIONS.filter((relation) => relation === 'one node' || (relation === 'routed' ? segments.size > 1 : near))
}

/** One pair of each relation, of those that were chosen. */
export function samples(pairs: readonly ClassPair<ClusterPod, ClusterPod>[], cluster: Cluster): readonly ClassPair<ClusterPod, ClusterPod>[] {
  const found = new Map<string, ClassPair<ClusterPod, ClusterPod>>()
  for (const pair of pairs) {
    const relation = relationOf(placeOf(pair.from, cluster), placeOf(pair.to, cluster))
    if (!found.has(relation)) found.set(relation, pair)
  }
  return [...found.values()]
}

function placeOf({ node = '' }: ClusterPod, cluster: Cluster): Placed {
  return { node, segment: cluster.nodeByName.get(node)?.segment ?? '' }
}
