/** What became of one packet of a probe: from a question's outcome, whose rows still stand, to its class, where it ended and who told the sender. */
import type { Problem } from '../../base/problem.js'
import { TABLE_NAMES } from '../../dataplane/iptables.js'
import { printRule } from '../../dataplane/iptables-print.js'
import {
  ICMP_DEST_UNREACH,
  ICMP_FRAG_NEEDED,
  ICMP_HOST_UNREACH,
  ICMP_NET_UNREACH,
  ICMP_PKT_FILTERED,
  ICMP_PORT_UNREACH,
  ICMP_PROT_UNREACH,
  ICMP_TIME_EXCEEDED,
} from '../../net/icmp.js'
import { ARP_IGNORED } from '../../net/arp.js'
import { NETNS_NODE, NETNS_ROUTER, type Netns } from '../../net/netns.js'
import { FRAME_STRIDE, ROW_A, ROW_ACTION, ROW_KIND, ROW_LEG, ROW_NETNS, ROW_PACKET, STEP_ARP, STEP_DROP, STEP_STRIDE, type Trace } from '../../net/trace.js'
import { LEG_FORWARD, LEG_REPLY, PROTO_ICMP, PROTO_TCP, TCP_RST } from '../../wire/packet.js'
import { droppingTable } from '../dropping-table.js'
import type { LegOutcome } from '../leg-outcome.js'
import type { Network } from '../network.js'
import type { TraceOutcome } from '../probe.js'
import { lossText } from '../unplugged.js'
import { NOT_MODELLED } from '../request-problem.js'
import type { ProbeClass, ProbePlace, ProbeResult, Told } from './probe-history.js'

const DESTINATION_UNREACHABLE: Readonly<Record<number, string>> = {
  [ICMP_NET_UNREACH]: 'net unreachable',
  [ICMP_HOST_UNREACH]: 'host unreachable',
  [ICMP_PROT_UNREACH]: 'protocol unreachable',
  [ICMP_PORT_UNREACH]: 'port unreachable',
  [ICMP_FRAG_NEEDED]: 'fragmentation needed',
  9: 'net prohibited',
  10: 'host prohibited',
  [ICMP_PKT_FILTERED]: 'administratively prohibited',
}

/** Of ends that are not there, or a question that netsim cannot answer. */
export function resultOfProblems(problems: readonly Problem[]): ProbeResult {
  const isUnknown = problems.some(({ file }) => file === NOT_MODELLED)
  return { class: isUnknown ? 'unknown' : 'no end', reason: problems.map(({ what }) => what).join('; '), via: [] }
}

/** @param outcome of the network's last question */
export function resultOf(network: Network, outcome: TraceOutcome): ProbeResult {
  const { disposition, forward, reply } = outcome
  const told = toldOf(network, outcome)
  const kind = classOf(outcome, told)
  const via = viaOf(network)
  if (kind === 'works') return { class: kind, disposition, reason: '', via }
  const leg = disposition === 'REPLY_LOST' ? (reply ?? forward) : forward
  const where = placeOf(network, leg)
  return {
    class: kind,
    disposition,
    reason: leg.kernelReason,
    via,
    ...(where === undefined ? {} : { where }),
    ...(kind === 'refused' && told !== undefined ? { told } : {}),
  }
}

/** Whether the sender counts it as lost. */
export function isLost({ class: kind }: Pick<ProbeResult, 'class'>): boolean {
  return kind !== 'works'
}

function classOf({ disposition }: TraceOutcome, told: Told | undefined): ProbeClass {
  switch (disposition) {
    case 'DELIVERED':
      return 'works'
    case 'INCOMPLETE':
    case 'AMBIGUOUS':
    case 'EXITED':
      return 'unknown'
    case 'LOOP':
    case 'TTL_EXCEEDED':
      return 'looped'
    default:
      return told === undefined ? 'black-holed' : 'refused'
  }
}

function toldOf(network: Network, outcome: TraceOutcome): Told | undefined {
  const { answer, disposition, forward } = outcome
  if (answer !== null && answer.proto === PROTO_TCP && (answer.flags & TCP_RST) !== 0) return { by: 'TCP RST', from: answer.from, afterNs: answer.timeNs }
  if (answer !== null && answer.proto === PROTO_ICMP) {
    const { type, code, from, timeNs: afterNs } = answer
    if (type === ICMP_DEST_UNREACH) return { by: `ICMP ${DESTINATION_UNREACHABLE[code] ?? `destination unreachable, code ${code}`}`, from, afterNs }
    if (type === ICMP_TIME_EXCEEDED) return { by: 'ICMP time exceeded', from, afterNs }
  }
  // what never left its host is an errno of sendmsg() or connect(); ARP's failure comes later, by ICMP
  const isAtHome = forward.netns >= 0 && network.world.netns[forward.netns].name === outcome.source.netns
  const isError = isAtHome && disposition !== 'DELIVERED' && disposition !== 'REPLY_LOST' && disposition !== 'NEIGHBOR_FAILED' && disposition !== 'NO_SOCKET'
  return isError && !wasSent(network, outcome.packetId) ? { by: 'error of the socket', from: '', afterNs: 0 } : undefined
}

