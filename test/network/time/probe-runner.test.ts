/** Probes over runs of real agents: what they see, from when on, why, and how many packets of each kind, whether walked or counted. */
import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Action, Scenario, ScenarioProbe } from '../../../src/cluster/scenario/scenario.js'
import { readManifests } from '../../../src/cluster/manifest.js'
import { ProblemList } from '../../../src/cluster/problem-list.js'
import { forgetNetns, NO_MEMORY } from '../../../src/net/kernel-memory.js'
import { CALICO_AGENTS } from '../../../src/network/calico-agents.js'
import { cidr } from '../../../src/base/cidr.js'
import { ip } from '../../../src/base/ip.js'
import { runControlPlane, type Run } from '../../../src/network/time/control-plane.js'
import { networkAt } from '../../../src/network/time/network-at.js'
import { convergenceOf } from '../../../src/network/time/probe-convergence.js'
import type { ProbeHistory, ProbeSpan } from '../../../src/network/time/probe-history.js'
import { askProbe } from '../../../src/network/time/probe-question.js'
import { GIVES_UP_NS, runProbes } from '../../../src/network/time/probe-runner.js'
import { clusterOf, SEED } from './moment-kit.js'

const SECOND = 1e9
const PLACE = { file: 'scenario.yaml', line: 1 }

const node = (number: number): unknown => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: `n${number}` },
  spec: { podCIDR: `10.244.${number}.0/24` },
  status: { addresses: [{ type: 'InternalIP', address: `192.168.10.1${number}` }] },
})

const pod = (name: string, app: string, nodeName: string, podIP: string): unknown => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels: { app } },
  spec: { nodeName, containers: [{ name: 'c', ports: [{ containerPort: 8080 }, { containerPort: 5353, protocol: 'UDP' }] }] },
  status: { phase: 'Running', podIP, conditions: [{ type: 'Ready', status: 'True' }] },
})

const ports = [
  { name: 'http', port: 80, targetPort: 8080 },
  { name: 'dns', port: 53, targetPort: 5353, protocol: 'UDP' },
]
const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'web' }, spec: { clusterIP: '10.96.0.10', selector: { app: 'web' }, ports } }

const network = (spec: Readonly<Record<string, unknown>>): unknown => ({
  apiVersion: 'netsim/v1',
  kind: 'Network',
  metadata: { name: 'default' },
  spec: { ...spec, underlay: { segments: [{ name: 's0', cidr: '192.168.10.0/24', latency: '0us' }] } },
})

const FLANNEL = [
  network({ cni: 'flannel', datastore: 'kubernetes', runtime: { name: 'cni' } }),
  {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'kube-flannel-cfg', namespace: 'kube-flannel' },
    data: { 'net-conf.json': JSON.stringify({ Network: '10.244.0.0/16', Backend: { Type: 'host-gw' } }) },
  },
]
const CALICO = [
  network({ cni: 'calico' }),
  {
    apiVersion: 'crd.projectcalico.org/v1',
    kind: 'IPPool',
    metadata: { name: 'default-ipv4-ippool' },
    spec: { cidr: '10.244.0.0/16', blockSize: 26, ipipMode: 'Never', vxlanMode: 'Never', natOutgoing: true },
  },
]

function textOf(...documents: readonly unknown[]): string {
  return documents.map((one) => JSON.stringify(one)).join('\n---\n')
}

const probe = (name: string, from: string, to: string, more: Partial<ScenarioProbe> = {}): ScenarioProbe => ({
  ...PLACE,
  name,
  from,
  to,
  everyNs: SECOND,
  startNs: 0,
  connection: false,
  ...more,
})

interface Story {
  readonly text: string
  readonly untilNs: number
  readonly events: readonly (readonly [atSeconds: number, action: Action])[]
  readonly probes: readonly ScenarioProbe[]
}

function play({ text, untilNs, events, probes }: Story): Run {
  const scenario: Scenario = {
    ...PLACE,
    name: 'story',
    start: 'converged',
    delays: {},
    events: events.map(([at, action]) => ({ ...PLACE, atNs: at * SECOND, what: action.kind, action })),
    probes,
  }
  return runControlPlane({ cluster: clusterOf(text), scenario, seed: SEED, namespace: 'default', untilNs, calico: CALICO_AGENTS })
}

