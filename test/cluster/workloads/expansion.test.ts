import { describe, expect, it } from 'vitest'
import { formatProblem } from '../../../src/base/problem.js'
import { node } from '../support.js'
import { build, names, workload } from './kit.js'

const SUFFIX = '[bcdfghjklmnpqrstvwxz2456789]{5}'
const HASH = '[456789bcdf]{1,10}'

describe('what controllers make', () => {
  // replicas 1 where nothing is written, in every version
  it.each([
    ['Deployment', 'apps/v1', `^web-${HASH}-${SUFFIX}$`, 1],
    ['Deployment', 'apps/v1beta2', `^web-${HASH}-${SUFFIX}$`, 1],
    ['Deployment', 'apps/v1beta1', `^web-${HASH}-${SUFFIX}$`, 1],
    ['Deployment', 'extensions/v1beta1', `^web-${HASH}-${SUFFIX}$`, 1],
    ['ReplicaSet', 'apps/v1', `^web-${SUFFIX}$`, 1],
    ['ReplicaSet', 'extensions/v1beta1', `^web-${SUFFIX}$`, 1],
    ['ReplicationController', 'v1', `^web-${SUFFIX}$`, 1],
    ['DaemonSet', 'apps/v1', `^web-${SUFFIX}$`, 3],
    ['DaemonSet', 'apps/v1beta2', `^web-${SUFFIX}$`, 3],
    ['DaemonSet', 'extensions/v1beta1', `^web-${SUFFIX}$`, 3],
    ['StatefulSet', 'apps/v1', '^web-0$', 1],
    ['StatefulSet', 'apps/v1beta1', '^web-0$', 1],
    ['PetSet', 'apps/v1alpha1', '^web-0$', 1],
    ['Job', 'batch/v1', `^web-${SUFFIX}$`, 1],
    ['Job', 'extensions/v1beta1', `^web-${SUFFIX}$`, 1],
  ])('%s of %s', (kind, apiVersion, pattern, count) => {
    const spec = /Set$/.test(kind) && /^(State|Pet)/.test(kind) ? { serviceName: 'web' } : {}
    const pod = kind === 'Job' ? { restartPolicy: 'Never' } : {}
    const built = build(workload({ kind, apiVersion, spec, pod }))
    expect(built.told).toEqual([])
    expect(built.cluster.pods).toHaveLength(count)
    for (const { name, assumed } of built.cluster.pods) {
      expect(name).toMatch(new RegExp(pattern))
      expect(assumed).toBe(true)
    }
  })

  it('adds the labels by which Services and policies may select', () => {
    const labelsOf = (text: string) => build(text).cluster.pods[0].labels
    expect(labelsOf(workload({ kind: 'Deployment' }))).toEqual({ app: 'web', 'pod-template-hash': expect.stringMatching(HASH) })
    expect(labelsOf(workload({ kind: 'ReplicaSet' }))).toEqual({ app: 'web' })
    expect(labelsOf(workload({ kind: 'DaemonSet' }))).toEqual({
      app: 'web',
      'controller-revision-hash': expect.stringMatching(HASH),
      'pod-template-generation': '1',
    })
    expect(labelsOf(workload({ kind: 'StatefulSet', spec: { ordinals: { start: 5 } } }))).toEqual({
      app: 'web',
      'controller-revision-hash': expect.stringMatching(`^web-${HASH}`),
      'statefulset.kubernetes.io/pod-name': 'web-5',
      'apps.kubernetes.io/pod-index': '5',
    })
    const job = labelsOf(workload({ kind: 'Job', apiVersion: 'batch/v1', pod: { restartPolicy: 'Never' } }))
    expect(Object.keys(job).sort()).toEqual(['app', 'batch.kubernetes.io/controller-uid', 'batch.kubernetes.io/job-name', 'controller-uid', 'job-name'])
    expect(job['controller-uid']).toBe(job['batch.kubernetes.io/controller-uid'])
    expect(labelsOf(workload({ kind: 'Job', apiVersion: 'extensions/v1beta1', pod: { restartPolicy: 'Never' } }))).toEqual({ app: 'web' })
  })

  it('names the ReplicaSet of a Deployment by the hash that its pods bear', () => {
    const [pod] = build(workload({ kind: 'Deployment' })).cluster.pods
    expect(pod.owner).toEqual({ kind: 'ReplicaSet', name: `web-${pod.labels['pod-template-hash']}` })
  })

  it('takes ordinals.start, serviceName and host names of a StatefulSet', () => {
    const { cluster } = build(workload({ kind: 'StatefulSet', spec: { replicas: 2, ordinals: { start: 3 }, serviceName: 'nginx' } }))
    expect(cluster.pods.map(({ name, hostname, subdomain }) => [name, hostname, subdomain])).toEqual([
      ['web-3', 'web-3', 'nginx'],
      ['web-4', 'web-4', 'nginx'],
    ])
  })

  it.each([
    ['PetSet', 'apps/v1alpha1', {}, 1],
    ['PetSet', 'apps/v1alpha1', { 'pod.alpha.kubernetes.io/initialized': 'false' }, 1],
    ['PetSet', 'apps/v1alpha1', { 'pod.alpha.kubernetes.io/initialized': 'true' }, 3],
    ['StatefulSet', 'apps/v1beta1', {}, 3],
    ['StatefulSet', 'apps/v1beta1', { 'pod.alpha.kubernetes.io/initialized': 'false' }, 1],
    ['StatefulSet', 'apps/v1', { 'pod.alpha.kubernetes.io/initialized': 'false' }, 3],
  ])('%s of %s with %j makes %s of three', (kind, apiVersion, annotations, count) => {
    const { cluster, told } = build(workload({ kind, apiVersion, annotations, spec: { replicas: 3, serviceName: 'web' } }))
    expect(cluster.pods).toHaveLength(count)
    expect(told.filter((text) => text.includes('makes its first pod and waits'))).toHaveLength(count === 1 ? 1 : 0)
  })

  // the shapes of Jobs: pkg/controller/job manageJob, and the guide's 2.1.5
  it.each([
    ['single', {}, 1],
    ['fixed completions', { completions: 5 }, 1],
    ['fixed completions, several at once', { completions: 5, parallelism: 2 }, 2],
    ['more at once than there is to do', { completions: 2, parallelism: 5 }, 2],
    ['work queue', { parallelism: 4 }, 4],
    ['paused', { parallelism: 0 }, 0],
    ['nothing to do', { completions: 0 }, 0],
    ['suspended', { completions: 5, parallelism: 5, suspend: true }, 0],
  ])('Job: %s', (_shape, spec, count) => {
    expect(build(workload({ kind: 'Job', apiVersion: 'batch/v1', spec, pod: { restartPolicy: 'OnFailure' } })).cluster.pods).toHaveLength(count)
  })

  it('numbers the pods of an Indexed Job', () => {
    const text = workload({
      kind: 'Job',
      apiVersion: 'batch/v1',
      spec: { completions: 3, parallelism: 2, completionMode: 'Indexed' },
      pod: { restartPolicy: 'Never' },
    })
    const { cluster } = build(text)
    const index = 'batch.kubernetes.io/job-completion-index'
    expect(cluster.pods.map(({ name, hostname, labels, annotations }) => [name.slice(0, -6), hostname, labels[index], annotations[index]])).toEqual([
      ['web-0', 'web-0', '0', '0'],
      ['web-1', 'web-1', '1', '1'],
    ])
  })

  it('makes no pods of CronJobs, and says so once', () => {
    const cron = (name: string, extra: object = {}) =>
      `${JSON.stringify({
        apiVersion: 'batch/v1',
        kind: 'CronJob',
        metadata: { name },
        spec: { schedule: '* * * * *', jobTemplate: { spec: { template: { spec: { restartPolicy: 'Never' } } } }, ...extra },
      })}\n---\n`
    const { cluster, told } = build(cron('a') + cron('b') + cron('c', { suspend: true }))
    expect(cluster.pods).toEqual([])
    expect(told).toEqual(['t.yaml:1: warning: CronJob default/a, default/b: no run is taken to be under way, so there are no pods of them'])
    const owned = { ownerReferences: [{ kind: 'CronJob', name: 'a', controller: true }] }
    const run = build(cron('a') + workload({ kind: 'Job', apiVersion: 'batch/v1', name: 'a-1', metadata: owned, pod: { restartPolicy: 'Never' } }))
    expect(run.told).toEqual([])
    expect(run.cluster.pods).toHaveLength(1)
  })

  it('hands over what DNS and probes need', () => {
    const container = {
      name: 'c',
      ports: [{ name: 'http', containerPort: 8080 }],
      readinessProbe: { httpGet: { port: 'http', path: '/ready' } },
      livenessProbe: { tcpSocket: { port: 8080 } },
      startupProbe: { exec: { command: ['true'] } },
    }
    const pod = { dnsPolicy: 'None', dnsConfig: { nameservers: ['1.1.1.1'], options: [{ name: 'ndots', value: '2' }] }, containers: [container] }
    const { cluster } = build(workload({ kind: 'Deployment', pod }))
    expect(cluster.pods[0]).toMatchObject({
      dnsPolicy: 'None',
      dnsConfig: { nameservers: ['1.1.1.1'], searches: [], options: [{ name: 'ndots', value: '2' }] },
      containers: [
        {
          name: 'c',
          ports: [{ name: 'http', port: 8080 }],
          probes: [
            { kind: 'readiness', action: 'httpGet', port: 'http', path: '/ready' },
            { kind: 'liveness', action: 'tcpSocket', port: 8080 },
            { kind: 'startup', action: 'exec' },
          ],
        },
      ],
      ready: true,
      terminating: false,
    })
  })
})

