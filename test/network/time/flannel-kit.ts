/** flannel alone on a clock of its own: what the tests of its family share. */
import { readFileSync } from 'node:fs'
import { buildCluster, type Cluster } from '../../../src/cluster/cluster.js'
import { delaysOf, type Delays } from '../../../src/cluster/scenario/delays.js'
import type { Action } from '../../../src/cluster/scenario/scenario.js'
import { formatCidr } from '../../../src/base/cidr.js'
import { renderFlannel } from '../../../src/flannel/flanneld.js'
import { bareNodes } from '../../../src/network/network.js'
import type { RunContext } from '../../../src/network/time/agents.js'
import { Diary } from '../../../src/network/time/diary.js'
import { FlannelFamily, type FlannelFamilyOptions } from '../../../src/network/time/flannel-family.js'
import { WHOLE_CABLE, type ClusterVersion, type NetworkState, type NodeState } from '../../../src/network/time/network-state.js'
import { Simulation } from '../../../src/sim/simulation.js'
import { Timers } from '../../../src/sim/timers.js'

export const MS = 1e6
export const SECOND = 1e9
export const HOUR = 3600 * SECOND

export function exampleText(name: string): string {
  return readFileSync(new URL(`../../../examples/${name}`, import.meta.url), 'utf8')
}

export interface FlannelRunOptions {
  readonly seed?: number
  readonly delays?: Partial<Delays>
  readonly keepsWatches?: boolean
  readonly family?: Pick<FlannelFamilyOptions, 'start' | 'spreadNs'>
}

export interface Change {
  readonly atNs: number
  readonly node: string
  readonly state: Partial<NodeState>
  readonly cause?: number
}

/** Plays the control plane's part: power, cables and events; keeps what reached the kernels. */
export class FlannelRun implements RunContext {
  readonly simulation = new Simulation()
  readonly timers = new Timers(this.simulation)
  readonly delays: Delays
  readonly seed: number
  readonly diary: Diary
  readonly family: FlannelFamily
  readonly changes: Change[] = []
  private readonly nodes = new Map<string, NodeState>()
  private newest: ClusterVersion
  private zeroNs = 0

  constructor(text: string, options: FlannelRunOptions = {}) {
    const { cluster } = buildCluster([{ file: 'test.yaml', text }])
    this.seed = options.seed ?? 1
    this.delays = delaysOf(options.delays ?? {})
    this.diary = new Diary(() => this.simulation.nowNs, { keepsWatches: options.keepsWatches === true })
    this.newest = { number: 0, atNs: 0, cluster, problems: [] }
    for (const { name } of cluster.nodes) this.addNode(name)
    this.family = new FlannelFamily({ context: this, cluster, bare: bareNodes(cluster, this.seed), reaches: (node) => this.reaches(node), ...options.family })
  }

  get cluster(): Cluster {
    return this.newest.cluster
  }

  // ---- RunContext

  version(): ClusterVersion {
    return this.newest
  }

  node(name: string): NodeState {
    const state = this.nodes.get(name)
    if (state === undefined) throw new Error(`no node ${name}`)
    return state
  }

  setNode(name: string, state: Partial<NodeState>, cause?: number): void {
    this.nodes.set(name, { ...this.node(name), ...state })
    this.changes.push({ atNs: this.now, node: name, state, ...(cause === undefined ? {} : { cause }) })
  }

  setRouterRoutes(): void {
    throw new Error('flannel has nothing to do with routers')
  }

  state(): NetworkState {
    throw new Error('flannel asks no packets')
  }

  // ---- the run

  get now(): number {
    return this.simulation.nowNs - this.zeroNs
  }

  boot(): this {
    this.family.boot()
    this.rest()
    return this
  }

  converged(): this {
    this.boot()
    this.zeroNs = this.simulation.nowNs
    this.diary.startHere()
    this.family.startHere()
    this.changes.length = 0
    return this
  }

  rest(): void {
    while (this.simulation.nowNs < this.family.restsAtNs) this.runTo(this.family.restsAtNs - this.zeroNs)
  }

