/** flannel on AWS and GCE: the fabric in place of a router, the routes that flanneld writes into it, and its check of addresses. */
import { describe, expect, it } from 'vitest'
import { printRoutes } from '../../src/dataplane/ip-route.js'
import { flannelCluster, leaseValue, NODES, type ClusterWords } from '../kit/flannel-cluster.js'
import { buildText, networkOf, type Ask } from '../kit/network.js'
import { at, look, type Sighting } from '../kit/sighting.js'

const S0 = { name: 's0', cidr: '192.168.0.0/24', router: '192.168.0.254' }
const S1 = { name: 's1', cidr: '192.168.1.0/24', router: '192.168.1.254' }
const vpc = (cloud: string, more: object = {}): Record<string, unknown> => ({ segments: [S0], routers: [{ name: 'vpc', cloud, segments: ['s0'], ...more }] })

function ask(words: ClusterWords, destination = 'pod-b:9000', request: Ask = { proto: 'udp' }, source = 'pod-a'): Sighting {
  return look(networkOf(flannelCluster(words)), source, destination, request)
}

const fabricRoutes = (words: ClusterWords, router = 'vpc'): string[] =>
  printRoutes(networkOf(flannelCluster(words)).dataplanes.get(`router/${router}`)?.routes ?? [])
    .trim()
    .split('\n')
    .map((line) => line.trim())

describe.each(['aws-vpc', 'gce'] as const)('%s', (backend) => {
  const cloud = backend === 'gce' ? 'gce' : 'aws'

  it('the implicit router is the fabric, and so is one that is told to be', () => {
    expect(ask({ backend }).disposition).toBe('DELIVERED')
    expect(ask({ backend, underlay: vpc(cloud) }).disposition).toBe('DELIVERED')
  })

  it('a listed router that is no cloud, or another one, ends flanneld', () => {
    for (const [underlay, what] of [
      [{ segments: [S0], routers: [{ name: 'r0', segments: ['s0'] }] }, 'the node is on no cloud'],
      [vpc(cloud === 'aws' ? 'gce' : 'aws'), `the node is on a cloud of ${cloud === 'aws' ? 'gce' : 'aws'}`],
    ] as const) {
      const { problems } = buildText(flannelCluster({ backend, underlay }))
      expect(problems.map((problem) => `${problem.severity} ${problem.what}`)).toContain(`error flanneld cannot start with backend ${backend}: ${what}`)
    }
  })

  it('no hop: TTL is left alone, probes of any TTL get nothing from it, and it answers no ping', () => {
    const seen = ask({ backend }, 'pod-b', { ttl: 3 })
    expect(at(seen, { netns: 'host-b', device: 'eth0', direction: 'rx' })).toMatchObject([{ ttl: 2, src: '10.1.15.2' }])
    expect(ask({ backend }, 'pod-b', { ttl: 2 })).toMatchObject({ disposition: 'TTL_EXCEEDED', netns: 'host-b', answer: 'icmp 11/0 from 192.168.0.200' })
    expect(ask({ backend }, '192.168.0.254', {}).answer).toBe('')
    expect(ask({ backend }, '10.1.99.9', {})).toMatchObject({ disposition: 'NO_ROUTE', netns: 'router/router', answer: '' })
  })

  it('sends no redirect, though it routes back onto the segment', () => {
    const seen = ask({ backend }, 'pod-b', {})
    expect(seen.sights.filter(({ proto, sport }) => proto === 1 && sport >> 8 === 5)).toEqual([])
  })

  it('a node without a lease has no route', () => {
    const words: ClusterWords = { backend, leases: { '10.1.30.0-24': leaseValue(backend, '192.168.0.30') } }
    expect(fabricRoutes(words, 'router').filter((line) => line.startsWith('10.1.'))).toHaveLength(2)
    expect(ask(words, '10.1.30.5:9000')).toMatchObject({ disposition: 'NO_ROUTE', netns: 'router/router', answer: '' })
  })
})

