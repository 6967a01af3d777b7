/**
 * IPv4 addresses: text at the door, int32 inside. The only importer of `ip-address`, which refuses what inet_aton would
 * misread (010.0.0.1, 10.1, 0x0a.0.0.1).
 */
import { Address4, Address6 } from 'ip-address'

/** An IPv4 address as a signed 32-bit integer in network order: 255.255.255.255 is -1. Signed, because V8 keeps int32 unboxed. */
export type Ip = number

/** undefined when the text is no dotted-quad IPv4 address. */
export function parseIp(text: string): Ip | undefined {
  // the package throws where it refuses, and most texts that are tried are names
  if (!/^[0-9.]+$/.test(text) || !Address4.isValid(text)) return undefined
  const [a, b, c, d] = text.split('.').map(Number)
  return (a << 24) | (b << 16) | (c << 8) | d
}

/** For canonical text that the caller wrote itself. @throws TypeError on anything else. */
export function ip(text: string): Ip {
  const value = parseIp(text)
  if (value === undefined) throw new TypeError(`not an IPv4 address: ${text}`)
  return value
}

export function formatIp(value: Ip): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`
}

/** True for an IPv6 address or prefix: understood as such, and named as not modelled. */
export function isIpv6Text(text: string): boolean {
  return text.includes(':') && Address6.isValid(text)
}

/** The 128 bits of an IPv6 address, unsigned; undefined when the text is none. Zones (`fe80::1%eth0`) and prefixes are refused. */
export function parseIpv6(text: string): bigint | undefined {
  if (!/^[0-9A-Fa-f:.]+$/.test(text) || !text.includes(':') || !Address6.isValid(text)) return undefined
  return new Address6(text).bigInt()
}

/** As RFC 5952 writes it. */
export function formatIpv6(value: bigint): string {
  return Address6.fromBigInt(value).correctForm()
}

/** Unsigned order, as people and the kernel sort addresses. */
export function compareIp(a: Ip, b: Ip): number {
  return (a >>> 0) - (b >>> 0)
}
