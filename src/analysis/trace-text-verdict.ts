/** The last block of a trace text, made to be read alone: verdict, guilty place, cause, what the client sees, sizes, warnings, fixes, next question. */
import { overheadOf, type Encapsulation } from '../wire/overhead.js'
import * as ethernet from '../wire/ethernet.js'
import { decidingRule, isLoss, labelOf, placeOf, provenanceText, withoutComments, type Page } from './trace-text-hops.js'
import { leftRight, wrap, type Span, type StyleName } from './text-style.js'
import type { HopDocument, MtuDocument, NearMissDocument, ProvenanceDocument, StepDocument, TraceDocument } from './trace-document.js'

const KEY = 10

export function verdictLines(page: Page): string[] {
  const { document } = page
  const { result } = document
  const lines = [...headLine(page)]
  const entry = (key: string, text: string, style?: StyleName): void => {
    if (text !== '') lines.push(...keyLines(page, key, { text, style }))
  }
  if (isLoss(document.disposition)) {
    entry('cause', result.cause)
    entry('rule', ruleText(document, page))
    entry('policy', policiesText(document))
    entry('near', nearText(document), 'yellow')
  }
  entry('server', serverText(document))
  entry('client', result.client)
  if (sizesMatter(document)) {
    entry('size', sizeText(document))
    entry('mtu', document.mtu === null ? '' : mtuText(document.mtu, document.metadata.backend, { underlay: result.wireFrame !== undefined }))
  }
  for (const warning of document.warnings) entry('warning', warning, 'yellow')
  for (const missing of document.notModelled) entry('unmodelled', missing, 'yellow')
  for (const fix of result.fixes) entry('fix', fix)
  entry('next', result.next.join('\n'), 'dim')
  return lines
}

/** Where translations led to, and whom the server takes for the client; nothing where nobody translated. */
function serverText({ request, result: { server } }: TraceDocument): string {
  if (server === undefined) return ''
  const { source, destination, sport } = request
  const withPort = (address: string, port: number | undefined): string => (port === undefined ? address : `${address}:${port}`)
  const asked = withPort(source.address, server.port === undefined ? undefined : sport)
  const sees = withPort(server.sees.address, server.sees.port)
  const same = source.address === server.sees.address
  // a process of a host has no address before its kernel picks one
  const unbound = source.name.startsWith('node/') || server.address.startsWith('127.')
  if (server.address === destination.address && (same || unbound)) return ''
  const client = sees === asked ? `${sees}, the client itself` : unbound ? sees : `${sees}, not ${asked}`
  return `${server.netns} takes it at ${withPort(server.address, server.port)} and sees ${client}`
}

/** A packet that a rule or a missing route stopped was not stopped by its size. */
function sizesMatter({ disposition, result }: TraceDocument): boolean {
  const bySize = ['TOO_BIG', 'BLACKHOLE', 'REPLY_LOST', 'INCOMPLETE', 'AMBIGUOUS']
  return !isLoss(disposition) || bySize.includes(disposition) || result.kernelReason === 'PKT_TOO_BIG'
}

/** One entry: its key once, what follows under it. */
export function keyLines(
  { style, clean, width }: Pick<Page, 'style' | 'clean' | 'width'>,
  key: string,
  entry: { readonly text: string; readonly style?: StyleName },
): string[] {
  const indent = 2 + KEY + 1
  const lines = entry.text.split('\n').flatMap((line) => wrap(clauses(clean(line), entry.style, width - indent), width - indent, style))
  return lines.map((line, index) => `  ${style.bold((index === 0 ? key : '').padEnd(KEY))} ${line}`)
}

/** Arithmetic is not broken where a clause fits on a line. */
function clauses(line: string, style: StyleName | undefined, room: number): Span[] {
  return line.split(/(?<=;) /).map((text) => ({ text, whole: text.length <= room, ...(style === undefined ? {} : { style }) }))
}

