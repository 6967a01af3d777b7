/**
 * One question: a packet is made at its source as the kernel there would make it, the world runs until everything that comes of it
 * has ended, and the ends are weighed into a disposition for each leg.
 */
import { formatIp } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import { IPV4_HEADER, Packet } from '../wire/packet.js'
import { decodeFrame } from '../wire/frame-decode.js'
import { resetWorld } from '../net/compile.js'
import { AMBIGUOUS, BLACKHOLE, DISPOSITIONS, INCOMPLETE, NO_ENDPOINT, REPLY_LOST, TOO_BIG, type Disposition } from '../net/disposition.js'
import type { Netns, World } from '../net/netns.js'
import { SPEC_ASSUMED, SPEC_UNDECLARED } from '../net/socket.js'
import { FRAME_STRIDE } from '../net/trace.js'
import { Client, PROTOCOL_NUMBERS, type Answer, type OpenConnection, type Question } from './client.js'
import { KUBELET, resolveEndpoint, type Endpoint } from './endpoint.js'
import type { Network } from './network.js'
import { lacksEndpoint } from './no-endpoint.js'
import { kubeletEnds } from './kubelet.js'
import { PROTOCOLS, type Protocol, type TraceRequest } from './request.js'
import { NOT_MODELLED, requestProblem } from './request-problem.js'
import { forwardOutcome, NO_END, replyOutcome, type LegOutcome } from './leg-outcome.js'
import { needsUnmodelledProxy } from './unmodelled-proxy.js'

/** ping's 56 bytes of data. */
const ECHO_LENGTH = 84
/** A UDP question without --size: 32 bytes of data. */
const DATAGRAM_LENGTH = 60
const SYN_LENGTH = 60
const IP_LENGTH_MAX = 65535
/** More events than any sound question makes: a storm. */
export const EVENT_LIMIT = 200_000

/** What came of a question. The rows stay in `network.world.trace` until the next one. */
export interface TraceOutcome {
  readonly request: TraceRequest
  readonly source: Endpoint
  readonly destination: Endpoint
  readonly proto: Protocol
  /** IP length of what was asked about. */
  readonly size: number
  readonly dport: number
  readonly disposition: Disposition
  readonly forward: LegOutcome
  /** null: nothing came back and nothing was due. */
  readonly reply: LegOutcome | null
  /** Packet that the question is about: the echo, the SYN, the data segment. */
  readonly packetId: number
  /** What came back to the source: TCP flags, ICMP type and code. */
  readonly answer: Answer | null
  /** Of a question that belongs to a connection (AskOptions): how far it is now. */
  readonly connection?: OpenConnection
}

/** A question that is one of several to the same network, which remembers (time/probe-runner.ts). */
export interface AskOptions {
  /** What kernels hold already: called once the world is fresh. */
  readonly remember?: (world: World) => void
  /** Called once, when nothing more happens up to this time of the question's clock (ns), or the question is over. */
  readonly watch?: { readonly untilNs: number; readonly seen: (world: World) => void }
  /** open: the packet opens a connection that goes on; else the next packet of this one. */
  readonly connection?: 'open' | OpenConnection
}

export function isOutcome(result: TraceOutcome | readonly Problem[]): result is TraceOutcome {
  return !Array.isArray(result)
}

export function runTrace(network: Network, request: TraceRequest, options: AskOptions = {}): TraceOutcome | readonly Problem[] {
  const question = readQuestion(network, request)
  if (Array.isArray(question)) return question
  return ask(network, question, options)
}

/** A packet that came whole: what it says of itself is the question. */
function readRaw(network: Network, request: TraceRequest, bytes: Uint8Array): Question | Problem[] {
  const packet = new Packet()
  const decoded = decodeFrame(bytes, { link: 'none' }, packet)
  const source = resolveEndpoint(network, request.source, request)
  if ('severity' in source) return [source]
  const netns = source.netns === undefined ? undefined : network.netns(source.netns)
  const absent = network.absenceOf(source.node ?? '')
  if (absent !== undefined) return [requestProblem(request.source, `nothing is sent from ${source.name}: node ${source.node} ${absent}`, '')]
  if (decoded !== 'ok' || netns === undefined) {
    const what = decoded === 'ok' ? `${source.name} is no pod, node or router here` : `the packet cannot be read: ${decoded}`
    return [requestProblem(request.source, what, 'A raw packet is an IPv4 packet, sent by a pod or a node.')]
  }
  const destination = resolveEndpoint(network, formatIp(packet.dst), request)
  if ('severity' in destination) return [destination]
  const proto = PROTOCOLS.find((name) => PROTOCOL_NUMBERS[name] === packet.proto) ?? 'icmp'
  return { request, source, destination, netns, proto, dport: packet.dport, size: packet.ipLength, packet }
}

