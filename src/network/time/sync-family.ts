/**
 * Felix and kube-proxy of every node in time: from versions of the objects to what each node's kernel has of them. What a version changes is told from
 * the plans of both (plan-book.ts); of one that changes nothing for a node nothing is written there.
 *
 *   kube-proxy   hears of Services at once, of endpoints once the EndpointSlice controller has written them; writes as its bounded runner lets it
 *   Felix        hears of everything in the datastore; writes felix.apply later, and what it hears of meanwhile with it
 *
 * On the host's boot both write everything. Felix alone looks at the cards' MTU: every 30 s, and starts anew where it is another than at its start
 * (felix/dataplane/linux/int_dataplane.go monitorHostMTU); flanneld keeps what it found, until it is started anew.
 */
import type { Cluster } from '../../cluster/cluster.js'
import type { Action } from '../../cluster/scenario/scenario.js'
import type { CalicoPart } from '../calico-part.js'
import { usesCalico } from '../nodes.js'
import type { AgentFamily, RunContext } from './agents.js'
import { BoundedFrequency } from './bounded-frequency.js'
import type { ClusterVersion } from './network-state.js'
import type { PlanBook } from './plan-book.js'
import { SyncAgents, type SyncKind } from './sync-agents.js'

/** felix/dataplane/linux/int_dataplane.go monitorHostMTU. */
const MTU_LOOK_NS = 30e9
/** In larger clusters a version that changes anything that Felixes know of is taken to change something for each. */
export const COMPARED_NODES_MAX = 300

export interface SyncFamilyOptions {
  readonly context: RunContext
  readonly cluster: Cluster
  readonly book: PlanBook
  /** Does the API server answer there? */
  readonly reaches: (node: string) => boolean
}

export class SyncFamily implements AgentFamily {
  private readonly context: RunContext
  private readonly kubeProxy: SyncAgents | undefined
  private readonly felix: SyncAgents | undefined
  /** Of the card, as the node's Felix found it; from when its looks are counted. */
  private readonly mtus = new Map<string, { readonly mtu: number | undefined; readonly sinceNs: number }>()

  constructor(options: SyncFamilyOptions) {
    const { context, cluster } = options
    this.context = context
    this.kubeProxy = cluster.kubeProxy.mode === 'none' ? undefined : agentsOf(options, new KubeProxyKind(options))
    this.felix = usesCalico(cluster) ? agentsOf(options, new FelixKind(options)) : undefined
  }

  get restsAtNs(): number {
    return Math.max(0, ...this.all().map(({ restsAtNs }) => restsAtNs))
  }

  boot(): void {
    const nodes = this.context.version().cluster.nodes.map(({ name }) => name)
    for (const agents of this.all()) agents.boot(nodes)
    for (const node of nodes) this.noteMtu(node)
    if (this.context.diary.keepsWatches) this.lookAgain()
  }

  versionChanged(version: ClusterVersion, cause?: number): void {
    for (const agents of this.all()) agents.versionChanged(version, cause)
  }

  act(action: Action, cause: number): boolean {
    if (action.kind !== 'agent') return false
    const agents = action.agent === 'felix' ? this.felix : action.agent === 'kube-proxy' ? this.kubeProxy : undefined
    if (agents === undefined) return false
    const nodes = action.nodes.length === 0 ? [...agents.nodes] : action.nodes
    const heard = nodes.map((node) => (action.how === 'start' ? agents.start(node, cause) : agents.stop(node, cause)))
    if (action.agent === 'felix' && action.how === 'start') for (const node of nodes) this.noteMtu(node)
    return heard.includes(true)
  }

  nodeChanged(name: string, cause: number): void {
    for (const agents of this.all()) agents.nodeChanged(name, cause)
    const known = this.mtus.get(name)
    const { power, mtu } = this.context.node(name)
    if (!power || known === undefined) this.noteMtu(name)
    else if (known.mtu !== mtu) this.lookAtMtu(name, cause)
  }