describe('the route table', () => {
  it('aws-vpc: each flanneld writes its own subnet, in place of what stood there, and takes blackholes in the Network away', () => {
    const routes = ['10.1.20.0/24 via 192.168.0.9', 'blackhole 10.1.77.0/24', 'blackhole 10.9.0.0/24']
    expect(fabricRoutes({ backend: 'aws-vpc', underlay: vpc('aws', { routes }) }).sort()).toEqual([
      '10.1.15.0/24 via 192.168.0.100 dev eth0',
      '10.1.20.0/24 via 192.168.0.200 dev eth0',
      '192.168.0.0/24 dev eth0 proto kernel scope link src 192.168.0.254',
      'blackhole 10.9.0.0/24',
    ])
  })

  it('gce: priority 1000, beside what stands there; a route of a smaller number wins', () => {
    const routes = ['10.1.20.0/24 via 192.168.0.9 metric 900', 'blackhole 10.1.77.0/24']
    const words: ClusterWords = { backend: 'gce', underlay: vpc('gce', { routes }) }
    expect(fabricRoutes(words)).toEqual(
      expect.arrayContaining([
        '10.1.15.0/24 via 192.168.0.100 dev eth0 metric 1000',
        '10.1.20.0/24 via 192.168.0.200 dev eth0 metric 1000',
        '10.1.20.0/24 via 192.168.0.9 dev eth0 metric 900',
        'blackhole 10.1.77.0/24',
      ]),
    )
    expect(ask(words)).toMatchObject({ netns: 'router/vpc', disposition: 'NEIGHBOR_FAILED' })
  })

  it('AWS takes 50 routes in a table: one more and it is said', () => {
    const warnings = (count: number): string[] => {
      const nodes = Array.from({ length: count }, (_, index) => ({ name: `n${index}`, address: `192.168.0.${index + 1}` }))
      const leases = Object.fromEntries(nodes.map(({ address }, index) => [`10.1.${index + 100}.0-24`, leaseValue('aws-vpc', address)]))
      const words: ClusterWords = { backend: 'aws-vpc', nodes, pods: [], leases: { '10.1.15.0-24': null, '10.1.20.0-24': null, ...leases } }
      return buildText(flannelCluster(words)).problems.map(({ severity, what }) => `${severity}: ${what}`)
    }
    expect(warnings(50)).toEqual([])
    expect(warnings(51)).toEqual([expect.stringContaining('warning: 51 nodes want a route; AWS allows 50 in a route table')])
  })

  it('a step of the fabric names flanneld and the lease', () => {
    const network = networkOf(flannelCluster({ backend: 'aws-vpc' }))
    const route = network.dataplanes.get('router/router')?.routes.find(({ via }) => via !== undefined)
    expect(route?.provenance).toEqual({ by: 'flanneld', object: 'lease 10.1.15.0/24' })
  })

  it('two segments of one VPC: the node’s segment says which way out', () => {
    const underlay = { segments: [S0, S1], routers: [{ name: 'vpc', cloud: 'aws', segments: ['s0', 's1'] }] }
    const text = flannelCluster({ backend: 'aws-vpc', underlay, nodes: [NODES[0], { name: 'host-b', address: '192.168.1.200' }] })
    const network = networkOf(text.replaceAll('192.168.0.200', '192.168.1.200'))
    expect(look(network, 'pod-a', 'pod-b:9000', { proto: 'udp' }).disposition).toBe('DELIVERED')
    const written = network.dataplanes.get('router/vpc')?.routes.filter(({ via }) => via !== undefined)
    expect(written?.map(({ device }) => device)).toEqual(['eth0', 'eth1'])
  })
})

