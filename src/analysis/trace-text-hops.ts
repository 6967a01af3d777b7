/** The body of a trace text: one group per stay in a netns, one line per step; under it what `-v` (rules), `-vv` (headers) and `-vvv` (bytes) add. */
import { DUMP } from '../collected/collected-node.js'
import { frameFacts, frameLines, hexDump } from './frame-text.js'
import { formatTime, leftRight, wrap, type Span, type Style } from './text-style.js'
import type { FrameDocument, HopDocument, LegDocument, RuleDocument, StepDocument, TraceDocument } from './trace-document.js'

/** What every part of the text is written on. */
export interface Page {
  readonly width: number
  readonly style: Style
  readonly verbosity: number
  /** Safe for this terminal; lengths are those after it. */
  readonly clean: (text: string) => string
  readonly document: TraceDocument
}

const NUMBER = 3
const BYTES = 11
const LABEL_MIN = 12
const LABEL_MAX = 20
const ACTION_MIN = 9
const ACTION_MAX = 16

interface Columns {
  readonly label: number
  readonly text: number
  readonly action: number
  /** Where the text column starts. */
  readonly indent: number
}

/** Over both legs, so that the verdicts stand in one column. */
function columnsOf({ document, width, clean }: Page): Columns {
  const steps = [document.forward, document.reply].flatMap((leg) => leg?.hops ?? []).flatMap((hop) => hop.steps)
  const label = bounded(
    steps.map((step) => clean(labelOf(step)).length),
    LABEL_MIN,
    LABEL_MAX,
  )
  const action = bounded(
    steps.map((step) => clean(step.action).length),
    ACTION_MIN,
    ACTION_MAX,
  )
  const indent = NUMBER + 2 + label + 2
  return { label, action, indent, text: width - indent - 2 - BYTES - 2 - action }
}

function bounded(lengths: readonly number[], least: number, most: number): number {
  return lengths.reduce((longest, length) => Math.max(longest, Math.min(length, most)), least)
}

/** `host-a / pod default/pod-a`, `host-a / host`, `router s0`. */
export function placeOf(hop: Pick<HopDocument, 'node' | 'netns' | 'pod'>): string {
  if (hop.pod !== undefined) return `${hop.node} / pod ${hop.pod}`
  if (hop.netns.startsWith('router/')) return `router ${hop.netns.slice('router/'.length)}`
  return hop.netns === hop.node ? `${hop.node} / host` : `${hop.node} / ${hop.netns}`
}

/** Kinds whose device is where they happen; a route's is where it leads. */
const AT_DEVICE = ['send', 'receive', 'bridge', 'encap', 'decap', 'fragment', 'drop']

/** Where a step happens: the table and hook, the device, or the process. */
export function labelOf({ kind, at, text, provenance }: StepDocument): string {
  if (kind === 'table' && at?.table !== undefined) return `${at.table}/${HOOK.exec(text)?.[1] ?? at.chain ?? ''}`
  if (kind === 'agent' && provenance !== undefined) return provenance.by
  return at?.device === undefined || !AT_DEVICE.includes(kind) ? kind : `${kind} ${at.device}`
}

/** The hook that a table's text begins with. */
const HOOK = /^(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING): /

/** The text without what the label has said already. */
function restOf(step: StepDocument): string {
  const device = step.at?.device ?? ''
  const label = labelOf(step)
  const said = step.kind === 'table' ? (HOOK.exec(step.text)?.[0] ?? '') : step.kind === 'agent' ? `${label} ` : label.endsWith(` ${device}`) ? device : ''
  const rest = said !== '' && step.text.startsWith(said) ? step.text.slice(said.length).trimStart() : step.text
  // What was added stands in its own column.
  return step.bytesAdded === undefined ? rest : rest.replace(/, [+-]?[0-9]+ bytes$/, '')
}

export function hopLines(page: Page, leg: LegDocument, index: number, hop: HopDocument): string[] {
  const { clean, style, width } = page
  const columns = columnsOf(page)
  const place = clean(placeOf(hop))
  const time = `t=${formatTime(hop.timeNs)}`
  const head = leftRight(place, time, width)
  const shown = `${style.cyan(place)}${head.slice(place.length, head.length - time.length)}${style.dim(time)}`
  const steps = hop.steps.flatMap((step) => stepLines(page, columns, step))
  return [shown, ...steps, ...(page.verbosity >= 2 ? framesOfHop(leg, index).flatMap((frame) => frameBlock(page, frame)) : [])]
}

