/**
 * Matches of a rule → bytecode: the fields of the row where the rule's text has them plain, typed matches after them. Cold.
 *
 * The kernel tries addresses, devices, protocol and the fragment bit first, then the matches in the order of the text; ports go
 * to the row only when nothing before them counts or draws (limit, statistic, recent), so that those see the same packets.
 */
import { unreachable } from '../../base/assert.js'
import { maskOf } from '../../base/cidr.js'
import { ADDR_TYPES } from '../../dataplane/iptables.js'
import type { CtState, Match, PortRange, Rule } from '../../dataplane/iptables.js'
import {
  FLAG_DEVICES,
  FLAG_PORTS,
  M_ADDRTYPE,
  M_CONNMARK,
  M_CT_ADDRESS,
  M_CT_DIRECTION,
  M_CT_PORT,
  M_CT_PROTO,
  M_CT_STATE,
  M_CT_STATUS,
  M_DEVICE,
  M_DPORT,
  M_DSCP,
  M_DST,
  M_END,
  M_FRAGMENT,
  M_ICMP,
  M_IPRANGE,
  M_LENGTH,
  M_LIMIT,
  M_MAC,
  M_MARK,
  M_MULTIPORT,
  M_NTH,
  M_PHYSDEV,
  M_PHYSDEV_IS,
  M_PKTTYPE,
  M_PROTO,
  M_RANDOM,
  M_RECENT,
  M_RPFILTER,
  M_SET,
  M_SPORT,
  M_SRC,
  M_TCP_FLAGS,
  M_TOS,
  M_TTL,
  M_UNKNOWN,
  MATCH_INDEX_SHIFT,
  MATCH_INVERT,
  MATCH_LENGTH_SHIFT,
  R_DPORT,
  R_DPORT_RANGE,
  R_DST,
  R_DST_MASK,
  R_FLAGS,
  R_IN,
  R_MATCH,
  R_OUT,
  R_PROTO,
  R_SPORT,
  R_SPORT_RANGE,
  R_SRC,
  R_SRC_MASK,
} from './bytecode.js'
import type { RuleCompiler } from './compile.js'
import { IPS_ASSURED, IPS_CONFIRMED, IPS_EXPECTED, IPS_SEEN_REPLY } from './conntrack-tuple.js'
import { RECENT_RCHECK, RECENT_REMOVE, RECENT_SET, RECENT_UPDATE } from './match-state.js'
import {
  ADDRTYPE_LIMIT_IN,
  ADDRTYPE_LIMIT_OUT,
  ADDRTYPE_SRC,
  MULTIPORT_DPORTS,
  MULTIPORT_SPORTS,
  PHYSDEV_IN,
  PHYSDEV_IS_BRIDGED,
  PHYSDEV_IS_IN,
  PHYSDEV_IS_OUT,
  PHYSDEV_OUT,
  RPFILTER_ACCEPT_LOCAL,
  RPFILTER_LOOSE,
  RPFILTER_VALIDMARK,
  STATE_DNAT,
  STATE_SNAT,
} from './match.js'

/** Fields of the row that remember which match they came from, in the kernel's order. */
export const FIELD_ORIGINS = 7
const ORIGIN_SRC = 0
const ORIGIN_DST = 1
const ORIGIN_IN = 2
const ORIGIN_OUT = 3
const ORIGIN_PROTO = 4
const ORIGIN_SPORT = 5
const ORIGIN_DPORT = 6

const MODULE_PROTOS = { tcp: 6, udp: 17, sctp: 132, icmp: 1 } as const
const CT_STATE_BITS: Readonly<Record<CtState, number>> = { INVALID: 1, NEW: 2, ESTABLISHED: 4, RELATED: 8, UNTRACKED: 0x40, SNAT: STATE_SNAT, DNAT: STATE_DNAT }
const CT_STATUS_BITS = { NONE: 0, EXPECTED: IPS_EXPECTED, SEEN_REPLY: IPS_SEEN_REPLY, ASSURED: IPS_ASSURED, CONFIRMED: IPS_CONFIRMED } as const
const RECENT_ACTIONS = { set: RECENT_SET, rcheck: RECENT_RCHECK, update: RECENT_UPDATE, remove: RECENT_REMOVE } as const
const TTL_COMPARES = { eq: 0, ne: 1, lt: 2, gt: 3 } as const
const PACKET_TYPES = { unicast: 0, broadcast: 1, multicast: 2 } as const
const RATE_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** One typed match before it is laid out. */
type Typed = readonly [op: number, ...args: number[]]

