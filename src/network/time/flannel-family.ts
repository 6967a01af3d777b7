/**
 * flannel in a run: flanneld on every node, and etcd or the API server's Nodes, on one clock. From power, cables and what the scenario does to agents and
 * leases to a view of flanneld for every node, one after each change that reaches its kernel, and to the diary of leases.
 *
 *   write, expiry ─▶ etcd.watch ─▶ every flanneld that listens ─▶ flannel.apply ─▶ setNode
 */
import { formatCidr, type Cidr } from '../../base/cidr.js'
import { formatIp, parseIp } from '../../base/ip.js'
import type { Problem } from '../../base/problem.js'
import type { Cluster } from '../../cluster/cluster.js'
import type { Action } from '../../cluster/scenario/scenario.js'
import type { StoreEvent } from '../../etcd/store.js'
import { leaseObject, parseSubnetKey, type Lease, type LeaseEvent } from '../../flannel/lease.js'
import { sameSubnet } from '../../flannel/subnet-allocation.js'
import type { LeaseWrite } from '../../flannel/flanneld-process.js'
import type { LeaseChange } from '../../flannel/lease-feed.js'
import type { BareNode, LeaseRow } from '../flannel-plan.js'
import { bareNodes } from '../network.js'
import type { AgentFamily, RunContext } from './agents.js'
import { flannelDatastore, type FlannelDatastore } from './flannel-datastore.js'
import { FlannelHost, type FlannelHostListener } from './flannel-host.js'
import type { ClusterVersion } from './network-state.js'

export interface FlannelFamilyOptions {
  readonly context: RunContext
  readonly cluster: Cluster
  /** As network.ts bareNodes gives them. */
  readonly bare: readonly BareNode[]
  /** Does the node get to etcd or the API server, as far as its power and cable go? Default: it does. */
  readonly reaches?: (node: string) => boolean
  /** converged: nothing reaches a kernel until startHere, which nobody would look at. Default: boot. */
  readonly start?: 'converged' | 'boot'
  /** ns between the boots of two nodes that have no lease yet; default: the delay flannel.spread. */
  readonly spreadNs?: number
}

/** Those that heard something at one moment, which has not reached their kernels yet. */
interface Batch {
  readonly hosts: FlannelHost[]
  readonly sinceNs: number
}

export class FlannelFamily implements AgentFamily, FlannelHostListener {
  /** Of every process, in the order in which they were found; each once. */
  readonly found: Problem[] = []
  /** Lease events that flannelds have heard. */
  watchEvents = 0
  private readonly options: FlannelFamilyOptions
  private readonly context: RunContext
  private readonly datastore: FlannelDatastore
  private readonly hosts = new Map<string, FlannelHost>()
  private readonly hostByAddress = new Map<number, FlannelHost>()
  /** Entry of the diary behind each change of the feed. */
  private readonly changeCauses: (number | undefined)[] = []
  private batch: Batch | undefined
  /** Their kernels get something of flanneld's for the first time since the boot, and have not yet. */
  private readonly first = new Set<FlannelHost>()
  private holds: boolean
  private busyUntilNs = 0
  private deleting: number | undefined
  private lastCluster: Cluster

  constructor(options: FlannelFamilyOptions) {
    this.options = options
    this.context = options.context
    this.holds = options.start === 'converged'
    this.lastCluster = options.cluster
    this.datastore = flannelDatastore(options.context, options.cluster, (event) => this.leaseEnded(event))
    this.datastore.feed.passesOver = (change, hosts) => this.passesOver(change, hosts)
    for (const bare of options.bare) this.addHost(bare)
  }

  // ---- AgentFamily

  boot(): void {
    const { delays } = this.context
    const spreadNs = this.options.spreadNs ?? delays['flannel.spread']
    const holders = new Set(this.datastore.leases().map(({ attributes }) => attributes.publicIp))
    let afterNs = delays['agent.start']
    for (const [address, host] of this.hostByAddress) {
      this.startHost(host, afterNs, undefined, true)
      if (this.datastore.kind === 'etcd' && !holders.has(address)) afterNs += spreadNs
    }
  }

  versionChanged(version: ClusterVersion, cause?: number): void {
    const { cluster } = version
    const before = this.lastCluster
    this.lastCluster = cluster
    const length = this.datastore.feed.changes.length
    this.datastore.nodesChanged(before, cluster)
    for (let at = length; at < this.datastore.feed.changes.length; at++) this.changeCauses[at] = cause
    if (this.datastore.feed.changes.length > length) this.busyWithWatch()
    const added = cluster.nodes.filter(({ name }) => !this.hosts.has(name))
    if (added.length === 0) return
    for (const bare of bareNodes(cluster, this.context.seed)) {
      if (!this.hosts.has(bare.node.name)) this.startHost(this.addHost(bare), this.context.delays['agent.start'], cause)
    }
  }

