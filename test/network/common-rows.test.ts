/**
 * Lists that nodes have in common (dataplane/common-rows.ts) against lists of one's own: the same network, whose kernels each have all to themselves, gives
 * the same traces to the byte; what two nodes say to each other is the same in a large cluster as in one of the two alone.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatIp, ip } from '../../src/base/ip.js'
import { buildCluster, type Cluster } from '../../src/cluster/cluster.js'
import { isExcerpt, piecesOf } from '../../src/dataplane/common-rows.js'
import { EMPTY_DATAPLANE, type RouteSpec } from '../../src/dataplane/dataplane.js'
import { compileWorld } from '../../src/net/compile.js'
import { RouteTable, type Route } from '../../src/net/fib-table.js'
import { NETNS_NODE } from '../../src/net/netns.js'
import { buildNetwork } from '../../src/network/build-network.js'
import type { Network } from '../../src/network/network.js'
import { answer } from '../kit/network.js'

interface Shape {
  readonly backend: 'vxlan' | 'host-gw'
  readonly directRouting: boolean
  readonly nodes: readonly number[]
  /** Of the node of this place the lease's MAC is another's, so that nothing is in common. */
  readonly twin?: boolean
  /** By hand, on the first node. */
  readonly hand?: readonly string[]
}

const address = (node: number): string => `192.168.${10 + (node >> 7)}.${(node & 127) + 1}`
const subnet = (node: number): string => `10.244.${node}`

function text({ backend, directRouting, nodes, twin = false, hand = [] }: Shape): string {
  const flannel = 'flannel.alpha.coreos.com'
  const objects: unknown[] = [
    {
      apiVersion: 'netsim/v1',
      kind: 'Network',
      metadata: { name: 'default' },
      spec: { cni: 'flannel', kubeProxy: { mode: 'none' }, hosts: hand.length === 0 ? [] : [{ node: `n${nodes[0]}`, ip: hand }] },
    },
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'kube-flannel-cfg', namespace: 'kube-flannel' },
      data: { 'net-conf.json': JSON.stringify({ Network: '10.244.0.0/16', Backend: { Type: backend, ...(directRouting ? { DirectRouting: true } : {}) } }) },
    },
  ]
  nodes.forEach((node, at) => {
    const mac = `5e:1d:0c:00:00:${(twin && at === 1 ? nodes[0] : node).toString(16).padStart(2, '0')}`
    objects.push({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {
        name: `n${node}`,
        annotations: {
          [`${flannel}/kube-subnet-manager`]: 'true',
          [`${flannel}/backend-type`]: backend,
          [`${flannel}/backend-data`]: backend === 'vxlan' ? JSON.stringify({ VNI: 1, VtepMAC: mac }) : 'null',
          [`${flannel}/public-ip`]: address(node),
        },
      },
      spec: { podCIDR: `${subnet(node)}.0/24` },
      status: { addresses: [{ type: 'InternalIP', address: address(node) }] },
    })
    objects.push({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `p${node}`, namespace: 'default' },
      spec: { nodeName: `n${node}`, containers: [] },
      status: { phase: 'Running', podIP: `${subnet(node)}.7` },
    })
  })
  return objects.map((object) => JSON.stringify(object)).join('\n---\n')
}

const clusterOf = (shape: Shape): Cluster => buildCluster([{ file: 'test.yaml', text: text(shape) }]).cluster
const networkOf = (cluster: Cluster): Network => buildNetwork(cluster, { seed: 1 }).network

/** Each node's plan with lists of its own, as a copy has them. */
function apart(cluster: Cluster): Network {
  const network = networkOf(cluster)
  for (const plan of network.nodes) Object.assign(plan, { dataplane: { ...plan.dataplane } })
  return network
}

const shared = (network: Network): boolean => network.nodes.some(({ dataplane }) => piecesOf(dataplane).routes.some(isExcerpt))

const shape: fc.Arbitrary<Shape> = fc.record({
  backend: fc.constantFrom('vxlan', 'host-gw'),
  directRouting: fc.boolean(),
  nodes: fc.uniqueArray(fc.integer({ min: 0, max: 255 }), { minLength: 2, maxLength: 6 }),
  twin: fc.integer({ min: 0, max: 4 }).map((drawn) => drawn === 0),
  hand: fc.constantFrom<readonly string[]>([], ['route add 10.244.0.0/17 via 192.168.10.9 dev eth0 onlink'], ['route del default'], ['link set eth0 mtu 1400']),
})