/** Fills a rule's row and its typed matches. */
export function compileMatches(compiler: RuleCompiler, rule: Rule, row: Int32Array, origins: Int8Array): void {
  origins.fill(-1)
  const typed: { code: Typed; invert: boolean; index: number }[] = []
  const push = (code: Typed, match: Match, index: number): void => void typed.push({ code, invert: isInverted(match), index })
  for (const [index, match] of rule.matches.entries()) {
    const code = compileIpMatch(compiler, match, row, origins, index)
    if (code !== undefined) push(code, match, index)
  }
  let plain = true
  for (const [index, match] of rule.matches.entries()) {
    if (isIpMatch(match)) continue
    if (plain && placePorts(match, row, origins, index)) continue
    if (hasMemory(match)) plain = false
    for (const code of compileMatch(compiler, match, rule)) push(code, match, index)
  }
  row[R_MATCH] = typed.length === 0 ? 0 : compiler.matches.length
  for (const { code, invert, index } of typed) {
    const [op, ...args] = code
    compiler.matches.push(op | (invert ? MATCH_INVERT : 0) | ((args.length + 1) << MATCH_LENGTH_SHIFT) | (index << MATCH_INDEX_SHIFT), ...args)
  }
  if (typed.length > 0) compiler.matches.push(M_END)
}

function isInverted(match: Match): boolean {
  // the device patterns hold their own inversion
  return 'invert' in match && match.invert === true && match.kind !== 'in-interface' && match.kind !== 'out-interface'
}

function isIpMatch(match: Match): boolean {
  return ['source', 'destination', 'protocol', 'in-interface', 'out-interface', 'fragment'].includes(match.kind)
}

function hasMemory(match: Match): boolean {
  return ['statistic-random', 'statistic-nth', 'limit', 'recent', 'unknown'].includes(match.kind)
}

/** What every rule has without -m: into the row, or where the row cannot hold it (inverted, a second one) typed. */
function compileIpMatch(compiler: RuleCompiler, match: Match, row: Int32Array, origins: Int8Array, index: number): Typed | undefined {
  const free = (origin: number): boolean => origins[origin] < 0 && !isInverted(match)
  switch (match.kind) {
    case 'source':
    case 'destination': {
      const source = match.kind === 'source'
      const mask = maskOf(match.net.length)
      if (!free(source ? ORIGIN_SRC : ORIGIN_DST)) return [source ? M_SRC : M_DST, match.net.base & mask, mask]
      row[source ? R_SRC : R_DST] = match.net.base & mask
      row[source ? R_SRC_MASK : R_DST_MASK] = mask
      origins[source ? ORIGIN_SRC : ORIGIN_DST] = index
      return undefined
    }
    case 'protocol':
      if (match.proto === 0) return undefined
      if (!free(ORIGIN_PROTO)) return [M_PROTO, match.proto]
      row[R_PROTO] = match.proto
      origins[ORIGIN_PROTO] = index
      return undefined
    case 'in-interface':
    case 'out-interface': {
      const field = match.kind === 'in-interface' ? R_IN : R_OUT
      const pattern = compiler.pattern(match.name, match.invert ?? false)
      if (row[field] !== 0) return [M_DEVICE, field === R_IN ? pattern : 0, field === R_IN ? 0 : pattern]
      row[field] = pattern
      row[R_FLAGS] |= FLAG_DEVICES
      origins[field === R_IN ? ORIGIN_IN : ORIGIN_OUT] = index
      return undefined
    }
    case 'fragment':
      return [M_FRAGMENT]
    default:
      return undefined
  }
}

/** Ports (ICMP: type and code) that the row can hold. */
function placePorts(match: Match, row: Int32Array, origins: Int8Array, index: number): boolean {
  if (isInverted(match)) return false
  const set = (origin: number, first: number, range: number): boolean => {
    if (origins[origin] >= 0) return false
    if ((row[R_FLAGS] & FLAG_PORTS) === 0) openPorts(row)
    row[origin === ORIGIN_SPORT ? R_SPORT : R_DPORT] = first
    row[origin === ORIGIN_SPORT ? R_SPORT_RANGE : R_DPORT_RANGE] = range
    origins[origin] = index
    return true
  }
  switch (match.kind) {
    case 'source-port':
    case 'destination-port':
      if (row[R_PROTO] !== MODULE_PROTOS[match.module]) return false
      return set(match.kind === 'source-port' ? ORIGIN_SPORT : ORIGIN_DPORT, match.ports[0], match.ports[1] - match.ports[0])
    case 'icmp-type':
      if (row[R_PROTO] !== MODULE_PROTOS.icmp || origins[ORIGIN_SPORT] >= 0 || origins[ORIGIN_DPORT] >= 0) return false
      set(ORIGIN_SPORT, match.type === 255 ? 0 : match.type, match.type === 255 ? 255 : 0)
      return set(ORIGIN_DPORT, match.code ?? 0, match.code === undefined ? 255 : 0)
    case 'module':
      // the modules refuse a later fragment even when they are asked for nothing more
      if (row[R_PROTO] !== MODULE_PROTOS[match.module]) return false
      if ((row[R_FLAGS] & FLAG_PORTS) === 0) openPorts(row)
      if (origins[ORIGIN_DPORT] < 0) origins[ORIGIN_DPORT] = index
      return true
    default:
      return false
  }
}

