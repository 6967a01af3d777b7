/** `netsim policy list` on the command line: folders, formats, exit statuses, and what netpol-analyzer refuses. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { netsim, type Ran } from './memory-io.js'

const folders: string[] = []

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

async function list(files: Readonly<Record<string, string>>, ...flags: readonly string[]): Promise<Ran> {
  const cwd = mkdtempSync(join(tmpdir(), 'netsim-policy-'))
  folders.push(cwd)
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(cwd, name)), { recursive: true })
    writeFileSync(join(cwd, name), text)
  }
  return netsim(['policy', 'list', '-f', '.', ...flags], { cwd })
}

const pod = (name: string, more = ''): string => `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, labels: {app: ${name}}${more}}\n---\n`
const policy = (spec: string): string => `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: ${spec}\n---\n`
const BETWEEN = ['default/a[Pod] => default/b[Pod] : All Connections', 'default/b[Pod] => default/a[Pod] : All Connections']

const rowsOf = ({ out }: Ran): string[] => out.split('\n').filter((line) => line !== '' && !line.includes('[External]'))

describe('netsim policy list', () => {
  it('reads a folder with all that is below it', async () => {
    const ran = await list({ 'a.yaml': pod('a'), 'deep/er/b.yml': pod('b') })
    expect(rowsOf(ran)).toEqual(BETWEEN)
    expect(ran).toMatchObject({ code: 0, err: '' })
  })

  it('lets no name of the input steer the terminal', async () => {
    const files = { 'a.yaml': pod('"a\\e[2J"') + pod('b') }
    for (const output of ['txt', 'md', 'csv', 'matrix', 'json', 'dot', 'svg']) {
      const ran = await list(files, '-o', output)
      expect(ran.out).toContain('b')
      expect(ran.out, output).not.toContain('\u001b')
    }
    const before = mkdtempSync(join(tmpdir(), 'netsim-policy-'))
    folders.push(before)
    writeFileSync(join(before, 'a.yaml'), files['a.yaml'])
    writeFileSync(join(before, 'b.yaml'), files['a.yaml'] + pod('b') + policy('{podSelector: {}}'))
    const around = { cwd: before }
    for (const more of [
      ['-o', 'txt'],
      ['-o', 'md'],
      ['-o', 'csv'],
      ['--compat', 'np-guard'],
    ])
      expect((await netsim(['policy', 'diff', 'a.yaml', 'b.yaml', ...more], around)).out, more.join(' ')).not.toContain('\u001b')
    expect((await netsim(['policy', 'explain', '-f', 'b.yaml', '--compat', 'np-guard'], around)).out).not.toContain('\u001b')
  })

  it('answers the rest where something that is no policy cannot be read, with status 3', async () => {
    const ran = await list({ 'a.yaml': pod('a') + pod('b'), 'c.yaml': 'apiVersion: v1\nkind: Pod\nmetadata: {name: c}\nspec: {containers: text}\n' })
    expect(rowsOf(ran)).toEqual(BETWEEN)
    expect(ran.code).toBe(3)
    expect(ran.err).toContain('c.yaml:4: error: Pod/default/c: spec.containers is "text", not a list')
  })

  it('does not answer where a policy is wrong: everything else would look open', async () => {
    const ran = await list({ 'a.yaml': pod('a') + pod('b') + policy('{podSelector: {}, ingress: [{ports: [{port: 80, endPort: 79}]}]}') })
    expect(ran).toMatchObject({ code: 3, out: '' })
    expect(ran.err).toContain('a.yaml:12: error: NetworkPolicy/default/p: ')
  })

  it('does not answer where nothing can be read, or a file is not there', async () => {
    expect(await list({ 'a.yaml': 'a: b' })).toMatchObject({ code: 3, out: '' })
    expect(await list({ 'a.yaml': pod('a') }, '-f', 'none.yaml')).toMatchObject({ code: 3, out: '' })
    expect(await list({ 'notes.txt': 'no manifest' })).toMatchObject({ code: 3, out: '' })
  })

  it('names what --focus and its friends cannot mean', async () => {
    const files = { 'a.yaml': pod('a') + pod('b') }
    expect((await list(files, '--focus', 'x')).err).toBe('warning: no workload is called x\n')
    expect((await list(files, '--direction', 'egress')).err).toBe('warning: --direction says nothing without --focus\n')
    expect((await list(files, '--focus-conn', 'tcp80')).code).toBe(2)
    expect((await list(files, '--focus-conn', 'icmp-8')).code).toBe(2)
    expect((await list(files, '--focus', 'a,')).code).toBe(2)
    expect((await list(files, '-o', 'png')).code).toBe(2)
  })

  it('draws a picture with a square for each row', async () => {
    const { out, code } = await list({ 'a.yaml': pod('a') + pod('b') }, '-o', 'svg')
    expect(code).toBe(0)
    expect(out).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"[^]*<\/svg>\n$/)
    expect(out.match(/<rect class="(all|some)"/g)).toHaveLength(6)
    expect(out).toContain('<title>default/a[Pod] =&gt; default/b[Pod] : All Connections</title>')
  })

  it('takes single switches over --as', async () => {
    const files = {
      'a.yaml':
        pod('a').replace('---', 'status: {podIP: 10.0.0.1}\n---') +
        pod('b') +
        policy('{podSelector: {matchLabels: {app: b}}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}'),
    }
    const between = 'default/a[Pod] => default/b[Pod] : All Connections'
    expect(rowsOf(await list(files))).toContain(between)
    expect(rowsOf(await list(files, '--ip-block', 'outside-only'))).not.toContain(between)
    expect(rowsOf(await list(files, '--as', 'np-guard'))).not.toContain(between)
    expect(rowsOf(await list(files, '--as', 'np-guard', '--ip-block', 'pods-too'))).toContain(between)
  })

  it('says that plain flannel enforces nothing, and what would be if somebody did', async () => {
    const files = { 'a.yaml': pod('a') + pod('b') + policy('{podSelector: {}}'), 'n.yaml': 'apiVersion: netsim/v1\nkind: Network\nspec: {cni: flannel}\n' }
    const ran = await list(files)
    expect(rowsOf(ran)).toEqual(BETWEEN)
    expect(ran.err).toBe(
      'warning: flannel enforces no NetworkPolicy: the policies of the input have no effect (--enforced: as if they had), everything is open\n',
    )
    expect(rowsOf(await list(files, '--enforced'))).toEqual([])
  })
})

describe('--compat np-guard', () => {
  const COMPAT = ['--compat', 'np-guard']

  it('answers with status 0 whatever is no policy, and of a broken file what stands before the fault', async () => {
    const files = { 'a.yaml': `${pod('a')}${pod('b')}apiVersion: v1\nkind: "Pod" x\n---\n${pod('c')}` }
    const ran = await list(files, ...COMPAT)
    expect(rowsOf(ran)).toEqual(BETWEEN)
    expect(ran.code).toBe(0)
    expect(rowsOf(await list(files))).toHaveLength(6)
  })

  it('refuses pods of one owner that a policy tells apart, and takes those that none does', async () => {
    const owned = (name: string, label: string): string =>
      `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, labels: {app: x, v: "${label}"}, ownerReferences: [{controller: true, kind: ReplicaSet, name: x}]}\n---\n`
    const pods = owned('x-1', '1') + owned('x-2', '2') + pod('a')
    const apart = await list({ 'a.yaml': pods + policy('{podSelector: {matchLabels: {v: "1"}}}') }, ...COMPAT)
    expect(apart).toMatchObject({ code: 3, out: '' })
    expect(apart.err).toContain('a.yaml:5: error: Pod/default/x-2: NetworkPolicy a.yaml:13 tells it from default/x-1, which default/x[ReplicaSet] owns too')
    const alike = await list({ 'a.yaml': pods + policy('{podSelector: {matchLabels: {app: x}}}') }, ...COMPAT)
    expect(alike.code).toBe(0)
    // everybody else is shown both
    const both = await list({ 'a.yaml': pods + policy('{podSelector: {matchLabels: {v: "1"}}}') }, '--focus', 'a', '--direction', 'egress')
    expect(rowsOf(both)).toEqual(['default/a[Pod] => default/x[ReplicaSet] (x-2) : All Connections'])
  })

  it('takes a name that an API server refuses', async () => {
    const files = { 'a.yaml': pod('a') + pod('b') + policy('{podSelector: {matchLabels: {app: b}}}').replace('name: p', 'name: P_1') }
    expect(await list(files)).toMatchObject({ code: 3, out: '' })
    expect(rowsOf(await list(files, ...COMPAT))).toEqual(['default/b[Pod] => default/a[Pod] : All Connections'])
  })

  it('refuses a port by name towards addresses', async () => {
    const text = pod('a') + policy('{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: http}]}]}')
    expect(await list({ 'a.yaml': text }, ...COMPAT)).toMatchObject({ code: 3, out: '' })
    expect((await list({ 'a.yaml': text })).code).toBe(0)
  })

  it('prints a header above the rows of one connection', async () => {
    const ran = await list({ 'a.yaml': pod('a') + pod('b') }, ...COMPAT, '--focus-conn', 'udp-52')
    expect(ran.out.split('\n').slice(0, 2)).toEqual(['Permitted connections on UDP 52:', '0.0.0.0-255.255.255.255[External] => default/a[Pod]'])
  })

  describe('--by-class', () => {
    const files = {
      'a.yaml':
        ['a-1', 'a-2', 'a-3'].map((name) => pod(name).replace(`{app: ${name}}`, '{app: a}')).join('') +
        pod('b') +
        policy('{podSelector: {matchLabels: {app: b}}, ingress: [{from: [{podSelector: {matchLabels: {app: a}}}], ports: [{port: 80}]}]}'),
    }

    it('puts pods together that no policy tells apart, with counts of pods and pairs', async () => {
      const ran = await list(files, '--by-class', '--enforced')
      expect(ran).toMatchObject({ code: 0 })
      expect(ran.out).toContain('4 pods in 2 classes, 1 class of addresses outside')
      expect(ran.out).toMatch(/All Connections +9 +75 %\nTCP 80 +3 +25 %\n\n/)
      expect(ran.out).toMatch(/app=a in default +3 +default\/b +1 +3 +TCP 80\n/)
      expect(ran.out).not.toContain('more row')
      expect((await list(files, '--by-class', '--enforced', '--top', '1')).out).toContain('2 more rows (--top 0 for all; -o jsonl')
    })

    it('as JSON Lines has every class with its pods, sets of classes before the rows that name them, and sums', async () => {
      const { out } = await list(files, '--by-class', '--enforced', '-o', 'jsonl')
      const lines = out
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>)
      const of = (kind: string): typeof lines => lines.filter((line) => line.kind === kind)
      expect(of('class').map(({ pods }) => pods)).toEqual([['default/a-1', 'default/a-2', 'default/a-3'], ['default/b'], undefined])
      expect(of('total').map(({ conn, pairs }) => [conn, pairs])).toEqual([
        ['All Connections', 9],
        ['TCP 80', 3],
      ])
      const rows = of('row').map(({ from, to, conn }) => [from, to].map((set) => of('set').find((one) => one.set === set)?.classes).concat(conn))
      expect(rows).toContainEqual([[[0, 0]], [[1, 1]], 'TCP 80'])
      expect(lines.findIndex(({ kind }) => kind === 'set')).toBeLessThan(lines.findIndex(({ kind }) => kind === 'row'))
    })

    it('with a focus and a connection has the rows of those', async () => {
      const { out, err } = await list(files, '--by-class', '--enforced', '--focus', 'b,nobody', '--direction', 'ingress', '--focus-conn', 'tcp-80', '-o', 'csv')
      expect(out).toBe('src,srcPods,dst,dstPods,pairs,conn\napp=a in default,3,default/b,1,3,TCP 80\n')
      expect(err).toContain('no workload is called nobody')
    })

    it('says which flags do not go with it', async () => {
      for (const flags of [['-o', 'svg'], ['--exposure'], ['--as', 'np-guard'], ['--compat', 'np-guard']]) {
        expect(await list(files, '--by-class', ...flags), flags.join(' ')).toMatchObject({ code: 2, out: '' })
      }
    })
  })

  it('-o jsonl: the rows of -o json, a line each', async () => {
    const files = { 'a.yaml': pod('a') + pod('b') }
    const lines = (await list(files, '-o', 'jsonl')).out.trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(JSON.parse((await list(files, '-o', 'json')).out))
    expect(await list(files, '-o', 'jsonl', '--exposure')).toMatchObject({ code: 2 })
  })
})
