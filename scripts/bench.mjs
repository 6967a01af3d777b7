/** Builds bench/ into dist-bench (TypeScript away, packages left as imports) and runs it in a process of its own. */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

rmSync(`${ROOT}/dist-bench`, { recursive: true, force: true })
await build({
  absWorkingDir: ROOT,
  entryPoints: ['bench/main.ts'],
  outdir: 'dist-bench',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  packages: 'external',
  logLevel: 'warning',
})
const { status } = spawnSync(process.execPath, ['--expose-gc', 'dist-bench/main.js', ...process.argv.slice(2)], { cwd: ROOT, stdio: 'inherit' })
process.exit(status ?? 1)
