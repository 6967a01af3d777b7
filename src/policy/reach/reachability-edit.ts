/**
 * What edits change in the map of a cluster: the ends whose policies or labels they touch are held against everybody, before and after; nothing
 * else is looked at. The map is then that of the edited world, as if it had been made of it.
 *
 *   const map = new Reachability(world, { outside, ranges: namedRanges(edited) })
 *   const effect = applyWorldEdits(map, [{ kind: 'policy', tier: 0, before: policy }])
 *   effect.blocks     these sources → these destinations: connections before, connections after
 *   effect.pairs()    the same, end by end, pods to themselves and nodes to their own pods among them
 *
 * Blocks name slots: a slot below `effect.classes` is a class of the map, its ends that stayed in it; one from there on is a group of ends that
 * moved from one class to another, came, or went. An effect holds until the next edit of the map.
 */
import { assert } from '../../base/assert.js'
import { ClassSet } from './class-set.js'
import type { ConnectionSet } from '../connections.js'
import type { EndClass } from './end-classes.js'
import { Effect, type EffectBlock, type Move } from './reachability-effect.js'
import type { Direction, Policy, PolicyPod, Tier } from '../model.js'
import { combined, explicitPieces, valueAt, type Piecewise } from './piecewise.js'
import type { PolicyExchange, PolicyMaps } from './policy-maps.js'
import type { NamespaceEdit, PodEdit, Reachability } from './reachability.js'

/** One object is replaced, comes (no `before`) or goes (no `after`). What stays is the very object of the map's world. */
export type WorldEdit =
  /** @param tier place of the tier in the world's list; a new policy stands at its end, a replaced one where the old one stood */
  | { readonly kind: 'policy'; readonly tier: number; readonly before?: Policy; readonly after?: Policy }
  | ({ readonly kind: 'pod' } & PodEdit)
  /** Its labels; the pods in it are edits of their own. */
  | ({ readonly kind: 'namespace' } & NamespaceEdit)

/**
 * Networks of new policies must be among those that the map was made with: its world's, or the option `ranges`.
 * @throws Error when an edit replaces what the world does not have, or names such a network
 */
export function applyWorldEdits(map: Reachability, edits: readonly WorldEdit[]): Effect {
  const { maps } = map
  const { surroundings } = map
  const podEdits = edits.filter((edit) => edit.kind === 'pod')
  const namespaceEdits = edits.filter((edit) => edit.kind === 'namespace')
  const exchange = exchangeOf(surroundings.tiers, edits)
  for (const { policy } of exchange.added) assert(maps.index.tellsApart(policy), `the map was made without the networks of ${policy.name}`)
  for (const { before } of podEdits) assert(before === undefined || maps.index.find(before)?.ends.includes(before), 'a pod that the world does not have')
  const moves = movePods(maps, podEdits, namespaceEdits)
  const affected = affectedBy(maps, exchange)
  const before = new Side(maps, affected, moves, 'before')
  maps.exchange(exchange, affected.ingress.or(affected.egress))
  const after = new Side(maps, affected, moves, 'after')
  map.advance(exchange.tiers, podEdits, namespaceEdits)
  const blocks = changedBlocks(maps, { affected, moves, before, after })
  return new Effect(map, { blocks, moves, rows: before.rows, affected })
}

function exchangeOf(tiers: readonly Tier[], edits: readonly WorldEdit[]): PolicyExchange {
  const removed: Policy[] = []
  const added: { policy: Policy; tier: number }[] = []
  const lists = new Map<number, Policy[]>()
  for (const edit of edits) {
    if (edit.kind !== 'policy') continue
    const { tier, before, after } = edit
    assert(tier < tiers.length, `tier ${tier} of ${tiers.length}`)
    let list = lists.get(tier)
    if (list === undefined) lists.set(tier, (list = [...tiers[tier].policies]))
    const at = before === undefined ? list.length : list.indexOf(before)
    assert(at >= 0, 'a policy that the world does not have')
    list.splice(at, before === undefined ? 0 : 1, ...(after === undefined ? [] : [after]))
    if (before !== undefined) removed.push(before)
    if (after !== undefined) added.push({ policy: after, tier })
  }
  const net = (policy: Policy, others: readonly Policy[]): boolean => !others.includes(policy)
  const come = added.map(({ policy }) => policy)
  return {
    removed: removed.filter((policy) => net(policy, come)),
    added: added.filter(({ policy }) => net(policy, removed)),
    tiers: lists.size === 0 ? tiers : tiers.map((tier, index): Tier => ({ ...tier, policies: lists.get(index) ?? tier.policies })),
  }
}

