/**
 * The policies of a world made ready for all classes at once. Subjects, peers and local conditions of equal meaning are one Selection, worked
 * out once: the set of classes that it selects. From a class one finds the selections that it is in, and through them the policies that select
 * it and the rules that name it.
 */
import { assert } from '../../base/assert.js'
import { ClassSet } from './class-set.js'
import { conditionKey, holdsOf, type ConditionIndex } from './condition-index.js'
import type { ConnectionTable } from './connection-table.js'
import type { EndClass, EndClasses } from './end-classes.js'
import { hasSourcePort, portsToward } from '../evaluate.js'
import type { Action, Condition, Direction, Peer, Policy, PolicyRule, PolicyWorld } from '../model.js'

export const DIRECTIONS: readonly Direction[] = ['ingress', 'egress']

/** All of some conditions hold. */
export interface Selection {
  readonly number: number
  readonly conditions: readonly Condition[]
  /** Absent: everybody, also who comes later. */
  set: ClassSet | undefined
  /** Is it kept with each of its classes, or asked whether it has them? */
  readonly kept: boolean
  /** Whose subject it is. */
  readonly policies: Set<IndexedPolicy>
  /** Where it is a peer. */
  readonly peers: Record<Direction, Set<IndexedPeer>>
  /** What that makes of its columns (policy-maps.ts); absent: not worked out, or no longer so. */
  readonly parts: Partial<Record<Direction, ColumnPart>>
}

/** One word on a set of ends (undefined: on everybody). */
export interface Step {
  /** Whose action and place it has. */
  readonly peer: IndexedPeer
  readonly set: ClassSet | undefined
  readonly connections: number
}

/** What everybody's policies say of a selection. */
export interface ColumnPart {
  readonly steps: readonly Step[]
  /** Those that say different things of its classes. */
  readonly varying: readonly IndexedPeer[]
}

export interface IndexedPolicy {
  readonly policy: Policy
  readonly tier: number
  /** Its place among the policies of its tier. */
  rank: number
  readonly number: number
  readonly subject: Selection
  readonly rules: Record<Direction, readonly IndexedRule[]>
}

export interface IndexedRule {
  readonly owner: IndexedPolicy
  readonly index: number
  readonly rule: PolicyRule
  readonly action: Exclude<Action, 'log'>
  /** What must hold of the selected end; absent: nothing more. */
  readonly local: Selection | undefined
  readonly peers: IndexedPeer[]
}

export interface IndexedPeer {
  readonly direction: Direction
  readonly owner: IndexedRule
  readonly index: number
  readonly peer: Peer
  readonly selection: Selection
  /** What of a destination its connections depend on. */
  readonly variesBy: 'nothing' | 'ports' | 'class'
  /** Their numbers in the table, by that. */
  readonly connections: number[]
}

export class RuleIndex {
  readonly policies = new Map<Policy, IndexedPolicy>()
  /** Tiers some rule of which does not allow: elsewhere the order of rules says nothing. */
  readonly ordered = new Set<number>()
  private readonly classes: EndClasses
  private readonly conditions: ConditionIndex
  private readonly table: ConnectionTable
  private readonly selections = new Map<string, Selection>()
  /** By the namespace that they name. */
  private readonly ofNamespace = new Map<string, Selection[]>()
  private readonly general: Selection[] = []
  /** By class: the selections that are kept with it. */
  private readonly kept: Selection[][] = []
  private readonly asked: Selection[] = []
  private readonly world: PolicyWorld
  private nextNumber = 0
  private addedClasses: number

  constructor(world: PolicyWorld, classes: EndClasses, conditions: ConditionIndex, table: ConnectionTable) {
    this.world = world
    this.classes = classes
    this.conditions = conditions
    this.table = table
    this.addedClasses = classes.all.length
    world.tiers.forEach(({ policies }, tier) => {
      for (const policy of policies) this.add(policy, tier)
      this.rankAll(policies)
    })
  }

  /** A policy that came finds its place among those of its tier. */
  place(policy: Policy, policies: readonly Policy[]): void {
    const before = policies.at(-2)
    if (policies.at(-1) !== policy || before === undefined) this.rankAll(policies)
    else (this.policies.get(policy) as IndexedPolicy).rank = (this.policies.get(before) as IndexedPolicy).rank + 1
  }

  private rankAll(policies: readonly Policy[]): void {
    policies.forEach((policy, rank) => {
      const indexed = this.policies.get(policy)
      if (indexed !== undefined) indexed.rank = rank
    })
  }

  add(policy: Policy, tier: number): IndexedPolicy {
    const subject = this.selection(policy.subject)
    const indexed: IndexedPolicy = { policy, tier, rank: -1, number: this.nextNumber++, subject, rules: { ingress: [], egress: [] } }
    for (const direction of DIRECTIONS) {
      if (!policy.directions.includes(direction)) continue
      ;(indexed.rules as Record<Direction, IndexedRule[]>)[direction] = policy[direction].flatMap((rule, index) => this.rule(indexed, direction, rule, index))
      if (this.ordered.has(tier) || indexed.rules[direction].every(({ action }) => action === 'allow')) continue
      this.ordered.add(tier)
      for (const { parts } of this.selections.values()) for (const side of DIRECTIONS) parts[side] = undefined
    }
    subject.policies.add(indexed)
    this.policies.set(policy, indexed)
    return indexed
  }

