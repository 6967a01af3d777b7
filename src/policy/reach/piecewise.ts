/**
 * What holds of every class at once: a number for each, told as a few sets and a rest. So a rule is applied to all sources, or to all
 * destinations, in one go.
 */
import { ClassSet } from './class-set.js'

export interface Piece {
  readonly set: ClassSet
  readonly value: number
}

export interface Piecewise {
  /** Disjoint, not empty, one for each value. */
  readonly pieces: readonly Piece[]
  /** Of every class that is in none of them. */
  readonly rest: number
}

/** Those of the set (undefined: everybody) get what becomes of their value. */
export function mapWithin(from: Piecewise, set: ClassSet | undefined, become: (value: number) => number): Piecewise {
  if (set === undefined)
    return merged(
      from.pieces.map((piece) => ({ set: piece.set, value: become(piece.value) })),
      become(from.rest),
    )
  const pieces: Piece[] = []
  let left = set
  let changed = false
  for (const piece of from.pieces) {
    const value = left.isEmpty ? piece.value : become(piece.value)
    const inside = value === piece.value ? ClassSet.empty : piece.set.and(left)
    if (inside.isEmpty) pieces.push(piece)
    else {
      changed = true
      pieces.push({ set: inside, value })
      if (inside.size < piece.set.size) pieces.push({ set: piece.set.minus(inside), value: piece.value })
    }
    left = left.minus(piece.set)
  }
  const value = become(from.rest)
  if (!left.isEmpty && value !== from.rest) {
    changed = true
    pieces.push({ set: left, value })
  }
  return changed ? merged(pieces, from.rest) : from
}

/** What two maps make together, class by class. */
export function combined(a: Piecewise, b: Piecewise, make: (a: number, b: number) => number): Piecewise {
  const pieces: Piece[] = []
  const rest = make(a.rest, b.rest)
  let restOfB = b.pieces
  for (const { set, value } of a.pieces) {
    let left = set
    for (const other of b.pieces) {
      if (left.isEmpty) break
      const both = left.and(other.set)
      if (both.isEmpty) continue
      pieces.push({ set: both, value: make(value, other.value) })
      left = left.minus(both)
    }
    if (!left.isEmpty) pieces.push({ set: left, value: make(value, b.rest) })
    restOfB = restOfB.map((other) => ({ set: other.set.minus(set), value: other.value }))
  }
  for (const { set, value } of restOfB) if (!set.isEmpty) pieces.push({ set, value: make(a.rest, value) })
  return merged(pieces, rest)
}

export function valueAt({ pieces, rest }: Piecewise, id: number): number {
  for (const { set, value } of pieces) if (set.has(id)) return value
  return rest
}

/** Every class below the bound, by value. */
export function explicitPieces({ pieces, rest }: Piecewise, everybody: ClassSet): readonly Piece[] {
  const others = pieces.reduce((left, { set }) => left.minus(set), everybody)
  return others.isEmpty ? pieces : [...pieces, { set: others, value: rest }]
}

/** One piece for each value, none for that of the rest. */
function merged(pieces: readonly Piece[], rest: number): Piecewise {
  const sets = new Map<number, ClassSet[]>()
  for (const { set, value } of pieces) {
    if (value === rest) continue
    const list = sets.get(value)
    if (list === undefined) sets.set(value, [set])
    else list.push(set)
  }
  return { pieces: Array.from(sets, ([value, list]) => ({ set: ClassSet.union(list), value })), rest }
}
