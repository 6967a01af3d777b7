// hot path
/**
 * Address translation: the binding that a connection gets from its first packet, and the rewriting of every packet after it,
 * in both directions and inside ICMP errors (net/netfilter/nf_nat_core.c, nf_nat_proto.c, nf_nat_masquerade.c,
 * nf_nat_redirect.c).
 *
 *   PREROUTING, OUTPUT       destination      a reply's destination there undoes the source translation
 *   INPUT, POSTROUTING       source           a reply's source there undoes the destination translation
 */
import type { Prng } from '../../base/prng.js'
import { fold } from '../../wire/checksum.js'
import { PAYLOAD_RAW, ipHeaderLength, PROTO_ICMP, PROTO_SCTP, PROTO_TCP, PROTO_UDP, type Packet } from '../../wire/packet.js'
import type { Netns } from '../netns.js'
import { STEP_NAT } from '../trace.js'
import { HOOK_INPUT, HOOK_POSTROUTING, NAT_MAP_IPS, NAT_PERSISTENT, NAT_PROTO_SPECIFIED, NAT_RANDOM_ALL, NF_ACCEPT, NF_DROP } from './bytecode.js'
import {
  CT_RELATED,
  CT_RELATED_REPLY,
  E_DST,
  E_MASQUERADE,
  E_PORTS,
  E_PROTO,
  E_REPLY,
  E_REPLY_DST,
  E_REPLY_PORTS,
  E_REPLY_SRC,
  E_STATUS,
  ENTRY_STRIDE,
  invertPorts,
  IPS_CONFIRMED,
  IPS_DST_NAT,
  IPS_DST_NAT_DONE,
  IPS_NAT_MASK,
  IPS_SRC_NAT,
  IPS_SRC_NAT_DONE,
  isReply,
} from './conntrack-tuple.js'
import type { Conntrack } from './conntrack.js'

export const MANIP_SRC = 0
export const MANIP_DST = 1

const ICMP_REDIRECT = 5
/** Ports tried from one starting point before another is drawn. */
const MAX_ATTEMPTS = 128

/** What a NAT target asks for (struct nf_nat_range2); one row, filled anew by each target. */
class NatRange {
  flags = 0
  minAddress = 0
  maxAddress = 0
  minPort = 0
  maxPort = 0
}

/** The range that the target now running asks for. */
export const natRange = new NatRange()

// The tuple being chosen, in the direction of the connection; the kernel keeps it on the stack
let tupleSrc = 0
let tupleDst = 0
let tuplePorts = 0

/** Source or destination, by hook. */
export function manipOf(hook: number): number {
  return hook === HOOK_INPUT || hook === HOOK_POSTROUTING ? MANIP_SRC : MANIP_DST
}

/** nf_nat_initialized: the connection's binding for this side is settled. */
export function natInitialized(conntrack: Conntrack, slot: number, manip: number): boolean {
  return (conntrack.rows[slot * ENTRY_STRIDE + E_STATUS] & (manip === MANIP_SRC ? IPS_SRC_NAT_DONE : IPS_DST_NAT_DONE)) !== 0
}

/** nf_nat_alloc_null_binding: no rule asked for a translation. The source port still moves when another connection has the tuple. */
export function natNullBinding(conntrack: Conntrack, slot: number, manip: number, prng: Prng): void {
  const row = slot * ENTRY_STRIDE
  const address = conntrack.rows[row + (manip === MANIP_SRC ? E_REPLY_DST : E_REPLY_SRC)]
  natRange.flags = NAT_MAP_IPS
  natRange.minAddress = address
  natRange.maxAddress = address
  natSetup(conntrack, slot, manip, prng)
}

