/** What a session waits for at the moment that its daemon's clock shows (`birdc show protocols all`: proto/bgp/bgp.c, bgp_show_proto_info). */
import { stateOrder } from './connection.js'
import type { BgpSession } from './session.js'

/** Ends of waits, virtual time, ns; absent: it does not wait for that. */
export interface SessionWaits {
  /** Without a word from the peer until then it is given up. */
  readonly holdNs?: number
  /** Agreed with the peer, seconds. */
  readonly holdSeconds?: number
  /** It dials then: after the connect delay, or because nobody has answered. */
  readonly dialNs?: number
  /** After an error: nothing is tried before. */
  readonly errorWaitNs?: number
  /** The peer restarts; its routes are kept until then. */
  readonly restartNs?: number
}

export function sessionWaits({ phase, startState, live, outgoing, incoming, startupTimer, restartTimer, restartActive }: BgpSession): SessionWaits {
  if (phase === 'down') return {}
  const open = live ?? (stateOrder(incoming.state) > stateOrder(outgoing.state) ? incoming : outgoing)
  const isHeld = open.holdTimer !== undefined && stateOrder(open.state) > stateOrder('Active')
  const dials = phase === 'start' && (outgoing.state === 'Active' || outgoing.state === 'Connect') ? outgoing.retryTimer : undefined
  const waits = phase === 'start' && startState === 'delay' ? startupTimer : undefined
  return {
    ...(isHeld ? { holdNs: open.holdDueNs } : {}),
    ...(isHeld && open.holdTime > 0 ? { holdSeconds: open.holdTime } : {}),
    ...(dials === undefined ? {} : { dialNs: dials.dueNs }),
    ...(waits === undefined ? {} : { errorWaitNs: waits.dueNs }),
    ...(restartActive && restartTimer !== undefined ? { restartNs: restartTimer.dueNs } : {}),
  }
}
