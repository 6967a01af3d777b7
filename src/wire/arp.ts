/**
 * ARP for IPv4 over Ethernet (RFC 826). The protocol addresses stand in the row's src (sender) and dst (target).
 *
 *   0 htype(2)=1 | 2 ptype(2)=0800 | 4 hlen=6 | 5 plen=4 | 6 op(2) | 8 sender MAC(6) | 14 sender IP(4) | 18 target MAC(6) | 24 target IP(4)
 */
import { formatIp } from '../base/ip.js'
import { formatMac, macOf } from '../base/mac.js'
import { read16, read32, write16, write32 } from './bytes.js'
import { ETHERTYPE_IPV4, type Packet } from './packet.js'

export const LENGTH = 28

export const ARP_REQUEST = 1
export const ARP_REPLY = 2

type Row = 'arpOperation' | 'arpSenderMacHigh' | 'arpSenderMacLow' | 'src' | 'arpTargetMacHigh' | 'arpTargetMacLow' | 'dst'

export interface Fields extends Readonly<Pick<Packet, Row>> {}

export type DecodeError = 'arp-truncated' | 'arp-not-ethernet-ipv4'

/** htype 1, ptype 0x0800, hlen 6, plen 4. */
const HARDWARE_ETHERNET = 1
const ADDRESS_LENGTHS = 0x0604

export function decode(bytes: Uint8Array, offset: number): Fields | DecodeError {
  if (bytes.length - offset < LENGTH) return 'arp-truncated'
  const ethernetIpv4 =
    read16(bytes, offset) === HARDWARE_ETHERNET && read16(bytes, offset + 2) === ETHERTYPE_IPV4 && read16(bytes, offset + 4) === ADDRESS_LENGTHS
  if (!ethernetIpv4) return 'arp-not-ethernet-ipv4'
  return {
    arpOperation: read16(bytes, offset + 6),
    arpSenderMacHigh: read16(bytes, offset + 8),
    arpSenderMacLow: read32(bytes, offset + 10),
    src: read32(bytes, offset + 14),
    arpTargetMacHigh: read16(bytes, offset + 18),
    arpTargetMacLow: read32(bytes, offset + 20),
    dst: read32(bytes, offset + 24),
  }
}

export function encode(fields: Fields, bytes: Uint8Array, offset: number): void {
  write16(bytes, offset, HARDWARE_ETHERNET)
  write16(bytes, offset + 2, ETHERTYPE_IPV4)
  write16(bytes, offset + 4, ADDRESS_LENGTHS)
  write16(bytes, offset + 6, fields.arpOperation)
  write16(bytes, offset + 8, fields.arpSenderMacHigh)
  write32(bytes, offset + 10, fields.arpSenderMacLow)
  write32(bytes, offset + 14, fields.src)
  write16(bytes, offset + 18, fields.arpTargetMacHigh)
  write32(bytes, offset + 20, fields.arpTargetMacLow)
  write32(bytes, offset + 24, fields.dst)
}

export function summary(fields: Fields): string {
  const sender = formatIp(fields.src)
  if (fields.arpOperation === ARP_REQUEST) return `ARP, Request who-has ${formatIp(fields.dst)} tell ${sender}, length ${LENGTH}`
  if (fields.arpOperation !== ARP_REPLY) return `ARP, operation ${fields.arpOperation} from ${sender} to ${formatIp(fields.dst)}, length ${LENGTH}`
  return `ARP, Reply ${sender} is-at ${formatMac(macOf(fields.arpSenderMacHigh, fields.arpSenderMacLow))}, length ${LENGTH}`
}
