// hot path
/**
 * The typed matches of a rule, run in the kernel's order until one fails (net/netfilter/xt_*.c, net/ipv4/netfilter/ipt_*.c).
 */
import { PROTO_ICMP, PROTO_SCTP, PROTO_TCP, PROTO_UDP, type Packet } from '../../wire/packet.js'
import { DEVICE_LOOPBACK, type Device } from '../device.js'
import { inetAddrType } from '../fib.js'
import { rpfilterCheck } from '../route-input.js'
import {
  M_ADDRTYPE,
  M_CONNMARK,
  M_CT_ADDRESS,
  M_CT_DIRECTION,
  M_CT_PORT,
  M_CT_PROTO,
  M_CT_STATE,
  M_CT_STATUS,
  M_DEVICE,
  M_DPORT,
  M_DSCP,
  M_DST,
  M_END,
  M_FRAGMENT,
  M_ICMP,
  M_IPRANGE,
  M_LENGTH,
  M_LIMIT,
  M_MAC,
  M_MARK,
  M_MULTIPORT,
  M_NTH,
  M_PHYSDEV,
  M_PHYSDEV_IS,
  M_PKTTYPE,
  M_PROTO,
  M_RANDOM,
  M_RECENT,
  M_RPFILTER,
  M_SET,
  M_SPORT,
  M_SRC,
  M_TCP_FLAGS,
  M_TOS,
  M_TTL,
  M_UNKNOWN,
  MATCH_INDEX_SHIFT,
  MATCH_INVERT,
  MATCH_LENGTH_MASK,
  MATCH_LENGTH_SHIFT,
  MATCHED,
  NO_MATCH,
  NOT_MODELLED,
} from './bytecode.js'
import {
  CT_UNTRACKED,
  E_DST,
  E_MARK,
  E_PORTS,
  E_PROTO,
  E_REPLY_DST,
  E_REPLY_PORTS,
  E_REPLY_SRC,
  E_SRC,
  E_STATUS,
  ENTRY_STRIDE,
  IPS_DST_NAT,
  IPS_SRC_NAT,
  isReply,
} from './conntrack-tuple.js'
import type { Netfilter } from './netfilter.js'

/** Bits of a ctstate match beside 1 << CT_* of the five states. */
export const STATE_SNAT = 0x100
export const STATE_DNAT = 0x200
/** A ctstate bit for each conntrackState: INVALID, NEW, ESTABLISHED, RELATED, the replies' two, UNTRACKED. */
const STATE_BITS = [0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x40] as const

export const PHYSDEV_IN = 0
export const PHYSDEV_OUT = 1
export const PHYSDEV_IS_IN = 0
export const PHYSDEV_IS_OUT = 1
export const PHYSDEV_IS_BRIDGED = 2

export const ADDRTYPE_SRC = 1
export const ADDRTYPE_LIMIT_IN = 2
export const ADDRTYPE_LIMIT_OUT = 4

export const MULTIPORT_SPORTS = 1
export const MULTIPORT_DPORTS = 2

export const RPFILTER_LOOSE = 1
export const RPFILTER_VALIDMARK = 2
export const RPFILTER_ACCEPT_LOCAL = 4

/** Runs the matches from `start` on until one fails; `nf.failedMatch` then tells which one of the rule's text it was. */
export function runMatches(nf: Netfilter, start: number, packet: Packet): number {
  const code = nf.matches
  let at = start
  for (;;) {
    const head = code[at]
    const op = head & 0xff
    if (op === M_END) return MATCHED
    // the commonest by far, in Calico's and kube-proxy's chains, without the call
    const said = op === M_MARK ? ((packet.mark & code[at + 2]) === code[at + 1] ? MATCHED : NO_MATCH) : runMatch(nf, code, at, op, packet)
    if (said === NOT_MODELLED) {
      nf.failedMatch = head >> MATCH_INDEX_SHIFT
      return NOT_MODELLED
    }
    // xor: an inverted match holds when it does not
    if ((said === MATCHED) === ((head & MATCH_INVERT) !== 0)) {
      nf.failedMatch = head >> MATCH_INDEX_SHIFT
      return NO_MATCH
    }
    at += (head >> MATCH_LENGTH_SHIFT) & MATCH_LENGTH_MASK
  }
}

