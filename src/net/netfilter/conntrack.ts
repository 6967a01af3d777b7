// hot path
/**
 * Connection tracking: one entry a connection, a tuple in each direction, found by either (net/netfilter/nf_conntrack_core.c,
 * nf_conntrack_proto_{tcp,udp,icmp,sctp,generic}.c).
 *
 *   packet ─▶ track() ─▶ tuple known?  yes ─▶ ESTABLISHED / NEW / reply …   ─▶ protocol's state machine ─▶ row.conntrack(State)
 *                                      no  ─▶ new entry, unconfirmed: no one else finds it until confirm()
 *             ICMP error ─▶ the tuple it quotes, turned round ─▶ RELATED, or INVALID
 *
 * Not followed: TCP sequence windows, what becomes of an SCTP connection, helpers and expectations, zones.
 */
import { PROTO_ICMP, PROTO_SCTP, PROTO_TCP, PROTO_UDP, type Packet } from '../../wire/packet.js'
import type { Netns } from '../netns.js'
import { STEP_CONNTRACK } from '../trace.js'
import { NF_ACCEPT, NF_DROP } from './bytecode.js'
import { conntrackError } from './conntrack-error.js'
import { ConntrackTable } from './conntrack-table.js'
import {
  TCP_SEGMENT_RST,
  TCP_STATE_CLOSE,
  TCP_STATE_ESTABLISHED,
  TCP_STATE_FIN_WAIT,
  TCP_STATE_IGNORE,
  TCP_STATE_INVALID,
  TCP_STATE_SYN_RECV,
  TCP_STATE_SYN_SENT,
  TCP_STATE_TIME_WAIT,
  tcpSegmentKind,
  tcpTransition,
} from './conntrack-tcp.js'
import { conntrackTimeouts, TCP_TIMEOUT_UNACK, type ConntrackTimeouts } from './conntrack-timeouts.js'
import {
  beginsIcmp,
  CT_ESTABLISHED,
  CT_ESTABLISHED_REPLY,
  CT_INVALID,
  CT_NEW,
  CT_RELATED,
  CT_RELATED_REPLY,
  CT_UNTRACKED,
  E_DST,
  E_PORTS,
  E_PROTO,
  E_REPLY,
  E_REPLY_DST,
  E_REPLY_PORTS,
  E_REPLY_SRC,
  E_STATUS,
  E_TCP_CLOSING,
  E_TCP_LAST,
  E_TCP_STATE,
  ENTRY_STRIDE,
  invertPorts,
  IPS_ASSURED,
  IPS_CONFIRMED,
  IPS_DYING,
  IPS_NAT_MASK,
  IPS_SEEN_REPLY,
  isIcmpError,
  isReply,
  portsOf,
} from './conntrack-tuple.js'

// What a protocol's part says of a packet
const HEARD = 0
const HEARD_INVALID = 1
/** A SYN on a closed connection: its entry is gone, look it up again. */
const HEARD_REOPENED = 2

export class Conntrack extends ConntrackTable {
  /** Entries that could not be inserted because their tuple was taken meanwhile (conntrack -S insert_failed). */
  insertFailed = 0
  private readonly timeouts: ConntrackTimeouts
  /** net.netfilter.nf_conntrack_checksum. */
  private readonly checksums: number
  /** Ports that NAT drew (get_random_u16), of the question. */
  readonly drawnPorts: number[] = []

  constructor(netns: Netns) {
    super(netns)
    this.timeouts = conntrackTimeouts(netns.sysctls)
    this.checksums = (netns.sysctls['net.netfilter.nf_conntrack_checksum'] ?? 1) === 0 ? 0 : 1
  }

  /** nf_conntrack_in: finds or makes the packet's connection. @param incoming 1 in PREROUTING. @returns NF_ACCEPT, or NF_DROP when the table is full */
  track(packet: Packet, incoming: number): number {
    if (packet.conntrack >= 0 || packet.conntrackState === CT_UNTRACKED) return NF_ACCEPT
    packet.conntrackState = CT_INVALID
    if (packet.fragmentOffset !== 0) return NF_ACCEPT
    const before = this.nextId
    let verdict = NF_ACCEPT
    if (conntrackError(packet, incoming & this.checksums) === 1) verdict = NF_ACCEPT
    else if (packet.proto === PROTO_ICMP && isIcmpError(packet.sport)) this.trackError(packet)
    else verdict = this.trackPacket(packet)
    const trace = this.netns.world.trace
    const state = packet.conntrackState
    if (trace.on !== 0) trace.note(STEP_CONNTRACK, state, this.netns, packet, state, packet.conntrack, before === this.nextId ? 0 : 1, isReply(state))
    return verdict
  }

