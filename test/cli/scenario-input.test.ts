/** A scenario and its cluster, from files. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadScenario, type LoadedScenario, type ScenarioOptions } from '../../src/cli/scenario-input.js'
import { memoryIo, type Around } from './memory-io.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const CLUSTER = readFileSync(join(ROOT, 'examples/canal.yaml'), 'utf8')
const NP = 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: db, namespace: shop}\nspec: {podSelector: {}}\n'
const HEAD = 'apiVersion: netsim/v1\nkind: Scenario\nmetadata: {name: x}\n'
const NODE_DOWN = '{at: 1s, node: node-2, state: down}'

let folder = ''

const write = (name: string, text: string): void => writeFileSync(join(folder, name), text)

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'netsim-scenario-'))
  mkdirSync(join(folder, 'in'))
  mkdirSync(join(folder, 'more'))
  write('cluster.yaml', CLUSTER)
  write('np.yaml', NP)
  write('in/np.yaml', NP)
  write('in/beside.yaml', `${HEAD}spec: {input: [../cluster.yaml], seed: 7, events: [{at: 1s, apply: np.yaml}, {at: 2s, delete: np/shop/db}]}\n`)
  write('in/whole.yaml', `${HEAD}spec: {events: [${NODE_DOWN}]}\n---\n${CLUSTER}`)
  write('in/alone.yaml', `${HEAD}spec: {events: [${NODE_DOWN}]}\n`)
  write('more/a.yaml', NP)
  write('more/b.yaml', 'apiVersion: v1\nkind: Namespace\nmetadata: {name: blue}\n')
  write('empty.yaml', '# nothing\n')
})

afterAll(() => rmSync(folder, { recursive: true }))

interface Given extends Partial<ScenarioOptions> {
  readonly around?: Around
}

async function load(
  file: string | undefined,
  { around, ...options }: Given = {},
): Promise<{ readonly loaded: LoadedScenario | undefined; readonly err: string }> {
  const { io, written } = memoryIo({ cwd: folder, ...around })
  const defaults = { filename: [], recursive: false, seed: 1, seedGiven: false, namespace: 'default' }
  return { loaded: await loadScenario(file, { ...defaults, ...options }, io), err: written.err }
}

describe('a scenario is loaded', () => {
  it('with the cluster that its spec.input names, beside it', async () => {
    const { loaded, err } = await load('in/beside.yaml')
    expect(err).toBe('')
    expect(loaded?.inputs).toEqual(['in/beside.yaml', 'cluster.yaml'])
    expect(loaded?.cluster.nodes.map(({ name }) => name)).toEqual(['node-1', 'node-2'])
    expect(loaded?.cluster.objects.some((object) => object === loaded.object)).toBe(false)
    expect(loaded?.cluster.objects.find(({ kind }) => kind === 'Scenario')?.value).toEqual(loaded?.object.value)
    expect(loaded?.seed).toBe(7)
    const [{ action }] = loaded?.scenario.events ?? []
    expect(action.kind === 'apply' ? action.objects.map(({ label, file, line }) => [label, file, line]) : []).toEqual([
      ['NetworkPolicy/shop/db', 'in/np.yaml', 1],
    ])
  })

  it('with the cluster in its own file', async () => {
    const { loaded, err } = await load('in/whole.yaml')
    expect(err).toBe('')
    expect(loaded?.inputs).toEqual(['in/whole.yaml'])
    expect(loaded?.cluster.nodes).toHaveLength(2)
    expect(loaded?.cluster.objects).toContain(loaded?.object)
  })

  it('with the cluster of -f; a file that is named twice is read once', async () => {
    expect((await load('in/alone.yaml', { filename: ['cluster.yaml'] })).loaded?.inputs).toEqual(['in/alone.yaml', 'cluster.yaml'])
    const { loaded, err } = await load('in/beside.yaml', { filename: ['./cluster.yaml', 'in/beside.yaml'] })
    expect(err).toBe('')
    expect(loaded?.inputs).toEqual(['in/beside.yaml', 'cluster.yaml'])
  })

  it('among the files of -f, where none is named', async () => {
    const { loaded, err } = await load(undefined, { filename: ['cluster.yaml', 'in/alone.yaml'] })
    expect(err).toBe('')
    expect(loaded?.scenario.events).toHaveLength(1)
    expect(loaded?.inputs).toEqual(['cluster.yaml', 'in/alone.yaml'])
    expect((await load(undefined, { filename: ['in/beside.yaml'] })).loaded?.inputs).toEqual(['in/beside.yaml', 'cluster.yaml'])
  })

  it('from standard input, with files beside the folder it is run in', async () => {
    const { loaded, err } = await load('-', { around: { stdin: `${HEAD}spec: {input: cluster.yaml, events: [{at: 1s, apply: more}]}\n` } })
    expect(err).toBe('')
    expect(loaded?.inputs).toEqual(['-', 'cluster.yaml'])
    const [{ action }] = loaded?.scenario.events ?? []
    expect(action.kind === 'apply' ? action.objects.map(({ label }) => label) : []).toEqual(['NetworkPolicy/shop/db', 'Namespace/blue'])
  })

  it('with what every command reads, where there is nothing else', async () => {
    write('netsim.yaml', CLUSTER)
    const { loaded, err } = await load('in/alone.yaml')
    rmSync(join(folder, 'netsim.yaml'))
    expect(err).toBe('')
    expect(loaded?.inputs).toEqual(['in/alone.yaml', 'netsim.yaml'])
    expect((await load('in/alone.yaml')).err).toContain('there is no node node-2')
  })

  it('with --seed, when it was given', async () => {
    expect((await load('in/beside.yaml', { seed: 9, seedGiven: true })).loaded?.seed).toBe(9)
    expect((await load('in/whole.yaml')).loaded?.seed).toBe(1)
  })

  it.each(
    readdirSync(join(ROOT, 'examples/scenarios'))
      .filter((name) => name.endsWith('.yaml'))
      .map((name) => [name]),
  )('of the examples: %s', async (name) => {
    const { loaded, err } = await load(`examples/scenarios/${name}`, { around: { cwd: ROOT } })
    expect(err).toBe('')
    expect(loaded?.scenario.probes.length).toBeGreaterThan(0)
  })
})

describe('what is wrong is told at once', () => {
  const told = async (text: string, options: Given = {}): Promise<string> => {
    write('in/wrong.yaml', text)
    const { loaded, err } = await load('in/wrong.yaml', options)
    expect(loaded).toBeUndefined()
    return err
  }

  it('files that are not there, where they are named', async () => {
    const err = await told(
      `${HEAD}spec:\n  input: [none.yaml, '-']\n  events:\n    - {at: 1s, apply: np.yml}\n    - {at: 1s, apply: ../empty.yaml}\n    - {at: x, apply: np.yml}\n`,
    )
    expect(err).toBe(`in/wrong.yaml:5: error: in/none.yaml: there is no such file or folder
in/wrong.yaml:5: error: - stands for standard input, which a document cannot name
    Give it on the command line: -f -.
in/wrong.yaml:7: error: in/np.yml: there is no such file or folder
in/wrong.yaml:8: error: ../empty.yaml holds no object
    Give it the manifest of what is to be there.
in/wrong.yaml:9: error: Scenario/x: spec.events[2].at: "x" is not a time of at most 90 days
    Write it with its unit, like 90s, 250ms, 1h30m or 2d.
5 errors
`)
  })

  it('in the scenario, its cluster and what it applies', async () => {
    write('in/broken.yaml', 'apiVersion: v1\nkind: Pod\nmetadata: {name: p\n')
    write('bad-cluster.yaml', CLUSTER.replace('address: 192.168.10.12', 'address: 192.168.10.300'))
    const err = await told(`${HEAD}spec:\n  input: ../bad-cluster.yaml\n  events:\n    - {at: 1s, apply: broken.yaml}\n    - {at: 1s, stop: felx}\n`)
    expect(err.split('\n').filter((line) => line.includes('error'))).toEqual([
      expect.stringMatching(/^in\/broken\.yaml:\d+: error: /) as string,
      expect.stringMatching(/^in\/wrong\.yaml:8: error: Scenario\/x: spec\.events\[1\]\.stop is "felx"/) as string,
      expect.stringMatching(/^bad-cluster\.yaml:\d+: error: Node\/node-2: .*192\.168\.10\.300/) as string,
      '3 errors',
    ])
  })

  it('a command that iptables would refuse', async () => {
    const firewall = '{at: 1s, firewall: router, iptables: ["-A FORWRAD -j DROP"]}'
    const err = await told(`${HEAD}spec:\n  input: ../cluster.yaml\n  events:\n    - ${firewall}\n    - {at: 2s, node: node-9, state: up}\n`)
    expect(err).toMatch(
      /^in\/wrong\.yaml:7: error: .*No chain\/target\/match by that name[^]*in\/wrong\.yaml:8: error: .*there is no node node-9[^]*2 errors\n$/,
    )
  })

  it('no Scenario, and more than one', async () => {
    expect((await load('cluster.yaml')).err).toMatch(/^cluster\.yaml: error: there is no Scenario here\n/)
    expect((await load(undefined, { filename: ['cluster.yaml'] })).err).toMatch(/^cluster\.yaml: error: there is no Scenario here\n/)
    expect((await load(undefined)).err).toMatch(/^the input: error: there is no Scenario here\n/)
    expect((await load('nowhere.yaml')).err).toBe('nowhere.yaml: error: there is no such file or folder\n')
    const two = await told(`${HEAD}spec: {}\n---\n${HEAD.replace('x}', 'y}')}`, { filename: ['cluster.yaml'] })
    expect(two).toBe('in/wrong.yaml:6: error: a second Scenario; the first stands in in/wrong.yaml:1\n    Give each a file of its own.\n')
    write('in/second.yaml', HEAD.replace('x}', 'y}'))
    const { err } = await load(undefined, { filename: ['cluster.yaml', 'in/alone.yaml', 'in/second.yaml'] })
    expect(err).toBe('in/second.yaml:1: error: a second Scenario; the first stands in in/alone.yaml:1\n    Name the file of the one that is meant.\n')
  })
})
