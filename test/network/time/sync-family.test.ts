/** Felix and kube-proxy on a clock of their own: when they write, what they miss, what they leave. Times worked out from kube-proxy's runner and the delays. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { delaysOf, type Delays } from '../../../src/cluster/scenario/delays.js'
import type { Cluster } from '../../../src/cluster/cluster.js'
import { CALICO_AGENTS } from '../../../src/network/calico-agents.js'
import type { RunContext } from '../../../src/network/time/agents.js'
import { BoundedFrequency } from '../../../src/network/time/bounded-frequency.js'
import { Diary } from '../../../src/network/time/diary.js'
import { NONE_SINCE_BOOT, WHOLE_CABLE, type ClusterVersion, type NodeState } from '../../../src/network/time/network-state.js'
import { PlanBook } from '../../../src/network/time/plan-book.js'
import { StateLog } from '../../../src/network/time/state-log.js'
import { SyncFamily } from '../../../src/network/time/sync-family.js'
import { Simulation } from '../../../src/sim/simulation.js'
import { Timers } from '../../../src/sim/timers.js'
import { clusterOf, SEED } from './moment-kit.js'

const SECOND = 1e9
const MS = 1e6
const SERVICES = readFileSync(new URL('../../../examples/services-flannel.yaml', import.meta.url), 'utf8')
const CALICO = readFileSync(new URL('../../../examples/calico-ipip.yaml', import.meta.url), 'utf8')

/** One node and one Service more or less do not matter here: whose address a Service has does. */
function withService(name: string): string {
  return `${SERVICES}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: ${name}, namespace: shop}\nspec: {ports: [{port: 81}]}\n`
}

class Bench implements RunContext {
  readonly simulation = new Simulation()
  readonly timers = new Timers(this.simulation)
  readonly delays: Delays
  readonly seed = SEED
  readonly diary: Diary
  readonly family: SyncFamily
  readonly cut = new Set<string>()
  private readonly log: StateLog
  private readonly versions: ClusterVersion[]

