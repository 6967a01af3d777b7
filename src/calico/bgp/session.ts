/**
 * A BGP session as BIRD runs it: two connections (one dialled, one taken), collision of both, timers with jitter, waits after errors that double,
 * graceful restart of the peer. After proto/bgp/bgp.c and packets.c of projectcalico/bird feature-ipinip; RFC 4271 section 8, RFC 4724.
 *
 *   down → start (Idle, Active, Connect, OpenSent, OpenConfirm) → up (Established) → stop → down → start …
 */
import { Announcements } from './announcements.js'
import { originOf, type Origin } from './commons.js'
import type { PeerConfig } from './config.js'
import { BgpConnection, furtherState, PENDING, stateOrder, type Pending } from './connection.js'
import { BEFORE_OPEN, decodeMessage, type BgpMessage, type OpenMessage, type SessionRules } from './message.js'
import { ErrorWait } from './error-wait.js'
import type { ExportGroup } from './export-group.js'
import { Feed } from './feed.js'
import { notificationText } from './notification.js'
import type { Segment } from './on-the-wire.js'
import type { SessionHost } from './session-host.js'
import { agreedRules, givesWay, openMessage, refusalOf } from './session-open.js'
import type { TcpHandlers, TcpOptions, TcpSocket } from './tcp.js'
import type { Timer } from '../../sim/timers.js'

const CLOSE_WAIT = 10
const SECOND = 1e9

export class BgpSession {
  phase: 'down' | 'start' | 'up' | 'stop' = 'down'
  startState: 'prepare' | 'delay' | 'connect' = 'prepare'
  readonly outgoing = new BgpConnection(this)
  readonly incoming = new BgpConnection(this)
  live: BgpConnection | undefined
  private readonly errorWait = new ErrorWait()
  startupTimer: Timer | undefined
  lastError = ''
  remoteId = 0
  rules: SessionRules = BEFORE_OPEN
  private restartReady = false
  restartActive = false
  /** What the peer that restarts asked for. */
  restartSeconds = 0
  restartTimer: Timer | undefined
  private inTimer = false
  /** Established, but the own recovery holds the export back. */
  exportWaits = false
  private readonly feed = new Feed()
  load: 'none' | 'loading' | 'refreshing' = 'none'
  /** Virtual time of the last change of phase, ns. */
  sinceNs = 0
  enabled = true
  readonly announcements: Announcements
  /** Sessions of one number are offered the same (exporter.ts); below 0: not known yet. */
  exportKind = -1
  exportGroup: ExportGroup | undefined
  /** Sessions of one number take the same (exchange.ts); below 0: not known yet. */
  importKind = -1
  /** The peer, as routes from him know him. */
  origin: Origin
  readonly config: PeerConfig
  private readonly host: SessionHost

  readonly internal: boolean
  readonly multihop: boolean
  readonly sourceAddress: number
  readonly reflects: boolean

  constructor(config: PeerConfig, host: SessionHost) {
    this.config = config
    this.host = host
    this.announcements = new Announcements(config)
    this.origin = originOf(config, this.remoteId, host.commons)
    this.internal = config.remoteAs === config.localAs
    this.multihop = config.multihop || this.internal
    this.sourceAddress = config.sourceAddress ?? host.address
    this.reflects = config.clusterId !== undefined
  }

  start(): void {
    this.enabled = true
    this.setPhase('start')
    this.startState = 'prepare'
    this.restartReady = this.restartActive = false
    if (!this.multihop && !this.host.isNeighbour(this.config.neighbour)) return
    const begin = (): void => {
      this.startState = 'connect'
      if (!this.config.passive) this.activate()
    }
    if (this.errorWait.seconds === 0) return begin()
    this.startState = 'delay'
    this.startupTimer = this.host.timers.after(this.host.jitter(this.errorWait.seconds), begin)
  }

  private setPhase(phase: BgpSession['phase']): void {
    if (this.phase === phase) return
    this.phase = phase
    this.sinceNs = this.host.timers.nowNs
  }

  /** Active: waits the connect delay, then dials. */
  private activate(): void {
    this.outgoing.state = 'Active'
    this.outgoing.retryTimer = this.host.timers.after(this.host.jitter(this.host.birdTimers.connectDelay), () => this.dial())
  }

