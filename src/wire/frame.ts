/**
 * From the packet's row to the bytes of a whole frame, all checksums complete, as a packet socket on a device with offloads off sees it.
 * The way back is frame-decode.ts, words for people are in frame-summary.ts.
 *
 *   Packet → Ethernet | IPv4 | UDP, TCP, ICMP, SCTP | VXLAN | payload (bytes, or another Packet)
 */
import { assert } from '../base/assert.js'
import * as arp from './arp.js'
import { read16, write16, write32 } from './bytes.js'
import { fold, pseudoHeaderSum, sumOf } from './checksum.js'
import * as ethernet from './ethernet.js'
import * as icmp from './icmp.js'
import * as ipv4 from './ipv4.js'
import {
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_NONE,
  ipHeaderLength,
  isFragment,
  type Packet,
  PAYLOAD_BYTES,
  PAYLOAD_INNER,
  PAYLOAD_PATTERN,
  PAYLOAD_QUOTE,
  PAYLOAD_RAW,
  PAYLOAD_WIREGUARD,
  PROTO_ICMP,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDP,
  wholeIpPayloadLength,
} from './packet.js'
import * as sctp from './sctp.js'
import * as tcp from './tcp.js'
import * as udp from './udp.js'
import * as vxlan from './vxlan.js'
import * as wireguard from './wireguard.js'

/** Bytes of the IP packet that really are there. */
export function ipBytesLength(packet: Packet): number {
  return packet.truncatedLength === 0 ? packet.ipLength : packet.truncatedLength
}

/** Bytes that a packet socket sees of the packet, its link-layer header (if any) included, without making them. */
export function frameLength(packet: Packet): number {
  switch (packet.etherType) {
    case ETHERTYPE_ARP:
      return ethernet.LENGTH + arp.LENGTH
    case ETHERTYPE_NONE:
      return ipBytesLength(packet)
    default:
      return ethernet.LENGTH + ipBytesLength(packet)
  }
}

const SLAB = 0x10000
let slab = new Uint8Array(SLAB)
let slabUsed = 0

/**
 * A fresh array of that length, cut from a larger one: an ArrayBuffer of its own costs five times as much as encoding the frame. Each byte
 * is handed out once. Who looks at its `.buffer` must mind byteOffset.
 */
function allocate(length: number): Uint8Array {
  if (slabUsed + length > slab.length) {
    if (length > SLAB >>> 2) return new Uint8Array(length)
    slab = new Uint8Array(SLAB)
    slabUsed = 0
  }
  const start = slabUsed
  slabUsed += length
  return slab.subarray(start, start + length)
}

/** The whole frame. @throws InvariantError when the row's lengths contradict each other. */
export function encodeFrame(packet: Packet): Uint8Array {
  const bytes = allocate(frameLength(packet))
  writeFrame(packet, bytes, 0)
  return bytes
}

/** The same without the Ethernet header. */
export function encodeIp(packet: Packet): Uint8Array {
  const bytes = allocate(ipBytesLength(packet))
  writeIp(packet, bytes, 0)
  return bytes
}

/** Writes the frame at `offset`, each of its bytes and none beside; returns how many. */
export function encodeFrameInto(packet: Packet, bytes: Uint8Array, offset: number): number {
  const length = frameLength(packet)
  assert(offset + length <= bytes.length, 'the buffer is too short for the frame')
  writeFrame(packet, bytes, offset)
  return length
}

// Each write… function below returns the one's complement sum of the bytes it wrote. A sum of parts that begin at even places is the sum
// of the whole, so an outer checksum costs no second reading of the payload (Linux does the same: local checksum offload).

function writeFrame(packet: Packet, bytes: Uint8Array, at: number): number {
  if (packet.etherType === ETHERTYPE_NONE) return writeIp(packet, bytes, at)
  ethernet.encode(packet, bytes, at)
  const payloadAt = at + ethernet.LENGTH
  if (packet.etherType === ETHERTYPE_ARP) {
    arp.encode(packet, bytes, payloadAt)
    return sumOf(bytes, at, payloadAt + arp.LENGTH)
  }
  assert(packet.etherType === ETHERTYPE_IPV4, 'a row is IPv4 or ARP')
  return sumOf(bytes, at, payloadAt) + writeIp(packet, bytes, payloadAt)
}

