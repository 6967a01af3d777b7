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
import { Timers, type Timer } from '../sim/timers.js'
import type { ExternalInterface, FlannelView } from './backend.js'
import type { FlannelConfig } from './config.js'
import { registrationAttributes } from './flanneld.js'
import type { Lease, LeaseAttributes, LeaseEvent } from './lease.js'
import type { KnownLeases } from './lease-feed.js'
import { RACE_RETRIES, type AcquireResult, type LeaseListing, type LeaseWatch, type SubnetManager } from './subnet-manager.js'
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
  /** Of that simulation, where processes share them. */
  readonly timers?: Timers
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
  /** Does the datastore answer? Default: always. */
  readonly reachable?: () => boolean
  /** It has run before: the lease of its PublicIP that is there stays as it stands. */
  readonly adopts?: boolean
  /** After every change of what flanneld knows, with the lease events behind it (none for the first). */
  readonly onView?: (view: FlannelView, events: readonly LeaseEvent[]) => void
  /** As onView, for who looks at `view` later, or never. */
  readonly onChange?: (events: readonly LeaseEvent[]) => void
  /** What it wrote to the datastore, or could not. */
  readonly onLease?: (what: LeaseWrite) => void
  /** remainsAfterExit (flanneld.ts) says what is left in the kernel then. Restarting is the caller's business, as it is systemd's. */
  readonly onExit?: (code: number, reason: string) => void
  readonly onProblems?: (problems: readonly Problem[]) => void
}

export type LeaseWrite =
  | { readonly kind: 'taken'; readonly lease: Lease; readonly why: string }
  | { readonly kind: 'renewed'; readonly lease: Lease }
  | { readonly kind: 'renewal failed'; readonly lease: Lease }
  /** `race`: somebody else made the key first. */
  | { readonly kind: 'refused'; readonly error: string; readonly race: boolean }

type Phase = 'stopped' | 'config' | 'acquire' | 'running' | 'exited'

const UNREACHABLE = { kind: 'failed', error: 'the datastore does not answer', fatal: true } as const

export class FlanneldProcess {
  phase: Phase = 'stopped'
  lease: Lease | undefined
  private readonly options: FlanneldOptions
  private readonly timers: Timers
  private readonly roundTripNs: number
  private next: Timer | undefined
  private renewal: Timer | undefined
  private config: FlannelConfig | undefined
  private watching: LeaseWatch | undefined
  private attempts = 0

  constructor(options: FlanneldOptions) {
    this.options = options
    this.roundTripNs = options.roundTripNs ?? ROUND_TRIP_NS
    this.timers = options.timers ?? new Timers(options.simulation)
  }

  start(): void {
    this.phase = 'config'
    this.after(this.roundTripNs, () => this.readConfig())
  }

  /** The host or the process dies: nothing is renewed and nothing is heard any more. The kernel keeps what it has. */
  kill(): void {
    this.phase = 'exited'
    this.next?.cancel()
    this.renewal?.cancel()
    this.watching?.close()
  }

  /** The way to the datastore is cut: the watch hears nothing until `reconnect`. */
  disconnect(): void {
    this.watching?.close()
  }

  /** The watch goes on where it was, or begins anew where that is gone. */
  reconnect(): void {
    if (!this.ended()) this.watching?.reconnect()
  }

  /** What it knows, made now; undefined: it has no lease yet. */
  view(): FlannelView | undefined {
    const { config, lease, options } = this
    if (config === undefined || lease === undefined) return undefined
    return new KnownView(options, config, lease, this.watching?.known())
  }

  /** How many changes of the datastore's feed it has heard. */
  get heard(): number {
    return this.watching?.position ?? 0
  }

  /** The clock is set: its lease ends at that time, and what it knows is in the order of a listing of now. */
  resetTo(expiresNs: number | undefined): void {
    if (this.ended() || this.lease === undefined) return
    const { subnet, attributes, revision } = this.lease
    this.lease = { subnet, attributes, revision, ...(expiresNs === undefined ? {} : { expiresNs }) }
    this.planRenewal(this.lease)
    this.watching?.rebase()
  }

  private reaches(): boolean {
    return this.options.reachable?.() !== false
  }

  private readConfig(): void {
    if (!this.reaches()) {
      this.after(RETRY_NS, () => this.readConfig())
      return
    }
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
    if (!this.reaches()) {
      this.notAcquired(UNREACHABLE, config, attributes)
      return
    }
    const listing = this.options.manager.list()
    this.tell(listing.problems)
    const own = this.options.adopts === true ? this.standing(listing, attributes) : undefined
    if (own !== undefined) {
      this.acquired(own)
      return
    }
    this.after(this.roundTripNs, () => this.tryAcquire(config, attributes, listing))
  }

