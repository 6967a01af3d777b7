/** Ranges of addresses of both families, as policies name them: whole and exact. */
import { parseAddressWithLength } from '../base/cidr.js'
import { formatIp, formatIpv6, parseIpv6 } from '../base/ip.js'

export interface AddressRange {
  readonly family: 4 | 6
  /** Unsigned; both ends are in it. */
  readonly first: bigint
  readonly last: bigint
}

/** `outer` holds all of `inner`. */
export function coversRange(outer: AddressRange, inner: AddressRange): boolean {
  return outer.family === inner.family && outer.first <= inner.first && inner.last <= outer.last
}

export function meetsRange(a: AddressRange, b: AddressRange): boolean {
  return a.family === b.family && a.first <= b.last && b.first <= a.last
}

/** A prefix or an address of either family, host bits masked off; undefined when malformed. */
export function parseRange(text: string): AddressRange | undefined {
  const four = parseAddressWithLength(text)
  if (four !== undefined) return prefixRange(4, BigInt(four.address >>> 0), four.length)
  const match = /^([0-9A-Fa-f:.]+)(?:\/(0|[1-9][0-9]{0,2}))?$/.exec(text)
  const six = match === null ? undefined : parseIpv6(match[1])
  const length = match?.[2] === undefined ? 128 : Number(match[2])
  return six === undefined || length > 128 ? undefined : prefixRange(6, six, length)
}

function prefixRange(family: 4 | 6, address: bigint, length: number): AddressRange {
  const hostBits = BigInt((family === 4 ? 32 : 128) - length)
  const first = (address >> hostBits) << hostBits
  return { family, first, last: first | ((1n << hostBits) - 1n) }
}

/** `10.0.0.0/8` where the range is a prefix, else `10.0.0.0-10.0.0.9`; one address bare. */
export function formatRange({ family, first, last }: AddressRange): string {
  const text = (address: bigint): string => (family === 4 ? formatIp(Number(BigInt.asIntN(32, address))) : formatIpv6(address))
  if (first === last) return text(first)
  const size = last - first + 1n
  const isPrefix = (size & (size - 1n)) === 0n && first % size === 0n
  return isPrefix ? `${text(first)}/${(family === 4 ? 32 : 128) - (size.toString(2).length - 1)}` : `${text(first)}-${text(last)}`
}

export const EVERY_IPV4: AddressRange = { family: 4, first: 0n, last: (1n << 32n) - 1n }
export const EVERY_IPV6: AddressRange = { family: 6, first: 0n, last: (1n << 128n) - 1n }