function writeIp(packet: Packet, bytes: Uint8Array, at: number): number {
  const header = ipHeaderLength(packet)
  const there = ipBytesLength(packet)
  assert(there <= packet.ipLength && packet.ipLength >= header && packet.ipLength <= 0xffff, 'IP length, header length and bytes there do not fit')
  if (there >= header) {
    const sum = writeHeader(packet, bytes, at)
    return sum + writeIpPayload(packet, bytes, at + header, there - header)
  }
  const headerBytes = new Uint8Array(header)
  writeHeader(packet, headerBytes, 0)
  bytes.set(headerBytes.subarray(0, there), at)
  return sumOf(headerBytes, 0, there)
}

/** @returns what it sums to: zero (0xffff, the other zero, adds nothing) with a checksum that is right */
function writeHeader(packet: Packet, bytes: Uint8Array, at: number): number {
  ipv4.encode(packet, bytes, at)
  const { headerFault } = packet
  if (headerFault !== 0) write16(bytes, at + ipv4.CHECKSUM_AT, fold(read16(bytes, at + ipv4.CHECKSUM_AT) + headerFault))
  return headerFault
}

/** The first `visible` bytes of what this packet carries of its whole IP payload. */
function writeIpPayload(packet: Packet, bytes: Uint8Array, at: number, visible: number): number {
  const from = packet.fragmentOffset
  if (packet.payloadKind === PAYLOAD_RAW) {
    const raw = packet.payloadBytes
    const start = from - packet.payloadOffset
    assert(raw !== null && start >= 0 && start + visible <= raw.length, 'raw payload bytes do not cover the packet')
    bytes.set(raw.subarray(start, start + visible), at)
    return sumOf(bytes, at, at + visible)
  }
  const whole = wholeIpPayloadLength(packet)
  const carried = packet.ipLength - ipHeaderLength(packet)
  assert(isFragment(packet) ? from + carried <= whole : carried === whole, 'IP length and payload length do not fit')
  if (from === 0 && visible === whole) return writeWholeIpPayload(packet, bytes, at, whole)
  // The checksum, in the first fragment, covers bytes that travel in the others.
  const wholeBytes = new Uint8Array(whole)
  writeWholeIpPayload(packet, wholeBytes, 0, whole)
  bytes.set(wholeBytes.subarray(from, from + visible), at)
  return sumOf(bytes, at, at + visible)
}

function writeWholeIpPayload(packet: Packet, bytes: Uint8Array, at: number, length: number): number {
  switch (packet.proto) {
    case PROTO_UDP:
      return writeUdp(packet, bytes, at, length)
    case PROTO_TCP: {
      tcp.encode(packet, bytes, at)
      const payloadAt = at + length - packet.payloadLength
      const sum = sumOf(bytes, at, payloadAt) + writePayload(packet, bytes, payloadAt)
      const pseudo = pseudoHeaderSum(packet.src, packet.dst, PROTO_TCP, length)
      const checksum = packet.partial === 1 ? fold(pseudo + packet.corrupt) : checksumFor(packet, sum + pseudo)
      write16(bytes, at + tcp.CHECKSUM_AT, checksum)
      return fold(sum + checksum)
    }
    case PROTO_ICMP: {
      icmp.encode(packet, bytes, at)
      const sum = sumOf(bytes, at, at + icmp.LENGTH) + writePayload(packet, bytes, at + icmp.LENGTH)
      const checksum = checksumFor(packet, sum)
      write16(bytes, at + icmp.CHECKSUM_AT, checksum)
      return fold(sum + checksum)
    }
    case PROTO_SCTP: {
      sctp.encode(packet, bytes, at)
      writePayload(packet, bytes, at + sctp.LENGTH)
      const checksum = sctp.crc32c(bytes, at, at + length)
      write32(bytes, at + sctp.CHECKSUM_AT, packet.corrupt === 0 ? checksum : ~checksum)
      return sumOf(bytes, at, at + length)
    }
    default:
      return fold(writePayload(packet, bytes, at))
  }
}

