/** Of several hands that wrote at one moment the one that by itself turns an answer; and what a report says of it. */
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { ScenarioReport } from '../../../src/analysis/timeline/document.js'
import { decisiveOf, type Decisive } from '../../../src/network/time/probe-decisive.js'
import { WHOLE_CABLE, type NetworkState, type NodeState } from '../../../src/network/time/network-state.js'
import { netsim } from '../../cli/memory-io.js'

const NODE: NodeState = { power: true, pods: 0, felix: 0, kubeProxy: 0, flanneldRuns: true, cable: WHOLE_CABLE }
const WAY: ReadonlySet<string> = new Set(['n1', 'router/r', 'n2'])

function stateOf(nodes: Readonly<Record<string, Partial<NodeState>>>): NetworkState {
  const all = ['n1', 'n2', 'n3'].map((name): [string, NodeState] => [name, nodes[name] === undefined ? NODE : { ...NODE, ...nodes[name] }])
  const underlay = { mtus: new Map(), firewalls: new Map(), cables: new Map(), bird: new Map() }
  return { atNs: 0, version: 0, nodes: new Map(all), underlay, diaryLength: 0, causes: [] }
}

const BEFORE = stateOf({})
const NOW = stateOf({ n1: { felix: 1, kubeProxy: 1 }, n2: { felix: 1, pods: 1 }, n3: { power: false } })

function decided(turns: (node: (name: string) => NodeState) => boolean, now = NOW): Decisive | undefined {
  return decisiveOf({ before: BEFORE, now, nodes: WAY, turns: (state) => turns((name) => state.nodes.get(name) as NodeState) })
}

describe('decisiveOf', () => {
  it('finds the hand, whoever else wrote at that moment', () => {
    expect(decided((node) => node('n2').felix === 1)).toEqual({ node: 'n2', agents: ['felix'] })
    expect(decided((node) => node('n1').kubeProxy === 1)).toEqual({ node: 'n1', agents: ['kube-proxy'] })
    expect(decided((node) => node('n2').pods === 1)).toEqual({ node: 'n2', agents: ['kubelet'] })
  })

  it('names the node where two hands of it decided together, and nobody where two nodes did', () => {
    expect(decided((node) => node('n1').felix === 1 && node('n1').kubeProxy === 1)).toEqual({ node: 'n1', agents: [] })
    expect(decided((node) => node('n1').felix === 1 && node('n2').felix === 1)).toBeUndefined()
  })

  it('asks nothing where it was all in one hand', () => {
    const now = stateOf({ n1: { bird: [] }, n3: { power: false } })
    const never = (): boolean => {
      throw new Error('nobody asks')
    }
    expect(decisiveOf({ before: BEFORE, now, nodes: WAY, turns: never })).toEqual({ node: 'n1', agents: ['bird'] })
    expect(decisiveOf({ before: BEFORE, now: stateOf({ n3: { power: false } }), nodes: WAY, turns: never })).toBeUndefined()
  })
})

describe('a report', () => {
  it('names the host whose rules turned the answer, and shows its lines alone', async () => {
    const file = fileURLToPath(new URL('../../../examples/scenarios/flannel-node-dies.yaml', import.meta.url))
    const { out } = await netsim(['run', file, '-o', 'json'])
    const { probes } = JSON.parse(out) as ScenarioReport
    const causes = probes.map(({ spans }) => spans.flatMap(({ cause }) => (cause?.kind === 'network' ? [cause] : [])))
    // every kube-proxy wrote at that moment, and every flanneld at the other
    expect(causes[1].slice(1).map(({ chain }) => `${chain.at(-1)?.agent} ${chain.at(-1)?.node}`)).toEqual(['kube-proxy node-1', 'kube-proxy node-1'])
    const netns = causes.flatMap((own) => own.slice(1).flatMap(({ changes }) => changes.map((change) => change.netns)))
    expect(new Set(netns)).toEqual(new Set(['node-1']))
    expect(probes[0].spans[1].where?.detail).toBe('the frame is for node-2, which has no power since 10s')
  })
})
