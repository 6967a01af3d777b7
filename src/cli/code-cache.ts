/**
 * The program as one script with the code that V8 has made of it, where the build left one for this very Node (scripts/code-cache.mjs): V8 then parses and
 * compiles nothing, which is most of what a start takes. Any other Node loads the modules. From 22.8 on Node keeps what it compiles of those by itself, in the
 * user's cache folder. NODE_DISABLE_COMPILE_CACHE=1 does away with both.
 */
import { readFileSync } from 'node:fs'
import * as nodeModule from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { constants, Script } from 'node:vm'
import { crc32 } from 'node:zlib'
import type { run } from './program.js'

export interface Program {
  readonly run: typeof run
}

type Require = ReturnType<typeof nodeModule.createRequire>

/** What the script is: a function that is called as Node calls a CommonJS module. */
type Wrapped = (module: { exports: unknown }, require: Require, moduleUrl: string) => void

/** Bytes before the script: its length, and the CRC-32 of all behind them. V8 takes what it has made as it is, and a damaged one ends the process. */
const HEAD = 8

/** undefined: none is wanted, there is none, or it is damaged. */
export function cachedProgram({ argv, env, version, platform, arch }: NodeJS.Process): Program | undefined {
  // Its threads begin with a module of their own, and it runs for long.
  if (env.NODE_DISABLE_COMPILE_CACHE === '1' || argv[2] === 'flows') return undefined
  const file = new URL(`./cli/program-${version}-${platform}-${arch}.bin`, import.meta.url)
  const script = readScript(file)
  if (script === undefined) return undefined
  const module = { exports: {} as unknown }
  ;(script.runInThisContext() as Wrapped)(module, nodeModule.createRequire(file), file.href)
  return module.exports as Program
}

function readScript(file: URL): Script | undefined {
  try {
    const bytes = readFileSync(file)
    if (crc32(bytes.subarray(HEAD)) !== bytes.readUInt32LE(4)) return undefined
    const end = HEAD + bytes.readUInt32LE(0)
    return new Script(bytes.toString('latin1', HEAD, end), {
      filename: file.href,
      // V8 looks at its own version and settings, and compiles the script where they are others.
      cachedData: bytes.subarray(end),
      importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    })
  } catch {
    return undefined
  }
}

/** Before the modules are loaded: Node's own cache of compiled code, where it has one. A folder that nobody else writes to, unlike Node's default. */
export function keepCompiled({ env, platform }: NodeJS.Process): void {
  const { enableCompileCache } = nodeModule as { readonly enableCompileCache?: (folder: string) => unknown }
  if (enableCompileCache === undefined || env.NODE_DISABLE_COMPILE_CACHE === '1' || platform === 'win32') return
  const { XDG_CACHE_HOME: given = '' } = env
  try {
    enableCompileCache(join(given.startsWith('/') ? given : join(homedir(), '.cache'), 'netsim'))
  } catch {
    // a user without a home: nothing is kept
  }
}
