/** What etcd holds, from files: saved answers as they are, the EtcdSnapshot document, and which of several sources wins. */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { answerShape, readAnswer } from '../../src/base/etcd-tree.js'
import { formatProblem } from '../../src/base/problem.js'
import { buildCluster, type Cluster, type Given } from '../../src/cluster/cluster.js'
import { buildNetwork } from '../../src/network/build-network.js'

const PREFIX = '/coreos.com/network'
const base64 = (text: string): string => Buffer.from(text).toString('base64')
const NODE = '{apiVersion: v1, kind: Node, metadata: {name: host-a}, status: {addresses: [{type: InternalIP, address: 192.168.0.100}]}}'
const CONFIG = '{"Network":"10.1.0.0/16"}'
const LEASE = '{"PublicIP":"192.168.0.100"}'

function v3(keys: Readonly<Record<string, string>>, more: object = {}): string {
  const kvs = Object.entries(keys).map(([key, value]) => ({ key: base64(key), value: base64(value) }))
  return JSON.stringify({ header: { cluster_id: 1, revision: 9 }, kvs, count: kvs.length, ...more }, undefined, 1)
}

function v2(keys: Readonly<Record<string, string>>, ttl?: number): string {
  const nodes = Object.entries(keys).map(([key, value]) => ({
    key,
    value,
    modifiedIndex: 5,
    createdIndex: 5,
    ...(ttl === undefined ? {} : { ttl, expiration: '2026-11-23T23:36:16Z' }),
  }))
  return JSON.stringify({ action: 'get', node: { key: PREFIX, dir: true, nodes, modifiedIndex: 4, createdIndex: 4 } }, undefined, 1)
}

function read(files: Readonly<Record<string, string>>, given: Given = {}): { readonly cluster: Cluster; readonly said: string[] } {
  const inputs = Object.entries({ nodes: NODE, ...files }).map(([file, text]) => ({ file, text }))
  const { cluster, problems } = buildCluster(inputs, given)
  return { cluster, said: problems.map(formatProblem) }
}

function keysOf(cluster: Cluster): Record<string, unknown> {
  return Object.fromEntries(cluster.etcd.map(({ key, value, ttl }) => [key.replace(PREFIX, '…'), ttl === undefined ? value : { value, ttl }]))
}

const KEYS = { [`${PREFIX}/config`]: CONFIG, [`${PREFIX}/subnets/10.1.15.0-24`]: LEASE }

