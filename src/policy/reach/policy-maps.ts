/**
 * What policies say to all classes at once, at any moment of a world that edits change: of one class to everybody (a row), of everybody to one
 * class (a column), of one class to another. reachability.ts asks it; reachability-edit.ts changes it.
 */
import { ClassSet } from './class-set.js'
import { ConditionIndex } from './condition-index.js'
import { ConnectionTable } from './connection-table.js'
import { EndClasses } from './end-classes.js'
import type { AddressRange } from '../address-range.js'
import type { Direction, OutsideRange, Policy, PolicyWorld, Tier } from '../model.js'
import { combined, mapWithin, type Piecewise } from './piecewise.js'
import { DIRECTIONS, RuleIndex, type ColumnPart, type IndexedPeer, type IndexedPolicy, type Selection, type Step } from './rule-index.js'
import { VerdictStates } from './verdict-states.js'

/** The policies that select a class in a direction, in the order in which they are asked. */
interface Profile {
  readonly number: number
  readonly policies: readonly IndexedPolicy[]
}

/** Policies that go and come, and the tiers as they are then. */
export interface PolicyExchange {
  readonly removed: readonly Policy[]
  readonly added: readonly { readonly policy: Policy; readonly tier: number }[]
  readonly tiers: readonly Tier[]
}

export class PolicyMaps {
  readonly index: EndClasses
  readonly table = new ConnectionTable()
  readonly rules: RuleIndex
  tiers: readonly Tier[]
  private readonly world: PolicyWorld
  private readonly states: VerdictStates
  private readonly profiles: Record<Direction, Profile[]> = { ingress: [], egress: [] }
  private readonly profileNumbers = new Map<string, Profile>()
  /** By direction and tier: whom some policy selects. */
  private readonly selected: Record<Direction, ClassSet[]> = { ingress: [], egress: [] }
  private ungoverned = ClassSet.empty
  private profiled = 0

