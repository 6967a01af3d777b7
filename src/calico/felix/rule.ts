/**
 * Felix's own form of a rule: the words of its matches and its action exactly as Felix writes them, since they are what the rule's ID is the
 * hash of; and from there the Rule that the dataplane holds. After felix/iptables/match_builder.go, actions.go and renderer.go.
 *
 *   match words + action words + comments ─▶ text ─▶ ID ─▶ Rule (read as iptables-restore would read it)
 */
import { assert } from '../../base/assert.js'
import type { Provenance } from '../../dataplane/dataplane.js'
import { parseRule } from '../../dataplane/iptables-rule.js'
import type { ChainEdit, Rule, TableName } from '../../dataplane/iptables.js'
import { Report, splitWords } from '../../dataplane/text.js'
import { ruleIds } from './hash.js'

export interface FelixRule {
  /** Fragments joined by spaces; empty: every packet. */
  readonly match?: readonly string[]
  /** `--jump …` or `--goto …`; absent: the rule only bears its comment. */
  readonly action?: string
  readonly comments?: readonly string[]
  readonly provenance?: Provenance
}

export interface FelixChain {
  readonly name: string
  /** Of the rules that have none of their own. */
  readonly provenance?: Provenance
  readonly rules: readonly FelixRule[]
}

export type Family = 4 | 6