function stepLines(page: Page, columns: Columns, step: StepDocument): string[] {
  const { style, clean } = page
  const guilty = page.document.result.step === step.n && isLoss(page.document.disposition)
  const number = String(step.n).padStart(NUMBER)
  const [first, ...rest] = wrap(spansOf(page, step), columns.text, style)
  const label = clean(labelOf(step))
  // A label that is too long has the line to itself.
  const start = `${guilty ? style.red(number) : number}  ${style.cyan(label)}`
  const head = label.length <= columns.label ? [] : [start]
  const left = head.length > 0 ? ' '.repeat(columns.indent) : `${start}${' '.repeat(columns.label - label.length)}  `
  const bytes = bytesText(step).padStart(BYTES)
  const verdict = paintAction(step.action, clean(step.action), page)
  const gap = ' '.repeat(Math.max(0, columns.text - visible(first)))
  const line = `${left}${first}${gap}  ${isPlainBytes(step) ? style.dim(bytes) : style.bold(bytes)}  ${verdict}`
  const more = rest.map((text) => ' '.repeat(columns.indent) + text)
  return [...head, line, ...more, ...detailLines(page, columns, step)]
}

/** Length on the terminal: without the colour sequences that netsim itself wrote. */
function visible(text: string): number {
  // eslint-disable-next-line no-control-regex
  return text.replace(/\u001b\[[0-9]+m/g, '').length
}

export function isLoss(disposition: string): boolean {
  return disposition !== 'DELIVERED' && disposition !== 'EXITED'
}

const BAD_ACTIONS = /^(DROP|DENIED|REJECT|DISCARD|LOST|FAILED|NO_|NULL_|RPFILTER|MARTIAN|NEIGHBOR_|TTL_|LOOP|TOO_BIG|BLACKHOLE|CORRUPT|AGENT_DROPPED)/

function paintAction(action: string, shown: string, { style }: Page): string {
  if (BAD_ACTIONS.test(action)) return style.red(shown)
  if (action === 'INCOMPLETE' || action === 'AMBIGUOUS') return style.yellow(shown)
  return action === 'DELIVERED' ? style.green(shown) : shown
}

/** `84 B` of IP, `+28 112 B` with what was added, `frame 126 B` on a device. */
function bytesText({ length, frameLength, bytesAdded }: StepDocument): string {
  if (frameLength !== undefined) return `frame ${frameLength} B`
  const size = length === undefined || length === 0 ? '' : `${length} B`
  return bytesAdded === undefined || bytesAdded === 0 ? size : `${bytesAdded > 0 ? '+' : ''}${bytesAdded}  ${size}`
}

function isPlainBytes({ frameLength, bytesAdded }: StepDocument): boolean {
  return frameLength === undefined && (bytesAdded ?? 0) === 0
}

/** Comments of rules stand in `-v`, where each rule has a line of its own. */
export function withoutComments({ verbosity }: Pick<Page, 'verbosity'>, rule: string): string {
  return verbosity >= 1 ? rule : rule.replace(/ ?-m comment --comment ("(?:[^"\\]|\\.)*"|[^ ]+)/g, '').trim()
}

/** The rule that decided first, then what is said of the step, then the header changes. */
function spansOf(page: Page, step: StepDocument): Span[] {
  const { clean } = page
  const rule = page.verbosity >= 1 ? undefined : decidingRule(step.rules ?? [])
  const spans: Span[] = []
  if (saysPolicy(step)) return policySpans(page, step)
  if (rule !== undefined && !step.text.includes(rule.text)) {
    const chain = labelOf(step).endsWith(`/${rule.chain}`) ? '' : `${rule.chain} `
    spans.push({ text: clean(`${chain}#${rule.rule}`), style: 'dim', whole: true }, { text: clean(withoutComments(page, rule.text)) })
  }
  const rest = clean(withoutComments(page, restOf(step)))
  if (spans.length === 0) spans.push({ text: rest })
  else if (step.tried !== 1) spans.push({ text: `(${rest})`, style: 'dim' })
  return changesOf(step).reduce((sofar, change) => emphasised(sofar, clean(change)), spans)
}

/** Where it stands in a dump; what agents wrote is told with -v. */
function foundAt(provenance: StepDocument['provenance']): string {
  return provenance?.by === DUMP && provenance.file !== undefined ? `${provenance.file}:${provenance.line ?? 0}` : ''
}

/** Policy decided, and the text is what it said. */
function saysPolicy({ policy, text }: StepDocument): boolean {
  return policy !== undefined && policy.every((verdict) => text.includes(verdict.text))
}

/** What policy said; of a drop also where in the chains. */
function policySpans({ clean }: Page, step: StepDocument): Span[] {
  const { chain, rule } = step.at ?? {}
  const place: Span[] = step.action === 'DROP' && rule !== undefined ? [{ text: clean(`${chain ?? ''} #${rule}`), style: 'dim' }] : []
  return [{ text: clean(restOf(step)) }, ...place]
}

/** The change in bold: where the text has it already, there, else behind it. */
function emphasised(spans: readonly Span[], change: string): Span[] {
  const bold: Span = { text: change, style: 'bold', whole: true }
  const index = spans.findIndex((span) => span.style === undefined && span.text.includes(change))
  if (index < 0) return spans.some((span) => span.text.includes(change)) ? [...spans] : [...spans, bold]
  const { text } = spans[index]
  const at = text.indexOf(change)
  // A comma that follows stays with it.
  const end = /^[^ ]*/.exec(text.slice(at + change.length))?.[0] ?? ''
  const before = text.slice(0, at).trimEnd()
  const after = text.slice(at + change.length + end.length).trimStart()
  const parts: Span[] = [{ text: before }, { ...bold, text: change + end }, { text: after }]
  return [...spans.slice(0, index), ...parts.filter((part) => part.text !== ''), ...spans.slice(index + 1)]
}

/** `ttl 64→63`; an address with its port as one: `src 10.1.15.2:40000→192.168.0.100:1024`. */
export function changesOf({ before = {}, after = {} }: StepDocument): string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((name) => before[name] !== after[name])
  const changes: string[] = []
  for (const name of names) {
    const port = name === 'src' ? 'sport' : name === 'dst' ? 'dport' : undefined
    const joined = port !== undefined && names.includes(port)
    if ((name === 'sport' && names.includes('src')) || (name === 'dport' && names.includes('dst'))) continue
    const word = (fields: Readonly<Record<string, string | number>>): string => {
      const value = fields[name] ?? 'none'
      if (name === 'mark' && typeof value === 'number') return `0x${(value >>> 0).toString(16)}`
      return joined && port !== undefined ? `${value}:${fields[port] ?? '?'}` : `${value}`
    }
    changes.push(`${name} ${word(before)}→${word(after)}`)
  }
  return changes
}