  constructor(world: PolicyWorld, outside: readonly OutsideRange[], ranges: readonly AddressRange[]) {
    this.world = world
    this.tiers = world.tiers
    this.index = new EndClasses(world, outside, ranges)
    this.rules = new RuleIndex(world, this.index, new ConditionIndex(this.index, world), this.table)
    this.states = new VerdictStates(this.table, world.switches)
    this.profileEverything()
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
      map = mapWithin(map, undefined, (state) => this.states.tierEnd(state, this.tiers[tier].atEnd))
    }
    return mapWithin(map, undefined, (state) => this.states.outcome(state))
  }

  /** What everybody's policies let through in a direction to, or from, one class on the other side. */
  column(direction: Direction, remote: number): Piecewise {
    const byTier = this.columnSteps(direction, remote)
    let map: Piecewise = { pieces: [], rest: this.states.start }
    this.tiers.forEach(({ atEnd }, tier) => {
      const steps = byTier.get(tier)
      if (steps !== undefined) map = this.tierOver(map, tier, steps)
      map = mapWithin(map, this.selected[direction][tier], (state) => this.states.tierEnd(state, atEnd))
    })
    return mapWithin(
      mapWithin(map, undefined, (state) => this.states.outcome(state)),
      this.ungoverned,
      () => this.table.all,
    )
  }

  private tierOver(from: Piecewise, tier: number, steps: readonly Step[]): Piecewise {
    const merged = this.rules.ordered.has(tier) ? steps : mergedSteps(steps)
    return merged.reduce((map, { peer, set, connections }) => mapWithin(map, set, (state) => this.states.step(state, peer.owner.action, connections)), from)
  }

  private rowSteps(policy: IndexedPolicy, direction: Direction, local: number, steps: Step[]): void {
    for (const { peers, local: limit } of policy.rules[direction]) {
      if (limit?.set !== undefined && !limit.set.has(local)) continue
      for (const peer of peers) {
        const { set } = peer.selection
        if (direction === 'ingress' || peer.variesBy === 'nothing') {
          steps.push({ peer, set, connections: this.rules.connectionsAt(peer, this.index.all[local]) })
        } else steps.push(...this.byDestination(peer, set))
      }
    }
  }

  private columnSteps(direction: Direction, remote: number): ReadonlyMap<number, Step[]> {
    const byTier = new Map<number, Step[]>()
    const put = (step: Step): void => {
      const { tier } = step.peer.owner.owner
      const steps = byTier.get(tier)
      if (steps === undefined) byTier.set(tier, [step])
      else steps.push(step)
    }
    for (const selection of this.rules.selectionsOf(remote)) {
      if (selection.peers[direction].size === 0) continue
      const { steps, varying } = this.part(selection, direction)
      steps.forEach(put)
      for (const peer of varying) put({ peer, set: localsOf(peer), connections: this.rules.connectionsAt(peer, this.index.all[remote]) })
    }
    for (const [tier, steps] of byTier) if (this.rules.ordered.has(tier)) steps.sort(byOrder)
    return byTier
  }

  /** Many policies may name one selection: what they say together is worked out once, until one of them comes or goes. */
  private part(selection: Selection, direction: Direction): ColumnPart {
    let part = selection.parts[direction]
    if (part === undefined) {
      const peers = [...selection.peers[direction]]
      const varies = (peer: IndexedPeer): boolean => peer.variesBy !== 'nothing'
      const steps = peers.flatMap((peer): readonly Step[] => {
        if (!varies(peer)) return [{ peer, set: localsOf(peer), connections: this.rules.connectionsAt(peer, this.index.all[0]) }]
        return direction === 'egress' ? [] : this.byDestination(peer, localsOf(peer))
      })
      const isOrdered = ({ peer }: Step): boolean => this.rules.ordered.has(peer.owner.owner.tier)
      part = {
        steps: [...steps.filter(isOrdered), ...mergedSteps(steps.filter((step) => !isOrdered(step)))],
        varying: direction === 'egress' ? peers.filter(varies) : [],
      }
      selection.parts[direction] = part
    }
    return part
  }

  /** A policy came or went, or classes did that it selects: what its peers' selections say together is so again. */
  private mendParts(policy: IndexedPolicy, changed: ClassSet): void {
    for (const direction of DIRECTIONS) {
      for (const rule of policy.rules[direction]) {
        for (const peer of rule.peers) {
          const { parts } = peer.selection
          if (parts[direction] !== undefined) parts[direction] = this.mended(parts[direction], peer, changed)
        }
      }
    }
  }

  /** @returns undefined where it is simpler to work it all out again */
  private mended({ steps, varying }: ColumnPart, peer: IndexedPeer, changed: ClassSet): ColumnPart | undefined {
    const { tier } = peer.owner.owner
    const locals = localsOf(peer)
    if (peer.variesBy !== 'nothing' || this.rules.ordered.has(tier) || locals === undefined) return undefined
    const connections = this.rules.connectionsAt(peer, this.index.all[0])
    const at = steps.findIndex((step) => step.connections === connections && step.peer.owner.owner.tier === tier && step.peer.variesBy === 'nothing')
    const old = at < 0 ? ClassSet.empty : steps[at].set
    if (old === undefined) return undefined
    const asked = locals.and(changed)
    const covered: number[] = []
    asked.forEach((id) => void (this.isNamedBy(id, peer, connections) && covered.push(id)))
    const set = old.minus(asked).or(ClassSet.ofSorted(Int32Array.from(covered)))
    return { steps: [...steps.filter((_, index) => index !== at), ...(set.isEmpty ? [] : [{ peer, set, connections }])], varying }
  }

  /** Does some policy of the class say this to the peer's selection, in the peer's tier? */
  private isNamedBy(id: number, { selection, direction, owner }: IndexedPeer, connections: number): boolean {
    return this.profiles[direction][id].policies.some(
      ({ tier, rules }) =>
        tier === owner.owner.tier &&
        rules[direction].some(
          ({ local, peers }) =>
            (local?.set === undefined || local.set.has(id)) &&
            peers.some(
              (other) => other.selection === selection && other.variesBy === 'nothing' && this.rules.connectionsAt(other, this.index.all[0]) === connections,
            ),
        ),
    )
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
  direct(direction: Direction, local: number, remote: number): number {
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
      if (policies.at(i + 1)?.tier !== tier) state = this.states.tierEnd(state, this.tiers[tier].atEnd)
    })
    return this.states.outcome(state)
  }

  /** Takes in the classes that have come since. */
  addNewClasses(): void {
    this.rules.addNewClasses()
    const ids = this.index.all.slice(this.profiled).map(({ id }) => id)
    if (ids.length === 0) return
    this.profiled = this.index.all.length
    for (const id of ids) {
      const policies = this.rules.selectionsOf(id).flatMap((selection) => [...selection.policies])
      policies.sort(byRank)
      for (const direction of DIRECTIONS) {
        this.profiles[direction].push(this.profile(policies.filter(({ policy }) => policy.directions.includes(direction))))
      }
    }
    const come = ClassSet.of(ids)
    this.noteSelected(come)
    this.noteUngoverned(ids)
    const policies = ids.flatMap((id) => DIRECTIONS.flatMap((direction) => this.profiles[direction][id].policies))
    for (const policy of new Set(policies)) this.mendParts(policy, come)
  }

  /** Whom the policy selects, or would. */
  subjectsOf(policy: Policy): ClassSet {
    return this.rules.selection(policy.subject).set ?? this.everybody()
  }

  /** @param affected every class that one of them selects */
  exchange({ removed, added, tiers }: PolicyExchange, affected: ClassSet): void {
    const gone = new Set<Policy>(removed)
    const went = removed.map((policy) => this.rules.remove(policy))
    const come = added.map(({ policy, tier }) => this.rules.add(policy, tier))
    this.tiers = tiers
    for (const { policy, tier } of added) this.rules.place(policy, tiers[tier].policies)
    affected.forEach((id) => {
      const own = come.filter(({ subject }) => subject.set === undefined || subject.set.has(id))
      for (const direction of DIRECTIONS) {
        const { policies } = this.profiles[direction][id]
        const kept = policies.filter(({ policy }) => !gone.has(policy))
        const more = own.filter(({ policy }) => policy.directions.includes(direction))
        if (kept.length < policies.length || more.length > 0) this.profiles[direction][id] = this.profile([...kept, ...more].sort(byRank))
      }
    })
    this.noteSelected(affected)
    for (const policy of [...went, ...come]) this.mendParts(policy, affected)
  }

  private profileEverything(): void {
    const lists: Record<Direction, IndexedPolicy[][]> = { ingress: this.index.all.map(() => []), egress: this.index.all.map(() => []) }
    for (const indexed of this.rules.policies.values()) {
      const set = indexed.subject.set ?? this.everybody()
      for (const direction of indexed.policy.directions) set.forEach((id) => void lists[direction][id].push(indexed))
    }
    for (const direction of DIRECTIONS) this.profiles[direction] = lists[direction].map((policies) => this.profile(policies))
    this.profiled = this.index.all.length
    this.noteSelected(this.everybody())
    this.noteUngoverned(this.index.all.map(({ id }) => id))
  }

  /** @param policies by rank */
  private profile(policies: readonly IndexedPolicy[]): Profile {
    const key = policies.map(({ number }) => number).join(',')
    let profile = this.profileNumbers.get(key)
    if (profile === undefined) this.profileNumbers.set(key, (profile = { number: this.profileNumbers.size, policies }))
    return profile
  }

  private noteSelected(affected: ClassSet): void {
    for (const direction of DIRECTIONS) {
      const found: number[][] = this.tiers.map(() => [])
      affected.forEach((id) => {
        let last = -1
        for (const { tier } of this.profiles[direction][id].policies) {
          if (tier !== last) found[tier].push(id)
          last = tier
        }
      })
      const before = this.selected[direction]
      this.selected[direction] = found.map((ids, tier) => (before.at(tier) ?? ClassSet.empty).minus(affected).or(ClassSet.ofSorted(Int32Array.from(ids))))
    }
  }

  private noteUngoverned(ids: readonly number[]): void {
    this.ungoverned = this.ungoverned.or(ClassSet.of(ids.filter((id) => !this.isGoverned(id))))
  }

  /** Equal keys: the same row of ingress. */
  rowKey(id: number): string {
    if (!this.isGoverned(id)) return 'free'
    const { number, policies } = this.profiles.ingress[id]
    const rules = policies.flatMap((policy) => policy.rules.ingress)
    const limits = rules.map(({ local }) => (local?.set === undefined ? '' : local.set.has(id) ? '+' : '-')).join('')
    return `${number}${limits}${this.variation(
      rules.flatMap(({ peers }) => peers),
      id,
    )}`
  }

  /** Equal keys: the same column. */
  columnKey(direction: Direction, id: number): string {
    let key = ''
    const peers: IndexedPeer[] = []
    for (const selection of this.rules.selectionsOf(id)) {
      if (selection.peers[direction].size === 0) continue
      key += `${selection.number},`
      if (direction === 'egress') peers.push(...this.part(selection, direction).varying)
    }
    return key + this.variation(peers, id)
  }

  /** Equal keys: nothing tells the two classes apart, as sources or as destinations. */
  meaningKey(id: number): string {
    const limits = this.profiles.egress[id].policies
      .flatMap((policy) => policy.rules.egress)
      .map(({ local }) => (local?.set === undefined ? '' : local.set.has(id) ? '+' : '-'))
    const governed = this.isGoverned(id) ? `${this.profiles.egress[id].number}${limits.join('')}` : 'free'
    return [this.rowKey(id), governed, this.columnKey('ingress', id), this.columnKey('egress', id)].join('|')
  }

  /** What else of a destination the connections of these peers depend on. */
  private variation(peers: readonly IndexedPeer[], destination: number): string {
    if (peers.some(({ variesBy }) => variesBy === 'class')) return `#${destination}`
    return peers.some(({ variesBy }) => variesBy === 'ports') ? `:${this.index.all[destination].ports}` : ''
  }
}