/** Which of the matches from `start` on fail, each a bit by its place in the rule's text. What counts or draws when it is asked is not asked. */
export function failingMatches(nf: Netfilter, start: number, packet: Packet): number {
  const code = nf.matches
  let failing = 0
  for (let at = start, head = code[at]; (head & 0xff) !== M_END; at += (head >> MATCH_LENGTH_SHIFT) & MATCH_LENGTH_MASK, head = code[at]) {
    const op = head & 0xff
    if (op === M_LIMIT || op === M_NTH || op === M_RANDOM || op === M_RECENT || op === M_UNKNOWN) continue
    const said = runMatch(nf, code, at, op, packet)
    if (said !== NOT_MODELLED && (said === MATCHED) === ((head & MATCH_INVERT) !== 0)) failing |= 1 << (head >> MATCH_INDEX_SHIFT)
  }
  return failing
}

/** What a match says when it cannot be asked (a port of a fragment): no, inverted or not. */
function never(head: number): number {
  return (head & MATCH_INVERT) !== 0 ? MATCHED : NO_MATCH
}

function runMatch(nf: Netfilter, code: Int32Array, at: number, op: number, packet: Packet): number {
  switch (op) {
    case M_SRC:
      return (packet.src & code[at + 2]) === code[at + 1] ? MATCHED : NO_MATCH
    case M_DST:
      return (packet.dst & code[at + 2]) === code[at + 1] ? MATCHED : NO_MATCH
    case M_PROTO:
      return packet.proto === code[at + 1] ? MATCHED : NO_MATCH
    case M_DEVICE:
      return nf.devicesMatch(code[at + 1], code[at + 2]) ? MATCHED : NO_MATCH
    case M_FRAGMENT:
      return packet.fragmentOffset !== 0 ? MATCHED : NO_MATCH
    case M_SPORT:
    case M_DPORT:
      if (packet.fragmentOffset !== 0 || packet.proto !== code[at + 3]) return never(code[at])
      return ((op === M_SPORT ? packet.sport : packet.dport) - code[at + 1]) >>> 0 <= code[at + 2] ? MATCHED : NO_MATCH
    case M_TCP_FLAGS:
      if (packet.fragmentOffset !== 0 || packet.proto !== PROTO_TCP) return never(code[at])
      return (packet.tcpFlags & code[at + 1]) === code[at + 2] ? MATCHED : NO_MATCH
    case M_ICMP:
      if (packet.fragmentOffset !== 0 || packet.proto !== PROTO_ICMP) return never(code[at])
      return (code[at + 1] === 255 || packet.sport === code[at + 1]) && (packet.dport - code[at + 2]) >>> 0 <= code[at + 3] ? MATCHED : NO_MATCH
    case M_MULTIPORT:
      return multiport(code, at, packet)
    case M_MARK:
      return (packet.mark & code[at + 2]) === code[at + 1] ? MATCHED : NO_MATCH
    case M_LENGTH:
      return (packet.ipLength - code[at + 1]) >>> 0 <= code[at + 2] ? MATCHED : NO_MATCH
    case M_TTL:
      return ttl(code[at + 1], packet.ttl - code[at + 2])
    case M_PKTTYPE:
      return packet.packetType === code[at + 1] ? MATCHED : NO_MATCH
    case M_IPRANGE: {
      const address = (code[at + 1] === 0 ? packet.src : packet.dst) >>> 0
      return address >= code[at + 2] >>> 0 && address <= code[at + 3] >>> 0 ? MATCHED : NO_MATCH
    }
    case M_DSCP:
      return packet.tos >> 2 === code[at + 1] ? MATCHED : NO_MATCH
    case M_TOS:
      return (packet.tos & code[at + 2]) === code[at + 1] ? MATCHED : NO_MATCH
    case M_MAC:
      if (packet.etherType === 0 || !isArphrdEther(nf.inDevice)) return never(code[at])
      return packet.srcMacHigh === code[at + 1] && packet.srcMacLow === code[at + 2] ? MATCHED : NO_MATCH
    default:
      return runOtherMatch(nf, code, at, op, packet)
  }
}