describe('a saved answer', () => {
  it('v3: as etcdctl prints it; the line of each key is kept; flannel reads v3 then', () => {
    const { cluster, said } = read({ 'etcd.json': v3(KEYS) })
    expect(said).toEqual([])
    expect(keysOf(cluster)).toEqual({ '…/config': CONFIG, '…/subnets/10.1.15.0-24': LEASE })
    expect([cluster.cni, cluster.datastore, cluster.flannel.version]).toEqual(['flannel', 'etcd', '0.28.9'])
    expect(cluster.etcd.map(({ file, line }) => `${file}:${line}`)).toEqual(['etcd.json:7', 'etcd.json:11'])
  })

  it('v2: as curl and etcdctl print it, with its times; flannel reads v2 then', () => {
    const { cluster, said } = read({ 'etcd.json': v2(KEYS, 500) })
    expect(said).toEqual([])
    expect(keysOf(cluster)).toEqual({ '…/config': { value: CONFIG, ttl: 500 }, '…/subnets/10.1.15.0-24': { value: LEASE, ttl: 500 } })
    expect(cluster.flannel.version).toBe('0.11.0')
  })

  it('the whole of etcd: what is not under the prefix is not looked into', () => {
    const { cluster, said } = read({ 'etcd.json': v3({ ...KEYS, '/registry/pods/x': '\u0000k8s', '/coreos.com/networking': 'no' }) })
    expect([said, cluster.etcd.length]).toEqual([[], 2])
    const moved = read({ 'etcd.json': v3({ '/other/net/config': CONFIG }) }, { etcdPrefix: 'other/net' })
    expect([moved.said, moved.cluster.etcdPrefix, moved.cluster.etcd.map(({ key }) => key)]).toEqual([[], '/other/net', ['/other/net/config']])
    expect(buildNetwork(moved.cluster, { seed: 1 }).network.etcdKeys.map(({ key }) => key)).toEqual([
      '/other/net/config',
      expect.stringMatching(/^\/other\/net\/subnets\/10\.1\.\d+\.0-24$/),
    ])
  })

  it('two of one API are one; of two APIs flannel’s version decides', () => {
    const apart = read({ 'config.json': v3({ [`${PREFIX}/config`]: CONFIG }), 'leases.json': v3({ [`${PREFIX}/subnets/10.1.15.0-24`]: LEASE }) })
    expect([apart.said, Object.keys(keysOf(apart.cluster))]).toEqual([[], ['…/config', '…/subnets/10.1.15.0-24']])
    const differing = read({ 'a.json': v3(KEYS), 'b.json': v3({ ...KEYS, [`${PREFIX}/config`]: '{}' }) })
    expect(differing.said).toEqual([`b.json:7: error: ${PREFIX}/config: stands here and in a.json:7, and the two differ\n    Keep the snapshot of one moment.`])
    const both = (version: string): string[] =>
      read({
        'v2.json': v2(KEYS),
        'v3.json': v3({ [`${PREFIX}/config`]: CONFIG }),
        network: `{apiVersion: netsim/v1, kind: Network, spec: {flannel: {version: "${version}"}}}`,
      }).said
    expect(both('0.17.0')).toEqual([expect.stringContaining('flannel 0.17.0 reads v2; the 1 keys of v3 play no part')])
    expect(both('0.18.1')).toEqual([expect.stringContaining('flannel 0.18.1 reads v3; the 2 keys of v2 play no part')])
  })

  it('of an API that this flannel does not read: taken, and said', () => {
    const { cluster, said } = read({ 'v3.json': v3(KEYS), network: '{apiVersion: netsim/v1, kind: Network, spec: {flannel: {version: v0.11.0}}}' })
    expect(cluster.etcd).toHaveLength(2)
    expect(said).toEqual([expect.stringContaining('the keys are in the v3 API, which flannel v0.11.0 does not see: it reads v2; they are taken all the same')])
  })

  it.each<[string, string, RegExp]>([
    [
      'an error of v2',
      '{"errorCode":100,"message":"Key not found","cause":"/coreos.com","index":3}',
      /etcd\.json:1: error: a saved answer of etcd that is an error: Key not found \(\/coreos\.com\)/,
    ],
    [
      'an error of v3',
      '{"error":"etcdserver: permission denied","message":"etcdserver: permission denied","code":7}',
      /an error: etcdserver: permission denied/,
    ],
    ['no key', '{"header":{"cluster_id":1,"revision":3}}', /etcd\.json:1: error: the saved answer of etcd holds no key/],
    ['other keys', v3({ '/registry/x': 'y' }), /none of the 1 keys in this answer of etcd is under \/coreos\.com\/network/],
    [
      'keys only',
      JSON.stringify({ header: { revision: 1 }, kvs: [{ key: base64(`${PREFIX}/config`) }], count: 1 }),
      /no key has a value\n {4}Read them without --keys-only/,
    ],
    ['a part of them', v3(KEYS, { count: 9, more: true }), /etcd\.json:16: warning: the answer holds 2 of 9 keys/],
    [
      'broken base64',
      v3(KEYS).replace(base64(CONFIG), '{"Network'.replace('"', "'")),
      /etcd\.json:9: error: \/coreos\.com\/network\/config: value is "\{'Network", which is not base64/,
    ],
    ['leases', v3(KEYS).replace('"value"', '"lease": 7587899092199462405, "value"'), /warning: the answer names leases, but not how long they run/],
    [
      'a listing of one level',
      JSON.stringify({
        action: 'get',
        node: {
          key: PREFIX,
          dir: true,
          nodes: [
            { key: `${PREFIX}/config`, value: CONFIG },
            { key: `${PREFIX}/subnets`, dir: true },
          ],
        },
      }),
      /warning: a directory without its keys/,
    ],
    [
      'networks with names',
      v2({ ...KEYS, [`${PREFIX}/blue/config`]: CONFIG }),
      /networks with names of their own \(blue\).*: the one without a name is taken\n {4}Take one with --etcd-prefix \/coreos\.com\/network\/blue/,
    ],
  ])('%s', (_name, text, said) => {
    expect(read({ 'etcd.json': text }).said).toEqual([expect.stringMatching(said)])
  })

  it('without a config key: nothing is assumed, flannel says that it waits', () => {
    const { cluster, said } = read({ 'etcd.json': v3({ [`${PREFIX}/subnets/10.1.15.0-24`]: LEASE }) })
    expect(said).toEqual([])
    expect(buildNetwork(cluster, { seed: 1 }).problems.map(formatProblem)).toEqual([
      expect.stringMatching(/^etcd\.json:1: error: \/coreos\.com\/network\/config: flannel network configuration not found\n/),
    ])
  })

  it('any JSON of its shape gives keys and Problems, never an exception', () => {
    const junk = fc.oneof(fc.jsonValue(), fc.constantFrom<unknown>({ toString: 1, valueOf: 1 }, Infinity, 1e300, '9'.repeat(400), -0, true))
    const shaped = fc.oneof(
      fc.record(
        {
          header: fc.record({ revision: junk }),
          kvs: fc.oneof(junk, fc.array(fc.oneof(junk, fc.record({ key: junk, value: junk, lease: junk })))),
          count: junk,
        },
        { requiredKeys: ['header'] },
      ),
      fc.record({
        action: fc.string(),
        node: fc.oneof(
          fc.dictionary(fc.string(), junk),
          fc.record({ key: fc.constantFrom(PREFIX, `${PREFIX}/x`), dir: fc.boolean(), nodes: junk, value: junk, ttl: junk }),
        ),
      }),
    )
    fc.assert(
      fc.property(shaped, (value) => {
        const shape = answerShape(value)
        if (shape !== 'v2' && shape !== 'v3') return
        const { tree } = readAnswer(value, shape, PREFIX)
        for (const { key, value: text, ttl } of tree.keys)
          expect([key.startsWith(PREFIX), typeof text, ttl === undefined || ttl >= 1]).toEqual([true, 'string', true])
        read({ 'etcd.json': JSON.stringify(value) })
      }),
      { numRuns: 300, seed: 1 },
    )
  })

  it('every key and value goes through base64 unharmed', () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.string({ unit: 'binary', minLength: 1 }).filter((name) => !name.includes('/')),
          fc.string({ unit: 'binary' }),
        ),
        (values) => {
          const keys = Object.fromEntries(Object.entries(values).map(([name, value]) => [`${PREFIX}/subnets/${name}`, value]))
          const { tree } = readAnswer(JSON.parse(v3(keys)), 'v3', PREFIX)
          expect(new Map(tree.keys.map(({ key, value }) => [key, value]))).toEqual(new Map(Object.entries(keys)))
        },
      ),
      { seed: 1 },
    )
  })
})

