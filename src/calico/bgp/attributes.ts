/**
 * BGP path attributes as bytes (RFC 4271 section 4.3 and 5, RFC 1997 communities, RFC 4456 reflection, RFC 8092 large communities), in
 * the order of their type codes, as BIRD writes them (proto/bgp/attrs.c bgp_encode_attrs).
 *
 *   flags(1) | type(1) | length(1, or 2 with the extended bit) | value
 */
import type { Ip } from '../../base/ip.js'
import { read16, read32 } from '../../wire/bytes.js'

export const ORIGIN_IGP = 0
const ORIGIN_INCOMPLETE = 2

interface AsPathSegment {
  readonly set: boolean
  readonly asNumbers: readonly number[]
}

export interface PathAttributes {
  readonly origin: number
  readonly asPath: readonly AsPathSegment[]
  readonly nextHop: Ip
  readonly med?: number
  /** 0 to 2^32-1; absent on an eBGP session. */
  readonly localPreference?: number
  /** Each `aa:nn` as a 32-bit word. */
  readonly communities?: readonly number[]
  /** RFC 4456. */
  readonly originatorId?: Ip
  readonly clusterList?: readonly Ip[]
  readonly largeCommunities?: readonly (readonly [number, number, number])[]
}

/** RFC 4271 section 6.3: subcode of an UPDATE message error. */
interface AttributeError {
  readonly subcode: number
}

const OPTIONAL = 0x80
const TRANSITIVE = 0x40
const EXTENDED = 0x10
const AS_SET = 1
const AS_SEQUENCE = 2
const AS_TRANS = 23456

const CODE = { origin: 1, asPath: 2, nextHop: 3, med: 4, localPreference: 5, communities: 8, originatorId: 9, clusterList: 10, largeCommunities: 32 } as const

interface EncodingRules {
  /** Four-byte AS numbers in AS_PATH (RFC 6793). */
  readonly as4: boolean
  /** LOCAL_PREF and the reflection attributes go to peers of the same AS only. */
  readonly internal: boolean
}

export function encodeAttributes(attributes: PathAttributes, rules: EncodingRules): Uint8Array {
  const out: number[] = []
  put(out, TRANSITIVE, CODE.origin, [attributes.origin])
  put(out, TRANSITIVE, CODE.asPath, asPathBytes(attributes.asPath, rules.as4))
  put(out, TRANSITIVE, CODE.nextHop, word(attributes.nextHop))
  if (attributes.med !== undefined) put(out, OPTIONAL, CODE.med, word(attributes.med))
  if (rules.internal && attributes.localPreference !== undefined) put(out, TRANSITIVE, CODE.localPreference, word(attributes.localPreference))
  if (attributes.communities !== undefined && attributes.communities.length > 0) {
    put(out, OPTIONAL | TRANSITIVE, CODE.communities, attributes.communities.flatMap(word))
  }
  if (rules.internal && attributes.originatorId !== undefined) put(out, OPTIONAL, CODE.originatorId, word(attributes.originatorId))
  if (rules.internal && attributes.clusterList !== undefined) put(out, OPTIONAL, CODE.clusterList, attributes.clusterList.flatMap(word))
  if (attributes.largeCommunities !== undefined && attributes.largeCommunities.length > 0) {
    put(out, OPTIONAL | TRANSITIVE, CODE.largeCommunities, attributes.largeCommunities.flat().flatMap(word))
  }
  return Uint8Array.from(out)
}

function put(out: number[], flags: number, code: number, value: readonly number[]): void {
  if (value.length > 255) out.push(flags | EXTENDED, code, value.length >>> 8, value.length & 255)
  else out.push(flags, code, value.length)
  out.push(...value)
}

function word(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]
}

function asPathBytes(path: readonly AsPathSegment[], as4: boolean): number[] {
  return path.flatMap(({ set, asNumbers }) => [
    set ? AS_SET : AS_SEQUENCE,
    asNumbers.length,
    ...asNumbers.flatMap((number) => (as4 ? word(number) : [...(number > 0xffff ? [AS_TRANS >>> 8, AS_TRANS & 255] : [number >>> 8, number & 255])])),
  ])
}

/** @param wanted the UPDATE carries NLRI, so that ORIGIN, AS_PATH and NEXT_HOP must be there (6.3: subcode 3) */
export function decodeAttributes(bytes: Uint8Array, rules: { readonly as4: boolean; readonly wanted: boolean }): PathAttributes | AttributeError {
  const found: { -readonly [Key in keyof PathAttributes]?: PathAttributes[Key] } = {}
  const seen = new Set<number>()
  for (let at = 0; at < bytes.length;) {
    if (bytes.length - at < 3) return { subcode: 1 }
    const extended = (bytes[at] & EXTENDED) !== 0
    if (extended && bytes.length - at < 4) return { subcode: 1 }
    const code = bytes[at + 1]
    const length = extended ? read16(bytes, at + 2) : bytes[at + 2]
    const start = at + (extended ? 4 : 3)
    if (start + length > bytes.length || seen.has(code)) return { subcode: 1 }
    seen.add(code)
    const subcode = readAttribute(found, code, bytes.subarray(start, start + length), rules.as4)
    if (subcode !== 0) return { subcode }
    at = start + length
  }
  if (rules.wanted && (found.origin === undefined || found.asPath === undefined || found.nextHop === undefined)) return { subcode: 3 }
  return { origin: ORIGIN_INCOMPLETE, asPath: [], nextHop: 0, ...found }
}

