/**
 * From the typed rows of a walk to the words of a trace document: hops, steps, frames, the verdict with its cause, the MTU
 * arithmetic, and what the client sees. The walk's buffers are read here and nowhere else.
 */
import { formatIp } from '../base/ip.js'
import { frameLength, encodeFrame } from '../wire/frame.js'
import { FRAME_STRIDE, ROW_KIND, ROW_LEG, ROW_MARK, ROW_NETNS, ROW_PACKET, ROW_TTL, STEP_KINDS, STEP_STRIDE } from '../net/trace.js'
import { NETNS_POD, isBeyond, type Netns } from '../net/netns.js'
import { LEG_FORWARD, LEG_REPLY } from '../wire/packet.js'
import type { Endpoint } from '../network/endpoint.js'
import type { CalicoPlan } from '../network/calico-part.js'
import type { Network } from '../network/network.js'
import type { TraceRequest } from '../network/request.js'
import type { LegOutcome } from '../network/leg-outcome.js'
import type { TraceOutcome } from '../network/probe.js'
import { lookupDocument } from './name-lookup.js'
import { devicesOf } from './trace-devices.js'
import { packetFacts } from './packet-facts.js'
import { mtuOf } from './trace-mtu.js'
import { ruleDropOf } from './rule-drop.js'
import { triedRules } from './rule-walk.js'
import { stepOf } from './trace-step.js'
import { resultOf, warningsOf } from './trace-verdict.js'
import type { EndDocument, FrameDocument, HopDocument, LegDocument, MetadataDocument, StepDocument, TraceDocument } from './trace-document.js'

const TOOL = 'netsim'

/** Reads the rows of the network's last question: call it before the next one is asked. */
export function traceDocument(network: Network, outcome: TraceOutcome): TraceDocument {
  const { request } = outcome
  const numbers = numberSteps(network)
  const reading = { network, outcome, numbers, all: request.level > 0 }
  const forward = legOf(reading, LEG_FORWARD, outcome.forward)
  const reply = outcome.reply === null ? null : legOf(reading, LEG_REPLY, outcome.reply)
  const mtu = mtuOf(network, outcome)
  return {
    apiVersion: 'netsim/v1',
    kind: 'Trace',
    disposition: outcome.disposition,
    metadata: metadataOf(network, request),
    request: {
      source: endOf(outcome.source),
      destination: endOf(outcome.destination),
      proto: outcome.proto,
      sport: request.sport,
      dport: outcome.dport,
      size: outcome.size,
      df: request.df || outcome.proto === 'tcp',
      ttl: request.ttl,
      cold: request.cold,
    },
    ...(outcome.destination.resolution === undefined ? {} : { lookup: lookupDocument(outcome.destination.resolution) }),
    forward,
    reply,
    result: resultOf(network, outcome, { forward, reply, mtu, numbers, drop: ruleDropOf(network, outcome) }),
    mtu,
    devices: devicesOf(network),
    warnings: [...warningsOf(network), ...(outcome.destination.resolution === undefined ? [] : network.dns.settings.notes)],
    notModelled: notModelledOf(network, outcome),
  }
}

export function metadataOf(network: Network, { seed, cold }: Pick<TraceRequest, 'seed' | 'cold'>): MetadataDocument {
  const { cluster, flannel, calico } = network
  return {
    tool: TOOL,
    seed,
    inputs: [...new Set(cluster.objects.map(({ file }) => file))],
    cni: cluster.cni,
    backend: flannel?.config?.backendType ?? (calico === undefined ? 'none' : carrierOf(calico)),
    ...(calico === undefined ? {} : { calico: { release: calico.cluster.release.version, modes: modesOf(calico) } }),
    warm: !cold,
    ...(network.collected.length === 0 ? {} : { found: network.collected.map(({ name }) => name) }),
  }
}

/** How the pools that pods have their addresses from carry packets between nodes, and what encrypts them: `IPIP Always`. */
function modesOf({ cluster: { resources, felixSettings } }: CalicoPlan): readonly string[] {
  const pools = resources.ipPools.filter(({ disabled, allowedUses }) => !disabled && allowedUses.includes('Workload'))
  const modes = pools.map(({ ipipMode, vxlanMode }) =>
    ipipMode !== 'Never' ? `IPIP ${ipipMode}` : vxlanMode !== 'Never' ? `VXLAN ${vxlanMode}` : 'no encapsulation',
  )
  const encrypts = [...felixSettings.values()].some(({ wireguardEnabled }) => wireguardEnabled === true)
  return [...new Set(modes), ...(encrypts ? ['WireGuard'] : [])]
}

/** The encapsulation in one word. */
function carrierOf(plan: CalicoPlan): string {
  const modes = modesOf(plan)
  return ['wireguard', 'ipip', 'vxlan'].find((word) => modes.some((mode) => mode.toLowerCase().startsWith(word))) ?? 'none'
}

export function endOf(end: Endpoint): EndDocument {
  return { name: end.name, address: formatIp(end.address), node: end.node ?? null }
}

