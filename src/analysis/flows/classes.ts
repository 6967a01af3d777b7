/**
 * Every pair of pods by one of its kind: pods that the network treats alike are a class, and of each two classes one packet on one node, one between two
 * nodes stands for all. What tells pods and nodes apart errs on the side of telling them apart: a node that anything but its own object names is alone, and
 * with leases in an etcd each is.
 *
 *   Network ─▶ policy/reach/end-classes.ts: what policies see ─▶ pods by that, their sockets, their place ─▶ FlowSource of representatives with their counts
 */
import { contains, formatCidr } from '../../base/cidr.js'
import { formatIp } from '../../base/ip.js'
import type { Cluster } from '../../cluster/cluster.js'
import { valueAt, type JsonValue } from '../../cluster/located.js'
import { readClassic } from '../../cluster/calico/read-classic.js'
import type { ClusterNode } from '../../cluster/node.js'
import type { ClusterPod } from '../../cluster/pod.js'
import { policyStateOf } from '../../cluster/policy-state.js'
import { ProblemList } from '../../cluster/problem-list.js'
import type { Network } from '../../network/network.js'
import { decidesAboutPackets } from '../../policy/dialects/classic.js'
import { EndClasses } from '../../policy/reach/end-classes.js'
import { policyWorld, switchesFor } from '../../policy/world.js'
import type { Flow, FlowSource } from './flow.js'
import { nameOf, podsWithNetwork, type FlowShape } from './sources.js'

/** How classes were made, for whoever reads the answer. */
export interface ClassCounts {
  /** Classes of nodes, and how many of them are one node. */
  readonly nodes: number
  readonly aloneNodes: number
  /** Of pods, their nodes' class included. */
  readonly pods: number
  /** Packets that are walked first of all, and pairs that they stand for. */
  readonly walked: number
  readonly pairs: number
}

export interface ClassSource extends FlowSource {
  readonly counts: ClassCounts
}

/** Pods of one class, by their nodes, which are of one class too. */
type PodClass = Map<string, ClusterPod[]>

interface Pair {
  readonly from: ClusterPod
  readonly to: ClusterPod
  readonly pairs: number
}

/** Kinds that name every node or pod and say nothing of how packets go, or whose part is looked at elsewhere. */
const SAY_NOTHING: ReadonlySet<string> = new Set([
  'Node',
  'Pod',
  'Endpoints',
  'EndpointSlice',
  'Lease',
  'Event',
  'CSINode',
  'VolumeAttachment',
  'Service',
  'Secret',
])
/** Of an annotation of Calico's: what the pod has, written down once more. */
const POD_NOTES =
  /^(cni\.projectcalico\.org\/(containerID|podIPs?)|k8s\.v1\.cni\.cncf\.io\/network-status|kubectl\.kubernetes\.io\/last-applied-configuration)$/

/** A name, an address, a network. */
const WORD = /[\w.-]+(?:\/\d+)?/g

export function classPairs(network: Network, shape: FlowShape): ClassSource {
  const { pods } = podsWithNetwork(network)
  const nodeKeys = keysOfNodes(network.cluster)
  const classes = classesOf(network, pods, nodeKeys)
  const pairs = classes.flatMap((from) => classes.flatMap((to) => pairsOf(from, to)))
  const sizes = new Map<string, number>()
  for (const key of nodeKeys.values()) sizes.set(key, (sizes.get(key) ?? 0) + 1)
  return {
    count: pairs.length,
    flow: (index): Flow => {
      const { from, to, pairs: count } = pairs[index]
      return { ...shape, source: nameOf(from), destination: nameOf(to), pairs: count }
    },
    counts: {
      nodes: sizes.size,
      aloneNodes: [...sizes.values()].filter((size) => size === 1).length,
      pods: classes.length,
      walked: pairs.length,
      pairs: pairs.reduce((sum, one) => sum + one.pairs, 0),
    },
  }
}

function classesOf(network: Network, pods: readonly ClusterPod[], nodeKeys: ReadonlyMap<string, string>): readonly PodClass[] {
  const seen = policyKeys(network.cluster)
  const found = new Map<string, PodClass>()
  for (const pod of pods) {
    const node = pod.node ?? ''
    const key = JSON.stringify([nodeKeys.get(node), seen(pod), podKey(network, pod)])
    const known: PodClass = found.get(key) ?? new Map<string, ClusterPod[]>()
    found.set(key, known)
    const there = known.get(node)
    if (there === undefined) known.set(node, [pod])
    else there.push(pod)
  }
  return [...found.values()]
}

/** One pair on one node, one between two, where there are such. */
function pairsOf(from: PodClass, to: PodClass): Pair[] {
  const isSame = from === to
  let [near, all] = [0, 0]
  let nearPair: Omit<Pair, 'pairs'> | undefined
  let farPair: Omit<Pair, 'pairs'> | undefined
  const total = [...to.values()].reduce((sum, { length }) => sum + length, 0)
  for (const [node, sources] of from) {
    const there = to.get(node) ?? []
    near += isSame ? sources.length * (sources.length - 1) : sources.length * there.length
    all += sources.length * total - (isSame ? sources.length : 0)
    const beside = there.find((pod) => pod !== sources[0])
    if (nearPair === undefined && beside !== undefined) nearPair = { from: sources[0], to: beside }
    if (farPair === undefined) {
      const other = [...to.keys()].find((name) => name !== node)
      if (other !== undefined) farPair = { from: sources[0], to: (to.get(other) as ClusterPod[])[0] }
    }
  }
  return [...(nearPair === undefined ? [] : [{ ...nearPair, pairs: near }]), ...(farPair === undefined ? [] : [{ ...farPair, pairs: all - near }])]
}