  private dial(): void {
    const { outgoing, config } = this
    outgoing.shut()
    if (this.phase !== 'start') {
      this.toIdle(outgoing)
      return
    }
    outgoing.state = 'Connect'
    const { neighbour, port, password, ttlSecurity } = config
    const options: TcpOptions = { local: this.sourceAddress, remote: neighbour, port, password, ttlSecurity }
    outgoing.socket = this.host.tcp.connect(options, outgoing)
    outgoing.retryTimer = this.host.timers.after(this.host.jitter(this.host.birdTimers.connectRetry), () => this.dial())
  }

  /** A connection that the peer dialled. @returns undefined: closed at once */
  accept(socket: TcpSocket): TcpHandlers | undefined {
    let accepted = (this.phase === 'start' || this.phase === 'up') && this.startState === 'connect' && this.incoming.socket === undefined
    if (this.live?.state === 'Established' && this.restartReady) {
      // the peer dials anew although the session stands: it has restarted
      const { live } = this
      this.lastError = 'Received: new connection of a peer that was up'
      this.peerRestarts()
      this.toIdle(live)
      if (stateOrder(this.incoming.state) > stateOrder('Active')) this.incoming.shut()
      accepted = true
    }
    if (!accepted) return undefined
    this.incoming.socket = socket
    this.connected(this.incoming)
    return this.incoming
  }

  connected(connection: BgpConnection): void {
    connection.retryTimer?.cancel()
    connection.state = 'OpenSent'
    this.schedule(connection, PENDING.open)
    this.startHold(connection, this.host.birdTimers.hold)
  }

  private startHold(connection: BgpConnection, seconds: number): void {
    if (seconds === 0) return connection.stopHold()
    connection.startHold(this.host.timers, this.host.jitter(seconds))
  }

  holdTimeOver(connection: BgpConnection): void {
    this.host.atNextTurn(() => this.holdExpired(connection))
  }

  private holdExpired(connection: BgpConnection): void {
    // what woke the loop may have ended it
    if (connection.state === 'Idle' || connection.holdDueNs > this.host.timers.nowNs) return
    if (connection.state === 'Close') this.toIdle(connection)
    else this.error(connection, 4, 0)
  }

  private schedule(connection: BgpConnection, what: Pending): void {
    connection.schedule(this.host.timers, what)
  }

  transmit(connection: BgpConnection): void {
    while (connection.socket !== undefined && connection.pending !== 0) {
      const what = connection.firstPending
      const run = what === PENDING.update ? this.announcements.nextRun(this.rules) : undefined
      if (run !== undefined) {
        connection.writeRun(run)
        this.host.sentRun(this, run)
        continue
      }
      const message = this.messageFor(connection, what)
      if (message === undefined) return
      this.host.sent(this, message, connection.write(message, this.rules))
      if (what === PENDING.notification) this.toIdle(connection)
    }
  }

  private messageFor(connection: BgpConnection, what: Pending): BgpMessage | undefined {
    if (what === PENDING.update) {
      const update = this.announcements.next(this.rules)
      if (update !== undefined) return update
      connection.pending &= ~PENDING.update
      return this.feed.close()
    }
    connection.pending &= ~what
    switch (what) {
      case PENDING.notification:
        return connection.notification
      case PENDING.keepalive:
        connection.keepaliveTimer?.cancel()
        connection.keepaliveTimer = this.host.timers.after(this.host.jitter(connection.keepaliveTime), () => this.schedule(connection, PENDING.keepalive))
        return { type: 'keepalive' }
      case PENDING.open:
        return openMessage(this.config, this.host, this.host.recovering(this))
      case PENDING.request:
        return { type: 'refresh', subtype: 'request' }
      case PENDING.begin:
        return { type: 'refresh', subtype: 'begin' }
    }
  }

  kick(): void {
    if (this.live?.state === 'Established') this.schedule(this.live, PENDING.update)
  }

  feedBegins({ initial }: { readonly initial: boolean }): void {
    if (this.live === undefined) return
    if (initial) this.feed.beginFirst()
    else if (this.live.peerOpen?.capabilities.enhancedRefresh === true && this.feed.beginAgain()) this.schedule(this.live, PENDING.begin)
  }

  feedEnds(): void {
    if (this.feed.end()) this.kick()
  }

