/**
 * A flow: packet after packet of one question in one world, so that connections, neighbours and limits live through it. A packet walks either with its
 * steps written, and is weighed as a trace is, or bare: then what became of it is a few numbers, to be held against those of packets that were weighed.
 *
 *   openFlow ─▶ traced() ─▶ traced() ─▶ bare() bare() bare() …
 */
import type { Problem } from '../base/problem.js'
import { resetWorld } from '../net/compile.js'
import type { World } from '../net/netns.js'
import type { Tally } from '../net/tally.js'
import { END_STRIDE } from '../net/trace.js'
import { Client, type Question } from './client.js'
import type { Network } from './network.js'
import { EVENT_LIMIT, readQuestion, runOut, setScene, weigh, type TraceOutcome } from './probe.js'
import type { TraceRequest } from './request.js'

export interface FlowOptions {
  /** Adds up what devices send; null: nothing is added up. */
  readonly tally: Tally | null
  /** From one packet's start to the next one's, ns; 0: each follows as soon as nothing is left of the one before. */
  readonly intervalNs: number
}

/** Integers for each end of a packet: leg, disposition, reason, netns, row of the rule, 1 where it is the packet itself. */
const MARK_STRIDE = 6

/** Problems where the request names what is not there. */
export function openFlow(network: Network, request: TraceRequest, options: FlowOptions): FlowWalk | readonly Problem[] {
  const question = readQuestion(network, request)
  return Array.isArray(question) ? question : new FlowWalk(network, question, options)
}

export class FlowWalk {
  readonly question: Question
  /** How the last packet ended: `marks` up to here. */
  markLength = 0
  marks = new Int32Array(MARK_STRIDE * 4)
  /** The last packet did not come to an end: nothing more can be sent. */
  storm = false
  private readonly network: Network
  private readonly world: World
  private readonly client: Client
  private readonly intervalNs: number
  private sent = 0

  constructor(network: Network, question: Question, { tally, intervalNs }: FlowOptions) {
    const { request } = question
    this.network = network
    this.question = question
    this.world = network.world
    this.intervalNs = intervalNs
    resetWorld(this.world, { seed: request.seed, warm: !request.cold, keepCounters: true })
    setScene(network, question)
    const { trace } = this.world
    trace.level = request.level
    trace.tally = tally
    trace.endsAlone = 1
    this.client = new Client(question)
    question.netns.sockets.client = this.client
  }

  /** The next packet, with its steps; they stand until the one after. */
  traced(): TraceOutcome {
    this.world.trace.on = 1
    this.send()
    this.world.trace.on = 0
    return weigh(this.network, this.question, { client: this.client, storm: this.storm })
  }

  /** The next packet. */
  bare(): void {
    this.send()
  }

  /** The world is anybody's again. */
  close(): void {
    const { trace } = this.world
    trace.tally = null
    trace.endsAlone = 0
  }

  private send(): void {
    const { world, client } = this
    if (this.intervalNs > 0) this.waitUntil(this.sent * this.intervalNs)
    world.trace.clear()
    if (this.sent++ === 0) client.start()
    else client.next()
    world.drain()
    this.storm = runOut(world) > EVENT_LIMIT
    this.mark()
  }

  private waitUntil(timeNs: number): void {
    const { sim } = this.world
    sim.run(timeNs)
    if (sim.nowNs < timeNs) sim.nowNs = timeNs
  }

  private mark(): void {
    const { ends, endCount } = this.world.trace
    const { packetId } = this.client
    const length = endCount * MARK_STRIDE
    if (length > this.marks.length) this.marks = new Int32Array(length * 2)
    const { marks } = this
    for (let i = 0; i < endCount; i++) {
      const from = i * END_STRIDE
      const to = i * MARK_STRIDE
      marks[to] = ends[from]
      marks[to + 1] = ends[from + 1]
      marks[to + 2] = ends[from + 2]
      marks[to + 3] = ends[from + 3]
      marks[to + 4] = ends[from + 6]
      marks[to + 5] = ends[from + 4] === packetId ? 1 : 0
    }
    this.markLength = length
  }
}