  private all(): readonly SyncAgents[] {
    return [this.kubeProxy, this.felix].filter((agents) => agents !== undefined)
  }

  private noteMtu(node: string): void {
    const { mtu } = this.context.node(node)
    this.mtus.set(node, { mtu, sinceNs: this.context.timers.nowNs })
    if (this.felix !== undefined) this.context.setNode(node, { felixMtu: mtu })
  }

  /** At Felix's next look, which goes by when it was started. */
  private lookAtMtu(node: string, cause: number): void {
    const { felix } = this
    const known = this.mtus.get(node)
    if (felix === undefined || known === undefined) return
    const { nowNs } = this.context.timers
    const dueNs = known.sinceNs + Math.ceil((nowNs - known.sinceNs + 1) / MTU_LOOK_NS) * MTU_LOOK_NS
    this.context.timers.after(dueNs - nowNs, () => {
      const { power, mtu } = this.context.node(node)
      if (!power || this.mtus.get(node) !== known || mtu === known.mtu || !felix.start(node, cause)) return
      this.context.diary.add({ agent: 'felix', kind: 'agent', node, what: 'felix finds another MTU of the card than at its start: it starts anew', cause })
      this.noteMtu(node)
    })
  }

  /** What both do again and again, of all nodes in one entry: nobody but they changes their chains and routes here, so that there is nothing to mend. */
  private lookAgain(): void {
    const { delays } = this.context
    this.habit(this.felix, delays['felix.refresh'], 'looks through chains, sets and routes')
    this.habit(this.kubeProxy, delays['kubeProxy.syncPeriod'], 'looks whether its chains are there')
  }

  private habit(agents: SyncAgents | undefined, periodNs: number, what: string): void {
    if (agents === undefined) return
    const { timers, diary } = this.context
    const agent = agents === this.felix ? 'felix' : 'kube-proxy'
    const again = (): void => {
      diary.add({ agent, kind: 'sync', what: `${what} on ${agents.running()} nodes: nothing to change` })
      timers.after(periodNs, again)
    }
    timers.after(periodNs, again)
  }
}

function agentsOf({ context, reaches }: SyncFamilyOptions, kind: SyncKind): SyncAgents {
  return new SyncAgents({ context, reaches, kind })
}

/** iptables mode. */
class KubeProxyKind implements SyncKind {
  readonly agent = 'kube-proxy'
  readonly field = 'kubeProxy'
  private readonly context: RunContext
  private readonly book: PlanBook
  private readonly throttles = new Map<string, BoundedFrequency>()
  private readonly texts = new WeakMap<ClusterVersion, { readonly services: string; readonly endpoints: string }>()

  constructor({ context, book }: SyncFamilyOptions) {
    this.context = context
    this.book = book
  }

  heardAfterNs(before: ClusterVersion | undefined, version: ClusterVersion): number | undefined {
    const watch = this.context.delays['apiserver.watch']
    if (before === undefined) return watch
    const [was, is] = [this.textsOf(before), this.textsOf(version)]
    if (was.services !== is.services) return watch
    if (was.endpoints === is.endpoints) return undefined
    // from pods the EndpointSlice controller makes what kube-proxy hears of
    return watch + this.context.delays['controller.sync'] + watch
  }

  /** Its rules are of Services, and hang on no Node. */
  knows(): boolean {
    return true
  }

  changes(_node: string, from: number, to: number): boolean {
    if (from < 0) return true
    const [was, is] = [this.textsOf(this.book.versions[from]), this.textsOf(this.book.versions[to])]
    return was.services !== is.services || was.endpoints !== is.endpoints
  }

  waitNs(node: string): number {
    return this.throttleOf(node).waitNs(this.context.timers.nowNs)
  }

  wrote(node: string): void {
    this.throttleOf(node).ran(this.context.timers.nowNs)
  }

  words(version: number, first: boolean): string {
    const { length } = this.book.services(version).endpoints
    return `rules for ${length} ${length === 1 ? 'Service' : 'Services'} written${first ? ', all of them' : ''}`
  }

