/** What a session needs of its daemon: time, the wire, the table. */
import type { BirdTimers } from './config.js'
import type { Commons } from './commons.js'
import type { BgpMessage, UpdateMessage } from './message.js'
import type { BgpSession } from './session.js'
import type { FeedRun } from './shared-feed.js'
import type { TcpNetwork } from './tcp.js'
import type { Timers } from '../../sim/timers.js'

/**
 * up; down; down with the routes kept, as the peer restarts; the peer did not come back in time. Why stands in the session's `lastError`.
 */
export type SessionEvent = 'up' | 'down' | 'peer restarts' | 'restart over'

export interface SessionHost {
  readonly timers: Timers
  readonly tcp: TcpNetwork
  readonly commons: Commons
  readonly birdTimers: BirdTimers
  readonly routerId: number
  readonly address: number
  /** Seconds with BIRD's jitter, in ns. */
  jitter(seconds: number): number
  /**
   * What a timer sets going waits until the daemon's loop turns: io_loop (sysdep/unix/io.c) runs events, then timers, then sleeps until the next
   * timer or a socket, whatever those timers have put among the events. Often that is the next scan of the kernel.
   */
  atNextTurn(run: () => void): void
  /** A socket wakes the loop. */
  turn(): void
  /** The daemon itself recovers from a restart (-R) and has not finished. */
  recovering(session: BgpSession): boolean
  recovered(session: BgpSession): void
  /** Single-hop sessions wait for the neighbour's network. */
  isNeighbour(address: number): boolean
  established(session: BgpSession): void
  /** Routes stay, marked stale, while the peer restarts. */
  peerRestarts(session: BgpSession): void
  /** Routes that are still stale go. */
  restartOver(session: BgpSession): void
  lost(session: BgpSession): void
  /** For those who watch. */
  happened(session: BgpSession, event: SessionEvent): void
  update(session: BgpSession, message: UpdateMessage): void
  refreshRequested(session: BgpSession): void
  refreshMark(session: BgpSession, subtype: 'begin' | 'end'): void
  sent(session: BgpSession, message: BgpMessage, bytes: number): void
  sentRun(session: BgpSession, run: FeedRun): void
}
