/** The middle of measured values. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { median } from '../../src/base/median.js'

describe('median', () => {
  it.each([
    [[7], 7],
    [[30, 4], 17],
    [[100, 9, 20], 20],
    [[4, 100, 1, 9], 6.5],
    [[], NaN],
  ])('of %j is %d', (values, middle) => expect(median(values)).toBe(middle))

  it('has as many values above as below, and takes none of them away', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 1 }), (values) => {
        const before = [...values]
        const middle = median(values)
        expect(values).toEqual(before)
        expect(2 * values.filter((value) => value < middle).length).toBeLessThanOrEqual(values.length)
        expect(2 * values.filter((value) => value > middle).length).toBeLessThanOrEqual(values.length)
      }),
    )
  })
})
