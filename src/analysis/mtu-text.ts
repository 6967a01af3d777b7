/**
 * An MtuReport → the text that `netsim trace --mtu` prints: each way with its largest packet, its limit and what becomes of larger
 * ones, a small and a full packet side by side where they part, and the verdict last. Pure; the same report gives the same bytes.
 */
import { fileText, placeText, silenceText } from './mtu-bands.js'
import { met } from './mtu-advice.js'
import type { BandDocument, DirectionDocument, LimitDocument, MtuReport, MtuVerdict, TableRow } from './mtu-document.js'
import { leftRight, printable, styleOf, wrap, type Style, type StyleName } from './text-style.js'
import { assumptions, endText, type TraceTextOptions } from './trace-text.js'
import { keyLines } from './trace-text-verdict.js'

export type MtuTextOptions = Pick<TraceTextOptions, 'width' | 'color' | 'ascii' | 'summaryOnly'>

interface Page {
  readonly width: number
  readonly style: Style
  readonly clean: (text: string) => string
}

/** Ends with a newline. */
export function mtuText(report: MtuReport, options: MtuTextOptions): string {
  const page: Page = { width: Math.max(72, options.width), style: styleOf(options.color), clean: (text) => printable(text, options.ascii) }
  const last = verdictLines(page, report)
  const lines = options.summaryOnly ? last : [...headLines(page, report), '', ...wayLines(page, report), ...tableLines(page, report), ...last]
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`
}

function headLines({ width, style, clean }: Page, { request, metadata }: MtuReport): string[] {
  const port = request.dport === 0 ? '' : `:${request.dport}`
  const ends = clean(`${endText(request.source, '')} → ${endText(request.destination, port)}`)
  const what = `${request.proto.toUpperCase()}, how large may packets be?`
  const flow = ends.length + 3 + what.length <= width ? [`${style.cyan(ends)}   ${what}`] : [style.cyan(ends), `  ${what}`]
  return [...flow, ...wrap([{ text: clean(assumptions({ metadata, request: { cold: !metadata.warm } })), style: 'dim' }], width, style)]
}

const COLORS: Readonly<Record<MtuVerdict, StyleName>> = {
  PASSES: 'green',
  FRAGMENTED: 'yellow',
  TOLD: 'yellow',
  LEARNED: 'yellow',
  BLACKHOLE: 'red',
  UNREACHABLE: 'red',
  UNKNOWN: 'yellow',
}

function wayLines(page: Page, report: MtuReport): string[] {
  const { forward, reverse, reverseWhy } = report
  const lines = directionLines(page, forward, report.request.proto)
  if (reverse === null) return [...lines, ...keyLines(page, 'way back', { text: reverseWhy ?? 'not asked' }), '']
  return [...lines, '', ...directionLines(page, reverse, report.request.proto), '']
}

function directionLines(page: Page, direction: DirectionDocument, proto: string): string[] {
  const { style, clean, width } = page
  const { from, to, verdict, largest, small, deviceMtu: beyond } = direction
  const ends = clean(`${from} → ${to}`)
  const head = leftRight(ends, verdict, width)
  const colored = `${style.cyan(ends)}${head.slice(ends.length, head.length - verdict.length)}${style[COLORS[verdict]](verdict)}`
  if (largest === 0) return [colored, ...keyLines(page, `${small.size} bytes`, { text: `${small.disposition}: ${small.cause}` })]
  const bands = direction.above.flatMap((band) => bandLines(page, { band, df: true, beyond }))
  const without = direction.withoutDf.flatMap((band) => bandLines(page, { band, df: false, beyond }))
  return [colored, ...keyLines(page, 'largest', { text: sizeWords(direction, proto) }), ...limitLines(page, direction), ...bands, ...without]
}

const IP_AND_L4 = 28
const IP_AND_TCP = 40

function sizeWords({ largest, mss, mssTimestamps }: DirectionDocument, proto: string): string {
  if (proto === 'icmp') return `${largest} bytes: ping -M do -s ${largest - IP_AND_L4}`
  if (proto === 'udp') return `${largest} bytes: datagrams of ${largest} - ${IP_AND_L4} = ${largest - IP_AND_L4}`
  return `${largest} bytes; TCP MSS ${largest} - 40 = ${mss}, ${mssTimestamps} with timestamps`
}

function limitLines(page: Page, { limit, largest }: DirectionDocument): string[] {
  if (limit === null) return keyLines(page, 'limit', { text: `none: ${largest} bytes is the most that an IP packet can have` })
  return keyLines(page, 'limit', { text: limitText(limit) })
}

function limitText(limit: LimitDocument): string {
  const route = limit.kind === 'route' ? ' (of the route)' : ''
  if (limit.mtu === 0) return `${placeText(limit.place)}: ${limit.text ?? ''}${fileText(limit.provenance)}`
  const sum = limit.arithmetic === `${limit.mtu}` ? '' : `; ${limit.arithmetic}`
  return `${placeText(limit.place)}, mtu ${limit.mtu}${route}${sum}`
}

/** The last stretch begins above the device's MTU, and goes on. */
function bandLines(page: Page, { band, df, beyond }: { readonly band: BandDocument; readonly df: boolean; readonly beyond: number }): string[] {
  const { from, to, outcome, text } = band
  const sizes = from > beyond ? `${from}+` : from === to ? `${from}` : `${from}-${to}`
  return keyLines(page, sizes, { text: `${outcome}${df ? '' : ', DF clear'}: ${text}` })
}

const GAP = '  '
const NARROWEST = 12

/** One row a step; where the page is too narrow the widest columns are folded. */
function tableLines({ width, style, clean }: Page, report: MtuReport): string[] {
  const direction = [report.forward, report.reverse].find((one) => one !== null && one.table.length > 0)
  if (direction === null || direction === undefined) return []
  const heads = ['where', 'step', `${direction.small.size} bytes`, `${direction.full} bytes`]
  const cells = direction.table.map((row) => [placeOfRow(row), row.step, row.small, row.full].map(clean))
  const widths = heads.map((head, column) => Math.max(head.length, ...cells.map((row) => row[column].length)))
  const room = width - GAP.length * (heads.length - 1)
  while (widths.reduce((sum, one) => sum + one, 0) > room && Math.max(...widths) > NARROWEST) widths[widths.indexOf(Math.max(...widths))]--
  const lines = cells.flatMap((row, index) => rowLines(row, widths, direction.table[index].lost ? style : undefined))
  const title = clean(`${direction.from} → ${direction.to}, a small packet and a full one`)
  return [
    ...wrap([{ text: title }], width, style).map((line) => style.bold(line)),
    ...rowLines(heads, widths, undefined).map((line) => style.dim(line)),
    ...lines,
    '',
  ]
}

function placeOfRow({ place }: TableRow): string {
  return placeText({ node: place.node, netns: place.netns, ...(place.pod === undefined ? {} : { pod: place.pod }) })
}

/** The last cell in red where a style is given: there a packet is lost. */
function rowLines(cells: readonly string[], widths: readonly number[], red: Style | undefined): string[] {
  const plain = styleOf(false)
  const columns = cells.map((cell, column) => wrap([{ text: cell }], widths[column], plain))
  const last = cells.length - 1
  return Array.from({ length: Math.max(...columns.map((lines) => lines.length)) }, (_, line) => {
    const texts = columns.map((lines, column) => (lines[line] ?? '').padEnd(widths[column]))
    const end = texts[last].trimEnd()
    const start = [...texts.slice(0, last), ''].join(GAP)
    return end === '' ? start.trimEnd() : start + (red === undefined ? end : red.red(end))
  })
}

function verdictLines(page: Page, report: MtuReport): string[] {
  const { style, clean, width } = page
  const { verdict } = report
  const start = `${verdict}  `
  const [first, ...rest] = wrap([{ text: clean(summaryText(report)) }], width - start.length, style)
  const lines = [`${style.bold(style[COLORS[verdict]](verdict))}  ${first}`, ...rest.map((line) => ' '.repeat(start.length) + line)]
  const entry = (key: string, text: string, name?: StyleName): void => {
    if (text !== '') lines.push(...keyLines(page, key, { text, ...(name === undefined ? {} : { style: name }) }))
  }
  const worst = worstWay(report)
  if (verdict !== 'PASSES' && worst.limit !== null) entry('cause', causeText(worst))
  const silent = met(worst).find(({ outcome }) => outcome === 'BLACKHOLE')
  const said = silent?.tries.at(-1)?.told
  if (silent !== undefined) entry('silent', said === undefined ? 'it drops them without a word: no ICMP is made' : silenceText(said).replace(/^: /, ''))
  entry('tcp', tcpText(report))
  entry('client', report.client)
  if (worst.largest > 0) entry('fits', fitsText(report))
  for (const fix of report.fixes) entry('fix', fix)
  entry('underlay', underlayText(report))
  for (const warning of report.warnings) entry('warning', warning, 'yellow')
  for (const missing of report.notModelled) entry('unmodelled', missing, 'yellow')
  entry('next', report.next.join('\n'), 'dim')
  return lines
}

function worstWay({ forward, reverse, verdict }: MtuReport): DirectionDocument {
  return forward.verdict === verdict || reverse === null ? forward : reverse
}

function summaryText(report: MtuReport): string {
  const { verdict, forward, reverse } = report
  const worst = worstWay(report)
  const ways = `${worst.from} → ${worst.to}`
  const band = met(worst).find(({ outcome }) => outcome === 'BLACKHOLE' || outcome === 'LOST') ?? met(worst)[0]
  const sizes = band === undefined ? '' : band.from === band.to ? `packets of ${band.from} bytes` : `packets of ${band.from} to ${band.to} bytes`
  const where = band?.place === undefined ? '' : ` at ${placeText(band.place)}`
  switch (verdict) {
    case 'PASSES':
      return `full-size packets arrive whole: ${forward.full} bytes there${reverse === null ? '' : `, ${reverse.full} back`}`
    case 'FRAGMENTED':
      return `${ways}: ${sizes} arrive in fragments, cut${where}`
    case 'TOLD':
      return `${ways}: ${sizes} are too big${where}, and the sender is told`
    case 'LEARNED':
      return `${ways}: the first of ${sizes} is lost${where}, later ones arrive`
    case 'BLACKHOLE':
      return `${ways}: small packets arrive, ${sizes} vanish${where}`
    case 'UNREACHABLE':
      return `${ways}: no packet arrives, whatever its size: ${worst.small.disposition}`
    case 'UNKNOWN':
      return worst.largest === 0 ? `${ways}: ${worst.small.disposition}` : `${ways}: ${sizes} meet what is not modelled${where}`
  }
}

/** `1450 + 50 vxlan = 1500 outer; segment s0 carries 1450 (50 too many)`. */
function causeText({ full, fullOverhead, limit }: DirectionDocument): string {
  if (limit === null) return ''
  if (limit.mtu === 0) return limitText(limit)
  const outer = full + fullOverhead
  const sum = fullOverhead === 0 ? `${full} bytes` : `${full} + ${fullOverhead} ${limit.encapsulations.join(' + ')} = ${outer} bytes`
  const over = outer - limit.mtu
  return `${sum}; ${placeText(limit.place)} carries ${limit.mtu}${over > 0 ? ` (${over} too many)` : ''}`
}

function tcpText({ tcp }: MtuReport): string {
  if (tcp === null) return ''
  const said = ({ announced, arrived }: { readonly announced: number; readonly arrived: number }): string =>
    announced === arrived ? `${announced}` : `${announced}, lowered to ${arrived}`
  const clamps = tcp.clamps.map(({ text, place, provenance }) => `clamped ${placeText(place)}: ${text}${fileText(provenance)}`)
  const fits = (ok: boolean | null): string => (ok === null ? '' : ok ? ', fits' : ', does not fit')
  const there = `segments there ${tcp.forward + IP_AND_TCP} bytes${fits(tcp.fits.forward)}`
  const back = `back ${tcp.reverse + IP_AND_TCP} bytes${fits(tcp.fits.reverse)}`
  const agreed = `MSS announced ${said(tcp.source)} and ${said(tcp.destination)}; ${there}; ${back}`
  return [agreed, ...clamps].join('\n')
}

function fitsText({ forward, reverse }: MtuReport): string {
  const least = reverse !== null && reverse.largest < forward.largest ? reverse : forward
  return `largest inner packet ${least.largest}, TCP MSS ${least.mss} (${least.mssTimestamps} with timestamps)`
}

function underlayText({ underlay }: MtuReport): string {
  if (underlay === null) return ''
  const { none, ipip, udp, vxlan, wireguard } = underlay.podMtu
  if (udp === undefined) return `carries ${underlay.mtu}; pod MTU without encapsulation ${none}, ipip ${ipip}, vxlan ${vxlan}, wireguard ${wireguard}`
  return `carries ${underlay.mtu}; pod MTU with host-gw ${none}, ipip ${ipip}, udp ${udp}, vxlan ${vxlan}, wireguard ${wireguard} (80 reserved)`
}
