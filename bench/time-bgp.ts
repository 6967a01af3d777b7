/** BGP of a mesh and of reflectors from the start of all daemons to rest: what is timed are small ones, larger ones run once and are told in notes. */
import { bgpWorld, type BgpSize } from './time-bgp-world.js'
import type { Suite } from './suite.js'

const LARGER: readonly BgpSize[] = [
  { nodes: 50, reflectors: 0 },
  { nodes: 200, reflectors: 0 },
  { nodes: 200, reflectors: 2 },
  { nodes: 500, reflectors: 2 },
]

function settled(size: BgpSize): number {
  const world = bgpWorld(size)
  world.settle()
  return world.counts.bytes
}

function noteOf(size: BgpSize): string {
  const began = process.cpuUsage()
  const world = bgpWorld(size)
  world.settle()
  const { user, system } = process.cpuUsage(began)
  const { counts, lastKernelChangeNs } = world
  const what = size.reflectors === 0 ? `mesh of ${size.nodes}` : `${size.nodes} nodes, ${size.reflectors} reflectors`
  const heap = Math.round(process.memoryUsage().heapUsed / 2 ** 20)
  return (
    `  ${what}: ${counts.open / 2} sessions, ${counts.updates} updates, ${counts.bytes} bytes, whole after ${(lastKernelChangeNs / 1e9).toFixed(3)} s; ` +
    `CPU ${((user + system) / 1e6).toFixed(1)} s, heap ${heap} MB`
  )
}

export const suites: readonly Suite[] = [
  {
    name: 'BGP in virtual time, from cold to rest',
    base: 'mesh of 5',
    cases: [
      { name: 'mesh of 5', run: () => settled({ nodes: 5, reflectors: 0 }) },
      { name: 'mesh of 20', run: () => settled({ nodes: 20, reflectors: 0 }) },
      { name: '20 nodes, 2 reflectors', run: () => settled({ nodes: 20, reflectors: 2 }) },
    ],
    notes: LARGER.map(noteOf),
  },
]