function openPorts(row: Int32Array): void {
  row[R_FLAGS] |= FLAG_PORTS
  row[R_SPORT] = 0
  row[R_SPORT_RANGE] = 0xffff
  row[R_DPORT] = 0
  row[R_DPORT_RANGE] = 0xffff
}

function portArgs(ports: PortRange): [first: number, range: number] {
  return [ports[0], ports[1] - ports[0]]
}

function sourceBits(directions: readonly ('src' | 'dst')[]): number {
  return directions.reduce((bits, direction, i) => bits | (direction === 'src' ? 1 << i : 0), 0)
}

type IpMatch = Extract<Match, { kind: 'source' | 'destination' | 'protocol' | 'in-interface' | 'out-interface' | 'fragment' | 'comment' | 'module' }>
type PortMatch = Extract<Match, { kind: 'source-port' | 'destination-port' | 'tcp-flags' | 'icmp-type' | 'multiport' }>
type FieldMatch = PortMatch | Extract<Match, { kind: 'mark' | 'length' | 'ttl' | 'pkttype' | 'iprange' | 'dscp' | 'tos' | 'mac-source' }>
type OtherMatch = Exclude<Match, IpMatch | FieldMatch | ConntrackMatch>

/** All but what compileIpMatch does. A match that says nothing gives no code. */
function compileMatch(compiler: RuleCompiler, match: Match, rule: Rule): readonly Typed[] {
  switch (match.kind) {
    case 'source':
    case 'destination':
    case 'protocol':
    case 'in-interface':
    case 'out-interface':
    case 'fragment':
    case 'comment':
    case 'module':
      return []
    case 'source-port':
    case 'destination-port':
    case 'tcp-flags':
    case 'icmp-type':
    case 'multiport':
    case 'mark':
    case 'length':
    case 'ttl':
    case 'pkttype':
    case 'iprange':
    case 'dscp':
    case 'tos':
    case 'mac-source':
      return [compileFieldMatch(match)]
    case 'connmark':
    case 'ctstate':
    case 'ctproto':
    case 'ct-address':
    case 'ct-port':
    case 'ctstatus':
    case 'ctdir':
      return [compileConntrackMatch(match, rule)]
    default:
      return [compileOtherMatch(compiler, match)]
  }
}

/** What the packet's row alone tells. */
function compileFieldMatch(match: FieldMatch): Typed {
  switch (match.kind) {
    case 'source-port':
    case 'destination-port':
      return [match.kind === 'source-port' ? M_SPORT : M_DPORT, ...portArgs(match.ports), MODULE_PROTOS[match.module]]
    case 'tcp-flags':
      return [M_TCP_FLAGS, match.mask, match.set]
    case 'icmp-type':
      return [M_ICMP, match.type, match.code ?? 0, match.code === undefined ? 255 : 0]
    case 'multiport': {
      const sides = match.side === 'sports' ? MULTIPORT_SPORTS : match.side === 'dports' ? MULTIPORT_DPORTS : MULTIPORT_SPORTS | MULTIPORT_DPORTS
      return [M_MULTIPORT, sides, match.ports.length, ...match.ports.flatMap(portArgs)]
    }
    case 'mark':
      return [M_MARK, match.value | 0, match.mask | 0]
    case 'mac-source':
      return [M_MAC, Math.floor(match.mac / 4294967296), match.mac | 0]
    case 'length':
      return [M_LENGTH, ...portArgs(match.range)]
    case 'ttl':
      return [M_TTL, TTL_COMPARES[match.compare], match.value]
    case 'pkttype':
      return [M_PKTTYPE, PACKET_TYPES[match.type]]
    case 'iprange':
      return [M_IPRANGE, match.side === 'src' ? 0 : 1, match.first, match.last]
    case 'dscp':
      return [M_DSCP, match.value]
    case 'tos':
      return [M_TOS, match.value, match.mask]
    default:
      return unreachable(match)
  }
}

