import { describe, expect, it } from 'vitest'
import { formatCidr } from '../../src/base/cidr.js'
import { formatIp } from '../../src/base/ip.js'
import { formatProblem } from '../../src/base/problem.js'
import { planAddresses, podHandle } from '../../src/calico/ipam/address-plan.js'
import { calico, node, pod, world } from './kit.js'

const NODES = node('node1', '10.0.0.1') + node('node2', '10.0.0.2')

function plan(text: string, wireguardNodes: readonly string[] = []) {
  const { cluster, resources, texts } = world(text)
  expect(texts).toEqual([])
  const pods = cluster.pods.filter((one) => !one.hostNetwork && !one.terminated && one.node !== undefined)
  const found = planAddresses({ resources, pods, namespaces: cluster.namespaces, wireguardNodes: new Set(wireguardNodes), reclaimsEmptyBlocks: true, seed: 1 })
  return {
    pods: Object.fromEntries([...found.pods].map(([name, address]) => [name, formatIp(address)])),
    tunnels: Object.fromEntries(
      [...found.tunnels].map(([name, tunnels]) => [name, Object.fromEntries(Object.entries(tunnels).map(([kind, address]) => [kind, formatIp(address)]))]),
    ),
    affinities: found.affinities.map((affinity) => `${affinity.node} ${formatCidr(affinity.cidr)}`),
    problems: found.problems.map(formatProblem),
    blocks: found.blocks,
  }
}

