/** Random IP packets as a process with a raw socket might send them: odd flags, fragments, somebody else's source, bad checksums. */
import { ip } from '../../src/base/ip.js'
import { checksumOf, pseudoHeaderSum } from '../../src/wire/checksum.js'
import type { Draw } from './draw.js'

/** What makes the bytes; kept apart so that a failing packet can be read and made smaller. */
export interface RawPacket {
  readonly source: string
  readonly destination: string
  readonly proto: number
  readonly ttl: number
  readonly tos: number
  readonly id: number
  readonly df: boolean
  readonly more: boolean
  /** Bytes, a multiple of 8. */
  readonly offset: number
  readonly sport: number
  readonly dport: number
  /** TCP flags, or ICMP type. */
  readonly flags: number
  /** Bytes after the transport header. */
  readonly payload: number
  /** XORed into the transport checksum. */
  readonly damage: number
  /** Four bytes of IP options each: NOPs. */
  readonly options?: number
  /** Added to what the UDP header says of its length, or to TCP's data offset. */
  readonly lie?: number
  /** What an ICMP error quotes: a UDP header of this packet's source and destination, turned round. */
  readonly quote?: boolean
}

export interface PacketPlace {
  readonly own: string
  readonly destination: string
  readonly others: readonly string[]
  /** What no sane sender does, too. */
  readonly odd: boolean
}

const STRANGE_SOURCES = ['127.0.0.1', '224.0.0.9', '255.255.255.255', '240.0.0.1', '10.244.1.255']

export function rawPacket(draw: Draw, { own, destination, others, odd }: PacketPlace): RawPacket {
  const proto = draw.weighted([
    [4, 17],
    [3, 6],
    [3, 1],
    [1, draw.pick([2, 47, 132, 253, 4, 50, ...(odd ? [136, 255] : [])])],
  ])
  const fragment = draw.chance(20)
  const dice = draw.int(1, 100)
  return {
    ...(dice <= 3 ? { options: draw.int(1, 10) } : {}),
    ...(odd && dice > 3 && dice <= 10 && proto !== 1 ? { lie: draw.pick([-4, -1, 1, 3, 8]) } : {}),
    ...(dice > 3 && dice <= 25 && proto === 1 ? { quote: true } : {}),
    source: draw.chance(80) ? own : draw.pick([...others, ...(odd ? STRANGE_SOURCES : [])]),
    destination,
    proto,
    ttl: draw.weighted([
      [6, 64],
      [3, draw.int(1, 5)],
    ]),
    tos: draw.weighted([
      [5, 0],
      [3, draw.int(0, 255)],
    ]),
    id: draw.int(1, 65535),
    df: draw.chance(40),
    more: fragment && draw.chance(60),
    offset: fragment && draw.chance(60) ? 8 * draw.int(1, 180) : 0,
    sport: draw.pick([40000, 40001, 53, 8472]),
    dport: draw.pick([80, 53, 9000, 7]),
    flags:
      proto === 1
        ? dice > 3 && dice <= 25
          ? draw.pick([3, 3, 11, 12, 4, 5])
          : draw.pick([8, 8, 8, 0, 13, 17, 14, 15, 19, 42, 3])
        : draw.chance(70)
          ? draw.pick([0x02, 0x10, 0x12, 0x04, 0x14, 0x11, 0x18, 0x00, 0x29, 0x3f])
          : draw.int(0, 255),
    payload: draw.weighted([
      [5, draw.int(0, 200)],
      [2, draw.int(200, 1450)],
    ]),
    damage: draw.chance(10) ? draw.int(1, 65534) : 0,
  }
}

/** The IP packet; its header's checksum is right, the transport's unless damaged. */
export function bytesOfPacket(packet: RawPacket): Uint8Array {
  const transport = transportBytes(packet)
  const header = 20 + 4 * (packet.options ?? 0)
  const bytes = new Uint8Array(header + transport.length).fill(IPOPT_NOP, 20, header)
  const view = new DataView(bytes.buffer)
  bytes[0] = 0x40 | (header / 4)
  bytes[1] = packet.tos
  view.setUint16(2, bytes.length)
  view.setUint16(4, packet.id)
  view.setUint16(6, (packet.df ? 0x4000 : 0) | (packet.more ? 0x2000 : 0) | (packet.offset / 8))
  bytes[8] = packet.ttl
  bytes[9] = packet.proto
  view.setInt32(12, ip(packet.source))
  view.setInt32(16, ip(packet.destination))
  view.setUint16(10, checksumOf(bytes, 0, header))
  bytes.set(transport, header)
  return bytes
}

const IPOPT_NOP = 1
const HEADERS: Readonly<Record<number, number>> = { 1: 8, 6: 20, 17: 8 }

function transportBytes(packet: RawPacket): Uint8Array {
  const header = HEADERS[packet.proto] ?? 0
  // a fragment that is not the last has a multiple of 8 bytes
  const length = packet.more ? Math.max(8, (header + packet.payload) & ~7) : header + packet.payload
  const bytes = new Uint8Array(Math.max(length, header))
  for (let i = header; i < bytes.length; i++) bytes[i] = (i - header) & 255
  const view = new DataView(bytes.buffer)
  if (packet.proto === 17) {
    view.setUint16(0, packet.sport)
    view.setUint16(2, packet.dport)
    view.setUint16(4, bytes.length + (packet.lie ?? 0))
    view.setUint16(6, (transportChecksum(packet, bytes) || 0xffff) ^ packet.damage)
  } else if (packet.proto === 6) {
    view.setUint16(0, packet.sport)
    view.setUint16(2, packet.dport)
    view.setUint32(4, 1000)
    bytes[12] = 0x50 + 16 * (packet.lie ?? 0)
    bytes[13] = packet.flags
    view.setUint16(14, 64240)
    view.setUint16(16, transportChecksum(packet, bytes) ^ packet.damage)
  } else if (packet.proto === 1) {
    bytes[0] = packet.flags
    view.setUint16(4, 77)
    view.setUint16(6, 1)
    if (packet.quote === true) bytes.set(quoteOf(packet).subarray(0, Math.max(0, bytes.length - 8)), 8)
    view.setUint16(2, checksumOf(bytes, 0, bytes.length) ^ packet.damage)
  }
  return bytes
}

function quoteOf(packet: RawPacket): Uint8Array {
  const { source, destination, sport, dport, id } = packet
  const quoted = { source: destination, destination: source, sport: dport, dport: sport, id, proto: 17, ttl: 60, tos: 0, df: false, more: false, offset: 0 }
  return bytesOfPacket({ ...quoted, flags: 0, payload: 30, damage: 0 })
}

/** RFC 768, RFC 9293: over a pseudo header too. */
function transportChecksum(packet: RawPacket, transport: Uint8Array): number {
  return checksumOf(transport, 0, transport.length, pseudoHeaderSum(ip(packet.source), ip(packet.destination), packet.proto, transport.length))
}
