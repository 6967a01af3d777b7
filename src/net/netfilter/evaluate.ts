// hot path
/**
 * The rule interpreter (net/ipv4/netfilter/ip_tables.c, ipt_do_table): row after row of the bytecode, user chains on an
 * explicit stack. runChain is the reference; the classified and the traced way say the same, which tests hold.
 */
import type { Packet } from '../../wire/packet.js'
import { STEP_RULE, STEP_TABLE } from '../trace.js'
import {
  CONTINUE,
  FLAG_DEVICES,
  FLAG_PORTS,
  MATCHED,
  NF_ACCEPT,
  NF_DROP,
  NF_INCOMPLETE,
  NO_MATCH,
  NOT_MODELLED,
  R_ARG,
  R_DPORT,
  R_DPORT_RANGE,
  R_DST,
  R_DST_MASK,
  R_FLAGS,
  R_IN,
  R_MATCH,
  R_OUT,
  R_PROTO,
  R_RUN,
  R_SPORT,
  R_SPORT_RANGE,
  R_SRC,
  R_SRC_MASK,
  R_TARGET,
  RULE_STRIDE,
  T_ACCEPT,
  T_DROP,
  T_END,
  T_GOTO,
  T_JUMP,
  T_NONE,
  T_POLICY,
  T_RETURN,
} from './bytecode.js'
import { CLASSIFY_INCOMPLETE, classify } from './classify.js'
import { failingMatches, runMatches } from './match.js'
import type { Netfilter } from './netfilter.js'
import { runTarget } from './target.js'

/** Runs a built-in chain, given the row of its first rule and of its policy. @returns a verdict */
export function runChain(nf: Netfilter, entry: number, policy: number, packet: Packet): number {
  const code = nf.rules
  const src = packet.src
  const dst = packet.dst
  const proto = packet.proto
  // the ports of a later fragment are not there: no port matches
  const sport = packet.fragmentOffset === 0 ? packet.sport : -1
  const dport = packet.fragmentOffset === 0 ? packet.dport : -1
  let at = entry
  nf.depth = 0
  for (;;) {
    if ((((src & code[at + R_SRC_MASK]) ^ code[at + R_SRC]) | ((dst & code[at + R_DST_MASK]) ^ code[at + R_DST])) !== 0) {
      at += RULE_STRIDE
      continue
    }
    const wanted = code[at + R_PROTO]
    if (wanted !== 0 && wanted !== proto) {
      at += RULE_STRIDE
      continue
    }
    const flags = code[at + R_FLAGS]
    if (flags !== 0) {
      if ((flags & FLAG_PORTS) !== 0) {
        if ((dport - code[at + R_DPORT]) >>> 0 > code[at + R_DPORT_RANGE] || (sport - code[at + R_SPORT]) >>> 0 > code[at + R_SPORT_RANGE]) {
          at += RULE_STRIDE
          continue
        }
      }
      if ((flags & FLAG_DEVICES) !== 0 && !nf.devicesMatch(code[at + R_IN], code[at + R_OUT])) {
        at += RULE_STRIDE
        continue
      }
    }
    const matches = code[at + R_MATCH]
    if (matches !== 0) {
      const said = runMatches(nf, matches, packet)
      if (said === NO_MATCH) {
        at += RULE_STRIDE
        continue
      }
      if (said === NOT_MODELLED) return NF_INCOMPLETE
    }
    at = takeRule(nf, at, policy, packet)
    if (at < 0) return ~at
  }
}

/** The same with long runs of rules classified at once; see classify.ts. */
export function runChainClassified(nf: Netfilter, entry: number, policy: number, packet: Packet): number {
  const code = nf.rules
  let at = entry
  nf.depth = 0
  for (;;) {
    const run = code[at + R_RUN]
    if (run >= 0) {
      at = classify(nf, nf.runs[run], at, packet)
      if (at === CLASSIFY_INCOMPLETE) return NF_INCOMPLETE
      // past the last rule of the run: go on with what follows it
      if (at === nf.runs[run].end) continue
    } else {
      const said = matchRule(nf, at, packet)
      if (said === NOT_MODELLED) return NF_INCOMPLETE
      if (said === NO_MATCH) {
        at += RULE_STRIDE
        continue
      }
    }
    at = takeRule(nf, at, policy, packet)
    if (at < 0) return ~at
  }
}

