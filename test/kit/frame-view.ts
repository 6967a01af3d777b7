/**
 * Frames as values that can be compared: everything but what chance draws (IP id, ICMP id and payload, TCP sequence and timestamps,
 * VXLAN source port) and the checksums, which are tried on their own. Reads the bytes itself, so that a fault of src/wire shows.
 */
import { formatIp } from '../../src/base/ip.js'

export type View = readonly unknown[]

const PROTO_ICMP = 1
const PROTO_TCP = 6
const PROTO_UDP = 17
const VXLAN_PORTS = [8472, 4789]

export function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16))
}

export function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1]
}

function hexOf(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

export function macText(bytes: Uint8Array, at: number): string {
  return [...bytes.subarray(at, at + 6)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
}

export function ipText(bytes: Uint8Array, at: number): string {
  return formatIp((word(bytes, at) << 16) | word(bytes, at + 2))
}

function sum(bytes: Uint8Array): number {
  let total = 0
  for (let i = 0; i < bytes.length; i += 2) total += (bytes[i] << 8) | (bytes[i + 1] ?? 0)
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16)
  return total
}

/** Every IPv4, ICMP, TCP and UDP checksum of a packet and of what it carries is right; a fragment's and a quotation's transport is not looked at. */
export function isSound(packet: Uint8Array): boolean {
  const headerLength = (packet[0] & 15) * 4
  const total = word(packet, 2)
  if (sum(packet.subarray(0, headerLength)) !== 0xffff) return false
  if ((word(packet, 6) & 0x3fff) !== 0 || packet.length < total) return true
  const body = packet.subarray(headerLength, total)
  const proto = packet[9]
  const pseudo = Uint8Array.of(...packet.subarray(12, 20), 0, proto, body.length >> 8, body.length & 255, ...body)
  if (proto === PROTO_ICMP) return sum(body) === 0xffff
  if (proto === PROTO_TCP) return sum(pseudo) === 0xffff
  if (proto !== PROTO_UDP) return true
  if (word(body, 6) !== 0 && sum(pseudo) !== 0xffff) return false
  if (VXLAN_PORTS.includes(word(body, 2)) && body.length > 30) return word(body, 28) !== 0x0800 || isSound(body.subarray(30))
  if (word(body, 0) === word(body, 2) && body.length > 28 && body[8] === 0x45) return isSound(body.subarray(8))
  return true
}

/** What the tap of a device with (`tun` false) or without a link layer saw: its checksums are right, or there are none. */
export function isSoundFrame(bytes: Uint8Array, tun: boolean): boolean {
  if (tun) return isSound(bytes)
  return word(bytes, 12) !== 0x0800 || isSound(bytes.subarray(14))
}

const OPTION_WORDS: Readonly<Record<number, string>> = { 2: 'mss', 3: 'wscale', 4: 'sackok', 8: 'ts' }

function tcpOptions(segment: Uint8Array): string {
  const words: string[] = []
  for (let at = 20; at < (segment[12] >> 4) * 4 && segment[at] !== 0;) {
    const kind = segment[at]
    if (kind === 1) {
      words.push('nop')
      at++
      continue
    }
    const length = segment[at + 1]
    const value = kind === 2 ? ` ${word(segment, at + 2)}` : kind === 3 ? ` ${segment[at + 2]}` : ''
    words.push(`${OPTION_WORDS[kind] ?? kind}${value}`)
    at += length
  }
  return words.join(',')
}

function transportView(proto: number, body: Uint8Array): View {
  if (proto === PROTO_ICMP) {
    const [type, code] = body
    const quoted = type === 3 || type === 11 ? ipView(body.subarray(8), true) : null
    return ['icmp', type, code, body.length, type === 3 && code === 4 ? word(body, 6) : null, quoted]
  }
  if (proto === PROTO_TCP) return ['tcp', word(body, 0), word(body, 2), body[13], word(body, 14), tcpOptions(body), body.length]
  if (proto !== PROTO_UDP) return ['proto', proto, body.length]
  const [source, destination, length] = [word(body, 0), word(body, 2), word(body, 4)]
  if (VXLAN_PORTS.includes(destination) && body.length > 16 && (body[8] & 0x08) !== 0) {
    return ['udp', '*', destination, length, 'vxlan', hexOf(body.subarray(8, 16)), etherView(body.subarray(16))]
  }
  if (source === destination && body.length > 28 && body[8] === 0x45) return ['udp', source, destination, length, 'inner', ipView(body.subarray(8), false)]
  return ['udp', source, destination, length]
}

function ipView(packet: Uint8Array, quoted: boolean): View {
  const flags = word(packet, 6)
  const head = ['ip', packet[1], word(packet, 2), flags >> 13, flags & 0x1fff, packet[8], packet[9], ipText(packet, 12), ipText(packet, 16)]
  if ((flags & 0x1fff) !== 0 || quoted) return head
  return [...head, transportView(packet[9], packet.subarray((packet[0] & 15) * 4))]
}

function etherView(bytes: Uint8Array): View {
  const type = word(bytes, 12)
  const ends = [macText(bytes, 0), macText(bytes, 6)]
  if (type === 0x0806) return ['arp', ...ends, word(bytes, 20), macText(bytes, 22), ipText(bytes, 28), ipText(bytes, 38)]
  return ['eth', ...ends, type, type === 0x0800 ? ipView(bytes.subarray(14), false) : bytes.length]
}

export function viewOf(bytes: Uint8Array, tun: boolean): View {
  return tun ? ipView(bytes, false) : etherView(bytes)
}

/** A fragment, on the outside. */
export function isFragmentFrame(bytes: Uint8Array, tun: boolean): boolean {
  if (!tun && word(bytes, 12) !== 0x0800) return false
  return (word(bytes, tun ? 6 : 20) & 0x3fff) !== 0
}
