/**
 * A run's report and its diary → a picture (SVG): a lane for each probe, coloured by what became of it, a lane for each agent that did something,
 * a line through all of them at each event. Classes differ in colour, hatch and letter. The same run gives the same bytes; no font is fetched.
 *
 *   a to b     WWWWWW|BBBBBBBBBBBBBBBBBBBB//BBBBBBBBBBB|WWWWWW
 *   flanneld         '                    //            ''
 *              0 s   ① 10.000 s                         24 h
 */
import { PROBE_CLASSES, type ProbeClass } from '../../network/time/probe-history.js'
import { printable } from '../text-style.js'
import { networkWords } from '../trace-text.js'
import { xmlText } from '../xml-text.js'
import type { EntryDocument, EventDocument, ProbeDocument, ScenarioReport, SpanDocument } from './document.js'
import { durationText } from './duration.js'
import { HABITS } from './event-effects.js'
import { timeAxis, type TimeAxis } from './time-axis.js'

const WIDTH = 1000
const LEFT = 170
const RIGHT = 28
const TOP = 66
const LANE = 30
const BAR = 20
const AGENT_LANE = 20
const ROW = 18
const SMALL = 6.6
const INK = '#1f2933'
const FAINT = '#6b7683'
const RULE = '#d5dae0'
const FONT = "ui-sans-serif, system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif"

interface Look {
  readonly letter: string
  /** Paul Tol's bright scheme: told apart by the colour-blind as well. */
  readonly fill: string
  /** Strokes of an 8 by 8 tile; '' for none. */
  readonly hatch: string
}

const LOOKS: Readonly<Record<ProbeClass, Look>> = {
  works: { letter: 'W', fill: '#8fcf9f', hatch: '' },
  partly: { letter: 'P', fill: '#cfe3a0', hatch: 'M4 0V8' },
  'black-holed': { letter: 'B', fill: '#ee6677', hatch: 'M-2 10L10 -2M-2 2L2 -2M6 10L10 6' },
  refused: { letter: 'R', fill: '#e0b040', hatch: 'M0 4H8' },
  looped: { letter: 'L', fill: '#c07fb0', hatch: 'M0 0L8 8M0 8L8 0' },
  unknown: { letter: '?', fill: '#c9ced4', hatch: 'M4 3V5' },
  'no end': { letter: '-', fill: '#eef0f2', hatch: '' },
}

export function reportSvg(report: ScenarioReport, entries: readonly EntryDocument[]): string {
  const { scenario, probes, events, metadata } = report
  const acts = activity(entries, scenario.untilNs)
  const borders = probes.flatMap(({ spans }) => spans.flatMap(({ fromNs, toNs }) => [fromNs, toNs]))
  const axis = timeAxis([...borders, ...events.map(({ atNs }) => atNs)], [0, scenario.untilNs], [LEFT, WIDTH - RIGHT])
  const agentsTop = TOP + probes.length * LANE
  const bottom = agentsTop + acts.size * AGENT_LANE + 6
  const marks = eventMarks(events, axis)
  const legendTop = bottom + 52
  const key = keySvg(probes, legendTop)
  const told = eventsSvg(events, legendTop + (key === '' ? 0 : ROW + 12))
  const height = legendTop + (key === '' ? 0 : ROW + 12) + told.length * ROW + 4 + (axis.kind === 'broken' ? ROW : 0)
  const facts = [...networkWords(metadata), `${metadata.nodes} nodes`, `seed ${metadata.seed}`].join(' · ')
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}"`,
    ` role="img" aria-label="${escape(scenario.name)}" font-family="${FONT}" font-size="12" fill="${INK}">`,
    `<title>${escape(scenario.name)}</title>`,
    `<defs>${PROBE_CLASSES.map(pattern).join('')}</defs>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(16, 26, scenario.name, 'font-size="17" font-weight="600"'),
    text(16, 46, facts, `fill="${FAINT}"`),
    ...probes.flatMap((probe, index) => probeLane(probe, TOP + index * LANE, axis)),
    ...[...acts].flatMap(([agent, moments], index) => agentLane(agent, moments, { top: agentsTop + index * AGENT_LANE, axis })),
    ...axisSvg(axis, bottom),
    ...marks.map(({ x, numbers }) => markSvg(x, numbers, bottom)),
    key,
    ...told,
    ...(axis.kind === 'broken'
      ? [text(16, height - 10, 'Each stretch between two moments is drawn by the logarithm of its length; // where much time is left out.', `fill="${FAINT}"`)]
      : []),
    '</svg>',
  ]
    .filter((line) => line !== '')
    .join('\n')}\n`
}

