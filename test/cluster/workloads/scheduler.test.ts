import { describe, expect, it } from 'vitest'
import { node } from '../support.js'
import { build, manifest, workload, type Built } from './kit.js'

function labelled(name: string, index: number, { labels = {}, spec = {}, status = {} }: { labels?: object; spec?: object; status?: object } = {}): string {
  return manifest({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels },
    spec,
    status: { addresses: [{ type: 'InternalIP', address: `10.0.0.${index}` }], ...status },
  })
}

const ZONES = ['a', 'a', 'b', 'b'].map((zone, index) => labelled(`n${index + 1}`, index + 1, { labels: { zone } })).join('')

function perNode({ cluster }: Built): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const pod of cluster.pods) counts[pod.node ?? 'pending'] = (counts[pod.node ?? 'pending'] ?? 0) + 1
  return counts
}

const verdicts = ({ cluster }: Built): string[] => [...new Set(cluster.pods.flatMap(({ pending }) => pending ?? []))]

describe('resources', () => {
  const allocatable = { cpu: '2', memory: '1Gi', pods: '3' }
  const nodes = labelled('n1', 1, { status: { allocatable } }) + labelled('n2', 2, { status: { allocatable } })
  const asking = (requests: object, replicas: number) =>
    build(workload({ kind: 'Deployment', spec: { replicas }, pod: { containers: [{ resources: { requests } }] } }), nodes)

  it('fills the nodes and says what is lacking', () => {
    const built = asking({ cpu: '800m' }, 5)
    expect(perNode(built)).toEqual({ n1: 2, n2: 2, pending: 1 })
    expect(verdicts(built)).toEqual(['0/2 nodes are available: 2 Insufficient cpu (n1, n2: wants 0.8, left 0.4 of 2).'])
    expect(built.told[0]).toContain('warning: Deployment/default/web: no node takes its pod web-')
  })

  it('names every resource that is short, and the limit of pods', () => {
    expect(verdicts(asking({ cpu: 3, memory: '2Gi', 'nvidia.com/gpu': 1 }, 1))).toEqual([
      '0/2 nodes are available: 2 Insufficient cpu (n1, n2: wants 3, left 2 of 2), ' +
        '2 Insufficient memory (n1, n2: wants 2147483648, left 1073741824 of 1073741824), ' +
        '2 Insufficient nvidia.com/gpu (n1, n2: wants 1, left 0 of 0).',
    ])
    const full = asking({}, 7)
    expect(perNode(full)).toEqual({ n1: 3, n2: 3, pending: 1 })
    expect(verdicts(full)).toEqual(['0/2 nodes are available: 2 Too many pods (n1, n2: 3 at most).'])
  })

  it('puts 110 pods on a node that says nothing', () => {
    expect(perNode(build(workload({ kind: 'Deployment', spec: { replicas: 112 }, pod: {} }), node('n1', '10.0.0.1')))).toEqual({ n1: 110, pending: 2 })
  })

  it('adds containers, takes the largest of the start, limits for requests', () => {
    const container = (cpu: string) => ({ resources: { limits: { cpu } } })
    const built = build(workload({ kind: 'Deployment', pod: { containers: [container('500m'), container('500m')], initContainers: [container('3')] } }), nodes)
    expect(verdicts(built)[0]).toContain('wants 3, left 2 of 2')
  })
})

