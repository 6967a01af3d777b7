/** Builds bench/ into a directory of its own under dist-bench (TypeScript away, packages left as imports) and runs it in a process of its own. */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** Not another run's: one that starts meanwhile would take the program away from under rows that are still to be measured. */
const OUT = `dist-bench/${process.pid}`

await build({
  absWorkingDir: ROOT,
  entryPoints: ['bench/main.ts'],
  outdir: OUT,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  packages: 'external',
  logLevel: 'warning',
})
const { status } = spawnSync(process.execPath, ['--expose-gc', `${OUT}/main.js`, ...process.argv.slice(2)], { cwd: ROOT, stdio: 'inherit' })
rmSync(`${ROOT}/${OUT}`, { recursive: true, force: true })
process.exit(status ?? 1)
