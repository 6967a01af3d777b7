/**
 * One BIRD daemon in virtual time: direct, static, kernel and BGP protocols over one table, feeding of sessions, reflection, the kernel, and its own graceful
 * recovery (-R). After nest/{proto,rt-table}.c and proto/bgp/attrs.c of projectcalico/bird feature-ipinip.
 */
import type { Cidr } from '../../base/cidr.js'
import type { Ip } from '../../base/ip.js'
import { hashText, Prng } from '../../base/prng.js'
import type { RouteSpec } from '../../dataplane/dataplane.js'
import { samePeer, TIMERS, type BirdConfig, type BirdTimers } from './config.js'
import { importRoute } from './exchange.js'
import { Exporter } from './exporter.js'
import { addressesOf, AliensByPrefix, deviceTo, isExcluded, networkOf, type AlienRoute, type BirdHost, type HostDevice } from './bird-host.js'
import type { BirdFlavour } from './flavour.js'
import { KernelSync } from './kernel-sync.js'
import type { BgpMessage, UpdateMessage } from './message.js'
import type { Commons } from './commons.js'
import type { Change, Place } from './net.js'
import { PREFERENCE, prefixKey, type BirdRoute } from './route.js'
import { RouteTable } from './route-table.js'
import { BgpSession } from './session.js'
import type { SessionEvent, SessionHost } from './session-host.js'
import type { FeedRun } from './shared-feed.js'
import { placeOf } from './shared-path.js'
import type { TcpNetwork } from './tcp.js'
import type { Timer, Timers } from '../../sim/timers.js'

const SECOND = 1e9
/** A write waits for the kernel's first answer that long after the start. */
const START_DELAY_NS = 10_000_000
const REFEED_DELAY_NS = 200_000

export interface BirdOptions {
  readonly flavour: BirdFlavour
  readonly seed: number
  /** What it shares with all whom it speaks to. */
  readonly commons: Commons
  /** Absent: Calico's. */
  readonly birdTimers?: Partial<BirdTimers>
  /** -R: wait for the peers' End-of-RIB before saying anything. */
  readonly recover?: boolean
  /** Told of each message that leaves. */
  readonly onMessage?: (bird: Bird, session: BgpSession, message: BgpMessage, bytes: number) => void
  /** Told of each change of the kernel's routes; a prefix is the same object each time. */
  readonly onKernel?: (bird: Bird, prefix: Cidr) => void
  readonly onSession?: (bird: Bird, session: BgpSession, event: SessionEvent) => void
  /** Its own recovery is over: who never said that he was done. */
  readonly onRecovered?: (bird: Bird, missing: readonly BgpSession[]) => void
  /** Routes of an earlier BIRD that are in the kernel still. */
  readonly left?: readonly RouteSpec[]
}

export class Bird implements SessionHost {
  readonly sessions: BgpSession[]
  private readonly named = new Map<string, BgpSession>()
  private readonly byNeighbour = new Map<Ip, BgpSession>()
  readonly table: RouteTable
  readonly kernel: KernelSync
  readonly address: Ip
  config: BirdConfig
  private aliens: AliensByPrefix
  private ownAddresses: ReadonlySet<Ip>
  startedNs = 0
  private recovery: Set<BgpSession> | undefined
  private readonly prng: Prng
  private readonly exporter: Exporter
  private unlisten: (() => void) | undefined
  private scanTimer: Timer | undefined
  isRunning = false
  private readonly postponed: (() => void)[] = []

  readonly timers: Timers
  readonly birdTimers: BirdTimers
  readonly tcp: TcpNetwork
  host: BirdHost
  readonly options: BirdOptions
  readonly flavour: BirdFlavour
  readonly commons: Commons