/** Ends that are of another class afterwards go there now: a class means the same under the old policies and under the new ones. */
function movePods(maps: PolicyMaps, podEdits: readonly PodEdit[], namespaceEdits: readonly NamespaceEdit[]): readonly Move[] {
  const { index } = maps
  const touched: { before?: PolicyPod; after?: PolicyPod; from?: EndClass }[] = podEdits.map(({ before, after }) => ({
    before,
    after,
    from: before && index.find(before),
  }))
  const edited = new Set(podEdits.map(({ before }) => before))
  for (const { before, after } of namespaceEdits) {
    const name = (before ?? after)?.name ?? ''
    for (const id of maps.rules.classesOfNamespace(name)) {
      const from = index.all[id]
      for (const end of from.ends) if (end.kind === 'pod' && !edited.has(end)) touched.push({ before: end, after: end, from })
    }
    index.see(name, after)
  }
  const moves = new Map<string, Move>()
  for (const { before, after, from } of touched) {
    const to = after && index.findOrMake(after)
    if (from === to && before === after) continue
    if (before !== undefined) from?.ends.splice(from.ends.indexOf(before), 1)
    if (after !== undefined) to?.ends.push(after)
    const key = `${from?.id} ${to?.id}`
    const move = moves.get(key)
    if (move === undefined) moves.set(key, { before: from?.id, after: to?.id, ends: [{ before, after }] })
    else move.ends.push({ before, after })
  }
  maps.addNewClasses()
  return [...moves.values()]
}

/** Classes that a policy selects which comes or goes: their word towards everybody changes. */
export type Affected = Readonly<Record<Direction, ClassSet>>

function affectedBy(maps: PolicyMaps, { removed, added }: PolicyExchange): Affected {
  const policies = [...removed, ...added.map(({ policy }) => policy)]
  const of = (direction: Direction): ClassSet =>
    ClassSet.union(policies.filter(({ directions }) => directions.includes(direction)).map((policy) => maps.subjectsOf(policy)))
  return { ingress: of('ingress'), egress: of('egress') }
}

/** The maps of everything that is touched, under the policies of one moment. */
class Side {
  /** By slot: what has come to it, from every class. */
  readonly sources = new Map<number, Piecewise>()
  readonly destinations = new Map<number, Piecewise>()
  /** Its own policies' word alone. */
  readonly rows: Record<Direction, Map<number, Piecewise>> = { ingress: new Map(), egress: new Map() }
  private readonly maps: PolicyMaps
  private readonly columns = new Map<string, Piecewise>()

  constructor(maps: PolicyMaps, affected: Affected, moves: readonly Move[], moment: 'before' | 'after') {
    this.maps = maps
    affected.ingress.forEach((id) => void this.sources.set(id, this.mapOf('ingress', id, id)))
    affected.egress.forEach((id) => void this.destinations.set(id, this.mapOf('egress', id, id)))
    const slots = maps.index.all.length
    moves.forEach((move, index) => {
      const { [moment]: id } = move
      this.sources.set(slots + index, this.mapOf('ingress', slots + index, id))
      this.destinations.set(slots + index, this.mapOf('egress', slots + index, id))
    })
  }

  /** @param id undefined: it is not there, and nothing comes or goes */
  private mapOf(direction: Direction, slot: number, id: number | undefined): Piecewise {
    const { maps } = this
    if (id === undefined) return { pieces: [], rest: maps.table.none }
    const row = maps.row(direction, id)
    this.rows[direction].set(slot, row)
    const other = direction === 'ingress' ? 'egress' : 'ingress'
    const key = `${other} ${maps.columnKey(other, id)}`
    let column = this.columns.get(key)
    if (column === undefined) this.columns.set(key, (column = maps.column(other, id)))
    return combined(row, column, (a, b) => maps.table.intersect(a, b))
  }
}

interface Change {
  readonly affected: Affected
  readonly moves: readonly Move[]
  readonly before: Side
  readonly after: Side
}

function changedBlocks(maps: PolicyMaps, { affected, moves, before, after }: Change): readonly EffectBlock[] {
  const blocks: EffectBlock[] = []
  const everybody = maps.everybody()
  const slots = maps.index.all.length
  const sets = (old: number, now: number): readonly [ConnectionSet, ConnectionSet] => [maps.table.set(old), maps.table.set(now)]
  for (const [slot, old] of before.sources) {
    const now = after.sources.get(slot) as Piecewise
    const destinations = ClassSet.of([slot])
    for (const { set, values } of differing(old, now, everybody)) blocks.push(block(set, destinations, sets(...values)))
    moves.forEach((move, index) => {
      const was = move.before === undefined ? maps.table.none : valueAt(old, move.before)
      const is = move.after === undefined ? maps.table.none : valueAt(now, move.after)
      if (was !== is) blocks.push(block(ClassSet.of([slots + index]), destinations, sets(was, is)))
    })
  }
  for (const [slot, old] of before.destinations) {
    const now = after.destinations.get(slot) as Piecewise
    for (const { set, values } of differing(old, now, everybody)) {
      // the others are told above
      const rest = set.minus(affected.ingress)
      if (!rest.isEmpty) blocks.push(block(ClassSet.of([slot]), rest, sets(...values)))
    }
  }
  return blocks
}

function block(sources: ClassSet, destinations: ClassSet, [before, after]: readonly [ConnectionSet, ConnectionSet]): EffectBlock {
  return { sources, destinations, before, after }
}

const SAME = -1
const SHIFT = 2 ** 24

interface Difference {
  readonly set: ClassSet
  readonly values: readonly [before: number, after: number]
}

function differing(before: Piecewise, after: Piecewise, everybody: ClassSet): readonly Difference[] {
  const both = combined(before, after, (old, now) => (old === now ? SAME : old * SHIFT + now))
  const pieces = both.rest === SAME ? both.pieces : explicitPieces(both, everybody).filter(({ value }) => value !== SAME)
  return pieces.map(({ set, value }) => ({ set, values: [Math.floor(value / SHIFT), value % SHIFT] }))
}
