/**
 * A trace document → a pcapng file for Wireshark: every frame of both legs on the interface `netns/device`, in the order of virtual time,
 * with the steps that led to it as comments. The question is asked at 1970-01-01 00:00:00 UTC: the same question gives the same bytes.
 */
import { BROADCAST_MAC, macHigh, macLow, parseMac } from '../base/mac.js'
import { read16, read32, write16, write32 } from '../wire/bytes.js'
import { encodePcapng, LINKTYPE_ETHERNET, LINKTYPE_RAW, type CapturedPacket, type CaptureInterface, type ReceptionType } from '../wire/pcapng.js'
import { frameBytes, linkOf } from './frame-text.js'
import { printable } from './text-style.js'
import { isLoss } from './trace-text-hops.js'
import type { DeviceDocument, FrameDocument, LegDocument, StepDocument, TraceDocument } from './trace-document.js'

/** The whole file. */
export function tracePcap(document: TraceDocument): Uint8Array {
  const devices = interfacesOf(document)
  const numbers = new Map([...devices.keys()].map((name, index) => [name, index]))
  const packets = [...legPackets(document, 'forward'), ...legPackets(document, 'reply')]
  // The sort is stable: what happens at one moment stays in its order.
  packets.sort((a, b) => a.frame.timeNs - b.frame.timeNs)
  return encodePcapng({
    hardware: 'none: a simulated network',
    os: 'Linux network stacks, modelled',
    application: document.metadata.tool,
    comments: [questionText(document), ...outcomeTexts(document)].map(unarmed),
    interfaces: [...devices.values()].map(({ description }) => description),
    packets: packets.map(({ frame, comments, dropped }) => {
      const name = interfaceName(frame)
      return packetOf(frame, { interface: numbers.get(name) ?? 0, mac: devices.get(name)?.device.mac, comments: comments.map(unarmed), dropped })
    }),
  })
}

/** tshark prints comments as they are: text of files must not steer the terminal. Letters stay, only what has no form goes. */
function unarmed(text: string): string {
  return printable(text, false)
}

function interfaceName({ netns, device }: Pick<FrameDocument, 'netns' | 'device'>): string {
  return `${netns}/${device}`
}

interface Described {
  readonly device: Partial<DeviceDocument>
  readonly description: CaptureInterface
}

/** Name → interface, in the order of the first frame. A document without its devices says by its bytes how frames begin. */
function interfacesOf({ devices = [], forward, reply }: TraceDocument): Map<string, Described> {
  const found = new Map<string, Described>()
  for (const frame of [...forward.frames, ...(reply?.frames ?? [])]) {
    const name = interfaceName(frame)
    if (found.has(name)) continue
    const device = devices.find((one) => interfaceName(one) === name)
    found.set(name, { device: device ?? {}, description: describe(name, device ?? { link: linkOf(frameBytes(frame)) }) })
  }
  return found
}

function describe(name: string, { kind, mtu, link, mac }: Partial<DeviceDocument>): CaptureInterface {
  const address = mac === undefined ? undefined : parseMac(mac)
  return {
    name,
    linkType: link === 'none' ? LINKTYPE_RAW : LINKTYPE_ETHERNET,
    ...(kind === undefined ? {} : { description: `${kind}, mtu ${mtu}` }),
    ...(address === undefined ? {} : { mac: macBytes(address) }),
  }
}

function macBytes(mac: number): Uint8Array {
  const bytes = new Uint8Array(6)
  write16(bytes, 0, macHigh(mac))
  write32(bytes, 2, macLow(mac))
  return bytes
}

interface LegFrame {
  readonly frame: FrameDocument
  readonly comments: string[]
  dropped: boolean
}

/** The frames of a leg, each with the steps of its packet since the frame before. */
function legPackets(document: TraceDocument, name: 'forward' | 'reply'): LegFrame[] {
  const leg = document[name]
  if (leg === null) return []
  const frames = leg.frames.map((frame): LegFrame => ({ frame, comments: [], dropped: false }))
  const ofPacket = new Map<number | undefined, LegFrame[]>()
  for (const one of frames) {
    const own = ofPacket.get(one.frame.packet)
    if (own === undefined) ofPacket.set(one.frame.packet, [one])
    else own.push(one)
  }
  for (const { step, netns } of stepsOf(leg)) {
    const owner = ownerOf(ofPacket.get(step.packet) ?? [], step, netns)
    if (owner === undefined) continue
    owner.comments.push(stepText(step))
    if (isDrop(step)) owner.dropped = true
  }
  const last = frames[ending(leg, frames)]
  last?.comments.push(endText(document, name, leg))
  if (last !== undefined && isLoss(leg.disposition) && leg.disposition !== 'INCOMPLETE' && leg.disposition !== 'AMBIGUOUS') last.dropped = true
  return frames
}

