/** Moments of a run without a run: versions of a cluster from texts, and states in which every agent has come as far as a test says. */
import { formatProblem, hasErrors } from '../../../src/base/problem.js'
import type { Network } from '../../../src/network/network.js'
import { CALICO_AGENTS } from '../../../src/network/calico-agents.js'
import { buildCluster } from '../../../src/cluster/cluster.js'
import type { Cluster } from '../../../src/cluster/cluster.js'
import type { Input } from '../../../src/cluster/manifest.js'
import { compositionOf, composeNetwork } from '../../../src/network/network.js'
import { PlanBook } from '../../../src/network/time/network-at.js'
import { WHOLE_CABLE, type ClusterVersion, type NetworkState, type NodeState, type UnderlayState } from '../../../src/network/time/network-state.js'

export const SEED = 1

export function clusterOf(inputs: readonly Input[] | string): Cluster {
  const { cluster, problems } = buildCluster(typeof inputs === 'string' ? [{ file: 'test.yaml', text: inputs }] : inputs)
  if (typeof inputs === 'string' && hasErrors(problems)) throw new Error(problems.map(formatProblem).join('\n'))
  return cluster
}

/** Rendered at once. */
export function steadyOf(cluster: Cluster): Network {
  return composeNetwork(cluster, { seed: SEED, calico: CALICO_AGENTS }).network
}

export interface Moments {
  readonly book: PlanBook
  /** Everybody at rest on version 0. */
  readonly state: NetworkState
  /** Put together at once, of version 0. */
  readonly steady: Network
}

export const UNTOUCHED: UnderlayState = { mtus: new Map(), firewalls: new Map(), cables: new Map(), bird: new Map() }

/** @param clusters version by version */
export function momentsOf(...clusters: readonly Cluster[]): Moments {
  const versions = clusters.map((cluster, number): ClusterVersion => ({ number, atNs: number * 1e9, cluster, problems: [] }))
  const book = new PlanBook({ versions, seed: SEED, calico: CALICO_AGENTS })
  const steady = steadyOf(clusters[0])
  const { flannel } = compositionOf(clusters[0], { seed: SEED, calico: CALICO_AGENTS }).agents
  const nodes = clusters[0].nodes.map(({ name }): [string, NodeState] => {
    const [view, bird] = [flannel?.view(name), steady.bgp?.routes.get(name)]
    const agents = { pods: 0, felix: 0, kubeProxy: 0, flanneldRuns: view !== undefined }
    return [name, { power: true, ...agents, ...(view === undefined ? {} : { flannel: view }), ...(bird === undefined ? {} : { bird }), cable: WHOLE_CABLE }]
  })
  const bird = new Map([...(steady.bgp?.routes ?? [])].filter(([name]) => name.startsWith('router/')))
  return { book, steady, state: { atNs: 0, version: 0, nodes: new Map(nodes), underlay: { ...UNTOUCHED, bird }, diaryLength: 0, causes: [] } }
}

/** The state with some nodes changed. */
export function withNodes(state: NetworkState, changes: Readonly<Record<string, Partial<NodeState>>>, rest: Partial<NetworkState> = {}): NetworkState {
  const nodes = new Map(state.nodes)
  for (const [name, change] of Object.entries(changes)) nodes.set(name, { ...(nodes.get(name) as NodeState), ...change })
  return { ...state, ...rest, nodes }
}
