import { describe, expect, it } from 'vitest'
import type { KubernetesObject } from '../../src/cluster/manifest.js'
import { readManifests } from '../../src/cluster/manifest.js'
import { parseLabelChange } from '../../src/cluster/object-reference.js'
import { policyStateOf } from '../../src/cluster/policy-state.js'
import { ProblemList } from '../../src/cluster/problem-list.js'
import { applyEdits, withMadeLabels, type Edit, type EditResult } from '../../src/policy/change/edit.js'

const SHOP = `apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {env: prod}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {app: meta}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: x}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: db-0
  namespace: shop
  labels:
    app: db
    role: primary
spec: {nodeName: n1, containers: [{name: c, image: x}]}
status: {podIP: 10.1.0.9}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec: {selector: app == 'db'}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: deny}
spec: {selector: all()}
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: gate}
spec: {priority: 5, subject: {namespaces: {}}}
---
apiVersion: v1
kind: Pod
metadata: {name: lone, namespace: bare, labels: {a: b}}
spec: {containers: [{name: c, image: x}]}
`

function objectsOf(text: string, file = 'shop.yaml'): readonly KubernetesObject[] {
  const problems = new ProblemList()
  const { objects } = readManifests([{ file, text }], problems)
  expect(problems.problems).toEqual([])
  return objects
}

function edited(...edits: readonly Edit[]): EditResult {
  return applyEdits(objectsOf(SHOP), edits, 'shop')
}

function named(result: EditResult, label: string): KubernetesObject | undefined {
  return result.objects.find((object) => object.label === label)
}

const podLabels = (result: EditResult, name: string): unknown => {
  const { state } = policyStateOf({ objects: result.objects, complete: true })
  return [...state.pods, ...state.madePods].filter((pod) => pod.name.startsWith(name)).map(({ labels }) => labels)
}

