import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatCidr } from '../../../src/base/cidr.js'
import { ProblemList } from '../../../src/cluster/problem-list.js'
import { readScenario, scenarioFiles } from '../../../src/cluster/scenario/read-scenario.js'
import type { Action } from '../../../src/cluster/scenario/scenario.js'
import { arbitraryEvent, arbitraryProbe, objectsOf, readText } from './support.js'

const SECOND = 1e9
const HEAD = 'apiVersion: netsim/v1\nkind: Scenario\nmetadata: {name: x}\nspec:\n'
const NP = objectsOf('{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: db, namespace: shop}, spec: {podSelector: {}}}', 'np.yaml')
const FILES = new Map([['np.yaml', NP]])

/** The one event. */
function eventOf(text: string): { readonly what: string; readonly action: Action; readonly atNs: number } {
  const { read, problems } = readText(`${HEAD}  events:\n    - ${text}\n`, FILES)
  expect(problems).toEqual([])
  if (read?.events.length !== 1) throw new Error('not one event')
  return read.events[0]
}

const problemsOf = (spec: string): string[] => readText(`${HEAD}${spec}`, FILES).problems.map(({ line, what, fix }) => `${line}: ${what} | ${fix}`)

describe('a Scenario', () => {
  it('has defaults for all it does not say', () => {
    const { read, problems } = readText('apiVersion: netsim/v1\nkind: Scenario\n')
    expect(problems).toEqual([])
    expect(read).toEqual({ name: 'default', start: 'converged', delays: {}, events: [], probes: [], file: 's.yaml', line: 1 })
  })

  it('is read whole', () => {
    const { read, problems } = readText(`${HEAD}  start: boot\n  until: 25h\n  seed: 3\n  delays: {kubelet.podStart: 2.5s, etcd.roundTrip: 0}\n`)
    expect(problems).toEqual([])
    expect(read).toMatchObject({ start: 'boot', untilNs: 25 * 3600 * SECOND, seed: 3, delays: { 'kubelet.podStart': 2.5 * SECOND, 'etcd.roundTrip': 0 } })
  })

  it('has its events in the order of their times, and of the text', () => {
    const { read } = readText(`${HEAD}  events:
    - {at: 1m, node: b, state: up}
    - {at: 0, node: a, state: down}
    - {at: 1h30m, node: d, state: up}
    - {at: 60s, node: c, state: up}
`)
    expect(read?.events.map(({ what, line, atNs }) => [what, line, atNs / SECOND])).toEqual([
      ['node a goes down', 7, 0],
      ['node b comes up', 6, 60],
      ['node c comes up', 9, 60],
      ['node d comes up', 8, 5400],
    ])
  })

  it('is the same in JSON', () => {
    const spec = { until: '2d', events: [{ at: '1s', cable: 'n1', loss: '10%' }], probes: [{ from: 'a/b', to: '10.0.0.1' }] }
    const { read, problems } = readText(JSON.stringify({ apiVersion: 'netsim/v1', kind: 'Scenario', metadata: { name: 'x' }, spec }, undefined, 1))
    expect(problems).toEqual([])
    expect(read?.untilNs).toBe(48 * 3600 * SECOND)
    expect(read?.events.map(({ action, line }) => [action, line])).toEqual([[{ kind: 'cable', end: 'n1', loss: 0.1 }, 10]])
    expect(read?.probes[0]).toMatchObject({ name: 'a/b → 10.0.0.1', everyNs: SECOND, startNs: 0, connection: false })
  })

  it('names the files to read', () => {
    const { object } = readText(`${HEAD}  input: [a.yaml, b]\n  events:
    - {at: 1s, apply: np.yaml}
    - {at: 2s, apply: [np.yaml, other.yaml, {apiVersion: v1, kind: Namespace, metadata: {name: x}}]}
    - {at: 3s, apply: 7}
`)
    const files = object === undefined ? undefined : scenarioFiles(object)
    expect(files?.input.map(({ name, line }) => [name, line])).toEqual([
      ['a.yaml', 5],
      ['b', 5],
    ])
    expect(files?.applied.map(({ name, line }) => [name, line])).toEqual([
      ['np.yaml', 7],
      ['other.yaml', 8],
    ])
  })

  it('is told of events after its end', () => {
    expect(problemsOf('  until: 1m\n  events: [{at: 2m, node: a, state: up}]\n  probes: [{name: p, from: a, to: b, start: 61s}]\n')).toEqual([
      '6: node a comes up: after the end (spec.until) | It does not happen: write a later spec.until, or an earlier time.',
      '7: probe p starts: after the end (spec.until) | It does not happen: write a later spec.until, or an earlier time.',
    ])
  })
})

