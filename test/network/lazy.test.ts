/** Who a question wakes, and that it changes no answer: of a network that was woken whole, every trace is the same to the byte. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Problem } from '../../src/base/problem.js'
import { buildCluster, type Cluster } from '../../src/cluster/cluster.js'
import { buildNetwork } from '../../src/network/build-network.js'
import type { Network } from '../../src/network/network.js'
import { flannelCluster } from '../kit/flannel-cluster.js'
import { answer, buildText, networkOf, type Ask } from '../kit/network.js'

const EXAMPLES = new URL('../../examples/', import.meta.url)

const texts = readdirSync(EXAMPLES, { withFileTypes: true }).flatMap((entry): [string, string][] => {
  if (entry.isFile()) return entry.name.endsWith('.yaml') ? [[entry.name, readFileSync(new URL(entry.name, EXAMPLES), 'utf8')]] : []
  const folder = new URL(`${entry.name}/`, EXAMPLES)
  const files = readdirSync(folder).filter((file) => file.endsWith('.yaml'))
  const hosts = files.includes('hosts.yaml') ? [readFileSync(new URL('hosts.yaml', folder), 'utf8')] : []
  const rest = files.filter((file) => file !== 'hosts.yaml')
  const found = rest.map((file): [string, string] => [`${entry.name}/${file}`, [...hosts, readFileSync(new URL(file, folder), 'utf8')].join('\n---\n')])
  // manifests of policies alone have no node that a packet could pass
  return found.filter(([, text]) => /^kind: Node$/m.test(text))
})

const clusterOf = (text: string): Cluster => buildCluster([{ file: 'test.yaml', text }]).cluster
const lazy = (cluster: Cluster): Network => buildNetwork(cluster, { seed: 1 }).network

function woken(cluster: Cluster): Network {
  const network = lazy(cluster)
  network.world.wakeAll()
  return network
}

const documentOf = (network: Network, [source, destination, ask]: readonly [string, string, Ask]): string =>
  JSON.stringify(answer(network, source, destination, ask).document)

/** First and last of pods and nodes to one another, to the gateway of the first segment, to an address there that nobody has, and outside. */
function questionsOf(network: Network): [string, string, Ask][] {
  const pods = network.pods.map(({ pod }) => `${pod.namespace}/${pod.name}`)
  const nodes = network.nodeNames.map((name) => `node/${name}`)
  const sources = [...new Set([pods[0], pods[pods.length - 1], nodes[0]].filter((end) => end !== undefined))]
  const ends = [...sources, nodes[nodes.length - 1], '192.168.10.254', '192.168.0.77', '172.17.0.1', '203.0.113.7']
  return sources.flatMap((source) =>
    ends.flatMap((to): [string, string, Ask][] => [
      [source, to, { proto: 'icmp' }],
      [source, to, { proto: 'icmp', cold: true }],
      [source, `${to}:8080`, { proto: 'tcp', listen: true }],
    ]),
  )
}

describe('woken as questions come, and woken whole', { timeout: 240_000 }, () => {
  it.each(texts)('%s', (_, text) => {
    const cluster = clusterOf(text)
    const whole = woken(cluster)
    const one = lazy(cluster)
    const questions = questionsOf(whole)
    expect(questions.length).toBeGreaterThan(10)
    questions.forEach((question, index) => {
      const expected = documentOf(whole, question)
      expect(documentOf(one, question), `${question[0]} → ${question[1]}`).toBe(expected)
      // asked of a network where nobody is awake yet
      if (index % 5 === 0) expect(documentOf(lazy(cluster), question), `${question[0]} → ${question[1]}`).toBe(expected)
    })
  })
})

describe('what an owner did by hand, of which a sleeping host must know', () => {
  const words = {
    'answers for others': { sysctls: { 'net.ipv4.conf.eth0.proxy_arp': 1 } },
    'answers for one address': { ip: ['neigh add proxy 192.168.0.77 dev eth0'] },
    'has another address': { ip: ['addr add 192.168.0.77/24 dev eth0'] },
    'has another MAC': { ip: ['link set eth0 address 02:00:00:00:00:77'] },
    'has its card down': { ip: ['link set eth0 down'] },
    'has it in a bridge': { ip: ['link add br0 type bridge', 'link set br0 up', 'link set eth0 master br0', 'addr add 192.168.0.77/24 dev br0'] },
  }
  it.each(Object.entries(words))('%s', (_, hand) => {
    const cluster = clusterOf(flannelCluster({ backend: 'vxlan', hosts: { 'host-b': hand } }))
    for (const cold of [false, true]) {
      for (const [from, to] of [
        ['pod-a', 'pod-b'],
        ['node/host-a', '192.168.0.77'],
        ['pod-a', '192.168.0.77'],
        ['node/host-a', '192.168.0.200'],
      ]) {
        const question = [from, to, { proto: 'icmp', cold } as const] as const
        expect(documentOf(lazy(cluster), question)).toBe(documentOf(woken(cluster), question))
      }
    }
  })
})

