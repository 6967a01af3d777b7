/**
 * flanneld's packet proxy behind flannel0, byte for byte: from what it reads on the TUN device to datagrams, and back. It looks
 * at addresses, decrements the TTL and patches the header checksum; it checks nothing else.
 * Source: flannel pkg/backend/udp/proxy_amd64.c.
 */
import { contains, type Cidr } from '../base/cidr.js'
import { formatIp, type Ip } from '../base/ip.js'
import { PROTO_ICMP } from '../wire/packet.js'

const IP_HEADER_LENGTH = 20
const ICMP_HEADER_LENGTH = 8
const MAX_IP_HEADER_LENGTH = 60
const TTL_OFFSET = 8
const PROTOCOL_OFFSET = 9
const CHECKSUM_OFFSET = 10
const SOURCE_OFFSET = 12
const DESTINATION_OFFSET = 16
/** Of the "network unreachable" that the proxy makes. */
const UNREACHABLE_TTL = 8
const FRAGMENT_OFFSET_MASK = 0x1fff

type DropReason =
  'too small' | 'zero TTL' | 'no route, and no ICMP about ICMP' | 'no route, and no ICMP about a later fragment' | 'no route, and the header is too long'

type FromTun =
  | { readonly action: 'send'; readonly to: Ip; readonly port: number; readonly bytes: Uint8Array }
  /** Written back to the TUN device. The kernel drops it there unless accept_local is set: its source is an own address. */
  | { readonly action: 'icmp'; readonly bytes: Uint8Array }
  | { readonly action: 'drop'; readonly reason: DropReason }

type FromUdp = { readonly action: 'write'; readonly bytes: Uint8Array } | { readonly action: 'drop'; readonly reason: DropReason }

interface ProxyRoute {
  readonly subnet: Cidr
  readonly nextHop: Ip
  readonly port: number
}

export class UdpProxy {
  private readonly tunAddress: Ip
  /** One buffer for both directions, as long as the TUN device's MTU: what does not fit is cut off. */
  private readonly buffer: Uint8Array
  private readonly log: (line: string) => void
  private readonly table: ProxyRoute[] = []

  /** @param log gets what the proxy prints at -v 1 */
  constructor(tunAddress: Ip, tunMtu: number, log: (line: string) => void = () => undefined) {
    this.tunAddress = tunAddress
    this.buffer = new Uint8Array(tunMtu)
    this.log = log
  }

  /** The table as it stands: first match wins, and each hit moves to the front. */
  get routes(): readonly ProxyRoute[] {
    return this.table
  }

  setRoute(subnet: Cidr, nextHop: Ip, port: number): void {
    const at = this.indexOf(subnet)
    if (at < 0) this.table.push({ subnet, nextHop, port })
    else this.table[at] = { subnet, nextHop, port }
  }

  /** The last route fills the hole. @returns false when there was none */
  deleteRoute(subnet: Cidr): boolean {
    const at = this.indexOf(subnet)
    if (at < 0) return false
    const last = this.table.pop() as ProxyRoute
    if (at < this.table.length) this.table[at] = last
    return true
  }

  /** A read from the TUN device: route first, then TTL. */
  fromTun(packet: Uint8Array): FromTun {
    const length = this.read(packet, 'TUN recv packet')
    if (length === undefined) return { action: 'drop', reason: 'too small' }
    const route = this.findRoute(this.word(DESTINATION_OFFSET))
    if (route === undefined) return this.netUnreachable()
    if (!this.decrementTtl()) return { action: 'drop', reason: 'zero TTL' }
    return { action: 'send', to: route.nextHop, port: route.port, bytes: this.buffer.slice(0, length) }
  }

  /** A datagram received: whoever sent it, and wherever the packet in it wants to go. */
  fromUdp(datagram: Uint8Array): FromUdp {
    const length = this.read(datagram, 'UDP recv packet')
    if (length === undefined) return { action: 'drop', reason: 'too small' }
    if (!this.decrementTtl()) return { action: 'drop', reason: 'zero TTL' }
    return { action: 'write', bytes: this.buffer.slice(0, length) }
  }

