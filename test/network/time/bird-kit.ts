/** BIRDs of a cluster alone on a clock: what is beside them is at rest from the first moment, and the test says what happens. */
import type { Cluster } from '../../../src/cluster/cluster.js'
import { delaysOf, type Delays } from '../../../src/cluster/scenario/delays.js'
import type { Action } from '../../../src/cluster/scenario/scenario.js'
import { formatCidr } from '../../../src/base/cidr.js'
import type { RouteSpec } from '../../../src/dataplane/dataplane.js'
import type { PathFinder } from '../../../src/calico/bgp/tcp.js'
import { CALICO_AGENTS } from '../../../src/network/calico-agents.js'
import type { RunContext } from '../../../src/network/time/agents.js'
import { BirdFamily } from '../../../src/network/time/bird-family.js'
import { Diary } from '../../../src/network/time/diary.js'
import { networkAt, PlanBook } from '../../../src/network/time/network-at.js'
import { WHOLE_CABLE, type ClusterVersion, type NetworkState, type NodeState } from '../../../src/network/time/network-state.js'
import { StateLog } from '../../../src/network/time/state-log.js'
import { Simulation } from '../../../src/sim/simulation.js'
import { Timers } from '../../../src/sim/timers.js'
import { clusterOf } from './moment-kit.js'

export interface PlaneOptions {
  readonly delays?: Partial<Delays>
  readonly seed?: number
  readonly keepsWatches?: boolean
}

export class BirdPlane implements RunContext {
  readonly simulation = new Simulation()
  readonly timers = new Timers(this.simulation)
  readonly delays: Delays
  readonly seed: number
  readonly diary: Diary
  readonly log: StateLog
  readonly family: BirdFamily
  private readonly versions: ClusterVersion[]
  private readonly book: PlanBook
  private paths: PathFinder | undefined

  constructor(cluster: Cluster, { delays = {}, seed = 1, keepsWatches = false }: PlaneOptions = {}) {
    this.delays = delaysOf(delays)
    this.seed = seed
    this.diary = new Diary(() => this.simulation.nowNs, { keepsWatches })
    this.log = new StateLog(() => this.simulation.nowNs, this.diary)
    this.versions = [{ number: 0, atNs: 0, cluster, problems: [] }]
    this.book = new PlanBook({ versions: this.versions, seed, calico: CALICO_AGENTS })
    for (const { name } of cluster.nodes) this.addNode(name)
    this.family = new BirdFamily({
      context: this,
      cluster,
      planOf: (version) => this.book.calico(version),
      hostOf: (netns) => networkAt(this.book, this.state()).birdHost(netns),
      path: (...segment) => {
        this.paths ??= this.family.pathsOf(networkAt(this.book, this.state()))
        return this.paths(...segment)
      },
    })
  }

  private addNode(name: string): void {
    const { number } = this.version()
    this.log.setNode(name, { power: true, pods: number, felix: number, kubeProxy: number, flanneldRuns: false, cable: WHOLE_CABLE })
  }

  version(): ClusterVersion {
    return this.versions[this.versions.length - 1]
  }

  node(name: string): NodeState {
    return this.log.node(name)
  }

  setNode(name: string, change: Partial<NodeState>): void {
    this.log.setNode(name, { ...this.log.node(name), ...change })
  }

  setRouterRoutes(netns: string, routes: readonly RouteSpec[]): void {
    this.paths = undefined
    this.log.setRouterRoutes(netns, routes)
  }

  state(): NetworkState {
    return this.log.current()
  }

  // ---- what a test does

  /** Booted, and at rest. */
  rest(): this {
    this.family.boot()
    for (let until = -1; until < this.family.restsAtNs;) {
      until = this.family.restsAtNs
      this.run((until - this.simulation.nowNs) / 1e9)
    }
    return this
  }

  run(seconds: number): void {
    const until = this.simulation.nowNs + Math.round(seconds * 1e9)
    this.simulation.run(until)
    this.simulation.nowNs = until
  }

