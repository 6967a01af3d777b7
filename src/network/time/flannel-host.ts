/**
 * flanneld on one node over a run: processes that come and go, what they find of the one before, and who starts them anew. From power, supervisor and the
 * way to the datastore to one FlanneldProcess at a time.
 *
 *   start ─▶ process ─▶ exit ─▶ after flannel.restart: the next     the way is cut ─▶ back ─▶ at the next try of the watch: reconnected
 */
import type { Cidr } from '../../base/cidr.js'
import { hashText } from '../../base/prng.js'
import type { Problem } from '../../base/problem.js'
import type { Cluster } from '../../cluster/cluster.js'
import type { FlannelView } from '../../flannel/backend.js'
import { remainsAfterExit, renderFlannel } from '../../flannel/flanneld.js'
import { FlanneldProcess, type FlanneldOptions, type LeaseWrite } from '../../flannel/flanneld-process.js'
import type { LeaseEvent } from '../../flannel/lease.js'
import { underlayOf } from '../../flannel/underlay.js'
import type { Timer } from '../../sim/timers.js'
import { tunnelMacPin, type BareNode } from '../flannel-plan.js'
import type { RunContext } from './agents.js'
import type { FlannelDatastore } from './flannel-datastore.js'

const FIRST_RECONNECT_NS = 100e6
/** kubelet's longest wait between two starts of a container. */
const LONGEST_RESTART_NS = 300e9

export interface FlannelHostOptions {
  readonly context: RunContext
  readonly cluster: Cluster
  readonly bare: BareNode
  readonly datastore: FlannelDatastore
  /** Of the node alone; whether the datastore's server runs is the datastore's business. */
  readonly reaches: (node: string) => boolean
  readonly listener: FlannelHostListener
}

export interface FlannelHostListener {
  started(host: FlannelHost): void
  wrote(host: FlannelHost, what: LeaseWrite): void
  heard(host: FlannelHost, events: readonly LeaseEvent[]): void
  /** @param heard how many changes of the feed it had heard */
  exited(host: FlannelHost, reason: string, heard: number): void
  problems(problems: readonly Problem[]): void
}

export class FlannelHost {
  readonly name: string
  /** Entry of the diary: why it runs, does not run, or is cut off; undefined: the start. */
  cause: number | undefined
  process: FlanneldProcess | undefined
  isOff = false
  /** It has heard what is not in its kernel yet, and why that came. */
  applies = false
  appliesBecause: number | undefined
  /** Its last try for a lease was lost to another's. */
  lostRace = false
  private readonly options: FlannelHostOptions
  private starting: Timer | undefined
  private reconnecting: Timer | undefined
  private cutNs: number | undefined
  private boots = 0
  private failures = 0
  private adopts = false
  /** FLANNEL_SUBNET of subnet.env, in /run: gone with the power. */
  private previousSubnet: Cidr | undefined

  constructor(options: FlannelHostOptions) {
    this.options = options
    this.name = options.bare.node.name
  }

  get runs(): boolean {
    return this.process !== undefined
  }

  get isStarting(): boolean {
    return this.starting !== undefined
  }

  /** Is the way to the datastore open? */
  get reaches(): boolean {
    return this.options.datastore.answers && this.options.reaches(this.name)
  }

  get reconnectsAtNs(): number {
    return this.reconnecting?.dueNs ?? 0
  }

  /** @param adopts it has run before: its lease stays as it stands */
  start(afterNs: number, cause: number | undefined, adopts = false): void {
    if (this.runs || this.isStarting) return
    this.isOff = false
    this.adopts = adopts
    this.cause = cause
    this.starting = this.options.context.timers.after(afterNs, () => {
      this.starting = undefined
      this.launch()
    })
  }

  /** The process is no more, and nobody starts it anew. */
  end(cause: number): void {
    this.cause = cause
    this.starting?.cancel()
    this.starting = undefined
    this.failures = 0
    this.dropProcess()
  }

  powerOff(cause: number): void {
    this.end(cause)
    this.isOff = true
    this.previousSubnet = undefined
    this.boots++
  }

