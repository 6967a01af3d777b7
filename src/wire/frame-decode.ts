/**
 * From the bytes of a frame back to the packet's row: for whoever reads recordings or a capture. What a row can say, it says; the rest it
 * keeps as bytes, so that frame.ts gives back the very bytes that were read. Every reading is proved by encoding it again: a payload or
 * header that comes out otherwise is kept as PAYLOAD_BYTES or PAYLOAD_RAW. Input may be hostile: any bytes give a row or a named error.
 */
import * as arp from './arp.js'
import { read16 } from './bytes.js'
import { fold } from './checksum.js'
import * as ethernet from './ethernet.js'
import { encodeIp, frameLength, ipBytesLength } from './frame.js'
import * as icmp from './icmp.js'
import * as ipv4 from './ipv4.js'
import {
  BLANK,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ipHeaderLength,
  isFragment,
  Packet,
  PAYLOAD_BYTES,
  PAYLOAD_INNER,
  PAYLOAD_PATTERN,
  PAYLOAD_QUOTE,
  PAYLOAD_RAW,
  PROTO_ICMP,
  PROTO_IPIP,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDP,
} from './packet.js'
import * as sctp from './sctp.js'
import * as tcp from './tcp.js'
import * as udp from './udp.js'
import * as vxlan from './vxlan.js'

export interface FrameOptions {
  /** `none`: the bytes begin with the IP header (TUN, IPIP, WireGuard devices: link/none). */
  readonly link: 'ethernet' | 'none'
}

type FrameError = ethernet.DecodeError | arp.DecodeError | ipv4.DecodeError | 'ipv4-checksum' | 'ethertype-not-modelled'

/** flannel's udp backend wraps a bare IP packet between these ports. */
export const PORT_FLANNEL_UDP = 8285

/** Packets within packets that are still taken apart; what lies deeper stays bytes. */
const DEEPEST = 6

/**
 * Fills `into`, resetting everything it held; on an error it is blank.
 * Bytes after the packet (Ethernet pads to 60) are not part of it; bytes missing at its end give truncatedLength.
 */
export function decodeFrame(bytes: Uint8Array, options: FrameOptions, into: Packet): 'ok' | FrameError {
  const outcome = readFrame(bytes, options.link, into, 0)
  if (outcome !== 'ok') into.copyFrom(BLANK)
  return outcome
}

function readFrame(bytes: Uint8Array, link: FrameOptions['link'], into: Packet, depth: number): 'ok' | FrameError {
  into.copyFrom(BLANK)
  if (link === 'none') return readIp(bytes, into, depth)
  const header = ethernet.decode(bytes, 0)
  if (typeof header === 'string') return header
  Object.assign(into, header)
  switch (header.etherType) {
    case ETHERTYPE_IPV4:
      return readIp(bytes.subarray(ethernet.LENGTH), into, depth)
    case ETHERTYPE_ARP: {
      const fields = arp.decode(bytes, ethernet.LENGTH)
      if (typeof fields === 'string') return fields
      Object.assign(into, fields)
      return 'ok'
    }
    default:
      return 'ethertype-not-modelled'
  }
}

function readIp(bytes: Uint8Array, into: Packet, depth: number): 'ok' | FrameError {
  const header = ipv4.decode(bytes, 0)
  if (typeof header === 'string') return header
  if (header.checksum !== ipv4.headerChecksum(bytes, 0, header.headerLength)) return 'ipv4-checksum'
  const { checksum, headerLength, ...fields } = header
  Object.assign(into, fields)
  if (bytes.length < header.ipLength) into.truncatedLength = bytes.length
  const there = bytes.subarray(0, ipBytesLength(into))
  const payload = there.subarray(headerLength)
  if (into.fragmentOffset !== 0 || !readL4(payload, header.ipLength - headerLength, into, depth) || !provesRight(into, there)) keepRaw(payload, into)
  return 'ok'
}

/** Encodes the row and compares; then takes the checksum for wrong by as much as it differs. */
function provesRight(row: Packet, there: Uint8Array): boolean {
  const right = encodeIp(row)
  if (sameBytes(right, there)) return true
  row.corrupt = checksumFault(row, right, there)
  return row.corrupt !== 0 && sameBytes(encodeIp(row), there)
}

const CHECKSUM_AT: Readonly<Record<number, number>> = { [PROTO_ICMP]: icmp.CHECKSUM_AT, [PROTO_TCP]: tcp.CHECKSUM_AT, [PROTO_UDP]: udp.CHECKSUM_AT }

