/** One pair for all of its kind: what it comes to is what every pair comes to, on each example and on random clusters. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hasErrors } from '../../../src/base/problem.js'
import { CALICO_AGENTS } from '../../../src/network/calico-agents.js'
import { composeNetwork, type Network } from '../../../src/network/network.js'
import { classPairs, type ClassCounts } from '../../../src/analysis/flows/classes.js'
import { requestOf, type FlowSource } from '../../../src/analysis/flows/flow.js'
import { FlowRunner } from '../../../src/analysis/flows/runner.js'
import { allPairs, podsWithNetwork, type FlowShape } from '../../../src/analysis/flows/sources.js'
import { buildCluster } from '../../../src/cluster/cluster.js'

const SHAPES: readonly FlowShape[] = [
  { packets: 1, rate: 0 },
  { port: 80, packets: 1, rate: 0 },
  { proto: 'udp', port: 53, packets: 1, rate: 0 },
]

function network(text: string, file = 'test'): Network | undefined {
  const { cluster, problems } = buildCluster([{ file, text }])
  if (hasErrors(problems)) return undefined
  return composeNetwork(cluster, { seed: 1, calico: CALICO_AGENTS }).network
}

interface Totals {
  readonly all: unknown
  readonly losses: Readonly<Record<string, number>>
}

/** What becomes of packets, by disposition and by the kernel's reason. */
function totals(of: Network, source: FlowSource): Totals {
  const runner = new FlowRunner(of)
  for (let index = 0; index < source.count; index++) {
    const flow = source.flow(index)
    const request = requestOf(flow, index, { namespace: 'default', seed: 1, cold: false, listen: false })
    runner.run({ request, packets: flow.packets, rate: flow.rate, ...(flow.pairs === undefined ? {} : { pairs: flow.pairs }) })
  }
  const { all, losses } = runner.harvest()
  const sums: Record<string, number> = {}
  for (const { disposition, leg, kernelReason, rule, packets } of losses) {
    const key = `${disposition} ${leg} ${kernelReason} ${rule?.table ?? ''}`
    sums[key] = (sums[key] ?? 0) + packets
  }
  return { all: Object.fromEntries(Object.entries(all).sort()), losses: Object.fromEntries(Object.entries(sums).sort()) }
}

function agrees(text: string, shapes = SHAPES): ClassCounts | undefined {
  const of = network(text)
  if (of === undefined) return undefined
  let counts: ClassCounts | undefined
  for (const shape of shapes) {
    const source = classPairs(of, shape)
    const every = allPairs(podsWithNetwork(of).pods, shape)
    expect(source.counts.pairs).toBe(every.count)
    expect({ shape, ...totals(of, source) }).toEqual({ shape, ...totals(of, every) })
    counts = source.counts
  }
  return counts
}

const NODES = 4
type Word = Readonly<Record<string, unknown>>

interface Drawn {
  readonly backend: 'vxlan' | 'host-gw' | 'calico'
  readonly nodes: readonly { readonly segment: number; readonly mtu: boolean; readonly wrongIp: boolean; readonly closed: boolean }[]
  readonly pods: readonly { readonly node: number; readonly namespace: number; readonly app: number; readonly ports: boolean }[]
  readonly policies: readonly { readonly namespace: number; readonly app: number; readonly from: number; readonly port: boolean }[]
}

function cluster({ backend, nodes, pods, policies }: Drawn): string {
  const isCalico = backend === 'calico'
  const flannel = (index: number, wrongIp: boolean): Word => ({
    'flannel.alpha.coreos.com/backend-data': backend === 'vxlan' ? JSON.stringify({ VNI: 1, VtepMAC: `5e:1d:00:00:00:0${index + 1}` }) : 'null',
    'flannel.alpha.coreos.com/backend-type': backend,
    'flannel.alpha.coreos.com/kube-subnet-manager': 'true',
    'flannel.alpha.coreos.com/public-ip': `172.16.${nodes[index].segment}.${index + 10 + (wrongIp ? 100 : 0)}`,
  })
  const objects: Word[] = [
    ...nodes.map(({ segment, mtu, wrongIp }, index) => ({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: `n${index}`, annotations: { ...(mtu ? { 'netsim/mtu': '1300' } : {}), ...(isCalico ? {} : flannel(index, wrongIp)) } },
      spec: { podCIDR: `10.244.${index}.0/24` },
      status: { addresses: [{ type: 'InternalIP', address: `172.16.${segment}.${index + 10}` }] },
    })),
    ...[0, 1].map((at) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: `space-${at}`, labels: { space: `s${at}` } } })),
    ...pods.map(({ node, namespace, app, ports }, index) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `pod-${index}`, namespace: `space-${namespace}`, labels: { app: `a${app}` } },
      spec: { nodeName: `n${node % nodes.length}`, containers: [{ name: 'c', image: 'x', ...(ports ? { ports: [{ containerPort: 80 }] } : {}) }] },
      status: { phase: 'Running' },
    })),
    ...policies.map(({ namespace, app, from, port }, index) => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: `policy-${index}`, namespace: `space-${namespace}` },
      spec: {
        podSelector: { matchLabels: { app: `a${app}` } },
        ingress: [{ from: [{ namespaceSelector: { matchLabels: { space: `s${from}` } } }], ...(port ? { ports: [{ protocol: 'TCP', port: 80 }] } : {}) }],
      },
    })),
    {
      apiVersion: 'netsim/v1',
      kind: 'Network',
      metadata: { name: 'default' },
      spec: {
        cni: isCalico ? 'calico' : 'flannel',
        kubeProxy: { mode: 'none' },
        hosts: nodes.flatMap(({ closed }, index) => (closed ? [{ node: `n${index}`, iptables: ['-I FORWARD -p tcp --dport 80 -j DROP'] }] : [])),
        underlay: { segments: [0, 1].map((at) => ({ name: `s${at}`, cidr: `172.16.${at}.0/24`, router: `172.16.${at}.254` })) },
      },
    },
    ...(isCalico
      ? [{ apiVersion: 'crd.projectcalico.org/v1', kind: 'IPPool', metadata: { name: 'p' }, spec: { cidr: '10.244.0.0/16', ipipMode: 'CrossSubnet' } }]
      : [
          {
            apiVersion: 'v1',
            kind: 'ConfigMap',
            metadata: { name: 'kube-flannel-cfg', namespace: 'kube-flannel' },
            data: { 'net-conf.json': JSON.stringify({ Network: '10.244.0.0/16', Backend: { Type: backend } }) },
          },
        ]),
  ]
  return objects.map((one) => JSON.stringify(one)).join('\n---\n')
}

