/**
 * Lists that thousands of netns have in common but for a row or two: every node's way to every other node. Such a list is kept once; a netns's own part of it
 * is which rows it lacks. Who reads `routes`, `neighbours` or `fdb` finds the whole list, made anew each time it is asked for; who compiles many of them asks
 * `piecesOf` for its pieces, and works out what is common once.
 */
import type { FdbSpec, NeighbourSpec, RouteSpec } from './dataplane.js'

/** All rows of a list, but that some stand for others. */
export interface Excerpt<Row> {
  /** The very same list for all that have it in common; it never changes. */
  readonly common: readonly Row[]
  /** Index → what stands in its place; often nothing. */
  readonly instead: ReadonlyMap<number, readonly Row[]>
}

/** A list is its pieces, one after the other. */
export type Piece<Row> = readonly Row[] | Excerpt<Row>

interface Rows {
  routes: RouteSpec
  neighbours: NeighbourSpec
  fdb: FdbSpec
}

type Lists = { readonly [Key in keyof Rows]: readonly Rows[Key][] }
export type Pieces = { readonly [Key in keyof Rows]: readonly Piece<Rows[Key]>[] }

const PIECES = new WeakMap<object, Pieces>()

export function isExcerpt<Row>(piece: Piece<Row>): piece is Excerpt<Row> {
  return 'common' in piece
}

/**
 * Gives a part that is being made lists of these pieces, in place of its own. A copy of it ({...part}) has lists of its own, as they are then.
 * @returns the part
 */
export function withPieces<Part extends Lists>(part: Part, { routes, neighbours, fdb }: Pieces): Part {
  defineList(part, 'routes', routes)
  defineList(part, 'neighbours', neighbours)
  defineList(part, 'fdb', fdb)
  if (routes.some(isExcerpt) || neighbours.some(isExcerpt) || fdb.some(isExcerpt)) PIECES.set(part, { routes, neighbours, fdb })
  return part
}

/** An ordinary list is one piece. */
export function piecesOf(part: Lists): Pieces {
  return PIECES.get(part) ?? { routes: [part.routes], neighbours: [part.neighbours], fdb: [part.fdb] }
}

function defineList<Row>(part: object, key: keyof Rows, pieces: readonly Piece<Row>[]): void {
  const list = (): readonly Row[] => pieces.flatMap(rowsOf)
  if (pieces.some(isExcerpt)) Object.defineProperty(part, key, { get: list })
  else Object.defineProperty(part, key, { value: list() })
}

function rowsOf<Row>(piece: Piece<Row>): readonly Row[] {
  if (!isExcerpt(piece)) return piece
  const { common, instead } = piece
  return instead.size === 0 ? common : common.flatMap((row, index) => instead.get(index) ?? row)
}
