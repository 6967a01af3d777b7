/**
 * flannel in a run at scale (network/time/flannel-family.ts): so many new nodes with vxlan on one etcd, from the start of their flannelds until every kernel
 * has a way to every other node. One by one each has its lease before the next asks, as nodes join; together all draw at one moment, most lose the race
 * and are started anew ten seconds later, until the last has its subnet. Below the times: virtual time, events and memory of one run of each size.
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
import type { Suite } from './suite.js'

const SIZES = [500, 1000, 2000, 5000]
/** Larger ones take too long to be timed again and again. */
const TIMED_MAX = 1000
const SECOND = 1e9

const WAYS = {
  'one by one, nothing kept until all rest': { start: 'converged' },
  'one by one': { start: 'boot' },
  together: { start: 'boot', spreadNs: 0 },
} as const satisfies Readonly<Record<string, Pick<FlannelFamilyOptions, 'start' | 'spreadNs'>>>

type Way = keyof typeof WAYS

const clusters = new Map(SIZES.map((count) => [count, clusterOf(count)]))

function clusterOf(count: number): Cluster {
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
  const { cluster, problems } = buildCluster([{ file: 'bench.yaml', text: [network, ...nodes].join('\n---\n') }])
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
  readonly kernelChanges: number
}

function converge(count: number, way: Way): Converged {
  const cluster = clusters.get(count) as Cluster
  const simulation = new Simulation()
  const timers = new Timers(simulation)
  const nodes = new Map<string, NodeState>()
  for (const { name } of cluster.nodes) nodes.set(name, { power: true, pods: 0, felix: 0, kubeProxy: 0, flanneldRuns: false, cable: WHOLE_CABLE })
  let kernelChanges = 0
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
      kernelChanges++
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
  return { family, nodes, seconds: lastChangeNs / SECOND, events: events + family.watchEvents, kernelChanges }
}

/** All have a way to all: looked at in a few, since each is a list of all. */
function check({ nodes }: Converged, count: number): void {
  const all = [...nodes.values()]
  for (const { flannel } of [all[0], all[count >> 1], all[count - 1]]) {
    const routes = flannel === undefined ? 0 : renderFlannel(flannel).routes.length
    if (routes !== count - 1) throw new Error(`a node has ${routes} routes, ${count - 1} are the others`)
  }
}

function report(count: number, way: Way): string {
  const before = process.cpuUsage()
  const run = converge(count, way)
  const { user, system } = process.cpuUsage(before)
  const seconds = (user + system) / 1e6
  check(run, count)
  const number = (value: number, width: number): string => Math.round(value).toLocaleString('en').padStart(width)
  const heap = process.memoryUsage().heapUsed / 1e6
  const peak = process.resourceUsage().maxRSS / 1e3
  const told = [
    `  ${way.padEnd(40)} ${number(count, 5)} nodes: ${run.seconds.toFixed(3).padStart(8)} s of virtual time`,
    `${number(run.events, 10)} events`,
    `${number(run.kernelChanges, 9)} changes of a kernel`,
    `${seconds.toFixed(2).padStart(6)} s of CPU`,
    `${number(run.events / seconds, 9)} events/s`,
    `heap ${number(heap, 5)} MB`,
    `peak of the process ${number(peak, 5)} MB`,
  ]
  return told.join(', ')
}

function* notes(): Generator<string> {
  for (const way of Object.keys(WAYS) as Way[]) {
    for (const count of SIZES) {
      globalThis.gc?.()
      yield report(count, way)
    }
  }
}

const BASE = `500 nodes, ${Object.keys(WAYS)[0]}`

export const suites: readonly Suite[] = [
  {
    name: 'flannel with vxlan, from the start to rest',
    base: BASE,
    cases: (Object.keys(WAYS) as Way[]).flatMap((way) =>
      SIZES.filter((count) => count <= TIMED_MAX).map((count) => ({
        name: `${count} nodes, ${way}`,
        run: () => converge(count, way).family.watchEvents,
      })),
    ),
    notes: [...notes()],
  },
]
