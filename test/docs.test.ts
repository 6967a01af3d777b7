/**
 * The pages say what netsim prints; here it is held to it. In a ```console block of README.md and docs/*.md every
 * `$ netsim …` runs, and what the block shows below it must be what comes out, standard error included. A line that holds
 * `…` alone stands for any lines; a command that shows nothing needs only to succeed; `$ echo $?` shows the status of the
 * command above it. `$ npm run demo` is netsim too, once npm's own lines are off. Other commands are left alone.
 */
import { buildSync } from 'esbuild'
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { formatProblem } from '../src/base/problem.js'
import { buildCluster } from '../src/cluster/cluster.js'
import { buildNetwork } from '../src/network/build-network.js'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const DEMO = 'npm run demo'
const ANY_LINES = '…'

interface Shown {
  readonly page: string
  /** Of the command, 1-based. */
  readonly line: number
  readonly command: string
  /** The lines below the command, down to the next `$` or the end of the block. */
  readonly output: readonly string[]
  /** What `$ echo $?` below it shows. */
  readonly status: number | undefined
}

function shownIn(page: string, markdown: string): Shown[] {
  const shown: Shown[] = []
  const lines = markdown.split('\n')
  let inBlock = false
  let current: { command: string; line: number; output: string[]; status: number | undefined } | undefined
  const close = (): void => {
    if (current !== undefined && isNetsim(current.command)) shown.push({ page, ...current, output: withoutBlankEnds(current.output) })
    current = undefined
  }
  lines.forEach((text, index) => {
    if (/^\s*```/.test(text)) {
      close()
      inBlock = !inBlock && /^\s*```console\b/.test(text)
    } else if (inBlock && text === '$ echo $?' && current !== undefined) {
      current.status = Number(lines[index + 1])
      close()
    } else if (inBlock && text.startsWith('$ ')) {
      close()
      current = { command: text.slice(2), line: index + 1, output: [], status: undefined }
    } else if (current?.command.endsWith('\\') === true && current.output.length === 0) {
      current.command = `${current.command}\n${text.replace(/^> /, '')}`
    } else current?.output.push(text)
  })
  close()
  return shown
}

function isNetsim(command: string): boolean {
  return /^(npx )?(netsim|kubectl[ -]netsim)\b/.test(command) || command === DEMO
}

function withoutBlankEnds(lines: readonly string[]): string[] {
  return lines
    .join('\n')
    .replace(/^\n+|\s+$/g, '')
    .split('\n')
    .filter((line, _index, all) => all.length > 1 || line !== '')
}

/** Line by line; a line of `…` takes as few lines as it can, and one more whenever what follows does not fit. */
function fits(expected: readonly string[], actual: readonly string[]): boolean {
  let wanted = 0
  let taken = 0
  let resume: { wanted: number; taken: number } | undefined
  while (taken < actual.length || wanted < expected.length) {
    if (expected[wanted]?.trim() === ANY_LINES) resume = { wanted: ++wanted, taken }
    else if (taken < actual.length && expected[wanted] === actual[taken]) {
      wanted++
      taken++
    } else if (resume !== undefined && resume.taken < actual.length) {
      taken = ++resume.taken
      wanted = resume.wanted
    } else return false
  }
  return true
}

/** Links to all of the project, so that `-f examples/…` works and what a command writes goes away with the folder. */
let folder = ''

function makeFolder(): void {
  if (!existsSync(join(ROOT, 'dist/cli.js'))) throw new Error('dist/cli.js is missing: npm run build')
  folder = mkdtempSync(join(tmpdir(), 'netsim-docs-'))
  for (const name of readdirSync(ROOT)) symlinkSync(join(ROOT, name), join(folder, name))
  mkdirSync(join(folder, '.bin'))
  for (const name of ['netsim', 'kubectl-netsim']) {
    writeFileSync(join(folder, '.bin', name), `#!/bin/sh\nexec '${process.execPath}' '${join(ROOT, 'dist/cli.js')}' "$@"\n`)
    chmodSync(join(folder, '.bin', name), 0o755)
  }
}

function run(command: string): { readonly status: number | null; readonly output: string[] } {
  const line = command === DEMO ? 'netsim trace pod-a pod-b' : command.replace(/^npx /, '').replace(/^kubectl netsim/, 'kubectl-netsim')
  const env = { ...process.env, PATH: `${join(folder, '.bin')}:${process.env.PATH}`, NO_COLOR: '1' }
  const { status, stdout } = spawnSync('bash', ['-c', `{ ${line}\n} 2>&1`], { cwd: folder, env, encoding: 'utf8', maxBuffer: 1 << 28 })
  return { status, output: withoutBlankEnds(stdout.split('\n')) }
}

function withoutNpm(shown: Shown): readonly string[] {
  if (shown.command !== DEMO) return shown.output
  return withoutBlankEnds(shown.output.filter((line, index) => !(index < 4 && line.startsWith('> '))))
}

const pages = [
  'README.md',
  ...(existsSync(join(ROOT, 'docs'))
    ? readdirSync(join(ROOT, 'docs'))
        .sort()
        .map((name) => `docs/${name}`)
    : []),
]
const shown = pages
  .filter((page) => page.endsWith('.md') && existsSync(join(ROOT, page)))
  .flatMap((page) => shownIn(page, readFileSync(join(ROOT, page), 'utf8')))

