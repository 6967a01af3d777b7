// hot path
/**
 * The rule interpreter (net/ipv4/netfilter/ip_tables.c, ipt_do_table): row after row of the bytecode, user chains on an
 * explicit stack. The reference that the classifier is held against.
 */
import type { Packet } from '../../wire/packet.js'
import { STEP_RULE, STEP_TABLE } from '../trace.js'
import {
  CONTINUE, FLAG_DEVICES, FLAG_PORTS, MATCHED, NF_ACCEPT, NF_DROP, NF_INCOMPLETE, NO_MATCH, NOT_MODELLED, R_ARG, R_DPORT, R_DPORT_RANGE, R_DST, R_DST_MASK, R_FLAGS, R_IN,
  R_MATCH, R_OUT, R_PROTO, R_RUN, R_SPORT, R_SPORT_RANGE, R_SRC, R_SRC_MASK, R_TARGET, RULE_STRIDE, T_ACCEPT, T_DROP, T_END, T_GOTO, T_JUMP, T_NONE, T_POLICY, T_RETURN,
} from './bytecode.js'
import { classify } from './classify.js'
import { runMatches } from './match.js'
import type { Netfilter } from './netfilter.js'
import { runTarget } from './target.js'

/** Runs a built-in chain. @returns a verdict */
export function runChain(nf: Netfilter, entry: number, packet: Packet): number {
  const code = nf.rules
  const packets = nf.packets
  const bytes = nf.bytes
  const stack = nf.stack
  const src = packet.src
  const dst = packet.dst
  const proto = packet.proto
  // the ports of a later fragment are not there: no port matches
  const sport = packet.fragmentOffset === 0 ? packet.sport : -1
  const dport = packet.fragmentOffset === 0 ? packet.dport : -1
  let at = entry
  let depth = 0
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
    const rule = (at / RULE_STRIDE) | 0
    const target = code[at + R_TARGET]
    switch (target) {
      case T_NONE:
        packets[rule]++
        bytes[rule] += packet.ipLength
        at += RULE_STRIDE
        break
      case T_ACCEPT:
        packets[rule]++
        bytes[rule] += packet.ipLength
        return NF_ACCEPT
      case T_DROP:
        packets[rule]++
        bytes[rule] += packet.ipLength
        return NF_DROP
      case T_JUMP:
        packets[rule]++
        bytes[rule] += packet.ipLength
        stack[depth++] = at + RULE_STRIDE
        at = code[at + R_ARG]
        break
      case T_GOTO:
        packets[rule]++
        bytes[rule] += packet.ipLength
        at = code[at + R_ARG]
        break
      case T_RETURN:
        packets[rule]++
        bytes[rule] += packet.ipLength
        at = depth === 0 ? nf.policyRow(entry) : stack[--depth]
        break
      case T_END:
        at = depth === 0 ? nf.policyRow(entry) : stack[--depth]
        break
      case T_POLICY:
        packets[rule]++
        bytes[rule] += packet.ipLength
        return code[at + R_ARG]
      default: {
        packets[rule]++
        bytes[rule] += packet.ipLength
        const verdict = runTarget(nf, target, code[at + R_ARG], packet)
        if (verdict !== CONTINUE) return verdict
        at += RULE_STRIDE
      }
    }
  }
}

/** The same with long runs of plain rules classified at once; see classify.ts. */
export function runChainClassified(nf: Netfilter, entry: number, packet: Packet): number {
  const code = nf.rules
  const stack = nf.stack
  let at = entry
  let depth = 0
  for (;;) {
    const run = code[at + R_RUN]
    if (run >= 0) {
      at = classify(nf, nf.runs[run], packet)
      // past the run's end: go on with what follows; inside: that rule is the first that matches
      if (at === nf.runs[run].end) continue
    } else {
      const said = matchRule(nf, at, packet)
      if (said === NOT_MODELLED) return NF_INCOMPLETE
      if (said === NO_MATCH) {
        at += RULE_STRIDE
        continue
      }
    }
    const rule = (at / RULE_STRIDE) | 0
    const target = code[at + R_TARGET]
    if (target !== T_END) {
      nf.packets[rule]++
      nf.bytes[rule] += packet.ipLength
    }
    switch (target) {
      case T_NONE:
        at += RULE_STRIDE
        break
      case T_ACCEPT:
        return NF_ACCEPT
      case T_DROP:
        return NF_DROP
      case T_JUMP:
        stack[depth++] = at + RULE_STRIDE
        at = code[at + R_ARG]
        break
      case T_GOTO:
        at = code[at + R_ARG]
        break
      case T_RETURN:
      case T_END:
        at = depth === 0 ? nf.policyRow(entry) : stack[--depth]
        break
      case T_POLICY:
        return code[at + R_ARG]
      default: {
        const verdict = runTarget(nf, target, code[at + R_ARG], packet)
        if (verdict !== CONTINUE) return verdict
        at += RULE_STRIDE
      }
    }
  }
}

