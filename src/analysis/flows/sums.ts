/** What many flows add up to: whole numbers under words, so that parts of a run, in whatever order they come, make the same whole. */
import type { Disposition } from '../../net/disposition.js'

export interface Loss {
  readonly disposition: Disposition
  /** reply: the packet arrived, what came back did not. */
  readonly leg: 'forward' | 'reply'
  /** Where; empty: nowhere that was seen. */
  readonly netns: string
  readonly device: string
  /** The rule or policy that dropped it. */
  readonly rule?: RuleWords
  readonly kernelReason: string
  /** In words; empty where a rule says it. */
  readonly why: string
}

export interface RuleWords {
  readonly table: string
  readonly chain: string
  /** From 1, as iptables --line-numbers has it; 0: the chain's policy. */
  readonly number: number
  readonly text: string
  /** Who wrote it, and in which file. */
  readonly by: string
  readonly file?: string
  readonly line?: number
}

export interface LossSum extends Loss {
  /** Whose first packet it befell. */
  readonly flows: number
  readonly packets: number
}

export interface DeviceSum {
  readonly netns: string
  readonly device: string
  readonly kind: string
  /** Of a card. */
  readonly segment?: string
  /** Of a host beyond the cluster, of a router. */
  readonly beyond: boolean
  readonly frames: number
  readonly bytes: number
  /** A tunnel: packets that it wrapped, bytes that they grew by. */
  readonly wrapped: number
  readonly added: number
}

export interface RuleSum extends Omit<RuleWords, 'number' | 'file' | 'line'> {
  /** Netns that have it, and in which packets met it. */
  readonly netns: number
  /** The first of them by name. */
  readonly first: string
  readonly packets: number
  readonly bytes: number
}

export interface Refusal {
  readonly what: string
  readonly fix: string
  readonly flows: number
}

export interface FlowSums {
  /** All that were asked. */
  readonly flows: number
  /** Walked, each of them. */
  readonly packets: number
  /** Not sent any more, since one before would not come to an end. */
  readonly unsent: number
  /** Flows by what a trace says of the first packet; packets by what became of each. */
  readonly first: Readonly<Record<string, number>>
  readonly all: Readonly<Record<string, number>>
  readonly losses: readonly LossSum[]
  readonly devices: readonly DeviceSum[]
  readonly rules: readonly RuleSum[]
  readonly refused: readonly Refusal[]
}

/** In the order of what they say, whoever added them up. */
export function addSums(parts: readonly FlowSums[]): FlowSums {
  const total = (of: (part: FlowSums) => number): number => parts.reduce((sum, part) => sum + of(part), 0)
  return {
    flows: total(({ flows }) => flows),
    packets: total(({ packets }) => packets),
    unsent: total(({ unsent }) => unsent),
    first: addCounts(parts.map(({ first }) => first)),
    all: addCounts(parts.map(({ all }) => all)),
    losses: combined(
      parts.flatMap(({ losses }) => losses),
      ({ flows: _, packets: __, ...loss }) => loss,
      (a, b) => ({ ...a, flows: a.flows + b.flows, packets: a.packets + b.packets }),
    ).sort(byMost(({ packets }) => packets)),
    devices: combined(
      parts.flatMap(({ devices }) => devices),
      ({ netns, device }) => [netns, device],
      (a, b) => ({ ...a, frames: a.frames + b.frames, bytes: a.bytes + b.bytes, wrapped: a.wrapped + b.wrapped, added: a.added + b.added }),
    ).sort(byMost(({ bytes }) => bytes)),
    rules: combined(
      parts.flatMap(({ rules }) => rules),
      ({ table, chain, text, by, first }) => [table, chain, text, by, first],
      (a, b) => ({ ...a, packets: a.packets + b.packets, bytes: a.bytes + b.bytes }),
    ).sort(byMost(({ packets }) => packets)),
    refused: combined(
      parts.flatMap(({ refused }) => refused),
      ({ what, fix }) => [what, fix],
      (a, b) => ({ ...a, flows: a.flows + b.flows }),
    ).sort(byMost(({ flows }) => flows)),
  }
}

/** Rules that are the same on many nodes are one. */
export function rulesOverNodes(rules: readonly RuleSum[]): readonly RuleSum[] {
  return combined(
    rules,
    ({ table, chain, text, by }) => [table, chain, text, by],
    (a, b) => ({ ...a, netns: a.netns + b.netns, first: a.first < b.first ? a.first : b.first, packets: a.packets + b.packets, bytes: a.bytes + b.bytes }),
  ).sort(byMost(({ packets }) => packets))
}

function addCounts(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sum: Record<string, number> = {}
  for (const name of [...new Set(counts.flatMap(Object.keys))].sort()) sum[name] = counts.reduce((total, part) => total + (part[name] ?? 0), 0)
  return sum
}

function combined<Row>(rows: readonly Row[], keyOf: (row: Row) => unknown, add: (a: Row, b: Row) => Row): Row[] {
  const found = new Map<string, Row>()
  for (const row of rows) {
    const key = JSON.stringify(keyOf(row))
    const known = found.get(key)
    found.set(key, known === undefined ? row : add(known, row))
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)
}

/** Those that are even stay in the order of their words. */
function byMost<Row>(of: (row: Row) => number): (a: Row, b: Row) => number {
  return (a, b) => of(b) - of(a)
}
