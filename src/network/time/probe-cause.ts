/**
 * Why a probe's answer changed between two of its packets: the later one is asked again in the states in between, with what kernels remembered, until the state
 * is found in which the answer turns; the diary tells what brought that state about. Where the first of those states gives the new answer already no agent did
 * it: a kernel remembers something else.
 */
import type { KernelMemory } from '../../net/kernel-memory.js'
import type { Diary, DiaryEntry, DiaryKind } from './diary.js'
import type { MemoryEvents, NetworkAt } from './memory-events.js'
import { memoryChanges } from './memory-words.js'
import { decisiveOf, type Decisive } from './probe-decisive.js'
import type { ControlRun, NetworkState } from './network-state.js'
import type { ProbeCause, ProbeChange, ProbeResult } from './probe-history.js'
import { askProbe, spanKey, type ProbePacket } from './probe-question.js'

/** What changed on these nodes when the state (by its place) came into force. */
export type ChangesAt = (state: number, nodes: readonly string[]) => readonly ProbeChange[]

export interface CauseContext {
  readonly run: ControlRun
  readonly diary: Diary
  readonly networkAt: NetworkAt
  readonly events: MemoryEvents
  readonly namespace: string
  readonly changesAt?: ChangesAt
}

/** A packet that fared otherwise than the probe's packet before it. */
export interface Turn {
  readonly packet: ProbePacket
  /** States of the two packets, by their place. */
  readonly before: number
  readonly now: number
  /** What kernels held before the packet, and in which state that was. */
  readonly memory: KernelMemory
  readonly memoryState: number
  /** After the probe's packet before, and after this one. */
  readonly memoryBefore: KernelMemory
  readonly memoryAfter: KernelMemory
  /** spanKey() of this packet's. */
  readonly key: string
  readonly results: readonly ProbeResult[]
}

export function causeOf(turn: Turn, context: CauseContext): ProbeCause {
  const { before, now, key } = turn
  const turns = (state: number): boolean => keyIn(turn, state, context) === key
  if (before === now || turns(before)) return memoryCause(turn)
  let low = before
  let high = now
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (turns(middle)) high = middle
    else low = middle
  }
  return networkCause(turn, high, context)
}

/** @param as the network to ask, where it is not quite that of the state */
function keyIn({ packet, memory, memoryState }: Turn, state: number, { run, networkAt, events, namespace }: CauseContext, as = run.states[state]): string {
  const carried = state > memoryState ? events.carry(memory, memoryState, state) : memory
  return spanKey(askProbe(packet, { seed: run.seed, namespace, network: networkAt(as), memory: carried, nextNs: packet.atNs }))
}

function memoryCause({ packet, memoryBefore, memoryAfter, results }: Turn): ProbeCause {
  const port = packet.connection?.socket.port
  const names = new Set(results.flatMap(({ via, where }) => (where === undefined ? via : [...via, where.netns])))
  return { kind: 'memory', atNs: packet.atNs, what: memoryChanges(memoryBefore, memoryAfter, { names, ...(port === undefined ? {} : { port }) }) }
}

function networkCause(turn: Turn, state: number, context: CauseContext): ProbeCause {
  const { results, packet, key } = turn
  const { run, diary, changesAt } = context
  const nodes = nodesOf(results)
  const { atNs } = run.states[state]
  const decisive = decisiveOf({ before: run.states[state - 1], now: run.states[state], nodes, turns: (as) => keyIn(turn, state, context, as) === key })
  const entry = decisiveEntry(run.states[state], diary, decisive) ?? entryOf(run, state, { diary, nodes, packet })
  const shown = decisive === undefined ? [...nodes] : [decisive.node]
  return { kind: 'network', atNs, state, changes: changesAt?.(state, shown) ?? [], chain: entry === undefined ? [] : diary.chain(entry.id) }
}

function nodesOf(results: readonly ProbeResult[]): ReadonlySet<string> {
  return new Set(results.flatMap(({ via, where }) => (where?.node === undefined ? via : [...via, where.node])))
}

/** What the node's agent went by when it wrote. */
function decisiveEntry({ causes, atNs }: NetworkState, diary: Diary, decisive: Decisive | undefined): DiaryEntry | undefined {
  if (decisive === undefined) return undefined
  const { node, agents } = decisive
  const own = causes.flatMap(({ entry, netns }) => (netns === node ? [diary.get(entry)] : []))
  const wrote = own.filter(({ agent }) => agents.includes(agent))
  // an agent may have told of it without being named as the cause
  const told = diary.entries.filter((entry) => entry.atNs === atNs && entry.node === node && agents.includes(entry.agent) && !HABITS.has(entry.kind))
  return [...wrote, ...told].at(-1) ?? own.at(-1)
}

/** Entries that a state goes back to. */
function entriesOf(run: Pick<ControlRun, 'states'>, state: number, diary: Diary): readonly DiaryEntry[] {
  return diary.entries.slice(state === 0 ? 0 : run.states[state - 1].diaryLength, run.states[state].diaryLength)
}

/** Of the nodes of the way, else of any. */
function causesOf({ causes }: NetworkState, nodes: ReadonlySet<string>): readonly number[] {
  const ofWay = causes.filter(({ netns }) => netns !== undefined && nodes.has(netns))
  return (ofWay.length > 0 ? ofWay : causes).map(({ entry }) => entry)
}

/** Repeated habits change no kernel. */
const HABITS: ReadonlySet<string> = new Set<DiaryKind>(['lease-renewed', 'watch', 'bgp-message'])
/** What lies further back was of no consequence at its time. */
const RECENT_NS = 1e9

/** The last of a state's entries that is about a node of the way, or an end; else of the cluster; else any. */
function entryOf(
  run: ControlRun,
  state: number,
  { diary, nodes, packet }: { readonly diary: Diary; readonly nodes: ReadonlySet<string>; readonly packet: ProbePacket },
): DiaryEntry | undefined {
  const { atNs } = run.states[state]
  const own = entriesOf(run, state, diary)
  // a state may be written before the words for it, or a while after them
  const now = own.length > 0 ? own : diary.entries.filter((entry) => entry.atNs === atNs)
  const all = now.length > 0 ? now : causesOf(run.states[state], nodes).map((id) => diary.get(id))
  const telling = all.filter(({ kind }) => !HABITS.has(kind))
  const recent = telling.filter((entry) => atNs - entry.atNs <= RECENT_NS)
  const near = recent.length > 0 ? recent : telling.length > 0 ? telling : all
  const ends = [packet.probe.from, packet.probe.to].map((end) => `/${end.replace(/:[^:/]*$/, '')}`)
  const isOfEnd = ({ object }: DiaryEntry): boolean => object !== undefined && ends.some((end) => `/${object}`.endsWith(end))
  // what a host of the way is known to have acted on goes before what was only said at that time
  const acted = new Set(run.states[state].causes.flatMap(({ entry, netns }) => (netns !== undefined && nodes.has(netns) ? [entry] : [])))
  return (
    near.findLast((entry) => acted.has(entry.id)) ??
    near.findLast((entry) => (entry.node !== undefined && nodes.has(entry.node)) || isOfEnd(entry)) ??
    near.findLast(({ node }) => node === undefined) ??
    near.at(-1)
  )
}