function headLine({ document, style, clean, width }: Page): string[] {
  const { disposition, result } = document
  const unknown = disposition === 'INCOMPLETE' || disposition === 'AMBIGUOUS'
  const word = style[!isLoss(disposition) ? 'green' : unknown ? 'yellow' : 'red'](disposition)
  const start = `${disposition}  `
  const text = clean(isLoss(disposition) ? guiltyPlace(document) : arrival(document))
  const kernel = result.kernelReason === undefined || result.kernelReason === '' ? '' : `kernel: ${result.kernelReason}`
  const fits = start.length + text.length + 2 + kernel.length <= width
  const [first, ...rest] = wrap([{ text }], width - start.length, style)
  const line = fits ? leftRight(start + first, kernel, width) : start + first
  const more = rest.map((part) => ' '.repeat(start.length) + part)
  return [style.bold(word) + line.slice(disposition.length), ...more, ...(fits || kernel === '' ? [] : [' '.repeat(start.length) + kernel])]
}

function arrival(document: TraceDocument): string {
  const { source, destination } = document.request
  const verb = document.disposition === 'EXITED' ? 'leaves the modelled world towards' : 'reaches'
  const ttl = document.result.ttlAtArrival === undefined ? '' : ` with ttl ${document.result.ttlAtArrival}`
  return `${source.name} ${verb} ${endName(document, destination.name)}${ttl}; ${replyText(document)}`
}

function endName({ request }: TraceDocument, name: string): string {
  return request.proto === 'icmp' || request.dport === 0 ? name : `${name}:${request.dport}`
}

function replyText({ reply }: TraceDocument): string {
  if (reply === null) return 'nothing is sent back'
  const numbers = reply.hops.flatMap((hop) => hop.steps.map((step) => step.n))
  const steps = numbers.length === 0 ? '' : ` (steps ${numbers[0]} to ${numbers[numbers.length - 1]})`
  return `reply ${reply.disposition}${steps}`
}

interface StepPlace {
  readonly hop: HopDocument
  readonly step: StepDocument
}

/** The step that the result names, in either leg. */
export function decidingStep(document: TraceDocument): StepPlace | undefined {
  for (const hop of [document.forward, document.reply].flatMap((leg) => leg?.hops ?? [])) {
    const step = hop.steps.find((candidate) => candidate.n === document.result.step)
    if (step !== undefined) return { hop, step }
  }
  return undefined
}

function guiltyPlace(document: TraceDocument): string {
  const found = decidingStep(document)
  if (found === undefined) return document.result.netns === undefined ? '' : `in ${document.result.netns}`
  const rule = decidingRule(found.step.rules ?? [])
  const number = rule?.rule ?? found.step.at?.rule
  const label = labelOf(found.step)
  // the label names the hook; the rule may stand in a chain that was jumped to
  const chain = rule === undefined || label.endsWith(`/${rule.chain}`) ? '' : `, ${rule.chain}`
  const leg = document.reply?.hops.includes(found.hop) === true ? ', on the way back' : ''
  return `step ${found.step.n}, ${placeOf(found.hop)}, ${label}${chain}${number === undefined ? '' : ` rule ${number}`}${leg}`
}

/** The rule that dropped it, and who wrote it. */
function ruleText(document: TraceDocument, page: Page): string {
  const step = decidingStep(document)?.step
  if (step === undefined) return ''
  const rule = decidingRule(step.rules ?? [])
  const text = rule === undefined || document.result.cause.includes(rule.text) ? '' : `-A ${rule.chain} ${withoutComments(page, rule.text)}`
  const source = provenanceText(rule?.provenance ?? step.provenance)
  return [text, source === '' ? '' : `from ${source}`].filter((part) => part !== '').join('\n')
}

const POLICIES_SHOWN = 4
const NEAR_SHOWN = 3

/** The policies that apply where it was dropped, in the order in which they were asked. */
function policiesText({ result: { policies = [] } }: TraceDocument): string {
  const lines = policies.slice(0, POLICIES_SHOWN).map(({ policy, direction, selector, rules, provenance }) => {
    const count = rules === 0 ? `no ${direction} rule` : `${rules} ${direction} rule${rules === 1 ? '' : 's'}`
    return `${policy}${filePlace(provenance)} selects ${selector}: ${count}`
  })
  return [...lines, ...more(policies.length - lines.length, 'policy', 'policies')].join('\n')
}

