/** `netsim run`, `show timeline`, and `--at`: what is printed, where it goes, what it ends with, and that it is the same each time. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, describe, expect, it } from 'vitest'
import type { ScenarioReport } from '../../src/analysis/timeline/document.js'
import type { TimelineRow } from '../../src/analysis/timeline/diary-rows.js'
import { netsim, type Ran } from './memory-io.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const CLUSTER = ['-f', 'examples/flannel-vxlan.yaml']
const FOLDER = mkdtempSync(join(tmpdir(), 'netsim-run-'))
afterAll(() => rmSync(FOLDER, { recursive: true }))

const HEAD = 'apiVersion: netsim/v1\nkind: Scenario\nmetadata: {name: node-dies}\nspec:\n'
const SCENARIO = `${HEAD}  until: 10m
  events:
    - {at: 10s, node: node-2, state: down}
    - {at: 5m, node: node-2, state: up}
  probes:
    - {name: ping, from: node/node-1, to: node/node-2}
    - {name: api, from: shop/web-0, to: "shop/api-0:8080", every: 2s}
`

function run(words: readonly string[], stdin = SCENARIO, more: { readonly terminal?: boolean } = {}): Promise<Ran> {
  return netsim(['run', '-', ...CLUSTER, ...words], { stdin, cwd: ROOT, ...more })
}

/** Of a Scenario on standard input. */
function beside(words: readonly string[]): Promise<Ran> {
  return netsim([...words, '-f', '-', ...CLUSTER], { stdin: SCENARIO, cwd: ROOT })
}