/** Index of a step row → the number that people see: forward first, then reply, in the order of time; rows without a line of their own have 0. */
export function numberSteps(network: Network): Int32Array {
  const { trace } = network.world
  const numbers = new Int32Array(trace.stepCount)
  let next = 1
  for (const leg of [LEG_FORWARD, LEG_REPLY]) {
    for (let i = 0; i < trace.stepCount; i++) {
      const at = i * STEP_STRIDE
      if (trace.steps[at + ROW_LEG] === leg && STEP_KINDS[trace.steps[at + ROW_KIND]] !== 'rule') numbers[i] = next++
    }
  }
  return numbers
}

interface Reading {
  readonly network: Network
  readonly outcome: TraceOutcome
  readonly numbers: Int32Array
  /** Also the rules that did not match. */
  readonly all: boolean
}

function legOf(reading: Reading, leg: number, outcome: LegOutcome): LegDocument {
  return { disposition: outcome.disposition, hops: hopsOf(reading, leg), frames: framesOf(reading.network, leg, reading.numbers) }
}

/** A hop is a packet's stay in one netns: a new one begins where the netns changes. */
function hopsOf({ network, outcome, numbers, all }: Reading, leg: number): HopDocument[] {
  const { trace, netns } = network.world
  const hops: { netns: Netns; timeNs: number; steps: StepDocument[] }[] = []
  for (let i = 0; i < trace.stepCount; i++) {
    const at = i * STEP_STRIDE
    if (trace.steps[at + ROW_LEG] !== leg) continue
    const kind = STEP_KINDS[trace.steps[at + ROW_KIND]]
    if (kind === 'rule') continue
    const stack = netns[trace.steps[at + ROW_NETNS]]
    let hop = hops[hops.length - 1]
    if (hop === undefined || hop.netns !== stack) {
      hop = { netns: stack, timeNs: trace.stepTimes[i], steps: [] }
      hops.push(hop)
    }
    const tried = kind === 'table' ? triedRules(network, stack, i) : []
    const facts = kind === 'table' && all ? packetFacts(network, outcome, i) : undefined
    const step = stepOf(network, i, { number: numbers[i], tried, facts, all })
    hop.steps.push({ ...step, packet: trace.steps[at + ROW_PACKET], ...stateOf(network, i) })
  }
  return hops.map(({ netns: stack, timeNs, steps }) => ({ ...placeOf(network, stack), timeNs, steps }))
}

/** What the packet was like when the step was written. */
function stateOf({ world: { trace } }: Network, index: number): Pick<StepDocument, 'timeNs' | 'ttl' | 'mark'> {
  const ttl = trace.steps[index * STEP_STRIDE + ROW_TTL]
  const mark = trace.steps[index * STEP_STRIDE + ROW_MARK]
  return { timeNs: trace.stepTimes[index], ...(ttl === 0 ? {} : { ttl }), ...(mark === 0 ? {} : { mark: mark >>> 0 }) }
}

/** Where a netns is: its node, and its pod. */
export function placeOf(network: Network, stack: Netns): Pick<HopDocument, 'node' | 'netns' | 'pod'> {
  if (stack.role === NETNS_POD) return { node: network.cluster.podByName.get(stack.name)?.node ?? '', netns: stack.name, pod: stack.name }
  return { node: stack.name, netns: stack.name }
}

/** The strictest promise (DESIGN.md 5.3): what a packet socket on every device of every node and pod sees. */
function framesOf(network: Network, leg: number, numbers: Int32Array): FrameDocument[] {
  const { trace, netns, devices } = network.world
  const frames: FrameDocument[] = []
  for (let i = 0; i < trace.frameCount; i++) {
    const at = i * FRAME_STRIDE
    const stack = netns[trace.frames[at]]
    if (trace.frames[at + 3] !== leg || isBeyond(stack)) continue
    const packet = trace.framePackets[i]
    const step = numberBefore(network, trace.frames[at + 5], { leg, numbers })
    frames.push({
      timeNs: trace.frameTimes[i],
      netns: stack.name,
      device: devices[trace.frames[at + 1]].name,
      direction: trace.frames[at + 2] === 1 ? 'tx' : 'rx',
      length: frameLength(packet),
      hex: Buffer.from(encodeFrame(packet)).toString('hex'),
      packet: packet.id,
      ...(step === 0 ? {} : { step }),
    })
  }
  return frames
}

/** The number of the last step of the leg before a row, 0 where there is none: a device notes what it does and then shows the frame. */
function numberBefore({ world: { trace } }: Network, row: number, { leg, numbers }: { readonly leg: number; readonly numbers: Int32Array }): number {
  for (let i = row - 1; i >= 0; i--) if (numbers[i] > 0 && trace.steps[i * STEP_STRIDE + ROW_LEG] === leg) return numbers[i]
  return 0
}

function notModelledOf(network: Network, outcome: TraceOutcome): string[] {
  const found: string[] = []
  const { unmodelled } = network.cluster.kubeProxy
  if (unmodelled !== undefined) found.push(`${unmodelled.what} (${unmodelled.file}:${unmodelled.line}); no Service is translated here`)
  for (const setting of network.calico?.unmodelled ?? [])
    found.push(`Felix: ${setting} of the FelixConfiguration; what is shown is the iptables dataplane of IPv4`)
  if (outcome.disposition === 'INCOMPLETE' && unmodelled === undefined)
    found.push('the packet met something that netsim does not model; the last step names it')
  return found
}
