/** What happens to sessions and kernel routes when something changes or breaks: times, messages and bytes against those measured with real BIRD 1.6.8. */
import { describe, expect, it } from 'vitest'
import { cidr } from '../../../src/base/cidr.js'
import { ip } from '../../../src/base/ip.js'
import { BgpWorld, type BgpWorldOptions } from '../../../src/calico/bgp/bgp-world.js'
import type { Bird } from '../../../src/calico/bgp/bird.js'
import { showProtocols } from '../../../src/calico/bgp/birdc.js'
import type { BirdConfig } from '../../../src/calico/bgp/config.js'
import { BIRD_2 } from '../../../src/calico/bgp/flavour.js'
import { BIRD_1, blockOf, config, host, mesh, nodeAddress, peer } from './kit.js'
import { prefix } from '../kit.js'

function start(configs: readonly BirdConfig[], options: Partial<BgpWorldOptions> = {}): BgpWorld {
  const world = new BgpWorld({ flavour: BIRD_1, seed: 3, ...options })
  for (const config of configs) world.add(config, host(Number(config.name.slice(1))))
  return world
}

function settled(configs: readonly BirdConfig[], options: Partial<BgpWorldOptions> = {}): BgpWorld {
  const world = start(configs, options)
  expect(world.settle()).toBe(true)
  return world
}

function bird(world: BgpWorld, number: number): Bird {
  const found = world.birds.get(`n${number}`)
  if (found === undefined) throw new TypeError(`n${number}`)
  return found
}

function has(world: BgpWorld, number: number, block: number): boolean {
  return bird(world, number)
    .kernelRoutes()
    .some(({ destination }) => destination.base === blockOf(block).base)
}

/** Seconds until no other node of five has the first one's block any more, each by itself; to 0.1 s. */
function lossTimes(world: BgpWorld): number[] {
  const began = world.simulation.nowNs
  const times = new Map<number, number>()
  while (times.size < 4 && world.simulation.nowNs < began + 300e9) {
    world.run(0.1)
    for (const number of [2, 3, 4, 5]) if (!times.has(number) && !has(world, number, 1)) times.set(number, (world.simulation.nowNs - began) / 1e9)
  }
  return [...times.values()]
}

describe('a mesh of five loses a node', () => {
  it('SIGTERM: at once, and the one that left keeps its own routes', () => {
    const world = settled(mesh(5))
    bird(world, 1).shutdown()
    world.run(0.01)
    expect([2, 3, 4, 5].map((number) => has(world, number, 1))).toEqual([false, false, false, false])
    expect(bird(world, 1).kernelRoutes()).toHaveLength(5)
    // Cease, administrative shutdown, to each
    expect(world.counts.notification).toBe(4)
  })

  it('SIGKILL on a host that lives: graceful restart holds the routes for 120 s', () => {
    const world = settled(mesh(5))
    bird(world, 1).kill({ tell: true })
    const times = lossTimes(world)
    expect(times).toHaveLength(4)
    for (const seconds of times) {
      expect(seconds).toBeGreaterThan(119)
      expect(seconds).toBeLessThan(122.2)
    }
  })

  it('the restart time ends with the next turn of the loop, which a quiet daemon makes when it scans the kernel', () => {
    const world = settled(mesh(2), { flavour: BIRD_2 })
    // scans are 2 s apart from the start on, and 120 s are a multiple of that
    world.run(2.5 - ((world.simulation.nowNs / 1e9) % 2))
    const began = world.simulation.nowNs
    bird(world, 1).kill({ tell: true })
    world.run(125)
    expect(has(world, 2, 1)).toBe(false)
    expect((world.lastKernelChangeNs - began) / 1e9).toBeCloseTo(121.5, 2)
  })

  it('SIGKILL and a start with -R after 5 s: no kernel route changes anywhere', () => {
    const configs = mesh(5)
    const world = settled(configs)
    bird(world, 1).kill({ tell: true })
    world.run(5)
    const before = world.lastKernelChangeNs
    const changes: string[] = []
    for (const number of [2, 3, 4, 5]) {
      const { kernel } = bird(world, number)
      const sync = kernel.sync.bind(kernel)
      kernel.sync = (net, aliens) => {
        const changed = sync(net, aliens)
        if (changed) changes.push(`n${number}`)
        return changed
      }
    }
    world.add(configs[0], host(1), { recover: true })
    world.run(10)
    expect(changes).toEqual([])
    expect(world.lastKernelChangeNs).toBeGreaterThan(before)
    expect(bird(world, 1).kernelRoutes()).toHaveLength(5)
    expect([...bird(world, 2).sessions].every(({ phase, restartActive }) => phase === 'up' && !restartActive)).toBe(true)
  })

  it.each([BIRD_1, BIRD_2])('the cable is cut: hold timers expire between 100 and 240 s ($name)', (flavour) => {
    let cut = false
    const world = settled(mesh(5), {
      flavour,
      path: (from, to) => (cut && (from === nodeAddress(1) || to === nodeAddress(1)) ? { kind: 'lost' } : { kind: 'open', delayNs: 50_000 }),
    })
    world.run(500)
    cut = true
    const times = lossTimes(world)
    expect(times).toHaveLength(4)
    expect(Math.min(...times)).toBeGreaterThan(100)
    expect(Math.max(...times)).toBeLessThan(240)
    expect(showProtocols(bird(world, 2))).toMatch(/Mesh_10_0_0_1 .*Hold timer expired/)
  })

  it('its Node object is deleted: Cease 6/3 to it, and it dials in vain for ever', () => {
    const configs = mesh(5)
    const world = settled(configs)
    const rest = mesh(5)
      .slice(1)
      .map((one) => ({ ...one, peers: one.peers.filter(({ neighbour }) => neighbour !== nodeAddress(1)) }))
    for (const one of rest) world.birds.get(one.name)?.reconfigure(one)
    world.run(0.01)
    expect([2, 3, 4, 5].map((number) => has(world, number, 1))).toEqual([false, false, false, false])
    expect(world.counts.notification).toBe(4)
    const opens = world.counts.open
    world.run(60)
    expect(bird(world, 1).sessions.every(({ phase }) => phase === 'start')).toBe(true)
    expect(world.counts.open - opens).toBeLessThan(500)
  })
})