/**
 * The class that policies have the pod in; pods that no policy world has are by themselves, and so are all that Calico's classic model decides about, which
 * no policy world holds. Where nobody enforces policies all are alike.
 */
function policyKeys({ objects, beside, etcd }: Cluster): (pod: ClusterPod) => string {
  const { state } = policyStateOf({ objects, complete: beside.complete })
  const alone = ({ namespace, name }: ClusterPod): string => `${namespace}/${name}`
  const classic = readClassic(objects, etcd, new ProblemList())
  if (classic !== undefined && decidesAboutPackets(classic)) return alone
  if (state.engine.kind === 'none') return () => ''
  const keys = new Map<string, string>()
  for (const { id, ends } of new EndClasses(policyWorld(state, switchesFor('calico')), [], []).all)
    for (const end of ends) if (end.kind === 'pod') keys.set(`${end.namespace}/${end.name}`, String(id))
  return (pod) => keys.get(alone(pod)) ?? alone(pod)
}

/** What else of a pod changes what becomes of packets: who listens, where its address is from. */
function podKey(network: Network, pod: ClusterPod): unknown {
  const { cluster } = network
  const key = `${pod.namespace}/${pod.name}`
  const address = network.addressOf(pod)
  const node = cluster.nodeByName.get(pod.node ?? '')
  const isAlone = address === undefined || (cluster.podsByAddress.get(address)?.length ?? 0) > 1 || isPinned(cluster, key)
  const notes = Object.entries(pod.annotations).filter(([name]) => !POD_NOTES.test(name))
  const template = pod.object.value
  return [
    isAlone ? key : '',
    address !== undefined && node?.podCIDR !== undefined && contains(node.podCIDR, address),
    pod.ports.map(({ line: _, ...port }) => port),
    pod.phase,
    pod.terminating,
    notes.sort(([a], [b]) => (a < b ? -1 : 1)),
    valueAt(template, ['spec', 'securityContext']) ?? valueAt(template, ['spec', 'template', 'spec', 'securityContext']) ?? null,
  ]
}

function isPinned({ pins }: Cluster, key: string): boolean {
  return [...pins.macs.keys(), ...pins.devices.keys()].some((name) => name.startsWith(`${key}/`))
}

/** Node → what its class is called. */
function keysOfNodes(cluster: Cluster): ReadonlyMap<string, string> {
  const named = cluster.etcd.length > 0 || cluster.beside.given.etcd !== undefined ? new Set(cluster.nodes.map(({ name }) => name)) : namedNodes(cluster)
  return new Map(cluster.nodes.map((node) => [node.name, named.has(node.name) ? node.name : JSON.stringify(nodeKey(node))]))
}

/** Nodes of which an object speaks by name or address, of which the underlay is told something, or which have something that another has too. */
function namedNodes(cluster: Cluster): ReadonlySet<string> {
  const byWord = new Map<string, string[]>()
  for (const { name, address, podCIDR, flannel } of cluster.nodes) {
    const own = [name, formatIp(address), ...(podCIDR === undefined ? [] : [formatCidr(podCIDR)])]
    const vtep = /"VtepMAC": *"([^"]+)"/.exec(flannel?.backendData ?? '')?.[1]
    for (const word of [...own, ...(vtep === undefined ? [] : [vtep.toLowerCase()])]) byWord.set(word, [...(byWord.get(word) ?? []), name])
  }
  const found = new Set<string>([...byWord.values()].filter(({ length }) => length > 1).flat())
  const note = (value: JsonValue): void => {
    for (const [word] of JSON.stringify(value).matchAll(WORD))
      for (const one of [word, word.split('/')[0]]) for (const name of byWord.get(one) ?? []) found.add(name)
  }
  for (const { kind, value } of cluster.objects) if (!SAY_NOTHING.has(kind)) note(value)
  for (const key of cluster.pins.macs.keys()) note(key)
  for (const { node } of cluster.hosts) found.add(node)
  return found
}

/** What a node's object says of it, its own name and addresses aside. */
function nodeKey({ name, address, podCIDR, labels, annotations, flannel, ...node }: ClusterNode): unknown {
  const own = new Set([name, formatIp(address), ...(podCIDR === undefined ? [] : [formatCidr(podCIDR)])])
  const plain = (text: string): string => text.replace(WORD, (word) => (own.has(word) ? '·' : own.has(word.split('/')[0]) ? `·/${word.split('/')[1]}` : word))
  const words = (of: Readonly<Record<string, string>>): unknown =>
    Object.entries(of)
      .filter(([key]) => !key.endsWith('/backend-data'))
      .map(([key, text]) => [key, plain(text)])
      .sort(([a], [b]) => (a < b ? -1 : 1))
  const data = flannel?.backendData?.replace(/("VtepMAC": *")[^"]+/, '$1·')
  return [
    [node.segment, node.prefixLength, node.mtu, podCIDR?.length, node.podCIDRAssumed, node.unschedulable, node.taints.length],
    words(labels),
    words(annotations),
    data ?? null,
    readiness(valueAt(node.object.value, ['status', 'conditions'])),
  ]
}

function readiness(conditions: JsonValue | undefined): unknown {
  return Array.isArray(conditions) ? conditions.map((one: JsonValue) => [valueAt(one, ['type']), valueAt(one, ['status'])]) : null
}