function seen(run: Run, probes: readonly ScenarioProbe[]): ProbeHistory[] {
  return runProbes({ run, probes, networkAt: (state) => networkAt(run.book, state), diary: run.diary })
}

const words = ({ spans }: ProbeHistory): readonly unknown[] =>
  spans.map((span) => [span.class, span.fromNs / SECOND, span.toNs / SECOND, span.packets, span.lost])

/** What the diary says of a span's cause, the first and the last. */
function chainOf({ cause }: ProbeSpan): readonly string[] {
  if (cause?.kind !== 'network') return [cause?.kind ?? 'none']
  return [cause.chain[0], cause.chain[cause.chain.length - 1]].map(({ agent, kind }) => `${agent} ${kind}`)
}

/** The same run cut into states of a second each, so that no packet is like one before it in its state. */
function cutUp(run: Run): Run {
  const states = run.states.flatMap((state, at) => {
    const endNs = run.states[at + 1]?.atNs ?? run.untilNs
    const cuts = [state]
    for (let atNs = (Math.floor(state.atNs / SECOND) + 1) * SECOND; atNs < endNs; atNs += SECOND) cuts.push({ ...state, atNs })
    return cuts
  })
  return { ...run, states }
}

describe('a policy that comes while a connection is open (Calico)', () => {
  const file = 'np.yaml'
  const policy = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'closed' },
    spec: { podSelector: { matchLabels: { app: 'web' } } },
  }
  const objects = [node(1), node(2), pod('client', 'client', 'n1', '10.244.0.10'), pod('web-1', 'web', 'n2', '10.244.0.80')]
  const probes = [probe('open', 'client', 'web-1:8080', { connection: true }), probe('new', 'client', 'web-1:8080')]
  let histories: ProbeHistory[]
  let run: Run

  beforeAll(() => {
    const { objects: applied } = readManifests([{ file, text: textOf(policy) }], new ProblemList())
    const action: Action = { kind: 'apply', file, objects: applied }
    run = play({ text: textOf(...objects, ...CALICO), untilNs: 60 * SECOND, events: [[20, action]], probes })
    histories = seen(run, probes)
  })

  it('leaves the open one alone, and drops the SYN of a new one', () => {
    expect(histories.map(words)).toEqual([
      [['works', 0, 59, 60, 0]],
      [
        ['works', 0, 20, 21, 0],
        ['black-holed', 21, 59, 39, 39],
      ],
    ])
    const [, after] = histories[1].spans
    expect([after.disposition, after.reason, after.where?.node]).toEqual(['DENIED', 'NETFILTER_DROP', 'n2'])
    expect(after.where?.rule).toContain('DROP')
    expect(chainOf(after)).toEqual(['scenario event', 'felix sync'])
  })

  it('tells how long the event went on changing answers', () => {
    const [convergence] = convergenceOf(run.diary, run.eventEntries, histories)
    expect([convergence.atNs, convergence.lastAnswerNs]).toEqual([20 * SECOND, 21 * SECOND])
  })
})

