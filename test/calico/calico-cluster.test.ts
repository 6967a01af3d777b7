import { describe, expect, it } from 'vitest'
import { formatCidr } from '../../src/base/cidr.js'
import { formatIp, ip } from '../../src/base/ip.js'
import { buildCalicoCluster } from '../../src/calico/calico-cluster.js'
import { calico, node, pod, world } from './kit.js'

const NODES = node('node1', '10.0.0.1') + node('node2', '10.0.0.2')
const CARD = [{ name: 'eth0', mtu: 1500, up: true }]
const LINKS = new Map([
  ['node1', CARD],
  ['node2', CARD],
])

describe("Calico's view of a cluster", () => {
  it('of nodes and pods alone: the default pool of calico.yaml, IPIP, tunnels, endpoints', () => {
    const { cluster } = world(NODES + pod('a', 'node1') + pod('b', 'node2'))
    const found = buildCalicoCluster(cluster, { cni: 'calico', links: LINKS, seed: 1 })
    expect(found.problems.map(({ severity, what }) => `${severity}: ${what}`)).toEqual([
      'warning: no IPPool is in the input: taken is what calico-node makes at its first start, 192.168.0.0/16',
    ])
    expect(found.resources.ipPools.map((one) => `${one.name} ${formatCidr(one.cidr)} ${one.ipipMode}`)).toEqual(['default-ipv4-ippool 192.168.0.0/16 Always'])
    expect(found.resources.tiers.map(({ name }) => name)).toEqual(['kube-admin', 'default', 'kube-baseline'])
    expect(found.poolsUse).toEqual({ ipip: true, vxlan: false })
    expect(found.mtus.get('node1')).toMatchObject({ host: 1500, ipip: 1480, pod: 1480 })
    expect(formatIp(found.addresses.tunnels.get('node1')?.ipip ?? 0)).toBe('192.168.166.128')
    expect(found.endpoints.get('node1')?.map(({ pod: name, ipNetworks }) => `${name} ${ipNetworks.map(formatCidr).join()}`)).toEqual(['a 192.168.166.129/32'])
    expect(found.felixSettings.get('node2')).toMatchObject({ defaultEndpointToHostAction: 'ACCEPT', ipv6Support: false })
  })

  it('of Canal: addresses come from elsewhere, no tunnels, no BGP addresses', () => {
    const { cluster } = world(NODES + pod('a', 'node1'))
    const found = buildCalicoCluster(cluster, { cni: 'canal', hostLocal: () => new Map([['default/a', ip('10.244.0.2')]]), links: LINKS, seed: 1 })
    expect(found.problems).toEqual([])
    expect(found.manifest.backend).toBe('none')
    expect(found.addresses.blocks).toEqual([])
    expect(found.resources.nodes.every(({ bgpAddress }) => bgpAddress === undefined)).toBe(true)
    expect(found.endpoints.get('node1')?.[0].ipNetworks.map(formatCidr)).toEqual(['10.244.0.2/32'])
    expect(found.mtus.get('node1')?.pod).toBe(1500)
  })

  it('of WireGuard on one node: only there an address for it', () => {
    const text = NODES + calico('IPPool', 'p', '{cidr: 192.168.0.0/16}') + calico('FelixConfiguration', 'node.node2', '{wireguardEnabled: true}')
    const { cluster } = world(text)
    const found = buildCalicoCluster(cluster, { cni: 'calico', links: LINKS, seed: 1 })
    expect([...found.addresses.tunnels].map(([name, tunnels]) => [name, Object.keys(tunnels)])).toEqual([['node2', ['wireguard']]])
    expect([found.mtus.get('node1')?.pod, found.mtus.get('node2')?.pod]).toEqual([1500, 1440])
  })

  it('of a release that is not known, and of service accounts and endpoints that stand as objects', () => {
    const network = 'apiVersion: netsim/v1\nkind: Network\nmetadata: {name: default}\nspec: {cni: calico, calico: {version: "3.20"}}\n---\n'
    const account = 'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: robot, labels: {role: dev}}\n---\n'
    const endpoint = calico('WorkloadEndpoint', 'w', '{node: node1, pod: a, interfaceName: cali1, ipNetworks: [192.168.1.1/32]}', {
      metadata: ', namespace: default',
    })
    const { cluster } = world(NODES + network + account + endpoint + pod('a', 'node1', { address: '192.168.1.1' }))
    const found = buildCalicoCluster(cluster, { cni: 'calico', links: LINKS, seed: 1 })
    expect(found.problems.map(({ what }) => what)).toEqual([
      'Calico 3.20 is taken to behave as 3.32.1',
      'no IPPool is in the input: taken is what calico-node makes at its first start, 192.168.0.0/16',
    ])
    expect(found.serviceAccounts).toEqual([{ namespace: 'default', name: 'robot', labels: { role: 'dev' } }])
    expect(found.endpoints.get('node1')?.map(({ interfaceName }) => interfaceName)).toEqual(['cali1'])
  })
})