  receive(connection: BgpConnection, segment: Segment): void {
    this.host.turn()
    if (connection.state === 'Close' || connection.state === 'Idle') return
    const message = segment instanceof Uint8Array ? decodeMessage(segment, this.rules) : segment
    switch (message.type) {
      case 'error':
        return this.error(connection, message.code, message.subcode)
      case 'open':
        return this.receiveOpen(connection, message)
      case 'keepalive':
        return this.receiveKeepalive(connection)
      case 'notification':
        return this.receiveNotification(connection, message.code, message.subcode)
      case 'update':
        if (connection.state !== 'Established') return this.error(connection, 5, connection.state === 'OpenSent' ? 1 : 2)
        this.startHold(connection, connection.holdTime)
        if (message.withdrawn.length === 0 && message.attributes === undefined && message.reachable.length === 0) this.receiveEndOfRib()
        else this.host.update(this, message)
        return
      case 'refresh':
        if (connection.state !== 'Established') return this.error(connection, 5, connection.state === 'OpenSent' ? 1 : 2)
        return this.receiveRefresh(message.subtype)
    }
  }

  private receiveOpen(connection: BgpConnection, open: OpenMessage): void {
    if (connection.state !== 'OpenSent') return this.error(connection, 5, connection.state === 'OpenConfirm' ? 2 : 3)
    const { config, host } = this
    const refusal = refusalOf(open, config, host.routerId)
    if (refusal !== undefined) return this.error(connection, 2, refusal.subcode, refusal.data)
    const other = connection === this.outgoing ? this.incoming : this.outgoing
    if (other.state === 'Connect' || other.state === 'Active') this.toIdle(other)
    else if (other.state === 'OpenConfirm' && givesWay(config, host.routerId, open.routerId) === (connection === this.incoming)) this.error(other, 6, 7)
    else if (other.state === 'OpenConfirm' || other.state === 'Established') return this.error(connection, 6, 7)
    connection.peerOpen = open
    connection.holdTime = Math.min(open.holdTime, host.birdTimers.hold)
    connection.keepaliveTime = config.keepaliveTime ?? Math.min(host.birdTimers.keepalive, Math.floor(connection.holdTime / 3))
    this.remoteId = open.routerId
    this.origin = originOf(config, open.routerId, host.commons)
    this.rules = agreedRules(config, open)
    this.exportGroup = undefined
    this.restartReady = open.capabilities.gracefulRestart?.ipv4 !== undefined
    this.schedule(connection, PENDING.keepalive)
    this.startHold(connection, connection.holdTime)
    connection.state = 'OpenConfirm'
  }

  private receiveKeepalive(connection: BgpConnection): void {
    this.startHold(connection, connection.holdTime)
    if (connection.state === 'OpenConfirm') this.establish(connection)
    else if (connection.state !== 'Established') this.error(connection, 5, 1)
  }

  private establish(connection: BgpConnection): void {
    const restart = connection.peerOpen?.capabilities.gracefulRestart
    const ready = restart !== undefined && !restart.restarting
    this.live = connection
    this.lastError = ''
    this.announcements.clear()
    this.feed.reset()
    this.load = 'none'
    const recovering = this.host.recovering(this)
    if (recovering && !ready) this.host.recovered(this)
    this.exportWaits = recovering && ready
    if (this.restartActive) {
      this.restartTimer?.cancel()
      if (restart?.ipv4?.forwarding !== true) this.endRestart()
    }
    if (restart !== undefined) this.load = 'loading'
    connection.state = 'Established'
    this.setPhase('up')
    this.host.happened(this, 'up')
    this.host.established(this)
  }

  private receiveEndOfRib(): void {
    if (this.load === 'loading') this.load = 'none'
    if (this.host.recovering(this)) this.host.recovered(this)
    if (this.restartActive) this.endRestart()
  }

  private receiveRefresh(subtype: 'request' | 'begin' | 'end'): void {
    if (subtype === 'request') return this.host.refreshRequested(this)
    if (subtype === 'begin' && this.load === 'loading') return
    if (subtype === 'end' && this.load !== 'refreshing') return
    this.load = subtype === 'begin' ? 'refreshing' : 'none'
    this.host.refreshMark(this, subtype)
  }

  private receiveNotification(connection: BgpConnection, code: number, subcode: number): void {
    this.lastError = `Received: ${notificationText(code, subcode)}`
    this.toClose(connection)
    this.failed(code)
    this.toIdle(connection)
  }

  /** Tells the peer and gives the connection up; all but Cease make the next attempt wait longer. */
  private error(connection: BgpConnection, code: number, subcode: number, data: readonly number[] = []): void {
    if (connection.state === 'Close') return
    this.lastError = `Error: ${notificationText(code, subcode)}`
    this.toClose(connection)
    connection.notification = { type: 'notification', code, subcode, data }
    connection.pending = 0
    this.schedule(connection, PENDING.notification)
    this.failed(code)
  }

