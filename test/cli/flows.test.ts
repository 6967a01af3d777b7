/** `netsim flows`: matrices with all their faults, parts that make the whole, threads that change nothing. */
import { Buffer } from 'node:buffer'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { FlowLine } from '../../src/analysis/flows/flow-line.js'
import type { FlowsReport } from '../../src/analysis/flows/report.js'
import { buildCluster } from '../../src/cluster/cluster.js'
import { EXAMPLE_TEXT } from '../../src/cluster/example.js'
import { sameStamps, stampsOf } from '../../src/cli/flows-stamps.js'
import { netsim } from './memory-io.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const FIREWALL = join(ROOT, 'examples/flannel-firewall.yaml')
const MATRIX = `source,destination,protocol,port,packets,size,rate
# to the port that the host's owner closed, and to others
web-0,api-0,tcp,9000,3
web-0,api-0,tcp,9001,3,700

web-0,api-0,tcp,80,4,700,10
api-0,web-0,icmp,,2
api-0,web-0,udp,53,5,3000
`
let folder = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'netsim-flows-'))
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text)
  return name
}

async function run(...words: string[]) {
  return netsim(['flows', ...words], { cwd: folder })
}

async function report(...words: string[]): Promise<FlowsReport> {
  return JSON.parse((await run(...words, '-o', 'json')).out) as FlowsReport
}

describe('a traffic matrix', () => {
  it('tells what arrives, what is lost where and by which rule', async () => {
    const { code, err } = await run(file('m.csv', MATRIX), '-f', FIREWALL)
    expect({ code, err }).toEqual({ code: 1, err: '' })
    const { result, losses, asked } = await report('m.csv', '-f', FIREWALL)
    expect(asked).toMatchObject({ kind: 'matrix', flows: 5 })
    expect(result).toEqual({
      flows: 5,
      packets: 17,
      unsent: 0,
      first: { DELIVERED: 3, DENIED: 1, REJECTED: 1 },
      all: { DELIVERED: 11, DENIED: 3, REJECTED: 3 },
    })
    expect(losses.map(({ disposition, netns, device, packets, rule }) => [disposition, netns, device, packets, rule?.chain, rule?.number, rule?.by])).toEqual([
      ['DENIED', 'node-2', 'flannel.1', 3, 'HOST-FIREWALL', 1, 'owner of the host'],
      ['REJECTED', 'node-2', 'flannel.1', 3, 'HOST-FIREWALL', 2, 'owner of the host'],
    ])
  })

  it('as JSON Lines is the same matrix', async () => {
    const lines = MATRIX.split('\n')
      .filter((line) => /^(web|api)/.test(line))
      .map((line) => {
        const [source, destination, protocol, port, packets, size, rate] = line.split(',')
        const numbers = Object.entries({ port, packets, size, rate }).flatMap(([name, text]) => (text ? [[name, Number(text)]] : []))
        return JSON.stringify({ source, destination, protocol, ...(Object.fromEntries(numbers) as object) })
      })
    const whole = await run(file('m.csv', MATRIX), '-f', FIREWALL, '-o', 'jsonl')
    expect(await run(file('m.jsonl', lines.join('\r\n')), '-f', FIREWALL, '-o', 'jsonl')).toEqual(whole)
    expect(whole.out.trim().split('\n')).toHaveLength(5)
  })

  it('gives each flow the words that ask its first packet again', async () => {
    const { out } = await run(file('m.csv', MATRIX), '-f', FIREWALL, '-o', 'jsonl', '--seed', '40')
    for (const line of out.trim().split('\n')) {
      const { disposition, trace } = JSON.parse(line) as FlowLine
      const asked = await netsim(['trace', ...trace, '-f', FIREWALL, '-o', 'json'])
      expect(JSON.parse(asked.out)).toMatchObject({ disposition })
    }
  })

  it('with faults is refused with all of them, line by line', async () => {
    const text = `source,destination,protocol,port,packets,size,rate
web-0,api-0,tcp,80
web-0
web-0,api-0,tpc,80
web-0,api-0,tcp,70000,0
,api-0,icmp
web-0,api-0,udp,9,5,20
web-0,api-0,icmp,80
web-0,api-0,udp
web-0,api-0:80,tcp,80
web-0,api-0,tcp,80,1000000,,0
`
    const { code, out, err } = await run(file('bad.csv', text), '-f', FIREWALL)
    expect({ code, out }).toEqual({ code: 3, out: '' })
    const places = err.split('\n').flatMap((line) => /^(bad\.csv:\d+): error: (.*)$/.exec(line)?.slice(1, 3).join(' ') ?? [])
    expect(places).toEqual([
      'bad.csv:3 1 columns where the heading has 7',
      'bad.csv:4 there is no protocol "tpc"',
      'bad.csv:5 port "70000" is no whole number from 1 to 65535',
      'bad.csv:5 packets "0" is no whole number from 1 to 2147483647',
      'bad.csv:6 has no source',
      'bad.csv:7 size "20" is no whole number from 28 to 65535',
      'bad.csv:8 icmp has no ports',
      'bad.csv:9 udp needs a port',
      'bad.csv:10 "api-0:80" holds a port',
      'bad.csv:11 rate "0" is no whole number from 1 to 1000000000',
    ])
  })

  it('that names what is not there is refused at the line that does so first', async () => {
    const { code, err } = await run(file('gone.csv', 'source,destination\nweb-0,api-0\nwebb-0,api-0\nweb-0,api-9\nwebb-0,api-0\n'), '-f', FIREWALL)
    expect(code).toBe(3)
    expect(err.split('\n').filter((line) => line.startsWith('gone.csv'))).toEqual([
      'gone.csv:3: error: there is no pod "webb-0" in namespace "default"',
      'gone.csv:4: error: there is no pod "api-9" in namespace "default"',
    ])
  })

  it.each([
    ['source,to\na,b\n', 'odd.csv:1: error: there is no column "to"'],
    ['source,port\na,1\n', 'odd.csv:1: error: the heading lacks destination'],
    ['{"source":"a","destination":"b","via":"c"}\n', 'odd.csv:1: error: there is no field "via"'],
    ['{"source":"a"\n', 'odd.csv:1: error: is no JSON object'],
    ['# nothing\n', 'odd.csv: error: there is no flow in it'],
  ])('%j: %s', async (text, said) => {
    const { code, err } = await run(file('odd.csv', text), '-f', FIREWALL)
    expect(code).toBe(3)
    expect(err.split('\n')[0]).toBe(said)
  })
})