describe('where a DaemonSet runs', () => {
  const nodes =
    node('plain', '10.0.0.1') +
    node('cordoned', '10.0.0.2', 'spec: {unschedulable: true}\n') +
    node('tainted', '10.0.0.3', 'spec: {taints: [{key: node-role.kubernetes.io/control-plane, effect: NoSchedule}]}\n') +
    node('ill', '10.0.0.4', 'spec: {taints: [{key: node.kubernetes.io/not-ready, effect: NoExecute}]}\n') +
    node('offline', '10.0.0.5', 'spec: {taints: [{key: node.kubernetes.io/network-unavailable, effect: NoSchedule}]}\n') +
    node('old', '10.0.0.6').replace(
      '{name: old}',
      `{name: old, annotations: {scheduler.alpha.kubernetes.io/taints: '[{"key":"dedicated","value":"db","effect":"NoSchedule"}]'}}`,
    )
  const on = (apiVersion: string, pod: object): (string | undefined)[] =>
    build(workload({ kind: 'DaemonSet', apiVersion, pod }), nodes)
      .cluster.pods.map((placed) => placed.node)
      .sort()

  it.each([
    ['apps/v1', {}, ['cordoned', 'ill', 'plain']],
    ['apps/v1', { hostNetwork: true }, ['cordoned', 'ill', 'offline', 'plain']],
    ['apps/v1', { tolerations: [{ operator: 'Exists' }] }, ['cordoned', 'ill', 'offline', 'old', 'plain', 'tainted']],
    // the scheduler's annotation is not the old controller's business
    ['extensions/v1beta1', {}, ['cordoned', 'ill', 'old', 'plain']],
    ['apps/v1', { nodeName: 'plain' }, ['plain']],
    ['apps/v1', { nodeSelector: { zone: 'north' } }, []],
  ])('%s %j: %j', (apiVersion, pod, expected) => {
    expect(on(apiVersion, pod)).toEqual(expected)
  })
})

