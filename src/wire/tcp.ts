/**
 * The TCP header (RFC 9293 §3.1) and the options that Linux sends: mss (RFC 9293 §3.2), sackOK (RFC 2018), timestamps and window scale
 * (RFC 7323). A row knows the three layouts of tcp_options_write(); the decoder lists whatever it finds. The checksum covers the payload
 * and a pseudo header, so encode writes zero and frame.ts completes it.
 *
 *   0 source port(2) | 2 destination port(2) | 4 sequence(4) | 8 acknowledgement(4) | 12 data offset, flags(2) | 14 window(2)
 *   16 checksum(2) | 18 urgent(2) | 20 options
 */
import { read16, read32, write16, write32 } from './bytes.js'
import { TCP_ACK, TCP_OPTIONS_MSS, TCP_OPTIONS_NONE, TCP_OPTIONS_SYN, TCP_OPTIONS_TIMESTAMP, tcpHeaderLength, type Packet } from './packet.js'

/** Without options. */
export const LENGTH = 20
export const CHECKSUM_AT = 16
export const OPTIONS_SYN_LENGTH = 20
export const OPTIONS_TIMESTAMP_LENGTH = 12
export const OPTIONS_MSS_LENGTH = 4

type Row = 'sport' | 'dport' | 'tcpSeq' | 'tcpAck' | 'tcpFlags' | 'tcpWindow' | 'tcpOptions' | 'tcpMss' | 'tcpWscale' | 'tcpTsVal' | 'tcpTsEcr'

export interface Fields extends Readonly<Pick<Packet, Row>> {}

export interface Decoded extends Fields {
  readonly checksum: number
  /** Options included. */
  readonly headerLength: number
  readonly urgentPointer: number
  /** The options, each as tcpdump would word it. */
  readonly optionList: readonly string[]
  /** encode gives these bytes back: the options stand in a layout that a row knows, and nothing is urgent. */
  readonly representable: boolean
}

export type DecodeError = 'tcp-truncated' | 'tcp-data-offset' | 'tcp-option-length'

const OPTION_EOL = 0
const OPTION_NOP = 1
const OPTION_MSS = 2
const OPTION_WSCALE = 3
const OPTION_SACK_PERMITTED = 4
const OPTION_TIMESTAMP = 8

/** Kind and length of a timestamp option behind two paddings, and what stands before and after the timestamps in a SYN. */
const NOP_NOP_TIMESTAMP = 0x0101080a
const SACK_PERMITTED_TIMESTAMP = 0x0402080a
const MSS_HEAD = 0x0204
const NOP_WSCALE = 0x0103

export function decode(bytes: Uint8Array, offset: number): Decoded | DecodeError {
  const available = bytes.length - offset
  if (available < LENGTH) return 'tcp-truncated'
  const headerLength = (bytes[offset + 12] >>> 4) * 4
  if (headerLength < LENGTH) return 'tcp-data-offset'
  if (available < headerLength) return 'tcp-truncated'
  const found = readOptions(bytes, offset + LENGTH, offset + headerLength)
  if (found === undefined) return 'tcp-option-length'
  const urgentPointer = read16(bytes, offset + 18)
  const tcpOptions = layoutOf(bytes, offset, headerLength)
  return {
    sport: read16(bytes, offset),
    dport: read16(bytes, offset + 2),
    tcpSeq: read32(bytes, offset + 4),
    tcpAck: read32(bytes, offset + 8),
    tcpFlags: read16(bytes, offset + 12) & 0xfff,
    tcpWindow: read16(bytes, offset + 14),
    tcpOptions: tcpOptions ?? TCP_OPTIONS_NONE,
    tcpMss: found.mss,
    tcpWscale: found.wscale,
    tcpTsVal: found.tsVal,
    tcpTsEcr: found.tsEcr,
    checksum: read16(bytes, offset + CHECKSUM_AT),
    headerLength,
    urgentPointer,
    optionList: found.words,
    representable: tcpOptions !== undefined && urgentPointer === 0,
  }
}

function layoutOf(bytes: Uint8Array, offset: number, headerLength: number): number | undefined {
  const options = offset + LENGTH
  switch (headerLength - LENGTH) {
    case 0:
      return TCP_OPTIONS_NONE
    case OPTIONS_MSS_LENGTH:
      return read16(bytes, options) === MSS_HEAD ? TCP_OPTIONS_MSS : undefined
    case OPTIONS_TIMESTAMP_LENGTH:
      return read32(bytes, options) === NOP_NOP_TIMESTAMP ? TCP_OPTIONS_TIMESTAMP : undefined
    case OPTIONS_SYN_LENGTH: {
      const asLinux =
        read16(bytes, options) === MSS_HEAD &&
        read32(bytes, options + 4) === SACK_PERMITTED_TIMESTAMP &&
        read16(bytes, options + 16) === NOP_WSCALE &&
        bytes[options + 18] === 3
      return asLinux ? TCP_OPTIONS_SYN : undefined
    }
    default:
      return undefined
  }
}

