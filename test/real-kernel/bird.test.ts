/**
 * Real BIRD beside the model: the configuration that netsim prints runs in namespaces, and every node's kernel must hold the routes that the model
 * says, by the same next hops. Sessions and messages are counted on the wire too.
 * Daemons run in real time, and another program may hold the machine for seconds: each is tried a second time before it is told.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { ip } from '../../src/base/ip.js'
import { BgpWorld, type MessageCounts } from '../../src/calico/bgp/bgp-world.js'
import type { BirdConfig } from '../../src/calico/bgp/config.js'
import { BIRD_2 } from '../../src/calico/bgp/flavour.js'
import type { RouteSpec } from '../../src/dataplane/dataplane.js'
import { printRoutes } from '../../src/dataplane/ip-route.js'
import { BIRD_1, host, mesh, POOL, reflectors } from '../calico/bgp/kit.js'
import { bgpManifest, type BgpManifest } from '../calico/bgp/manifest.js'
import { networkOf } from '../kit/network.js'
import { BirdLab, realBirds, type Traffic } from './bird-lab.js'

const WAIT_MS = 30_000

/** As `ip route show proto bird` prints them. */
function routeLines(routes: readonly RouteSpec[]): string[] {
  return printRoutes(routes)
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(' proto bird', '').trim())
    .sort()
}

/** Until that holds, or the time is over: what is then asserted says which. */
async function until(holds: () => boolean, ms = WAIT_MS): Promise<void> {
  const deadline = performance.now() + ms
  while (performance.now() < deadline && !holds()) await new Promise((resolve) => setTimeout(resolve, 300))
}

function isSaid(said: Traffic, { open, updates, endOfRib }: MessageCounts): boolean {
  return said.opens >= open && said.updates >= updates && said.endOfRib >= endOfRib
}

let lab: BirdLab | undefined
afterEach(() => {
  lab?.stop()
  lab = undefined
})

const cases: readonly (readonly [string, () => BirdConfig[]])[] = [
  ['a mesh of 5', () => mesh(5)],
  ['5 clients of 1 reflector', () => reflectors(5, ['10.0.0.201'])],
  ['5 clients of 2 reflectors in one cluster', () => reflectors(5, ['10.0.0.201', '10.0.0.201'])],
  ['5 clients of 2 reflectors in clusters of their own', () => reflectors(5, ['10.0.0.201', '10.0.0.202'])],
]

const birds = realBirds()

it('finds the BIRDs that can be run here: none without root', () => {
  expect(birds.every(({ path }) => path.startsWith('/'))).toBe(true)
})

describe.each(birds.map((bird) => [bird.major, bird] as const))('BIRD %i of this machine', (major, bird) => {
  it.each(cases)('%s: kernel routes, next hops, messages', { timeout: 60_000, retry: 1 }, async (name, make) => {
    const configs = make()
    const world = new BgpWorld({ flavour: major === 1 ? BIRD_1 : BIRD_2, seed: 1 })
    for (const config of configs) world.add(config, host(Number(config.name.slice(1))))
    expect(world.settle()).toBe(true)
    const expected = new Map([...world.birds].map(([node, daemon]) => [node, routeLines(daemon.kernelRoutes())]))

    lab = new BirdLab(bird, configs)
    lab.start()
    const real = (): Map<string, string[]> => new Map(configs.map((config) => [config.name, lab?.routes(config.name) ?? []]))
    await until(() => JSON.stringify([...real()]) === JSON.stringify([...expected]))
    expect(real()).toEqual(expected)
    // routes by one reflector are whole before the sessions with the other have said everything
    const { counts } = world
    await until(() => lab !== undefined && isSaid(lab.traffic(), counts))
    // and whatever would be said too often
    await new Promise((resolve) => setTimeout(resolve, 1500))
    const { opens, updates, endOfRib, bytes } = lab.traffic()
    console.log(`${name}, BIRD ${major}: ${JSON.stringify({ opens, updates, endOfRib, bytes })} beside ${JSON.stringify(counts)}`)
    expect({ opens, endOfRib }).toEqual({ opens: counts.open, endOfRib: counts.endOfRib })
    // a daemon that is scheduled late says some of its first words twice
    // a reflector that has heard the client itself before its twin's word of it has nothing to withdraw
    expect(updates).toBeGreaterThanOrEqual(counts.updates)
    expect(updates).toBeLessThanOrEqual(counts.updates + counts.withdrawals + 10)
  })
})

/**
 * Through the whole of netsim: the manifests of a cluster, as a dump has them, with the sessions and announced prefixes that follow. The numbers of
 * calico-bgp-ipam.md 2.4 and 2.5: N(N-1) for a mesh; N·R + R·N(N-1) + R(R-1)·N for N clients of R reflectors of one cluster without blocks.
 */
