/**
 * A part of a run and what it wrote, so that parts make the bytes of the whole:
 *
 *   {"kind":"FlowsPart","part":0,"of":8,…}      what was asked, the same in every part
 *   {"flow":0,…}                                 where lines are wanted: one a flow
 *   {"kind":"FlowsSums",…}                       what the part adds up to
 */
import type { Asked, FlowsMetadata } from './report.js'
import type { FlowSums } from './sums.js'

export interface PartHead {
  readonly apiVersion: 'netsim/v1'
  readonly kind: 'FlowsPart'
  readonly part: number
  readonly of: number
  /** It holds a line for each flow. */
  readonly lines: boolean
  readonly metadata: FlowsMetadata
  readonly asked: Asked
}

export interface PartSums extends FlowSums {
  readonly kind: 'FlowsSums'
}

export function isPartHead(value: unknown): value is PartHead {
  const { kind, part, of, asked, metadata } = Object(value) as Partial<PartHead>
  return kind === 'FlowsPart' && Number.isInteger(part) && Number.isInteger(of) && asked !== undefined && metadata !== undefined
}

export function isPartSums(value: unknown): value is PartSums {
  const { kind, flows, losses, devices, rules } = Object(value) as Partial<PartSums>
  return kind === 'FlowsSums' && Number.isInteger(flows) && [losses, devices, rules].every(Array.isArray)
}

/** Why the parts do not make a whole; undefined: they do. */
export function mismatch(heads: readonly PartHead[]): string | undefined {
  const [first] = heads
  const question = (head: PartHead): string => JSON.stringify([head.of, head.metadata, head.asked])
  const odd = heads.find((head) => question(head) !== question(first))
  if (odd !== undefined)
    return `part ${odd.part} of ${odd.of} is of another run than part ${first.part} of ${first.of}: not asked the same, or not of the same files`
  const parts = heads.map(({ part }) => part)
  const twice = parts.find((part, at) => parts.indexOf(part) !== at)
  if (twice !== undefined) return `part ${twice} is there twice`
  const missing = Array.from({ length: first.of }, (_, part) => part).filter((part) => !parts.includes(part))
  return missing.length === 0
    ? undefined
    : `of ${first.of} parts ${missing.slice(0, 10).join(', ')}${missing.length > 10 ? ', …' : ''} ${missing.length === 1 ? 'is' : 'are'} missing`
}
