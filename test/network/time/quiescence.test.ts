/**
 * Agents that boot together and come to rest leave the network that is put together at once: every example, every netns. And they come back to it: agents
 * that were killed and started anew, nodes that were off or cut off, cables that were out.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Cluster } from '../../../src/cluster/cluster.js'
import type { Action, Scenario } from '../../../src/cluster/scenario/scenario.js'
import { CALICO_AGENTS } from '../../../src/network/calico-agents.js'
import type { Network } from '../../../src/network/network.js'
import { runControlPlane, type Run } from '../../../src/network/time/control-plane.js'
import { changeText, dataplaneChanges } from '../../../src/network/time/dataplane-diff.js'
import { networkAt } from '../../../src/network/time/network-at.js'
import { clusterOf, SEED, steadyOf } from './moment-kit.js'

const SECOND = 1e9
const ROOT = new URL('../../../examples/', import.meta.url)

/** Its nodes have flannel's annotations but for kube-subnet-manager, which no flanneld would have left out. */
const UNMANAGED = 'dump'

function inputsOf(name: string): readonly string[] {
  const url = new URL(name, ROOT)
  if (!statSync(url).isDirectory()) return name.endsWith('.yaml') ? [name] : []
  return readdirSync(url)
    .sort()
    .flatMap((file) => (statSync(new URL(`${name}/${file}`, ROOT)).isFile() && !file.endsWith('.txt') ? [`${name}/${file}`] : []))
}

function textOf(file: string): string {
  return readFileSync(new URL(file, ROOT), 'utf8')
}

const EXAMPLES = readdirSync(ROOT).filter((name) => {
  const files = inputsOf(name)
  return files.length > 0 && name !== UNMANAGED && !files.some((file) => textOf(file).includes('kind: Scenario'))
})

function clusterNamed(name: string): Cluster {
  return clusterOf(inputsOf(name).map((file) => ({ file, text: textOf(file) })))
}

function run(cluster: Cluster, actions: readonly (readonly [seconds: number, action: Action])[], untilSeconds: number): Run {
  const place = { file: 'scenario.yaml', line: 1 }
  const events = actions.map(([seconds, action]) => ({ ...place, atNs: seconds * SECOND, what: action.kind, action }))
  const scenario: Scenario = { ...place, name: 'test', start: 'converged', delays: {}, events, probes: [], untilNs: untilSeconds * SECOND }
  return runControlPlane({ cluster, scenario, seed: SEED, namespace: 'default', calico: CALICO_AGENTS })
}

/** What is otherwise than at once, by netns. */
function differences(steady: Network, moment: Network): string[] {
  const names = new Set([...steady.dataplanes.keys(), ...moment.dataplanes.keys()])
  return [...names].flatMap((netns) =>
    dataplaneChanges(steady.dataplanes.get(netns), moment.dataplanes.get(netns)).map((change) => `${netns} ${changeText(change)}`),
  )
}

describe('at rest', () => {
  it('there are examples', () => expect(EXAMPLES.length).toBeGreaterThan(25))

  it.each(EXAMPLES)('%s', (name) => {
    const cluster = clusterNamed(name)
    const made = run(cluster, [], 1)
    expect(made.problems).toEqual([])
    expect(differences(steadyOf(cluster), networkAt(made.book, made.states[0]))).toEqual([])
  })
})

describe('a node that no flanneld manages', () => {
  // of a Node that changes they look at three annotations, and not at this one (flannel pkg/subnet/kube/kube.go handleUpdateLeaseEvent)
  it('is none of the others’ leases, nor once its own flanneld says that it manages it', () => {
    const cluster = clusterNamed(UNMANAGED)
    const made = run(cluster, [], 1)
    expect(differences(steadyOf(cluster), networkAt(made.book, made.states[0]))).toEqual([
      'n1 - 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink',
      'n1 - 10.244.2.0 dev flannel.1 lladdr 02:00:00:00:00:02 PERMANENT',
      'n1 - 02:00:00:00:00:02 dev flannel.1 dst 192.168.0.2 self permanent',
      'n2 - 10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink',
      'n2 - 10.244.1.0 dev flannel.1 lladdr 02:00:00:00:00:01 PERMANENT',
      'n2 - 02:00:00:00:00:01 dev flannel.1 dst 192.168.0.1 self permanent',
    ])
  })
})

describe('back at rest', () => {
  const CASES = [
    'flannel-vxlan.yaml',
    'flannel-host-gw.yaml',
    'flannel-udp.yaml',
    'services-flannel.yaml',
    'calico-ipip.yaml',
    'calico-vxlan.yaml',
    'canal.yaml',
  ]

  it.each(CASES)('%s: a node that was cut off, and agents that were killed', (name) => {
    const cluster = clusterNamed(name)
    const node = cluster.nodes[0].name
    const agents = (['flanneld', 'felix', 'bird', 'kube-proxy'] as const).filter((agent) => takesPart(agent, cluster))
    const made = run(
      cluster,
      [
        [10, { kind: 'node', node, state: 'isolated' }],
        [20, { kind: 'node', node, state: 'rejoined' }],
        ...agents.map((agent): [number, Action] => [60, { kind: 'agent', agent, how: 'kill', nodes: [] }]),
        ...agents.map((agent): [number, Action] => [70, { kind: 'agent', agent, how: 'start', nodes: [] }]),
      ],
      1200,
    )
    expect(made.states.length).toBeGreaterThan(2)
    const cut = networkAt(made.book, made.states.find(({ atNs }) => atNs === 10 * SECOND) ?? made.states[0])
    expect(cut.dataplane(node)?.devices.find(({ kind }) => kind === 'nic')).toMatchObject({ cable: { cut: true } })
    expect(differences(steadyOf(cluster), networkAt(made.book, made.states[made.states.length - 1]))).toEqual([])
  })
})

function takesPart(agent: 'flanneld' | 'felix' | 'bird' | 'kube-proxy', { cni, kubeProxy }: Cluster): boolean {
  if (agent === 'flanneld') return cni === 'flannel' || cni === 'canal'
  if (agent === 'kube-proxy') return kubeProxy.mode !== 'none'
  return agent === 'felix' ? cni !== 'flannel' : cni === 'calico'
}