  event(what: string): number {
    return this.diary.add({ agent: 'scenario', kind: 'event', what })
  }

  act(what: string, action: Action): number {
    const cause = this.event(what)
    if (!this.family.act(action, cause)) throw new Error(`nobody heard of ${what}`)
    return cause
  }

  agent(how: 'stop' | 'kill' | 'start', ...nodes: string[]): number {
    return this.act(`bird ${how} on ${nodes.join(', ')}`, { kind: 'agent', agent: 'bird', how, nodes })
  }

  /** Power or cable of a node. */
  change(name: string, change: Partial<NodeState>): number {
    const cause = this.event(`${name} changes`)
    this.setNode(name, change)
    this.paths = undefined
    this.family.nodeChanged(name, cause)
    return cause
  }

  /** The API has other objects; machines, pods and Felix are as far at once. */
  apply(cluster: Cluster): number {
    const cause = this.event('apply')
    const number = this.versions.length
    this.versions.push({ number, atNs: this.simulation.nowNs, cluster, problems: [] })
    this.log.setVersion(number)
    this.paths = undefined
    const added = cluster.nodes.filter(({ name }) => !this.log.has(name))
    for (const { name } of added) this.addNode(name)
    this.family.versionChanged(this.version(), cause)
    for (const { name } of added) this.family.nodeChanged(name, cause)
    for (const { name } of cluster.nodes) {
      this.setNode(name, { pods: number, felix: number })
      this.family.hostChanged(name, cause)
    }
    return cause
  }

  /** Prefixes that BIRD has in the kernel of a node or router, sorted. */
  prefixes(netns: string): string[] {
    const routes = netns.startsWith('router/') ? this.log.underlay.bird.get(netns) : this.node(netns).bird
    return (routes ?? []).map(({ destination }) => formatCidr(destination)).sort()
  }

  /** Seconds from now until nothing of the prefixes is in the kernels any more, each by itself, to 1 ms; absent: not within the time. */
  lossTimes(nodes: readonly string[], prefix: string, withinSeconds: number): Map<string, number> {
    const began = this.simulation.nowNs
    const times = new Map<string, number>()
    const look = (): void => {
      for (const name of nodes) {
        if (!times.has(name) && !this.prefixes(name).includes(prefix)) times.set(name, (this.simulation.nowNs - began) / 1e9)
      }
    }
    while (times.size < nodes.length && this.simulation.step(began + withinSeconds * 1e9)) look()
    return times
  }
}

/** Nodes n1 … of 192.168.0.0/24 in a mesh, a pod on each, so that each has a block. */
export function meshCluster(count: number, without: readonly number[] = []): Cluster {
  const numbers = Array.from({ length: count }, (_, i) => i + 1).filter((number) => !without.includes(number))
  const nodes = numbers.map(
    (n) =>
      `{apiVersion: v1, kind: Node, metadata: {name: n${n}, annotations: {projectcalico.org/IPv4Address: 192.168.0.${n}/24}}, ` +
      `status: {addresses: [{type: InternalIP, address: 192.168.0.${n}}]}}`,
  )
  const pods = numbers.map(
    (n) => `{apiVersion: v1, kind: Pod, metadata: {name: p${n}}, spec: {nodeName: n${n}}, status: {phase: Running, podIP: 10.244.${n}.1}}`,
  )
  const pool = '{apiVersion: projectcalico.org/v3, kind: IPPool, metadata: {name: pool}, spec: {cidr: 10.244.0.0/16, natOutgoing: true}}'
  const network = '{apiVersion: netsim/v1, kind: Network, metadata: {name: default}, spec: {cni: calico, kubeProxy: {mode: none}}}'
  return clusterOf([...nodes, ...pods, pool, network].join('\n---\n'))
}

/** Of a mesh: the block of node n. */
export function blockOf(n: number): string {
  return `10.244.${n}.0/26`
}