  private read(from: Uint8Array, what: string): number | undefined {
    const length = Math.min(from.length, this.buffer.length)
    this.buffer.set(length < from.length ? from.subarray(0, length) : from)
    if (length >= IP_HEADER_LENGTH) return length
    this.log(`${what} too small: ${length} bytes`)
    return undefined
  }

  private indexOf(subnet: Cidr): number {
    return this.table.findIndex((route) => route.subnet.base === subnet.base && route.subnet.length === subnet.length)
  }

  private findRoute(destination: Ip): ProxyRoute | undefined {
    const at = this.table.findIndex((route) => contains(route.subnet, destination))
    if (at < 0) return undefined
    const hit = this.table[at]
    this.table[at] = this.table[0]
    this.table[0] = hit
    return hit
  }

  /** A TTL of 0 wraps to 255 and lives on. */
  private decrementTtl(): boolean {
    const { buffer } = this
    buffer[TTL_OFFSET] = buffer[TTL_OFFSET] - 1
    if (buffer[TTL_OFFSET] === 0) {
      this.log(`Discarding IP fragment ${formatIp(this.word(SOURCE_OFFSET))} -> ${formatIp(this.word(DESTINATION_OFFSET))} due to zero TTL`)
      return false
    }
    // The C code adds in the host's order: a little-endian number, where +0x0100 of the network is +1, and its carry one more.
    const check = buffer[CHECKSUM_OFFSET] | (buffer[CHECKSUM_OFFSET + 1] << 8)
    const patched = check + (check >= 0xfffe ? 2 : 1)
    buffer[CHECKSUM_OFFSET] = patched
    buffer[CHECKSUM_OFFSET + 1] = patched >> 8
    return true
  }

  /** ICMP 3/0 about the packet in the buffer; it is quoted as it was read. */
  private netUnreachable(): FromTun {
    const { buffer } = this
    const headerLength = (buffer[0] & 0x0f) * 4
    if (headerLength >= MAX_IP_HEADER_LENGTH) {
      this.log(`not sending net unreachable: mulformed ip pkt: iph=${headerLength}`)
      return { action: 'drop', reason: 'no route, and the header is too long' }
    }
    if (buffer[PROTOCOL_OFFSET] === PROTO_ICMP) return { action: 'drop', reason: 'no route, and no ICMP about ICMP' }
    if ((((buffer[6] << 8) | buffer[7]) & FRAGMENT_OFFSET_MASK) !== 0) return { action: 'drop', reason: 'no route, and no ICMP about a later fragment' }
    // Eight bytes of payload are quoted even where the packet has fewer: then what an earlier packet left in the buffer.
    const quoted = headerLength + 8
    const bytes = new Uint8Array(IP_HEADER_LENGTH + ICMP_HEADER_LENGTH + quoted)
    const view = new DataView(bytes.buffer)
    bytes[0] = 0x45
    view.setUint16(2, bytes.length)
    bytes[TTL_OFFSET] = UNREACHABLE_TTL
    bytes[PROTOCOL_OFFSET] = PROTO_ICMP
    view.setInt32(SOURCE_OFFSET, this.tunAddress)
    view.setInt32(DESTINATION_OFFSET, this.word(SOURCE_OFFSET))
    view.setUint16(CHECKSUM_OFFSET, onesComplementSum(view, 0, IP_HEADER_LENGTH))
    bytes[IP_HEADER_LENGTH] = 3
    bytes.set(buffer.subarray(0, quoted), IP_HEADER_LENGTH + ICMP_HEADER_LENGTH)
    view.setUint16(IP_HEADER_LENGTH + 2, onesComplementSum(view, IP_HEADER_LENGTH, ICMP_HEADER_LENGTH + quoted))
    return { action: 'icmp', bytes }
  }

  private word(offset: number): number {
    const { buffer } = this
    return (buffer[offset] << 24) | (buffer[offset + 1] << 16) | (buffer[offset + 2] << 8) | buffer[offset + 3]
  }
}

/** RFC 1071 over an even number of bytes. */
function onesComplementSum(view: DataView, offset: number, length: number): number {
  let sum = 0
  for (let i = 0; i < length; i += 2) sum += view.getUint16(offset + i)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}
