/**
 * A change in the forms of netpol-analyzer's diff: txt, csv, md and dot (pkg/netpol/diff, diff_formatter*.go). Rows in the order changed, added,
 * removed, and the ingress controller's after them in the same order; within each as the lines sort.
 */
import { transportText } from '../connection-text.js'
import { diffTypeOf, endNames, workloadsInfo, type DiffType } from './diff-document.js'
import type { Unit } from './diff-ends.js'
import type { DiffRow } from './diff-row.js'
import { csvField, dotGroup } from '../list/list-forms.js'

export interface RefNames {
  readonly ref1: string
  readonly ref2: string
}

interface Line {
  readonly diffType: DiffType | 'unchanged'
  readonly source: string
  readonly destination: string
  readonly before: string
  readonly after: string
  readonly info: string
  readonly isIngress: boolean
  readonly row: DiffRow
}

function linesOf(rows: readonly DiffRow[]): readonly Line[] {
  return rows.flatMap((row) =>
    endNames(row).map(([source, destination]): Line => ({
      diffType: row.before.equals(row.after) ? 'unchanged' : diffTypeOf(row),
      source,
      destination,
      before: transportText(row.before, false),
      after: transportText(row.after, false),
      info: workloadsInfo(row, { source, destination }),
      isIngress: row.source.kind === 'ingress-controller',
      row,
    })),
  )
}

function inOrder(rows: readonly DiffRow[], write: (line: Line) => string): readonly string[] {
  const lines = linesOf(rows)
  return [false, true].flatMap((isIngress) =>
    (['changed', 'added', 'removed'] as const).flatMap((type) =>
      lines
        .filter((line) => line.isIngress === isIngress && line.diffType === type)
        .map(write)
        .sort(),
    ),
  )
}

/** Empty where nothing changed. */
export function npGuardDiffText(rows: readonly DiffRow[], { ref1, ref2 }: RefNames): string {
  const lines = inOrder(rows, ({ diffType, source, destination, before, after, info }) => {
    const ends = `diff-type: ${diffType}, source: ${source}, destination: ${destination}`
    return `${ends}, ${ref1}: ${before}, ${ref2}: ${after}${info === '' ? '' : `, workloads-diff-info: ${info}`}`
  })
  return lines.length === 0 ? '' : `Connectivity diff:\n${lines.map((line) => `${line}\n`).join('')}`
}

export function npGuardDiffCsv(rows: readonly DiffRow[], { ref1, ref2 }: RefNames): string {
  const lines = inOrder(rows, ({ diffType, source, destination, before, after, info }) => [diffType, source, destination, before, after, info].join(';'))
  if (lines.length === 0) return ''
  const head = ['diff-type', 'source', 'destination', ref1, ref2, 'workloads-diff-info']
  return [head, ...lines.map((line) => line.split(';'))].map((fields) => `${fields.map(csvField).join(',')}\n`).join('')
}

export function npGuardDiffMarkdown(rows: readonly DiffRow[], { ref1, ref2 }: RefNames): string {
  const lines = inOrder(
    rows,
    ({ diffType, source, destination, before, after, info }) => `| ${[diffType, source, destination, before, after, info].join(' | ')} |`,
  )
  if (lines.length === 0) return ''
  const head = `| diff-type | source | destination | ${ref1} | ${ref2} | workloads-diff-info |\n`
  return `${head}|-----------|--------|-------------|------|------|---------------------|\n${lines.map((line) => `${line}\n`).join('')}`
}

const NEW = '#008000'
const LOST = 'red'
const LASTING = 'blue'
const EDGES: Readonly<Record<Line['diffType'], string>> = { unchanged: 'grey', changed: 'magenta', added: '#008000', removed: 'red2' }
const TYPES = ['unchanged', 'changed', 'added', 'removed'] as const

