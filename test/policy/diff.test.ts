import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readManifests } from '../../src/cluster/manifest.js'
import { policyStateOf } from '../../src/cluster/policy-state.js'
import { ProblemList } from '../../src/cluster/problem-list.js'
import { coversRange, parseRange, type AddressRange } from '../../src/policy/address-range.js'
import { ConnectionSet } from '../../src/policy/connections.js'
import { diffWorlds, type PolicyDiff } from '../../src/policy/change/diff.js'
import type { DiffRow } from '../../src/policy/change/diff-row.js'
import { decisionWords } from '../../src/policy/change/diff-words.js'
import { applyEdits, type Edit } from '../../src/policy/change/edit.js'
import { evaluatePair } from '../../src/policy/evaluate.js'
import type { End, PolicyWorld } from '../../src/policy/model.js'
import { outsideRanges } from '../../src/policy/outside.js'
import { workloadName } from '../../src/policy/peer-name.js'
import { policyWorld, switchesFor } from '../../src/policy/world.js'
import { worldOf } from './kit.js'

function diffTexts(before: string, after: string): PolicyDiff {
  return diffWorlds(worldOf(before), worldOf(after))
}

function words({ source, destination, before, after, causes, ranges }: DiffRow): unknown {
  return {
    pair: `${source.name || ranges.length} → ${destination.name || ranges.length}`,
    before: before.isAll ? 'all' : before.ranges('TCP').join(),
    after: after.isAll ? 'all' : after.ranges('TCP').join(),
    causes: causes.map(({ effect, direction, before: old, after: now }) => [
      effect,
      direction,
      old && decisionWords(old, direction),
      now && decisionWords(now, direction),
    ]),
  }
}

const pod = (namespace: string, podName: string, labels: string, more = ''): string => `apiVersion: v1
kind: Pod
metadata: {name: ${podName}, namespace: ${namespace}, labels: ${labels}}
spec: {containers: [{name: c, image: x, ports: [{name: http, containerPort: 80}]}]${more}}
---
`
const policy = (namespace: string, policyName: string, spec: string): string => `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: ${policyName}, namespace: ${namespace}}
spec: ${spec}
---
`

const PODS = pod('shop', 'web', '{app: web}') + pod('shop', 'db', '{app: db}')

