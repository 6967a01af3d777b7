/**
 * WireGuard's messages (wireguard.com/protocol, drivers/net/wireguard/messages.h), their integers little-endian. What is encrypted
 * cannot be foretold: its bytes are drawn from the indices, which are drawn from the seed; lengths and plain fields are exact.
 *
 *   initiation 148   0 type 1 | 1 zero(3) | 4 sender(4) | 8 ephemeral(32) | 40 static(48) | 88 timestamp(28) | 116 mac1(16) | 132 mac2(16)
 *   response    92   0 type 2 | 1 zero(3) | 4 sender(4) | 8 receiver(4) | 12 ephemeral(32) | 44 empty(16) | 60 mac1(16) | 76 mac2(16)
 *   cookie      64   0 type 3 | 1 zero(3) | 4 receiver(4) | 8 nonce(24) | 32 cookie(32)
 *   data     32+     0 type 4 | 1 zero(3) | 4 receiver(4) | 8 counter(8) | 16 packet, padded | tag(16)
 */
import { hexWord } from './bytes.js'

export const TYPE_INITIATION = 1
export const TYPE_RESPONSE = 2
export const TYPE_COOKIE = 3
export const TYPE_DATA = 4

export const INITIATION_LENGTH = 148
export const RESPONSE_LENGTH = 92
export const COOKIE_LENGTH = 64
/** Before the packet, and behind it. */
export const DATA_HEADER = 16
export const DATA_TAG = 16
/** A keepalive: a data message that holds no packet. */
export const KEEPALIVE_LENGTH = DATA_HEADER + DATA_TAG

/** MESSAGE_PADDING_MULTIPLE. */
export const BLOCK = 16
/** The last field of a handshake message: zero while the other side has asked for no cookie. */
const MAC2_LENGTH = 16

export interface Fields {
  /** TYPE_* */
  readonly type: number
  /** int32; 0 where the type has none. */
  readonly sender: number
  /** int32; 0 where the type has none. */
  readonly receiver: number
  /** Low 32 bits, of data only. */
  readonly counter: number
  /** Of the whole message. */
  readonly length: number
}

export type DecodeError = 'wireguard-truncated' | 'wireguard-type' | 'wireguard-length'

/** What the kernel takes for a message (validate_header_len). `bytes` ends where the message does. */
export function decode(bytes: Uint8Array, offset: number): Fields | DecodeError {
  const length = bytes.length - offset
  if (length < 4) return 'wireguard-truncated'
  const type = bytes[offset]
  if (bytes[offset + 1] !== 0 || bytes[offset + 2] !== 0 || bytes[offset + 3] !== 0) return 'wireguard-type'
  switch (type) {
    case TYPE_INITIATION:
      if (length !== INITIATION_LENGTH) return 'wireguard-length'
      return { type, sender: readLittle32(bytes, offset + 4), receiver: 0, counter: 0, length }
    case TYPE_RESPONSE:
      if (length !== RESPONSE_LENGTH) return 'wireguard-length'
      return { type, sender: readLittle32(bytes, offset + 4), receiver: readLittle32(bytes, offset + 8), counter: 0, length }
    case TYPE_COOKIE:
      if (length !== COOKIE_LENGTH) return 'wireguard-length'
      return { type, sender: 0, receiver: readLittle32(bytes, offset + 4), counter: 0, length }
    case TYPE_DATA:
      if (length < KEEPALIVE_LENGTH) return 'wireguard-length'
      return { type, sender: 0, receiver: readLittle32(bytes, offset + 4), counter: readLittle32(bytes, offset + 8), length }
    default:
      return 'wireguard-type'
  }
}

/** A data message of that length; the counter's high half is zero. */
export function encodeData(receiver: number, counter: number, bytes: Uint8Array, offset: number, length: number): void {
  writeLittle32(bytes, offset, TYPE_DATA)
  writeLittle32(bytes, offset + 4, receiver)
  writeLittle32(bytes, offset + 8, counter)
  writeLittle32(bytes, offset + 12, 0)
  fillChance(receiver, counter, bytes, offset + DATA_HEADER, offset + length)
}

export function initiation(sender: number): Uint8Array {
  return handshake(TYPE_INITIATION, INITIATION_LENGTH, sender, 0)
}

export function response(sender: number, receiver: number): Uint8Array {
  return handshake(TYPE_RESPONSE, RESPONSE_LENGTH, sender, receiver)
}

function handshake(type: number, length: number, sender: number, receiver: number): Uint8Array {
  const bytes = new Uint8Array(length)
  fillChance(sender, receiver, bytes, 8, length - MAC2_LENGTH)
  writeLittle32(bytes, 0, type)
  writeLittle32(bytes, 4, sender)
  if (type === TYPE_RESPONSE) writeLittle32(bytes, 8, receiver)
  return bytes
}

export function summary(fields: Fields): string {
  const { type, sender, receiver, counter, length } = fields
  if (type === TYPE_INITIATION) return `WireGuard handshake initiation, sender ${hexWord(sender, 8)}, ${length} bytes`
  if (type === TYPE_RESPONSE) return `WireGuard handshake response, sender ${hexWord(sender, 8)}, receiver ${hexWord(receiver, 8)}, ${length} bytes`
  if (type === TYPE_COOKIE) return `WireGuard cookie, receiver ${hexWord(receiver, 8)}, ${length} bytes`
  const what = length === KEEPALIVE_LENGTH ? 'keepalive' : 'data'
  return `WireGuard ${what}, receiver ${hexWord(receiver, 8)}, counter ${counter >>> 0}, ${length} bytes`
}

/**
 * Zero bytes behind the packet of a data message: to whole blocks, but not past the MTU; of a packet longer than the MTU the last
 * unit alone is padded (send.c calculate_skb_padding).
 */
export function padding(length: number, mtu: number): number {
  const last = mtu > 0 && length > mtu ? length % mtu : length
  const padded = (last + BLOCK - 1) & -BLOCK
  return (mtu > 0 && mtu < padded ? mtu : padded) - last
}

/** Bytes that pass for encrypted ones: xorshift32 from two numbers. */
function fillChance(one: number, two: number, bytes: Uint8Array, from: number, to: number): void {
  let state = (Math.imul(one, 0x9e3779b1) ^ Math.imul(two + 1, 0x85ebca6b)) | 1
  for (let at = from; at < to; at++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[at] = state >>> 16
  }
}

function readLittle32(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)
}

function writeLittle32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
  bytes[at + 2] = value >>> 16
  bytes[at + 3] = value >>> 24
}
