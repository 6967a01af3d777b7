/**
 * iptables as data: tables, chains, rules, and the closed unions of matches and targets that netsim evaluates. A module that
 * is not in the unions is kept verbatim as `unknown` and named when a packet meets it (INCOMPLETE), never guessed.
 *
 *                 ┌─▶ nat/INPUT… local process …─▶ OUTPUT ─┐
 *   ─▶ PREROUTING ┤                                         ├▶ POSTROUTING ─▶
 *                 └────────────▶ FORWARD ───────────────────┘
 */
import type { Cidr } from '../base/cidr.js'
import type { Ip } from '../base/ip.js'
import type { Provenance } from './dataplane.js'

export type TableName = 'raw' | 'mangle' | 'nat' | 'filter' | 'security'
export type HookName = 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING'

export const TABLE_NAMES: readonly TableName[] = ['raw', 'mangle', 'nat', 'filter', 'security']

/** The built-in chains of each table, in iptables-save's order. */
export const BUILTIN_CHAINS: Readonly<Record<TableName, readonly HookName[]>> = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
  security: ['INPUT', 'FORWARD', 'OUTPUT'],
}

/**
 * A table that is absent does not exist in the kernel: no hook of it runs (a nat table is what starts conntrack). A name that stands twice is a table of
 * each backend, legacy and nft: both are asked at each hook, in this order, and a packet has to pass both.
 */
export interface IptablesState {
  readonly tables: readonly Table[]
}

export interface Table {
  readonly name: TableName
  /** Built-in chains first, then user chains in the order iptables-save prints. */
  readonly chains: readonly Chain[]
}

export interface Chain {
  readonly name: string
  /** Built-in chains only. */
  readonly policy?: 'ACCEPT' | 'DROP'
  readonly rules: readonly Rule[]
  readonly packets?: number
  readonly bytes?: number
  /** Whose its policy is. */
  readonly provenance?: Provenance
}

export interface Rule {
  /** In the order of the text; all must hold. */
  readonly matches: readonly Match[]
  /** Absent: the rule only counts. */
  readonly target?: Target
  readonly packets?: number
  readonly bytes?: number
  readonly provenance?: Provenance
}

/** Inclusive. */
export type PortRange = readonly [first: number, last: number]

interface Invertible {
  /** `!` before the option. */
  readonly invert?: boolean
}

export type CtState = 'NEW' | 'ESTABLISHED' | 'RELATED' | 'INVALID' | 'UNTRACKED' | 'SNAT' | 'DNAT'
/** In the order of the kernel's RTN_* numbers. */
export const ADDR_TYPES = [
  'UNSPEC',
  'UNICAST',
  'LOCAL',
  'BROADCAST',
  'ANYCAST',
  'MULTICAST',
  'BLACKHOLE',
  'UNREACHABLE',
  'PROHIBIT',
  'THROW',
  'NAT',
  'XRESOLVE',
] as const
export type AddrType = (typeof ADDR_TYPES)[number]

