/**
 * The cost of overlays as a picture (SVG) for a slide: overhead against packet size, a line for each backend, or what a link carries with full
 * packets, a bar for each. Backends that cost the same share a line. The same report gives the same bytes; no font is fetched.
 */
import { scaleBand, scaleLinear, scaleLog } from 'd3-scale'
import { line } from 'd3-shape'
import { xmlText } from '../xml-text.js'
import type { BackendWay, OverlayReport, WayDocument } from './document.js'
import type { Chart } from './names.js'

const WIDTH = 920
const HEIGHT = 480
const MARGIN = { top: 56, right: 250, bottom: 56, left: 72 }
const INK = '#1f2933'
const FAINT = '#8a94a0'
/** Paul Tol's bright scheme and three more: told apart by the colour-blind as well. */
const COLOURS = ['#4477aa', '#ee6677', '#228833', '#ccbb44', '#66ccee', '#aa3377', '#bbbbbb', '#222255', '#994f00', '#006d6f']
const BAR = '#4477aa'
const FONT = "ui-sans-serif, system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif"

interface Series {
  readonly labels: readonly string[]
  readonly way: BackendWay
}

/** @param wayName the way that is drawn; the report has it */
export function overlayChart(report: OverlayReport, chart: Chart, wayName: WayDocument['name']): string {
  const way = report.ways.find(({ name }) => name === wayName)
  if (way === undefined) return ''
  const passing = report.backends.flatMap(({ label, ways }) => {
    const found = ways.find((one) => one.way === wayName && one.unreachable === undefined)
    return found === undefined ? [] : [{ label, way: found }]
  })
  const picture = chart === 'overhead' ? overheadPicture(report, passing) : goodputPicture(passing, way)
  const title = chart === 'overhead' ? 'What the wire carries beyond one plain frame' : 'What the link carries with full packets'
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}"`,
    `  font-family="${FONT}" font-size="13" fill="${INK}">`,
    `<title>${title}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    text(MARGIN.left, 26, title, 'font-size="17" font-weight="600"'),
    text(MARGIN.left, 44, `${way.from} to ${way.to}, ${way.name}, MTU ${way.mtu}`, `fill="${FAINT}"`),
    ...picture,
    '</svg>\n',
  ].join('\n')
}

function text(x: number, y: number, words: string, attributes = ''): string {
  return `<text x="${round(x)}" y="${round(y)}" ${attributes}>${xmlText(words)}</text>`
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}

/** Percent of the plain frame: that is what a slide compares. */
function overheadPicture({ sizes }: OverlayReport, passing: readonly { readonly label: string; readonly way: BackendWay }[]): readonly string[] {
  const shared = new Map<string, { labels: string[]; way: BackendWay }>()
  for (const { label, way } of passing) {
    const key = JSON.stringify(sizes.map((size) => way.sizes.find((one) => one.size === size)?.overheadBytes))
    const known = shared.get(key)
    if (known === undefined) shared.set(key, { labels: [label], way })
    else known.labels.push(label)
  }
  const series: readonly Series[] = [...shared.values()]
  const x = scaleLog([Math.min(...sizes), Math.max(...sizes)], [MARGIN.left, WIDTH - MARGIN.right]).base(2)
  const most = Math.max(1, ...series.flatMap(({ way }) => way.sizes.map(({ overheadPercent }) => overheadPercent)))
  const y = scaleLinear([0, most], [HEIGHT - MARGIN.bottom, MARGIN.top]).nice()
  const path = line<BackendWay['sizes'][number]>(
    ({ size }) => round(x(size)),
    ({ overheadPercent }) => round(y(overheadPercent)),
  ).defined(({ disposition }) => disposition === 'DELIVERED')
  return [
    ...y.ticks(6).flatMap((tick) => gridLine(y(tick), `${tick} %`)),
    ...labelled(sizes, x).map((size) => text(x(size), HEIGHT - MARGIN.bottom + 20, `${size}`, `text-anchor="middle" fill="${FAINT}"`)),
    text((MARGIN.left + WIDTH - MARGIN.right) / 2, HEIGHT - 14, 'bytes of the IP packet that the pod sends', `text-anchor="middle"`),
    ...series.flatMap(({ labels, way }, index) => {
      const colour = COLOURS[index % COLOURS.length]
      const drawn = way.sizes.filter(({ size }) => size >= Math.min(...sizes) && size <= Math.max(...sizes))
      const top = MARGIN.top + 8 + series.slice(0, index).reduce((sum, one) => sum + LEGEND_GAP + LEGEND_ROW * one.labels.length, 0)
      return [`<path d="${path(drawn) ?? ''}" fill="none" stroke="${colour}" stroke-width="2.2"/>`, ...legend(top, colour, labels)]
    }),
  ]
}

/** Those whose numbers do not run into one another; the last always. */
function labelled(sizes: readonly number[], x: (size: number) => number): readonly number[] {
  const kept: number[] = []
  for (const size of [...sizes].sort((a, b) => b - a)) if (kept.length === 0 || x(kept[kept.length - 1]) - x(size) >= LABEL_ROOM) kept.push(size)
  return kept
}

const LABEL_ROOM = 44

function gridLine(y: number, words: string): readonly string[] {
  return [
    `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${round(y)}" y2="${round(y)}" stroke="#e3e7eb"/>`,
    text(MARGIN.left - 8, y + 4, words, `text-anchor="end" fill="${FAINT}"`),
  ]
}

const LEGEND_ROW = 16
const LEGEND_GAP = 10

/** One line of the picture may be that of several backends. */
function legend(top: number, colour: string, labels: readonly string[]): readonly string[] {
  const x = WIDTH - MARGIN.right + 18
  return [`<rect x="${x}" y="${top - 9}" width="14" height="4" fill="${colour}"/>`, ...labels.map((label, i) => text(x + 20, top - 3 + i * LEGEND_ROW, label))]
}

function goodputPicture(passing: readonly { readonly label: string; readonly way: BackendWay }[], { rate }: WayDocument): readonly string[] {
  const left = MARGIN.left + 110
  const x = scaleLinear([0, rate], [left, WIDTH - 130])
  const y = scaleBand(
    passing.map(({ label }) => label),
    [MARGIN.top + 8, HEIGHT - MARGIN.bottom + 30],
  ).padding(0.25)
  return passing.flatMap(({ label, way }) => {
    const goodput = way.sizes.find(({ size }) => size === way.largest)?.goodput ?? 0
    const top = y(label) ?? 0
    const words = `${(goodput / 1e9).toFixed(2)} Gbit/s, ${((100 * goodput) / rate).toFixed(1)} %`
    return [
      text(left - 8, top + y.bandwidth() / 2 + 4, label, 'text-anchor="end" font-size="12"'),
      `<rect x="${left}" y="${round(top)}" width="${round(x(goodput) - left)}" height="${round(y.bandwidth())}" fill="${BAR}"/>`,
      text(x(goodput) + 6, top + y.bandwidth() / 2 + 4, words, 'font-size="12"'),
    ]
  })
}