describe('what nodes have in common', { timeout: 240_000 }, () => {
  it('gives the traces and the text that lists of their own give', () => {
    const kinds = new Set<boolean>()
    fc.assert(
      fc.property(shape, fc.boolean(), (drawn, cold) => {
        const cluster = clusterOf(drawn)
        const [one, other] = [networkOf(cluster), apart(cluster)]
        kinds.add(shared(one))
        expect(shared(other)).toBe(false)
        for (const [name, dataplane] of one.dataplanes) expect({ ...dataplane }).toEqual({ ...other.dataplanes.get(name) })
        const [first, second] = drawn.nodes
        const ends = [`p${second}`, `${subnet(second)}.0`, `${subnet(first)}.0`, `${subnet(drawn.nodes.at(-1) as number)}.99`, '10.244.200.200', '203.0.113.7']
        for (const source of [`p${first}`, `node/n${second}`]) {
          for (const to of ends) {
            const documents = [one, other].map((network) => JSON.stringify(answer(network, source, to, { proto: 'icmp', cold }).document))
            expect(documents[0], `${source} → ${to}`).toBe(documents[1])
          }
        }
      }),
      { numRuns: 20 },
    )
    expect(kinds).toEqual(new Set([true, false]))
  })

  it('lets two nodes speak as they do where nobody else is', () => {
    for (const backend of ['vxlan', 'host-gw'] as const) {
      const many = networkOf(clusterOf({ backend, directRouting: false, nodes: Array.from({ length: 120 }, (_, node) => node) }))
      const two = networkOf(clusterOf({ backend, directRouting: false, nodes: [3, 90] }))
      expect(shared(many)).toBe(true)
      for (const to of ['p90', '10.244.90.9']) {
        const [large, small] = [many, two].map((network) => answer(network, 'p3', to, { proto: 'icmp' }))
        expect(large.outcome.disposition).toBe(small.outcome.disposition)
        expect(withoutPlace(large.document)).toEqual(withoutPlace(small.document))
      }
    }
  })

  it('is one object for all', () => {
    const network = networkOf(clusterOf({ backend: 'vxlan', directRouting: false, nodes: Array.from({ length: 20 }, (_, node) => node) }))
    const lists = network.nodes.map(({ dataplane }) => piecesOf(dataplane).routes.find(isExcerpt)?.common)
    expect(new Set(lists).size).toBe(1)
    expect(lists[0]).toHaveLength(20)
    expect(network.nodes[4].dataplane.routes.filter(({ device }) => device === 'flannel.1')).toHaveLength(19)
  })
})

/** Where in the file a thing stands hangs on what stands before it, and a host's flow hash on its place among all: outer source ports, outer checksums. */
function withoutPlace(document: unknown): unknown {
  const kept = (key: string, value: unknown): unknown =>
    ['line', 'hex', 'sport'].includes(key) ? undefined : typeof value === 'string' ? value.replace(/udp \d+→/, 'udp →') : value
  return JSON.parse(JSON.stringify(document, kept))
}

const prefix = fc.record({ bits: fc.integer(), length: fc.integer({ min: 8, max: 30 }) }).map(({ bits, length }) => {
  const base = (ip('10.0.0.0') | (bits & 0x00ffffff)) & (-1 << (32 - length))
  return { base, length }
})

describe('a routing table with a part in common', () => {
  it('finds what the same routes in a table of its own find, from the longest prefix on', () => {
    const lists = fc.uniqueArray(prefix, { minLength: 1, maxLength: 60, selector: ({ base, length }) => `${base}/${length}` })
    fc.assert(
      fc.property(lists, fc.array(fc.nat(2), { minLength: 60, maxLength: 60 }), fc.array(fc.integer(), { maxLength: 10 }), (prefixes, sorts, noise) => {
        const spec = ({ base, length }: { base: number; length: number }): RouteSpec => ({ destination: { base, length }, type: 'unicast', device: 'eth0' })
        const world = compileWorld([{ dataplane: { ...EMPTY_DATAPLANE, netns: 'n' }, role: NETNS_NODE }], [], 1)
        const device = world.netns[0].loopback
        const route = ({ base, length }: { base: number; length: number }, of: typeof device | null): Route => ({
          ...{ index: 0, base, length, type: 1, gateway: base, device: of, source: 0, scope: 0, metric: 0, tos: 0 },
          ...{ mtu: 0, mtuLocked: 0, advmss: 0, nexthops: null, spec: 0 },
        })
        // 0: its own; 1: in common; 2: in common, and it lacks it
        const inCommon = prefixes.filter((_, at) => sorts[at] > 0)
        const own = prefixes.filter((_, at) => sorts[at] === 0).map((one) => route(one, device))
        const routes = inCommon.map((one) => route(one, null))
        const table = new RouteTable('main', routes)
        const lacks = new Set(prefixes.filter((_, at) => sorts[at] === 2).map(({ base, length }) => table.groupOf(base, length)))
        const common = { common: { specs: inCommon.map(spec), routes, table }, device, lacks }
        const one = new RouteTable('main', own, { common })
        const whole = new RouteTable('main', [...own, ...prefixes.filter((_, at) => sorts[at] === 1).map((each) => route(each, device))])
        for (const asked of [...prefixes.map(({ base }) => base), ...noise, ip('10.1.2.3')]) {
          const walk = (from: RouteTable): string[] => {
            const found: string[] = []
            for (let group = from.findGroup(asked); group >= 0; group = from.nextGroup(group, asked)) {
              found.push(...from.groupAt(group).map((each) => `${formatIp(each.base)}/${each.length}`))
            }
            return found
          }
          expect(walk(one)).toEqual(walk(whole))
        }
      }),
      { numRuns: 200 },
    )
  })
})