/** nf_nat_setup_info: settles one side of the connection's binding by `natRange`. */
export function natSetup(conntrack: Conntrack, slot: number, manip: number, prng: Prng): void {
  const rows = conntrack.rows
  const row = slot * ENTRY_STRIDE
  if ((rows[row + E_STATUS] & IPS_CONFIRMED) !== 0) return
  const proto = rows[row + E_PROTO]
  // what a reply would be answering now: the connection as it leaves, after what was translated so far
  const src = rows[row + E_REPLY_DST]
  const dst = rows[row + E_REPLY_SRC]
  const ports = invertPorts(rows[row + E_REPLY_PORTS], proto)
  tupleSrc = src
  tupleDst = dst
  tuplePorts = ports
  chooseTuple(conntrack, slot, manip, prng)
  if (tupleSrc !== src || tupleDst !== dst || tuplePorts !== ports) {
    rows[row + E_REPLY_SRC] = tupleDst
    rows[row + E_REPLY_DST] = tupleSrc
    rows[row + E_REPLY_PORTS] = invertPorts(tuplePorts, proto)
    rows[row + E_STATUS] |= manip === MANIP_SRC ? IPS_SRC_NAT : IPS_DST_NAT
  }
  if (manip === MANIP_SRC) conntrack.linkBySource(slot)
  rows[row + E_STATUS] |= manip === MANIP_SRC ? IPS_SRC_NAT_DONE : IPS_DST_NAT_DONE
}

/** get_unique_tuple: a tuple in the range that no other connection's reply has, as near to the present one as can be. */
function chooseTuple(conntrack: Conntrack, slot: number, manip: number, prng: Prng): void {
  const proto = conntrack.rows[slot * ENTRY_STRIDE + E_PROTO]
  const range = natRange
  const src = tupleSrc
  const dst = tupleDst
  const ports = tuplePorts
  if (manip === MANIP_SRC && (range.flags & NAT_RANDOM_ALL) === 0) {
    if (sourceInRange(src, ports, proto)) {
      if (!tupleUsed(conntrack, slot, proto)) return
    } else if (findAppropriateSource(conntrack, proto)) {
      if (!tupleUsed(conntrack, slot, proto)) return
      tupleSrc = src
      tuplePorts = ports
    }
  }
  tupleDst = dst
  chooseAddress(manip)
  if ((range.flags & NAT_RANDOM_ALL) === 0) {
    if ((range.flags & NAT_PROTO_SPECIFIED) !== 0) {
      if (portInRange(tuplePorts, manip, proto) && (range.minPort === range.maxPort || !tupleUsed(conntrack, slot, proto))) return
    } else if (!tupleUsed(conntrack, slot, proto)) return
  }
  choosePort(conntrack, slot, manip, prng)
}

function tupleUsed(conntrack: Conntrack, slot: number, proto: number): boolean {
  return conntrack.taken(slot, tupleDst, tupleSrc, invertPorts(tuplePorts, proto), proto)
}

function sourceInRange(src: number, ports: number, proto: number): boolean {
  const range = natRange
  if ((range.flags & NAT_MAP_IPS) !== 0 && (src >>> 0 < range.minAddress >>> 0 || src >>> 0 > range.maxAddress >>> 0)) return false
  return (range.flags & NAT_PROTO_SPECIFIED) === 0 || portInRange(ports, MANIP_SRC, proto)
}

function portInRange(ports: number, manip: number, proto: number): boolean {
  const port = proto === PROTO_ICMP || manip === MANIP_SRC ? ports >>> 16 : ports & 0xffff
  switch (proto) {
    case PROTO_ICMP:
    case PROTO_TCP:
    case PROTO_UDP:
    case PROTO_SCTP:
      return port >= natRange.minPort && port <= natRange.maxPort
    default:
      return true
  }
}

/** find_appropriate_src: another connection from this very source is translated already: take the same address and port. */
function findAppropriateSource(conntrack: Conntrack, proto: number): boolean {
  const rows = conntrack.rows
  const src = tupleSrc
  const sourcePort = tuplePorts >>> 16
  for (let other = conntrack.firstBySource(src, sourcePort, proto); other >= 0; other = conntrack.nextBySource(other)) {
    const row = other * ENTRY_STRIDE
    if (rows[row] !== src || rows[row + E_PORTS] >>> 16 !== sourcePort || rows[row + E_PROTO] !== proto) continue
    const mapped = rows[row + E_REPLY_DST]
    const ports = (invertPorts(rows[row + E_REPLY_PORTS], proto) & 0xffff0000) | (tuplePorts & 0xffff)
    if (!sourceInRange(mapped, ports, proto)) continue
    tupleSrc = mapped
    tuplePorts = ports
    return true
  }
  return false
}

