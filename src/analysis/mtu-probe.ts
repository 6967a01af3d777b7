/** Questions of one size: a real packet through Network.trace, and its rows weighed into a fate. The rows stay until the next question. */
import { DELIVERED, DISPOSITIONS, EXITED, INCOMPLETE, REASON_PKT_TOO_BIG, TOO_BIG, type Disposition } from '../net/disposition.js'
import {
  END_STRIDE,
  FRAME_STRIDE,
  ROW_A,
  ROW_KIND,
  ROW_LEG,
  ROW_LENGTH,
  ROW_NETNS,
  ROW_PACKET,
  STEP_DROP,
  STEP_FRAGMENT,
  STEP_ORIGINATE,
  STEP_STRIDE,
  type Trace,
} from '../net/trace.js'
import type { Network } from '../network/network.js'
import { isOutcome } from '../network/probe.js'
import type { LearnedPathMtu, TraceRequest } from '../network/request.js'
import { LEG_REPLY } from '../wire/packet.js'

/** Packets one way: the source's own, or the server's answers in the same TCP connection. */
export interface Way {
  readonly network: Network
  /** Without size and DF; proto told. */
  readonly request: TraceRequest
  readonly answers: boolean
  readonly sourceNetns: string
}

export interface Fate {
  readonly size: number
  readonly arrived: boolean
  /** Fragments were made of it on the way. */
  readonly cut: boolean
  /** The sender's own kernel refused it, and no frame was sent. */
  readonly refused: boolean
  readonly disposition: Disposition
  readonly reason: number
  /** The packet's id in the rows; -1 when it never came to be sent. */
  readonly packet: number
  /** Index of the row of the drop that decided, -1 none. */
  readonly drop: number
  /** Row of its making. */
  readonly origin: number
  readonly pathMtus: readonly LearnedPathMtu[]
}

/** Of a server's answer: one byte of data asks for it. */
const ASKING_SEGMENT = 53

/** A TCP segment comes third: SYN and ACK before it. */
const SEGMENT_PLACE = 3

export function ask(way: Way, size: number, { df, pathMtus = [] }: { readonly df: boolean; readonly pathMtus?: readonly LearnedPathMtu[] }): Fate {
  const { network, request, answers } = way
  const tcp = request.proto === 'tcp'
  const sized = answers ? { size: ASKING_SEGMENT, answerSize: size } : { size }
  const outcome = network.trace({ ...request, ...sized, df: df || tcp, pathMtus })
  if (!isOutcome(outcome)) return lostBefore(size, pathMtus)
  const { trace } = network.world
  const origin = answers ? answerRow(network, size) : segmentRow(trace, tcp)
  const heard = pathMtusOf(network)
  if (origin < 0) return lostBefore(size, heard)
  return { ...weigh(network, origin), size, pathMtus: heard }
}

function lostBefore(size: number, pathMtus: readonly LearnedPathMtu[]): Fate {
  const disposition = DISPOSITIONS[INCOMPLETE]
  return { size, arrived: false, cut: false, refused: false, disposition, reason: 0, packet: -1, drop: -1, origin: -1, pathMtus }
}

/** The row in which the packet in question is made. */
function segmentRow(trace: Trace, tcp: boolean): number {
  let seen = 0
  for (let i = 0; i < trace.stepCount; i++) {
    const at = i * STEP_STRIDE
    if (trace.steps[at + ROW_KIND] !== STEP_ORIGINATE || trace.steps[at + ROW_LEG] === LEG_REPLY || trace.steps[at + 1] !== 0) continue
    if (++seen === (tcp ? SEGMENT_PLACE : 1)) return i
  }
  return -1
}

/** The last that the server makes, when it is of that size. */
function answerRow({ world: { trace } }: Network, size: number): number {
  for (let i = trace.stepCount - 1; i >= 0; i--) {
    const at = i * STEP_STRIDE
    if (trace.steps[at + ROW_KIND] !== STEP_ORIGINATE || trace.steps[at + ROW_LEG] !== LEG_REPLY || trace.steps[at + 1] !== TCP_ANSWERS) continue
    return trace.steps[at + ROW_LENGTH] === size ? i : -1
  }
  return -1
}

/** STEP_ORIGINATE's action of what TCP sends by itself. */
const TCP_ANSWERS = 3

function weigh({ world: { trace } }: Network, origin: number): Omit<Fate, 'size' | 'pathMtus'> {
  const packet = trace.steps[origin * STEP_STRIDE + ROW_PACKET]
  const source = trace.steps[origin * STEP_STRIDE + ROW_NETNS]
  let cut = false
  for (let i = origin; i < trace.stepCount; i++) {
    const at = i * STEP_STRIDE
    if (trace.steps[at + ROW_PACKET] === packet && trace.steps[at + ROW_KIND] === STEP_FRAGMENT) cut = true
  }
  let end = -1
  let arrived = false
  for (let i = 0; i < trace.endCount; i++) {
    const at = i * END_STRIDE
    if (trace.ends[at + 4] !== packet) continue
    const disposition = trace.ends[at + 1]
    const here = disposition === DELIVERED || disposition === EXITED
    // of fragments the first that is lost tells, not the wait for the rest
    if (end < 0 || (here && !arrived)) end = at
    if (here) arrived = true
  }
  if (end < 0) return { arrived: false, cut, refused: false, disposition: DISPOSITIONS[INCOMPLETE], reason: 0, packet, drop: -1, origin }
  const disposition = DISPOSITIONS[trace.ends[end + 1]]
  const reason = trace.ends[end + 2]
  const drop = arrived ? -1 : dropRow(trace, packet, trace.ends[end + 5])
  const refused = reason === REASON_PKT_TOO_BIG && trace.ends[end + 1] === TOO_BIG && trace.ends[end + 3] === source && !wasSent(trace, packet)
  return { arrived, cut, refused, disposition, reason, packet, drop, origin }
}

/** The row that the end names; its own drop where another stands between. */
function dropRow(trace: Trace, packet: number, last: number): number {
  for (let i = last; i >= 0; i--) {
    const at = i * STEP_STRIDE
    if (trace.steps[at + ROW_PACKET] === packet && trace.steps[at + ROW_KIND] === STEP_DROP && trace.steps[at + ROW_A + 5] === 0) return i
  }
  return -1
}

function wasSent(trace: Trace, packet: number): boolean {
  for (let i = 0; i < trace.frameCount; i++) if (trace.frames[i * FRAME_STRIDE + 4] === packet) return true
  return false
}

function pathMtusOf(network: Network): LearnedPathMtu[] {
  return network.world.netns.flatMap((netns) => [...netns.fib.pathMtus].map(([destination, mtu]) => ({ netns: netns.name, destination, mtu })))
}