describe('flags', () => {
  it.each([
    [[], 'which flows?'],
    [['--all-pairs', '--random', '3'], 'which flows?'],
    [['--random', '3', '--shard', '3/3'], 'Write it like 0/8'],
    [['--all-pairs', '--proto', 'udp'], '--proto udp needs --port'],
    [['--all-pairs', '--port', '80', '--proto', 'icmp'], 'icmp has no ports'],
    [['--merge'], '--merge needs the parts'],
    [['-', '-f', '-'], 'not both'],
  ])('%j: %s', async (words, said) => {
    const { code, err } = await run(...words)
    expect(code).toBe(2)
    expect(err).toContain(said)
  })
})

describe('parts of a run', () => {
  const ways = [['m.csv'], ['--all-pairs', '--port', '9000'], ['--random', '25', '--pick', 'zipf', '--seed', '9']]

  it.each(ways)('%s … make the bytes of the whole in every form', async (...way) => {
    file('m.csv', MATRIX)
    const words = [...way, '-f', FIREWALL]
    const parts = await Promise.all([0, 1, 2].map(async (part) => file(`part-${part}`, (await run(...words, '--shard', `${part}/3`, '-o', 'jsonl')).out)))
    for (const form of ['text', 'json', 'jsonl', 'csv']) {
      const whole = await run(...words, '-o', form)
      expect(whole.out.length).toBeGreaterThan(50)
      expect(await run('--merge', parts[2], parts[0], parts[1], '-o', form)).toEqual(whole)
    }
  })

  it('that are no whole are refused', async () => {
    const words = ['--all-pairs', '-f', FIREWALL]
    const [a, b] = await Promise.all([0, 1].map(async (part) => file(`half-${part}`, (await run(...words, '--shard', `${part}/2`)).out)))
    const other = file('other', (await run(...words, '--seed', '5', '--shard', '1/2')).out)
    const refused = async (...files: string[]) => {
      const { code, out, err } = await run('--merge', ...files)
      return [code, out, err.split('\n')[0]]
    }
    expect(await refused(a)).toEqual([3, '', '--merge: error: of 2 parts 1 is missing'])
    expect(await refused(a, a)).toEqual([3, '', '--merge: error: part 0 is there twice'])
    expect(await refused(a, other)).toEqual([3, '', expect.stringContaining('is of another run')])
    expect(await refused(a, file('cut', readFileSync(join(folder, b), 'utf8').split('\n')[0]))).toEqual([3, '', 'cut: error: ends before its sums'])
    expect(await refused(a, file('none', 'x\n'))).toEqual([3, '', 'none: error: is no part of a run'])
    expect((await run('--merge', a, b, '-o', 'jsonl')).code).toBe(2)
  })
})