describe('a node that dies (flannel host-gw)', () => {
  const probes = [probe('pod', 'client', 'web-2:8080'), probe('stream', 'client', 'web-2:8080', { connection: true })]
  const text = textOf(node(1), node(2), pod('client', 'client', 'n1', '10.244.1.10'), pod('web-2', 'web', 'n2', '10.244.2.80'), ...FLANNEL)
  const story: Story = { text, untilNs: 3600 * SECOND, events: [[100, { kind: 'node', node: 'n2', state: 'down' }]], probes }
  let run: Run
  let histories: ProbeHistory[]

  beforeAll(() => {
    run = play(story)
    histories = seen(run, probes)
  })

  it('is believed in until its neighbour has failed: black-holed, then refused by the node before it', () => {
    const [{ spans }] = histories
    expect(spans.map((span) => span.class)).toEqual(['works', 'black-holed', 'refused'])
    const [works, blackHoled, refused] = spans
    expect([works.packets, works.lost, blackHoled.fromNs]).toEqual([100, 0, 100 * SECOND])
    expect(chainOf(blackHoled)).toEqual(['scenario event', 'scenario event'])
    // REACHABLE 30 s at most, DELAY 5 s, three questions a second apart
    const forSeconds = (refused.fromNs - blackHoled.fromNs) / SECOND
    expect(forSeconds).toBeGreaterThanOrEqual(5)
    expect(forSeconds).toBeLessThanOrEqual(39)
    expect(refused.told).toMatchObject({ by: 'ICMP host unreachable', from: '10.244.1.1' })
    expect(refused.cause?.kind === 'memory' && refused.cause.what.join()).toContain('neighbour 192.168.10.12')
  })

  it('loses every packet of an hour but the first hundred, of which few were walked', () => {
    for (const { packets, lost, walked } of histories) {
      expect([packets, lost]).toEqual([3600, 3500])
      expect(walked).toBeLessThan(400)
    }
  })

  it('says the same twice, and with every packet walked', () => {
    expect(JSON.stringify(seen(run, probes))).toBe(JSON.stringify(histories))
    const short = play({ ...story, untilNs: 240 * SECOND })
    const [counted, walked] = [seen(short, probes), seen(cutUp(short), probes)]
    expect(walked.map(({ walked: number }) => number)).toEqual([240, 240])
    expect(counted[0].walked).toBeLessThan(200)
    const classes = ({ spans }: ProbeHistory): readonly unknown[] => spans.map((span) => [span.class, span.disposition, span.reason])
    expect(counted.map(classes)).toEqual(walked.map(classes))
    expect(counted.map(({ packets, lost }) => [packets, lost])).toEqual(walked.map(({ packets, lost }) => [packets, lost]))
  })
})

describe('a pod that goes (flannel host-gw)', () => {
  const others = [node(1), node(2), pod('client', 'client', 'n1', '10.244.1.10'), pod('web-2', 'web', 'n2', '10.244.2.80'), ...FLANNEL]
  const stream = probe('stream', 'client', 'web-2:8080', { connection: true })
  const gone = (target: string, probes: readonly ScenarioProbe[], ...more: readonly unknown[]): readonly ProbeHistory[] =>
    seen(play({ text: textOf(...others, ...more), untilNs: 600 * SECOND, events: [[100, { kind: 'delete', target }]], probes }), probes)

  it('the last one of its bridge: no port has carrier, and the kernel drops what it knew of neighbours', () => {
    const [{ spans }] = gone('pod/web-2', [stream])
    expect(spans.map((span) => [span.class, span.fromNs / SECOND, span.told?.by])).toEqual([
      ['works', 0, undefined],
      ['refused', 102, 'ICMP host unreachable'],
    ])
  })

  it('beside another: believed in until its neighbour has failed, whoever asks elsewhere meanwhile', () => {
    const elsewhere = probe('elsewhere', 'client', '192.168.10.12')
    const beside = pod('web-3', 'web', 'n2', '10.244.2.81')
    const alone = gone('pod/web-2', [stream], beside)[0]
    for (const probes of [[stream], [elsewhere, stream], [stream, elsewhere]]) {
      const history = gone('pod/web-2', probes, beside).find(({ probe: { name } }) => name === 'stream')
      expect(history?.spans.map((span) => span.class)).toEqual(['works', 'black-holed', 'refused'])
      expect(Math.abs((history?.spans[2].fromNs ?? 0) - alone.spans[2].fromNs)).toBeLessThanOrEqual(15 * SECOND)
    }
  })

  it('with its Node: what flanneld heard is the cause, though others wrote states meanwhile', () => {
    const [{ spans }] = gone('node/n2', [stream])
    expect(spans[1].class).toBe('black-holed')
    expect(chainOf(spans[1])).toEqual(['scenario event', 'apiserver object'])
  })

  it('a node that boots hears of leases that are older than its boot', () => {
    const probes = [probe('pod', 'client', '10.244.2.80:8080')]
    const run = play({
      text: textOf(...others),
      untilNs: 300 * SECOND,
      events: [
        [10, { kind: 'agent', how: 'kill', agent: 'flanneld', nodes: [] }],
        [20, { kind: 'agent', how: 'start', agent: 'flanneld', nodes: [] }],
        [60, { kind: 'node', node: 'n2', state: 'down' }],
        [90, { kind: 'node', node: 'n2', state: 'up' }],
      ],
      probes,
    })
    const [, , , boots] = run.eventEntries
    const late = run.states.filter(({ atNs }) => atNs > 91 * SECOND).flatMap(({ causes }) => causes)
    const flanneld = late.map(({ entry }) => run.diary.chain(entry)).filter((chain) => chain.some(({ agent }) => agent === 'flanneld'))
    expect(flanneld.length).toBeGreaterThan(0)
    for (const chain of flanneld) expect(chain[0].id).toBe(boots)
  })
})

