/**
 * A run: the agents of a cluster on one clock, booted together, brought to rest, and then what a Scenario has happen to them. From a cluster and a scenario to
 * the states of the network, one for each moment at which something changed, and the diary. No packet of a question changes any of it.
 *
 *   boot ─▶ rest (start: converged: time 0) ─▶ event by event ─▶ until
 */
import { assert } from '../../base/assert.js'
import type { Problem } from '../../base/problem.js'
import type { PathFinder } from '../../calico/bgp/tcp.js'
import type { Cluster } from '../../cluster/cluster.js'
import { delaysOf, type Delays } from '../../cluster/scenario/delays.js'
import type { Action, Scenario, ScenarioEvent } from '../../cluster/scenario/scenario.js'
import type { RouteSpec } from '../../dataplane/dataplane.js'
import { Simulation } from '../../sim/simulation.js'
import { Timers } from '../../sim/timers.js'
import type { CalicoAgents } from '../network.js'
import { podsOn } from '../pods.js'
import type { AgentFamily, RunContext } from './agents.js'
import { BirdFamily } from './bird-family.js'
import { Diary } from './diary.js'
import { FlannelFamily } from './flannel-family.js'
import { networkAt, PlanBook } from './network-at.js'
import { WHOLE_CABLE, type ClusterVersion, type ControlRun, type NetworkState, type NodeState } from './network-state.js'
import { ObjectsFamily } from './objects/objects-family.js'
import { StateLog } from './state-log.js'
import { SyncFamily } from './sync-family.js'

const MINUTE = 60e9
/** Of the start: agents that have not come to rest by then never do. */
const START_LIMIT_NS = 30 * MINUTE
/** After the last event, where the scenario does not say. */
const AFTERWARDS_NS = 10 * MINUTE

export interface RunOptions {
  readonly cluster: Cluster
  readonly scenario: Scenario
  readonly seed: number
  /** Of references that name none. */
  readonly namespace: string
  /** Wins over the scenario's own. */
  readonly untilNs?: number
  /** Wanted where the CNI is calico or canal. */
  readonly calico?: CalicoAgents
  /** Every watch event and BGP message in the diary, not only their number. */
  readonly keepsWatches?: boolean
  /** Virtual time of the scenario, ns, now and then. */
  readonly onProgress?: (atNs: number, untilNs: number) => void
}

export interface Run extends ControlRun {
  readonly diary: Diary
  readonly delays: Delays
  readonly book: PlanBook
  /** Ids of the diary, by place in Scenario.events; undefined: the run ended before it. */
  readonly eventEntries: readonly (number | undefined)[]
  /** Virtual time between the start of the agents and time 0, ns. */
  readonly startNs: number
  readonly bird?: BirdFamily
  readonly flannel?: FlannelFamily
}

export function runControlPlane(options: RunOptions): Run {
  const plane = new ControlPlane(options)
  plane.boot()
  plane.play()
  return plane.result()
}

/** Virtual time of the scenario at which it ends, ns. */
function endOf({ scenario, untilNs, cluster }: Pick<RunOptions, 'scenario' | 'untilNs' | 'cluster'>): number {
  const told = untilNs ?? scenario.untilNs
  if (told !== undefined) return told
  const last = Math.max(0, ...scenario.events.map(({ atNs }) => atNs), ...scenario.probes.map(({ startNs, stopNs = 0 }) => Math.max(startNs, stopNs)))
  // whoever falls silent keeps its lease until it runs out
  const losesLeases =
    (cluster.cni === 'flannel' || cluster.cni === 'canal') && cluster.datastore === 'etcd' && scenario.events.some(({ action }) => silences(action))
  return last + AFTERWARDS_NS + (losesLeases ? delaysOf(scenario.delays)['flannel.leaseTTL'] : 0)
}

function silences(action: Action): boolean {
  return (action.kind === 'node' && action.state !== 'up') || (action.kind === 'agent' && action.agent === 'flanneld' && action.how !== 'start')
}

class ControlPlane implements RunContext {
  readonly simulation = new Simulation()
  readonly timers = new Timers(this.simulation)
  readonly delays: Delays
  readonly seed: number
  readonly diary: Diary
  private readonly options: RunOptions
  private readonly log: StateLog
  private readonly book: PlanBook
  private readonly objects: ObjectsFamily
  private readonly flannel: FlannelFamily | undefined
  private readonly bird: BirdFamily | undefined
  private readonly families: readonly AgentFamily[]
  private readonly eventEntries: (number | undefined)[]
  private readonly problems: Problem[] = []
  private readonly untilNs: number
  private zeroNs = 0
  private paths: PathFinder | undefined

