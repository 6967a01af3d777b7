/** A layer 3 fabric: a node in each of two racks, an AS of its own for each rack and each switch; the switches carry the pods' routes. */
import { describe, expect, it } from 'vitest'
import { formatCidr } from '../../../src/base/cidr.js'
import { formatIp, ip } from '../../../src/base/ip.js'
import { BgpWorld } from '../../../src/calico/bgp/bgp-world.js'
import { birdHostOf } from '../../../src/calico/bgp/bird-host.js'
import { showRoutes } from '../../../src/calico/bgp/birdc.js'
import type { BirdConfig } from '../../../src/calico/bgp/config.js'
import { fabricConfig } from '../../../src/calico/bgp/fabric.js'
import { CALICO_BIRD } from '../../../src/calico/bgp/flavour.js'
import { parseRoutes } from '../../../src/dataplane/ip-route.js'
import { prefix } from '../kit.js'
import { config, peer } from './kit.js'

function rackNode(name: string, rack: number): BirdConfig {
  const own = ip(`10.${rack}.0.1`)
  const tor = peer(own, ip(`10.${rack}.0.254`), { name: 'Global_tor', remoteAs: 64600 + rack, localAs: 64512 + rack, passive: false, multihop: true })
  return { ...config(rack, [tor], [prefix(`10.244.${rack}.0/26`)]), name, routerId: own, localAs: 64512 + rack }
}

function device(
  name: string,
  address: string,
): { readonly name: string; readonly addresses: readonly { readonly address: number; readonly length: number }[] } {
  return { name, addresses: [{ address: ip(address), length: 24 }] }
}

function fabric(): BgpWorld {
  const world = new BgpWorld({ flavour: CALICO_BIRD, seed: 1 })
  for (const rack of [1, 2]) {
    world.add(rackNode(`n${rack}`, rack), { devices: [device('eth0', `10.${rack}.0.1`)], aliens: [] })
    const other = 3 - rack
    const router = fabricConfig({
      name: `router/r${rack}`,
      address: ip(`10.${rack}.0.254`),
      asNumber: 64600 + rack,
      peers: [
        { address: ip(`10.${rack}.0.1`), asNumber: 64512 + rack, passive: true },
        { address: ip(`10.9.0.${other}`), asNumber: 64600 + other, sourceAddress: ip(`10.9.0.${rack}`) },
      ],
    })
    world.add(router, { devices: [device('eth0', `10.${rack}.0.254`), device('eth1', `10.9.0.${rack}`)], aliens: [] })
  }
  expect(world.settle()).toBe(true)
  return world
}

describe('two racks', () => {
  const routesOf = (world: BgpWorld, name: string): string[] =>
    (world.birds.get(name)?.kernelRoutes() ?? [])
      .flatMap((route) => (route.via === undefined ? [] : [`${formatCidr(route.destination)} via ${formatIp(route.via)} dev ${route.device}`]))
      .sort()

  it('each hop hands on by the next', () => {
    const world = fabric()
    expect(routesOf(world, 'n1')).toContain('10.244.2.0/26 via 10.1.0.254 dev eth0')
    expect(routesOf(world, 'router/r1')).toContain('10.244.2.0/26 via 10.9.0.2 dev eth1')
    expect(routesOf(world, 'router/r2')).toContain('10.244.2.0/26 via 10.2.0.1 dev eth0')
    expect(showRoutes(world.birds.get('n1')!, { all: true })).toContain('BGP.as_path: 64601 64602 64514')
  })

  it('one AS for all nodes: the path holds the own number, and the route is not taken', () => {
    const world = new BgpWorld({ flavour: CALICO_BIRD, seed: 1 })
    for (const one of fabric().birds.values()) {
      const asOne = (number: number): number => (number === 64513 || number === 64514 ? 64512 : number)
      const peers = one.config.peers.map((each) => ({ ...each, remoteAs: asOne(each.remoteAs), localAs: asOne(each.localAs) }))
      world.add({ ...one.config, localAs: asOne(one.config.localAs), peers }, one.host)
    }
    expect(world.settle()).toBe(true)
    expect(routesOf(world, 'n1').some((line) => line.startsWith('10.244.2.0/26'))).toBe(false)
    expect(routesOf(world, 'router/r1')).toContain('10.244.2.0/26 via 10.9.0.2 dev eth1')
  })
})

describe('a next hop on another subnet', () => {
  it('resolves through the default route: the session is perfect, and the route leads to a router that knows nothing', () => {
    const own = config(1, [], [])
    const [a, b] = [ip('10.1.0.1'), ip('10.2.0.1')]
    const world = new BgpWorld({ flavour: CALICO_BIRD, seed: 1 })
    const add = (name: string, address: number, other: number, gateway: string, block: string): void => {
      const routes = parseRoutes(`default via ${gateway} dev eth0\n`, { file: 'test', line: 1 }).routes
      const devices = [{ name: 'eth0', kind: 'nic' as const, mtu: 1500, up: true, addresses: [{ address, length: 24, scope: 'global' as const }] }]
      const statics = [{ prefix: prefix(block), why: 'block' as const }]
      const exports = { ...own.exports!, blocks: [{ cidr: prefix(block), state: 'confirmed' as const }] }
      world.add({ ...own, name, routerId: address, statics, exports, peers: [peer(address, other)] }, birdHostOf({ devices, routes }))
    }
    add('a', a, b, '10.1.0.254', '10.244.1.0/26')
    add('b', b, a, '10.2.0.254', '10.244.2.0/26')
    expect(world.settle()).toBe(true)
    expect(world.birds.get('a')?.kernelRoutes()).toContainEqual(
      expect.objectContaining({ destination: prefix('10.244.2.0/26'), via: ip('10.1.0.254'), device: 'eth0' }),
    )
    expect(showRoutes(world.birds.get('a')!, { all: false })).toMatch(
      /10\.244\.2\.0\/26 +via 10\.1\.0\.254 on eth0 \[Mesh_10_2_0_1 \S+ from 10\.2\.0\.1\] \* \(100\/\?\) \[i\]/,
    )
  })
})
