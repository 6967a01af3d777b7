/**
 * Flows one after the other over one network, each in a world that knows nothing of those before. The first two packets of a flow walk with their steps
 * written and are weighed as a trace is (the second meets a connection that is open); all others walk bare, and are counted with the packet that ended
 * as they did. One that ended like none before is walked once more, the flow from its start, with its steps.
 *
 *   FlowSource ─▶ FlowRunner.run ─▶ FlowResult for each        FlowRunner.harvest ─▶ FlowSums
 */
import { assert } from '../../base/assert.js'
import type { Problem } from '../../base/problem.js'
import { DEVICE_KINDS } from '../../net/device.js'
import type { Disposition } from '../../net/disposition.js'
import { isBeyond, type Netns } from '../../net/netns.js'
import { Tally } from '../../net/tally.js'
import { FlowWalk, openFlow } from '../../network/flow-walk.js'
import type { Network } from '../../network/network.js'
import type { TraceRequest } from '../../network/request.js'
import { LossBook, ruleWords } from './loss.js'
import type { DeviceSum, FlowSums, Loss, LossSum, Refusal, RuleSum } from './sums.js'

/** Packets of a flow that walk with their steps whatever comes. */
const TRACED = 2
/** How often a long flow says how far it is, packets. */
const REPORT_EVERY = 0x10000

export interface FlowResult {
  /** Of the first packet: what a trace says. */
  readonly disposition: Disposition
  readonly loss?: Loss
  /** Of all packets. */
  readonly all: ReadonlyMap<Disposition, number>
  readonly packets: number
  readonly unsent: number
}

interface Fate {
  readonly disposition: Disposition
  readonly loss: Loss | undefined
}

/** Packets of one flow that ended alike. */
interface Kind {
  readonly marks: Int32Array
  /** Number of the first of them in the flow. */
  readonly first: number
  packets: number
  fate: Fate | undefined
}

export interface FlowWork {
  readonly request: TraceRequest
  readonly packets: number
  /** Packets a second, 0: as soon as may be. */
  readonly rate: number
  /** Flows that it stands for, in all that is counted but devices and rules; default 1. */
  readonly pairs?: number
}

export class FlowRunner {
  private readonly network: Network
  private readonly losses: LossBook
  private readonly tally = new Tally()
  private readonly visited = new Set<Netns>()
  private readonly lossSums = new Map<Loss, { flows: number; packets: number }>()
  private readonly refusals = new Map<string, Refusal>()
  private readonly first = new Map<Disposition, number>()
  private readonly all = new Map<Disposition, number>()
  private readonly walked: (packets: number) => void
  private flows = 0
  private packets = 0
  private unsent = 0

  /** @param walked is told of packets as they are walked */
  constructor(network: Network, walked: (packets: number) => void = () => {}) {
    this.network = network
    this.losses = new LossBook(network)
    this.walked = walked
  }

  /** Problems where the flow names what is not there: it is counted, and not sent. */
  run(work: FlowWork): FlowResult | readonly Problem[] {
    const { pairs = 1 } = work
    this.flows += pairs
    const walk = this.open(work, this.tally)
    if (!(walk instanceof FlowWalk)) {
      this.refuse(walk, pairs)
      return walk
    }
    const { kinds, sent } = this.send(walk, work.packets)
    this.visit()
    if (kinds.some(({ fate }) => fate === undefined)) this.walkAgain(work, kinds)
    return this.count(kinds, { work, sent })
  }

  /** All that was run, once: rules count anew from here on. */
  harvest(): FlowSums {
    const { flows, packets, unsent } = this
    const losses: LossSum[] = [...this.lossSums].map(([loss, sums]) => ({ ...loss, ...sums }))
    const refused = [...this.refusals.values()]
    const [first, all] = [this.first, this.all].map((counts) => Object.fromEntries(counts))
    const rules = [...this.visited].flatMap(rulesOf)
    for (const { netfilter } of this.visited) netfilter?.forgetCounters()
    return { flows, packets, unsent, first, all, losses, refused, devices: this.devices(), rules }
  }

  private open({ request, rate }: FlowWork, tally: Tally | null): FlowWalk | readonly Problem[] {
    return openFlow(this.network, request, { tally, intervalNs: rate === 0 ? 0 : Math.round(1e9 / rate) })
  }

  private refuse(problems: readonly Problem[], pairs: number): void {
    for (const { what, fix } of problems) {
      const key = `${what}\n${fix}`
      this.refusals.set(key, { what, fix, flows: (this.refusals.get(key)?.flows ?? 0) + pairs })
    }
  }

