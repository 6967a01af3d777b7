/** Names of a scenario against a cluster. */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildCluster } from '../../../src/cluster/cluster.js'
import { ProblemList } from '../../../src/cluster/problem-list.js'
import { checkScenario } from '../../../src/cluster/scenario/check-scenario.js'
import { arbitraryEvent, arbitraryProbe, readText } from './support.js'

const example = (name: string): string => readFileSync(`examples/${name}.yaml`, 'utf8')

const WORKLOADS = `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {replicas: 2, selector: {matchLabels: {app: w}}, template: {metadata: {labels: {app: w}}, spec: {containers: [{name: c, image: x}]}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec: {replicas: 1, serviceName: db, selector: {matchLabels: {app: d}}, template: {metadata: {labels: {app: d}}, spec: {containers: [{name: c, image: x}]}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: shop}
spec: {selector: {matchLabels: {app: e}}, template: {metadata: {labels: {app: e}}, spec: {containers: [{name: c, image: x}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.80, selector: {app: w}, ports: [{port: 80}]}
`

const CLUSTERS = {
  canal: buildCluster([{ file: 'c.yaml', text: example('canal') + WORKLOADS }]).cluster,
  bgp: buildCluster([{ file: 'c.yaml', text: example('calico-none') }]).cluster,
  etcd: buildCluster([{ file: 'c.yaml', text: example('flannel-udp') }]).cluster,
  fabric: buildCluster([{ file: 'c.yaml', text: example('calico-fabric') }]).cluster,
  aws: buildCluster([{ file: 'c.yaml', text: example('flannel-aws-vpc') }]).cluster,
}

/** What is told of these events, by the line among them (from 1). */
function told(cluster: keyof typeof CLUSTERS, events: readonly string[], probes: readonly string[] = [], complete = true): string[] {
  const list = (items: readonly string[]): string => items.map((item) => `    - ${item}\n`).join('')
  const text = `apiVersion: netsim/v1\nkind: Scenario\nmetadata: {name: x}\nspec:\n  events:\n${list(events)}  probes:\n${list(probes)}`
  const { read, problems } = readText(text.replace(/ {2}(events|probes):\n(?! {4})/g, ''))
  expect(problems).toEqual([])
  if (read === undefined) throw new Error('not read')
  const list_ = new ProblemList()
  checkScenario(read, CLUSTERS[cluster], list_, { namespace: 'default', complete })
  return list_.problems.map(({ what, fix }) => `${what} | ${fix}`)
}

describe('events that name what is there', () => {
  it.each<[keyof typeof CLUSTERS, string]>([
    ['canal', '{at: 1s, delete: np/shop/api}'],
    ['canal', '{at: 1s, delete: ns/shop}'],
    ['canal', '{at: 1s, delete: node/node-1}'],
    ['canal', '{at: 1s, label: ns/default, set: [a=b]}'],
    ['canal', '{at: 1s, label: pod/shop/web-0, set: [a=b]}'],
    ['canal', '{at: 1s, scale: deploy/shop/web, replicas: 0}'],
    ['canal', '{at: 1s, rollout: pause, of: deploy/shop/web}'],
    ['canal', '{at: 1s, rollout: restart, of: ds/shop/agent}'],
    ['canal', '{at: 1s, move: pod/shop/db-0, to: node-2}'],
    ['canal', '{at: 1s, move: pod/shop/db-7, to: node-2}'],
    ['canal', '{at: 1s, delete: pod/shop/web-5d4f8c7b9-x2x4z}'],
    ['canal', '{at: 1s, node: node-2, state: rejoined}'],
    ['canal', '{at: 1s, cable: node-2, segment: s0, cut: true}'],
    ['canal', '{at: 1s, stop: felix, on: node-1}'],
    ['canal', '{at: 1s, kill: flanneld}'],
    ['canal', '{at: 1s, stop: etcd}'],
    ['canal', '{at: 1s, mtu: 1400, segment: s0}'],
    ['canal', '{at: 1s, firewall: router, iptables: [-F]}'],
    ['bgp', '{at: 1s, kill: bird, on: [node-1, node-2]}'],
    ['bgp', '{at: 1s, resetBGP: node-1, peer: 192.168.10.12}'],
  ])('%s: %s', (cluster, event) => {
    expect(told(cluster, [event])).toEqual([])
  })
})

