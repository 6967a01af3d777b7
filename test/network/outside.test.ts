/** Hosts beyond the cluster: where they stand, what reaches them and from whom, and what is wrong with them. */
import { describe, expect, it } from 'vitest'
import { formatIp } from '../../src/base/ip.js'
import { buildCluster } from '../../src/cluster/cluster.js'
import { answer, networkOf } from '../kit/network.js'

const NODES = `
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDR: 10.244.1.0/24}
status: {addresses: [{type: InternalIP, address: 192.168.10.11}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-0}
spec: {nodeName: n1, containers: [{name: web, image: x, ports: [{containerPort: 80}]}]}
---
`

function network(underlay: string): string {
  return `${NODES}apiVersion: netsim/v1
kind: Network
metadata: {name: default}
spec: {cni: flannel, datastore: kubernetes, clusterCIDR: 10.244.0.0/16, kubeProxy: {mode: none}, underlay: ${underlay}}
`
}

function build(underlay: string) {
  return buildCluster([{ file: 't.yaml', text: network(underlay) }])
}

function errorsOf(underlay: string): string[] {
  return build(underlay).problems.flatMap(({ severity, what, line }) => (severity === 'error' ? [`${line}: ${what}`] : []))
}

describe('hosts beyond the cluster', () => {
  it('stand on the segment that their address is in, else on one of their own', () => {
    const { cluster } = build('{hosts: [{name: near, address: 192.168.10.200}, {name: far, address: 203.0.113.7}]}')
    expect(cluster.outsideHosts.map(({ name, segment, gateway, prefixLength }) => [name, segment, formatIp(gateway), prefixLength])).toEqual([
      ['near', 's0', '192.168.10.254', 24],
      ['far', 'outside-far', '203.0.113.254', 24],
    ])
  })

  it.each([
    ['no router listed', '{hosts: [{name: far, address: 203.0.113.7}]}'],
    [
      'a router listed on the nodes’ segment alone',
      '{segments: [{name: a, cidr: 192.168.10.0/24}], routers: [{name: r, segments: [a]}], hosts: [{name: far, address: 203.0.113.7}]}',
    ],
  ])('are reached, with %s, and see the node in place of the pod', (_, underlay) => {
    const { document: there } = answer(networkOf(network(underlay)), 'web-0', 'host/far:443')
    expect(there.disposition).toBe('DELIVERED')
    expect(there.result.server).toMatchObject({ netns: 'host/far', address: '203.0.113.7', port: 443, sees: { address: '192.168.10.11' } })
    expect(answer(networkOf(network(underlay)), 'host/far', 'node/n1').document.disposition).toBe('DELIVERED')
  })

  it('listen where they say, and everywhere where they say nothing', () => {
    const one = networkOf(network('{hosts: [{name: db, address: 192.168.10.200, ports: [5432, "53/udp"]}]}'))
    expect(answer(one, 'web-0', 'host/db:5432').document.disposition).toBe('DELIVERED')
    expect(answer(one, 'web-0', 'host/db:53', { proto: 'udp' }).document.disposition).toBe('DELIVERED')
    expect(answer(one, 'web-0', 'host/db:80').document.disposition).toBe('NO_SOCKET')
  })

  it('have no frames in a trace: they are no netns of the cluster', () => {
    const { forward } = answer(networkOf(network('{hosts: [{name: far, address: 203.0.113.7}]}')), 'web-0', 'host/far:443').document
    expect(new Set(forward.frames.map(({ netns }) => netns))).toEqual(new Set(['default/web-0', 'n1']))
  })

  it.each([
    ['two of one name', '{hosts: [{name: a, address: 203.0.113.7}, {name: a, address: 203.0.113.8}]}', 'two hosts are called a'],
    ['two of one address', '{hosts: [{name: a, address: 203.0.113.7}, {name: b, address: 203.0.113.7}]}', 'b and a both have 203.0.113.7'],
    ['the address of a node', '{hosts: [{name: a, address: 192.168.10.11}]}', "192.168.10.11 is node n1's"],
    ['the broadcast address', '{hosts: [{name: a, address: 192.168.10.255}]}', '192.168.10.255 is no host address of segment s0'],
    ['a gateway elsewhere', '{hosts: [{name: a, address: 203.0.113.7, gateway: 10.0.0.1}]}', 'its gateway 10.0.0.1 is not in its segment'],
    ['a port that is none', '{hosts: [{name: a, address: 203.0.113.7, ports: [70000]}]}', '70000 is no port of host a'],
  ])('are refused with %s', (_, underlay, what) => {
    expect(errorsOf(underlay).join('\n')).toContain(what)
  })
})
