/** The cost of overlays as tables for a terminal, and as comma-separated values for a spreadsheet. */
import type { BackendDocument, BackendWay, OverlayReport, SizeDocument, WayDocument } from '../analysis/overlay/document.js'
import { table } from './table.js'

export function overlayText(report: OverlayReport): string {
  const { ways, notes, costs } = report
  const seals = report.backends.some((backend) => backend.ways.some((way) => way.sizes.some(({ counts }) => counts.seals > 0)))
  // the constants that are assumed are WireGuard's
  const assumed = Object.entries(costs).filter(([, constant]) => constant.assumed && seals)
  const footer = [
    ...notes.map((note) => `Note: ${note}.`),
    'CPU and latency are modelled: docs/overhead.md names every constant; --cost NAME=NS sets one.',
    ...assumed.map(([name, { ns, of, source }]) => `Assumed: ${name}, ${ns} ns a ${of} (${source}).`),
  ]
  return [...ways.flatMap((way) => [wayText(report, way), '']), ...footer, ''].join('\n')
}

function wayText(report: OverlayReport, way: WayDocument): string {
  const found = report.backends.map((backend) => ({ backend, way: backend.ways.find(({ way: name }) => name === way.name) as BackendWay }))
  const passing = found.filter((one) => one.way.unreachable === undefined)
  const lost = found.filter((one) => one.way.unreachable !== undefined)
  return [
    `${way.from} → ${way.to}, ${way.name}, ${rateText(way.rate)}, MTU ${way.mtu}`,
    '',
    'The largest packet that passes whole, and what the wire carries of it:',
    table(WIRE, passing.map(wireRow)),
    'What the nodes do for it:',
    table(WORK, passing.map(workRow)),
    'Bytes beyond one plain frame, and frames if more than one, by size of the IP packet (UDP, DF clear):',
    table(
      ['BACKEND', ...report.sizes.map(String)],
      passing.map(({ backend, way: one }) => [backend.label, ...report.sizes.map((size) => overheadCell(one, size))]),
      SIZE_GAP,
    ),
    ...lost.map(({ backend, way: one }) => `${backend.label}: ${one.unreachable ?? ''}`),
  ].join('\n')
}

interface Row {
  readonly backend: BackendDocument
  readonly way: BackendWay
}

/** For ten sizes on a page of 100 columns. */
const SIZE_GAP = 2
/** Two tables, for such a page. */
const WIRE = ['BACKEND', 'POD MTU', 'LARGEST', 'MSS', '+BYTES', 'OVERHEAD', 'GOODPUT']
const WORK = ['BACKEND', 'DEVICES', 'USER SPACE', 'HEADERS', 'RULES', 'CPU', 'LATENCY']

function fullSize({ sizes, largest }: BackendWay): SizeDocument | undefined {
  return sizes.find(({ size }) => size === largest)
}

function wireRow({ backend, way }: Row): readonly string[] {
  const full = fullSize(way)
  if (full === undefined) return [backend.label, `${way.podMtu}`, `${way.largest}`]
  return [
    backend.label,
    `${way.podMtu}`,
    `${way.largest}`,
    `${way.mssTimestamps}`,
    `${full.overheadBytes}`,
    `${full.overheadPercent.toFixed(2)}%`,
    rateText(full.goodput),
  ]
}

function workRow({ backend, way }: Row): readonly string[] {
  const full = fullSize(way)
  if (full === undefined) return [backend.label]
  const { counts, headerOperations: headers } = full
  return [
    backend.label,
    `${counts.devices}`,
    `${counts.crossings}`,
    `${headers.encapsulated + headers.decapsulated + headers.ttlLowered + headers.rewritten}`,
    `${counts.rules}`,
    microseconds(full.cpuNs),
    microseconds(full.latencyNs),
  ]
}

function overheadCell({ sizes }: BackendWay, size: number): string {
  const found = sizes.find((one) => one.size === size)
  if (found === undefined) return ''
  if (found.disposition !== 'DELIVERED') return found.disposition
  return `+${found.overheadBytes}${found.frames > 1 ? ` (${found.frames})` : ''}`
}

function microseconds(ns: number): string {
  return `${(ns / 1000).toFixed(1)} µs`
}

function rateText(bitsPerSecond: number): string {
  const units = [
    ['Gbit/s', 1e9],
    ['Mbit/s', 1e6],
    ['kbit/s', 1e3],
  ] as const
  const [unit, factor] = units.find(([, least]) => bitsPerSecond >= least) ?? ['bit/s', 1]
  const value = bitsPerSecond / factor
  return `${Number.isInteger(value) ? value : value.toFixed(2)} ${unit}`
}

const COLUMNS: readonly (readonly [string, (size: SizeDocument) => number | string])[] = [
  ['size', ({ size }) => size],
  ['disposition', ({ disposition }) => disposition],
  ['frames', ({ frames }) => frames],
  ['wire_bytes', ({ wireBytes }) => wireBytes],
  ['overhead_bytes', ({ overheadBytes }) => overheadBytes],
  ['overhead_percent', ({ overheadPercent }) => overheadPercent],
  ['goodput_bit_per_s', ({ goodput }) => goodput],
  ['hosts', ({ hosts }) => hosts],
  ['devices', ({ counts }) => counts.devices],
  ['user_space_crossings', ({ counts }) => counts.crossings],
  ['encapsulated', ({ headerOperations }) => headerOperations.encapsulated],
  ['decapsulated', ({ headerOperations }) => headerOperations.decapsulated],
  ['ttl_lowered', ({ headerOperations }) => headerOperations.ttlLowered],
  ['rewritten', ({ headerOperations }) => headerOperations.rewritten],
  ['fragmented', ({ headerOperations }) => headerOperations.fragmented],
  ['reassembled', ({ headerOperations }) => headerOperations.reassembled],
  ['rules', ({ counts }) => counts.rules],
  ['cpu_ns', ({ cpuNs }) => cpuNs],
  ['latency_ns', ({ latencyNs }) => latencyNs],
]

/** RFC 4180, one line for each way, backend and size. */
export function overlayCsv({ backends }: OverlayReport): string {
  const head = ['way', 'backend', 'pod_mtu', 'largest', 'mss', ...COLUMNS.map(([name]) => name)]
  const lines = backends.flatMap(({ id, ways }) =>
    ways.flatMap(({ way, podMtu, largest, mss, sizes }) => sizes.map((size) => [way, id, podMtu, largest, mss, ...COLUMNS.map(([, value]) => value(size))])),
  )
  return [head, ...lines].map((line) => `${line.join(',')}\r\n`).join('')
}
