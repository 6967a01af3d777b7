/**
 * The smallest edit that opens, or closes, exactly one connection: candidates for the directions that stand in the way, each applied to the input
 * and judged again by the same readers and the same meaning; what else it opens or closes is found by comparing the whole map before and after.
 *
 *   asked ─▶ directions to change ─▶ options ─▶ applied ─▶ verdict as wanted? ─▶ side effects ─▶ ranked: fewest effects, then fewest words
 */
import { isObject } from '../../cluster/located.js'
import { ConnectionSet } from '../connections.js'
import { diffWorlds } from '../change/diff.js'
import type { DiffRow } from '../change/diff-row.js'
import { asSeen } from '../conditions.js'
import { evaluatePair, type PairMeaning, type Part } from '../evaluate.js'
import { allowOptions, join } from './fix-allow.js'
import { afterChanges, changeSize, type Change, type Situation } from './fix-change.js'
import { denyOptions } from './fix-deny.js'
import type { FixSide, Option } from './fix-parts.js'
import { isSameWorkload } from './fix-selector.js'
import type { Direction, End, PolicyPod } from '../model.js'

export type Wanted = 'allow' | 'deny'

export interface FixQuestion {
  readonly source: End
  readonly destination: End
  readonly asked: ConnectionSet
  readonly wanted: Wanted
}

/** Other connections that the edit opens or closes. */
export interface SideEffect {
  readonly row: DiffRow
  readonly opened: ConnectionSet
  readonly closed: ConnectionSet
}

export interface Fix extends Option {
  /** As wanted. */
  readonly after: PairMeaning
  readonly situation: Situation
  readonly effects: readonly SideEffect[]
  /** Of all of them: 0 without any. More for TCP, UDP and SCTP than for the rest, and for wide ranges outside than for single hosts. */
  readonly weight: number
  /** Opened in one direction beyond what was asked for, while the other direction still holds it back. */
  readonly latent: readonly Latent[]
  readonly size: number
}

export interface Latent {
  readonly direction: Direction
  readonly opened: ConnectionSet
}

export interface Obstacle {
  readonly direction: Direction
  /** What decides now, and no edit of these kinds changes. */
  readonly part: Part
}

export interface FixResult {
  readonly question: FixQuestion
  readonly before: PairMeaning
  /** Nothing need be done. */
  readonly already: boolean
  /** The best first. */
  readonly fixes: readonly Fix[]
  /** Where there is no fix: what stands in the way. */
  readonly obstacles: readonly Obstacle[]
}

/** How many options of each direction are tried together with those of the other. */
const TRIED_TOGETHER = 4

/** @param name of workloads, as in the lists */
export function findFixes(before: Situation, question: FixQuestion, name: (pod: PolicyPod) => string): FixResult {
  const meaning = evaluatePair(before.world, question.source, question.destination)
  if (isAsWanted(question, meaning)) return { question, before: meaning, already: true, fixes: [], obstacles: [] }
  const sides = (['egress', 'ingress'] as const).map((direction) => sideOf(before, question, meaning, direction))
  const judge = (option: Option): Fix | undefined => judged(before, question, option, name)
  const tried = question.wanted === 'allow' ? allowTogether(sides, judge) : sides.flatMap(denyOptions)
  const fixes = tried.flatMap((option) => judge(option) ?? [])
  return { question, before: meaning, already: false, fixes: ranked(fixes), obstacles: fixes.length > 0 ? [] : obstaclesOf(sides, question) }
}

export function isAsWanted({ asked, wanted }: FixQuestion, { allowed }: PairMeaning): boolean {
  return wanted === 'allow' ? allowed.covers(asked) : !allowed.meets(asked)
}

function sideOf(situation: Situation, { source, destination, asked }: FixQuestion, meaning: PairMeaning, direction: Direction): FixSide {
  const reading = { world: situation.world, assumed: new Set<never>() }
  const [from, to] = [asSeen(source, reading), asSeen(destination, reading)]
  const [local, remote] = direction === 'egress' ? [from, to] : [to, from]
  return { situation, direction, local, remote, asked, meaning: meaning[direction] }
}

/** Both directions have to let them through: the best options of each, in pairs. */
function allowTogether(sides: readonly FixSide[], judge: (option: Option) => Fix | undefined): readonly Option[] {
  const closed = sides.filter(({ meaning, asked }) => !meaning.allowed.covers(asked))
  const [one, other] = closed.map(allowOptions)
  if (closed.length < 2) return one ?? []
  // a label may open both at once
  const alone = [...one, ...other].filter((option) => option.changes.some(({ kind }) => kind === 'label') && judge(option) !== undefined)
  const cheapest = (options: readonly Option[]): readonly Option[] => [...options].sort((a, b) => sizeOf(a) - sizeOf(b)).slice(0, TRIED_TOGETHER)
  const exact = (options: readonly Option[]): readonly Option[] => options.filter(({ changes }) => changes.some(({ kind }) => kind === 'create')).slice(0, 1)
  const pick = (options: readonly Option[]): readonly Option[] => [...new Set([...cheapest(options), ...exact(options)])]
  return [...alone, ...pick(one).flatMap((first) => pick(other).map((second) => join(first, second)))]
}