describe('addresses of a cluster', () => {
  it('without encapsulation: the first pod of a node has the first address of its block', () => {
    const found = plan(NODES + calico('IPPool', 'p', '{cidr: 192.168.0.0/16}') + pod('a', 'node1') + pod('b', 'node2') + pod('c', 'node1'))
    expect(found.pods).toEqual({ 'default/a': '192.168.166.128', 'default/b': '192.168.104.0', 'default/c': '192.168.166.129' })
    expect(found.tunnels).toEqual({})
    expect(found.affinities).toEqual(['node1 192.168.166.128/26', 'node2 192.168.104.0/26'])
    expect(found.problems).toEqual([])
  })

  it.each([
    ['ipipMode: Always', [], { ipip: '192.168.166.128' }, '192.168.166.129'],
    ['vxlanMode: CrossSubnet', [], { vxlan: '192.168.166.128' }, '192.168.166.129'],
    ['ipipMode: Always', ['node1'], { ipip: '192.168.166.128', wireguard: '192.168.166.129' }, '192.168.166.130'],
  ])('%s: the tunnel comes before the pods', (mode, wireguard, tunnels, address) => {
    const found = plan(node('node1', '10.0.0.1') + calico('IPPool', 'p', `{cidr: 192.168.0.0/16, ${mode}}`) + pod('a', 'node1'), wireguard)
    expect(found.tunnels).toEqual({ node1: tunnels })
    expect(found.pods).toEqual({ 'default/a': address })
  })

  it('that stand in the input stay; the node that has most of a block owns it', () => {
    const found = plan(
      node('node1', '10.0.0.1', ', annotations: {projectcalico.org/IPv4IPIPTunnelAddr: 192.168.166.140}') +
        node('node2', '10.0.0.2') +
        calico('IPPool', 'p', '{cidr: 192.168.0.0/16, ipipMode: Always}') +
        pod('a', 'node1', { address: '192.168.1.1' }) +
        pod('b', 'node2', { address: '192.168.1.2' }) +
        pod('c', 'node2', { address: '192.168.1.3' }) +
        pod('d', 'node2'),
    )
    expect(found.tunnels).toEqual({ node1: { ipip: '192.168.166.140' }, node2: { ipip: '192.168.1.0' } })
    expect(found.affinities).toEqual(['node1 192.168.166.128/26', 'node2 192.168.1.0/26'])
    expect(found.pods['default/d']).toBe('192.168.1.4')
    expect(found.problems).toEqual([])
  })

  it('follow blocks and affinities of a dump', () => {
    const block = `{cidr: 10.9.0.0/30, affinity: "host:node1", allocations: [0, null, null, 1], unallocated: [2, 1],
  attributes: [{handle_id: k8s-pod-network.x, secondary: {pod: a, namespace: default, node: node1}},
  {handle_id: ipip-tunnel-addr-node1, secondary: {node: node1, type: ipipTunnelAddress}}]}`
    const found = plan(
      node('node1', '10.0.0.1', ', annotations: {projectcalico.org/IPv4IPIPTunnelAddr: 10.9.0.3}') +
        calico('IPPool', 'p', '{cidr: 10.9.0.0/24, blockSize: 30, ipipMode: Always}') +
        calico('IPAMBlock', '10-9-0-0-30', block, { group: 'crd.projectcalico.org/v1' }) +
        calico('BlockAffinity', 'node1-10-9-0-0-30', '{cidr: 10.9.0.0/30, node: node1, state: confirmed, deleted: "false"}', {
          group: 'crd.projectcalico.org/v1',
        }) +
        pod('a', 'node1', { address: '10.9.0.0' }) +
        pod('b', 'node1') +
        pod('c', 'node1') +
        pod('d', 'node1'),
    )
    expect(found.tunnels).toEqual({ node1: { ipip: '10.9.0.3' } })
    expect(found.pods).toMatchObject({ 'default/a': '10.9.0.0', 'default/b': '10.9.0.2', 'default/c': '10.9.0.1' })
    expect(found.affinities).toHaveLength(2)
    expect(found.blocks.find(({ name }) => name === '10-9-0-0-30')?.attributes).toHaveLength(4)
    expect(found.problems).toEqual([])
  })

  it('follow annotations of pod and namespace', () => {
    const namespace = `apiVersion: v1\nkind: Namespace\nmetadata: {name: x, annotations: {cni.projectcalico.org/ipv4pools: '["two"]'}}\n---\n`
    const found = plan(
      NODES +
        namespace +
        calico('IPPool', 'one', '{cidr: 10.1.0.0/24}') +
        calico('IPPool', 'two', '{cidr: 10.2.0.0/24, nodeSelector: has(nothing)}') +
        pod('a', 'node1', { metadata: ', namespace: x' }) +
        pod('b', 'node1', { metadata: `, namespace: x, annotations: {cni.projectcalico.org/ipv4pools: '["10.1.0.0/24"]'}` }) +
        pod('c', 'node2', { metadata: `, annotations: {cni.projectcalico.org/ipAddrs: '["10.1.0.77"]'}` }) +
        pod('d', 'node2', { metadata: `, annotations: {cni.projectcalico.org/ipv4pools: '["none"]'}` }) +
        pod('e', 'node2', { metadata: `, annotations: {cni.projectcalico.org/ipAddrs: '["10.1.0.77"]'}` }),
    )
    expect(found.pods).toMatchObject({
      'x/a': expect.stringMatching(/^10\.2\./) as string,
      'x/b': expect.stringMatching(/^10\.1\./) as string,
      'default/c': '10.1.0.77',
    })
    expect(Object.keys(found.pods)).toHaveLength(3)
    expect(found.problems).toEqual([
      expect.stringContaining('Pod/default/d: annotation cni.projectcalico.org/ipv4pools: there is no IPPool none') as string,
      expect.stringContaining('Pod/default/e: no address for it: the address is assigned already') as string,
    ])
  })

  it('run out, and it is said of whom', () => {
    const found = plan(
      NODES +
        calico('IPPool', 'p', '{cidr: 10.1.0.0/31, blockSize: 31}') +
        ['a', 'b', 'c'].map((name) => pod(name, 'node1')).join('') +
        pod('twin1', 'node1', { address: '172.16.0.1' }) +
        pod('twin2', 'node1', { address: '172.16.0.1' }),
    )
    expect(found.pods).toEqual({ 'default/a': '10.1.0.0', 'default/b': '10.1.0.1', 'default/twin1': '172.16.0.1' })
    expect(found.problems).toEqual([
      expect.stringContaining('warning: Pod/default/twin1: its address 172.16.0.1 is in no IPPool') as string,
      expect.stringContaining('error: Pod/default/twin2: its address 172.16.0.1 is that of Pod/default/twin1 too') as string,
      expect.stringContaining('error: Pod/default/c: no address for it: no addresses available in pools: 10.1.0.0/31') as string,
    ])
  })

  it('have handles that differ from pod to pod', () => {
    expect(podHandle('a', 'b')).toMatch(/^k8s-pod-network\.[0-9a-f]{64}$/)
    expect(podHandle('a', 'b')).not.toBe(podHandle('a', 'c'))
  })
})
