/** One TCP connection of a BGP session with its timers and what waits to be sent (proto/bgp/bgp.h struct bgp_conn). */
import { BEFORE_OPEN, type BgpMessage, type NotificationMessage, type OpenMessage, type SessionRules } from './message.js'
import { messageLength, segmentOf } from './on-the-wire.js'
import type { TcpSocket } from './tcp.js'
import type { Timer, Timers } from '../../sim/timers.js'

const CONNECTION_STATES = ['Idle', 'Connect', 'Active', 'OpenSent', 'OpenConfirm', 'Established', 'Close'] as const
type ConnectionState = (typeof CONNECTION_STATES)[number]

export function stateOrder(state: ConnectionState): number {
  return CONNECTION_STATES.indexOf(state)
}

/**
 * Sent in this order of rank when several wait (bgp_fire_tx). OPEN goes first of all that is said to a peer who is well: BIRD writes it in the loop in
 * which it took the connection, before it reads the peer's own, which here may be of the same moment.
 */
export const PENDING = ['notification', 'open', 'keepalive', 'request', 'begin', 'update'] as const
type Pending = (typeof PENDING)[number]

export class BgpConnection {
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
  readonly pending = new Set<Pending>()
  /** An event that will send is on its way. */
  kicked = false

  /** Heard from again and again, a peer moves the time, not the timer. @param expired called once the time is over */
  startHold(timers: Timers, delayNs: number, expired: () => void): void {
    this.holdDueNs = timers.nowNs + delayNs
    if (this.holdTimer !== undefined && this.holdTimer.dueNs <= this.holdDueNs) return
    this.holdTimer?.cancel()
    this.armHold(timers, expired)
  }

  private armHold(timers: Timers, expired: () => void): void {
    this.holdTimer = timers.after(this.holdDueNs - timers.nowNs, () => {
      this.holdTimer = undefined
      if (this.holdDueNs > timers.nowNs) this.armHold(timers, expired)
      else expired()
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
    this.pending.clear()
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

  /** @returns its length in bytes, for those who count */
  write(message: BgpMessage, rules: SessionRules = BEFORE_OPEN): number {
    this.socket?.send(segmentOf(message, rules))
    return messageLength(message, rules)
  }
}

export function furtherState(a: BgpConnection, b: BgpConnection): ConnectionState {
  return stateOrder(b.state) > stateOrder(a.state) ? b.state : a.state
}
