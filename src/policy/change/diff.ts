/**
 * Two worlds → what a change opens and closes, pair by pair of workloads, nodes and outside ranges, and for each piece the reason before and the
 * reason after. Work is done on units that no policy tells apart, and only where something changed: an end whose policies, labels or addresses
 * changed against everybody; the rest of the map is what it was.
 */
import type { AddressRange } from '../address-range.js'
import { ConnectionSet } from '../connections.js'
import { reasonKey, type Cause } from './diff-causes.js'
import { boundingRanges } from './diff-classes.js'
import { matchEnds, type SideEnd, type Unit } from './diff-ends.js'
import { ingressDiff } from './diff-ingress.js'
import { diffRow, type DiffRow } from './diff-row.js'
import { Selection } from './diff-select.js'
import { ChangeFinder } from './diff-reach.js'
import { evaluatePair, type PairMeaning } from '../evaluate.js'
import type { IngressTarget } from '../ingress-targets.js'
import type { End, PolicyWorld } from '../model.js'
import { Reachability } from '../reach/reachability.js'

/** Over pairs that are there before and after. */
export type ChangeClass = 'no-op' | 'only-loosens' | 'only-tightens' | 'mixed'

export interface PolicyDiff {
  /** By source, then destination; outside ranges last. */
  readonly rows: readonly DiffRow[]
  readonly change: ChangeClass
  /** Names of workloads on one side alone. */
  readonly added: readonly string[]
  readonly removed: readonly string[]
}

export interface DiffOptions {
  /** A workload's pods among themselves: default true. */
  readonly itself?: boolean
  /** Neighbouring ranges are one row even where other rules decide about each: netpol-analyzer's counting. Default: false. */
  readonly acrossReasons?: boolean
  /** Rows of what did not change, too. */
  readonly unchanged?: boolean
  /** Connections that count; default: all of them. */
  readonly within?: ConnectionSet
  /** Where Ingresses and Routes lead, before and after. */
  readonly ingress?: readonly [before: readonly IngressTarget[], after: readonly IngressTarget[]]
}

export function diffWorlds(before: PolicyWorld, after: PolicyWorld, options: DiffOptions = {}): PolicyDiff {
  const { itself = true, acrossReasons = false, unchanged = false, within, ingress } = options
  const units = matchEnds(before, after)
  const ranges = [...boundingRanges(before), ...boundingRanges(after)]
  const sides = [new Meanings(before, units, ranges), new Meanings(after, units, ranges)] as const
  const finder = new ChangeFinder(sides[0].selection, sides[1].selection, units)
  const rows: DiffRow[] = []
  for (const [source, destination] of unchanged ? finder.allPairs() : finder.pairs()) {
    if (source === destination && (!itself || Math.max(...source.count) < 2)) continue
    if (source !== destination && source.name === destination.name && !itself) continue
    const was = source.before && destination.before && sides[0].allowed(source.before, destination.before)
    const is = source.after && destination.after && sides[1].allowed(source.after, destination.after)
    if (!unchanged && (was ?? ConnectionSet.none).equals(is ?? ConnectionSet.none)) continue
    const old = source.before && destination.before && sides[0].of(source.before, destination.before)
    const now = source.after && destination.after && sides[1].of(source.after, destination.after)
    const row = diffRow({ source, destination, old, now, within })
    if (unchanged ? !(row.before.isEmpty && row.after.isEmpty) : !row.before.equals(row.after)) rows.push(row)
  }
  if (ingress !== undefined) rows.push(...ingressDiff([before, after], ingress, units).filter((row) => unchanged || !row.before.equals(row.after)))
  const merged = mergeRanges(rows, acrossReasons).sort(byEnds)
  const names = (has: (unit: Unit) => boolean): readonly string[] => [
    ...new Set(
      units
        .filter(({ kind, name: own }) => kind !== 'outside' && own !== '')
        .filter(has)
        .map((unit) => unit.name),
    ),
  ]
  const living = new Set(names(({ before: old, after: now }) => old !== undefined && now !== undefined))
  return {
    rows: merged,
    change: classOf(merged),
    added: names((unit) => unit.before === undefined).filter((one) => !living.has(one)),
    removed: names((unit) => unit.after === undefined).filter((one) => !living.has(one)),
  }
}

/** Meanings of pairs of one world, by the keys of their ends; what they allow comes from classes, why from the pair itself. */
class Meanings {
  readonly selection: Selection
  private readonly world: PolicyWorld
  private readonly reach: Reachability
  private readonly known = new Map<string, Map<string, PairMeaning>>()
  private readonly classes = new Map<string, number | undefined>()

