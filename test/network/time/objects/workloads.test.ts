/** StatefulSets, DaemonSets, ReplicaSets, Jobs and bare pods in time. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildCluster } from '../../../../src/cluster/cluster.js'
import type { Action } from '../../../../src/cluster/scenario/scenario.js'
import { newest, nodesText, rows, workloadText, worldOf, type World } from './kit.js'

function kubelet(world: World): string[] {
  return world.diary.entries
    .filter(({ agent }) => agent === 'kubelet')
    .map(({ atNs, what }) => `${(atNs / 1e9).toFixed(3)} ${what.replace('Pod/default/', '').replace(/ with .*/, '')}`)
}

describe('a StatefulSet', () => {
  const set = (spec: string): string => nodesText(3) + workloadText('StatefulSet', 'db', spec)

  it('grows one by one, each once the one before is ready, and shrinks from the top', () => {
    const world = worldOf({ text: set('replicas: 1') })
    world.act({ kind: 'scale', target: 'sts/db', replicas: 3 })
    world.to(20)
    expect(kubelet(world)).toEqual(['2.055 db-1 runs', '4.110 db-2 runs'])
    world.act({ kind: 'scale', target: 'sts/db', replicas: 1 })
    world.to(40)
    expect(kubelet(world).slice(2)).toEqual(['21.030 db-2 has ended', '22.060 db-1 has ended'])
    expect(rows(world).map((row) => row.split(' ')[0])).toEqual(['db-0'])
  })

  it('makes and ends all at once with Parallel', () => {
    const world = worldOf({ text: set('replicas: 1\n  podManagementPolicy: Parallel') })
    world.act({ kind: 'scale', target: 'sts/db', replicas: 3 })
    world.to(20)
    expect(kubelet(world)).toEqual(['2.055 db-1 runs', '2.055 db-2 runs'])
    world.act({ kind: 'scale', target: 'sts/db', replicas: 1 })
    world.to(40)
    expect(kubelet(world).slice(2).sort()).toEqual(['21.030 db-1 has ended', '21.030 db-2 has ended'])
  })

  it.each([
    { partition: 0, rolled: ['db-0', 'db-1', 'db-2'] },
    { partition: 2, rolled: ['db-2'] },
    { partition: 5, rolled: [] },
  ])('rolls from the top to partition $partition', ({ partition, rolled }) => {
    const world = worldOf({ text: set(`replicas: 3\n  updateStrategy: {rollingUpdate: {partition: ${partition}}}`) })
    world.act({ kind: 'label', target: 'sts/db', changes: [{ key: 'tier', value: 'new' }] })
    world.to(60)
    const pods = newest(world).pods
    expect(pods.map(({ name }) => name).sort()).toEqual(['db-0', 'db-1', 'db-2'])
    expect(
      pods
        .filter(({ labels }) => labels.tier === 'new')
        .map(({ name }) => name)
        .sort(),
    ).toEqual(rolled)
    const ended = kubelet(world)
      .filter((line) => line.includes('ended'))
      .map((line) => line.split(' ')[1])
    expect(ended).toEqual([...rolled].reverse())
    // below the partition a pod that is lost comes back as it was
    world.act({ kind: 'delete', target: 'pod/db-0' })
    world.to(100)
    expect(newest(world).podByName.get('default/db-0')?.labels.tier).toBe(partition === 0 ? 'new' : undefined)
  })

  it('never has more than one pod missing while it rolls', () => {
    const world = worldOf({ text: set('replicas: 3') })
    world.act({ kind: 'rollout', how: 'restart', target: 'sts/db' })
    world.to(60)
    for (const { cluster } of world.family.versions)
      expect(cluster.pods.filter(({ ready, terminating }) => ready && !terminating).length).toBeGreaterThanOrEqual(2)
    world.act({ kind: 'rollout', how: 'undo', target: 'sts/db' })
    world.to(120)
    const revision = world.cluster.pods[0].labels['controller-revision-hash']
    expect(newest(world).pods.map(({ labels }) => labels['controller-revision-hash'])).toEqual([revision, revision, revision])
  })
})

describe('a DaemonSet', () => {
  const text = nodesText(2) + workloadText('DaemonSet', 'agent', 'minReadySeconds: 0')

  it('makes a pod on a new node once its kubelet has been heard of', () => {
    const world = worldOf({ text })
    world.to(1)
    world.apply(
      'apiVersion: v1\nkind: Node\nmetadata: {name: n3}\nspec: {podCIDR: 10.1.2.0/24}\nstatus: {addresses: [{type: InternalIP, address: 192.168.0.12}]}\n',
    )
    world.to(30)
    expect(newest(world).nodes.map(({ name }) => name)).toEqual(['n1', 'n2', 'n3'])
    expect(rows(world)).toHaveLength(2)
    world.to(60)
    const [, , pod] = rows(world)
    expect(pod).toMatch(/^agent-\w{5} n3 ready$/)
    // 30 s boot, 2 s until the kubelet starts; its taint goes with the next look of 5 s
    const [runs] = kubelet(world).filter((line) => line.includes('runs'))
    expect(Number(runs.split(' ')[0])).toBeCloseTo(37.055, 3)
    expect(world.nodes.get('n3')?.pods).toBe(world.family.versions.findIndex(({ cluster }) => cluster.pods.length === 3 && cluster.pods[2].node === 'n3'))
  })

  it('rolls node by node, and only then the next', () => {
    const world = worldOf({ text: nodesText(3) + workloadText('DaemonSet', 'agent', 'minReadySeconds: 2') })
    world.act({ kind: 'rollout', how: 'restart', target: 'ds/agent' })
    world.to(60)
    for (const { cluster } of world.family.versions)
      expect(cluster.pods.filter(({ ready, terminating }) => ready && !terminating).length).toBeGreaterThanOrEqual(2)
    expect(kubelet(world).map((line) => line.split(' ').at(-1))).toEqual(['ended', 'runs', 'ended', 'runs', 'ended', 'runs'])
    expect(
      new Set(newest(world).pods.map(({ labels }) => labels['controller-revision-hash'])).has(world.cluster.pods[0].labels['controller-revision-hash']),
    ).toBe(false)
  })

  it('leaves a node that is tainted with NoExecute', () => {
    const world = worldOf({ text })
    world.apply(
      'apiVersion: v1\nkind: Node\nmetadata: {name: n2}\nspec: {podCIDR: 10.1.1.0/24, taints: [{key: gone, effect: NoExecute}]}\nstatus: {addresses: [{type: InternalIP, address: 192.168.0.11}]}\n',
    )
    world.to(20)
    expect(rows(world).map((row) => row.split(' ')[1])).toEqual(['n1'])
  })
})

describe('pods', () => {
  const bare = 'apiVersion: v1\nkind: Pod\nmetadata: {name: solo, labels: {app: solo}}\nspec: {nodeName: n1, containers: [{name: c, image: web:1}]}\n---'

  it('that are moved: one of a Deployment is made anew there, a bare one is applied again', () => {
    const world = worldOf({ text: `${nodesText(3)}${workloadText('Deployment', 'web', 'replicas: 1')}\n${bare}` })
    const web = newest(world).pods.find(({ owner }) => owner !== undefined)
    const to = web?.node === 'n3' ? 'n2' : 'n3'
    world.act({ kind: 'move', pod: `default/${web?.name}`, node: to })
    world.act({ kind: 'move', pod: 'default/solo', node: 'n2' })
    world.to(20)
    expect(rows(world)).toHaveLength(2)
    expect(newest(world).pods.find(({ owner }) => owner !== undefined)?.node).toBe(to)
    expect(newest(world).podByName.get('default/solo')?.node).toBe('n2')
    expect(newest(world).podByName.get('default/solo')?.address).not.toBe(world.cluster.podByName.get('default/solo')?.address)
  })

  it('that a selector does not match any more are let go, and another is made', () => {
    const world = worldOf({ text: nodesText(2) + workloadText('ReplicaSet', 'web', 'replicas: 2') })
    const [first] = world.cluster.pods
    world.act({ kind: 'label', target: `pod/${first.name}`, changes: [{ key: 'app', value: 'quarantine' }] })
    world.to(20)
    expect(rows(world)).toHaveLength(3)
    expect(newest(world).podByName.get(`default/${first.name}`)?.owner).toBeUndefined()
  })

  it('to whom the CNI gives nothing wait, and run when it does', () => {
    let has = false
    const world = worldOf({ text: nodesText(1), addressOf: () => (has ? 0x0a010005 : undefined) })
    world.apply(bare)
    world.to(30)
    expect(rows(world)).toEqual(['solo -'])
    expect(kubelet(world)).toEqual(['2.005 solo is not started: the CNI plugin has no address for it'])
    has = true
    world.to(60)
    expect(rows(world)).toEqual(['solo n1 ready'])
    expect(kubelet(world)[1]).toBe('32.005 solo runs')
  })

  it('for which there is no room wait for it', () => {
    const world = worldOf({ text: nodesText(1) })
    world.apply(bare.replace('nodeName: n1', 'nodeSelector: {disk: ssd}'))
    world.to(10)
    expect(newest(world).pods[0].pending).toContain("didn't match Pod's node affinity/selector")
    world.act({ kind: 'label', target: 'node/n1', changes: [{ key: 'disk', value: 'ssd' }] })
    world.to(20)
    expect(rows(world)).toEqual(['solo n1 ready'])
  })

  it('of a namespace that is deleted end, and come back no more', () => {
    const world = worldOf({ text: nodesText(2) + workloadText('Deployment', 'web', 'replicas: 2').replace('{name: web}', '{name: web, namespace: shop}') })
    world.act({ kind: 'delete', target: 'ns/shop' })
    world.to(20)
    expect(newest(world).pods).toEqual([])
    expect(newest(world).objects.filter(({ namespace }) => namespace === 'shop')).toEqual([])
  })

  it('of a Job run as many as may at once, and are made again', () => {
    const world = worldOf({ text: nodesText(2) })
    world.apply(
      'apiVersion: batch/v1\nkind: Job\nmetadata: {name: work}\nspec: {parallelism: 2, completions: 3, completionMode: Indexed, template: {spec: {restartPolicy: Never, containers: [{name: c, image: work:1}]}}}\n',
    )
    world.to(10)
    expect(newest(world).pods.map(({ hostname }) => hostname)).toEqual(['work-0', 'work-1'])
    world.act({ kind: 'delete', target: `pod/${newest(world).pods[0].name}` })
    world.to(20)
    expect(
      newest(world)
        .pods.map(({ hostname }) => hostname)
        .sort(),
    ).toEqual(['work-0', 'work-1'])
  })
})

describe('an apply', () => {
  it('that an API server would refuse changes nothing, and says why with its line', () => {
    const world = worldOf({ text: nodesText(2) + workloadText('Deployment', 'web', 'replicas: 2') })
    const broken = workloadText('Deployment', 'shop', 'replicas: 2').replace('labels: {app: shop}', 'labels: {app: other}')
    world.apply(`${broken}\napiVersion: v1\nkind: Pod\nmetadata: {name: fine}\nspec: {containers: [{name: c, image: i}]}\n`)
    world.to(10)
    expect(world.family.versions).toHaveLength(1)
    const [problem] = world.family.problems
    expect(problem.what).toContain('does not match the labels of its template')
    expect(problem.file).toBe('applied.yaml')
    expect(problem.line).toBeGreaterThan(1)
    expect(world.diary.entries.some(({ what }) => what.startsWith('refused: '))).toBe(true)
  })

  it('of the same object again rolls nothing', () => {
    const web = workloadText('Deployment', 'web', 'replicas: 2')
    const world = worldOf({ text: nodesText(2) + web })
    world.apply(web)
    world.to(20)
    expect(newest(world).pods.map(({ name }) => name)).toEqual(world.cluster.pods.map(({ name }) => name))
  })
})

describe('any run', () => {
  type Step = Action | { readonly kind: 'power'; readonly node: string; readonly power: boolean }
  const operations: fc.Arbitrary<Step[]> = fc.array(
    fc.oneof(
      fc.record({ kind: fc.constant('scale' as const), target: fc.constantFrom('deploy/web', 'sts/db', 'rs/plain'), replicas: fc.integer({ min: 0, max: 4 }) }),
      fc.record({
        kind: fc.constant('rollout' as const),
        how: fc.constantFrom('restart' as const, 'undo' as const),
        target: fc.constantFrom('deploy/web', 'sts/db', 'ds/agent'),
      }),
      fc.record({ kind: fc.constant('delete' as const), target: fc.constantFrom('pod/db-0', 'pod/db-1') }),
      fc.record({ kind: fc.constant('power' as const), node: fc.constantFrom('n1', 'n2', 'n3'), power: fc.boolean() }),
    ),
    { minLength: 1, maxLength: 7 },
  )
  const text =
    nodesText(3) +
    workloadText('Deployment', 'web', 'replicas: 3') +
    workloadText('StatefulSet', 'db', 'replicas: 2') +
    workloadText('DaemonSet', 'agent', 'minReadySeconds: 1') +
    workloadText('ReplicaSet', 'plain', 'replicas: 2')

  const play = (steps: readonly Step[], world: World): void => {
    let now = 1
    for (const step of steps) {
      world.to(now)
      if (step.kind === 'power') world.setNode(step.node, { power: step.power })
      else world.act(step)
      now += 7
    }
    for (const name of world.nodes.keys()) if (world.nodes.get(name)?.power === false) world.setNode(name, { power: true })
    world.to(now + 900)
  }

  it('comes to rest with the pods that the same workloads make when they are read', () => {
    fc.assert(
      fc.property(operations, (steps) => {
        const world = worldOf({ text })
        play(steps, world)
        const { pods, objects } = newest(world)
        const workloads = objects.filter(({ kind, name }) => kind !== 'Pod' && !(kind === 'ReplicaSet' && name !== 'plain'))
        const { cluster } = buildCluster([
          { file: 'again.json', text: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: workloads.map(({ value }) => value) }) },
        ])
        const tally = (
          all: readonly { readonly owner?: { readonly kind: string; readonly name: string }; readonly ready: boolean }[],
        ): Record<string, number> => {
          const counted: Record<string, number> = {}
          for (const { owner, ready } of all) {
            const key = `${owner?.kind} ${owner?.kind === 'ReplicaSet' ? owner.name.replace(/-[a-z0-9]+$/, '') : owner?.name} ${ready}`
            counted[key] = (counted[key] ?? 0) + 1
          }
          return counted
        }
        expect(tally(pods)).toEqual(tally(cluster.pods))
        expect(
          pods
            .filter(({ owner }) => owner?.kind === 'DaemonSet')
            .map(({ node }) => node)
            .sort(),
        ).toEqual(['n1', 'n2', 'n3'])
        // a node that was switched on while it was on is no event: then the input itself is the only version
        if (world.family.versions.length > 1) expect(new Set(pods.map(({ address }) => address)).size).toBe(pods.length)
        expect(world.family.restsAtNs).toBeLessThanOrEqual(world.simulation.nowNs)
      }),
      { numRuns: 25 },
    )
  })

  it('is the same twice', () => {
    fc.assert(
      fc.property(operations, (steps) => {
        const [one, other] = [1, 2].map(() => {
          const world = worldOf({ text })
          play(steps, world)
          return JSON.stringify([
            world.diary.entries,
            world.family.versions.map(({ atNs, cause, cluster }) => [atNs, cause, cluster.objects.map(({ value }) => value)]),
          ])
        })
        expect(one).toBe(other)
      }),
      { numRuns: 5 },
    )
  })
})
