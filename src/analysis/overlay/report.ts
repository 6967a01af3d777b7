/** A network's nodes and segments → the same question asked of every backend there. */
import { cidr, overlaps, type Cidr } from '../../base/cidr.js'
import { ip } from '../../base/ip.js'
import { assert } from '../../base/assert.js'
import { hasErrors, formatProblem } from '../../base/problem.js'
import { buildCluster, type Cluster } from '../../cluster/cluster.js'
import { buildNetwork } from '../../network/build-network.js'
import type { Network } from '../../network/network.js'
import { OVERLAY_BACKENDS, podOf, type Ground, type GroundNode } from './backends.js'
import { COSTS, type CostConstant, type CostName } from './cost-model.js'
import type { BackendDocument, OverlayReport, WayDocument } from './document.js'
import { FRAMING, measureWay } from './measure.js'
import { BACKEND_IDS, type BackendId } from './names.js'

/** IP packets: the sizes that published measurements use, and what Ethernet and jumbo frames carry. */
export const DEFAULT_SIZES: readonly number[] = [64, 128, 256, 512, 1024, 1280, 1400, 1500, 4000, 9000]

export interface OverlayQuestion {
  readonly sizes: readonly number[]
  /** Ids; empty: all. */
  readonly backends: readonly BackendId[]
  readonly costs: Partial<Readonly<Record<CostName, number>>>
  /** bit/s; absent: the segments' own. */
  readonly rate?: number
  readonly seed: number
}

/** A text: why there is nothing to measure. */
export function overlayReport(cluster: Cluster, question: OverlayQuestion): Omit<OverlayReport, 'metadata'> | string {
  const segments = question.rate === undefined ? cluster.segments : cluster.segments.map((segment) => ({ ...segment, rate: question.rate ?? segment.rate }))
  const ways = waysOf(cluster.nodes, segments)
  if (ways.length === 0) return 'a way between nodes needs two of them'
  const ground = groundOf(cluster.nodes, segments, ways)
  const costs = costsOf(question)
  const wanted = BACKEND_IDS.filter((id) => question.backends.length === 0 || question.backends.includes(id))
  return {
    apiVersion: 'netsim/v1',
    kind: 'OverlayCost',
    ways: ways.map(({ way }) => way),
    sizes: question.sizes,
    backends: wanted.map((id) => measureBackend(id, { ground, ways, costs, question })),
    costs,
    framing: { bytes: FRAMING, of: 'each frame: preamble, frame check sequence and gap (IEEE 802.3)' },
    notes: notesOf(cluster),
  }
}

/** The network in which a backend is measured on a cluster's nodes, and the ways measured there: for who holds the figures against a kernel. */
export function backendNetwork(cluster: Cluster, id: BackendId, seed: number): { readonly network: Network; readonly ways: readonly WayDocument[] } {
  const ways = waysOf(cluster.nodes, cluster.segments)
  return { network: overlayNetwork(id, groundOf(cluster.nodes, cluster.segments, ways), seed), ways: ways.map(({ way }) => way) }
}

interface GroundWay {
  readonly way: WayDocument
  readonly from: GroundNode
  readonly to: GroundNode
}

/** The first pair of nodes on one segment, and the first that is on two. */
function waysOf(nodes: Cluster['nodes'], segments: Ground['segments']): readonly GroundWay[] {
  const of = (name: WayDocument['name'], isWanted: (a: string, b: string) => boolean): GroundWay[] => {
    for (const from of nodes) {
      const to = nodes.find((other) => other !== from && isWanted(from.segment, other.segment))
      if (to === undefined) continue
      const crossed = segments.filter((segment) => segment.name === from.segment || segment.name === to.segment)
      const mtu = Math.min(from.mtu, to.mtu, ...crossed.map((segment) => segment.mtu))
      return [{ way: { name, from: from.name, to: to.name, rate: Math.min(...crossed.map((segment) => segment.rate)), mtu }, from, to }]
    }
    return []
  }
  return [...of('one segment', (a, b) => a === b), ...of('through the router', (a, b) => a !== b)]
}

function groundOf(nodes: readonly GroundNode[], segments: Ground['segments'], ways: readonly GroundWay[]): Ground {
  const wanted = new Set(ways.flatMap(({ from, to }) => [from.name, to.name]))
  const own = segments.map(({ cidr: prefix }) => prefix)
  return { nodes: nodes.filter(({ name }) => wanted.has(name)), segments, pods: freePrefix(own) }
}

/** flannel's and kubeadm's usual one where nothing is in the way. */
function freePrefix(taken: readonly Cidr[]): Cidr {
  const tried = [244, ...Array.from({ length: 256 }, (_, second) => second)].map((second) => cidr(ip(`10.${second}.0.0`), 16))
  const found = tried.find((prefix) => !taken.some((other) => overlaps(prefix, other)))
  return found ?? cidr(ip('172.30.0.0'), 16)
}

function costsOf({ costs }: OverlayQuestion): Readonly<Record<CostName, CostConstant>> {
  const entries = Object.entries(COSTS).map(([name, constant]) => {
    const ns = costs[name as CostName]
    return [name, ns === undefined ? constant : { ...constant, ns, source: 'as asked', assumed: false }]
  })
  return Object.fromEntries(entries) as Record<CostName, CostConstant>
}

interface Common {
  readonly ground: Ground
  readonly ways: readonly GroundWay[]
  readonly costs: Readonly<Record<CostName, CostConstant>>
  readonly question: OverlayQuestion
}

function measureBackend(id: BackendId, { ground, ways, costs, question }: Common): BackendDocument {
  const { sizes, seed } = question
  const network = overlayNetwork(id, ground, seed)
  const measured = ways.map(({ way, from, to }) => measureWay({ network, way, from: podOf(from), to: podOf(to), sizes, costs, seed }))
  return { id, label: OVERLAY_BACKENDS[id].label, ways: measured }
}

/** Nothing in the manifests can be wrong but by a fault of netsim's own. */
export function overlayNetwork(id: BackendId, ground: Ground, seed: number): Network {
  const text = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: OVERLAY_BACKENDS[id].objects(ground) })
  const { cluster, problems } = buildCluster([{ file: id, text }])
  const errors = problems.filter((problem) => hasErrors([problem]))
  assert(errors.length === 0, `the manifests of ${id} are wrong: ${errors.map(formatProblem).join('; ')}`)
  return buildNetwork(cluster, { seed }).network
}

function notesOf({ hosts, routers, nodes }: Cluster): readonly string[] {
  const notes = ['measured on the nodes, cards and segments of the cluster, with one pod on each node; its policies, Services and pods are left out']
  if (hosts.length > 0) notes.push("what the hosts' owners set by hand is left out")
  if (routers.some(({ implicit }) => !implicit))
    notes.push('a plain router joins the segments in place of the routers of the cluster, their routes and their rules')
  if (nodes.some(({ mtu }) => mtu !== nodes[0].mtu)) notes.push('cards of unlike MTU: each backend takes the MTU of its own node')
  return notes
}