describe('an event', () => {
  it.each<[string, string, Action]>([
    ['{at: 1s, delete: np/shop/db}', 'delete np/shop/db', { kind: 'delete', target: 'np/shop/db' }],
    ['{at: 1s, scale: deploy/shop/web, replicas: 5}', 'scale deploy/shop/web to 5', { kind: 'scale', target: 'deploy/shop/web', replicas: 5 }],
    ['{at: 1s, rollout: undo, of: deploy/shop/web}', 'rollout undo of deploy/shop/web', { kind: 'rollout', how: 'undo', target: 'deploy/shop/web' }],
    [
      '{at: 1s, label: pod/a, set: [tier=db, old-]}',
      'label pod/a tier=db old-',
      { kind: 'label', target: 'pod/a', changes: [{ key: 'tier', value: 'db' }, { key: 'old' }] },
    ],
    [
      '{at: 1s, label: pod/a, set: {tier: db, old: null}}',
      'label pod/a tier=db old-',
      { kind: 'label', target: 'pod/a', changes: [{ key: 'tier', value: 'db' }, { key: 'old' }] },
    ],
    ['{at: 1s, move: pod/shop/db-0, to: node/n3}', 'move pod/shop/db-0 to node/n3', { kind: 'move', pod: 'pod/shop/db-0', node: 'n3' }],
    ['{at: 1s, node: n2, state: isolated}', 'node n2 is isolated', { kind: 'node', node: 'n2', state: 'isolated' }],
    ['{at: 1s, cable: n2, cut: false}', 'cable of n2 is whole again', { kind: 'cable', end: 'n2', cut: false }],
    [
      '{at: 1s, cable: router/r0, segment: s1, loss: 12.5%, delay: 20ms, cut: null}',
      'cable of router/r0 in s1 loses 12.5 %, delays by 20 ms',
      { kind: 'cable', end: 'router/r0', segment: 's1', loss: 0.125, delayNs: 20e6 },
    ],
    ['{at: 1s, stop: flanneld, on: [n1, n2]}', 'flanneld stops on n1, n2', { kind: 'agent', agent: 'flanneld', how: 'stop', nodes: ['n1', 'n2'] }],
    ['{at: 1s, kill: bird, on: n1}', 'bird is killed on n1', { kind: 'agent', agent: 'bird', how: 'kill', nodes: ['n1'] }],
    ['{at: 1s, start: kube-proxy}', 'kube-proxy starts on every node', { kind: 'agent', agent: 'kube-proxy', how: 'start', nodes: [] }],
    ['{at: 1s, stop: etcd}', 'etcd stops', { kind: 'agent', agent: 'etcd', how: 'stop', nodes: [] }],
    ['{at: 1s, mtu: 1400, segment: s0}', 'MTU of segment s0 is 1400', { kind: 'mtu', mtu: 1400, segment: 's0' }],
    ['{at: 1s, mtu: 1400, node: n1}', 'MTU of n1 is 1400', { kind: 'mtu', mtu: 1400, node: 'n1' }],
    [
      '{at: 1s, firewall: r0, iptables: ["iptables -A FORWARD -j DROP"]}',
      'r0: iptables -A FORWARD -j DROP',
      { kind: 'firewall', router: 'r0', iptables: [{ text: '-A FORWARD -j DROP', file: 's.yaml', line: 6 }] },
    ],
    ['{at: 1s, resetBGP: n1}', 'BGP sessions of n1 are reset', { kind: 'bgp-reset', node: 'n1' }],
    ['{at: 1s, resetBGP: n1, peer: 0.0.0.7}', 'BGP session of n1 with 0.0.0.7 is reset', { kind: 'bgp-reset', node: 'n1', peer: 7 }],
  ])('%s', (text, what, action) => {
    expect(eventOf(text)).toMatchObject({ what, action, atNs: SECOND, line: 6 })
  })

  it('deletes a lease', () => {
    const { what, action } = eventOf('{at: 1s, deleteLease: 10.1.53.0/24}')
    expect(what).toBe('lease 10.1.53.0/24 is deleted')
    expect(action.kind === 'delete-lease' ? formatCidr(action.subnet) : '').toBe('10.1.53.0/24')
  })

  it('applies files and objects, each with its place', () => {
    const { what, action } = eventOf(`at: 1s
      apply:
        - np.yaml
        - apiVersion: v1
          kind: Pod
          metadata: {name: p}
          spec:
            nodeName: n1
        - apiVersion: v1
          kind: List
          items:
            - {apiVersion: v1, kind: Namespace, metadata: {name: blue}}`)
    expect(what).toBe('apply np.yaml, Pod/default/p, Namespace/blue')
    if (action.kind !== 'apply') throw new Error('no apply')
    expect(action.objects.map(({ label, file, line }) => [label, file, line])).toEqual([
      ['NetworkPolicy/shop/db', 'np.yaml', 1],
      ['Pod/default/p', 's.yaml', 9],
      ['Namespace/blue', 's.yaml', 17],
    ])
    expect(action.objects[1].lineOf(['spec', 'nodeName'])).toBe(13)
  })
})

