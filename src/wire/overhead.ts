/**
 * What each encapsulation adds to an IPv4 packet on an IPv4 underlay, in bytes of the outer IP packet, derived from the lengths of the
 * headers that are added. Frames of both sizes carry an outer Ethernet header of their own, which is no overhead.
 */
import * as ethernet from './ethernet.js'
import * as ipv4 from './ipv4.js'
import * as udp from './udp.js'
import * as vxlan from './vxlan.js'
import * as wireguard from './wireguard.js'

export const ENCAPSULATIONS = ['none', 'ipip', 'udp', 'vxlan', 'wireguard'] as const

/** `udp` is flannel's user-space proxy. */
export type Encapsulation = (typeof ENCAPSULATIONS)[number]

interface OverheadPart {
  readonly name: string
  readonly bytes: number
}

interface Overhead {
  readonly parts: readonly OverheadPart[]
  readonly bytes: number
}

/** Transport data message of WireGuard: type, receiver and counter before the packet, the Poly1305 tag behind it. */
const WIREGUARD_HEADER = wireguard.DATA_HEADER
const WIREGUARD_TAG = wireguard.DATA_TAG

/** RFC 8200 §3: WireGuard interfaces reserve room for an IPv6 underlay whatever the underlay is. */
const IPV6_HEADER = 40

/** What flannel and Calico take off the underlay's MTU for WireGuard is a fixed number; the bytes on the wire vary with the padding. */
const WIREGUARD_RESERVED = IPV6_HEADER + udp.LENGTH + WIREGUARD_HEADER + WIREGUARD_TAG

const IP: OverheadPart = { name: 'outer IPv4', bytes: ipv4.LENGTH }
const UDP: OverheadPart = { name: 'outer UDP', bytes: udp.LENGTH }

const FIXED: Readonly<Record<Encapsulation, readonly OverheadPart[]>> = {
  none: [],
  ipip: [IP],
  udp: [IP, UDP],
  vxlan: [IP, UDP, { name: 'VXLAN', bytes: vxlan.LENGTH }, { name: 'inner Ethernet', bytes: ethernet.LENGTH }],
  wireguard: [IP, UDP, { name: 'WireGuard', bytes: WIREGUARD_HEADER }, { name: 'WireGuard tag', bytes: WIREGUARD_TAG }],
}

interface InnerPacket {
  /** Bytes of the inner IP packet. */
  readonly length: number
  /** MTU of the tunnel device, beyond which WireGuard does not pad. */
  readonly mtu: number
}

/** Without an inner packet the padding of WireGuard, 0 to 15 bytes, is left out. */
export function overheadOf(encapsulation: Encapsulation, inner?: InnerPacket): Overhead {
  const padding = encapsulation === 'wireguard' && inner !== undefined ? wireguard.padding(inner.length, inner.mtu) : 0
  const parts = padding === 0 ? FIXED[encapsulation] : [...FIXED[encapsulation], { name: 'WireGuard padding', bytes: padding }]
  return { parts, bytes: parts.reduce((sum, part) => sum + part.bytes, 0) }
}

/** The largest packet inside of an outer one of `mtu` bytes. WireGuard pads to whole blocks: what does not fill one does not fit. */
export function largestInside(encapsulation: Encapsulation, mtu: number): number {
  const room = mtu - overheadOf(encapsulation).bytes
  return encapsulation === 'wireguard' ? room - (room % wireguard.BLOCK) : room
}

/** Bytes that an agent takes off the underlay's MTU to get that of its tunnel device. */
export function mtuReserve(encapsulation: Encapsulation): number {
  return encapsulation === 'wireguard' ? WIREGUARD_RESERVED : overheadOf(encapsulation).bytes
}
