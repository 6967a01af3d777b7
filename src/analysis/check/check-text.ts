/** A CheckReport → the text that `netsim check` prints: the findings, what was asked, and the sum last. Pure; the same report gives the same bytes. */
import { printable, styleOf, wrap, type Style, type StyleName } from '../text-style.js'
import { placeOf } from './check.js'
import type { AskedDocument, CheckReport, Evidence, Finding, Severity } from './finding.js'

export interface CheckTextOptions {
  readonly width: number
  readonly color: boolean
  readonly ascii: boolean
  /** 0: without the packet's way; from 1 on with it. */
  readonly verbosity: number
}

interface Page extends CheckTextOptions {
  readonly style: Style
}

const COLORS: Readonly<Record<Severity, StyleName>> = { error: 'red', warning: 'yellow', info: 'cyan' }
const KEY_WIDTH = 12
const LEAST_WIDTH = 72

/** Ends with a newline. */
export function checkText(report: CheckReport, options: CheckTextOptions): string {
  const page: Page = { ...options, width: Math.max(LEAST_WIDTH, options.width), style: styleOf(options.color) }
  const lines = [...headLines(page, report), '', ...report.findings.flatMap((one) => findingText(page, one)), ...sumLines(page, report)]
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`
}

function counted(count: number, word: string): string {
  return count === 1 ? `1 ${word}` : `${count} ${word}s`
}

function headLines({ width, style, ascii }: Page, { metadata }: CheckReport): string[] {
  const { cni, backend, runtime, nodes, pods, inputs, seed } = metadata
  const network = cni === 'none' ? runtime : `${cni}${backend === '' ? '' : ` ${backend}`}`
  const from = inputs.length === 0 ? '' : ` from ${inputs.slice(0, 3).join(', ')}${inputs.length > 3 ? ' …' : ''}`
  const facts = `${network} · ${counted(nodes, 'node')}, ${counted(pods, 'pod')}${from} · seed ${seed}`
  return wrap([{ text: printable(facts, ascii), style: 'dim' }], width, style)
}

function findingText(page: Page, found: Finding): string[] {
  const { style, ascii } = page
  const head = `${style[COLORS[found.severity]](found.severity.toUpperCase())}  ${style.bold(found.code)}  ${printable(found.title, ascii)}`
  const place = placeOf(found)
  const where = place === undefined ? '' : `  ${style.dim(printable(`${place.file}${place.line === undefined ? '' : `:${place.line}`}`, ascii))}`
  const keyed = findingLines(found, page.verbosity).flatMap(({ key, text, whole }) => keyLine(page, key, { text, whole }))
  return [`${head}${where}`, ...keyed, '']
}

export interface FindingLine {
  readonly key: string
  readonly text: string
  /** Not broken at its blanks. */
  readonly whole: boolean
}

/** What JUnit and the text tell of a finding. */
export function findingLines({ what, effect, evidence, fix }: Finding, verbosity = 0): readonly FindingLine[] {
  const line = (key: string, text: string, whole = false): FindingLine => ({ key, text, whole })
  return [
    line('what', what),
    line('effect', effect),
    ...evidence.flatMap((one) => evidenceLines(one, verbosity).map(({ key, text, whole }) => line(key, text, whole))),
    line('fix', fix),
  ]
}

function evidenceLines({ what, file, line, by, rule, hops = [], command }: Evidence, verbosity: number): FindingLine[] {
  const place = file === undefined ? '' : ` (${file}${line === undefined ? '' : `:${line}`})`
  const whose = by === undefined ? '' : `, written by ${by}`
  return [
    { key: 'where', text: `${what}${rule === undefined ? `${whose}${place}` : ''}`, whole: false },
    ...(rule === undefined ? [] : [{ key: 'rule', text: `${rule}${whose}${place}`, whole: false }]),
    ...(verbosity > 0 ? hops.map((text) => ({ key: 'hop', text, whole: false })) : []),
    ...(command === undefined ? [] : [{ key: 'ask', text: command, whole: false }]),
  ]
}

function keyLine({ width, style, ascii }: Page, key: string, { text, whole }: Omit<FindingLine, 'key'>): string[] {
  const lines = wrap([{ text: printable(text, ascii), whole }], width - KEY_WIDTH - 2, style)
  return lines.map((line, index) => `  ${index === 0 ? style.dim(key.padEnd(KEY_WIDTH)) : ' '.repeat(KEY_WIDTH)}${line}`)
}

function sumLines(page: Page, { asked, summary, notJudged, findings }: CheckReport): string[] {
  const { style } = page
  const told = asked.map(askedWords).join('; ')
  const below = summary.below === 0 ? '' : `; ${counted(summary.below, 'finding')} below ${summary.severity} not shown`
  const sum = `${counted(summary.error, 'error')}, ${counted(summary.warning, 'warning')}, ${summary.info} info${below}`
  const verdict = findings.length > 0 ? style[COLORS[findings[0].severity]]('FOUND') : notJudged.length > 0 ? style.yellow('PARTLY') : style.green('CLEAN')
  return [
    ...(told === '' ? [] : keyLine(page, 'asked', { text: told, whole: false })),
    ...notJudged.flatMap((text) => keyLine(page, 'not judged', { text, whole: false })),
    `${verdict}  ${sum}`,
  ]
}

/** `pod to pod 6 of 6 classes' pairs, for 12 pairs`. */
function askedWords({ what, asked, of, pairs, covered }: AskedDocument): string {
  const standing = covered === pairs ? `${pairs}` : `${covered} of ${pairs}`
  return pairs === asked && asked === of ? `${what} ${asked}` : `${what} ${asked}${asked === of ? '' : ` of ${of}`}, standing for ${standing}`
}
