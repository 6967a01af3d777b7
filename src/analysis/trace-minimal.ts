/**
 * A trace document → what happened to the headers and how it ended, a line each, for tests that must not break when words do. The form is
 * frozen (docs/output.md): no times, no numbers of steps or rules, no names or numbers drawn by chance, no sentence. Another form would
 * have another number in its first line.
 */
import { formatIp } from '../base/ip.js'
import { formatProtocol } from '../dataplane/protocols.js'
import { decodeFrame } from '../wire/frame-decode.js'
import {
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  Packet,
  PROTO_ICMP,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDP,
  TCP_ACK,
  TCP_FIN,
  TCP_PSH,
  TCP_RST,
  TCP_SYN,
  TCP_URG,
} from '../wire/packet.js'
import { frameBytes, linkOf } from './frame-text.js'
import { isLoss } from './trace-text-hops.js'
import type { FrameDocument, LegDocument, StepDocument, TraceDocument } from './trace-document.js'

type LegName = 'forward' | 'reply'

/** Ends with a newline. */
export function traceMinimal(document: TraceDocument): string {
  const legs = [...legLines(document, 'forward'), ...legLines(document, 'reply')]
  return `${['netsim-minimal 1', requestLine(document), ...legs, `outcome ${document.disposition}`].join('\n')}\n`
}

function requestLine({ request }: TraceDocument): string {
  const { source, destination, proto, sport, dport, size, ttl, df } = request
  const port = (number: number): string => (proto === 'icmp' ? '' : `:${number}`)
  const ends = `${word(source.name)} ${source.address}${port(sport)} ${word(destination.name)} ${destination.address}${port(dport)}`
  return `request ${proto} ${ends} length ${size} ttl ${ttl}${df ? ' df' : ''}`
}

/** A name has no blank of its own in a file of words. */
function word(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text === '' ? '-' : text.replace(/[\s%\u0000-\u001f\u007f-\u009f]/gu, (letter) => encodeURIComponent(letter))
}

function legLines(document: TraceDocument, name: LegName): string[] {
  const leg = document[name]
  if (leg === null) return []
  const lines = new Set<string>()
  if (name === 'reply') answerLines(leg).forEach((line) => lines.add(line))
  let fragments: { readonly key: string; count: number } | undefined
  const endRun = (): void => {
    if (fragments !== undefined) lines.add(`${fragments.key} fragment ${fragments.count}`)
    fragments = undefined
  }
  for (const { netns, steps } of leg.hops) {
    for (const step of steps) {
      const key = `${name} ${word(netns)}`
      if (step.kind === 'fragment') {
        if (fragments?.key !== key) endRun()
        fragments = { key, count: (fragments?.count ?? 0) + 1 }
        continue
      }
      endRun()
      for (const change of changesOf(document, { name, leg, netns, step })) lines.add(`${key} ${change}`)
    }
  }
  endRun()
  return [...lines, endLine(name, leg)]
}

interface Place {
  readonly name: LegName
  readonly leg: LegDocument
  readonly netns: string
  readonly step: StepDocument
}

/** An encapsulation is told by the frame that follows it; the other changes by the step. */
function changesOf(document: TraceDocument, { name, leg, netns, step }: Place): string[] {
  const { before = {}, after = {}, kind, action, bytesAdded = 0 } = step
  const changes: string[] = []
  if (before.ttl !== undefined && after.ttl !== undefined && before.ttl !== after.ttl) changes.push(`ttl ${before.ttl} ${after.ttl}`)
  for (const side of ['src', 'dst'] as const) {
    if (before[side] === undefined || after[side] === undefined) continue
    changes.push(
      `${side} ${addressText(document, { name, side, fields: before, fresh: false })} ${addressText(document, { name, side, fields: after, fresh: true })}`,
    )
  }
  if (bytesAdded > 0) changes.push(`encap ${outerText(leg, netns, step)} +${bytesAdded}`)
  if (bytesAdded < 0) changes.push(`decap ${bytesAdded}`)
  if (kind === 'defragment' && action === 'REASSEMBLED') changes.push(`defragment ${step.length ?? 0}`)
  return changes
}

interface Side {
  readonly name: LegName
  readonly side: 'src' | 'dst'
  readonly fields: Readonly<Record<string, string | number>>
  /** After the change. */
  readonly fresh: boolean
}