describe('netsim run', () => {
  it('tells of each probe when it worked, and why not', async () => {
    const { out, err, code } = await run([])
    expect([err, code]).toEqual(['', 0])
    expect(out).toMatch(/^ ping {2}worked 10\.000 s, then black-holed /m)
    expect(out).toContain('node node-2 goes down (-:7)')
    expect(out).toMatch(/^ {2}10\.000 s .* node node-2 goes down -:7$/m)
    expect(out.split('\n').filter((line) => line.length > 100)).toEqual([])
  })

  it('prints the same bytes each time, in every form', async () => {
    for (const form of ['text', 'json', 'svg']) expect((await run(['-o', form])).out).toBe((await run(['-o', form])).out)
  })

  it('prints what its schema says, with spans that add up', async () => {
    const schema = JSON.parse(readFileSync(`${ROOT}docs/scenario-report.schema.json`, 'utf8')) as object
    const validate = new Ajv2020({ allErrors: true }).compile(schema)
    const report = JSON.parse((await run(['-o', 'json'])).out) as ScenarioReport
    expect([validate(report), validate.errors]).toEqual([true, null])
    expect(validate({ ...report, probes: [{}] })).toBe(false)
    for (const { spans, packets, lost, startNs, stopNs, everyNs } of report.probes) {
      expect(packets).toBe((stopNs - startNs) / everyNs)
      expect([packets, lost]).toEqual([spans.reduce((sum, span) => sum + span.packets, 0), spans.reduce((sum, span) => sum + span.lost, 0)])
      expect(spans.map(({ toNs }) => toNs)).toEqual([...spans.slice(1).map(({ fromNs }) => fromNs), stopNs])
    }
    const [ping] = report.probes
    expect(ping.spans.map((span) => span.class)).toEqual(['works', 'black-holed', 'refused', 'works'])
    expect(ping.spans[1].cause?.chain[0]).toMatchObject({ kind: 'event', what: 'node node-2 goes down', file: '-', line: 7 })
    expect(report.events.map(({ happened, messages }) => [happened, messages.count])).toEqual([
      [true, 0],
      [true, 0],
    ])
  })

  it('ends earlier, and names the events beyond the end', async () => {
    const report = JSON.parse((await run(['-o', 'json', '--until', '1m'])).out) as ScenarioReport
    expect([report.scenario.untilNs, report.events.map(({ happened }) => happened)]).toEqual([60e9, [true, false]])
    expect((await run(['--until', '1m'])).out).toContain('beyond the end')
  })

  it('draws the timeline, to a file or in place of the text', async () => {
    const file = join(FOLDER, 'timeline.svg')
    const { out } = await run(['--svg', file])
    expect(out).toContain('ping  worked')
    const drawn = (await run(['--svg', '-'])).out
    expect(drawn).toMatch(/^<svg .*<\/svg>\n$/s)
    expect(readFileSync(file, 'utf8')).toBe(drawn)
  })

  it('takes the seed of the scenario, unless one is given', async () => {
    const seeded = SCENARIO.replace('  until', '  seed: 7\n  until')
    const seedOf = async (words: readonly string[]): Promise<number> =>
      (JSON.parse((await run(['-o', 'json', ...words], seeded)).out) as ScenarioReport).metadata.seed
    expect([await seedOf([]), await seedOf(['--seed', '1'])]).toEqual([7, 1])
  })

  it('tells how far it is at a terminal, and leaves nothing of it', async () => {
    const { err } = await run([], SCENARIO, { terminal: true })
    expect(err).toMatch(/agents: 5m of 10m, 50 %/)
    expect(err.endsWith('\r\u001b[K')).toBe(true)
  })

  it('alone, the Scenario happens to the built-in example, and so for the commands that the report names', async () => {
    const alone = `${HEAD}  until: 1m\n  events: [{at: 10s, stop: flanneld}]\n  probes: [{from: pod-a, to: pod-b}]\n`
    const ran = await netsim(['run', '-'], { stdin: alone, cwd: FOLDER })
    expect(ran.out).toContain('worked 10.000 s, then black-holed')
    const diary = await netsim(['show', 'timeline', '-f', '-'], { stdin: alone, cwd: FOLDER })
    expect([diary.err, diary.code]).toEqual(['', 0])
    expect(diary.out).toContain('flanneld stops on every node')
  })

  it('refuses what is wrong, all at once', async () => {
    const events = '    - {at: 10s, node: node-9, state: down}\n    - {at: soon, node: node-2, state: down}\n'
    const wrong = `${HEAD}  events:\n${events}  probes:\n    - {from: nobody, to: shop/api-0}\n`
    const { out, err, code } = await run([], wrong)
    expect([code, out]).toEqual([3, ''])
    for (const line of [6, 7, 9]) expect(err).toContain(`-:${line}: `)
    expect((await netsim(['run', '-', ...CLUSTER], { stdin: 'kind: Pod\n', cwd: ROOT })).code).toBe(3)
    expect((await run(['--svg', join(FOLDER, 'no', 'such', 'folder.svg')])).code).toBe(2)
  })
})

