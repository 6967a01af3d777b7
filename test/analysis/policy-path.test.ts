/** What policies see behind NAT, held against what the chains then do: the same question traced with all policies in place. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { allOutcomes } from '../../src/analysis/outcomes.js'
import { explainPath, seenWords } from '../../src/analysis/policy-path-explain.js'
import { isTranslated, policyPathBySelector } from '../../src/analysis/policy-path-ends.js'
import { policyPath, withoutPolicies, type PolicyPath } from '../../src/analysis/policy-path.js'
import { buildCluster } from '../../src/cluster/cluster.js'
import { readPolicyState, type PolicyState } from '../../src/cluster/policy-state.js'
import { buildNetwork } from '../../src/network/build-network.js'
import type { Network } from '../../src/network/network.js'
import { DEFAULT_REQUEST } from '../../src/network/request.js'
import type { PolicyWorld } from '../../src/policy/model.js'
import { policyWorld, switchesFor } from '../../src/policy/world.js'

interface Told {
  readonly state: PolicyState
  readonly world: PolicyWorld
  /** With its policies, and without. */
  readonly real: Network
  readonly open: Network
}

function told(text: string): Told {
  const inputs = [{ file: 'w.yaml', text }]
  const { cluster } = buildCluster(inputs)
  const { state } = readPolicyState(inputs)
  const network = (of: typeof cluster): Network => buildNetwork(of, { seed: 1 }).network
  return { state, world: policyWorld(state, switchesFor('calico')), real: network(cluster), open: network(withoutPolicies(cluster)) }
}

function pathOf({ open, world }: Told, source: string, destination: string): PolicyPath {
  const path = policyPath(open, world, { source, destination, namespace: 'default' })
  if ('severity' in path || Array.isArray(path)) throw new Error(JSON.stringify(path))
  return path as PolicyPath
}

