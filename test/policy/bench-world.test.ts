/** The clusters that the engine is timed on are what the reader makes of them, and the map of one is right. */
import { describe, expect, it } from 'vitest'
import { clusterText, clusterWorld } from '../../bench/policy-world.js'
import { readPolicyState } from '../../src/cluster/policy-state.js'
import { evaluatePair } from '../../src/policy/evaluate.js'
import { Reachability } from '../../src/policy/reach/reachability.js'
import { readPolicyWorld, switchesFor } from '../../src/policy/world.js'
import { Draw } from './random-world.js'

const SIZE = { namespaces: 24 }

function withoutPlaces(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (key, one) =>
      key === 'file' || key === 'line' ? undefined : typeof one === 'bigint' ? String(one) : one instanceof Map ? [...one] : one,
    ),
  )
}

describe('the generated cluster', () => {
  it('has the pods and policies that the reader makes of its text', () => {
    const { state, problems } = readPolicyState([{ file: 'cluster.json', text: clusterText(SIZE) }])
    expect(problems).toEqual([])
    expect(withoutPlaces(clusterWorld(SIZE))).toEqual(withoutPlaces(readPolicyWorld(state, switchesFor('api')).world))
  })

  it('has all of the usual policies at work, and its map says what each pair means', () => {
    const world = clusterWorld(SIZE)
    const map = new Reachability(world)
    const draw = new Draw(1)
    const keys = new Set<string>()
    for (let i = 0; i < 3000; i++) {
      const [source, destination] = [draw.one(world.pods), draw.one(world.pods)]
      const found = map.between(source, destination)
      expect(found.key).toBe(evaluatePair(world, source, destination).allowed.key)
      keys.add(found.key)
    }
    expect(keys.size).toBeGreaterThan(4)
    expect(map.counts().reduce((sum, { pairs }) => sum + pairs, 0)).toBe(world.pods.length * (world.pods.length - 1))
  })
})