const manifests: readonly (readonly [string, BgpManifest, { readonly sessions: number; readonly prefixes: number }])[] = [
  ['a mesh of 5', { nodes: 5 }, { sessions: 10, prefixes: 20 }],
  ['5 nodes, 1 of them a reflector', { nodes: 5, reflectors: ['n5'] }, { sessions: 4, prefixes: 4 + 4 * 4 }],
  ['5 nodes, 2 of them reflectors of one cluster', { nodes: 5, reflectors: ['n4', 'n5'] }, { sessions: 7, prefixes: 38 }],
  ['5 nodes, 2 of them reflectors of two clusters', { nodes: 5, reflectors: ['n4', 'n5'], clusterIds: { n5: '244.0.0.2' } }, { sessions: 7, prefixes: 50 }],
  [
    '3 clients of 2 reflectors without blocks',
    { nodes: 5, reflectors: ['n4', 'n5'], blockless: ['n4', 'n5'] },
    { sessions: 7, prefixes: 3 * 2 + 2 * 3 * 2 + 2 * 3 },
  ],
  [
    '2 reflectors that do not peer: what is on one the other does not learn',
    { nodes: 5, reflectors: ['n4', 'n5'], reflectorsPeer: false },
    { sessions: 6, prefixes: 3 * 2 + 2 * (3 * 2 + 3) },
  ],
]

describe.each(birds.map((bird) => [bird.major, bird] as const))('BIRD %i beside a network of manifests', (major, bird) => {
  it.each(manifests)('%s: every kernel has the same routes and next hops', { timeout: 120_000, retry: 1 }, async (name, manifest, { sessions, prefixes }) => {
    const planned = networkOf(bgpManifest(manifest)).bgp!.world
    const world = new BgpWorld({ flavour: major === 1 ? BIRD_1 : BIRD_2, seed: 1 })
    for (const { config, host: found } of planned.birds.values()) world.add(config, found)
    expect(world.settle()).toBe(true)
    const daemons = [...world.birds.values()]
    const expected = new Map(daemons.map((daemon) => [daemon.config.name, routeLines(daemon.kernelRoutes())]))
    // the network's own daemons are Calico's fork: the same but for metrics, and for what upstream's BIRD puts there of `direct`
    const bare = (lines: readonly string[]): string[] => lines.map((line) => line.replace(/ metric \d+/, '')).filter((line) => !line.includes('scope link'))
    for (const [node, daemon] of planned.birds) expect(bare(routeLines(daemon.kernelRoutes()))).toEqual(bare(expected.get(node) ?? []))
    expect(world.counts.prefixes).toBe(prefixes)
    expect(daemons.flatMap((daemon) => daemon.sessions.map(({ phase }) => phase))).toEqual(Array<string>(2 * sessions).fill('up'))

    lab = new BirdLab(
      bird,
      daemons.map(({ config }) => config),
      new Map(daemons.map(({ config, host: found }) => [config.name, found])),
    )
    lab.start()
    const real = (): Map<string, string[]> => new Map(daemons.map(({ config }) => [config.name, lab?.routes(config.name) ?? []]))
    // nobody waits for the other between reflectors and their clients: both dial, connections collide, and it takes up to 46 s
    await until(() => JSON.stringify([...real()]) === JSON.stringify([...expected]), 2 * WAIT_MS)
    expect(real()).toEqual(expected)
    // the last words, and tcpdump's writing them down
    await new Promise((resolve) => setTimeout(resolve, 1500))
    const { opens, updates, endOfRib, bytes } = lab.traffic()
    console.log(`${name}, BIRD ${major}: ${JSON.stringify({ opens, updates, endOfRib, bytes })} beside ${JSON.stringify(world.counts)}`)
    expect(opens).toBeGreaterThanOrEqual(2 * sessions)
  })
})

describe.each(birds.filter(({ major }) => major === 2).map((bird) => ['2', bird] as const))('BIRD %s of this machine', (_version, bird) => {
  it('IPIP Always: over tunl0, straight to the next hop', { timeout: 60_000, retry: 1 }, async () => {
    const configs = mesh(3).map((one) => ({ ...one, kernel: { ...one.kernel, pools: [{ cidr: POOL, action: 'tunnel' as const }] } }))
    const numberOf = (config: BirdConfig): number => Number(config.name.slice(1))
    const world = new BgpWorld({ flavour: BIRD_2, seed: 1 })
    for (const config of configs) {
      const { devices } = host(numberOf(config))
      const tunnel = { name: 'tunl0', addresses: [{ address: ip(`10.244.${numberOf(config)}.0`), length: 32 }] }
      world.add(config, { devices: [...devices, tunnel], aliens: [] })
    }
    expect(world.settle()).toBe(true)
    const expected = [...world.birds.values()].map((daemon) => routeLines(daemon.kernelRoutes()))
    expect(expected[0]).toContain('10.244.2.0/26 via 10.0.0.2 dev tunl0 metric 32 onlink')

    lab = new BirdLab(bird, configs)
    lab.addTunnels((config) => `10.244.${numberOf(config)}.0`)
    lab.start()
    const real = (): string[][] => configs.map((config) => lab?.routes(config.name) ?? [])
    await until(() => JSON.stringify(real()) === JSON.stringify(expected))
    expect(real()).toEqual(expected)
  })
})