/** kube-flannel's VXLAN over so many nodes with a pod each, every second one on the other segment where there are two. The crowded one has a pod too many. */
function largeCluster(count: number, { segments = 1, crowded = -1 } = {}): string {
  const documents: unknown[] = [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'kube-flannel-cfg', namespace: 'kube-flannel' },
      data: {
        'cni-conf.json': JSON.stringify({ name: 'cbr0', plugins: [{ type: 'flannel', delegate: { isDefaultGateway: true, hairpinMode: true } }] }),
        'net-conf.json': JSON.stringify({ Network: '10.244.0.0/16', Backend: { Type: 'vxlan' } }),
      },
    },
  ]
  for (let k = 0; k < count; k++) {
    const address = `192.168.${10 + (k % segments)}.${k + 1}`
    const subnet = `10.244.${k}`
    const flannel = 'flannel.alpha.coreos.com'
    const annotations = {
      [`${flannel}/kube-subnet-manager`]: 'true',
      [`${flannel}/backend-type`]: 'vxlan',
      [`${flannel}/backend-data`]: JSON.stringify({ VNI: 1, VtepMAC: `5e:1d:0c:00:00:${k.toString(16).padStart(2, '0')}` }),
      [`${flannel}/public-ip`]: address,
    }
    documents.push({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: `n${k}`, annotations },
      spec: { podCIDR: `${subnet}.0/${k === crowded ? 30 : 24}` },
      status: { addresses: [{ type: 'InternalIP', address }] },
    })
    for (const name of k === crowded ? [`p${k}`, `late${k}`] : [`p${k}`]) {
      documents.push({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace: 'default' },
        spec: { nodeName: `n${k}`, containers: [] },
        status: { phase: 'Running', ...(name.startsWith('p') ? { podIP: `${subnet}.2` } : {}) },
      })
    }
  }
  return documents.map((document) => JSON.stringify(document)).join('\n---\n')
}

const awake = (network: Network): string[] => network.world.awake.map(({ name }) => name).sort()

describe('a cluster of 60 nodes', () => {
  it('wakes the two nodes of a question within a segment', () => {
    const network = networkOf(largeCluster(60))
    expect(awake(network)).toEqual([])
    expect(answer(network, 'p0', 'p59').outcome.disposition).toBe('DELIVERED')
    expect(awake(network)).toEqual(['default/p0', 'default/p59', 'n0', 'n59'])
  })

  it('shows an ARP request of a large segment to those alone to whom it means something, whoever is awake', () => {
    const cluster = clusterOf(largeCluster(60))
    const network = lazy(cluster)
    const whole = woken(cluster)
    for (const [from, to] of [
      ['p0', 'p59'],
      ['p0', '192.168.10.200'],
      ['node/n3', 'p0'],
    ]) {
      const question = [from, to, { proto: 'icmp', cold: true } as const] as const
      expect(documentOf(network, question)).toBe(documentOf(whole, question))
    }
    expect(awake(network).filter((name) => !name.startsWith('router/'))).toEqual(['default/p0', 'default/p3', 'default/p59', 'n0', 'n3', 'n59'])
    expect(JSON.parse(documentOf(network, ['p0', 'p59', { proto: 'icmp', cold: true }]))).toMatchObject({ disposition: 'DELIVERED' })
  })

  it('wakes the router too where the packet crosses it', () => {
    const network = networkOf(largeCluster(60, { segments: 2 }))
    expect(answer(network, 'p0', 'p59').outcome.disposition).toBe('DELIVERED')
    expect(awake(network)).toEqual(['default/p0', 'default/p59', 'n0', 'n59', ...network.cluster.routers.map(({ name }) => `router/${name}`)].sort())
  })

  it('wakes nobody for an address that nobody has but who looks for it', () => {
    const network = networkOf(largeCluster(60))
    expect(answer(network, 'p7', '10.244.200.9').outcome.disposition).not.toBe('DELIVERED')
    expect(awake(network).filter((name) => !name.startsWith('router/'))).toEqual(['default/p7', 'n7'])
  })

  it.each([false, true])('answers as if all were awake (cold: %s)', (cold) => {
    const cluster = clusterOf(largeCluster(60, { segments: 2 }))
    for (const [from, to] of [
      ['p0', 'p59'],
      ['p59', 'node/n1'],
      ['node/n3', '10.244.8.2'],
      ['p2', '192.168.10.200'],
    ]) {
      const question = [from, to, { proto: 'icmp', cold } as const] as const
      expect(documentOf(lazy(cluster), question)).toBe(documentOf(woken(cluster), question))
    }
  })

  it('tells what rendering a node finds wrong when a question touches it', () => {
    const said = (list: readonly Problem[]): string[] => list.filter(({ severity }) => severity === 'error').map(({ object }) => object)
    const { network, problems } = buildText(largeCluster(60, { crowded: 5 }))
    expect(said(problems)).toEqual([])
    answer(network, 'p0', 'p59')
    expect(said(network.lateProblems)).toEqual([])
    answer(network, 'p0', 'p5')
    expect(said(network.lateProblems)).toEqual(['Pod/default/late5'])
    expect(said(buildText(largeCluster(40, { crowded: 5 })).problems)).toEqual(['Pod/default/late5'])
  })
})
