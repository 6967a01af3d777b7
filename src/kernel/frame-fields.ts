/**
 * A frame taken apart into named fields that leave no byte out: `eth.dst`, `ip.ttl`, `udp.checksum`, `vxlan.vni`, `inner.ip.ttl`,
 * `quote.ip.id`, `payload`. Each says whether it must be equal, is drawn by chance (DESIGN.md 5.3, a closed list) or is a checksum. Reads the
 * bytes itself and not through src/wire's rows, so that a fault of the encoder shows as one. Any bytes give fields.
 */
import { formatIp } from '../base/ip.js'
import { formatMac, macOf } from '../base/mac.js'
import { hexWord, read16, read32 } from '../wire/bytes.js'
import { checksumOf, pseudoHeaderSum, updateChecksum } from '../wire/checksum.js'
import { PORT_FLANNEL_UDP } from '../wire/frame-decode.js'
import { ICMP_TIMESTAMP_REPLY, isError } from '../wire/icmp.js'
import { headerFaultOf } from '../wire/ipv4.js'
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, PROTO_ICMP, PROTO_IPIP, PROTO_TCP, PROTO_UDP, TCP_ACK, TCP_SYN } from '../wire/packet.js'
import { PORT_IANA, PORT_LINUX } from '../wire/vxlan.js'

export const CHANCES = ['ip-id', 'icmp-id', 'tcp-sequence', 'tcp-timestamp', 'vxlan-port', 'nat-port', 'icmp-time'] as const
export type Chance = (typeof CHANCES)[number]

/** How a checksum stands to the bytes it covers; `unknown`: not all of them are in this frame. */
type Soundness = 'right' | 'wrong' | 'none' | 'unknown'

export interface Field {
  /** `ip.ttl`; of a packet within a tunnel `inner.ip.ttl`, of one that an ICMP error quotes `quote.ip.ttl`. */
  readonly name: string
  readonly at: number
  readonly length: number
  /** For people. */
  readonly text: string
  /** Of at most four bytes, unsigned; of a longer field its length. */
  readonly value: number
  readonly chance?: Chance
  readonly checksum?: { readonly soundness: Soundness; /** The checksum with every word of chance below it taken out. */ readonly settled: number }
}

interface FieldOptions {
  /** `none`: the bytes begin with the IP header (TUN). */
  readonly link: 'ethernet' | 'none'
  /** Ports that NAT drew at random, of this frame's world: a field with such a port is chance. */
  readonly natPorts?: ReadonlySet<number>
  /** Ports of VXLAN besides the two that everybody knows. */
  readonly tunnelPorts?: ReadonlySet<number>
}

/** Layers that are taken apart; hostile bytes can nest thousands. */
const DEEPEST = 8
const TCP_OPTION_TIMESTAMP = 8

interface Covered {
  readonly from: number
  readonly to: number
  /** Of the pseudo header. */
  readonly initial: number
  /** All bytes that it covers are here, and nobody rewrote them since: false in fragments and quotations. */
  readonly whole: boolean
  readonly zeroIsNone: boolean
}

type Draft = Omit<Field, 'checksum'> & { readonly covered?: Covered }

export function fieldsOf(bytes: Uint8Array, options: FieldOptions): readonly Field[] {
  const reader = new FieldReader(bytes, options.natPorts ?? new Set(), options.tunnelPorts ?? new Set())
  if (options.link === 'none') reader.ip(0, bytes.length, { prefix: '', depth: 0 })
  else reader.ethernet(0, bytes.length, { prefix: '', depth: 0 })
  return reader.drafts.map(({ covered, ...field }) => (covered === undefined ? field : { ...field, checksum: checksumField(bytes, covered, reader.drafts) }))
}

/**
 * One's complement sums forget the order of their words, so a word of chance can be taken out of a checksum again (RFC 1624). A checksum
 * further in goes with them: together with the words it covers it is a constant.
 */
function checksumField(bytes: Uint8Array, covered: Covered, drafts: readonly Draft[]): NonNullable<Field['checksum']> {
  const own = drafts.find((draft) => draft.covered === covered)
  const found = read16(bytes, own?.at ?? 0)
  let settled = found
  for (const draft of drafts) {
    if (draft.at < covered.from || draft.at + draft.length > covered.to || draft.covered === covered) continue
    if (draft.chance === undefined && draft.covered === undefined) continue
    for (let at = draft.at; at < draft.at + draft.length; at += 2) settled = updateChecksum(settled, read16(bytes, at), 0)
  }
  // one's complement has two zeros
  const one = settled === 0xffff ? 0 : settled
  if (covered.zeroIsNone && found === 0) return { soundness: 'none', settled: 0 }
  if (!covered.whole) return { soundness: 'unknown', settled: one }
  return { soundness: checksumOf(bytes, covered.from, covered.to, covered.initial) === 0 ? 'right' : 'wrong', settled: one }
}

