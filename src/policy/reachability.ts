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
 *   map.apply(edits)                         reachability-edit.ts: what the edits change, and nothing else is looked at
 */
import { ClassSet, ClassWeights } from './class-set.js'
import { ConditionIndex } from './condition-index.js'
import { ConnectionTable } from './connection-table.js'
import type { ConnectionSet } from './connections.js'
import { EndClasses, type EndClass } from './end-classes.js'
import { sameEnd } from './evaluate.js'
import type { AddressRange } from './address-range.js'
import type { Direction, End, OutsideRange, PolicyWorld } from './model.js'
import { combined, explicitPieces, mapWithin, type Piecewise } from './piecewise.js'
import { DIRECTIONS, hasServicePorts, RuleIndex, type IndexedPeer, type IndexedPolicy } from './rule-index.js'
import { VerdictStates } from './verdict-states.js'

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

/** The policies that select a class in a direction, in the order in which they are asked. */
interface Profile {
  readonly number: number
  readonly policies: readonly IndexedPolicy[]
}

/** One rule's word on a set of ends: undefined for everybody. */
interface Step {
  readonly peer: IndexedPeer
  readonly set: ClassSet | undefined
  readonly connections: number
}

export class Reachability {
  world: PolicyWorld
  readonly index: EndClasses
  readonly table = new ConnectionTable()
  readonly rules: RuleIndex
  private readonly conditions: ConditionIndex
  private readonly states: VerdictStates
  private readonly profiles: Record<Direction, Profile[]> = { ingress: [], egress: [] }
  private readonly profileNumbers = new Map<string, Profile>()
  /** By tier: whom some policy selects; undefined: everybody. */
  private selected = new Map<string, ClassSet | undefined>()
  private ungoverned = ClassSet.empty
  private ungovernedBelow = 0

  constructor(world: PolicyWorld, { outside = [], ranges = [] }: ReachabilityOptions = {}) {
    this.world = world
    this.index = new EndClasses(world, outside, ranges)
    this.conditions = new ConditionIndex(this.index, world)
    this.rules = new RuleIndex(world, this.index, this.conditions, this.table)
    this.states = new VerdictStates(this.table, world.switches)
    this.makeProfiles()
  }

  get classes(): readonly EndClass[] {
    return this.index.all
  }

  /** Number of the class of such an end, which may be no end of the world; undefined: the world has none like it. */
  classOf(end: End): number | undefined {
    return this.index.find(end)?.id
  }

  /** Of every end of the one class to every other end of the other, but for pods and their own node. */
  connections(source: number, destination: number): ConnectionSet {
    return this.table.set(this.number(source, destination))
  }

  /** @throws TypeError when the world has no ends like these */
  between(source: End, destination: End): ConnectionSet {
    const [from, to] = [source, destination].map((end) => this.index.find(end)?.id)
    if (from === undefined || to === undefined) throw new TypeError('an end that the map knows nothing of')
    const [seenFrom, seenTo] = [this.index.seen(source), this.index.seen(destination)]
    const { switches } = this.world
    const { all } = this.table
    const hairpin = switches.hairpin === 'allowed' && sameEnd(source, destination)
    const egress = hairpin && seenFrom.kind === 'pod' ? all : this.direct('egress', from, to)
    const free = (hairpin && seenTo.kind === 'pod') || this.isOwnNode(seenFrom, seenTo)
    return this.table.set(this.table.intersect(egress, free ? all : this.direct('ingress', to, from)))
  }

  /** The switch ownNode lets a node's connections to the pods on it through: to ingress, that is. */
  isOwnNode(source: End, destination: End): boolean {
    if (this.world.switches.ownNode !== 'allowed') return false
    return source.kind === 'node' && source.name !== '' && destination.kind === 'pod' && destination.node === source.name
  }

  /** All sources of a destination, by what they have. */
  towards(destination: number): readonly ClassGroup[] {
    return this.grouped(this.sourcesOf(destination))
  }

