/**
 * The BIRDs of a run: of the nodes, as calico-node starts them (-R), and of the data centre's routers, on the run's clock. What happens to objects, nodes and
 * processes becomes what a BIRD sees: another configuration, a silent peer, a closed connection; what it then puts into its kernel goes into the node's state.
 */
import { hashText, Prng } from '../../base/prng.js'
import type { Cidr } from '../../base/cidr.js'
import type { Ip } from '../../base/ip.js'
import type { Problem } from '../../base/problem.js'
import { BgpWorld } from '../../calico/bgp/bgp-world.js'
import type { Bird } from '../../calico/bgp/bird.js'
import { birdHostOf } from '../../calico/bgp/bird-host.js'
import type { BirdConfig, BirdTimers } from '../../calico/bgp/config.js'
import { CALICO_BIRD } from '../../calico/bgp/flavour.js'
import type { BgpSession } from '../../calico/bgp/session.js'
import type { SessionEvent } from '../../calico/bgp/session-host.js'
import type { PathFinder, PathVerdict } from '../../calico/bgp/tcp.js'
import type { Cluster } from '../../cluster/cluster.js'
import type { Delays } from '../../cluster/scenario/delays.js'
import type { Action } from '../../cluster/scenario/scenario.js'
import type { Dataplane } from '../../dataplane/dataplane.js'
import { bgpPaths } from '../bgp-path.js'
import { bgpProblems } from '../bgp-problems.js'
import { secretProblems } from '../bgp-secrets.js'
import { bgpSpeakers } from '../bgp-speakers.js'
import type { CalicoPlan } from '../calico-part.js'
import type { Network } from '../network.js'
import type { AgentFamily, RunContext } from './agents.js'
import { BirdDiary } from './bird-diary.js'
import { CausalTimers } from './causal-timers.js'
import type { ClusterVersion } from './network-state.js'

const SECOND = 1e9
/** Chances are drawn in parts of a million. */
const MILLION = 1_000_000

export interface BirdFamilyOptions {
  readonly context: RunContext
  readonly cluster: Cluster
  /** Calico's plan of a version. */
  readonly planOf: (version: number) => Pick<CalicoPlan, 'cluster' | 'nodes'> | undefined
  /** What BIRD finds on a host, without its own routes; of now. */
  readonly hostOf: (netns: string) => Pick<Dataplane, 'devices' | 'routes'> | undefined
  /** May segments get through now: power, cables, firewalls. Asked for each segment. */
  readonly path: PathFinder
}

/** Who is to speak BGP: the daemon, or why there is none at the moment. */
export type BirdSpeaker = { readonly name: string; readonly bird: Bird } | { readonly name: string; readonly bird?: undefined; readonly why: string }

/** What changed in one kernel at the moment that the clock shows. */
interface Dirty {
  readonly bird: Bird
  /** In the order in which they changed; one that changed twice, twice. */
  readonly prefixes: Cidr[]
  readonly cause: number | undefined
}

/** Delays in the units of BIRD's configuration. */
function birdTimersOf(delays: Delays): BirdTimers {
  const seconds = (ns: number): number => ns / SECOND
  // OPEN carries it as a whole number, 3 at least (RFC 4271 section 4.2)
  const hold = Math.max(3, Math.round(seconds(delays['bird.hold'])))
  return {
    hold,
    keepalive: seconds(delays['bird.keepalive']),
    connectDelay: seconds(delays['bird.connectDelay']),
    connectRetry: seconds(delays['bird.connectRetry']),
    errorWaitMin: seconds(delays['bird.errorWait']),
    errorWaitMax: seconds(delays['bird.errorWaitMax']),
    errorForget: 300,
    gracefulRestart: Math.round(seconds(delays['bird.gracefulRestart'])),
    recoveryWait: seconds(delays['bird.recoveryWait']),
    kernelScan: seconds(delays['bird.kernelScan']),
  }
}