  constructor(config: BirdConfig, host: BirdHost, tcp: TcpNetwork, options: BirdOptions) {
    this.config = config
    this.host = host
    this.tcp = tcp
    this.timers = tcp.timers
    this.birdTimers = { ...TIMERS, ...options.birdTimers }
    this.options = options
    this.aliens = new AliensByPrefix(host.aliens)
    this.ownAddresses = addressesOf(host)
    this.address = config.listen.address ?? config.routerId
    const { flavour, commons } = options
    this.flavour = flavour
    this.commons = commons
    this.prng = new Prng(flavour.wholeSeconds ? options.seed : options.seed ^ hashText(config.name))
    this.table = new RouteTable(commons, (address) => this.ownAddresses.has(address))
    const view = { policy: () => this.config.kernel, flavour, hasDevice: (name: string) => this.host.devices.some((device) => device.name === name) }
    this.kernel = new KernelSync(view, commons, options.left)
    this.sessions = config.peers.map((peer) => new BgpSession(peer, this))
    this.exporter = new Exporter(this)
    this.exporter.reset()
    this.sessions.toReversed().forEach((session) => this.index(session))
  }

  /** Of several with one neighbour the first counts. */
  private index(session: BgpSession): void {
    this.named.set(session.config.name, session)
    this.byNeighbour.set(session.config.neighbour, session)
  }

  get routerId(): Ip {
    return this.config.routerId
  }

  start(): void {
    this.isRunning = true
    this.startedNs = this.timers.nowNs
    if (this.options.recover === true) this.beginRecovery()
    for (const device of this.host.devices) this.addDirect(device)
    this.config.statics.forEach((route) => this.addStatic(route.prefix, route.via))
    for (const prefix of this.aliens.prefixes()) this.learn(prefix)
    const { config } = this
    this.unlisten = this.tcp.listen({
      address: config.listen.address,
      port: config.listen.port,
      has: (address) => this.ownAddresses.has(address),
      passwordOf: (remote) => this.byNeighbour.get(remote)?.config.password,
      ttlSecurityOf: (remote) => this.byNeighbour.get(remote)?.config.ttlSecurity,
      accept: (socket) => this.byNeighbour.get(socket.options.remote)?.accept(socket),
    })
    for (const session of this.sessions) session.start()
    this.scanTimer = this.timers.after(START_DELAY_NS, () => this.scan())
  }

  sessionNamed(protocol: string): BgpSession | undefined {
    return this.named.get(protocol)
  }

  /** SIGTERM: every peer is told, the kernel's routes stay. */
  shutdown(): void {
    for (const session of this.sessions) session.disable(2)
    this.halt()
  }

  /** SIGKILL (its kernel closes the sockets), or the whole host falls silent. */
  kill({ tell }: { readonly tell: boolean }): void {
    for (const session of this.sessions) session.kill({ tell })
    this.halt()
  }

  private halt(): void {
    this.isRunning = false
    this.scanTimer?.cancel()
    this.unlisten?.()
  }

  jitter(seconds: number): number {
    if (!this.options.flavour.wholeSeconds) return Math.round(seconds * SECOND * (0.75 + this.prng.below(250_001) / 1_000_000))
    const spread = Math.floor(seconds / 4)
    return (seconds - spread + this.prng.below(spread + 1)) * SECOND
  }

  // ---- what the table learns

  private addDirect(device: HostDevice): void {
    if (isExcluded(device, this.config.directExcept)) return
    device.addresses.forEach((address, i) => {
      this.put({ prefix: networkOf(address), protocol: 'direct1', kind: 'direct', source: i, destination: { kind: 'device', device: device.name } })
    })
  }

  addStatic(prefix: Cidr, via?: Ip): void {
    const destination = via === undefined ? ({ kind: 'blackhole' } as const) : this.table.resolve(via).destination
    this.put({ prefix, protocol: 'static1', kind: 'static', source: 0, destination })
  }

  removeStatic(prefix: Cidr): void {
    this.withdraw(prefix, 'static1', 0)
  }

