/**
 * One packet of a probe: the question that it is, asked of the network of a moment whose kernels remember. Where chance has a say (an endpoint of several, a
 * cable that loses frames) every choice is asked in turn, so that it is known what may become of such a packet, and one of them is drawn for this one.
 */
import { Prng } from '../../base/prng.js'
import { formatIp, type Ip } from '../../base/ip.js'
import type { ScenarioProbe } from '../../cluster/scenario/scenario.js'
import { putMemory, takeMemory, type KernelMemory } from '../../net/kernel-memory.js'
import type { World } from '../../net/netns.js'
import { PROTO_TCP, TCP_RST } from '../../wire/packet.js'
import type { OpenConnection } from '../client.js'
import { KUBELET, resolveEndpoint, type Endpoint } from '../endpoint.js'
import type { Network } from '../network.js'
import { isOutcome, runTrace, type AskOptions, type TraceOutcome } from '../probe.js'
import { DEFAULT_REQUEST, type Protocol, type TraceRequest } from '../request.js'
import type { ProbeClass, ProbeResult } from './probe-history.js'
import { keyOf, resultOf, resultOfProblems } from './probe-result.js'

/** A flow that a probe has opened: to whom, whatever its name leads to by now. */
export interface ProbeConnection {
  readonly socket: OpenConnection
  readonly proto: Protocol
  /** `10.1.2.3:80` */
  readonly destination: string
  readonly listens: boolean
  /** Of the source when it was opened: another pod of that name knows nothing of it. */
  readonly source: string
}

/** Where a name led to while its pod ran. */
export interface ProbeTarget {
  readonly address: Ip
  readonly node: string
}

/** A packet: which one of its probe, and when. */
export interface ProbePacket {
  readonly probe: ScenarioProbe
  /** Place of the probe among those of the run. */
  readonly number: number
  /** 0: its first. */
  readonly count: number
  readonly atNs: number
  readonly connection?: ProbeConnection
  /** Of the packets before it. */
  readonly target?: ProbeTarget
}

export interface AskContext {
  readonly seed: number
  /** Of names without one. */
  readonly namespace: string
  readonly network: Network
  readonly memory: KernelMemory
  /** When the next packet of any probe is sent: it finds what kernels hold by then, ns. */
  readonly nextNs: number
}

/** One thing that may become of a packet. */
export interface Choice {
  readonly key: string
  readonly class: ProbeClass
  /** 0 to 1. */
  readonly share: number
}

export interface Answered {
  /** What became of this packet. */
  readonly result: ProbeResult
  /** Of packets like this one: partly, where chance makes some work. */
  readonly class: ProbeClass
  readonly choices: readonly Choice[]
  /** Of those that do not work, the likeliest; else of those that do. */
  readonly told: ProbeResult
  readonly memory: KernelMemory
  readonly connection?: ProbeConnection
  readonly target?: ProbeTarget
  /** The connection is no more: reset, or its client told of an error. */
  readonly ended: boolean
}

/** One turn of chance after the other, to its end. */
interface Followed {
  readonly share: number
  readonly result: ProbeResult
}

/** IP length of a data segment where none is given: 32 bytes of data. */
const SEGMENT_LENGTH = 84
/** A question takes at least so long to be over before another of the same time finds what it left. */
const GRACE_NS = 100e6
/** More choices are not followed; what remains counts as those that were. */
const CHOICE_LIMIT = 256
const PORT_FIRST = 32_768
const PORT_COUNT = 28_232

