/** An answer in short: how it ended, what the sender got, and the IPv4 headers that a tap saw. */
import type { Network } from '../../src/network/network.js'
import { answer, type Ask } from './network.js'
import { bytesOf, ipText, macText, word } from './frame-view.js'

/** One packet at a tap, its outer header; ARP has proto 0. */
export interface Sight {
  readonly netns: string
  readonly device: string
  readonly direction: string
  readonly leg: 'forward' | 'reply'
  readonly timeNs: number
  /** Of the frame. */
  readonly length: number
  readonly proto: number
  readonly src: string
  readonly dst: string
  readonly ttl: number
  readonly df: boolean
  readonly ipLength: number
  readonly offset: number
  readonly more: boolean
  readonly sport: number
  readonly dport: number
  readonly srcMac: string
  readonly dstMac: string
  readonly bytes: Uint8Array
}

export interface Sighting {
  readonly disposition: string
  readonly forward: string
  readonly reason: string
  readonly netns: string
  /** Who answered with what, as it reached the sender. */
  readonly answer: string
  readonly answerTtl: number
  readonly answerNs: number
  readonly sights: readonly Sight[]
  /** Text of the step that decided. */
  readonly cause: string
}

interface Tap {
  readonly netns: string
  readonly device: string
  readonly direction?: 'rx' | 'tx'
}

const ICMP = 1
const TCP = 6

/** Asks, and reads the answer. */
export function look(network: Network, source: string, destination: string, ask: Ask = {}): Sighting {
  const { outcome, document } = answer(network, source, destination, ask)
  const sights: Sight[] = []
  for (const leg of ['forward', 'reply'] as const) {
    for (const frame of document[leg]?.frames ?? [])
      sights.push({ ...sightOf(bytesOf(frame.hex), network, frame), ...frame, leg, bytes: bytesOf(frame.hex) } as Sight)
  }
  const losing = outcome.disposition === 'REPLY_LOST' ? (outcome.reply ?? outcome.forward) : outcome.forward
  return {
    disposition: outcome.disposition,
    forward: outcome.forward.disposition,
    reason: losing.kernelReason,
    netns: losing.netns < 0 ? '' : network.world.netns[losing.netns].name,
    answer: answerText(outcome.answer),
    answerTtl: outcome.answer?.ttl ?? -1,
    answerNs: outcome.answer?.timeNs ?? -1,
    sights,
    cause: document.result.cause,
  }
}

function answerText(
  got: { readonly proto: number; readonly type: number; readonly code: number; readonly flags: number; readonly mtu: number; readonly from: string } | null,
): string {
  if (got === null) return ''
  if (got.proto === ICMP) return `icmp ${got.type}/${got.code}${got.type === 3 && got.code === 4 ? ` mtu ${got.mtu}` : ''} from ${got.from}`
  if (got.proto === TCP) return `tcp flags 0x${got.flags.toString(16)} from ${got.from}`
  return `proto ${got.proto} from ${got.from}`
}

function sightOf(bytes: Uint8Array, network: Network, frame: { readonly netns: string; readonly device: string }): Partial<Sight> {
  const device = network.dataplanes.get(frame.netns)?.devices.find(({ name }) => name === frame.device)
  const start = device !== undefined && ['tun', 'ipip', 'wireguard'].includes(device.kind) ? 0 : 14
  const macs = start === 0 ? { dstMac: '', srcMac: '' } : { dstMac: macText(bytes, 0), srcMac: macText(bytes, 6) }
  if (start === 14 && word(bytes, 12) !== 0x0800)
    return { ...macs, proto: 0, src: ipText(bytes, 28), dst: ipText(bytes, 38), ttl: 0, df: false, ipLength: 0, offset: 0, more: false, sport: 0, dport: 0 }
  const packet = bytes.subarray(start)
  const body = (packet[0] & 15) * 4
  const flags = word(packet, 6)
  return {
    ...macs,
    proto: packet[9],
    src: ipText(packet, 12),
    dst: ipText(packet, 16),
    ttl: packet[8],
    df: (flags & 0x4000) !== 0,
    ipLength: word(packet, 2),
    offset: (flags & 0x1fff) * 8,
    more: (flags & 0x2000) !== 0,
    sport: word(packet, body),
    dport: word(packet, body + 2),
  }
}

/** What a tap saw, in order. */
export function at(sighting: Sighting, tap: Tap): Sight[] {
  return sighting.sights.filter(
    ({ netns, device, direction }) => netns === tap.netns && device === tap.device && (tap.direction === undefined || tap.direction === direction),
  )
}

/** The packet inside a VXLAN or a flannel udp datagram. */
export function innerOf(sight: Sight): { readonly src: string; readonly dst: string; readonly ttl: number; readonly length: number; readonly dstMac: string } {
  const udp = 14 + 20 + 8
  const ethernet = sight.dport === 8285 ? 0 : 14
  const start = ethernet === 0 ? udp : udp + 8 + ethernet
  const { bytes } = sight
  return {
    src: ipText(bytes, start + 12),
    dst: ipText(bytes, start + 16),
    ttl: bytes[start + 8],
    length: word(bytes, start + 2),
    dstMac: ethernet === 0 ? '' : macText(bytes, udp + 8),
  }
}
