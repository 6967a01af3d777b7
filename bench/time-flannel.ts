/**
 * flannel in a run at scale (network/time/flannel-family.ts): so many new nodes with vxlan on one etcd, from the start of their flannelds until every kernel
 * has a way to every other node. One by one each has its lease before the next asks, as nodes join; together all draw at one moment, most lose the race
 * and are started anew ten seconds later, until the last has its subnet. Whole at the start: as a scenario with `start: converged` begins, one by one, and
 * no kernel is told before all rest.
 */
import { buildCluster, type Cluster } from '../src/cluster/cluster.js'
import { delaysOf } from '../src/cluster/scenario/delays.js'
import { renderFlannel } from '../src/flannel/flanneld.js'
import { bareNodes } from '../src/network/network.js'
import type { RunContext } from '../src/network/time/agents.js'
import { Diary } from '../src/network/time/diary.js'
import { FlannelFamily, type FlannelFamilyOptions } from '../src/network/time/flannel-family.js'
import { WHOLE_CABLE, type NodeState } from '../src/network/time/network-state.js'
import { Simulation } from '../src/sim/simulation.js'
import { Timers } from '../src/sim/timers.js'
import { timed, type TimeCase, type TimeCounts } from './time-table.js'

const SIZES = [500, 1000, 2000, 5000]
const SECOND = 1e9

const WAYS = {
  'whole at the start': { start: 'converged' },
  'one by one': { start: 'boot' },
  together: { start: 'boot', spreadNs: 0 },
} as const satisfies Readonly<Record<string, Pick<FlannelFamilyOptions, 'start' | 'spreadNs'>>>

type Way = keyof typeof WAYS

/** Nodes n0 … in one segment, and what else there is. */
export function vxlanCluster(count: number, more: readonly string[] = []): Cluster {
  const config = { Network: '10.0.0.0/8', Backend: { Type: 'vxlan' } }
  const network = `apiVersion: netsim/v1
kind: Network
metadata: {name: bench}
spec:
  cni: flannel
  datastore: etcd
  flannel: {version: 0.28.9}
  underlay: {segments: [{name: lan, cidr: 172.16.0.0/12}]}
  etcd: {/coreos.com/network/config: '${JSON.stringify(config)}'}`
  const nodes = Array.from({ length: count }, (_, at) => {
    const address = `172.16.${(at + 1) >> 8}.${(at + 1) & 255}`
    return `apiVersion: v1\nkind: Node\nmetadata: {name: n${at}}\nstatus: {addresses: [{type: InternalIP, address: ${address}}]}`
  })
  const { cluster, problems } = buildCluster([{ file: 'bench.yaml', text: [network, ...nodes, ...more].join('\n---\n') }])
  const error = problems.find(({ severity }) => severity === 'error')
  if (error !== undefined) throw new Error(error.what)
  return cluster
}

interface Converged {
  readonly family: FlannelFamily
  readonly nodes: ReadonlyMap<string, NodeState>
  /** Of virtual time, from the first process to the last change of a kernel. */
  readonly seconds: number
  /** Of the clock, and leases heard of. */
  readonly events: number
}

function converge(cluster: Cluster, way: Way): Converged {
  const simulation = new Simulation()
  const timers = new Timers(simulation)
  const nodes = new Map<string, NodeState>()
  for (const { name } of cluster.nodes) nodes.set(name, { power: true, pods: 0, felix: 0, kubeProxy: 0, flanneldRuns: false, cable: WHOLE_CABLE })
  let lastChangeNs = 0
  const nobody = (): never => {
    throw new Error('flannel asks nothing of the network')
  }
  const context: RunContext = {
    simulation,
    timers,
    delays: delaysOf({}),
    seed: 1,
    diary: new Diary(() => simulation.nowNs, { keepsWatches: false }),
    version: () => ({ number: 0, atNs: 0, cluster, problems: [] }),
    node: (name) => nodes.get(name) as NodeState,
    setNode: (name, change) => {
      nodes.set(name, { ...(nodes.get(name) as NodeState), ...change })
      lastChangeNs = simulation.nowNs
    },
    setRouterRoutes: nobody,
    state: nobody,
  }
  const family = new FlannelFamily({ context, cluster, bare: bareNodes(cluster, 1), ...WAYS[way] })
  family.boot()
  let events = 0
  while (simulation.nowNs < family.restsAtNs) {
    const until = family.restsAtNs
    events += simulation.run(until)
    simulation.nowNs = until
  }
  if (WAYS[way].start === 'converged') family.startHere()
  return { family, nodes, seconds: lastChangeNs / SECOND, events: events + family.watchEvents }
}

/** All have a way to all: looked at in a few, since each is a list of all. */
function check({ nodes }: Converged, count: number): void {
  const all = [...nodes.values()]
  for (const { flannel } of [all[0], all[count >> 1], all[count - 1]]) {
    const routes = flannel === undefined ? 0 : renderFlannel(flannel).routes.length
    if (routes !== count - 1) throw new Error(`a node has ${routes} routes, ${count - 1} are the others`)
  }
}

function measure(count: number, way: Way): TimeCounts {
  const cluster = vxlanCluster(count)
  const { result, cpuSeconds } = timed(() => converge(cluster, way))
  check(result, count)
  const { events, seconds, family } = result
  return { sessions: family.leases.length, events, cpuSeconds, virtualSeconds: seconds }
}

export const timeCases: readonly TimeCase[] = (Object.keys(WAYS) as Way[]).flatMap((way) =>
  SIZES.map((size) => ({ scenario: `flannel vxlan, ${way}`, size, measure: () => measure(size, way) })),
)
