import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { tolerates } from '../../src/cluster/scheduling/taints.js'
import { build, node, pod } from './support.js'

const where = (text: string): Record<string, string | undefined> =>
  Object.fromEntries(build(text).cluster.pods.map((placed) => [placed.name, placed.node ?? placed.pending]))
const NODES =
  node('n1', '10.0.0.1') +
  node('n2', '10.0.0.2').replace('{name: n2}', '{name: n2, labels: {zone: north}}') +
  node('n3', '10.0.0.3', 'spec: {taints: [{key: dedicated, value: db, effect: NoSchedule}]}\n') +
  node('n4', '10.0.0.4', 'spec: {unschedulable: true}\n')

describe('placement', () => {
  it('spreads, with pods that have their place counted first', () => {
    expect(where(NODES + pod('a') + pod('b') + pod('c') + pod('fixed', '{nodeName: n1}'))).toEqual({ a: 'n2', b: 'n1', c: 'n2', fixed: 'n1' })
  })

  it('obeys selectors, affinity, taints and cordons, and says why a pod stays pending', () => {
    const placed = where(
      NODES +
        pod('north', '{nodeSelector: {zone: north}}') +
        pod(
          'db',
          '{nodeSelector: {}, tolerations: [{key: dedicated, operator: Exists}], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: [{key: metadata.name, operator: In, values: [n3, n4]}]}]}}}}',
        ) +
        pod('lost', '{nodeSelector: {zone: south}}'),
    )
    expect(placed.north).toBe('n2')
    expect(placed.db).toBe('n3')
    expect(placed.lost).toBe(
      '0/4 nodes are available: 1 node(s) had untolerated taint {dedicated: db} (n3), 1 node(s) were unschedulable (n4), ' +
        "2 node(s) didn't match Pod's node affinity/selector (n1, n2: without zone=south).",
    )
    expect(
      build(
        NODES +
          pod(
            'x',
            '{affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: [{key: metadata.name, operator: In, values: [n3, n4]}]}]}}}}',
          ),
      ).texts[0],
    ).toContain("(n3), 1 node(s) were unschedulable (n4), 2 node(s) didn't match Pod's node affinity/selector (n1, n2).")
  })

  it('does not put two pods with one host port on one node', () => {
    const web = '{containers: [{ports: [{containerPort: 80, hostPort: 8080}]}]}'
    expect(where(NODES + pod('a', web) + pod('b', web) + pod('c', web))).toMatchObject({
      a: 'n1',
      b: 'n2',
      c: expect.stringContaining("2 node(s) didn't have free ports for the requested pod ports (n1, n2: 8080/TCP)"),
    })
  })

  it('spreads the pods of one owner before it spreads all', () => {
    const owned = (name: string): string =>
      pod(name).replace(`{name: ${name}}`, `{name: ${name}, ownerReferences: [{kind: ReplicaSet, name: web, controller: true}]}`)
    expect(
      where(node('n1', '10.0.0.1') + node('n2', '10.0.0.2') + pod('x', '{nodeName: n2}') + pod('y', '{nodeName: n2}') + owned('a') + owned('b')),
    ).toMatchObject({ a: 'n1', b: 'n2' })
  })

  it('keeps the loads of equal nodes within one of each other', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 0, max: 20 }), (nodes, pods) => {
        const text =
          Array.from({ length: nodes }, (_, index) => node(`n${index}`, `10.0.0.${index + 1}`)).join('') +
          Array.from({ length: pods }, (_, index) => pod(`p${index}`)).join('')
        const loads = new Map<string, number>()
        for (const { node: name } of build(text).cluster.pods) loads.set(name ?? '', (loads.get(name ?? '') ?? 0) + 1)
        const counts = Array.from({ length: nodes }, (_, index) => loads.get(`n${index}`) ?? 0)
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
      }),
      { numRuns: 30 },
    )
  })

  // the table of k8s.io/api core/v1 Toleration.ToleratesTaint
  it.each([
    [{ key: 'k', operator: 'Equal', value: 'v', effect: 'NoSchedule' }, true],
    [{ key: 'k', operator: 'Equal', value: 'v', effect: '' }, true],
    [{ key: 'k', operator: 'Equal', value: 'w', effect: '' }, false],
    [{ key: 'k', operator: 'Exists', value: '', effect: 'NoExecute' }, false],
    [{ key: 'k', operator: 'Exists', value: '', effect: '' }, true],
    [{ key: '', operator: 'Exists', value: '', effect: '' }, true],
    [{ key: '', operator: 'Equal', value: 'v', effect: '' }, false],
    [{ key: 'j', operator: 'Exists', value: '', effect: '' }, false],
  ] as const)('toleration %j of k=v:NoSchedule: %s', (toleration, expected) => {
    expect(tolerates(toleration, { key: 'k', value: 'v', effect: 'NoSchedule' })).toBe(expected)
  })
})
