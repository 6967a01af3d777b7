/** Of a report's text: what became of each probe in a sentence, and each probe's spans with what brought them about. */
import type { ProbeClass } from '../../network/time/probe-history.js'
import { wrap, type Span } from '../text-style.js'
import type { CauseDocument, ChangeDocument, ProbeDocument, SpanDocument } from './document.js'
import { durationText } from './duration.js'
import { CLASS_STYLE, columns, entryText, hanging, placeText, whoText, type Page } from './report-page.js'

/** In a story that is over. */
const CLASS_WORDS: Readonly<Record<ProbeClass, string>> = {
  works: 'worked',
  partly: 'worked in part',
  'black-holed': 'black-holed',
  refused: 'refused',
  looped: 'looped',
  unknown: 'unknown',
  'no end': 'no end there',
}

/** A probe, what it met in order, and what is behind the first loss. */
export function answerLines(probes: readonly ProbeDocument[], page: Page): string[] {
  const { clean, style } = page
  const room = Math.max(0, ...probes.map(({ name }) => clean(name).length))
  return probes.flatMap((probe) => {
    const name = clean(probe.name)
    const head = { text: ` ${style.cyan(name)}${' '.repeat(room - name.length)}  `, length: room + 3 }
    const why = probe.spans.find((span) => span.class !== 'works')?.cause
    const because =
      why === undefined ? [] : hanging({ text: ' '.repeat(head.length), length: head.length }, [{ text: clean(becauseText(why)), style: 'dim' }], page)
    return [...hanging(head, storyWords(probe), page), ...because]
  })
}

const STORY_MOST = 4

/** `worked 10.000 s, then black-holed from 10.000 s to the end, 23 h 59 m 50 s (86390 of 86400 packets lost)`. */
function storyWords({ spans, totalNs, packets, lost }: ProbeDocument): Span[] {
  const merged = byClass(spans)
  const counts = lost === 0 ? `(${packets} packet${packets === 1 ? '' : 's'}, none lost)` : `(${lost} of ${packets} packets lost)`
  if (merged.length === 0) return [{ text: 'sent nothing' }]
  if (merged.length === 1) return [classWord(merged[0].class), { text: 'throughout,' }, whole(lengthText(merged[0])), whole(counts)]
  if (merged.length > STORY_MOST) {
    const totals = Object.entries(totalNs) as [ProbeClass, number][]
    return [
      ...totals.flatMap(([name, ns]) => {
        const count = merged.filter((one) => one.class === name).length
        return [classWord(name), whole(`${durationText(ns)}${count === 1 ? '' : ` in ${count} spans`},`)]
      }),
      { text: 'at the end' },
      classWord(merged[merged.length - 1].class),
      whole(counts),
    ]
  }
  const words = merged.flatMap((span, index): Span[] => {
    const isLast = index === merged.length - 1
    const time = isLast ? [whole(`from ${durationText(span.fromNs)}`), { text: 'to the end,' }, whole(lengthText(span))] : [whole(`${lengthText(span)},`)]
    return [...(index === 0 ? [] : [{ text: 'then' }]), classWord(span.class), ...time]
  })
  return [...words, whole(counts)]
}

/** Not broken at its blanks. */
function whole(text: string): Span {
  return { text, whole: true }
}

function classWord(name: ProbeClass): Span {
  return { text: CLASS_WORDS[name], style: CLASS_STYLE[name], whole: true }
}

interface Stretch {
  readonly class: ProbeClass
  readonly fromNs: number
  readonly toNs: number
}

/** Neighbours of one class differ in how packets end: for the story they are one. */
function byClass(spans: readonly SpanDocument[]): readonly Stretch[] {
  const merged: { class: ProbeClass; fromNs: number; toNs: number }[] = []
  for (const { class: name, fromNs, toNs } of spans) {
    const before = merged.at(-1)
    if (before?.class === name) before.toNs = toNs
    else merged.push({ class: name, fromNs, toNs })
  }
  return merged
}

function lengthText({ fromNs, toNs }: Pick<Stretch, 'fromNs' | 'toNs'>): string {
  return durationText(toNs - fromNs)
}

function becauseText({ chain, what, atNs }: CauseDocument): string {
  if (chain.length === 0) return `${durationText(atNs)} ${what.join('; ')}`
  const first = chain[0]
  const last = chain[chain.length - 1]
  const root = `${durationText(first.atNs)} ${entryText(first)}`
  return first === last ? root : `${root}; ${durationText(last.atNs)} ${whoText(last)}: ${last.what}`
}