  /** All destinations of a source, by what it has. */
  from(source: number): readonly ClassGroup[] {
    return this.grouped(this.destinationsOf(source))
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
    weights.each.forEach((weight, id) => weight > 0 && add(this.number(id, id), -weight))
    this.countOwnNodes(add)
    return [...pairs]
      .filter(([, count]) => count > 0)
      .map(([connections, count]) => ({ connections: this.table.set(connections), pairs: count }))
      .sort((a, b) => b.pairs - a.pairs || (a.connections.key < b.connections.key ? -1 : 1))
  }

  /** Every class, by the number of what it has towards the destination. */
  sourcesOf(destination: number): Piecewise {
    return combined(this.row('ingress', destination), this.column('egress', destination), (a, b) => this.table.intersect(a, b))
  }

  destinationsOf(source: number): Piecewise {
    return combined(this.row('egress', source), this.column('ingress', source), (a, b) => this.table.intersect(a, b))
  }

  number(source: number, destination: number): number {
    return this.table.intersect(this.direct('egress', source, destination), this.direct('ingress', destination, source))
  }

  everybody(): ClassSet {
    return ClassSet.below(this.index.all.length)
  }

  isGoverned(id: number): boolean {
    if (this.world.noEngine !== undefined) return false
    const { representative: end } = this.index.all[id]
    return end.kind === 'pod' || (end.kind === 'node' && this.index.hasHostEndpoint(end.name))
  }

  /** What the policies of one class let through in a direction, for every class on the other side. */
  row(direction: Direction, local: number): Piecewise {
    if (!this.isGoverned(local)) return { pieces: [], rest: this.table.all }
    const { policies } = this.profiles[direction][local]
    let map: Piecewise = { pieces: [], rest: this.states.start }
    for (let i = 0; i < policies.length;) {
      const { tier } = policies[i]
      const steps: Step[] = []
      for (; i < policies.length && policies[i].tier === tier; i++) this.rowSteps(policies[i], direction, local, steps)
      map = this.tierOver(map, tier, steps)
      map = mapWithin(map, undefined, (state) => this.states.tierEnd(state, this.world.tiers[tier].atEnd))
    }
    return mapWithin(map, undefined, (state) => this.states.outcome(state))
  }

  /** What everybody's policies let through in a direction to, or from, one class on the other side. */
  column(direction: Direction, remote: number): Piecewise {
    const byTier = this.columnSteps(direction, remote)
    let map: Piecewise = { pieces: [], rest: this.states.start }
    this.world.tiers.forEach(({ atEnd }, tier) => {
      const steps = byTier.get(tier)
      if (steps !== undefined) map = this.tierOver(map, tier, steps)
      map = mapWithin(map, this.selectedIn(tier, direction), (state) => this.states.tierEnd(state, atEnd))
    })
    return mapWithin(
      mapWithin(map, undefined, (state) => this.states.outcome(state)),
      this.ungovernedClasses(),
      () => this.table.all,
    )
  }

  private tierOver(from: Piecewise, tier: number, steps: readonly Step[]): Piecewise {
    if (!this.rules.allowsOnly[tier] || steps.length < 3) {
      return steps.reduce((map, { peer, set, connections }) => mapWithin(map, set, (state) => this.states.step(state, peer.owner.action, connections)), from)
    }
    // their order says nothing: those of equal connections go in one
    const sets = new Map<number, ClassSet[] | undefined>()
    for (const { set, connections } of steps) {
      if (set === undefined) sets.set(connections, undefined)
      else if (!sets.has(connections)) sets.set(connections, [set])
      else sets.get(connections)?.push(set)
    }
    let map = from
    for (const [connections, list] of sets) map = mapWithin(map, list && ClassSet.union(list), (state) => this.states.step(state, 'allow', connections))
    return map
  }

  private rowSteps(policy: IndexedPolicy, direction: Direction, local: number, steps: Step[]): void {
    for (const { peers, local: limit } of policy.rules[direction]) {
      if (limit?.set !== undefined && !limit.set.has(local)) continue
      for (const peer of peers) {
        const { set } = peer.selection
        if (direction === 'ingress' || peer.connections !== undefined) {
          steps.push({ peer, set, connections: this.rules.connectionsAt(peer, this.index.all[local]) })
        } else steps.push(...this.byDestination(peer, set))
      }
    }
  }

