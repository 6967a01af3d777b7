/** Nodes that are lost and come back: heartbeats, the grace period, taints, evictions, and what each kind of workload makes of it. */
import { describe, expect, it } from 'vitest'
import { hashText } from '../../../../src/base/prng.js'
import { allEndpoints } from '../../../../src/cluster/services/endpoints.js'
import { NONE_SINCE_BOOT, WHOLE_CABLE } from '../../../../src/network/time/network-state.js'
import { newest, nodesText, rows, workloadText, worldOf, type World } from './kit.js'

const TEXT =
  nodesText(3) +
  workloadText('Deployment', 'web', 'replicas: 3') +
  workloadText('StatefulSet', 'db', 'replicas: 3') +
  workloadText('DaemonSet', 'agent', 'minReadySeconds: 0') +
  `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}
---`

function ready(world: World): number {
  const [web] = allEndpoints(newest(world), ({ name }) => hashText(name))
  return web.ports[0].endpoints.filter((endpoint) => endpoint.ready).length
}

function on(world: World, node: string): string[] {
  return rows(world)
    .filter((row) => row.includes(` ${node}`))
    .map((row) => row.replace(/-[a-z0-9]{5,}(-[a-z0-9]{5})? /, ' '))
    .sort()
}

function timeOf(world: World, text: string): number {
  const entry = world.diary.entries.find(({ what }) => what.includes(text))
  if (entry === undefined) throw new Error(`nothing says ${text}`)
  return entry.atNs / 1e9
}

describe('a node that dies', () => {
  it.each([1, 2, 3, 4, 5])('is Unknown within 40 to 60 s and its pods are evicted 300 s later (seed %i)', (seed) => {
    const world = worldOf({ text: TEXT, seed })
    world.to(103)
    world.setNode('n2', { power: false })
    expect(world.nodes.get('n2')?.pods).toBe(NONE_SINCE_BOOT)
    world.to(142)
    expect(ready(world)).toBe(3)
    world.to(164)
    const unknown = timeOf(world, 'Node/n2 is Unknown')
    expect(unknown % 5).toBe(0)
    expect(unknown - 103).toBeGreaterThanOrEqual(40)
    expect(unknown - 103).toBeLessThanOrEqual(57)
    expect(ready(world)).toBe(2)
    expect(
      newest(world)
        .nodeByName.get('n2')
        ?.taints.map(({ key, effect }) => `${key}:${effect}`),
    ).toEqual(['node.kubernetes.io/unreachable:NoSchedule', 'node.kubernetes.io/unreachable:NoExecute'])
    world.to(unknown + 299)
    expect(on(world, 'n2')).toEqual(['agent n2', 'db-1 n2', 'web n2'])
    world.to(unknown + 310)
    expect(on(world, 'n2')).toEqual(['agent n2', 'db-1 n2 terminating', 'web n2 terminating'])
    expect(timeOf(world, 'deletes Pod/default/db-1') - unknown).toBe(300)
    expect(ready(world)).toBe(3)
  })

  it('comes back: what was to go ends, its StatefulSet pod is made anew, its daemon has another sandbox', () => {
    const world = worldOf({ text: TEXT })
    world.to(100)
    world.setNode('n2', { power: false })
    world.to(600)
    const daemon = newest(world).pods.find(({ owner, node }) => owner?.kind === 'DaemonSet' && node === 'n2')
    world.setNode('n2', { power: true })
    world.to(631)
    expect(world.nodes.get('n2')?.pods).toBe(NONE_SINCE_BOOT)
    world.to(700)
    expect(newest(world).pods.filter(({ terminating, node }) => terminating || node === undefined)).toEqual([])
    expect(newest(world).podByName.get('default/db-1')?.ready).toBe(true)
    expect(newest(world).pods.find(({ name }) => name === daemon?.name)?.ready).toBe(true)
    expect(newest(world).nodeByName.get('n2')?.taints).toEqual([])
    expect(world.nodes.get('n2')?.pods).toBeGreaterThan(0)
    expect(timeOf(world, 'the host has booted')).toBe(632)
  })

  it('whose Node is deleted loses its pods for good: the StatefulSet goes on elsewhere', () => {
    const world = worldOf({ text: TEXT })
    world.to(100)
    world.setNode('n2', { power: false })
    world.to(200)
    world.act({ kind: 'delete', target: 'node/n2' })
    world.to(300)
    expect(on(world, 'n2')).toEqual([])
    const db = newest(world).podByName.get('default/db-1')
    expect(db?.ready).toBe(true)
    expect(db?.node).not.toBe('n2')
    expect(rows(world)).toHaveLength(3 + 3 + 2)
  })

  it('back before anybody knew loses its sandboxes alone', () => {
    const world = worldOf({ text: TEXT })
    world.to(100)
    world.setNode('n2', { power: false })
    world.to(103)
    world.setNode('n2', { power: true })
    world.to(300)
    expect(world.diary.entries.filter(({ what }) => /Unknown|deletes|Ready/.test(what))).toEqual([])
    expect(on(world, 'n2')).toEqual(['agent n2 ready', 'db-1 n2 ready', 'web n2 ready'])
    // 100 + 3 + 30 s boot + 2 s kubelet + 2 s pods
    expect(timeOf(world, 'runs with')).toBeCloseTo(137, 1)
  })

  it('with all the others evicts nobody', () => {
    const world = worldOf({ text: TEXT })
    world.to(100)
    for (const node of ['n1', 'n2', 'n3']) world.setNode(node, { power: false })
    world.to(900)
    expect(rows(world).filter((row) => row.includes('terminating'))).toEqual([])
    expect(world.diary.entries.some(({ what }) => what.includes('no pod is evicted'))).toBe(true)
  })
})