const rarely = fc.nat(5).map((drawn) => drawn === 0)
const anyCluster: fc.Arbitrary<Drawn> = fc.record({
  backend: fc.constantFrom('vxlan', 'host-gw', 'calico'),
  nodes: fc.array(fc.record({ segment: fc.nat(1), mtu: rarely, wrongIp: rarely, closed: rarely }), { minLength: 2, maxLength: NODES }),
  pods: fc.array(fc.record({ node: fc.nat(NODES - 1), namespace: fc.nat(1), app: rarely.map(Number), ports: rarely }), { minLength: 8, maxLength: 14 }),
  policies: fc.array(fc.record({ namespace: fc.nat(1), app: fc.nat(1), from: fc.nat(1), port: fc.boolean() }), { maxLength: 3 }),
})

describe('pairs by class', () => {
  it.each(readdirSync('examples').filter((file) => file.endsWith('.yaml') && existsSync(`examples/${file}`)))('examples/%s: the sums of all pairs', (file) => {
    expect(agrees(readFileSync(`examples/${file}`, 'utf8'))).toBeDefined()
  })

  it("pods that profiles of Calico's classic model tell apart are no class, however alike their labels", () => {
    const text = readFileSync('examples/calico-classic.yaml', 'utf8')
    const alike = text.replaceAll(/labels: \{app: [a-z]*\}/g, 'labels: {app: x}')
    expect(alike).not.toBe(text)
    expect(agrees(alike, [...SHAPES, { port: 3306, packets: 1, rate: 0 }])).toMatchObject({ pods: 4, walked: 12, pairs: 12 })
  })

  it('random clusters: the sums of all pairs, of fewer packets', () => {
    let [walked, pairs] = [0, 0]
    fc.assert(
      fc.property(anyCluster, (drawn) => {
        const counts = agrees(cluster(drawn))
        if (counts === undefined) return
        walked += counts.walked
        pairs += counts.pairs
      }),
      { numRuns: Number(process.env.RUNS ?? 40) },
    )
    expect(pairs).toBeGreaterThan(0)
    expect(walked).toBeLessThan(pairs * 0.8)
  }, 120_000)

  it('nodes that are alike are one class: a pair on a node and a pair between two', () => {
    const plain = { segment: 0, mtu: false, wrongIp: false, closed: false }
    const pod = (node: number) => ({ node, namespace: 0, app: 0, ports: false })
    const nodes = [plain, plain, plain]
    const pods = [0, 0, 0, 1, 1, 1, 2, 2, 2].map(pod)
    expect(agrees(cluster({ backend: 'vxlan', nodes, pods, policies: [] }))).toEqual({ nodes: 1, aloneNodes: 0, pods: 1, walked: 2, pairs: 72 })
    const closed = agrees(cluster({ backend: 'vxlan', nodes: [plain, plain, { ...plain, closed: true }], pods, policies: [] }))
    expect(closed).toEqual({ nodes: 2, aloneNodes: 1, pods: 2, walked: 5, pairs: 72 })
  })

  it('what policies see of pods tells them apart where somebody enforces policies; the lines of their ports never do', () => {
    const plain = { segment: 0, mtu: false, wrongIp: false, closed: false }
    const pods = [0, 0, 1, 1].flatMap((node) => [0, 1].map((namespace) => ({ node, namespace, app: 0, ports: true })))
    const walkedBy = (backend: Drawn['backend'], policies: Drawn['policies']) => agrees(cluster({ backend, nodes: [plain, plain], pods, policies }))
    const policies = [{ namespace: 0, app: 0, from: 0, port: true }]
    expect(walkedBy('vxlan', policies)).toMatchObject({ pods: 1, walked: 2, pairs: 56 })
    expect(walkedBy('calico', policies)).toMatchObject({ pods: 2, walked: 8, pairs: 56 })
  })
})
