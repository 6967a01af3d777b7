/** A PolicyMap as text, JSON, CSV, Markdown and dot, in the forms of netpol-analyzer; what it has no words for (ICMP) is said beside. */
import { connectionText, othersText, transportText } from '../connection-text.js'
import type { ConnectionSet } from '../connections.js'
import type { ListPeer, ListRow, PolicyMap } from './list.js'

export interface ListForm {
  /** Of --focus-conn: `TCP 80`. The rows then say no more than who and with whom. */
  readonly through?: string
  /** The reader knows TCP, UDP and SCTP alone. */
  readonly transportOnly: boolean
}

export function listText({ rows }: PolicyMap, form: ListForm): string {
  return [...textLines(rows, form)].join('')
}

export function* textLines(rows: Iterable<ListRow>, form: ListForm): Generator<string> {
  if (form.through !== undefined) yield `Permitted connections on ${form.through}:\n`
  for (const row of rows) yield `${row.source.text} => ${row.destination.text}${form.through === undefined ? ` : ${words(row, form)}` : ''}\n`
}

/** What listJson has in its list, each on a line. */
export function* jsonLines(rows: Iterable<ListRow>, form: ListForm): Generator<string> {
  for (const row of rows) yield `${JSON.stringify(jsonRow(row, form))}\n`
}

/**
 * Keys of a row: src, dst, conn; others where ICMP or another protocol is let through, and not everything; srcPods and dstPods where the row is of
 * some of a workload's pods.
 */
export function listJson({ rows }: PolicyMap, form: ListForm): string {
  return `${JSON.stringify(
    rows.map((row) => jsonRow(row, form)),
    null,
    2,
  )}\n`
}

interface JsonRow {
  readonly src: string
  readonly dst: string
  readonly conn?: string
  readonly others?: string
  readonly srcPods?: readonly string[]
  readonly dstPods?: readonly string[]
}

function jsonRow({ source, destination, connections }: ListRow, { through, transportOnly }: ListForm): JsonRow {
  const ends = { src: source.text, dst: destination.text }
  const pods = { ...(source.pods === undefined ? {} : { srcPods: source.pods }), ...(destination.pods === undefined ? {} : { dstPods: destination.pods }) }
  if (through !== undefined) return { ...ends, ...pods }
  const others = transportOnly ? '' : othersText(connections)
  return { ...ends, conn: transportText(connections, !transportOnly), ...(others === '' ? {} : { others }), ...pods }
}

export function listCsv({ rows }: PolicyMap, form: ListForm): string {
  return [...csvLines(rows, form)].join('')
}

export function* csvLines(rows: Iterable<ListRow>, form: ListForm): Generator<string> {
  const line = (texts: readonly string[]): string => `${texts.map(csvField).join(',')}\n`
  yield line(columns(form))
  for (const row of rows) yield line(cells(row, form))
}

export function listMarkdown({ rows }: PolicyMap, form: ListForm): string {
  const heading = columns(form)
  const rule = `|-----|-----|${form.through === undefined ? '------|' : ''}`
  const line = (texts: readonly string[]): string => `| ${texts.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |\n`
  return `${line(heading)}${rule}\n${rows.map((row) => line(cells(row, form))).join('')}`
}

function columns({ through }: ListForm): readonly string[] {
  return through === undefined ? ['src', 'dst', 'conn'] : ['src', 'dst']
}

function cells(row: ListRow, form: ListForm): readonly string[] {
  const ends = [row.source.text, row.destination.text]
  return form.through === undefined ? [...ends, words(row, form)] : ends
}

function words({ connections }: ListRow, { transportOnly }: ListForm): string {
  return transportOnly ? transportText(connections, false) : connectionText(connections)
}

/** RFC 4180 section 2: in quotes where it must be. */
export function csvField(text: string): string {
  return /[",\r\n]|^ /.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** Workloads in a box for each namespace, those without rows too; the outside beside them. */
export function listDot({ rows, workloads }: PolicyMap, form: ListForm): string {
  const peers = new Map<string, ListPeer>()
  for (const peer of [...rows.flatMap(({ source, destination }) => [source, destination]), ...workloads]) peers.set(peer.text, peer)
  const groups = new Map<string, string[]>()
  const outside: string[] = []
  for (const peer of peers.values()) {
    if (peer.kind === 'workload') groups.set(peer.namespace, [...(groups.get(peer.namespace) ?? []), `\t${dotPeer(peer)}`])
    else outside.push(dotPeer(peer))
  }
  const edges = rows.map((row) => dotEdge(row, form))
  const boxes = [...groups.keys()].sort(byGroup).flatMap((namespace) => dotGroup(namespace, groups.get(namespace) ?? []))
  return `${['digraph {', ...boxes, ...outside.sort(), ...edges.sort(), '}'].join('\n')}\n`
}

/** In the order of the boxes' labels. */
function byGroup(a: string, b: string): number {
  const [x, y] = [`${a}[namespace]`, `${b}[namespace]`]
  return x < y ? -1 : x > y ? 1 : 0
}

export function dotGroup(namespace: string, peers: readonly string[], color = 'black'): readonly string[] {
  const label = `${namespace}[namespace]`
  const id = JSON.stringify(`cluster_${label.replaceAll('-', '_')}`)
  return [`\tsubgraph ${id} {`, `\t\tcolor="${color}"`, `\t\tfontcolor="${color}"`, ...[...peers].sort(), `\t\tlabel=${JSON.stringify(label)}`, '\t}']
}

function dotPeer({ text, kind, name, workloadKind }: ListPeer): string {
  const label = kind === 'workload' ? `${name}[${workloadKind}]` : text
  const color = JSON.stringify(kind === 'outside' ? 'red2' : 'blue')
  return `\t${JSON.stringify(text)} [label=${JSON.stringify(label)} color=${color} fontcolor=${color}]`
}

function dotEdge(row: ListRow, form: ListForm): string {
  const [source, destination] = [row.source.text, row.destination.text]
  const label = form.through ?? words(row, form)
  const weight = source <= destination ? '0.5' : '1'
  return `\t${JSON.stringify(source)} -> ${JSON.stringify(destination)} [label=${JSON.stringify(label)} color="gold2" fontcolor="darkgreen" weight=${weight}]`
}

/** `TCP 80`, of one connection. */
export function throughText(through: ConnectionSet): string {
  return transportText(through)
}