describe('source/destination check', () => {
  const SENDER = 'source/destination check of the ENI/instance: the packet is from an address that its card does not have'
  const RECEIVER = 'source/destination check of the ENI/instance: the packet is for an address that the card it goes to does not have'

  it('host-gw on a cloud: the first host’s card may not send for its pods; with a tunnel nothing is to be seen of them', () => {
    for (const cloud of ['aws', 'gce']) {
      const lost = ask({ backend: 'host-gw', underlay: vpc(cloud) })
      expect(lost).toMatchObject({ disposition: 'DENIED', netns: 'host-a', cause: SENDER, answer: '' })
      expect(at(lost, { netns: 'host-a', device: 'eth0', direction: 'tx' })).toHaveLength(1)
      for (const backend of ['udp', 'vxlan', 'ipip', 'wireguard'] as const) expect(ask({ backend, underlay: vpc(cloud) }).disposition).toBe('DELIVERED')
    }
  })

  it('off on the sender alone: the receiver’s card may not be sent for its pods', () => {
    const words: ClusterWords = { backend: 'host-gw', underlay: vpc('aws'), hosts: { 'host-a': { sourceDestinationCheck: false } } }
    expect(ask(words)).toMatchObject({ disposition: 'DENIED', netns: 'host-a', cause: RECEIVER, answer: '' })
  })

  it('off on both, or on the segment: host-gw works on a cloud', () => {
    const off = { sourceDestinationCheck: false }
    expect(ask({ backend: 'host-gw', underlay: vpc('aws'), hosts: { 'host-a': off, 'host-b': off } }).disposition).toBe('DELIVERED')
    const underlay = { segments: [{ ...S0, ...off }], routers: [{ name: 'vpc', cloud: 'aws', segments: ['s0'] }] }
    expect(ask({ backend: 'host-gw', underlay }).disposition).toBe('DELIVERED')
  })

  it('a segment may check without a cloud', () => {
    const underlay = { segments: [{ ...S0, sourceDestinationCheck: true }] }
    expect(ask({ backend: 'host-gw', underlay })).toMatchObject({ disposition: 'DENIED', cause: SENDER })
    expect(ask({ backend: 'vxlan', underlay }).disposition).toBe('DELIVERED')
  })

  it('aws-vpc switches it off on its own cards; where it may not, the fabric refuses what it routes there', () => {
    const underlay = { ...vpc('aws'), segments: [{ ...S0, sourceDestinationCheck: true }] }
    expect(ask({ backend: 'aws-vpc', underlay }).disposition).toBe('DELIVERED')
    const refused: ClusterWords = { backend: 'aws-vpc', underlay, hosts: { 'host-b': { sourceDestinationCheck: true } } }
    expect(ask(refused)).toMatchObject({ disposition: 'DENIED', netns: 'router/vpc', cause: RECEIVER })
  })

  it('gce does not: instances are taken to be made with --can-ip-forward unless it is said that they were not', () => {
    expect(ask({ backend: 'gce', hosts: { 'host-a': { sourceDestinationCheck: true } } })).toMatchObject({
      disposition: 'DENIED',
      netns: 'host-a',
      cause: SENDER,
    })
    expect(ask({ backend: 'gce', hosts: { 'host-b': { sourceDestinationCheck: true } } })).toMatchObject({ disposition: 'DENIED', cause: RECEIVER })
    const underlay = { ...vpc('gce'), segments: [{ ...S0, sourceDestinationCheck: true }] }
    expect(ask({ backend: 'gce', underlay })).toMatchObject({ disposition: 'DENIED', cause: SENDER })
  })

  it('what a host sends of its own, and what is masqueraded, has the card’s address and passes', () => {
    const words: ClusterWords = { backend: 'host-gw', underlay: vpc('aws') }
    expect(ask(words, '192.168.0.200', {})).toMatchObject({ disposition: 'DELIVERED' })
    expect(ask(words, '192.168.0.200', {}, 'node/host-a')).toMatchObject({ disposition: 'DELIVERED' })
    expect(ask({ ...words, ipMasq: false, runtime: { iptables: false } }, '192.168.0.200', {})).toMatchObject({ disposition: 'DENIED', cause: SENDER })
  })

  it('ARP is no IPv4 and passes: a cold question finds its neighbours', () => {
    expect(ask({ backend: 'aws-vpc' }, 'pod-b:9000', { proto: 'udp', cold: true }).disposition).toBe('DELIVERED')
  })
})
