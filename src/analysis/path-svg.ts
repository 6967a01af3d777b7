/**
 * A trace document → a picture of the packet's path as SVG: a box for each machine, in it the stations that the packet touched, arrows with
 * the numbers of the steps, the size and TTL at each. Everything is computed from the document; the same document gives the same bytes. Its
 * background is its own and no font is fetched, so that it reads on light and dark pages.
 *
 *   first machine      router        last machine        one machine
 *     pod                              pod               pod    pod
 *     docker0 ▼                        docker0 ▲          ▼      ▲
 *     eth0  ──────────▶ in ▶ out ────▶ eth0               docker0
 */
import { pathRuns, stepNumbers, type Run, type Station } from './path-stations.js'
import { printable } from './text-style.js'
import { changesOf, isLoss, placeOf } from './trace-text-hops.js'
import type { TraceDocument } from './trace-document.js'
import { decidingStep, mtuText, nearPlace, sizeText } from './trace-text-verdict.js'

const MARGIN = 24
const HEADER = 64
const BOX_HEIGHT = 50
const ROW = 98
const CHAR = 7.3
const SMALL_CHAR = 6.7
const HOST_PAD = 22
const HOST_TITLE = 34
const INSIDE_GAP = 56
const CABLE_GAP = 132
const LINE = 20

const FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
const INK = '#1f2933'
const FAINT = '#5f6b78'
const PATH = '#1769aa'
const GOOD = '#1b7f3b'
const BAD = '#b3261e'

const FILL: Readonly<Record<Station['kind'], string>> = {
  pod: '#dcefe0',
  bridge: '#e4ecf7',
  tunnel: '#f3e8fb',
  process: '#fdf0d5',
  nic: '#e9edf1',
  veth: '#ffffff',
  lost: '#fde7e5',
}

interface Box {
  readonly station: Station
  readonly x: number
  readonly y: number
  /** Index of its run, and of its column over all. */
  readonly run: number
  readonly column: number
}

interface Host {
  readonly title: string
  readonly role: Run['role']
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

interface Layout {
  readonly boxes: readonly Box[]
  readonly hosts: readonly Host[]
  readonly boxWidth: number
  /** Between two machines. */
  readonly cable: number
  readonly width: number
  readonly bottom: number
}

export function pathSvg(document: TraceDocument): string {
  const runs = pathRuns(document)
  const footer = footerLines(document)
  const header = headerTexts(document)
  const layout = layoutOf(runs, Math.max(...header.map((line) => line.length * 8.6), ...footer.map((line) => line.text.length * CHAR)))
  const height = layout.bottom + MARGIN + footer.length * LINE + 14
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${layout.width} ${height}" width="${layout.width}" height="${height}"`,
    ` role="img" aria-label="${escape(header[0])}" font-family="${FONTS}" font-size="12" fill="${INK}">`,
    `<defs>${marker('go', PATH)}${marker('stop', BAD)}</defs>`,
    `<rect x="0.5" y="0.5" width="${layout.width - 1}" height="${height - 1}" rx="10" fill="#fbfcfd" stroke="#c5ccd3"/>`,
    text(header[0], { x: MARGIN, y: 30, size: 14, bold: true }),
    text(header[1], { x: MARGIN, y: 50, fill: FAINT }),
    ...layout.hosts.map(hostSvg),
    ...arrows(layout),
    ...layout.boxes.map((box) => boxSvg(box, layout.boxWidth)),
    ...firstBadge(layout),
    ...footer.map((line, index) => text(line.text, { x: MARGIN, y: layout.bottom + MARGIN + 14 + index * LINE, fill: line.fill, bold: index === 0 })),
    '</svg>',
  ]
  return `${parts.join('\n')}\n`
}

