/** The script with compiled code in place of the modules: the same answers, and the modules where it is not wanted or damaged. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { crc32 } from 'node:zlib'
import { build, type BuildOptions } from 'esbuild'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

interface CodeCache {
  readonly CACHE_NAME: string
  readonly SCRIPT_OPTIONS: BuildOptions
  readonly writeCodeCache: (text: string, file: string) => void
}

const { CACHE_NAME, SCRIPT_OPTIONS, writeCodeCache } = (await import(new URL('../../scripts/code-cache.mjs', import.meta.url).href)) as CodeCache

let folder = ''
let cache = ''
let whole: Buffer

/** The modules say another version than the script: which of the two answered shows. */
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'netsim-code-cache-'))
  cache = join(folder, 'cli', CACHE_NAME)
  mkdirSync(join(folder, 'cli'))
  const source = (name: string): string => fileURLToPath(new URL(`../../src/cli/${name}.ts`, import.meta.url))
  const common = { bundle: true, platform: 'node', logLevel: 'error' } as const
  await build({
    ...common,
    entryPoints: [source('main')],
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    chunkNames: 'chunks/[name]-[hash]',
    splitting: true,
    format: 'esm',
    define: { 'process.env.NETSIM_VERSION': '"of modules"' },
    banner: { js: "import { createRequire as __createRequire } from 'node:module'\nconst require = __createRequire(import.meta.url)" },
  })
  const define = { ...SCRIPT_OPTIONS.define, 'process.env.NETSIM_VERSION': '"of the script"' }
  const { outputFiles } = await build({ ...common, ...SCRIPT_OPTIONS, entryPoints: [source('program')], define, write: false })
  writeCodeCache(outputFiles?.[0].text ?? '', cache)
  whole = readFileSync(cache)
}, 60_000)

beforeEach(() => {
  writeFileSync(cache, whole)
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

function run(words: readonly string[], env: Record<string, string> = {}) {
  const options = { cwd: folder, encoding: 'utf8', maxBuffer: 1 << 28, env: { ...process.env, XDG_CACHE_HOME: folder, ...env } } as const
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(folder, 'main.mjs'), ...words], options)
  return { status, stdout, stderr }
}

/** Bytes of the file's head: the script's length, the CRC-32 of the rest. */
const HEAD = 8

describe('the script with compiled code', () => {
  it('runs in place of the modules, unless Node is told to cache no code', () => {
    expect(run(['--version'])).toEqual({ status: 0, stdout: 'of the script\n', stderr: '' })
    expect(run(['--version'], { NODE_DISABLE_COMPILE_CACHE: '1' })).toEqual({ status: 0, stdout: 'of modules\n', stderr: '' })
  })

  it.each([
    [['trace', 'pod-a', 'pod-b']],
    [['trace', 'pod-a', 'pod-b', '--at', '5s', '-o', 'jsonl']],
    [['show', 'iptables', 'host-a']],
    [['check']],
    [['trace', 'pod-a', 'pod-c']],
    [['help', 'policy']],
    [['trice']],
  ])('%j: the same as of modules', (words) => {
    const found = run(words)
    expect(found.stdout.length + found.stderr.length).toBeGreaterThan(0)
    const of = run(words, { NODE_DISABLE_COMPILE_CACHE: '1' })
    expect(found).toEqual({ ...of, stdout: of.stdout.replace('netsim of modules', 'netsim of the script') })
  })

  it.each([
    ['empty', (bytes: Buffer) => bytes.subarray(0, 0), 'of modules'],
    ['cut in its script', (bytes: Buffer) => bytes.subarray(0, 1000), 'of modules'],
    ['without its compiled code', (bytes: Buffer) => bytes.subarray(0, HEAD + bytes.readUInt32LE(0)), 'of modules'],
    [
      'with zeroes in its compiled code',
      (bytes: Buffer) => bytes.fill(0, HEAD + bytes.readUInt32LE(0) + 50_000, HEAD + bytes.readUInt32LE(0) + 54_096),
      'of modules',
    ],
    ['with the code of another V8', otherV8, 'of the script'],
  ])('a file %s does no harm', (_, damaged, version) => {
    writeFileSync(cache, damaged(Buffer.from(whole)))
    expect(run(['--version'])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' })
  })

  it('the modules of flows run: threads begin with one', () => {
    const { stdout } = run(['flows', '--all-pairs', '-o', 'json'])
    expect((JSON.parse(stdout) as { readonly metadata: { readonly tool: string } }).metadata.tool).toBe('netsim of modules')
  })

  it('leaves nothing behind beside what it was built as', () => {
    run(['trace', 'pod-a', 'pod-b'])
    expect(readdirSync(join(folder, 'cli'))).toEqual([CACHE_NAME])
  })
})

/** V8's serialised code begins with a magic number, a hash of its version, of the source and of its flags, 4 bytes each. */
function otherV8(bytes: Buffer): Buffer {
  const at = HEAD + bytes.readUInt32LE(0) + 4
  bytes.writeUInt32LE((bytes.readUInt32LE(at) ^ 0xffff) >>> 0, at)
  bytes.writeUInt32LE(crc32(bytes.subarray(HEAD)), 4)
  return bytes
}