/** Its spans as a table; below each span what brought it about. */
export function probeLines(probe: ProbeDocument, page: Page): string[] {
  const { clean, style, width } = page
  const kind = probe.connection ? `one ${probe.proto} connection` : probe.proto
  const isNamed = probe.name !== `${probe.from} → ${probe.to}`
  const asked = `${kind}, every ${durationText(probe.everyNs)}`
  const title: Span[] = [
    { text: clean(isNamed ? probe.name : `${probe.name},`), style: 'bold' },
    { text: clean(isNamed ? ` ${probe.from} → ${probe.to}, ${asked}` : asked) },
    { text: clean(` ${placeText(probe)}`), style: 'dim' },
  ]
  const rows = probe.spans.map((span) => [durationText(span.fromNs), lengthText(span), span.class, `${span.lost}/${span.packets}`])
  const heading = ['FROM', 'FOR', '', 'LOST']
  const widths = columns([heading, ...rows])
  const length = widths.reduce((sum, one) => sum + one + 2, 2)
  const row = (cells: readonly string[], name?: ProbeClass): string => {
    const word = cells[2].padEnd(widths[2])
    const shown = name === undefined ? word : style[CLASS_STYLE[name]](word)
    return `  ${[cells[0].padStart(widths[0]), cells[1].padStart(widths[1]), shown, cells[3].padStart(widths[3])].join('  ')}  `
  }
  return [
    ...wrap(title, width, style),
    style.dim(row(heading).trimEnd()),
    ...probe.spans.flatMap((span, index) => [
      ...hanging({ text: row(rows[index], span.class), length }, [{ text: clean(endingText(span)) }], page),
      ...(span.cause === undefined ? [] : causeLines(span.cause, page)),
    ]),
  ]
}

function endingText({ disposition, reason, where, told }: SpanDocument): string {
  if (disposition === undefined) return reason
  if (disposition === 'DELIVERED') return disposition
  const kernel = reason === '' ? '' : ` (${reason})`
  const place = where === undefined ? '' : ` at ${where.netns}${where.rule === undefined ? '' : `, ${where.rule}`}`
  const detail = where?.detail === undefined ? '' : `: ${where.detail}`
  const sender = told === undefined ? '' : `; the sender is told after ${durationText(told.afterNs)}: ${told.by}${told.from === '' ? '' : ` from ${told.from}`}`
  return `${disposition}${kernel}${place}${detail}${sender}`
}

const INDENT = 8
const CHAIN_MOST = 8
const CHANGES_MOST = 5

/** The diary's entries, then the lines of kernels that changed. */
function causeLines({ chain, changes, what, atNs }: CauseDocument, page: Page): string[] {
  const { clean, style } = page
  const isLong = chain.length > CHAIN_MOST
  const shown = isLong ? [...chain.slice(0, CHAIN_MOST / 2), ...chain.slice(-CHAIN_MOST / 2)] : chain
  const entries = shown.map((entry) => [durationText(entry.atNs), clean(whoText(entry)), clean(entryText(entry))])
  const rows = [...entries, ...what.map((sentence) => [durationText(atNs), 'kernel', clean(sentence)])]
  const widths = columns([['', '', ''], ...rows])
  const length = INDENT + widths[0] + widths[1] + 4
  const lines = rows.flatMap(([time, who, words], index) => [
    ...(isLong && index === CHAIN_MOST / 2 ? [`${' '.repeat(length)}${clean(`… ${chain.length - shown.length} steps between`)}`] : []),
    ...hanging(
      { text: `${' '.repeat(INDENT)}${style.dim(time.padStart(widths[0]))}  ${style.cyan(who.padEnd(widths[1]))}  `, length },
      [{ text: words }],
      page,
    ),
  ])
  return [...lines, ...changeLines(changes, page, INDENT + widths[0] + 2)]
}

function changeLines(changes: readonly ChangeDocument[], page: Page, indent: number): string[] {
  const { clean } = page
  // a line that says that one is left out is no shorter
  const shown = changes.length <= CHANGES_MOST + 1 ? changes : changes.slice(0, CHANGES_MOST)
  const who = Math.max(0, ...shown.map(({ netns }) => clean(netns).length))
  const lines = shown.flatMap(({ netns, text }) =>
    hanging(
      { text: `${' '.repeat(indent)}${clean(netns).padEnd(who)}  `, length: indent + who + 2 },
      [{ text: clean(text), style: text.startsWith('+') ? 'green' : 'red' }],
      page,
    ),
  )
  return changes.length > shown.length ? [...lines, `${' '.repeat(indent)}${clean(`… ${changes.length - shown.length} lines more`)}`] : lines
}
