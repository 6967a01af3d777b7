/**
 * What probes see over a run: packet after packet of all probes, in the order of time, each asked of the network as it is then, with what kernels remember of
 * those before it. Where nothing changes and kernels hold only what they would find anew, the packets that follow cannot fare otherwise: they are counted, not
 * walked (kernel-memory.ts, isSettled).
 *
 * A connection is one flow: TCP's handshake and then a segment of data a packet, one echo or datagram a packet of the others. Segments that are lost are not
 * sent again in between; a client whose data nobody has acknowledged for as long as net.ipv4.tcp_retries2 stands for gives its connection up.
 */
import type { ScenarioProbe } from '../../cluster/scenario/scenario.js'
import { isSettled, laterMemory, NO_MEMORY, type KernelMemory } from '../../net/kernel-memory.js'
import type { Diary } from './diary.js'
import { MemoryEvents, type NetworkAt } from './memory-events.js'
import type { ControlRun } from './network-state.js'
import { causeOf, type ChangesAt } from './probe-cause.js'
import type { ProbeCause, ProbeHistory } from './probe-history.js'
import { askProbe, drawChoice, spanKey, type Answered, type ProbeConnection, type ProbePacket, type ProbeTarget } from './probe-question.js'
import { isLost } from './probe-result.js'
import { SpanList } from './probe-spans.js'

export interface ProbeOptions {
  readonly run: ControlRun
  readonly probes: readonly ScenarioProbe[]
  readonly networkAt: NetworkAt
  readonly diary: Diary
  /** Of names without one; default. */
  readonly namespace?: string
  /** For the causes: what changed on these nodes when a state came into force. */
  readonly changesAt?: ChangesAt
  /** Virtual time of the packet that is next, ns. */
  readonly onProgress?: (atNs: number) => void
}

/** tcp_retries2 15: 13 waits from 200 ms doubling up to 120 s, and those after (net/ipv4/tcp_timer.c, tcp_model_timeout). */
export const GIVES_UP_NS = 924.6e9
/** Packets of a probe that must have fared alike in a state before others are counted after them. */
const ALIKE = 2
/** Fewer are walked: to look whether all is settled costs as much. */
const WORTH_COUNTING = 8

export function runProbes(options: ProbeOptions): ProbeHistory[] {
  return new ProbeRunner(options).run()
}

/** One probe on its way through the run. */
interface Going {
  readonly probe: ScenarioProbe
  readonly number: number
  readonly endNs: number
  readonly spans: SpanList
  count: number
  walked: number
  connection: ProbeConnection | undefined
  /** Where its destination was last. */
  target: ProbeTarget | undefined
  /** Why it has none any more, where it had one. */
  lostConnection: string | undefined
  /** Since when nobody has acknowledged what the connection sent. */
  unheardNs: number | undefined
  last: { readonly answered: Answered; readonly state: number; readonly atNs: number } | undefined
  /** Packets of this state that fared alike, one after the other. */
  alike: number
}

class ProbeRunner {
  private readonly options: ProbeOptions
  private readonly events: MemoryEvents
  private readonly going: readonly Going[]
  private memory: KernelMemory = NO_MEMORY
  /** Of the first packet of this state. */
  private memoryAtEntry: KernelMemory = NO_MEMORY
  private state = 0
  private lastNs = 0
  /** Since when all fares alike in kernels that are settled. */
  private settledNs: number | undefined

  constructor(options: ProbeOptions) {
    const { run, probes, networkAt } = options
    this.options = options
    this.events = new MemoryEvents(run, networkAt)
    this.going = probes.map((probe, number) => ({
      probe,
      number,
      endNs: Math.min(probe.stopNs ?? run.untilNs, run.untilNs),
      spans: new SpanList(),
      count: 0,
      walked: 0,
      connection: undefined,
      lostConnection: undefined,
      target: undefined,
      unheardNs: undefined,
      last: undefined,
      alike: 0,
    }))
  }

  run(): ProbeHistory[] {
    for (let next = this.next(); next !== undefined; next = this.next()) {
      const atNs = nextOf(next)
      this.options.onProgress?.(atNs)
      this.enter(atNs)
      this.walk(next, atNs)
      this.countAlike()
    }
    return this.going.map(({ probe, spans, walked }) => ({ probe, walked, ...spans.result() }))
  }

  /** Whose packet is the next one; of several, that of the probe that was written first. */
  private next(): Going | undefined {
    let first: Going | undefined
    for (const one of this.going) if (nextOf(one) < one.endNs && (first === undefined || nextOf(one) < nextOf(first))) first = one
    return first
  }

  /** The state in force at that time. */
  private enter(atNs: number): void {
    const { states } = this.options.run
    let state = this.state
    while (state + 1 < states.length && states[state + 1].atNs <= atNs) state++
    if (state === this.state) return
    this.memoryBeforeEntry = { memory: this.memory, state: this.state }
    this.memory = this.events.carry(this.memory, this.state, state)
    this.memoryAtEntry = this.memory
    this.state = state
    for (const one of this.going) one.alike = 0
  }

  /** As the last packet of the state before left it; kept for packets that turn with a state. */
  private memoryBeforeEntry: { readonly memory: KernelMemory; readonly state: number } | undefined

