/** What the wire tests share: annotated hex, and rows by their differences from a blank one. */
import { readdirSync, readFileSync } from 'node:fs'
import { ip } from '../../src/base/ip.js'
import { macHigh, macLow, parseMac } from '../../src/base/mac.js'
import { Packet } from '../../src/wire/packet.js'

/** Bytes of hex text; spaces, newlines and everything from `#` to the end of a line are for people. */
export function hex(text: string): Uint8Array {
  const digits = text.replace(/#.*$/gm, '').replace(/\s+/g, '')
  if (digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits)) throw new TypeError(`not hex: ${text}`)
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16))
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

export function row(fields: Partial<Packet>): Packet {
  return Object.assign(new Packet(), fields)
}

export const ETHERNET = { ...macs('0a:00:00:00:00:02', 'fe:dc:ba:98:76:54'), etherType: 0x0800 }

export function macs(dst: string, src: string): Partial<Packet> {
  const [to, from] = [parseMac(dst), parseMac(src)]
  if (to === undefined || from === undefined) throw new TypeError('not a MAC')
  return { dstMacHigh: macHigh(to), dstMacLow: macLow(to), srcMacHigh: macHigh(from), srcMacLow: macLow(from) }
}

/** A whole UDP packet with a pattern payload. */
export function udpRow(payloadLength: number, fields: Partial<Packet> = {}): Packet {
  return row({
    ...ETHERNET,
    src: ip('10.1.15.2'),
    dst: ip('10.1.20.3'),
    proto: 17,
    ttl: 64,
    ipId: 1,
    ipLength: 28 + payloadLength,
    sport: 40000,
    dport: 9000,
    payloadLength,
    ...fields,
  })
}

/** The inner frame in VXLAN from 192.168.0.100 to .200. */
export function vxlanRow(inner: Packet, innerLength: number, fields: Partial<Packet> = {}): Packet {
  return udpRow(0, {
    src: ip('192.168.0.100'),
    dst: ip('192.168.0.200'),
    sport: 45723,
    dport: 8472,
    ipLength: 36 + innerLength,
    vni: 1,
    payloadKind: 1,
    payloadLength: innerLength,
    inner,
    ...fields,
  })
}

export interface RecordedFrame {
  readonly recording: string
  readonly ns: string
  readonly dev: string
  readonly link: 'ethernet' | 'none'
  readonly bytes: Uint8Array
}

interface Recording {
  readonly state: Record<string, { readonly addr: string }>
  readonly probes: readonly { readonly frames: readonly { readonly ns: string; readonly dev: string; readonly hex: string }[] }[]
}

/** Every frame that the real kernel's packet sockets saw, IPv6 left out. */
export function recordedFrames(): RecordedFrame[] {
  const folder = new URL('../recordings/', import.meta.url)
  return readdirSync(folder)
    .filter((name) => name.endsWith('.rec.json'))
    .flatMap((name) => framesOf(name, JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Recording))
}

function framesOf(recording: string, { state, probes }: Recording): RecordedFrame[] {
  const bare = new Set<string>()
  for (const [ns, { addr }] of Object.entries(state)) {
    for (const link of JSON.parse(addr) as { ifname: string; link_type: string }[]) if (link.link_type === 'none') bare.add(`${ns} ${link.ifname}`)
  }
  return probes
    .flatMap((probe) => probe.frames)
    .map(({ ns, dev, hex: text }): RecordedFrame => ({ recording, ns, dev, link: bare.has(`${ns} ${dev}`) ? 'none' : 'ethernet', bytes: hex(text) }))
    .filter(({ link, bytes }) => link === 'none' || bytes[12] !== 0x86 || bytes[13] !== 0xdd)
}
