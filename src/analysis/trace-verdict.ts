/** The last block of a trace: the verdict's cause in a sentence, what the client sees, what would mend it, what to ask next. */
import { match } from 'ts-pattern'
import { formatIp, type Ip } from '../base/ip.js'
import { PROTO_ICMP, PROTO_TCP, TCP_RST } from '../wire/packet.js'
import { ICMP_ECHOREPLY } from '../net/icmp.js'
import type { Disposition } from '../net/disposition.js'
import type { Network } from '../network/network.js'
import type { LegOutcome } from '../network/leg-outcome.js'
import type { TraceOutcome } from '../network/probe.js'
import { DEVICE_NIC } from '../net/device.js'
import { FOREIGN_DESTINATION, FOREIGN_SOURCE } from '../net/link.js'
import { isBeyond } from '../net/netns.js'
import { DEFAULT_REQUEST } from '../network/request.js'
import { FRAME_STRIDE } from '../net/trace.js'
import { frameLength } from '../wire/frame.js'
import { LEG_FORWARD } from '../wire/packet.js'
import { arrivalOf, type Arrival } from './arrival.js'
import { dropCause, dropFixes } from './policy-advice.js'
import { noRouteAdvice, nullRouteAdvice } from './pool-advice.js'
import { losingLeg, type RuleDrop } from './rule-drop.js'
import { noEndpointAdvice, sourceRangeAdvice, untranslatedAdvice } from './service-advice.js'
import { icmpWords } from './trace-step.js'
import type { LegDocument, MtuDocument, ResultDocument, StepDocument } from './trace-document.js'
import { bytesAdded } from './trace-mtu.js'

interface Parts {
  readonly forward: LegDocument
  readonly reply: LegDocument | null
  readonly mtu: MtuDocument | null
  readonly numbers: Int32Array
  readonly drop: RuleDrop | undefined
}

const UNKNOWN: readonly Disposition[] = ['INCOMPLETE', 'AMBIGUOUS']
const NS_PER_MS = 1e6
/** The kernel's words where a VXLAN device finds no VTEP; the other tunnels have none for it, and no FDB either. */
const LOST_BY_VXLAN: readonly (string | undefined)[] = ['NO_TX_TARGET', 'VXLAN_VNI_NOT_FOUND', 'VXLAN_INVALID_HDR', 'IP_OUTNOROUTES']

export function resultOf(network: Network, outcome: TraceOutcome, parts: Parts): ResultDocument {
  const losing = losingLeg(outcome)
  const lost = outcome.disposition !== 'DELIVERED'
  const step = lost ? decidingStep(losing, parts) : undefined
  const netns = losing.netns < 0 ? undefined : network.world.netns[losing.netns].name
  const wireFrame = largestWireFrame(network)
  const arrival = arrivalOf(network, outcome)
  const drop = parts.drop
  const ofService = losing.disposition === 'NO_ENDPOINT' ? noEndpointAdvice(network, step) : lost ? sourceRangeAdvice(network, outcome, step) : undefined
  const service = lost ? untranslatedAdvice(network, outcome, lostAddress(outcome, losing)) : undefined
  return {
    disposition: outcome.disposition,
    reachable: UNKNOWN.includes(outcome.disposition) ? null : !lost,
    ...(step === undefined ? {} : { step: step.n }),
    ...(lost && netns !== undefined ? { netns } : {}),
    ...(lost && losing.kernelReason !== '' ? { kernelReason: losing.kernelReason } : {}),
    cause:
      outcome.disposition === 'AMBIGUOUS'
        ? `${netns ?? ''} has the address ${formatIp(outcome.destination.address)} too, and got the packet`
        : (ofService?.cause ?? causeOf(outcome, step, drop)),
    client: clientOf(outcome),
    ...nearOf(drop),
    fixes:
      ofService?.fixes ??
      fixesOf(outcome, step, {
        drop,
        mtu: parts.mtu,
        outside: losing.netns >= 0 && isBeyond(network.world.netns[losing.netns]),
        service,
        noRoute: noRouteAdvice(network, lostAddress(outcome, losing), netns),
        nullRoute: nullRouteAdvice(network, lostAddress(outcome, losing)),
      }),
    next: nextOf(outcome),
    ...(arrival === undefined ? {} : arrivalFields(arrival)),
    overhead: wireFrame === 0 ? (parts.mtu?.overhead ?? 0) : bytesAdded(network),
    ...(wireFrame === 0 ? {} : { wireFrame }),
  }
}

