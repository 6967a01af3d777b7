/**
 * DNS resource records as the resolvers of the cluster make them and as wire/dns.ts writes them (RFC 1035 §3.2, §3.3; SRV: RFC 2782). A name is its
 * labels joined by dots, without the last dot; empty: the root.
 */
import type { Ip } from './ip.js'

export type DnsType = 'A' | 'NS' | 'CNAME' | 'SOA' | 'PTR' | 'TXT' | 'AAAA' | 'SRV'

interface Head {
  readonly name: string
  /** Seconds. */
  readonly ttl: number
}

export type DnsRecord =
  | (Head & { readonly type: 'A'; readonly address: Ip })
  | (Head & { readonly type: 'NS' | 'CNAME' | 'PTR'; readonly target: string })
  | (Head & { readonly type: 'SRV'; readonly priority: number; readonly weight: number; readonly port: number; readonly target: string })
  | (Head & { readonly type: 'TXT'; readonly texts: readonly string[] })
  | (Head & {
      readonly type: 'SOA'
      readonly server: string
      readonly mailbox: string
      readonly serial: number
      readonly refresh: number
      readonly retry: number
      readonly expire: number
      readonly minimum: number
    })

/** Octets of a name on the wire, at most (RFC 1035 §2.3.4), and of one label. */
export const MAX_NAME_LENGTH = 255
export const MAX_LABEL_LENGTH = 63

/** Why a text can be asked of no server; undefined when it can. Labels may hold any printable ASCII but dots (RFC 2181 §11). */
export function dnsNameFault(name: string): { readonly what: string; readonly fix: string } | undefined {
  const text = name.endsWith('.') ? name.slice(0, -1) : name
  if (text === '' && name !== '.') return { what: 'an empty name', fix: 'Write a name like web.default.svc.cluster.local.' }
  const labels = text === '' ? [] : text.split('.')
  const long = labels.find((label) => label.length > MAX_LABEL_LENGTH)
  if (long !== undefined)
    return { what: `the label ${long.slice(0, 20)}... has ${long.length} characters`, fix: `A label of a DNS name has at most ${MAX_LABEL_LENGTH}.` }
  if (labels.includes('')) return { what: `${JSON.stringify(name)} has an empty label`, fix: 'Write one dot between two labels.' }
  if (wireLength(labels) > MAX_NAME_LENGTH) return { what: `a name of ${text.length} characters`, fix: `A DNS name has at most ${MAX_NAME_LENGTH - 2}.` }
  if (!/^[\x21-\x7e]*$/.test(text))
    return { what: `${JSON.stringify(name)} is no DNS name`, fix: 'Letters, digits, -, _ and dots; other scripts in their xn-- form.' }
  return undefined
}

/** One length octet for each label, and the root's. */
function wireLength(labels: readonly string[]): number {
  return labels.reduce((sum, label) => sum + label.length + 1, 1)
}