describe('kind: EtcdSnapshot', () => {
  const snapshot = (spec: string): string => `apiVersion: netsim/v1\nkind: EtcdSnapshot\nspec:\n${spec}\n`

  it('keys with texts and times', () => {
    const { cluster, said } = read({
      'etcd.yaml': snapshot(`  api: v3\n  keys:\n    ${PREFIX}/config: '${CONFIG}'\n    ${PREFIX}/subnets/10.1.15.0-24: {value: '${LEASE}', ttl: 80000}`),
    })
    expect(said).toEqual([])
    expect(keysOf(cluster)).toEqual({ '…/config': CONFIG, '…/subnets/10.1.15.0-24': { value: LEASE, ttl: 80000 } })
    expect(cluster.etcd[1]).toMatchObject({ file: 'etcd.yaml', line: 7 })
  })

  it('says where flannel’s keys are, as the flag does', () => {
    const { cluster } = read({ 'etcd.yaml': snapshot(`  api: v2\n  prefix: /net\n  keys: {/net/config: '${CONFIG}'}`) })
    expect([cluster.etcdPrefix, cluster.flannel.config?.text]).toEqual(['/net', CONFIG])
  })

  it.each<[string, string, RegExp]>([
    ['an unknown field', '  api: v3\n  key: {}\n  keys: {}', /etcd\.yaml:5: error: EtcdSnapshot\/default: unknown field spec\.key\n/],
    ['no API', '  keys: {}', /error: EtcdSnapshot\/default: spec\.api is missing\n/],
    ['a wrong API', '  api: v1\n  keys: {}', /etcd\.yaml:4: error: EtcdSnapshot\/default: spec\.api is "v1", not v2 or v3/],
    [
      'a value that is no text',
      '  api: v2\n  keys:\n    /coreos.com/network/config: {Network: 10.1.0.0/16}',
      /etcd\.yaml:6: error: EtcdSnapshot\/default: the value of the etcd key \/coreos\.com\/network\/config is a mapping, not text/,
    ],
    [
      'an unknown field of a value',
      "  api: v2\n  keys:\n    /coreos.com/network/config: {value: '{}', tll: 3}",
      /etcd\.yaml:6: error: .* unknown field tll of the etcd key .*\n {4}Did you mean ttl\?/,
    ],
    ['a wrong time', "  api: v2\n  keys:\n    /coreos.com/network/config: {value: '{}', ttl: 1h}", /etcd\.yaml:6: error: .* the ttl of .* is "1h"/],
    ['keys in a list', '  api: v2\n  keys: [a]', /etcd\.yaml:5: error: EtcdSnapshot\/default: spec\.keys is a list, not a mapping/],
  ])('%s', (_name, spec, said) => {
    expect(read({ 'etcd.yaml': snapshot(spec) }).said[0]).toMatch(said)
  })

  it('the document of docs/etcd.md', () => {
    const page = readFileSync(new URL('../../docs/etcd.md', import.meta.url), 'utf8')
    const { cluster, said } = read({ 'etcd.yaml': /^```yaml\n(.*?)^```/ms.exec(page)?.[1] ?? '' })
    expect([said, cluster.etcd.length, cluster.flannel.version]).toEqual([[], 2, '0.28.9'])
  })

  it('is offered to who misspells it', () => {
    expect(read({ 'etcd.yaml': '{apiVersion: netsim/v1, kind: EtcdSnapshots}' }).said).toEqual([expect.stringContaining('Did you mean EtcdSnapshot?')])
  })
})