  constructor(options: RunOptions) {
    const { cluster, scenario, seed } = options
    this.options = options
    this.seed = seed
    this.delays = delaysOf(scenario.delays)
    this.diary = new Diary(() => this.simulation.nowNs, { keepsWatches: options.keepsWatches === true })
    this.log = new StateLog(() => this.simulation.nowNs, this.diary)
    this.untilNs = endOf(options)
    this.eventEntries = scenario.events.map(() => undefined)
    const namespace = options.namespace
    this.objects = new ObjectsFamily({
      context: this,
      cluster,
      namespace,
      addressOf: (version, pod) => this.book.addressOf(version, pod),
      onVersion: (version, cause) => this.versionCame(version, cause),
    })
    this.book = new PlanBook({
      versions: this.objects.versions,
      states: this.log.states,
      seed,
      ...(options.calico === undefined ? {} : { calico: options.calico }),
    })
    for (const { name } of cluster.nodes) this.addNode(name)
    this.flannel = usesFlannel(cluster) ? this.flannelFamily(cluster) : undefined
    this.bird = this.birdFamily(cluster)
    const syncs = new SyncFamily({ context: this, cluster, book: this.book, reaches: (node) => this.reaches(node) })
    this.families = [this.objects, ...(this.flannel === undefined ? [] : [this.flannel]), syncs, ...(this.bird === undefined ? [] : [this.bird])]
  }

  private flannelFamily(cluster: Cluster): FlannelFamily {
    const { start } = this.options.scenario
    return new FlannelFamily({ context: this, cluster, bare: [...this.book.bare(0).values()], reaches: (node) => this.reaches(node), start })
  }

  private birdFamily(cluster: Cluster): BirdFamily | undefined {
    if (this.book.calico(0) === undefined) return undefined
    return new BirdFamily({
      context: this,
      cluster,
      planOf: (version) => this.book.calico(version),
      hostOf: (netns) => networkAt(this.book, this.state()).birdHost(netns),
      path: (...segment) => this.pathOf(...segment),
    })
  }

  // ---- RunContext

  version(): ClusterVersion {
    return this.objects.versions[this.objects.versions.length - 1]
  }

  node(name: string): NodeState {
    return this.log.node(name)
  }

  setNode(name: string, change: Partial<NodeState>, cause?: number): void {
    if (change.power !== undefined || change.cable !== undefined || change.mtu !== undefined || change.felix !== undefined) this.paths = undefined
    const before = this.log.node(name)
    const hadPods = change.pods === undefined ? before.hadPods : this.hasPods(name, change.pods) || (change.pods >= 0 && before.hadPods === true)
    this.log.setNode(name, { ...before, ...change, ...(hadPods === undefined ? {} : { hadPods }) }, cause)
    if (change.pods !== undefined || change.felix !== undefined || change.mtu !== undefined) this.bird?.hostChanged(name, cause)
  }

  setRouterRoutes(netns: string, routes: readonly RouteSpec[], cause?: number): void {
    this.paths = undefined
    this.log.setRouterRoutes(netns, routes, cause)
  }

  state(): NetworkState {
    return this.log.current()
  }

  // ---- the run

  boot(): void {
    for (const family of this.families) family.boot()
    if (this.options.scenario.start === 'converged') {
      this.rest()
      // what is down at the start is the input's fault; what goes down later is what the run tells
      this.problems.push(...(this.bird?.restProblems(networkAt(this.book, this.state())) ?? []))
    }
    this.zeroNs = this.simulation.nowNs
    this.diary.startHere()
    for (const family of this.families) family.startHere?.()
    this.log.startHere()
  }

  /** Until nothing is expected of any family. */
  private rest(): void {
    for (;;) {
      const until = Math.min(Math.max(this.simulation.nowNs, ...this.families.map(({ restsAtNs }) => restsAtNs)), START_LIMIT_NS)
      this.simulation.run(until)
      this.simulation.nowNs = until
      if (until >= START_LIMIT_NS) {
        this.problems.push(this.restless())
        return
      }
      if (this.families.every(({ restsAtNs }) => restsAtNs <= until)) return
    }
  }

  private restless(): Problem {
    const { file, line, name } = this.options.scenario
    const what = 'the agents do not come to rest within 30 minutes of virtual time; time 0 is then'
    return { severity: 'warning', file, line, object: `Scenario/${name}`, what, fix: 'netsim show timeline tells what goes on.' }
  }

  play(): void {
    const { scenario, onProgress } = this.options
    scenario.events.forEach((event, at) => {
      if (event.atNs <= this.untilNs) this.timers.after(this.zeroNs + event.atNs - this.simulation.nowNs, () => this.happen(event, at))
    })
    const steps = 100
    for (let step = 1; step <= steps; step++) {
      const until = this.zeroNs + Math.round((this.untilNs / steps) * step)
      this.simulation.run(until)
      this.simulation.nowNs = until
      onProgress?.(until - this.zeroNs, this.untilNs)
    }
    this.log.close()
  }

  private happen(event: ScenarioEvent, at: number): void {
    const { action, what, file, line } = event
    const entry = this.diary.add({ agent: 'scenario', kind: 'event', what, file, line })
    this.eventEntries[at] = entry
    if (this.actOnUnderlay(action, entry)) return
    const heard = this.families.map((family) => family.act(action, entry))
    if (heard.includes(true)) return
    const told = 'nothing of this cluster takes part in it'
    this.problems.push({ severity: 'warning', file, line, object: what, what: told, fix: 'Leave the event out, or look at what it names.' })
  }