/** What needs routes, sets, devices, chance or memory. */
function compileOtherMatch(compiler: RuleCompiler, match: OtherMatch): Typed {
  switch (match.kind) {
    case 'addrtype': {
      const limit = match.limit === 'in' ? ADDRTYPE_LIMIT_IN : match.limit === 'out' ? ADDRTYPE_LIMIT_OUT : 0
      return [M_ADDRTYPE, limit | (match.side === 'src' ? ADDRTYPE_SRC : 0), match.types.reduce((bits, type) => bits | (1 << ADDR_TYPES.indexOf(type)), 0)]
    }
    case 'set': {
      const set = compiler.setIndex(match.set)
      return set < 0 ? unknown(compiler, `-m set: no set ${match.set}`) : [M_SET, set, match.directions.length, sourceBits(match.directions)]
    }
    case 'statistic-random':
      return [M_RANDOM, Math.round(Number(match.probability) * 0x80000000) | 0]
    case 'statistic-nth':
      return [M_NTH, compiler.nth(match.every - 1 - match.packet), match.every - 1]
    case 'physdev':
      return [M_PHYSDEV, match.option === 'physdev-in' ? PHYSDEV_IN : PHYSDEV_OUT, compiler.pattern(match.name, false)]
    case 'physdev-is':
      return [M_PHYSDEV_IS, match.option === 'physdev-is-in' ? PHYSDEV_IS_IN : match.option === 'physdev-is-out' ? PHYSDEV_IS_OUT : PHYSDEV_IS_BRIDGED]
    case 'rpfilter':
      return [M_RPFILTER, (match.loose ? RPFILTER_LOOSE : 0) | (match.validmark ? RPFILTER_VALIDMARK : 0) | (match.acceptLocal ? RPFILTER_ACCEPT_LOCAL : 0)]
    case 'limit': {
      const cost = limitCostNs(match.rate)
      return cost === undefined ? unknown(compiler, `-m limit --limit ${match.rate}`) : [M_LIMIT, compiler.limits.add(cost, match.burst)]
    }
    case 'recent':
      return [
        M_RECENT,
        compiler.recents.add({
          action: RECENT_ACTIONS[match.action],
          list: compiler.recents.list(match.name),
          source: match.side === 'source',
          mask: match.mask,
          windowNs: (match.seconds ?? 0) * 1e9,
          hitcount: match.hitcount ?? 0,
          reap: match.reap ?? false,
        }),
      ]
    case 'unknown':
      return unknown(compiler, match.text)
    default:
      return unreachable(match)
  }
}

type ConntrackMatch = Extract<Match, { kind: 'connmark' | 'ctstate' | 'ctproto' | 'ct-address' | 'ct-port' | 'ctstatus' | 'ctdir' }>

/** After the op: 1 when the rule asks the state too, for then a packet without an entry passes what else is asked (conntrack_mt). */
function compileConntrackMatch(match: ConntrackMatch, rule: Rule): Typed {
  const asked = rule.matches.some((other) => other.kind === 'ctstate' && other.module === 'conntrack') ? 1 : 0
  switch (match.kind) {
    case 'connmark':
      return [M_CONNMARK, 0, match.mask | 0, match.value | 0]
    case 'ctstate':
      return [M_CT_STATE, match.states.reduce((bits, state) => bits | CT_STATE_BITS[state], 0), match.module === 'conntrack' ? 1 : 0]
    case 'ctproto':
      return [M_CT_PROTO, asked, match.proto]
    case 'ct-address': {
      const mask = maskOf(match.net.length)
      return [M_CT_ADDRESS, asked, ['ctorigsrc', 'ctorigdst', 'ctreplsrc', 'ctrepldst'].indexOf(match.field), match.net.base & mask, mask]
    }
    case 'ct-port':
      return [M_CT_PORT, asked, ['ctorigsrcport', 'ctorigdstport', 'ctreplsrcport', 'ctrepldstport'].indexOf(match.field), ...portArgs(match.ports)]
    case 'ctstatus':
      return [M_CT_STATUS, asked, match.status.reduce((bits, status) => bits | CT_STATUS_BITS[status], 0)]
    case 'ctdir':
      return [M_CT_DIRECTION, asked, match.direction === 'REPLY' ? 1 : 0]
    default:
      return unreachable(match)
  }
}

function unknown(compiler: RuleCompiler, text: string): Typed {
  return [M_UNKNOWN, compiler.word(text)]
}

/** `5/min`, `10/sec`, `1/hour` → the price of a packet, rounded down to tenths of a millisecond as iptables does. */
function limitCostNs(rate: string): number | undefined {
  const match = /^(\d+)\/(s|m|h|d)[a-z]*$/.exec(rate)
  if (match === null || Number(match[1]) === 0) return undefined
  return Math.max(1, Math.floor((10_000 * RATE_SECONDS[match[2]]) / Number(match[1]))) * 1e5
}