  remove(policy: Policy): IndexedPolicy {
    const indexed = this.policies.get(policy)
    assert(indexed !== undefined, 'a policy that the index does not have')
    this.policies.delete(policy)
    indexed.subject.policies.delete(indexed)
    for (const direction of DIRECTIONS) {
      for (const rule of indexed.rules[direction]) for (const peer of rule.peers) peer.selection.peers[direction].delete(peer)
    }
    return indexed
  }

  private rule(owner: IndexedPolicy, direction: Direction, rule: PolicyRule, index: number): IndexedRule[] {
    if (rule.action === 'log' || !hasSourcePort(rule, { world: this.world, assumed: new Set() })) return []
    const local = rule.local.length === 0 ? undefined : this.selection(rule.local)
    const indexed: IndexedRule = { owner, index, rule, action: rule.action, local, peers: [] }
    rule.peers.forEach((peer, peerIndex) => {
      const selection = this.selection(peer.conditions)
      const one: IndexedPeer = { direction, owner: indexed, index: peerIndex, peer, selection, variesBy: variation(rule, peer, direction), connections: [] }
      selection.peers[direction].add(one)
      indexed.peers.push(one)
    })
    return [indexed]
  }

  /** What a peer's rule names, at a destination. */
  connectionsAt({ variesBy, connections, peer, owner, direction }: IndexedPeer, { id, ports, representative: destination }: EndClass): number {
    const by = variesBy === 'nothing' ? 0 : variesBy === 'ports' ? ports : id
    return (connections[by] ??= this.table.number(portsToward(owner.rule, peer, { direction, destination }, this.world)))
  }

  /** Classes that pods of the namespace are of. */
  classesOfNamespace(name: string): Int32Array {
    return this.conditions.ofNamespace(name)
  }

  /** The selections that a class is in. */
  selectionsOf(id: number): readonly Selection[] {
    const asked = this.asked.filter(({ set }) => set === undefined || set.has(id))
    const kept = this.kept.at(id)
    return kept === undefined ? asked : [...kept, ...asked]
  }

  /** Takes in the classes that have come since. */
  addNewClasses(): void {
    if (this.addedClasses === this.classes.all.length) return
    this.conditions.addNewClasses()
    for (; this.addedClasses < this.classes.all.length; this.addedClasses++) this.addClass(this.classes.all[this.addedClasses])
  }

  private addClass(one: EndClass): void {
    const { representative: end, id } = one
    const truths = new Map<string, boolean>()
    const holds = (condition: Condition): boolean => {
      const key = conditionKey(condition)
      let truth = truths.get(key)
      if (truth === undefined) truths.set(key, (truth = holdsOf(condition, one)))
      return truth
    }
    const own = end.kind === 'pod' ? (this.ofNamespace.get(end.namespace) ?? []) : []
    for (const list of [own, this.general]) {
      for (const selection of list) {
        if (selection.set === undefined || !selection.conditions.every(holds)) continue
        selection.set = selection.set.or(ClassSet.of([id]))
        if (selection.kept) this.keep(selection, id)
      }
    }
  }

  /** Those that meet all of the conditions. */
  selection(conditions: readonly Condition[]): Selection {
    const keys = [...new Set(conditions.map(conditionKey))].sort()
    const key = keys.join('\n')
    let selection = this.selections.get(key)
    if (selection !== undefined) return selection
    const set = conditions.length === 0 ? undefined : this.find(conditions)
    selection = {
      number: this.selections.size,
      conditions,
      set,
      kept: set?.isList === true,
      policies: new Set(),
      peers: { ingress: new Set(), egress: new Set() },
      parts: {},
    }
    this.selections.set(key, selection)
    const named = conditions.find((condition) => condition.kind === 'namespace')
    if (named === undefined) this.general.push(selection)
    else {
      const list = this.ofNamespace.get(named.name)
      if (list === undefined) this.ofNamespace.set(named.name, [selection])
      else list.push(selection)
    }
    if (selection.kept) for (const id of (set as ClassSet).toArray()) this.keep(selection, id)
    else this.asked.push(selection)
    return selection
  }

  private keep(selection: Selection, id: number): void {
    const list = this.kept.at(id)
    if (list === undefined) this.kept[id] = [selection]
    else list.push(selection)
  }

  /** One namespace holds few classes: they are asked one by one, and no list is made for a condition that matters to them alone. */
  private find(conditions: readonly Condition[]): ClassSet {
    const named = conditions.find((condition) => condition.kind === 'namespace')
    if (named !== undefined) {
      const others = conditions.filter((condition) => condition !== named)
      const own = this.conditions.ofNamespace(named.name)
      return ClassSet.ofSorted(own.filter((id) => others.every((condition) => holdsOf(condition, this.classes.all[id]))))
    }
    const sets = conditions.map((condition) => this.conditions.setOf(condition, conditionKey(condition))).sort((a, b) => a.size - b.size)
    return sets.reduce((found, set) => found.and(set))
  }
}

/** As portsToward (evaluate.ts) works them out. */
function variation({ ports, local }: PolicyRule, { conditions }: Peer, direction: Direction): IndexedPeer['variesBy'] {
  if (conditions.some((condition) => condition.kind === 'service' && condition.withPorts)) return 'class'
  if (ports.named.length + ports.except.length === 0) return 'nothing'
  const ofDestination = direction === 'ingress' ? local : conditions
  return ofDestination.some((condition) => condition.kind === 'labels' && condition.of === 'endpoint') ? 'class' : 'ports'
}
