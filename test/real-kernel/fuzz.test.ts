/**
 * A bounded part of what `npm run fuzz:kernel` plays: the cases that were found and made small, and fresh worlds of fixed seeds, on netsim
 * and on the real kernel of this machine. Root only.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { playWorld } from '../fuzz/play-world.js'
import { randomWorld, type WorldDraft } from '../fuzz/random-world.js'

const CASES = new URL('../fuzz/cases/', import.meta.url)
const PROBES = 10
const WORLDS = 25
const BEGIN = 1

describe.skipIf(process.getuid?.() !== 0)('random worlds on the real kernel', () => {
  it.each(readdirSync(CASES).filter((name) => name.endsWith('.json')))('case %s', { timeout: 30_000 }, async (name) => {
    const { failures, probes } = await playWorld(JSON.parse(readFileSync(new URL(name, CASES), 'utf8')) as WorldDraft)
    expect(failures.join('\n')).toBe('')
    expect(probes).toBeGreaterThan(0)
  })

  it.each(Array.from({ length: WORLDS }, (_, index) => BEGIN + index))('seed %d', { timeout: 60_000 }, async (seed) => {
    const { failures } = await playWorld(randomWorld(seed, { probes: PROBES }))
    expect(failures.join('\n')).toBe('')
  })
})