/** mac_mt: lo's frames have MACs too, and are of another type of device. */
function isArphrdEther(device: Device | null): boolean {
  return device !== null && device.ethernet === 1 && device.kind !== DEVICE_LOOPBACK
}

/** What needs more than the packet's own row. */
function runOtherMatch(nf: Netfilter, code: Int32Array, at: number, op: number, packet: Packet): number {
  switch (op) {
    case M_CONNMARK:
    case M_CT_STATE:
    case M_CT_PROTO:
    case M_CT_ADDRESS:
    case M_CT_PORT:
    case M_CT_STATUS:
    case M_CT_DIRECTION:
      return conntrackMatch(nf, code, at, op, packet)
    case M_ADDRTYPE:
      return addrtype(nf, code, at, packet)
    case M_SET:
      return setMatch(nf, code, at, packet)
    case M_RANDOM:
      return nf.netns.world.chance.matches(code[at + 1] >>> 0, nf.netns.world.prng) === 1 ? MATCHED : NO_MATCH
    case M_NTH:
      return nth(nf, code[at + 1], code[at + 2])
    case M_PHYSDEV:
      return physdev(nf, code, at, packet)
    case M_PHYSDEV_IS:
      if (packet.physIn < 0) return NO_MATCH
      return code[at + 1] === PHYSDEV_IS_IN || packet.physOut >= 0 ? MATCHED : NO_MATCH
    case M_RPFILTER:
      return rpfilter(nf, code[at + 1], packet)
    case M_LIMIT:
      return nf.limits.take(code[at + 1], nf.netns.world.sim.nowNs) ? MATCHED : NO_MATCH
    case M_RECENT:
      return nf.recents.match(code[at + 1], packet, nf.netns.world.sim.nowNs, (code[at] & MATCH_INVERT) !== 0) ? MATCHED : NO_MATCH
    case M_UNKNOWN:
      nf.incompleteWord = code[at + 1]
      return NOT_MODELLED
    default:
      return NO_MATCH
  }
}

function multiport(code: Int32Array, at: number, packet: Packet): number {
  const proto = packet.proto
  if (packet.fragmentOffset !== 0 || (proto !== PROTO_TCP && proto !== PROTO_UDP && proto !== PROTO_SCTP)) return never(code[at])
  const sides = code[at + 1]
  const end = at + 3 + code[at + 2] * 2
  for (let pair = at + 3; pair < end; pair += 2) {
    const first = code[pair]
    const range = code[pair + 1]
    if ((sides & MULTIPORT_SPORTS) !== 0 && (packet.sport - first) >>> 0 <= range) return MATCHED
    if ((sides & MULTIPORT_DPORTS) !== 0 && (packet.dport - first) >>> 0 <= range) return MATCHED
  }
  return NO_MATCH
}

/** 0 eq, 1 ne, 2 lt, 3 gt. */
function ttl(compare: number, difference: number): number {
  switch (compare) {
    case 0:
      return difference === 0 ? MATCHED : NO_MATCH
    case 1:
      return difference !== 0 ? MATCHED : NO_MATCH
    case 2:
      return difference < 0 ? MATCHED : NO_MATCH
    default:
      return difference > 0 ? MATCHED : NO_MATCH
  }
}

