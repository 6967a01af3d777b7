/** The MSS of a handshake, read from its own segments: announced by each end, lowered on the way by a rule or not, and what each end sends by it. */
import { FRAME_STRIDE, STEP_TABLE } from '../net/trace.js'
import type { Network } from '../network/network.js'
import { PROTO_TCP, TCP_ACK, TCP_OPTIONS_SYN, type Packet } from '../wire/packet.js'
import type { TcpDocument } from './mtu-document.js'
import { Rows } from './mtu-walk.js'

const IP_AND_TCP = 40

export type Handshake = Pick<TcpDocument, 'source' | 'destination' | 'clamps'>

interface Sighting {
  readonly mss: number
  readonly answer: boolean
  /** Rows written before it. */
  readonly row: number
}

/** Of the last question, a SYN that was answered; null where one of the two segments was not seen. */
export function handshakeOf(network: Network): Handshake | null {
  const { trace } = network.world
  const seen: Sighting[] = []
  for (let i = 0; i < trace.frameCount; i++) {
    let packet: Packet = trace.framePackets[i]
    while (packet.inner !== null) packet = packet.inner
    if (packet.proto !== PROTO_TCP || packet.tcpOptions !== TCP_OPTIONS_SYN) continue
    seen.push({ mss: packet.tcpMss, answer: (packet.tcpFlags & TCP_ACK) !== 0, row: trace.frames[i * FRAME_STRIDE + 5] })
  }
  const [syn, synAck] = [false, true].map((answer) => seen.filter((one) => one.answer === answer))
  if (syn.length === 0 || synAck.length === 0) return null
  return {
    source: { announced: syn[0].mss, arrived: syn[syn.length - 1].mss },
    destination: { announced: synAck[0].mss, arrived: synAck[synAck.length - 1].mss },
    clamps: clampsOf(network, seen),
  }
}

/** Rules with -j TCPMSS that matched where the next tap saw another MSS than the one before. */
function clampsOf(network: Network, seen: readonly Sighting[]): TcpDocument['clamps'] {
  const rows = new Rows(network)
  const clamps: TcpDocument['clamps'][number][] = []
  for (let i = 0; i < rows.count; i++) {
    if (rows.kind(i) !== STEP_TABLE) continue
    const rule = rows.words(i).rules?.find(({ matched, action }) => matched && action === 'TCPMSS')
    if (rule === undefined) continue
    const before = seen.filter(({ row }) => row <= i).at(-1)
    const after = seen.find(({ row, answer }) => row > i && answer === before?.answer)
    if (before === undefined || after === undefined || before.mss === after.mss) continue
    const { provenance } = rule
    const text = `-A ${rule.chain} ${rule.text}`
    clamps.push({ place: rows.place(i), text, from: before.mss, to: after.mss, ...(provenance === undefined ? {} : { provenance }) })
  }
  return clamps
}

/** @param mtus of the device that each end sends by; the way back may be unknown */
export function tcpOf(
  handshake: Handshake,
  mtus: { readonly forward: number; readonly reverse: number },
  largest: { readonly forward: number; readonly reverse: number | null },
): TcpDocument {
  const forward = Math.min(handshake.destination.arrived, mtus.forward - IP_AND_TCP)
  const reverse = Math.min(handshake.source.arrived, mtus.reverse - IP_AND_TCP)
  const fits = { forward: forward + IP_AND_TCP <= largest.forward, reverse: largest.reverse === null ? null : reverse + IP_AND_TCP <= largest.reverse }
  return { ...handshake, forward, reverse, fits }
}