/** The step that ended the packet; for a netfilter drop the table's step right before it, which names the rule. */
function decidingStep(losing: LegOutcome, { forward, reply, numbers }: Parts): StepDocument | undefined {
  if (losing.step < 0) return undefined
  const all = [...forward.hops, ...(reply?.hops ?? [])].flatMap(({ steps }) => steps)
  const at = all.findIndex(({ n }) => n === numbers[losing.step])
  if (at < 0) return undefined
  if (losing.disposition !== 'DENIED' && losing.disposition !== 'REJECTED' && losing.disposition !== 'NO_ENDPOINT') return all[at]
  for (let i = at - 1; i >= 0; i--) if (all[i].kind === 'table' && all[i].action === 'DROP') return all[i]
  return all[at]
}

function arrivalFields({ ttl, ...server }: Arrival): Pick<ResultDocument, 'server' | 'ttlAtArrival'> {
  return { server, ttlAtArrival: ttl }
}

function largestWireFrame(network: Network): number {
  const { trace, devices } = network.world
  let largest = 0
  for (let i = 0; i < trace.frameCount; i++) {
    const at = i * FRAME_STRIDE
    if (trace.frames[at + 3] === LEG_FORWARD && devices[trace.frames[at + 1]].kind === DEVICE_NIC)
      largest = Math.max(largest, frameLength(trace.framePackets[i]))
  }
  return largest
}

function ends(outcome: TraceOutcome): { readonly from: string; readonly to: string } {
  const port = outcome.dport === 0 ? '' : `:${outcome.dport}`
  return { from: outcome.source.name, to: `${outcome.destination.name}${port}` }
}

function nearOf(drop: RuleDrop | undefined): Pick<ResultDocument, 'policies' | 'near'> {
  if (drop === undefined) return {}
  const { policies, near } = drop.nearness
  return { ...(policies.length === 0 ? {} : { policies }), ...(near.length === 0 ? {} : { near: near.map(({ document }) => document) }) }
}

function causeOf(outcome: TraceOutcome, step: StepDocument | undefined, drop: RuleDrop | undefined): string {
  const { from, to } = ends(outcome)
  if (outcome.disposition === 'DELIVERED') return `${from} reaches ${to}`
  if (outcome.disposition === 'REPLY_LOST') {
    const why = drop?.policy === undefined ? step?.text : dropCause(drop.policy)
    return `the packet arrives at ${to}, the answer is lost${why === undefined ? '' : `: ${why}`}`
  }
  if (step === undefined) return 'nothing of the packet was seen to end'
  if (outcome.disposition === 'INCOMPLETE' && outcome.forward.disposition === 'DELIVERED')
    return `the packet arrives at ${to}, what becomes of the answer is not known: ${step.text}`
  if (outcome.disposition !== 'DENIED' && outcome.disposition !== 'REJECTED') return step.text
  return drop?.policy === undefined ? ruleSentence(outcome, step) : dropCause(drop.policy)
}