function headerTexts({ request, metadata }: TraceDocument): string[] {
  const end = ({ name, address }: { name: string; address: string }): string => (name === address ? address : `${name} ${address}`)
  const port = request.proto === 'icmp' ? '' : `:${request.dport}`
  const what = request.proto === 'icmp' ? 'ICMP echo' : request.proto.toUpperCase()
  const network = metadata.cni === metadata.backend ? metadata.cni : `${metadata.cni} ${metadata.backend}`.trim()
  return [
    `${end(request.source)} → ${end(request.destination)}${port}   ${what}, ${request.size} bytes`,
    [network, ...metadata.inputs.slice(0, 3), `seed ${metadata.seed}`].join(' · '),
  ]
}

function footerLines(document: TraceDocument): { text: string; fill: string }[] {
  const { result, reply, mtu, metadata } = document
  const loss = isLoss(document.disposition)
  const found = loss ? decidingStep(document) : undefined
  const where = found === undefined ? '' : ` at step ${found.step.n}, ${placeOf(found.hop)}`
  const reason = result.kernelReason === undefined || result.kernelReason === '' ? '' : ` (${result.kernelReason})`
  const ttl = result.ttlAtArrival === undefined ? '' : ` with ttl ${result.ttlAtArrival}`
  const near = loss ? result.near?.[0] : undefined
  const numbers = reply === null ? '' : stepNumbers(reply.hops.flatMap((hop) => hop.steps))
  const lines = [
    { text: loss ? `${document.disposition}${where}${reason}` : `${document.disposition}${ttl}`, fill: loss ? BAD : GOOD },
    { text: loss ? result.cause : '', fill: INK },
    { text: near === undefined ? '' : `near: ${nearPlace(near)}: ${near.failed.map(({ text: words }) => words).join('; ')}`, fill: INK },
    { text: result.client === '' ? '' : `client: ${result.client}`, fill: INK },
    { text: reply === null ? '' : `reply: ${reply.disposition}${numbers === '' ? '' : `, steps ${numbers}`}`, fill: INK },
    { text: loss ? '' : sizeText(document), fill: FAINT },
    { text: mtu === null || loss ? '' : mtuText(mtu, metadata.backend, { underlay: result.wireFrame !== undefined }), fill: FAINT },
  ]
  return lines.filter((line) => line.text !== '').map((line) => ({ ...line, text: cut(line.text, 150) }))
}

function cut(words: string, most: number): string {
  return words.length <= most ? words : `${words.slice(0, most - 1)}…`
}

/** Down in the first machine, up in the last, up and down in between, down and up where there is only one and it arrives. */
function columnsOfRun(run: Run, index: number, count: number): Station[][] {
  const { stations } = run
  const half = Math.ceil(stations.length / 2)
  if (count === 1) return stations.length < 3 || stations.at(-1)?.kind === 'lost' ? [[...stations]] : [stations.slice(0, half), stations.slice(half).reverse()]
  if (index === 0) return [[...stations]]
  if (index === count - 1) return [[...stations].reverse()]
  return stations.length < 2 ? [[...stations]] : [stations.slice(0, half).reverse(), stations.slice(half)]
}

/** Columns stand on one ground, so that cards which share a cable are level. */
function layoutOf(runs: readonly Run[], textWidth: number): Layout {
  const columns = runs.map((run, index) => columnsOfRun(run, index, runs.length))
  const rows = Math.max(1, ...columns.flat().map((column) => column.length))
  const stations = runs.flatMap((run) => run.stations)
  const boxWidth = Math.max(130, ...stations.map((station) => Math.max(station.title.length * CHAR, detailText(station).length * SMALL_CHAR) + 24))
  const cable = Math.max(CABLE_GAP, ...stations.map((station) => wireText(station).length * SMALL_CHAR + 20))
  const labelRoom = Math.max(0, ...stations.map((station) => labelOf(station).length * SMALL_CHAR + 40 - boxWidth / 2))
  const top = HEADER + HOST_TITLE
  const boxes: Box[] = []
  const hosts: Host[] = []
  let x = MARGIN
  let column = 0
  columns.forEach((inRun, run) => {
    const start = x
    const tallest = Math.max(1, ...inRun.map((inColumn) => inColumn.length))
    x += HOST_PAD
    inRun.forEach((inColumn, index) => {
      if (index > 0) x += Math.max(INSIDE_GAP, labelRoom + 16)
      inColumn.forEach((station, row) => boxes.push({ station, x, y: top + (rows - inColumn.length + row) * ROW, run, column }))
      column++
      x += boxWidth
    })
    const title = runs[run].role === 'router' ? `router ${runs[run].node.replace(/^router\//, '')}` : runs[run].node
    x = Math.max(x + Math.max(HOST_PAD, labelRoom), start + title.length * 8.6 + 2 * HOST_PAD)
    const y = top - HOST_TITLE + (rows - tallest) * ROW
    hosts.push({ title, role: runs[run].role, x: start, y, width: x - start, height: HOST_TITLE + tallest * ROW - (ROW - BOX_HEIGHT) + HOST_PAD })
    x += cable
  })
  const width = Math.ceil(Math.max(x - cable + MARGIN, textWidth + 2 * MARGIN, 360))
  return { boxes: inPathOrder(boxes, runs), hosts, boxWidth, cable, width, bottom: top + rows * ROW - (ROW - BOX_HEIGHT) + HOST_PAD }
}

