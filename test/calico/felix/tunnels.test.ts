/** Devices and routes of each mode as section 4 of the reference page has them, in ip's own words. */
import { describe, expect, it } from 'vitest'
import { ip } from '../../../src/base/ip.js'
import { formatMac } from '../../../src/base/mac.js'
import type { FelixSettings } from '../../../src/cluster/calico/felix-configuration.js'
import type { IPPool } from '../../../src/cluster/calico/ip-pool.js'
import { renderTunnels, type TunnelPart } from '../../../src/calico/felix/tunnels.js'
import { clusterRoutes, poolTypeOf, type RouteInputs } from '../../../src/calico/felix/cluster-routes.js'
import { printFdb } from '../../../src/dataplane/bridge-fdb.js'
import { printNeighbours } from '../../../src/dataplane/ip-neigh.js'
import { printRoute } from '../../../src/dataplane/ip-route.js'
import { printRules } from '../../../src/dataplane/ip-rule.js'
import { felixConfig } from './kit.js'
import { pool, prefix } from '../kit.js'

const address = (text: string, length = 24) => ({ address: ip(text), length })
const KEY = (letter: string): string => `${letter.repeat(43)}=`

/** n1 asks; n2 is in its subnet, n3 is not, and has a block of /32 for its tunnel, and a workload in n1's block. */
function inputs(pools: readonly IPPool[]): RouteInputs {
  return {
    pools,
    nodes: [
      { name: 'n1', address: address('192.168.10.11'), ipipTunnelAddress: ip('10.0.0.1'), vxlanTunnelAddress: ip('10.0.0.1'), wireguardPublicKey: KEY('A') },
      {
        name: 'n2',
        address: address('192.168.10.12'),
        ipipTunnelAddress: ip('10.0.0.65'),
        vxlanTunnelAddress: ip('10.0.0.65'),
        wireguardAddress: ip('10.0.0.66'),
        wireguardPublicKey: KEY('B'),
      },
      { name: 'n3', address: address('192.168.20.13'), ipipTunnelAddress: ip('10.0.1.0'), vxlanTunnelAddress: ip('10.0.1.0') },
    ],
    blocks: [
      { cidr: prefix('10.0.0.0/26'), node: 'n1' },
      { cidr: prefix('10.0.0.64/26'), node: 'n2' },
      { cidr: prefix('10.0.0.128/26'), node: 'n3' },
      { cidr: prefix('10.0.1.0/32'), node: 'n3' },
      { cidr: prefix('10.0.2.0/32'), node: 'n1' },
    ],
    workloads: [
      { address: ip('10.0.0.2'), node: 'n1' },
      { address: ip('10.0.0.3'), node: 'n3' },
      { address: ip('10.0.0.70'), node: 'n2' },
    ],
  }
}

function tunnels(mode: Partial<IPPool>, settings: FelixSettings = {}): TunnelPart {
  const pools = [pool('10.0.0.0/16', mode)]
  const type = poolTypeOf(pools[0])
  const config = felixConfig(settings, {
    poolsUse: { ipip: type === 'ipip', vxlan: type === 'vxlan' },
    ipipTunnelAddress: ip('10.0.0.1'),
    vxlanTunnelAddress: ip('10.0.0.1'),
  })
  return renderTunnels({ node: 'n1', config, cluster: inputs(pools), parentDevice: 'eth0' })
}

const routes = (part: TunnelPart): string[] => part.routes.map((route) => printRoute(route, { showTable: true }).trim())

describe('VXLAN', () => {
  it('Always', () => {
    const part = tunnels({ vxlanMode: 'Always' })
    expect(routes(part)).toEqual([
      'blackhole 10.0.0.0/26 proto 80',
      '10.0.0.3 via 10.0.1.0 dev vxlan.calico onlink mtu 1450',
      '10.0.0.64/26 via 10.0.0.65 dev vxlan.calico onlink mtu 1450',
      '10.0.0.128/26 via 10.0.1.0 dev vxlan.calico onlink mtu 1450',
      '10.0.1.0 dev vxlan.calico scope link mtu 1450',
    ])
    expect(printNeighbours(part.neighbours)).toBe(
      '10.0.0.65 dev vxlan.calico lladdr 66:40:24:34:76:fc PERMANENT \n10.0.1.0 dev vxlan.calico lladdr 66:26:c2:ce:28:d0 PERMANENT \n',
    )
    expect(printFdb(part.fdb)).toBe(
      '66:40:24:34:76:fc dev vxlan.calico dst 192.168.10.12 self permanent\n66:26:c2:ce:28:d0 dev vxlan.calico dst 192.168.20.13 self permanent\n',
    )
    expect(part.devices).toMatchObject([
      { kind: 'vxlan', name: 'vxlan.calico', mtu: 1450, vni: 4096, port: 4789, local: ip('192.168.10.11'), link: 'eth0', learning: false },
    ])
  })

  it('CrossSubnet: a node of the own subnet without a tunnel', () => {
    expect(routes(tunnels({ vxlanMode: 'CrossSubnet' }))).toEqual([
      'blackhole 10.0.0.0/26 proto 80',
      '10.0.0.3 via 10.0.1.0 dev vxlan.calico onlink mtu 1450',
      '10.0.0.64/26 via 192.168.10.12 dev eth0 proto 80 onlink',
      '10.0.0.128/26 via 10.0.1.0 dev vxlan.calico onlink mtu 1450',
      '10.0.1.0 dev vxlan.calico scope link mtu 1450',
    ])
  })

  it('a node’s own MAC wins over that of its name', () => {
    const cluster = inputs([pool('10.0.0.0/16', { vxlanMode: 'Always' })])
    const config = felixConfig({}, { poolsUse: { ipip: false, vxlan: true } })
    const nodes = cluster.nodes.map((node) => (node.name === 'n2' ? { ...node, vxlanTunnelMac: '66:00:00:00:00:02' } : node))
    const part = renderTunnels({ node: 'n1', config, cluster: { ...cluster, nodes }, parentDevice: 'eth0' })
    expect(part.fdb.map(({ mac }) => formatMac(mac))[0]).toBe('66:00:00:00:00:02')
  })
})

