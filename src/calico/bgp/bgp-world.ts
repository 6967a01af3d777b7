/** The BIRDs of a network on one clock: started together, run until nothing changes any more, or event by event. */
import { Simulation } from '../../sim/simulation.js'
import { Bird, type BirdOptions } from './bird.js'
import type { BirdHost } from './bird-host.js'
import { Commons } from './commons.js'
import type { BirdConfig, BirdTimers } from './config.js'
import type { BirdFlavour } from './flavour.js'
import type { BgpMessage } from './message.js'
import { TcpNetwork, type PathFinder } from './tcp.js'
import { Timers } from '../../sim/timers.js'

const SECOND = 1e9
/** Longer than a dial with its wait for an answer, so that a session that can come up has done so. */
const QUIET_NS = 20 * SECOND
/** Attempts at a session keep the rest waiting for that long: longer than the longest wait after an error. */
const PATIENCE_NS = 40 * SECOND
const LIMIT_NS = 900 * SECOND

/** Told of each thing of the kind, once the world has counted it. */
type Watchers = Pick<BirdOptions, 'onMessage' | 'onKernel' | 'onSession' | 'onRecovered'>

export interface BgpWorldOptions extends Watchers {
  readonly flavour: BirdFlavour
  readonly seed: number
  /** Which segments get through; where absent all do, in 50 µs. */
  readonly path?: PathFinder
  /** The clock of a run that others share; absent: its own. With `timers` of it, those. */
  readonly simulation?: Simulation
  readonly timers?: Timers
  /** Absent: Calico's. */
  readonly birdTimers?: Partial<BirdTimers>
  /** Started with -R, as calico-node does. */
  readonly recover?: boolean
  /** A daemon starts this much later, ns. */
  readonly startDelayNs?: (config: BirdConfig) => number
}

/** Messages sent so far, by kind, and their bytes (BGP's own). */
export interface MessageCounts {
  open: number
  keepalive: number
  notification: number
  refresh: number
  /** UPDATEs that announce, the prefixes in them, those that withdraw, and End-of-RIB. */
  updates: number
  prefixes: number
  withdrawals: number
  endOfRib: number
  bytes: number
}

const DEFAULT_PATH: PathFinder = () => ({ kind: 'open', delayNs: 50_000 })

export class BgpWorld {
  readonly simulation: Simulation
  readonly tcp: TcpNetwork
  readonly birds = new Map<string, Bird>()
  readonly counts: MessageCounts = { open: 0, keepalive: 0, notification: 0, refresh: 0, updates: 0, prefixes: 0, withdrawals: 0, endOfRib: 0, bytes: 0 }
  /** Virtual time of the last change of any kernel's routes, ns. */
  lastKernelChangeNs = 0
  private readonly timers: Timers
  private readonly options: BgpWorldOptions
  private readonly commons = new Commons()
  private lastChangeNs = 0
  /** Of a session that was tried, refused or closed. */
  private lastAttemptNs = 0

  constructor(options: BgpWorldOptions) {
    this.options = options
    this.simulation = options.simulation ?? new Simulation()
    this.timers = options.timers ?? new Timers(this.simulation)
    this.tcp = new TcpNetwork(this.timers, options.path ?? DEFAULT_PATH)
  }

  /** Starts a daemon, now or after its delay; one of that name that runs already is replaced. */
  add(config: BirdConfig, host: BirdHost, options: Pick<BirdOptions, 'recover' | 'left'> = {}): Bird {
    const { flavour, seed, birdTimers, onMessage, onKernel, onSession, onRecovered } = this.options
    const bird = new Bird(config, host, this.tcp, {
      flavour,
      seed,
      commons: this.commons,
      birdTimers,
      recover: options.recover ?? this.options.recover ?? false,
      left: options.left,
      onMessage: (bird, session, message, bytes) => {
        this.count(message, bytes)
        onMessage?.(bird, session, message, bytes)
      },
      onKernel: (bird, prefix) => {
        this.lastKernelChangeNs = this.lastChangeNs = this.simulation.nowNs
        onKernel?.(bird, prefix)
      },
      onSession,
      onRecovered,
    })
    this.birds.set(config.name, bird)
    const delayNs = this.options.startDelayNs?.(config) ?? 0
    if (delayNs === 0) bird.start()
    else this.timers.after(delayNs, () => bird.start())
    return bird
  }

  private count(message: BgpMessage, bytes: number): void {
    const { counts } = this
    counts.bytes += bytes
    if (message.type !== 'update') {
      counts[message.type]++
      // keepalives go on for ever
      if (message.type !== 'keepalive') this.lastAttemptNs = this.simulation.nowNs
      return
    }
    this.lastChangeNs = this.simulation.nowNs
    if (message.reachable.length > 0) counts.updates++
    else if (message.withdrawn.length > 0) counts.withdrawals++
    else counts.endOfRib++
    counts.prefixes += message.reachable.length
  }

  /**
   * Runs until nothing but keepalives has been sent for 20 s, or for a minute nothing but attempts at sessions that fail again and again.
   * @returns false when it never came to rest within 15 minutes
   */
  settle(): boolean {
    this.lastChangeNs = this.simulation.nowNs
    const end = this.simulation.nowNs + LIMIT_NS
    while (this.simulation.nowNs < end) {
      const until = this.restsAt()
      this.simulation.run(until)
      if (this.restsAt() <= until) {
        this.simulation.nowNs = until
        return true
      }
    }
    return false
  }

  /** Virtual time at which it is at rest, if nothing happens before, ns. */
  restsAt(): number {
    return Math.max(this.lastChangeNs, Math.min(this.lastAttemptNs, this.lastChangeNs + PATIENCE_NS)) + QUIET_NS
  }

  run(seconds: number): void {
    const until = this.simulation.nowNs + Math.round(seconds * SECOND)
    this.simulation.run(until)
    this.simulation.nowNs = until
  }

  /** At a time of the run. */
  at(seconds: number, action: () => void): void {
    this.timers.after(Math.round(seconds * SECOND) - this.simulation.nowNs, action)
  }
}
