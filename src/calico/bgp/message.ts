/**
 * BGP messages as bytes: RFC 4271 (section 4), capabilities (RFC 5492), route refresh (RFC 2918, 7313), graceful restart (RFC 4724), multiprotocol (RFC 4760),
 * four-byte AS numbers (RFC 6793), several paths of a prefix (RFC 7911), long-lived graceful restart (RFC 9494). IPv4 unicast only.
 *
 *   0 marker(16, all ones) | 16 length(2) | 18 type(1) | body
 */
import { cidr, type Cidr } from '../../base/cidr.js'
import type { Ip } from '../../base/ip.js'
import { read16, read32, write16, write32 } from '../../wire/bytes.js'
import { decodeAttributes, encodeAttributes, type PathAttributes } from './attributes.js'

export const HEADER_LENGTH = 19
const MAX_LENGTH = 4096
const VERSION = 4
const AS_TRANS = 23456
const AFI_IPV4 = 1
const SAFI_UNICAST = 1
const TYPE = { open: 1, update: 2, notification: 3, keepalive: 4, refresh: 5 } as const

export const ADD_PATH_RECEIVE = 1
export const ADD_PATH_SEND = 2

interface Capabilities {
  readonly multiprotocolIpv4: boolean
  readonly routeRefresh: boolean
  readonly enhancedRefresh: boolean
  /** Absent: not aware of it. Able when `ipv4` stands in it. */
  readonly gracefulRestart?: { readonly restarting: boolean; readonly seconds: number; readonly ipv4?: { readonly forwarding: boolean } }
  /** The AS number in four bytes; absent: not supported. */
  readonly as4?: number
  /** Bits ADD_PATH_RECEIVE and ADD_PATH_SEND. */
  readonly addPath: number
  readonly longLivedAware: boolean
}

export interface OpenMessage {
  readonly type: 'open'
  readonly asNumber: number
  /** seconds */
  readonly holdTime: number
  readonly routerId: Ip
  readonly capabilities: Capabilities
}

export interface PathPrefix {
  readonly prefix: Cidr
  /** 0 where the session has no ADD-PATH. */
  readonly pathId: number
}

/** Nothing in it at all: End-of-RIB (RFC 4724 section 2). */
export interface UpdateMessage {
  readonly type: 'update'
  readonly withdrawn: readonly PathPrefix[]
  readonly attributes?: PathAttributes
  readonly reachable: readonly PathPrefix[]
}

export interface NotificationMessage {
  readonly type: 'notification'
  readonly code: number
  readonly subcode: number
  readonly data: readonly number[]
}

export type BgpMessage =
  | OpenMessage
  | UpdateMessage
  | NotificationMessage
  | { readonly type: 'keepalive' }
  | { readonly type: 'refresh'; readonly subtype: 'request' | 'begin' | 'end' }

/** What both ends agreed on in their OPENs. */
export interface SessionRules {
  readonly as4: boolean
  readonly internal: boolean
  readonly addPathSend: boolean
  readonly addPathReceive: boolean
}

export const BEFORE_OPEN: SessionRules = { as4: false, internal: true, addPathSend: false, addPathReceive: false }

/** Told to the peer with a NOTIFICATION (RFC 4271 section 6). */
interface MessageError {
  readonly type: 'error'
  readonly code: number
  readonly subcode: number
}

export const END_OF_RIB: UpdateMessage = { type: 'update', withdrawn: [], reachable: [] }
const REFRESH_SUBTYPES = ['request', 'begin', 'end'] as const

export function encodeMessage(message: BgpMessage, rules: SessionRules): Uint8Array {
  switch (message.type) {
    case 'open':
      return framed(TYPE.open, openBody(message))
    case 'update':
      return framed(TYPE.update, updateBody(message, rules))
    case 'notification':
      return framed(TYPE.notification, [message.code, message.subcode, ...message.data])
    case 'keepalive':
      return framed(TYPE.keepalive, [])
    case 'refresh':
      return framed(TYPE.refresh, [0, AFI_IPV4, REFRESH_SUBTYPES.indexOf(message.subtype), SAFI_UNICAST])
  }
}

function framed(type: number, body: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(HEADER_LENGTH + body.length).fill(0xff, 0, 16)
  write16(bytes, 16, bytes.length)
  bytes[18] = type
  bytes.set(body, HEADER_LENGTH)
  return bytes
}

