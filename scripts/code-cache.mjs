/**
 * The program as one script, with the code that V8 makes of it: what src/cli/code-cache.ts takes in place of the modules. V8 takes such code only with the
 * same version of itself, so the file is named after the Node that made it.
 *
 * usage: node scripts/code-cache.mjs SCRIPT FILE      as a process of its own: with code-cache's memory and settings, not the build's
 */
import { Buffer } from 'node:buffer'
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { constants, Script } from 'node:vm'
import { crc32 } from 'node:zlib'

/** Beside chunks of modules. */
export const CACHE_NAME = `program-${process.version}-${process.platform}-${process.arch}.bin`

/** Run before the code is taken, whatever comes of it: the functions that it calls are in it. More of them would make every start slower. */
const WARMING = ['trace', 'pod-a', 'pod-b']

/** What differs from the build of modules: one function, to be called as Node calls a CommonJS module. */
export const SCRIPT_OPTIONS = {
  splitting: false,
  format: 'cjs',
  charset: 'ascii',
  banner: { js: '(function(module,require,moduleUrl){"use strict";' },
  footer: { js: '})' },
  define: { 'import.meta.url': 'moduleUrl' },
}

/** @param text the script. Writes `file`. */
export function writeCodeCache(text, file) {
  const folder = mkdtempSync(join(tmpdir(), 'netsim-build-'))
  try {
    const script = join(folder, 'program.cjs')
    // A byte a letter; esbuild leaves regular expressions as they are.
    writeFileSync(
      script,
      text.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
    )
    const { status } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), script, file], { stdio: ['ignore', 'ignore', 'inherit'], cwd: folder })
    if (status !== 0) throw new Error(`${file} could not be made`)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function make(scriptFile, file) {
  const text = readFileSync(scriptFile, 'latin1')
  const script = new Script(text, { filename: pathToFileURL(file).href, importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER })
  const program = { exports: {} }
  script.runInThisContext()(program, createRequire(file), pathToFileURL(file).href)
  const nothing = () => Promise.resolve()
  const io = {
    out: nothing,
    err: nothing,
    stdin: () => Promise.resolve(new Uint8Array()),
    env: {},
    cwd: process.cwd(),
    outIsTerminal: false,
    columns: undefined,
  }
  await program.exports.run([process.execPath, 'netsim', ...WARMING], io)
  const body = Buffer.concat([Buffer.from(text, 'latin1'), script.createCachedData()])
  const head = Buffer.alloc(8)
  head.writeUInt32LE(text.length)
  head.writeUInt32LE(crc32(body), 4)
  writeFileSync(`${file}.new`, Buffer.concat([head, body]))
  renameSync(`${file}.new`, file)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await make(process.argv[2], process.argv[3])