describe('a lease that ends in the moment in which its holder tries to renew it (flannel with etcd)', () => {
  it('is what the others acted on, whatever the holder says of it', () => {
    const text = readFileSync(new URL('../../../examples/flannel-udp.yaml', import.meta.url), 'utf8')
    const probes = [probe('ab', 'pod-a', 'pod-b', { everyNs: 600 * SECOND })]
    // the input's key has no end; the one that flanneld writes when it is gone has
    const events: Story['events'] = [
      [300, { kind: 'delete-lease', subnet: cidr(ip('10.1.20.0'), 24) }],
      [3600, { kind: 'node', node: 'host-b', state: 'isolated' }],
    ]
    const run = play({ text, untilNs: 90000 * SECOND, events, probes })
    const expired = run.diary.entries.find(({ kind }) => kind === 'lease-expired')
    expect(run.diary.entries.findLast(({ atNs }) => atNs === expired?.atNs)?.kind).toBe('lease-refused')
    expect(chainOf(seen(run, probes)[0].spans.at(-1) as ProbeSpan)).toEqual(['scenario event', 'etcd lease-expired'])
  })
})

describe('a pod whose address nobody wrote down', () => {
  it('is asked by the one that it had once its node is off', () => {
    const bare = (name: string, nodeName: string): unknown => ({ ...(pod(name, name, nodeName, '') as object), status: { phase: 'Running' } })
    const probes = [probe('pod', 'client', 'web-2:8080')]
    const text = textOf(node(1), node(2), bare('client', 'n1'), bare('web-2', 'n2'), ...CALICO)
    const run = play({ text, untilNs: 30 * SECOND, events: [[10, { kind: 'node', node: 'n2', state: 'down' }]], probes })
    expect(seen(run, probes)[0].spans.map((span) => [span.class, span.packets])).toEqual([
      ['works', 10],
      ['black-holed', 20],
    ])
  })
})

describe('an endpoint of a Service that goes (kube-proxy)', () => {
  const objects = [node(1), node(2), node(3), pod('client', 'client', 'n1', '10.244.1.10')]
  const webs = [pod('web-2', 'web', 'n2', '10.244.2.80'), pod('web-3', 'web', 'n3', '10.244.3.80')]
  const udp = probe('udp', 'client', 'svc/web:53', { proto: 'udp', connection: true })
  const tcp = probe('tcp', 'client', 'svc/web:80', { connection: true })
  const fresh = probe('fresh', 'client', 'svc/web:80')
  const probes = [udp, tcp, fresh]
  const text = textOf(...objects, ...webs, service, ...FLANNEL)
  const gone = (name: string): Story => ({ text, untilNs: 1200 * SECOND, events: [[10, { kind: 'delete', target: `pod/${name}` }]], probes })
  /** Whichever endpoint the flow was given. */
  const both = ['web-2', 'web-3'].map((name) => ({ name, ...historiesOf(gone(name)) }))

  function historiesOf(story: Story): { readonly run: Run; readonly histories: readonly ProbeHistory[] } {
    const run = play(story)
    return { run, histories: seen(run, probes) }
  }

  it('has the connection to it: UDP goes on to another, since kube-proxy deletes it; TCP is stuck until its client gives up', () => {
    // the flow chose one of the two at its start, and in one of the runs that is the one that goes: it is Terminating, and out of the rules, before it ends
    for (const { histories } of both) expect(words(histories[0])).toEqual([['works', 0, 1199, 1200, 0]])
    expect(both.map(({ histories }) => histories[1].spans.length).sort()).toEqual([1, 3])
    const tcpHit = both.map(({ histories }) => histories[1]).find(({ spans }) => spans.length > 1) as ProbeHistory
    const lost = tcpHit.spans.filter((span) => span.class !== 'works')
    expect(lost.reduce((sum, { packets }) => sum + packets, 0)).toBe(Math.ceil(GIVES_UP_NS / SECOND))
    expect(tcpHit.spans.at(-1)).toMatchObject({ class: 'works', cause: { kind: 'connection' } })
    expect(chainOf(tcpHit.spans[1])).toEqual(['scenario event', 'kubelet pod'])
  })

  it('takes its share of new connections until the rules are written, and no longer', () => {
    for (const { histories } of both) {
      const { spans, packets } = histories[2]
      expect(packets).toBe(1200)
      expect(spans.at(-1)).toMatchObject({ class: 'works', lost: 0 })
      expect((spans.at(-1) as ProbeSpan).fromNs).toBeLessThan(20 * SECOND)
    }
  })
})