describe('what a change opens and closes', () => {
  it('trap 20, 45: the last policy that goes opens what it closed; no difference is no row', () => {
    const guarded = PODS + policy('shop', 'db', '{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}]}')
    const diff = diffTexts(guarded, PODS)
    expect(diff.change).toBe('only-loosens')
    expect(diff.rows.map(words)).toEqual([
      {
        pair: 'shop/web[Pod] → shop/db[Pod]',
        before: '80,80',
        after: 'all',
        causes: [['opened', 'ingress', 'denied: no ingress rule of NetworkPolicy shop/db names it', 'allowed: no policy selects it for ingress']],
      },
      {
        pair: '1 → shop/db[Pod]',
        before: '',
        after: 'all',
        causes: [['opened', 'ingress', 'denied: no ingress rule of NetworkPolicy shop/db names it', 'allowed: no policy selects it for ingress']],
      },
    ])
    expect(diffTexts(PODS, guarded).change).toBe('only-tightens')
    expect(diffTexts(guarded, guarded)).toEqual({ rows: [], change: 'no-op', added: [], removed: [] })
    // in another file, under another name, on other lines: nothing that anybody could notice
    expect(diffTexts(guarded, policy('shop', 'other', '{podSelector: {matchLabels: {app: nobody}}}') + guarded).rows).toEqual([])
  })

  it('trap 14: a label of a namespace, or of a pod, moves it under other rules', () => {
    const world = (label: string, env: string): string =>
      `apiVersion: v1\nkind: Namespace\nmetadata: {name: b, labels: {env: ${env}}}\n---\n` +
      pod('b', 'x', `{app: ${label}}`) +
      PODS +
      policy('shop', 'db', '{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {matchLabels: {env: prod}}}]}]}') +
      policy('b', 'shut', '{podSelector: {matchLabels: {app: shut}}, policyTypes: [Egress]}')
    expect(diffTexts(world('x', 'dev'), world('x', 'prod')).rows.map(words)).toEqual([
      {
        pair: 'b/x[Pod] → shop/db[Pod]',
        before: '',
        after: 'all',
        causes: [
          [
            'opened',
            'ingress',
            'denied: no ingress rule of NetworkPolicy shop/db names it',
            expect.stringMatching(/^allowed by NetworkPolicy shop\/db ingress\[0\]: .*env.*prod/),
          ],
        ],
      },
    ])
    const shut = diffTexts(world('x', 'prod'), world('shut', 'prod'))
    expect(shut.change).toBe('only-tightens')
    expect(shut.rows.map((row) => (words(row) as { pair: string }).pair)).toEqual(['b/x[Pod] → shop/db[Pod]', 'b/x[Pod] → shop/web[Pod]', 'b/x[Pod] → 1'])
  })

  it('names both directions where both changed, and both sides of a change that opens and closes', () => {
    const egress = (port: number): string =>
      policy('shop', 'out', `{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{ports: [{port: ${port}}]}]}`)
    const ingress = (port: number): string => policy('shop', 'in', `{podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{port: ${port}}]}]}`)
    const diff = diffTexts(PODS + egress(80) + ingress(80), PODS + egress(81) + ingress(81))
    expect(diff.change).toBe('mixed')
    const row = diff.rows.find(({ source, destination }) => source.name.startsWith('shop/web') && destination.name.startsWith('shop/db'))
    expect(row?.opened.equals(ConnectionSet.of('TCP', 81))).toBe(true)
    expect(row?.closed.equals(ConnectionSet.of('TCP', 80))).toBe(true)
    expect(row?.causes.map(({ effect, direction }) => `${effect} ${direction}`)).toEqual(['opened egress', 'opened ingress', 'closed egress', 'closed ingress'])
  })

  it('trap 46: ranges are cut at the bounds of both sides, and told as few as they are', () => {
    const guarded = (cidr: string): string =>
      pod('shop', 'db', '{app: db}') + policy('shop', 'db', `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: ${cidr}}}]}]}`)
    const { rows } = diffTexts(guarded('10.0.0.0/8'), guarded('10.128.0.0/9'))
    expect(rows.map(({ ranges, after }) => [ranges, after.isEmpty])).toEqual([[[parseRange('10.0.0.0/9')], true]])
    const apart = diffTexts(guarded('10.0.0.0/8'), pod('shop', 'db', '{app: db}')).rows
    expect(apart.map(({ ranges }) => ranges)).toEqual([
      [
        { family: 4, first: 0n, last: 0x09ffffffn },
        { family: 4, first: 0x0b000000n, last: 0xffffffffn },
      ],
    ])
  })

  it('trap 13: pods of one workload that differ are told apart; its other replicas are not new ends', () => {
    const replica = (index: number, labels: string): string =>
      pod('shop', `api-${index}`, labels).replace(
        'metadata: {',
        'metadata: {ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: api, controller: true}], ',
      )
    const guard = policy('shop', 'guard', '{podSelector: {matchLabels: {canary: "yes"}}}')
    const replicas = replica(0, '{app: api}') + replica(1, '{app: api}') + replica(2, '{app: api, canary: "yes"}')
    const { rows, added } = diffTexts(PODS + replicas, PODS + replicas + guard)
    expect(added).toEqual([])
    expect(rows.map(({ source, destination }) => [source.name, source.members, destination.members])).toEqual([
      ['shop/api[StatefulSet]', ['api-0', 'api-1'], ['api-2']],
      ['shop/db[Pod]', ['db'], ['api-2']],
      ['shop/web[Pod]', ['web'], ['api-2']],
      ['', [], ['api-2']],
    ])
    const scaled = diffTexts(PODS + replicas + guard, PODS + replicas + replica(3, '{app: api}') + guard)
    expect(scaled).toEqual({ rows: [], change: 'no-op', added: [], removed: [] })
  })

  it("a workload's pods among themselves are a pair of their own", () => {
    const two = pod('shop', 'db-0', '{app: db}') + pod('shop', 'db-1', '{app: db}')
    const owned = two.replaceAll('metadata: {', 'metadata: {ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: db, controller: true}], ')
    const shut = policy('shop', 'shut', '{podSelector: {}}')
    const { rows } = diffTexts(owned, owned + shut)
    expect(rows.map(({ source, destination }) => [source.name, destination.name])).toEqual([
      ['shop/db[StatefulSet]', 'shop/db[StatefulSet]'],
      ['', 'shop/db[StatefulSet]'],
    ])
    expect(diffWorlds(worldOf(owned), worldOf(owned + shut), { itself: false }).rows).toHaveLength(1)
  })

  it('what comes and goes counts apart', () => {
    const diff = diffTexts(PODS, pod('shop', 'web', '{app: web}') + pod('shop', 'cache', '{app: cache}'))
    expect({ change: diff.change, added: diff.added, removed: diff.removed }).toEqual({
      change: 'no-op',
      added: ['shop/cache[Pod]'],
      removed: ['shop/db[Pod]'],
    })
    expect(diff.rows.every(({ comesOrGoes }) => comesOrGoes)).toBe(true)
    expect(
      diff.rows
        .find(({ source }) => source.name === 'shop/cache[Pod]')
        ?.causes.map(({ effect, direction, before, after }) => [effect, direction, before, after !== undefined]),
    ).toEqual([
      ['opened', 'egress', undefined, true],
      ['opened', 'ingress', undefined, true],
    ])
  })
})