  private columnSteps(direction: Direction, remote: number): ReadonlyMap<number, Step[]> {
    const byTier = new Map<number, Step[]>()
    for (const selection of this.rules.selectionsOf(remote)) {
      for (const peer of selection.peers[direction]) {
        const { local, owner } = peer.owner
        const set = local?.set === undefined ? owner.subject.set : (owner.subject.set?.and(local.set) ?? local.set)
        let steps = byTier.get(owner.tier)
        if (steps === undefined) byTier.set(owner.tier, (steps = []))
        if (direction === 'egress' || peer.connections !== undefined) {
          steps.push({ peer, set, connections: this.rules.connectionsAt(peer, this.index.all[remote]) })
        } else steps.push(...this.byDestination(peer, set))
      }
    }
    for (const [tier, steps] of byTier) if (!this.rules.allowsOnly[tier]) steps.sort(byOrder)
    return byTier
  }

  /** A peer whose connections depend on the destination: a step for each that there is. */
  private byDestination(peer: IndexedPeer, set: ClassSet | undefined): readonly Step[] {
    const found = new Map<number, number[]>()
    ;(set ?? this.everybody()).forEach((id) => {
      const connections = this.rules.connectionsAt(peer, this.index.all[id])
      const list = found.get(connections)
      if (list === undefined) found.set(connections, [id])
      else list.push(id)
    })
    return Array.from(found, ([connections, ids]) => ({ peer, set: ClassSet.ofSorted(Int32Array.from(ids)), connections }))
  }

  /** One direction of one pair of classes. */
  private direct(direction: Direction, local: number, remote: number): number {
    if (!this.isGoverned(local)) return this.table.all
    const destination = this.index.all[direction === 'ingress' ? local : remote]
    const { policies } = this.profiles[direction][local]
    let state = this.states.start
    policies.forEach(({ tier, rules }, i) => {
      for (const { peers, local: limit, action } of rules[direction]) {
        if (limit?.set !== undefined && !limit.set.has(local)) continue
        for (const peer of peers) {
          const { set } = peer.selection
          if (set === undefined || set.has(remote)) state = this.states.step(state, action, this.rules.connectionsAt(peer, destination))
        }
      }
      if (policies.at(i + 1)?.tier !== tier) state = this.states.tierEnd(state, this.world.tiers[tier].atEnd)
    })
    return this.states.outcome(state)
  }

  private makeProfiles(): void {
    const lists: Record<Direction, IndexedPolicy[][]> = { ingress: [], egress: [] }
    for (const direction of DIRECTIONS) lists[direction] = this.index.all.map(() => [])
    for (const indexed of this.rules.policies.values()) {
      const set = indexed.subject.set ?? this.everybody()
      for (const direction of indexed.policy.directions) set.forEach((id) => void lists[direction][id].push(indexed))
    }
    for (const direction of DIRECTIONS) this.profiles[direction] = lists[direction].map((policies) => this.profile(policies))
  }

  /** @param policies by rank */
  private profile(policies: readonly IndexedPolicy[]): Profile {
    const key = policies.map(({ number }) => number).join(',')
    let profile = this.profileNumbers.get(key)
    if (profile === undefined) this.profileNumbers.set(key, (profile = { number: this.profileNumbers.size, policies }))
    return profile
  }

  /** Whom the policies of a tier select; undefined: everybody. */
  private selectedIn(tier: number, direction: Direction): ClassSet | undefined {
    const key = `${direction} ${tier}`
    if (!this.selected.has(key)) {
      const policies = this.world.tiers[tier].policies.filter(({ directions }) => directions.includes(direction))
      const sets = policies.map((policy) => this.rules.policies.get(policy)?.subject.set)
      this.selected.set(key, sets.includes(undefined) ? undefined : ClassSet.union(sets as ClassSet[]))
    }
    return this.selected.get(key)
  }

  private ungovernedClasses(): ClassSet {
    const { all } = this.index
    if (this.ungovernedBelow < all.length) {
      const free = all.slice(this.ungovernedBelow).filter(({ id }) => !this.isGoverned(id))
      this.ungoverned = this.ungoverned.or(ClassSet.of(free.map(({ id }) => id)))
      this.ungovernedBelow = all.length
    }
    return this.ungoverned
  }