/** What stands under a step: where it was found in a dump; with -v every rule and who wrote it; with -vv the fields that changed, one line each side. */
function detailLines(page: Page, columns: Columns, step: StepDocument): string[] {
  if (page.verbosity < 1) {
    const found = foundAt(decidingRule(step.rules ?? [])?.provenance ?? step.provenance)
    return found === '' ? [] : dimLines(page, columns, found)
  }
  const lines = (step.rules ?? []).flatMap((rule) => ruleLines(page, columns, rule))
  const source = lines.length > 0 ? '' : provenanceText(step.provenance)
  const from = source === '' ? [] : dimLines(page, columns, `from ${source}`)
  return [...lines, ...from, ...(page.verbosity >= 2 ? fieldLines(page, columns, step) : [])]
}

const PASSING = /^(JUMP|GOTO|COUNT|CONTINUE|MARK|CONNMARK|LOG|NFLOG|SET|TCPMSS|CHECKSUM)\b/

/** The last rule that matched and was more than a jump. */
export function decidingRule(rules: readonly RuleDocument[]): RuleDocument | undefined {
  return rules.findLast((rule) => rule.matched && !PASSING.test(rule.action))
}

function ruleLines(page: Page, columns: Columns, rule: RuleDocument): string[] {
  const { clean, style } = page
  const room = columns.text + 2 + BYTES
  const name = clean(`${rule.chain} #${rule.rule}`)
  const spans: Span[] = [
    { text: name, style: 'dim' },
    { text: clean(rule.text), ...(rule.matched ? {} : { style: 'dim' as const }) },
  ]
  if (rule.failed !== undefined) spans.push({ text: clean(`${rule.failed.term}: ${rule.failed.actual}`), style: 'yellow' })
  // The chain that a jump leads to stands in the rule's own text.
  const action = rule.matched ? paintAction(rule.action, clean(rule.action.split(' ')[0]), page) : style.dim('no match')
  const lines = wrap(spans, room, style).map((line) => ' '.repeat(columns.indent) + line)
  const gap = ' '.repeat(Math.max(2, columns.indent + room + 2 - visible(lines[0])))
  const source = rule.matched ? provenanceText(rule.provenance) : ''
  return [`${lines[0]}${gap}${action}`, ...lines.slice(1), ...(source === '' ? [] : dimLines(page, columns, `  from ${source}`))]
}

export function provenanceText(provenance: StepDocument['provenance']): string {
  if (provenance === undefined) return ''
  const object = provenance.object === undefined || provenance.object === '' ? '' : `, ${provenance.object}`
  const file = provenance.file === undefined ? '' : `, ${provenance.file}${provenance.line === undefined || provenance.line === 0 ? '' : `:${provenance.line}`}`
  return `${provenance.by}${object}${file}`
}