interface Layer {
  readonly prefix: string
  readonly depth: number
  /** In what an ICMP error quotes: checksums there are as the offender had them, of bytes that may be missing. */
  readonly quoted?: boolean
}

interface Inside extends Layer {
  readonly proto: number
  readonly pseudo: number
  /** All of the IP payload is here. */
  readonly whole: boolean
}

class FieldReader {
  readonly drafts: Draft[] = []
  private readonly bytes: Uint8Array
  private readonly natPorts: ReadonlySet<number>
  private readonly tunnelPorts: ReadonlySet<number>

  constructor(bytes: Uint8Array, natPorts: ReadonlySet<number>, tunnelPorts: ReadonlySet<number>) {
    this.bytes = bytes
    this.natPorts = natPorts
    this.tunnelPorts = tunnelPorts
  }

  ethernet(at: number, end: number, layer: Layer): void {
    const { prefix } = layer
    if (end - at < 14) return this.rest(`${prefix}eth.truncated`, at, end)
    this.mac(`${prefix}eth.dst`, at)
    this.mac(`${prefix}eth.src`, at + 6)
    this.word(`${prefix}eth.type`, at + 12, 2)
    const type = read16(this.bytes, at + 12)
    if (type === ETHERTYPE_IPV4) this.ip(at + 14, end, layer)
    else if (type === ETHERTYPE_ARP) this.arp(at + 14, end, prefix)
    else this.rest(`${prefix}payload`, at + 14, end)
  }

  private arp(at: number, end: number, prefix: string): void {
    if (end - at < 28) return this.rest(`${prefix}arp.truncated`, at, end)
    this.word(`${prefix}arp.hardware`, at, 2)
    this.word(`${prefix}arp.protocol`, at + 2, 2)
    this.word(`${prefix}arp.lengths`, at + 4, 2)
    this.word(`${prefix}arp.operation`, at + 6, 2)
    this.mac(`${prefix}arp.sender-mac`, at + 8)
    this.address(`${prefix}arp.sender`, at + 14)
    this.mac(`${prefix}arp.target-mac`, at + 18)
    this.address(`${prefix}arp.target`, at + 24)
    this.rest(`${prefix}padding`, at + 28, end)
  }

  ip(at: number, end: number, layer: Layer): void {
    const { bytes } = this
    const { prefix } = layer
    const header = (bytes[at] & 15) * 4
    if (layer.depth > DEEPEST || end - at < 20 || bytes[at] >>> 4 !== 4 || header < 20 || end - at < header) return this.rest(`${prefix}ip.truncated`, at, end)
    this.word(`${prefix}ip.version`, at, 1)
    this.word(`${prefix}ip.tos`, at + 1, 1)
    this.word(`${prefix}ip.length`, at + 2, 2)
    this.word(`${prefix}ip.id`, at + 4, 2, 'ip-id')
    const fragment = read16(bytes, at + 6)
    this.add({ name: `${prefix}ip.flags`, at: at + 6, length: 1, value: fragment >>> 13, text: flagWords(fragment) })
    this.add({ name: `${prefix}ip.offset`, at: at + 6, length: 2, value: (fragment & 0x1fff) * 8, text: String((fragment & 0x1fff) * 8) })
    this.word(`${prefix}ip.ttl`, at + 8, 1)
    this.word(`${prefix}ip.proto`, at + 9, 1)
    this.checksum(`${prefix}ip.checksum`, at + 10, { from: at, to: at + header, initial: 0, whole: layer.quoted !== true, zeroIsNone: false })
    this.address(`${prefix}ip.src`, at + 12)
    this.address(`${prefix}ip.dst`, at + 16)
    this.rest(`${prefix}ip.options`, at + 20, at + header)
    const length = read16(bytes, at + 2)
    const stop = Math.max(at + header, Math.min(end, at + length))
    const proto = bytes[at + 9]
    if ((fragment & 0x1fff) !== 0) this.rest(`${prefix}fragment`, at + header, stop)
    else {
      const pseudo = pseudoHeaderSum(read32(bytes, at + 12), read32(bytes, at + 16), proto, stop - at - header)
      const whole = layer.quoted !== true && (fragment & 0x2000) === 0 && at + length <= end
      this.transport(at + header, stop, { ...layer, proto, pseudo, whole })
    }
    this.rest(`${prefix}padding`, stop, end)
  }

