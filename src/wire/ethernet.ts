/**
 * The Ethernet II header, as a packet socket shows it: no preamble, no FCS (IEEE 802.3 §3.1.1, RFC 894).
 *
 *   0 dst(6) | 6 src(6) | 12 etherType(2)
 */
import { formatMac, macOf } from '../base/mac.js'
import { hexWord, read16, read32, write16, write32 } from './bytes.js'
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, type Packet } from './packet.js'

export const LENGTH = 14

export interface Fields extends Readonly<Pick<Packet, 'dstMacHigh' | 'dstMacLow' | 'srcMacHigh' | 'srcMacLow' | 'etherType'>> {}

export type DecodeError = 'ethernet-truncated'

export function decode(bytes: Uint8Array, offset: number): Fields | DecodeError {
  if (bytes.length - offset < LENGTH) return 'ethernet-truncated'
  return {
    dstMacHigh: read16(bytes, offset),
    dstMacLow: read32(bytes, offset + 2),
    srcMacHigh: read16(bytes, offset + 6),
    srcMacLow: read32(bytes, offset + 8),
    etherType: read16(bytes, offset + 12),
  }
}

export function encode(fields: Fields, bytes: Uint8Array, offset: number): void {
  write16(bytes, offset, fields.dstMacHigh)
  write32(bytes, offset + 2, fields.dstMacLow)
  write16(bytes, offset + 6, fields.srcMacHigh)
  write32(bytes, offset + 8, fields.srcMacLow)
  write16(bytes, offset + 12, fields.etherType)
}

export function summary(fields: Fields): string {
  const src = formatMac(macOf(fields.srcMacHigh, fields.srcMacLow))
  const dst = formatMac(macOf(fields.dstMacHigh, fields.dstMacLow))
  return `${src} > ${dst}, ethertype ${etherTypeName(fields.etherType)} (${hexWord(fields.etherType)})`
}

function etherTypeName(etherType: number): string {
  switch (etherType) {
    case ETHERTYPE_IPV4:
      return 'IPv4'
    case ETHERTYPE_ARP:
      return 'ARP'
    case 0x8100:
      return '802.1Q'
    case 0x86dd:
      return 'IPv6'
    default:
      return etherType < 0x0600 ? '802.3 length' : 'Unknown'
  }
}