export type Match =
  // what every rule has without -m
  | ({ readonly kind: 'source'; readonly net: Cidr } & Invertible)
  | ({ readonly kind: 'destination'; readonly net: Cidr } & Invertible)
  /** A number; 0 is `all`. */
  | ({ readonly kind: 'protocol'; readonly proto: number } & Invertible)
  /** A trailing `+` matches any rest. */
  | ({ readonly kind: 'in-interface'; readonly name: string } & Invertible)
  | ({ readonly kind: 'out-interface'; readonly name: string } & Invertible)
  /** Second and further fragments. */
  | ({ readonly kind: 'fragment' } & Invertible)
  // -m tcp | udp | sctp
  | ({ readonly kind: 'source-port'; readonly module: 'tcp' | 'udp' | 'sctp'; readonly ports: PortRange } & Invertible)
  | ({ readonly kind: 'destination-port'; readonly module: 'tcp' | 'udp' | 'sctp'; readonly ports: PortRange } & Invertible)
  | ({ readonly kind: 'tcp-flags'; readonly mask: number; readonly set: number } & Invertible)
  /** `-p tcp -m tcp` or `-m udp` with nothing more: kept so that the text comes back as it was. */
  | { readonly kind: 'module'; readonly module: 'tcp' | 'udp' | 'sctp' | 'icmp' }
  // -m icmp; code undefined: any
  | ({ readonly kind: 'icmp-type'; readonly type: number; readonly code?: number } & Invertible)
  // -m multiport
  | ({ readonly kind: 'multiport'; readonly side: 'sports' | 'dports' | 'ports'; readonly ports: readonly PortRange[] } & Invertible)
  | { readonly kind: 'comment'; readonly text: string }
  | ({ readonly kind: 'mark'; readonly value: number; readonly mask: number } & Invertible)
  | ({ readonly kind: 'connmark'; readonly value: number; readonly mask: number } & Invertible)
  // -m conntrack, -m state; each option its own Match
  | ({ readonly kind: 'ctstate'; readonly module: 'conntrack' | 'state'; readonly states: readonly CtState[] } & Invertible)
  | ({ readonly kind: 'ctproto'; readonly proto: number } & Invertible)
  | ({ readonly kind: 'ct-address'; readonly field: 'ctorigsrc' | 'ctorigdst' | 'ctreplsrc' | 'ctrepldst'; readonly net: Cidr } & Invertible)
  | ({
      readonly kind: 'ct-port'
      readonly field: 'ctorigsrcport' | 'ctorigdstport' | 'ctreplsrcport' | 'ctrepldstport'
      readonly ports: PortRange
    } & Invertible)
  | ({ readonly kind: 'ctstatus'; readonly status: readonly ('NONE' | 'EXPECTED' | 'SEEN_REPLY' | 'ASSURED' | 'CONFIRMED')[] } & Invertible)
  | { readonly kind: 'ctdir'; readonly direction: 'ORIGINAL' | 'REPLY' }
  | ({ readonly kind: 'addrtype'; readonly side: 'src' | 'dst'; readonly types: readonly AddrType[]; readonly limit?: 'in' | 'out' } & Invertible)
  | ({ readonly kind: 'set'; readonly set: string; readonly directions: readonly ('src' | 'dst')[] } & Invertible)
  | ({ readonly kind: 'statistic-random'; /** as printed, 0 to 1 */ readonly probability: string } & Invertible)
  | ({ readonly kind: 'statistic-nth'; readonly every: number; readonly packet: number } & Invertible)
  | ({ readonly kind: 'physdev'; readonly option: 'physdev-in' | 'physdev-out'; readonly name: string } & Invertible)
  | ({ readonly kind: 'physdev-is'; readonly option: 'physdev-is-in' | 'physdev-is-out' | 'physdev-is-bridged' } & Invertible)
  | { readonly kind: 'rpfilter'; readonly loose: boolean; readonly validmark: boolean; readonly acceptLocal: boolean; readonly invert: boolean }
  /** A token bucket; rate per unit of time as printed (`5/min`). */
  | { readonly kind: 'limit'; readonly rate: string; readonly burst: number }
  | ({ readonly kind: 'mac-source'; readonly mac: number } & Invertible)
  | ({ readonly kind: 'length'; readonly range: PortRange } & Invertible)
  | { readonly kind: 'ttl'; readonly compare: 'eq' | 'ne' | 'lt' | 'gt'; readonly value: number }
  | ({ readonly kind: 'pkttype'; readonly type: 'unicast' | 'broadcast' | 'multicast' } & Invertible)
  | ({ readonly kind: 'iprange'; readonly side: 'src' | 'dst'; readonly first: Ip; readonly last: Ip } & Invertible)
  | ({ readonly kind: 'dscp'; readonly value: number } & Invertible)
  | ({ readonly kind: 'tos'; readonly value: number; readonly mask: number } & Invertible)
  /** -m recent, as kube-proxy's session affinity uses it. */
  | ({
      readonly kind: 'recent'
      readonly action: 'set' | 'rcheck' | 'update' | 'remove'
      readonly name: string
      readonly side: 'source' | 'dest'
      readonly mask: Ip
      readonly seconds?: number
      readonly hitcount?: number
      readonly reap?: boolean
    } & Invertible)
  /** A module that netsim does not evaluate: its text from `-m` on. */
  | { readonly kind: 'unknown'; readonly module: string; readonly text: string }

