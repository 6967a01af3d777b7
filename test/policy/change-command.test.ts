/** `policy diff` and `policy whatif` from words to text, in this process: forms, notes and exit statuses. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DiffRowDocument } from '../../src/policy/change/diff-document.js'
import { netsim, type Ran } from '../cli/memory-io.js'

let folder = ''
const EXAMPLES = new URL('../../examples/policy-change', import.meta.url).pathname
const NOW = join(EXAMPLES, 'now')
const PROPOSED = join(EXAMPLES, 'proposed')

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'netsim-change-'))
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text)
  write(
    'deny.yaml',
    'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: shut, namespace: shop}\n' +
      'spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}\n',
  )
  write(
    'bad.yaml',
    'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: bad, namespace: shop}\n' +
      'spec: {podSelector: {}, ingress: [{ports: [{port: 9, endPort: 3}]}]}\n',
  )
  write('flannel.yaml', 'apiVersion: netsim/v1\nkind: Network\nspec: {cni: flannel}\n')
  mkdirSync(join(folder, 'empty'))
})

afterAll(() => rmSync(folder, { recursive: true }))

const whatIf = (...words: readonly string[]): Promise<Ran> => netsim(['policy', 'whatif', '-f', NOW, ...words], { cwd: folder })
const diff = (...words: readonly string[]): Promise<Ran> => netsim(['policy', 'diff', ...words], { cwd: folder })
const rowsOf = ({ out }: Ran): readonly DiffRowDocument[] => JSON.parse(out) as DiffRowDocument[]

describe('policy diff', () => {
  it('tells the rule before and the rule after, each with its line', async () => {
    const ran = await diff(NOW, PROPOSED, '-o', 'json')
    expect(ran).toMatchObject({ code: 1, err: '' })
    const told = rowsOf(ran).map(({ diffType, source, destination, ref1, ref2, before, after }) => ({
      row: `${diffType} ${source} → ${destination}: ${ref1} → ${ref2}`,
      before: before.map(({ direction, reason, rules }) => [direction, reason, ...rules.map(({ name, rule, line }) => `${name} ${rule} :${line}`)].join(' ')),
      after: after.map(({ direction, reason, rules }) => [direction, reason, ...rules.map(({ name, rule, line }) => `${name} ${rule} :${line}`)].join(' ')),
    }))
    const denied = ['ingress isolation wall null :1 db null :27']
    expect(told).toEqual([
      { row: 'removed shop/api[Deployment] → shop/db[StatefulSet]: TCP 5432 → No Connections', before: ['ingress rule db 0 :31'], after: denied },
      { row: 'removed shop/db[StatefulSet] → shop/db[StatefulSet]: TCP 5432 → No Connections', before: ['ingress rule db 0 :31'], after: denied },
      {
        row: 'added watch/prometheus[Deployment] → shop/api[Deployment]: No Connections → TCP 9090',
        before: ['ingress isolation wall null :1 api null :16'],
        after: ['ingress rule api 1 :24'],
      },
    ])
  })

  it('trap 45: says nothing of what means the same, and ends with 0', async () => {
    for (const form of ['txt', 'md', 'csv', 'dot']) expect(await diff(NOW, NOW, '-o', form)).toEqual({ code: 0, out: '', err: '' })
    expect(await diff(NOW, NOW, '-o', 'json')).toEqual({ code: 0, out: '[]\n', err: '' })
    expect(await diff(NOW, NOW, '--compat', 'np-guard')).toEqual({ code: 0, out: '', err: '' })
  })

  it("prints netpol-analyzer's forms", async () => {
    const ran = await diff(NOW, PROPOSED, '--compat', 'np-guard', '--ref1', 'old', '--ref2', 'new')
    expect(ran.out).toBe(
      'Connectivity diff:\n' +
        'diff-type: added, source: watch/prometheus[Deployment], destination: shop/api[Deployment], old: No Connections, new: TCP 9090\n' +
        'diff-type: removed, source: shop/api[Deployment], destination: shop/db[StatefulSet], old: TCP 5432, new: No Connections\n',
    )
    const csv = await diff(NOW, PROPOSED, '--compat', 'np-guard', '-o', 'csv')
    expect(csv.out.split('\n')[0]).toBe('diff-type,source,destination,ref1,ref2,workloads-diff-info')
    const dot = await diff(NOW, PROPOSED, '--compat', 'np-guard', '-o', 'dot')
    expect(dot.out).toContain('"shop/api[Deployment]" -> "shop/db[StatefulSet]" [label="TCP 5432" color="red2" fontcolor="red2" weight=0.5]')
    expect(dot.out).toContain('"shop/web[Deployment]" -> "shop/api[Deployment]" [label="TCP 8080" color="grey" fontcolor="grey" weight=1]')
  })

  it('is short enough for a pull request: a table with a cap, and how many are left', async () => {
    const { out, code } = await diff(NOW, PROPOSED, '-o', 'md', '--limit', '1')
    expect(code).toBe(1)
    const lines = out.split('\n')
    expect(lines[0]).toBe('**Policies: 2 closed, 0 changed, 1 opened: mixed**')
    expect(lines.filter((line) => line.startsWith('| closed'))).toHaveLength(1)
    expect(out).toContain('… and 2 more pairs.')
  })

  it('gives SARIF a place and JUnit a failure for each', async () => {
    const sarif = JSON.parse((await diff(NOW, PROPOSED, '-o', 'sarif')).out) as {
      runs: { results: { ruleId: string; level: string; locations: { physicalLocation: { region: { startLine: number } } }[] }[] }[]
    }
    expect(sarif.runs[0].results.map(({ ruleId, level, locations }) => [ruleId, level, locations[0].physicalLocation.region.startLine])).toEqual([
      ['PC001', 'warning', 27],
      ['PC001', 'warning', 27],
      ['PC002', 'warning', 24],
    ])
    const junit = (await diff(NOW, PROPOSED, '-o', 'junit', '--expect', 'only-tightens')).out
    expect(junit.match(/<failure /g)).toHaveLength(1)
    expect(junit).toContain('shop/api[Deployment]: opened: TCP 9090')
  })

  it.each([
    ['no-op', 1],
    ['only-tightens', 1],
    ['only-loosens', 1],
  ])('--expect %s of a change that does both: %i', async (expected, code) => {
    expect((await diff(NOW, PROPOSED, '--expect', expected)).code).toBe(code)
  })

  it.each([
    [['--expect', 'no-op'], 1, 1],
    [['--expect', 'only-tightens'], 0, 1],
    [['--expect', 'only-loosens'], 1, 0],
    [[], 1, 1],
  ])('%j of a policy that comes, and of one that goes: %i and %i', async (words, comes, goes) => {
    expect((await whatIf('--add', 'deny.yaml', ...words)).code).toBe(comes)
    expect((await netsim(['policy', 'whatif', '-f', NOW, '-f', join(folder, 'deny.yaml'), '--delete', 'np/shop/shut', ...words], { cwd: folder })).code).toBe(
      goes,
    )
  })

  it('ends with 3 where a side cannot be read, with all that is wrong', async () => {
    const ran = await diff('bad.yaml', 'absent.yaml')
    expect(ran).toMatchObject({ code: 3, out: '' })
    expect(ran.err).toContain('bad.yaml:4: error: NetworkPolicy/shop/bad')
    expect(ran.err).toContain('absent.yaml: error: there is no such file or folder')
    expect((await diff(NOW)).code).toBe(2)
    expect((await diff(NOW, PROPOSED, '-f', NOW)).code).toBe(2)
  })
})

describe('policy whatif', () => {
  it('says what was edited, what closes, why, and what becomes of connections that exist', async () => {
    const { code, out, err } = await whatIf('--add', 'deny.yaml')
    expect({ code, err }).toEqual({ code: 1, err: '' })
    expect(out).toContain('added     NetworkPolicy/shop/shut (deny.yaml:1)')
    expect(out).toMatch(/^CLOSED {4}shop\/web\[Deployment\] → .*shop\/api\[Deployment\]/m)
    expect(out).toContain('before allowed: no policy selects it for egress')
    expect(out).toContain('after  denied: no egress rule of NetworkPolicy shop/shut names it (deny.yaml:1)')
    expect(out.replace(/\s+/g, ' ')).toContain('Those that exist may survive: the API leaves it open.')
    expect(out).toMatch(/\d+ closed, 0 changed, 0 opened: only tightens\n$/)
  })

  it('makes the edits in the order given', async () => {
    const there = await whatIf('--delete', 'np/shop/db', '--add', join(NOW, 'policies.yaml'))
    expect(there).toMatchObject({ code: 0 })
    const gone = await whatIf('--add', join(NOW, 'policies.yaml'), '--delete', 'np/shop/db')
    expect(gone).toMatchObject({ code: 1 })
    expect(gone.out).toMatch(/deleted {3}NetworkPolicy\/shop\/db/)
  })

  it('takes labels word by word, and in quotes', async () => {
    const words = ['--replace', join(PROPOSED, 'policies.yaml'), '-o', 'json']
    const pairs = async (...more: readonly string[]): Promise<readonly string[]> =>
      rowsOf(await whatIf(...more, ...words)).map(({ diffType, source, destination }) => `${diffType} ${source} → ${destination}`)
    const both = ['removed shop/db[StatefulSet] → shop/db[StatefulSet]']
    expect(await pairs('--label', 'deploy/shop/api', 'tier=back', '--label', 'ns/watch', 'team-')).toEqual(both)
    expect(await pairs('--label', 'deploy/shop/api tier=back', '--label', 'ns/watch team-')).toEqual(both)
  })

  it('trap 48: says what becomes of pods that are not there yet', async () => {
    const { code, out } = await whatIf('--add', join(EXAMPLES, 'cache.yaml'))
    expect(code).toBe(0)
    expect(out.replace(/\s+/g, ' ')).toContain(
      'a pod that does not exist yet (pods app=cache of namespace watch, no other labels) could no longer be reached by',
    )
    expect(out).toMatch(/0 closed, 0 changed, 0 opened: no-op\n$/)
    // every pod of today has a policy of its own; the next one would have none
    const wall = await whatIf('--delete', 'np/shop/wall')
    expect(wall.code).toBe(0)
    expect(wall.out.replace(/\s+/g, ' ')).toMatch(
      /a pod that does not exist yet \(.*namespace shop, no other labels\) could now be reached by .*: NetworkPolicy shop\/wall selected it/,
    )
    // what rows show is not told twice
    expect((await whatIf('--add', 'deny.yaml')).out).not.toContain('does not exist yet')
  })

  it('says when the last pod of a workload goes', async () => {
    const { code, out } = await whatIf('--scale', 'deploy/shop/api=0')
    expect(code).toBe(0)
    expect(out).toContain('scaled    Deployment/shop/api: 2 → 0 replicas')
    expect(out).toContain('no pod runs any more of shop/api[Deployment]')
  })

  it('says that nothing comes of it where nobody enforces policies', async () => {
    const flannel = join(folder, 'flannel.yaml')
    const ran = await netsim(['policy', 'whatif', '-f', NOW, '-f', flannel, '--delete', 'np/shop/wall'], { cwd: folder })
    expect(ran.code).toBe(0)
    expect(ran.out).toContain('flannel enforces no NetworkPolicy: the change has no effect')
    const enforced = await netsim(['policy', 'whatif', '-f', NOW, '-f', flannel, '--enforced', '--delete', 'np/shop/db'], { cwd: folder })
    expect(enforced.code).toBe(1)
    expect(enforced.out).toContain('2 closed')
  })

  it.each<readonly [readonly string[], number, string]>([
    [[], 2, 'what if what?'],
    [['--label', 'pod/shop/x'], 2, 'which label of pod/shop/x?'],
    [['--label', 'a=b'], 2, 'Whose label?'],
    [['--label', 'ns/shop', 'a=b c=d!'], 2, 'is no label value'],
    [['--scale', 'deploy/shop/api'], 2, 'It must be a workload and a number'],
    [['--delete', 'np/shop/dbb'], 3, 'Did you mean np/shop/db?'],
    [['--delete', 'np/shop/dbb', '--scale', 'deploy/shop/wbe=1'], 3, 'Did you mean deploy/shop/web?'],
    [['--add', 'bad.yaml'], 3, 'bad.yaml:4: error'],
    [['--add', 'absent.yaml'], 3, 'there is no such file'],
    [['--replace', 'deny.yaml'], 3, 'there is nothing of that name to replace'],
    [['--label', 'deploy/shop/api', 'app=other'], 3, 'an API server refuses that'],
  ])('%j: %i, %s', async (words, code, said) => {
    const ran = await whatIf(...words)
    expect(ran).toMatchObject({ code, out: '' })
    expect(ran.err).toContain(said)
  })
})
