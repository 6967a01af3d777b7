/** What was measured side by side: a turn there, a turn here, again and again. */
export interface Comparison {
  readonly name: string
  readonly size: string
  /** Who netsim is held beside. */
  readonly peer: string
  /** CPU nanoseconds of one unit (a packet, a device traversal). */
  readonly turns: readonly { readonly there: number; readonly here: number }[]
}
