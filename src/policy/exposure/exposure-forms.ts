/** A PolicyMap and its exposure as text, JSON, CSV, Markdown and dot, in the forms of netpol-analyzer. */
import type { PolicyState } from '../../cluster/policy-state.js'
import { ENTIRE_CLUSTER, exposureReport, type ExposureReport, type ExposureRow } from './exposure-rows.js'
import { csvField, dotGroup, listCsv, listDot, listJson, listMarkdown, listText, throughText, type ListForm } from '../list/list-forms.js'
import { policyMap, type ListOptions, type PolicyMap } from '../list/list.js'
import type { PolicyWorld } from '../model.js'

function heading({ through }: ListForm): string {
  return `Exposure Analysis Result${through === undefined ? '' : ` On ${through}`}:`
}

export function exposureText(map: PolicyMap, report: ExposureReport, form: ListForm): string {
  const list = listText(map, form)
  return `${list}${list === '' ? '' : '\n'}${exposureSection(report, form)}`
}

/** What follows an explanation of every pair. */
export function exposureAfter(world: PolicyWorld, state: PolicyState, options: ListOptions): string {
  const { through } = options
  return exposureSection(exposureReport(world, policyMap(world, state, options), options), {
    transportOnly: true,
    ...(through === undefined ? {} : { through: throughText(through) }),
  })
}

/** Without the map before it. */
export function exposureSection(report: ExposureReport, form: ListForm): string {
  const line = (own: string, arrow: string, { row, other }: { row: ExposureRow; other: string }): string =>
    `${own.padEnd(report.width)} \t${arrow} \t${other}${form.through === undefined ? ` : ${row.conn}` : ''}\n`
  const egress = report.egress.map((row) => line(row.src, '=>', { row, other: row.dst }))
  const ingress = report.ingress.map((row) => line(row.dst, '<=', { row, other: row.src }))
  const unprotected = form.through === undefined ? report.unprotected.map((text) => `${text}\n`) : []
  const sections = [
    egress.length === 0 ? '' : `Egress Exposure:\n${egress.join('')}`,
    ingress.length === 0 ? '' : `${egress.length === 0 ? '' : '\n'}Ingress Exposure:\n${ingress.join('')}`,
    unprotected.length === 0 ? '' : `\nWorkloads not protected by network policies:\n${unprotected.join('')}`,
  ]
  return `${heading(form)}\n${sections.join('')}`
}

export function exposureJson(map: PolicyMap, { egress, ingress }: ExposureReport, form: ListForm): string {
  const rows = (list: readonly ExposureRow[]): readonly object[] | null => {
    if (form.through !== undefined) return list.map(({ src, dst }) => ({ src, dst }))
    return list.length === 0 ? null : list.map(({ src, dst, conn }) => ({ src, dst, conn }))
  }
  const results = { egress_exposure: rows(egress), ingress_exposure: rows(ingress) }
  const list = JSON.parse(listJson(map, form)) as unknown
  const document =
    form.through === undefined
      ? { connlist_results: list, exposure_results: results }
      : { connlist_conn_focus_results: list, exposure_conn_focus_results: results }
  return `${JSON.stringify(document, null, 2)}\n`
}

export function exposureCsv(map: PolicyMap, report: ExposureReport, form: ListForm): string {
  const lines = (table: readonly (readonly string[])[]): string => table.map((fields) => `${fields.map(csvField).join(',')}\n`).join('')
  const { egress, ingress } = tables(report, form)
  return [
    listCsv(map, form),
    lines([[heading(form), '', '']]),
    egress.length < 2 ? '' : lines([['Egress Exposure:', '', ''], ...egress]),
    ingress.length < 2 ? '' : lines([['Ingress Exposure:', '', ''], ...ingress]),
  ].join('')
}

export function exposureMarkdown(map: PolicyMap, report: ExposureReport, form: ListForm): string {
  const { egress, ingress } = tables(report, form)
  const section = (title: string, [columns, ...rows]: readonly (readonly string[])[]): string => {
    if (rows.length === 0) return ''
    const line = (texts: readonly string[]): string => `| ${texts.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |\n`
    return `### ${title}:\n${line(columns)}|-----|-----|${form.through === undefined ? '------|' : ''}\n${rows.map(line).join('')}`
  }
  return `${listMarkdown(map, form)}## ${heading(form)}\n${section('Egress Exposure', egress)}\n${section('Ingress Exposure', ingress)}`
}

/** With a line of columns first; of ingress the workload stands first. */
function tables({ egress, ingress }: ExposureReport, { through }: ListForm): { readonly egress: readonly string[][]; readonly ingress: readonly string[][] } {
  const more = (conn: string): readonly string[] => (through === undefined ? [conn] : [])
  return {
    egress: [['src', 'dst', ...more('conn')], ...egress.map(({ src, dst, conn }) => [src, dst, ...more(conn)])],
    ingress: [['dst', 'src', ...more('conn')], ...ingress.map(({ src, dst, conn }) => [dst, src, ...more(conn)])],
  }
}

/** The list's picture with the hypothetical peers in it, in red, in boxes of their namespaces. */
export function exposureDot(map: PolicyMap, report: ExposureReport, form: ListForm): string {
  const lines = listDot(map, form).trimEnd().split('\n')
  const isEdge = (line: string): boolean => line.startsWith('\t"') && line.includes('" -> "')
  const boxesEnd = lines.lastIndexOf('\t}') + 1 || 1
  const outside = lines.slice(boxesEnd, -1).filter((line) => !isEdge(line))
  const edges = lines.slice(boxesEnd, -1).filter(isEdge)
  const groups = new Map<string, Set<string>>()
  for (const { peer, src, dst, conn } of [...report.ingress, ...report.egress]) {
    if (peer === undefined) continue
    const isIngress = dst === peer.workload
    const node = peer.named === undefined ? ENTIRE_CLUSTER : `${peer.named.pod}_in_${peer.named.namespace}`
    if (peer.named === undefined) outside.push(`\t"${ENTIRE_CLUSTER}" [label="${ENTIRE_CLUSTER}" color="red2" fontcolor="red2" shape=diamond]`)
    else groups.set(peer.named.namespace, (groups.get(peer.named.namespace) ?? new Set()).add(redPeer(node, peer.named.pod)))
    const [from, to] = isIngress ? [node, dst] : [src, node]
    edges.push(
      exposureEdge([from, to], conn, isIngress ? 'color="darkorange2" fontcolor="darkgreen" weight=1' : 'color="darkorange4" fontcolor="darkgreen" weight=0.5'),
    )
  }
  const boxes = [...groups].sort(byBox).flatMap(([namespace, peers]) => dotGroup(namespace, [...peers], 'red2'))
  return `${[...lines.slice(0, boxesEnd), ...boxes, ...[...new Set(outside)].sort(), ...edges.sort(), '}'].join('\n')}\n`
}

function redPeer(node: string, label: string): string {
  return `\t\t${JSON.stringify(node)} [label=${JSON.stringify(label)} color="red2" fontcolor="red2"]`
}

function exposureEdge([from, to]: readonly [string, string], conn: string, look: string): string {
  return `\t${JSON.stringify(from)} -> ${JSON.stringify(to)} [label=${JSON.stringify(conn)} ${look} style=dashed]`
}

function byBox([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  const [x, y] = [`${a}[namespace]`, `${b}[namespace]`]
  return x < y ? -1 : x > y ? 1 : 0
}
