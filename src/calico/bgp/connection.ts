/** One TCP connection of a BGP session with its timers and what waits to be sent (proto/bgp/bgp.h struct bgp_conn). */
import { BEFORE_OPEN, type BgpMessage, type NotificationMessage, type OpenMessage, type SessionRules } from './message.js'
import { messageLength, segmentOf, type Segment } from './on-the-wire.js'
import type { FeedRun } from './shared-feed.js'
import type { TcpHandlers, TcpSocket } from './tcp.js'
import type { Timer, Timers } from '../../sim/timers.js'

/** From an event to the write that follows it: what makes changes of one moment share an UPDATE. */
const TRANSMIT_DELAY_NS = 80_000

const CONNECTION_STATES = ['Idle', 'Connect', 'Active', 'OpenSent', 'OpenConfirm', 'Established', 'Close'] as const
type ConnectionState = (typeof CONNECTION_STATES)[number]

export function stateOrder(state: ConnectionState): number {
  return CONNECTION_STATES.indexOf(state)
}

/**
 * What waits to be sent, a bit each, of several the lowest first (bgp_fire_tx). OPEN goes first of all that is said to a peer who is well: BIRD writes it in
 * the loop in which it took the connection, before it reads the peer's own, which here may be of the same moment.
 */
export const PENDING = { notification: 1, open: 2, keepalive: 4, request: 8, begin: 16, update: 32 } as const

export type Pending = (typeof PENDING)[keyof typeof PENDING]

/** The session, told of what befalls either of its connections. */
interface ConnectionOwner {
  connected(connection: BgpConnection): void
  receive(connection: BgpConnection, segment: Segment): void
  connectionLost(connection: BgpConnection, reason: 'closed' | 'refused'): void
  transmit(connection: BgpConnection): void
  /** The peer has been silent for too long. */
  holdTimeOver(connection: BgpConnection): void
}

export class BgpConnection implements TcpHandlers {
  state: ConnectionState = 'Idle'
  socket: TcpSocket | undefined
  retryTimer: Timer | undefined
  holdTimer: Timer | undefined
  /** Virtual time at which the peer has been silent for too long, ns. */
  holdDueNs = 0
  keepaliveTimer: Timer | undefined
  /** seconds, as agreed */
  holdTime = 0
  keepaliveTime = 0
  peerOpen: OpenMessage | undefined
  notification: NotificationMessage | undefined
  /** Bits of PENDING. */
  pending = 0
  /** An event that will send is on its way. */
  kicked = false

  private readonly owner: ConnectionOwner

  constructor(owner: ConnectionOwner) {
    this.owner = owner
  }

  connected(): void {
    this.owner.connected(this)
  }

  received(segment: Segment): void {
    this.owner.receive(this, segment)
  }

  closed(reason: 'closed' | 'refused'): void {
    this.owner.connectionLost(this, reason)
  }

  schedule(timers: Timers, what: Pending): void {
    this.pending |= what
    if (this.kicked) return
    this.kicked = true
    const { socket } = this
    timers.after(TRANSMIT_DELAY_NS, () => {
      this.kicked = false
      if (this.socket === socket) this.owner.transmit(this)
      else if (this.pending !== 0) this.schedule(timers, this.firstPending)
    })
  }

  /** Something must be pending. */
  get firstPending(): Pending {
    return (this.pending & -this.pending) as Pending
  }

  /** Heard from again and again, a peer moves the time, not the timer. */
  startHold(timers: Timers, delayNs: number): void {
    this.holdDueNs = timers.nowNs + delayNs
    if (this.holdTimer !== undefined && this.holdTimer.dueNs <= this.holdDueNs) return
    this.holdTimer?.cancel()
    this.armHold(timers)
  }

  private armHold(timers: Timers): void {
    this.holdTimer = timers.after(this.holdDueNs - timers.nowNs, () => {
      this.holdTimer = undefined
      if (this.holdDueNs > timers.nowNs) this.armHold(timers)
      else this.owner.holdTimeOver(this)
    })
  }

  stopHold(): void {
    this.holdTimer?.cancel()
    this.holdTimer = undefined
  }

  /** Stops everything and lets the socket go. */
  shut(): void {
    this.retryTimer?.cancel()
    this.holdTimer?.cancel()
    this.keepaliveTimer?.cancel()
    this.retryTimer = this.holdTimer = this.keepaliveTimer = undefined
    this.pending = 0
    this.notification = undefined
    this.peerOpen = undefined
    this.socket?.close()
    this.socket = undefined
  }

  /** The process is gone: nothing is said; its kernel closes the socket if the host lives. */
  abandon({ tell }: { readonly tell: boolean }): void {
    const { socket } = this
    this.socket = undefined
    this.shut()
    this.state = 'Idle'
    socket?.abandon({ tell })
  }

  writeRun(run: FeedRun): void {
    this.socket?.send(run)
  }

  /** @returns its length in bytes, for those who count */
  write(message: BgpMessage, rules: SessionRules = BEFORE_OPEN): number {
    this.socket?.send(segmentOf(message, rules))
    return messageLength(message, rules)
  }
}

export function furtherState(a: BgpConnection, b: BgpConnection): ConnectionState {
  return stateOrder(b.state) > stateOrder(a.state) ? b.state : a.state
}