// worlds for the comparison with every pair evaluated by itself

const LABELS = ['{}', '{app: a}', '{app: b}', '{app: a, tier: x}', '{tier: y}'] as const
const SELECTORS = [
  '{}',
  '{matchLabels: {app: a}}',
  '{matchLabels: {app: b}}',
  '{matchExpressions: [{key: tier, operator: Exists}]}',
  '{matchExpressions: [{key: app, operator: NotIn, values: [a]}]}',
] as const
const PEERS = [
  ...SELECTORS.map((selector) => `{podSelector: ${selector}}`),
  '{namespaceSelector: {}}',
  '{namespaceSelector: {matchLabels: {env: dev}}}',
  '{namespaceSelector: {matchLabels: {env: dev}}, podSelector: {matchLabels: {app: a}}}',
  '{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}',
  '{ipBlock: {cidr: 10.1.0.0/24}}',
  '{ipBlock: {cidr: 0.0.0.0/0}}',
  '{ipBlock: {cidr: "fd00::/8"}}',
] as const
const PORTS = ['{port: 80}', '{port: http}', '{protocol: UDP}', '{port: 79, endPort: 81}'] as const
const NAMESPACES = ['n0', 'n1', 'n2'] as const

const rules = (direction: 'from' | 'to'): fc.Arbitrary<string> =>
  fc
    .array(
      fc
        .record({ peers: fc.array(fc.constantFrom(...PEERS), { maxLength: 2 }), ports: fc.array(fc.constantFrom(...PORTS), { maxLength: 2 }) })
        .map(({ peers, ports }) => `{${direction}: [${peers.join(', ')}], ports: [${ports.join(', ')}]}`),
      { maxLength: 2 },
    )
    .map((list) => `[${list.join(', ')}]`)

