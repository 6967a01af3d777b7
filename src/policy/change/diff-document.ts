/**
 * The rows of a change as documents: the shape of `netsim policy diff -o json` and `whatif -o json` (docs/policy-whatif.md). Stable: fields are
 * added, never changed. The first six fields are those of netpol-analyzer's tables.
 */
import { connectionText, NO_CONNECTIONS, othersText, transportText } from '../connection-text.js'
import type { ConnectionSet } from '../connections.js'
import type { Cause, Decision } from './diff-causes.js'
import type { Unit } from './diff-ends.js'
import type { DiffRow } from './diff-row.js'
import { decisionWords, rulesOf } from './diff-words.js'
import type { RuleDocument } from '../explain/explain-document.js'
import type { Direction } from '../model.js'
import { spanText } from '../peer-name.js'

export type DiffType = 'added' | 'removed' | 'changed'

export interface DiffRowDocument {
  readonly diffType: DiffType
  readonly source: string
  readonly destination: string
  /** What was let through, and what is. */
  readonly ref1: string
  readonly ref2: string
  /** `workload shop/x[Deployment] added`; empty where both ends are there before and after. */
  readonly workloadsDiffInfo: string
  /** Beside TCP, UDP and SCTP; absent where there is nothing of it, or everything. */
  readonly others1?: string
  readonly others2?: string
  readonly opened: string
  readonly closed: string
  /** Where pods of one workload fare differently: which ones. */
  readonly sourcePods?: readonly string[]
  readonly destinationPods?: readonly string[]
  /** before[i] and after[i] speak of the same connections in the same direction; where an end was not there, one list is empty. */
  readonly before: readonly DecisionDocument[]
  readonly after: readonly DecisionDocument[]
  /** Of the ingress controller: what leads there. */
  readonly ledBefore?: readonly string[]
  readonly ledAfter?: readonly string[]
}

export interface DecisionDocument {
  readonly effect: Cause['effect']
  readonly direction: Direction
  readonly conn: string
  readonly allowed: boolean
  /** rule: one decided; isolation: policies select the end and no rule names it; default: nothing has the last word; exempt: not held at all. */
  readonly reason: 'rule' | 'isolation' | 'default' | 'exempt'
  readonly text: string
  /** Those that passed it on, then what decided. */
  readonly rules: readonly RuleDocument[]
}

export interface RowForm {
  /** The reader knows TCP, UDP and SCTP alone. */
  readonly transportOnly: boolean
}

/** One for each range. */
export function rowDocuments(rows: readonly DiffRow[], form: RowForm): readonly DiffRowDocument[] {
  return rows.flatMap((row) => endNames(row).map(([source, destination]) => rowDocument(row, { source, destination }, form)))
}

interface Names {
  readonly source: string
  readonly destination: string
}

function rowDocument(row: DiffRow, names: Names, { transportOnly }: RowForm): DiffRowDocument {
  const { before, after, opened, closed, causes, led } = row
  const others = (set: ConnectionSet): string => (transportOnly ? '' : othersText(set))
  return {
    diffType: diffTypeOf(row),
    ...names,
    ref1: transportText(before, !transportOnly),
    ref2: transportText(after, !transportOnly),
    workloadsDiffInfo: workloadsInfo(row, names),
    ...(others(before) === '' ? {} : { others1: others(before) }),
    ...(others(after) === '' ? {} : { others2: others(after) }),
    opened: opened.isEmpty ? NO_CONNECTIONS : connectionText(opened),
    closed: closed.isEmpty ? NO_CONNECTIONS : connectionText(closed),
    ...(row.source.part === 0 ? {} : { sourcePods: row.source.members }),
    ...(row.destination.part === 0 ? {} : { destinationPods: row.destination.members }),
    before: causes.flatMap((cause) => (cause.before === undefined ? [] : decisionDocument(cause, cause.before))),
    after: causes.flatMap((cause) => (cause.after === undefined ? [] : decisionDocument(cause, cause.after))),
    ...(led === undefined ? {} : { ledBefore: led[0], ledAfter: led[1] }),
  }
}

export function diffTypeOf({ before, after }: Pick<DiffRow, 'before' | 'after'>): DiffType {
  return before.isEmpty ? 'added' : after.isEmpty ? 'removed' : 'changed'
}

/** The names of both ends, for each range of an outside end. */
export function endNames({ source, destination, ranges }: DiffRow): readonly (readonly [source: string, destination: string])[] {
  if (source.kind === 'outside') return ranges.map((range) => [`${spanText(range)}[External]`, destination.name] as const)
  if (destination.kind === 'outside') return ranges.map((range) => [source.name, `${spanText(range)}[External]`] as const)
  return [[source.name, destination.name]]
}

/** In the words of netpol-analyzer. */
export function workloadsInfo(row: DiffRow, names: Names): string {
  const isOneSided = ({ before, after }: Unit): boolean => before === undefined || after === undefined
  const which = [...(isOneSided(row.source) ? [names.source] : []), ...(isOneSided(row.destination) ? [names.destination] : [])]
  return which.length === 0 ? '' : `workload ${[...new Set(which)].join(' and ')} ${diffTypeOf(row)}`
}

function decisionDocument({ effect, direction, connections }: Cause, decision: Decision): DecisionDocument {
  const { reason, allowed } = decision.part
  return {
    effect,
    direction,
    conn: connectionText(connections),
    allowed,
    reason: reason.kind === 'tier-end' ? 'isolation' : reason.kind,
    text: decisionWords(decision, direction),
    rules: rulesOf(decision, direction),
  }
}