  private removeDirect(device: HostDevice): void {
    if (!isExcluded(device, this.config.directExcept)) device.addresses.forEach((address, i) => this.withdraw(networkOf(address), 'direct1', i))
  }

  /** The best of what others have for a prefix, by metric, is the one that BIRD learns. */
  private learn(prefix: Cidr): void {
    const best = this.aliens.best(prefix)
    if (best === undefined) this.withdraw(prefix, 'kernel1', 0)
    else this.put({ prefix, protocol: 'kernel1', kind: 'kernel', source: 0, destination: best.destination, kernel: best.facts })
  }

  /** netlink says that somebody else's route came. */
  alienAdded(alien: AlienRoute): void {
    this.hostChanged({ ...this.host, aliens: [...this.host.aliens, alien] })
  }

  /** Of several the first. */
  alienRemoved(prefix: Cidr): void {
    const gone = this.host.aliens.find((alien) => prefixKey(alien.prefix) === prefixKey(prefix))
    this.hostChanged({ ...this.host, aliens: this.host.aliens.filter((alien) => alien !== gone) })
  }

  /** What netlink says of devices, addresses and the routes of others, at once. */
  hostChanged(host: BirdHost): void {
    const { devices } = this.host
    const aliens = new AliensByPrefix(host.aliens)
    const changed = this.aliens.changesTo(aliens)
    this.host = host
    this.ownAddresses = addressesOf(host)
    this.aliens = aliens
    this.exporter.reset()
    this.kernel.reset()
    if (!this.isRunning) return
    const isIn = (device: HostDevice, all: readonly HostDevice[]): boolean => all.some((other) => JSON.stringify(other) === JSON.stringify(device))
    const gone = devices.filter((device) => !isIn(device, host.devices))
    const come = host.devices.filter((device) => !isIn(device, devices))
    gone.forEach((device) => this.removeDirect(device))
    come.forEach((device) => this.addDirect(device))
    for (const prefix of changed) {
      this.learn(prefix)
      this.program(this.commons.place(prefix))
    }
    // a tunnel counts while its device is there
    if (gone.length + come.length > 0) for (const { place } of this.table.all()) this.program(place)
  }

  private put(route: Omit<BirdRoute, 'preference' | 'changedNs'>): void {
    const { prefix, protocol, source, kind } = route
    this.apply(this.commons.place(prefix), protocol, source, { ...route, preference: PREFERENCE[kind], changedNs: this.timers.nowNs })
  }

  private withdraw(prefix: Cidr, protocol: string, source: number): void {
    this.apply(this.commons.place(prefix), protocol, source, undefined)
  }

  private apply(place: Place, protocol: string, source: number, after: BirdRoute | undefined): void {
    const change = this.table.update(place, protocol, source, after)
    if (change === undefined) return
    this.exporter.announce(change)
    this.program(place, change)
    if (after?.bgp === undefined && change.before?.bgp === undefined) this.resettle(place.prefix)
  }

  private resettle(prefix: Cidr): void {
    for (const { route, resolution } of this.table.unsettledBy(prefix)) {
      if (route.bgp === undefined) continue
      const settled: BirdRoute = { ...route, destination: resolution.destination, bgp: { ...route.bgp, igpMetric: resolution.igpMetric } }
      this.apply(this.commons.place(route.prefix), route.protocol, route.source, settled)
    }
  }

  // ---- what it writes and tells

  private program(place: Place, change?: Change): void {
    if (!this.isRunning || this.recovery !== undefined) return
    const net = this.table.netAt(place.id) ?? place.empty
    if (change !== undefined && net.routes.length === 0 && this.kernel.installed.at(place.id) === undefined) return
    if (this.kernel.sync(net, this.aliens.metrics(place.prefix))) this.options.onKernel?.(this, place.prefix)
    if (this.kernel.hasRefused && this.scanTimer === undefined) this.scanTimer = this.timers.after(this.toNextScan(), () => this.scan())
  }

