/**
 * Real BIRD beside the model: the configuration that netsim prints runs in namespaces, and every node's kernel must hold the routes that the model
 * says, by the same next hops. Sessions and messages are counted on the wire too.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { ip } from '../../../src/base/ip.js'
import { BgpWorld } from '../../../src/calico/bgp/bgp-world.js'
import type { BirdConfig } from '../../../src/calico/bgp/config.js'
import { BIRD_1, BIRD_2 } from '../../../src/calico/bgp/flavour.js'
import type { RouteSpec } from '../../../src/dataplane/dataplane.js'
import { printRoutes } from '../../../src/dataplane/ip-route.js'
import { host, mesh, POOL, reflectors } from './kit.js'
import { BirdLab, realBirds } from './real-bird.js'

const WAIT_MS = 30_000

/** As `ip route show proto bird` prints them. */
function routeLines(routes: readonly RouteSpec[]): string[] {
  return printRoutes(routes)
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(' proto bird', '').trim())
    .sort()
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
  it.each(cases)('%s: kernel routes, next hops, messages', { timeout: 60_000 }, async (name, make) => {
    const configs = make()
    const world = new BgpWorld({ flavour: major === 1 ? BIRD_1 : BIRD_2, seed: 1 })
    for (const config of configs) world.add(config, host(Number(config.name.slice(1))))
    expect(world.settle()).toBe(true)
    const expected = new Map([...world.birds].map(([node, daemon]) => [node, routeLines(daemon.kernelRoutes())]))

    lab = new BirdLab(bird, configs)
    lab.start()
    const real = (): Map<string, string[]> => new Map(configs.map((config) => [config.name, lab?.routes(config.name) ?? []]))
    const deadline = performance.now() + WAIT_MS
    while (performance.now() < deadline && JSON.stringify([...real()]) !== JSON.stringify([...expected]))
      await new Promise((resolve) => setTimeout(resolve, 300))
    expect(real()).toEqual(expected)
    await new Promise((resolve) => setTimeout(resolve, 1500))
    const { opens, updates, endOfRib, bytes } = lab.traffic()
    const { counts } = world
    console.log(`${name}, BIRD ${major}: ${JSON.stringify({ opens, updates, endOfRib, bytes })} beside ${JSON.stringify(counts)}`)
    expect({ opens, endOfRib }).toEqual({ opens: counts.open, endOfRib: counts.endOfRib })
    // a daemon that is scheduled late says some of its first words twice
    expect(updates).toBeGreaterThanOrEqual(counts.updates + counts.withdrawals)
    expect(updates).toBeLessThanOrEqual(counts.updates + counts.withdrawals + 10)
  })
})

describe.each(birds.filter(({ major }) => major === 2).map((bird) => ['2', bird] as const))('BIRD %s of this machine', (_version, bird) => {
  it('IPIP Always: over tunl0, straight to the next hop', { timeout: 60_000 }, async () => {
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
    const deadline = performance.now() + WAIT_MS
    while (performance.now() < deadline && JSON.stringify(real()) !== JSON.stringify(expected)) await new Promise((resolve) => setTimeout(resolve, 300))
    expect(real()).toEqual(expected)
  })
})
