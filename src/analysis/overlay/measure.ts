/**
 * One backend on one way: real packets through the simulation, and what their rows say. No formula: a byte that is told was in a frame.
 */
import { DEVICE_NIC, DEVICE_WIREGUARD } from '../../net/device.js'
import { isBeyond, NETNS_NODE } from '../../net/netns.js'
import {
  DIRECTION_TX,
  FRAME_STRIDE,
  ROW_A,
  ROW_KIND,
  ROW_LEG,
  ROW_LENGTH,
  STEP_AGENT,
  STEP_BRIDGE,
  STEP_CONNTRACK,
  STEP_DECAP,
  STEP_DEFRAGMENT,
  STEP_ENCAP,
  STEP_FORWARD,
  STEP_FRAGMENT,
  STEP_KINDS,
  STEP_NAT,
  STEP_STRIDE,
  STEP_TABLE,
} from '../../net/trace.js'
import type { Network } from '../../network/network.js'
import { isOutcome } from '../../network/probe.js'
import { DEFAULT_REQUEST, type TraceRequest } from '../../network/request.js'
import { LENGTH as ETHERNET } from '../../wire/ethernet.js'
import { frameLength } from '../../wire/frame.js'
import { LEG_REPLY } from '../../wire/packet.js'
import { largestOf } from '../mtu-direction.js'
import { cpuNs, type CostConstant, type CostName, type Counts } from './cost-model.js'
import type { BackendWay, SizeDocument, WayDocument } from './document.js'

/** IEEE 802.3: preamble and start 8, frame check sequence 4, gap 12. */
export const FRAMING = 24
/** UDP's discard: the port is taken as open. */
const PORT = 9
const IP_AND_UDP = 28
const IP_AND_TCP = 40
const TIMESTAMPS = 12
const SMALLEST = 64

export interface Measuring {
  readonly network: Network
  readonly way: WayDocument
  /** Pods' names. */
  readonly from: string
  readonly to: string
  readonly sizes: readonly number[]
  readonly costs: Readonly<Record<CostName, CostConstant>>
  readonly seed: number
}

export function measureWay(measuring: Measuring): BackendWay {
  const { network, way, from } = measuring
  const request = requestOf(measuring)
  const eth0 = network.netns(`default/${from}`)?.devices.find(({ name }) => name === 'eth0')
  const podMtu = eth0?.mtu ?? 0
  const first = sizeOf(measuring, request, SMALLEST)
  if (typeof first === 'string' || first.disposition !== 'DELIVERED') {
    const why = typeof first === 'string' ? first : first.disposition
    return { way: way.name, unreachable: why, podMtu, largest: 0, mss: 0, mssTimestamps: 0, sizes: [] }
  }
  const largest = largestOf({ network, request, answers: false, sourceNetns: `default/${from}` }, podMtu)
  const edges = [podMtu, largest].flatMap((edge) => [edge - 1, edge, edge + 1])
  const sizes = [...new Set([...measuring.sizes, ...edges])].filter((size) => size >= IP_AND_UDP && size <= 65535).sort((a, b) => a - b)
  return {
    way: way.name,
    podMtu,
    largest,
    mss: Math.max(0, largest - IP_AND_TCP),
    mssTimestamps: Math.max(0, largest - IP_AND_TCP - TIMESTAMPS),
    sizes: sizes.flatMap((size) => {
      const found = sizeOf(measuring, request, size)
      return typeof found === 'string' ? [] : [found]
    }),
  }
}

function requestOf({ from, to, seed }: Measuring): TraceRequest {
  return { ...DEFAULT_REQUEST, source: from, destination: `${to}:${PORT}`, proto: 'udp', listen: true, seed }
}

/** Of the forward leg of the question that was asked last. */
export function lastCounts(network: Network): Counts {
  return countsOf(network, kindsOf(network))
}

/** A text: why it could not be asked. */
function sizeOf({ network, way, costs }: Measuring, request: TraceRequest, size: number): SizeDocument | string {
  const outcome = network.trace({ ...request, size })
  if (!isOutcome(outcome)) return outcome.map(({ what }) => what).join('; ')
  const { frames, wireBytes } = sentOf(network)
  const kinds = kindsOf(network)
  const counts = countsOf(network, kinds)
  const cpu = cpuNs(counts, costs)
  const plain = size + ETHERNET
  return {
    size,
    disposition: outcome.disposition,
    frames,
    wireBytes,
    overheadBytes: wireBytes - plain,
    overheadPercent: Math.round(((wireBytes - plain) * 10000) / plain) / 100,
    goodput: frames === 0 ? 0 : Math.round(((size - IP_AND_UDP) * way.rate) / (wireBytes + frames * FRAMING)),
    hosts: hostsOf(network),
    counts,
    headerOperations: operationsOf(network, kinds),
    cpuNs: cpu,
    latencyNs: Math.round(elapsedOf(network)) + cpu,
  }
}

