/**
 * flanneld in virtual time: start, lease, watch, renewal, end. From a subnet manager's answers and events to views of flanneld.ts,
 * one after each change.
 *
 *   config (again every 1 s) ─▶ list ─▶ try (lost race: again, or exit) ─▶ snapshot, watch ─▶ revoked: exit 0
 *                                                                        └▶ renew an hour before the end; failed: again in 1 min
 * Source: flannel main.go, pkg/subnet/etcd/local_manager.go.
 */
import type { Cidr } from '../base/cidr.js'
import type { Mac } from '../base/mac.js'
import type { Problem } from '../base/problem.js'
import type { Simulation } from '../sim/simulation.js'
import type { ExternalInterface, FlannelView } from './backend.js'
import type { FlannelConfig } from './config.js'
import { registrationAttributes } from './flanneld.js'
import type { Lease, LeaseAttributes, LeaseEvent } from './lease.js'
import { RACE_RETRIES, type AcquireResult, type LeaseListing, type LeaseWatch, type SubnetManager } from './subnet-manager.js'
import { subnetId } from './subnet-allocation.js'
import type { Underlay } from './underlay.js'
import { atLeast } from './version.js'

const NS_PER_SECOND = 1e9
const RETRY_NS = NS_PER_SECOND
const RENEW_RETRY_NS = 60 * NS_PER_SECOND
/** Between asking etcd and its answer, by default. */
const ROUND_TRIP_NS = 1e6

export interface FlanneldOptions {
  readonly nodeName: string
  readonly version: string
  readonly simulation: Simulation
  readonly manager: SubnetManager
  readonly externalInterface: ExternalInterface
  readonly ipMasq: boolean
  readonly forwardRules?: boolean
  readonly randomFully?: boolean
  readonly underlay: Underlay
  readonly pinnedMac?: Mac
  readonly existingDevice?: { readonly mac?: Mac; readonly mtu: number }
  readonly previousSubnet?: Cidr
  readonly seed: number
  /** Nanoseconds for one question to the subnet manager, default 1 ms; others can come in between. */
  readonly roundTripNs?: number
  /** After every change of what flanneld knows, with the lease events behind it (none for the first). */
  readonly onView: (view: FlannelView, events: readonly LeaseEvent[]) => void
  /** remainsAfterExit (flanneld.ts) says what is left in the kernel then. Restarting is the caller's business, as it is systemd's. */
  readonly onExit?: (code: number, reason: string) => void
  readonly onProblems?: (problems: readonly Problem[]) => void
}

type Phase = 'stopped' | 'config' | 'acquire' | 'running' | 'exited'

export class FlanneldProcess {
  phase: Phase = 'stopped'
  lease: Lease | undefined
  private readonly options: FlanneldOptions
  private readonly handler: number
  private readonly roundTripNs: number
  /** What to do when the event of that number comes; the entry is gone when it was called off. */
  private readonly tasks = new Map<number, () => void>()
  private nextTask = 0
  private renewTask = -1
  private config: FlannelConfig | undefined
  /** Of the others, in the order in which they were learnt. */
  private readonly leases = new Map<number, Lease>()
  private watching: LeaseWatch | undefined
  private attempts = 0

  constructor(options: FlanneldOptions) {
    this.options = options
    this.roundTripNs = options.roundTripNs ?? ROUND_TRIP_NS
    this.handler = options.simulation.register((task) => this.run(task))
  }

  start(): void {
    this.phase = 'config'
    this.after(this.roundTripNs, () => this.readConfig())
  }

  /** The host or the process dies: nothing is renewed and nothing is heard any more. The kernel keeps what it has. */
  kill(): void {
    this.phase = 'exited'
    this.tasks.clear()
    this.watching?.close()
  }

  private readConfig(): void {
    const { config, problems } = this.options.manager.readConfig()
    this.tell(problems)
    if (config === undefined) {
      this.after(RETRY_NS, () => this.readConfig())
      return
    }
    this.config = config
    const attributes = registrationAttributes({ ...this.options, config, pinnedMac: this.options.pinnedMac ?? this.options.manager.storedMac?.() })
    if ('severity' in attributes) {
      this.tell([attributes])
      this.exit(1, attributes.what)
      return
    }
    this.phase = 'acquire'
    this.list(config, attributes)
  }

