/**
 * A lease: flannel's grant of a subnet to a node, as etcd's key and value and as an object. Both ways.
 *   `/coreos.com/network/subnets/10.1.15.0-24`  `{"PublicIP":"192.168.0.100","BackendType":"vxlan","BackendData":{…}}`
 * Source: flannel pkg/lease/lease.go, pkg/subnet/subnet.go.
 */
import { cidr, formatCidr, type Cidr } from '../base/cidr.js'
import { formatIp, parseIp, type Ip } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import { GoFields, parseJsonObject, problemAt, type TextSource } from './go-json.js'
import { atLeast } from './version.js'

/** seconds: what a lease is given at first and at every renewal. */
export const LEASE_TTL_SECONDS = 24 * 3600
/** minutes before its end that a lease is renewed. */
export const DEFAULT_RENEW_MARGIN_MINUTES = 60

export interface LeaseAttributes {
  /** The node's address in the underlay: what peers send to, and what the lease belongs to. */
  readonly publicIp: Ip
  /** Empty for backends that leave it out (udp, alloc). */
  readonly backendType: string
  /** Any JSON value; each backend reads its own. */
  readonly backendData?: unknown
}

export interface Lease {
  readonly subnet: Cidr
  readonly attributes: LeaseAttributes
  /** Virtual time of its end; absent: a reservation, it never ends. */
  readonly expiresNs?: number
  /** Revision (etcd index) at which it was written; 0 where there is none. */
  readonly revision: number
}

/** What a subnet manager tells flanneld; an attribute change is an `added` of a subnet that is known. */
export interface LeaseEvent {
  readonly kind: 'added' | 'removed'
  readonly lease: Lease
  /** The subnet was known, with the same attributes: nothing changes for who heard of it before. */
  readonly renewal?: true
}

/** How provenance names a lease. */
export function leaseObject(subnet: Cidr): string {
  return `lease ${formatCidr(subnet)}`
}

export function subnetKey(prefix: string, subnet: Cidr): string {
  return `${prefix}/subnets/${formatIp(subnet.base)}-${subnet.length}`
}

/**
 * The subnet in a key, undefined when flannel would skip it. As flannel's expression: only the end is anchored, the second and
 * third separator may be any character as long as an address comes out, the length has five bits.
 */
export function parseSubnetKey(key: string): { readonly subnet: Cidr; readonly ipv6: boolean } | undefined {
  const match = /(\d+\.\d+.\d+.\d+)-(\d+)(&[a-f\d:]+-\d+)?$/.exec(key)
  const address = match === null ? undefined : parseIp(match[1])
  if (match === null || address === undefined || Number(match[2]) > 31) return undefined
  return { subnet: cidr(address, Number(match[2])), ipv6: match[3] !== undefined }
}

/** The value in the field order of flannel's struct, without white space. */
export function formatLeaseValue(attributes: LeaseAttributes, version: string): string {
  const value: Record<string, unknown> = { PublicIP: formatIp(attributes.publicIp) }
  if (atLeast(version, '0.15.0')) value.PublicIPv6 = null
  if (attributes.backendType !== '') value.BackendType = attributes.backendType
  if (attributes.backendData !== undefined) value.BackendData = attributes.backendData
  return JSON.stringify(value)
}

/** A value that is only half there gives a Problem that names the key; flannel skips such a key and goes on. */
export function parseLeaseValue(value: string, source: TextSource): { readonly attributes?: LeaseAttributes; readonly problems: readonly Problem[] } {
  const parsed = parseJsonObject(value, source)
  const fix = 'flannel skips such a lease; write the whole value or delete the key'
  if (parsed.object === undefined) return { problems: parsed.problems.map((problem) => ({ ...problem, severity: 'warning', fix })) }
  const fields = new GoFields(parsed.object, source)
  const publicIp = fields.ip('PublicIP')
  const backendType = fields.string('BackendType') ?? ''
  const backendData = fields.raw('BackendData')
  if (fields.problems.length > 0) return { problems: fields.problems.map((problem) => ({ ...problem, severity: 'warning', fix })) }
  // flannel reads a value without PublicIP as 0.0.0.0, and so it is here; nothing can be sent to it.
  const problems = publicIp === undefined ? [problemAt(source, 'PublicIP is missing; flannel reads it as 0.0.0.0', 'add "PublicIP"', 'warning')] : []
  return { attributes: { publicIp: publicIp ?? 0, backendType, ...(backendData === undefined ? {} : { backendData }) }, problems }
}
