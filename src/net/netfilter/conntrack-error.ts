// hot path
/**
 * Packets that no protocol's part of connection tracking will hear of: cut short, with a wrong checksum, with flags that make no sense. They
 * are INVALID. Source: icmp_error (nf_conntrack_icmpv4_error), tcp_error, udp_error, sctp_error and sctp_new of
 * net/netfilter/nf_conntrack_proto_{icmp,tcp,udp,sctp}.c.
 */
import { pseudoHeaderSum, sumOf } from '../../wire/checksum.js'
import {
  ipHeaderLength,
  PAYLOAD_PATTERN,
  PAYLOAD_RAW,
  PROTO_ICMP,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDP,
  TCP_ACK,
  TCP_FIN,
  TCP_RST,
  TCP_SYN,
  type Packet,
} from '../../wire/packet.js'
import { CHECKSUM_AT as SCTP_CHECKSUM_AT, crc32c, LENGTH as SCTP_LENGTH } from '../../wire/sctp.js'

/** NR_ICMP_TYPES: what lies above is a mystery (RFC 1122 3.2.2). */
const HIGHEST_ICMP_TYPE = 18
const TCP_URG = 0x20
const PROTO_GRE = 47
const GRE_HEADER = 4
const GRE_VERSION_PPTP = 1
const GRE_PROTOCOL_PPP = 0x880b
/** Of the flags that are looked at: PSH, ECE and CWR may always stand beside. */
const TCP_FLAGS_JUDGED = TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK | TCP_URG

/** 1: the combination of flags is one of tcp_valid_flags. */
function validFlags(flags: number): number {
  switch (flags & TCP_FLAGS_JUDGED) {
    case TCP_SYN:
    case TCP_SYN | TCP_URG:
    case TCP_SYN | TCP_ACK:
    case TCP_RST:
    case TCP_RST | TCP_ACK:
    case TCP_FIN | TCP_ACK:
    case TCP_FIN | TCP_ACK | TCP_URG:
    case TCP_ACK:
    case TCP_ACK | TCP_URG:
      return 1
    default:
      return 0
  }
}

/** @param summed 1: checksums are looked at (nf_conntrack_checksum, and only in PREROUTING). @returns 1 for a packet that is INVALID */
export function conntrackError(packet: Packet, summed: number): number {
  const { proto } = packet
  if (proto === PROTO_GRE) return isStrangeGre(packet)
  if (proto !== PROTO_TCP && proto !== PROTO_UDP && proto !== PROTO_ICMP && proto !== PROTO_SCTP) return 0
  if (packet.payloadKind === PAYLOAD_RAW) return rawError(packet, summed)
  if (summed === 1 && packet.corrupt !== 0) return 1
  if (proto === PROTO_TCP) return 1 - validFlags(packet.tcpFlags)
  return proto === PROTO_ICMP && packet.sport > HIGHEST_ICMP_TYPE ? 1 : 0
}

/** gre_pkt_to_tuple: of the version that PPTP uses only PPP has a tuple; version 0 is tracked as a protocol without ports. */
function isStrangeGre(packet: Packet): number {
  if (packet.ipLength - ipHeaderLength(packet) < GRE_HEADER || packet.fragmentOffset !== 0) return 0
  return (payloadByte(packet, 1) & 7) === GRE_VERSION_PPTP && ((payloadByte(packet, 2) << 8) | payloadByte(packet, 3)) !== GRE_PROTOCOL_PPP ? 1 : 0
}

function payloadByte({ payloadKind, payloadOffset, payloadBytes }: Packet, index: number): number {
  if (payloadKind === PAYLOAD_PATTERN || payloadBytes === null) return (payloadOffset + index) & 255
  return index < payloadBytes.length ? payloadBytes[index] : 0
}

/** Cold. An L4 packet that a row cannot say is judged by its bytes. */
function rawError(packet: Packet, summed: number): number {
  const bytes = packet.payloadBytes
  if (bytes === null || packet.payloadOffset !== 0) return 0
  switch (packet.proto) {
    case PROTO_TCP: {
      if (bytes.length < 20 || bytes[12] >> 4 < 5 || (bytes[12] >> 4) * 4 > bytes.length) return 1
      return wrongSum(packet, bytes, summed) === 1 || validFlags(bytes[13]) === 0 ? 1 : 0
    }
    case PROTO_UDP: {
      if (bytes.length < 8) return 1
      const length = (bytes[4] << 8) | bytes[5]
      if (length < 8 || length > bytes.length) return 1
      return bytes[6] === 0 && bytes[7] === 0 ? 0 : wrongSum(packet, bytes, summed)
    }
    case PROTO_ICMP:
      return bytes.length < 8 || bytes[0] > HIGHEST_ICMP_TYPE || (summed === 1 && sumOf(bytes, 0, bytes.length) !== 0xffff) ? 1 : 0
    default:
      return sctpError(bytes, summed)
  }
}

function wrongSum(packet: Packet, bytes: Uint8Array, summed: number): number {
  if (summed === 0) return 0
  const sum = sumOf(bytes, 0, bytes.length) + pseudoHeaderSum(packet.src, packet.dst, packet.proto, bytes.length)
  return sum === 0xffff || sum === 0x1fffe ? 0 : 1
}

const CHUNK_DATA = 0
const CHUNK_SACK = 3
const CHUNK_ABORT = 6
const CHUNK_HIGHEST = 14

/** Cold. The CRC, then the chunks as do_basic_checks and sctp_new have them: what a connection cannot begin with is INVALID. */
function sctpError(bytes: Uint8Array, summed: number): number {
  if (bytes.length < SCTP_LENGTH) return 1
  if (summed === 1) {
    const zeroed = bytes.slice()
    zeroed.fill(0, SCTP_CHECKSUM_AT, SCTP_CHECKSUM_AT + 4)
    const view = new DataView(bytes.buffer, bytes.byteOffset)
    if (view.getInt32(SCTP_CHECKSUM_AT) !== crc32c(zeroed, 0, zeroed.length)) return 1
  }
  if (bytes.length < SCTP_LENGTH + 4) return 1
  for (let at = SCTP_LENGTH; at + 4 <= bytes.length;) {
    const type = bytes[at]
    const length = (bytes[at + 2] << 8) | bytes[at + 3]
    if (length === 0 || type === CHUNK_DATA || type === CHUNK_SACK || type === CHUNK_ABORT || type > CHUNK_HIGHEST) return 1
    at += (length + 3) & ~3
  }
  return 0
}