function sizeOf({ changes }: Option): number {
  return changes.reduce((sum, change) => sum + changeSize(change), 0)
}

/** undefined: it does not bring about what is wanted, or would not be taken. */
function judged(before: Situation, question: FixQuestion, option: Option, name: (pod: PolicyPod) => string): Fix | undefined {
  const situation = afterChanges(before, option.changes)
  if (situation === undefined) return undefined
  const [source, destination] = [endAfter(situation, question.source), endAfter(situation, question.destination)]
  const after = evaluatePair(situation.world, source, destination)
  if (!isAsWanted(question, after)) return undefined
  const { rows } = diffWorlds(before.world, situation.world)
  const effects = rows.flatMap((row) => effectOf(row, question, name))
  const latent = latentOf(question, evaluatePair(before.world, question.source, question.destination), after)
  return { ...option, situation, after, effects, weight: effects.reduce((sum, effect) => sum + weightOf(effect), 0), latent, size: sizeOf(option) }
}

function latentOf({ asked }: FixQuestion, before: PairMeaning, after: PairMeaning): readonly Latent[] {
  return (['egress', 'ingress'] as const).flatMap((direction) => {
    const opened = after[direction].allowed.minus(before[direction].allowed).minus(asked).minus(after.allowed)
    return opened.isEmpty ? [] : [{ direction, opened }]
  })
}

/** The same end in the edited world. */
export function endAfter({ world }: Situation, end: End): End {
  if (end.kind === 'outside') return end
  if (end.kind === 'node') return world.nodes.find((node) => node.name === end.name) ?? end
  const sameName = world.pods.find((pod) => pod.namespace === end.namespace && pod.name === end.name)
  return sameName ?? world.pods.find((pod) => isSameWorkload(pod, end)) ?? end
}

/** What is left of a row without what was asked for. */
function effectOf(row: DiffRow, { source, destination, asked, wanted }: FixQuestion, name: (pod: PolicyPod) => string): readonly SideEffect[] {
  const isAsked = isUnitOf(row, 'source', source, name) && isUnitOf(row, 'destination', destination, name)
  const opened = isAsked && wanted === 'allow' ? row.opened.minus(asked) : row.opened
  const closed = isAsked && wanted === 'deny' ? row.closed.minus(asked) : row.closed
  return opened.isEmpty && closed.isEmpty ? [] : [{ row, opened, closed }]
}

function isUnitOf(row: DiffRow, field: 'source' | 'destination', end: End, name: (pod: PolicyPod) => string): boolean {
  const unit = row[field]
  if (end.kind === 'outside')
    return (
      unit.kind === 'outside' &&
      row.ranges.every((range) => end.range.family === range.family && end.range.first <= range.first && range.last <= end.range.last)
    )
  return end.kind === 'pod' ? unit.kind === 'workload' && unit.name === name(end) : unit.kind === 'node' && unit.members.includes(end.name)
}

function ranked(fixes: readonly Fix[]): readonly Fix[] {
  const order = fixes.map((fix, index) => ({ fix, index, key: [fix.weight, fix.needs === undefined ? 0 : 1, breadth(fix), fix.size] }))
  const compare = (a: readonly number[], b: readonly number[]): number => a.map((value, i) => value - b[i]).find((difference) => difference !== 0) ?? 0
  return order.sort((a, b) => compare(a.key, b.key) || a.index - b.index).map(({ fix }) => fix)
}

const WIDE = 1n << 16n

function weightOf({ row, opened, closed }: SideEffect): number {
  const addresses = row.ranges.reduce((sum, { first, last }) => sum + last - first + 1n, 0n)
  return (opened.union(closed).meets(ConnectionSet.transport) ? 3 : 1) + (addresses >= WIDE ? 2 : 0)
}

/** A namespace's label lets in pods that come later, too, and a policy for every pod holds for all that come: a default-deny is not to be opened in passing. */
function breadth({ latent, changes }: Fix): number {
  return latent.length + changes.filter((change) => (change.kind === 'label' ? change.target.startsWith('namespace/') : isForEveryPod(change))).length
}

function isForEveryPod(change: Exclude<Change, { readonly kind: 'label' }>): boolean {
  const value = change.kind === 'create' ? change.object : change.object.value
  const { kind, spec } = value
  if (kind !== 'NetworkPolicy' || !isObject(spec)) return false
  const { podSelector } = spec
  return !isObject(podSelector) || Object.values(podSelector).every((part) => part === null || Object.keys(part).length === 0)
}

function obstaclesOf(sides: readonly FixSide[], { wanted, asked }: FixQuestion): readonly Obstacle[] {
  return sides.flatMap(({ direction, meaning }) =>
    meaning.parts.filter((part) => part.allowed === (wanted === 'deny') && part.connections.meets(asked)).map((part) => ({ direction, part })),
  )
}
