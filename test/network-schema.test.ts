/**
 * docs/network.schema.json: made from the loader's own schema (`npx vitest run test/network-schema.test.ts -u` makes it anew), takes
 * every Network document that there is here, and refuses what the loader refuses.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { hasErrors } from '../src/base/problem.js'
import { buildCluster } from '../src/cluster/cluster.js'
import { documentedFields, networkJsonSchema } from './kit/network-json-schema.js'
import { loadRecording, manifestOf } from './kit/recording.js'

const HERE = new URL('../', import.meta.url)
const fileOf = (path: string): string => readFileSync(new URL(path, HERE), 'utf8')
const PAGE = fileOf('docs/network-document.md')

const validate = new Ajv2020({ strict: true, strictTypes: false, allErrors: true }).compile(networkJsonSchema(PAGE))

/** Where the value disagrees with the schema. */
function faults(value: unknown): readonly string[] {
  validate(value)
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath}: ${message}`)
}

function networksIn(text: string): unknown[] {
  const documents = parseAllDocuments(text).map((document): unknown => document.toJS())
  return documents.filter((value) => typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'Network')
}

const SOURCES: readonly (readonly [name: string, text: string])[] = [
  ...readdirSync(new URL('examples/', HERE), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => [`examples/${name}`, fileOf(`examples/${name}`)] as const),
  ...readdirSync(new URL('test/recordings/', HERE))
    .filter((name) => name.startsWith('flannel-') && name.endsWith('.rec.json'))
    .map((name) => [name, manifestOf(loadRecording(name.replace('.rec.json', '')))] as const),
  ['docs/network-document.md', /^```yaml\n(.*?)^```/ms.exec(PAGE)?.[1] ?? ''],
]

const WITH_NETWORK = SOURCES.filter(([, text]) => networksIn(text).length > 0)

describe('docs/network.schema.json', () => {
  it('is what the loader’s schema says', async () => {
    await expect(`${JSON.stringify(networkJsonSchema(PAGE), null, 2)}\n`).toMatchFileSnapshot('../docs/network.schema.json')
  })

  it('tells the meaning of each field of the page', () => {
    expect(documentedFields(PAGE).map(([path]) => path)).toEqual(
      expect.arrayContaining(['cni', 'runtime.name', 'serviceCIDR', 'clusterDomain', 'kubeProxy.mode']),
    )
  })

  it.each(WITH_NETWORK)('takes the Network document of %s', (_name, text) => {
    expect(networksIn(text).flatMap(faults)).toEqual([])
  })

  it('has documents of examples, recordings and the page to take', () => {
    expect(WITH_NETWORK.length).toBeGreaterThan(8)
  })

  it('takes null as absent, as the loader does', () => {
    expect(faults({ apiVersion: 'netsim/v1', kind: 'Network', metadata: null, spec: { cni: null, underlay: { segments: null } } })).toEqual([])
  })

  const SPOILT: readonly object[] = [
    { cni: 'flanel' },
    { datastore: 'consul' },
    { runtime: { name: 'dokcer' } },
    { runtime: { iptables: 'yes' } },
    { runtime: { nmae: 'docker' } },
    { runtime: ['docker'] },
    { clusterCIDR: '10.1.0.0/33' },
    { clusterCIDR: '10.1.0.256/32' },
    { clusterCIDR: '10.01.0.0/16' },
    { clusterCIDR: 'fd00::/8' },
    { etcd: { '/a': 1 } },
    { etcd: { '/a': { value: 'x', ttl: 0 } } },
    { etcd: { '/a': { value: 'x', tll: 5 } } },
    { etcd: { '/a': { ttl: 5 } } },
    { flannel: { version: 'latest' } },
    { flannel: { ipMasq: 1 } },
    { kubeProxy: { mode: 'ebpf' } },
    { underlay: { segments: [{ name: 's0' }] } },
    { underlay: { segments: [{ name: 's 0', cidr: '10.0.0.0/24' }] } },
    { underlay: { segments: { s0: { cidr: '10.0.0.0/24' } } } },
    { underlay: { segments: [{ name: 's0', cidr: '10.0.0.0/24', mtu: 67 }] } },
    { underlay: { segments: [{ name: 's0', cidr: '10.0.0.0/24', mtu: 1500.5 }] } },
    { underlay: { segments: [{ name: 's0', cidr: '10.0.0.0/24', latency: '5 parsecs' }] } },
    { underlay: { segments: [{ name: 's0', cidr: '10.0.0.0/24', latency: 5 }] } },
    { underlay: { segments: [{ name: 's0', cidr: '10.0.0.0/24', rate: 1000 }] } },
    { underlay: { routers: [{ name: 'r0', segments: [], asn: 0 }] } },
    { hosts: [{ iptables: [] }] },
    { hosts: [{ node: 'n1', iptables: [' '] }] },
    { hosts: [{ node: 'n1', iptables: '-F' }] },
    { hosts: [{ node: 'n1', sysctls: { 'net.ipv4.ip_forward': [1] } }] },
    { pins: { macs: { 'n1/eth0': '01:00:00:00:00:01' } } },
    { pins: { macs: { 'n1/eth0': '02:00:00:00:00' } } },
    { pins: { devices: { 'default/a/eth0': 'a-device-name-too-long' } } },
    { pins: { devices: { 'default/a/eth0': '..' } } },
    { nonsense: true },
  ]

  it.each(SPOILT.map((spec) => [spec]))('refuses %j, as the loader does', (spec) => {
    const document = { apiVersion: 'netsim/v1', kind: 'Network', metadata: { name: 'default' }, spec }
    expect(faults(document)).not.toEqual([])
    expect(hasErrors(buildCluster([{ file: 'network.json', text: JSON.stringify(document) }]).problems)).toBe(true)
  })

  it('takes whatever the loader takes', () => {
    const texts = ['', '0', 'x', 'a.b', '10.1.0.0/16', '10.1.2.3', '0A:FF:b8:12:f6:df', '1.5 ms', '10Gbit/s', 'v1.2-rc.1', 'docker', 'flannel', 'none']
    const value: fc.Arbitrary<unknown> = fc.oneof(fc.constantFrom(...texts), fc.constantFrom(null, true, 0, 1, 68, 1500, 1.5, -1, [], {}), fc.constant(['x']))
    const some = (...names: string[]): fc.Arbitrary<object> => fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 3 })
    const segment = fc
      .record({ name: fc.constant('s0'), cidr: fc.constant('10.9.0.0/24') })
      .chain((known) => some('router', 'mtu', 'latency', 'rate').map((rest) => ({ ...known, ...rest })))
    const spec = fc.oneof(
      some('cni', 'datastore', 'clusterCIDR', 'serviceCIDR', 'clusterDomain', 'etcd', 'flannel', 'underlay', 'hosts', 'pins', 'kubeProxy'),
      fc.record({ runtime: some('name', 'iptables', 'dockerVersion', 'icc', 'userlandProxy'), flannel: some('ipMasq', 'version', 'iface') }),
      fc.record({ underlay: fc.record({ segments: fc.tuple(segment) }) }),
      fc.record({ etcd: fc.dictionary(fc.constantFrom('/a', '/b'), fc.oneof(value, some('value', 'ttl'))) }),
      fc.record({ hosts: fc.tuple(some('sysctls', 'iptables', 'ip').map((rest) => ({ node: 'n1', ...rest }))) }),
      fc.record({ pins: fc.record({ macs: fc.dictionary(fc.constant('n1/eth0'), value), devices: fc.dictionary(fc.constant('a/b/eth0'), value) }) }),
    )
    let taken = 0
    fc.assert(
      fc.property(spec, (fields) => {
        const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' }, status: { addresses: [{ type: 'InternalIP', address: '10.9.0.2' }] } }
        const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'b', namespace: 'a' }, spec: { nodeName: 'n1' } }
        const document = { apiVersion: 'netsim/v1', kind: 'Network', metadata: { name: 'default' }, spec: fields }
        const text = [node, pod, document].map((one) => JSON.stringify(one)).join('\n---\n')
        if (hasErrors(buildCluster([{ file: 'network.json', text }]).problems)) return
        taken++
        expect(faults(document)).toEqual([])
      }),
      { numRuns: 1500 },
    )
    expect(taken).toBeGreaterThan(100)
  })

  it.each([[{ kind: 'Network' }], [{ apiVersion: 'netsim/v2', kind: 'Network' }], [{ apiVersion: 'netsim/v1', kind: 'Netwrok' }], [[]]])(
    'refuses %j',
    (document) => {
      expect(faults(document)).not.toEqual([])
    },
  )
})
