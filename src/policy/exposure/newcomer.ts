/** A pod that is not there yet: what it could reach and be reached by, if it had such labels, in such a namespace. Both ends' policies are asked. */
import type { AddressRange } from '../address-range.js'
import { ConnectionSet } from '../connections.js'
import { evaluatePair } from '../evaluate.js'
import { workloadsOf } from './exposure.js'
import { imaginePod, type ImaginedWish } from './imagined-pod.js'
import type { Direction, End, Policy, PolicyPod, PolicyWorld } from '../model.js'
import { outsideRanges } from '../outside.js'
import { spanText, workloadName } from '../peer-name.js'
import { joinRanges } from '../change/diff.js'

export interface NewcomerRow {
  /** `shop/db[StatefulSet]`, `0.0.0.0-255.255.255.255[External]`. */
  readonly peer: string
  readonly connections: ConnectionSet
}

export interface Newcomer {
  readonly pod: PolicyPod
  /** Policies that would select it. */
  readonly selecting: Readonly<Record<Direction, readonly Policy[]>>
  /** Workloads by name, then addresses outside; whom nothing is open with is left out. */
  readonly reaches: readonly NewcomerRow[]
  readonly reachedBy: readonly NewcomerRow[]
}

/** @param within connections that count */
export function newcomer(world: PolicyWorld, wish: ImaginedWish, within: ConnectionSet = ConnectionSet.all): Newcomer {
  const { pod, world: around } = imaginePod(world, wish)
  const others = workloadsOf(world).map((workload) => ({ peer: workloadName(workload.pod), end: workload.pod }))
  const rows = (direction: Direction): readonly NewcomerRow[] => {
    const inside = others.map(({ peer, end }) => ({ peer, connections: open(around, pod, end, direction).intersect(within) }))
    return [...joined(inside), ...outsideRows(around, { pod, direction, within })].filter(({ connections }) => !connections.isEmpty)
  }
  const nobody: End = { kind: 'node', name: '', labels: {}, addresses: [] }
  const selecting = {
    ingress: evaluatePair(around, nobody, pod).ingress.selecting,
    egress: evaluatePair(around, pod, nobody).egress.selecting,
  }
  return { pod, selecting, reaches: rows('egress'), reachedBy: rows('ingress') }
}

function open(world: PolicyWorld, pod: PolicyPod, other: End, direction: Direction): ConnectionSet {
  return direction === 'egress' ? evaluatePair(world, pod, other).allowed : evaluatePair(world, other, pod).allowed
}

/** Pods of one workload that policies tell apart are told apart by what is open, and are one row where it is the same. */
function joined(rows: readonly NewcomerRow[]): readonly NewcomerRow[] {
  const found = new Map<string, NewcomerRow>()
  for (const row of rows) {
    const key = `${row.peer} ${row.connections.key}`
    if (!found.has(key)) found.set(key, row)
  }
  return [...found.values()]
}

interface OutsideAsked {
  readonly pod: PolicyPod
  readonly direction: Direction
  readonly within: ConnectionSet
}

function outsideRows(world: PolicyWorld, { pod, direction, within }: OutsideAsked): readonly NewcomerRow[] {
  const found = new Map<string, { readonly connections: ConnectionSet; readonly ranges: AddressRange[] }>()
  for (const end of outsideRanges(world, direction)) {
    const connections = open(world, pod, end, direction).intersect(within)
    const known = found.get(connections.key)
    if (known === undefined) found.set(connections.key, { connections, ranges: [end.range] })
    else known.ranges.push(end.range)
  }
  return [...found.values()].flatMap(({ connections, ranges }) => joinRanges(ranges).map((range) => ({ peer: `${spanText(range)}[External]`, connections })))
}
