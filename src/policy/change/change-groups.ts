/**
 * Rows of a change as people want them: those that say the same of one end and for the same reasons are one, with all their other ends; address
 * ranges as prefixes.
 */
import { EVERY_IPV4, EVERY_IPV6, formatRange, type AddressRange } from '../address-range.js'
import { reasonKey } from './diff-causes.js'
import { diffTypeOf, type DiffType } from './diff-document.js'
import type { Unit } from './diff-ends.js'
import type { DiffRow } from './diff-row.js'

export interface RowGroup {
  readonly type: DiffType
  readonly sources: readonly string[]
  readonly destinations: readonly string[]
  /** Whose connections and causes are those of all. */
  readonly row: DiffRow
  readonly count: number
}

/** Removed ones first, then changed and added ones: what may break somebody stands on top. */
export function groupRows(rows: readonly DiffRow[]): readonly RowGroup[] {
  const byDestination = grouped(rows, ({ destination }) => endKey(destination))
  const groups = [...byDestination.values()].flatMap((alike) => {
    if (alike.length > 1) return [groupOf(alike)]
    return []
  })
  const single = [...byDestination.values()].filter((alike) => alike.length === 1).flat()
  const bySource = grouped(single, ({ source }) => endKey(source))
  const all = [...groups, ...[...bySource.values()].map(groupOf)]
  return all.sort((a, b) => ORDER.indexOf(a.type) - ORDER.indexOf(b.type) || Number(a.row.comesOrGoes) - Number(b.row.comesOrGoes))
}

const ORDER: readonly DiffType[] = ['removed', 'changed', 'added']

function grouped(rows: readonly DiffRow[], end: (row: DiffRow) => string): ReadonlyMap<string, DiffRow[]> {
  const groups = new Map<string, DiffRow[]>()
  for (const row of rows) {
    const causes = row.causes.map((cause) => [cause.effect, cause.direction, cause.connections.key, reasonKey(cause.before), reasonKey(cause.after)].join(' '))
    const led = row.led === undefined ? '' : JSON.stringify(row.led)
    const key = [end(row), row.before.key, row.after.key, row.comesOrGoes, led, ...causes].join('\n')
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [row])
    else group.push(row)
  }
  return groups
}

/** Outside ranges are one end: their row has them all. */
function endKey({ kind, name, part }: Unit): string {
  return `${kind} ${name} ${part}`
}

function groupOf(rows: readonly DiffRow[]): RowGroup {
  const [row] = rows
  return {
    type: diffTypeOf(row),
    sources: [...new Set(rows.map((one) => unitWords(one.source, one.ranges)))],
    destinations: [...new Set(rows.map((one) => unitWords(one.destination, one.ranges)))],
    row,
    count: rows.length,
  }
}

const SHOWN_MEMBERS = 3

/** `shop/web[Deployment]`; with the pods that are meant, where not all of them are; `outside 10.0.0.0/8`. */
export function unitWords({ kind, name, part, members }: Unit, ranges: readonly AddressRange[]): string {
  if (kind === 'outside') return rangesWords(ranges)
  if (part === 0 || kind === 'node') return name
  const shown = members.slice(0, SHOWN_MEMBERS).join(', ')
  return `${name} (${shown}${members.length > SHOWN_MEMBERS ? ` and ${members.length - SHOWN_MEMBERS} more` : ''})`
}

const SHOWN_RANGES = 4

export function rangesWords(ranges: readonly AddressRange[]): string {
  const isAll = (whole: AddressRange): boolean =>
    ranges.some(({ family, first, last }) => family === whole.family && first === whole.first && last === whole.last)
  const words = ranges.filter((range) => !(isAll(EVERY_IPV4) && range.family === 4) && !(isAll(EVERY_IPV6) && range.family === 6)).map(formatRange)
  const wholes = [...(isAll(EVERY_IPV4) ? ['every IPv4 address'] : []), ...(isAll(EVERY_IPV6) ? ['every IPv6 address'] : [])]
  const all = [...wholes, ...words]
  return `outside: ${all.slice(0, SHOWN_RANGES).join(', ')}${all.length > SHOWN_RANGES ? ` and ${all.length - SHOWN_RANGES} more ranges` : ''}`
}
