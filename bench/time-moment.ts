/**
 * A moment of a run at scale (network/time/network-at.ts): flannel with vxlan on so many nodes brought to rest, a node that dies, its lease that runs out;
 * then the network as it is at a moment, built, and a first packet between two pods in it.
 */
import type { Cluster } from '../src/cluster/cluster.js'
import { networkAt } from '../src/network/time/network-at.js'
import { stateAt } from '../src/network/time/network-state.js'
import { runControlPlane, type Run } from '../src/network/time/control-plane.js'
import { DEFAULT_REQUEST } from '../src/network/request.js'
import { vxlanCluster } from './time-flannel.js'
import { timed, type TimeCase, type TimeCounts } from './time-table.js'

const SIZES = [500, 1000, 2000, 5000]
const HOUR = 3600e9
const SHORT = { 'flannel.leaseTTL': 2 * HOUR, 'flannel.renewMargin': HOUR }

function clusterWithPods(count: number): Cluster {
  const pods = [0, count - 1].map((node) => `apiVersion: v1\nkind: Pod\nmetadata: {name: p${node}}\nspec: {nodeName: n${node}}`)
  return vxlanCluster(count, pods)
}

function runOf(cluster: Cluster): Run {
  const place = { file: 'bench.yaml', line: 0 }
  const died = { ...place, atNs: 10e9, what: 'node n1 goes down', action: { kind: 'node', node: 'n1', state: 'down' } } as const
  const scenario = { ...place, name: 'bench', start: 'converged', untilNs: 3 * HOUR, delays: SHORT, events: [died], probes: [] } as const
  return runControlPlane({ cluster, scenario, seed: 1, namespace: 'default' })
}

function firstTrace(run: Run, count: number, atNs: number): void {
  const network = networkAt(run.book, stateAt(run.states, atNs))
  const outcome = network.trace({ ...DEFAULT_REQUEST, source: 'p0', destination: `p${count - 1}` })
  if (!('disposition' in outcome) || outcome.disposition !== 'DELIVERED') throw new Error('the packet is not delivered')
}

function measureMoment(count: number, atNs: number): TimeCounts {
  const run = runOf(clusterWithPods(count))
  const { cpuSeconds } = timed(() => firstTrace(run, count, atNs))
  return { cpuSeconds, sessions: run.flannel?.leases.length }
}

function measureRun(count: number): TimeCounts {
  const cluster = clusterWithPods(count)
  const { result, cpuSeconds } = timed(() => runOf(cluster))
  return { cpuSeconds, sessions: result.flannel?.leases.length, events: result.flannel?.watchEvents, virtualSeconds: result.untilNs / 1e9 }
}

export const timeCases: readonly TimeCase[] = SIZES.flatMap((size) => [
  { scenario: 'flannel vxlan, a run whose node dies', size, measure: () => measureRun(size) },
  { scenario: 'flannel vxlan, a moment built and its first trace', size, measure: () => measureMoment(size, 20e9) },
])