describe('edits of a state', () => {
  it('leaves what no edit touches the very same object', () => {
    const before = objectsOf(SHOP)
    const { objects, problems, touched } = applyEdits(before, [{ kind: 'delete', target: 'np/shop/db' }], 'default')
    expect(problems).toEqual([])
    expect(objects).toEqual(before.filter(({ kind, apiVersion }) => !(kind === 'NetworkPolicy' && apiVersion.startsWith('networking'))))
    expect(objects.every((object) => before.includes(object))).toBe(true)
    expect(touched).toEqual([{ how: 'deleted', object: 'NetworkPolicy/shop/db', file: 'shop.yaml', line: 26, detail: '' }])
  })

  it.each([
    ['np/shop/db', 'networking.k8s.io/v1', 'NetworkPolicy'],
    ['np/db', 'networking.k8s.io/v1', 'NetworkPolicy'],
    ['networkpolicies/shop/db', 'networking.k8s.io/v1', 'NetworkPolicy'],
    ['calico-np/shop/db', 'projectcalico.org/v3', 'NetworkPolicy'],
    ['gnp/deny', 'projectcalico.org/v3', 'GlobalNetworkPolicy'],
    ['anp/gate', 'policy.networking.k8s.io/v1alpha1', 'AdminNetworkPolicy'],
    ['deploy/shop/web', 'apps/v1', 'Deployment'],
    ['pod/db-0', 'v1', 'Pod'],
  ])('deletes %s: the one of %s', (target, apiVersion, kind) => {
    const before = objectsOf(SHOP)
    const { objects, problems } = applyEdits(before, [{ kind: 'delete', target }], 'shop')
    expect(problems).toEqual([])
    const gone = before.filter((object) => !objects.includes(object))
    expect(gone.map((object) => [object.apiVersion, object.kind])).toEqual([[apiVersion, kind]])
  })

  it('deletes a namespace with all that is in it', () => {
    const { objects } = edited({ kind: 'delete', target: 'ns/shop' })
    expect(objects.map(({ label }) => label)).toEqual(['GlobalNetworkPolicy/deny', 'AdminNetworkPolicy/gate', 'Pod/bare/lone'])
  })

  it('names the nearest where there is none of that name, and every wrong edit at once', () => {
    const { problems, objects } = edited(
      { kind: 'delete', target: 'np/shop/bd' },
      { kind: 'delete', target: 'nps/shop/db' },
      { kind: 'label', target: 'deploy/shop/wbe', changes: [{ key: 'a', value: 'b' }] },
      { kind: 'scale', target: 'pod/shop/db-0', replicas: 2 },
      { kind: 'delete', target: 'web' },
    )
    expect(problems.map(({ file, object, what, fix }) => [file, object, what, fix])).toEqual([
      ['flag --delete', 'np/shop/bd', 'there is no NetworkPolicy shop/bd', 'Did you mean np/shop/db?'],
      ['flag --delete', 'nps/shop/db', 'there is no kind nps here', 'Did you mean np?'],
      ['flag --label', 'deploy/shop/wbe', 'there is no Deployment shop/wbe', 'Did you mean deploy/shop/web?'],
      ['flag --scale', 'pod/shop/db-0', 'a Pod has no replicas', 'Those of Deployment, StatefulSet, ReplicaSet, ReplicationController can be scaled.'],
      ['flag --delete', 'web', 'web names no object', 'Write KIND/NAMESPACE/NAME or KIND/NAME: np/shop/db, ns/shop, anp/deny-all, deploy/shop/web.'],
    ])
    expect(objects).toHaveLength(8)
  })

  it('labels a pod, and keeps the lines of all that it says', () => {
    const result = edited({ kind: 'label', target: 'pod/shop/db-0', changes: [{ key: 'tier', value: 'x' }, { key: 'role' }] })
    const pod = named(result, 'Pod/shop/db-0')
    expect(pod?.value.metadata).toEqual({ name: 'db-0', namespace: 'shop', labels: { app: 'db', tier: 'x' } })
    expect(pod?.at('metadata', 'labels', 'app')).toEqual({ file: 'shop.yaml', line: 21 })
    expect(pod?.at('metadata', 'labels', 'tier')).toEqual({ file: 'shop.yaml', line: 20 })
    expect(pod?.at('status', 'podIP')).toEqual({ file: 'shop.yaml', line: 24 })
    expect(result.touched[0].detail).toBe('tier=x, role-, was primary')
  })

  it('labels the pod template of a workload, which kubectl label would not', () => {
    const result = edited({ kind: 'label', target: 'deploy/shop/web', changes: [{ key: 'zone', value: 'a' }] })
    expect(podLabels(result, 'web-')).toEqual(Array.from({ length: 2 }, () => expect.objectContaining({ app: 'web', zone: 'a' })))
    expect(named(result, 'Deployment/shop/web')?.value.metadata).toEqual({ name: 'web', namespace: 'shop', labels: { app: 'meta' } })
  })

  it('refuses labels that the selector of the workload would not find', () => {
    const { problems, objects } = edited({ kind: 'label', target: 'deploy/shop/web', changes: [{ key: 'app', value: 'other' }] })
    expect(problems.map(({ file, object, what }) => [file, object, what])).toEqual([
      ['flag --label', 'Deployment/shop/web', 'its selector (shop.yaml:10) would not match its pods any more: an API server refuses that'],
    ])
    expect(objects).toEqual(objectsOf(SHOP))
  })

  it('labels one pod that a workload makes; deleting it would change nothing, and is refused', () => {
    const { state } = policyStateOf({ objects: objectsOf(SHOP), complete: true })
    const target = `pod/shop/${state.madePods[0].name}`
    const result = edited({ kind: 'label', target, changes: [{ key: 'app', value: 'canary' }] })
    const after = withMadeLabels(policyStateOf({ objects: result.objects, complete: true }).state, result)
    expect(after.madePods.map(({ labels }) => labels.app)).toEqual(['canary', 'web'])
    expect(result.touched[0]).toMatchObject({ how: 'labelled', detail: 'app=canary, was web (a pod of Deployment/shop/web)', line: 11 })
    expect(edited({ kind: 'delete', target }).problems.map(({ what, fix }) => [what, fix])).toEqual([
      ['Deployment/shop/web makes this pod, and would make another', 'Scale or delete the workload.'],
    ])
  })

  it('labels a namespace that no object declares', () => {
    const { objects, problems } = edited({ kind: 'label', target: 'ns/bare', changes: [{ key: 'env', value: 'dev' }] })
    expect(problems).toEqual([])
    const { state } = policyStateOf({ objects, complete: true })
    expect(state.namespaces.find(({ name }) => name === 'bare')?.labels).toEqual({ env: 'dev', 'kubernetes.io/metadata.name': 'bare' })
  })

  it('applies the edits in the order given', () => {
    const labels = (...values: readonly string[]): readonly Edit[] =>
      values.map((value) => ({ kind: 'label', target: 'ns/shop', changes: [{ key: 'env', value }] }))
    expect(named(edited(...labels('dev', 'test')), 'Namespace/shop')?.value.metadata).toEqual({ name: 'shop', labels: { env: 'test' } })
    const gone = edited({ kind: 'delete', target: 'np/shop/db' }, { kind: 'delete', target: 'np/shop/db' })
    // the second one finds Calico's
    expect(gone.objects.filter(({ kind }) => kind === 'NetworkPolicy')).toEqual([])
  })

  it('scales a workload; of a dump the pods too', () => {
    expect(podLabels(edited({ kind: 'scale', target: 'deploy/shop/web', replicas: 5 }), 'web-')).toHaveLength(5)
    expect(podLabels(edited({ kind: 'scale', target: 'deploy/shop/web', replicas: 0 }), 'web-')).toHaveLength(0)
    const owner = (kind: string, name: string): string => `ownerReferences: [{apiVersion: apps/v1, kind: ${kind}, name: ${name}, controller: true, uid: u}]`
    const dump = `apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: api-7, namespace: shop, ${owner('Deployment', 'api')}}
spec: {replicas: 2, selector: {matchLabels: {app: api}}, template: {metadata: {labels: {app: api}}, spec: {containers: [{name: c, image: x}]}}}
status: {replicas: 2}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec: {replicas: 2, selector: {matchLabels: {app: api}}, template: {metadata: {labels: {app: api}}, spec: {containers: [{name: c, image: x}]}}}
status: {replicas: 2}
${[1, 2]
  .map(
    (n) => `---
apiVersion: v1
kind: Pod
metadata: {name: api-7-${n}, namespace: shop, labels: {app: api}, ${owner('ReplicaSet', 'api-7')}}
spec: {containers: [{name: c, image: x}]}
status: {podIP: 10.1.0.${n}}
`,
  )
  .join('')}`
    const objects = objectsOf(dump)
    const scaled = (replicas: number): EditResult => applyEdits(objects, [{ kind: 'scale', target: 'deploy/shop/api', replicas }], 'shop')
    for (const replicas of [0, 1, 2, 4]) expect(podLabels(scaled(replicas), 'api-7')).toHaveLength(replicas)
    const relabelled = applyEdits(objects, [{ kind: 'label', target: 'deploy/shop/api', changes: [{ key: 'v', value: '2' }] }], 'shop')
    expect(podLabels(relabelled, 'api-7')).toEqual([1, 2].map(() => ({ app: 'api', v: '2' })))
    expect(applyEdits(objects, [{ kind: 'delete', target: 'deploy/shop/api' }], 'shop').objects).toEqual([])
  })

  it('puts an object in the place of the one of its name, which keeps its status', () => {
    const changed = SHOP.slice(SHOP.indexOf('kind: Pod') - 'apiVersion: v1\n'.length, SHOP.indexOf('status: {podIP')).replace('app: db', 'app: cache')
    const objects = objectsOf(changed, 'new.yaml')
    for (const kind of ['add', 'replace'] as const) {
      const result = edited({ kind, file: 'new.yaml', objects })
      expect(result.touched).toEqual([{ how: 'replaced', object: 'Pod/shop/db-0', file: 'new.yaml', line: 1, detail: 'was shop.yaml:15' }])
      expect(named(result, 'Pod/shop/db-0')?.value.status).toEqual({ podIP: '10.1.0.9' })
      expect(result.objects).toHaveLength(8)
    }
    const other = objectsOf(changed.replace('name: db-0', 'name: db-1'), 'new.yaml')
    expect(edited({ kind: 'add', file: 'new.yaml', objects: other }).objects).toHaveLength(9)
    const refused = edited({ kind: 'replace', file: 'new.yaml', objects: other })
    expect(refused.problems.map(({ file, line, what, fix }) => [file, line, what, fix])).toEqual([
      ['new.yaml', 1, 'there is nothing of that name to replace', 'Did you mean Pod/shop/db-0? --add puts new ones in.'],
    ])
    expect(edited({ kind: 'add', file: 'empty.yaml', objects: [] }).problems).toHaveLength(1)
  })

  it('reads changes of labels as kubectl does', () => {
    expect(parseLabelChange('a=b')).toEqual({ key: 'a', value: 'b' })
    expect(parseLabelChange('example.com/a=')).toEqual({ key: 'example.com/a', value: '' })
    expect(parseLabelChange('example.com/a-')).toEqual({ key: 'example.com/a' })
    expect(parseLabelChange('a')).toMatchObject({ what: 'a is no change of a label' })
    expect(parseLabelChange('a=b c')).toMatchObject({ what: '"b c" is no label value' })
  })
})