function fieldLines(page: Page, columns: Columns, step: StepDocument): string[] {
  const words = (fields: Readonly<Record<string, string | number>>): string =>
    Object.entries(fields)
      .map(([name, value]) => `${name}=${value}`)
      .join(' ')
  const sides: [string, string][] = [
    ['before', words(step.before ?? {})],
    ['after ', words(step.after ?? {})],
  ]
  return sides.flatMap(([name, fields]) => (fields === '' ? [] : dimLines(page, columns, `${name}  ${fields}`)))
}

function dimLines({ style, clean, width }: Page, columns: Columns, text: string): string[] {
  return wrap([{ text: clean(text), style: 'dim' }], width - columns.indent, style).map((line) => ' '.repeat(columns.indent) + line)
}

/** Each frame of a leg belongs to the last hop of its netns that had begun when it was seen. */
function framesOfHop(leg: LegDocument, index: number): FrameDocument[] {
  return leg.frames.filter((frame) => {
    let owner = leg.hops.findIndex((hop) => hop.netns === frame.netns)
    leg.hops.forEach((hop, at) => {
      if (hop.netns === frame.netns && hop.timeNs <= frame.timeNs) owner = at
    })
    return owner === index
  })
}

const FRAME_INDENT = '       '

function frameBlock({ clean, style, verbosity, width }: Page, frame: FrameDocument): string[] {
  const name = clean(`${frame.device} ${frame.direction}`)
  const head = leftRight(`     ${name}  frame of ${frame.length} bytes`, `t=${formatTime(frame.timeNs)}`, width)
  const layers = frameLines(frame).flatMap((line) => {
    const deeper = FRAME_INDENT + ' '.repeat(line.length - line.trimStart().length)
    return wrap([{ text: clean(line.trimStart()) }], width - deeper.length - 2, style).map((text, at) => `${deeper}${at > 0 ? '  ' : ''}${text}`)
  })
  return [style.dim(head), ...layers, ...(verbosity >= 3 ? hexDump(frame).map((line) => FRAME_INDENT + style.dim(line)) : [])]
}

/** The way back: hop by hop in a line each where it came back well, in full with -v or where it did not. */
export function replyLines(page: Page): string[] {
  const { document, style, clean, width } = page
  const leg = document.reply
  if (leg === null || leg.hops.length === 0) return []
  const first = leg.hops[0].steps[0]
  const what = first?.kind === 'originate' ? first.text : 'what came back'
  const head = leftRight(clean(`reply   ${what}`), leg.disposition, width)
  const title = head.slice(0, head.length - leg.disposition.length)
  const colored = isLoss(leg.disposition) ? style.red(leg.disposition) : style.green(leg.disposition)
  const full = page.verbosity >= 1 || isLoss(leg.disposition)
  const lines = leg.hops.flatMap((hop, index) => (full ? hopLines(page, leg, index, hop) : shortHopLines(page, leg, index, hop)))
  return ['', `${style.bold(title)}${colored}`, ...lines]
}

function shortHopLines(page: Page, leg: LegDocument, index: number, hop: HopDocument): string[] {
  const { style, clean, width } = page
  const numbers = hop.steps.map((step) => step.n)
  const range = numbers.length === 0 ? '' : numbers.length === 1 ? `${numbers[0]}` : `${numbers[0]}-${numbers[numbers.length - 1]}`
  const place = clean(placeOf(hop))
  const frames = framesOfHop(leg, index)
  const devices = [...new Set(frames.map((frame) => frame.device))]
  const ttl = frames.map((frame) => frameFacts(frame).ttl).findLast((value) => value !== undefined)
  const changes = hop.steps.filter((step) => step.kind === 'nat').flatMap(changesOf)
  const largest = Math.max(0, ...frames.map((frame) => frame.length))
  const right = `${largest > 0 ? `frame ${largest} B` : ''}  t=${formatTime(hop.timeNs)}`
  const spans: Span[] = [{ text: clean(devices.join(' → ')) }]
  if (ttl !== undefined) spans.push({ text: clean(`ttl ${ttl}`), whole: true })
  for (const change of changes) spans.push({ text: clean(change), style: 'bold' })
  const places = Math.max(...leg.hops.map((other) => clean(placeOf(other)).length))
  const start = `${range.padStart(7)}  ${style.cyan(place)}`
  const indent = 9 + places + 2
  const room = width - indent - right.length - 2
  // Too narrow for all in one line: the devices go under it.
  if (room < 20) {
    const under = wrap(spans, width - 9, style).map((line) => ' '.repeat(9) + line)
    return [`${start}${' '.repeat(Math.max(2, width - visible(start) - right.length))}${style.dim(right)}`, ...under]
  }
  const [line, ...rest] = wrap(spans, room, style)
  const gap = ' '.repeat(width - indent - visible(line) - right.length)
  return [`${start}${' '.repeat(indent - visible(start))}${line}${gap}${style.dim(right)}`, ...rest.map((text) => ' '.repeat(indent) + text)]
}
