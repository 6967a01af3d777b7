/** What was measured side by side: a turn there, a turn here, again and again. */
export interface Comparison {
  readonly name: string
  readonly size: string
  /** Who netsim is held beside. */
  readonly peer: string
  /** CPU nanoseconds of one unit (a packet, a device traversal). */
  readonly turns: readonly { readonly there: number; readonly here: number }[]
}

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
