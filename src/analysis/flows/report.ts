/** What many flows came to, as a document: `netsim flows -o json` (docs/flows.schema.json). */
import type { ClassCounts } from './classes.js'
import { rulesOverNodes, type DeviceSum, type FlowSums, type LossSum, type Refusal, type RuleSum } from './sums.js'

/** What was asked, whatever part of it this is. */
export interface Asked {
  readonly kind: 'matrix' | 'all-pairs' | 'random'
  readonly flows: number
  /** Pods that flows are between, and those that were left out: they have no network of their own. */
  readonly pods?: number
  readonly left?: number
  readonly pick?: string
  /** One pair was walked for all of its kind: then nothing is told of single devices and rules. */
  readonly classes?: ClassCounts
  /** What each flow has that its line does not say. */
  readonly protocol?: string
  readonly port?: number
  readonly packets: number
  readonly size?: number
  readonly rate?: number
  readonly namespace: string
  readonly cold: boolean
  readonly listen: boolean
}

export interface FlowsMetadata {
  readonly tool: string
  readonly inputs: readonly string[]
  readonly seed: number
}

export interface SegmentSum {
  readonly segment: string
  readonly cards: number
  readonly frames: number
  readonly bytes: number
}

export interface OverlaySum {
  /** Packets that a tunnel wrapped, and what its headers added. */
  readonly wrapped: number
  readonly added: number
  /** All that cards sent. */
  readonly wire: number
  /** What is added, to what would be on the wire without. */
  readonly percent: number
}

export interface FlowsReport {
  readonly apiVersion: 'netsim/v1'
  readonly kind: 'Flows'
  readonly metadata: FlowsMetadata
  readonly asked: Asked
  readonly result: Pick<FlowSums, 'flows' | 'packets' | 'unsent' | 'first' | 'all'>
  readonly losses: readonly LossSum[]
  /** What netsim cannot tell: not modelled, or an address that two have. */
  readonly unknown: readonly LossSum[]
  readonly refused: readonly Refusal[]
  readonly segments: readonly SegmentSum[]
  readonly overlay: OverlaySum
  readonly devices: readonly DeviceSum[]
  readonly rules: readonly RuleSum[]
  /** Rows that --top left out. */
  readonly more: { readonly losses: number; readonly unknown: number; readonly devices: number; readonly rules: number }
}

const UNKNOWN: readonly string[] = ['INCOMPLETE', 'AMBIGUOUS']

/** @param top rows of each table, 0: all */
export function flowsReport(head: { readonly metadata: FlowsMetadata; readonly asked: Asked }, sums: FlowSums, top: number): FlowsReport {
  const { flows, packets, unsent, first, all, refused } = sums
  const devices = head.asked.classes === undefined ? sums.devices : []
  const lost = sums.losses.filter(({ disposition }) => !UNKNOWN.includes(disposition))
  const unknown = sums.losses.filter(({ disposition }) => UNKNOWN.includes(disposition))
  const rules = head.asked.classes === undefined ? rulesOverNodes(sums.rules) : []
  const shown = <Row>(rows: readonly Row[]): readonly Row[] => (top === 0 ? rows : rows.slice(0, top))
  const over = (rows: readonly unknown[]): number => rows.length - shown(rows).length
  const segments = segmentsOf(devices)
  return {
    apiVersion: 'netsim/v1',
    kind: 'Flows',
    ...head,
    result: { flows, packets, unsent, first, all },
    losses: shown(lost),
    unknown: shown(unknown),
    refused,
    segments,
    overlay: overlayOf(devices, segments),
    devices: shown(devices),
    rules: shown(rules),
    more: { losses: over(lost), unknown: over(unknown), devices: over(devices), rules: over(rules) },
  }
}

/** What cards send is on their segment. */
function segmentsOf(devices: readonly DeviceSum[]): readonly SegmentSum[] {
  const found = new Map<string, SegmentSum>()
  for (const { segment, frames, bytes } of devices) {
    if (segment === undefined) continue
    const known = found.get(segment) ?? { segment, cards: 0, frames: 0, bytes: 0 }
    found.set(segment, { segment, cards: known.cards + 1, frames: known.frames + frames, bytes: known.bytes + bytes })
  }
  return [...found.values()].sort((a, b) => b.bytes - a.bytes || (a.segment < b.segment ? -1 : 1))
}

function overlayOf(devices: readonly DeviceSum[], segments: readonly SegmentSum[]): OverlaySum {
  const wrapped = devices.reduce((sum, device) => sum + device.wrapped, 0)
  const added = devices.reduce((sum, device) => sum + device.added, 0)
  const wire = segments.reduce((sum, { bytes }) => sum + bytes, 0)
  return { wrapped, added, wire, percent: wire > added ? Math.round((added * 10_000) / (wire - added)) / 100 : 0 }
}