/** @returns 0, or the subcode of the error */
function readAttribute(found: { -readonly [Key in keyof PathAttributes]?: PathAttributes[Key] }, code: number, value: Uint8Array, as4: boolean): number {
  const words = (): number[] => Array.from({ length: value.length / 4 }, (_, i) => read32(value, 4 * i))
  switch (code) {
    case CODE.origin:
      if (value.length !== 1) return 5
      if (value[0] > ORIGIN_INCOMPLETE) return 6
      found.origin = value[0]
      return 0
    case CODE.asPath: {
      const path = readAsPath(value, as4)
      if (path === undefined) return 11
      found.asPath = path
      return 0
    }
    case CODE.nextHop:
      if (value.length !== 4) return 5
      found.nextHop = read32(value, 0)
      return 0
    case CODE.med:
      if (value.length !== 4) return 5
      found.med = read32(value, 0) >>> 0
      return 0
    case CODE.localPreference:
      if (value.length !== 4) return 5
      found.localPreference = read32(value, 0) >>> 0
      return 0
    case CODE.originatorId:
      if (value.length !== 4) return 5
      found.originatorId = read32(value, 0)
      return 0
    case CODE.communities:
      if (value.length % 4 !== 0) return 5
      found.communities = words().map((number) => number >>> 0)
      return 0
    case CODE.clusterList:
      if (value.length % 4 !== 0) return 5
      found.clusterList = words()
      return 0
    case CODE.largeCommunities: {
      if (value.length % 12 !== 0) return 5
      const numbers = words().map((number) => number >>> 0)
      found.largeCommunities = Array.from({ length: numbers.length / 3 }, (_, i) => [numbers[3 * i], numbers[3 * i + 1], numbers[3 * i + 2]] as const)
      return 0
    }
    default:
      return 0
  }
}

function readAsPath(value: Uint8Array, as4: boolean): AsPathSegment[] | undefined {
  const width = as4 ? 4 : 2
  const path: AsPathSegment[] = []
  for (let at = 0; at < value.length;) {
    if (value.length - at < 2 || (value[at] !== AS_SET && value[at] !== AS_SEQUENCE)) return undefined
    const count = value[at + 1]
    const end = at + 2 + count * width
    if (count === 0 || end > value.length) return undefined
    const asNumbers: number[] = []
    for (let i = at + 2; i < end; i += width) asNumbers.push(as4 ? read32(value, i) >>> 0 : read16(value, i))
    path.push({ set: value[at] === AS_SET, asNumbers })
    at = end
  }
  return path
}

/** A set counts as one hop (RFC 4271 section 9.1.2.2 a). */
export function asPathLength(path: readonly AsPathSegment[]): number {
  return path.reduce((length, segment) => length + (segment.set ? 1 : segment.asNumbers.length), 0)
}

export function prependAs(path: readonly AsPathSegment[], asNumber: number): AsPathSegment[] {
  const [first, ...rest] = path
  if (first === undefined || first.set) return [{ set: false, asNumbers: [asNumber] }, ...path]
  return [{ set: false, asNumbers: [asNumber, ...first.asNumbers] }, ...rest]
}

export function countAs(path: readonly AsPathSegment[], asNumber: number): number {
  return path.reduce((count, segment) => count + segment.asNumbers.filter((number) => number === asNumber).length, 0)
}

/** The neighbour from which the route came: the first of the path; undefined for a route of the own AS. */
export function firstAs(path: readonly AsPathSegment[]): number | undefined {
  return path.length === 0 || path[0].set ? undefined : path[0].asNumbers[0]
}

/** `64512 64513 {1 2}`, as `birdc show route all` prints it. */
export function formatAsPath(path: readonly AsPathSegment[]): string {
  return path.map(({ set, asNumbers }) => (set ? `{${asNumbers.join(' ')}}` : asNumbers.join(' '))).join(' ')
}

/** Two prefixes may share an UPDATE only when this is equal. */
export function attributesKey(attributes: PathAttributes): string {
  return JSON.stringify(attributes)
}

/** `aa:nn` or `aa:nn:mm`; one that is there already is not added again. */
export function addCommunity(attributes: PathAttributes, value: string): PathAttributes {
  const parts = value.split(':').map(Number)
  if (parts.length === 3) {
    const large = attributes.largeCommunities ?? []
    if (large.some((have) => have.every((part, i) => part === parts[i]))) return attributes
    return { ...attributes, largeCommunities: [...large, [parts[0], parts[1], parts[2]]] }
  }
  const word = parts[0] * 0x10000 + parts[1]
  const have = attributes.communities ?? []
  return have.includes(word) ? attributes : { ...attributes, communities: [...have, word] }
}