  act(action: Action, cause: number): boolean {
    if (action.kind === 'delete-lease') return this.deleteLease(action.subnet, cause)
    if (action.kind !== 'agent') return false
    if (action.agent === 'etcd') return this.actOnEtcd(action.how, cause)
    if (action.agent !== 'flanneld') return false
    const named = action.nodes.length > 0 ? action.nodes : [...this.hosts.keys()]
    const hosts = named.flatMap((name) => this.hosts.get(name) ?? [])
    for (const host of hosts) this.actOnHost(host, action.how, cause)
    return hosts.length > 0
  }

  nodeChanged(name: string, cause: number): void {
    const host = this.hosts.get(name)
    if (host === undefined) return
    const { delays } = this.context
    if (!this.context.node(name).power) {
      host.powerOff(cause)
      this.forget(host)
      this.context.setNode(name, { flannel: undefined, flanneldRuns: false }, cause)
    } else if (host.isOff) {
      this.startHost(host, delays['host.boot'] + delays['agent.start'], cause)
    } else {
      host.wayChanged(cause)
      this.busy(host.reconnectsAtNs)
    }
  }

  get restsAtNs(): number {
    return this.busyUntilNs
  }

  /** Every lease has its whole time to live from now, and flannelds know of each other in the order of a listing of now. */
  startHere(): void {
    this.datastore.startHere()
    const ends = new Map(this.datastore.leases().map(({ subnet, expiresNs }) => [formatCidr(subnet), expiresNs]))
    this.holds = false
    for (const host of this.hosts.values()) {
      const lease = host.process?.lease
      if (lease === undefined) continue
      host.resetTo(ends.get(formatCidr(lease.subnet)))
      this.forget(host)
      this.apply(host, undefined)
    }
  }

  // ---- for reports

  /** What the datastore holds now. */
  get leases(): readonly LeaseRow[] {
    return this.datastore.leases().map((lease) => {
      const node = this.hostByAddress.get(lease.attributes.publicIp)?.name
      return { ...(node === undefined ? {} : { node }), lease }
    })
  }

  /** false: its server is away, and nobody is told what it holds. */
  get answers(): boolean {
    return this.datastore.answers
  }

  get etcdKeys(): readonly { readonly key: string; readonly value: string }[] {
    return this.datastore.keys()
  }

  // ---- FlannelHostListener

  started(host: FlannelHost): void {
    host.cause = this.tell(host, 'flanneld starts')
  }

  wrote(host: FlannelHost, what: LeaseWrite): void {
    switch (what.kind) {
      case 'taken': {
        const entry = this.tellLease(host, 'lease-taken', what.lease, `${leaseObject(what.lease.subnet)} taken: ${what.why}`, host.cause)
        this.caused(what.lease, entry)
        host.cause = entry
        this.busyWithWatch()
        break
      }
      case 'renewed':
        this.caused(what.lease, this.tellLease(host, 'lease-renewed', what.lease, `${leaseObject(what.lease.subnet)} renewed`, undefined))
        break
      case 'renewal failed':
        this.tellLease(
          host,
          'lease-refused',
          what.lease,
          `${leaseObject(what.lease.subnet)} not renewed: the datastore does not answer; again in 1 min`,
          host.cause,
        )
        break
      case 'refused':
        host.lostRace = what.race
        this.context.diary.add({
          agent: 'flanneld',
          kind: 'lease-refused',
          node: host.name,
          what: `no lease: ${what.error}`,
          ...(host.cause === undefined ? {} : { cause: host.cause }),
        })
    }
  }

  heard(host: FlannelHost, events: readonly LeaseEvent[]): void {
    this.watchEvents += events.length
    const { keepsWatches } = this.context.diary
    if (this.holds && !keepsWatches) return
    const cause = this.causeOfNews(host, events)
    if (keepsWatches) for (const event of events) this.tellWatch(host, event, cause)
    if (this.holds || (events.length > 0 && events.every(isRenewal) && this.context.node(host.name).flannel !== undefined)) return
    host.appliesBecause = cause ?? host.appliesBecause
    if (host.applies) return
    host.applies = true
    if (this.context.node(host.name).flannel === undefined) this.first.add(host)
    this.enqueue(host)
  }

