/** What confd makes of Calico's resources: who peers with whom, who dials, who reflects, and the text that BIRD gets. */
import { describe, expect, it } from 'vitest'
import { formatCidr } from '../../../src/base/cidr.js'
import { formatIp, ip } from '../../../src/base/ip.js'
import { birdText } from '../../../src/calico/bgp/bird-text.js'
import { birdConfigs, type ConfdInput } from '../../../src/calico/bgp/confd.js'
import type { BirdConfig } from '../../../src/calico/bgp/config.js'
import { runKernelExport } from '../../../src/calico/bgp/filter.js'
import { DEFAULT_CALICO_PROFILE } from '../../../src/calico/version.js'
import type { BGPConfiguration, BGPPeer } from '../../../src/cluster/calico/bgp.js'
import type { CalicoNode } from '../../../src/cluster/calico/calico-node.js'
import { pool, prefix } from '../kit.js'

const PLACE = { file: 'test.yaml', line: 1, labels: {}, annotations: {} }

function node(name: string, address: string, more: Partial<CalicoNode> = {}): CalicoNode {
  return { ...PLACE, name, bgpAddress: { address: ip(address), length: 24 }, bgpAddressAssumed: false, addresses: [ip(address)], ...more }
}

function settings(more: Partial<BGPConfiguration>): BGPConfiguration {
  return {
    ...PLACE,
    name: 'default',
    serviceClusterIPs: [],
    serviceExternalIPs: [],
    serviceLoadBalancerIPs: [],
    communities: [],
    prefixAdvertisements: [],
    ignoredInterfaces: [],
    ...more,
  }
}

function bgpPeer(name: string, more: Partial<BGPPeer>): BGPPeer {
  return { ...PLACE, name, keepOriginalNextHop: false, sourceAddress: 'UseNodeIP', filters: [], ...more }
}

function render(more: Partial<ConfdInput>): Map<string, BirdConfig> {
  const input: ConfdInput = {
    nodes: [],
    ipPools: [pool('192.168.0.0/16')],
    blockAffinities: [],
    bgpConfigurations: [],
    bgpPeers: [],
    bgpFilters: [],
    services: [],
    profile: DEFAULT_CALICO_PROFILE,
    ...more,
  }
  return new Map(birdConfigs(input).map((config) => [config.name, config]))
}

function peersOf(configs: Map<string, BirdConfig>, name: string): string[] {
  return (configs.get(name)?.peers ?? []).map(
    (peer) =>
      `${peer.name} as ${peer.remoteAs}${peer.passive ? ' passive' : ''}${peer.clusterId === undefined ? '' : ` client of ${formatIp(peer.clusterId)}`}`,
  )
}

describe('the mesh', () => {
  it('waits for the peer whose address is the larger text, not the larger number', () => {
    const configs = render({ nodes: [node('a', '10.0.0.9'), node('b', '10.0.0.10'), node('c', '10.0.0.11')] })
    expect(peersOf(configs, 'a')).toEqual(['Mesh_10_0_0_10 as 64512', 'Mesh_10_0_0_11 as 64512'])
    expect(peersOf(configs, 'b')).toEqual(['Mesh_10_0_0_11 as 64512 passive', 'Mesh_10_0_0_9 as 64512 passive'])
  })

  it('knows the numbers of the cluster and of a node, and leaves out whoever has no address or reflects', () => {
    const nodes = [
      node('a', '10.0.0.1'),
      node('b', '10.0.0.2', { asNumber: 65001 }),
      node('r', '10.0.0.3', { routeReflectorClusterID: '10.0.0.3' }),
      { ...node('x', '10.0.0.4'), bgpAddress: undefined },
    ]
    const configs = render({ nodes, bgpConfigurations: [settings({ asNumber: 64999 })] })
    expect(peersOf(configs, 'a')).toEqual(['Mesh_10_0_0_2 as 65001 passive'])
    expect(peersOf(configs, 'b')).toEqual(['Mesh_10_0_0_1 as 65001'])
    expect(peersOf(configs, 'r')).toEqual([])
    expect([...configs.keys()]).toEqual(['a', 'b', 'r'])
  })
})

