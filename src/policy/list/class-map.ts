/**
 * The map of a cluster that is too large for a row each two workloads: pods that no policy tells apart are a class, and what the classes of one set have
 * towards those of another is a row. No pair of pods is ever looked at, nor kept.
 *
 *   Reachability ─▶ classes of equal meaning ─▶ rows: these classes → these classes: connections, so many pairs of pods
 */
import type { ConnectionSet } from '../connections.js'
import type { OutsideRange, PolicyPod, PolicyWorld } from '../model.js'
import { ClassSet, ClassWeights } from '../reach/class-set.js'
import type { Reachability, ReachabilityBlock } from '../reach/reachability.js'
import { isNamed, isShown, reachabilityOf, type ListOptions } from './list.js'
import { ownNodePairs, type OwnNodePairs } from './own-node-pairs.js'
import type { ClassPairs } from './pair-sums.js'

/** Pods that no policy tells apart, or ranges of addresses outside. */
export interface MapClass {
  readonly pods: readonly PolicyPod[]
  readonly outside: readonly OutsideRange[]
}

/** The places of classes in ClassMap.classes. */
export interface ClassRow {
  readonly sources: ClassSet
  readonly destinations: ClassSet
  readonly connections: ConnectionSet
  /** Of different pods; 0 where one side is outside. */
  readonly pairs: number
}

export interface ClassMap {
  /** In the order of their first pods; those outside last. */
  readonly classes: readonly MapClass[]
  /** Pods that are there. */
  readonly pods: number
  /** One pass; rows do not overlap, and of what is in none nothing is let through. */
  readonly rows: () => Generator<ClassRow>
  /** Pairs that no row counts, since they have something else: pods on their host's network and the pods beside them. */
  readonly ownNode: readonly ClassPairs[]
  /** Names of --focus and --focus-peer that no pod's workload has. */
  readonly unknown: readonly string[]
}

export function classMap(world: PolicyWorld, options: ListOptions): ClassMap {
  const reach = reachabilityOf(world)
  const maker = new Maker(reach, options)
  const names = [...options.focus, ...options.focusPeer]
  const unknown = names.filter((name) => !world.pods.some((pod) => isThere(pod) && isNamedPod(pod, [name])))
  const rows = function* (): Generator<ClassRow> {
    for (const block of options.focus.length === 0 ? reach.groups() : maker.focused()) {
      if (!isShown(block.connections, world, options)) continue
      yield* maker.rowsOf(block)
    }
  }
  const ownNode = options.focus.length === 0 ? maker.special.rest : []
  return { classes: maker.classes, pods: maker.pods, rows, ownNode: ownNode.filter(({ connections }) => isShown(connections, world, options)), unknown }
}

function isThere(pod: PolicyPod): boolean {
  return !pod.imagined
}

function isNamedPod({ namespace, workload: { name }, deployment }: PolicyPod, names: readonly string[]): boolean {
  return isNamed({ namespace, name, ...(deployment === undefined ? {} : { deployment }) }, names)
}

class Maker {
  readonly classes: { readonly pods: PolicyPod[]; readonly outside: OutsideRange[] }[] = []
  readonly pods: number
  readonly special: OwnNodePairs
  private readonly reach: Reachability
  private readonly options: ListOptions
  /** Of each class of ends: the place of its class here, -1 where it has neither pods nor addresses outside. */
  private readonly places: Int32Array
  private readonly weights: ClassWeights
  /** Classes of ends with pods, and outside. */
  private readonly inside: ClassSet
  private readonly outside: ClassSet