  private throttleOf(node: string): BoundedFrequency {
    const known = this.throttles.get(node) ?? new BoundedFrequency(this.context.delays['kubeProxy.minSyncPeriod'])
    this.throttles.set(node, known)
    return known
  }

  private textsOf(version: ClusterVersion): { readonly services: string; readonly endpoints: string } {
    let texts = this.texts.get(version)
    if (texts === undefined) {
      const all = this.book.services(version.number).endpoints
      const endpoints = all.map(({ ports }) => ports.map((one) => one.endpoints.map(({ pod: _pod, ...rest }) => rest)))
      texts = {
        services: JSON.stringify([all.map(({ service: { object: _object, ...rest } }) => rest), version.cluster.nodes.map(zoneOf)], withoutPlace),
        endpoints: JSON.stringify(endpoints),
      }
      this.texts.set(version, texts)
    }
    return texts
  }
}

/** Of a node kube-proxy knows its own zone. */
function zoneOf({ name, labels }: Cluster['nodes'][number]): string {
  return `${name} ${labels['topology.kubernetes.io/zone'] ?? ''}`
}

/** Where a thing stands in its file changes nothing of it. */
function withoutPlace(key: string, value: unknown): unknown {
  return key === 'file' || key === 'line' || key === 'provenance' ? undefined : value
}

class FelixKind implements SyncKind {
  readonly agent = 'felix'
  readonly field = 'felix'
  private readonly context: RunContext
  private readonly book: PlanBook
  private readonly inputs = new WeakMap<ClusterVersion, string>()
  private readonly parts = new WeakMap<CalicoPart, string>()

  constructor({ context, book }: SyncFamilyOptions) {
    this.context = context
    this.book = book
  }

  heardAfterNs(before: ClusterVersion | undefined, version: ClusterVersion): number | undefined {
    return before !== undefined && this.inputOf(before) === this.inputOf(version) ? undefined : this.context.delays['apiserver.watch']
  }

  /** A Node that is deleted takes no chain out of the host's kernel: Felix cleans up after nobody but workloads and policies. */
  knows(node: string, version: number): boolean {
    return this.book.cluster(version).nodeByName.has(node)
  }

  changes(node: string, from: number, to: number): boolean {
    if (from < 0) return true
    if (this.inputOf(this.book.versions[from]) === this.inputOf(this.book.versions[to])) return false
    if (this.book.cluster(to).nodes.length > COMPARED_NODES_MAX) return true
    return this.textOf(node, from) !== this.textOf(node, to)
  }

  waitNs(): number {
    return this.context.delays['felix.apply']
  }

  wrote(): void {}

  words(_version: number, first: boolean): string {
    return first ? 'chains, sets, tunnels and routes written, all of them' : 'chains, sets and routes written'
  }

  /** All that some Felix makes anything of. */
  private inputOf(version: ClusterVersion): string {
    let text = this.inputs.get(version)
    if (text === undefined) {
      const { cluster, nodes } = this.book.calico(version.number) ?? {}
      const { namespaces, objects } = version.cluster
      const slices = objects.filter(({ kind }) => kind === 'EndpointSlice' || kind === 'ServiceAccount').map(({ value }) => value)
      const known = [cluster?.resources, [...(cluster?.felixSettings ?? [])], cluster?.addresses.affinities, [...(cluster?.endpoints ?? [])], nodes]
      text = JSON.stringify([known, namespaces.map(({ name, labels }) => [name, labels]), slices], withoutPlace)
      this.inputs.set(version, text)
    }
    return text
  }

  private textOf(node: string, version: number): string {
    const part = this.book.calico(version)?.parts.get(node)
    if (part === undefined) return ''
    let text = this.parts.get(part)
    if (text === undefined) {
      const { devices, routes, rules, neighbours, fdb, sysctls, ipsets, chainEdits } = part
      text = JSON.stringify([devices, routes, rules, neighbours, fdb, sysctls, ipsets, chainEdits], withoutPlace)
      this.parts.set(part, text)
    }
    return text
  }
}
