/**
 * From frames to a pcapng file, and no way back: one section, its interfaces, its packets. Little-endian.
 *
 *   Section Header | Interface Description … | Enhanced Packet …
 *
 * Source: draft-ietf-opsawg-pcapng sections 3.1 (blocks), 3.5 (options), 4.1 (section), 4.2 (interface), 4.3 (packet).
 */
import { assert } from '../base/assert.js'

/** draft-ietf-opsawg-pcaplinktype: frames begin with an Ethernet header. */
export const LINKTYPE_ETHERNET = 1
/** Frames begin with an IPv4 or IPv6 header: what a packet socket gives of TUN, IPIP and WireGuard devices. */
export const LINKTYPE_RAW = 101

export interface Capture {
  /** Of the section: shb_hardware, shb_os, shb_userappl, comments. */
  readonly hardware: string
  readonly os: string
  readonly application: string
  readonly comments: readonly string[]
  readonly interfaces: readonly CaptureInterface[]
  readonly packets: readonly CapturedPacket[]
}

export interface CaptureInterface {
  readonly name: string
  readonly description?: string
  /** LINKTYPE_*. */
  readonly linkType: number
  /** Six bytes. */
  readonly mac?: Uint8Array
}

export type ReceptionType = 'unspecified' | 'unicast' | 'multicast' | 'broadcast' | 'promiscuous'

export interface CapturedPacket {
  /** Index of its interface. */
  readonly interface: number
  /** Nanoseconds since 1970-01-01 00:00:00 UTC. */
  readonly timeNs: number
  readonly bytes: Uint8Array
  readonly direction: 'inbound' | 'outbound'
  readonly reception: ReceptionType
  /** The same wherever the same packet is seen (epb_packetid). */
  readonly id: number
  /** It was dropped after this interface saw it. */
  readonly dropped: boolean
  readonly comments: readonly string[]
}

const SECTION_HEADER = 0x0a0d0d0a
const INTERFACE_DESCRIPTION = 1
const ENHANCED_PACKET = 6
const BYTE_ORDER_MAGIC = 0x1a2b3c4d

// Options of every block (section 3.5), of the section (4.1), of an interface (4.2), of a packet (4.3).
const END_OF_OPTIONS = 0
const COMMENT = 1
const HARDWARE = 2
const OS = 3
const APPLICATION = 4
const IF_NAME = 2
const IF_DESCRIPTION = 3
const IF_MAC_ADDRESS = 6
const IF_TIMESTAMP_RESOLUTION = 9
const PACKET_FLAGS = 2
const PACKET_ID = 5
const PACKET_VERDICT = 7

/** 10^-9 s. */
const NANOSECONDS = 9
/** Of epb_verdict: Linux_eBPF_TC, and TC_ACT_SHOT of include/uapi/linux/pkt_cls.h: the one way of the format to say that Linux dropped it. */
const VERDICT_TC = 1
const TC_ACT_SHOT = 2
const RECEPTIONS: readonly ReceptionType[] = ['unspecified', 'unicast', 'multicast', 'broadcast', 'promiscuous']
/** An option's length is a 16-bit number. */
const OPTION_MOST = 0xffff

/** The whole file. A text that is longer than an option can be ends in `…`. */
export function encodePcapng(capture: Capture): Uint8Array {
  const blocks = [
    ...capture.interfaces.map(interfaceBlock),
    ...capture.packets.map((packet) => {
      assert(packet.interface >= 0 && packet.interface < capture.interfaces.length, 'a packet of an interface that is not described')
      return packetBlock(packet)
    }),
  ]
  const length = blocks.reduce((sum, { length }) => sum + length, 0)
  return joined([sectionBlock(capture, length), ...blocks])
}

/** `length`: of all that follows in the section. */
function sectionBlock({ hardware, os, application, comments }: Capture, length: number): Uint8Array {
  const options = [...comments.map((comment) => textOption(COMMENT, comment)), textOption(HARDWARE, hardware), textOption(OS, os)]
  return block(SECTION_HEADER, [words(BYTE_ORDER_MAGIC), shorts(1, 0), double(length)], [...options, textOption(APPLICATION, application)])
}

function interfaceBlock({ name, description, linkType, mac }: CaptureInterface): Uint8Array {
  const options = [textOption(IF_NAME, name)]
  if (description !== undefined) options.push(textOption(IF_DESCRIPTION, description))
  if (mac !== undefined) options.push(option(IF_MAC_ADDRESS, mac))
  // A snapshot length of 0 is no limit.
  return block(INTERFACE_DESCRIPTION, [shorts(linkType, 0), words(0)], [...options, option(IF_TIMESTAMP_RESOLUTION, Uint8Array.of(NANOSECONDS))])
}

function packetBlock(packet: CapturedPacket): Uint8Array {
  const { bytes } = packet
  const time = double(packet.timeNs)
  const fields = [words(packet.interface), time.subarray(4), time.subarray(0, 4), words(bytes.length, bytes.length), padded(bytes)]
  const flags = (packet.direction === 'inbound' ? 1 : 2) | (RECEPTIONS.indexOf(packet.reception) << 2)
  const options = packet.comments.map((comment) => textOption(COMMENT, comment))
  options.push(option(PACKET_FLAGS, words(flags)), option(PACKET_ID, double(packet.id)))
  if (packet.dropped) options.push(option(PACKET_VERDICT, joined([Uint8Array.of(VERDICT_TC), double(TC_ACT_SHOT)])))
  return block(ENHANCED_PACKET, fields, options)
}

/** Type, length, body, options and their end, length. */
function block(type: number, fields: readonly Uint8Array[], options: readonly Uint8Array[]): Uint8Array {
  const body = joined([...fields, ...options, shorts(END_OF_OPTIONS, 0)])
  const length = words(body.length + 12)
  return joined([words(type), length, body, length])
}

function option(code: number, value: Uint8Array): Uint8Array {
  return joined([shorts(code, value.length), padded(value)])
}

function textOption(code: number, text: string): Uint8Array {
  return option(code, utf8(text))
}

/** At most what an option holds, cut between two letters. */
function utf8(text: string): Uint8Array {
  const whole = new TextEncoder().encode(text)
  if (whole.length <= OPTION_MOST) return whole
  const cut = new Uint8Array(OPTION_MOST)
  const { read } = new TextEncoder().encodeInto(text, cut.subarray(0, OPTION_MOST - 3))
  return new TextEncoder().encode(`${text.slice(0, read)}…`)
}

/** To a multiple of four, with zeros. */
function padded(bytes: Uint8Array): Uint8Array {
  if (bytes.length % 4 === 0) return bytes
  const filled = new Uint8Array((bytes.length + 3) & ~3)
  filled.set(bytes)
  return filled
}

function shorts(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 2)
  const view = new DataView(bytes.buffer)
  values.forEach((value, index) => view.setUint16(index * 2, value, true))
  return bytes
}

function words(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4)
  const view = new DataView(bytes.buffer)
  values.forEach((value, index) => view.setUint32(index * 4, value, true))
  return bytes
}

/** A whole number of 64 bits, of which a double holds 53. */
function double(value: number): Uint8Array {
  assert(Number.isSafeInteger(value) && value >= 0, 'a pcapng number is whole and not negative')
  return words(value % 0x100000000, Math.floor(value / 0x100000000))
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