  private transport(at: number, end: number, inside: Inside): void {
    if (inside.proto === PROTO_ICMP && end - at >= 8) this.icmp(at, end, inside)
    else if (inside.proto === PROTO_TCP && end - at >= 20) this.tcp(at, end, inside)
    else if (inside.proto === PROTO_TCP && inside.quoted === true && end - at >= 8) this.tcpBeginning(at, end, inside.prefix)
    else if (inside.proto === PROTO_UDP && end - at >= 8) this.udp(at, end, inside)
    else if (inside.proto === PROTO_IPIP) this.ip(at, end, deeper(inside, 'inner.'))
    else this.rest(`${inside.prefix}payload`, at, end)
  }

  private icmp(at: number, end: number, inside: Inside): void {
    const { prefix, whole } = inside
    const type = this.bytes[at]
    this.word(`${prefix}icmp.type`, at, 1)
    this.word(`${prefix}icmp.code`, at + 1, 1)
    this.checksum(`${prefix}icmp.checksum`, at + 2, { from: at, to: end, initial: 0, whole, zeroIsNone: false })
    if (isError(type)) {
      this.word(`${prefix}icmp.rest`, at + 4, 2)
      this.word(type === 3 && this.bytes[at + 1] === 4 ? `${prefix}icmp.mtu` : `${prefix}icmp.rest-low`, at + 6, 2)
      return this.ip(at + 8, end, { ...deeper(inside, 'quote.'), quoted: true })
    }
    this.word(`${prefix}icmp.id`, at + 4, 2, 'icmp-id')
    this.word(`${prefix}icmp.sequence`, at + 6, 2)
    if (type === ICMP_TIMESTAMP_REPLY && end - at >= 20) {
      // the time of day at the answering host
      this.word(`${prefix}icmp.originate`, at + 8, 4)
      this.word(`${prefix}icmp.receive`, at + 12, 4, 'icmp-time')
      this.word(`${prefix}icmp.transmit`, at + 16, 4, 'icmp-time')
      return this.rest(`${prefix}payload`, at + 20, end)
    }
    this.rest(`${prefix}payload`, at + 8, end)
  }

  private udp(at: number, end: number, inside: Inside): void {
    const { bytes } = this
    const { prefix, pseudo, whole } = inside
    const dport = read16(bytes, at + 2)
    const tunnel = (dport === PORT_LINUX || dport === PORT_IANA || this.tunnelPorts.has(dport)) && end - at >= 16 && (bytes[at + 8] & 0x08) !== 0
    this.port(`${prefix}udp.sport`, at, tunnel ? 'vxlan-port' : undefined)
    this.port(`${prefix}udp.dport`, at + 2)
    this.word(`${prefix}udp.length`, at + 4, 2)
    this.checksum(`${prefix}udp.checksum`, at + 6, { from: at, to: end, initial: pseudo, whole, zeroIsNone: true })
    if (tunnel) {
      this.word(`${prefix}vxlan.flags`, at + 8, 2)
      this.word(`${prefix}vxlan.policy`, at + 10, 2)
      this.add({ name: `${prefix}vxlan.vni`, at: at + 12, length: 3, value: read32(bytes, at + 12) >>> 8, text: String(read32(bytes, at + 12) >>> 8) })
      this.word(`${prefix}vxlan.reserved`, at + 15, 1)
      return this.ethernet(at + 16, end, deeper(inside, 'inner.'))
    }
    if (isFlannelUdp(bytes, at, end)) return this.ip(at + 8, end, deeper(inside, 'inner.'))
    this.rest(`${prefix}payload`, at + 8, end)
  }

  /** Of a quotation that ends there (RFC 792: 64 bits). */
  private tcpBeginning(at: number, end: number, prefix: string): void {
    this.port(`${prefix}tcp.sport`, at)
    this.port(`${prefix}tcp.dport`, at + 2)
    this.word(`${prefix}tcp.sequence`, at + 4, 4, 'tcp-sequence')
    this.rest(`${prefix}payload`, at + 8, end)
  }