describe('pods and pods', () => {
  const term = (extra: object = {}) => ({ labelSelector: { matchLabels: { app: 'web' } }, topologyKey: 'kubernetes.io/hostname', ...extra })
  const required = (field: string, terms: object[]) => ({ affinity: { [field]: { requiredDuringSchedulingIgnoredDuringExecution: terms } } })

  it('keeps apart what says so', () => {
    const built = build(workload({ kind: 'Deployment', spec: { replicas: 5 }, pod: required('podAntiAffinity', [term()]) }), ZONES)
    expect(perNode(built)).toEqual({ n1: 1, n2: 1, n3: 1, n4: 1, pending: 1 })
    expect(verdicts(built)).toEqual(["0/4 nodes are available: 4 node(s) didn't match pod anti-affinity rules (n1, n2, n3, n4)."])
  })

  it('keeps others away from whoever says so', () => {
    const lonely = workload({ kind: 'Deployment', name: 'lonely', pod: required('podAntiAffinity', [term({ topologyKey: 'zone' })]) })
    const built = build(lonely + workload({ kind: 'Deployment', spec: { replicas: 4 } }), ZONES)
    expect(perNode(built)).toEqual({ n1: 1, n3: 2, n4: 2 })
    const everywhere = workload({ kind: 'Deployment', name: 'lonely', spec: { replicas: 4 }, pod: required('podAntiAffinity', [term()]) })
    expect(verdicts(build(everywhere + workload({ kind: 'Deployment' }), ZONES))).toEqual([
      "0/4 nodes are available: 4 node(s) didn't satisfy existing pods anti-affinity rules (n1, n2, n3, n4).",
    ])
  })

  it('brings together what says so: the first of its like goes anywhere', () => {
    const built = build(workload({ kind: 'Deployment', spec: { replicas: 6 }, pod: required('podAffinity', [term({ topologyKey: 'zone' })]) }), ZONES)
    expect(perNode(built)).toEqual({ n1: 3, n2: 3 })
    const lost = workload({ kind: 'Deployment', name: 'other', pod: required('podAffinity', [term({ topologyKey: 'zone' })]) })
    expect(verdicts(build(lost, ZONES))).toEqual(["0/4 nodes are available: 4 node(s) didn't match pod affinity rules (n1, n2, n3, n4)."])
  })

  it('looks into the namespaces that are selected', () => {
    const namespace = manifest({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels: { team: 'x' } } })
    const there = workload({ kind: 'Deployment', metadata: { namespace: 'shop' }, pod: { nodeName: 'n3' } })
    const near = (extra: object) => workload({ kind: 'Deployment', name: 'near', pod: required('podAffinity', [term(extra)]) })
    const nodeOf = (built: Built) => built.cluster.pods.find(({ name }) => name.startsWith('near'))?.node
    expect(nodeOf(build(namespace + there + near({ namespaces: ['shop'] }), ZONES))).toBe('n3')
    expect(nodeOf(build(namespace + there + near({ namespaceSelector: { matchLabels: { team: 'x' } } }), ZONES))).toBe('n3')
    expect(nodeOf(build(namespace + there + near({ namespaceSelector: {} }), ZONES))).toBe('n3')
    expect(nodeOf(build(namespace + there + near({}), ZONES))).toBeUndefined()
  })

  it('prefers what is preferred', () => {
    const preferred = (field: string, weight: number, extra: object) => ({
      affinity: { [field]: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight, podAffinityTerm: term(extra) }] } },
    })
    const anchor = workload({ kind: 'Deployment', pod: { nodeName: 'n3' } })
    const where = (pod: object) => build(anchor + workload({ kind: 'Deployment', name: 'p', pod }), ZONES).cluster.pods[1].node
    expect(where(preferred('podAffinity', 10, { topologyKey: 'zone' }))).toBe('n4')
    expect(where(preferred('podAffinity', 10, {}))).toBe('n3')
    expect(where(preferred('podAntiAffinity', 10, { topologyKey: 'zone' }))).toBe('n1')
    const zoneB = { weight: 1, preference: { matchExpressions: [{ key: 'zone', operator: 'In', values: ['b'] }] } }
    expect(where({ affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [zoneB] } } })).toBe('n4')
  })

  it('goes to a node with PreferNoSchedule last', () => {
    const taints = [{ key: 'slow', effect: 'PreferNoSchedule' }]
    const nodes = labelled('n1', 1, { spec: { taints }, status: { allocatable: { pods: 2 } } }) + labelled('n2', 2, { status: { allocatable: { pods: 2 } } })
    expect(build(workload({ kind: 'Deployment', spec: { replicas: 3 } }), nodes).cluster.pods.map((pod) => pod.node)).toEqual(['n2', 'n2', 'n1'])
  })
})