function openBody(message: OpenMessage): number[] {
  const options = capabilityBytes(message.capabilities)
  const fixed = new Uint8Array(10)
  fixed[0] = VERSION
  write16(fixed, 1, message.asNumber < 0xffff ? message.asNumber : AS_TRANS)
  write16(fixed, 3, message.holdTime)
  write32(fixed, 5, message.routerId)
  if (options.length === 0) return [...fixed]
  fixed[9] = options.length + 2
  return [...fixed, 2, options.length, ...options]
}

/** In the order in which BIRD lists them (proto/bgp/packets.c bgp_create_open). */
function capabilityBytes(capabilities: Capabilities): number[] {
  const { gracefulRestart: restart, as4 } = capabilities
  const out: number[] = []
  if (capabilities.multiprotocolIpv4) out.push(1, 4, 0, AFI_IPV4, 0, SAFI_UNICAST)
  if (capabilities.routeRefresh) out.push(2, 0)
  if (restart !== undefined) {
    const family = restart.ipv4 === undefined ? [] : [0, AFI_IPV4, SAFI_UNICAST, restart.ipv4.forwarding ? 0x80 : 0]
    out.push(64, 2 + family.length, (restart.seconds >>> 8) | (restart.restarting ? 0x80 : 0), restart.seconds & 255, ...family)
  }
  if (as4 !== undefined) out.push(65, 4, as4 >>> 24, (as4 >>> 16) & 255, (as4 >>> 8) & 255, as4 & 255)
  if (capabilities.addPath !== 0) out.push(69, 4, 0, AFI_IPV4, SAFI_UNICAST, capabilities.addPath)
  if (capabilities.enhancedRefresh) out.push(70, 0)
  if (capabilities.longLivedAware) out.push(71, 0)
  return out
}

function updateBody(message: UpdateMessage, rules: SessionRules): number[] {
  const withdrawn = prefixBytes(message.withdrawn, rules.addPathSend)
  const attributes = message.attributes === undefined ? [] : [...encodeAttributes(message.attributes, rules)]
  return [
    withdrawn.length >>> 8,
    withdrawn.length & 255,
    ...withdrawn,
    attributes.length >>> 8,
    attributes.length & 255,
    ...attributes,
    ...prefixBytes(message.reachable, rules.addPathSend),
  ]
}

function prefixBytes(prefixes: readonly PathPrefix[], addPath: boolean): number[] {
  return prefixes.flatMap(({ prefix, pathId }) => {
    const address = [prefix.base >>> 24, (prefix.base >>> 16) & 255, (prefix.base >>> 8) & 255, prefix.base & 255]
    const id = addPath ? [pathId >>> 24, (pathId >>> 16) & 255, (pathId >>> 8) & 255, pathId & 255] : []
    return [...id, prefix.length, ...address.slice(0, (prefix.length + 7) >> 3)]
  })
}

/** Bytes of an UPDATE that are left for prefixes, withdrawn ones or those beside attributes of that length. */
export function roomForPrefixes(attributeLength: number): number {
  return MAX_LENGTH - HEADER_LENGTH - 4 - attributeLength
}

export function prefixLength({ prefix }: PathPrefix, rules: SessionRules): number {
  return (rules.addPathSend ? 5 : 1) + ((prefix.length + 7) >> 3)
}

/** One whole message. */
export function decodeMessage(bytes: Uint8Array, rules: SessionRules): BgpMessage | MessageError {
  if (bytes.length < HEADER_LENGTH) return { type: 'error', code: 1, subcode: 2 }
  for (let i = 0; i < 16; i++) if (bytes[i] !== 0xff) return { type: 'error', code: 1, subcode: 1 }
  const length = read16(bytes, 16)
  if (length !== bytes.length || length > MAX_LENGTH) return { type: 'error', code: 1, subcode: 2 }
  const body = bytes.subarray(HEADER_LENGTH)
  switch (bytes[18]) {
    case TYPE.open:
      return decodeOpen(body)
    case TYPE.update:
      return decodeUpdate(body, rules)
    case TYPE.notification:
      return body.length < 2 ? { type: 'error', code: 1, subcode: 2 } : { type: 'notification', code: body[0], subcode: body[1], data: [...body.subarray(2)] }
    case TYPE.keepalive:
      return body.length === 0 ? { type: 'keepalive' } : { type: 'error', code: 1, subcode: 2 }
    case TYPE.refresh:
      return body.length !== 4 ? { type: 'error', code: 1, subcode: 2 } : { type: 'refresh', subtype: REFRESH_SUBTYPES[Math.min(body[2], 2)] }
    default:
      return { type: 'error', code: 1, subcode: 3 }
  }
}

