/**
 * A trace document → the text that `netsim trace` prints: the flow, what was assumed, the hops with their numbered steps, the way back,
 * and a last block that says the verdict first. Pure; the same document gives the same bytes.
 *
 *   nr  what              text, header changes in bold                                    bytes  VERDICT
 */
import { hopLines, replyLines, type Page } from './trace-text-hops.js'
import { lookupText } from './name-lookup.js'
import { printable, styleOf, wrap } from './text-style.js'
import { durationText } from './timeline/duration.js'
import type { EndDocument, HappenedDocument, MomentDocument, TraceDocument } from './trace-document.js'
import { verdictLines } from './trace-text-verdict.js'

export interface TraceTextOptions {
  /** Columns; what is narrower than 72 is taken as 72. */
  readonly width: number
  readonly color: boolean
  /** No letter above 0x7e. */
  readonly ascii: boolean
  /** 0: what decided. 1: every rule tried. 2: the headers of every frame. 3: every byte of it. */
  readonly verbosity: number
  /** Only the last block. */
  readonly summaryOnly: boolean
}

/** Ends with a newline. */
export function traceText(document: TraceDocument, options: TraceTextOptions): string {
  const page: Page = {
    width: Math.max(72, options.width),
    style: styleOf(options.color),
    verbosity: options.verbosity,
    clean: (text) => printable(text, options.ascii),
    document,
  }
  const last = verdictLines(page)
  if (options.summaryOnly) return joined(last)
  const hops = document.forward.hops.flatMap((hop, index) => hopLines(page, document.forward, index, hop))
  return joined([...headLines(page), '', ...hops, ...replyLines(page), '', ...last])
}

function joined(lines: readonly string[]): string {
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`
}

function headLines(page: Page): string[] {
  const { document, style, clean, width } = page
  const { source, destination } = document.request
  const [from, to] = portsOf(document)
  const ends = clean(`${endText(source, from)} → ${endText(destination, to)}`)
  const what = clean(packetText(document))
  const flow = ends.length + 3 + what.length <= width ? [`${ends}   ${what}`] : [ends, `  ${what}`]
  const colored = flow.map((line, index) => (index === 0 ? withNames(line, [source.name, destination.name].map(clean), page) : line))
  const lookup = document.lookup === undefined ? [] : wrap([{ text: clean(lookupText(document.lookup)) }], width, style)
  const moment = document.metadata.moment === undefined ? [] : wrap([{ text: clean(momentWords(document.metadata.moment)) }], width, style)
  return [...colored, ...lookup, ...wrap([{ text: clean(assumptions(document)), style: 'dim' }], width, style), ...moment]
}

/** The first occurrence of each name in cyan, left to right. */
function withNames(line: string, names: readonly string[], { style }: Page): string {
  let done = ''
  let rest = line
  for (const name of names) {
    const at = rest.indexOf(name)
    if (at < 0) continue
    done += rest.slice(0, at) + style.cyan(name)
    rest = rest.slice(at + name.length)
  }
  return done + rest
}

function portsOf({ request }: TraceDocument): [string, string] {
  return request.proto === 'icmp' ? ['', ''] : [`:${request.sport}`, `:${request.dport}`]
}

export function endText(end: EndDocument, port: string): string {
  return end.name === end.address ? `${end.address}${port}` : `${end.name} ${end.address}${port}`
}

const DEFAULT_TTL = 64

function packetText({ request }: TraceDocument): string {
  const kind = request.proto === 'icmp' ? 'ICMP echo' : request.proto === 'tcp' && request.size === 60 ? 'TCP SYN' : request.proto.toUpperCase()
  // TCP always sets DF: only what differs from a plain packet of its kind is said.
  const df = request.df && request.proto !== 'tcp' ? ', DF' : ''
  const ttl = request.ttl === DEFAULT_TTL ? '' : `, ttl ${request.ttl}`
  return `${kind}, ${request.size} bytes${df}${ttl}`
}

/** What the answer rests on: the network, its files, the seed. */
export function assumptions({ metadata, request }: Pick<TraceDocument, 'metadata'> & { readonly request: { readonly cold: boolean } }): string {
  const { found = [] } = metadata
  const isFound = found.length > 0 && found.length === metadata.nodes
  const network = isFound ? [] : networkWords(metadata)
  const inputs = metadata.inputs.length > 4 ? [...metadata.inputs.slice(0, 3), `${metadata.inputs.length - 3} more`] : metadata.inputs
  const nodes = metadata.nodes === undefined ? '' : `${metadata.nodes} node${metadata.nodes === 1 ? '' : 's'}`
  const from = inputs.length === 0 ? '' : `${nodes === '' ? '' : 'from '}${inputs.join(', ')}`
  const state = request.cold || !metadata.warm ? 'cold: no neighbour known' : 'warm'
  const cluster = [nodes, from].filter((word) => word !== '').join(' ')
  const some = found.length > 3 ? `${found.length} nodes` : found.join(', ')
  const asFound = found.length === 0 ? '' : `${isFound ? 'all' : some} as found`
  const runtime = metadata.calico === undefined && !isFound ? (metadata.runtime ?? '') : ''
  return [...network, runtime, cluster, asFound, `seed ${metadata.seed}`, state].filter((word) => word !== '').join(' · ')
}

/** When, and what had happened last. */
export function momentWords({ scenario, atNs, event, last }: MomentDocument): string {
  const place = (happened: HappenedDocument): string => (happened.file === undefined ? '' : ` (${happened.file}:${happened.line ?? 0})`)
  const before = event === undefined ? 'before its first event' : `${durationText(atNs - event.atNs)} after ${event.what}${place(event)}`
  const latest = last === undefined ? '' : `; last, at ${durationText(last.atNs)}, ${last.by}: ${last.what}`
  return `at ${durationText(atNs)} of ${scenario}, ${before}${latest}`
}

/** `flannel vxlan`; `calico 3.32.1`, `IPIP Always`; `canal`, `flannel vxlan + calico 3.32.1 policy`. */
export function networkWords({ cni, backend, calico }: Pick<TraceDocument['metadata'], 'cni' | 'backend' | 'calico'>): readonly string[] {
  if (calico === undefined) return [[cni, backend === cni ? '' : backend].filter((word) => word !== '').join(' ')]
  if (cni === 'canal') return [cni, `flannel ${backend} + calico ${calico.release} policy`]
  return [`${cni} ${calico.release}`, ...calico.modes]
}