function pattern(name: ProbeClass): string {
  const { fill, hatch } = LOOKS[name]
  const strokes = hatch === '' ? '' : `<path d="${hatch}" stroke="${INK}" stroke-opacity="0.45" stroke-width="1.4" fill="none"/>`
  return `<pattern id="${patternId(name)}" width="8" height="8" patternUnits="userSpaceOnUse"><rect width="8" height="8" fill="${fill}"/>${strokes}</pattern>`
}

/** An id of XML holds no blank. */
function patternId(name: ProbeClass): string {
  return name.replace(' ', '-')
}

function probeLane(probe: ProbeDocument, top: number, axis: TimeAxis): string[] {
  const label = cut(probe.name, Math.floor((LEFT - 28) / SMALL))
  return [
    `<g><title>${escape(`${probe.name}: ${probe.from} → ${probe.to}`)}</title>${text(LEFT - 12, top + 15, label, 'text-anchor="end"')}</g>`,
    ...probe.spans.map((span) => spanSvg(span, top, axis)),
  ]
}

/** The least that is seen. */
const THINNEST = 1.5

function spanSvg(span: SpanDocument, top: number, axis: TimeAxis): string {
  const from = axis.x(span.fromNs)
  const width = Math.max(THINNEST, axis.x(span.toNs) - from)
  const { letter } = LOOKS[span.class]
  const ended = span.class === 'works' ? '' : `, ${span.disposition ?? span.reason}${span.where === undefined ? '' : ` at ${span.where.netns}`}`
  const root = span.cause?.chain[0]?.what ?? span.cause?.what[0]
  const why = root === undefined ? '' : `; ${root}`
  const title = `${span.class} from ${durationText(span.fromNs)} for ${durationText(span.toNs - span.fromNs)}${ended}${why}`
  const look = `fill="url(#${patternId(span.class)})" stroke="#ffffff" stroke-width="0.6"`
  const shape = `<rect x="${round(from)}" y="${top}" width="${round(width)}" height="${BAR}" ${look}/>`
  const mark = width < 14 ? '' : letterSvg(from + width / 2, top + BAR / 2, letter)
  return `<g><title>${escape(title)}</title>${shape}${mark}</g>`
}

function letterSvg(x: number, y: number, letter: string): string {
  const disc = `<circle cx="${round(x)}" cy="${round(y)}" r="7" fill="#ffffff" fill-opacity="0.85"/>`
  return disc + text(x, y + 4, letter, 'text-anchor="middle" font-weight="600" font-size="11"')
}

/** By agent, in the order in which they first did something: when, habits aside, and how many things at once. */
function activity(entries: readonly EntryDocument[], untilNs: number): ReadonlyMap<string, ReadonlyMap<number, number>> {
  const found = new Map<string, Map<number, number>>()
  for (const { agent, kind, atNs } of entries) {
    if (atNs < 0 || atNs > untilNs || agent === 'scenario' || HABITS.has(kind)) continue
    const moments = found.get(agent) ?? new Map<number, number>()
    moments.set(atNs, (moments.get(atNs) ?? 0) + 1)
    found.set(agent, moments)
  }
  return found
}

function agentLane(agent: string, moments: ReadonlyMap<number, number>, { top, axis }: { readonly top: number; readonly axis: TimeAxis }): string[] {
  const columns = new Map<number, number>()
  for (const [ns, count] of moments) {
    const x = round(axis.x(ns))
    columns.set(x, (columns.get(x) ?? 0) + count)
  }
  const most = Math.max(...columns.values())
  const strokes = [...columns].map(([x, count]) => `M${x} ${top + 15}v-${round(4 + (10 * Math.log2(count + 1)) / Math.log2(most + 1))}`)
  const total = [...moments.values()].reduce((sum, count) => sum + count, 0)
  return [
    `<g><title>${escape(`${agent}: ${total} entries of the diary`)}</title>`,
    text(LEFT - 12, top + 13, agent, `text-anchor="end" font-size="11" fill="${FAINT}"`),
    `<path d="M${LEFT} ${top + 15}H${WIDTH - RIGHT}" stroke="${RULE}"/><path d="${strokes.join('')}" stroke="#4477aa" stroke-width="1.4"/></g>`,
  ]
}

interface Mark {
  readonly x: number
  readonly numbers: readonly number[]
}

const MARK_ROOM = 18

/** Numbers of events that would stand on one another stand together. */
function eventMarks(events: readonly EventDocument[], axis: TimeAxis): readonly Mark[] {
  const marks: { x: number; numbers: number[] }[] = []
  events.forEach(({ atNs, happened }, index) => {
    if (!happened) return
    const x = round(axis.x(atNs))
    const last = marks.at(-1)
    if (last !== undefined && x - last.x < MARK_ROOM) last.numbers.push(index + 1)
    else marks.push({ x, numbers: [index + 1] })
  })
  return marks
}