/**
 * The port that source NAT gave is drawn by chance: `*`, where the packet has it and where its answer loses it. What stands in its place in
 * ICMP, the identifier, is drawn by chance altogether.
 */
function addressText({ request }: TraceDocument, { name, side, fields, fresh }: Side): string {
  const port = fields[side === 'src' ? 'sport' : 'dport']
  if (port === undefined || request.proto === 'icmp') return `${fields[side]}`
  const translated = name === 'forward' ? side === 'src' && fresh : side === 'dst' && !fresh
  return `${fields[side]}:${translated && port !== request.sport ? '*' : port}`
}

/** `vxlan 192.168.10.11 192.168.10.12:8472`; `?` when the packet was lost before it could be seen. */
function outerText(leg: LegDocument, netns: string, step: StepDocument): string {
  const outer = outerPacket(leg, netns, step)
  if (outer === undefined) return '?'
  const port = outer.proto === PROTO_UDP ? `:${outer.dport}` : ''
  const kind = outer.vni >= 0 ? 'vxlan' : formatProtocol(outer.proto)
  return `${kind} ${formatIp(outer.src)} ${formatIp(outer.dst)}${port}`
}

/** The first frame after the step that shows the packet within another; of what is ciphered or cut, the first frame at all. */
function outerPacket({ frames }: LegDocument, netns: string, step: StepDocument): Packet | undefined {
  let first: Packet | undefined
  for (const frame of frames) {
    if (frame.packet !== step.packet || frame.netns !== netns || (frame.step ?? 0) <= step.n || frame.device === step.at?.device) continue
    const packet = packetIn(frame)
    if (packet !== undefined && packet.inner !== null && packet.proto !== PROTO_ICMP) return packet
    first ??= packet
  }
  return first
}

/** An IP packet that a frame holds. */
function packetIn(frame: FrameDocument): Packet | undefined {
  const bytes = frameBytes(frame)
  const packet = new Packet()
  const link = linkOf(bytes)
  if (decodeFrame(bytes, { link }, packet) !== 'ok') return undefined
  return link === 'ethernet' && packet.etherType !== ETHERTYPE_IPV4 ? undefined : packet
}

/** Who answers, and with what: `reply shop/api-0 answer tcp SYN,ACK 10.244.2.2:8080 10.244.1.2:40000`. */
function answerLines({ hops, frames }: LegDocument): string[] {
  const packet = frames.map(packetIn).find((one) => one !== undefined && one.etherType !== ETHERTYPE_ARP)
  if (packet === undefined || hops.length === 0) return []
  let inner = packet
  while (inner.inner !== null && inner.proto !== PROTO_ICMP) inner = inner.inner
  const ported = [PROTO_TCP, PROTO_UDP, PROTO_SCTP].includes(inner.proto)
  const end = (address: number, port: number): string => `${formatIp(address)}${ported ? `:${port}` : ''}`
  const what =
    inner.proto === PROTO_ICMP
      ? `icmp ${inner.sport}/${inner.dport}`
      : inner.proto === PROTO_TCP
        ? `tcp ${flagsText(inner.tcpFlags)}`
        : formatProtocol(inner.proto)
  return [`reply ${word(hops[0].netns)} answer ${what} ${end(inner.src, inner.sport)} ${end(inner.dst, inner.dport)}`]
}

const FLAGS: readonly (readonly [bit: number, name: string])[] = [
  [TCP_FIN, 'FIN'],
  [TCP_SYN, 'SYN'],
  [TCP_RST, 'RST'],
  [TCP_PSH, 'PSH'],
  [TCP_ACK, 'ACK'],
  [TCP_URG, 'URG'],
]

function flagsText(flags: number): string {
  const set = FLAGS.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name)
  return set.length === 0 ? 'none' : set.join(',')
}

/** Where it ended: at its last drop or refusal, or where it was delivered. */
function endLine(name: LegName, { hops, disposition }: LegDocument): string {
  const ends = (step: StepDocument): boolean =>
    isLoss(disposition) ? step.kind === 'drop' || step.action === 'DROP' || step.action === 'REJECT' : step.action === 'DELIVERED'
  const hop = hops.findLast(({ steps }) => steps.some(ends)) ?? hops.at(-1)
  return `${name} ${word(hop?.netns ?? '')} end ${disposition}`
}