  private list(config: FlannelConfig, attributes: LeaseAttributes): void {
    const listing = this.options.manager.list()
    this.tell(listing.problems)
    this.after(this.roundTripNs, () => this.tryAcquire(config, attributes, listing))
  }

  private tryAcquire(config: FlannelConfig, attributes: LeaseAttributes, listing: LeaseListing): void {
    const { manager, previousSubnet } = this.options
    const result = manager.tryAcquire(config, { attributes, previousSubnet }, listing)
    if (result.kind === 'acquired') this.acquired(result.lease)
    else this.notAcquired(result, config, attributes)
  }

  private notAcquired(result: Exclude<AcquireResult, { kind: 'acquired' }>, config: FlannelConfig, attributes: LeaseAttributes): void {
    if (result.kind === 'conflict' && !result.fatal && ++this.attempts < RACE_RETRIES) {
      this.after(this.roundTripNs, () => this.list(config, attributes))
      return
    }
    const error = result.kind === 'conflict' && !result.fatal ? 'max retries reached trying to acquire a subnet' : result.error
    if (atLeast(this.options.version, '0.5.6')) {
      this.exit(1, `failed to acquire lease: ${error}`)
      return
    }
    // Up to 0.5.5 an outer loop begins anew, for ever.
    this.attempts = 0
    this.after(RETRY_NS, () => this.list(config, attributes))
  }

  private acquired(lease: Lease): void {
    this.phase = 'running'
    this.lease = lease
    this.publish([])
    this.planRenewal(lease)
    this.watching = this.options.manager.watch(lease, {
      onEvents: (events) => this.learnt(events),
      onOwnLease: (own) => this.ownWritten(own),
      onRevoked: () => this.exit(0, 'lease has been revoked'),
      onProblems: (problems) => this.tell(problems),
    })
    // Revoked before the watch had even begun: exit() could not close what was not there yet.
    if (this.ended()) this.watching.close()
  }

  private learnt(events: readonly LeaseEvent[]): void {
    if (this.ended()) return
    for (const { kind, lease } of events) {
      if (kind === 'added') this.leases.set(subnetId(lease.subnet), lease)
      else this.leases.delete(subnetId(lease.subnet))
    }
    this.publish(events)
  }

  /** Only the end is taken over from the key; what flanneld set up stays. */
  private ownWritten(own: Lease): void {
    if (this.ended() || this.lease === undefined) return
    const end = own.expiresNs === undefined ? {} : { expiresNs: own.expiresNs }
    this.lease = { subnet: this.lease.subnet, attributes: this.lease.attributes, revision: own.revision, ...end }
    this.planRenewal(this.lease)
  }

  private planRenewal(lease: Lease): void {
    this.tasks.delete(this.renewTask)
    const delayNs = this.options.manager.renewDelayNs(lease)
    this.renewTask = delayNs === Infinity ? -1 : this.after(delayNs, () => this.renew())
  }

  private renew(): void {
    if (this.lease === undefined) return
    const renewed = this.options.manager.renew(this.lease)
    if (renewed === undefined) {
      this.renewTask = this.after(RENEW_RETRY_NS, () => this.renew())
      return
    }
    this.lease = renewed
    this.planRenewal(renewed)
  }

  private publish(events: readonly LeaseEvent[]): void {
    const { config, lease, options } = this
    if (config === undefined || lease === undefined) return
    const { nodeName, version, externalInterface, ipMasq, forwardRules, randomFully, underlay, pinnedMac, existingDevice, seed } = options
    const leases = [...this.leases.values()]
    const view = {
      nodeName,
      version,
      config,
      ownLease: lease,
      leases,
      externalInterface,
      ipMasq,
      forwardRules,
      randomFully,
      underlay,
      pinnedMac,
      existingDevice,
      seed,
    }
    options.onView(view, events)
  }

  private ended(): boolean {
    return this.phase === 'exited'
  }

  private exit(code: number, reason: string): void {
    if (this.ended()) return
    this.kill()
    this.options.onExit?.(code, reason)
  }

  private after(delayNs: number, task: () => void): number {
    const id = this.nextTask++
    this.tasks.set(id, task)
    this.options.simulation.schedule(delayNs, this.handler, id)
    return id
  }

  private run(id: number): void {
    const task = this.tasks.get(id)
    this.tasks.delete(id)
    task?.()
  }

  private tell(problems: readonly Problem[]): void {
    if (problems.length > 0) this.options.onProblems?.(problems)
  }
}
