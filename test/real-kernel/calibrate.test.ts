/** `netsim verify --calibrate` on this kernel: what it finds is of the size that such things have, and explains what it was found from. */
import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { COSTS } from '../../src/analysis/overlay/cost-model.js'
import { calibrate, calibrationNetworks, NOT_CALIBRATED } from '../../src/kernel/calibrate.js'

const ready = process.getuid?.() === 0 && spawnSync('ip', ['netns', 'list']).status === 0

describe.skipIf(!ready)('calibration', () => {
  it('measures every path, and constants that are differences of them', { timeout: 300_000, retry: 1 }, async () => {
    const { paths, costs } = await calibrate({ networks: calibrationNetworks(), prefix: `netsim-test-${process.pid}-`, rounds: 2, kernel: 'this kernel' })
    const of = (name: string): number => paths.find((path) => path.name === name)?.measuredNs ?? 0
    expect(paths.every(({ rounds, measuredNs }) => rounds.length === 2 && measuredNs > 100 && measuredNs < 1e7)).toBe(true)
    // whatever the machine does meanwhile: 1,800 rules more on two hosts cost more than all else
    expect(of('host-gw, 2,000 rules')).toBeGreaterThan(of('host-gw, 200 rules'))
    expect(of('host-gw, 200 rules')).toBeGreaterThan(of('loopback'))
    expect(costs.rule.ns).toBeCloseTo((of('host-gw, 2,000 rules') - of('host-gw, 200 rules')) / 3600, 0)
    expect(costs.socket.ns + costs.device.ns).toBeCloseTo(of('loopback'), -1)
    for (const name of NOT_CALIBRATED) expect(costs[name]).toEqual(COSTS[name])
    expect(costs.rule.source).toContain('this kernel')
    expect(spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout).not.toContain('netsim-test-')
  })
})