function inPathOrder(boxes: readonly Box[], runs: readonly Run[]): Box[] {
  const order = runs.flatMap((run) => run.stations)
  return [...boxes].sort((a, b) => order.indexOf(a.station) - order.indexOf(b.station))
}

function detailText({ lengths, ttl, outerTtl }: Station): string {
  const sizes = lengths.length === 0 ? '' : `${lengths.slice(0, 3).join(' + ')}${lengths.length > 3 ? ' + …' : ''} B`
  const life = ttl === undefined ? '' : outerTtl === undefined ? `ttl ${ttl}` : `ttl ${ttl} in ${outerTtl}`
  return [sizes, life].filter((word) => word !== '').join(' · ')
}

/** What the steps of an arrow changed: `4-8  ttl 64→63  +28 B`. */
function labelOf({ steps }: Station): string {
  const changes = steps.flatMap((step) => [...changesOf(step).filter((change) => !change.startsWith('mark')), ...addedText(step.bytesAdded)])
  return [stepNumbers(steps), ...new Set(changes)].join('  ')
}

function addedText(bytes: number | undefined): string[] {
  return bytes === undefined || bytes === 0 ? [] : [`${bytes > 0 ? '+' : '−'}${Math.abs(bytes)} B`]
}

function arrows(layout: Layout): string[] {
  const { boxes } = layout
  const parts: string[] = []
  for (let index = 1; index < boxes.length; index++) parts.push(arrow(boxes[index - 1], boxes[index], layout))
  return parts
}

/** The steps in the first station have no arrow of their own: they stand on its corner. */
function firstBadge({ boxes, boxWidth }: Layout): string[] {
  const first = boxes.at(0)
  const own = first === undefined ? '' : stepNumbers(first.station.steps)
  return first === undefined || own === '' || first.station.kind === 'lost' ? [] : [badge(own, { x: first.x + boxWidth, y: first.y })]
}

function arrow(from: Box, to: Box, { boxWidth, cable }: Layout): string {
  const lost = to.station.kind === 'lost'
  const color = lost ? BAD : PATH
  const stroke = `fill="none" stroke="${color}" stroke-width="2" marker-end="url(#${lost ? 'stop' : 'go'})"${lost ? ' stroke-dasharray="5 4"' : ''}`
  const numbers = stepNumbers(to.station.steps)
  const label = labelOf(to.station).slice(numbers.length).trim()
  if (from.column === to.column) {
    const x = from.x + boxWidth / 2
    const down = to.y > from.y
    const start = down ? from.y + BOX_HEIGHT : from.y
    const end = down ? to.y - 3 : to.y + BOX_HEIGHT + 3
    const middle = (start + end) / 2
    const note = label === '' ? '' : text(label, { x: x + 14 + numbers.length * SMALL_CHAR + 22, y: middle + 4, size: 11, fill: FAINT })
    const steps = numbers === '' ? '' : badge(numbers, { x: x + 26 + (numbers.length * SMALL_CHAR) / 2, y: middle, fill: color })
    return `<path d="M${x} ${start}V${end}" ${stroke}/>${steps}${note}`
  }
  const start = from.x + boxWidth
  const end = to.x - 3
  const y1 = from.y + BOX_HEIGHT / 2
  const y2 = to.y + BOX_HEIGHT / 2
  const middle = from.run === to.run ? (start + end) / 2 : Math.round(end - cable / 2 - HOST_PAD)
  const d = y1 === y2 ? `M${start} ${y1}H${end}` : `M${start} ${y1}H${middle}V${y2}H${end}`
  const wire = from.run === to.run ? '' : text(wireText(from.station), { x: middle, y: y2 - 24, size: 11, fill: FAINT, anchor: 'middle' })
  const note = label === '' || from.run === to.run ? '' : text(label, { x: middle, y: y2 + 26, size: 11, fill: FAINT, anchor: 'middle' })
  return `<path d="${d}" ${stroke}/>${numbers === '' ? '' : badge(numbers, { x: middle, y: y2, fill: color })}${wire}${note}`
}