describe('a node that is cut off', () => {
  it('runs on what it has, and ends what was evicted once it is back', () => {
    const world = worldOf({ text: TEXT })
    world.to(100)
    const before = world.nodes.get('n2')?.pods
    world.setNode('n2', { cable: { ...WHOLE_CABLE, cut: true } })
    world.to(500)
    expect(on(world, 'n2')).toContain('web n2 terminating')
    expect(world.nodes.get('n2')?.pods).toBe(before)
    world.setNode('n2', { cable: WHOLE_CABLE })
    world.to(560)
    // its taints went only after the new db-1 had been bound
    expect(on(world, 'n2')).toEqual(['agent n2 ready'])
    expect(newest(world).podByName.get('default/db-1')?.ready).toBe(true)
    expect(world.nodes.get('n2')?.pods).toBeGreaterThan(before as number)
  })

  it('and back within the grace period is never missed', () => {
    const world = worldOf({ text: TEXT })
    world.to(100)
    world.setNode('n2', { cable: { ...WHOLE_CABLE, cut: true } })
    world.to(125)
    world.setNode('n2', { cable: WHOLE_CABLE })
    world.to(900)
    expect(world.family.versions).toHaveLength(1)
  })
})

describe('agents that stop', () => {
  it('a kubelet: its pods run on, its node is lost all the same, and all is well when it starts', () => {
    const world = worldOf({ text: TEXT })
    world.to(100)
    world.act({ kind: 'agent', agent: 'kubelet', how: 'stop', nodes: ['n2'] })
    world.to(200)
    expect(ready(world)).toBe(2)
    expect(world.nodes.get('n2')?.pods).toBe(0)
    world.act({ kind: 'agent', agent: 'kubelet', how: 'start', nodes: ['n2'] })
    world.to(230)
    expect(ready(world)).toBe(3)
    expect(newest(world).nodeByName.get('n2')?.taints).toEqual([])
  })

  it('etcd: nothing changes while it is gone, what was asked for is refused, and work goes on afterwards', () => {
    const world = worldOf({ text: TEXT })
    world.to(100)
    world.act({ kind: 'rollout', how: 'restart', target: 'deploy/web' })
    world.act({ kind: 'agent', agent: 'etcd', how: 'stop', nodes: [] })
    world.to(130)
    expect(world.family.versions).toHaveLength(2)
    world.act({ kind: 'scale', target: 'deploy/web', replicas: 9 })
    expect(world.family.problems.map(({ what }) => what)).toEqual(['the API server refuses it: the API server answers nothing: etcd is stopped'])
    world.act({ kind: 'agent', agent: 'etcd', how: 'start', nodes: [] })
    world.to(200)
    expect(newest(world).pods.filter(({ owner }) => owner?.name !== world.cluster.pods[0].owner?.name && owner?.kind === 'ReplicaSet')).toHaveLength(3)
  })
})

describe('a node that is applied', () => {
  it('keeps the prefix that it was given when others go', () => {
    const node = (name: string, last: number): string =>
      `apiVersion: v1\nkind: Node\nmetadata: {name: ${name}}\nstatus: {addresses: [{type: InternalIP, address: 192.168.0.${last}}]}\n`
    const network = 'apiVersion: netsim/v1\nkind: Network\nspec: {cni: flannel, datastore: kubernetes, clusterCIDR: 10.1.0.0/16}\n---\n'
    const world = worldOf({ text: network + node('n1', 10) })
    world.apply(node('n2', 11))
    world.to(1)
    world.apply(node('n3', 12))
    world.to(2)
    const given = newest(world).nodeByName.get('n3')?.podCIDR
    expect(given).toBeDefined()
    world.act({ kind: 'delete', target: 'node/n2' })
    world.to(3)
    expect(newest(world).nodeByName.get('n3')?.podCIDR).toEqual(given)
    expect(newest(world).nodeByName.has('n2')).toBe(false)
  })
})