describe('what the pages show is what netsim prints', () => {
  beforeAll(makeFolder)
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it('README.md shows a trace', () => {
    expect(shown.filter(({ page, output }) => page === 'README.md' && output.length > 0)).not.toEqual([])
  })

  it.each(shown.map((one) => [`${one.page}:${one.line}`, one.command, one] as const))('%s $ %s', (_place, _command, one) => {
    const { status, output } = run(one.command)
    const expected = withoutNpm(one)
    if (one.status !== undefined) expect(status).toBe(one.status)
    else if (expected.length === 0) expect({ status, output: status === 0 ? [] : output }).toEqual({ status: 0, output: [] })
    if (expected.length > 0 && !fits(expected, output)) expect(output.join('\n')).toBe(expected.join('\n'))
  })
})

const CLUSTER_OF_THE_PAGE = [
  ...[
    ['n1', '192.168.10.11'],
    ['n2', '192.168.10.12'],
    ['n3', '192.168.20.11'],
  ].map(([name, address]) => ({ apiVersion: 'v1', kind: 'Node', metadata: { name }, status: { addresses: [{ type: 'InternalIP', address }] } })),
  { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a1' }, spec: { nodeName: 'n1' } },
]

describe('what the pages show besides', () => {
  it('docs/network-document.md: its document is read and built without a Problem', () => {
    const text = /^```yaml\n(.*?)^```/ms.exec(readFileSync(join(ROOT, 'docs/network-document.md'), 'utf8'))?.[1] ?? ''
    const objects = CLUSTER_OF_THE_PAGE.map((object) => ({ file: object.metadata.name, text: JSON.stringify(object) }))
    const { cluster, problems } = buildCluster([{ file: 'network-document.md', text }, ...objects])
    expect([...problems, ...buildNetwork(cluster, { seed: 1 }).problems].map(formatProblem)).toEqual([])
  })

  it('README.md: the picture is what the simulation draws', () => {
    const words = ['trace', 'pod-a', 'pod-b', '--svg', '-']
    const { status, stdout } = spawnSync(process.execPath, [join(ROOT, 'dist/cli.js'), ...words], { cwd: tmpdir(), encoding: 'utf8' })
    expect(status).toBe(0)
    expect(readFileSync(join(ROOT, 'docs/path.svg'), 'utf8')).toBe(stdout)
  })

  it('README.md: the lines of TypeScript print what their comment says', () => {
    const code = /^```ts\n(.*?)^```/ms.exec(readFileSync(join(ROOT, 'README.md'), 'utf8'))?.[1] ?? ''
    const said = /\/\/ (.*)\n$/.exec(code)?.[1]
    const stdin = { contents: code, resolveDir: ROOT, loader: 'ts' } as const
    const alias = { netsim: './src/index.ts' }
    const { outputFiles } = buildSync({ stdin, alias, bundle: true, platform: 'node', format: 'cjs', write: false, absWorkingDir: ROOT })
    const { stdout, stderr } = spawnSync(process.execPath, ['-'], { input: outputFiles[0].text, encoding: 'utf8' })
    expect({ stdout, stderr }).toEqual({ stdout: `${said}\n`, stderr: '' })
  })
})

describe('the reading of pages', () => {
  const block = (...lines: string[]): string => ['text', '```console', ...lines, '```', '```sh', '$ netsim no', '```'].join('\n')

  it('finds the commands with what they show', () => {
    const first = ['$ ls', 'a', '$ netsim trace a b', 'one', '', 'two', '', '$ netsim trace \\', '    c', '$ echo $?', '2']
    const page = block(...first, '$ kubectl netsim x', '$ npm run demo', '', '> netsim')
    expect(shownIn('p.md', page)).toEqual([
      { page: 'p.md', line: 5, command: 'netsim trace a b', output: ['one', '', 'two'], status: undefined },
      { page: 'p.md', line: 10, command: 'netsim trace \\\n    c', output: [], status: 2 },
      { page: 'p.md', line: 14, command: 'kubectl netsim x', output: [], status: undefined },
      { page: 'p.md', line: 15, command: 'npm run demo', output: ['> netsim'], status: undefined },
    ])
  })

  it.each([
    ['a b', 'a b', true],
    ['a b', 'a b c', false],
    ['a b c', 'a b', false],
    ['a … d', 'a b c d', true],
    ['a … d', 'a d', true],
    ['a … d', 'a b c d e', false],
    ['a … d …', 'a b c d e', true],
    ['… b c …', 'a b c', true],
    ['… b c …', 'a b x c', false],
    ['… c', 'x a b c', true],
    ['… c', 'x a b cc', false],
    ['b …', 'a b', false],
    ['a … a', 'a', false],
    ['… b … b', 'a b c b', true],
    ['… a b …', 'a a a b a', true],
  ])('%s against %s: %s', (expected, actual, fit) => {
    expect(fits(expected.split(' '), actual.split(' '))).toBe(fit)
  })
})
