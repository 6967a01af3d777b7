// hot path
/**
 * The words of connection tracking: what a packet is to its connection, the status bits, how an entry's row is laid out, and the
 * tuple (source, destination, ports, protocol) that finds it (include/net/netfilter/nf_conntrack_tuple.h, nf_conntrack_proto_icmp.c).
 *
 *   ports: source << 16 | destination, for ICMP id << 16 | type << 8 | code, else 0
 */
import { PROTO_ICMP, PROTO_SCTP, PROTO_TCP, PROTO_UDP, type Packet } from '../../wire/packet.js'

/** packet.conntrackState. Not looked up, or no part of any connection. */
export const CT_INVALID = 0
export const CT_NEW = 1
export const CT_ESTABLISHED = 2
export const CT_RELATED = 3
/** The same two, in the direction of the replies. */
export const CT_ESTABLISHED_REPLY = 4
export const CT_RELATED_REPLY = 5
export const CT_UNTRACKED = 6
export const CT_STATES = ['INVALID', 'NEW', 'ESTABLISHED', 'RELATED', 'ESTABLISHED', 'RELATED', 'UNTRACKED'] as const

// Status bits, as IPS_* of include/uapi/linux/netfilter/nf_conntrack_common.h
export const IPS_EXPECTED = 0x1
export const IPS_SEEN_REPLY = 0x2
export const IPS_ASSURED = 0x4
export const IPS_CONFIRMED = 0x8
export const IPS_SRC_NAT = 0x10
export const IPS_DST_NAT = 0x20
export const IPS_NAT_MASK = 0x30
export const IPS_SRC_NAT_DONE = 0x80
export const IPS_DST_NAT_DONE = 0x100
export const IPS_DYING = 0x200
/** The row is not in use. */
export const IPS_FREE = 0x40000000

// An entry's row
export const ENTRY_STRIDE = 18
export const E_SRC = 0
export const E_DST = 1
export const E_PORTS = 2
/** The reply's tuple, at the same distance from the original's as direction 1 from 0. */
export const E_REPLY = 3
export const E_REPLY_SRC = 3
export const E_REPLY_DST = 4
export const E_REPLY_PORTS = 5
export const E_PROTO = 6
export const E_STATUS = 7
export const E_MARK = 8
export const E_TCP_STATE = 9
/** Last segment kind << 1 | its direction. */
export const E_TCP_LAST = 10
/** 1: a FIN has begun the close. */
export const E_TCP_CLOSING = 11
export const E_ID = 12
/** ifindex's stand-in: world index of the device that MASQUERADE chose its address from, plus 1. */
export const E_MASQUERADE = 13
/** Next in the hash chain, by direction: slot << 1 | direction, plus 1; 0 ends it. */
export const E_NEXT = 14
/** Next in the chain of entries with this original source, plus 1. */
export const E_NEXT_BY_SOURCE = 16
/** And the one before it, so that an entry leaves a long chain at once (one client's socket to thousands of servers). */
export const E_PREVIOUS_BY_SOURCE = 17

/** 1: the packet goes the way of the connection's replies. */
export function isReply(state: number): number {
  return state === CT_ESTABLISHED_REPLY || state === CT_RELATED_REPLY ? 1 : 0
}

/** Destination unreachable, source quench, redirect, time exceeded, parameter problem. */
export function isIcmpError(type: number): boolean {
  return type === 3 || type === 4 || type === 5 || type === 11 || type === 12
}

/** Echo, timestamp, information and mask requests. */
export function beginsIcmp(type: number): boolean {
  return type === 8 || type === 13 || type === 15 || type === 17
}

/** The tuple's third word; protocols without ports have 0. */
export function portsOf(packet: Packet): number {
  switch (packet.proto) {
    case PROTO_TCP:
    case PROTO_UDP:
    case PROTO_SCTP:
      return (packet.sport << 16) | packet.dport
    case PROTO_ICMP:
      return (packet.icmpId << 16) | (packet.sport << 8) | packet.dport
    default:
      return 0
  }
}

/** The third word of the tuple that answers; -1 for an ICMP type that nothing answers (65535, type 255: no real tuple). */
export function invertPorts(ports: number, proto: number): number {
  if (proto !== PROTO_ICMP) return (ports << 16) | (ports >>> 16)
  const id = ports & 0xffff0000
  const code = ports & 0xff
  switch ((ports >>> 8) & 0xff) {
    case 8:
      return id | code
    case 0:
      return id | (8 << 8) | code
    case 13:
    case 15:
    case 17:
      return (ports + 0x100) | 0
    case 14:
    case 16:
    case 18:
      return (ports - 0x100) | 0
    default:
      return -1
  }
}

export function hashTuple(src: number, dst: number, ports: number, proto: number): number {
  let hash = Math.imul(src ^ proto, 0x85ebca6b) ^ dst
  hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35) ^ ports
  hash = Math.imul(hash ^ (hash >>> 13), 0x27d4eb2f)
  return hash ^ (hash >>> 16)
}