/** The rules that nearly matched, and what of each did not. */
function nearText({ result: { near = [] } }: TraceDocument): string {
  const lines = near.slice(0, NEAR_SHOWN).map((miss) => `${nearPlace(miss)}: ${miss.failed.map(({ text }) => text).join('; ')}`)
  return [...lines, ...more(near.length - lines.length, 'rule', 'rules')].join('\n')
}

/** `NetworkPolicy default/db rule 1 (db.yaml:12)`, `FLANNEL-FWD #1 by flanneld`. */
export function nearPlace({ policy, rule, at, provenance }: NearMissDocument): string {
  if (policy !== undefined) return `${policy} rule ${rule}${filePlace(provenance)}`
  return `${at.chain} #${at.rule}${provenance === undefined ? '' : ` by ${provenance.by}${filePlace(provenance)}`}`
}

function filePlace(provenance: ProvenanceDocument | undefined): string {
  return provenance?.file === undefined ? '' : ` (${provenance.file}:${provenance.line ?? 0})`
}

function more(count: number, one: string, many: string): string[] {
  return count <= 0 ? [] : [`… ${count} more ${count === 1 ? one : many}`]
}

/** `84 + 28 = 112 bytes on the underlay, 126 with Ethernet`: an equation where it is one, else only what is known. */
export function sizeText({ request, result }: TraceDocument): string {
  const { overhead, wireFrame } = result
  const added = overhead === 0 ? 'no overhead' : `${overhead} bytes overhead per packet`
  if (wireFrame === undefined) return overhead === 0 ? '' : added
  const outer = request.size + overhead
  if (outer + ethernet.LENGTH !== wireFrame) return `${added}; largest frame on the underlay ${wireFrame} bytes`
  const sum = overhead === 0 ? `${request.size} bytes on the underlay, no overhead` : `${request.size} + ${overhead} overhead = ${outer} bytes on the underlay`
  return `${sum}, ${wireFrame} in a frame (${ethernet.LENGTH} Ethernet)`
}

const IP_AND_TCP = 40

/** `1500 underlay - 20 IP - 8 UDP = 1472 inside; TCP MSS 1472 - 40 = 1432`; without an underlay where none of its cards was sent by. */
export function mtuText(mtu: MtuDocument, backend: string, { underlay }: { readonly underlay: boolean } = { underlay: true }): string {
  const parts = overheadParts(mtu.overhead, backend)
  const room = mtu.outer - mtu.overhead
  const inside = parts === '' ? `${mtu.outer} ${underlay ? 'underlay' : 'at the sender'}, nothing added` : `${mtu.outer} underlay${parts} = ${room} inside`
  const device = mtu.inner === room ? '' : `; the sender's device has mtu ${mtu.inner}${mtu.inner > room ? `, ${mtu.inner - room} too many` : ''}`
  const path = mtu.path === room && mtu.limitedBy === '' ? '' : mtu.path === room ? '' : `; path ${mtu.path}, limited by ${mtu.limitedBy}`
  return `${inside}${device}${path}; TCP MSS ${mtu.mss + IP_AND_TCP} - ${IP_AND_TCP} = ${mtu.mss}`
}

const SHORT: Readonly<Record<string, string>> = { 'outer IPv4': 'IP', 'outer UDP': 'UDP', 'inner Ethernet': 'Ethernet' }

/** ` - 20 IP - 8 UDP`: the headers of the backend where they add up to what was measured. */
function overheadParts(overhead: number, backend: string): string {
  if (overhead === 0) return ''
  const names: readonly Encapsulation[] = ['udp', 'vxlan', 'ipip', 'wireguard']
  const encapsulation = names.find((name) => name === backend) ?? names.find((name) => overheadOf(name).bytes === overhead)
  const known = encapsulation === undefined ? undefined : overheadOf(encapsulation)
  if (known === undefined || known.bytes !== overhead) return ` - ${overhead} overlay`
  return known.parts.map(({ name, bytes }) => ` - ${bytes} ${SHORT[name] ?? name}`).join('')
}
