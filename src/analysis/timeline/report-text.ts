/**
 * A run's report → text for whoever is woken by it: first what became of each probe, then each probe's spans with what brought them about, then
 * what each event took, then what all of it rests on. Pure; the same report gives the same bytes.
 */
import { printable, styleOf, wrap } from '../text-style.js'
import { networkWords } from '../trace-text.js'
import type { DelayDocument, EventDocument, ScenarioReport } from './document.js'
import { durationText } from './duration.js'
import { columns, hanging, placeText, type Page } from './report-page.js'
import { answerLines, probeLines } from './report-text-probes.js'

export interface ReportTextOptions extends Pick<Page, 'inputFlags'> {
  /** Columns; what is narrower than 72 is taken as 72. */
  readonly width: number
  readonly color: boolean
  /** No letter above 0x7e. */
  readonly ascii: boolean
}

/** Ends with a newline. */
export function reportText(report: ScenarioReport, { width, color, ascii, inputFlags }: ReportTextOptions): string {
  const page: Page = { width: Math.max(72, width), style: styleOf(color), clean: (text) => printable(text, ascii), inputFlags }
  const { probes, events } = report
  const blocks = [
    headLines(report, page),
    probes.length === 0 ? wrap([{ text: NO_PROBE }], page.width, page.style) : answerLines(probes, page),
    ...probes.filter(({ spans }) => spans.length > 1 || (spans.length === 1 && spans[0].class !== 'works')).map((probe) => probeLines(probe, page)),
    events.length === 0 ? [] : eventLines(events, page),
    footLines(report, page),
  ]
  const lines = blocks.filter((block) => block.length > 0).flatMap((block, index) => (index === 0 ? block : ['', ...block]))
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`
}

const NO_PROBE = 'The scenario has no probe, so that no packet was asked for: events and the diary tell what happened.'

function headLines({ scenario, metadata }: ScenarioReport, { clean, style, width }: Page): string[] {
  const facts = [
    ...networkWords(metadata),
    `${metadata.nodes} node${metadata.nodes === 1 ? '' : 's'}`,
    scenario.start === 'boot' ? 'from boot' : `from rest, ${durationText(-scenario.fromNs)} after boot`,
    `to ${durationText(scenario.untilNs)}`,
    `seed ${metadata.seed}`,
  ]
  return [
    ...wrap(
      [
        { text: clean(scenario.name), style: 'bold' },
        { text: clean(` ${placeText(scenario)}`), style: 'dim' },
      ],
      width,
      style,
    ),
    ...wrap([{ text: clean(facts.join(' · ')), style: 'dim' }], width, style),
  ]
}

const EVENT_HEADING = ['AT', 'CHANGES FOR', 'PROBES FOR', 'MESSAGES']

/** What each event took, in time and in words between agents. */
function eventLines(events: readonly EventDocument[], page: Page): string[] {
  const { clean, style } = page
  const rows = events.map(({ atNs, convergenceNs, answersNs, happened, messages }) => [
    durationText(atNs),
    !happened ? 'beyond the end' : convergenceNs === undefined ? '-' : durationText(convergenceNs),
    answersNs === undefined ? '-' : durationText(answersNs),
    messages.count === 0 ? '-' : `${messages.count}, ${messages.bytes} B`,
  ])
  const widths = columns([EVENT_HEADING, ...rows])
  const length = widths.reduce((sum, one) => sum + one + 2, 2)
  const cells = (row: readonly string[]): string => `  ${row.map((cell, column) => cell.padStart(widths[column])).join('  ')}  `
  return [
    style.bold('Events, and how long something changed because of each'),
    style.dim(cells(EVENT_HEADING).trimEnd()),
    ...events.flatMap((event, index) =>
      hanging({ text: cells(rows[index]), length }, [{ text: clean(event.what) }, { text: clean(placeText(event)), style: 'dim' }], page),
    ),
  ]
}

/** What all of it rests on, and where to look further. */
function footLines(report: ScenarioReport, page: Page): string[] {
  const { totals, delays, problems } = report
  const bytes = totals.messages.count === 0 ? '' : `, ${totals.messages.count} messages of ${totals.messages.bytes} bytes`
  const paragraphs: readonly (readonly [label: string, text: string])[] = [
    ...problems.map(({ severity, what, fix, ...place }) => [severity, `${placeText(place)}: ${what}${fix === '' ? '' : `; ${fix}`}`] as const),
    ['counts', `diary ${totals.entries} entries, network ${totals.states} states, objects ${totals.objectVersions} versions${bytes}`],
    ...delayParagraph(
      'set',
      delays.filter(({ set }) => set),
    ),
    ...delayParagraph(
      'assumed',
      delays.filter(({ set, assumed, decides }) => assumed && decides && !set),
    ),
    ...report.assumptions.map((text) => ['assumed', text] as const),
    ...report.notModelled.map((text) => ['left out', text] as const),
    ['next', `netsim show timeline${page.inputFlags}`],
    ['next', `netsim trace SRC DST --at TIME${page.inputFlags}`],
  ]
  const room = Math.max(...paragraphs.map(([label]) => label.length)) + 3
  return paragraphs.flatMap(([label, text], index) => {
    const shown = paragraphs[index - 1]?.[0] === label ? '' : label
    return hanging({ text: ` ${page.style.dim(shown.padEnd(room - 1))}`, length: room }, [{ text: page.clean(text) }], page)
  })
}

/** What was set, or what no source stands behind where a probe's answer turned on it; the others are in the JSON. */
function delayParagraph(label: string, delays: readonly DelayDocument[]): (readonly [label: string, text: string])[] {
  return delays.length === 0 ? [] : [[label, `${delays.map(({ name, ns }) => `${name} ${durationText(ns)}`).join(', ')} (spec.delays sets each)`]]
}
