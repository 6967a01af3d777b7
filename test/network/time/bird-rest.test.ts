/** BIRDs that boot on a run's clock and come to rest have put into the kernels what the steady state has there. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { RouteSpec } from '../../../src/dataplane/dataplane.js'
import { BirdPlane } from './bird-kit.js'
import { clusterOf, steadyOf } from './moment-kit.js'

const EXAMPLES = ['calico-classic', 'calico-fabric', 'calico-ipip', 'calico-ipip-crosssubnet', 'calico-none', 'calico-reflectors', 'calico-wireguard']

function sorted(routes: readonly RouteSpec[] | undefined): string[] {
  return (routes ?? []).map((route) => JSON.stringify(route)).sort()
}

describe('at rest, the kernels of the steady state', () => {
  it.each(EXAMPLES)('%s', (name) => {
    const cluster = clusterOf([{ file: `${name}.yaml`, text: readFileSync(`examples/${name}.yaml`, 'utf8') }])
    const { bgp } = steadyOf(cluster)
    expect(bgp?.routes.size).toBeGreaterThan(0)
    const plane = new BirdPlane(cluster).rest()
    for (const [netns, routes] of bgp?.routes ?? []) {
      const now = netns.startsWith('router/') ? plane.log.underlay.bird.get(netns) : plane.node(netns).bird
      expect(sorted(now), netns).toEqual(sorted(routes))
    }
    expect(plane.simulation.nowNs).toBeLessThan(120e9)
  })
})
