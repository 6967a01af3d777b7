/**
 * The time axis of a run's picture. A lease lives for a day and a route changes in a millisecond: where the stretches between what happened differ
 * by orders of magnitude each is drawn by the logarithm of its length, and marked, so that every one can be seen. The order of things is kept.
 */
import { scaleLinear } from 'd3-scale'

export interface TimeAxis {
  readonly kind: 'linear' | 'broken'
  readonly x: (ns: number) => number
  /** Moments that carry a label, in order; the two ends among them. */
  readonly ticks: readonly number[]
  /** Stretches that are drawn much shorter than the shortest is. */
  readonly breaks: readonly { readonly fromNs: number; readonly toNs: number }[]
}

/** Of the longest stretch to the shortest: so much more than that no straight axis shows both. */
const STRAIGHT_RATIO = 40
/** More stretches than these have no room of their own. */
const STRETCHES_MOST = 16
/** How much longer a drawn second must be elsewhere for a stretch to be marked. */
const BREAK_RATIO = 8

/** @param moments what is to be told apart: borders of spans, events; in any order, those outside of the ends are left out */
export function timeAxis(moments: readonly number[], [fromNs, toNs]: readonly [number, number], range: readonly [number, number]): TimeAxis {
  const inside = moments.filter((ns) => ns > fromNs && ns < toNs)
  const all = [...new Set([fromNs, ...inside, toNs])].sort((a, b) => a - b)
  const stretches = stretchesOf(all)
  const longest = Math.max(...stretches.map(({ ns }) => ns))
  const shortest = Math.min(...stretches.map(({ ns }) => ns))
  if (stretches.length < 2 || longest / shortest <= STRAIGHT_RATIO) {
    const straight = scaleLinear([fromNs, Math.max(toNs, fromNs + 1)], range)
    return { kind: 'linear', x: (ns) => straight(ns), ticks: all, breaks: [] }
  }
  const kept = new Set(
    [...stretches]
      .sort((a, b) => b.ns - a.ns)
      .slice(0, STRETCHES_MOST)
      .flatMap((stretch) => [stretch.fromNs, stretch.toNs]),
  )
  const anchors = all.filter((ns) => ns === fromNs || ns === toNs || kept.has(ns))
  const parts = stretchesOf(anchors)
  const least = Math.min(...parts.map(({ ns }) => ns))
  const weights = parts.map(({ ns }) => 1 + Math.log10(ns / least))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const ends = weights.reduce((sums, weight) => [...sums, sums[sums.length - 1] + weight], [0])
  const scale = scaleLinear(
    anchors,
    ends.map((end) => range[0] + ((range[1] - range[0]) * end) / total),
  )
  const densities = parts.map(({ ns }, index) => ns / weights[index])
  const finest = Math.min(...densities)
  return { kind: 'broken', x: (ns) => scale(ns), ticks: anchors, breaks: parts.filter((_, index) => densities[index] > BREAK_RATIO * finest) }
}

interface Stretch {
  readonly fromNs: number
  readonly toNs: number
  readonly ns: number
}

function stretchesOf(moments: readonly number[]): readonly Stretch[] {
  return moments.slice(1).map((toNs, index) => ({ fromNs: moments[index], toNs, ns: toNs - moments[index] }))
}
