/** Chains → the classifier's runs: bit vectors over stretches of at least RUN_MIN and at most RUN_MAX rules. Cold. */
import {
  FLAG_PORTS,
  R_DPORT,
  R_DPORT_RANGE,
  R_DST,
  R_DST_MASK,
  R_FLAGS,
  R_PROTO,
  R_RUN,
  R_SPORT,
  R_SPORT_RANGE,
  R_SRC,
  R_SRC_MASK,
  RULE_STRIDE,
} from './bytecode.js'
import { SIGN, type ClassifierField, type ClassifierRun } from './classify.js'

/** Below it the interpreter is as fast. */
const RUN_MIN = 32
/** Vectors grow with the square of it. */
const RUN_MAX = 1024

/** Values from first to last, both included. */
type Range = readonly [first: number, last: number]

const ANY_ADDRESS: Range = [-0x80000000, 0x7fffffff]
const ANY_PROTO: Range = [0, 255]
const ANY_PORT: Range = [-1, 0xffff]

/** Finds the runs and writes in each of their rows which run it belongs to; -1 in all others. */
export function compileRuns(rules: Int32Array, chains: readonly { readonly firstRow: number; readonly rules: readonly unknown[] }[]): ClassifierRun[] {
  const runs: ClassifierRun[] = []
  for (let at = 0; at < rules.length; at += RULE_STRIDE) rules[at + R_RUN] = -1
  for (const chain of chains) {
    for (let done = 0; chain.rules.length - done >= RUN_MIN; done += RUN_MAX) {
      const count = Math.min(RUN_MAX, chain.rules.length - done)
      const start = (chain.firstRow + done) * RULE_STRIDE
      for (let i = 0; i < count; i++) rules[start + i * RULE_STRIDE + R_RUN] = runs.length
      runs.push(compileRun(rules, start, count))
    }
  }
  return runs
}

function compileRun(rules: Int32Array, start: number, count: number): ClassifierRun {
  const words = (count + 31) >>> 5
  const vectors = new VectorPool(words)
  const field = (rangeOf: (at: number) => Range, any: Range): ClassifierField => {
    const ranges = Array.from({ length: count }, (_, i) => rangeOf(start + i * RULE_STRIDE))
    return compileField(ranges, any, vectors)
  }
  const address =
    (value: number, mask: number) =>
    (at: number): Range => {
      const first = rules[at + value]
      return [first ^ SIGN, (first | ~rules[at + mask]) ^ SIGN]
    }
  const port =
    (first: number, range: number) =>
    (at: number): Range =>
      (rules[at + R_FLAGS] & FLAG_PORTS) === 0 ? ANY_PORT : [rules[at + first], rules[at + first] + rules[at + range]]
  const fields = {
    src: field(address(R_SRC, R_SRC_MASK), ANY_ADDRESS),
    dst: field(address(R_DST, R_DST_MASK), ANY_ADDRESS),
    proto: field((at) => (rules[at + R_PROTO] === 0 ? ANY_PROTO : [rules[at + R_PROTO], rules[at + R_PROTO]]), ANY_PROTO),
    sport: field(port(R_SPORT, R_SPORT_RANGE), ANY_PORT),
    dport: field(port(R_DPORT, R_DPORT_RANGE), ANY_PORT),
  }
  return { start, end: start + count * RULE_STRIDE, words, bits: vectors.bits(), ...fields }
}

/** Equal vectors are kept once: most ranges of most fields have the same. */
class VectorPool {
  private readonly words: number
  private readonly offsets = new Map<string, number>()
  private readonly kept: Int32Array[] = []

  constructor(words: number) {
    this.words = words
  }

  keep(vector: Int32Array): number {
    const key = vector.join()
    const known = this.offsets.get(key)
    if (known !== undefined) return known
    const offset = this.kept.length * this.words
    this.kept.push(vector.slice())
    this.offsets.set(key, offset)
    return offset
  }

  bits(): Int32Array {
    const all = new Int32Array(this.kept.length * this.words)
    this.kept.forEach((vector, i) => all.set(vector, i * this.words))
    return all
  }
}

/** Sweeps over the values where some rule begins or ends, with one vector that changes a bit at a time. */
function compileField(ranges: readonly Range[], any: Range, vectors: VectorPool): ClassifierField {
  const words = (ranges.length + 31) >>> 5
  const vector = new Int32Array(words)
  const events = ranges.flatMap(([first, last], rule) => [
    { value: first, rule, set: true },
    { value: last + 1, rule, set: false },
  ])
  events.push({ value: any[0], rule: -1, set: true })
  events.sort((a, b) => a.value - b.value)
  const firsts: number[] = []
  const offsets: number[] = []
  for (let i = 0; i < events.length;) {
    const { value } = events[i]
    for (; i < events.length && events[i].value === value; i++) {
      const { rule, set } = events[i]
      if (rule >= 0) vector[rule >> 5] = set ? vector[rule >> 5] | (1 << (rule & 31)) : vector[rule >> 5] & ~(1 << (rule & 31))
    }
    if (value > any[1]) break
    const offset = vectors.keep(vector)
    if (offsets[offsets.length - 1] === offset) continue
    firsts.push(value)
    offsets.push(offset)
  }
  return { firsts: Int32Array.from(firsts), vectors: Int32Array.from(offsets) }
}