/** find_best_ips_proto: one of several addresses, by a hash of source and destination. */
function chooseAddress(manip: number): void {
  const range = natRange
  if ((range.flags & NAT_MAP_IPS) === 0) return
  let address = range.minAddress
  if (range.minAddress !== range.maxAddress) {
    const distance = (range.maxAddress >>> 0) - (range.minAddress >>> 0) + 1
    const hash = jhashAddress(swapBytes(tupleSrc), (range.flags & NAT_PERSISTENT) !== 0 ? 0 : swapBytes(tupleDst))
    address = (range.minAddress + Math.floor((hash * distance) / 4294967296)) | 0
  }
  if (manip === MANIP_SRC) tupleSrc = address
  else tupleDst = address
}

/** nf_nat_l4proto_unique_tuple: a free port (ICMP: id) of the range, or of the class that the port is in. */
function choosePort(conntrack: Conntrack, slot: number, manip: number, prng: Prng): void {
  const proto = conntrack.rows[slot * ENTRY_STRIDE + E_PROTO]
  const range = natRange
  const icmp = proto === PROTO_ICMP
  if (!icmp && proto !== PROTO_UDP && proto !== PROTO_TCP && proto !== PROTO_SCTP) return
  const high = icmp || manip === MANIP_SRC
  let min: number
  let size: number
  if ((range.flags & NAT_PROTO_SPECIFIED) !== 0) {
    min = range.minPort
    size = range.maxPort - range.minPort + 1
  } else if (icmp) {
    min = 0
    size = 65_536
  } else {
    if (manip === MANIP_DST) return
    const port = tuplePorts >>> 16
    min = port < 512 ? 1 : port < 1024 ? 600 : 1024
    size = port < 512 ? 511 : port < 1024 ? 424 : 64_512
  }
  const drawn = (range.flags & NAT_RANDOM_ALL) !== 0 || manip !== MANIP_DST
  let offset = drawn ? prng.below(65_536) : 0
  let attempts = size < MAX_ATTEMPTS ? size : MAX_ATTEMPTS
  for (;;) {
    for (let i = 0; i < attempts; i++, offset++) {
      const port = min + ((offset & 0xffff) % size)
      tuplePorts = high ? (tuplePorts & 0xffff) | (port << 16) : (tuplePorts & 0xffff0000) | port
      if (tupleUsed(conntrack, slot, proto)) continue
      if (drawn && size > 1 && !icmp) conntrack.drawnPorts.push(port)
      return
    }
    if (attempts >= size || attempts < 16) return
    attempts = attempts >> 1
    offset = prng.below(65_536)
  }
}

const PROTO_GRE = 47
const GRE_HEADER_LEAST = 8

/** nf_nat_packet, nf_nat_icmp_reply_translation: rewrites the packet as its connection's binding says. @returns a verdict */
export function natPacket(netns: Netns, conntrack: Conntrack, packet: Packet, manip: number): number {
  const row = packet.conntrack * ENTRY_STRIDE
  const status = conntrack.rows[row + E_STATUS]
  const state = packet.conntrackState
  const direction = isReply(state)
  let bit = manip === MANIP_SRC ? IPS_SRC_NAT : IPS_DST_NAT
  if (direction === 1) bit ^= IPS_NAT_MASK
  const error = (state === CT_RELATED || state === CT_RELATED_REPLY) && packet.proto === PROTO_ICMP
  if (error && packet.sport === ICMP_REDIRECT) {
    // a redirect about a translated connection would name the wrong addresses
    if ((status & (IPS_SRC_NAT_DONE | IPS_DST_NAT_DONE)) !== (IPS_SRC_NAT_DONE | IPS_DST_NAT_DONE) || (status & IPS_NAT_MASK) !== 0) return NF_DROP
  }
  if ((status & bit) === 0) return NF_ACCEPT
  // gre_manip_pkt: without so much of a header there is nothing to translate, and the packet is lost
  if (packet.proto === PROTO_GRE && packet.ipLength - ipHeaderLength(packet) < GRE_HEADER_LEAST) return NF_DROP
  if (error) manipError(netns, conntrack, packet, manip, direction)
  else manipPacket(netns, conntrack, packet, manip, direction)
  return NF_ACCEPT
}