export function askProbe(asked: ProbePacket, context: AskContext): Answered {
  const { network, memory, nextNs } = context
  const packet = isOfThisSource(asked, context) ? asked : withoutConnection(asked)
  const { probe, atNs, connection } = packet
  const request = requestOf(packet, context)
  const opening = probe.connection ? (connection?.socket ?? 'open') : undefined
  let after = memory
  const watch = { untilNs: Math.max(nextNs - atNs, GRACE_NS), seen: (world: World) => void (after = takeMemory(world, atNs, memory)) }
  const options: AskOptions = {
    remember: (world) => {
      putMemory(world, memory, atNs, (name) => network.netns(name))
      // a kernel draws it at boot
      world.hashSeed = new Prng(context.seed).nextInt32()
    },
    ...(opening === undefined ? {} : { connection: opening }),
  }
  const { chance } = network.world
  const told = { forks: !probe.connection }
  const followed: (Followed & { readonly tape: readonly number[] })[] = []
  try {
    for (let tape: readonly number[] | undefined = []; tape !== undefined && followed.length < CHOICE_LIMIT; tape = chance.following()) {
      chance.tell(tape, told)
      const outcome = runTrace(network, request, followed.length === 0 ? { ...options, watch } : options)
      if (!isOutcome(outcome)) return absent(resultOfProblems(outcome), memory)
      followed.push({ tape, share: chance.probability, result: resultOf(network, outcome) })
      if (followed.length === 1 && chance.following() === undefined) return answered(followed, followed[0].result, { packet, outcome, after })
    }
    const { key: drawnKey } = drawChoice(choicesOf(followed), packet, context.seed)
    const alike = followed.filter(({ result }) => keyOf(result) === drawnKey)
    const drawn = draw(alike, ~packetSeed(packet, context.seed))
    chance.tell(drawn.tape, told)
    const outcome = runTrace(network, request, { ...options, watch })
    return isOutcome(outcome) ? answered(followed, drawn.result, { packet, outcome, after }) : absent(resultOfProblems(outcome), memory)
  } finally {
    chance.untell()
  }
}

/** What must be alike for two packets to be of one span. */
export function spanKey({ class: kind, told }: Answered): string {
  return kind === 'partly' ? kind : keyOf(told)
}

/** What chance gives a packet whose choices are known: no packet need be walked for it. */
export function drawChoice(choices: readonly Choice[], packet: ProbePacket, seed: number): Choice {
  return choices.length === 1 ? choices[0] : draw(choices, packetSeed(packet, seed))
}

function draw<Item extends { readonly share: number }>(items: readonly Item[], seed: number): Item {
  const total = items.reduce((sum, { share }) => sum + share, 0)
  let left = ((new Prng(seed).nextInt32() >>> 0) / 4294967296) * total
  return items.find(({ share }) => (left -= share) < 0) ?? items[items.length - 1]
}

function packetSeed({ number, count }: Pick<ProbePacket, 'number' | 'count'>, seed: number): number {
  return (Math.imul(seed ^ Math.imul(number + 1, 0x9e3779b1), 0x85ebca6b) ^ Math.imul(count + 1, 0xc2b2ae35)) | 0
}

function isOfThisSource({ probe, connection }: ProbePacket, { network, namespace }: AskContext): boolean {
  if (connection === undefined || probe.from === KUBELET) return true
  const source = resolveEndpoint(network, probe.from, { namespace })
  return 'severity' in source || sourceWords(source) === connection.source
}

function withoutConnection({ connection: _, ...packet }: ProbePacket): ProbePacket {
  return packet
}

function sourceWords({ netns = '', node = '', address }: Endpoint): string {
  return `${netns} ${node} ${formatIp(address)}`
}

/** A pod whose node is off has the address that the API tells of, or that it was given before: that is where a client sends to. */
function destinationOf({ probe: { to }, target }: ProbePacket, { network, namespace }: AskContext): string {
  const [, name, port = ''] = /^(?:pod\/)?(.*?)(:[^:]*)?$/.exec(to) ?? []
  const pod = network.cluster.podByName.get(name.includes('/') ? name : `${namespace}/${name}`)
  if (pod?.node === undefined || pod.pending !== undefined || pod.terminated || pod.hostNetwork) return to
  const address = pod.address ?? (target?.node === pod.node ? target.address : undefined)
  return address !== undefined && network.podPlan(pod.namespace, pod.name) === undefined ? `${formatIp(address)}${port}` : to
}

