/** Virtual time in words: exact, short, and read again by the flag that takes it. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { durationText, momentText } from '../../../src/analysis/timeline/duration.js'
import { parseMoment } from '../../../src/cluster/units.js'

const DAY = 24 * 3600e9

describe('a duration in words', () => {
  it.each([
    [0, '0 s'],
    [250, '0.25 us'],
    [20000, '20 us'],
    [1e6, '1.000 ms'],
    [105.25e6, '105.250 ms'],
    [10e9, '10.000 s'],
    [10.0001e9, '10.000100 s'],
    [59.9999999e9, '1 m'],
    [60e9, '1 m'],
    [90.5e9, '1 m 30.5 s'],
    [86390e9, '23 h 59 m 50 s'],
    [86400e9 + 2e6, '24 h 0.002 s'],
    [3 * DAY + 60e9, '3 d 1 m'],
    [-2e9, '-2.000 s'],
  ])('%d ns is %s', (ns, text) => expect(durationText(ns)).toBe(text))

  it('is read again as the same time, to the microsecond', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 90 * 86400 * 1e6 }), (microseconds) => {
        expect(parseMoment(momentText(microseconds * 1000))).toBe(microseconds * 1000)
      }),
    )
  })
})
