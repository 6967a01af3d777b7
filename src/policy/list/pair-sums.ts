/** Pairs of pods by what they have. */
import type { ConnectionSet } from '../connections.js'

export interface ClassPairs {
  readonly connections: ConnectionSet
  readonly pairs: number
}

export class PairSums {
  private readonly sums = new Map<string, { readonly connections: ConnectionSet; pairs: number }>()

  add({ connections, pairs }: ClassPairs): void {
    const known = this.sums.get(connections.key)
    if (known === undefined) this.sums.set(connections.key, { connections, pairs })
    else known.pairs += pairs
  }

  /** Most pairs first. */
  list(): readonly ClassPairs[] {
    const found = [...this.sums.values()].filter(({ pairs }) => pairs > 0)
    return found.sort((a, b) => b.pairs - a.pairs || (a.connections.key < b.connections.key ? -1 : 1))
  }
}
