/** Deployments in time: the arithmetic of rollouts as the documentation and deployment_util_test.go give it, and what holds in every version on the way. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Cluster } from '../../../../src/cluster/cluster.js'
import { fenceposts, newReplicas, oldReplicas, proportionalReplicas } from '../../../../src/network/time/objects/rollout.js'
import { newest, nodesText, rows, workloadText, worldOf, type World } from './kit.js'

const WEB = { kind: 'Deployment', name: 'web' } as const

function deployment(spec: string, template = ''): string {
  return nodesText(3) + workloadText(WEB.kind, WEB.name, spec, template)
}

/** Of each ReplicaSet, in the order of the objects, how many pods are neither terminating nor yet to run. */
function sets({ pods, objects }: Cluster): Record<string, number> {
  const names = objects.filter(({ kind }) => kind === 'ReplicaSet').map(({ name }) => name)
  return Object.fromEntries(names.map((name) => [name, pods.filter(({ owner, terminating, ready }) => owner?.name === name && ready && !terminating).length]))
}

function counts(cluster: Cluster): { readonly pods: number; readonly ready: number } {
  const own = cluster.pods.filter(({ terminating }) => !terminating)
  return { pods: own.length, ready: own.filter(({ ready, node }) => ready && node !== undefined).length }
}

function entries(world: World, agent: string): string[] {
  return world.diary.entries
    .filter((entry) => entry.agent === agent)
    .map(({ atNs, what }) => `${(atNs / 1e9).toFixed(3)} ${what.replaceAll(/-[a-z0-9]{5}\b(?!-)/g, '-*')}`)
}

describe('the arithmetic', () => {
  it.each([
    { replicas: 10, surge: undefined, unavailable: undefined, is: { surge: 3, unavailable: 2 } },
    { replicas: 4, surge: undefined, unavailable: undefined, is: { surge: 1, unavailable: 1 } },
    { replicas: 1, surge: undefined, unavailable: undefined, is: { surge: 1, unavailable: 0 } },
    { replicas: 3, surge: '50%', unavailable: '50%', is: { surge: 2, unavailable: 1 } },
    { replicas: 10, surge: 0, unavailable: 0, is: { surge: 0, unavailable: 1 } },
    { replicas: 10, surge: 0, unavailable: '20%', is: { surge: 0, unavailable: 2 } },
    { replicas: 10, surge: '1%', unavailable: '1%', is: { surge: 1, unavailable: 0 } },
  ])('of $replicas with surge $surge, unavailable $unavailable', ({ replicas, surge, unavailable, is }) => {
    expect(fenceposts(surge, unavailable, replicas)).toEqual(is)
  })

  it.each([
    // deployment_util_test.go TestNewRSNewReplicas
    { wanted: 1, surge: 5, old: 0, fresh: 5, is: 5 - 4 },
    { wanted: 6, surge: 3, old: 0, fresh: 0, is: 6 },
    { wanted: 10, surge: 2, old: 10, fresh: 0, is: 2 },
    { wanted: 10, surge: 0, old: 10, fresh: 0, is: 0 },
    { wanted: 10, surge: 2, old: 5, fresh: 5, is: 7 },
  ])('a new set of $fresh beside $old old ones, of $wanted wanted and $surge beyond', ({ wanted, surge, old, fresh, is }) => {
    const sized = (replicas: number): { replicas: number; available: number } => ({ replicas, available: replicas })
    expect(newReplicas(wanted, { surge, unavailable: 0 }, sized(fresh), [sized(old), sized(fresh)])).toBe(is)
  })

  it.each([
    // rolling_test.go TestDeploymentController_reconcileOldReplicaSets
    { name: 'scaled down at once', wanted: 10, unavailable: 0, old: [10, 10], fresh: [0, 0], is: undefined },
    { name: 'what may be missing goes', wanted: 10, unavailable: 2, old: [10, 10], fresh: [0, 0], is: [8] },
    { name: 'what is not available goes first', wanted: 10, unavailable: 2, old: [10, 8], fresh: [0, 0], is: [8] },
    { name: 'what a new one stands for goes', wanted: 10, unavailable: 2, old: [10, 9], fresh: [0, 0], is: [8] },
    { name: 'not before new ones are available', wanted: 10, unavailable: 2, old: [8, 8], fresh: [2, 0], is: undefined },
  ])('$name', ({ wanted, unavailable, old, fresh, is }) => {
    const sized = ([replicas, available]: readonly number[]): { replicas: number; available: number } => ({ replicas, available })
    expect(oldReplicas(wanted, { surge: 0, unavailable }, sized(fresh), [sized(old)])).toEqual(is)
  })

  it('scales sets in proportion, what rounding leaves to the largest (the example of the documentation: 10 → 15 during a rollout)', () => {
    expect(
      proportionalReplicas(15, 3, [
        { replicas: 8, most: 13 },
        { replicas: 5, most: 13 },
      ]),
    ).toEqual([11, 7])
  })
})

