/** Targets of rules → bytecode. Cold. */
import { unreachable } from '../../base/assert.js'
import type { IptablesState, Match, NatRange, PortRange, RejectType, Rule, Target } from '../../dataplane/iptables.js'
import {
  NAT_MAP_IPS,
  NAT_PERSISTENT,
  NAT_PROTO_SPECIFIED,
  NAT_RANDOM,
  NAT_RANDOM_FULLY,
  REJECT_ADMIN_PROHIBITED,
  REJECT_HOST_PROHIBITED,
  REJECT_HOST_UNREACHABLE,
  REJECT_NET_PROHIBITED,
  REJECT_NET_UNREACHABLE,
  REJECT_PORT_UNREACHABLE,
  REJECT_PROTO_UNREACHABLE,
  REJECT_TCP_RESET,
  RULE_STRIDE,
  T_ACCEPT,
  T_CHECKSUM,
  T_CONNMARK_RESTORE,
  T_CONNMARK_SAVE,
  T_CONNMARK_SET,
  T_DNAT,
  T_DROP,
  T_DSCP,
  T_GOTO,
  T_JUMP,
  T_LOG,
  T_MARK,
  T_MASQUERADE,
  T_NONE,
  T_NOTRACK,
  T_REDIRECT,
  T_REJECT,
  T_RETURN,
  T_SET,
  T_SNAT,
  T_TCPMSS,
  T_TTL,
  T_UNKNOWN,
} from './bytecode.js'
import type { CompiledChain, RuleCompiler } from './compile.js'
import { CLAMP_TO_PMTU, TTL_DEC, TTL_INC, TTL_SET } from './target.js'

/** packet.rejectWith of each --reject-with. */
const REJECT_TYPES: Readonly<Record<RejectType, number>> = {
  'icmp-net-unreachable': REJECT_NET_UNREACHABLE,
  'icmp-host-unreachable': REJECT_HOST_UNREACHABLE,
  'icmp-proto-unreachable': REJECT_PROTO_UNREACHABLE,
  'icmp-port-unreachable': REJECT_PORT_UNREACHABLE,
  'icmp-net-prohibited': REJECT_NET_PROHIBITED,
  'icmp-host-prohibited': REJECT_HOST_PROHIBITED,
  'icmp-admin-prohibited': REJECT_ADMIN_PROHIBITED,
  'tcp-reset': REJECT_TCP_RESET,
}

const TTL_ACTIONS = { set: TTL_SET, dec: TTL_DEC, inc: TTL_INC } as const

type TargetCode = readonly [op: number, arg: number]

/** @param resolve the chain that this rule may jump to by that name, undefined when iptables would refuse it */
export function compileTarget(compiler: RuleCompiler, target: Target | undefined, resolve: (chain: string) => CompiledChain | undefined): TargetCode {
  if (target === undefined) return [T_NONE, 0]
  switch (target.kind) {
    case 'ACCEPT':
      return [T_ACCEPT, 0]
    case 'DROP':
      return [T_DROP, 0]
    case 'RETURN':
      return [T_RETURN, 0]
    case 'jump':
    case 'goto': {
      const chain = resolve(target.chain)
      if (chain === undefined) return unknown(compiler, `${target.kind === 'goto' ? '-g' : '-j'} ${target.chain}: no such chain, or a loop`)
      return [target.kind === 'goto' ? T_GOTO : T_JUMP, chain.firstRow * RULE_STRIDE]
    }
    case 'REJECT':
      return [T_REJECT, compiler.args(REJECT_TYPES[target.with])]
    case 'LOG':
    case 'NFLOG':
    case 'TRACE':
      return [T_LOG, 0]
    case 'CHECKSUM':
      return [T_CHECKSUM, 0]
    case 'MARK':
      return [T_MARK, compiler.args(target.value | 0, target.mask | 0)]
    case 'CONNMARK':
      if (target.action === 'set') return [T_CONNMARK_SET, compiler.args(target.value | 0, target.mask | 0)]
      return [target.action === 'save' ? T_CONNMARK_SAVE : T_CONNMARK_RESTORE, compiler.args(target.nfmask | 0, target.ctmask | 0)]
    case 'MASQUERADE':
      return [T_MASQUERADE, range(compiler, { ports: target.ports }, randomness(target))]
    case 'SNAT':
      return [T_SNAT, range(compiler, target.to, randomness(target) | (target.persistent ? NAT_PERSISTENT : 0))]
    case 'DNAT':
      return [T_DNAT, range(compiler, target.to, (target.random ? NAT_RANDOM : 0) | (target.persistent ? NAT_PERSISTENT : 0))]
    case 'REDIRECT':
      return [T_REDIRECT, range(compiler, { ports: target.ports }, target.random ? NAT_RANDOM : 0)]
    case 'NOTRACK':
      return [T_NOTRACK, 0]
    case 'CT':
      if (target.notrack) return [T_NOTRACK, 0]
      return target.zone === undefined || target.zone === 0 ? [T_LOG, 0] : unknown(compiler, `-j CT --zone ${target.zone}`)
    case 'TCPMSS':
      return [T_TCPMSS, compiler.args(target.clampToPmtu ? CLAMP_TO_PMTU : (target.mss ?? CLAMP_TO_PMTU))]
    case 'SET': {
      const set = compiler.setIndex(target.set)
      if (set < 0) return unknown(compiler, `-j SET: no set ${target.set}`)
      const change = { add: target.action === 'add-set', exist: target.exist ?? false, timeoutNs: target.timeout === undefined ? -1 : target.timeout * 1e9 }
      const sources = target.directions.reduce((bits, direction, i) => bits | (direction === 'src' ? 1 << i : 0), 0)
      return [T_SET, compiler.args(set, target.directions.length, sources, compiler.setChanges.push(change) - 1)]
    }
    case 'DSCP':
      return [T_DSCP, compiler.args(target.value)]
    case 'TTL':
      return [T_TTL, compiler.args(TTL_ACTIONS[target.action], target.value)]
    case 'unknown':
      return unknown(compiler, `-j ${target.name}`)
    default:
      return unreachable(target)
  }
}

