/** The diary and what changed in kernels → the rows of a timeline in the order of time, and the choice among them. */
import { spellingsOf } from '../../cluster/object-reference.js'
import type { DiaryAgent, DiaryEntry, DiaryKind } from '../../network/time/diary.js'

/** A line that came to a kernel's state or went from it. */
export interface KernelRow {
  readonly atNs: number
  readonly agent: 'kernel'
  readonly kind: DiaryKind
  readonly node?: string
  readonly netns: string
  /** `- 10.1.53.0/24 via 10.1.53.0 dev flannel.1 onlink` */
  readonly what: string
}

export type TimelineRow = DiaryEntry | KernelRow

export interface RowFilter {
  readonly node?: string
  readonly agents: readonly DiaryAgent[]
  readonly kinds: readonly DiaryKind[]
  /** Part of an object's name, or of the line; with its kind before it, in whichever word for the kind. */
  readonly object?: string
  readonly fromNs?: number
  readonly toNs?: number
  /** What agents hear and say in great numbers too. */
  readonly all: boolean
}

/** Of each other event there are a few; of these one for every agent that listens. */
const IN_GREAT_NUMBERS: ReadonlySet<DiaryKind> = new Set(['watch', 'bgp-message'])

/** Kernels change because of what stands before: at one time the diary's entries come first. */
export function timelineRows(entries: readonly DiaryEntry[], changes: readonly KernelRow[], filter: RowFilter): readonly TimelineRow[] {
  const objects = filter.object === undefined ? undefined : spellingsOf(filter.object)
  const chosen: TimelineRow[] = [...entries, ...changes].filter((row) => isWanted(row, filter) && (objects === undefined || names(row, objects)))
  return chosen.sort((a, b) => a.atNs - b.atNs)
}

function names(row: TimelineRow, objects: readonly string[]): boolean {
  return objects.some((object) => ('id' in row && (row.object ?? '').includes(object)) || row.what.includes(object))
}

function isWanted(row: TimelineRow, { node, agents, kinds, fromNs, toNs, all }: RowFilter): boolean {
  // what happens to the cluster is of every node
  if (node !== undefined && row.node !== node && row.kind !== 'event') return false
  if (agents.length > 0 && !agents.includes(row.agent)) return false
  if (kinds.length > 0 ? !kinds.includes(row.kind) : !all && IN_GREAT_NUMBERS.has(row.kind)) return false
  if (fromNs !== undefined && row.atNs < fromNs) return false
  return toNs === undefined || row.atNs <= toNs
}

/** More lines than these of one kind, in one kernel, at one time, are told by their number. */
const FOLDED_FROM = 9

/** For reading: of many lines that came to a kernel at once their number. */
export function foldedRows(rows: readonly TimelineRow[]): readonly TimelineRow[] {
  const folded: TimelineRow[] = []
  for (let at = 0; at < rows.length;) {
    let end = at + 1
    while (end < rows.length && foldKey(rows[end]) !== undefined && foldKey(rows[end]) === foldKey(rows[at])) end++
    const row = rows[at]
    if (end - at < FOLDED_FROM || 'id' in row) folded.push(...rows.slice(at, end))
    else folded.push({ ...row, what: `${row.what.slice(0, 1)} ${end - at} lines of ${row.kind} (--all shows them)` })
    at = end
  }
  return folded
}

function foldKey(row: TimelineRow): string | undefined {
  return 'id' in row ? undefined : `${row.atNs} ${row.netns} ${row.kind} ${row.what.slice(0, 1)}`
}