export class BirdFamily implements AgentFamily {
  readonly world: BgpWorld
  private readonly options: BirdFamilyOptions
  private readonly timers: CausalTimers
  private readonly diary: BirdDiary
  private readonly prng: Prng
  /** What confd wrote last, by speaker. */
  private configs = new Map<string, BirdConfig>()
  private readonly nodeByAddress = new Map<Ip, string>()
  /** Stopped by the scenario: they stay so until it starts them, or the node boots. */
  private readonly stopped = new Set<string>()
  /** Their BIRD starts at that time, ns. */
  private readonly starting = new Map<string, number>()
  private readonly dirty = new Map<string, Dirty>()
  private readonly changedHosts = new Map<string, number | undefined>()
  /** confd writes at that time, ns; below 0: it has nothing to write. */
  private confdAtNs = -1
  /** Entries of the diary: what last befell a node's power or cable, or the data centre. */
  private readonly outages = new Map<string, number>()
  private underlayCause: number | undefined
  /** Entries of the diary: when a daemon was started last, or became known to the others. */
  private readonly starts = new Map<string, number>()
  /** Sessions whose peer fell silent. */
  private readonly silent = new WeakSet<BgpSession>()

  constructor(options: BirdFamilyOptions) {
    const { context } = options
    this.options = options
    this.timers = new CausalTimers(context.simulation)
    this.prng = new Prng(context.seed ^ hashText('cables of BGP'))
    this.diary = new BirdDiary(context.diary, ({ config }) => this.nodeByAddress.get(config.neighbour))
    this.world = new BgpWorld({
      flavour: CALICO_BIRD,
      seed: context.seed,
      simulation: context.simulation,
      timers: this.timers,
      birdTimers: birdTimersOf(context.delays),
      path: (...segment) => this.path(...segment),
      onMessage: (bird, session, message, bytes) => this.diary.message(bird, session, message, { bytes, cause: this.timers.cause }),
      onKernel: (bird, prefix) => this.kernelChanged(bird, prefix),
      onSession: (bird, session, event) => this.sessionChanged(bird, session, event),
      onRecovered: (bird, missing) => {
        if (missing.length > 0) this.timers.cause = this.diary.recovered(bird, missing, this.timers.cause)
      },
    })
  }

  // ---- AgentFamily

  boot(): void {
    this.configure(this.options.context.version())
    for (const name of this.configs.keys()) this.startLater(name, 0)
  }

  versionChanged(_version: ClusterVersion, cause?: number): void {
    const { context } = this.options
    // of versions that come meanwhile the newest is read
    if (this.confdAtNs >= 0) return
    this.confdAtNs = this.timers.nowNs + context.delays['confd.poll']
    this.timers.because(cause, () => this.timers.after(context.delays['confd.poll'], () => this.confd()))
  }

  act(action: Action, cause: number): boolean {
    if (action.kind === 'bgp-reset') return this.reset(action.node, action.peer, cause)
    if (action.kind !== 'agent' || action.agent !== 'bird') return false
    const named = action.nodes.length > 0 ? action.nodes : [...this.configs.keys()].filter((name) => this.isNode(name))
    const nodes = named.filter((name) => this.configs.has(name))
    for (const name of nodes) this.actOnDaemon(name, action.how, cause)
    return nodes.length > 0
  }

  nodeChanged(name: string, cause: number): void {
    const { context } = this.options
    this.outages.set(name, cause)
    if (!context.node(name).power) {
      this.starting.delete(name)
      this.world.birds.get(name)?.kill({ tell: false })
      // what a kernel held is lost with it
      if (context.node(name).bird !== undefined) context.setNode(name, { bird: [] }, cause)
    } else if (!this.runs(name) && !this.starting.has(name)) {
      this.stopped.delete(name)
      this.timers.because(cause, () => this.startLater(name, context.delays['host.boot']))
    }
  }

  get restsAtNs(): number {
    const recoveries = [...this.world.birds.values()].map(({ recoveryEndsNs = 0 }) => recoveryEndsNs)
    return [this.confdAtNs, ...this.starting.values(), ...recoveries].reduce((a, b) => Math.max(a, b), this.world.restsAt())
  }

  // ---- for the control plane

  /** Pods, Felix or the owner changed devices or routes of a host: netlink tells BIRD at once. */
  hostChanged(netns: string, cause?: number): void {
    if (!this.runs(netns)) return
    if (this.changedHosts.size === 0) this.timers.after(0, () => this.readHosts())
    if (!this.changedHosts.has(netns)) this.changedHosts.set(netns, cause)
  }

  /** Rules, cables or MTUs between the nodes are others: for those who ask why a session fell silent. */
  underlayChanged(cause: number): void {
    this.underlayCause = cause
  }

  /** Which segments of BGP get through a network. */
  pathsOf(network: Network): PathFinder {
    return bgpPaths(network, [...this.configs.values()]).find
  }

