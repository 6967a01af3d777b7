/**
 * The SCTP common header (RFC 9260 §3.1) with the verification tag of an INIT, zero (§8.5.1). Its CRC32c (appendix A) covers header and
 * chunks and no pseudo header; encode writes zero and frame.ts completes it.
 *
 *   0 source port(2) | 2 destination port(2) | 4 verification tag(4) | 8 checksum(4), the only little-endian word of the suite
 */
import { read16, read32, write16, write32 } from './bytes.js'
import type { Packet } from './packet.js'

export const LENGTH = 12
export const CHECKSUM_AT = 8

export interface Fields extends Readonly<Pick<Packet, 'sport' | 'dport'>> {}

export interface Decoded extends Fields {
  readonly verificationTag: number
  readonly checksum: number
}

export type DecodeError = 'sctp-truncated'

export function decode(bytes: Uint8Array, offset: number): Decoded | DecodeError {
  if (bytes.length - offset < LENGTH) return 'sctp-truncated'
  return {
    sport: read16(bytes, offset),
    dport: read16(bytes, offset + 2),
    verificationTag: read32(bytes, offset + 4),
    checksum: read32(bytes, offset + CHECKSUM_AT),
  }
}

export function encode(fields: Fields, bytes: Uint8Array, offset: number): void {
  write16(bytes, offset, fields.sport)
  write16(bytes, offset + 2, fields.dport)
  write32(bytes, offset + 4, 0)
  write32(bytes, offset + CHECKSUM_AT, 0)
}

export function summary(fields: Fields): string {
  return `SCTP ${fields.sport} > ${fields.dport}`
}

/** The reflected Castagnoli polynomial, one entry per byte value. */
const CRC32C_TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte
  for (let bit = 0; bit < 8; bit++) remainder = (remainder & 1) === 0 ? remainder >>> 1 : (remainder >>> 1) ^ 0x82f63b78
  return remainder
})

/** CRC32c of bytes[start, end) as the word to write big-endian into the header: the CRC goes out low byte first. */
export function crc32c(bytes: Uint8Array, start: number, end: number): number {
  let crc = -1
  for (let at = start; at < end; at++) crc = (crc >>> 8) ^ CRC32C_TABLE[(crc ^ bytes[at]) & 255]
  crc = ~crc
  return ((crc & 0xff) << 24) | ((crc & 0xff00) << 8) | ((crc >>> 8) & 0xff00) | (crc >>> 24)
}
