/** The axis of a run's picture: nothing changes places, nothing that differs falls together, nothing leaves the picture. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { timeAxis } from '../../../src/analysis/timeline/time-axis.js'

const RANGE = [100, 900] as const
const DAY = 86400e9

describe('the axis', () => {
  it('is straight where stretches are alike', () => {
    const axis = timeAxis([10e9, 20e9], [0, 40e9], RANGE)
    expect([axis.kind, axis.breaks, axis.x(20e9)]).toEqual(['linear', [], 500])
  })

  it('shows a millisecond beside a day', () => {
    const axis = timeAxis([10e9, 10.001e9], [0, DAY], RANGE)
    expect(axis.kind).toBe('broken')
    expect(axis.x(10.001e9) - axis.x(10e9)).toBeGreaterThan(20)
    expect(axis.breaks).toContainEqual({ fromNs: 10.001e9, toNs: DAY, ns: DAY - 10.001e9 })
    expect(axis.breaks).not.toContainEqual(expect.objectContaining({ fromNs: 10e9 }))
  })

  it('keeps order and ends, whatever happens when', () => {
    const times = fc.array(fc.integer({ min: -5, max: 1e15 }), { maxLength: 60 })
    fc.assert(
      fc.property(times, fc.integer({ min: 1, max: 1e15 }), (moments, end) => {
        const axis = timeAxis(moments, [0, end], RANGE)
        expect([axis.x(0), axis.ticks[0], axis.ticks.at(-1)]).toEqual([100, 0, end])
        expect(axis.x(end)).toBeCloseTo(900)
        const inside = [...new Set([0, ...moments.filter((ns) => ns > 0 && ns < end), end])].sort((a, b) => a - b)
        const drawn = inside.map((ns) => axis.x(ns))
        expect(drawn.every((x, index) => index === 0 || x > drawn[index - 1])).toBe(true)
      }),
    )
  })

  it('has room for each of many stretches', () => {
    const moments = Array.from({ length: 400 }, (_, index) => (index + 1) ** 4 * 1e6)
    const { ticks, x } = timeAxis(moments, [0, 401 ** 4 * 1e6], RANGE)
    const gaps = ticks.slice(1).map((ns, index) => x(ns) - x(ticks[index]))
    expect(Math.min(...gaps)).toBeGreaterThan(5)
  })
})
