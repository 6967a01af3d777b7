/** A run as its parts hand it over: a node dies under flannel, its route stays until its lease expires. Times and lines as a person would draw them. */
import type { Scenario } from '../../../src/cluster/scenario/scenario.js'
import type { ReportInput } from '../../../src/analysis/timeline/report.js'
import { Diary, type NewEntry } from '../../../src/network/time/diary.js'
import type { ProbeHistory, ProbeSpan } from '../../../src/network/time/probe-history.js'

export const SECOND = 1e9
export const HOUR = 3600 * SECOND

const PLACE = { file: 'dies.yaml', line: 12 }

/** The diary of what is written at times of the clock; time 0 is at `startNs` of it. */
export function diaryOf(written: readonly (readonly [atNs: number, entry: NewEntry])[], startNs = 0): Diary {
  let now = 0
  const diary = new Diary(() => now, { keepsWatches: true })
  let started = false
  for (const [atNs, entry] of written) {
    if (!started && atNs >= 0) {
      now = startNs
      diary.startHere()
      started = true
    }
    now = atNs + startNs
    diary.add(entry)
  }
  return diary
}

export const DIARY = diaryOf(
  [
    [-2 * SECOND, { agent: 'flanneld', kind: 'agent', node: 'n1', what: 'flanneld starts' }],
    [-1 * SECOND, { agent: 'flanneld', kind: 'lease-taken', node: 'n2', object: '10.1.53.0/24', what: 'lease 10.1.53.0/24 taken', cause: 0 }],
    [10 * SECOND, { agent: 'scenario', kind: 'event', node: 'n2', what: 'node n2 goes down', ...PLACE }],
    [10 * SECOND, { agent: 'kernel', kind: 'cable', node: 'n2', what: 'n2 answers nothing any more', cause: 2 }],
    [23 * HOUR, { agent: 'flanneld', kind: 'lease-renewed', node: 'n1', object: '10.1.15.0/24', what: 'lease 10.1.15.0/24 renewed', bytes: 300 }],
    [24 * HOUR, { agent: 'etcd', kind: 'lease-expired', object: '10.1.53.0/24', what: 'lease 10.1.53.0/24 expired', cause: 3, bytes: 120 }],
    [24 * HOUR + 2e6, { agent: 'flanneld', kind: 'route', node: 'n1', object: '10.1.53.0/24', what: 'route to 10.1.53.0/24 removed', cause: 5 }],
  ],
  2 * SECOND,
)

export const PROBE: ProbeHistory['probe'] = {
  ...PLACE,
  line: 20,
  name: 'a to b',
  from: 'shop/a',
  to: 'shop/b:80',
  proto: 'tcp',
  everyNs: SECOND,
  startNs: 0,
  connection: false,
}

const UNTIL = 24 * HOUR + 600 * SECOND

export const SPANS: readonly ProbeSpan[] = [
  { class: 'works', disposition: 'DELIVERED', reason: '', via: ['n1', 'n2'], fromNs: 0, toNs: 9 * SECOND, packets: 10, lost: 0 },
  {
    class: 'black-holed',
    disposition: 'NEIGHBOR_FAILED',
    reason: 'NEIGH_FAILED',
    where: { netns: 'n1', node: 'n1', detail: '192.168.0.2 does not answer ARP' },
    via: ['n1'],
    fromNs: 10 * SECOND,
    toNs: 24 * HOUR,
    packets: 86391,
    lost: 86391,
    cause: { kind: 'network', atNs: 10 * SECOND, state: 1, changes: [], chain: DIARY.chain(3) },
  },
  {
    class: 'refused',
    disposition: 'NO_ROUTE',
    reason: 'IP_OUTNOROUTES',
    where: { netns: 'n1', node: 'n1' },
    told: { by: 'ICMP net unreachable', from: 'n1', afterNs: 20000 },
    via: ['n1'],
    fromNs: 24 * HOUR + SECOND,
    toNs: UNTIL,
    packets: 599,
    lost: 599,
    cause: {
      kind: 'network',
      atNs: 24 * HOUR + 2e6,
      state: 2,
      changes: [{ netns: 'n1', text: '- 10.1.53.0/24 via 10.1.53.0 dev flannel.1 onlink' }],
      chain: DIARY.chain(6),
    },
  },
]

export const HISTORY: ProbeHistory = { probe: PROBE, spans: SPANS, packets: 87000, lost: 86990, walked: 3 }

export const SCENARIO: Scenario = {
  file: 'dies.yaml',
  line: 1,
  name: 'node-dies',
  start: 'converged',
  delays: { 'agent.start': 3 * SECOND },
  events: [{ ...PLACE, atNs: 10 * SECOND, what: 'node n2 goes down', action: { kind: 'node', node: 'n2', state: 'down' } }],
  probes: [PROBE],
}

export const INPUT: ReportInput = {
  scenario: SCENARIO,
  run: { startNs: 2 * SECOND, versions: [], states: [], untilNs: UNTIL, problems: [], eventEntries: [2] },
  diary: DIARY,
  histories: [HISTORY],
  convergence: [{ event: 0, entry: 2, atNs: 10 * SECOND, lastAnswerNs: 24 * HOUR + SECOND }],
  metadata: { tool: 'netsim 0', inputs: ['dies.yaml'], seed: 1, cni: 'flannel', backend: 'vxlan', nodes: 2 },
  foundations: { assumptions: [], notModelled: [] },
}
