/**
 * The VXLAN header (RFC 7348 §5) with the group policy extension that Linux speaks (draft-smith-vxlan-group-policy, vxlan_build_gbp_hdr()).
 *
 *   0 flags | 1 GBP: don't-learn, policy-applied | 2 GBP: policy id(2) | 4 VNI(3) | 7 reserved
 */
import { read16, write16 } from './bytes.js'
import type { Packet } from './packet.js'

export const LENGTH = 8

/** What Linux defaults to, and what IANA assigned. */
export const PORT_LINUX = 8472
export const PORT_IANA = 4789

export interface Fields extends Readonly<Pick<Packet, 'vni' | 'gbp'>> {}

/** `vxlan-flags`: no valid VNI, or bits set that neither the RFC nor GBP gives a meaning; Linux drops such packets too. */
export type DecodeError = 'vxlan-truncated' | 'vxlan-flags'

const FLAG_VNI = 0x08
const FLAG_GBP = 0x80

export function decode(bytes: Uint8Array, offset: number): Fields | DecodeError {
  if (bytes.length - offset < LENGTH) return 'vxlan-truncated'
  const flags = bytes[offset]
  const gbp = (flags & FLAG_GBP) === 0 ? -1 : read16(bytes, offset + 2)
  if ((flags & ~FLAG_GBP) !== FLAG_VNI || bytes[offset + 1] !== 0 || bytes[offset + 7] !== 0) return 'vxlan-flags'
  if (gbp === -1 && read16(bytes, offset + 2) !== 0) return 'vxlan-flags'
  return { vni: (bytes[offset + 4] << 16) | read16(bytes, offset + 5), gbp }
}

export function encode(fields: Fields, bytes: Uint8Array, offset: number): void {
  const withPolicy = fields.gbp >= 0
  bytes[offset] = withPolicy ? FLAG_VNI | FLAG_GBP : FLAG_VNI
  bytes[offset + 1] = 0
  write16(bytes, offset + 2, withPolicy ? fields.gbp : 0)
  bytes[offset + 4] = fields.vni >>> 16
  write16(bytes, offset + 5, fields.vni)
  bytes[offset + 7] = 0
}

export function summary(fields: Fields): string {
  return fields.gbp >= 0 ? `VXLAN, flags [IG] (0x88), vni ${fields.vni}, policy id ${fields.gbp}` : `VXLAN, flags [I] (0x08), vni ${fields.vni}`
}
