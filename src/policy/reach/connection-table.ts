/** Sets of connections by number: each distinct set is kept once, and what two of them make is worked out once. */
import { ConnectionSet } from '../connections.js'

/** Room for the number of the second operand in a key: so many distinct sets are a cluster that nobody has. */
const SHIFT = 2 ** 24

export class ConnectionTable {
  private readonly sets: ConnectionSet[] = []
  private readonly numbers = new Map<string, number>()
  private readonly intersections = new Map<number, number>()
  private readonly unions = new Map<number, number>()
  private readonly differences = new Map<number, number>()
  readonly none = this.number(ConnectionSet.none)
  readonly all = this.number(ConnectionSet.all)

  get size(): number {
    return this.sets.length
  }

  number(set: ConnectionSet): number {
    let number = this.numbers.get(set.key)
    if (number === undefined) {
      number = this.sets.push(set) - 1
      this.numbers.set(set.key, number)
    }
    return number
  }

  set(number: number): ConnectionSet {
    return this.sets[number]
  }

  intersect(a: number, b: number): number {
    if (a === b || b === this.all) return a
    if (a === this.all) return b
    if (a === this.none || b === this.none) return this.none
    return this.remembered(this.intersections, Math.min(a, b), Math.max(a, b), (left, right) => left.intersect(right))
  }

  union(a: number, b: number): number {
    if (a === b || b === this.none || a === this.all) return a
    if (a === this.none || b === this.all) return b
    return this.remembered(this.unions, Math.min(a, b), Math.max(a, b), (left, right) => left.union(right))
  }

  minus(a: number, b: number): number {
    if (a === b || b === this.all) return this.none
    if (a === this.none || b === this.none) return a
    return this.remembered(this.differences, a, b, (left, right) => left.minus(right))
  }

  private remembered(results: Map<number, number>, a: number, b: number, make: (a: ConnectionSet, b: ConnectionSet) => ConnectionSet): number {
    const key = a * SHIFT + b
    let result = results.get(key)
    if (result === undefined) results.set(key, (result = this.number(make(this.sets[a], this.sets[b]))))
    return result
  }
}
