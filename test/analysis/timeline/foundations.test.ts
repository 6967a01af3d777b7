/** What a report takes for granted and leaves out: each sentence where it matters, and in no other run. */
import { describe, expect, it } from 'vitest'
import { foundationsOf, type Foundations } from '../../../src/analysis/timeline/foundations.js'
import { buildCluster } from '../../../src/cluster/cluster.js'
import type { Action, Scenario, ScenarioProbe } from '../../../src/cluster/scenario/scenario.js'
import type { DiaryEntry } from '../../../src/network/time/diary.js'
import type { ProbeSpan } from '../../../src/network/time/probe-history.js'
import { PROBE } from './story.js'

const PLACE = { file: 's.yaml', line: 1 }
const EVERYONES = 'apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus: {addresses: [{type: InternalIP, address: 192.168.0.11}]}\n---\n'
const ETCD = `${EVERYONES}apiVersion: netsim/v1\nkind: Network\nmetadata: {name: default}\nspec: {cni: flannel, datastore: etcd, runtime: {name: docker}}\n`

interface Run {
  readonly input?: string
  readonly actions?: readonly Action[]
  readonly entries?: readonly Omit<DiaryEntry, 'id'>[]
  readonly probe?: Partial<ScenarioProbe>
  readonly spans?: readonly ProbeSpan[]
  readonly lost?: number
  readonly start?: Scenario['start']
}

function of({ input = EVERYONES, actions = [], entries = [], probe = {}, spans = [], lost = 0, start = 'converged' }: Run): Foundations {
  const asked = { ...PROBE, connection: false, ...probe }
  const events = actions.map((action) => ({ ...PLACE, atNs: 1e9, what: action.kind, action }))
  return foundationsOf({
    scenario: { ...PLACE, name: 's', start, delays: {}, events, probes: [asked] },
    cluster: buildCluster([{ file: 'c.yaml', text: input }]).cluster,
    diary: entries.map((entry, id) => ({ id, ...entry })),
    histories: [{ probe: asked, spans, packets: 10, lost, walked: 1 }],
    untilNs: 10e9,
    seed: 7,
  })
}

const SPAN: ProbeSpan = { class: 'works', reason: '', via: [], fromNs: 0, toNs: 1, packets: 1, lost: 0 }
const MEMORY: ProbeSpan = { ...SPAN, cause: { kind: 'memory', atNs: 1, what: [] } }
const expired = { atNs: 5e9, agent: 'etcd', kind: 'lease-expired', what: 'lease 10.1.2.0/24 expired' } as const