export function readQuestion(network: Network, request: TraceRequest): Question | Problem[] {
  if (request.packet !== undefined) return readRaw(network, request, request.packet)
  const [source, destination] = resolveEnds(network, request)
  // the kubelet and whom it probes may be one Problem
  const problems = [...new Set([source, destination])].filter((end): end is Problem => 'severity' in end)
  if (problems.length > 0) return problems
  const from = source as Endpoint
  const to = destination as Endpoint
  const netns = from.netns === undefined ? undefined : network.netns(from.netns)
  const absent = network.absenceOf(from.node ?? '')
  if (absent !== undefined) problems.push(requestProblem(request.source, `nothing is sent from ${from.name}: node ${from.node} ${absent}`, ''))
  else if (netns === undefined)
    problems.push(
      requestProblem(request.source, `${from.name} is no pod, node or router here`, 'A question starts at a pod, a node or an address that one of them has.'),
    )
  const proto = request.proto ?? to.proto ?? (to.port === undefined ? 'icmp' : 'tcp')
  if (proto !== 'icmp' && to.port === undefined)
    problems.push(requestProblem(request.destination, `${proto} needs a port`, `Write ${request.destination}:PORT.`))
  if (proto === 'icmp' && to.port !== undefined)
    problems.push(requestProblem(request.destination, 'icmp has no ports', 'Leave the port out, or ask with --proto tcp.'))
  if (proto === 'sctp')
    problems.push({ ...requestProblem(request.destination, 'sctp is not modelled yet', 'Ask with --proto tcp or udp.'), file: NOT_MODELLED })
  const size = sizeOfPayload(request) ?? request.size ?? (proto === 'icmp' ? ECHO_LENGTH : proto === 'tcp' ? SYN_LENGTH : DATAGRAM_LENGTH)
  const smallest = proto === 'tcp' ? (request.size === undefined ? SYN_LENGTH : IPV4_HEADER + 32) : IPV4_HEADER + 8
  if (size < smallest || size > IP_LENGTH_MAX)
    problems.push(requestProblem('--size', `an IP packet of ${size} bytes cannot be`, `For ${proto} it has ${smallest} to ${IP_LENGTH_MAX} bytes.`))
  if (problems.length > 0 || netns === undefined) return problems
  return { request, source: from, destination: to, netns, proto, dport: to.port ?? 0, size }
}

/** A datagram of bytes that are given is as long as they are. */
function sizeOfPayload({ payload }: TraceRequest): number | undefined {
  return payload === undefined ? undefined : IPV4_HEADER + 8 + payload.length
}

/** The destination is looked up by the source's resolver; the kubelet is wherever the pod that it probes is. */
function resolveEnds(network: Network, request: TraceRequest): readonly [Endpoint | Problem, Endpoint | Problem] {
  const { namespace, proto } = request
  const context = { namespace, ...(proto === undefined ? {} : { proto }) }
  if (request.source === KUBELET) return kubeletEnds(network, resolveEndpoint(network, request.destination, context))
  const source = resolveEndpoint(network, request.source, { namespace })
  return [source, resolveEndpoint(network, request.destination, 'severity' in source ? context : { ...context, asker: source })]
}

function ask(network: Network, question: Question, { remember, watch, connection }: AskOptions): TraceOutcome {
  const { request, netns } = question
  const { world } = network
  resetWorld(world, { seed: request.seed, warm: !request.cold })
  remember?.(world)
  world.trace.on = 1
  world.trace.level = request.level
  setScene(network, question)
  const client = new Client(question, connection)
  if (question.packet === undefined) {
    netns.sockets.client = client
    client.start()
  } else client.sendRaw(question.packet)
  world.drain()
  const events = runOut(world, watch)
  world.trace.on = 0
  const outcome = weigh(network, question, { client, storm: events > EVENT_LIMIT })
  return connection === undefined ? outcome : { ...outcome, connection: client.connection() }
}

