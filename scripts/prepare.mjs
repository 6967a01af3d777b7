/**
 * Makes a fresh clone ready, and does nothing when it is: the packages that package-lock.json names are installed, and
 * dist/cli.js is built from the sources as they are. Imports nothing but Node before the packages are there.
 * Quiet, for `npm run demo` prints netsim's output only; on a terminal it says what takes long.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`netsim needs Node 20.19 or newer; this is ${process.versions.node}`)
  process.exit(1)
}
if (!isInstalled()) {
  say('installing the packages that package-lock.json names …')
  install()
}
const { buildCli, cliIsFresh } = await import('./build.mjs')
if (!cliIsFresh()) {
  say('building dist/cli.js …')
  await buildCli()
}

/** npm's record of what stands in node_modules, held against the lock; a package for another platform may be missing. */
function isInstalled() {
  const record = `${ROOT}/node_modules/.package-lock.json`
  if (!existsSync(record)) return false
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages
  const locked = JSON.parse(readFileSync(`${ROOT}/package-lock.json`, 'utf8')).packages
  return Object.entries(locked).every(([path, { version, optional }]) => {
    if (path === '') return true
    const found = installed[path]
    return found === undefined ? optional === true : found.version === version && existsSync(`${ROOT}/${path}`)
  })
}

function install() {
  const words = ['ci', '--no-audit', '--no-fund', '--include=dev', '--loglevel=error']
  const npm = process.env.npm_execpath
  const options = { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }
  const result = npm?.endsWith('.js') ? spawnSync(process.execPath, [npm, ...words], options) : spawnSync('npm', words, { ...options, shell: true })
  if (result.status === 0) return
  console.error(`npm ci failed\n${result.error?.message ?? ''}${result.stdout ?? ''}${result.stderr ?? ''}`)
  process.exit(1)
}

function say(what) {
  if (process.stderr.isTTY) console.error(what)
}
