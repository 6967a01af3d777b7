/** Draws from one seed: the same seed gives the same world. */
import { Prng } from '../../src/base/prng.js'

export class Draw {
  private readonly prng: Prng

  constructor(seed: number) {
    this.prng = new Prng(seed)
  }

  /** A whole number from `least` to `most`. */
  int(least: number, most: number): number {
    return least + this.prng.below(most - least + 1)
  }

  /** True `percent` times of a hundred. */
  chance(percent: number): boolean {
    return this.prng.below(100) < percent
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.prng.below(items.length)]
  }

  /** Each by its weight. */
  weighted<Item>(items: readonly (readonly [weight: number, item: Item])[]): Item {
    let at = this.prng.below(items.reduce((sum, [weight]) => sum + weight, 0))
    for (const [weight, item] of items) {
      if (at < weight) return item
      at -= weight
    }
    return items[0][1]
  }

  /** From `least` to `most` of them, in a new order. */
  some<Item>(items: readonly Item[], least: number, most: number): Item[] {
    const rest = [...items]
    const chosen: Item[] = []
    for (let left = this.int(least, Math.min(most, items.length)); left > 0; left--) chosen.push(...rest.splice(this.prng.below(rest.length), 1))
    return chosen
  }

  times<Item>(count: number, make: (index: number) => Item): Item[] {
    return Array.from({ length: count }, (_, index) => make(index))
  }
}