  private standing({ leases }: LeaseListing, { publicIp }: LeaseAttributes): Lease | undefined {
    const { manager } = this.options
    return manager.standing === undefined ? leases.find((lease) => lease.attributes.publicIp === publicIp) : manager.standing()
  }

  private tryAcquire(config: FlannelConfig, attributes: LeaseAttributes, listing: LeaseListing): void {
    const { manager, previousSubnet, onLease } = this.options
    const result = this.reaches() ? manager.tryAcquire(config, { attributes, previousSubnet }, listing) : UNREACHABLE
    if (result.kind !== 'acquired') {
      this.notAcquired(result, config, attributes)
      return
    }
    onLease?.({ kind: 'taken', lease: result.lease, why: result.why })
    this.acquired(result.lease)
  }

  private notAcquired(result: Exclude<AcquireResult, { kind: 'acquired' }>, config: FlannelConfig, attributes: LeaseAttributes): void {
    this.options.onLease?.({ kind: 'refused', error: result.error, race: result.kind === 'conflict' })
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
      onEvents: (events, watch) => this.learnt(events, watch),
      onOwnLease: (own) => this.ownWritten(own),
      onRevoked: () => this.exit(0, 'lease has been revoked'),
      onProblems: (problems) => this.tell(problems),
    })
    // Revoked before the watch had even begun: exit() could not close what was not there yet.
    if (this.ended()) this.watching.close()
  }

  private learnt(events: readonly LeaseEvent[], watch: LeaseWatch): void {
    if (this.ended()) return
    // Of the first batch: the watch is still beginning.
    this.watching = watch
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
    this.renewal?.cancel()
    const delayNs = this.options.manager.renewDelayNs(lease)
    this.renewal = delayNs === Infinity ? undefined : this.timers.after(delayNs, () => this.renew())
  }

  private renew(): void {
    if (this.lease === undefined) return
    const { manager, onLease } = this.options
    const renewed = this.reaches() ? manager.renew(this.lease) : undefined
    if (renewed === undefined) {
      onLease?.({ kind: 'renewal failed', lease: this.lease })
      this.renewal = this.timers.after(RENEW_RETRY_NS, () => this.renew())
      return
    }
    this.lease = renewed
    onLease?.({ kind: 'renewed', lease: renewed })
    this.planRenewal(renewed)
  }

  private publish(events: readonly LeaseEvent[]): void {
    const { options } = this
    options.onChange?.(events)
    if (options.onView === undefined) return
    const view = this.view()
    if (view !== undefined) options.onView(view, events)
  }

  private ended(): boolean {
    return this.phase === 'exited'
  }

  private exit(code: number, reason: string): void {
    if (this.ended()) return
    this.kill()
    this.options.onExit?.(code, reason)
  }

  private after(delayNs: number, task: () => void): void {
    this.next = this.timers.after(delayNs, task)
  }

  private tell(problems: readonly Problem[]): void {
    if (problems.length > 0) this.options.onProblems?.(problems)
  }
}

/** Made at every change that comes to a kernel. */
class KnownView implements FlannelView {
  readonly nodeName: string
  readonly version: string
  readonly config: FlannelConfig
  readonly ownLease: Lease
  readonly externalInterface: ExternalInterface
  readonly ipMasq: boolean
  readonly forwardRules: boolean | undefined
  readonly randomFully: boolean | undefined
  readonly underlay: Underlay
  readonly pinnedMac: Mac | undefined
  readonly existingDevice: FlannelView['existingDevice']
  readonly seed: number
  readonly #known: KnownLeases | undefined
  #leases: readonly Lease[] | undefined

  constructor(options: FlanneldOptions, config: FlannelConfig, lease: Lease, known: KnownLeases | undefined) {
    this.nodeName = options.nodeName
    this.version = options.version
    this.config = config
    this.ownLease = lease
    this.externalInterface = options.externalInterface
    this.ipMasq = options.ipMasq
    this.forwardRules = options.forwardRules
    this.randomFully = options.randomFully
    this.underlay = options.underlay
    this.pinnedMac = options.pinnedMac
    this.existingDevice = options.existingDevice
    this.seed = options.seed
    this.#known = known
  }

  /** Listed when somebody looks: of most views nobody does. */
  get leases(): readonly Lease[] {
    return (this.#leases ??= this.#known?.leases() ?? [])
  }
}