/** Whom a peer's rule speaks for: its policy selects them, and the rule's own conditions hold. */
function localsOf({ owner: { owner, local } }: IndexedPeer): ClassSet | undefined {
  if (local?.set === undefined) return owner.subject.set
  return owner.subject.set?.and(local.set) ?? local.set
}

/** In a tier that only allows, their order says nothing: those of equal connections go in one. */
function mergedSteps(steps: readonly Step[]): readonly Step[] {
  if (steps.length < 2) return steps
  const groups = new Map<string, { readonly peer: IndexedPeer; readonly connections: number; readonly sets: (ClassSet | undefined)[] }>()
  for (const { peer, set, connections } of steps) {
    const key = `${peer.owner.owner.tier} ${connections}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { peer, connections, sets: [set] })
    else group.sets.push(set)
  }
  return Array.from(groups.values(), ({ peer, connections, sets }) => ({
    peer,
    connections,
    set: sets.includes(undefined) ? undefined : ClassSet.union(sets as ClassSet[]),
  }))
}

function byOrder(a: Step, b: Step): number {
  return byRank(a.peer.owner.owner, b.peer.owner.owner) || a.peer.owner.index - b.peer.owner.index || a.peer.index - b.peer.index
}

function byRank(a: IndexedPolicy, b: IndexedPolicy): number {
  return a.tier - b.tier || a.rank - b.rank
}
