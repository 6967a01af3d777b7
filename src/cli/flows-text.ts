/** `netsim flows` in words: tables of what many flows came to. */
import type { Asked, FlowsReport } from '../analysis/flows/report.js'
import type { LossSum, RuleWords } from '../analysis/flows/sums.js'
import { printable } from '../analysis/text-style.js'
import { table } from './table.js'

const RULE_WIDTH = 90

export function flowsText(report: FlowsReport, ascii: boolean): string {
  const parts = [headOf(report), outcomes(report), losses(report.losses, 'LOST', report.more.losses), losses(report.unknown, 'UNKNOWN', report.more.unknown)]
  const text = [...parts, refused(report), wires(report), devices(report), rules(report), notes(report), assumptions(report)]
    .filter((part) => part !== '')
    .join('\n')
  return text
    .split('\n')
    .map((line) => printable(line, ascii))
    .join('\n')
}

function headOf({ asked, result: { flows, packets } }: FlowsReport): string {
  return `${count(flows, 'flow')}, ${count(packets, 'packet')}: ${askedWords(asked)}\n`
}

function askedWords(asked: Asked): string {
  const { kind, pods, left = 0, pick } = asked
  const out = left === 0 ? '' : ` (${left} without a network of their own left out)`
  if (kind === 'matrix') return 'a traffic matrix'
  const each = shapeWords(asked)
  if (kind === 'random')
    return `pairs drawn from ${pods ?? 0} pods${out}, ${pick === 'zipf' ? 'whom they go to by a Zipf-like choice' : 'all as likely'}, ${each}`
  return `each of ${pods ?? 0} pods${out} to each other, ${each}`
}

function shapeWords({ protocol, port, packets, size, rate }: Asked): string {
  const to = port === undefined ? (protocol ?? 'icmp') : `${protocol ?? 'tcp'} to port ${port}`
  const length = size === undefined ? '' : ` of ${size} bytes`
  return `${to}, ${count(packets, 'packet')}${length} each${rate === undefined ? '' : ` at ${rate} a second`}`
}

function outcomes({ result: { first, all, flows, packets } }: FlowsReport): string {
  const names = [...new Set([...Object.keys(first), ...Object.keys(all)])].sort((a, b) => (all[b] ?? 0) - (all[a] ?? 0) || (a < b ? -1 : 1))
  const rows = names.map((name) => [
    name,
    ...[first[name] ?? 0, all[name] ?? 0].flatMap((value, at) => [String(value), share(value, at === 0 ? flows : packets)]),
  ])
  return table(['OUTCOME', 'FLOWS', '', 'PACKETS', ''], rows.map(blanks))
}

/** The table writes <none> where there is nothing. */
function blanks(row: readonly string[]): readonly string[] {
  return row.map((cell) => (cell === '' ? ' ' : cell))
}

function losses(rows: readonly LossSum[], heading: string, more: number): string {
  if (rows.length === 0) return ''
  const cells = rows.map(({ disposition, leg, flows, packets, netns, device, ...loss }) => [
    leg === 'reply' ? `${disposition} (answer)` : disposition,
    String(flows),
    String(packets),
    device === '' ? netns : `${netns} ${device}`,
    loss.rule === undefined ? `${loss.why}${loss.kernelReason === '' ? '' : ` (${loss.kernelReason})`}` : ruleText(loss.rule),
  ])
  return table([heading, 'FLOWS', 'PACKETS', 'WHERE', 'BY'], cells) + moreText(more)
}

function ruleText({ table: of, chain, number, text, by, file, line }: RuleWords): string {
  const place = file === undefined ? '' : ` ${file}${line === undefined ? '' : `:${line}`}`
  const who = by === '' ? '' : `   (${by}${place})`
  return `${of}/${chain}${number === 0 ? '' : ` #${number}`} ${shortened(text)}${who}`
}

function shortened(text: string): string {
  return text.length <= RULE_WIDTH ? text : `${text.slice(0, RULE_WIDTH)}…`
}

function refused({ refused: rows }: FlowsReport): string {
  return rows.length === 0
    ? ''
    : table(
        ['NOT SENT', 'FLOWS'],
        rows.map(({ what, flows }) => [what, String(flows)]),
      )
}

function wires({ segments, overlay }: FlowsReport): string {
  if (segments.length === 0) return ''
  const rows = segments.map(({ segment, cards, frames, bytes }) => [segment, String(cards), String(frames), String(bytes)])
  const { wrapped, added, wire, percent } = overlay
  const words =
    wrapped === 0
      ? 'nothing was wrapped by a tunnel'
      : `tunnels wrapped ${count(wrapped, 'packet')}: ${added} of ${wire} bytes, ${percent} % on top of the rest`
  return `${table(['SEGMENT', 'CARDS', 'FRAMES', 'BYTES'], rows)}${words}\n`
}

function devices({ devices: rows, more }: FlowsReport): string {
  if (rows.length === 0) return ''
  const cells = rows.map(({ netns, device, kind, frames, bytes }) => [`${netns} ${device}`, kind, String(frames), String(bytes)])
  return table(['DEVICE, SENT', 'KIND', 'FRAMES', 'BYTES'], cells) + moreText(more.devices)
}

function rules({ rules: rows, more }: FlowsReport): string {
  if (rows.length === 0) return ''
  const cells = rows.map(({ table: of, chain, text, by, netns, first, packets, bytes }) => [
    `${of}/${chain} ${shortened(text)}`,
    by === '' ? '-' : by,
    netns === 1 ? first : `${netns} nodes`,
    String(packets),
    String(bytes),
  ])
  return table(['RULE', 'WRITTEN BY', 'ON', 'PACKETS', 'BYTES'], cells) + moreText(more.rules)
}

function notes({ result: { unsent } }: FlowsReport): string {
  return unsent === 0 ? '' : `${count(unsent, 'packet')} not sent: one of the same flow before would not come to an end\n`
}

/** What an answer by class takes for granted. */
function assumptions({ asked: { classes } }: FlowsReport): string {
  if (classes === undefined) return ''
  const { nodes, aloneNodes, pods, walked, pairs } = classes
  const alone = aloneNodes === 0 ? '' : `, ${aloneNodes} of them of one node`
  const made = `${classesWord(pods)} of pods on ${classesWord(nodes)} of nodes${alone}`
  return [
    `BY CLASS  ${count(walked, 'flow')} walked for ${count(pairs, 'pair')}: ${made}`,
    'assumed   pods are alike whose namespace, labels, account and named ports policies tell not apart, with the same ports, settings',
    '          and annotations, on nodes that are alike: the same segment, MTU, labels and annotations, and nothing but its own object',
    '          names the node; of two such pods on one node, or on two, one pair is walked for all',
    'not seen  what differs inside a class: hashes of equal-cost paths, source ports that NAT draws, limits that fill, bytes of single',
    '          devices and rules; places are those of the packet that was walked',
    '',
  ].join('\n')
}

function classesWord(value: number): string {
  return `${value} ${value === 1 ? 'class' : 'classes'}`
}

function moreText(more: number): string {
  return more === 0 ? '' : `… ${more} more (--top 0 for all)\n`
}

function count(value: number, word: string): string {
  return `${value} ${value === 1 ? word : `${word}s`}`
}

function share(value: number, of: number): string {
  const percent = of === 0 ? 0 : (value * 100) / of
  return `${percent >= 0.1 || percent === 0 ? Number(percent.toFixed(1)) : Number(percent.toPrecision(1))} %`
}