  private send(walk: FlowWalk, packets: number): { readonly kinds: Kind[]; readonly sent: number } {
    const kinds: Kind[] = []
    let last: Kind | undefined
    let sent = 0
    while (sent < packets && !walk.storm) {
      const fate = sent < TRACED ? this.fateOf(walk) : undefined
      if (fate === undefined) walk.bare()
      if (last === undefined || !endedAs(walk, last.marks)) last = kindOf(walk, kinds, sent)
      last.fate ??= fate
      last.packets++
      if (++sent % REPORT_EVERY === 0) this.walked(REPORT_EVERY)
    }
    walk.close()
    this.walked(sent % REPORT_EVERY)
    return { kinds, sent }
  }

  private fateOf(walk: FlowWalk): Fate {
    const outcome = walk.traced()
    return { disposition: outcome.disposition, loss: this.losses.lossOf(outcome) }
  }

  /** The same flow in the same world goes the same way; nothing of it is added up twice. */
  private walkAgain(work: FlowWork, kinds: readonly Kind[]): void {
    const before = this.network.world.touched.map((netns) => ({ netns, packets: netns.netfilter?.packets.slice(), bytes: netns.netfilter?.bytes.slice() }))
    const walk = this.open(work, null) as FlowWalk
    const wanted = kinds.filter(({ fate }) => fate === undefined)
    for (let at = 0; wanted.length > 0; at++) {
      const kind = wanted[0].first === at ? wanted.shift() : undefined
      if (kind === undefined) walk.bare()
      else kind.fate = this.fateOf(walk)
    }
    walk.close()
    for (const { netns, packets, bytes } of before) if (packets !== undefined && bytes !== undefined) netns.netfilter?.countOn({ packets, bytes })
  }

  private count(kinds: readonly Kind[], { work, sent }: { readonly work: FlowWork; readonly sent: number }): FlowResult {
    const { pairs = 1 } = work
    const all = new Map<Disposition, number>()
    kinds.forEach(({ fate, packets }, at) => {
      assert(fate !== undefined, 'what became of each packet is known')
      addTo(all, fate.disposition, packets)
      addTo(this.all, fate.disposition, packets * pairs)
      if (fate.loss !== undefined) this.lose(fate.loss, { flows: at === 0 ? pairs : 0, packets: packets * pairs })
    })
    const { disposition, loss } = kinds[0].fate as Fate
    addTo(this.first, disposition, pairs)
    this.packets += sent * pairs
    this.unsent += (work.packets - sent) * pairs
    return { disposition, ...(loss === undefined ? {} : { loss }), all, packets: sent, unsent: work.packets - sent }
  }

  private lose(loss: Loss, { flows, packets }: { readonly flows: number; readonly packets: number }): void {
    const sums = this.lossSums.get(loss)
    if (sums === undefined) this.lossSums.set(loss, { flows, packets })
    else {
      sums.flows += flows
      sums.packets += packets
    }
  }

  private visit(): void {
    for (const netns of this.network.world.touched) if (netns.netfilterUsed === 1) this.visited.add(netns)
  }

  private devices(): DeviceSum[] {
    const { frames, bytes, wrapped, added } = this.tally
    return this.network.world.devices.flatMap(({ index, name, kind, netns, segment }) => {
      if (index >= frames.length || (frames[index] === 0 && wrapped[index] === 0)) return []
      const place = { netns: netns.name, device: name, kind: DEVICE_KINDS[kind], ...(segment === null ? {} : { segment: segment.name }) }
      return [{ ...place, beyond: isBeyond(netns), frames: frames[index], bytes: bytes[index], wrapped: wrapped[index], added: added[index] }]
    })
  }
}

function endedAs({ marks, markLength }: FlowWalk, other: Int32Array): boolean {
  if (other.length !== markLength) return false
  for (let i = 0; i < markLength; i++) if (marks[i] !== other[i]) return false
  return true
}

function kindOf(walk: FlowWalk, kinds: Kind[], sent: number): Kind {
  const known = kinds.find(({ marks }) => endedAs(walk, marks))
  if (known !== undefined) return known
  const made: Kind = { marks: walk.marks.slice(0, walk.markLength), first: sent, packets: 0, fate: undefined }
  kinds.push(made)
  return made
}

/** What its rules counted beyond what they began with. */
function rulesOf({ name, netfilter }: Netns): RuleSum[] {
  if (netfilter === null) return []
  const { packets, bytes, compiled, ruleChains, ruleNumbers } = netfilter
  const rows: RuleSum[] = []
  for (let row = 0; row < packets.length; row++) {
    const hits = packets[row] - compiled.packets[row]
    if (hits <= 0) continue
    const { number: _, file: __, line: ___, ...words } = ruleWords(netfilter, ruleChains[row], ruleNumbers[row])
    rows.push({ ...words, netns: 1, first: name, packets: hits, bytes: bytes[row] - compiled.bytes[row] })
  }
  return rows
}

function addTo<Key>(counts: Map<Key, number>, key: Key, more: number): void {
  counts.set(key, (counts.get(key) ?? 0) + more)
}
