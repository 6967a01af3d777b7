/**
 * The UDP header (RFC 768). Its checksum covers the payload and a pseudo header, so encode writes zero and frame.ts completes it.
 *
 *   0 source port(2) | 2 destination port(2) | 4 length(2) | 6 checksum(2)
 */
import { read16, write16 } from './bytes.js'
import type { Packet } from './packet.js'

export const LENGTH = 8
export const CHECKSUM_AT = 6

export interface Fields extends Readonly<Pick<Packet, 'sport' | 'dport'>> {
  /** Header and payload of the whole datagram. */
  readonly length: number
}

export interface Decoded extends Fields {
  /** As found; 0 means that the sender computed none. */
  readonly checksum: number
}

export type DecodeError = 'udp-truncated' | 'udp-length'

export function decode(bytes: Uint8Array, offset: number): Decoded | DecodeError {
  if (bytes.length - offset < LENGTH) return 'udp-truncated'
  const length = read16(bytes, offset + 4)
  if (length < LENGTH) return 'udp-length'
  return { sport: read16(bytes, offset), dport: read16(bytes, offset + 2), length, checksum: read16(bytes, offset + CHECKSUM_AT) }
}

export function encode(fields: Fields, bytes: Uint8Array, offset: number): void {
  write16(bytes, offset, fields.sport)
  write16(bytes, offset + 2, fields.dport)
  write16(bytes, offset + 4, fields.length)
  write16(bytes, offset + CHECKSUM_AT, 0)
}

export function summary(fields: Fields): string {
  return `UDP ${fields.sport} > ${fields.dport}, length ${fields.length - LENGTH}`
}