  constructor(reach: Reachability, options: ListOptions) {
    this.reach = reach
    this.options = options
    const all = reach.classes
    const podsOf = all.map(({ ends }) => ends.filter((end) => end.kind === 'pod').filter(isThere))
    this.places = new Int32Array(all.length).fill(-1)
    const byMeaning = new Map<string, number>()
    const place = (id: number, kind: string): number => {
      const key = `${kind}|${reach.maps.meaningKey(id)}`
      const known = byMeaning.get(key) ?? this.classes.push({ pods: [], outside: [] }) - 1
      byMeaning.set(key, known)
      this.places[id] = known
      return known
    }
    for (const { id } of all) if (podsOf[id].length > 0) this.classes[place(id, 'pods')].pods.push(...podsOf[id])
    for (const { id, ends } of all) {
      for (const end of ends) if (end.kind === 'outside') this.classes[place(id, 'outside')].outside.push(end)
    }
    this.weights = new ClassWeights(Float64Array.from(podsOf, ({ length }) => length))
    this.pods = this.weights.each.reduce((sum, weight) => sum + weight, 0)
    this.inside = ClassSet.of(all.flatMap(({ id }) => (podsOf[id].length > 0 ? [id] : [])))
    this.outside = ClassSet.of(all.flatMap(({ id, representative }) => (representative.kind === 'outside' ? [id] : [])))
    this.special = ownNodePairs(reach, podsOf.flat())
  }

  /** Two ends outside are no pair: what is let through to addresses outside is a row of pods alone. */
  *rowsOf({ sources, destinations, connections }: ReachabilityBlock): Generator<ClassRow> {
    const pods = { from: sources.and(this.inside), to: destinations.and(this.inside) }
    const beyond = { from: sources.and(this.outside), to: destinations.and(this.outside) }
    const from = pods.from.or(beyond.from)
    if (!pods.to.isEmpty && !from.isEmpty) yield this.row({ sources: from, destinations: pods.to, connections })
    if (!beyond.to.isEmpty && !pods.from.isEmpty) yield this.row({ sources: pods.from, destinations: beyond.to, connections })
  }

  private row({ sources, destinations, connections }: ReachabilityBlock): ClassRow {
    const ends = { sources: this.placesOf(sources), destinations: this.placesOf(destinations) }
    const pairs = sources.sum(this.weights) * destinations.sum(this.weights) - sources.and(destinations).sum(this.weights)
    return { ...ends, connections, pairs: pairs - this.special.within(sources, destinations) }
  }

  private placesOf(ids: ClassSet): ClassSet {
    const found: number[] = []
    let last = -1
    ids.forEach((id) => {
      const place = this.places[id]
      if (place !== last) found.push((last = place))
    })
    return ClassSet.of(found)
  }

  /** Classes that hold a pod of a workload in focus, with those that hold one of its peers: nobody else's policies are asked. */
  *focused(): Generator<ReachabilityBlock> {
    const { focus, focusPeer, direction } = this.options
    const idsOf = this.idsByPlace()
    const named = (names: readonly string[]): readonly number[] =>
      this.classes.flatMap(({ pods }, at) => (pods.some((pod) => isNamedPod(pod, names)) ? [at] : []))
    const chosen = named(focus)
    const everybody = this.inside.or(this.outside)
    const peers = focusPeer.length === 0 ? everybody : ClassSet.union(named(focusPeer).map((at) => idsOf[at]))
    const inFocus = ClassSet.union(chosen.map((at) => idsOf[at]))
    for (const at of chosen) {
      const own = idsOf[at]
      const [first] = own.toArray()
      const isPeer = own.meets(peers)
      // as the list has it: of two in focus it is enough that one of them is a peer
      const others = direction !== undefined && isPeer ? peers.or(inFocus) : peers
      if (direction !== 'ingress') {
        for (const { classes, connections } of this.reach.from(first)) yield { sources: own, destinations: classes.and(others), connections }
      }
      if (direction === 'egress') continue
      // without a direction what one in focus has to another was told already
      const sources = direction === undefined && isPeer ? others.minus(inFocus) : others
      for (const { classes, connections } of this.reach.towards(first)) yield { sources: classes.and(sources), destinations: own, connections }
    }
  }

  private idsByPlace(): readonly ClassSet[] {
    const ids = this.classes.map((): number[] => [])
    this.places.forEach((place, id) => place >= 0 && ids[place].push(id))
    return ids.map((list) => ClassSet.of(list))
  }
}