  /** Power, cables and what the data centre's owner does. false: no such event, or agents have their part in it too. */
  private actOnUnderlay(action: Action, cause: number): boolean {
    const { underlay } = this.log
    switch (action.kind) {
      case 'node':
        if (action.state === 'down' || action.state === 'up') this.setNode(action.node, { power: action.state === 'up' }, cause)
        else this.setNode(action.node, { cable: { ...this.node(action.node).cable, cut: action.state === 'isolated' } }, cause)
        this.nodeChanged(action.node, cause)
        return true
      case 'cable':
        this.changeCable(action, cause)
        return true
      case 'mtu':
        if (action.node !== undefined) {
          this.setNode(action.node, { mtu: action.mtu }, cause)
          this.nodeChanged(action.node, cause)
        }
        if (action.segment !== undefined) this.log.setUnderlay({ mtus: new Map([...underlay.mtus, [action.segment, action.mtu]]) }, cause)
        this.paths = undefined
        this.bird?.underlayChanged(cause)
        return true
      case 'firewall':
        this.log.setUnderlay(
          { firewalls: new Map([...underlay.firewalls, [action.router, [...(underlay.firewalls.get(action.router) ?? []), ...action.iptables]]]) },
          cause,
          action.router,
        )
        this.paths = undefined
        this.bird?.underlayChanged(cause)
        return true
      default:
        return false
    }
  }

  private changeCable({ end, segment, cut, loss, delayNs }: Extract<Action, { kind: 'cable' }>, cause: number): void {
    const change = { ...(cut === undefined ? {} : { cut }), ...(loss === undefined ? {} : { loss }), ...(delayNs === undefined ? {} : { delayNs }) }
    if (this.log.has(end)) {
      this.setNode(end, { cable: { ...this.node(end).cable, ...change } }, cause)
      this.nodeChanged(end, cause)
      return
    }
    const { cables } = this.log.underlay
    const key = `${end} ${segment ?? ''}`
    this.log.setUnderlay({ cables: new Map([...cables, [key, { ...(cables.get(key) ?? WHOLE_CABLE), ...change }]]) }, cause)
    this.paths = undefined
    this.bird?.underlayChanged(cause)
  }

  private nodeChanged(name: string, cause: number): void {
    for (const family of this.families) family.nodeChanged(name, cause)
  }

  private versionCame(version: ClusterVersion, cause: number | undefined): void {
    this.log.setVersion(version.number, cause)
    const added = version.cluster.nodes.filter(({ name }) => !this.log.has(name))
    for (const { name } of added) this.addNode(name)
    for (const family of this.families) family.versionChanged(version, cause)
    for (const { name } of added) for (const family of this.families) family.nodeChanged(name, cause ?? 0)
  }

  private addNode(name: string): void {
    const { number } = this.version()
    const hadPods = this.hasPods(name, number)
    this.log.setNode(name, { power: true, pods: number, hadPods, felix: number, kubeProxy: number, flanneldRuns: false, cable: WHOLE_CABLE })
  }

  private hasPods(node: string, version: number): boolean {
    return version >= 0 && podsOn(this.objects.versions[version].cluster, node).length > 0
  }

  /** etcd and the API server are on no node: whoever has power and a cable gets there. */
  private reaches(node: string): boolean {
    const { power, cable } = this.node(node)
    return power && !cable.cut
  }

  /** Whether BGP's segments get through now: ends that are off or cut off never, else as a packet of the question fares in the network of this moment. */
  private pathOf(...segment: Parameters<PathFinder>): ReturnType<PathFinder> {
    const [from, to] = segment
    const { nodeByAddress } = this.version().cluster
    for (const address of [from, to]) {
      const node = nodeByAddress.get(address)
      if (node !== undefined && !this.reaches(node.name)) return { kind: 'lost' }
    }
    this.paths ??= this.bird?.pathsOf(networkAt(this.book, this.state()))
    assert(this.paths !== undefined, 'nobody asks for a path of BGP where there is no BIRD')
    return this.paths(...segment)
  }

  result(): Run {
    return {
      seed: this.seed,
      versions: this.objects.versions,
      states: this.log.states,
      untilNs: this.untilNs,
      problems: [...this.problems, ...this.objects.problems, ...(this.flannel?.found ?? [])],
      diary: this.diary,
      delays: this.delays,
      book: this.book,
      eventEntries: this.eventEntries,
      startNs: this.zeroNs,
      ...(this.bird === undefined ? {} : { bird: this.bird }),
      ...(this.flannel === undefined ? {} : { flannel: this.flannel }),
    }
  }
}

function usesFlannel({ cni }: Cluster): boolean {
  return cni === 'flannel' || cni === 'canal'
}
