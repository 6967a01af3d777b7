/**
 * A bounded part of what `npm run fuzz:kernel` plays: the cases that were found and made small, and fresh worlds of fixed seeds, on netsim
 * and on the real kernel of this machine. Root only.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { playWorld } from '../fuzz/play-world.js'
import { randomCalicoWorld } from '../fuzz/random-calico.js'
import { randomServiceWorld } from '../fuzz/random-services.js'
import { randomWorld, type WorldDraft } from '../fuzz/random-world.js'

const CASES = new URL('../fuzz/cases/', import.meta.url)
const PROBES = 10
const SEEDS = {
  flannel: Array.from({ length: 25 }, (_, index) => 1 + index),
  calico: Array.from({ length: 10 }, (_, index) => 1 + index),
  services: Array.from({ length: 10 }, (_, index) => 1 + index),
}

describe.skipIf(process.getuid?.() !== 0)('random worlds on the real kernel', () => {
  it.each(readdirSync(CASES).filter((name) => name.endsWith('.json')))('case %s', { timeout: 30_000 }, async (name) => {
    const { failures, probes } = await playWorld(JSON.parse(readFileSync(new URL(name, CASES), 'utf8')) as WorldDraft)
    expect(failures.join('\n')).toBe('')
    expect(probes).toBeGreaterThan(0)
  })

  it.each(SEEDS.flannel)('seed %d of flannel', { timeout: 60_000 }, async (seed) => {
    const { failures } = await playWorld(randomWorld(seed, { probes: PROBES }))
    expect(failures.join('\n')).toBe('')
  })

  it.each(SEEDS.services)('seed %d with Services', { timeout: 60_000 }, async (seed) => {
    const { failures } = await playWorld(randomServiceWorld(seed, { probes: PROBES }))
    expect(failures.join('\n')).toBe('')
  })

  it.each(SEEDS.calico)('seed %d of Calico', { timeout: 60_000 }, async (seed) => {
    const { failures } = await playWorld(randomCalicoWorld(seed, { probes: PROBES }))
    expect(failures.join('\n')).toBe('')
  })
})