describe('the document', () => {
  it('is as its schema says', async () => {
    const schema = JSON.parse(readFileSync(join(ROOT, 'docs/flows.schema.json'), 'utf8')) as object
    const validate = new Ajv2020({ strict: true, strictTypes: false }).compile(schema)
    const made = await report(file('m.csv', MATRIX), '-f', FIREWALL, '--top', '2')
    expect(validate(made) ? [] : validate.errors).toEqual([])
    expect(made.devices).toHaveLength(2)
    expect(made.more.devices).toBeGreaterThan(0)
  })
})

describe('examples/flows/job.yaml', () => {
  it('is an Indexed Job that netsim itself reads without error', () => {
    const text = readFileSync(join(ROOT, 'examples/flows/job.yaml'), 'utf8')
    const { cluster, problems } = buildCluster([
      { file: 'cluster', text: EXAMPLE_TEXT },
      { file: 'job.yaml', text },
    ])
    expect(problems.filter(({ severity }) => severity === 'error')).toEqual([])
    expect(cluster.pods.filter(({ labels }) => labels.app === 'netsim-flows')).toHaveLength(8)
    expect([...text.matchAll(/\b8\b/g)].length).toBeGreaterThanOrEqual(4)
  })
})

describe('threads', () => {
  const words = ['--random', '200', '--pick', 'zipf', '--port', '9000', '--packets', '3']
  /** Flows that take longer than a thread takes to begin. */
  const LONG = '12000'
  let built = ''

  beforeAll(async () => {
    built = join(folder, 'built')
    await build({
      entryPoints: [join(ROOT, 'src/cli/main.ts')],
      outdir: built,
      outExtension: { '.js': '.mjs' },
      bundle: true,
      splitting: true,
      format: 'esm',
      platform: 'node',
      define: { 'process.env.NETSIM_VERSION': '"1.2.3"' },
      banner: { js: "import { createRequire as __createRequire } from 'node:module'\nconst require = __createRequire(import.meta.url)" },
      logLevel: 'error',
    })
  }, 60_000)

  function ran(workers: number, words: readonly string[], { input = '', program = built }: { readonly input?: string; readonly program?: string } = {}) {
    const command = [join(program, 'main.mjs'), 'flows', ...words, '--workers', String(workers)]
    const { status, stdout, stderr } = spawnSync(process.execPath, command, { cwd: folder, input, encoding: 'utf8', timeout: 30_000 })
    return { status, stdout, stderr }
  }

  it('change no byte, however many they are', () => {
    for (const form of ['json', 'jsonl']) {
      const input = readFileSync(FIREWALL, 'utf8')
      const alone = ran(1, [...words, '-f', '-', '-o', form], { input })
      expect(alone.status).toBe(1)
      expect(ran(2, [...words, '-f', '-', '-o', form], { input })).toEqual(alone)
      expect(ran(3, [...words, '-f', '-', '-o', form], { input })).toEqual(alone)
    }
  }, 120_000)

  it('are none where the cluster can be read only once', () => {
    const many = ['--random', LONG, '--port', '9000']
    const piped = `cat '${FIREWALL}' | '${process.execPath}' '${join(built, 'main.mjs')}' flows ${many.join(' ')} -f /dev/stdin --workers 2`
    const { status, stdout, stderr } = spawnSync('sh', ['-c', piped], { cwd: folder, encoding: 'utf8', timeout: 30_000 })
    const alone = ran(1, [...many, '-f', FIREWALL])
    const body = (text: string): string[] => text.split('\n').filter((line) => !line.includes(FIREWALL) && !line.includes('/dev/stdin'))
    expect({ status, stderr, lines: body(stdout) }).toEqual({ status: 1, stderr: '', lines: body(alone.stdout) })
    expect(stdout.length).toBeGreaterThan(500)
  }, 120_000)

  it('read a snapshot of etcd with its prefix', () => {
    const keys = readFileSync(join(ROOT, 'examples/etcd-snapshot/etcd.json'), 'utf8')
    const elsewhere = keys.replace(/"key": "([^"]*)"/g, (_, key: string) => {
      const moved = Buffer.from(key, 'base64').toString().replace('/coreos.com/network', '/elsewhere/net')
      return `"key": "${Buffer.from(moved).toString('base64')}"`
    })
    expect(elsewhere).not.toBe(keys)
    const asked = ['--random', LONG, '-f', join(ROOT, 'examples/etcd-snapshot/cluster.yaml'), '-f', file('etcd.json', elsewhere)]
    const alone = ran(1, [...asked, '--etcd-prefix', '/elsewhere/net'])
    expect(alone.status).toBe(0)
    expect(ran(3, [...asked, '--etcd-prefix', '/elsewhere/net'])).toEqual(alone)
  }, 120_000)

  it('take no part when the files are others by then', async () => {
    const policy = 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: none}\nspec: {podSelector: {}}\n'
    const cluster = `${readFileSync(FIREWALL, 'utf8')}\n---\n${policy}`
    const rows = 'web-0,api-0,tcp,9000,3\napi-0,web-0,icmp,,2\n'.repeat(200)
    const input = `source,destination,protocol,port,packets\n${rows}`
    const asked = ['-', '-f', file('moving.yaml', cluster), '-o', 'jsonl']
    const alone = ran(1, asked, { input })
    expect(alone.stdout.split('\n')).toHaveLength(401)
    const child = spawn(process.execPath, [join(built, 'main.mjs'), 'flows', ...asked, '--workers', '2'], { cwd: folder, timeout: 30_000 })
    let stdout = ''
    child.stdout.on('data', (text: Buffer) => (stdout += text.toString()))
    // the warning about the policy: the cluster has been read
    await once(child.stderr, 'data')
    file('moving.yaml', cluster.replaceAll('9000', '9009'))
    child.stdin.end(input)
    const [status] = (await once(child, 'close')) as [number | null]
    expect({ status, stdout }).toEqual({ status: alone.status, stdout: alone.stdout })
  }, 120_000)

  it('end the run when one of them fails', () => {
    const program = join(folder, 'failing')
    cpSync(built, program, { recursive: true })
    const [thread = ''] = readdirSync(program).filter((name) => name.startsWith('flows-worker-'))
    const packages = join(ROOT, 'node_modules/workerpool/src/index.js')
    const text = `import { isMainThread } from 'node:worker_threads'
import { fileURLToPath } from 'node:url'
import workerpool from ${JSON.stringify(packages)}
export const workerFile = () => fileURLToPath(import.meta.url)
const work = ({ shared }) => {
  Atomics.add(shared, 0, 1)
  throw new Error('it has taken a chunk')
}
if (!isMainThread) workerpool.worker({ work })
`
    writeFileSync(join(program, thread), text)
    const many = ['--random', LONG, '--port', '9000', '-f', FIREWALL]
    expect(ran(2, many, { program })).toMatchObject({ status: 70, stdout: '', stderr: expect.stringContaining('it has taken a chunk') as string })
  }, 120_000)
})

