import { describe, expect, it } from 'vitest'
import { formatProblem } from '../../../src/base/problem.js'
import { node } from '../support.js'
import { build, fixture, names, THREE_NODES } from './kit.js'

const ZONED = ['n1', 'n2', 'n3']
  .map((name, index) => node(name, `10.0.0.${index + 1}`, index === 2 ? '' : 'spec: {unschedulable: true}\n'))
  .map((text, index) => (index === 2 ? text : text.replace(/\{name: (n\d)\}/, '{name: $1, labels: {zone: north}}')))
  .join('')

/** The text of the guide as someone mends its tabs and nothing else. */
function untabbed(text: string): string {
  return text.replace(/^\t/gm, '').replace(/^\s*\.\.\.$/gm, '')
}

describe("the guide's manifests", () => {
  it('refuses the Deployment whose selector is not that of its template, and builds the rest', () => {
    const { cluster, problems } = build(`${fixture('deployment.yaml')}---\n${fixture('replicaset.yaml')}`)
    expect(problems.map(formatProblem)).toEqual([
      't.yaml:8: warning: Deployment/default/nginx-deployment: an API server refuses it: its selector (run=nginx-deployment, run In nginx-deployment) ' +
        'does not match the labels of its template, {run: my-nginx} (t.yaml:15)\n    Give the two the same labels. As it stands it makes no pods.',
    ])
    expect(cluster.pods.map(({ owner }) => owner)).toEqual(Array(3).fill({ kind: 'ReplicaSet', name: 'frontend' }))
  })

  it('makes the ReplicaSet of three, with the labels of the template', () => {
    const { cluster, told } = build(fixture('replicaset.yaml'))
    expect(told).toEqual([])
    expect(cluster.pods.map(({ node: on }) => on)).toEqual(['n1', 'n2', 'n3'])
    for (const pod of cluster.pods) {
      expect(pod.name).toMatch(/^frontend-[bcdfghjklmnpqrstvwxz2456789]{5}$/)
      expect(pod).toMatchObject({ labels: { app: 'guestbook', tier: 'frontend' }, ready: true, assumed: true, phase: 'Running' })
    }
  })

  it('puts the DaemonSet onto cordoned nodes of the zone, without the scheduler', () => {
    const { cluster, told } = build(fixture('daemonset.yaml'), ZONED)
    expect(told).toEqual([])
    expect(cluster.pods.map(({ node: on, namespace }) => [namespace, on])).toEqual([
      ['kube-system', 'n1'],
      ['kube-system', 'n2'],
    ])
  })

  // the table of the user guide's page on PetSets
  it.each([
    ['default', 'default'],
    ['foo', 'foo'],
  ])('gives the pets of %s their names, host names and domain', (namespace) => {
    const text = fixture('petset.yaml').replaceAll(/^metadata:$/gm, `metadata:\n  namespace: ${namespace}`)
    const { cluster } = build(text)
    expect(cluster.pods.map(({ namespace: lives, name, hostname, subdomain }) => [lives, name, hostname, subdomain])).toEqual([
      [namespace, 'web-0', 'web-0', 'nginx'],
      [namespace, 'web-1', 'web-1', 'nginx'],
    ])
    expect(cluster.pods[1].annotations).toEqual({
      'pod.alpha.kubernetes.io/initialized': 'true',
      'pod.beta.kubernetes.io/hostname': 'web-1',
      'pod.beta.kubernetes.io/subdomain': 'nginx',
    })
  })

  it('runs the Job once', () => {
    const { cluster, told } = build(fixture('job.yaml'))
    expect(told).toEqual([])
    expect(cluster.pods).toMatchObject([{ owner: { kind: 'Job', name: 'pi' }, labels: { 'job-name': 'pi', 'batch.kubernetes.io/job-name': 'pi' } }])
  })
})

describe("the guide's text as printed", () => {
  it('names every line with a tab, and makes nothing of what it cannot read', () => {
    const built = build(fixture('printed-deployment.txt'))
    expect(names(built)).toEqual([])
    expect(built.told[0]).toMatch(/^t\.yaml:2: error: YAML: tabs are not allowed as indentation/)
    expect(built.problems.every(({ severity, line }) => severity === 'error' && line >= 2)).toBe(true)
  })

  it('names the list under selector and the zone:north without a blank, in one run', () => {
    const text = untabbed(fixture('printed-daemonset.txt'))
      .replace(/^ {10}nodeSelector/m, '      nodeSelector')
      .replace(/^ {12}zone/m, '        zone')
      .replace(/^ {6}selector/m, '  selector')
    expect(build(text).problems.map(formatProblem)).toEqual([
      't.yaml:10: error: DaemonSet/kube-system/fluentd-elasticsearch-daemonset: spec.selector is a list, not a mapping\n    Write key: value, without the dash.',
      't.yaml:22: error: DaemonSet/kube-system/fluentd-elasticsearch-daemonset: spec.template.spec.nodeSelector is "zone:north", not a mapping\n' +
        '    A blank belongs after the colon: zone: north.',
    ])
  })

  it('reads the Deployment once its tabs are blanks, and refuses it for its selector', () => {
    const text = fixture('printed-deployment.txt')
      .replaceAll('\t', '')
      .replace(/^ {8}matchExpressions/m, '    matchExpressions')
    expect(build(text, THREE_NODES).told).toEqual([expect.stringContaining('t.yaml:8: warning: Deployment/default/nginx-deployment: an API server refuses it')])
  })
})
