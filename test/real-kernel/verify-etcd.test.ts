/**
 * `netsim verify --with etcd` against THIS KERNEL: Debian's etcd, run in the network that was built, holds the keys that netsim says flanneld
 * writes; a node that cannot reach it is told, with netsim's own prediction beside; a network that differs is caught. Needs root or user
 * namespaces, etcd-server and etcd-client; skipped by name without.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { checkEtcd, ETCD_TOOLS, noEtcd } from '../../src/kernel/control-etcd.js'
import type { EtcdDocument } from '../../src/kernel/control-report.js'
import { labNetworkOf } from '../../src/kernel/lab.js'
import { checkKernel } from '../../src/kernel/lab-check.js'
import type { LabNetwork } from '../../src/kernel/lab-types.js'
import { verifyNetwork, type Verified } from '../../src/kernel/verify.js'
import type { Network } from '../../src/network/network.js'
import { networkOf } from '../kit/network.js'

const PREFIX = `netsim-test-${process.pid}-`
const SECONDS = 60_000

const node = (n: number, mtu: number): string => `apiVersion: v1
kind: Node
metadata: {name: node-${n}, annotations: {netsim/mtu: "${mtu}"}}
status: {addresses: [{type: InternalIP, address: 192.168.10.1${n}}]}
---
`

interface Wanted {
  readonly version: string
  readonly backend?: string
  readonly mtu?: number
  /** Lines of spec.etcd. */
  readonly keys?: string
  /** More lines of spec. */
  readonly hosts?: string
}

/** Three nodes, flannel on etcd. */
function three({ version, backend = 'vxlan', mtu = 1500, keys = '', hosts = '' }: Wanted): Network {
  return networkOf(`${[1, 2, 3].map((n) => node(n, mtu)).join('')}apiVersion: netsim/v1
kind: Network
metadata: {name: default}
spec:
  cni: flannel
  datastore: etcd
  flannel: {version: ${version}}
  etcd:
    /coreos.com/network/config: '{"Network": "10.244.0.0/16", "Backend": {"Type": "${backend}"}}'
${keys}  kubeProxy: {mode: none}
${hosts}`)
}

const plain = three({ version: '0.28.9' })
const machine = await checkKernel(labNetworkOf(plain), PREFIX, ETCD_TOOLS).catch((error: unknown) => ({ missing: [{ what: String(error) }] }))
const ready = machine.missing.length === 0
if (!ready) console.warn(`verify --with etcd is not tried here: ${machine.missing.map(({ what }) => what).join(', ')}`)

function verified(network: Network, built?: LabNetwork): Promise<Verified & { readonly control: readonly EtcdDocument[] }> {
  const etcd = verifyNetwork(network, {
    probes: [],
    prefix: PREFIX,
    rules: false,
    control: async (lab) => [await checkEtcd(network, lab, { seed: 1 })],
    ...(built === undefined ? {} : { built }),
  })
  return etcd as Promise<Verified & { readonly control: readonly EtcdDocument[] }>
}

const told = ({ nodes }: EtcdDocument): unknown =>
  nodes.map(({ node: name, verdict, connection }) => [name, verdict, connection?.kernel, connection?.predicted])

describe('where there is no etcd', () => {
  const example = (name: string): Network => networkOf(readFileSync(new URL(`../../examples/${name}.yaml`, import.meta.url), 'utf8'))
  it('is said', () => {
    expect(noEtcd(example('flannel-vxlan'))).toContain('datastore kubernetes')
    expect(noEtcd(example('docker-only'))).toContain('the CNI is none')
    expect(noEtcd(plain)).toBeUndefined()
  })
})

