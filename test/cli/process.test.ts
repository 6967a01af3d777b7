/** The command as a process of its own, bundled as it is published: pipes, exit statuses, readers that go away. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

let folder = ''
let command = ''

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'netsim-process-'))
  command = join(folder, 'main.mjs')
  await build({
    entryPoints: [fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))],
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    define: { 'process.env.NETSIM_VERSION': '"1.2.3"' },
    banner: { js: "import { createRequire as __createRequire } from 'node:module'\nconst require = __createRequire(import.meta.url)" },
    logLevel: 'error',
  })
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

function run(words: readonly string[], input = '') {
  const { status, stdout, stderr } = spawnSync(process.execPath, [command, ...words], { cwd: folder, input, encoding: 'utf8', maxBuffer: 1 << 28 })
  return { status, stdout, stderr }
}

describe('the process', () => {
  it('prints its version', () => {
    expect(run(['--version'])).toEqual({ status: 0, stdout: '1.2.3\n', stderr: '' })
  })

  it.each([
    [['trace', 'pod-a', 'pod-b'], 0],
    [['trace', 'pod-a', 'pod-b', '--ttl', '1'], 1],
    [['trace'], 2],
    [['show', 'nodes', '-f', 'gone.yaml'], 3],
  ])('%j ends with %i', (words, status) => {
    expect(run(words).status).toBe(status)
  })

  it('hands a capture whole through a pipe, byte for byte', () => {
    const words = ['trace', 'pod-a', 'pod-b', '--size', '60000']
    const { status, stdout } = spawnSync(process.execPath, [command, ...words, '--pcap', '-'], { cwd: folder, maxBuffer: 1 << 28 })
    expect(status).toBe(0)
    expect(run([...words, '--pcap', 'whole']).status).toBe(0)
    expect(stdout.equals(readFileSync(join(folder, 'whole')))).toBe(true)
    expect(stdout.length).toBeGreaterThan(500_000)
  })

  it('hands large JSON whole through a pipe', () => {
    const { status, stdout } = run(['trace', 'pod-a', 'pod-b', '--size', '60000', '-o', 'json'])
    expect(status).toBe(0)
    expect(stdout.length).toBeGreaterThan(1_000_000)
    expect(JSON.parse(stdout)).toMatchObject({ kind: 'Trace', disposition: 'DELIVERED' })
  })

  it.each([[['-o', 'json']], [['-o', 'jsonl']], [['--pcap', '-']]])('%j ends quietly when its reader goes away', async (flags) => {
    const words = ['trace', 'pod-a', 'pod-b', '--size', '60000', ...flags]
    const child = spawn(process.execPath, [command, ...words], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
    let complaint = ''
    child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()))
    child.stdout.once('data', () => child.stdout.destroy())
    const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => child.on('close', (...ended) => resolve(ended)))
    expect({ code, signal, complaint }).toEqual({ code: 0, signal: null, complaint: '' })
  })

  it.runIf(process.platform === 'linux')('says that the disk is full', () => {
    const { status, stderr } = spawnSync('sh', ['-c', `"${process.execPath}" "${command}" trace pod-a pod-b > /dev/full`], { cwd: folder, encoding: 'utf8' })
    expect({ status, stderr }).toEqual({ status: 74, stderr: expect.stringMatching(/^netsim: cannot write the output: .*ENOSPC.*\n$/) as string })
  })

  it('reads standard input', () => {
    const { status, stderr } = run(['show', 'nodes', '-f', '-'], 'kind: {')
    expect(status).toBe(3)
    expect(stderr).toMatch(/^-:1: error: /)
  })
})
