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

export interface CaptureHead {
  /** Of the section: shb_hardware, shb_os, shb_userappl, comments. */
  readonly hardware: string
  readonly os: string
  readonly application: string
  readonly comments: readonly string[]
  readonly interfaces: readonly CaptureInterface[]
}

export interface Capture extends CaptureHead {
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
/** epb_flags, bits 0 and 1. */
export const FLAGS_INBOUND = 1
export const FLAGS_OUTBOUND = 2
const RECEPTIONS: readonly ReceptionType[] = ['unspecified', 'unicast', 'multicast', 'broadcast', 'promiscuous']
/** An option's length is a 16-bit number. */
const OPTION_MOST = 0xffff

/** Of a section: before the length of all that follows in it, and before its options. */
const SECTION_LENGTH_AT = 16
const SECTION_HEAD = 24
const INTERFACE_HEAD = 16
const PACKET_HEAD = 28
const OPTION_HEAD = 4
const TWO_32 = 0x100000000
const FIRST_BYTES = 1 << 14

/** The whole file. A text that is longer than an option can be ends in `…`. */
export function encodePcapng(capture: Capture): Uint8Array {
  const writer = new PcapngWriter(capture)
  for (const { bytes, comments, ...packet } of capture.packets) {
    const at = writer.open(packet.interface, packet.timeNs, bytes.length)
    writer.bytes.set(bytes, at)
    for (const comment of comments) writer.comment(comment)
    writer.close((packet.direction === 'inbound' ? FLAGS_INBOUND : FLAGS_OUTBOUND) | (RECEPTIONS.indexOf(packet.reception) << 2), packet.id, packet.dropped)
  }
  return writer.take()
}

/** A file that grows packet by packet in one piece of memory: each is opened, its bytes are put where open() says, and it is closed. */
export class PcapngWriter {
  /** Good until the next call. */
  bytes = new Uint8Array(FIRST_BYTES)
  private view = new DataView(this.bytes.buffer)
  private length = 0
  private start = 0
  private headLength = 0
  private readonly interfaces: number

  constructor({ hardware, os, application, comments, interfaces }: CaptureHead) {
    this.interfaces = interfaces.length
    this.begin(SECTION_HEADER, SECTION_HEAD)
    this.view.setUint32(8, BYTE_ORDER_MAGIC, true)
    this.view.setUint32(12, 1, true)
    // of a length that is not known
    this.view.setInt32(SECTION_LENGTH_AT, -1, true)
    this.view.setInt32(SECTION_LENGTH_AT + 4, -1, true)
    for (const comment of comments) this.text(COMMENT, comment)
    this.text(HARDWARE, hardware)
    this.text(OS, os)
    this.text(APPLICATION, application)
    this.end()
    this.headLength = this.length
    for (const one of interfaces) this.interface(one)
  }

  /**
   * Begins a packet of `length` bytes that interface number `index` saw `timeNs` after 1970-01-01 00:00:00 UTC.
   * @returns where in `bytes` they go, all of them to be written before the next call
   */
  open(index: number, timeNs: number, length: number): number {
    assert(index >= 0 && index < this.interfaces, 'a packet of an interface that is not described')
    const padded = (length + 3) & ~3
    this.begin(ENHANCED_PACKET, PACKET_HEAD + padded)
    const { view, start } = this
    const high = upperHalf(timeNs)
    view.setUint32(start + 8, index, true)
    view.setUint32(start + 12, high, true)
    view.setUint32(start + 16, timeNs - high * TWO_32, true)
    view.setUint32(start + 20, length, true)
    view.setUint32(start + 24, length, true)
    // what pads the last word; the frame's own bytes are written over
    if (padded !== length) view.setUint32(start + PACKET_HEAD + padded - 4, 0, true)
    return start + PACKET_HEAD
  }

  /** Of the packet that is open, behind its bytes. */
  comment(text: string): void {
    this.text(COMMENT, text)
  }

