/**
 * Builds test/fuzz into dist-fuzz (TypeScript away, packages left as imports) and runs it: random worlds on netsim and on this machine's kernel, or with
 * `policy` as first word what random policies mean against what Felix's chains do.
 */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const [first, ...rest] = process.argv.slice(2)
const isPolicy = first === 'policy'
const main = isPolicy ? 'policy-main' : 'main'
const ROOT = fileURLToPath(new URL('..', import.meta.url))

rmSync(`${ROOT}/dist-fuzz`, { recursive: true, force: true })
await build({
  absWorkingDir: ROOT,
  entryPoints: [`test/fuzz/${main}.ts`],
  outdir: 'dist-fuzz',
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  packages: 'external',
  logLevel: 'warning',
})
const { status } = spawnSync(process.execPath, [`dist-fuzz/${main}.js`, ...(isPolicy ? rest : process.argv.slice(2))], { cwd: ROOT, stdio: 'inherit' })
process.exit(status ?? 1)