const policies = fc.array(
  fc
    .record({
      namespace: fc.constantFrom(...NAMESPACES),
      name: fc.constantFrom('p', 'q'),
      selector: fc.constantFrom(...SELECTORS),
      types: fc.constantFrom('[Ingress]', '[Egress]', '[Ingress, Egress]'),
      ingress: rules('from'),
      egress: rules('to'),
    })
    .map(({ namespace, name: own, selector, types, ingress, egress }) => ({
      id: `${namespace}/${own}`,
      text: policy(
        namespace,
        own,
        `{podSelector: ${selector}, policyTypes: ${types}, ` +
          `ingress: ${types.includes('Ingress') ? ingress : '[]'}, egress: ${types.includes('Egress') ? egress : '[]'}}`,
      ),
    })),
  { maxLength: 4 },
)

const pods = fc.array(
  fc.record({
    namespace: fc.constantFrom(...NAMESPACES),
    labels: fc.constantFrom(...LABELS),
    address: fc.constantFrom('', '10.1.0.5', '10.9.0.5'),
    owned: fc.boolean(),
  }),
  { minLength: 2, maxLength: 6 },
)

interface Draft {
  readonly pods: readonly { readonly namespace: string; readonly labels: string; readonly address: string; readonly owned: boolean }[]
  readonly policies: readonly { readonly id: string; readonly text: string }[]
  readonly env: string
}

const drafts: fc.Arbitrary<Draft> = fc.record({
  pods,
  policies: policies.map((list) => [...new Map(list.map((one) => [one.id, one])).values()]),
  env: fc.constantFrom('dev', 'prod'),
})

function textOf({ pods: list, policies: own, env }: Draft): string {
  const namespaces = NAMESPACES.map(
    (one, index) => `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${one}, labels: {env: ${index === 0 ? env : 'prod'}}}\n---\n`,
  )
  const written = list.map(({ namespace, labels, address, owned }, index) => {
    const text = pod(namespace, `p${index}`, labels).replace('---\n', address === '' ? '---\n' : `status: {podIP: ${address}}\n---\n`)
    return owned ? text.replace('metadata: {', 'metadata: {ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: s, controller: true}], ') : text
  })
  return [...namespaces, ...written, ...own.map(({ text }) => text)].join('')
}

const edits = (draft: Draft, more: readonly { readonly id: string; readonly text: string }[]): fc.Arbitrary<readonly Edit[]> => {
  const delete_ = draft.policies.map(({ id }): Edit => ({ kind: 'delete', target: `np/${id}` }))
  const add = more.map(({ text }): Edit => ({ kind: 'add', file: 'new.yaml', objects: readManifests([{ file: 'new.yaml', text }], new ProblemList()).objects }))
  const label = draft.pods.map(({ namespace }, index): Edit => ({
    kind: 'label',
    target: `pod/${namespace}/p${index}`,
    changes: [{ key: 'app', value: 'b' }, { key: 'tier' }],
  }))
  const others: readonly Edit[] = [
    { kind: 'label', target: 'ns/n1', changes: [{ key: 'env', value: 'dev' }] },
    { kind: 'delete', target: `pod/${draft.pods[0].namespace}/p0` },
  ]
  return fc.subarray([...add, ...label, ...others, ...delete_], { minLength: 1, maxLength: 3 })
}

const OUTSIDE: readonly AddressRange[] = ['8.8.8.8', '10.0.0.1', '10.1.0.9', '10.1.9.9', '10.9.0.5', '255.255.255.255', 'fd00::1', '2001::1'].flatMap(
  (text) => parseRange(text) ?? [],
)

function endsOf(world: PolicyWorld): ReadonlyMap<string, End> {
  return new Map<string, End>([
    ...world.pods.map((one): [string, End] => [`${one.namespace}/${one.name}`, one]),
    ...OUTSIDE.map((range): [string, End] => [`${range.family} ${range.first}`, { kind: 'outside', range }]),
  ])
}

/** Whether a row speaks of the pair. */
function holds(row: DiffRow, [from, to]: readonly [End, End]): boolean {
  const is = (unit: DiffRow['source'], end: End): boolean =>
    end.kind === 'outside'
      ? unit.kind === 'outside' && row.ranges.some((range) => coversRange(range, end.range))
      : end.kind === 'pod' && unit.kind === 'workload' && unit.name === workloadName(end) && unit.members.includes(end.name)
  return is(row.source, from) && is(row.destination, to)
}