describe('IPIP and no encapsulation', () => {
  it('are BIRD’s: Felix makes the device alone', () => {
    const part = tunnels({ ipipMode: 'Always' })
    expect(routes(part)).toEqual([])
    expect(part.devices).toMatchObject([{ kind: 'ipip', name: 'tunl0', mtu: 1480, addresses: [{ address: ip('10.0.0.1'), length: 32 }] }])
    expect(tunnels({})).toMatchObject({ devices: [], routes: [] })
  })

  it('unless Felix programs the cluster’s routes', () => {
    const settings = { programClusterRoutes: 'Enabled' }
    expect(routes(tunnels({ ipipMode: 'CrossSubnet' }, settings))).toEqual([
      'blackhole 10.0.0.0/26 proto 80',
      '10.0.0.3 via 192.168.20.13 dev tunl0 proto 80 onlink mtu 1480',
      '10.0.0.64/26 via 192.168.10.12 dev eth0 proto 80 onlink',
      '10.0.0.128/26 via 192.168.20.13 dev tunl0 proto 80 onlink mtu 1480',
      '10.0.1.0 via 192.168.20.13 dev tunl0 proto 80 onlink mtu 1480',
    ])
    expect(routes(tunnels({}, { ...settings, deviceRouteProtocol: 99 })).slice(0, 3)).toEqual([
      'blackhole 10.0.0.0/26 proto 99',
      '10.0.0.3 via 192.168.20.13 dev eth0 proto 99 onlink',
      '10.0.0.64/26 via 192.168.10.12 dev eth0 proto 99 onlink',
    ])
  })
})

describe('WireGuard', () => {
  const part = tunnels({}, { wireguardEnabled: true })

  it('a table of its own, and a throw for whoever has no key', () => {
    expect(routes(part)).toEqual([
      'throw 10.0.0.0/26 table 1',
      'throw 10.0.0.3 table 1',
      '10.0.0.64/26 dev wireguard.cali table 1 scope link',
      '10.0.0.65 dev wireguard.cali table 1 scope link',
      '10.0.0.66 dev wireguard.cali table 1 scope link',
      'throw 10.0.0.128/26 table 1',
      'throw 10.0.1.0 table 1',
      'throw 10.0.2.0 table 1',
    ])
    expect(printRules(part.rules)).toBe('99:\tnot from all fwmark 0x200000/0x200000 lookup 1\n')
  })

  it('peers', () => {
    expect(part.devices).toMatchObject([
      {
        kind: 'wireguard',
        name: 'wireguard.cali',
        mtu: 1440,
        port: 51820,
        fwmark: 0x200000,
        peers: [{ publicKey: KEY('B'), endpoint: { address: ip('192.168.10.12'), port: 51820 } }],
      },
    ])
    const [device] = part.devices
    expect(device.kind === 'wireguard' ? device.peers[0].allowedIps : []).toEqual(['10.0.0.64/26', '10.0.0.65/32', '10.0.0.66/32'].map(prefix))
  })

  it('with host encryption the nodes’ addresses too', () => {
    const encrypted = tunnels({}, { wireguardEnabled: true, wireguardHostEncryptionEnabled: true })
    expect(routes(encrypted).slice(-2)).toEqual(['192.168.10.12 dev wireguard.cali table 1 scope link', 'throw 192.168.20.13 table 1'])
  })
})

describe('whose an address is', () => {
  it('the subnet is judged with the asking node’s own mask', () => {
    const cluster = inputs([pool('10.0.0.0/16', { vxlanMode: 'CrossSubnet' })])
    const wide = { ...cluster, nodes: cluster.nodes.map((node) => (node.name === 'n3' ? { ...node, address: address('192.168.20.13', 16) } : node)) }
    const sameSubnet = (self: string, other: string): boolean | undefined => clusterRoutes(self, wide).find(({ node }) => node === other)?.sameSubnet
    expect([sameSubnet('n3', 'n1'), sameSubnet('n1', 'n3')]).toEqual([true, false])
  })

  it('VXLAN comes first where a pool has both', () => {
    expect(poolTypeOf(pool('10.0.0.0/16', { vxlanMode: 'CrossSubnet', ipipMode: 'Always' }))).toBe('vxlan')
    expect(poolTypeOf(undefined)).toBe('none')
  })
})
