/**
 * Who reaches whom, for a whole cluster: ends become classes (end-classes.ts), every distinct subject and peer is worked out once over all
 * classes (condition-index.ts, rule-index.ts), and what a policy says is applied to sets of classes, never to pairs. Nothing of the size of all
 * pairs is ever kept. The meaning is that of evaluate.ts, pair for pair; it alone tells the reasons.
 *
 *   const map = new Reachability(world, { outside })
 *   map.between(source, destination)         connections of two ends (the same as evaluatePair(…).allowed)
 *   map.connections(source, destination)     of two classes by number: of ends that are not the same pod, nor a node and a pod on it
 *   map.towards(destination), map.from(source)    every class with what it has: sets of classes by value
 *   map.groups()                             the whole map as blocks: these sources → these destinations: connections
 *   map.counts()                             how many pairs of pods have which connections
 *   applyWorldEdits(map, edits)              reachability-edit.ts: what the edits change, and nothing else is looked at
 */
import type { AddressRange } from '../address-range.js'
import { ClassSet, ClassWeights } from './class-set.js'
import type { ConnectionSet } from '../connections.js'
import type { EndClass } from './end-classes.js'
import type { Reading } from '../conditions.js'
import { exemption, runsOn, sameEnd } from '../evaluate.js'
import type { Direction, End, OutsideRange, PolicyNamespace, PolicyPod, PolicyWorld, Tier } from '../model.js'
import { combined, explicitPieces, type Piecewise } from './piecewise.js'
import { PolicyMaps } from './policy-maps.js'

/** Classes that have the same. */
export interface ClassGroup {
  readonly classes: ClassSet
  readonly connections: ConnectionSet
}

export interface ReachabilityBlock {
  readonly sources: ClassSet
  readonly destinations: ClassSet
  readonly connections: ConnectionSet
}

export interface PairCount {
  readonly connections: ConnectionSet
  /** Ordered pairs of different pods. */
  readonly pairs: number
}

export interface ReachabilityOptions {
  /** Cut so that no network of a policy holds a part of one. */
  readonly outside?: readonly OutsideRange[]
  /** Networks besides those of the world that ends are to be told apart by: of edits to come. */
  readonly ranges?: readonly AddressRange[]
}

/** A pod that is replaced, comes (no `before`) or goes (no `after`). */
export interface PodEdit {
  readonly before?: PolicyPod
  readonly after?: PolicyPod
}

/** Labels of a namespace that are replaced, come, or go with it. */
export interface NamespaceEdit {
  readonly before?: PolicyNamespace
  readonly after?: PolicyNamespace
}

export class Reachability {
  readonly maps: PolicyMaps
  private current: PolicyWorld
  private podEdits: PodEdit[] = []
  private namespaceEdits: NamespaceEdit[] = []

  constructor(world: PolicyWorld, { outside = [], ranges = [] }: ReachabilityOptions = {}) {
    this.current = world
    this.maps = new PolicyMaps(world, outside, ranges)
  }

  /** The world as it is after the edits so far; written when it is asked for, its lists may be long. */
  get world(): PolicyWorld {
    if (this.podEdits.length > 0) this.current = { ...this.current, pods: editedPods(this.current.pods, this.podEdits) }
    if (this.namespaceEdits.length > 0) this.current = { ...this.current, namespaces: editedNamespaces(this.current.namespaces, this.namespaceEdits) }
    this.podEdits = []
    this.namespaceEdits = []
    return this.current
  }

  /** The same, whose pods and namespaces may be behind. */
  get surroundings(): PolicyWorld {
    return this.current
  }

  /** The map is that of another world now (reachability-edit.ts). */
  advance(tiers: readonly Tier[], podEdits: readonly PodEdit[], namespaceEdits: readonly NamespaceEdit[]): void {
    this.current = { ...this.current, tiers }
    this.podEdits.push(...podEdits)
    this.namespaceEdits.push(...namespaceEdits)
  }

  get classes(): readonly EndClass[] {
    return this.maps.index.all
  }

  /** Number of the class of such an end, which may be no end of the world; undefined: the world has none like it. */
  classOf(end: End): number | undefined {
    return this.maps.index.find(end)?.id
  }

  /** Of every end of the one class to every other end of the other, but for pods and their own node. */
  connections(source: number, destination: number): ConnectionSet {
    return this.maps.table.set(this.maps.number(source, destination))
  }

  /** @throws TypeError when the world has no ends like these */
  between(source: End, destination: End): ConnectionSet {
    const { index, table } = this.maps
    const [from, to] = [index.find(source)?.id, index.find(destination)?.id]
    if (from === undefined || to === undefined) throw new TypeError('an end that the map knows nothing of')
    const reading: Reading = { world: this.current, assumed: new Set() }
    const [seenFrom, seenTo] = [index.seen(source), index.seen(destination)]
    const same = sameEnd(source, destination)
    const isFree = (direction: Direction, local: End, remote: End): boolean => exemption(reading, { direction, local, remote, same }) !== undefined
    const egress = isFree('egress', seenFrom, seenTo) ? table.all : this.maps.direct('egress', from, to)
    const ingress = isFree('ingress', seenTo, seenFrom) ? table.all : this.maps.direct('ingress', to, from)
    return table.set(table.intersect(egress, ingress))
  }

  /** Is it one of the pairs that `connections` does not speak of: a pod and itself, or a node and a pod on it? */
  isSpecial(source: End, destination: End): boolean {
    if (sameEnd(source, destination)) return true
    const [from, to] = [this.maps.index.seen(source), this.maps.index.seen(destination)]
    return (from.kind === 'node' && to.kind === 'pod' && runsOn(to, from)) || (from.kind === 'pod' && to.kind === 'node' && runsOn(from, to))
  }