  private toNextScan(): number {
    const period = this.birdTimers.kernelScan * SECOND
    return period - ((this.timers.nowNs - this.startedNs) % period)
  }

  /** The timer that wakes a quiet daemon: scans of kernel and devices, in step once a recovery is over (krt_feed_end), turn about before. */
  private toNextWake(): number {
    const period = (this.birdTimers.kernelScan * SECOND) / (this.recovery === undefined ? 1 : 2)
    return period - ((this.timers.nowNs - this.startedNs) % period)
  }

  /** Every two seconds; only what the kernel refused can change then. */
  private scan(): void {
    this.scanTimer = undefined
    if (this.isRunning && this.recovery === undefined)
      for (const prefix of this.kernel.prune()) this.options.onKernel?.(this, this.commons.place(prefix).prefix)
    for (const { place } of this.table.all()) this.program(place)
  }

  /** After a change of filters: marked by BoRR at once, the table follows when what the change itself brought has been written. */
  private refeed(session: BgpSession): void {
    session.feedBegins({ initial: false })
    this.timers.after(REFEED_DELAY_NS, () => {
      if (session.phase === 'up') this.feedTable(session, { initial: false })
    })
  }

  /** All of the table to one session. */
  private feed(session: BgpSession, { initial }: { readonly initial: boolean }): void {
    session.feedBegins({ initial })
    this.feedTable(session, { initial })
  }

  private feedTable(session: BgpSession, { initial }: { readonly initial: boolean }): void {
    this.exporter.feed(session, { initial })
    const send = (): void => {
      session.kick()
      session.feedEnds()
    }
    if (initial && this.options.flavour.feedsApart) this.atNextTurn(send)
    else send()
  }

  /** New blocks, filters or peers of the same daemon: SIGHUP after confd wrote its files. */
  reconfigure(config: BirdConfig): void {
    const before = this.config
    this.config = config
    this.kernel.reset()
    for (const session of this.sessions) session.importKind = -1
    const changed = JSON.stringify({ ...before.exports, f: before.bgpFilters }) !== JSON.stringify({ ...config.exports, f: config.bgpFilters })
    const gone = this.sessions.filter((session) => !config.peers.some((peer) => samePeer(peer, session.config)))
    for (const session of gone) {
      session.disable(config.peers.some(({ name }) => name === session.config.name) ? 6 : 3)
      this.sessions.splice(this.sessions.indexOf(session), 1)
      const namesake = this.sessions.find(({ config: { neighbour } }) => neighbour === session.config.neighbour)
      if (namesake === undefined) this.byNeighbour.delete(session.config.neighbour)
      else this.byNeighbour.set(session.config.neighbour, namesake)
      this.recovered(session)
    }
    if (JSON.stringify(before.kernel) !== JSON.stringify(config.kernel)) for (const { place } of this.table.all()) this.program(place)
    for (const route of before.statics)
      if (!config.statics.some((other) => prefixKey(other.prefix) === prefixKey(route.prefix))) this.removeStatic(route.prefix)
    for (const route of config.statics)
      if (!before.statics.some((other) => prefixKey(other.prefix) === prefixKey(route.prefix))) this.addStatic(route.prefix, route.via)
    for (const peer of config.peers) {
      if (this.sessions.some((session) => samePeer(peer, session.config))) continue
      const session = new BgpSession(peer, this)
      this.sessions.push(session)
      this.index(session)
      session.start()
    }
    this.exporter.reset()
    if (changed) for (const session of this.sessions) if (session.phase === 'up' && !session.exportWaits) this.refeed(session)
  }

  // ---- SessionHost

  atNextTurn(run: () => void): void {
    this.postponed.push(run)
    if (this.postponed.length === 1) this.timers.after(this.toNextWake(), () => this.turn())
  }

  turn(): void {
    if (this.postponed.length === 0) return
    for (const run of this.postponed.splice(0)) if (this.isRunning) run()
  }