export type RejectType =
  | 'icmp-net-unreachable'
  | 'icmp-host-unreachable'
  | 'icmp-proto-unreachable'
  | 'icmp-port-unreachable'
  | 'icmp-net-prohibited'
  | 'icmp-host-prohibited'
  | 'icmp-admin-prohibited'
  | 'tcp-reset'

/** Addresses and ports of a NAT target; each end inclusive. */
export interface NatRange {
  readonly first?: Ip
  readonly last?: Ip
  readonly ports?: PortRange
}

export type Target =
  | { readonly kind: 'ACCEPT' }
  | { readonly kind: 'DROP' }
  | { readonly kind: 'RETURN' }
  | { readonly kind: 'jump'; readonly chain: string }
  | { readonly kind: 'goto'; readonly chain: string }
  | { readonly kind: 'REJECT'; readonly with: RejectType }
  | { readonly kind: 'LOG'; readonly prefix?: string; readonly level?: number; readonly flags?: readonly string[] }
  | { readonly kind: 'NFLOG'; readonly group?: number; readonly prefix?: string; readonly size?: number; readonly threshold?: number }
  /** mark = (mark & ~mask) ^ value, as --set-xmark. */
  | { readonly kind: 'MARK'; readonly value: number; readonly mask: number }
  | { readonly kind: 'CONNMARK'; readonly action: 'set'; readonly value: number; readonly mask: number }
  | { readonly kind: 'CONNMARK'; readonly action: 'save' | 'restore'; readonly nfmask: number; readonly ctmask: number }
  | { readonly kind: 'MASQUERADE'; readonly ports?: PortRange; readonly random: boolean; readonly randomFully: boolean }
  | { readonly kind: 'SNAT'; readonly to: NatRange; readonly random: boolean; readonly randomFully: boolean; readonly persistent: boolean }
  | { readonly kind: 'DNAT'; readonly to: NatRange; readonly random: boolean; readonly persistent: boolean }
  | { readonly kind: 'REDIRECT'; readonly ports?: PortRange; readonly random: boolean }
  | { readonly kind: 'NOTRACK' }
  | { readonly kind: 'CT'; readonly notrack: boolean; readonly zone?: number }
  | { readonly kind: 'TCPMSS'; readonly clampToPmtu: boolean; readonly mss?: number }
  | {
      readonly kind: 'SET'
      readonly action: 'add-set' | 'del-set'
      readonly set: string
      readonly directions: readonly ('src' | 'dst')[]
      readonly exist?: boolean
      readonly timeout?: number
    }
  | { readonly kind: 'DSCP'; readonly value: number }
  | { readonly kind: 'TTL'; readonly action: 'set' | 'dec' | 'inc'; readonly value: number }
  | { readonly kind: 'CHECKSUM' }
  | { readonly kind: 'TRACE' }
  | { readonly kind: 'unknown'; readonly name: string; readonly text: string }

/**
 * Part of an agent's render: what it does to one chain. Hosts boot in the order docker, kubelet, kube-proxy, CNI, and each
 * inserts or appends as it really does.
 */
export interface ChainEdit {
  readonly table: TableName
  readonly chain: string
  /** `create`: make the user chain (or empty it) and fill it; `insert`: at the head in this order; `append`: at the end. */
  readonly action: 'create' | 'insert' | 'append'
  readonly rules: readonly Rule[]
  /** Sets the policy of a built-in chain. */
  readonly policy?: 'ACCEPT' | 'DROP'
}