  /** All sources of a destination, by what they have. */
  towards(destination: number): readonly ClassGroup[] {
    return this.grouped(this.maps.sourcesOf(destination))
  }

  /** All destinations of a source, by what it has. */
  from(source: number): readonly ClassGroup[] {
    return this.grouped(this.maps.destinationsOf(source))
  }

  /** The whole map. Blocks do not overlap; where there is none, nothing is allowed. */
  *groups(): Generator<ReachabilityBlock> {
    for (const { destinations, sources } of this.destinationGroups()) {
      for (const { classes, connections } of this.grouped(sources)) {
        if (!connections.isEmpty) yield { sources: classes, destinations, connections }
      }
    }
  }

  /** Of all pairs of different pods, those that are there: imagined ones do not count. */
  counts(): readonly PairCount[] {
    const weights = this.podWeights()
    const everybody = weights.each.reduce((sum, weight) => sum + weight, 0)
    const pairs = new Map<number, number>()
    const add = (connections: number, more: number): void => void pairs.set(connections, (pairs.get(connections) ?? 0) + more)
    for (const { destinations, sources } of this.destinationGroups()) {
      const pods = destinations.sum(weights)
      if (pods === 0) continue
      let left = everybody
      for (const { set, value } of sources.pieces) {
        const some = set.sum(weights)
        add(value, some * pods)
        left -= some
      }
      add(sources.rest, left * pods)
    }
    weights.each.forEach((weight, id) => weight > 0 && add(this.maps.number(id, id), -weight))
    this.countOwnNodes(add)
    return [...pairs]
      .filter(([, count]) => count > 0)
      .map(([connections, count]) => ({ connections: this.maps.table.set(connections), pairs: count }))
      .sort((a, b) => b.pairs - a.pairs || (a.connections.key < b.connections.key ? -1 : 1))
  }

  private grouped(map: Piecewise): readonly ClassGroup[] {
    return explicitPieces(map, this.maps.everybody()).map(({ set, value }) => ({ classes: set, connections: this.maps.table.set(value) }))
  }

  /** Destinations that everybody reaches alike, and how: rows and columns are worked out once for all destinations that share them. */
  private *destinationGroups(): Generator<{ readonly destinations: ClassSet; readonly sources: Piecewise }> {
    const byColumn = new Map<string, Map<string, number[]>>()
    for (const { id } of this.maps.index.all) {
      const column = this.maps.columnKey('egress', id)
      let byRow = byColumn.get(column)
      if (byRow === undefined) byColumn.set(column, (byRow = new Map<string, number[]>()))
      const row = this.maps.rowKey(id)
      const ids = byRow.get(row)
      if (ids === undefined) byRow.set(row, [id])
      else ids.push(id)
    }
    const rows = new Map<string, Piecewise>()
    for (const byRow of byColumn.values()) {
      let column: Piecewise | undefined
      for (const [key, ids] of byRow) {
        column ??= this.maps.column('egress', ids[0])
        let row = rows.get(key)
        if (row === undefined) rows.set(key, (row = this.maps.row('ingress', ids[0])))
        yield { destinations: ClassSet.ofSorted(Int32Array.from(ids)), sources: combined(row, column, (a, b) => this.maps.table.intersect(a, b)) }
      }
    }
  }

  private podWeights(): ClassWeights {
    const isThere = (end: End): boolean => end.kind === 'pod' && !end.imagined
    return new ClassWeights(Float64Array.from(this.maps.index.all, ({ ends }) => ends.reduce((count, end) => count + (isThere(end) ? 1 : 0), 0)))
  }

  /** Pods on the host's network to and from the other pods of their node: counted as ordinary pairs so far. */
  private countOwnNodes(add: (connections: number, more: number) => void): void {
    const { index, table } = this.maps
    const isHost = ({ representative, ends }: EndClass): boolean => representative.kind === 'node' && ends.some(({ kind }) => kind === 'pod')
    if (!index.all.some(isHost)) return
    const hosts = new Map<string, End[]>()
    const guests = new Map<string, End[]>()
    for (const { ends } of index.all) {
      for (const end of ends) {
        if (end.kind !== 'pod' || end.imagined || end.node === undefined || end.node === '') continue
        const map = index.seen(end).kind === 'node' ? hosts : guests
        const list = map.get(end.node)
        if (list === undefined) map.set(end.node, [end])
        else list.push(end)
      }
    }
    const recount = (source: End, destination: End): void => {
      add(table.number(this.connections(this.classOf(source) as number, this.classOf(destination) as number)), -1)
      add(table.number(this.between(source, destination)), 1)
    }
    for (const [node, ends] of hosts) {
      for (const host of ends) {
        for (const guest of guests.get(node) ?? []) {
          recount(host, guest)
          recount(guest, host)
        }
      }
    }
  }
}

function editedPods(pods: readonly PolicyPod[], edits: readonly PodEdit[]): readonly PolicyPod[] {
  const places = new Map(pods.map((pod, index) => [pod, index]))
  const list: (PolicyPod | undefined)[] = [...pods]
  for (const { before, after } of edits) {
    const at = (before && places.get(before)) ?? list.length
    list[at] = after
    if (before !== undefined) places.delete(before)
    if (after !== undefined) places.set(after, at)
  }
  return list.filter((pod) => pod !== undefined)
}

function editedNamespaces(namespaces: PolicyWorld['namespaces'], edits: readonly NamespaceEdit[]): PolicyWorld['namespaces'] {
  const changed = new Map(namespaces)
  for (const { before, after } of edits) {
    if (before !== undefined) changed.delete(before.name)
    if (after !== undefined) changed.set(after.name, after)
  }
  return changed
}
