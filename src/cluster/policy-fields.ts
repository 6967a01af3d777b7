/** Values that several policy APIs have, and what their servers refuse in them. */
import type { ResourceReader } from './calico/resource-reader.js'
import { parseAddressWithLength } from '../base/cidr.js'
import { parseIpv6 } from '../base/ip.js'
import type { Path } from './located.js'

/** The protocols that a port belongs to. */
export const TRANSPORTS: readonly string[] = ['TCP', 'UDP', 'SCTP']

export interface Prefix {
  readonly family: 4 | 6
  readonly address: bigint
  readonly length: number
}

/** A prefix of either family, its length in it: `10.0.0.0/8`, `fd00::/8`. Host bits may be set, as Go's ParseCIDR takes them. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf('/')
  if (slash < 0) return undefined
  const four = parseAddressWithLength(text)
  if (four !== undefined) return { family: 4, address: BigInt(four.address >>> 0), length: four.length }
  const six = parseIpv6(text.slice(0, slash))
  const length = text.slice(slash + 1)
  return six !== undefined && /^(0|[1-9]\d{0,2})$/.test(length) && Number(length) <= 128 ? { family: 6, address: six, length: Number(length) } : undefined
}

/** `inner` lies in `outer`, and is smaller. */
export function isInside(inner: Prefix, outer: Prefix): boolean {
  const hostBits = BigInt((outer.family === 4 ? 32 : 128) - outer.length)
  return inner.family === outer.family && inner.length > outer.length && inner.address >> hostBits === outer.address >> hostBits
}

export function checkCidr(value: string, path: Path, reader: ResourceReader): void {
  if (parsePrefix(value) === undefined) reader.error(path, `${JSON.stringify(value)} is no prefix`, 'Write it like 10.0.0.0/8.')
}

/** The CRD's own: its A-z takes a few signs more than letters. */
const DOMAIN_NAME = /^(\*\.)?([A-z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.)+[A-z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.?$/

export function checkDomainName(value: string, path: Path, reader: ResourceReader): void {
  if (!DOMAIN_NAME.test(value)) reader.error(path, `${JSON.stringify(value)} is no domain name`, 'Write it like kubernetes.io or *.kubernetes.io.')
}

export function checkPortNumber(port: number, path: Path, reader: ResourceReader): void {
  if (!(Number.isInteger(port) && port >= 1 && port <= 65535)) reader.error(path, `${port} is no port`, 'Ports go from 1 to 65535.')
}

/** What k8s.io/apimachinery validation.IsValidPortName has against the name of a port. */
export function portNameFault(name: string): string | undefined {
  if (name.length > 15) return 'it has more than 15 characters'
  if (!/^[-a-z0-9]+$/.test(name)) return 'it has other characters than a to z, 0 to 9 and -'
  if (!/[a-z]/.test(name)) return 'it has no letter'
  if (name.includes('--')) return 'it has two - in a row'
  return name.startsWith('-') || name.endsWith('-') ? 'it starts or ends with -' : undefined
}