function unknown(compiler: RuleCompiler, text: string): TargetCode {
  return [T_UNKNOWN, compiler.args(compiler.word(text))]
}

function randomness(target: { readonly random: boolean; readonly randomFully: boolean }): number {
  return (target.random ? NAT_RANDOM : 0) | (target.randomFully ? NAT_RANDOM_FULLY : 0)
}

function range(compiler: RuleCompiler, to: NatRange & { readonly ports?: PortRange | undefined }, flags: number): number {
  const addressed = to.first !== undefined ? NAT_MAP_IPS : 0
  const ported = to.ports !== undefined ? NAT_PROTO_SPECIFIED : 0
  return compiler.args(flags | addressed | ported, to.first ?? 0, to.last ?? to.first ?? 0, to.ports?.[0] ?? 0, to.ports?.[1] ?? 0)
}

const CONNTRACK_MODULES: readonly string[] = ['connbytes', 'connlabel', 'connlimit', 'cluster', 'helper', 'conntrack', 'state', 'connmark']
const CONNTRACK_TARGETS: readonly string[] = ['NETMAP', 'SYNPROXY', 'CONNSECMARK', 'SAME']

/**
 * Whether the rules turn conntrack, and with it defragmentation, on in their netns. Measured on Linux 6.18 with iptables 1.8.9,
 * nft and legacy alike, by a 3,000-byte datagram forwarded between two veths (reassembled at the router or not, and
 * nf_conntrack_count after it): a nat table alone does NOT, nor rules in it without a NAT target, nor NOTRACK or CT --notrack;
 * any one rule with a conntrack, state or connmark match, CONNMARK, MASQUERADE, SNAT, DNAT, REDIRECT or CT --zone does, in
 * whatever table and chain, even one that nothing jumps to; and deleting the last such rule turns it off again.
 */
export function needsConntrack(state: IptablesState): boolean {
  const needs = ({ matches, target }: Rule): boolean => matches.some(matchNeedsConntrack) || (target !== undefined && targetNeedsConntrack(target))
  return state.tables.some((table) => table.chains.some((chain) => chain.rules.some(needs)))
}

function matchNeedsConntrack(match: Match): boolean {
  switch (match.kind) {
    case 'ctstate':
    case 'ctproto':
    case 'ct-address':
    case 'ct-port':
    case 'ctstatus':
    case 'ctdir':
    case 'connmark':
      return true
    case 'unknown':
      return CONNTRACK_MODULES.includes(match.module)
    default:
      return false
  }
}

function targetNeedsConntrack(target: Target): boolean {
  switch (target.kind) {
    case 'MASQUERADE':
    case 'SNAT':
    case 'DNAT':
    case 'REDIRECT':
    case 'CONNMARK':
      return true
    case 'CT':
      return !target.notrack
    case 'unknown':
      return CONNTRACK_TARGETS.includes(target.name)
    default:
      return false
  }
}
