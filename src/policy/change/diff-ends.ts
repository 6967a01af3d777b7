/**
 * The ends of two worlds side by side: which workload of the one is which of the other. Pods of one workload that neither world tells apart are
 * one unit; what comes and goes has one side alone.
 */
import { grouped } from '../../base/grouped.js'
import { ClassKeys, sharedOf } from './diff-classes.js'
import type { End, PolicyNode, PolicyPod, PolicyWorld } from '../model.js'
import { workloadName } from '../peer-name.js'

/** Equal keys: equal meaning in that world. */
export interface SideEnd {
  readonly key: string
  readonly end: End
}

export interface Unit {
  readonly kind: 'workload' | 'node' | 'outside' | 'ingress-controller'
  /** `shop/web[Deployment]`: the same for all units of a workload. Empty for outside ranges. */
  readonly name: string
  /** Of that workload's units, which: 0 where it has one alone. */
  readonly part: number
  /** Names of its pods or nodes, after the change where they are there. */
  readonly members: readonly string[]
  /** How many pods or nodes there are of it, before and after. */
  readonly count: readonly [before: number, after: number]
  readonly before?: SideEnd
  readonly after?: SideEnd
}

/** Workloads by name, nodes, then outside ranges, ascending: cut at the bounds of both worlds' ranges. */
export function matchEnds(before: PolicyWorld, after: PolicyWorld): readonly Unit[] {
  const shared = sharedOf([before, after])
  const { bounds } = shared
  const keys = [new ClassKeys(before, shared), new ClassKeys(after, shared)] as const
  const workloads = matchMembers(grouped(before.pods, workloadName), grouped(after.pods, workloadName), keys, 'workload')
  const nodes = matchMembers(
    grouped(before.nodes, () => 'nodes'),
    grouped(after.nodes, () => 'nodes'),
    keys,
    'node',
  )
  const outside = bounds.families.flatMap((family) =>
    bounds.cells[family].map((range): Unit => {
      const end: End = { kind: 'outside', range }
      const side = { key: keys[0].of(end), end }
      return { kind: 'outside', name: '', part: 0, members: [], count: [0, 0], before: side, after: side }
    }),
  )
  return [...workloads, ...nodes, ...outside]
}

type Member = PolicyPod | PolicyNode
type Groups = ReadonlyMap<string, readonly Member[]>

type Keys = readonly [before: ClassKeys, after: ClassKeys]

function matchMembers(before: Groups, after: Groups, keys: Keys, kind: 'workload' | 'node'): readonly Unit[] {
  const names = [...new Set([...before.keys(), ...after.keys()])].sort(byCode)
  return names.flatMap((name) => unitsOf(name, pairUp(before.get(name) ?? [], after.get(name) ?? []), keys, kind))
}

type Couple = readonly [before: Member | undefined, after: Member | undefined]

/** By name; what is left of a workload on both sides is paired in the order of names: its pods were made anew. */
function pairUp(before: readonly Member[], after: readonly Member[]): readonly Couple[] {
  const byName = new Map(after.map((member) => [member.name, member]))
  const couples: Couple[] = []
  const left: Member[] = []
  for (const member of before) {
    const other = byName.get(member.name)
    if (other === undefined) left.push(member)
    else couples.push([member, other])
    byName.delete(member.name)
  }
  const right = [...byName.values()]
  for (let i = 0; i < Math.max(left.length, right.length); i++) couples.push([left.at(i), right.at(i)])
  return couples
}

interface Gathered {
  readonly before?: SideEnd
  readonly after?: SideEnd
  readonly members: string[]
  readonly count: [number, number]
}

function unitsOf(name: string, couples: readonly Couple[], keys: Keys, kind: 'workload' | 'node'): readonly Unit[] {
  const gathered = new Map<string, Gathered>()
  const later: Couple[] = []
  const take = (couple: Couple, key: string, sides: Pick<Gathered, 'before' | 'after'>): void => {
    const unit = gathered.get(key) ?? { ...sides, members: [], count: [0, 0] }
    gathered.set(key, unit)
    const member = couple[1] ?? couple[0]
    if (member !== undefined) unit.members.push(member.name)
    for (const side of [0, 1] as const) if (couple[side] !== undefined) unit.count[side]++
  }
  for (const couple of couples) {
    const [old, now] = couple
    if (old === undefined || now === undefined) {
      later.push(couple)
      continue
    }
    const before = { key: keys[0].of(old), end: old }
    const after = { key: keys[1].of(now), end: now }
    take(couple, `${before.key}\n${after.key}`, { before, after })
  }
  // one more of a kind that there is already, or one less, is no end of its own
  const both = [...gathered]
  for (const couple of later) {
    const side = couple[0] === undefined ? 1 : 0
    const member = couple[side] as Member
    const own = { key: keys[side].of(member), end: member }
    const alike = both.find(([, unit]) => (side === 0 ? unit.before : unit.after)?.key === own.key)
    if (alike !== undefined) take(couple, alike[0], {})
    else take(couple, `${side}\n${own.key}`, side === 0 ? { before: own } : { after: own })
  }
  const units = [...gathered.values()]
  return units.map((unit, part) => ({
    ...unit,
    kind,
    name: kind === 'workload' ? name : nodeName(unit.members),
    part: units.length === 1 ? 0 : part + 1,
  }))
}

function nodeName(members: readonly string[]): string {
  return members.length === 1 ? `${members[0]}[Node]` : `${members[0]} and ${members.length - 1} more[Node]`
}

function byCode(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
