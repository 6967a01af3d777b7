/** netsim's walk beside the real kernel's: the same hosts, the same packets, and every frame of every device in its order. Root only. */
import { describe, expect, it } from 'vitest'
import { play } from './walk-compare.js'
import { SCENARIOS } from './walk-scenarios.js'

describe.skipIf(process.getuid?.() !== 0)('the walk of the real kernel (skipped without root)', () => {
  for (const scenario of SCENARIOS) {
    it(scenario.name, async () => {
      const outcomes = await play(scenario)
      outcomes.forEach(({ real, simulated }, probe) => {
        expect({ probe, frames: simulated }).toEqual({ probe, frames: real })
      })
      // something was seen
      expect(outcomes.some(({ real }) => Object.keys(real).length > 0)).toBe(true)
    })
  }
})