describe('stamps of files', () => {
  it('are others when a file has changed, and none when it cannot be read twice or changed meanwhile', async () => {
    file('stamped.yaml', 'a: 1\n')
    const before = (await stampsOf(['stamped.yaml', '-'], folder)) ?? []
    expect(before).toHaveLength(2)
    expect(sameStamps(await stampsOf(['stamped.yaml', '-'], folder), before)).toBe(true)
    expect(sameStamps(await stampsOf(['stamped.yaml'], folder), before)).toBe(false)
    expect(await stampsOf(['stamped.yaml'], folder, Date.now() + 60_000)).toHaveLength(1)
    expect(await stampsOf(['stamped.yaml'], folder, Date.now() - 60_000)).toBeUndefined()
    // longer than what a file system's clock may be behind
    await new Promise((resolve) => setTimeout(resolve, 30))
    file('stamped.yaml', 'a: 2\n')
    expect(sameStamps(await stampsOf(['stamped.yaml', '-'], folder), before)).toBe(false)
    expect(await stampsOf(['stamped.yaml', 'gone.yaml'], folder)).toBeUndefined()
    expect(await stampsOf(['/dev/null'], folder)).toBeUndefined()
  })
})

describe('--by-class', () => {
  it('has the sums of all pairs, says what it takes for granted, and tells no devices', async () => {
    const example = join(ROOT, 'examples/workloads.yaml')
    const every = await report('--all-pairs', '--port', '8080', '-f', example)
    const some = await report('--by-class', '--port', '8080', '-f', example)
    expect(some.result).toEqual(every.result)
    expect(some.asked).toMatchObject({ kind: 'all-pairs', flows: every.asked.flows, classes: { pairs: every.asked.flows } })
    expect(some.asked.classes?.walked).toBeLessThan(every.asked.flows)
    expect({ devices: some.devices, rules: some.rules, segments: some.segments }).toEqual({ devices: [], rules: [], segments: [] })
    expect(every.devices.length).toBeGreaterThan(0)
    expect((await run('--by-class', '-f', example)).out).toContain('\nassumed   pods are alike')
    expect(await run('--by-class', '-o', 'csv', '-f', example)).toMatchObject({ code: 2, out: '' })
  })
})