  /** Of now, in the order of their configurations; a daemon whose Node is gone from the API, last. */
  speakers(): readonly BirdSpeaker[] {
    const { context } = this.options
    const { nowNs } = this.timers
    const names = new Set([...this.configs.keys(), ...this.world.birds.keys()])
    return [...names].flatMap((name): BirdSpeaker[] => {
      const bird = this.world.birds.get(name)
      if (bird?.isRunning === true) return [{ name, bird }]
      const startsNs = this.starting.get(name)
      const why =
        this.isNode(name) && !context.node(name).power
          ? 'its node has no power'
          : startsNs !== undefined && startsNs >= nowNs
            ? `it starts in ${Math.round((startsNs - nowNs) / 1e6) / 1e3} s`
            : this.stopped.has(name)
              ? 'it was stopped'
              : 'it has not been started'
      return this.configs.has(name) ? [{ name, why }] : []
    })
  }

  /** What is wrong with BGP once all have come to rest, in the network of then: as of a question without a run. */
  restProblems(network: Network): readonly Problem[] {
    const { cluster, number } = this.options.context.version()
    const resources = this.options.planOf(number)?.cluster.resources
    if (resources === undefined) return []
    const { bgpPeers, ipPools } = resources
    const paths = bgpPaths(network, [...this.configs.values()])
    const carriesPods = ipPools.some(({ vxlanMode }) => vxlanMode === 'Never')
    return [...secretProblems(cluster, resources), ...bgpProblems({ network, world: this.world, paths, bgpPeers, carriesPods })]
  }

  // ---- daemons

  private isNode(name: string): boolean {
    return !name.startsWith('router/')
  }

  private runs(name: string): boolean {
    return this.world.birds.get(name)?.isRunning === true
  }

  private startLater(name: string, afterNs: number): void {
    const { delays } = this.options.context
    const delayNs = afterNs + delays['agent.start'] + delays['bird.start']
    const atNs = this.timers.nowNs + delayNs
    this.starting.set(name, atNs)
    this.timers.after(delayNs, () => {
      if (this.starting.get(name) === atNs) this.start(name)
    })
  }

  private start(name: string): void {
    const { context, hostOf } = this.options
    this.starting.delete(name)
    const config = this.configs.get(name)
    const host = config === undefined ? undefined : hostOf(name)
    if (config === undefined || host === undefined || this.stopped.has(name) || this.runs(name)) return
    const left = this.isNode(name) ? context.node(name).bird : context.state().underlay.bird.get(name)
    this.world.add(config, birdHostOf(host), { recover: this.isNode(name), ...(left === undefined ? {} : { left }) })
  }

  private actOnDaemon(name: string, how: 'stop' | 'kill' | 'start', cause: number): void {
    const { context } = this.options
    const bird = this.world.birds.get(name)
    if (how === 'start') {
      this.stopped.delete(name)
      if (this.runs(name) || this.starting.has(name) || (this.isNode(name) && !context.node(name).power)) return
      const entry = this.diary.agent(name, 'BIRD starts', cause)
      this.starts.set(name, entry)
      const delayNs = context.delays['bird.start']
      this.starting.set(name, this.timers.nowNs + delayNs)
      this.timers.because(entry, () => this.timers.after(delayNs, () => this.starting.has(name) && this.start(name)))
      return
    }
    this.stopped.add(name)
    this.starting.delete(name)
    if (bird?.isRunning !== true) return
    const entry = this.diary.agent(name, how === 'stop' ? 'BIRD is stopped (SIGTERM): it tells its peers' : 'BIRD is killed (SIGKILL)', cause)
    this.timers.because(entry, () => (how === 'stop' ? bird.shutdown() : bird.kill({ tell: true })))
  }

  private reset(node: string, peer: Ip | undefined, cause: number): boolean {
    const sessions = this.world.birds.get(node)?.sessions.filter(({ config }) => peer === undefined || config.neighbour === peer) ?? []
    this.timers.because(cause, () => sessions.forEach((session) => session.restart()))
    return sessions.length > 0
  }

  // ---- what BIRD is told

  private configure({ cluster, number }: ClusterVersion): void {
    const plan = this.options.planOf(number)
    const speakers = plan === undefined ? [] : (bgpSpeakers(cluster, plan) ?? [])
    this.configs = new Map(speakers.map((config) => [config.name, config]))
    for (const { name, peers, routerId } of speakers) {
      this.nodeByAddress.set(routerId, name)
      for (const { sourceAddress } of peers) if (sourceAddress !== undefined) this.nodeByAddress.set(sourceAddress, name)
    }
  }