describe('reflectors', () => {
  const nodes = [
    node('a', '10.0.0.1'),
    node('b', '10.0.0.2'),
    node('r1', '10.0.0.11', { routeReflectorClusterID: '1.0.0.1', labels: { reflector: 'true' } }),
    node('r2', '10.0.0.12', { routeReflectorClusterID: '1.0.0.1', labels: { reflector: 'true' } }),
  ]
  const peers = [
    bgpPeer('to-reflectors', { nodeSelector: '!has(reflector)', peerSelector: 'has(reflector)' }),
    bgpPeer('reflectors', { nodeSelector: 'has(reflector)', peerSelector: 'has(reflector)' }),
  ]
  const off = [settings({ nodeToNodeMeshEnabled: false })]

  it('of one cluster: clients of both, equals among themselves; nobody waits; the reverse peerings are there', () => {
    const configs = render({ nodes, bgpPeers: peers, bgpConfigurations: off })
    expect(peersOf(configs, 'a')).toEqual(['Node_10_0_0_11 as 64512', 'Node_10_0_0_12 as 64512'])
    expect(peersOf(configs, 'r1')).toEqual(['Node_10_0_0_1 as 64512 client of 1.0.0.1', 'Node_10_0_0_12 as 64512', 'Node_10_0_0_2 as 64512 client of 1.0.0.1'])
  })

  it('of different clusters are clients of one another', () => {
    const other = nodes.map((one) => (one.name === 'r2' ? { ...one, routeReflectorClusterID: '1.0.0.2' } : one))
    const configs = render({ nodes: other, bgpPeers: peers, bgpConfigurations: off })
    expect(peersOf(configs, 'r1')).toContain('Node_10_0_0_12 as 64512 client of 1.0.0.1')
    expect(peersOf(configs, 'r2')).toContain('Node_10_0_0_11 as 64512 client of 1.0.0.2')
  })

  it('reversePeering: Manual leaves the other end out', () => {
    const configs = render({ nodes, bgpPeers: [bgpPeer('p', { node: 'a', peerSelector: 'has(reflector)', reversePeering: 'Manual' })], bgpConfigurations: off })
    expect(peersOf(configs, 'a')).toHaveLength(2)
    expect(peersOf(configs, 'r1')).toEqual([])
  })
})

describe('global peers', () => {
  it('a router outside: every node, nobody waits, TTL security and port', () => {
    const configs = render({
      nodes: [node('a', '10.0.0.1')],
      bgpPeers: [bgpPeer('tor', { peerIP: ip('10.0.0.254'), peerPort: 1790, asNumber: 64513, ttlSecurity: 1 })],
    })
    expect(configs.get('a')?.peers).toEqual([
      expect.objectContaining({ name: 'Global_10_0_0_254_port_1790', port: 1790, remoteAs: 64513, passive: false, ttlSecurity: 1, multihop: true }),
    ])
  })

  it('a node named by its address waits by the same order of texts, and is not peered with twice', () => {
    const configs = render({
      nodes: [node('a', '10.0.0.1'), node('b', '10.0.0.2')],
      bgpPeers: [bgpPeer('b', { peerIP: ip('10.0.0.2'), asNumber: 64512 })],
      bgpConfigurations: [settings({ nodeToNodeMeshEnabled: false })],
    })
    expect(peersOf(configs, 'a')).toEqual(['Global_10_0_0_2 as 64512 passive'])
    expect(peersOf(configs, 'b')).toEqual(['Node_10_0_0_1 as 64512'])
  })
})