describe('a rolling update', () => {
  it('goes step by step: a surge, then one for one', () => {
    const world = worldOf({ text: deployment('replicas: 3', 'terminationGracePeriodSeconds: 5') })
    world.to(1)
    world.act({ kind: 'rollout', how: 'restart', target: 'deploy/web' })
    world.to(60)
    const steps = entries(world, 'controller').filter((what) => what.includes('scales') || what.includes('ReplicaSet'))
    expect(steps.map((step) => step.replace(/web-[a-z0-9]+ /, 'web '))).toEqual(
      [
        '1.025 makes ReplicaSet/default/web with 1 replicas',
        '3.105 scales ReplicaSet/default/web from 3 to 2',
        '3.130 scales ReplicaSet/default/web from 1 to 2',
        '5.210 scales ReplicaSet/default/web from 2 to 1',
        '5.235 scales ReplicaSet/default/web from 2 to 3',
        '7.315 scales ReplicaSet/default/web from 1 to 0',
      ].map((step) => step),
    )
    expect(Object.values(sets(newest(world)))).toEqual([0, 3])
  })

  it('keeps its promise in every version, ends with the new pods alone, and leaves nothing of the old', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 0, max: 4 }),
        fc.integer({ min: 0, max: 4 }),
        fc.integer({ min: 0, max: 5 }),
        (replicas, surge, unavailable, minReady) => {
          const strategy = `strategy: {rollingUpdate: {maxSurge: ${surge}, maxUnavailable: ${unavailable}}}`
          const world = worldOf({ text: deployment(`replicas: ${replicas}\n  minReadySeconds: ${minReady}\n  ${strategy}`) })
          world.to(1)
          world.act({ kind: 'rollout', how: 'restart', target: 'deploy/web' })
          world.to(400)
          const fence = fenceposts(surge, unavailable, replicas)
          for (const { cluster } of world.family.versions) {
            expect(counts(cluster).pods).toBeLessThanOrEqual(replicas + fence.surge)
            expect(counts(cluster).ready).toBeGreaterThanOrEqual(replicas - fence.unavailable)
          }
          expect(Object.values(sets(newest(world)))).toEqual([0, replicas])
          expect(newest(world).pods).toHaveLength(replicas)
        },
      ),
      { numRuns: 25 },
    )
  })

  it('is undone: the set of before grows again, as a new revision', () => {
    const world = worldOf({ text: deployment('replicas: 2') })
    world.to(1)
    const [before] = world.cluster.pods.map(({ owner }) => owner?.name)
    world.act({ kind: 'rollout', how: 'restart', target: 'deploy/web' })
    world.to(60)
    world.act({ kind: 'rollout', how: 'undo', target: 'deploy/web' })
    world.to(120)
    expect(newest(world).pods.map(({ owner }) => owner?.name)).toEqual([before, before])
    const revisions = newest(world)
      .objects.filter(({ kind }) => kind === 'ReplicaSet')
      .map(({ value }) => (value.metadata as { annotations: Record<string, string> }).annotations['deployment.kubernetes.io/revision'])
    expect(revisions).toEqual(['3', '2'])
    world.act({ kind: 'rollout', how: 'undo', target: 'deploy/web' })
    world.to(180)
    expect(new Set(newest(world).pods.map(({ owner }) => owner?.name)).has(before)).toBe(false)
  })

  it('without an earlier revision is not undone, and says so', () => {
    const world = worldOf({ text: deployment('replicas: 2') })
    world.act({ kind: 'rollout', how: 'undo', target: 'deploy/web' })
    world.to(10)
    expect(world.family.problems.map(({ what }) => what)).toEqual(['the API server refuses it: there is no earlier revision to go back to'])
    expect(world.family.versions).toHaveLength(1)
  })

  it('waits while it is paused, scales all the same, and goes on when it is resumed', () => {
    const world = worldOf({ text: deployment('replicas: 2') })
    world.act({ kind: 'rollout', how: 'pause', target: 'deploy/web' })
    world.act({ kind: 'label', target: 'deploy/web', changes: [{ key: 'tier', value: 'new' }] })
    world.act({ kind: 'scale', target: 'deploy/web', replicas: 3 })
    world.to(30)
    expect(Object.values(sets(newest(world)))).toEqual([3])
    world.act({ kind: 'rollout', how: 'restart', target: 'deploy/web' })
    expect(world.family.problems.map(({ what }) => what)).toEqual(['the API server refuses it: it is paused: kubectl refuses rollout restart'])
    world.act({ kind: 'rollout', how: 'resume', target: 'deploy/web' })
    world.to(90)
    expect(Object.values(sets(newest(world)))).toEqual([0, 3])
    expect(newest(world).pods.every(({ labels }) => labels.tier === 'new')).toBe(true)
  })

  it('with Recreate begins when all that was has gone', () => {
    const world = worldOf({ text: deployment('replicas: 3\n  strategy: {type: Recreate}') })
    world.act({ kind: 'rollout', how: 'restart', target: 'deploy/web' })
    world.to(60)
    const owners = world.family.versions.map(({ cluster }) => new Set(cluster.pods.map(({ owner }) => owner?.name)).size)
    expect(Math.max(...owners)).toBe(1)
    expect(owners).toContain(0)
    expect(Object.values(sets(newest(world)))).toEqual([0, 3])
  })

  it('waits for readiness and for the end of preStop', () => {
    const probes = 'readinessProbe: {initialDelaySeconds: 5, periodSeconds: 3, successThreshold: 2}, lifecycle: {preStop: {exec: {command: [sh, -c, sleep 4]}}}'
    const text = deployment('replicas: 1').replace('image: web:1', `image: web:1, ${probes}`)
    const world = worldOf({ text })
    world.act({ kind: 'rollout', how: 'restart', target: 'deploy/web' })
    world.to(60)
    const kubelet = entries(world, 'kubelet').map((line) => line.replace(/Pod\S+/, 'pod').replace(/with \S+,/, 'with …,'))
    // made 0.050, bound 0.075, heard 0.080; ready 8 s later; scaled, deleted, heard; preStop 4 s and podStop 1 s
    expect(kubelet).toEqual(['2.080 pod runs with …, not ready yet', '10.080 pod is ready', '15.135 pod has ended'])
  })

  it('scaled on the way grows in proportion and ends with what is wanted', () => {
    const world = worldOf({ text: deployment('replicas: 4') })
    world.act({ kind: 'rollout', how: 'restart', target: 'deploy/web' })
    world.to(2.5)
    world.act({ kind: 'scale', target: 'deploy/web', replicas: 8 })
    world.to(100)
    expect(Object.values(sets(newest(world)))).toEqual([0, 8])
    expect(rows(world)).toHaveLength(8)
  })
})