describe('recovery with -R', () => {
  it('all alive: as fast as without', () => {
    const world = settled(mesh(5), { recover: true })
    expect(world.lastKernelChangeNs / 1e9).toBeLessThan(2.2)
  })

  it('one configured peer dead: 240 s without a route', () => {
    const world = start(mesh(5).slice(0, 4), { recover: true })
    world.run(230)
    expect(bird(world, 2).kernelRoutes()).toEqual([])
    world.run(20)
    expect(has(world, 2, 3)).toBe(true)
    expect(world.lastKernelChangeNs / 1e9).toBeGreaterThan(239)
    expect(world.lastKernelChangeNs / 1e9).toBeLessThan(243)
  })
})

describe('two nodes that cannot agree', () => {
  const pair = (change: (configs: BirdConfig[]) => BirdConfig[]): BgpWorld => start(change(mesh(2)))
  const second = (configs: BirdConfig[], edit: Partial<BirdConfig['peers'][number]>): BirdConfig[] => [
    configs[0],
    { ...configs[1], peers: [{ ...configs[1].peers[0], ...edit }] },
  ]

  it('another password: SYNs vanish, and no NOTIFICATION is ever seen', () => {
    const world = pair(([a, b]) => [
      { ...a, peers: [{ ...a.peers[0], password: 'one' }] },
      { ...b, peers: [{ ...b.peers[0], password: 'two' }] },
    ])
    world.run(22)
    expect(world.counts).toMatchObject({ open: 0, notification: 0 })
    expect(showProtocols(bird(world, 2))).toMatch(/Mesh_10_0_0_1 BGP +master +start +\S+ +Connect/)
  })

  it('another AS: NOTIFICATION 2/2 of 25 bytes, and waits of 5, 10, 20, 30 s with two more', () => {
    const lengths: number[] = []
    const times: number[] = []
    const world = pair((configs) =>
      second(configs, { localAs: 64513, remoteAs: 64512 }).map((one, i) =>
        i === 1 ? { ...one, localAs: 64513 } : { ...one, peers: [{ ...one.peers[0], multihop: true }] },
      ),
    )
    for (const daemon of world.birds.values()) {
      const sent = daemon.sent.bind(daemon)
      daemon.sent = (session, message, bytes) => {
        if (message.type === 'notification') {
          lengths.push(bytes)
          times.push(world.simulation.nowNs / 1e9)
          expect(message).toMatchObject({ code: 2, subcode: 2 })
        }
        sent(session, message, bytes)
      }
    }
    world.run(150)
    expect(new Set(lengths)).toEqual(new Set([25]))
    const gaps = times.slice(1).map((time, i) => time - times[i])
    expect(gaps[0]).toBeGreaterThan(5)
    expect(gaps[0]).toBeLessThan(8)
    expect(gaps[2]).toBeGreaterThan(16)
    expect(gaps.at(-1)).toBeGreaterThan(23)
    expect(gaps.at(-1)).toBeLessThan(33)
  })

  it('one router ID for both: NOTIFICATION 2/3 of 21 bytes', () => {
    const world = pair(([a, b]) => [{ ...a, routerId: b.routerId }, b])
    world.run(4)
    const { open, notification, keepalive, updates, bytes } = world.counts
    expect({ open, keepalive, updates }).toEqual({ open: 2, keepalive: 0, updates: 0 })
    expect(bytes).toBe(2 * 63 + notification * 21)
    expect(notification).toBeGreaterThan(0)
  })

  it('TCP 179 dropped on the way: Connect for ever, and no message', () => {
    const world = start(mesh(2), { path: (_from, _to, _source, port) => (port === 179 ? { kind: 'lost' } : { kind: 'open', delayNs: 50_000 }) })
    world.run(300)
    expect(world.counts.bytes).toBe(0)
    expect(showProtocols(bird(world, 2))).toMatch(/Connect/)
    expect(showProtocols(bird(world, 1))).toMatch(/Passive/)
  })
})

