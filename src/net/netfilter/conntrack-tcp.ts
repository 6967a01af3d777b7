// hot path
/**
 * TCP as connection tracking sees it: which state a segment moves a connection to (net/netfilter/nf_conntrack_proto_tcp.c).
 * Sequence windows are not followed: every segment counts as inside its window (nf_conntrack_tcp_be_liberal = 1 for all but
 * an RST out of window).
 */
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN } from '../../wire/packet.js'

export const TCP_STATES = ['NONE', 'SYN_SENT', 'SYN_RECV', 'ESTABLISHED', 'FIN_WAIT', 'CLOSE_WAIT', 'LAST_ACK', 'TIME_WAIT', 'CLOSE', 'SYN_SENT2'] as const
export const TCP_STATE_SYN_SENT = 1
export const TCP_STATE_SYN_RECV = 2
export const TCP_STATE_ESTABLISHED = 3
export const TCP_STATE_FIN_WAIT = 4
export const TCP_STATE_TIME_WAIT = 7
export const TCP_STATE_CLOSE = 8
/** The segment is no part of the connection. */
export const TCP_STATE_INVALID = 10
/** The segment passes and moves nothing. */
export const TCP_STATE_IGNORE = 11

const TCP_SEGMENT_SYN = 0
const TCP_SEGMENT_SYNACK = 1
const TCP_SEGMENT_FIN = 2
const TCP_SEGMENT_ACK = 3
export const TCP_SEGMENT_RST = 4
const TCP_SEGMENT_NONE = 5

/** What a segment is to the state machine: RST before SYN before FIN before ACK. */
export function tcpSegmentKind(flags: number): number {
  if ((flags & TCP_RST) !== 0) return TCP_SEGMENT_RST
  if ((flags & TCP_SYN) !== 0) return (flags & TCP_ACK) !== 0 ? TCP_SEGMENT_SYNACK : TCP_SEGMENT_SYN
  if ((flags & TCP_FIN) !== 0) return TCP_SEGMENT_FIN
  return (flags & TCP_ACK) !== 0 ? TCP_SEGMENT_ACK : TCP_SEGMENT_NONE
}

const V = TCP_STATE_INVALID
const I = TCP_STATE_IGNORE

//            from: NO SS SR ES FW CW LA TW CL S2
const ORIGINAL = [
  /* SYN     */ [1, 1, I, I, I, I, I, 1, 1, 9],
  /* SYN+ACK */ [V, V, 2, V, V, V, V, V, V, 2],
  /* FIN     */ [V, V, 4, 4, 6, 6, 6, 7, 8, V],
  /* ACK     */ [3, V, 3, 3, 5, 5, 7, 7, 8, V],
  /* RST     */ [V, 8, 8, 8, 8, 8, 8, 8, 8, 8],
  /* none    */ [V, V, V, V, V, V, V, V, V, V],
]
const REPLY = [
  /* SYN     */ [V, 9, V, V, V, V, V, 1, V, 9],
  /* SYN+ACK */ [V, 2, I, I, I, I, I, I, I, 2],
  /* FIN     */ [V, V, 4, 4, 6, 6, 6, 7, 8, V],
  /* ACK     */ [V, I, 2, 3, 5, 5, 7, 7, 8, I],
  /* RST     */ [V, 8, 8, 8, 8, 8, 8, 8, 8, 8],
  /* none    */ [V, V, V, V, V, V, V, V, V, V],
]
const TRANSITIONS = Int8Array.from([ORIGINAL, REPLY].flat(2))

/** The state after a segment; direction 0 original, 1 reply. */
export function tcpTransition(direction: number, segment: number, state: number): number {
  return TRANSITIONS[(direction * 6 + segment) * 10 + state]
}