  /** The way to the datastore is another: call it when it may be. */
  wayChanged(cause: number): void {
    if (this.process === undefined) return
    const { timers } = this.options.context
    if (!this.reaches) {
      this.cause = cause
      this.reconnecting?.cancel()
      this.cutNs ??= timers.nowNs
      this.process.disconnect()
      return
    }
    if (this.cutNs === undefined) return
    const delayNs = this.nextTryNs(this.cutNs) - timers.nowNs + this.options.context.delays['etcd.roundTrip']
    this.cutNs = undefined
    this.reconnecting = timers.after(delayNs, () => {
      this.reconnecting = undefined
      this.process?.reconnect()
    })
  }

  /** @param expiresNs of its lease */
  resetTo(expiresNs: number | undefined): void {
    this.process?.resetTo(expiresNs)
  }

  private launch(): void {
    const { listener } = this.options
    const process = new FlanneldProcess(this.processOptions())
    this.process = process
    listener.started(this)
    process.start()
  }

  private processOptions(): FlanneldOptions {
    const { context, cluster, bare, datastore, listener } = this.options
    const pinnedMac = tunnelMacPin(cluster, this.name)
    const existingDevice = deviceLeftBy(context.node(this.name).flannel)
    return {
      nodeName: this.name,
      version: cluster.flannel.version,
      simulation: context.simulation,
      timers: context.timers,
      manager: datastore.managerOf(this.name),
      externalInterface: bare.externalInterface,
      ipMasq: cluster.flannel.ipMasq,
      underlay: underlayOf(bare.devices, bare.routes),
      // A device or key that went with the power is drawn anew.
      seed: this.boots === 0 ? this.firstSeed() : context.seed ^ hashText(`${this.name} boot ${this.boots}`),
      roundTripNs: context.delays['etcd.roundTrip'],
      reachable: () => this.reaches,
      ...(this.adopts ? { adopts: true } : {}),
      ...(pinnedMac === undefined ? {} : { pinnedMac }),
      ...(existingDevice === undefined ? {} : { existingDevice }),
      ...(this.previousSubnet === undefined ? {} : { previousSubnet: this.previousSubnet }),
      onLease: (what) => {
        if (what.kind === 'taken') this.failures = 0
        listener.wrote(this, what)
      },
      onChange: (events) => {
        this.previousSubnet = this.process?.lease?.subnet
        listener.heard(this, events)
      },
      onExit: (_code, reason) => this.exited(reason),
      onProblems: (problems) => listener.problems(problems),
    }
  }

  /** As flannel-plan.ts registers: what is drawn is the same. */
  private firstSeed(): number {
    return this.options.datastore.kind === 'etcd' ? this.options.context.seed : hashText(this.name)
  }

  private exited(reason: string): void {
    const heard = this.process?.heard ?? 0
    this.dropProcess()
    this.options.listener.exited(this, reason, heard)
    this.start(this.restartDelayNs(), this.cause)
  }

  /** systemd waits the same each time; kubelet twice as long, until the container has run well. */
  private restartDelayNs(): number {
    const { context, datastore } = this.options
    const firstNs = context.delays['flannel.restart']
    if (datastore.kind === 'etcd') return firstNs
    return Math.max(firstNs, Math.min(firstNs * 2 ** this.failures++, LONGEST_RESTART_NS))
  }

  private dropProcess(): void {
    this.process?.kill()
    this.process = undefined
    this.reconnecting?.cancel()
    this.reconnecting = undefined
    this.cutNs = undefined
  }

  /** When a watch that was cut then asks again, not before now. */
  private nextTryNs(cutNs: number): number {
    const { timers, delays } = this.options.context
    const longest = delays['flannel.reconnect']
    let at = cutNs
    for (let wait = FIRST_RECONNECT_NS; at < timers.nowNs; wait *= 2) {
      if (wait >= longest) return at + Math.ceil((timers.nowNs - at) / longest) * longest
      at += wait
    }
    return at
  }
}

/** The tunnel device of the process before, which flanneld finds and keeps. */
function deviceLeftBy(view: FlannelView | undefined): FlanneldOptions['existingDevice'] {
  if (view === undefined) return undefined
  const { devices } = remainsAfterExit(renderFlannel({ ...view, leases: [] }), view.version)
  const device = devices.find(({ kind }) => kind === 'vxlan')
  return device === undefined ? undefined : { mtu: device.mtu, ...(device.mac === undefined ? {} : { mac: device.mac }) }
}
