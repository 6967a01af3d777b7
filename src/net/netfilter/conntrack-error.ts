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
/** Up to the call id of PPTP's header. */
const GRE_LEAST = 8
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

/** gre_pkt_to_tuple: of the version that PPTP uses only PPP has a tuple; version 0, and what is too short, is tracked as a protocol without ports. */
function isStrangeGre(packet: Packet): number {
  if (packet.ipLength - ipHeaderLength(packet) < GRE_LEAST || packet.fragmentOffset !== 0) return 0
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

/** Types of chunks (enum sctp_cid). */
const CHUNK_INIT = 1
const CHUNK_INIT_ACK = 2
const CHUNK_HEARTBEAT = 4
const CHUNK_HEARTBEAT_ACK = 5
const CHUNK_SHUTDOWN = 7
const CHUNK_SHUTDOWN_ACK = 8
const CHUNK_ERROR = 9
const CHUNK_COOKIE_ECHO = 10
/** sctp_new_state has a state for them, and they may come out of the blue (RFC 9260 8.4): not DATA and SACK, not ABORT, COOKIE ACK, SHUTDOWN COMPLETE. */
const NOT_TAGGED: readonly number[] = [CHUNK_INIT, CHUNK_COOKIE_ECHO]
const ANY_TAG: readonly number[] = [CHUNK_HEARTBEAT, CHUNK_HEARTBEAT_ACK, CHUNK_SHUTDOWN_ACK]
const BEGINNINGS: readonly number[] = [...NOT_TAGGED, ...ANY_TAG, CHUNK_INIT_ACK, CHUNK_SHUTDOWN, CHUNK_ERROR]
/** struct sctp_inithdr: the tag, window, streams and first number of an INIT or INIT ACK. */
const INIT_HEADER = 16

/**
 * Cold. The CRC, then the chunks as do_basic_checks, sctp_new and nf_conntrack_sctp_packet have them: what a connection cannot begin with is
 * INVALID, and so is a tag on what nobody has been told a tag for.
 */
function sctpError(bytes: Uint8Array, summed: number): number {
  if (bytes.length < SCTP_LENGTH) return 1
  if (summed === 1) {
    const zeroed = bytes.slice()
    zeroed.fill(0, SCTP_CHECKSUM_AT, SCTP_CHECKSUM_AT + 4)
    const view = new DataView(bytes.buffer, bytes.byteOffset)
    if (view.getInt32(SCTP_CHECKSUM_AT) !== crc32c(zeroed, 0, zeroed.length)) return 1
  }
  if (bytes.length < SCTP_LENGTH + 4) return 1
  const tagged = bytes.subarray(4, 8).some((byte) => byte !== 0)
  let [alone, anyTag] = [false, false]
  for (let at = SCTP_LENGTH; at + 4 <= bytes.length;) {
    const type = bytes[at]
    const length = (bytes[at + 2] << 8) | bytes[at + 3]
    const isInit = type === CHUNK_INIT || type === CHUNK_INIT_ACK
    if (length === 0 || !BEGINNINGS.includes(type) || (tagged && NOT_TAGGED.includes(type))) return 1
    if (at > SCTP_LENGTH && (alone || isInit || type === CHUNK_COOKIE_ECHO)) return 1
    if (isInit && at + 4 + INIT_HEADER > bytes.length) return 1
    alone ||= isInit
    anyTag ||= ANY_TAG.includes(type)
    at += (length + 3) & ~3
  }
  return tagged && !anyTag ? 1 : 0
}