  /** __nf_conntrack_confirm: the packet leaves the stack, so its connection may be found from now on. */
  confirm(packet: Packet): number {
    const slot = packet.conntrack
    if (slot < 0) return NF_ACCEPT
    const row = slot * ENTRY_STRIDE
    const rows = this.rows
    if ((rows[row + E_STATUS] & IPS_CONFIRMED) !== 0 || isReply(packet.conntrackState) === 1) return NF_ACCEPT
    if ((rows[row + E_STATUS] & IPS_DYING) !== 0) return NF_DROP
    const proto = rows[row + E_PROTO]
    if (
      this.find(rows[row], rows[row + E_DST], rows[row + E_PORTS], proto) >= 0 ||
      this.find(rows[row + E_REPLY_SRC], rows[row + E_REPLY_DST], rows[row + E_REPLY_PORTS], proto) >= 0
    ) {
      this.insertFailed++
      this.abandon(packet)
      return NF_DROP
    }
    this.link(slot, 0)
    this.link(slot, 1)
    rows[row + E_STATUS] |= IPS_CONFIRMED
    this.count++
    return NF_ACCEPT
  }

  /** The packet is lost before its connection was confirmed: forgets the entry. */
  abandon(packet: Packet): void {
    const slot = packet.conntrack
    // an answer that shares the entry goes without it: the packet it answers holds it still
    const shares = packet.conntrackState === CT_RELATED || packet.conntrackState === CT_RELATED_REPLY
    if (slot >= 0 && !shares && (this.rows[slot * ENTRY_STRIDE + E_STATUS] & IPS_CONFIRMED) === 0) this.release(slot)
    packet.conntrack = -1
    packet.conntrackState = CT_INVALID
  }

  /** nf_ct_attach: an answer that the stack makes for a packet (a TCP reset) belongs to that packet's connection. */
  attach(answer: Packet, to: Packet): void {
    answer.conntrack = to.conntrack
    if (to.conntrack >= 0) answer.conntrackState = isReply(to.conntrackState) === 1 ? CT_RELATED : CT_RELATED_REPLY
  }

  /** The source that the packet bore before its connection's NAT; its own when that changes none (icmp_ndo_send). */
  originalSource(packet: Packet): number {
    const slot = packet.conntrack
    if (slot < 0 || (this.rows[slot * ENTRY_STRIDE + E_STATUS] & IPS_NAT_MASK) === 0) return packet.src
    return this.rows[slot * ENTRY_STRIDE + isReply(packet.conntrackState) * E_REPLY]
  }

  private trackPacket(packet: Packet): number {
    const proto = packet.proto
    const ports = portsOf(packet)
    for (;;) {
      const found = this.find(packet.src, packet.dst, ports, proto)
      let slot = found >> 1
      let state: number
      if (found < 0) {
        const replyPorts = invertPorts(ports, proto)
        // an ICMP answer that nobody asked for: no connection can begin with it
        if (replyPorts === -1 && proto === PROTO_ICMP) return NF_ACCEPT
        if (this.count >= this.timeouts.max) {
          this.sweep()
          if (this.count >= this.timeouts.max) return NF_DROP
        }
        slot = this.create(packet, ports, replyPorts)
        state = CT_NEW
      } else if ((found & 1) === 1) state = CT_ESTABLISHED_REPLY
      else state = (this.rows[slot * ENTRY_STRIDE + E_STATUS] & IPS_SEEN_REPLY) !== 0 ? CT_ESTABLISHED : CT_NEW
      packet.conntrack = slot
      packet.conntrackState = state
      const heard = this.hear(packet, slot, isReply(state))
      if (heard === HEARD) {
        if (state === CT_ESTABLISHED_REPLY) this.rows[slot * ENTRY_STRIDE + E_STATUS] |= IPS_SEEN_REPLY
        return NF_ACCEPT
      }
      this.abandon(packet)
      if (heard !== HEARD_REOPENED) return NF_ACCEPT
    }
  }

