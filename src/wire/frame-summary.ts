/**
 * A frame in words, one tcpdump-like line per layer, each layer two spaces further in: what is in the bytes, read by the headers' own
 * decoders and not through a row, so that packets that no row can say are worded too. Any bytes give lines; what is wrong stands in brackets.
 */
import * as arp from './arp.js'
import { hexWord } from './bytes.js'
import { checksumOf, pseudoHeaderSum, updateChecksum } from './checksum.js'
import * as ethernet from './ethernet.js'
import { type FrameOptions, PORT_FLANNEL_UDP } from './frame-decode.js'
import * as icmp from './icmp.js'
import * as ipv4 from './ipv4.js'
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, PROTO_ICMP, PROTO_IPIP, PROTO_SCTP, PROTO_TCP, PROTO_UDP } from './packet.js'
import * as sctp from './sctp.js'
import * as tcp from './tcp.js'
import * as udp from './udp.js'
import * as vxlan from './vxlan.js'
import * as wireguard from './wireguard.js'

/** Layers that are still worded; hostile bytes can nest thousands. */
const DEEPEST = 24

/** Lines joined by newlines, without one at the end. */
export function summarizeFrame(bytes: Uint8Array, options: FrameOptions): string {
  const lines: string[] = []
  if (options.link === 'none') ipLines(bytes, lines)
  else ethernetLines(bytes, lines)
  return lines.join('\n')
}

function add(lines: string[], text: string): boolean {
  lines.push(`${'  '.repeat(lines.length)}${text}`)
  return lines.length < DEEPEST
}

function ethernetLines(bytes: Uint8Array, lines: string[]): void {
  const header = ethernet.decode(bytes, 0)
  if (typeof header === 'string') {
    add(lines, `[${header}]`)
    return
  }
  if (!add(lines, `${ethernet.summary(header)}, length ${bytes.length}`)) return
  if (header.etherType === ETHERTYPE_IPV4) {
    ipLines(bytes.subarray(ethernet.LENGTH), lines)
  } else if (header.etherType === ETHERTYPE_ARP) {
    const fields = arp.decode(bytes, ethernet.LENGTH)
    add(lines, typeof fields === 'string' ? `[${fields}]` : arp.summary(fields))
  }
}

function ipLines(bytes: Uint8Array, lines: string[]): void {
  const header = ipv4.decode(bytes, 0)
  if (typeof header === 'string') {
    add(lines, `[${header}]`)
    return
  }
  const note = checksumNote(header.checksum, checksumOf(bytes, 0, header.headerLength))
  const cut = bytes.length < header.ipLength ? ` [cut to ${bytes.length}]` : ''
  if (!add(lines, `${ipv4.summary(header)}${note}${cut}`)) return
  const payload = bytes.subarray(header.headerLength, header.ipLength)
  if (header.fragmentOffset !== 0) {
    add(lines, `fragment, bytes ${header.fragmentOffset} to ${header.fragmentOffset + header.ipLength - header.headerLength - 1} of the IP payload`)
    return
  }
  l4Lines(header, payload, lines)
}

function l4Lines(header: ipv4.Decoded, payload: Uint8Array, lines: string[]): void {
  switch (header.proto) {
    case PROTO_UDP:
      udpLines(header, payload, lines)
      break
    case PROTO_TCP: {
      const fields = tcp.decode(payload, 0)
      if (typeof fields === 'string') {
        add(lines, `[${fields}]`)
        break
      }
      add(lines, `${tcp.summary(fields)}, length ${payload.length - fields.headerLength}${l4ChecksumNote(header, payload, fields.checksum)}`)
      break
    }
    case PROTO_ICMP:
      icmpLines(header, payload, lines)
      break
    case PROTO_SCTP: {
      const fields = sctp.decode(payload, 0)
      add(lines, typeof fields === 'string' ? `[${fields}]` : `${sctp.summary(fields)}, length ${payload.length - sctp.LENGTH}`)
      break
    }
    case PROTO_IPIP:
      ipLines(payload, lines)
      break
  }
}

function udpLines(header: ipv4.Decoded, payload: Uint8Array, lines: string[]): void {
  const fields = udp.decode(payload, 0)
  if (typeof fields === 'string') {
    add(lines, `[${fields}]`)
    return
  }
  const note = fields.checksum === 0 ? ' [no cksum]' : l4ChecksumNote(header, payload, fields.checksum)
  if (!add(lines, `${udp.summary(fields)}${note}`)) return
  if (fields.sport === PORT_FLANNEL_UDP && fields.dport === PORT_FLANNEL_UDP) ipLines(payload.subarray(udp.LENGTH), lines)
  if (fields.dport !== vxlan.PORT_LINUX && fields.dport !== vxlan.PORT_IANA) {
    // its port is anybody's choice, its form is not: three zero bytes after the type, and a length for each type
    const message = header.moreFragments === 0 ? wireguard.decode(payload.subarray(0, fields.length), udp.LENGTH) : 'wireguard-truncated'
    if (typeof message !== 'string') add(lines, wireguard.summary(message))
    return
  }
  const tunnel = vxlan.decode(payload, udp.LENGTH)
  if (typeof tunnel === 'string') {
    add(lines, `[${tunnel}]`)
  } else if (add(lines, vxlan.summary(tunnel))) {
    ethernetLines(payload.subarray(udp.LENGTH + vxlan.LENGTH), lines)
  }
}

function icmpLines(header: ipv4.Decoded, payload: Uint8Array, lines: string[]): void {
  const fields = icmp.decode(payload, 0)
  if (typeof fields === 'string') {
    add(lines, `[${fields}]`)
    return
  }
  const note = l4ChecksumNote(header, payload, fields.checksum)
  const deeper = add(lines, `${icmp.summary(fields)}, length ${payload.length}${note}`)
  if (deeper && icmp.isError(fields.sport)) ipLines(payload.subarray(icmp.LENGTH), lines)
}

/** Says nothing where bytes that the checksum covers are elsewhere: in another fragment, or cut off. */
function l4ChecksumNote(header: ipv4.Decoded, payload: Uint8Array, found: number): string {
  if (header.moreFragments !== 0 || payload.length !== header.ipLength - header.headerLength) return ''
  const initial = header.proto === PROTO_ICMP ? 0 : pseudoHeaderSum(header.src, header.dst, header.proto, payload.length)
  return checksumNote(found, checksumOf(payload, 0, payload.length, initial))
}

/** The checksum over all that it covers and over itself is zero when it is right. */
function checksumNote(found: number, residue: number): string {
  return residue === 0 ? '' : ` [bad cksum ${hexWord(found)}, should be ${hexWord(updateChecksum(residue, found, 0))}]`
}