  private walk(one: Going, atNs: number): void {
    const { run, networkAt, namespace = 'default' } = this.options
    if (one.unheardNs !== undefined && atNs - one.unheardNs >= GIVES_UP_NS)
      this.lose(one, 'was given up: its data was not acknowledged for 15 minutes (tcp_retries2)')
    const packet: ProbePacket = {
      probe: one.probe,
      number: one.number,
      count: one.count++,
      atNs,
      ...(one.connection === undefined ? {} : { connection: one.connection }),
      ...(one.target === undefined ? {} : { target: one.target }),
    }
    const found = this.memory
    const nextNs = Math.min(...this.going.map((other) => (nextOf(other) < other.endNs ? nextOf(other) : Infinity)))
    const answered = askProbe(packet, { seed: run.seed, namespace, network: networkAt(run.states[this.state]), memory: found, nextNs })
    one.walked++
    const key = spanKey(answered)
    const isOther = one.last !== undefined && spanKey(one.last.answered) !== key
    const cause = isOther ? this.causeOf(one, packet, answered) : undefined
    one.spans.add(answered, atNs, cause)
    one.alike = !isOther && one.last !== undefined && one.last.state === this.state && sameChoices(one.last.answered, answered) ? one.alike + 1 : 1
    one.last = { answered, state: this.state, atNs }
    one.target = answered.target ?? one.target
    this.memory = answered.memory
    this.lastNs = atNs
    this.follow(one, answered, atNs)
  }

  private follow(one: Going, answered: Answered, atNs: number): void {
    if (!one.probe.connection) return
    one.lostConnection = undefined
    if (answered.ended && one.connection !== undefined)
      this.lose(one, answered.result.told === undefined ? 'lost its source' : `was ended by ${answered.result.told.by}`)
    one.connection = answered.connection
    const isUnheard = one.connection?.proto === 'tcp' && isLost(answered.result)
    one.unheardNs = isUnheard ? (one.unheardNs ?? atNs) : undefined
  }

  private lose(one: Going, why: string): void {
    one.connection = undefined
    one.unheardNs = undefined
    one.lostConnection = why
  }

  private causeOf(one: Going, packet: ProbePacket, answered: Answered): ProbeCause {
    const { atNs } = packet
    if (one.lostConnection !== undefined) return { kind: 'connection', atNs, what: `the connection ${one.lostConnection}; the client opens another` }
    const last = one.last as NonNullable<Going['last']>
    // found in this state, or as it was before the state came into force
    const entered = this.memoryBeforeEntry
    const isFirstHere = entered !== undefined && this.memory === this.memoryAtEntry
    const { memory, state: memoryState } = isFirstHere ? entered : { memory: this.memory, state: this.state }
    return causeOf(
      {
        packet,
        before: last.state,
        now: this.state,
        memory,
        memoryState,
        memoryBefore: last.answered.memory,
        memoryAfter: answered.memory,
        key: spanKey(answered),
        results: [last.answered.told, answered.told],
      },
      { ...this.options, namespace: this.options.namespace ?? 'default', events: this.events },
    )
  }

  /** Packets up to the next change that fare as those before them. */
  private countAlike(): void {
    const { run, networkAt } = this.options
    const untilNs = Math.min(run.states[this.state + 1]?.atNs ?? Infinity, ...this.going.map((one) => this.changesAtNs(one)))
    const waiting = this.going.flatMap((one) => {
      const packets = Math.ceil((Math.min(untilNs, one.endNs) - nextOf(one)) / one.probe.everyNs)
      return packets > 0 ? [{ one, packets }] : []
    })
    const isAlike = waiting.every(({ one }) => one.alike >= ALIKE) && waiting.reduce((sum, { packets }) => sum + packets, 0) >= WORTH_COUNTING
    if (!isAlike || !isSettled(networkAt(run.states[this.state]).world)) {
      this.settledNs = undefined
      return
    }
    this.settledNs ??= this.lastNs
    // what a neighbour's timer has just settled those have not met whose last packet was before
    const { settledNs } = this
    if (waiting.some(({ one }) => (one.last?.atNs ?? 0) < settledNs)) return
    let lastNs = this.lastNs
    for (const { one, packets } of waiting) {
      lastNs = Math.max(lastNs, nextOf(one) + (packets - 1) * one.probe.everyNs)
      this.count(one, packets)
    }
    this.memory = laterMemory(this.memory, this.memoryAtEntry, lastNs - this.lastNs)
    this.lastNs = lastNs
  }

  /** When a probe by itself may fare otherwise: it begins, or its client gives up. */
  private changesAtNs({ count, probe, unheardNs }: Going): number {
    if (count === 0) return probe.startNs
    return unheardNs === undefined ? Infinity : unheardNs + GIVES_UP_NS
  }

  private count(one: Going, packets: number): void {
    const { answered } = one.last as NonNullable<Going['last']>
    const lastNs = nextOf(one) + (packets - 1) * one.probe.everyNs
    let lost = isLost(answered.result) ? packets : 0
    if (answered.choices.length > 1) {
      lost = 0
      for (let i = 0; i < packets; i++) {
        const packet = { probe: one.probe, number: one.number, count: one.count + i, atNs: 0 }
        if (isLost(drawChoice(answered.choices, packet, this.options.run.seed))) lost++
      }
    }
    one.count += packets
    one.spans.extend(lastNs, packets, lost)
  }
}

function nextOf({ probe, count }: Going): number {
  return probe.startNs + count * probe.everyNs
}

function sameChoices(a: Answered, b: Answered): boolean {
  return a.choices.length === b.choices.length && a.choices.every(({ key, share }, i) => key === b.choices[i].key && share === b.choices[i].share)
}