describe('foundationsOf', () => {
  it('says nothing of a run in which nothing of it matters', () => {
    expect(of({})).toEqual({ assumptions: [], notModelled: [] })
    expect(of({ spans: [SPAN], probe: { to: '10.0.0.1:80' } })).toEqual({ assumptions: [], notModelled: [] })
  })

  it.each<[string, Run, RegExp]>([
    ['leases that ran out', { input: ETCD, entries: [expired] }, /whole time to live/],
    ['sessions of BGP', { entries: [{ atNs: 1, agent: 'bird', kind: 'bgp-session', what: 'up' }] }, /one draw, of seed 7; --seed/],
    ['a node that is lost', { entries: [{ atNs: 1, agent: 'node controller', kind: 'node', what: 'Node/n1 is Unknown: no heartbeat' }] }, /heartbeat/],
    ['pods that start', { entries: [{ atNs: 1, agent: 'kubelet', kind: 'pod', what: 'Pod/a/b runs with 10.0.0.2' }] }, /readiness probes succeed/],
    ['a firewall', { actions: [{ kind: 'firewall', router: 'r', iptables: [] }] }, /etcd and the API server stand on no node/],
    ['a lossy cable', { actions: [{ kind: 'cable', end: 'n1', loss: 0.1 }] }, /etcd and the API server stand on no node/],
    ['a name', { probe: { to: 'web.shop.svc:80' } }, /looked up anew for each packet/],
  ])('takes for granted: %s', (_, run, sentence) => {
    const { assumptions, notModelled } = of(run)
    expect([assumptions.length, notModelled]).toEqual([1, []])
    expect(assumptions[0]).toMatch(sentence)
  })

  it.each<[string, Run]>([
    ['a cable that is cut: whoever is behind it reaches nobody', { actions: [{ kind: 'cable', end: 'n1', cut: true }] }],
    ['what happened before time 0', { entries: [{ atNs: -1, agent: 'bird', kind: 'bgp-session', what: 'up' }] }],
    ['leases that ran out after a cold start', { input: ETCD, start: 'boot', entries: [expired] }],
    ['a pod by its name', { probe: { to: 'shop/api-0:80' } }],
  ])('not: %s', (_, run) => {
    expect(of(run)).toEqual({ assumptions: [], notModelled: [] })
  })

  it('leaves out what a client would do, where it matters', () => {
    expect(of({ probe: { connection: true }, lost: 3, spans: [SPAN] }).notModelled).toEqual([
      expect.stringContaining('are not sent again'),
      expect.stringContaining('nothing but the probes'),
    ])
    expect(of({ probe: { connection: true, proto: 'udp' }, lost: 3, spans: [SPAN] }).notModelled).toEqual([expect.stringContaining('nothing but the probes')])
    expect(of({ spans: [MEMORY] }).notModelled).toEqual([expect.stringContaining('nothing but the probes')])
  })

  const FABRIC = `${EVERYONES}apiVersion: netsim/v1
kind: Network
metadata: {name: default}
spec: {underlay: {segments: [{name: s0, cidr: 192.168.0.0/24}], routers: [{name: r, segments: [s0], asn: 65000}]}}
`
  const lost = (node: string): Omit<DiaryEntry, 'id'> => ({
    atNs: 1,
    agent: 'node controller',
    kind: 'node',
    node,
    what: `Node/${node} is Unknown: no heartbeat`,
  })
  const starts: Omit<DiaryEntry, 'id'> = { atNs: 6e9, agent: 'flanneld', kind: 'agent', node: 'n1', what: 'flanneld starts' }

  it.each<[string, Run, RegExp]>([
    ['link state', { input: FABRIC, actions: [{ kind: 'node', node: 'n1', state: 'down' }] }, /check link/],
    ['the rate of evictions', { entries: [lost('n1'), lost('n2')] }, /--node-eviction-rate/],
    ['what flanneld leaves', { input: ETCD, start: 'boot', entries: [{ ...expired, node: 'n2' }, starts] }, /leases that ended meanwhile/],
    ['grace', { entries: [{ atNs: 1, agent: 'controller', kind: 'pod', what: 'deletes Pod/a/b: its node is gone' }] }, /grace period/],
  ])('leaves out %s', (_, run, sentence) => {
    expect(of(run).notModelled).toEqual([expect.stringMatching(sentence)])
  })

  it.each<[string, Run]>([
    ['one node that is lost', { entries: [lost('n1')] }],
    [
      'a flanneld that starts before a lease ends',
      {
        input: ETCD,
        start: 'boot',
        entries: [
          { ...starts, atNs: 1 },
          { ...expired, node: 'n2' },
        ],
      },
    ],
    ['a cable of a router without BGP', { actions: [{ kind: 'cable', end: 'n1', cut: true }] }],
  ])('leaves out nothing of %s', (_, run) => {
    expect(of(run).notModelled).toEqual([])
  })

  it('says that agents are no pods, where their pods are meant', () => {
    expect(of({ actions: [{ kind: 'delete', target: 'ds/kube-system/calico-node' }] }).notModelled).toEqual([
      expect.stringContaining('ds/kube-system/calico-node'),
    ])
    expect(of({ actions: [{ kind: 'delete', target: 'pod/kube-system/kube-proxy-x2x4k' }] }).notModelled).toHaveLength(1)
    expect(of({ actions: [{ kind: 'delete', target: 'deploy/shop/web' }] }).notModelled).toEqual([])
  })
})