/** Each way: how likely, what each side's policies see, and what they say. */
function ways(all: Told, source: string, destination: string): readonly string[] {
  return explainPath(all.world, pathOf(all, source, destination)).map(({ branch, explanation: { verdict } }) => {
    const seen = [branch.egress, branch.ingress].map((one) => (one === undefined ? 'nobody asked' : seenWords(one).replace(/ \([^()]*step.*$/, '')))
    return `${seen.join(' | ')}: ${verdict}`
  })
}

const services = told(readFileSync('examples/services-calico.yaml', 'utf8'))

const pod = (name: string, node: string, app: string, more = ''): string =>
  `{apiVersion: v1, kind: Pod, metadata: {name: ${name}, labels: {app: ${app}}}, spec: {nodeName: ${node}${more}, ` +
  `containers: [{name: c, image: i, ports: [{name: http, containerPort: 8080}]}]}}`
const node = (name: string, address: string): string =>
  `{apiVersion: v1, kind: Node, metadata: {name: ${name}}, status: {addresses: [{type: InternalIP, address: ${address}}]}}`
const service = (name: string, policy: string, port: number): string =>
  `{apiVersion: v1, kind: Service, metadata: {name: ${name}}, spec: {type: NodePort, externalTrafficPolicy: ${policy}, selector: {app: web}, ` +
  `clusterIP: 10.96.0.${port - 30000}, ports: [{port: 80, targetPort: http, nodePort: ${port}}]}}`
const policy = (spec: string): string => `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: guard}, spec: ${spec}}`
const OUTSIDE_ONLY =
  '{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}], ports: [{port: 8080}]}]}'
const doors = (spec: string): Told =>
  told(
    [
      node('n1', '192.168.10.11'),
      node('n2', '192.168.10.12'),
      pod('web-1', 'n1', 'web'),
      pod('web-2', 'n2', 'web'),
      pod('agent', 'n1', 'agent', ', hostNetwork: true'),
      service('all', 'Cluster', 30010),
      service('near', 'Local', 30011),
      policy(spec),
      '{apiVersion: projectcalico.org/v3, kind: IPPool, metadata: {name: pool}, spec: {cidr: 10.244.0.0/16, vxlanMode: Always, natOutgoing: true}}',
      '{apiVersion: netsim/v1, kind: Network, metadata: {name: default}, spec: {cni: calico, underlay: {segments: [{name: s, cidr: 192.168.10.0/24}, ' +
        '{name: o, cidr: 203.0.113.0/24}], routers: [{name: r, segments: [s, o]}], hosts: [{name: client, address: 203.0.113.10}]}}}',
    ].join('\n---\n'),
  )

describe('what policies see on the real path', () => {
  it('of a Service: its pods at their ports, each way apart', () => {
    expect(ways(services, 'tools/curl', 'svc/shop/web')).toEqual([
      'tools/curl → shop/web-1, TCP 8080 | tools/curl → shop/web-1, TCP 8080: allowed',
      'tools/curl → shop/web-0, TCP 8080 | tools/curl → shop/web-0, TCP 8080: allowed',
    ])
    const [first] = pathOf(services, 'tools/curl', 'svc/shop/web').branches
    expect(first.translations).toMatchObject([
      { side: 'destination', from: '10.96.20.1:80', netns: 'node-1', rule: { provenance: { object: 'Service/shop/web' } } },
    ])
  })

  it('of a node behind SNAT: the address of its tunnel; on its own node, itself', () => {
    expect(ways(services, 'node/node-1', 'svc/shop/web')).toEqual([
      'node node-1 (192.168.10.11) → shop/web-1, TCP 8080 | node node-1 (10.244.84.128) → shop/web-1, TCP 8080: denied',
      'node node-1 (192.168.10.11) → shop/web-0, TCP 8080 | node node-1 (192.168.10.11) → shop/web-0, TCP 8080: allowed',
    ])
  })

  it('of a pod that comes back to itself by its own Service: it is held like anybody (trap 27), and free by its own address', () => {
    expect(ways(services, 'shop/web-0', 'svc/shop/web').at(-1)).toBe('shop/web-0 → shop/web-0, TCP 8080 | shop/web-0 → shop/web-0, TCP 8080: denied')
    expect(ways(services, 'shop/web-0', 'shop/web-0:8080')).toEqual(['nobody asked | nobody asked: allowed'])
  })

  it('of a host outside by a node port: the host where the pod is on that node, the node where it is not (trap 30)', () => {
    const all = doors(OUTSIDE_ONLY)
    expect([...ways(all, 'host/client', 'node/n1:30010')].sort()).toEqual([
      'nobody asked | 203.0.113.10 → default/web-1, TCP 8080: allowed',
      expect.stringMatching(/^nobody asked \| node n1 \(10\.244\..*\) → default\/web-2, TCP 8080: denied$/),
    ])
    // externalTrafficPolicy Local keeps the source, and keeps to the node
    expect(ways(all, 'host/client', 'node/n1:30011')).toEqual(['nobody asked | 203.0.113.10 → default/web-1, TCP 8080: allowed'])
  })

  it('of a pod on the host’s network: its node', () => {
    expect(ways(doors(OUTSIDE_ONLY), 'default/agent', 'default/web-2:8080')).toEqual([
      expect.stringMatching(/^node n1 \(.*\) → default\/web-2, TCP 8080 \| node n1 \(.*\) → default\/web-2, TCP 8080: denied$/),
    ])
  })

  it('without nodes: the pods that the Service selects, at its targetPort', () => {
    const { state } = readPolicyState([
      { file: 'w.yaml', text: [pod('web-1', 'n1', 'web'), pod('cron', 'n1', 'cron'), service('all', 'Cluster', 30010)].join('\n---\n') },
    ])
    const world = policyWorld(state, switchesFor('api'))
    const path = policyPathBySelector(state, world, { source: 'cron', destination: 'svc/all:80', namespace: 'default' })
    expect(path).toMatchObject({
      basis: 'selector',
      branches: [{ probability: 1, ingress: { destination: { name: 'web-1' }, connection: { protocol: 'TCP', port: 8080 } } }],
    })
    expect(policyPathBySelector(state, world, { source: 'cron', destination: 'svc/al:80', namespace: 'default' })).toMatchObject([
      { what: 'there is no Service "al" in namespace "default"', fix: expect.stringContaining('all') as string },
    ])
  })

  it('of a workload: its first pod', () => {
    expect(pathOf(services, 'statefulset/shop/web', 'svc/kube-system/kube-dns').source).toBe('shop/web-0')
  })

  it('is asked for where NAT has a say, and nowhere else', () => {
    const { state } = doors(OUTSIDE_ONLY)
    const asked = ['svc/all', '10.96.0.10:80', 'node/n1:30010', '192.168.10.12:30011', 'web-1:8080', 'node/n1:22', '203.0.113.10'].filter((one) =>
      isTranslated(state, 'web-2', one),
    )
    expect(asked).toEqual(['svc/all', '10.96.0.10:80', 'node/n1:30010', '192.168.10.12:30011'])
    expect(isTranslated(state, 'host/client', 'web-1:8080')).toBe(true)
  })
})

describe('what policies say of it is what the chains do', () => {
  const held = (all: Told, source: string, destination: string): void => {
    const outcomes = allOutcomes(all.real, { ...DEFAULT_REQUEST, source, destination })
    if (Array.isArray(outcomes) || !('outcomes' in outcomes)) throw new Error(JSON.stringify(outcomes))
    const denied = outcomes.outcomes.filter(({ disposition }) => disposition === 'DENIED').reduce((sum, { probability }) => sum + probability, 0)
    const said = explainPath(all.world, pathOf(all, source, destination)).filter(({ explanation }) => explanation.verdict === 'denied')
    expect([source, destination, said.reduce((sum, { branch }) => sum + branch.probability, 0).toFixed(6)]).toEqual([source, destination, denied.toFixed(6)])
  }

  it('of every pod and node of examples/services-calico.yaml and every Service', () => {
    const sources = ['tools/curl', 'shop/web-0', 'shop/web-1', 'kube-system/coredns-0', 'node/node-1', 'node/node-2']
    for (const source of sources)
      for (const destination of ['svc/shop/web', 'svc/kube-system/kube-dns', 'svc/shop/web-pods']) held(services, source, destination)
  })

  it.each([
    OUTSIDE_ONLY,
    '{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}',
    '{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 80}]}]}',
    '{podSelector: {}, ingress: [{ports: [{port: http}]}]}',
    '{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 192.168.10.0/24}}]}]}',
    '{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.244.0.0/16}}]}]}',
  ])('of every door, with %s', (spec) => {
    const all = doors(spec)
    const inside = ['default/web-1', 'default/agent', 'node/n2']
    for (const source of [...inside, 'host/client']) for (const destination of ['node/n1:30010', 'node/n2:30011']) held(all, source, destination)
    for (const source of inside) for (const destination of ['svc/all', 'svc/near', '10.96.0.10:80']) held(all, source, destination)
  })
})
