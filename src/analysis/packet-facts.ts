/**
 * What a packet was like when a step was written: the packet as the nearest tap of its netns saw it, with what NAT and tunnels did to it in
 * between. A trace keeps no packet with a step, so a step far from any tap is read from the one that made the packet.
 */
import { ICMP_ECHO, ICMP_ECHOREPLY } from '../net/icmp.js'
import { CT_STATES } from '../net/netfilter/conntrack-tuple.js'
import {
  FRAME_STRIDE,
  ROW_A,
  ROW_KIND,
  ROW_LENGTH,
  ROW_MARK,
  ROW_NETNS,
  ROW_PACKET,
  ROW_TTL,
  STEP_AGENT,
  STEP_BRIDGE,
  STEP_CONNTRACK,
  STEP_DECAP,
  STEP_ENCAP,
  STEP_FORWARD,
  STEP_NAT,
  STEP_ORIGINATE,
  STEP_RECEIVE,
  STEP_ROUTE,
  STEP_STRIDE,
} from '../net/trace.js'
import { DEVICE_IPIP } from '../net/device.js'
import type { Network } from '../network/network.js'
import { PROTOCOL_NUMBERS } from '../network/client.js'
import type { TraceOutcome } from '../network/probe.js'
import { PROTO_IPIP, PROTO_UDP } from '../wire/packet.js'

/** Ports of an ICMP packet are its type and code. */
export interface PacketFacts {
  readonly src: number
  readonly dst: number
  readonly proto: number
  readonly sport: number
  readonly dport: number
  readonly ttl: number
  readonly length: number
  readonly mark: number
  /** ctstate; absent where conntrack has not seen it. */
  readonly state?: string
  readonly inDevice?: string
  readonly outDevice?: string
  readonly macHigh?: number
  readonly macLow?: number
}

type Addresses = Pick<PacketFacts, 'src' | 'dst' | 'proto' | 'sport' | 'dport' | 'macHigh' | 'macLow'>

/** @param outcome what was asked: its packet is that of the first step @returns undefined where nothing is known of the packet */
export function packetFacts(network: Network, outcome: TraceOutcome, index: number): PacketFacts | undefined {
  const { trace, devices } = network.world
  const at = index * STEP_STRIDE
  const addresses = addressesAt(network, outcome, index)
  if (addresses === undefined) return undefined
  const stay = stayOf(network, index)
  const last = (kind: number): number => stay.findLast((step) => trace.steps[step * STEP_STRIDE + ROW_KIND] === kind) ?? -1
  const arg = (step: number, place: number): number => trace.steps[step * STEP_STRIDE + ROW_A + place]
  const [tracked, received, bridged, forwarded, routed] = [STEP_CONNTRACK, STEP_RECEIVE, STEP_BRIDGE, STEP_FORWARD, STEP_ROUTE].map(last)
  // a bridge that keeps a frame for itself is where it came in
  const inDevice = forwarded >= 0 ? arg(forwarded, 0) : bridged > received ? arg(bridged, 0) : received >= 0 ? arg(received, 0) : -1
  const outDevice = forwarded >= 0 ? arg(forwarded, 1) : routed >= 0 ? arg(routed, 3) : -1
  return {
    ...addresses,
    ttl: trace.steps[at + ROW_TTL],
    length: trace.steps[at + ROW_LENGTH],
    mark: trace.steps[at + ROW_MARK],
    ...(tracked < 0 ? {} : { state: CT_STATES[arg(tracked, 0)] ?? 'NEW' }),
    ...(inDevice < 0 ? {} : { inDevice: devices[inDevice].name }),
    ...(outDevice < 0 ? {} : { outDevice: devices[outDevice].name }),
  }
}