/** The same, writing steps: one for the table, one for each rule that matched, at level 1 for each rule tried. */
export function runChainTraced(nf: Netfilter, entry: number, packet: Packet, table: number): number {
  const code = nf.rules
  const trace = nf.netns.world.trace
  const header = trace.step(STEP_TABLE, 0, nf.netns, packet)
  let at = entry
  let depth = 0
  let tried = 0
  let matched = 0
  for (;;) {
    const rule = (at / RULE_STRIDE) | 0
    const target = code[at + R_TARGET]
    if (target === T_END) {
      at = depth === 0 ? nf.policyRow(entry) : nf.stack[--depth]
      continue
    }
    if (target === T_POLICY) {
      nf.packets[rule]++
      nf.bytes[rule] += packet.ipLength
      nf.noteTable(header, table, rule, tried, matched, code[at + R_ARG])
      return code[at + R_ARG]
    }
    tried++
    nf.failedMatch = -1
    const said = matchRule(nf, at, packet)
    if (said === NOT_MODELLED) {
      note(nf, packet, table, rule, NF_INCOMPLETE, 0)
      nf.noteTable(header, table, rule, tried, matched, NF_INCOMPLETE)
      return NF_INCOMPLETE
    }
    if (said === NO_MATCH) {
      if (trace.level > 0) note(nf, packet, table, rule, CONTINUE, 0)
      at += RULE_STRIDE
      continue
    }
    matched++
    nf.packets[rule]++
    nf.bytes[rule] += packet.ipLength
    let verdict = CONTINUE
    switch (target) {
      case T_NONE:
        at += RULE_STRIDE
        break
      case T_ACCEPT:
        verdict = NF_ACCEPT
        break
      case T_DROP:
        verdict = NF_DROP
        break
      case T_JUMP:
        nf.stack[depth++] = at + RULE_STRIDE
        at = code[at + R_ARG]
        break
      case T_GOTO:
        at = code[at + R_ARG]
        break
      case T_RETURN:
        at = depth === 0 ? nf.policyRow(entry) : nf.stack[--depth]
        break
      default:
        verdict = runTarget(nf, target, code[at + R_ARG], packet)
        at += RULE_STRIDE
    }
    note(nf, packet, table, rule, target, 1)
    if (verdict !== CONTINUE) {
      nf.noteTable(header, table, rule, tried, matched, verdict)
      return verdict
    }
  }
}

/** action of a STEP_RULE: the T_* of the rule when it matched, CONTINUE when not, NF_INCOMPLETE when it could not be told. */
function note(nf: Netfilter, packet: Packet, table: number, rule: number, action: number, matched: number): void {
  nf.netns.world.trace.note(STEP_RULE, action, nf.netns, packet, table, nf.ruleChains[rule], nf.ruleNumbers[rule], matched, matched === 1 ? -1 : nf.failedMatch, packet.mark)
}

/** One rule's matches; nf.failedMatch says which one failed. */
export function matchRule(nf: Netfilter, at: number, packet: Packet): number {
  const code = nf.rules
  const whole = packet.fragmentOffset === 0
  const wanted = code[at + R_PROTO]
  if (
    ((packet.src & code[at + R_SRC_MASK]) ^ code[at + R_SRC]) !== 0 ||
    ((packet.dst & code[at + R_DST_MASK]) ^ code[at + R_DST]) !== 0 ||
    (wanted !== 0 && wanted !== packet.proto) ||
    ((code[at + R_FLAGS] & FLAG_PORTS) !== 0 &&
      (((whole ? packet.dport : -1) - code[at + R_DPORT]) >>> 0 > code[at + R_DPORT_RANGE] || ((whole ? packet.sport : -1) - code[at + R_SPORT]) >>> 0 > code[at + R_SPORT_RANGE])) ||
    ((code[at + R_FLAGS] & FLAG_DEVICES) !== 0 && !nf.devicesMatch(code[at + R_IN], code[at + R_OUT]))
  ) {
    if (nf.netns.world.trace.on !== 0) nf.failedMatch = failedField(nf, at, packet)
    return NO_MATCH
  }
  return code[at + R_MATCH] === 0 ? MATCHED : runMatches(nf, code[at + R_MATCH], packet)
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
