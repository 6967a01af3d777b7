import { describe, expect, it } from 'vitest'
import { build, manifest, names, workload } from './kit.js'

interface Pod {
  readonly name: string
  readonly owner?: readonly [kind: string, name: string]
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly status?: object
}

function pod({ name, owner, labels = { app: 'web' }, annotations, status }: Pod): string {
  const ownerReferences = owner === undefined ? [] : [{ kind: owner[0], name: owner[1], controller: true }]
  return manifest({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels, ownerReferences, ...(annotations === undefined ? {} : { annotations }) },
    spec: { nodeName: 'n1' },
    ...(status === undefined ? {} : { status }),
  })
}

const HASHED = { app: 'web', 'pod-template-hash': 'abc' }
const deployment = (extra: object = {}) => workload({ kind: 'Deployment', spec: { replicas: 3 }, ...extra })
const replicaSet = (replicas: number, extra: object = {}) =>
  workload({
    kind: 'ReplicaSet',
    name: 'web-abc',
    labels: HASHED,
    metadata: { ownerReferences: [{ kind: 'Deployment', name: 'web', controller: true }] },
    spec: { replicas },
    ...extra,
  })

describe('pods that the input has', () => {
  it.each([
    ['a whole dump', deployment() + replicaSet(1) + pod({ name: 'web-abc-1', owner: ['ReplicaSet', 'web-abc'], labels: HASHED }), ['web-abc-1']],
    ['without its ReplicaSets', deployment() + pod({ name: 'web-abc-1', owner: ['ReplicaSet', 'web-abc'], labels: HASHED }), ['web-abc-1']],
    ['without ownerReferences', deployment() + pod({ name: 'web-abc-1', labels: HASHED }), ['web-abc-1']],
    ['a StatefulSet', workload({ kind: 'StatefulSet', spec: { replicas: 3 } }) + pod({ name: 'web-1', owner: ['StatefulSet', 'web'] }), ['web-1']],
    ['a DaemonSet', workload({ kind: 'DaemonSet' }) + pod({ name: 'web-x', owner: ['DaemonSet', 'web'] }), ['web-x']],
    ['a Job', workload({ kind: 'Job', apiVersion: 'batch/v1', pod: { restartPolicy: 'Never' } }) + pod({ name: 'w', owner: ['Job', 'web'] }), ['w']],
    [
      'a ReplicationController that signed in an annotation',
      workload({ kind: 'ReplicationController', apiVersion: 'v1' }) +
        pod({
          name: 'web-x',
          annotations: { 'kubernetes.io/created-by': '{"kind":"SerializedReference","reference":{"kind":"ReplicationController","name":"web"}}' },
        }),
      ['web-x'],
    ],
  ])('%s: nothing is made', (_what, text, expected) => {
    const built = build(text)
    expect(names(built)).toEqual(expected)
    expect(built.told).toEqual([])
  })

  it('lets the ReplicaSets of a Deployment make its pods, and an old one of none makes none', () => {
    const old = replicaSet(0).replaceAll('web-abc', 'web-old')
    const { cluster } = build(deployment() + replicaSet(2) + old)
    expect(cluster.pods.map(({ owner }) => owner?.name)).toEqual(['web-abc', 'web-abc'])
  })

  it('counts the pods that a ReplicaSet adopts, not those that a Deployment cannot', () => {
    expect(names(build(workload({ kind: 'ReplicaSet', spec: { replicas: 3 } }) + pod({ name: 'bare' })))).toHaveLength(3)
    expect(names(build(deployment() + pod({ name: 'bare' })))).toHaveLength(4)
    const done = pod({ name: 'bare', status: { phase: 'Succeeded' } })
    expect(names(build(workload({ kind: 'ReplicaSet', spec: { replicas: 3 } }) + done))).toHaveLength(4)
  })

  it('leaves alone a node that has the DaemonSet’s orphan, and an ordinal whose name is taken', () => {
    const daemons = build(workload({ kind: 'DaemonSet' }) + pod({ name: 'bare' }))
    expect(daemons.cluster.pods.map(({ node }) => node).sort()).toEqual(['n1', 'n2', 'n3'])
    expect(names(build(workload({ kind: 'StatefulSet', spec: { replicas: 2 } }) + pod({ name: 'web-0' })))).toEqual(['web-0', 'web-1'])
  })

  it('takes the readiness and the end of a pod from its status', () => {
    const status = (ready: string) => ({ phase: 'Running', conditions: [{ type: 'Ready', status: ready }] })
    const { cluster } = build(
      pod({ name: 'a', status: status('True') }) + pod({ name: 'b', status: status('False') }) + pod({ name: 'c', status: { phase: 'Pending' } }),
    )
    expect(cluster.pods.map(({ ready }) => ready)).toEqual([true, false, false])
  })
})

describe('live workloads without their pods', () => {
  it('makes as many as run, and says once that they are made up', () => {
    const status = { observedGeneration: 4, replicas: 2 }
    const built = build(deployment({ status }) + deployment({ status, name: 'other' }) + pod({ name: 'else', labels: { app: 'else' } }))
    expect(names(built)).toHaveLength(5)
    expect(built.told).toEqual([
      't.yaml:1: warning: Deployment default/web, default/other: live, but without pods in the input; ' +
        "they are made of the template, with names, nodes and addresses of netsim's own",
    ])
  })

  it('makes none where none runs, and takes an empty status for none', () => {
    expect(names(build(deployment({ status: { observedGeneration: 4 } })))).toEqual([])
    expect(names(build(deployment({ status: {} })))).toHaveLength(3)
  })

  it('knows what of an Indexed Job is done', () => {
    const spec = { completions: 5, parallelism: 2, completionMode: 'Indexed' }
    const status = { active: 2, succeeded: 2, completedIndexes: '0,2' }
    const { cluster } = build(workload({ kind: 'Job', apiVersion: 'batch/v1', spec, status, pod: { restartPolicy: 'Never' } }))
    expect(cluster.pods.map(({ hostname }) => hostname)).toEqual(['web-1', 'web-3'])
    const ended = { succeeded: 5, completedIndexes: '0-4', conditions: [{ type: 'Complete', status: 'True' }] }
    expect(names(build(workload({ kind: 'Job', apiVersion: 'batch/v1', spec, status: ended, pod: { restartPolicy: 'Never' } })))).toEqual([])
  })

  it('makes nothing of a paused Deployment that never ran', () => {
    const { cluster, told } = build(deployment({ spec: { replicas: 3, paused: true } }))
    expect(cluster.pods).toEqual([])
    expect(told).toEqual(['t.yaml:1: warning: Deployment/default/web: it is paused: it makes no ReplicaSet and no pods'])
  })

  it('leaves the agents that netsim models to netsim', () => {
    for (const name of ['kube-flannel-ds', 'kube-proxy', 'calico-node'])
      expect(names(build(workload({ kind: 'DaemonSet', name, metadata: { namespace: 'kube-system' } })))).toEqual([])
  })
})