/** @param rows unchanged ones too: they are drawn in grey */
export function npGuardDiffDot(rows: readonly DiffRow[], { ref1 }: RefNames): string {
  const lines = linesOf(rows)
  if (lines.every(({ diffType }) => diffType === 'unchanged')) return ''
  const peers = new Map<string, Peer>()
  for (const { source, destination, row, diffType } of TYPES.flatMap((type) => lines.filter((line) => line.diffType === type)))
    for (const [name, unit] of [[source, row.source] as const, [destination, row.destination] as const])
      if (!peers.has(name)) peers.set(name, { name, unit, color: colorOf(unit, diffType) })
  const groups = new Map<string, string[]>()
  const others: string[] = []
  for (const { name, unit, color } of peers.values()) {
    const end = (unit.after ?? unit.before)?.end
    const pod = unit.kind === 'workload' && end?.kind === 'pod' ? end : undefined
    const label = pod === undefined ? name : `${pod.workload.name}[${pod.workload.kind}]`
    const line = `\t${JSON.stringify(name)} [label=${JSON.stringify(label)} color="${color}" fontcolor="${color}"]`
    if (pod === undefined) others.push(line)
    else groups.set(pod.namespace, [...(groups.get(pod.namespace) ?? []), `\t${line}`])
  }
  const boxes = [...groups].sort(byLabel).flatMap(([namespace, members]) => dotGroup(namespace, members))
  const edges = (isIngress: boolean): readonly string[] =>
    lines
      .filter((line) => line.isIngress === isIngress)
      .map((line) => edgeLine(line, ref1))
      .sort()
  return `${['digraph {', ...boxes, ...others.sort(), ...edges(false), ...edges(true), ...LEGEND, '}'].join('\n')}\n`
}

/** In the order of the boxes' labels. */
function byLabel([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return `${a}[namespace]` < `${b}[namespace]` ? -1 : 1
}

interface Peer {
  readonly name: string
  readonly unit: Unit
  readonly color: string
}

function colorOf({ before, after }: Unit, diffType: Line['diffType']): string {
  if (before !== undefined && after !== undefined) return LASTING
  return diffType === 'added' ? NEW : LOST
}

function edgeLine({ diffType, source, destination, before, after }: Line, ref1: string): string {
  const label = diffType === 'changed' ? `${after} (${ref1}: ${before})` : diffType === 'added' ? after : before
  const color = EDGES[diffType]
  const weight = source <= destination ? '0.5' : '1'
  return `\t${JSON.stringify(source)} -> ${JSON.stringify(destination)} [label=${JSON.stringify(label)} color="${color}" fontcolor="${color}" weight=${weight}]`
}

const HIDDEN = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'] as const
const EDGE_KEYS = [
  ['added', 'a', 'b'],
  ['removed', 'c', 'd'],
  ['changed', 'e', 'f'],
  ['unchanged', 'g', 'h'],
] as const
const NODE_KEYS = [
  ['np', 'new peer', NEW],
  ['lp', 'lost peer', LOST],
  ['pp', 'persistent peer', LASTING],
] as const

const LEGEND: readonly string[] = [
  '\tnodesep=0.5',
  '\tsubgraph cluster_legend {',
  '\t\tlabel="Legend"',
  '\t\tfontsize = 10',
  '\t\tmargin=0',
  ...HIDDEN.map((name) => `\t\t${name} [style=invis height=0 width=0]`),
  '\t\t{rank=source a b c d}',
  '\t\t{rank=same e f g h}',
  ...EDGE_KEYS.map(([type, from, to]) => {
    const color = `color="${EDGES[type]}" fontcolor="${EDGES[type]}"`
    return `\t\t${from} -> ${to} [label="${type} connection", ${color} fontsize = 10 arrowsize=0.2]`
  }),
  ...NODE_KEYS.map(([name, label, color]) => `\t\t${name} [label="${label}" color="${color}" fontcolor="${color}" fontsize = 10]`),
  '\t\t{rank=sink np lp pp}',
  '\t\tnp->lp [style=invis]',
  '\t\tlp->pp [style=invis]',
  '\t}',
]