function writeUdp(packet: Packet, bytes: Uint8Array, at: number, length: number): number {
  const { sport, dport } = packet
  udp.encode({ sport, dport, length }, bytes, at)
  let payloadAt = at + udp.LENGTH
  if (packet.vni >= 0) {
    vxlan.encode(packet, bytes, payloadAt)
    payloadAt += vxlan.LENGTH
  }
  const sum = sumOf(bytes, at, payloadAt) + writePayload(packet, bytes, payloadAt)
  // Zero would say that there is no checksum (RFC 768); the other zero of one's complement stands in for it.
  const pseudo = pseudoHeaderSum(packet.src, packet.dst, PROTO_UDP, length)
  const made = packet.partial === 1 ? fold(pseudo + packet.corrupt) : checksumFor(packet, sum + pseudo) || 0xffff
  const checksum = packet.unsummed === 1 ? 0 : made
  write16(bytes, at + udp.CHECKSUM_AT, checksum)
  return fold(sum + checksum)
}

/** The right checksum for a sum, or a wrong one where the packet is corrupt. */
function checksumFor(packet: Packet, sum: number): number {
  const right = ~fold(sum) & 0xffff
  return packet.corrupt === 0 ? right : fold(right + packet.corrupt)
}

function writePayload(packet: Packet, bytes: Uint8Array, at: number): number {
  switch (packet.payloadKind) {
    case PAYLOAD_PATTERN:
      return writePattern(packet.payloadOffset & 255, packet.payloadLength, bytes, at)
    case PAYLOAD_INNER:
      return writeInner(packet, bytes, at)
    case PAYLOAD_QUOTE:
      return writeQuote(packet, bytes, at)
    case PAYLOAD_WIREGUARD:
      wireguard.encodeData(packet.tcpSeq, packet.tcpAck, bytes, at, packet.payloadLength)
      return sumOf(bytes, at, at + packet.payloadLength)
    default: {
      const payload = packet.payloadBytes
      assert(packet.payloadKind === PAYLOAD_BYTES && payload !== null && payload.length === packet.payloadLength, 'payload bytes and payload length differ')
      bytes.set(payload, at)
      return sumOf(payload, 0, payload.length)
    }
  }
}

/** The pattern from any first value on, for the longest IP packet: copying beats counting. */
const PATTERN = new Uint8Array(0x10000 + 0x100)
for (let i = 0; i < PATTERN.length; i++) PATTERN[i] = i

/** PATTERN_SUM[i] sums the words of the pattern that end before i and begin at places as odd or even as i: two running sums, interleaved. */
const PATTERN_SUM = new Int32Array(0x201)
for (let i = 2; i < PATTERN_SUM.length; i++) PATTERN_SUM[i] = PATTERN_SUM[i - 2] + ((PATTERN[i - 2] << 8) | PATTERN[i - 1])

function writePattern(first: number, length: number, bytes: Uint8Array, at: number): number {
  if (length === 0) return 0
  bytes.set(PATTERN.subarray(first, first + length), at)
  const even = length & ~1
  const period = PATTERN_SUM[first + 256] - PATTERN_SUM[first]
  const words = (even >>> 8) * period + PATTERN_SUM[first + (even & 255)] - PATTERN_SUM[first]
  return fold(even === length ? words : words + (((first + even) & 255) << 8))
}

function writeInner(packet: Packet, bytes: Uint8Array, at: number): number {
  const inner = packet.inner
  assert(inner !== null, 'an INNER payload has no inner packet')
  if (packet.vni < 0) {
    assert(ipBytesLength(inner) === packet.payloadLength, 'inner packet and payload length differ')
    return writeIp(inner, bytes, at)
  }
  assert(frameLength(inner) === packet.payloadLength, 'inner frame and payload length differ')
  return writeFrame(inner, bytes, at)
}

function writeQuote(packet: Packet, bytes: Uint8Array, at: number): number {
  const offender = packet.inner
  const length = packet.payloadLength
  assert(offender !== null && length <= ipBytesLength(offender), 'an ICMP error quotes more than there is')
  if (length === ipBytesLength(offender)) return writeIp(offender, bytes, at)
  bytes.set(encodeIp(offender).subarray(0, length), at)
  return sumOf(bytes, at, at + length)
}