describe('a cable that loses some frames', () => {
  const probes = [probe('ping', 'client', 'web-2')]
  const text = textOf(node(1), node(2), pod('client', 'client', 'n1', '10.244.1.10'), pod('web-2', 'web', 'n2', '10.244.2.80'), ...FLANNEL)
  const events: Story['events'] = [
    [10, { kind: 'cable', end: 'n2', loss: 0.2 }],
    [400, { kind: 'cable', end: 'n2', loss: 0 }],
  ]
  const run = play({ text, untilNs: 500 * SECOND, events, probes })
  const [history] = seen(run, probes)

  it('lets packets partly through, as many as chance would, and all of them again afterwards', () => {
    expect(history.spans.map((span) => [span.class, span.fromNs / SECOND, span.packets])).toEqual([
      ['works', 0, 10],
      ['partly', 10, 390],
      ['works', 400, 100],
    ])
    // there and back over the same cable: 1 - 0.8², of 390 packets 140, give or take three deviations
    expect(history.lost).toBeGreaterThan(110)
    expect(history.lost).toBeLessThan(171)
  })

  it('draws for a packet that is counted what it draws for one that is walked', () => {
    const [walked] = seen(cutUp(run), probes)
    expect([walked.walked, walked.lost]).toEqual([500, history.lost])
    expect(history.walked).toBeLessThan(100)
  })
})

describe('the packets of one connection', () => {
  const text = textOf(node(1), node(2), pod('client', 'client', 'n1', '10.244.1.10'), pod('web-2', 'web', 'n2', '10.244.2.80'), ...FLANNEL)
  const run = play({ text, untilNs: SECOND, events: [], probes: [] })
  const context = { seed: SEED, namespace: 'default', network: networkAt(run.book, run.states[0]), nextNs: Infinity }
  const packet = { probe: probe('stream', 'client', 'web-2:8080', { connection: true }), number: 0, count: 0, atNs: 0 }
  const first = askProbe(packet, { ...context, memory: NO_MEMORY })

  it('go on where the one before ended, and are reset by a server that knows nothing of them', () => {
    expect([first.class, first.connection?.socket.established]).toEqual(['works', true])
    const { connection } = first
    if (connection === undefined) throw new Error('it is open')
    const next = { ...packet, count: 1, atNs: 5 * SECOND, connection }
    const second = askProbe(next, { ...context, memory: first.memory })
    expect([second.class, second.ended]).toEqual(['works', false])
    const bytes = ((second.connection?.socket.sequence ?? 0) - connection.socket.sequence) | 0
    expect(bytes).toBe(84 - 20 - 32)
    const strange = askProbe(next, { ...context, memory: forgetNetns(first.memory, new Set(['default/web-2'])) })
    expect([strange.class, strange.result.told?.by, strange.ended]).toEqual(['refused', 'TCP RST', true])
    expect(strange.connection).toBeUndefined()
  })

  it('have no end where the pod is not there', () => {
    const absent = askProbe({ ...packet, probe: probe('stream', 'client', 'nobody:80') }, { ...context, memory: NO_MEMORY })
    expect([absent.class, absent.result.reason]).toEqual(['no end', 'there is no pod "nobody" in namespace "default"'])
  })
})
