/** Findings as people read them: each with its lines, and the sum last. Pure; the same report gives the same bytes. */
import { placeOf, type Evidence, type Finding, type FindingReport, type Severity } from '../base/finding.js'
import { printable, styleOf, wrap, type Style, type StyleName } from './text-style.js'

export interface FindingsTextOptions {
  readonly width: number
  readonly color: boolean
  readonly ascii: boolean
  /** 0: without the packet's way; from 1 on with it. */
  readonly verbosity: number
}

export interface Page extends FindingsTextOptions {
  readonly style: Style
}

const COLORS: Readonly<Record<Severity, StyleName>> = { error: 'red', warning: 'yellow', info: 'cyan' }
export const KEY_WIDTH = 12
const LEAST_WIDTH = 72

export function pageOf(options: FindingsTextOptions): Page {
  return { ...options, width: Math.max(LEAST_WIDTH, options.width), style: styleOf(options.color) }
}

/** Ends with a newline. */
export function pageText(lines: readonly string[]): string {
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`
}

export function counted(count: number, word: string): string {
  return count === 1 ? `1 ${word}` : `${count} ${word}s`
}

/** The first line: what was looked at. */
export function factsLines({ width, style, ascii }: Page, facts: string): string[] {
  return wrap([{ text: printable(facts, ascii), style: 'dim' }], width, style)
}

/** ` from a.yaml, b.yaml …`; empty without. */
export function inputsWords(inputs: readonly string[]): string {
  return inputs.length === 0 ? '' : ` from ${inputs.slice(0, 3).join(', ')}${inputs.length > 3 ? ' …' : ''}`
}

export function findingText(page: Page, found: Finding): string[] {
  const keyed = findingLines(found, page.verbosity).flatMap(({ key, text, whole }) => keyLine(page, key, { text, whole }))
  return [findingHead(page, found), ...keyed, '']
}

/** Its severity, its code, and where to look. */
export function findingHead({ style, ascii }: Page, found: Finding): string {
  const head = `${style[COLORS[found.severity]](found.severity.toUpperCase())}  ${style.bold(found.code)}  ${printable(found.title, ascii)}`
  const place = placeOf(found)
  const where = place === undefined ? '' : `  ${style.dim(printable(`${place.file}${place.line === undefined ? '' : `:${place.line}`}`, ascii))}`
  return `${head}${where}`
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

export function keyLine({ width, style, ascii }: Page, key: string, { text, whole }: Omit<FindingLine, 'key'>): string[] {
  const lines = wrap([{ text: printable(text, ascii), whole }], width - KEY_WIDTH - 2, style)
  return lines.map((line, index) => `  ${index === 0 ? style.dim(key.padEnd(KEY_WIDTH)) : ' '.repeat(KEY_WIDTH)}${line}`)
}

/** What could not be judged, and the sum. */
export function sumLines(page: Page, { summary, notJudged, findings }: FindingReport): string[] {
  const { style } = page
  const below = summary.below === 0 ? '' : `; ${counted(summary.below, 'finding')} below ${summary.severity} not shown`
  const sum = `${counted(summary.error, 'error')}, ${counted(summary.warning, 'warning')}, ${summary.info} info${below}`
  const verdict = findings.length > 0 ? style[COLORS[findings[0].severity]]('FOUND') : notJudged.length > 0 ? style.yellow('PARTLY') : style.green('CLEAN')
  return [...notJudged.flatMap((text) => keyLine(page, 'not judged', { text, whole: false })), `${verdict}  ${sum}`]
}
