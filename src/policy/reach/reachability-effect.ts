/** What edits changed in the map of a cluster (reachability-edit.ts): in blocks, and end by end. */
import type { ClassSet } from './class-set.js'
import type { Reading } from '../conditions.js'
import type { ConnectionSet } from '../connections.js'
import { exemption, sameEnd } from '../evaluate.js'
import type { Direction, End } from '../model.js'
import { valueAt, type Piecewise } from './piecewise.js'
import type { Reachability } from './reachability.js'

/** An end as it was and as it is; one of them may be absent. */
export interface EffectEnd {
  readonly before?: End
  readonly after?: End
}

/** Ends that went from one class to another. */
export interface Move {
  readonly before: number | undefined
  readonly after: number | undefined
  readonly ends: EffectEnd[]
}

/** Sources and destinations are slots. Of ends that are not there, nothing is allowed. */
export interface EffectBlock {
  readonly sources: ClassSet
  readonly destinations: ClassSet
  readonly before: ConnectionSet
  readonly after: ConnectionSet
}

export interface ChangedPair {
  readonly source: EffectEnd
  readonly destination: EffectEnd
  readonly before: ConnectionSet
  readonly after: ConnectionSet
}

interface EffectParts {
  readonly blocks: readonly EffectBlock[]
  readonly moves: readonly Move[]
  /** Of every slot that is touched: what its policies said before. */
  readonly rows: Readonly<Record<Direction, ReadonlyMap<number, Piecewise>>>
  readonly affected: Readonly<Record<Direction, ClassSet>>
}

export class Effect {
  readonly blocks: readonly EffectBlock[]
  readonly moves: readonly Move[]
  /** Slots from here on are moves. */
  readonly classes: number
  private readonly map: Reachability
  private readonly parts: EffectParts
  private readonly arrived: ReadonlySet<End>

  constructor(map: Reachability, parts: EffectParts) {
    this.map = map
    this.parts = parts
    this.blocks = parts.blocks
    this.moves = parts.moves
    this.classes = map.classes.length
    this.arrived = new Set(parts.moves.flatMap(({ ends }) => ends.flatMap(({ after }) => (after === undefined ? [] : [after]))))
  }

  endsOf(slot: number): readonly EffectEnd[] {
    if (slot >= this.classes) return this.moves[slot - this.classes].ends
    return this.map.classes[slot].ends.filter((end) => !this.arrived.has(end)).map((end) => ({ before: end, after: end }))
  }

  /** Ordered pairs of ends in a block, as many as there are. */
  size({ sources, destinations }: EffectBlock): number {
    return this.endCount(sources) * this.endCount(destinations)
  }

  /** Every pair of ends whose connections are other ones now. */
  *pairs(): Generator<ChangedPair> {
    for (const { sources, destinations, before, after } of this.blocks) {
      const to = [...destinations.toArray()].flatMap((slot) => this.endsOf(slot))
      for (const slot of sources.toArray()) {
        for (const source of this.endsOf(slot)) {
          for (const destination of to) if (!this.isSpecial(source, destination)) yield { source, destination, before, after }
        }
      }
    }
    for (const pair of this.specialPairs()) if (!pair.before.equals(pair.after)) yield pair
  }

  private endCount(slots: ClassSet): number {
    let count = 0
    slots.forEach((slot) => (count += this.endsOf(slot).length))
    return count
  }

  private isSpecial(source: EffectEnd, destination: EffectEnd): boolean {
    const is = (from: End | undefined, to: End | undefined): boolean => from !== undefined && to !== undefined && this.map.isSpecial(from, to)
    return is(source.before, destination.before) || is(source.after, destination.after)
  }

  /** Touched ends and themselves; nodes and touched pods on them, and the other way round. */
  private *specialPairs(): Generator<ChangedPair> {
    const touched = new Set([...this.parts.rows.ingress.keys(), ...this.parts.rows.egress.keys()])
    this.moves.forEach((_, index) => touched.add(this.classes + index))
    const byNode = new Map<string, { readonly end: EffectEnd; readonly slot: number }[]>()
    for (let slot = 0; slot < this.classes + this.moves.length; slot++) {
      for (const end of this.endsOf(slot)) {
        if (touched.has(slot)) yield this.special({ end, slot }, { end, slot })
        for (const node of nodesOf(end)) {
          const list = byNode.get(node)
          if (list === undefined) byNode.set(node, [{ end, slot }])
          else list.push({ end, slot })
        }
      }
    }
    const told = new Set<string>()
    for (const list of byNode.values()) {
      for (const [i, source] of list.entries()) {
        for (const [j, destination] of list.entries()) {
          if (i === j || !(touched.has(source.slot) || touched.has(destination.slot)) || !this.isSpecial(source.end, destination.end)) continue
          const key = [source, destination].map(({ end }) => identity(end)).join(' ')
          if (!told.has(key)) yield this.special(source, destination)
          told.add(key)
        }
      }
    }
  }

  private special(source: SlotEnd, destination: SlotEnd): ChangedPair {
    const { table } = this.map.maps
    const [from, to] = [source.end, destination.end]
    const after = from.after !== undefined && to.after !== undefined ? this.map.between(from.after, to.after) : table.set(table.none)
    return { source: from, destination: to, before: this.before(source, destination), after }
  }

  private before(source: SlotEnd, destination: SlotEnd): ConnectionSet {
    const { table, index } = this.map.maps
    const [from, to] = [source.end.before, destination.end.before]
    if (from === undefined || to === undefined) return table.set(table.none)
    const reading: Reading = { world: this.map.surroundings, assumed: new Set() }
    const same = sameEnd(from, to)
    const word = (direction: Direction, local: SlotEnd, remote: SlotEnd): number => {
      const [localEnd, remoteEnd] = [index.seen(local.end.before as End), index.seen(remote.end.before as End)]
      if (exemption(reading, { direction, local: localEnd, remote: remoteEnd, same }) !== undefined) return table.all
      const [localClass, remoteClass] = [this.classBefore(local.slot), this.classBefore(remote.slot)]
      const row = this.parts.rows[direction].get(local.slot)
      return row === undefined ? this.map.maps.direct(direction, localClass, remoteClass) : valueAt(row, remoteClass)
    }
    return table.set(table.intersect(word('egress', source, destination), word('ingress', destination, source)))
  }

  private classBefore(slot: number): number {
    return slot < this.classes ? slot : (this.moves[slot - this.classes].before as number)
  }
}

interface SlotEnd {
  readonly end: EffectEnd
  readonly slot: number
}

function nodesOf({ before, after }: EffectEnd): ReadonlySet<string> {
  const nodes = [before, after].map((end) => (end?.kind === 'pod' ? end.node : end?.kind === 'node' ? end.name : undefined))
  return new Set(nodes.filter((node): node is string => node !== undefined && node !== ''))
}

function identity({ before, after }: EffectEnd): string {
  const end = before ?? after
  if (end?.kind === 'pod') return `pod ${end.namespace}/${end.name}`
  return end?.kind === 'node' ? `node ${end.name}` : ''
}