describe('events that name what is not there', () => {
  it.each<[keyof typeof CLUSTERS, string, RegExp]>([
    ['canal', '{at: 1s, delete: np/shop/apy}', /there is no NetworkPolicy shop\/apy \| Did you mean np\/shop\/api\?/],
    ['canal', '{at: 1s, delete: nq/shop/api}', /there is no kind nq here \| Did you mean/],
    ['canal', '{at: 1s, delete: api}', /api names no object/],
    ['canal', '{at: 1s, delete: ns/shoop}', /there is no Namespace shoop/],
    ['canal', '{at: 1s, scale: ds/shop/agent, replicas: 3}', /a DaemonSet has no replicas to scale/],
    ['canal', '{at: 1s, scale: deploy/shop/wep, replicas: 3}', /Did you mean deploy\/shop\/web\?/],
    ['canal', '{at: 1s, rollout: pause, of: sts/shop/db}', /a StatefulSet has no rollout pause \| Name a Deployment\./],
    ['canal', '{at: 1s, move: shop/web-0, to: node-2}', /shop\/web-0 names no pod \| Write pod\/NAMESPACE\/NAME/],
    ['canal', '{at: 1s, move: pod/shop/wep-0, to: node-2}', /there is no Pod shop\/wep-0 \| Did you mean pod\/shop\/web-0\?/],
    ['canal', '{at: 1s, move: pod/shop/db-x, to: node-2}', /there is no Pod shop\/db-x/],
    ['canal', '{at: 1s, move: pod/shop/web-0, to: node-9}', /there is no node node-9 \| Did you mean node-1\?/],
    ['canal', '{at: 1s, node: nod-2, state: up}', /there is no node nod-2 \| Did you mean node-2\?/],
    ['canal', '{at: 1s, cable: node-2, segment: s7, cut: true}', /node-2 is in segment s0, not in s7/],
    ['canal', '{at: 1s, cable: router/r9, cut: true}', /there is no router r9/],
    ['canal', '{at: 1s, cable: host/x, cut: true}', /host\/x is neither a node nor a router/],
    ['canal', '{at: 1s, stop: bird}', /no bird runs here \(the CNI is canal\) \| There are flanneld, felix/],
    ['canal', '{at: 1s, stop: kube-proxy}', /no kube-proxy runs here \(spec\.kubeProxy\.mode\)/],
    ['canal', '{at: 1s, stop: felix, on: [node-1, node-3]}', /there is no node node-3/],
    ['canal', '{at: 1s, stop: etcd, on: [node-1]}', /etcd stands beside the cluster/],
    ['canal', '{at: 1s, mtu: 1400, segment: s9}', /there is no segment s9 \| Did you mean s0\?/],
    ['canal', '{at: 1s, mtu: 1400, node: node-9}', /there is no node node-9/],
    ['canal', '{at: 1s, firewall: r0, iptables: [-F]}', /there is no router r0 \| There are: router\./],
    ['canal', '{at: 1s, resetBGP: node-1}', /nobody speaks BGP here \(the CNI is canal\)/],
    ['canal', '{at: 1s, deleteLease: 10.244.1.0/24}', /flannel keeps its subnets on the nodes here/],
    ['bgp', '{at: 1s, deleteLease: 10.244.1.0/24}', /no flannel runs here \(the CNI is calico\)/],
    ['bgp', '{at: 1s, stop: flanneld}', /no flanneld runs here \(the CNI is calico\) \| There are felix, bird/],
    ['bgp', '{at: 1s, resetBGP: node-1, peer: 192.168.10.99}', /nobody has the address 192\.168\.10\.99/],
    ['etcd', '{at: 1s, deleteLease: 192.168.0.0/24}', /it is not of flannel's network 10\./],
    ['aws', '{at: 1s, firewall: vpc, iptables: [-F]}', /vpc is the fabric of a cloud \(aws\)/],
  ])('%s: %s', (cluster, event, words) => {
    const problems = told(cluster, [event])
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(words)
  })

  it('names the cables of a router on several segments', () => {
    const router = CLUSTERS.fabric.routers.find(({ interfaces }) => interfaces.length > 1)
    const problems = told('fabric', [`{at: 1s, cable: router/${router?.name ?? ''}, cut: true}`])
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain(
      `has ${router?.interfaces.length} cables | Say which: segment: ${router?.interfaces.map(({ segment }) => segment).join(' or ')}.`,
    )
  })
})

describe('one event after another', () => {
  const POD = '{apiVersion: v1, kind: Pod, metadata: {name: new, namespace: shop}, spec: {nodeName: node-1}}'

  it('knows what was applied before, in time', () => {
    expect(told('canal', ['{at: 2s, label: pod/shop/new, set: [a=b]}', `{at: 1s, apply: ${POD}}`])).toEqual([])
    const early = told('canal', ['{at: 1s, label: pod/shop/new, set: [a=b]}', `{at: 2s, apply: ${POD}}`])
    expect(early.map((text) => text.split(' | ')[0])).toEqual(['label pod/shop/new a=b: there is no Pod shop/new'])
  })

  it('knows a node that was applied', () => {
    const node = '{apiVersion: v1, kind: Node, metadata: {name: node-3}, status: {addresses: [{type: InternalIP, address: 192.168.10.13}]}}'
    expect(told('canal', [`{at: 1s, apply: ${node}}`, '{at: 2s, node: node-3, state: down}'])).toEqual([])
  })

  it('tells what is wrong with what is applied', () => {
    const wrong = '{apiVersion: v1, kind: Pod, metadata: {name: new, namespace: shop}, spec: {nodeName: [node-1]}, status: {podIP: 10.0.0.300}}'
    expect(told('canal', [`{at: 1s, apply: ${wrong}}`])).toEqual([expect.stringMatching(/spec\.nodeName is a list, not text/)])
    const node = '{apiVersion: v1, kind: Node, metadata: {name: node-3}, status: {addresses: [{type: InternalIP, address: 192.168.10.12}]}}'
    expect(told('canal', [`{at: 1s, apply: ${node}}`])).toEqual([expect.stringMatching(/192\.168\.10\.12/)])
    expect(told('canal', [`{at: 2s, apply: ${node}}`, '{at: 1s, delete: node/node-2}'])).toEqual([])
  })

  it('knows what was deleted', () => {
    expect(told('canal', ['{at: 1s, delete: np/shop/api}', '{at: 2s, delete: np/shop/api}'])).toEqual([
      'delete np/shop/api: there is no NetworkPolicy shop/api | It is deleted before, in s.yaml:6.',
    ])
    expect(told('canal', ['{at: 1s, delete: ns/shop}', '{at: 2s, scale: deploy/shop/web, replicas: 1}', '{at: 3s, delete: pod/shop/db-0}'])).toHaveLength(2)
  })

  it('a workload that is gone makes no pods', () => {
    const [problem] = told('canal', ['{at: 1s, delete: sts/shop/db}', '{at: 2s, delete: pod/shop/db-0}'])
    expect(problem).toMatch(/there is no Pod shop\/db-0/)
  })

  it('a pod of a DaemonSet is moved to no other node', () => {
    const pod = CLUSTERS.canal.pods.find(({ name }) => name.startsWith('agent-'))
    expect(told('canal', [`{at: 1s, move: pod/shop/${pod?.name ?? ''}, to: node-2}`])[0]).toMatch(/a pod of a DaemonSet belongs to its node/)
  })

  it('tells nothing of names where something could not be read', () => {
    expect(told('canal', ['{at: 1s, delete: np/shop/none}', '{at: 1s, node: n9, state: up}'], ['{from: shop/none, to: x/y}'], false)).toEqual([])
  })
})

describe('ends of probes', () => {
  it.each([
    ['shop/web-0', 'shop/api-0:8080'],
    ['shop/web-0', 'svc/web:80'],
    ['pod/shop/web-0', 'node/node-1'],
    ['node/node-1', '10.0.0.1'],
    ['tools/curl', 'web.shop.svc:80'],
    ['tools/curl', 'router/router'],
    ['shop/db-3', 'shop/web-0/web'],
  ])('from %s to %s', (from, to) => {
    expect(told('canal', [], [`{from: ${from}, to: "${to}"}`])).toEqual([])
  })

  it.each([
    ['shop/wep-0', '10.0.0.1', /from: there is no pod shop\/wep-0 \| Did you mean shop\/web-0\?/],
    ['shop/web-0', 'svc/wep:80', /to: there is no Service shop\/wep \| Did you mean shop\/web\?/],
    ['shop/web-0', 'web:80', /to: there is no pod shop\/web \| There is a Service of that name: write svc\/shop\/web\./],
    ['shop/web-0', 'node/node-9', /there is no node node-9 \| Did you mean node-1\?/],
    ['shop/web-0', 'host/x', /there is no host x/],
    ['shop/web-0', 'router/x', /there is no router x/],
    ['shop/web-0', 'http://web', /to: http:\/\/web is a URL/],
    ['shop/web-0', 'fd00::1', /is an IPv6 address/],
    ['shop/web-0', 'shop/api-0:99999', /99999 is not a port/],
    ['curl', '10.0.0.1', /from: there is no pod default\/curl \| Did you mean tools\/curl\?/],
    ['tools/curl', 'svc/web:80', /to: there is no Service tools\/web \| Did you mean shop\/web\?/],
  ])('from %s to %s is told', (from, to, words) => {
    const problems = told('canal', [], [`{name: p, from: ${from}, to: "${to}"}`])
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(words)
    expect(problems[0]).toMatch(/^probe p: /)
  })

  it('may be of something that an event applies, whenever', () => {
    const pod = '{apiVersion: v1, kind: Pod, metadata: {name: new, namespace: shop}, spec: {nodeName: node-1}}'
    expect(told('canal', [`{at: 9s, apply: ${pod}}`, '{at: 20s, delete: pod/shop/new}'], ['{from: shop/new, to: shop/web-0}'])).toEqual([])
  })
})

describe('any scenario that can be read', () => {
  it('is checked against any cluster', () => {
    const spec = fc.record({ events: fc.array(arbitraryEvent, { maxLength: 6 }), probes: fc.array(arbitraryProbe, { maxLength: 2 }) })
    fc.assert(
      fc.property(spec, fc.constantFrom(...Object.values(CLUSTERS)), (value, cluster) => {
        const { read } = readText(JSON.stringify({ apiVersion: 'netsim/v1', kind: 'Scenario', spec: value }), new Map([['np.yaml', []]]))
        const list = new ProblemList()
        if (read !== undefined) checkScenario(read, cluster, list)
        for (const problem of list.problems) expect(problem).toMatchObject({ severity: 'error', file: 's.yaml', object: 'Scenario/default' })
      }),
      { numRuns: 300 },
    )
  })
})