/** The same, writing steps: one for the table, one for each rule that matched, at level 1 for each rule tried. */
export function runChainTraced(nf: Netfilter, entry: number, policy: number, packet: Packet, table: number): number {
  const code = nf.rules
  const trace = nf.netns.world.trace
  const header = trace.step(STEP_TABLE, 0, nf.netns, packet)
  let at = entry
  let tried = 0
  let matched = 0
  nf.depth = 0
  for (;;) {
    const run = trace.level === 0 && nf.classified !== 0 ? code[at + R_RUN] : -1
    const found = run < 0 ? CLASSIFY_INCOMPLETE : classify(nf, nf.runs[run], at, packet)
    if (found !== CLASSIFY_INCOMPLETE) {
      tried += (found - at) / RULE_STRIDE
      at = found
      if (found === nf.runs[run].end) continue
    }
    const rule = (at / RULE_STRIDE) | 0
    const target = code[at + R_TARGET]
    const isRule = target !== T_END && target !== T_POLICY
    if (isRule) {
      tried++
      // the classifier has asked all its matches already, and some count what they are asked
      const said = found === CLASSIFY_INCOMPLETE ? matchRule(nf, at, packet) : MATCHED
      if (said !== MATCHED) {
        if (said === NOT_MODELLED || trace.level > 0) noteRule(nf, packet, table, rule, said === NOT_MODELLED ? NF_INCOMPLETE : CONTINUE, 0)
        if (said === NOT_MODELLED) {
          nf.noteTable(header, table, rule, tried, matched, NF_INCOMPLETE)
          return NF_INCOMPLETE
        }
        at += RULE_STRIDE
        continue
      }
      matched++
    }
    at = takeRule(nf, at, policy, packet)
    if (isRule) noteRule(nf, packet, table, rule, target, 1)
    if (at < 0) {
      nf.noteTable(header, table, rule, tried, matched, ~at)
      return ~at
    }
  }
}

/** A rule whose matches hold: counts it and does what its target says. @returns the row that is next, or ~verdict */
function takeRule(nf: Netfilter, at: number, policy: number, packet: Packet): number {
  const code = nf.rules
  const target = code[at + R_TARGET]
  if (target === T_END) return nf.depth === 0 ? policy : nf.stack[--nf.depth]
  const rule = (at / RULE_STRIDE) | 0
  nf.lastRule = rule
  nf.packets[rule]++
  nf.bytes[rule] += packet.ipLength
  switch (target) {
    case T_NONE:
      return at + RULE_STRIDE
    case T_ACCEPT:
      return ~NF_ACCEPT
    case T_DROP:
      return ~NF_DROP
    case T_JUMP:
      nf.stack[nf.depth++] = at + RULE_STRIDE
      return code[at + R_ARG]
    case T_GOTO:
      return code[at + R_ARG]
    case T_RETURN:
      return nf.depth === 0 ? policy : nf.stack[--nf.depth]
    case T_POLICY:
      return ~code[at + R_ARG]
    default: {
      const verdict = runTarget(nf, target, code[at + R_ARG], packet)
      return verdict === CONTINUE ? at + RULE_STRIDE : ~verdict
    }
  }
}

/** action of a STEP_RULE: the T_* of the rule when it matched, CONTINUE when not, NF_INCOMPLETE when it could not be told. */
function noteRule(nf: Netfilter, packet: Packet, table: number, rule: number, action: number, matched: number): void {
  const failed = matched === 1 ? -1 : nf.failedMatch
  const failing = action === CONTINUE && matched === 0 ? failingBits(nf, rule * RULE_STRIDE, packet) : 0
  nf.netns.world.trace.note(STEP_RULE, action, nf.netns, packet, table, nf.ruleChains[rule], nf.ruleNumbers[rule], matched, failed, failing)
}