function requestOf(packet: ProbePacket, context: AskContext): TraceRequest {
  const { seed, namespace } = context
  const { probe, number, count, atNs, connection } = packet
  const { proto = connection?.proto } = probe
  const isStream = probe.connection && isTcp(packet)
  const size = probe.size ?? (isStream ? SEGMENT_LENGTH : undefined)
  return {
    ...DEFAULT_REQUEST,
    source: probe.from,
    destination: connection?.destination ?? destinationOf(packet, context),
    namespace,
    sport: connection?.socket.port ?? PORT_FIRST + (((packetSeed({ number, count: 0 }, seed) >>> 0) + count) % PORT_COUNT),
    seed: packetSeed(packet, seed),
    atNs,
    listen: connection?.listens === true,
    ...(proto === undefined ? {} : { proto }),
    ...(size === undefined ? {} : { size }),
  }
}

/** As readQuestion() has it: with a port, tcp where nothing else is said. */
function isTcp({ probe, connection }: ProbePacket): boolean {
  const proto = connection?.proto ?? probe.proto
  return proto === 'tcp' || (proto === undefined && /:[^/:]+$/.test(probe.to))
}

function absent(result: ProbeResult, memory: KernelMemory): Answered {
  return { result, class: result.class, choices: [{ key: keyOf(result), class: result.class, share: 1 }], told: result, memory, ended: true }
}

/** Those that a sender cannot tell from one another are one. */
function choicesOf(followed: readonly Followed[]): readonly (Choice & { readonly result: ProbeResult })[] {
  const choices = new Map<string, Choice & { readonly result: ProbeResult }>()
  for (const { share, result } of followed) {
    const key = keyOf(result)
    choices.set(key, { key, class: result.class, share: (choices.get(key)?.share ?? 0) + share, result })
  }
  return [...choices.values()]
}

interface Walked {
  readonly packet: ProbePacket
  readonly outcome: TraceOutcome
  readonly after: KernelMemory
}

function answered(followed: readonly Followed[], result: ProbeResult, { packet, outcome, after }: Walked): Answered {
  const all = choicesOf(followed)
  const classes = new Set(all.map((one) => one.class))
  const failing = all.filter((one) => one.class !== 'works').sort((a, b) => b.share - a.share)
  const told = all.length === 1 ? result : (failing[0] ?? all[0]).result
  const { connection, destination } = outcome
  const target = destination.node === undefined ? packet.target : { address: destination.address, node: destination.node }
  const ended = packet.probe.connection && endsConnection(outcome, result)
  return {
    result,
    class: classes.size === 1 ? result.class : classes.has('works') ? 'partly' : (failing[0] ?? all[0]).class,
    choices: all.map(({ key, class: kind, share }) => ({ key, class: kind, share })),
    told,
    memory: after,
    ended,
    ...(target === undefined ? {} : { target }),
    ...(connection === undefined || ended
      ? {}
      : { connection: packet.connection === undefined ? opened(outcome, connection) : { ...packet.connection, socket: connection } }),
  }
}

function opened({ proto, destination, source, dport }: TraceOutcome, socket: OpenConnection): ProbeConnection {
  const port = dport === 0 ? '' : `:${dport}`
  return {
    socket,
    proto,
    destination: `${formatIp(destination.address)}${port}`,
    listens: destination.listens === true,
    source: sourceWords(source),
  }
}

/**
 * A reset ends a connection, and a SYN that nothing answers or an error answers opened none. An ICMP error does not end one that is established: the kernel
 * takes it for a passing fault (tcp_v4_err) and goes on; and no error ends what has no connection.
 */
function endsConnection({ proto, answer, connection }: TraceOutcome, result: ProbeResult): boolean {
  if (proto !== 'tcp') return false
  if (answer !== null && answer.proto === PROTO_TCP && (answer.flags & TCP_RST) !== 0) return true
  return connection?.established !== true && result.class !== 'works'
}
