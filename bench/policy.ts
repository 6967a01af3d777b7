/**
 * NetworkPolicy at scale: the map of a whole cluster by class, why one pair is as it is, and what one edit changes, up to 5,000 nodes, 150,000
 * pods and 10,000 policies (policy-world.ts). Below the times: what one map takes once, from a world in memory, with the process' peak of
 * memory, and how long single edits take, each with its way back.
 */
import { evaluatePair } from '../src/policy/evaluate.js'
import type { PolicyPod } from '../src/policy/model.js'
import { Reachability } from '../src/policy/reach/reachability.js'
import { applyWorldEdits, type WorldEdit } from '../src/policy/reach/reachability-edit.js'
import { Prng } from '../src/base/prng.js'
import { clusterWorld, PODS_PER_NAMESPACE } from './policy-world.js'
import { sink, type Case, type Suite } from './suite.js'

const SIZES = [100, 1000, 10_000]
const EDITS = 600

type Edits = readonly [edit: WorldEdit, back: WorldEdit]

function percentile(sorted: readonly number[], share: number): string {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))].toFixed(3)
}

/** Draws edits of one kind; the second undoes the first. */
function editKinds(map: Reachability): Readonly<Record<string, (prng: Prng) => Edits>> {
  const { tiers, pods, namespaces } = map.world
  const [{ policies }] = tiers
  const all = [...namespaces.values()].filter(({ name }) => name !== 'default')
  return {
    'a policy goes, or comes': (prng) => {
      const policy = policies[prng.below(policies.length)]
      return [
        { kind: 'policy', tier: 0, before: policy },
        { kind: 'policy', tier: 0, after: policy },
      ]
    },
    'a pod gets another label': (prng) => {
      const before = pods[prng.below(pods.length)]
      const after: PolicyPod = { ...before, labels: { ...before.labels, tier: 'db' } }
      return [
        { kind: 'pod', before, after },
        { kind: 'pod', before: after, after: before },
      ]
    },
    'a namespace gets another label': (prng) => {
      const before = all[prng.below(all.length)]
      const after = { ...before, labels: { ...before.labels, team: 'team-3' } }
      return [
        { kind: 'namespace', before, after },
        { kind: 'namespace', before: after, after: before },
      ]
    },
  }
}

function editTimes(map: Reachability): readonly string[] {
  const prng = new Prng(7)
  return Object.entries(editKinds(map)).map(([name, draw]) => {
    const times: number[] = []
    for (let i = 0; i < EDITS; i++) {
      for (const edit of draw(prng)) {
        const start = performance.now()
        sink.value = applyWorldEdits(map, [edit])
        times.push(performance.now() - start)
      }
    }
    times.sort((a, b) => a - b)
    return `  ${name}: median ${percentile(times, 0.5)} ms, p99 ${percentile(times, 0.99)} ms (${times.length} edits)`
  })
}

function seconds(start: number): string {
  return ((performance.now() - start) / 1000).toFixed(2)
}

function counted(value: number, what: string): string {
  return `${value.toLocaleString('en')} ${what}`
}

function suiteOf(namespaces: number): Suite {
  const world = clusterWorld({ namespaces })
  globalThis.gc?.()
  const start = performance.now()
  const map = new Reachability(world)
  const built = seconds(start)
  const counts = map.counts()
  const whole = seconds(start)
  const peak = Math.round(process.resourceUsage().maxRSS / 1024)
  const pairs = counts.filter(({ connections }) => !connections.isEmpty).reduce((sum, { pairs: some }) => sum + some, 0)
  const notes = [
    `  once: ${whole} s (classes and rows ${built} s), ${counted(map.classes.length, 'classes')}, ${counted(pairs, 'pairs of pods allowed something')}`,
    `  peak memory with the world: ${peak} MB`,
    ...editTimes(map),
  ]
  const [source, destination] = [world.pods[PODS_PER_NAMESPACE + 1], world.pods[world.pods.length - 3]]
  const [{ policies }] = world.tiers
  let next = 0
  const edit = (): unknown => {
    const policy = policies[next++ % policies.length]
    applyWorldEdits(map, [{ kind: 'policy', tier: 0, before: policy }])
    return applyWorldEdits(map, [{ kind: 'policy', tier: 0, after: policy }])
  }
  const cases: readonly Case[] = [
    { name: 'map by class', run: () => new Reachability(world).counts() },
    { name: 'one pair, with its reasons', run: () => evaluatePair(world, source, destination) },
    { name: 'one edit of a policy', run: edit, operations: 2 },
  ]
  return { name: `NetworkPolicy: ${counted(world.pods.length, 'pods')}, ${counted(policies.length, 'policies')}`, base: 'map by class', cases, notes }
}

export const suites: readonly Suite[] = SIZES.map(suiteOf)