/** One's complement difference of the checksums; 0: none, or not there. */
function checksumFault(row: Packet, right: Uint8Array, there: Uint8Array): number {
  if (row.proto === PROTO_SCTP) return 1
  const at = ipHeaderLength(row) + (CHECKSUM_AT[row.proto] ?? there.length)
  if (at + 2 > there.length) return 0
  const fault = fold(read16(there, at) + (~read16(right, at) & 0xffff))
  return fault === 0xffff ? 0 : fault
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** The IP payload as it stands. What was read of the L4 header stays, for people and for conntrack. */
function keepRaw(payload: Uint8Array, row: Packet): void {
  row.payloadKind = PAYLOAD_RAW
  row.payloadBytes = payload.slice()
  row.payloadOffset = row.fragmentOffset
  row.payloadLength = row.fragmentOffset + payload.length
  row.inner = null
  row.vni = -1
  row.gbp = -1
  row.corrupt = 0
}

/**
 * Reads the L4 header and what follows; false when a row cannot say it. `carried` is the length of the IP payload of this packet, of which
 * `payload` may be but the beginning. Where bytes are missing, a length in the header and the pattern may still say what the whole was.
 */
function readL4(payload: Uint8Array, carried: number, row: Packet, depth: number): boolean {
  const header = readL4Header(payload, row)
  if (header === undefined) return false
  const whole = isFragment(row) ? header.wholeLength : carried
  if (whole === undefined || whole < header.length || whole < carried) return false
  row.payloadLength = whole - header.length
  return readPayload(payload.subarray(header.length), row, depth)
}

interface L4Header {
  readonly length: number
  /** What the header says about the length of the whole IP payload, where it does. */
  readonly wholeLength?: number
}

function readL4Header(payload: Uint8Array, row: Packet): L4Header | undefined {
  switch (row.proto) {
    case PROTO_UDP: {
      const fields = udp.decode(payload, 0)
      if (typeof fields === 'string') return undefined
      row.sport = fields.sport
      row.dport = fields.dport
      return { length: udp.LENGTH, wholeLength: fields.length }
    }
    case PROTO_TCP: {
      const fields = tcp.decode(payload, 0)
      if (typeof fields === 'string') return readPorts(payload, row)
      const { checksum, headerLength, urgentPointer, optionList, representable, ...ofRow } = fields
      Object.assign(row, ofRow)
      return representable ? { length: headerLength } : undefined
    }
    case PROTO_ICMP: {
      const fields = icmp.decode(payload, 0)
      if (typeof fields === 'string') return undefined
      const { checksum, ...ofRow } = fields
      Object.assign(row, ofRow)
      return { length: icmp.LENGTH }
    }
    case PROTO_SCTP: {
      const fields = sctp.decode(payload, 0)
      if (typeof fields === 'string') return readPorts(payload, row)
      row.sport = fields.sport
      row.dport = fields.dport
      return { length: sctp.LENGTH }
    }
    default:
      return { length: 0 }
  }
}

/** Of a header cut short (a quotation holds 8 bytes of it) conntrack still reads the ports (nf_ct_get_tuple); the bytes stay as they are. */
function readPorts(payload: Uint8Array, row: Packet): undefined {
  if (payload.length < 8) return undefined
  row.sport = read16(payload, 0)
  row.dport = read16(payload, 2)
  return undefined
}

/** Finds the payload's kind; row.payloadLength is already that of the whole. */
function readPayload(rest: Uint8Array, row: Packet, depth: number): boolean {
  const complete = rest.length === row.payloadLength
  if (complete && depth < DEEPEST) {
    if (row.proto === PROTO_UDP && isVxlanPort(row.dport) && readVxlan(rest, row, depth)) return true
    const bareIp = row.proto === PROTO_IPIP || (row.proto === PROTO_UDP && row.sport === PORT_FLANNEL_UDP && row.dport === PORT_FLANNEL_UDP)
    if (bareIp && readInner(rest, 'none', row, depth)) return true
    if (row.proto === PROTO_ICMP && icmp.isError(row.sport) && readQuote(rest, row, depth)) return true
  }
  if (isPattern(rest)) {
    row.payloadKind = PAYLOAD_PATTERN
    row.payloadOffset = rest.length === 0 ? 0 : rest[0]
    return true
  }
  if (complete) keepBytes(rest, row)
  return complete
}

function isVxlanPort(port: number): boolean {
  return port === vxlan.PORT_LINUX || port === vxlan.PORT_IANA
}

function isPattern(bytes: Uint8Array): boolean {
  for (let i = 1; i < bytes.length; i++) if (bytes[i] !== ((bytes[0] + i) & 255)) return false
  return true
}

function keepBytes(rest: Uint8Array, row: Packet): void {
  row.payloadKind = PAYLOAD_BYTES
  row.payloadBytes = rest.slice()
}

/** An inner frame that is no whole IPv4 or ARP frame (IPv6, say) stays bytes behind its VXLAN header. */
function readVxlan(rest: Uint8Array, row: Packet, depth: number): boolean {
  const header = vxlan.decode(rest, 0)
  if (typeof header === 'string') return false
  row.vni = header.vni
  row.gbp = header.gbp
  row.payloadLength -= vxlan.LENGTH
  const frame = rest.subarray(vxlan.LENGTH)
  if (!readInner(frame, 'ethernet', row, depth)) keepBytes(frame, row)
  return true
}

function readInner(bytes: Uint8Array, link: FrameOptions['link'], row: Packet, depth: number): boolean {
  const inner = new Packet()
  if (readFrame(bytes, link, inner, depth + 1) !== 'ok' || frameLength(inner) !== bytes.length) return false
  row.payloadKind = PAYLOAD_INNER
  row.inner = inner
  return true
}

/** The offender is whole in the row where the quoted part and the pattern tell what it was, else cut to what was quoted. */
function readQuote(rest: Uint8Array, row: Packet, depth: number): boolean {
  const offender = new Packet()
  if (readFrame(rest, 'none', offender, depth + 1) !== 'ok' || ipBytesLength(offender) !== rest.length) return false
  if (offender.payloadKind !== PAYLOAD_RAW) offender.truncatedLength = 0
  row.payloadKind = PAYLOAD_QUOTE
  row.inner = offender
  return true
}