/** Frames of the forward leg that the first node's card sends. */
function sentOf({ world }: Network): { readonly frames: number; readonly wireBytes: number } {
  const { trace, netns, devices } = world
  let sender = -1
  let frames = 0
  let wireBytes = 0
  for (let i = 0; i < trace.frameCount; i++) {
    const at = i * FRAME_STRIDE
    if (trace.frames[at + 3] === LEG_REPLY || trace.frames[at + 2] !== DIRECTION_TX) continue
    if (netns[trace.frames[at]].role !== NETNS_NODE || devices[trace.frames[at + 1]].kind !== DEVICE_NIC) continue
    if (sender === -1) sender = trace.frames[at]
    if (sender !== trace.frames[at]) continue
    frames++
    wireBytes += frameLength(trace.framePackets[i])
  }
  return { frames, wireBytes }
}

/** Offsets of the forward leg's steps. */
function* forwardRows({ world: { trace } }: Network): Generator<number> {
  for (let i = 0; i < trace.stepCount; i++) {
    const at = i * STEP_STRIDE
    if (trace.steps[at + ROW_LEG] !== LEG_REPLY) yield at
  }
}

/** How many steps of each kind the forward leg has. */
function kindsOf(network: Network): Int32Array {
  const kinds = new Int32Array(STEP_KINDS.length)
  for (const at of forwardRows(network)) kinds[network.world.trace.steps[at + ROW_KIND]]++
  return kinds
}

function countsOf(network: Network, kinds: Int32Array): Counts {
  const { trace, devices, netns } = network.world
  const { steps, frames } = trace
  const found = { devices: 0, rules: 0, seals: 0, sealedBytes: 0 }
  for (let at = 0; at < trace.frameCount * FRAME_STRIDE; at += FRAME_STRIDE) if (frames[at + 3] !== LEG_REPLY && !isBeyond(netns[frames[at]])) found.devices++
  for (const at of forwardRows(network)) {
    const kind = steps[at + ROW_KIND]
    if (kind === STEP_TABLE) found.rules += steps[at + ROW_A + 4]
    if ((kind !== STEP_ENCAP && kind !== STEP_DECAP) || devices[steps[at + ROW_A]].kind !== DEVICE_WIREGUARD) continue
    found.seals++
    found.sealedBytes += steps[at + ROW_LENGTH]
  }
  return {
    ...found,
    bridges: kinds[STEP_BRIDGE],
    tunnels: kinds[STEP_ENCAP] + kinds[STEP_DECAP],
    crossings: kinds[STEP_AGENT],
    lookups: kinds[STEP_CONNTRACK],
  }
}

function operationsOf(network: Network, kinds: Int32Array): SizeDocument['headerOperations'] {
  const { steps } = network.world.trace
  return {
    encapsulated: kinds[STEP_ENCAP],
    decapsulated: kinds[STEP_DECAP],
    ttlLowered: kinds[STEP_FORWARD],
    rewritten: kinds[STEP_NAT],
    fragmented: kinds[STEP_FRAGMENT],
    reassembled: [...forwardRows(network)].filter((at) => steps[at + ROW_KIND] === STEP_DEFRAGMENT && steps[at + ROW_A + 1] === 1).length,
  }
}

function hostsOf({ world: { trace, netns } }: Network): number {
  const seen = new Set<number>()
  for (let i = 0; i < trace.frameCount; i++) {
    const at = i * FRAME_STRIDE
    if (trace.frames[at + 3] !== LEG_REPLY && netns[trace.frames[at]].role === NETNS_NODE) seen.add(trace.frames[at])
  }
  return seen.size
}

/** From the first step to the last of the forward leg: cables, their queues, and the user-space proxies' turn. */
function elapsedOf(network: Network): number {
  const { stepTimes } = network.world.trace
  let last = 0
  for (const at of forwardRows(network)) last = stepTimes[at / STEP_STRIDE]
  return last - stepTimes[0]
}