  runTo(atNs: number): void {
    this.simulation.run(this.zeroNs + atNs)
    this.simulation.nowNs = this.zeroNs + atNs
  }

  act(action: Action, what = action.kind as string): number {
    const cause = this.diary.add({ agent: 'scenario', kind: 'event', what })
    this.family.act(action, cause)
    return cause
  }

  agent(agent: 'flanneld' | 'etcd', how: 'stop' | 'kill' | 'start', ...nodes: string[]): number {
    return this.act({ kind: 'agent', agent, how, nodes }, `${agent} ${how}`)
  }

  power(name: string, power: boolean): number {
    const cause = this.diary.add({ agent: 'scenario', kind: 'event', what: `node ${name} goes ${power ? 'up' : 'down'}` })
    this.setNode(name, { power })
    this.family.nodeChanged(name, cause)
    return cause
  }

  cut(name: string, cut: boolean): number {
    const cause = this.diary.add({ agent: 'scenario', kind: 'event', what: `node ${name} is ${cut ? 'isolated' : 'back'}` })
    this.setNode(name, { cable: { ...this.node(name).cable, cut } })
    this.family.nodeChanged(name, cause)
    return cause
  }

  /** As the control plane tells it. */
  apply(text: string): void {
    const { cluster } = buildCluster([{ file: 'test.yaml', text }])
    this.newest = { number: this.newest.number + 1, atNs: this.now, cluster, problems: [] }
    const cause = this.diary.add({ agent: 'scenario', kind: 'event', what: 'apply' })
    for (const { name } of cluster.nodes) if (!this.nodes.has(name)) this.addNode(name)
    this.family.versionChanged(this.newest, cause)
  }

  // ---- what is seen

  /** Pod networks that the node's kernel has a way to by flannel. */
  routes(name: string): string[] {
    const { flannel } = this.node(name)
    if (flannel === undefined) return []
    return renderFlannel(flannel)
      .routes.map(({ destination }) => formatCidr(destination))
      .sort()
  }

  subnet(name: string): string {
    const row = this.family.leases.find(({ node }) => node === name)
    return row === undefined ? 'none' : formatCidr(row.lease.subnet)
  }

  /** `seconds node what`, of the kinds asked for. */
  told(...kinds: string[]): string[] {
    const entries = this.diary.entries.filter(({ kind, atNs }) => kinds.includes(kind) && atNs >= 0)
    return entries.map(({ atNs, node, what }) => `${atNs / SECOND} ${node ?? '-'} ${what}`)
  }

  /** What the change came of, the last first. */
  why(cause: number | undefined): string[] {
    return cause === undefined
      ? []
      : this.diary
          .chain(cause)
          .map(({ what }) => what)
          .reverse()
  }

  private reaches(name: string): boolean {
    const { power, cable } = this.node(name)
    return power && !cable.cut
  }

  private addNode(name: string): void {
    this.nodes.set(name, { power: true, pods: 0, felix: 0, kubeProxy: 0, flanneldRuns: false, cable: WHOLE_CABLE })
  }
}

/** Bare nodes n1 to nN with flannel on etcd. */
export function etcdCluster(
  count: number,
  config: unknown = { Network: '10.1.0.0/16', Backend: { Type: 'vxlan' } },
  options: { readonly version?: string; readonly etcd?: string } = {},
): string {
  const nodes = Array.from({ length: count }, (_, at) => nodeText(at + 1))
  const network = `
apiVersion: netsim/v1
kind: Network
metadata: {name: network}
spec:
  cni: flannel
  datastore: etcd
  flannel: {version: ${options.version ?? '0.28.9'}}
  etcd:
    /coreos.com/network/config: '${JSON.stringify(config)}'
${options.etcd ?? ''}`
  return [network, ...nodes].join('\n---\n')
}

export function nodeText(index: number, podCidr?: string): string {
  return `apiVersion: v1
kind: Node
metadata: {name: n${index}}
${podCidr === undefined ? '' : `spec: {podCIDR: ${podCidr}}\n`}status: {addresses: [{type: InternalIP, address: 192.168.${index >> 8}.${index & 255}}]}`
}
