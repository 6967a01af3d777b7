// hot path
/**
 * What a network leaves to chance: whether `-m statistic --mode random` matches, which of several equal next hops a flow's hash falls to.
 * As a rule both are drawn from the seed. Told, they go by a tape of choices, so that every outcome can be had in turn (analysis/outcomes.ts);
 * what the tape has no word for takes the first choice, and all are kept with how likely they were.
 */
import type { Prng } from '../base/prng.js'

/** xt_statistic compares 31 random bits. */
const RANDOM_RANGE = 0x80000000
const MATCH_OR_NOT = 2

export class Chance {
  /** 1: the tape decides. */
  told = 0
  /** 1: it decides forks too; else a flow goes by its hash, and one that goes on keeps its way. */
  toldForks = 0
  /** Of all choices made since the question began. */
  probability = 1
  private tape: readonly number[] = []
  private readonly choices: number[] = []
  private readonly counts: number[] = []
  /** A flow goes one way at one fork however often it is asked. */
  private readonly forks = new Map<number, number>()

  /** Cold. What the next question takes at each turn, in the order in which they come. */
  tell(tape: readonly number[], { forks = true } = {}): void {
    this.told = 1
    this.toldForks = forks ? 1 : 0
    this.tape = tape
  }

  /** Cold. Back to the seed. */
  untell(): void {
    this.told = 0
    this.toldForks = 0
    this.tape = []
  }

  /** Cold. A question begins. */
  rewind(): void {
    this.probability = 1
    this.choices.length = 0
    this.counts.length = 0
    this.forks.clear()
  }

  /** Cold. The tape of the outcome after this one, depth first; undefined: that was the last. */
  following(): readonly number[] | undefined {
    for (let at = this.choices.length - 1; at >= 0; at--) {
      if (this.choices[at] + 1 < this.counts[at]) return [...this.choices.slice(0, at), this.choices[at] + 1]
    }
    return undefined
  }

  /** Does a rule match that does so `threshold` times in 2^31? */
  matches(threshold: number, prng: Prng): number {
    if (this.told === 1) return this.matchesAsTold(threshold)
    return prng.nextInt32() >>> 1 < threshold ? 1 : 0
  }

  /** Cold. Certain and impossible are no choices. */
  private matchesAsTold(threshold: number): number {
    if (threshold === 0 || threshold >= RANDOM_RANGE) return threshold === 0 ? 0 : 1
    const choice = this.next(MATCH_OR_NOT)
    const share = threshold / RANDOM_RANGE
    this.probability *= choice === 0 ? share : 1 - share
    return choice === 0 ? 1 : 0
  }

  /** Cold. Which of `weights` a flow falls to, by its place among them. @param fork of netns and hash: the same for the same flow at the same netns */
  fork(fork: number, weights: readonly number[]): number {
    if (weights.length === 1) return 0
    const known = this.forks.get(fork)
    if (known !== undefined && known < weights.length) return known
    const choice = this.next(weights.length)
    let total = 0
    for (const weight of weights) total += weight
    this.probability *= weights[choice] / total
    this.forks.set(fork, choice)
    return choice
  }

  /** Cold. */
  private next(count: number): number {
    const choice = this.tape[this.choices.length] ?? 0
    this.choices.push(choice)
    this.counts.push(count)
    return choice
  }
}