/** nf_nat_manip_pkt: the packet is to look like the inverse of what comes the other way. */
function manipPacket(netns: Netns, conntrack: Conntrack, packet: Packet, manip: number, direction: number): void {
  const rows = conntrack.rows
  const row = packet.conntrack * ENTRY_STRIDE
  const other = row + (1 - direction) * E_REPLY
  const ports = invertPorts(rows[other + E_PORTS], packet.proto)
  const oldPort = manipulatedPort(packet, manip)
  let oldAddress: number
  let newAddress: number
  if (manip === MANIP_SRC) {
    oldAddress = packet.src
    newAddress = rows[other + E_DST]
    packet.src = newAddress
  } else {
    oldAddress = packet.dst
    newAddress = rows[other]
    packet.dst = newAddress
  }
  setPort(packet, manip, ports)
  if (packet.payloadKind === PAYLOAD_RAW) rewriteRaw(packet, difference(newAddress, oldAddress))
  note(netns, packet, manip, oldAddress, newAddress, oldPort)
}

/** The packet that an ICMP error quotes goes the other way, so the other side of it is rewritten. */
function manipError(netns: Netns, conntrack: Conntrack, packet: Packet, manip: number, direction: number): void {
  const rows = conntrack.rows
  const other = packet.conntrack * ENTRY_STRIDE + (1 - direction) * E_REPLY
  const quoted = packet.inner
  if (quoted !== null) {
    const { src, dst, sport, dport } = quoted
    if (manip === MANIP_SRC) quoted.dst = rows[other + E_DST]
    else quoted.src = rows[other]
    setPort(quoted, 1 - manip, rows[other + E_PORTS])
    if (quoted.payloadKind === PAYLOAD_RAW) rewriteRaw(quoted, difference(quoted.src, src) + difference(quoted.dst, dst))
    if (quoted.partial === 1) shiftPartial(quoted, difference(src, quoted.src) + difference(dst, quoted.dst), sport - quoted.sport + dport - quoted.dport)
  }
  const oldAddress = manip === MANIP_SRC ? packet.src : packet.dst
  const newAddress = manip === MANIP_SRC ? rows[other + E_DST] : rows[other]
  if (manip === MANIP_SRC) packet.src = newAddress
  else packet.dst = newAddress
  note(netns, packet, manip, oldAddress, newAddress, 0)
}

/** Where the checksum stands, and from where on the header has one that is known to be whole (tcp_manip_pkt leaves that of a cut one alone). */
const TCP_CHECKSUM = 16
const TCP_HEADER = 20
const UDP_CHECKSUM = 6
const ICMP_CHECKSUM = 2
const ICMP_ID = 4
const L4_LEAST = 8

/**
 * Cold. Of an L4 header that a row cannot say, or that a quotation cut short, the bytes themselves: ports or identifier, and the checksum as
 * much wrong as it was (tcp_manip_pkt, __udp_manip_pkt, icmp_manip_pkt). `addresses`: by how much their halves have grown.
 */
function rewriteRaw(packet: Packet, addresses: number): void {
  const { proto, payloadBytes, payloadOffset } = packet
  if (payloadBytes === null || payloadOffset !== 0 || payloadBytes.length < L4_LEAST) return
  const bytes = payloadBytes.slice()
  const view = new DataView(bytes.buffer)
  const isIcmp = proto === PROTO_ICMP
  const before = isIcmp ? view.getUint16(ICMP_ID) : view.getUint16(0) + view.getUint16(2)
  if (isIcmp) view.setUint16(ICMP_ID, packet.icmpId)
  else if (proto === PROTO_TCP || proto === PROTO_UDP || proto === PROTO_SCTP) view.setUint32(0, ((packet.sport << 16) | packet.dport) >>> 0)
  const after = isIcmp ? packet.icmpId : view.getUint16(0) + view.getUint16(2)
  const at = isIcmp ? ICMP_CHECKSUM : proto === PROTO_UDP ? UDP_CHECKSUM : proto === PROTO_TCP && bytes.length >= TCP_HEADER ? TCP_CHECKSUM : -1
  // RFC 768: zero is no checksum
  if (at >= 0 && (proto !== PROTO_UDP || view.getUint16(at) !== 0)) {
    const grown = (((after - before + (isIcmp ? 0 : addresses)) % 0xffff) + 0xffff) % 0xffff
    const sum = ~fold((~view.getUint16(at) & 0xffff) + grown) & 0xffff
    view.setUint16(at, proto === PROTO_UDP && sum === 0 ? 0xffff : sum)
  }
  packet.payloadBytes = bytes
}