describe('changes of one node of five', () => {
  const pods = [ip('10.244.1.2'), ip('10.244.1.3')]
  const withPods = (): BgpWorld => {
    const world = new BgpWorld({ flavour: BIRD_1, seed: 3 })
    for (const one of mesh(5)) {
      const number = Number(one.name.slice(1))
      const aliens = pods.map((pod) => ({
        prefix: cidr(pod, 32),
        destination: { kind: 'device', device: 'cali1' } as const,
        facts: { source: 80, metric: 1024, scope: 253 },
      }))
      world.add(one, { ...host(number), aliens: number === 1 ? aliens : [] })
    }
    expect(world.settle()).toBe(true)
    return world
  }
  const second = prefix('10.244.100.0/26')

  it('a pod in its own block: not a byte', () => {
    const world = withPods()
    const before = world.counts.bytes
    bird(world, 1).alienAdded({ prefix: prefix('10.244.1.9/32'), destination: { kind: 'device', device: 'cali9' }, facts: { source: 80, metric: 1024 } })
    world.run(1)
    expect(world.counts.bytes).toBe(before)
  })

  it('a pod with a borrowed address: one UPDATE of 53 bytes to each, 32 for its end; the block’s owner goes by the /32', () => {
    const world = withPods()
    const before = world.counts.bytes
    const borrowed = prefix('10.244.2.40/32')
    bird(world, 1).alienAdded({ prefix: borrowed, destination: { kind: 'device', device: 'cali9' }, facts: { source: 80, metric: 1024 } })
    world.run(1)
    expect(world.counts.bytes - before).toBe(4 * 53)
    expect(bird(world, 2).kernelRoutes()).toContainEqual(expect.objectContaining({ destination: borrowed, via: nodeAddress(1), device: 'eth0' }))
    bird(world, 1).alienRemoved(borrowed)
    world.run(1)
    expect(world.counts.bytes - before).toBe(4 * (53 + 32))
    expect(
      bird(world, 2)
        .kernelRoutes()
        .some(({ destination }) => destination.base === borrowed.base),
    ).toBe(false)
  })

  it('a second block: BoRR 23, UPDATE 53, withdraw 85, UPDATE 62, EoRR 23 to each; its end 216', () => {
    const world = withPods()
    const before = world.counts.bytes
    const [own] = mesh(5)
    bird(world, 1).reconfigure(config(1, own.peers, [blockOf(1), second]))
    world.run(1)
    expect(world.counts.bytes - before).toBe(4 * 246)
    expect(
      bird(world, 3)
        .kernelRoutes()
        .some(({ destination }) => destination.base === second.base),
    ).toBe(true)
    bird(world, 1).reconfigure(own)
    world.run(1)
    expect(world.counts.bytes - before).toBe(4 * (246 + 216))
    expect(
      bird(world, 3)
        .kernelRoutes()
        .some(({ destination }) => destination.base === second.base),
    ).toBe(false)
  })

  it('SIGHUP with the same files: not a byte', () => {
    const world = withPods()
    const before = world.counts.bytes
    for (const one of mesh(5)) world.birds.get(one.name)?.reconfigure(one)
    world.run(1)
    expect(world.counts.bytes).toBe(before)
  })

  it('two nodes that announce one block give the third two next hops', () => {
    const configs = mesh(3)
    const shared = [configs[0], config(2, configs[1].peers, [blockOf(1)]), configs[2]]
    const world = settled(shared)
    expect(
      bird(world, 3)
        .kernelRoutes()
        .find(({ destination }) => destination.base === blockOf(1).base),
    ).toMatchObject({
      nexthops: [
        { via: nodeAddress(1), device: 'eth0', weight: 1 },
        { via: nodeAddress(2), device: 'eth0', weight: 1 },
      ],
    })
    expect(
      bird(world, 1)
        .kernelRoutes()
        .find(({ destination }) => destination.base === blockOf(1).base),
    ).toMatchObject({ type: 'blackhole' })
  })

  it('a chain A – B – C without a reflector: B knows both, the ends nothing of each other', () => {
    const link = (own: number, other: number): BirdConfig['peers'][number] => peer(nodeAddress(own), nodeAddress(other))
    const world = settled([config(1, [link(1, 2)]), config(2, [link(2, 1), link(2, 3)]), config(3, [link(3, 2)])])
    expect([has(world, 1, 3), has(world, 3, 1), has(world, 2, 1), has(world, 2, 3)]).toEqual([false, false, true, true])
  })
})