/** The steps of the packet in this netns up to `index`, from where it came in, was made, or came out of a tunnel. */
function stayOf({ world: { trace } }: Network, index: number): readonly number[] {
  const { steps } = trace
  const [netns, packet] = [steps[index * STEP_STRIDE + ROW_NETNS], steps[index * STEP_STRIDE + ROW_PACKET]]
  const stay: number[] = []
  for (let step = index - 1; step >= 0; step--) {
    const at = step * STEP_STRIDE
    if (steps[at + ROW_PACKET] !== packet) continue
    if (steps[at + ROW_NETNS] !== netns) break
    const kind = steps[at + ROW_KIND]
    if (kind === STEP_ENCAP || kind === STEP_DECAP) break
    stay.unshift(step)
    if (kind === STEP_RECEIVE || kind === STEP_ORIGINATE) break
  }
  return stay
}

function addressesAt(network: Network, outcome: TraceOutcome, index: number): Addresses | undefined {
  const { trace } = network.world
  const id = trace.steps[index * STEP_STRIDE + ROW_PACKET]
  for (let frame = trace.frameCount - 1; frame >= 0; frame--) {
    const at = frame * FRAME_STRIDE
    if (trace.frames[at + 4] !== id || trace.frames[at + 5] > index) continue
    const { src, dst, proto, sport, dport, srcMacHigh, srcMacLow } = trace.framePackets[frame]
    return changed(network, { src, dst, proto, sport, dport, macHigh: srcMacHigh, macLow: srcMacLow }, { id, from: trace.frames[at + 5], to: index })
  }
  const first = firstStep(network, id)
  const made = first < 0 ? undefined : madeAddresses(network, outcome, first)
  return made === undefined ? undefined : changed(network, made, { id, from: first, to: index })
}

function firstStep({ world: { trace } }: Network, id: number): number {
  for (let step = 0; step < trace.stepCount; step++) if (trace.steps[step * STEP_STRIDE + ROW_PACKET] === id) return step
  return -1
}

/** What nobody has seen yet: the asked packet itself, or the answer to it. Of an ICMP error and of a tunnel's own messages nothing is known. */
function madeAddresses({ world: { trace } }: Network, outcome: TraceOutcome, step: number): Addresses | undefined {
  const [kind, action, src, dst] = [ROW_KIND, ROW_KIND + 1, ROW_A, ROW_A + 1].map((offset) => trace.steps[step * STEP_STRIDE + offset])
  if (kind !== STEP_ORIGINATE) return undefined
  const { request, proto, dport } = outcome
  const common = { src: src === 0 ? outcome.source.address : src, dst, proto: PROTOCOL_NUMBERS[proto] }
  const echo = proto === 'icmp'
  if (action === 0) return { ...common, ...(echo ? { sport: ICMP_ECHO, dport: 0 } : { sport: request.sport, dport }) }
  // behind DNAT the answer's port is not the one that was asked for
  if ((action === 2 || action === 3) && src === outcome.destination.address)
    return { ...common, ...(echo ? { sport: ICMP_ECHOREPLY, dport: 0 } : { sport: dport, dport: request.sport }) }
  return undefined
}

/** What NAT and the entry of a tunnel made of it; undefined behind a process, and behind the end of a tunnel that no tap shows. */
function changed(
  { world: { trace, devices } }: Network,
  seen: Addresses,
  { id, from, to }: { readonly id: number; readonly from: number; readonly to: number },
): Addresses | undefined {
  let now = seen
  for (let step = from; step < to; step++) {
    const at = step * STEP_STRIDE
    if (trace.steps[at + ROW_PACKET] !== id) continue
    const kind = trace.steps[at + ROW_KIND]
    const [a, b, c, d, e] = trace.steps.subarray(at + ROW_A, at + ROW_A + 5)
    if (kind === STEP_NAT) now = a === 0 ? { ...now, src: c, ...(d === e ? {} : { sport: e }) } : { ...now, dst: c, ...(d === e ? {} : { dport: e }) }
    else if (kind === STEP_ENCAP) now = { src: b, dst: c, proto: devices[a].kind === DEVICE_IPIP ? PROTO_IPIP : PROTO_UDP, sport: d, dport: e }
    else if (kind === STEP_DECAP || kind === STEP_AGENT) return undefined
  }
  return now
}