  isNeighbour(address: Ip): boolean {
    return this.deviceTo(address) !== undefined
  }

  /** The device behind which a neighbour's network lies. */
  deviceTo(address: Ip): string | undefined {
    return deviceTo(this.host, address)
  }

  established(session: BgpSession): void {
    if (!session.exportWaits) this.feed(session, { initial: true })
  }

  update(session: BgpSession, { withdrawn, reachable, attributes }: UpdateMessage): void {
    const { protocol } = session.origin
    for (const path of withdrawn) this.apply(placeOf(path, this.commons), protocol, path.pathId, undefined)
    for (const path of reachable) {
      const route = attributes === undefined ? undefined : importRoute(this, session, path, attributes)
      this.apply(placeOf(path, this.commons), protocol, path.pathId, route)
    }
  }

  refreshRequested(session: BgpSession): void {
    this.feed(session, { initial: false })
  }

  refreshMark(session: BgpSession, subtype: 'begin' | 'end'): void {
    if (subtype === 'begin') this.table.markStale(session.config.name)
    else this.dropStale(session)
  }

  peerRestarts(session: BgpSession): void {
    this.table.markStale(session.config.name)
  }

  restartOver(session: BgpSession): void {
    this.dropStale(session)
  }

  lost(session: BgpSession): void {
    for (const { prefix, protocol, source } of this.table.from(session.config.name)) this.withdraw(prefix, protocol, source)
    // until then peers had to be told of the end of what it said
    if (this.sessionNamed(session.config.name) === session && !this.sessions.includes(session)) this.named.delete(session.config.name)
  }

  happened(session: BgpSession, event: SessionEvent): void {
    this.options.onSession?.(this, session, event)
  }

  sent(session: BgpSession, message: BgpMessage, bytes: number): void {
    this.options.onMessage?.(this, session, message, bytes)
  }

  sentRun(session: BgpSession, { feed, from, to }: FeedRun): void {
    for (let at = from; at < to; at++) this.options.onMessage?.(this, session, feed.updates[at], feed.lengths[at])
  }

  private dropStale(session: BgpSession): void {
    for (const route of this.table.from(session.config.name)) if (route.bgp?.stale === true) this.withdraw(route.prefix, route.protocol, route.source)
  }

  // ---- its own graceful recovery

  private beginRecovery(): void {
    const waited = new Set(this.sessions)
    if (waited.size === 0) return
    this.recovery = waited
    this.timers.after(this.birdTimers.recoveryWait * SECOND, () => this.atNextTurn(() => this.endRecovery()))
  }

  recovering(session: BgpSession): boolean {
    return this.recovery !== undefined && this.sessionNamed(session.config.name) === session
  }

  recovered(session: BgpSession): void {
    if (this.recovery === undefined) return
    this.recovery.delete(session)
    if (this.recovery.size === 0) this.timers.after(0, () => this.atNextTurn(() => this.endRecovery()))
  }

  private endRecovery(): void {
    const missing = this.recovery
    if (missing === undefined || !this.isRunning) return
    this.recovery = undefined
    this.options.onRecovered?.(this, [...missing])
    for (const session of this.sessions) {
      if (session.phase !== 'up' || !session.exportWaits) continue
      session.exportWaits = false
      this.feed(session, { initial: true })
    }
    for (const { place } of this.table.all()) this.program(place)
    this.scanTimer ??= this.timers.after(this.toNextScan(), () => this.scan())
  }

  /** Virtual time at which it stops waiting for peers, ns; undefined: it waits no more. */
  get recoveryEndsNs(): number | undefined {
    return this.recovery === undefined || !this.isRunning ? undefined : this.startedNs + this.birdTimers.recoveryWait * SECOND
  }

  /** BIRD's own routes as the kernel has them. */
  kernelRoutes(): RouteSpec[] {
    return this.kernel.routes()
  }
}
