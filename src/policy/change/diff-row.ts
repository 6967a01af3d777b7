/** One row of a change: a pair of ends, what was and is let through between them, and why. */
import type { AddressRange } from '../address-range.js'
import { ConnectionSet } from '../connections.js'
import { causesOf, type Cause } from './diff-causes.js'
import type { Unit } from './diff-ends.js'
import type { PairMeaning } from '../evaluate.js'
import type { Assumption } from '../model.js'

export interface DiffRow {
  readonly source: Unit
  readonly destination: Unit
  /** Where one end is outside: all ranges of which the row is true, ascending, neither touching nor overlapping. */
  readonly ranges: readonly AddressRange[]
  readonly before: ConnectionSet
  readonly after: ConnectionSet
  readonly opened: ConnectionSet
  readonly closed: ConnectionSet
  readonly causes: readonly Cause[]
  /** One of the ends is on one side alone. */
  readonly comesOrGoes: boolean
  readonly assumed: readonly Assumption[]
  /** Of the ingress controller: what leads there, before and after (`Ingress shop/web`). */
  readonly led?: readonly [before: readonly string[], after: readonly string[]]
}

export interface Asked {
  readonly source: Unit
  readonly destination: Unit
  /** Absent: one of the ends was not there. */
  readonly old?: PairMeaning | undefined
  readonly now?: PairMeaning | undefined
  /** Connections that count. */
  readonly within?: ConnectionSet | undefined
}

export function diffRow({ source, destination, old, now, within = ConnectionSet.all }: Asked): DiffRow {
  const before = (old?.allowed ?? ConnectionSet.none).intersect(within)
  const after = (now?.allowed ?? ConnectionSet.none).intersect(within)
  const opened = after.minus(before)
  const closed = before.minus(after)
  return {
    source,
    destination,
    ranges: [source, destination].flatMap((unit) => {
      const end = (unit.after ?? unit.before)?.end
      return end?.kind === 'outside' ? [end.range] : []
    }),
    before,
    after,
    opened,
    closed,
    causes: [...causesOf('opened', opened, old, now), ...causesOf('closed', closed, old, now)],
    comesOrGoes: old === undefined || now === undefined,
    assumed: [...new Set([...(old?.assumed ?? []), ...(now?.assumed ?? [])])].sort(),
  }
}
