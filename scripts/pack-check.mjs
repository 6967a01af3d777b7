/**
 * The tarball as a stranger meets it: packed, installed into an empty folder, and its commands and its library run there.
 * Prints each finding that is wrong and exits 1; says in one line what was checked when all is right.
 *
 * Where no registry answers, the tarball is unpacked by hand: its commands need no other package, its library does and is
 * then left out, which is said.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const NO_NETWORK = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED|ERR_SOCKET_TIMEOUT|network/i

const { name, version, bin } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
const folder = mkdtempSync(join(tmpdir(), 'netsim-pack-'))
const wrong = []
const MUST_HOLD = ['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md', 'dist/cli.js', 'dist/THIRD-PARTY.txt', 'dist/lib/index.js', 'dist/lib/index.d.ts']
const MUST_NOT_HOLD = /^(src|test|bench|scripts|node_modules)\/|^dist\/\.|\.map$|\.tsbuildinfo$/

try {
  const { tarball, files } = pack()
  for (const path of MUST_HOLD) if (!files.includes(path)) wrong.push(`the tarball lacks ${path}`)
  for (const path of files) if (MUST_NOT_HOLD.test(path)) wrong.push(`the tarball should not hold ${path}`)
  const installed = install(tarball)
  checkCommands()
  if (installed) checkLibrary()
  else console.log('NO REGISTRY ANSWERED: the tarball was unpacked by hand and its library left unchecked')
  if (wrong.length === 0) console.log(`${tarball.slice(folder.length + 1)}: ${files.length} files, installed, ${Object.keys(bin).join(' and ')} run`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
for (const what of wrong) console.error(what)
process.exit(wrong.length > 0 ? 1 : 0)

function pack() {
  const { stdout } = mustRun('npm', ['pack', '--json', '--pack-destination', folder], ROOT)
  // The build that `npm pack` runs first may print before npm's JSON.
  const [packed] = JSON.parse(stdout.slice(stdout.search(/^\[/m)))
  return { tarball: join(folder, packed.filename), files: packed.files.map((file) => file.path) }
}

/** @returns whether npm could install it with its dependencies */
function install(tarball) {
  const app = join(folder, 'app')
  mkdirSync(app)
  const words = ['install', '--prefix', app, '--prefer-offline', '--no-audit', '--no-fund', '--fetch-retries=1', tarball]
  const { status, stdout, stderr } = run('npm', words, app)
  if (status === 0) return true
  if (!NO_NETWORK.test(stderr)) giveUp(`npm install of the tarball failed\n${stdout}${stderr}`)
  const home = join(app, 'node_modules', name)
  mkdirSync(home, { recursive: true })
  mkdirSync(join(app, 'node_modules/.bin'), { recursive: true })
  mustRun('tar', ['-xzf', tarball, '--strip-components=1', '-C', home], app)
  for (const [command, path] of Object.entries(bin)) symlinkSync(join('..', name, path), join(app, 'node_modules/.bin', command))
  return false
}

function checkCommands() {
  const here = run(process.execPath, [join(ROOT, 'dist/cli.js'), 'trace', 'pod-a', 'pod-b'], folder)
  expectRun('netsim', ['trace', 'pod-a', 'pod-b'], (out) => out !== '' && out === here.stdout, 'the trace that the working tree prints')
  expectRun('netsim', ['--version'], (out) => out.split(/\s+/).includes(version), version)
  expectRun('kubectl-netsim', ['--version'], (out) => out.split(/\s+/).includes(version), version)
  expectRun('netsim', ['--help'], (out) => out.includes('netsim trace'), 'an example of netsim trace')
  expectRun('kubectl-netsim', ['--help'], (out) => /\btrace\b/.test(out) && /\bshow\b/.test(out), 'its commands')
}

function expectRun(command, words, isRight, what) {
  const { status, stdout, stderr } = run(join(folder, 'app/node_modules/.bin', command), words, join(folder, 'app'))
  if (status !== 0) wrong.push(`${command} ${words.join(' ')} exits ${status}: ${stderr || stdout}`)
  else if (!isRight(stdout)) wrong.push(`${command} ${words.join(' ')} does not print ${what}, but\n${stdout}`)
}

function checkLibrary() {
  const app = join(folder, 'app')
  const { status, stdout, stderr } = run(process.execPath, ['--input-type=module', '-e', `console.log(Object.keys(await import('${name}')).length)`], app)
  if (status !== 0 || Number(stdout) === 0) wrong.push(`import('${name}') gives nothing: ${stderr || stdout}`)
  writeFileSync(join(app, 'use.mts'), `import * as library from '${name}'\nexport const names: string[] = Object.keys(library)\n`)
  const compilerOptions = { strict: true, noEmit: true, module: 'nodenext', target: 'es2023', types: [] }
  writeFileSync(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['use.mts'] }))
  const types = run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', app], app)
  if (types.status !== 0) wrong.push(`the types of the library do not compile:\n${types.stdout}`)
}

function run(command, words, cwd) {
  return spawnSync(command, words, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 1 << 28 })
}

function mustRun(command, words, cwd) {
  const result = run(command, words, cwd)
  if (result.status === 0) return result
  return giveUp(`${command} ${words.join(' ')} failed\n${result.error?.message ?? ''}${result.stdout ?? ''}${result.stderr ?? ''}`)
}

function giveUp(why) {
  console.error(why)
  rmSync(folder, { recursive: true, force: true })
  process.exit(1)
}
