/** A verification in words: a line for each question, below it what differs, and what it comes to in the end. */
import { printable, styleOf, type Style } from '../analysis/text-style.js'
import { controlHead, controlLines as linesOf, reaches, type ControlDocument } from './control-report.js'
import type { DifferenceDocument, DropsDocument, FrameWords, ProbeDocument, RulesDocument, RuleWords, VerificationDocument } from './verify-report.js'

interface VerifyTextOptions {
  readonly color: boolean
  readonly ascii: boolean
  /** 0: the first difference of each question; 1: all of them, and the rules and losses of what is equal too. */
  readonly verbosity: number
}

interface Paper {
  readonly style: Style
  readonly verbosity: number
  /** Made safe for the terminal. */
  readonly safe: (text: string) => string
}

export function verifyText(document: VerificationDocument, { color, ascii, verbosity }: VerifyTextOptions): string {
  const paper: Paper = { style: styleOf(color), verbosity, safe: (text) => printable(ascii ? text.replaceAll('≠', '!=') : text, ascii) }
  const { metadata, notBuilt, complaints, probes } = document
  const tool = metadata.iptables === '' ? '' : `, iptables-${metadata.iptables}`
  return [
    paper.safe(`${metadata.kernel}, ${metadata.privilege}${tool}`),
    ...notBuilt.map(({ netns, device, kind, why }) => paper.style.yellow(paper.safe(`not built: ${netns} ${device} (${kind}): ${why}`))),
    ...complaints.map((text) => paper.style.yellow(paper.safe(`complaint: ${text}`))),
    '',
    ...probes.flatMap((probe) => probeLines(probe, paper)),
    '',
    ...document.control.flatMap((one) => controlLines(one, paper)),
    ...summaryLines(document, paper),
    '',
  ].join('\n')
}

const PAINT = { equal: 'green', differs: 'red', 'left-out': 'yellow', incomplete: 'yellow' } as const
const MARKS = { equal: 'equal  ', differs: 'DIFFERS', 'left-out': 'not run' } as const

function probeLines(probe: ProbeDocument, paper: Paper): string[] {
  const { style, safe, verbosity } = paper
  const { frames, drops, rules } = probe
  const paint = (text: string): string => style[PAINT[probe.verdict]](text)
  if (probe.verdict === 'left-out') return [`${paint(MARKS[probe.verdict])}  ${safe(`${probe.name}: ${probe.why}`)}`]
  const counts = [
    `${frames.equal} of ${frames.predicted} frames equal`,
    rules.equal === true && rules.predicted.length > 0 ? `${rules.predicted.length} rules as taken` : '',
    drops.equal === true && drops.named > 0 ? drops.predicted.map(({ reason }) => reason).join(', ') : '',
    probe.error === '' ? '' : `the sender is told: ${probe.error}`,
    outcomeWords(probe),
  ]
  const head = `${paint(MARKS[probe.verdict])}  ${safe(`${probe.name}: ${counts.filter((text) => text !== '').join(' · ')}`)}`
  if (probe.verdict === 'equal' && verbosity === 0) return [head]
  const shown = verbosity > 0 ? probe.differences : probe.differences.slice(0, 1)
  const more = probe.differences.length - shown.length
  return [
    head,
    ...shown.flatMap((difference) => differenceLines(difference, paper)),
    ...(more > 0 ? [`           and ${more} more: -v shows them`] : []),
    ...ruleLines(rules, paper),
    ...dropLines(drops, paper),
  ]
}

/** `outcome 2 of 3, 33 %`. */
function outcomeWords({ outcomes, verdict }: ProbeDocument): string {
  if (outcomes === null) return ''
  const { shown, count, probability, followed } = outcomes
  const percent = Math.round(probability * 1000) / 10
  const least = followed === 1 ? '' : 'at least '
  return `${verdict === 'equal' ? '' : 'nearest to '}outcome ${shown} of ${least}${count}, ${percent} %`
}

/** One line for each node, those that differ with what does; nodes that the server is out of reach for stand out. */
function controlLines(control: ControlDocument, { style, safe, verbosity }: Paper): string[] {
  const texts = linesOf(control)
  const lines = control.nodes.flatMap((one, at) => {
    const paint = (text: string): string => style[one.verdict === 'equal' && !reaches(one) ? 'yellow' : PAINT[one.verdict]](text)
    const shown = verbosity > 0 ? one.differences : one.differences.slice(0, 1)
    const more = one.differences.length - shown.length
    return [
      `${paint(MARKS[one.verdict])}  ${safe(texts[at])}`,
      ...shown.map((line) => safe(`           ${line}`)),
      ...(more > 0 ? [`           and ${more} more: -v shows them`] : []),
    ]
  })
  return [style.bold(safe(controlHead(control))), ...lines, '']
}

const WHAT = { fields: 'differs', missing: 'missing', extra: 'extra', order: 'out of order', chance: 'inconsistent', checksum: 'wrong checksum' } as const