describe('a probe', () => {
  it.each([
    ['shop/a', 'svc/web:80', 'svc/shop/web:80'],
    ['shop/a', 'web-0:80', 'shop/web-0:80'],
    ['pod/shop/a', 'pod/b', 'pod/shop/b'],
    ['shop/a', 'other/b', 'other/b'],
    ['shop/a', 'svc/other/web', 'svc/other/web'],
    ['shop/a', 'web.shop.svc:80', 'web.shop.svc:80'],
    ['shop/a', '10.0.0.1:80', '10.0.0.1:80'],
    ['shop/a', 'node/n1', 'node/n1'],
    ['shop/a', 'localhost:80', 'localhost:80'],
    ['a', 'svc/web:80', 'svc/web:80'],
    ['node/n1', 'svc/web:80', 'svc/web:80'],
  ])('from %s: %s is %s', (from, to, meant) => {
    const { read, problems } = readText(`${HEAD}  probes: [{from: ${from}, to: "${to}"}]\n`)
    expect(problems).toEqual([])
    expect(read?.probes.map((probe) => [probe.from, probe.to, probe.name])).toEqual([[from, meant, `${from} → ${to}`]])
  })
})

/** A document with a fault in each line, and what must be told of that line. */
const FAULTY: readonly (readonly [line: string, ...told: readonly RegExp[]])[] = [
  ['apiVersion: netsim/v1'],
  ['kind: Scenario'],
  ['metadata: {name: bad}'],
  ['spec:'],
  ['  input: {a: b}', /spec\.input: neither text nor a list/],
  ['  start: convergd', /spec\.start is "convergd".*Did you mean converged/],
  ['  until: 91d', /spec\.until: "91d" is not a time of at most 90 days/],
  ['  seed: -1', /spec\.seed: -1 is not a whole number/],
  ['  prbes: []', /unknown field spec\.prbes.*Did you mean probes/],
  [
    '  delays: {kubelet.podStrat: 2s, felix.refresh: 0, etcd.roundTrip: 5}',
    /podStrat.*kubelet\.podStart/,
    /"felix\.refresh".*0 is not a time from 100ms/,
    /5 is not a time/,
  ],
  ['  events:'],
  ['    - hello', /events\[0\] is "hello", not an event/],
  ['    - {}', /events\[1\] says nothing that happens/],
  ['    - {at: 1s}', /says nothing that happens \| One of these belongs there: apply/],
  ['    - {at: 1s, aply: np.yaml}', /unknown field aply.*Did you mean apply/],
  ['    - {at: 1s, apply: np.yaml, delete: np/shop/db}', /says 2 things that happen: apply, delete/],
  ['    - {apply: np.yaml}', /events\[5\]\.at is missing/],
  ['    - {at: 1h30, delete: np/a/b}', /"1h30" is not a time/],
  ['    - {at: -1s, delete: np/a/b}', /"-1s" is not a time/],
  ['    - {at: 10, delete: np/a/b}', /10 is not a time of at most 90 days \| Write it with its unit/],
  ['    - {at: 1s, delete: 5}', /events\[9\]\.delete is the number 5, not text/],
  ['    - {at: 1s, apply: 5}', /apply is the number 5, not a file or an object/],
  ['    - {at: 1s, apply: {kind: Pod}}', /an object without an apiVersion/],
  ['    - {at: 1s, apply: {apiVersion: v1, kind: Pdo, metadata: {name: x}}}', /v1 has no kind Pdo \| Did you mean Pod/],
  ['    - {at: 1s, apply: {apiVersion: netsim/v1, kind: Network}}', /Network of netsim is no object of the cluster's API/],
  ['    - {at: 1s, apply: []}', /apply is an empty list/],
  ['    - {at: 1s, scale: deploy/a, replicas: 1.5}', /1\.5 is not a whole number/],
  ['    - {at: 1s, scale: deploy/a}', /replicas is missing/],
  ['    - {at: 1s, rollout: retsart, of: deploy/a}', /Did you mean restart/],
  ['    - {at: 1s, label: pod/a, set: [x=y z, old]}', /"y z" is no label value/, /old is no change of a label/],
  ['    - {at: 1s, label: pod/a, set: [1]}', /set: no changes of labels/],
  ['    - {at: 1s, move: pod/a}', /to is missing/],
  ['    - {at: 1s, node: n1, state: dwon}', /Did you mean down/],
  ['    - {at: 1s, node: n1, state: up, cut: true}', /unknown field spec\.events\[22\].cut/],
  ['    - {at: 1s, cable: n1}', /says nothing of the cable/],
  ['    - {at: 1s, cable: n1, loss: 110%, delay: 5, cut: yes}', /"110%" is not a share/, /5 is not a time/, /"yes", not true or false/],
  ['    - {at: 1s, stop: flaneld}', /Did you mean flanneld/],
  ['    - {at: 1s, stop: flanneld, on: []}', /on: an empty list/],
  ['    - {at: 1s, deleteLease: 10.1.53.1/24}', /has bits set beyond \/24/],
  ['    - {at: 1s, mtu: 14, segment: s0}', /14 is not a whole number from 68/],
  ['    - {at: 1s, mtu: 1400, segment: s0, node: n1}', /an MTU of a segment or of a node/],
  ['    - {at: 1s, firewall: r0, iptables: [""]}', /neither text nor a list|an empty text/],
  ['    - {at: 1s, resetBGP: n1, peer: fd00::1}', /is an IPv6 address/],
  ['  probes:'],
  ['    - 7', /probes\[0\] is the number 7, not a probe/],
  ['    - {from: a}', /probes\[1\]\.to is missing/],
  ['    - {frm: a, to: b}', /unknown field spec\.probes\[2\]\.frm.*Did you mean from/, /from is missing/],
  ['    - {from: a, to: b, every: 0s}', /"0s" is not a time from 1ms/],
  ['    - {from: a, to: "b:80", proto: icmp}', /has a port, and ICMP has none/],
  ['    - {from: a, to: b, proto: udp}', /has no port, and UDP needs one/],
  ['    - {from: a, to: shop/b, proto: tcp}', /has no port, and TCP needs one/],
  ['    - {from: a, to: b, proto: sctp}', /proto is "sctp", not tcp or udp or icmp/],
  ['    - {from: a, to: b, start: 10s, stop: 5s}', /stops before it starts/],
  ['    - {name: w, from: a, to: b}'],
  ['    - {name: w, from: a, to: b}', /two probes are called w, the other in s\.yaml:/],
]

describe('a Scenario with a fault in every line', () => {
  const { problems, read } = readText(`${FAULTY.map(([line]) => line).join('\n')}\n`, FILES)

  it('is none', () => expect(read).toBeUndefined())

  it.each(FAULTY.map(([text, ...told], index) => [index + 1, text, told] as const))('line %i: %s', (line, _text, told) => {
    const here = problems.filter((problem) => problem.line === line).map(({ what, fix }) => `${what} | ${fix}`)
    for (const words of told) expect(here.filter((text) => words.test(text))).toHaveLength(1)
    expect(here).toHaveLength(told.length)
  })
})

describe('any document', () => {
  const read = (value: unknown): void => {
    const { object, problems } = readText(JSON.stringify({ apiVersion: 'netsim/v1', kind: 'Scenario', metadata: { name: 'x' }, spec: value }))
    if (object === undefined) return
    scenarioFiles(object)
    const again = new ProblemList()
    const scenario = readScenario(object, new Map(), again)
    expect(scenario === undefined).toBe(problems.some(({ severity }) => severity === 'error'))
    expect(again.problems).toEqual(problems)
  }

  it('is read, or told what is wrong with it', () => {
    fc.assert(fc.property(fc.jsonValue({ maxDepth: 4 }), read), { numRuns: 200 })
  })

  it('with the right fields and any values', () => {
    const field = fc.constantFrom('input', 'start', 'until', 'seed', 'delays', 'events', 'probes', 'apply', 'at', 'constructor', '__proto__')
    fc.assert(fc.property(fc.dictionary(field, fc.jsonValue({ maxDepth: 3 }), { maxKeys: 4 }), read), { numRuns: 200 })
  })

  it('with events and probes that are nearly right', () => {
    const spec = fc.record({ events: fc.array(fc.oneof(arbitraryEvent, fc.jsonValue())), probes: fc.array(fc.oneof(arbitraryProbe, fc.jsonValue())) })
    fc.assert(fc.property(spec, read), { numRuns: 300 })
  })
})