  /** What comes of news for those who would only note that they have heard of it: nothing, until startHere, or of a renewal where each kernel has the lease. */
  private passesOver({ events }: LeaseChange, hosts: number): boolean {
    if (this.context.diary.keepsWatches) return false
    if (!this.holds && !(this.first.size === 0 && events.every(isRenewal))) return false
    this.watchEvents += hosts * events.length
    return true
  }

  exited(host: FlannelHost, reason: string, heard: number): void {
    const revoked = reason.includes('revoked')
    host.cause = this.tell(host, `flanneld exits: ${reason}`, revoked ? this.changeCauses[heard - 1] : host.cause)
    this.forget(host)
    if (this.context.node(host.name).flanneldRuns) this.context.setNode(host.name, { flanneldRuns: false }, host.cause)
    // A lost race is lost once; who is refused for good asks for ever, and nobody waits for that.
    if (revoked || host.lostRace) this.busy(this.context.timers.nowNs + this.context.delays['flannel.restart'] + this.startNs())
  }

  problems(problems: readonly Problem[]): void {
    for (const problem of problems) {
      if (!this.found.some(({ object, what }) => object === problem.object && what === problem.what)) this.found.push(problem)
    }
  }

  // ---- events

  private actOnHost(host: FlannelHost, how: 'stop' | 'kill' | 'start', cause: number): void {
    if (!this.context.node(host.name).power) {
      this.tell(host, `flanneld: ${host.name} has no power`, cause)
    } else if (how === 'start') {
      this.startHost(host, this.context.delays['agent.start'], cause)
    } else if (host.runs || host.isStarting) {
      const entry = this.tell(host, how === 'stop' ? 'flanneld is stopped' : 'flanneld is killed', cause)
      host.end(entry)
      this.forget(host)
      this.context.setNode(host.name, { flanneldRuns: false, ...(how === 'kill' ? { flanneldKilled: true } : {}) }, entry)
    }
  }

  private actOnEtcd(how: 'stop' | 'kill' | 'start', cause: number): boolean {
    const { datastore } = this
    const { diary, timers, delays } = this.context
    if (datastore.kind !== 'etcd') return false
    if (how !== 'start') {
      if (!datastore.answers) return true
      datastore.halt()
      this.waysChanged(diary.add({ agent: 'etcd', kind: 'agent', what: 'etcd is away', cause }))
    } else if (!datastore.answers) {
      timers.after(delays['etcd.start'], () => {
        const what = 'etcd answers again; every lease that it holds has its whole time to live anew'
        this.deleting = diary.add({ agent: 'etcd', kind: 'agent', what, cause })
        datastore.resume()
        this.waysChanged(this.deleting)
        this.deleting = undefined
      })
      this.busy(timers.nowNs + delays['etcd.start'] + delays['flannel.reconnect'] + this.startNs())
    }
    return true
  }

  private waysChanged(cause: number): void {
    for (const host of this.hosts.values()) {
      host.wayChanged(cause)
      this.busy(host.reconnectsAtNs)
    }
  }

  private deleteLease(subnet: Cidr, cause: number): boolean {
    const object = formatCidr(subnet)
    const { diary } = this.context
    if (this.datastore.kind === 'kubernetes') {
      diary.add({ agent: 'apiserver', kind: 'lease-refused', object, what: `${leaseObject(subnet)} is a Node's podCIDR: it goes with its Node`, cause })
      return true
    }
    if (!this.datastore.answers) {
      diary.add({ agent: 'etcd', kind: 'lease-refused', object, what: `${leaseObject(subnet)} is not deleted: etcd does not answer`, cause })
      return true
    }
    this.deleting = cause
    const deleted = this.datastore.deleteLease(subnet)
    this.deleting = undefined
    if (!deleted) diary.add({ agent: 'etcd', kind: 'lease-refused', object, what: `there is no ${leaseObject(subnet)} to be deleted`, cause })
    return true
  }

  /** The store tells of it before anybody else hears. */
  private leaseEnded({ reason, current, previous }: StoreEvent): void {
    const subnet = parseSubnetKey(current.key)?.subnet
    if (subnet === undefined) return
    const address = parseIp(/"PublicIP"\s*:\s*"([0-9.]+)"/i.exec(previous?.value ?? '')?.[1] ?? '')
    const owner = address === undefined ? undefined : this.hostByAddress.get(address)
    const cause = this.deleting ?? (owner?.runs === true && owner.reaches ? undefined : owner?.cause)
    const entry = this.context.diary.add({
      agent: 'etcd',
      kind: reason === 'expire' ? 'lease-expired' : 'lease-deleted',
      ...(owner === undefined ? {} : { node: owner.name }),
      object: formatCidr(subnet),
      what: `${leaseObject(subnet)} ${reason === 'expire' ? 'expired' : 'deleted'}`,
      ...(cause === undefined ? {} : { cause }),
    })
    this.changeCauses[this.datastore.feed.changes.length - 1] = entry
    this.busyWithWatch()
  }