function markSvg(x: number, numbers: readonly number[], bottom: number): string {
  const words = numbers.length === 1 ? `${numbers[0]}` : `${numbers[0]}-${numbers[numbers.length - 1]}`
  const width = 10 + words.length * 6.5
  return [
    `<path d="M${x} ${TOP - 4}V${bottom}" stroke="${INK}" stroke-width="1" stroke-dasharray="3 3"/>`,
    `<rect x="${round(x - width / 2)}" y="${TOP - 18}" width="${round(width)}" height="15" rx="7" fill="${INK}"/>`,
    text(x, TOP - 7, words, 'text-anchor="middle" font-size="10" fill="#ffffff"'),
  ].join('')
}

function axisSvg(axis: TimeAxis, y: number): string[] {
  const labels = labelled(axis)
  return [
    `<path d="M${LEFT} ${y}H${WIDTH - RIGHT}" stroke="${INK}"/>`,
    ...axis.ticks.map((ns) => `<path d="M${round(axis.x(ns))} ${y}v5" stroke="${INK}"/>`),
    ...labels.map(({ ns, row }) => {
      const x = axis.x(ns)
      const anchor = x > WIDTH - RIGHT - 40 ? 'end' : x < LEFT + 20 ? 'start' : 'middle'
      return text(x, y + 17 + row * 13, durationText(ns), `text-anchor="${anchor}" font-size="11" fill="${FAINT}"`)
    }),
    ...axis.breaks.map(({ fromNs, toNs }) => {
      const x = round((axis.x(fromNs) + axis.x(toNs)) / 2)
      return `<path d="M${x - 5} ${y + 5}l4 -10M${x + 1} ${y + 5}l4 -10" stroke="${INK}" stroke-width="1.3"/>`
    }),
  ]
}

/** In two rows; those without room in either go unnamed. The end is always told. */
function labelled({ ticks, x }: TimeAxis): { ns: number; row: number }[] {
  const last = ticks[ticks.length - 1]
  const half = (ns: number): number => (durationText(ns).length * SMALL) / 2 + 4
  const ends = [LEFT - 30, LEFT - 30]
  const limit = [x(last) - 2 * half(last), Number.POSITIVE_INFINITY]
  const kept: { ns: number; row: number }[] = []
  for (const ns of ticks.slice(0, -1)) {
    const left = Math.max(x(ns) - half(ns), LEFT - 30)
    const row = [0, 1].find((one) => left >= ends[one] && x(ns) + half(ns) <= limit[one])
    if (row === undefined) continue
    ends[row] = x(ns) + half(ns)
    kept.push({ ns, row })
  }
  return [...kept, { ns: last, row: 0 }]
}

/** Of the classes that are drawn. */
function keySvg(probes: readonly ProbeDocument[], top: number): string {
  const drawn = PROBE_CLASSES.filter((name) => probes.some(({ spans }) => spans.some((span) => span.class === name)))
  return drawn
    .map((name, index) => {
      const x = LEFT + index * 130
      const box = `<rect x="${x}" y="${top - 14}" width="26" height="${BAR}" fill="url(#${patternId(name)})"/>`
      return box + letterSvg(x + 13, top - 4, LOOKS[name].letter) + text(x + 34, top, name)
    })
    .join('')
}

const EVENTS_MOST = 40

function eventsSvg(events: readonly EventDocument[], top: number): string[] {
  const lines = events.slice(0, EVENTS_MOST).map(({ atNs, what, convergenceNs, happened }, index) => {
    const took = !happened ? ', beyond the end' : convergenceNs === undefined ? '' : `, changes for ${durationText(convergenceNs)}`
    return `${index + 1}  ${durationText(atNs)}  ${what}${took}`
  })
  const more = events.length > EVENTS_MOST ? [`… and ${events.length - EVENTS_MOST} more`] : []
  return [...lines, ...more].map((line, index) => text(16, top + index * ROW, cut(line, 150)))
}

function text(x: number, y: number, words: string, attributes = ''): string {
  return `<text x="${round(x)}" y="${round(y)}"${attributes === '' ? '' : ` ${attributes}`} xml:space="preserve">${escape(words)}</text>`
}

function cut(words: string, most: number): string {
  return words.length <= most ? words : `${words.slice(0, most - 1)}…`
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}

function escape(words: string): string {
  return xmlText(printable(words, false))
}