/** xt_conntrack, xt_state, xt_connmark. Without an entry only the state can be asked; `code[at + 1]`: 1 when the rule asks it. */
function conntrackMatch(nf: Netfilter, code: Int32Array, at: number, op: number, packet: Packet): number {
  const conntrack = nf.netns.conntrack
  const slot = packet.conntrack
  if (op === M_CT_STATE) {
    let bits: number = slot < 0 && packet.conntrackState !== CT_UNTRACKED ? 1 : STATE_BITS[packet.conntrackState]
    if (slot >= 0 && conntrack !== null && code[at + 2] !== 0) {
      const status = conntrack.rows[slot * ENTRY_STRIDE + E_STATUS]
      if ((status & IPS_SRC_NAT) !== 0) bits |= STATE_SNAT
      if ((status & IPS_DST_NAT) !== 0) bits |= STATE_DNAT
    }
    return (bits & code[at + 1]) !== 0 ? MATCHED : NO_MATCH
  }
  const head = code[at]
  if (slot < 0 || conntrack === null) {
    if (op === M_CONNMARK || code[at + 1] === 0) return never(head)
    return (head & MATCH_INVERT) !== 0 ? NO_MATCH : MATCHED
  }
  const rows = conntrack.rows
  const row = slot * ENTRY_STRIDE
  switch (op) {
    case M_CONNMARK:
      return (rows[row + E_MARK] & code[at + 2]) === code[at + 3] ? MATCHED : NO_MATCH
    case M_CT_PROTO:
      return rows[row + E_PROTO] === code[at + 2] ? MATCHED : NO_MATCH
    case M_CT_ADDRESS:
      return (rows[row + addressField(code[at + 2])] & code[at + 4]) === code[at + 3] ? MATCHED : NO_MATCH
    case M_CT_PORT: {
      const field = code[at + 2]
      const ports = rows[row + (field < 2 ? E_PORTS : E_REPLY_PORTS)]
      const port = (field & 1) === 0 ? ports >>> 16 : ports & 0xffff
      return (port - code[at + 3]) >>> 0 <= code[at + 4] ? MATCHED : NO_MATCH
    }
    case M_CT_STATUS:
      return (rows[row + E_STATUS] & code[at + 2]) !== 0 ? MATCHED : NO_MATCH
    default:
      return isReply(packet.conntrackState) === code[at + 2] ? MATCHED : NO_MATCH
  }
}

function addressField(field: number): number {
  return field === 0 ? E_SRC : field === 1 ? E_DST : field === 2 ? E_REPLY_SRC : E_REPLY_DST
}

function addrtype(nf: Netfilter, code: Int32Array, at: number, packet: Packet): number {
  const flags = code[at + 1]
  const device = (flags & ADDRTYPE_LIMIT_IN) !== 0 ? nf.inDevice : (flags & ADDRTYPE_LIMIT_OUT) !== 0 ? nf.outDevice : null
  const type = inetAddrType(nf.netns, (flags & ADDRTYPE_SRC) !== 0 ? packet.src : packet.dst, device)
  return ((code[at + 2] >>> type) & 1) !== 0 ? MATCHED : NO_MATCH
}

function setMatch(nf: Netfilter, code: Int32Array, at: number, packet: Packet): number {
  const set = nf.sets[code[at + 1]]
  nf.fillSetContext()
  const said = set.test(packet, code[at + 2], code[at + 3], nf.setContext)
  if (said === NOT_MODELLED) nf.incompleteWord = set.word
  return said
}

/** A counter that runs from 0 to every - 1 and matches at 0 (xt_statistic). */
function nth(nf: Netfilter, state: number, last: number): number {
  const value = nf.nthCounters[state]
  const next = value === last ? 0 : value + 1
  nf.nthCounters[state] = next
  return next === 0 ? MATCHED : NO_MATCH
}

/** xt_physdev: a packet that crosses no bridge matches only inverted. */
function physdev(nf: Netfilter, code: Int32Array, at: number, packet: Packet): number {
  const out = code[at + 1] === PHYSDEV_OUT
  if (packet.physIn < 0) return NO_MATCH
  const index = out ? packet.physOut : packet.physIn
  if (index < 0) return never(code[at])
  return nf.deviceMatches(nf.netns.world.devices[index], code[at + 2]) ? MATCHED : NO_MATCH
}

function rpfilter(nf: Netfilter, flags: number, packet: Packet): number {
  const device = nf.inDevice
  if (device === null || device.kind === DEVICE_LOOPBACK) return MATCHED
  if (packet.src >>> 24 === 0 && (packet.dst === -1 || packet.dst >>> 8 === 0xe00000)) return MATCHED
  const validMark = (flags & RPFILTER_VALIDMARK) === 0 ? 0 : 1
  const passes = rpfilterCheck(nf.netns, packet, device, flags & RPFILTER_LOOSE, validMark, (flags & RPFILTER_ACCEPT_LOCAL) === 0 ? 0 : 1)
  return passes === 1 ? MATCHED : NO_MATCH
}
