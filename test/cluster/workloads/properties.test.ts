import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseQuantity } from '../../../src/cluster/quantity.js'
import { build, workload } from './kit.js'

const KINDS = ['Deployment', 'ReplicaSet', 'ReplicationController', 'StatefulSet'] as const

const workloads = fc.uniqueArray(
  fc.record({ kind: fc.constantFrom(...KINDS), name: fc.stringMatching(/^[a-z]([a-z0-9-]{0,20}[a-z0-9])?$/), replicas: fc.integer({ min: 0, max: 30 }) }),
  { selector: ({ kind, name }) => `${kind}/${name}`, maxLength: 6 },
)

function textOf({ kind, name, replicas }: { kind: (typeof KINDS)[number]; name: string; replicas: number }): string {
  const apiVersion = kind === 'ReplicationController' ? 'v1' : 'apps/v1'
  return workload({ kind, apiVersion, name, labels: { app: `${kind}.${name}` }, spec: { replicas } })
}

describe('expansion', () => {
  it('makes as many pods as there are replicas, each with a name of its own, the same whatever the order', () => {
    fc.assert(
      fc.property(workloads, (all) => {
        const first = build(all.map(textOf).join(''))
        const again = build([...all].reverse().map(textOf).join(''))
        const namesOf = ({ cluster }: typeof first) => cluster.pods.map(({ name }) => name).sort()
        const wanted = all.reduce((sum, { replicas }) => sum + replicas, 0)
        expect(first.cluster.pods).toHaveLength(wanted)
        expect(new Set(namesOf(first)).size).toBe(wanted)
        expect(namesOf(again)).toEqual(namesOf(first))
        for (const pod of first.cluster.pods) {
          expect(pod.name.length).toBeLessThanOrEqual(63)
          expect(pod.node).toBeDefined()
        }
      }),
      { numRuns: 40 },
    )
  })

  it('keeps the names of the others when one more is asked for', () => {
    fc.assert(
      fc.property(fc.constantFrom(...KINDS), fc.integer({ min: 1, max: 40 }), (kind, replicas) => {
        const namesOf = (count: number) => build(textOf({ kind, name: 'web', replicas: count })).cluster.pods.map(({ name }) => name)
        expect(namesOf(replicas + 1).slice(0, replicas)).toEqual(namesOf(replicas))
      }),
      { numRuns: 20 },
    )
  })

  it('never throws, whatever stands in a spec', () => {
    const spec = fc.dictionary(
      fc.constantFrom('replicas', 'selector', 'template', 'serviceName', 'ordinals', 'completions', 'parallelism', 'jobTemplate'),
      fc.jsonValue(),
    )
    fc.assert(
      fc.property(fc.constantFrom(...KINDS, 'DaemonSet', 'Job', 'CronJob'), spec, (kind, given) => {
        const apiVersion = kind === 'ReplicationController' ? 'v1' : /Job/.test(kind) ? 'batch/v1' : 'apps/v1'
        expect(() => build(workload({ kind, apiVersion, spec: given }))).not.toThrow()
      }),
      { numRuns: 200 },
    )
  })
})

// k8s.io/apimachinery pkg/api/resource
describe('quantities', () => {
  it.each([
    ['100m', 0.1],
    ['1', 1],
    ['0.5', 0.5],
    ['.5', 0.5],
    ['5.', 5],
    ['64Mi', 67108864],
    ['1Gi', 1073741824],
    ['1k', 1000],
    ['1e3', 1000],
    ['1E3', 1000],
    ['2E', 2e18],
    ['128974848', 128974848],
    ['123Mi', 128974848],
    ['+5', 5],
  ])('%s', (text, expected) => {
    expect(parseQuantity(text)).toBe(expected)
  })

  it.each(['', '1Kb', '1 Gi', 'K', '1e', '0x10', '1,5', '--1', 'NaN', '1mi'])('%j is none', (text) => {
    expect(parseQuantity(text)).toBeUndefined()
  })
})
