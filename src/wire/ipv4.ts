/**
 * The IPv4 header (RFC 791 §3.1) with its options as they stand. The checksum covers this header alone, so encode completes it.
 *
 *   0 version+ihl | 1 tos | 2 total length(2) | 4 id(2) | 6 flags+offset(2) | 8 ttl | 9 proto | 10 checksum(2) | 12 src(4) | 16 dst(4) | 20 options
 */
import { formatIp } from '../base/ip.js'
import { hexWord, read16, read32, write16, write32 } from './bytes.js'
import { checksumOf, fold, sumOf } from './checksum.js'
import { IPV4_HEADER, PROTO_ICMP, PROTO_IPIP, PROTO_SCTP, PROTO_TCP, PROTO_UDP, type Packet } from './packet.js'

/** Without options. */
export const LENGTH = IPV4_HEADER
export const CHECKSUM_AT = 10

type Row = 'src' | 'dst' | 'proto' | 'tos' | 'ttl' | 'ipId' | 'dontFragment' | 'moreFragments' | 'fragmentOffset' | 'ipLength' | 'ipOptions'

export interface Fields extends Readonly<Pick<Packet, Row>> {}

export interface Decoded extends Fields {
  /** As found; whether it is right is for the caller to compare with headerChecksum(). */
  readonly checksum: number
  /** Options included. */
  readonly headerLength: number
}

export type DecodeError = 'ipv4-truncated' | 'ipv4-version' | 'ipv4-header-length' | 'ipv4-total-length' | 'ipv4-reserved-flag'

const FLAG_RESERVED = 0x8000
const FLAG_DF = 0x4000
const FLAG_MF = 0x2000

/** Only the header must be there; a packet whose ipLength runs past the bytes was cut short on the way, and that is the caller's to judge. */
export function decode(bytes: Uint8Array, offset: number): Decoded | DecodeError {
  const available = bytes.length - offset
  if (available < 1) return 'ipv4-truncated'
  if (bytes[offset] >>> 4 !== 4) return 'ipv4-version'
  const headerLength = (bytes[offset] & 15) * 4
  if (headerLength < LENGTH) return 'ipv4-header-length'
  if (available < headerLength) return 'ipv4-truncated'
  const ipLength = read16(bytes, offset + 2)
  if (ipLength < headerLength) return 'ipv4-total-length'
  const fragment = read16(bytes, offset + 6)
  if ((fragment & FLAG_RESERVED) !== 0) return 'ipv4-reserved-flag'
  return {
    src: read32(bytes, offset + 12),
    dst: read32(bytes, offset + 16),
    proto: bytes[offset + 9],
    tos: bytes[offset + 1],
    ttl: bytes[offset + 8],
    ipId: read16(bytes, offset + 4),
    dontFragment: (fragment & FLAG_DF) === 0 ? 0 : 1,
    moreFragments: (fragment & FLAG_MF) === 0 ? 0 : 1,
    fragmentOffset: (fragment & 0x1fff) * 8,
    ipLength,
    ipOptions: headerLength === LENGTH ? null : bytes.slice(offset + LENGTH, offset + headerLength),
    checksum: read16(bytes, offset + 10),
    headerLength,
  }
}

/** Writes 20 bytes and the options. */
export function encode(fields: Fields, bytes: Uint8Array, offset: number): void {
  const options = fields.ipOptions
  const headerLength = options === null ? LENGTH : LENGTH + options.length
  bytes[offset] = 0x40 | (headerLength >>> 2)
  bytes[offset + 1] = fields.tos
  write16(bytes, offset + 2, fields.ipLength)
  write16(bytes, offset + 4, fields.ipId)
  const flags = (fields.dontFragment === 0 ? 0 : FLAG_DF) | (fields.moreFragments === 0 ? 0 : FLAG_MF)
  write16(bytes, offset + 6, flags | (fields.fragmentOffset >>> 3))
  bytes[offset + 8] = fields.ttl
  bytes[offset + 9] = fields.proto
  write16(bytes, offset + 10, 0)
  write32(bytes, offset + 12, fields.src)
  write32(bytes, offset + 16, fields.dst)
  if (options !== null) bytes.set(options, offset + LENGTH)
  write16(bytes, offset + 10, checksumOf(bytes, offset, offset + headerLength))
}

/** The right checksum of the header that stands in the bytes, whatever its own field holds. */
export function headerChecksum(bytes: Uint8Array, offset: number, headerLength: number): number {
  return checksumOf(bytes, offset + 12, offset + headerLength, sumOf(bytes, offset, offset + 10))
}

/** By how much the checksum that stands there is wrong: one's complement; 0: it is right. */
export function headerFaultOf(bytes: Uint8Array, offset: number, headerLength: number): number {
  const fault = fold(read16(bytes, offset + CHECKSUM_AT) + (~headerChecksum(bytes, offset, headerLength) & 0xffff))
  return fault === 0xffff ? 0 : fault
}

export function summary(fields: Fields): string {
  const flags = `${fields.moreFragments === 0 ? '' : '+'}${fields.dontFragment === 0 ? '' : 'DF'}` || 'none'
  const options = fields.ipOptions === null ? '' : `, options (${optionNames(fields.ipOptions)})`
  return (
    `IP ${formatIp(fields.src)} > ${formatIp(fields.dst)}, tos ${hexWord(fields.tos, 1)}, ttl ${fields.ttl}, id ${fields.ipId}, ` +
    `offset ${fields.fragmentOffset}, flags [${flags}], proto ${protoName(fields.proto)} (${fields.proto}), length ${fields.ipLength}${options}`
  )
}

function protoName(proto: number): string {
  switch (proto) {
    case PROTO_ICMP:
      return 'ICMP'
    case PROTO_IPIP:
      return 'IPIP'
    case PROTO_TCP:
      return 'TCP'
    case PROTO_UDP:
      return 'UDP'
    case PROTO_SCTP:
      return 'SCTP'
    default:
      return 'unknown'
  }
}

/** By the option's type byte (RFC 791 §3.1, RFC 2113). */
const OPTION_NAMES = new Map([
  [0, 'EOL'],
  [1, 'NOP'],
  [7, 'RR'],
  [68, 'timestamp'],
  [131, 'LSRR'],
  [137, 'SSRR'],
  [148, 'RA'],
])

function optionNames(options: Uint8Array): string {
  const names: string[] = []
  for (let at = 0; at < options.length;) {
    const type = options[at]
    names.push(OPTION_NAMES.get(type) ?? `unknown ${type}`)
    if (type === 0) break
    const length = type === 1 ? 1 : at + 1 < options.length ? options[at + 1] : 0
    if (length < (type === 1 ? 1 : 2) || at + length > options.length) return `${names.join(',')} [bad length]`
    at += length
  }
  return names.join(',')
}
