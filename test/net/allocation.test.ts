/**
 * The walk allocates nothing that no trace asked for: 200,000 packets through two hosts of vxlan, ipip or wireguard leave the pool and
 * the heap as they were, and make no garbage either. Measured on a bundle, as the package is shipped: vitest's own module loader boxes numbers.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

interface Line {
  readonly name: string
  readonly allocatedBytes: number
  readonly keptBytes: number
  readonly newRows: number
  readonly received: number
}

const CASES = [
  'no rules, no trace',
  'masquerade and conntrack, no trace',
  'no rules, steps traced, taps off',
  'a socket picks the source',
  'ipip',
  'wireguard, with a session',
]

describe('a packet across two hosts', () => {
  const folder = mkdtempSync(join(tmpdir(), 'netsim-allocation-'))
  let lines: readonly Line[] = []
  beforeAll(() => {
    const program = join(folder, 'program.mjs')
    buildSync({
      entryPoints: [fileURLToPath(new URL('allocation-program.ts', import.meta.url))],
      outfile: program,
      bundle: true,
      platform: 'node',
      format: 'esm',
      logLevel: 'error',
      banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)" },
    })
    // compiled in this thread: how busy the machine is must not decide which code is optimised when
    const text = execFileSync(process.execPath, ['--single-threaded', program], { encoding: 'utf8' })
    lines = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Line)
  }, 120_000)
  afterAll(() => {
    rmSync(folder, { recursive: true })
  })

  it.each(CASES)('allocates nothing: %s', (name) => {
    const line = lines.find((candidate) => candidate.name === name)
    expect(line).toMatchObject({ received: 200_000, newRows: 0 })
    expect(line?.keptBytes).toBeLessThan(1)
    expect(line?.allocatedBytes).toBeLessThan(1)
  })
})
