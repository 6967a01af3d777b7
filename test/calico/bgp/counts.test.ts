/** Sessions, messages, bytes and times of BIRD against those counted with tcpdump between real BIRD 1.6.8 and 2.0.12 daemons on one bridge. */
import { describe, expect, it } from 'vitest'
import { formatCidr } from '../../../src/base/cidr.js'
import { formatIp } from '../../../src/base/ip.js'
import { BgpWorld } from '../../../src/calico/bgp/bgp-world.js'
import type { BirdConfig } from '../../../src/calico/bgp/config.js'
import { BIRD_1, host, mesh, reflectors } from './kit.js'

function started(configs: readonly BirdConfig[]): BgpWorld {
  const world = new BgpWorld({ flavour: BIRD_1, seed: 1 })
  for (const config of configs) world.add(config, host(Number(config.name.slice(1))))
  expect(world.settle()).toBe(true)
  return world
}

function nextHops(world: BgpWorld, name: string): string[] {
  return (world.birds.get(name)?.kernelRoutes() ?? [])
    .map(
      (route) =>
        `${formatCidr(route.destination)} ${route.via === undefined ? route.type : `via ${formatIp(route.via)} dev ${route.device}`} ${route.metric ?? 0}`,
    )
    .sort()
}

describe('a mesh from cold', () => {
  it.each([
    [2, 1, 316],
    [5, 10, 3160],
    [10, 45, 14_220],
    [20, 190, 60_040],
    [40, 780, 246_480],
  ])('%i nodes: %i sessions, %i bytes', (nodes, sessions, bytes) => {
    const { counts, lastKernelChangeNs } = started(mesh(nodes))
    expect(counts).toEqual({
      open: 2 * sessions,
      keepalive: 2 * sessions,
      updates: nodes * (nodes - 1),
      prefixes: nodes * (nodes - 1),
      endOfRib: 2 * sessions,
      notification: 0,
      refresh: 0,
      withdrawals: 0,
      bytes,
    })
    expect(lastKernelChangeNs / 1e9).toBeGreaterThan(2)
    expect(lastKernelChangeNs / 1e9).toBeLessThan(2.2)
  })

  it('gives node 3 of 5 the routes of the recorded one', () => {
    expect(nextHops(started(mesh(5)), 'n3')).toEqual([
      '10.244.1.0/26 via 10.0.0.1 dev eth0 1024',
      '10.244.2.0/26 via 10.0.0.2 dev eth0 1024',
      '10.244.3.0/26 blackhole 0',
      '10.244.4.0/26 via 10.0.0.4 dev eth0 1024',
      '10.244.5.0/26 via 10.0.0.5 dev eth0 1024',
    ])
  })
})

describe('route reflectors that wait for their clients', () => {
  const same = (count: number): string[] => Array.from({ length: count }, () => '10.0.0.201')
  const different = (count: number): string[] => Array.from({ length: count }, (_, i) => `10.0.0.${201 + i}`)
  it.each([
    [5, same(1), 5, 25, 2655],
    [10, same(1), 10, 100, 8660],
    [20, same(1), 20, 400, 30_720],
    [5, same(2), 11, 60, 6190],
    [10, same(2), 21, 220, 18_870],
    [10, different(2), 21, 400, 31_650],
    [10, same(3), 33, 360, 30_630],
  ])('%i clients, clusters %j: %i sessions, %i prefixes, %i bytes', (clients, clusterIds, sessions, prefixes, bytes) => {
    const world = started(reflectors(clients, clusterIds))
    expect(world.counts).toMatchObject({ open: 2 * sessions, prefixes, bytes })
    // the next hop stays the origin: data never crosses a reflector
    expect(nextHops(world, 'n2')).toContain('10.244.1.0/26 via 10.0.0.1 dev eth0 1024')
    expect(nextHops(world, 'n2')).toHaveLength(clients)
  })
})
