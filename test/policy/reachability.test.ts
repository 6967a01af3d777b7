/** The map of a whole world against the meaning of each pair, in random worlds of every shape. */
import { describe, expect, it } from 'vitest'
import { ConnectionSet } from '../../src/policy/connections.js'
import { evaluatePair } from '../../src/policy/evaluate.js'
import type { End } from '../../src/policy/model.js'
import { Reachability } from '../../src/policy/reach/reachability.js'
import { Draw, endsOf, nameOf, randomWorld, type RandomWorld } from './random-world.js'

/** More of them: NETSIM_POLICY_WORLDS=5000. */
const WORLDS = Number(process.env.NETSIM_POLICY_WORLDS ?? 60)

function differences(drawn: RandomWorld, map: Reachability): string[] {
  const ends = endsOf(drawn)
  return ends.flatMap((source) =>
    ends.flatMap((destination) => {
      const expected = evaluatePair(drawn.world, source, destination).allowed
      const found = map.between(source, destination)
      return found.equals(expected) ? [] : [`${nameOf(source)} → ${nameOf(destination)}: ${found.key} for ${expected.key}`]
    }),
  )
}

/** The number of pairs of living pods with each set of connections, one by one. */
function countedPairs({ world }: RandomWorld): Record<string, number> {
  const pods = world.pods.filter(({ imagined }) => !imagined)
  const counts: Record<string, number> = {}
  for (const source of pods) {
    for (const destination of pods) {
      if (source === destination) continue
      const { key } = evaluatePair(world, source, destination).allowed
      counts[key] = (counts[key] ?? 0) + 1
    }
  }
  return counts
}

function sample<T>(list: readonly T[]): readonly T[] {
  return list.filter((_, index) => index % Math.ceil(list.length / 12) === 0)
}

describe('the map of a world', () => {
  it('says of every pair of ends what evaluatePair says', () => {
    for (let seed = 0; seed < WORLDS; seed++) {
      const drawn = randomWorld(new Draw(seed))
      expect(differences(drawn, new Reachability(drawn.world, { outside: drawn.outside })), `seed ${seed}`).toEqual([])
    }
  })

  it('is the same row by row, column by column, and in blocks that do not overlap', () => {
    for (let seed = 0; seed < WORLDS; seed++) {
      const drawn = randomWorld(new Draw(seed ^ 0x5eed), 12)
      const map = new Reachability(drawn.world, { outside: drawn.outside })
      const inBlocks = new Map<string, ConnectionSet>()
      for (const { sources, destinations, connections } of map.groups()) {
        for (const source of sources.toArray()) {
          for (const destination of destinations.toArray()) {
            expect(inBlocks.has(`${source} ${destination}`)).toBe(false)
            inBlocks.set(`${source} ${destination}`, connections)
          }
        }
      }
      const wrong: string[] = []
      for (const { id: source } of map.classes) {
        for (const { id: destination } of sample(map.classes)) {
          const { key } = map.connections(source, destination)
          const towards = map.towards(destination).find(({ classes }) => classes.has(source))?.connections
          const from = map.from(source).find(({ classes }) => classes.has(destination))?.connections
          const block = inBlocks.get(`${source} ${destination}`) ?? ConnectionSet.none
          for (const found of [towards, from, block]) if (found?.key !== key) wrong.push(`${source} → ${destination}: ${found?.key} for ${key}`)
        }
      }
      expect(wrong, `seed ${seed}`).toEqual([])
    }
  })

  it('counts the pairs of pods without listing them', () => {
    for (let seed = 0; seed < WORLDS; seed++) {
      const drawn = randomWorld(new Draw(seed ^ 0xc0de), 14)
      const counts = new Reachability(drawn.world, { outside: drawn.outside }).counts()
      expect(Object.fromEntries(counts.map(({ connections, pairs }) => [connections.key, pairs])), `seed ${seed}`).toEqual(countedPairs(drawn))
    }
  })

  it('knows the class of an end that is none of its own, and says so where it has none', () => {
    const drawn = randomWorld(new Draw(7))
    const map = new Reachability(drawn.world, { outside: drawn.outside })
    const [pod] = drawn.world.pods
    const twin: End = { ...pod, name: 'twin' }
    expect(map.classOf(twin)).toBe(map.classOf(pod))
    const stranger: End = { ...pod, hostNetwork: false, labels: { stranger: 'yes' } }
    expect(map.classOf(stranger)).toBeUndefined()
    expect(() => map.between(stranger, pod)).toThrow(TypeError)
  })
})
