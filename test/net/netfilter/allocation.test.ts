import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { expect, it } from 'vitest'

/** In a process of its own, where nothing else allocates and the collector can be asked to run. */
it('runs 100,000 packets through rules, conntrack, NAT and sets without allocating', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'netsim-'))
  try {
    const outfile = join(folder, 'walk.mjs')
    await build({
      entryPoints: ['test/net/netfilter/allocation-walk.ts'],
      outfile,
      bundle: true,
      format: 'esm',
      platform: 'node',
      target: 'node20.19',
      logLevel: 'error',
    })
    const { stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', '--single-threaded', '--max-semi-space-size=64', outfile], { encoding: 'utf8' })
    expect(stderr).toBe('')
    const measured = JSON.parse(stdout) as { bytesPerPacket: number; entries: number; capacityGrown: number; packetsMade: number }
    expect(measured.capacityGrown).toBe(0)
    expect(measured.packetsMade).toBe(0)
    expect(measured.entries).toBeGreaterThan(0)
    // a heap number here and there where V8 has not unboxed one, never an object a packet
    expect(measured.bytesPerPacket).toBeLessThan(8)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