interface Placed {
  readonly step: StepDocument
  readonly netns: string
}

function stepsOf(leg: LegDocument): Placed[] {
  return leg.hops.flatMap(({ netns, steps }) => steps.map((step) => ({ step, netns })))
}

/**
 * Of the frames of its packet: what was decided before a frame stands at that frame; what came after the packet's last frame stands
 * there. A drop belongs to the frame before it, in its own netns where there is one.
 */
function ownerOf(own: readonly LegFrame[], step: StepDocument, netns: string): LegFrame | undefined {
  if (isDrop(step)) {
    const before = own.filter(({ frame }) => (frame.step ?? 0) < step.n)
    return before.findLast(({ frame }) => frame.netns === netns) ?? before.at(-1)
  }
  return own.find(({ frame }) => (frame.step ?? 0) >= step.n) ?? own.at(-1)
}

function isDrop({ kind, action }: StepDocument): boolean {
  return kind === 'drop' || ((kind === 'table' || kind === 'bridge') && (action === 'DROP' || action === 'REJECT'))
}

/** Index of the last frame of the packet that ended the leg: that of its last loss or delivery. */
function ending(leg: LegDocument, frames: readonly LegFrame[]): number {
  const end = stepsOf(leg).findLast(({ step }) => (isLoss(leg.disposition) ? isDrop(step) : step.action === 'DELIVERED'))
  const at = end === undefined ? -1 : frames.findLastIndex(({ frame }) => frame.packet === end.step.packet)
  return at >= 0 ? at : frames.length - 1
}

/** `step 12: filter FORWARD: #1  -s 10.1.0.0/16 -j ACCEPT: ACCEPT`. */
function stepText({ n, kind, at, text, action }: StepDocument): string {
  return `step ${n}: ${kind === 'table' && at?.table !== undefined ? at.table : kind} ${text}: ${action}`
}

function endText({ result }: TraceDocument, name: string, { disposition }: LegDocument): string {
  const why = isLoss(disposition) && result.disposition === disposition ? `, ${result.cause}` : ''
  const reason = isLoss(disposition) && result.disposition === disposition && result.kernelReason !== undefined ? ` (kernel: ${result.kernelReason})` : ''
  return `${name} ${disposition}${reason}${why}`
}

function questionText({ request }: TraceDocument): string {
  const port = (number: number): string => (request.proto === 'icmp' ? '' : `:${number}`)
  const from = `${request.source.name} ${request.source.address}${port(request.sport)}`
  const to = `${request.destination.name} ${request.destination.address}${port(request.dport)}`
  return `${from} to ${to}, ${request.proto}, ${request.size} bytes`
}

/** A packet that never left has no frame to say so. */
function outcomeTexts({ disposition, result, reply }: TraceDocument): string[] {
  const back = reply === null ? '' : `; reply ${reply.disposition}`
  return [`${disposition}${back}: ${result.cause}`]
}

interface PacketFacts {
  readonly interface: number
  readonly mac: string | undefined
  readonly comments: readonly string[]
  readonly dropped: boolean
}

function packetOf(frame: FrameDocument, { mac, ...facts }: PacketFacts): CapturedPacket {
  const bytes = frameBytes(frame)
  return {
    ...facts,
    timeNs: Math.round(frame.timeNs),
    bytes,
    direction: frame.direction === 'rx' ? 'inbound' : 'outbound',
    reception: mac === undefined || frame.direction === 'tx' ? 'unspecified' : receptionOf(bytes, parseMac(mac)),
    id: frame.packet,
  }
}

/** eth_type_trans() of net/ethernet/eth.c: whom the frame is addressed to. */
function receptionOf(bytes: Uint8Array, mac: number | undefined): ReceptionType {
  const to = read16(bytes, 0) * 0x100000000 + (read32(bytes, 2) >>> 0)
  if (to === BROADCAST_MAC) return 'broadcast'
  if ((bytes[0] & 1) === 1) return 'multicast'
  return to === mac ? 'unicast' : 'promiscuous'
}