describe('what an API server refuses', () => {
  it.each([
    ['no selector', { kind: 'Deployment', spec: { selector: null } }, 'spec.selector is missing (apps/v1 has no default)'],
    ['an empty one', { kind: 'DaemonSet', spec: { selector: {} } }, 'its selector is empty'],
    ['an empty template', { kind: 'Deployment', spec: { template: null } }, 'spec.template.spec is missing'],
    ['a restart policy', { kind: 'Deployment', pod: { restartPolicy: 'Never' } }, 'restartPolicy of its template is Never'],
    ['none of a Job', { kind: 'Job', apiVersion: 'batch/v1' }, 'restartPolicy of its template is Always, where nothing is written'],
    ['no service name', { kind: 'PetSet', apiVersion: 'apps/v1alpha1' }, 'spec.serviceName is missing (apps/v1alpha1 requires it)'],
    [
      'Indexed without completions',
      { kind: 'Job', apiVersion: 'batch/v1', spec: { completionMode: 'Indexed' }, pod: { restartPolicy: 'Never' } },
      'an Indexed Job without spec.completions',
    ],
  ])('%s', (_what, given, expected) => {
    const { cluster, problems } = build(workload(given))
    expect(cluster.pods).toEqual([])
    expect(problems).toMatchObject([{ severity: 'warning', file: 't.yaml', what: `an API server refuses it: ${expected}` }])
  })

  it('lets the template stand in for a selector up to apps/v1beta1', () => {
    for (const apiVersion of ['extensions/v1beta1', 'apps/v1beta1'])
      expect(build(workload({ kind: 'Deployment', apiVersion, spec: { selector: null } })).cluster.pods).toHaveLength(1)
  })

  it('says once what is wrong in a template of many replicas', () => {
    const pod = { containers: [{ ports: [{ containerPort: 80 }, { containerPort: 80 }] }], nodeName: 'nowhere' }
    const { told } = build(workload({ kind: 'Deployment', spec: { replicas: 50 }, pod }))
    expect(told).toHaveLength(2)
  })

  it.each([
    [{ replicas: 2147483647 }, 'it makes 2147483647 pods'],
    [{ replicas: -1 }, 'spec.replicas: -1 is not a whole number'],
    [{ replicas: 'three' }, 'spec.replicas is "three", not a number'],
    [{ template: [] }, 'spec.template is a list, not a mapping'],
    [{ template: { metadata: 'x', spec: {} } }, 'spec.template.metadata is "x", not a mapping'],
    [{ template: { spec: { containers: {} } } }, 'spec.template.spec.containers is a mapping, not a list'],
    [{ selector: { matchLabels: { 'a b': 'c' } } }, '"a b" is no label key'],
  ])('hostile: %j', (spec, expected) => {
    const { cluster, problems } = build(workload({ kind: 'Deployment', spec }))
    expect(cluster.pods).toEqual([])
    expect(problems.map(formatProblem).join('\n')).toContain(expected)
    expect(problems.some(({ severity }) => severity === 'error')).toBe(true)
  })

  it('makes nothing of a name that no pod may have, and of kinds of other groups', () => {
    expect(build(workload({ kind: 'Deployment', name: '__proto__' })).problems.some(({ severity }) => severity === 'error')).toBe(true)
    expect(names(build(workload({ kind: 'Deployment', apiVersion: 'example.com/v1' })))).toEqual([])
  })
})
