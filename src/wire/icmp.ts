/**
 * The ICMP header (RFC 792; next-hop MTU: RFC 1191 §4; codes of unreachable: RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1). In the row the type
 * is sport and the code dport; the second word is icmpId and icmpSequence, whatever the type makes of it:
 * echo: identifier and sequence · frag needed: 0 and next-hop MTU · redirect: the gateway · parameter problem: the pointer in the first byte.
 * The checksum covers the payload and no pseudo header; encode writes zero and frame.ts completes it.
 *
 *   0 type | 1 code | 2 checksum(2) | 4 rest of the header(4)
 */
import { formatIp } from '../base/ip.js'
import { read16, write16 } from './bytes.js'
import type { Packet } from './packet.js'

export const LENGTH = 8
export const CHECKSUM_AT = 2

export const ICMP_ECHO_REPLY = 0
export const ICMP_UNREACHABLE = 3
export const ICMP_SOURCE_QUENCH = 4
export const ICMP_REDIRECT = 5
export const ICMP_ECHO_REQUEST = 8
export const ICMP_TIME_EXCEEDED = 11
export const ICMP_PARAMETER_PROBLEM = 12
export const ICMP_TIMESTAMP_REPLY = 14

export const ICMP_FRAG_NEEDED = 4

export interface Fields extends Readonly<Pick<Packet, 'sport' | 'dport' | 'icmpId' | 'icmpSequence'>> {}

export interface Decoded extends Fields {
  readonly checksum: number
}

export type DecodeError = 'icmp-truncated'

export function decode(bytes: Uint8Array, offset: number): Decoded | DecodeError {
  if (bytes.length - offset < LENGTH) return 'icmp-truncated'
  return {
    sport: bytes[offset],
    dport: bytes[offset + 1],
    icmpId: read16(bytes, offset + 4),
    icmpSequence: read16(bytes, offset + 6),
    checksum: read16(bytes, offset + CHECKSUM_AT),
  }
}

export function encode(fields: Fields, bytes: Uint8Array, offset: number): void {
  bytes[offset] = fields.sport
  bytes[offset + 1] = fields.dport
  write16(bytes, offset + CHECKSUM_AT, 0)
  write16(bytes, offset + 4, fields.icmpId)
  write16(bytes, offset + 6, fields.icmpSequence)
}

/** Errors carry the head of the packet that caused them. */
export function isError(type: number): boolean {
  return type === ICMP_UNREACHABLE || type === ICMP_SOURCE_QUENCH || type === ICMP_REDIRECT || type === ICMP_TIME_EXCEEDED || type === ICMP_PARAMETER_PROBLEM
}

/** Codes of type 3, in order. */
const UNREACHABLE = [
  'net unreachable',
  'host unreachable',
  'protocol unreachable',
  'port unreachable',
  'need to frag',
  'source route failed',
  'net unknown',
  'host unknown',
  'source host isolated',
  'net prohibited',
  'host prohibited',
  'net unreachable for tos',
  'host unreachable for tos',
  'administratively filtered',
  'host precedence violation',
  'precedence cutoff',
]

/** Codes of type 5, in order. */
const REDIRECT = ['net', 'host', 'tos and net', 'tos and host']

export function summary(fields: Fields): string {
  const { sport: type, dport: code, icmpId, icmpSequence } = fields
  switch (type) {
    case ICMP_ECHO_REQUEST:
      return `ICMP echo request, id ${icmpId}, seq ${icmpSequence}`
    case ICMP_ECHO_REPLY:
      return `ICMP echo reply, id ${icmpId}, seq ${icmpSequence}`
    case ICMP_UNREACHABLE:
      return `ICMP ${UNREACHABLE[code] ?? `unreachable, code ${code}`}${code === ICMP_FRAG_NEEDED ? ` (mtu ${icmpSequence})` : ''}`
    case ICMP_REDIRECT:
      return `ICMP redirect, ${REDIRECT[code] ?? `code ${code}`}, to ${formatIp((icmpId << 16) | icmpSequence)}`
    case ICMP_TIME_EXCEEDED:
      return `ICMP time exceeded ${code === 0 ? 'in-transit' : code === 1 ? 'in reassembly' : `code ${code}`}`
    case ICMP_PARAMETER_PROBLEM:
      return `ICMP parameter problem, octet ${icmpId >>> 8}${code === 0 ? '' : `, code ${code}`}`
    default:
      return `ICMP type ${type}, code ${code}`
  }
}