describe('blocks, pools and services', () => {
  const affinity = (cidr: string, state: 'confirmed' | 'pending' = 'confirmed') => ({
    ...PLACE,
    name: cidr,
    node: 'a',
    type: 'host' as const,
    cidr: prefix(cidr),
    state,
  })

  it('a blackhole for each block but single addresses; pending ones count as none', () => {
    const config = render({
      nodes: [node('a', '10.0.0.1')],
      blockAffinities: [affinity('192.168.1.0/26'), affinity('192.168.2.1/32'), affinity('192.168.3.0/26', 'pending')],
    }).get('a')!
    expect(config.statics.map(({ prefix: one }) => formatCidr(one))).toEqual(['192.168.1.0/26'])
    expect(config.exports?.blocks.map(({ cidr }) => formatCidr(cidr))).toEqual(['192.168.1.0/26', '192.168.2.1/32'])
  })

  it.each([
    ['none', pool('192.168.0.0/16'), {}],
    ['IPIP Always', pool('192.168.0.0/16', { ipipMode: 'Always' }), { tunnel: 'tunl0' }],
    ['IPIP CrossSubnet to a node of the own subnet', pool('192.168.0.0/16', { ipipMode: 'CrossSubnet' }), {}],
    ['VXLAN', pool('192.168.0.0/16', { vxlanMode: 'Always' }), undefined],
  ] as const)('a route of a pool in the kernel: %s', (_name, one, wanted) => {
    const { kernel } = render({ nodes: [node('a', '10.0.0.1')], ipPools: [one] }).get('a')!
    const attributes = { origin: 0, asPath: [], nextHop: ip('10.0.0.2'), localPreference: 2147482623 }
    const verdict = runKernelExport(kernel, {
      prefix: prefix('192.168.7.0/26'),
      protocol: 'Mesh_10_0_0_2',
      kind: 'bgp',
      source: 1,
      preference: 100,
      destination: { kind: 'router', gateway: ip('10.0.0.2'), device: 'eth0' },
      bgp: { attributes, from: ip('10.0.0.2'), peerId: ip('10.0.0.2'), internal: true, remoteAs: 64512, igpMetric: 0, stale: false },
      changedNs: 0,
    })
    expect(verdict).toEqual(wanted === undefined ? undefined : { metric: 1024, preference: 100, ...wanted })
  })

  it('service ranges from every node, a Local service from the nodes with an endpoint', () => {
    const net = (text: string) => ({ family: 4 as const, cidr: prefix(text), text })
    const configs = render({
      nodes: [
        node('a', '10.0.0.1'),
        node('b', '10.0.0.2'),
        node('c', '10.0.0.3', { labels: { 'node.kubernetes.io/exclude-from-external-load-balancers': 'true' } }),
      ],
      bgpConfigurations: [settings({ serviceClusterIPs: [net('10.96.0.0/12')] })],
      services: [
        {
          name: 'default/local',
          type: 'NodePort',
          clusterIPs: [ip('10.96.0.7')],
          externalIPs: [],
          loadBalancerIPs: [],
          externalTrafficPolicy: 'Local',
          endpointNodes: ['a'],
        },
        {
          name: 'default/cluster',
          type: 'NodePort',
          clusterIPs: [ip('10.96.0.8')],
          externalIPs: [],
          loadBalancerIPs: [],
          externalTrafficPolicy: 'Cluster',
          endpointNodes: ['a', 'b'],
        },
      ],
    })
    const announced = (name: string): string[] => (configs.get(name)?.exports?.services ?? []).map(formatCidr)
    expect(announced('a')).toEqual(['10.96.0.0/12', '10.96.0.7/32'])
    expect(announced('b')).toEqual(['10.96.0.0/12'])
    expect(announced('c')).toEqual([])
    expect(configs.get('c')?.kernel.rejected.map(formatCidr)).toEqual(['10.96.0.0/12'])
  })
})

describe('the text', () => {
  it('says of a mesh peer what confd says', () => {
    const config = render({ nodes: [node('a', '10.192.0.2'), node('b', '10.192.0.3')], ipPools: [pool('192.168.0.0/16', { ipipMode: 'CrossSubnet' })] }).get(
      'a',
    )!
    const text = birdText(config, 'calico')
    expect(text).toContain(`protocol bgp Mesh_10_192_0_3 from bgp_template {
  neighbor 10.192.0.3 as 64512;
  source address 10.192.0.2;
  import filter {
    if (defined(bgp_local_pref)&&(bgp_local_pref > 2147482623)) then
      preference = 200;
    accept;
  };
  export filter {
    if (defined(source) && source = RTS_BGP && defined(bgp_local_pref)) then {
      krt_metric = 2147483647 - bgp_local_pref;
    } else {
      if (!defined(krt_metric)) then { krt_metric = 1024; }
      bgp_local_pref = 2147483647 - krt_metric;
    }
    calico_export_to_bgp_peers(true);
    reject;
  };
  passive on;
}`)
    expect(text).toContain(
      '  if (net ~ 192.168.0.0/16) then { if (defined(bgp_next_hop)&&(bgp_next_hop ~ 10.192.0.0/24)) then krt_tunnel=""; else krt_tunnel="tunl0"; accept; }',
    )
  })
})