describe('a what-if', () => {
  it('is the difference of every pair, evaluated by itself before and after', () => {
    const cases = drafts.chain((draft) => policies.chain((more) => edits(draft, more).map((chosen) => ({ draft, chosen }))))
    let told = 0
    fc.assert(
      fc.property(cases, ({ draft, chosen }) => {
        const { objects } = readManifests([{ file: 'a.yaml', text: textOf(draft) }], new ProblemList())
        const edited = applyEdits(objects, chosen, 'default')
        expect(edited.problems).toEqual([])
        const worlds = [objects, edited.objects].map((list) => policyWorld(policyStateOf({ objects: list, complete: true }).state, switchesFor('api')))
        const { rows, change } = diffWorlds(worlds[0], worlds[1])
        const [before, after] = worlds.map(endsOf)
        const hasIpv6 = worlds.some((world) => outsideRanges(world).some(({ range }) => range.family === 6))
        let loosens = false
        let tightens = false
        for (const key of new Set([...before.keys(), ...after.keys()])) {
          for (const other of new Set([...before.keys(), ...after.keys()])) {
            const old = [before.get(key), before.get(other)] as const
            const now = [after.get(key), after.get(other)] as const
            const sample = (now[0] && now[1] ? now : old) as readonly [End, End]
            if (key === other || sample[0] === undefined || sample[1] === undefined) continue
            if (sample[0].kind === 'outside' && sample[1].kind === 'outside') continue
            // IPv6 is asked about where a policy names any of it
            if (!hasIpv6 && sample.some((end) => end.kind === 'outside' && end.range.family === 6)) continue
            const was = old[0] && old[1] ? evaluatePair(worlds[0], old[0], old[1]).allowed : undefined
            const is = now[0] && now[1] ? evaluatePair(worlds[1], now[0], now[1]).allowed : undefined
            const found = rows.filter((row) => holds(row, sample))
            expect(found.length).toBeLessThanOrEqual(1)
            const row = found.at(0)
            // a pod that goes from a workload that stays, like another that stays, is no end of its own
            if ((was === undefined || is === undefined) && row?.comesOrGoes !== true) continue
            told += row === undefined ? 0 : 1
            expect(row?.opened.key ?? '', `${key} → ${other}`).toBe(
              (is ?? ConnectionSet.none).minus(was ?? ConnectionSet.none).key.replace(/^;+$/, row === undefined ? '' : '$&'),
            )
            expect(row?.closed.key ?? '').toBe((was ?? ConnectionSet.none).minus(is ?? ConnectionSet.none).key.replace(/^;+$/, row === undefined ? '' : '$&'))
            if (was !== undefined && is !== undefined) {
              loosens ||= !is.minus(was).isEmpty
              tightens ||= !was.minus(is).isEmpty
            }
          }
        }
        // every piece of a row has its causes, in a direction that turned
        for (const { opened, closed, causes, comesOrGoes } of rows) {
          for (const [effect, piece] of [
            ['opened', opened],
            ['closed', closed],
          ] as const) {
            const own = causes.filter((cause) => cause.effect === effect)
            expect(ConnectionSet.union(own.map(({ connections }) => connections)).equals(piece)).toBe(true)
            if (!comesOrGoes)
              for (const { before: from, after: to } of own) expect([from?.part.allowed, to?.part.allowed]).toEqual([effect === 'closed', effect === 'opened'])
          }
        }
        if (loosens) expect(change).toMatch(/only-loosens|mixed/)
        if (tightens) expect(change).toMatch(/only-tightens|mixed/)
      }),
      { seed: 7, numRuns: 150 },
    )
    expect(told).toBeGreaterThan(1000)
  })
})
