// hot path
/**
 * Long runs of rules at once, by bit vectors (Lakshman and Stiliadis, SIGCOMM 1998): for each field of the row the values are cut
 * into ranges within which the same rules can match; one bit a rule says which. The vectors of the packet's five fields, ANDed
 * word by word, leave the rules whose fields all match, in order; devices and typed matches of those few are then asked as the
 * interpreter asks them. So the verdict, the counters, and what typed matches count and draw, are the interpreter's.
 *
 *   source ─▶ range ─▶ 1011…0110 ┐
 *   destination, protocol, ports ┼─ AND ─▶ 0010…0100 ─▶ first rule left ─▶ its typed matches ─▶ its target, or the next one left
 */
import type { Packet } from '../../wire/packet.js'
import { FLAG_DEVICES, MATCHED, NOT_MODELLED, R_FLAGS, R_IN, R_MATCH, R_OUT, RULE_STRIDE } from './bytecode.js'
import { runMatches } from './match.js'
import type { Netfilter } from './netfilter.js'

/** A packet met something not modelled in the run. */
export const CLASSIFY_INCOMPLETE = -1

/** Turns the order of unsigned addresses into that of int32. */
export const SIGN = -0x80000000

/** One field of the rules of a run: ascending first values of its ranges, and where in `bits` each range's vector begins. */
export interface ClassifierField {
  readonly firsts: Int32Array
  readonly vectors: Int32Array
}

export interface ClassifierRun {
  /** Offsets of its first row, and of the row after its last. */
  readonly start: number
  readonly end: number
  readonly words: number
  readonly bits: Int32Array
  /** Addresses less 2^31, so that their order is that of int32; ports as they are, -1 for a later fragment. */
  readonly src: ClassifierField
  readonly dst: ClassifierField
  readonly proto: ClassifierField
  readonly sport: ClassifierField
  readonly dport: ClassifierField
}

/** @returns the offset of the first rule at or after `from` that matches, the run's end when none does, or CLASSIFY_INCOMPLETE */
export function classify(nf: Netfilter, run: ClassifierRun, from: number, packet: Packet): number {
  const bits = run.bits
  const whole = packet.fragmentOffset === 0
  const src = vectorOf(run.src, packet.src ^ SIGN)
  const dst = vectorOf(run.dst, packet.dst ^ SIGN)
  const proto = vectorOf(run.proto, packet.proto)
  const sport = vectorOf(run.sport, whole ? packet.sport : -1)
  const dport = vectorOf(run.dport, whole ? packet.dport : -1)
  const first = ((from - run.start) / RULE_STRIDE) | 0
  let word = first >> 5
  let mask = -1 << (first & 31)
  for (; word < run.words; word++) {
    let left = bits[src + word] & bits[dst + word] & bits[proto + word] & bits[sport + word] & bits[dport + word] & mask
    mask = -1
    while (left !== 0) {
      const lowest = left & -left
      left ^= lowest
      const at = run.start + ((word << 5) + (31 - Math.clz32(lowest))) * RULE_STRIDE
      const said = matchRest(nf, at, packet)
      if (said === MATCHED) return at
      if (said === NOT_MODELLED) return CLASSIFY_INCOMPLETE
    }
  }
  return run.end
}

/** Devices and typed matches: what the vectors do not hold. */
function matchRest(nf: Netfilter, at: number, packet: Packet): number {
  const code = nf.rules
  if ((code[at + R_FLAGS] & FLAG_DEVICES) !== 0 && !nf.devicesMatch(code[at + R_IN], code[at + R_OUT])) return 0
  const matches = code[at + R_MATCH]
  return matches === 0 ? MATCHED : runMatches(nf, matches, packet)
}

/** The vector of the range that holds the value: the last that begins at or before it. */
function vectorOf(field: ClassifierField, value: number): number {
  const firsts = field.firsts
  let low = 0
  let high = firsts.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (firsts[middle] <= value) low = middle
    else high = middle - 1
  }
  return field.vectors[low]
}