function wasSent({ world: { trace } }: Network, packetId: number): boolean {
  for (let i = 0; i < trace.frameCount; i++) if (trace.frames[i * FRAME_STRIDE + 4] === packetId) return true
  return false
}

function placeOf(network: Network, leg: LegOutcome): ProbePlace | undefined {
  const { world } = network
  if (leg.netns < 0) return undefined
  const netns = world.netns[leg.netns]
  const node = netns.role === NETNS_NODE ? netns.name : network.cluster.podByName.get(netns.name)?.node
  const rule = leg.disposition === 'DENIED' || leg.disposition === 'REJECTED' || leg.disposition === 'NO_ENDPOINT' ? ruleOf(network, leg) : undefined
  const at = leg.step * STEP_STRIDE
  const detail = leg.step >= 0 && world.trace.steps[at + ROW_KIND] === STEP_DROP ? dropText(network, at) : ''
  return { netns: netns.name, ...(node === undefined ? {} : { node }), ...(rule === undefined ? {} : { rule }), ...(detail === '' ? {} : { detail }) }
}

/** @param at of the row */
function dropText(network: Network, at: number): string {
  const { steps } = network.world.trace
  return lossText(network, network.world.words[steps[at + ROW_A + 2]], steps[at + ROW_A + 3])
}

function ruleOf({ world }: Network, { step }: LegOutcome): string | undefined {
  const table = step < 0 ? -1 : droppingTable(world, step)
  if (table < 0) return undefined
  const { steps } = world.trace
  const [, number, chain, rule] = steps.subarray(table * STEP_STRIDE + ROW_A, table * STEP_STRIDE + ROW_A + 4)
  const netfilter = world.netns[steps[table * STEP_STRIDE + ROW_NETNS]].netfilter
  const decided = rule < 0 ? undefined : netfilter?.ruleAt(number, chain, rule)
  const place = `${TABLE_NAMES[number]} ${netfilter?.chainName(chain) ?? ''}`
  return decided === undefined ? `${place}: policy` : `${place}: ${printRule(decided)}`
}

/** Nodes and routers in the order in which they are met. Who hears an ARP request for somebody else, as all of a segment do, is none of them. */
function viaOf({ world: { trace, netns } }: Network): string[] {
  const via = new Set<string>()
  const overheard = overheardArp(trace, netns)
  for (const leg of [LEG_FORWARD, LEG_REPLY]) {
    for (let at = 0; at < trace.stepCount * STEP_STRIDE; at += STEP_STRIDE) {
      if (trace.steps[at + ROW_LEG] !== leg || overheard.has(arrivalAt(trace, at))) continue
      const { role, fabric, name } = netns[trace.steps[at + ROW_NETNS]]
      if (fabric === 0 && (role === NETNS_NODE || role === NETNS_ROUTER)) via.add(name)
    }
  }
  return [...via]
}

function overheardArp({ steps, stepCount }: Trace, netns: readonly Netns[]): ReadonlySet<string> {
  const overheard = new Set<string>()
  for (let at = 0; at < stepCount * STEP_STRIDE; at += STEP_STRIDE) {
    if (steps[at + ROW_KIND] !== STEP_ARP || steps[at + ROW_ACTION] !== ARP_IGNORED) continue
    const asked = steps[at + ROW_A + 2]
    const { devices } = netns[steps[at + ROW_NETNS]].dataplane
    if (!devices.some(({ addresses }) => addresses.some(({ address }) => address === asked))) overheard.add(arrivalAt({ steps }, at))
  }
  return overheard
}

/** A packet at a netns. */
function arrivalAt({ steps }: Pick<Trace, 'steps'>, at: number): string {
  return `${steps[at + ROW_NETNS]} ${steps[at + ROW_PACKET]}`
}

/** What must be alike for two packets to have fared alike; how soon the sender was told, and the way of what arrived, are not part of it. */
export function keyOf({ class: kind, disposition, reason, where, told }: ProbeResult): string {
  return kind === 'works' ? kind : [kind, disposition ?? '', reason, where?.netns ?? '', told?.by ?? ''].join('\n')
}