  // ---- views on their way to the kernel

  /** Those that heard at one moment are applied at one moment. */
  private enqueue(host: FlannelHost): void {
    const { timers, delays } = this.context
    if (this.batch?.sinceNs !== timers.nowNs) {
      const batch = { hosts: [] as FlannelHost[], sinceNs: timers.nowNs }
      this.batch = batch
      timers.after(delays['flannel.apply'], () => this.applyAll(batch))
      this.busy(timers.nowNs + delays['flannel.apply'])
    }
    this.batch.hosts.push(host)
  }

  private applyAll(batch: Batch): void {
    if (this.batch === batch) this.batch = undefined
    for (const host of batch.hosts) {
      const { applies, appliesBecause } = host
      this.forget(host)
      if (applies) this.apply(host, appliesBecause)
    }
  }

  private apply(host: FlannelHost, cause: number | undefined): void {
    const view = host.process?.view()
    if (view !== undefined) this.context.setNode(host.name, { flannel: view, flanneldRuns: true, flanneldKilled: undefined }, cause)
  }

  /** Who has just started hears of what was written long before. */
  private causeOfNews(host: FlannelHost, events: readonly LeaseEvent[]): number | undefined {
    const written = events.length === 0 ? undefined : this.changeCauses[(host.process?.heard ?? 0) - 1]
    if (written === undefined || host.cause === undefined) return written ?? (events.length === 0 ? host.cause : undefined)
    return Math.max(written, host.cause)
  }

  /** What it heard and has not done is lost with the process. */
  private forget(host: FlannelHost): void {
    this.first.delete(host)
    host.applies = false
    host.appliesBecause = undefined
  }

  // ---- helpers

  private addHost(bare: BareNode): FlannelHost {
    const { context, cluster, reaches = () => true } = this.options
    const host = new FlannelHost({ context, cluster, bare, datastore: this.datastore, reaches, listener: this })
    this.hosts.set(host.name, host)
    this.hostByAddress.set(bare.externalInterface.publicIp, host)
    return host
  }

  private startHost(host: FlannelHost, afterNs: number, cause: number | undefined, adopts = false): void {
    host.start(afterNs, cause, adopts)
    this.busy(this.context.timers.nowNs + afterNs + this.startNs())
  }

  /** From a process's first question until all know of it. */
  private startNs(): number {
    const { delays } = this.context
    return 3 * delays['etcd.roundTrip'] + delays['etcd.watch'] + delays['apiserver.watch'] + delays['flannel.apply']
  }

  /** The feed's last change is that write, unless nothing was written (a Node that has its annotations). */
  private caused({ subnet }: Lease, entry: number): void {
    const at = this.datastore.feed.changes.length - 1
    const written = this.datastore.feed.changes.at(-1)?.lease
    if (written !== undefined && sameSubnet(written.subnet, subnet)) this.changeCauses[at] ??= entry
  }

  private busyWithWatch(): void {
    this.busy(this.context.timers.nowNs + this.startNs())
  }

  private busy(untilNs: number): void {
    this.busyUntilNs = Math.max(this.busyUntilNs, untilNs)
  }

  private tell(host: FlannelHost, what: string, cause = host.cause): number {
    return this.context.diary.add({ agent: 'flanneld', kind: 'agent', node: host.name, what, ...(cause === undefined ? {} : { cause }) })
  }

  private tellLease(
    host: FlannelHost,
    kind: 'lease-taken' | 'lease-renewed' | 'lease-refused',
    { subnet }: Lease,
    what: string,
    cause: number | undefined,
  ): number {
    return this.context.diary.add({ agent: 'flanneld', kind, node: host.name, object: formatCidr(subnet), what, ...(cause === undefined ? {} : { cause }) })
  }

  private tellWatch(host: FlannelHost, { kind, lease }: LeaseEvent, cause: number | undefined): void {
    this.context.diary.add({
      agent: 'flanneld',
      kind: 'watch',
      node: host.name,
      object: formatCidr(lease.subnet),
      what: `hears: ${leaseObject(lease.subnet)} ${kind === 'added' ? `of ${formatIp(lease.attributes.publicIp)}` : 'is gone'}`,
      ...(cause === undefined ? {} : { cause }),
    })
  }
}

function isRenewal({ renewal }: LeaseEvent): boolean {
  return renewal === true
}