  private failed(code: number): void {
    if (code === 6) return
    this.errorWait.longer(this.host.timers.nowNs, this.host.birdTimers)
    this.stop()
  }

  connectionLost(connection: BgpConnection, reason: 'closed' | 'refused'): void {
    this.host.turn()
    this.lastError = reason === 'closed' ? 'Socket: Connection closed' : 'Socket: Connection refused'
    if (connection.state === 'Established' && this.restartReady) this.peerRestarts()
    this.toIdle(connection)
  }

  private peerRestarts(): void {
    const seconds = (this.restartSeconds = this.live?.peerOpen?.capabilities.gracefulRestart?.seconds ?? this.host.birdTimers.gracefulRestart)
    this.setPhase('start')
    this.host.happened(this, 'peer restarts')
    // a second restart before the first was over: what is stale goes at once
    if (this.restartActive) this.host.restartOver(this)
    this.restartActive = true
    this.restartTimer?.cancel()
    this.restartTimer = this.host.timers.after(seconds * SECOND, () => {
      this.host.happened(this, 'restart over')
      this.inTimer = true
      this.stop()
      this.inTimer = false
    })
    this.host.peerRestarts(this)
  }

  private endRestart(): void {
    this.restartActive = false
    this.restartTimer?.cancel()
    this.host.restartOver(this)
  }

  private toClose(connection: BgpConnection): void {
    const was = connection.state
    connection.state = 'Close'
    connection.keepaliveTimer?.cancel()
    this.startHold(connection, CLOSE_WAIT)
    if (was === 'Established') this.leaveEstablished()
  }

  private toIdle(connection: BgpConnection): void {
    const was = connection.state
    connection.shut()
    connection.state = 'Idle'
    this.decideSoon()
    if (was === 'Established') this.leaveEstablished()
  }

  private leaveEstablished(): void {
    this.live = undefined
    this.announcements.clear()
    if (this.phase === 'up') this.stop()
  }

  /** Ends the session; each open connection is told with Cease and the subcode. */
  stop(subcode = 0): void {
    if (this.phase === 'down') return
    const wasUp = this.phase === 'up'
    this.setPhase('stop')
    if (wasUp) this.host.happened(this, 'down')
    this.restartTimer?.cancel()
    this.startupTimer?.cancel()
    for (const connection of [this.outgoing, this.incoming]) {
      if (connection.state === 'Connect' || connection.state === 'Active') this.toIdle(connection)
      else if (stateOrder(connection.state) > stateOrder('Active') && connection.state !== 'Close') this.error(connection, 6, subcode)
    }
    this.decideSoon()
  }

  /** The event bgp_decision: at once, but for what a timer began. */
  private decideSoon(): void {
    if (this.inTimer) this.host.atNextTurn(() => this.decide())
    else this.host.timers.after(0, () => this.decide())
  }

  /** What follows once a connection is idle: dial again, or come down. */
  private decide(): void {
    const { outgoing, incoming } = this
    if (this.phase === 'start' && this.startState === 'connect' && outgoing.state === 'Idle' && incoming.state !== 'OpenConfirm' && !this.config.passive) {
      if (this.live === undefined) this.activate()
    }
    if (this.phase === 'stop' && outgoing.state === 'Idle' && incoming.state === 'Idle') {
      this.setPhase('down')
      this.restartActive = false
      this.host.lost(this)
      if (this.enabled) this.start()
    }
  }

  /** `birdc restart`: Cease, administrative reset; dialled anew at once. */
  restart(): void {
    this.errorWait.seconds = 0
    this.lastError = ''
    this.stop(4)
  }

  /** For good: `subcode` 2 administrative shutdown, 3 peer de-configured. */
  disable(subcode: number): void {
    this.enabled = false
    this.errorWait.seconds = 0
    this.lastError = ''
    this.stop(subcode)
  }

  /** The daemon was killed: no message; its kernel closes the sockets if the host lives. */
  kill({ tell }: { readonly tell: boolean }): void {
    this.enabled = false
    for (const connection of [this.outgoing, this.incoming]) connection.abandon({ tell })
    this.startupTimer?.cancel()
    this.restartTimer?.cancel()
    this.live = undefined
    this.phase = 'down'
  }

  /** As birdc words it. */
  get stateText(): string {
    if (this.phase === 'down') return 'Down'
    const state = furtherState(this.outgoing, this.incoming)
    return state === 'Idle' && this.startState === 'connect' && this.config.passive ? 'Passive' : state
  }
}