describe('topology spread', () => {
  const spread = (extra: object) => ({
    topologySpreadConstraints: [
      { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', labelSelector: { matchLabels: { app: 'web' } }, ...extra },
    ],
  })
  const small = ['a', 'a', 'a', 'b']
    .map((zone, index) => labelled(`n${index + 1}`, index + 1, { labels: { zone }, status: { allocatable: { pods: 2 } } }))
    .join('')
  const deploy = (replicas: number, extra: object, nodes = small) => build(workload({ kind: 'Deployment', spec: { replicas }, pod: spread(extra) }), nodes)

  it('holds the zones within the skew, and then waits', () => {
    const built = deploy(6, {})
    expect(perNode(built)).toEqual({ n1: 1, n2: 1, n3: 1, n4: 2, pending: 1 })
    expect(verdicts(built)).toEqual([
      "0/4 nodes are available: 1 Too many pods (n4: 2 at most), 3 node(s) didn't match pod topology spread constraints (n1, n2, n3).",
    ])
  })

  it('goes on where it only should', () => {
    expect(perNode(deploy(6, { whenUnsatisfiable: 'ScheduleAnyway' }))).toEqual({ n1: 2, n2: 1, n3: 1, n4: 2 })
  })

  it('wants minDomains, and the label', () => {
    expect(perNode(deploy(4, { minDomains: 3 }))).toEqual({ n1: 1, n4: 1, pending: 2 })
    const built = deploy(1, { topologyKey: 'rack' })
    expect(verdicts(built)).toEqual([
      "0/4 nodes are available: 4 node(s) didn't match pod topology spread constraints (missing required label) (n1, n2, n3, n4).",
    ])
  })

  it('counts a rollout by itself under matchLabelKeys', () => {
    const old = workload({
      kind: 'ReplicaSet',
      name: 'old',
      labels: { app: 'web', 'pod-template-hash': 'x' },
      spec: { replicas: 3 },
      pod: { nodeSelector: { zone: 'a' } },
    })
    const now = workload({ kind: 'Deployment', spec: { replicas: 2 }, pod: spread({ matchLabelKeys: ['pod-template-hash'] }) })
    const zones = build(old + now, ZONES)
      .cluster.pods.slice(3)
      .map(({ node: on }) => on)
    expect(zones).toEqual(['n3', 'n2'])
  })
})

describe('the annotations of old', () => {
  const affinity = (nodes: readonly string[]) =>
    JSON.stringify({
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'zone', operator: 'In', values: nodes }] }] },
      },
    })
  const key = 'scheduler.alpha.kubernetes.io/affinity'

  it('stand in for affinity and tolerations', () => {
    const tainted = labelled('n1', 1, { labels: { zone: 'a' } }).replace(
      '"labels"',
      `"annotations":{"scheduler.alpha.kubernetes.io/taints":${JSON.stringify('[{"key":"k","value":"v","effect":"NoSchedule"}]')}},"labels"`,
    )
    const at = (annotations: Record<string, string>) =>
      build(workload({ kind: 'ReplicaSet', apiVersion: 'extensions/v1beta1', annotations }), tainted + labelled('n2', 2)).cluster.pods[0]
    expect(at({})).toMatchObject({ node: 'n2' })
    expect(at({ [key]: affinity(['a']) }).pending).toContain('untolerated taint {k: v} (n1)')
    expect(at({ [key]: affinity(['a']), 'scheduler.alpha.kubernetes.io/tolerations': '[{"key":"k","operator":"Exists"}]' })).toMatchObject({ node: 'n1' })
  })

  it('are named where they cannot be read', () => {
    expect(build(workload({ kind: 'ReplicaSet', annotations: { [key]: '{' } })).told).toEqual([
      `t.yaml:1: error: ReplicaSet/default/web: annotation ${key} is no JSON`,
    ])
    expect(build(workload({ kind: 'ReplicaSet', annotations: { [key]: '{"nodeAffinity": 1}' } })).told).toEqual([
      `t.yaml:1: error: ReplicaSet/default/web: annotation ${key} is wrong at nodeAffinity`,
    ])
  })
})
