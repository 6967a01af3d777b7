/**
 * Builds what is published.
 *
 *   cli      dist/cli.js and dist/cli/*.js: the command line with its run-time packages bundled, split at every import(),
 *            so that a command loads only what it needs; beside them the same as one script with its compiled code, for this Node
 *            (code-cache.mjs); dist/THIRD-PARTY.txt: the licences of what was bundled
 *   library  dist/lib: src/index.ts and what it reaches, compiled file by file with types; its packages stay imports
 *
 * usage: node scripts/build.mjs [cli|library]…   (default: both)
 * Says nothing when all is well.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CACHE_NAME, SCRIPT_OPTIONS, writeCodeCache } from './code-cache.mjs'
import { inlineConstants } from './inline-constants.mjs'
import { onDemand } from './on-demand.mjs'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const DIST = join(ROOT, 'dist')
const STAMP = join(DIST, '.built')
const ENTRY = 'src/cli/main.ts'
/** What the entry loads first of all. */
const TRUNK = 'src/cli/program.ts'
/** The command holds the schemas of docs/. */
const SCHEMAS = readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.schema.json'))
const INPUTS = [
  'src',
  ...SCHEMAS.sort().map((name) => `docs/${name}`),
  'package.json',
  'package-lock.json',
  'scripts/build.mjs',
  'scripts/code-cache.mjs',
  'scripts/inline-constants.mjs',
  'scripts/on-demand.mjs',
]

/** True when dist/cli.js was made from the files as they are now; by content, since a checkout sets times as it likes. */
export function cliIsFresh() {
  return existsSync(join(DIST, 'cli.js')) && existsSync(STAMP) && readFileSync(STAMP, 'utf8') === digestOfInputs()
}

/** What is wrong with the sources is printed by esbuild, and ends the process with 1. */
export async function buildCli() {
  const digest = digestOfInputs()
  const { build } = await import('esbuild')
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  const common = {
    absWorkingDir: ROOT,
    bundle: true,
    minifyWhitespace: true,
    minifySyntax: true,
    platform: 'node',
    target: 'node20.19',
    define: { 'process.env.NETSIM_VERSION': JSON.stringify(version) },
    legalComments: 'none',
    plugins: [inlineConstants()],
    write: false,
    logLevel: 'warning',
  }
  const modules = {
    ...common,
    entryPoints: { cli: ENTRY },
    outdir: 'dist',
    chunkNames: 'cli/[name]-[hash]',
    splitting: true,
    format: 'esm',
    metafile: true,
    plugins: [onDemand({ root: ROOT, entry: ENTRY, trunk: TRUNK }), inlineConstants()],
  }
  const script = { ...common, ...SCRIPT_OPTIONS, entryPoints: [TRUNK], define: { ...common.define, ...SCRIPT_OPTIONS.define } }
  const [result, whole] = await Promise.all([build(modules), build(script)]).catch((error) => {
    if (!Array.isArray(error.errors)) throw error
    process.exit(1)
  })
  // An older program's, whatever Node it is for: until there is this one's no start is to find it.
  const old = existsSync(join(DIST, 'cli')) ? readdirSync(join(DIST, 'cli')) : []
  for (const name of old) if (name.endsWith('.bin')) rmSync(join(DIST, 'cli', name))
  const written = new Set(result.outputFiles.map((file) => file.path))
  // Chunks first, so that dist/cli.js never points at a file that is not there yet.
  const inOrder = [...result.outputFiles].sort((a, b) => b.path.length - a.path.length)
  for (const file of inOrder) writeAtomically(file.path, runnable(file, result.metafile))
  for (const path of copyHelpers(join(DIST, 'cli'))) written.add(path)
  writeCodeCache(whole.outputFiles[0].text, join(DIST, 'cli', CACHE_NAME))
  removeOthers(join(DIST, 'cli'), written.add(join(DIST, 'cli', CACHE_NAME)))
  writeAtomically(join(DIST, 'THIRD-PARTY.txt'), thirdParty(result.metafile))
  writeAtomically(STAMP, digest)
}

/** The same, in the compiler's words. */
export function buildLibrary() {
  rmSync(join(DIST, 'lib'), { recursive: true, force: true })
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc')
  const { status } = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], { cwd: ROOT, stdio: 'inherit' })
  if (status !== 0) process.exit(1)
  if (existsSync(join(DIST, 'lib/kernel'))) copyHelpers(join(DIST, 'lib/kernel'))
}

/** The Python that src/kernel starts stands beside the JavaScript that starts it. @returns the files written */
function copyHelpers(folder) {
  const names = readdirSync(join(ROOT, 'src/kernel')).filter((name) => name.endsWith('.py'))
  return names.map((name) => {
    const path = join(folder, name)
    writeAtomically(path, readFileSync(join(ROOT, 'src/kernel', name), 'utf8'))
    return path
  })
}

/** An entry gets its `#!` line; a chunk with bundled CommonJS gets the `require` that ES modules lack, for Node's own modules. */
function runnable(file, metafile) {
  const output = metafile.outputs[relative(ROOT, file.path)]
  const code = file.text.replace(/^#!.*\n/, '')
  const require = /\b__require ?= ?/.test(code)
    ? "import { createRequire as __createRequire } from 'node:module'\nconst require = __createRequire(import.meta.url)\n"
    : ''
  return (output.entryPoint === ENTRY ? '#!/usr/bin/env node\n' : '') + require + code
}

function thirdParty(metafile) {
  const folders = new Set()
  for (const output of Object.values(metafile.outputs)) {
    for (const [input, { bytesInOutput }] of Object.entries(output.inputs)) {
      const folder = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)
      if (folder !== null && bytesInOutput > 0) folders.add(folder[0])
    }
  }
  const notices = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8'))
    const files = readdirSync(join(ROOT, folder)).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file))
    if (files.length === 0) throw new Error(`${folder} is bundled but brings no licence text`)
    const texts = files.sort().map((file) => readFileSync(join(ROOT, folder, file), 'utf8').trim())
    return [`${name} ${version} (${license})`, ...texts].join('\n\n')
  })
  return ['dist/cli.js and dist/cli/ contain these packages.', ...notices].join(`\n\n${'-'.repeat(80)}\n\n`) + '\n'
}

function digestOfInputs() {
  const hash = createHash('sha256')
  for (const input of INPUTS.flatMap(filesUnder))
    hash
      .update(input)
      .update('\0')
      .update(readFileSync(join(ROOT, input)))
      .update('\0')
  return hash.digest('hex')
}

function filesUnder(path) {
  if (!existsSync(join(ROOT, path))) return []
  if (!/^src(\/|$)/.test(path)) return [path]
  const entries = readdirSync(join(ROOT, path), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
  return entries.flatMap((entry) => (entry.isDirectory() ? filesUnder(`${path}/${entry.name}`) : [`${path}/${entry.name}`]))
}

function writeAtomically(path, text) {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(`${path}.new`, text)
  if (text.startsWith('#!')) chmodSync(`${path}.new`, 0o755)
  renameSync(`${path}.new`, path)
}

function removeOthers(folder, keep) {
  if (!existsSync(folder)) return
  for (const name of readdirSync(folder)) if (!keep.has(join(folder, name))) rmSync(join(folder, name))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const wanted = process.argv.slice(2)
  if (wanted.length === 0 || wanted.includes('cli')) await buildCli()
  if (wanted.length === 0 || wanted.includes('library')) buildLibrary()
}