function differenceLines(difference: DifferenceDocument, { style, safe }: Paper): string[] {
  const { kind, netns, device, direction, step, stepText, fields, what } = difference
  const where = step === 0 ? 'before the first step' : `${kind === 'extra' ? 'after' : 'of'} step ${step}, ${stepText}`
  const lines = [`${WHAT[kind]} frame on ${netns} ${device} ${direction}, ${where}`]
  if (fields.length === 0 || kind === 'chance') lines.push(what)
  const width = Math.max(0, ...fields.map(({ name }) => name.length))
  if (kind !== 'chance') for (const { name, predicted, captured } of fields) lines.push(`${name.padEnd(width)}  predicted ${predicted}, kernel ${captured}`)
  return [
    ...lines.map((line, at) => (at === 0 ? style.bold(safe(`         ${line}`)) : safe(`           ${line}`))),
    ...frameLines('predicted', difference.predicted).map(safe),
    ...frameLines('kernel', difference.captured).map(safe),
  ]
}

const HEX_OF_A_LINE = 96

function frameLines(side: string, frame: FrameWords | null): string[] {
  if (frame === null) return [`           ${side.padEnd(9)}  nothing`]
  const words = frame.words.split('\n').map((line, at) => `           ${(at === 0 ? side : '').padEnd(9)}  ${line}`)
  const hex = frame.hex.match(new RegExp(`.{1,${HEX_OF_A_LINE}}`, 'g')) ?? []
  return [...words, ...hex.map((line) => `                      ${line}`)]
}

/** The two paths side by side, one below the other where they are equal. */
function ruleLines(rules: RulesDocument, { style, safe, verbosity }: Paper): string[] {
  const line = ({ netns, table, chain, text }: RuleWords): string => `${netns}: -t ${table} -A ${chain} ${text}`
  if (rules.equal === true) return verbosity === 0 ? [] : rules.predicted.map((rule) => style.dim(safe(`           ${line(rule)}`)))
  if (rules.equal === null) return verbosity === 0 || rules.predicted.length === 0 ? [] : [style.dim(safe(`           rules taken: not read (${rules.why})`))]
  return [
    style.bold(safe(`         rules differ: ${rules.what}`)),
    ...rules.predicted.map((rule, at) => safe(`           ${at === 0 ? 'predicted' : '         '}  ${line(rule)}`)),
    ...rules.kernel.map((rule, at) => safe(`           ${at === 0 ? 'kernel   ' : '         '}  ${line(rule)}`)),
  ]
}

function dropLines(drops: DropsDocument, { style, safe, verbosity }: Paper): string[] {
  const said = drops.kernel.map(({ reason, location }) => (location === '' ? reason : `${reason} at ${location}`)).join(', ')
  const predicted = drops.predicted.map(({ netns, reason, step }) => `${reason} (${netns}, step ${step})`).join(', ')
  if (drops.equal === false)
    return [style.bold(safe(`         losses differ: predicted ${predicted}`)), safe(`           kernel     ${said === '' ? 'none' : said}`)]
  if (verbosity === 0 || drops.predicted.length === 0) return []
  return [style.dim(safe(`           lost: ${predicted}; kernel: ${drops.equal === null ? `not read (${drops.why})` : said}`))]
}

const VERDICTS = {
  equal: 'This kernel does what netsim says.',
  differs: 'This kernel does something else than netsim says.',
  incomplete: 'Nothing differs; not all of it could be tried here.',
} as const

function summaryLines({ summary, verdict, probes }: VerificationDocument, { style, safe }: Paper): string[] {
  const { differ, leftOut, equal, frames, framesEqual, rules, rulesEqual, drops, dropsEqual, upkeep, control, controlEqual } = summary
  const parts = [
    `${equal} of ${summary.probes} questions equal`,
    differ === 0 ? '' : `${differ} differ`,
    leftOut === 0 ? '' : `${leftOut} not run`,
    `${framesEqual} of ${frames} frames`,
    rules === 0 ? '' : `${rulesEqual} of ${rules} rules`,
    drops === 0 ? '' : `${dropsEqual} of ${drops} losses named`,
    control === 0 ? '' : `${controlEqual} of ${control} nodes with a real control plane`,
  ]
  const unread = [
    probes.some((probe) => probe.rules.equal === null && probe.rules.predicted.length > 0) ? firstWhy(probes, 'rules') : '',
    firstWhy(probes, 'drops'),
  ]
  const paint = (text: string): string => style[PAINT[verdict]](text)
  return [
    safe(parts.filter((part) => part !== '').join(' · ')),
    ...unread.filter((text) => text !== '').map((text) => style.dim(safe(text))),
    ...(upkeep === 0 ? [] : [style.dim(safe(`${upkeep} ARP frames of neighbour upkeep left out`))]),
    paint(safe(VERDICTS[verdict])),
  ]
}

const NOT_READ = { rules: 'The rules that packets took were not read', drops: 'The kernel’s reasons for losses were not read' } as const

function firstWhy(probes: readonly ProbeDocument[], what: 'rules' | 'drops'): string {
  const probe = probes.find((one) => one.verdict !== 'left-out' && one[what].equal === null && one[what].predicted.length > 0)
  return probe === undefined ? '' : `${NOT_READ[what]}: ${probe[what].why}`
}