/** Of the sums of two addresses' halves. */
function difference(before: number, after: number): number {
  return (before >>> 16) + (before & 0xffff) - (after >>> 16) - (after & 0xffff)
}

/**
 * inet_proto_csum_replace4 knows a checksum that is not made yet by its packet, and a quotation's packet is the ICMP error: what is a sum
 * of the pseudo header is taken for the complement of a whole one, and goes the wrong way.
 */
function shiftPartial(quoted: Packet, addresses: number, ports: number): void {
  const shift = (quoted.corrupt + 2 * addresses + ports) % 0xffff
  quoted.corrupt = shift < 0 ? shift + 0xffff : shift
}

function manipulatedPort(packet: Packet, manip: number): number {
  switch (packet.proto) {
    case PROTO_TCP:
    case PROTO_UDP:
    case PROTO_SCTP:
      return manip === MANIP_SRC ? packet.sport : packet.dport
    case PROTO_ICMP:
      return packet.icmpId
    default:
      return 0
  }
}

function setPort(packet: Packet, manip: number, ports: number): void {
  switch (packet.proto) {
    case PROTO_TCP:
    case PROTO_UDP:
    case PROTO_SCTP:
      if (manip === MANIP_SRC) packet.sport = ports >>> 16
      else packet.dport = ports & 0xffff
      return
    case PROTO_ICMP:
      // only queries have an id; errors and router messages do not
      if (packet.sport === 8 || packet.sport === 0 || (packet.sport >= 13 && packet.sport <= 18)) packet.icmpId = ports >>> 16
  }
}

function note(netns: Netns, packet: Packet, manip: number, oldAddress: number, newAddress: number, oldPort: number): void {
  const trace = netns.world.trace
  if (trace.on === 0) return
  const newPort = oldPort === 0 ? 0 : manipulatedPort(packet, manip)
  if (oldAddress !== newAddress || oldPort !== newPort) trace.note(STEP_NAT, 0, netns, packet, manip, oldAddress, newAddress, oldPort, newPort)
}

/** nf_nat_oif_changed: a masqueraded connection whose packets now leave by another device is forgotten. */
export function masqueradeDeviceChanged(conntrack: Conntrack, packet: Packet, outDevice: number): boolean {
  const device = conntrack.rows[packet.conntrack * ENTRY_STRIDE + E_MASQUERADE]
  return device !== 0 && device !== outDevice + 1 && isReply(packet.conntrackState) === 0
}

/** The address as a little-endian machine reads it in memory: the kernel hashes that. */
function swapBytes(value: number): number {
  return (value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)
}

function rotate(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by))
}

/** jhash2 (Bob Jenkins' lookup3, hashword) of an IPv4 address in a union of four words, the other three 0; unsigned. */
function jhashAddress(address: number, initial: number): number {
  let a = (0xdeadbeef + 16 + initial) | 0
  let b = a
  let c = a
  a = (a + address) | 0
  a = ((a - c) | 0) ^ rotate(c, 4)
  c = (c + b) | 0
  b = ((b - a) | 0) ^ rotate(a, 6)
  a = (a + c) | 0
  c = ((c - b) | 0) ^ rotate(b, 8)
  b = (b + a) | 0
  a = ((a - c) | 0) ^ rotate(c, 16)
  c = (c + b) | 0
  b = ((b - a) | 0) ^ rotate(a, 19)
  a = (a + c) | 0
  c = ((c - b) | 0) ^ rotate(b, 4)
  b = (b + a) | 0
  c = ((c ^ b) - rotate(b, 14)) | 0
  a = ((a ^ c) - rotate(c, 11)) | 0
  b = ((b ^ a) - rotate(a, 25)) | 0
  c = ((c ^ b) - rotate(b, 16)) | 0
  a = ((a ^ c) - rotate(c, 4)) | 0
  b = ((b ^ a) - rotate(a, 14)) | 0
  c = ((c ^ b) - rotate(b, 24)) | 0
  return c >>> 0
}