function decodeOpen(body: Uint8Array): OpenMessage | MessageError {
  if (body.length < 10 || body.length !== 10 + body[9]) return { type: 'error', code: 1, subcode: 2 }
  if (body[0] !== VERSION) return { type: 'error', code: 2, subcode: 1 }
  const capabilities = decodeOptions(body.subarray(10))
  if (capabilities === undefined) return { type: 'error', code: 2, subcode: 0 }
  const holdTime = read16(body, 3)
  if (holdTime > 0 && holdTime < 3) return { type: 'error', code: 2, subcode: 6 }
  return { type: 'open', asNumber: capabilities.as4 ?? read16(body, 1), holdTime, routerId: read32(body, 5), capabilities }
}

function decodeOptions(options: Uint8Array): Capabilities | undefined {
  let found: Capabilities = { multiprotocolIpv4: false, routeRefresh: false, enhancedRefresh: false, addPath: 0, longLivedAware: false }
  for (let at = 0; at < options.length;) {
    if (options.length - at < 2 || options[at] !== 2) return undefined
    const end = at + 2 + options[at + 1]
    if (end > options.length) return undefined
    for (let i = at + 2; i < end;) {
      const next = i + 2 + options[i + 1]
      if (end - i < 2 || next > end) return undefined
      found = { ...found, ...capability(options[i], options.subarray(i + 2, next)) }
      i = next
    }
    at = end
  }
  return found
}

function capability(code: number, value: Uint8Array): Partial<Capabilities> {
  const ipv4At = (width: number, from: number): number => {
    for (let i = from; i + width <= value.length; i += width) if (read16(value, i) === AFI_IPV4 && value[i + 2] === SAFI_UNICAST) return i
    return -1
  }
  switch (code) {
    case 1:
      return value.length === 4 && read16(value, 0) === AFI_IPV4 ? { multiprotocolIpv4: true } : {}
    case 2:
      return { routeRefresh: true }
    case 64: {
      const family = ipv4At(4, 2)
      const flags = read16(value, 0)
      const ipv4 = family < 0 ? {} : { ipv4: { forwarding: (value[family + 3] & 0x80) !== 0 } }
      return { gracefulRestart: { restarting: (flags & 0x8000) !== 0, seconds: flags & 0x0fff, ...ipv4 } }
    }
    case 65:
      return value.length === 4 ? { as4: read32(value, 0) >>> 0 } : {}
    case 69: {
      const family = ipv4At(4, 0)
      return family < 0 ? {} : { addPath: value[family + 3] }
    }
    case 70:
      return { enhancedRefresh: true }
    case 71:
      return { longLivedAware: true }
    default:
      return {}
  }
}

function decodeUpdate(body: Uint8Array, rules: SessionRules): UpdateMessage | MessageError {
  const malformed: MessageError = { type: 'error', code: 3, subcode: 1 }
  if (body.length < 4) return malformed
  const withdrawnEnd = 2 + read16(body, 0)
  if (withdrawnEnd + 2 > body.length) return malformed
  const attributesEnd = withdrawnEnd + 2 + read16(body, withdrawnEnd)
  if (attributesEnd > body.length) return malformed
  const withdrawn = decodePrefixes(body.subarray(2, withdrawnEnd), rules.addPathReceive)
  const reachable = decodePrefixes(body.subarray(attributesEnd), rules.addPathReceive)
  if (withdrawn === undefined || reachable === undefined) return { type: 'error', code: 3, subcode: 10 }
  if (attributesEnd === withdrawnEnd + 2) return reachable.length > 0 ? { type: 'error', code: 3, subcode: 3 } : { type: 'update', withdrawn, reachable }
  const attributes = decodeAttributes(body.subarray(withdrawnEnd + 2, attributesEnd), { as4: rules.as4, wanted: reachable.length > 0 })
  return 'subcode' in attributes ? { type: 'error', code: 3, subcode: attributes.subcode } : { type: 'update', withdrawn, attributes, reachable }
}

function decodePrefixes(bytes: Uint8Array, addPath: boolean): PathPrefix[] | undefined {
  const prefixes: PathPrefix[] = []
  for (let at = 0; at < bytes.length;) {
    if (addPath && bytes.length - at < 5) return undefined
    const pathId = addPath ? read32(bytes, at) : 0
    if (addPath) at += 4
    const length = bytes[at++]
    const octets = (length + 7) >> 3
    if (length > 32 || at + octets > bytes.length) return undefined
    let base = 0
    for (let i = 0; i < octets; i++) base |= bytes[at + i] << (24 - 8 * i)
    prefixes.push({ prefix: cidr(base, length), pathId })
    at += octets
  }
  return prefixes
}
