/** Frames of a trace document in words: layer by layer (`-vv`), as a hex dump (`-vvv`), and what a picture says of them. */
import * as ipv4 from '../wire/ipv4.js'
import { decodeFrame } from '../wire/frame-decode.js'
import { summarizeFrame } from '../wire/frame-summary.js'
import { ETHERTYPE_ARP, Packet, PROTO_ICMP } from '../wire/packet.js'
import type { FrameDocument } from './trace-document.js'

export function frameBytes(frame: FrameDocument): Uint8Array {
  return Uint8Array.from(frame.hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}

/**
 * TUN, IPIP and WireGuard devices have no link layer, and the document does not say which they are: a whole, rightly checksummed IPv4
 * packet from the first byte on is one of theirs. A MAC address looks like that once in some 2^40 frames.
 */
export function linkOf(bytes: Uint8Array): 'ethernet' | 'none' {
  const header = ipv4.decode(bytes, 0)
  if (typeof header === 'string' || header.ipLength !== bytes.length) return 'ethernet'
  return ipv4.headerChecksum(bytes, 0, header.headerLength) === header.checksum ? 'none' : 'ethernet'
}

/** One line per layer, each two blanks further in. */
export function frameLines(frame: FrameDocument): string[] {
  const bytes = frameBytes(frame)
  return summarizeFrame(bytes, { link: linkOf(bytes) }).split('\n')
}

/** As `tcpdump -XX` prints it: offset, eight groups of two bytes, the printable letters. */
export function hexDump(frame: FrameDocument): string[] {
  const bytes = frameBytes(frame)
  const lines: string[] = []
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.subarray(at, at + 16)]
    const hex = row.map((byte, index) => byte.toString(16).padStart(2, '0') + (index % 2 === 1 ? ' ' : '')).join('')
    const letters = row.map((byte) => (byte > 32 && byte < 127 ? String.fromCharCode(byte) : '.')).join('')
    lines.push(`0x${at.toString(16).padStart(4, '0')}:  ${hex.padEnd(40)} ${letters}`)
  }
  return lines
}

export interface FrameFacts {
  readonly link: 'ethernet' | 'none'
  readonly arp: boolean
  /** TTL of the innermost IP header: that of the packet asked about. */
  readonly ttl?: number
  /** TTL of the outer header, of an encapsulated packet. */
  readonly outerTtl?: number
}

export function frameFacts(frame: FrameDocument): FrameFacts {
  const bytes = frameBytes(frame)
  const link = linkOf(bytes)
  const packet = new Packet()
  if (decodeFrame(bytes, { link }, packet) !== 'ok') return { link, arp: false }
  if (link === 'ethernet' && packet.etherType === ETHERTYPE_ARP) return { link, arp: true }
  // An ICMP error quotes its offender: that is no encapsulation.
  let inner = packet
  while (inner.inner !== null && inner.proto !== PROTO_ICMP) inner = inner.inner
  return inner === packet ? { link, arp: false, ttl: packet.ttl } : { link, arp: false, ttl: inner.ttl, outerTtl: packet.ttl }
}