/** What the question takes for granted, in a world that is fresh. */
export function setScene(network: Network, { request, netns, destination, proto, dport }: Question): void {
  const { world } = network
  world.touch(netns)
  world.datagramAnswer = request.answer ?? null
  for (const learned of request.pathMtus ?? []) touched(network, learned.netns)?.fib.pathMtus.set(learned.destination, learned.mtu)
  const { netns: end } = destination
  if (end === undefined) return
  if (request.listen || destination.listens === true) {
    touched(network, end)?.sockets.open(PROTOCOL_NUMBERS[proto], dport, request.listen ? SPEC_ASSUMED : SPEC_UNDECLARED)
  }
  if (request.answerSize === undefined) return
  const listening = touched(network, end)
  if (listening !== undefined) listening.sockets.answerLength = Math.max(0, request.answerSize - IPV4_HEADER - 32)
}

function touched(network: Network, name: string): Netns | undefined {
  const netns = network.netns(name)
  if (netns !== undefined) network.world.touch(netns)
  return netns
}

/** Until everything has ended. @returns the number of events, more than EVENT_LIMIT for a storm */
export function runOut(world: World, watch?: AskOptions['watch']): number {
  let events = 0
  let watched = watch === undefined
  // what is on a cable when the last packet ends still arrives: an ARP request that nobody waits for any more
  while ((world.live > 0 || world.inFlight.count > 0) && events++ < EVENT_LIMIT) {
    if (!watched && watch !== undefined && world.sim.nextNs > watch.untilNs) {
      watched = true
      watch.seen(world)
    }
    if (!world.sim.step()) break
  }
  if (!watched) watch?.seen(world)
  return events
}

interface Run {
  readonly client: Client
  readonly storm: boolean
}

export function weigh(network: Network, question: Question, { client, storm }: Run): TraceOutcome {
  const answerDue = question.packet === undefined && (question.proto === 'icmp' || question.proto === 'tcp' || question.request.answer !== undefined)
  let forward = storm ? { ...NO_END, disposition: 'LOOP' as const } : forwardOutcome(network, client.packetId)
  const came = replyOutcome(network, question.netns)
  if ((forward.disposition === 'DENIED' || forward.disposition === 'REJECTED') && lacksEndpoint(network.world, forward.step))
    forward = { ...forward, disposition: DISPOSITIONS[NO_ENDPOINT] }
  const { destination, dport, proto } = question
  if (needsUnmodelledProxy(network.cluster, { address: destination.address, port: dport, proto }))
    forward = { ...forward, disposition: DISPOSITIONS[INCOMPLETE] }
  if (forward.disposition === 'TOO_BIG' && !senderTold(network, question, forward, client)) forward = { ...forward, disposition: DISPOSITIONS[BLACKHOLE] }
  if (forward.disposition === 'DELIVERED' && tookNamesake(network, question, forward)) forward = { ...forward, disposition: DISPOSITIONS[AMBIGUOUS] }
  const reply = came ?? null
  const delivered = forward.disposition === 'DELIVERED'
  const replyArrived = reply !== null && reply.disposition === 'DELIVERED'
  // of an answer that met what is not known nobody can say that it was lost
  const unknown = reply !== null && reply.step >= 0 && reply.disposition === DISPOSITIONS[INCOMPLETE]
  const disposition = delivered && answerDue && !replyArrived ? DISPOSITIONS[unknown ? INCOMPLETE : REPLY_LOST] : forward.disposition
  return {
    request: question.request,
    source: question.source,
    destination: question.destination,
    proto: question.proto,
    size: question.size,
    dport: question.dport,
    disposition,
    forward,
    reply,
    packetId: client.packetId,
    answer: client.answer,
  }
}

/** It arrived, at another netns than the one meant that has the same address: a rewritten destination is no such case. */
function tookNamesake(network: Network, { destination }: Question, forward: LegOutcome): boolean {
  const { name, dataplane } = network.world.netns[forward.netns]
  if (destination.netns === undefined || name === destination.netns) return false
  return dataplane.devices.some(({ addresses }) => addresses.some(({ address }) => address === destination.address))
}

function wasSent(network: Network, packetId: number): boolean {
  const { trace } = network.world
  for (let i = 0; i < trace.frameCount; i++) if (trace.frames[i * FRAME_STRIDE + 4] === packetId) return true
  return false
}

/** Too big: did the one who sent it hear of it, by an errno or by ICMP? */
function senderTold(network: Network, question: Question, forward: LegOutcome, client: Client): boolean {
  if (forward.disposition !== DISPOSITIONS[TOO_BIG]) return true
  const local = forward.netns === question.netns.index && !wasSent(network, client.packetId)
  return local || client.toldTooBig
}