  /** @param flags FLAGS_*, and the reception type from bit 2 on. @param id the same wherever the same packet is seen */
  close(flags: number, id: number, dropped: boolean): void {
    this.reserve(2 * OPTION_HEAD + 12)
    const { view, length } = this
    const high = upperHalf(id)
    view.setUint32(length, PACKET_FLAGS | (4 << 16), true)
    view.setUint32(length + 4, flags, true)
    view.setUint32(length + 8, PACKET_ID | (8 << 16), true)
    view.setUint32(length + 12, id - high * TWO_32, true)
    view.setUint32(length + 16, high, true)
    this.length = length + 20
    if (dropped) this.option(PACKET_VERDICT, Uint8Array.of(VERDICT_TC, TC_ACT_SHOT, 0, 0, 0, 0, 0, 0, 0))
    this.end()
  }

  /** Bytes that wait to be taken. */
  get size(): number {
    return this.length
  }

  /** The whole file, in memory of its own. Not after drain(). */
  take(): Uint8Array {
    assert(this.headLength > 0, 'of the file nothing is gone yet')
    const rest = this.length - this.headLength
    const high = upperHalf(rest)
    this.view.setUint32(SECTION_LENGTH_AT, rest - high * TWO_32, true)
    this.view.setUint32(SECTION_LENGTH_AT + 4, high, true)
    return this.bytes.slice(0, this.length)
  }

  /**
   * The next piece of the file, from where the last one ended; good until the next call, since its memory is written again: a long capture is then
   * written in memory that is in the processor's cache, where fresh memory costs more than the frames. The section does not say its length.
   */
  drain(): Uint8Array {
    const piece = this.bytes.subarray(0, this.length)
    this.length = 0
    this.headLength = 0
    return piece
  }

  private interface({ name, description, linkType, mac }: CaptureInterface): void {
    this.begin(INTERFACE_DESCRIPTION, INTERFACE_HEAD)
    this.view.setUint32(this.start + 8, linkType, true)
    // A snapshot length of 0 is no limit.
    this.view.setUint32(this.start + 12, 0, true)
    this.text(IF_NAME, name)
    if (description !== undefined) this.text(IF_DESCRIPTION, description)
    if (mac !== undefined) this.option(IF_MAC_ADDRESS, mac)
    this.option(IF_TIMESTAMP_RESOLUTION, Uint8Array.of(NANOSECONDS))
    this.end()
  }

  /** `length`: of its type, its length and its fields. */
  private begin(type: number, length: number): void {
    this.start = this.length
    this.reserve(length)
    this.view.setUint32(this.start, type, true)
    this.length = this.start + length
  }

  /** The end of options, and the length at both ends. */
  private end(): void {
    this.reserve(8)
    const { view, start, length } = this
    const whole = length + 8 - start
    view.setUint32(length, END_OF_OPTIONS, true)
    view.setUint32(length + 4, whole, true)
    view.setUint32(start + 4, whole, true)
    this.length = length + 8
  }

  private text(code: number, text: string): void {
    this.option(code, utf8(text))
  }

  private option(code: number, value: Uint8Array): void {
    const padded = (value.length + 3) & ~3
    this.reserve(OPTION_HEAD + padded)
    const at = this.length
    this.view.setUint32(at, code | (value.length << 16), true)
    if (padded > 0) this.view.setUint32(at + OPTION_HEAD + padded - 4, 0, true)
    this.bytes.set(value, at + OPTION_HEAD)
    this.length = at + OPTION_HEAD + padded
  }

  /** Room for so many bytes more. */
  private reserve(more: number): void {
    const { bytes, length } = this
    if (length + more <= bytes.length) return
    this.bytes = new Uint8Array(Math.max(2 * bytes.length, length + more))
    this.bytes.set(bytes.subarray(0, length))
    this.view = new DataView(this.bytes.buffer)
  }
}

/** Of a whole number of 64 bits, of which a double holds 53. */
function upperHalf(value: number): number {
  assert(Number.isSafeInteger(value) && value >= 0, 'a pcapng number is whole and not negative')
  return Math.floor(value / TWO_32)
}

/** At most what an option holds, cut between two letters. */
function utf8(text: string): Uint8Array {
  const whole = new TextEncoder().encode(text)
  if (whole.length <= OPTION_MOST) return whole
  const cut = new Uint8Array(OPTION_MOST)
  const { read } = new TextEncoder().encodeInto(text, cut.subarray(0, OPTION_MOST - 3))
  return new TextEncoder().encode(`${text.slice(0, read)}…`)
}
