/**
 * Builds bench/ into a directory of its own under dist-bench (TypeScript away, packages left as imports) and runs it in a process of its own: the
 * suites, or with `kernel` as the first word what is held beside this machine's kernel.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { inlineConstants } from './inline-constants.mjs'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** Not another run's: one that starts meanwhile would take the program away from under rows that are still to be measured. */
const OUT = `dist-bench/${process.pid}`

await build({
  absWorkingDir: ROOT,
  entryPoints: { main: 'bench/main.ts', kernel: 'bench/kernel/main.ts' },
  outdir: OUT,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  // as the command is built
  minifySyntax: true,
  plugins: [inlineConstants()],
  packages: 'external',
  logLevel: 'warning',
})
for (const name of ['porter.py', 'tun_proxy.py']) copyFileSync(`${ROOT}/src/kernel/${name}`, `${ROOT}/${OUT}/${name}`)
const words = process.argv.slice(2)
const [program, given] = words[0] === 'kernel' ? ['kernel', words.slice(1)] : ['main', words]
const { status } = spawnSync(process.execPath, ['--expose-gc', `${OUT}/${program}.js`, ...given], { cwd: ROOT, stdio: 'inherit' })
rmSync(`${ROOT}/${OUT}`, { recursive: true, force: true })
process.exit(status ?? 1)