describe('several sources', () => {
  const network = `{apiVersion: netsim/v1, kind: Network, spec: {etcd: {${PREFIX}/config: '{"Network":"10.9.0.0/16"}'}}}`
  const server = {
    name: 'http://127.0.0.1:2379',
    trees: [{ api: 'v2' as const, keys: [{ key: `${PREFIX}/config`, value: '{"Network":"10.2.0.0/16"}', path: [] }] }],
  }

  it('a snapshot takes the place of spec.etcd, a server that of both; each that is not used is named', () => {
    const alone = read({ network })
    expect([alone.said, alone.cluster.etcd[0].value]).toEqual([[], '{"Network":"10.9.0.0/16"}'])
    const snapshot = read({ network, 'etcd.json': v2(KEYS) })
    expect([snapshot.said, snapshot.cluster.etcd[0].value]).toEqual([
      ['network:1: warning: Network/default: spec.etcd is not used: the snapshot in etcd.json:1 takes its place\n    Leave out the one or the other.'],
      CONFIG,
    ])
    const asked = read({ network, 'etcd.json': v2(KEYS) }, { etcd: server })
    expect(asked.said).toEqual([
      'network:1: warning: Network/default: spec.etcd is not used: what http://127.0.0.1:2379 holds takes its place\n    Leave out the one or the other.',
      'etcd.json:1: warning: the snapshot is not used: what http://127.0.0.1:2379 holds takes its place\n    Leave out the one or the other.',
    ])
    expect(asked.cluster.etcd).toEqual([{ key: `${PREFIX}/config`, value: '{"Network":"10.2.0.0/16"}', file: 'http://127.0.0.1:2379', line: 0 }])
  })

  it('the example is what a real etcd printed', () => {
    const folder = new URL('../../examples/etcd-snapshot/', import.meta.url)
    const inputs = ['cluster.yaml', 'etcd.json'].map((file) => ({ file, text: readFileSync(new URL(file, folder), 'utf8') }))
    const { cluster, problems } = buildCluster(inputs)
    const built = buildNetwork(cluster, { seed: 1 })
    expect([...problems, ...built.problems].map(({ severity, what }) => [severity, what])).toEqual([
      ['warning', 'the answer names leases, but not how long they run: their keys are taken to stay'],
    ])
    expect(built.network.leases.map(({ node }) => node)).toEqual(['host-a', 'host-b', undefined])
  })
})