/** Go's %#x: 0x0, 0x10000. */
function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`
}

export type PortPair = readonly [first: number, last: number]

function portList(ports: readonly PortPair[]): string {
  return ports.map(([first, last]) => (first === last ? `${first}` : `${first}:${last}`)).join(',')
}

const not = (negated: boolean): string => (negated ? '! ' : '')

/** The match criteria, one function a fragment. */
export const m = {
  markSet: (bit: number) => `-m mark --mark ${hex(bit)}/${hex(bit)}`,
  markClear: (bits: number) => `-m mark --mark 0/${hex(bits)}`,
  markNotClear: (bits: number) => `-m mark ! --mark 0/${hex(bits)}`,
  markEquals: (value: number, mask: number) => `-m mark --mark ${hex(value)}/${hex(mask)}`,
  markDiffers: (value: number, mask: number) => `-m mark ! --mark ${hex(value)}/${hex(mask)}`,
  inInterface: (name: string) => `--in-interface ${name}`,
  outInterface: (name: string) => `--out-interface ${name}`,
  /** By name or number; the text stays as it was written. */
  protocol: (protocol: string | number) => `-p ${protocol}`,
  notProtocol: (protocol: string | number) => `! -p ${protocol}`,
  net: (side: Side, net: string, options: Negatable = {}) => `${not(options.negated === true)}--${side} ${net}`,
  ipset: (side: Side, set: string, options: Negatable = {}) => `-m set ${not(options.negated === true)}--match-set ${set} ${direction(side)}`,
  ipPortSet: (side: Side, set: string, options: Negatable = {}) =>
    `-m set ${not(options.negated === true)}--match-set ${set} ${direction(side)},${direction(side)}`,
  ports: (side: Side, ports: readonly PortPair[], options: Negatable = {}) => `-m multiport ${not(options.negated === true)}--${side}-ports ${portList(ports)}`,
  /** Only where Felix has no multiport: NOTRACK of VXLAN. */
  singlePort: (port: number) => `--dport ${port}`,
  icmp: (family: Family, type: number, code?: number) =>
    `${family === 4 ? '-m icmp --icmp-type' : '-m icmp6 --icmpv6-type'} ${type}${code === undefined ? '' : `/${code}`}`,
  notIcmp: (family: Family, type: number, code?: number) =>
    `${family === 4 ? '-m icmp ! --icmp-type' : '-m icmp6 ! --icmpv6-type'} ${type}${code === undefined ? '' : `/${code}`}`,
  ctState: (states: string) => `-m conntrack --ctstate ${states}`,
  notCtState: (states: string) => `-m conntrack ! --ctstate ${states}`,
  sourceLocal: () => '-m addrtype --src-type LOCAL',
  sourceNotLocalOnOut: () => '-m addrtype ! --src-type LOCAL --limit-iface-out',
  destinationLocal: () => '-m addrtype --dst-type LOCAL',
  reversePathFailed: () => '-m rpfilter --invert --validmark',
  limit: (rate: string, burst: number) => `-m limit --limit ${rate}${burst === 0 ? '' : ` --limit-burst ${burst}`}`,
} as const

export type Side = 'source' | 'destination'

interface Negatable {
  readonly negated?: boolean
}

function direction(side: Side): 'src' | 'dst' {
  return side === 'source' ? 'src' : 'dst'
}

/** The actions. */
export const act = {
  accept: '--jump ACCEPT',
  drop: '--jump DROP',
  reject: '--jump REJECT',
  return: '--jump RETURN',
  noTrack: '--jump NOTRACK',
  jump: (chain: string) => `--jump ${chain}`,
  goto: (chain: string) => `--goto ${chain}`,
  setMark: (bits: number) => `--jump MARK --set-mark ${hex(bits)}/${hex(bits)}`,
  clearMark: (bits: number) => `--jump MARK --set-mark 0/${hex(bits)}`,
  setMaskedMark: (value: number, mask: number) => `--jump MARK --set-mark ${hex(value)}/${hex(mask)}`,
  log: (prefix: string) => `--jump LOG --log-prefix "${prefix}: " --log-level 5`,
  nflog: (group: number, prefix: string) => `--jump NFLOG --nflog-group ${group} --nflog-prefix ${prefix} --nflog-size 80`,
  masquerade: (options: { readonly toPorts?: string; readonly randomFully: boolean }) =>
    `--jump MASQUERADE${options.toPorts === undefined ? '' : ` --to-ports ${options.toPorts}`}${options.randomFully ? ' --random-fully' : ''}`,
  snat: (to: string, options: { readonly randomFully: boolean }) => `--jump SNAT --to-source ${to}${options.randomFully ? ' --random-fully' : ''}`,
  dnat: (to: string) => `--jump DNAT --to-destination ${to}`,
  dscp: (value: number) => `--jump DSCP --set-dscp ${value}`,
  limitPackets: (rate: number, burst: number, mark: number) =>
    `-m limit --limit ${rate}/sec --limit-burst ${burst} --jump MARK --set-mark ${hex(mark)}/${hex(mark)}`,
  limitConnections: (above: number) =>
    `-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m connlimit --connlimit-above ${above} --connlimit-mask 0 -j REJECT --reject-with tcp-reset`,
} as const

const MAX_COMMENT = 256

/** Everything but letters, digits, `_`, space and `@%+=:,./-` becomes `_`, so that no shell and no iptables-restore trips over it. */
function commentText(text: string): string {
  return text.replace(/[^\w @%+=:,./-]/gu, '_').slice(0, MAX_COMMENT)
}

/** The rule as Felix appends it to `chain`; `id` stands where its first comment does. */
function ruleText(chain: string, rule: FelixRule, id: string): string {
  const comments = (rule.comments ?? []).map((text) => `-m comment --comment "${commentText(text)}"`)
  return ['-A', chain, id, ...comments, ...(rule.match ?? []), rule.action ?? ''].filter((fragment) => fragment !== '').join(' ')
}

/** The IDs of a chain's rules, in order. */
export function chainIds(chain: FelixChain): readonly string[] {
  return ruleIds(
    chain.name,
    chain.rules.map((rule) => ruleText(chain.name, rule, 'HASH')),
  )
}

/** What iptables-restore is given: each rule with its ID as first comment. `printAs` where rules are hashed under another name (appends). */
function chainLines(chain: FelixChain, printAs: string = chain.name): readonly string[] {
  const ids = chainIds(chain)
  return chain.rules.map((rule, i) => ruleText(printAs, rule, `-m comment --comment "cali:${ids[i]}"`))
}

/** Where a chain of rules goes. */
interface Placement {
  readonly table: TableName
  /** The chain in the kernel; it differs from the name that is hashed for rules appended to a kernel chain. */
  readonly chain: string
  readonly action: ChainEdit['action']
}

const BY_FELIX: Provenance = { by: 'felix' }

/** Rules by the text of their chain: the nodes of a cluster have most of their chains in common. Only ever a shorter way to the same answer. */
export type RuleCache = Map<string, readonly Rule[]>

/** The chain as the dataplane holds it. IPv4 only. */
export function chainEdit(chain: FelixChain, placement: Placement, cache: RuleCache): ChainEdit {
  const key = [placement.table, placement.chain, ...chain.rules.map((rule) => ruleText(chain.name, rule, 'HASH'))].join('\n')
  const read = cache.get(key) ?? chainLines(chain, placement.chain).flatMap((line) => readLine(line, placement))
  cache.set(key, read)
  const rules = read.map((rule, i): Rule => ({ ...rule, provenance: chain.rules[i].provenance ?? chain.provenance ?? BY_FELIX }))
  return { table: placement.table, chain: placement.chain, action: placement.action, rules }
}

/** Felix's own words are canonical: that they cannot be read would be a fault of netsim's. */
function readLine(line: string, { table, chain }: Placement): readonly Rule[] {
  const words = splitWords(line, { shell: false })
  assert(words !== undefined, `Felix wrote an unbalanced quote: ${line}`)
  const report = new Report({ file: 'felix', line: 0 })
  // REJECT where the kernel has none is read as it is meant; whoever sets it is told (felix.ts)
  const meantFor = line.endsWith(act.reject) ? 'filter' : table
  const rules = parseRule(words.slice(2), { table: meantFor, chain, hasChain: (name) => name.startsWith('cali-'), report })
  assert(rules !== undefined && rules.length === 1, `Felix wrote what iptables refuses: ${line}`)
  return rules
}