describe.skipIf(!ready)('a real etcd in the network that was built', () => {
  it.each([
    ['0.28.9', 'vxlan', 'v3'],
    ['0.11.0', 'udp', 'v2'],
    ['0.11.0', 'host-gw', 'v2'],
  ])(
    'flannel %s, %s: the keys of API %s, written and read over the underlay',
    async (version, backend, api) => {
      const network = three({ version, backend })
      const { verdict, summary, control, complaints } = await verified(network)
      expect(complaints).toEqual([])
      expect(control).toMatchObject([{ program: 'etcd', api, node: 'node-1', address: '192.168.10.11:2379', filledFrom: 'node-2' }])
      expect(control[0].version).toMatch(/^3\./)
      const keys = network.etcdKeys.length
      expect(keys).toBe(4)
      const equal = {
        verdict: 'equal',
        why: '',
        connection: { predicted: 'DELIVERED', kernel: '' },
        keys: { predicted: keys, read: keys, equal: keys },
        differences: [],
      }
      expect(control[0].nodes).toEqual(['node-1', 'node-2', 'node-3'].map((name) => ({ node: name, ...equal })))
      expect([verdict, summary.control, summary.controlEqual]).toEqual(['equal', 3, 3])
    },
    SECONDS,
  )

  const rules = (target: string): string => `  hosts:
    - node: node-1
      iptables: ["-A INPUT -s 192.168.10.13 -p tcp --dport 2379 -j ${target}"]
    - node: node-2
      ip: ["route add blackhole 192.168.10.11/32"]
`
  it.each([
    ['DROP', 'timed out', 'DENIED'],
    ['REJECT', 'Connection refused', 'REJECTED'],
  ])(
    'nodes that rules (%s) and routes keep from it, and netsim says so too',
    async (target, kernel, predicted) => {
      const { verdict, control } = await verified(three({ version: '0.28.9', hosts: rules(target) }))
      expect(control[0].filledFrom).toBe('node-1')
      expect(told(control[0])).toEqual([
        ['node-1', 'equal', '', 'DELIVERED'],
        ['node-2', 'equal', expect.stringMatching(/Invalid argument|unreachable/), 'NULL_ROUTED'],
        ['node-3', 'equal', kernel, predicted],
      ])
      expect(verdict).toBe('equal')
    },
    SECONDS,
  )

  it(
    'a path that opens the connection and loses whole segments of the answer',
    async () => {
      const keys = Array.from({ length: 30 }, (_, at) => `    /note/${at}: '${'x'.repeat(100)}'\n`).join('')
      const { verdict, control } = await verified(
        three({ version: '0.28.9', keys, hosts: '  underlay: {segments: [{name: s0, cidr: 192.168.10.0/24, mtu: 1400}]}', mtu: 1500 }),
      )
      expect(told(control[0])).toEqual([
        ['node-1', 'equal', '', 'DELIVERED'],
        ['node-2', 'equal', expect.stringMatching(/^connected, then .*deadline/), expect.stringMatching(/BLACKHOLE|TOO_BIG/)],
        ['node-3', 'equal', expect.stringMatching(/^connected, then .*deadline/), expect.stringMatching(/BLACKHOLE|TOO_BIG/)],
      ])
      expect(verdict).toBe('equal')
    },
    SECONDS,
  )

  it(
    'a rule that only the kernel has',
    async () => {
      const built = labNetworkOf(three({ version: '0.28.9', hosts: rules('DROP') }))
      const { verdict, control, summary } = await verified(plain, { ...built, specs: built.specs })
      expect(told(control[0])).toEqual([
        ['node-1', 'equal', '', 'DELIVERED'],
        ['node-2', 'differs', expect.any(String), 'DELIVERED'],
        ['node-3', 'differs', 'timed out', 'DELIVERED'],
      ])
      expect(control[0].nodes[2].differences).toEqual(['netsim trace says DELIVERED, and the kernel says "timed out"'])
      expect([verdict, summary.controlDiffer]).toEqual(['differs', 2])
    },
    SECONDS,
  )

  it(
    'keys that nobody predicted, and a value that is another: of a network that netsim thinks to be another',
    async () => {
      const other = { ...plain, cluster: plain.cluster, etcdKeys: plain.etcdKeys } as unknown as Network
      const keys = plain.etcdKeys.map(({ key, value }, at) => ({ key, value: at === 1 ? value.replace('192.168', '192.169') : value }))
      Object.setPrototypeOf(other, Object.getPrototypeOf(plain) as object)
      Object.defineProperty(other, 'etcdKeys', { value: keys })
      const { control, verdict } = await verified(other)
      expect(verdict).toBe('differs')
      for (const { differences, keys: counts } of control[0].nodes) {
        expect(counts).toEqual({ predicted: 4, read: 4, equal: 4 })
        expect(differences).toContain('a network built from what was read has another Dataplane of node-1')
      }
    },
    SECONDS,
  )

  it('leaves no process behind', () => {
    const { stdout } = spawnSync('ps', ['-eo', 'args'], { encoding: 'utf8' })
    expect(stdout.split('\n').filter((line) => line.startsWith('etcd --name netsim '))).toEqual([])
  })
})
