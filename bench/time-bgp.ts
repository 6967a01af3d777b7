/** BGP of a mesh and of reflectors from the start of all daemons to rest: small ones timed, larger ones as rows of the table of time.ts. */
import { bgpWorld, type BgpSize } from './time-bgp-world.js'
import type { Suite } from './suite.js'
import { timed, type TimeCase, type TimeCounts } from './time-table.js'

const MESHES = [50, 100, 200, 500]
const REFLECTED = [500, 1000, 2000, 5000]

function settled(size: BgpSize): number {
  const world = bgpWorld(size)
  world.settle()
  return world.counts.bytes
}

function measure(size: BgpSize): TimeCounts {
  const { result, cpuSeconds } = timed(() => {
    const world = bgpWorld(size)
    if (!world.settle()) throw new Error('BGP does not come to rest')
    return world
  })
  const { counts, lastKernelChangeNs } = result
  const { open, keepalive, updates, endOfRib } = counts
  return { sessions: open / 2, events: open + keepalive + updates + endOfRib, cpuSeconds, virtualSeconds: lastKernelChangeNs / 1e9 }
}

/** From those of a size on it takes minutes. */
const LONG_MESH = 500
const LONG_REFLECTED = 2000

export const timeCases: readonly TimeCase[] = [
  ...MESHES.map((nodes) => ({ scenario: 'BGP mesh', size: nodes, long: nodes >= LONG_MESH, measure: () => measure({ nodes, reflectors: 0 }) })),
  ...REFLECTED.map((nodes) => ({
    scenario: 'BGP, 2 reflectors',
    size: nodes,
    long: nodes >= LONG_REFLECTED,
    measure: () => measure({ nodes, reflectors: 2 }),
  })),
  { scenario: 'BGP, 3 reflectors', size: 5000, long: true, measure: () => measure({ nodes: 5000, reflectors: 3 }) },
]

export const suites: readonly Suite[] = [
  {
    name: 'BGP in virtual time, from cold to rest',
    base: 'mesh of 5',
    cases: [
      { name: 'mesh of 5', run: () => settled({ nodes: 5, reflectors: 0 }) },
      { name: 'mesh of 20', run: () => settled({ nodes: 20, reflectors: 0 }) },
      { name: '20 nodes, 2 reflectors', run: () => settled({ nodes: 20, reflectors: 2 }) },
    ],
  },
]