interface FoundOptions {
  mss: number
  wscale: number
  tsVal: number
  tsEcr: number
  readonly words: string[]
}

/** undefined when an option's length runs past the header or below its own two bytes. */
function readOptions(bytes: Uint8Array, start: number, end: number): FoundOptions | undefined {
  const found: FoundOptions = { mss: 0, wscale: 0, tsVal: 0, tsEcr: 0, words: [] }
  for (let at = start; at < end;) {
    const kind = bytes[at]
    if (kind === OPTION_EOL) {
      found.words.push('eol')
      break
    }
    if (kind === OPTION_NOP) {
      found.words.push('nop')
      at++
      continue
    }
    const length = at + 1 < end ? bytes[at + 1] : 0
    if (length < 2 || at + length > end) return undefined
    readOption(bytes, at, length, found)
    at += length
  }
  return found
}

function readOption(bytes: Uint8Array, at: number, length: number, found: FoundOptions): void {
  const kind = bytes[at]
  if (kind === OPTION_MSS && length === 4) {
    found.mss = read16(bytes, at + 2)
    found.words.push(`mss ${found.mss}`)
  } else if (kind === OPTION_WSCALE && length === 3) {
    found.wscale = bytes[at + 2]
    found.words.push(`wscale ${found.wscale}`)
  } else if (kind === OPTION_SACK_PERMITTED && length === 2) {
    found.words.push('sackOK')
  } else if (kind === OPTION_TIMESTAMP && length === 10) {
    found.tsVal = read32(bytes, at + 2)
    found.tsEcr = read32(bytes, at + 6)
    found.words.push(timestampWord(found.tsVal, found.tsEcr))
  } else {
    found.words.push(`unknown-${kind} ${length}`)
  }
}

/** Writes 20 bytes and the options of the row's layout. */
export function encode(fields: Fields, bytes: Uint8Array, offset: number): void {
  const options = tcpHeaderLength(fields.tcpOptions) - LENGTH
  write16(bytes, offset, fields.sport)
  write16(bytes, offset + 2, fields.dport)
  write32(bytes, offset + 4, fields.tcpSeq)
  write32(bytes, offset + 8, fields.tcpAck)
  write16(bytes, offset + 12, ((LENGTH + options) << 10) | (fields.tcpFlags & 0xfff))
  write16(bytes, offset + 14, fields.tcpWindow)
  write16(bytes, offset + CHECKSUM_AT, 0)
  write16(bytes, offset + 18, 0)
  const at = offset + LENGTH
  if (options === OPTIONS_SYN_LENGTH) {
    write16(bytes, at, MSS_HEAD)
    write16(bytes, at + 2, fields.tcpMss)
    write32(bytes, at + 4, SACK_PERMITTED_TIMESTAMP)
    write32(bytes, at + 8, fields.tcpTsVal)
    write32(bytes, at + 12, fields.tcpTsEcr)
    write16(bytes, at + 16, NOP_WSCALE)
    bytes[at + 18] = 3
    bytes[at + 19] = fields.tcpWscale
  } else if (options === OPTIONS_TIMESTAMP_LENGTH) {
    write32(bytes, at, NOP_NOP_TIMESTAMP)
    write32(bytes, at + 4, fields.tcpTsVal)
    write32(bytes, at + 8, fields.tcpTsEcr)
  } else if (options === OPTIONS_MSS_LENGTH) {
    write16(bytes, at, MSS_HEAD)
    write16(bytes, at + 2, fields.tcpMss)
  }
}

/** Bits from FIN up, as tcpdump letters them. */
const FLAG_LETTERS = 'FSRP.UEWe'

/** Decoded fields show their own options, a row those of its layout. */
export function summary(fields: Fields & { readonly optionList?: readonly string[] }): string {
  const flags = [...FLAG_LETTERS].filter((_, bit) => (fields.tcpFlags & (1 << bit)) !== 0).join('') || 'none'
  const ack = (fields.tcpFlags & TCP_ACK) === 0 ? '' : `, ack ${fields.tcpAck >>> 0}`
  const words = fields.optionList ?? layoutWords(fields)
  const options = words.length === 0 ? '' : `, options [${words.join(',')}]`
  return `TCP ${fields.sport} > ${fields.dport}, Flags [${flags}], seq ${fields.tcpSeq >>> 0}${ack}, win ${fields.tcpWindow}${options}`
}

function layoutWords(fields: Fields): string[] {
  const timestamp = timestampWord(fields.tcpTsVal, fields.tcpTsEcr)
  if (fields.tcpOptions === TCP_OPTIONS_SYN) return [`mss ${fields.tcpMss}`, 'sackOK', timestamp, 'nop', `wscale ${fields.tcpWscale}`]
  return fields.tcpOptions === TCP_OPTIONS_TIMESTAMP ? ['nop', 'nop', timestamp] : []
}

function timestampWord(value: number, echo: number): string {
  return `TS val ${value >>> 0} ecr ${echo >>> 0}`
}