  /** confd has written the files of the newest version, and BIRD reads them. A daemon whose Node is gone from the API keeps what it has. */
  private confd(): void {
    const { cause } = this.timers
    const { context } = this.options
    this.confdAtNs = -1
    const known = this.configs
    this.configure(context.version())
    for (const [name, config] of this.configs) {
      if (!known.has(name) && cause !== undefined) this.starts.set(name, cause)
      const bird = this.world.birds.get(name)
      if (bird?.isRunning === true) this.timers.because(cause, () => bird.reconfigure(config))
      else if (!this.starting.has(name) && (!this.isNode(name) || context.node(name).power)) this.start(name)
    }
  }

  private readHosts(): void {
    const hosts = [...this.changedHosts]
    this.changedHosts.clear()
    for (const [name, cause] of hosts) {
      const host = this.options.hostOf(name)
      const bird = this.world.birds.get(name)
      if (host !== undefined && bird?.isRunning === true) this.timers.because(cause, () => bird.hostChanged(birdHostOf(host)))
    }
  }

  // ---- the way between them

  private path(from: Ip, to: Ip, sourcePort: number, port: number): PathVerdict {
    const atEnds = 1 - (1 - this.lossAt(from)) * (1 - this.lossAt(to))
    if (atEnds === 1) return { kind: 'lost' }
    const verdict = this.options.path(from, to, sourcePort, port)
    if (verdict.kind !== 'open') return verdict
    // cables between the ends lose frames too: a network that was asked knows of all
    const loss = verdict.loss ?? atEnds
    if (loss === 0) return verdict
    // TCP alone knows of it: a segment that is lost waits for its timer
    return this.prng.below(MILLION) < loss * MILLION ? { kind: 'lost' } : { ...verdict, chancy: true }
  }

  /** 1: no power, or the cable is out. */
  private lossAt(address: Ip): number {
    const name = this.nodeByAddress.get(address)
    if (name === undefined || !this.isNode(name)) return 0
    const { power, cable } = this.options.context.node(name)
    return !power || cable.cut ? 1 : cable.loss
  }

  // ---- what it says and does

  private sessionChanged(bird: Bird, session: BgpSession, event: SessionEvent): void {
    const isSilent = session.lastError.endsWith('Hold timer expired')
    const cause = event === 'up' ? this.returnBetween(bird, session) : isSilent ? this.outageBetween(bird, session) : this.timers.cause
    if (isSilent) this.silent.add(session)
    if (event === 'up') this.silent.delete(session)
    this.timers.cause = this.diary.session(bird, session, event, cause)
  }

  /** Who dials goes on from the session's end; that somebody answers goes back to the last that came back. */
  private returnBetween(bird: Bird, session: BgpSession): number | undefined {
    const both = [bird.config.name, this.nodeByAddress.get(session.config.neighbour) ?? '']
    const back = both.flatMap((name) => [this.starts.get(name) ?? [], this.outages.get(name) ?? []].flat())
    const way = this.silent.has(session) ? this.outageBetween(bird, session) : undefined
    return latest([this.timers.cause, way, ...back])
  }

  /** The last that befell the way between two who hear no more of each other. */
  private outageBetween(bird: Bird, { config }: BgpSession): number | undefined {
    const other = this.nodeByAddress.get(config.neighbour) ?? ''
    return latest([this.outages.get(bird.config.name), this.outages.get(other), this.underlayCause])
  }

  private kernelChanged(bird: Bird, prefix: Cidr): void {
    const { name } = bird.config
    if (this.dirty.size === 0) this.timers.after(0, () => this.writeKernels())
    const dirty = this.dirty.get(name)
    if (dirty === undefined) this.dirty.set(name, { bird, prefixes: [prefix], cause: this.timers.cause })
    else dirty.prefixes.push(prefix)
  }

  private writeKernels(): void {
    const all = [...this.dirty]
    this.dirty.clear()
    const { context } = this.options
    for (const [name, { bird, prefixes, cause }] of all) {
      const isNode = this.isNode(name)
      if (isNode && !context.node(name).power) continue
      const entry = this.diary.routes(bird, new Set(prefixes), cause)
      if (isNode) context.setNode(name, { bird: bird.kernelRoutes() }, entry)
      else context.setRouterRoutes(name, bird.kernelRoutes(), entry)
    }
  }
}

/** Entries of a diary are numbered as they come. */
function latest(entries: readonly (number | undefined)[]): number | undefined {
  const known = entries.filter((entry) => entry !== undefined)
  return known.length === 0 ? undefined : Math.max(...known)
}
