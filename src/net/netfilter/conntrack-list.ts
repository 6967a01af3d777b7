/** The connections that are known, as objects: for `conntrack -L` and the like. Cold. */
import { PROTO_TCP } from '../../wire/packet.js'
import { TCP_STATES } from './conntrack-tcp.js'
import type { Conntrack } from './conntrack.js'
import { E_DST, E_ID, E_MARK, E_PORTS, E_PROTO, E_REPLY, E_STATUS, E_TCP_STATE, ENTRY_STRIDE } from './conntrack-tuple.js'

export interface ConntrackTuple {
  readonly src: number
  readonly dst: number
  /** Source and destination port, for ICMP id << 16 | type << 8 | code. */
  readonly ports: number
}

export interface ConntrackEntry {
  readonly slot: number
  readonly id: number
  readonly proto: number
  readonly original: ConntrackTuple
  readonly reply: ConntrackTuple
  /** IPS_* bits. */
  readonly status: number
  readonly mark: number
  /** TCP only. */
  readonly tcpState?: (typeof TCP_STATES)[number]
  readonly secondsLeft: number
}

/** Confirmed, unexpired entries, oldest first. */
export function conntrackEntries(conntrack: Conntrack): readonly ConntrackEntry[] {
  const { rows, expires } = conntrack
  const now = conntrack.netns.world.sim.nowNs
  const tuple = (at: number): ConntrackTuple => ({ src: rows[at], dst: rows[at + E_DST], ports: rows[at + E_PORTS] })
  const entries: ConntrackEntry[] = []
  for (let slot = 0; slot < conntrack.used; slot++) {
    if (!conntrack.isLive(slot) || expires[slot] <= now) continue
    const row = slot * ENTRY_STRIDE
    const proto = rows[row + E_PROTO]
    entries.push({
      slot,
      proto,
      id: rows[row + E_ID],
      original: tuple(row),
      reply: tuple(row + E_REPLY),
      status: rows[row + E_STATUS],
      mark: rows[row + E_MARK],
      ...(proto === PROTO_TCP ? { tcpState: TCP_STATES[rows[row + E_TCP_STATE]] } : {}),
      secondsLeft: Math.ceil((expires[slot] - now) / 1e9),
    })
  }
  return entries.sort((a, b) => a.id - b.id)
}