  constructor(world: PolicyWorld, units: readonly Unit[], ranges: readonly AddressRange[]) {
    this.world = world
    this.selection = new Selection(world)
    const outside = units.flatMap(({ before }) => (before?.end.kind === 'outside' ? before.end : []))
    this.reach = new Reachability(world, { outside, ranges })
  }

  allowed(source: SideEnd, destination: SideEnd): ConnectionSet {
    const [from, to] = [this.classOf(source), this.classOf(destination)]
    return from === undefined || to === undefined ? this.of(source, destination).allowed : this.reach.connections(from, to)
  }

  of(source: SideEnd, destination: SideEnd): PairMeaning {
    let row = this.known.get(source.key)
    if (row === undefined) this.known.set(source.key, (row = new Map<string, PairMeaning>()))
    let meaning = row.get(destination.key)
    if (meaning === undefined) {
      const around = this.selection.around(source, destination)
      row.set(destination.key, (meaning = evaluatePair(around, elsewhere(source.end, this.world), another(destination.end))))
    }
    return meaning
  }

  private classOf({ key, end }: SideEnd): number | undefined {
    if (!this.classes.has(key)) this.classes.set(key, this.reach.classOf(end))
    return this.classes.get(key)
  }
}

/** A node that is not the one of the pod it speaks to: what a node may do to its own pods no policy changes. */
function elsewhere(end: End, world: PolicyWorld): End {
  const node = end.kind === 'pod' && end.hostNetwork && world.switches.hostNetwork === 'node' ? world.nodes.find(({ name }) => name === end.node) : end
  if (node?.kind !== 'node' || world.hostEndpoints.some((endpoint) => endpoint.node === node.name)) return end
  return { ...node, name: '' }
}

/** A pod of the same kind beside it. */
function another(end: End): End {
  return end.kind === 'pod' ? { ...end, name: `${end.name}\n` } : end
}

/** Rows that say the same of one end and several ranges become one. */
function mergeRanges(rows: readonly DiffRow[], acrossReasons: boolean): DiffRow[] {
  const merged = new Map<string, DiffRow>()
  const result: DiffRow[] = []
  for (const row of rows) {
    if (row.ranges.length === 0) {
      result.push(row)
      continue
    }
    const isSource = row.source.kind === 'outside'
    const other = isSource ? row.destination : row.source
    const causes = acrossReasons ? '' : row.causes.map((cause) => causeKey(cause)).join('\n')
    const key = [isSource, other.name, other.part, row.before.key, row.after.key, causes].join('\n')
    const earlier = merged.get(key)
    merged.set(
      key,
      earlier === undefined ? row : { ...earlier, ranges: [...earlier.ranges, ...row.ranges], causes: distinct([...earlier.causes, ...row.causes]) },
    )
  }
  for (const row of merged.values()) result.push({ ...row, ranges: joinRanges(row.ranges) })
  return result
}

function causeKey({ effect, direction, connections, before, after }: Cause): string {
  return [effect, direction, connections.key, reasonKey(before), reasonKey(after)].join(' ')
}

function distinct(causes: readonly Cause[]): readonly Cause[] {
  return [...new Map(causes.map((cause) => [causeKey(cause), cause])).values()]
}

/** Ascending; neighbours become one. */
export function joinRanges(ranges: readonly AddressRange[]): readonly AddressRange[] {
  const sorted = [...ranges].sort((a, b) => a.family - b.family || (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))
  const joined: AddressRange[] = []
  for (const range of sorted) {
    const last = joined.at(-1)
    if (last !== undefined && last.family === range.family && range.first <= last.last + 1n)
      joined[joined.length - 1] = { ...last, last: range.last > last.last ? range.last : last.last }
    else joined.push(range)
  }
  return joined
}

function classOf(rows: readonly DiffRow[]): ChangeClass {
  const counted = rows.filter(({ comesOrGoes }) => !comesOrGoes)
  const loosens = counted.some(({ opened }) => !opened.isEmpty)
  const tightens = counted.some(({ closed }) => !closed.isEmpty)
  return loosens ? (tightens ? 'mixed' : 'only-loosens') : tightens ? 'only-tightens' : 'no-op'
}

function byEnds(a: DiffRow, b: DiffRow): number {
  return compareUnits(a.source, b.source) || compareUnits(a.destination, b.destination) || compareFirst(a, b)
}

const KINDS = ['workload', 'node', 'outside', 'ingress-controller'] as const

function compareUnits(a: Unit, b: Unit): number {
  return KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind) || (a.name < b.name ? -1 : a.name > b.name ? 1 : a.part - b.part)
}

function compareFirst({ ranges: [a] }: DiffRow, { ranges: [b] }: DiffRow): number {
  if (a === undefined || b === undefined) return 0
  return a.family - b.family || (a.first < b.first ? -1 : a.first > b.first ? 1 : 0)
}