/** All matches of a rule that fail, not the first alone: a rule that failed in one is nearer than one that failed in three. */
function failingBits(nf: Netfilter, at: number, packet: Packet): number {
  const code = nf.rules
  const origins = nf.fieldOrigins
  const first = ((at / RULE_STRIDE) | 0) * 7
  let bits = code[at + R_MATCH] === 0 ? 0 : failingMatches(nf, code[at + R_MATCH], packet)
  if (((packet.src & code[at + R_SRC_MASK]) ^ code[at + R_SRC]) !== 0) bits |= 1 << origins[first]
  if (((packet.dst & code[at + R_DST_MASK]) ^ code[at + R_DST]) !== 0) bits |= 1 << origins[first + 1]
  if ((code[at + R_FLAGS] & FLAG_DEVICES) !== 0) {
    if (!nf.devicesMatch(code[at + R_IN], 0)) bits |= 1 << origins[first + 2]
    if (!nf.devicesMatch(0, code[at + R_OUT])) bits |= 1 << origins[first + 3]
  }
  if (code[at + R_PROTO] !== 0 && code[at + R_PROTO] !== packet.proto) bits |= 1 << origins[first + 4]
  if ((code[at + R_FLAGS] & FLAG_PORTS) === 0) return bits
  const whole = packet.fragmentOffset === 0
  // a fixed port stands for the one match of its side, or for both sides of an ICMP type
  if (((whole ? packet.sport : -1) - code[at + R_SPORT]) >>> 0 > code[at + R_SPORT_RANGE]) bits |= 1 << origins[first + (origins[first + 5] >= 0 ? 5 : 6)]
  if (((whole ? packet.dport : -1) - code[at + R_DPORT]) >>> 0 > code[at + R_DPORT_RANGE]) bits |= 1 << origins[first + (origins[first + 6] >= 0 ? 6 : 5)]
  return bits
}

/** One rule's matches; nf.failedMatch says which one failed. */
function matchRule(nf: Netfilter, at: number, packet: Packet): number {
  const code = nf.rules
  const wanted = code[at + R_PROTO]
  const flags = code[at + R_FLAGS]
  if (
    ((packet.src & code[at + R_SRC_MASK]) ^ code[at + R_SRC]) !== 0 ||
    ((packet.dst & code[at + R_DST_MASK]) ^ code[at + R_DST]) !== 0 ||
    (wanted !== 0 && wanted !== packet.proto) ||
    ((flags & FLAG_PORTS) !== 0 && !portsMatch(code, at, packet)) ||
    ((flags & FLAG_DEVICES) !== 0 && !nf.devicesMatch(code[at + R_IN], code[at + R_OUT]))
  ) {
    if (nf.netns.world.trace.level !== 0) nf.failedMatch = failedField(nf, at, packet)
    return NO_MATCH
  }
  return code[at + R_MATCH] === 0 ? MATCHED : runMatches(nf, code[at + R_MATCH], packet)
}

function portsMatch(code: Int32Array, at: number, packet: Packet): boolean {
  if (packet.fragmentOffset !== 0) return false
  return (packet.dport - code[at + R_DPORT]) >>> 0 <= code[at + R_DPORT_RANGE] && (packet.sport - code[at + R_SPORT]) >>> 0 <= code[at + R_SPORT_RANGE]
}

/** Which match of the rule's text a fixed field that failed stands for: the first in the kernel's order. */
function failedField(nf: Netfilter, at: number, packet: Packet): number {
  const code = nf.rules
  const origins = nf.fieldOrigins
  const first = ((at / RULE_STRIDE) | 0) * 7
  if (((packet.src & code[at + R_SRC_MASK]) ^ code[at + R_SRC]) !== 0) return origins[first]
  if (((packet.dst & code[at + R_DST_MASK]) ^ code[at + R_DST]) !== 0) return origins[first + 1]
  if ((code[at + R_FLAGS] & FLAG_DEVICES) !== 0) {
    if (!nf.devicesMatch(code[at + R_IN], 0)) return origins[first + 2]
    if (!nf.devicesMatch(0, code[at + R_OUT])) return origins[first + 3]
  }
  if (code[at + R_PROTO] !== 0 && code[at + R_PROTO] !== packet.proto) return origins[first + 4]
  const sport = packet.fragmentOffset === 0 ? packet.sport : -1
  return (sport - code[at + R_SPORT]) >>> 0 > code[at + R_SPORT_RANGE] && origins[first + 5] >= 0 ? origins[first + 5] : origins[first + 6]
}