  constructor(cluster: Cluster, options: { readonly delays?: Partial<Delays>; readonly keepsWatches?: boolean } = {}) {
    this.delays = delaysOf(options.delays ?? {})
    this.diary = new Diary(() => this.simulation.nowNs, { keepsWatches: options.keepsWatches === true })
    this.log = new StateLog(() => this.simulation.nowNs, this.diary)
    this.versions = [{ number: 0, atNs: 0, cluster, problems: [] }]
    const book = new PlanBook({ versions: this.versions, seed: SEED, calico: CALICO_AGENTS })
    for (const { name } of cluster.nodes) this.log.setNode(name, { power: true, pods: 0, felix: 0, kubeProxy: 0, flanneldRuns: false, cable: WHOLE_CABLE })
    const reaches = (node: string): boolean => this.node(node).power && !this.node(node).cable.cut
    this.family = new SyncFamily({ context: this, cluster, book, reaches })
    this.family.boot()
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
  setRouterRoutes(): void {}
  state(): ReturnType<RunContext['state']> {
    return this.log.current()
  }

  until(seconds: number): this {
    this.simulation.run(seconds * SECOND)
    this.simulation.nowNs = seconds * SECOND
    return this
  }

  event(what: string): number {
    return this.diary.add({ agent: 'scenario', kind: 'event', what })
  }

  change(cluster: Cluster): number {
    const cause = this.event('apply')
    this.versions.push({ number: this.versions.length, atNs: this.simulation.nowNs, cluster, problems: [] })
    this.family.versionChanged(this.version(), cause)
    return cause
  }

  set(node: string, change: Partial<NodeState>): number {
    const cause = this.event(node)
    this.setNode(node, change)
    this.family.nodeChanged(node, cause)
    return cause
  }

  /** Seconds of what was written on the node. */
  writes(agent: 'felix' | 'kube-proxy', node: string): number[] {
    return this.diary.entries.filter((entry) => entry.agent === agent && entry.kind === 'sync' && entry.node === node).map(({ atNs }) => atNs / SECOND)
  }

  versionsOf(agent: 'felix' | 'kubeProxy'): number[] {
    return [...this.state().nodes.values()].map((state) => state[agent])
  }
}

describe('kube-proxy’s throttle', () => {
  it('lets two runs go at once, then one for each interval', () => {
    const throttle = new BoundedFrequency(SECOND)
    const runs: number[] = []
    // asked for again and again from second 100 on
    let now = 100 * SECOND
    for (let run = 0; run < 5; run++) {
      now += throttle.waitNs(now)
      throttle.ran(now)
      runs.push(now / SECOND)
    }
    expect(runs).toEqual([100, 100, 101, 102, 103])
  })

  it('saves up no more than two, and one after an interval', () => {
    const throttle = new BoundedFrequency(SECOND)
    for (const at of [100, 100]) throttle.ran(at * SECOND)
    expect(throttle.waitNs(100.4 * SECOND)).toBe(0.6 * SECOND)
    expect(throttle.waitNs(101 * SECOND)).toBe(0)
    throttle.ran(1000 * SECOND)
    throttle.ran(1000 * SECOND)
    expect(throttle.waitNs(1000 * SECOND)).toBe(SECOND)
  })

  it('is none where the interval is 0', () => {
    const throttle = new BoundedFrequency(0)
    for (let run = 0; run < 5; run++) throttle.ran(0)
    expect(throttle.waitNs(0)).toBe(0)
  })
})

describe('kube-proxy', () => {
  const base = clusterOf(SERVICES)
  const nodes = base.nodes.map(({ name }) => name)
  const [first, second] = nodes

  it('writes everything once it has started, and rests then', () => {
    const bench = new Bench(base)
    expect(bench.versionsOf('kubeProxy')).toEqual(nodes.map(() => NONE_SINCE_BOOT))
    const rest = bench.family.restsAtNs / SECOND
    expect(rest).toBeCloseTo(2.005)
    bench.until(rest)
    expect(bench.versionsOf('kubeProxy')).toEqual(nodes.map(() => 0))
    expect(bench.family.restsAtNs / SECOND).toBe(rest)
    expect(bench.until(4000).writes('kube-proxy', first)).toEqual([2.005])
  })

  it('writes a new Service when it hears of it, several at its own pace, and the newest', () => {
    const bench = new Bench(base).until(100)
    for (const name of ['one', 'two', 'three', 'four']) {
      bench.change(clusterOf(withService(name)))
      bench.until(bench.simulation.nowNs / SECOND + 0.1)
    }
    bench.until(200)
    const writes = bench.writes('kube-proxy', first).slice(1)
    expect(writes.map((at) => Number(at.toFixed(3)))).toEqual([100.005, 100.105, 101.105])
    expect(bench.node(first).kubeProxy).toBe(4)
    const last = bench.diary.entries.findLast(({ agent, node }) => agent === 'kube-proxy' && node === first)
    expect(bench.diary.chain(last?.id ?? -1).map(({ what }) => what)[0]).toBe('apply')
  })

  it('does nothing for a version that changes no Service and nobody behind one', () => {
    const bench = new Bench(base).until(100)
    bench.change(clusterOf(`${SERVICES}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: shop}\n`))
    bench.until(200)
    expect(bench.writes('kube-proxy', first)).toEqual([2.005])
    expect(bench.family.restsAtNs / SECOND).toBeCloseTo(2.005)
  })

  it('of a node that is cut off hears nothing, and catches up', () => {
    const bench = new Bench(base).until(10)
    bench.set(first, { cable: { ...WHOLE_CABLE, cut: true } })
    bench.change(clusterOf(withService('one')))
    bench.until(100)
    expect([bench.node(first).kubeProxy, bench.node(second).kubeProxy]).toEqual([0, 1])
    const cause = bench.set(first, { cable: WHOLE_CABLE })
    bench.until(200)
    expect(bench.writes('kube-proxy', first)).toEqual([2.005, 100.005])
    expect(bench.diary.entries.findLast(({ node, kind }) => node === first && kind === 'sync')?.cause).toBe(cause)
  })

  it('that is stopped leaves its rules, started it writes the newest; only where it was asked to', () => {
    const bench = new Bench(base).until(10)
    expect(bench.family.act({ kind: 'agent', agent: 'kube-proxy', how: 'kill', nodes: [first] }, bench.event('kill'))).toBe(true)
    bench.change(clusterOf(withService('one')))
    bench.until(50)
    expect([bench.node(first).kubeProxy, bench.node(second).kubeProxy]).toEqual([0, 1])
    bench.family.act({ kind: 'agent', agent: 'kube-proxy', how: 'start', nodes: [] }, bench.event('start'))
    bench.until(100)
    expect(bench.writes('kube-proxy', first)).toEqual([2.005, 52.005])
    // what started anew and found all as it should be
    expect(bench.writes('kube-proxy', second)).toEqual([2.005, 10.005])
    expect(bench.family.act({ kind: 'agent', agent: 'felix', how: 'stop', nodes: [] }, bench.event('stop'))).toBe(false)
  })

  it('is gone with the power, with all that it wrote, and back after the host’s boot and its own start', () => {
    const bench = new Bench(base).until(10)
    bench.set(first, { power: false })
    expect(bench.node(first).kubeProxy).toBe(NONE_SINCE_BOOT)
    bench.until(20)
    bench.set(first, { power: true })
    bench.until(100)
    expect(bench.writes('kube-proxy', first)).toEqual([2.005, 52.005])
    expect(bench.node(first).kubeProxy).toBe(0)
  })
})

describe('Felix', () => {
  const base = clusterOf(CALICO)
  const nodes = base.nodes.map(({ name }) => name)
  const policy = (namespace: string, app: string): string =>
    `\n---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: more, namespace: ${namespace}}\nspec: {podSelector: {matchLabels: {app: ${app}}}, policyTypes: [Ingress]}\n`
  const api = base.pods.find(({ name }) => name.startsWith('api'))
  const apiPolicy = clusterOf(CALICO + policy(api?.namespace ?? '', api?.labels.app ?? ''))

  it('writes a policy felix.apply after it has heard of it, only where it changes anything', () => {
    const bench = new Bench(base, { delays: { 'felix.apply': 250 * MS } }).until(10)
    bench.change(apiPolicy)
    bench.until(20)
    const [there, elsewhere] = [api?.node ?? '', nodes.find((name) => name !== api?.node) ?? '']
    expect(bench.writes('felix', there)).toEqual([2.255, 10.255])
    expect(bench.writes('felix', elsewhere)).toEqual([2.255])
    expect([bench.node(there).felix, bench.node(elsewhere).felix]).toEqual([1, 0])
  })

  it('what it hears of before it has written goes with it', () => {
    const bench = new Bench(base, { delays: { 'felix.apply': 250 * MS } }).until(10)
    bench.change(apiPolicy)
    bench.until(10.1)
    bench.change(base)
    bench.until(20)
    expect(bench.writes('felix', api?.node ?? '')).toEqual([2.255, 10.255])
    expect(bench.node(api?.node ?? '').felix).toBe(2)
  })

  it('of a Node that is deleted leaves all that it wrote, and goes on once the Node is back', () => {
    const gone = api?.node ?? ''
    const isGone = (text: string): boolean => /^kind: Node$/m.test(text) && text.includes(`name: ${gone},`)
    const text = CALICO.split(/^---$/m)
      .filter((one) => !isGone(one))
      .join('---')
    // its pods are still there, as after kubectl delete node
    const without = clusterOf([{ file: 'test.yaml', text }])
    expect(without.nodeByName.has(gone)).toBe(false)
    const bench = new Bench(base).until(10)
    bench.change(without)
    bench.until(20)
    expect([bench.writes('felix', gone), bench.node(gone).felix]).toEqual([[2.105], 0])
    bench.change(apiPolicy)
    bench.until(30)
    expect([bench.writes('felix', gone), bench.node(gone).felix]).toEqual([[2.105, 20.105], 2])
  })

  it('looks at the card’s MTU every 30 s from its start, and starts anew for another', () => {
    const bench = new Bench(base).until(40)
    bench.set(nodes[0], { mtu: 1400 })
    bench.until(59)
    expect(bench.node(nodes[0]).felixMtu).toBeUndefined()
    bench.until(120)
    expect(bench.node(nodes[0]).felixMtu).toBe(1400)
    expect(bench.diary.entries.filter(({ node, what }) => node === nodes[0] && what.includes('MTU')).map(({ atNs }) => atNs / SECOND)).toEqual([60])
    expect(bench.node(nodes[1]).felixMtu).toBeUndefined()
  })

  it('its habits are told where somebody asks for everything, and change nothing', () => {
    const kept = new Bench(base, { keepsWatches: true }).until(200)
    const quiet = new Bench(base).until(200)
    expect(kept.diary.entries.filter(({ agent, node }) => agent === 'felix' && node === undefined).map(({ atNs }) => atNs / SECOND)).toEqual([90, 180])
    expect(quiet.diary.entries.filter(({ node }) => node === undefined)).toEqual([])
    expect([...kept.state().nodes]).toEqual([...quiet.state().nodes])
  })
})
