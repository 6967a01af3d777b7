/**
 * IPv4 prefixes. The only importer of `netmask`, which sees canonical text only: it would read 010.0.0.1 as 8.0.0.1.
 */
import { Netmask } from 'netmask'
import { formatIp, parseIp, type Ip } from './ip.js'

export interface Cidr {
  /** The network address: no host bits. */
  readonly base: Ip
  /** Prefix length, 0 to 32. */
  readonly length: number
}

type CidrError = 'syntax' | 'host-bits'

/** The mask of a prefix length as int32; 0 for /0 (a shift by 32 would be a shift by 0). */
export function maskOf(length: number): number {
  return length === 0 ? 0 : (-1 << (32 - length)) | 0
}

export function cidr(base: Ip, length: number): Cidr {
  return { base: base & maskOf(length), length }
}

/** `10.1.0.0/16`; a bare address is a /32. Host bits are an error of their own, so that the message can say which prefix was meant. */
export function parseCidr(text: string): Cidr | CidrError {
  const address = parseAddressWithLength(text)
  if (address === undefined) return 'syntax'
  const prefix = cidr(address.address, address.length)
  return prefix.base === address.address ? prefix : 'host-bits'
}

/** `192.168.10.11/24` → the address, host bits kept, and the length; a bare address is a /32. undefined when malformed. */
export function parseAddressWithLength(text: string): { readonly address: Ip; readonly length: number } | undefined {
  const match = /^([0-9.]+)(?:\/(0|[1-9][0-9]?))?$/.exec(text)
  if (match === null) return undefined
  const address = parseIp(match[1])
  const length = match[2] === undefined ? 32 : Number(match[2])
  return address === undefined || length > 32 ? undefined : { address, length }
}

export function formatCidr(prefix: Cidr): string {
  return `${formatIp(prefix.base)}/${prefix.length}`
}

export function contains(prefix: Cidr, address: Ip): boolean {
  return ((address ^ prefix.base) & maskOf(prefix.length)) === 0
}

export function covers(outer: Cidr, inner: Cidr): boolean {
  return outer.length <= inner.length && contains(outer, inner.base)
}

export function overlaps(a: Cidr, b: Cidr): boolean {
  return contains(a.length < b.length ? a : b, a.length < b.length ? b.base : a.base)
}

/** The all-ones address of the prefix. */
export function broadcastOf(prefix: Cidr): Ip {
  return prefix.base | ~maskOf(prefix.length)
}

/** The next prefix of the same length, wrapping past the end of the address space. */
export function nextCidr(prefix: Cidr): Cidr {
  const block = new Netmask(formatCidr(prefix)).next()
  return { base: parseIp(block.base) as Ip, length: prefix.length }
}
