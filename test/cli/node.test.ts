/** `--node` on the command line: dumps in place of what agents would make, as folders and as archives; what is wrong with one; what is not known in it. */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import type { TraceDocument } from '../../src/analysis/trace-document.js'
import { readTar } from '../../src/cli/tar.js'
import { netsim } from './memory-io.js'

const EXAMPLES = new URL('../../examples/', import.meta.url).pathname
const CLUSTER = `${EXAMPLES}flannel-vxlan.yaml`
const NODE_1 = `${EXAMPLES}nodes/node-1.tar.gz`
const NODE_2 = `${EXAMPLES}nodes/node-2`
const QUESTION = ['trace', 'shop/web-0', 'shop/api-0:8080']

const folder = mkdtempSync(join(tmpdir(), 'netsim-node-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A copy of node-2's dump with one file changed. */
function changed(path: string, change: (text: string) => string): string {
  const copy = mkdtempSync(join(folder, 'dump-'))
  cpSync(NODE_2, copy, { recursive: true })
  writeFileSync(join(copy, path), change(readFileSync(join(copy, path), 'utf8')))
  return copy
}

const healthy = (): string => changed('node/iptables-legacy', () => '')

async function traced(...words: string[]): Promise<TraceDocument> {
  const { out, err } = await netsim([...QUESTION, '-o', 'json', ...words])
  if (out === '') throw new Error(err)
  return JSON.parse(out) as TraceDocument
}

const stepsOf = ({ forward }: TraceDocument): TraceDocument['forward']['hops'][number]['steps'][number][] => forward.hops.flatMap(({ steps }) => [...steps])

describe('nodes as they were found', () => {
  it('the dumps alone are a cluster, and each step stands on a line of them', async () => {
    const document = await traced('--node', NODE_1, '--node', NODE_2)
    expect([document.disposition, document.metadata.found, document.metadata.inputs]).toEqual(['DENIED', ['node-1', 'node-2'], [NODE_1, NODE_2]])
    const found = stepsOf(document).filter(({ kind }) => ['route', 'neigh', 'encap', 'send'].includes(kind))
    expect(found.length).toBeGreaterThan(9)
    for (const { provenance } of found)
      expect(`${provenance?.by} ${provenance?.file}`).toMatch(/^dump .*\/nodes\/node-[12](\.tar\.gz\/node-1)?\/(node|pods\/\d+)\/(route|neigh|fdb|addr)$/)
    const { step } = document.result
    expect(stepsOf(document).find(({ n }) => n === step)).toMatchObject({
      action: 'DROP',
      at: { table: 'filter', chain: 'FORWARD' },
      provenance: { by: 'dump', file: `${NODE_2}/node/iptables-legacy`, line: 4 },
    })
  })

  it('beside nodes that their agents make, whichever of the two is found', async () => {
    const dispositions = await Promise.all(
      [
        ['--node', NODE_1],
        ['--node', `node-2=${NODE_2}`],
        ['--node', NODE_1, '--node', healthy()],
      ].map((words) => traced('-f', CLUSTER, ...words)),
    )
    expect(dispositions.map(({ disposition }) => disposition)).toEqual(['DELIVERED', 'DENIED', 'DELIVERED'])
    expect(dispositions.map(({ metadata }) => metadata.found)).toEqual([['node-1'], ['node-2'], ['node-1', 'node-2']])
  })

  it('a healthy pair of dumps gives the frames of the network that it was taken from', async () => {
    const frames = ({ forward, reply }: TraceDocument): unknown[] =>
      [forward, reply].flatMap((leg) => leg?.frames.map(({ netns, device, direction, length }) => [netns, device, direction, length]) ?? [])
    const [made, found] = [await traced('-f', CLUSTER), await traced('-f', CLUSTER, '--node', NODE_1, '--node', healthy())]
    expect(frames(found).length).toBe(20)
    expect(frames(found)).toEqual(frames(made))
  })

  it('text, show, mtu and check are of the dump too', async () => {
    const text = await netsim([...QUESTION, '--node', NODE_1, '--node', NODE_2])
    expect(text.out).toContain(`${NODE_2}/node/iptables-nft:39`)
    expect(text.out.replace(/\s+/g, ' ')).toContain(`2 nodes from ${NODE_1}, ${NODE_2} · all as found`)
    const shown = await netsim(['show', 'routes', 'node-2', '--node', NODE_2])
    expect(shown.out.replace(/ +\n/g, '\n')).toBe(
      readFileSync(`${NODE_2}/node/route`, 'utf8')
        .replace(/ +\n/g, '\n')
        .split('\n')
        .filter((line) => !line.includes('table local'))
        .join('\n'),
    )
    expect((await netsim([...QUESTION, '--mtu', '--node', NODE_1, '--node', healthy()])).out).toContain('1450')
    expect((await netsim(['check', '--node', NODE_1, '--node', NODE_2])).out).toContain('NM102')
  })

  it('asks the same network again', async () => {
    const { out } = await netsim([...QUESTION, '--summary', '--node', NODE_1, '--node', NODE_2])
    expect(out.replace(/\s+/g, ' ')).toContain(`netsim trace shop/web-0 shop/api-0:8080 -v --node ${NODE_1} --node ${NODE_2} netsim show`)
  })
})

describe('what is not known', () => {
  it('a pod whose namespace was not gathered: the rest is answered, the step says what is missing', async () => {
    const copy = healthy()
    rmSync(join(copy, 'pods'), { recursive: true })
    const { code, out, err } = await netsim(['trace', 'shop/web-0', '10.244.2.2:8080', '--node', NODE_1, '--node', copy])
    expect(out).toMatch(/^INCOMPLETE .*node-2 \/ host/m)
    expect(out).toContain('the other end of the veth veth525527bb is not in the dump')
    expect(err).toContain(`${copy}/node/addr:10: warning: Node/node-2: the other end of the veth veth525527bb is not in the dump`)
    expect(code).not.toBe(0)
    const there = await netsim(['trace', 'shop/web-0', 'node/node-2', '--node', NODE_1, '--node', copy])
    expect([there.code, there.out.includes('DELIVERED')]).toEqual([0, true])
  })

  it('a device of a kind that is not modelled', async () => {
    const odd = '90: odd0@eth0: <BROADCAST,UP,LOWER_UP> mtu 1450 state UP\n    link/ether 02:00:00:00:00:90 brd ff:ff:ff:ff:ff:ff\n    macvlan mode bridge\n'
    const copy = changed('node/addr', (text) => text + odd)
    const routes = readFileSync(join(copy, 'node/route'), 'utf8').replace(/^10\.244\.1\.0\/24 .*$/m, '10.244.1.0/24 dev odd0 scope link')
    writeFileSync(join(copy, 'node/route'), routes)
    const document = JSON.parse((await netsim(['trace', 'node/node-2', '10.244.1.2', '-o', 'json', '--node', NODE_1, '--node', copy])).out) as TraceDocument
    expect([document.disposition, stepsOf(document).at(-1)?.text]).toEqual(['INCOMPLETE', 'not modelled: odd0 is a device of kind macvlan'])
  })

  it('a TUN, whose process is in no dump', async () => {
    const tun = '91: tun9: <POINTOPOINT,MULTICAST,NOARP,UP,LOWER_UP> mtu 1400 state UNKNOWN\n    link/none \n    tun type tun pi off vnet_hdr off persist on\n'
    const copy = changed('node/addr', (text) => text + tun)
    const routes = readFileSync(join(copy, 'node/route'), 'utf8').replace(/^10\.244\.1\.0\/24 .*$/m, '10.244.1.0/24 dev tun9 scope link')
    writeFileSync(join(copy, 'node/route'), routes)
    const document = JSON.parse((await netsim(['trace', 'node/node-2', '10.244.1.2', '-o', 'json', '--node', NODE_1, '--node', copy])).out) as TraceDocument
    expect([document.disposition, stepsOf(document).at(-1)?.text]).toEqual([
      'INCOMPLETE',
      'a process reads what leaves by the TUN tun9, and no dump tells what it does with it',
    ])
  })

  it('a module of iptables', async () => {
    const copy = changed('node/iptables-nft', (text) => text.replace('-A FORWARD', '-A FORWARD -m bpf --bytecode "1,6 0 0 0" -j DROP\n-A FORWARD'))
    const document = await traced('--node', NODE_1, '--node', copy)
    expect([document.disposition, stepsOf(document).at(-1)?.text]).toEqual(['INCOMPLETE', expect.stringContaining('bpf')])
  })

  it('a route that is gone is not made up for', async () => {
    const copy = changed('node/route', (text) => text.replace(/^10\.244\.2\.0\/24 dev cni0.*\n/m, ''))
    writeFileSync(join(copy, 'node/iptables-legacy'), '')
    const document = await traced('--node', NODE_1, '--node', copy)
    expect(stepsOf(document).find(({ kind, at }) => kind === 'route' && at?.device === 'cni0')).toBeUndefined()
    expect(document.disposition).not.toBe('DELIVERED')
  })
})

describe('what lies beyond the dumps', () => {
  it('a host of which there is no dump, and no object either', async () => {
    const { out, code } = await netsim(['trace', 'shop/web-0', '10.244.2.2:8080', '--node', NODE_1, '--summary'])
    expect([out.split('\n')[0], code]).toEqual([expect.stringMatching(/^INCOMPLETE .* node-1 \/ host, drop/), 4])
    expect(out).toContain('a host of which there is neither a dump nor an object')
  })

  it('a part whose file is shorter than the script wrote it: what is lost for want of it is not known', async () => {
    const route = changed('node/route', (text) =>
      text
        .split('\n')
        .filter((line) => !line.startsWith('default') && !line.includes('flannel.1'))
        .join('\n'),
    )
    const bytes = readFileSync(join(NODE_2, 'node/route')).length
    const question = ['trace', 'shop/api-0', 'shop/web-0:80', '-f', CLUSTER, '--summary', '--node']
    const changedOne = await netsim([...question, route])
    expect([changedOne.out.split(' ')[0], changedOne.code]).toEqual(['NO_ROUTE', 1])
    writeFileSync(join(route, 'manifest'), `${readFileSync(join(route, 'manifest'), 'utf8')}file ${bytes} node/route\n`)
    const cutOne = await netsim([...question, route])
    expect([cutOne.out.split(' ')[0], cutOne.code]).toEqual(['INCOMPLETE', 4])
    expect(cutOne.out).toContain('node/route was cut short, or changed')
  })
})

describe('what is wrong with a dump', () => {
  it('it is of another node', async () => {
    const { err, code } = await netsim([...QUESTION, '-f', CLUSTER, '--node', `node-1=${NODE_2}`])
    expect(err).toContain('this dump says that it is node-2 (hostname node-2, InternalIP 192.168.10.12, podCIDR 10.244.2.0/24), not node-1')
    expect(code).toBe(3)
  })

  const problem = async (...words: string[]): Promise<string[]> => {
    const { code, out, err } = await netsim([...QUESTION, ...words])
    expect([code, out]).toEqual([3, ''])
    return err.trimEnd().split('\n')
  }

  it('there is none, it is no dump, it is several, it is of nobody, it is there twice', async () => {
    const two = join(folder, 'two')
    for (const name of ['a', 'b']) cpSync(NODE_2, join(two, name), { recursive: true })
    expect(await problem('--node', '/nowhere/at/all')).toEqual([
      '/nowhere/at/all: error: there is no such file or folder',
      '    Gather it: netsim collect --help',
    ])
    expect((await problem('--node', EXAMPLES))[0]).toBe(`${EXAMPLES}: error: no dump of a node: it has no file "manifest"`)
    expect(await problem('--node', two)).toEqual([`${two}: error: holds 2 dumps: a, b`, `    Give each by itself: --node ${two}/a --node ${two}/b`])
    expect((await problem('--node', CLUSTER))[0]).toBe(`${CLUSTER}: error: is no folder and no archive`)
    expect(await problem('-f', CLUSTER, '--node', `node-22=${NODE_2}`)).toEqual([
      `${NODE_2}: error: Node/node-22: the cluster has no node "node-22"`,
      `    Did you mean --node node-2=${NODE_2}?`,
    ])
    expect((await problem('--node', NODE_2, '--node', `node-2=${NODE_1}`))[0]).toBe(
      `${NODE_1}: error: Node/node-2: two dumps of node-2: ${NODE_2} and ${NODE_1}`,
    )
  })

  it('a Scenario has moments, and no dump is of one', async () => {
    const { code, err } = await netsim([...QUESTION, '--at', '1s', '-f', `${EXAMPLES}scenarios`, '--node', NODE_2])
    expect([code, err]).toEqual([2, expect.stringContaining('--node is of a network as it is')])
  })

  it('the objects have a pod elsewhere, or one that the dump does not have', async () => {
    const text = readFileSync(CLUSTER, 'utf8')
    const moved = join(folder, 'moved.yaml')
    writeFileSync(moved, text.replace(/nodeName: node-2/g, 'nodeName: node-1'))
    const { err } = await netsim(['trace', 'node/node-1', 'node/node-2', '-f', moved, '--node', NODE_2])
    expect(err).toContain('warning: Pod/shop/api-0: the dump has its network on node-2, the objects have the pod on node-1')
    const more = join(folder, 'more.yaml')
    const pod = 'apiVersion: v1\nkind: Pod\nmetadata: {name: late, namespace: shop}\nspec: {nodeName: node-2, containers: [{name: a, image: b}]}\n'
    writeFileSync(more, pod)
    const late = await netsim(['trace', 'node/node-1', 'node/node-2', '-f', CLUSTER, '-f', more, '--node', NODE_2])
    expect(late.err).toContain(`Pod/shop/late: it runs on node-2, of which the dump ${NODE_2} has no network namespace with its name`)
  })
})

describe('archives', () => {
  const archive = (): Buffer => readFileSync(NODE_1)
  let at = 0
  const written = (bytes: Uint8Array, ending = 'tar'): string => {
    const path = join(folder, `${at++}.${ending}`)
    writeFileSync(path, bytes)
    return path
  }
  beforeEach(() => mkdirSync(folder, { recursive: true }))

  it('are read packed and unpacked alike', () => {
    const files = readTar(archive())
    expect(files.map(({ path }) => path)).toContain('node-1/manifest')
    expect(readTar(gunzipSync(archive()))).toEqual(files)
  })

  it('of two dumps, or of archives, are not guessed at', async () => {
    const both = mkdtempSync(join(folder, 'both-'))
    for (const name of ['a', 'b']) cpSync(NODE_2, join(both, name), { recursive: true })
    const tar = (name: string, ...inside: string[]): string => {
      execFileSync('tar', ['cf', join(both, name), '-C', both, ...inside])
      return join(both, name)
    }
    const says = async (path: string): Promise<string> => (await netsim([...QUESTION, '--node', path])).err.split('\n')[0].slice(path.length)
    expect(await says(tar('two.tar', 'a', 'b'))).toBe(': error: holds 2 dumps: a, b')
    expect(await says(tar('nested.tar', 'two.tar'))).toBe(': error: holds archives and no dump: two.tar')
  })

  it('cut short, changed, or none at all: a Problem each', async () => {
    const tar = gunzipSync(archive())
    const broken = Buffer.from(tar)
    broken[100] ^= 1
    const says = async (path: string): Promise<string> => (await netsim([...QUESTION, '--node', path])).err.split('\n')[0].slice(path.length)
    expect(await says(written(tar.subarray(0, tar.length / 2)))).toBe(': error: is cut short')
    expect(await says(written(tar.subarray(0, 700)))).toBe(': error: is cut short')
    expect(await says(written(broken))).toBe(': error: is no tar archive (at byte 0)')
    expect(await says(written(Buffer.from('hello')))).toBe(': error: is no tar archive')
    expect(await says(written(archive().subarray(0, 2000), 'tar.gz'))).toMatch(/^: error: cannot be unpacked: /)
    expect(await says(written(gzipSync(Buffer.alloc(4096)), 'tgz'))).toBe(': error: no dump of a node: it has no file "manifest"')
  })
})