describe('netsim show timeline', () => {
  it('is the diary, with what changed in kernels between', async () => {
    const { out, err, code } = await beside(['show', 'timeline'])
    expect([err, code]).toEqual(['', 0])
    const lines = out.split('\n')
    expect(lines.findIndex((line) => /10\.000s .* scenario .*node node-2 goes down/.test(line))).toBeGreaterThan(0)
    expect(out).toMatch(/^ *5m32\.012s {2}node-2 {2}kernel {2,}\+ 10\.244\.1\.0\/24 via 10\.244\.1\.0 dev flannel\.1 onlink$/m)
    expect(out).toMatch(/\+ \d+ lines of rules \(--all shows them\)/)
    expect((await beside(['show', 'timeline', '--all'])).out).toContain('-t nat -A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG')
  })

  it('shows what is asked for', async () => {
    const rows = async (words: readonly string[]): Promise<readonly TimelineRow[]> =>
      (JSON.parse((await beside(['show', 'timeline', '-o', 'json', ...words])).out) as { items: readonly TimelineRow[] }).items
    const all = await rows([])
    expect(all.length).toBeGreaterThan(20)
    expect(all.map(({ atNs }) => atNs)).toEqual(all.map(({ atNs }) => atNs).sort((a, b) => a - b))
    expect(new Set((await rows(['--agent', 'flanneld'])).map(({ agent }) => agent))).toEqual(new Set(['flanneld']))
    expect((await rows(['--from', '5m', '--to', '5m1s'])).every(({ atNs }) => atNs >= 300e9 && atNs <= 301e9)).toBe(true)
    expect((await rows(['--from=-1m', '--to', '0'])).every(({ atNs }) => atNs <= 0)).toBe(true)
    expect((await rows(['node-1', '--kind', 'route'])).filter(({ node }) => node !== 'node-1')).toEqual([])
    expect((await rows(['--object', '10.244.2.0/24'])).length).toBeGreaterThan(0)
  })

  it('names what is not there', async () => {
    expect(await beside(['show', 'timeline', 'node-3'])).toMatchObject({ code: 2, err: expect.stringContaining('Did you mean node-1?') as string })
    expect((await netsim(['show', 'timeline', ...CLUSTER], { cwd: ROOT })).err).toContain('there is no Scenario here')
  })

  it('says that nothing fits, and what cannot', async () => {
    const { out, code } = await beside(['show', 'timeline', '--from', '6s', '--to', '7s'])
    expect([out, code]).toEqual(['# the diary has no such entry; --all shows what agents hear and say too\n', 0])
    expect((await beside(['show', 'timeline', '--from', '6s', '--to', '7s', '--all'])).out).toBe('# the diary has no such entry\n')
    expect(await beside(['show', 'timeline', '--from', '7s', '--to', '6s'])).toMatchObject({ out: '', code: 2, err: 'error: --from is later than --to\n' })
  })
})

describe('--at', () => {
  const ASK = ['trace', 'node/node-1', 'node/node-2']

  it('asks the network of that time, and says what had happened', async () => {
    const before = await beside([...ASK, '--at', '5s'])
    expect([before.code, before.out.includes('at 5.000 s of node-dies, before its first event')]).toEqual([0, true])
    const down = await beside([...ASK, '--at', '12.5s'])
    expect(down.code).toBe(1)
    expect(down.out).toContain('at 12.500 s of node-dies, 2.500 s after node node-2 goes down (-:7)')
    expect(down.out).toMatch(/^NEIGHBOR_FAILED/m)
    expect((await beside([...ASK, '--at', '9m'])).code).toBe(0)
  })

  it('is in the JSON as its schema says', async () => {
    const schema = JSON.parse(readFileSync(`${ROOT}docs/trace.schema.json`, 'utf8')) as object
    const document = JSON.parse((await beside([...ASK, '--at', '5m', '-o', 'json'])).out) as { metadata: { moment: object } }
    expect(document.metadata.moment).toMatchObject({ scenario: 'node-dies', atNs: 300e9, event: { atNs: 300e9, what: 'node node-2 comes up', line: 8 } })
    expect(new Ajv2020({ allErrors: true }).compile(schema)(document)).toBe(true)
  })

  it('without a Scenario asks as ever', async () => {
    const [timed, plain] = [await netsim([...ASK, ...CLUSTER, '--at', '1h'], { cwd: ROOT }), await netsim([...ASK, ...CLUSTER], { cwd: ROOT })]
    expect([timed.code, timed.out.split('\n')[1]]).toEqual([0, plain.out.split('\n')[1]])
  })

  it('shows state, and what changed from another time', async () => {
    expect((await beside(['show', 'routes', 'node-2', '--at', '5m20s'])).out).not.toContain('flannel.1')
    expect((await beside(['show', 'routes', 'node-2', '--at', '9m'])).out).toContain('10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink')
    const { out } = await beside(['show', 'routes', '--at', '5m20s', '--diff-from', '0'])
    expect(out).toBe('# node node-2\n- 10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink\n- 10.244.2.0/24 dev cni0 proto kernel scope link src 10.244.2.1\n')
    expect((await beside(['show', 'routes', '--at', '9m', '--diff-from', '0'])).out).toBe('')
  })
})