/** `the owner of the host (fw.yaml:12) drops it in filter/FORWARD: -p udp --dport 9000 -j DROP`. */
function ruleSentence(outcome: TraceOutcome, step: StepDocument): string {
  if (step.kind !== 'table') return step.text
  const verb = outcome.disposition === 'DENIED' ? 'drops' : 'rejects'
  const where = `${step.at?.table ?? ''}/${step.at?.chain ?? ''}`
  if (step.at?.rule === undefined) return `the policy of ${where} ${verb} it: no rule accepted it`
  const from = step.provenance
  const place = from?.file === undefined ? '' : ` (${from.file}:${from.line ?? 0})`
  const text = step.text.replace(/^[^#]*#\d+\s+/, '')
  return `${from === undefined ? 'a rule' : `a rule by ${from.by}${place}`} ${verb} it: ${where} #${step.at.rule}  ${text}`
}

function clientOf(outcome: TraceOutcome): string {
  const { answer } = outcome
  if (answer === null && outcome.disposition === 'INCOMPLETE') return 'not known'
  if (answer !== null && answer.proto === PROTO_ICMP && answer.type !== ICMP_ECHOREPLY)
    return `ICMP ${icmpWords(answer.type, answer.code, answer.mtu)} from ${answer.from}`
  if (answer !== null && answer.proto === PROTO_TCP) {
    if (outcome.forward.disposition === 'TOO_BIG' && outcome.reply?.disposition === 'DELIVERED')
      return 'connects; TCP itself would cut data of that size into segments of the MSS'
    if ((answer.flags & TCP_RST) !== 0) return `connection refused (RST from ${answer.from})`
    return outcome.disposition === 'DELIVERED'
      ? `connected (SYN-ACK after ${(answer.timeNs / NS_PER_MS).toFixed(2)} ms)`
      : 'connects, then data is retransmitted without an answer'
  }
  if (answer !== null && answer.proto !== PROTO_ICMP) return `an answer from ${answer.from} after ${(answer.timeNs / NS_PER_MS).toFixed(2)} ms`
  if (answer !== null) return `echo reply from ${answer.from}, ttl ${answer.ttl}, after ${(answer.timeNs / NS_PER_MS).toFixed(2)} ms`
  if (outcome.forward.disposition === 'TOO_BIG') return 'the call fails with EMSGSIZE (message too long)'
  if (outcome.proto === 'udp') return outcome.disposition === 'DELIVERED' ? 'nothing: UDP is not answered' : 'nothing: no ICMP comes back'
  if (outcome.proto === 'tcp') return 'SYN is retransmitted, then the connection times out (no RST, no ICMP)'
  return 'no echo reply: 100 % packet loss'
}

interface FixParts {
  readonly mtu: MtuDocument | null
  /** It ended at a router of the underlay. */
  readonly outside: boolean
  readonly drop: RuleDrop | undefined
  /** The destination is a Service's, and nobody translated it. */
  readonly service: string | undefined
  readonly noRoute: string | undefined
  readonly nullRoute: string | undefined
}

/** Where the losing leg was going. */
function lostAddress({ forward, source, destination }: TraceOutcome, losing: LegOutcome): Ip {
  return losing === forward ? destination.address : source.address
}

function fixesOf(outcome: TraceOutcome, step: StepDocument | undefined, { mtu, outside, drop, service, noRoute, nullRoute }: FixParts): string[] {
  if (drop?.policy !== undefined) return [...dropFixes(drop.policy)]
  if (service !== undefined) return [service]
  const place = step?.provenance?.file === undefined ? '' : ` (${step.provenance.file}:${step.provenance.line ?? 0})`
  return match(outcome.disposition)
    .returnType<string[]>()
    .with('DENIED', 'REJECTED', () => [
      step?.text === FOREIGN_SOURCE || step?.text === FOREIGN_DESTINATION
        ? 'switch the check off for that node (sourceDestinationCheck: false in spec.hosts), or take a backend with a tunnel'
        : step?.at?.rule === undefined
          ? 'let it pass before the policy of the chain drops it'
          : `change rule ${step.at.rule} of ${step.at.table ?? ''}/${step.at.chain ?? ''}${place}, or let the packet pass before it`,
    ])
    .with('NO_ROUTE', () =>
      noRoute !== undefined
        ? [noRoute]
        : outside
          ? ['the router knows its segments and nothing else: tell it more in spec.underlay.routers of the Network document']
          : ['the subnet has no lease, or the route is missing: netsim show leases, netsim show routes'],
    )
    .with('NO_VTEP', () => [
      LOST_BY_VXLAN.includes(step?.kernelReason)
        ? 'compare netsim show fdb and netsim show neigh with netsim show leases'
        : 'compare netsim show routes and netsim show addr with netsim show leases',
    ])
    .with('NEIGHBOR_FAILED', () => ['nobody has the address on that segment: is the host up, the lease stale, the pod gone?'])
    .with('TOO_BIG', 'BLACKHOLE', () =>
      mtu === null ? [] : [`send no more than ${mtu.path} bytes (TCP MSS ${mtu.mss})${mtu.inner > mtu.path ? `, or lower the pods' MTU to ${mtu.path}` : ''}`],
    )
    .with('RPFILTER', () => ['set net.ipv4.conf.*.rp_filter to 2 (loose) or 0 on that host, or mend the way back'])
    .with('NULL_ROUTED', () => (nullRoute === undefined ? [] : [nullRoute]))
    .with('NO_SOCKET', () => ['nothing listens there: correct the port, or ask with --listen'])
    .with('MARTIAN', () => ['an address of the host itself came in from outside: look for a duplicate address or a wrong NAT'])
    .with('DELIVERED', 'REPLY_LOST', 'EXITED', 'TTL_EXCEEDED', 'LOOP', 'NO_ENDPOINT', 'CORRUPT', 'AGENT_DROPPED', 'AMBIGUOUS', 'INCOMPLETE', () => [])
    .exhaustive()
}

/** What makes it the same question again. */
function flagsOf({ proto, request }: TraceOutcome): string {
  const flags = [
    proto === 'icmp' || proto === 'tcp' ? '' : ` --proto ${proto}`,
    request.size === undefined ? '' : ` --size ${request.size}`,
    request.df ? ' --df' : '',
    request.ttl === DEFAULT_REQUEST.ttl ? '' : ` --ttl ${request.ttl}`,
    request.cold ? ' --cold' : '',
    request.listen ? ' --listen' : '',
  ]
  return flags.join('')
}

function nextOf(outcome: TraceOutcome): string[] {
  const { source } = outcome
  const asked = `netsim trace ${source.name} ${ends(outcome).to}`
  const flags = flagsOf(outcome)
  const next = [`${asked}${flags} -v`]
  if (outcome.disposition === 'DELIVERED' && outcome.proto === 'icmp' && flags === '') next.push(`${asked} --size 1500 --df`)
  if (outcome.disposition !== 'DELIVERED' && source.node !== undefined) next.push(`netsim show routes ${source.node}`)
  return next
}

/** What is legal and yet surprises. */
export function warningsOf(network: Network): string[] {
  const warnings: string[] = []
  const { cluster } = network
  const policies = cluster.networkPolicies
  if (policies.length > 0 && (cluster.cni === 'flannel' || cluster.cni === 'none')) {
    const places = policies
      .slice(0, 3)
      .map(({ file, line }) => `${file}:${line}`)
      .join(', ')
    const one = policies.length === 1
    warnings.push(
      `${policies.length} NetworkPolic${one ? 'y has' : 'ies have'} no effect: ${cluster.cni === 'flannel' ? 'flannel' : 'plain docker'} ` +
        `has no policy engine (${places}${policies.length > 3 ? ', …' : ''})`,
    )
  }
  for (const [address, pods] of cluster.podsByAddress) {
    if (pods.length > 1)
      warnings.push(`${pods.length} pods have the address ${formatIp(address)}: ${pods.map(({ namespace, name }) => `${namespace}/${name}`).join(', ')}`)
  }
  return warnings
}