  private tcp(at: number, end: number, inside: Inside): void {
    const { bytes } = this
    const { prefix, pseudo, whole } = inside
    const flags = bytes[at + 13]
    this.port(`${prefix}tcp.sport`, at)
    this.port(`${prefix}tcp.dport`, at + 2)
    // what answers nothing and opens nothing has no number of its own
    this.word(`${prefix}tcp.sequence`, at + 4, 4, read32(bytes, at + 4) === 0 && (flags & TCP_SYN) === 0 ? undefined : 'tcp-sequence')
    this.word(`${prefix}tcp.acknowledgement`, at + 8, 4, (flags & TCP_ACK) === 0 ? undefined : 'tcp-sequence')
    this.word(`${prefix}tcp.data-offset`, at + 12, 1)
    this.add({ name: `${prefix}tcp.flags`, at: at + 13, length: 1, value: flags, text: tcpFlags(flags) })
    this.word(`${prefix}tcp.window`, at + 14, 2)
    this.checksum(`${prefix}tcp.checksum`, at + 16, { from: at, to: end, initial: pseudo, whole, zeroIsNone: false })
    this.word(`${prefix}tcp.urgent`, at + 18, 2)
    const options = Math.max(at + 20, Math.min(end, at + (bytes[at + 12] >>> 4) * 4))
    this.tcpOptions(prefix, at + 20, options)
    this.rest(`${prefix}payload`, options, end)
  }

  /** The two numbers of a timestamp are chance, an echo of zero is none (RFC 7323 §3.2); all else stands as it is. */
  private tcpOptions(prefix: string, from: number, to: number): void {
    const { bytes } = this
    const name = `${prefix}tcp.options`
    let plain = from
    let at = from
    while (at < to && bytes[at] !== 0) {
      const length = bytes[at] === 1 ? 1 : bytes[at + 1]
      if (at + 1 >= to || length < 1 || at + length > to) break
      if (bytes[at] === TCP_OPTION_TIMESTAMP && length === 10 && (at - from) % 2 === 0) {
        this.rest(name, plain, at + 2)
        this.word(`${prefix}tcp.timestamp`, at + 2, 4, 'tcp-timestamp')
        this.word(`${prefix}tcp.timestamp-echo`, at + 6, 4, read32(bytes, at + 6) === 0 ? undefined : 'tcp-timestamp')
        plain = at + 10
      }
      at += length
    }
    this.rest(name, plain, to)
  }

  private add(draft: Draft): void {
    this.drafts.push(draft)
  }

  private checksum(name: string, at: number, covered: Covered): void {
    const value = read16(this.bytes, at)
    this.add({ name, at, length: 2, value, text: hexWord(value), covered })
  }

  private word(name: string, at: number, length: 1 | 2 | 4, chance?: Chance): void {
    const { bytes } = this
    const value = length === 1 ? bytes[at] : length === 2 ? read16(bytes, at) : read32(bytes, at) >>> 0
    this.add({
      name,
      at,
      length,
      value,
      text: HEXADECIMAL.test(name) ? hexWord(value, length * 2) : String(value),
      ...(chance === undefined ? {} : { chance }),
    })
  }

  private port(name: string, at: number, chance?: Chance): void {
    this.word(name, at, 2, this.natPorts.has(read16(this.bytes, at)) ? 'nat-port' : chance)
  }

  private mac(name: string, at: number): void {
    this.add({ name, at, length: 6, value: 6, text: formatMac(macOf(read16(this.bytes, at), read32(this.bytes, at + 2))) })
  }

  private address(name: string, at: number): void {
    const value = read32(this.bytes, at)
    this.add({ name, at, length: 4, value: value >>> 0, text: formatIp(value) })
  }

  private rest(name: string, from: number, to: number): void {
    if (to > from) this.add({ name, at: from, length: to - from, value: to - from, text: `${to - from} bytes` })
  }
}

/** Between two of its ports, or, where NAT has changed them, with an IP packet of that very length and a sound header. */
function isFlannelUdp(bytes: Uint8Array, at: number, end: number): boolean {
  if (end - at < 9 || bytes[at + 8] >>> 4 !== 4) return false
  if (read16(bytes, at) === PORT_FLANNEL_UDP && read16(bytes, at + 2) === PORT_FLANNEL_UDP) return true
  const header = (bytes[at + 8] & 15) * 4
  return header >= 20 && end - at >= 8 + header && read16(bytes, at + 10) === read16(bytes, at + 4) - 8 && headerFaultOf(bytes, at + 8, header) === 0
}

const HEXADECIMAL = /(eth\.type|ip\.version|ip\.tos|arp\.hardware|arp\.protocol|arp\.lengths|vxlan\.flags|vxlan\.policy|tcp\.data-offset)$/

function deeper(inside: Layer, word: string): Layer {
  return { prefix: inside.prefix + word, depth: inside.depth + 1, ...(inside.quoted === true ? { quoted: true } : {}) }
}

function flagWords(fragment: number): string {
  const words = ['MF', 'DF', 'reserved'].filter((_, bit) => (fragment & (0x2000 << bit)) !== 0)
  return words.join(' ') || 'none'
}

function tcpFlags(flags: number): string {
  return [...'FSRP.UEW'].filter((_, bit) => (flags & (1 << bit)) !== 0).join('') || 'none'
}