function wireText({ lengths }: Station): string {
  return lengths.length === 0 ? '' : `${lengths.slice(0, 2).join(' + ')}${lengths.length > 2 ? ' + …' : ''} B on wire`
}

function badge(numbers: string, { x, y, fill = PATH }: { x: number; y: number; fill?: string }): string {
  const width = Math.max(22, numbers.length * SMALL_CHAR + 14)
  const pill = rect({ x: x - width / 2, y: y - 10, width, height: 20 }, `rx="10" fill="${fill}"`)
  return `${pill}${text(numbers, { x, y: y + 4, size: 11, fill: '#ffffff', anchor: 'middle' })}`
}

function hostSvg({ title, role, x, y, width, height }: Host): string {
  const shape = rect({ x, y, width, height }, `rx="8" fill="#ffffff" stroke="#9aa5b1" stroke-width="1.5"${role === 'router' ? ' stroke-dasharray="6 3"' : ''}`)
  return `${shape}${text(title, { x: x + HOST_PAD, y: y + 22, size: 14, bold: true })}`
}

function boxSvg({ station, x, y }: Box, width: number): string {
  const detail = detailText(station)
  const process = station.kind === 'process'
  const edge = station.kind === 'lost' ? BAD : '#7b8794'
  const look = `rx="${process ? 24 : 5}" fill="${FILL[station.kind]}" stroke="${edge}"${process ? ' stroke-dasharray="4 3"' : ''}`
  const shape = rect({ x, y, width, height: BOX_HEIGHT }, look)
  const middle = x + width / 2
  const name = text(station.title, { x: middle, y: y + (detail === '' ? 30 : 21), bold: true, anchor: 'middle', fill: station.kind === 'lost' ? BAD : INK })
  return `${shape}${name}${detail === '' ? '' : text(detail, { x: middle, y: y + 39, size: 11, anchor: 'middle', fill: FAINT })}`
}

function marker(id: string, color: string): string {
  const shape = 'viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" markerUnits="userSpaceOnUse" orient="auto"'
  return `<marker id="${id}" ${shape}><path d="M0 0L8 4L0 8Z" fill="${color}"/></marker>`
}

function rect({ x, y, width, height }: Pick<Host, 'x' | 'y' | 'width' | 'height'>, look: string): string {
  return `<rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" ${look}/>`
}

interface TextPlace {
  readonly x: number
  readonly y: number
  readonly size?: number
  readonly bold?: boolean
  readonly fill?: string
  readonly anchor?: 'middle'
}

function text(words: string, { x, y, size, bold, fill, anchor }: TextPlace): string {
  const attributes = { 'font-size': size, 'font-weight': bold === true ? 'bold' : undefined, fill, 'text-anchor': anchor }
  const look = Object.entries(attributes).map(([name, value]) => (value === undefined ? '' : ` ${name}="${value}"`))
  return `<text x="${round(x)}" y="${round(y)}"${look.join('')} xml:space="preserve">${escape(words)}</text>`
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}

function escape(words: string): string {
  return printable(words, false).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