  private grouped(map: Piecewise): readonly ClassGroup[] {
    return explicitPieces(map, this.everybody()).map(({ set, value }) => ({ classes: set, connections: this.table.set(value) }))
  }

  /** Destinations that everybody reaches alike, and how: rows and columns are worked out once for all destinations that share them. */
  private *destinationGroups(): Generator<{ readonly destinations: ClassSet; readonly sources: Piecewise }> {
    const byColumn = new Map<string, Map<string, number[]>>()
    for (const { id } of this.index.all) {
      const column = this.columnKey(id)
      let byRow = byColumn.get(column)
      if (byRow === undefined) byColumn.set(column, (byRow = new Map()))
      const row = this.rowKey(id)
      const ids = byRow.get(row)
      if (ids === undefined) byRow.set(row, [id])
      else ids.push(id)
    }
    const rows = new Map<string, Piecewise>()
    for (const byRow of byColumn.values()) {
      let column: Piecewise | undefined
      for (const [key, ids] of byRow) {
        column ??= this.column('egress', ids[0])
        let row = rows.get(key)
        if (row === undefined) rows.set(key, (row = this.row('ingress', ids[0])))
        yield { destinations: ClassSet.ofSorted(Int32Array.from(ids)), sources: combined(row, column, (a, b) => this.table.intersect(a, b)) }
      }
    }
  }

  /** Equal keys: the same row of ingress. */
  private rowKey(id: number): string {
    if (!this.isGoverned(id)) return 'free'
    const { number, policies } = this.profiles.ingress[id]
    const rules = policies.flatMap((policy) => policy.rules.ingress)
    const limits = rules.map(({ local }) => (local?.set === undefined ? '' : local.set.has(id) ? '+' : '-')).join('')
    return `${number}${limits}${this.variation(
      rules.flatMap(({ peers }) => peers),
      id,
    )}`
  }

  /** Equal keys: the same column of egress. */
  private columnKey(id: number): string {
    let key = ''
    const peers: IndexedPeer[] = []
    for (const selection of this.rules.selectionsOf(id)) {
      if (selection.peers.egress.size === 0) continue
      key += `${selection.number},`
      for (const peer of selection.peers.egress) if (peer.connections === undefined) peers.push(peer)
    }
    return key + this.variation(peers, id)
  }

  /** What else of a destination the connections of these peers depend on. */
  private variation(peers: readonly IndexedPeer[], destination: number): string {
    const varying = peers.filter(({ connections }) => connections === undefined)
    if (varying.some(({ peer }) => peer.conditions.some(hasServicePorts))) return `#${destination}`
    return varying.length > 0 ? `:${this.index.all[destination].ports}` : ''
  }

  private podWeights(): ClassWeights {
    const isThere = (end: End): boolean => end.kind === 'pod' && !end.imagined
    return new ClassWeights(Float64Array.from(this.index.all, ({ ends }) => ends.reduce((count, end) => count + (isThere(end) ? 1 : 0), 0)))
  }

  /** Pods on the host's network to the other pods of their node: counted as ordinary pairs so far. */
  private countOwnNodes(add: (connections: number, more: number) => void): void {
    const { index, world } = this
    if (world.switches.ownNode !== 'allowed') return
    const hosts = new Map<string, number[]>()
    const guests = new Map<string, number[]>()
    for (const { id, ends } of index.all) {
      for (const end of ends) {
        if (end.kind !== 'pod' || end.imagined || end.node === undefined || end.node === '') continue
        const map = index.seen(end).kind === 'node' ? hosts : guests
        const list = map.get(end.node)
        if (list === undefined) map.set(end.node, [id])
        else list.push(id)
      }
    }
    for (const [node, sources] of hosts) {
      for (const source of sources) {
        for (const destination of guests.get(node) ?? []) {
          add(this.number(source, destination), -1)
          add(this.direct('egress', source, destination), 1)
        }
      }
    }
  }
}

function byOrder(a: Step, b: Step): number {
  return a.peer.owner.owner.rank - b.peer.owner.owner.rank || a.peer.owner.index - b.peer.owner.index || a.peer.index - b.peer.index
}