  /** nf_conntrack_inet_error: an ICMP error belongs to the connection of the packet it quotes. */
  private trackError(packet: Packet): void {
    const quoted = packet.inner
    if (quoted === null || quoted.fragmentOffset !== 0) return
    const ports = invertPorts(portsOf(quoted), quoted.proto)
    if (ports === -1 && quoted.proto === PROTO_ICMP) return
    const found = this.find(quoted.dst, quoted.src, ports, quoted.proto)
    if (found < 0) return
    // an error about a connection must be for the sender of the quoted packet
    if (this.rows[(found >> 1) * ENTRY_STRIDE + (found & 1) * E_REPLY + E_DST] !== packet.dst) return
    packet.conntrack = found >> 1
    packet.conntrackState = (found & 1) === 1 ? CT_RELATED_REPLY : CT_RELATED
  }

  /** The protocol's part (nf_conntrack_handle_packet). */
  private hear(packet: Packet, slot: number, direction: number): number {
    const row = slot * ENTRY_STRIDE
    const status = this.rows[row + E_STATUS]
    const now = this.netns.world.sim.nowNs
    switch (packet.proto) {
      case PROTO_TCP:
        return this.hearTcp(packet, slot, direction)
      case PROTO_UDP:
        if ((status & IPS_SEEN_REPLY) === 0) this.expires[slot] = now + this.timeouts.udp
        else if (now > this.streamSince[slot]) {
          this.expires[slot] = now + this.timeouts.udpStream
          this.rows[row + E_STATUS] |= IPS_ASSURED
        } else this.expires[slot] = now + this.timeouts.udp
        return HEARD
      case PROTO_ICMP:
        if ((status & IPS_CONFIRMED) === 0 && !beginsIcmp(packet.sport)) return HEARD_INVALID
        this.expires[slot] = now + this.timeouts.icmp
        return HEARD
      case PROTO_SCTP:
        this.expires[slot] = now + ((status & IPS_SEEN_REPLY) !== 0 || direction === 1 ? this.timeouts.sctpEstablished : this.timeouts.sctp)
        return HEARD
      default:
        this.expires[slot] = now + this.timeouts.generic
        return HEARD
    }
  }

  private hearTcp(packet: Packet, slot: number, direction: number): number {
    const rows = this.rows
    const row = slot * ENTRY_STRIDE
    const status = rows[row + E_STATUS]
    const segment = tcpSegmentKind(packet.tcpFlags)
    const old = rows[row + E_TCP_STATE]
    let next = tcpTransition(direction, segment, old)
    const fresh = (status & IPS_CONFIRMED) === 0 && old === 0
    if (fresh && (next === TCP_STATE_INVALID || (next !== TCP_STATE_SYN_SENT && this.timeouts.tcpLoose === 0))) return HEARD_INVALID
    if (next === TCP_STATE_SYN_SENT && old >= TCP_STATE_TIME_WAIT) {
      // RFC 1122 4.2.2.13: a SYN may reopen a closed connection: a new entry begins
      if (rows[row + E_TCP_CLOSING] !== 0 || rows[row + E_TCP_LAST] === ((TCP_SEGMENT_RST << 1) | direction)) {
        this.kill(slot)
        return HEARD_REOPENED
      }
      next = TCP_STATE_IGNORE
    }
    if (next === TCP_STATE_IGNORE) {
      rows[row + E_TCP_LAST] = (segment << 1) | direction
      return HEARD
    }
    if (next === TCP_STATE_INVALID) return HEARD_INVALID
    rows[row + E_TCP_LAST] = (segment << 1) | direction
    rows[row + E_TCP_STATE] = next
    if (next === TCP_STATE_FIN_WAIT && old !== next) rows[row + E_TCP_CLOSING] = 1
    let timeout = this.timeouts.tcp[segment === TCP_SEGMENT_RST ? TCP_STATE_CLOSE : next]
    if ((status & IPS_SEEN_REPLY) === 0) {
      // a refused connection: nothing to remember
      if (segment === TCP_SEGMENT_RST) {
        this.kill(slot)
        return HEARD
      }
      if (next === TCP_STATE_ESTABLISHED) timeout = Math.min(timeout, this.timeouts.tcp[TCP_TIMEOUT_UNACK])
    } else if ((old === TCP_STATE_SYN_RECV || old === TCP_STATE_ESTABLISHED) && next === TCP_STATE_ESTABLISHED) {
      rows[row + E_STATUS] |= IPS_ASSURED
    }
    this.expires[slot] = this.netns.world.sim.nowNs + timeout
    return HEARD
  }
}
