/**
 * Which of several kernels that became other ones at one moment it was that turned a probe's answer, and by whose hand: the packet is asked in the state
 * before with what one agent wrote on one node, node by node of its way, until one of them by itself gives the new answer.
 */
import type { DiaryAgent } from './diary.js'
import type { NetworkState, NodeState } from './network-state.js'

/** Who writes what a node's state consists of. */
const WRITERS: readonly (readonly [fields: readonly (keyof NodeState)[], agents: readonly DiaryAgent[]])[] = [
  [['power', 'cable', 'mtu'], ['scenario']],
  [['bird'], ['bird']],
  [['flannel', 'flanneldRuns', 'flanneldKilled'], ['flanneld']],
  [['felix', 'felixMtu'], ['felix']],
  [['kubeProxy'], ['kube-proxy']],
  [['pods', 'hadPods'], ['kubelet']],
]

export interface Decisive {
  readonly node: string
  /** Of those whose writing decided; empty: the node's whole state did, and none of it alone. */
  readonly agents: readonly DiaryAgent[]
}

export interface Moment {
  readonly before: NetworkState
  readonly now: NetworkState
  /** Nodes on the packet's way. */
  readonly nodes: ReadonlySet<string>
  /** Does the packet get the new answer in such a network? */
  readonly turns: (state: NetworkState) => boolean
}

/** Each question is a network to be put together: of more writings than these nobody is asked. */
const MOST = 24

/** undefined: it was all in one hand, or none of them decided alone. */
export function decisiveOf({ before, now, nodes, turns }: Moment): Decisive | undefined {
  const changed = [...nodes].filter((name) => before.nodes.get(name) !== now.nodes.get(name) && before.nodes.has(name) && now.nodes.has(name))
  const writings = changed.flatMap((node) => writingsOf(before.nodes.get(node) as NodeState, now.nodes.get(node) as NodeState).map((one) => ({ node, ...one })))
  if (writings.length === 1) return { node: writings[0].node, agents: writings[0].agents }
  if (writings.length === 0 || writings.length > MOST) return undefined
  const found = writings.find(({ node, state }) => turns(withNode(before, node, state)))
  if (found !== undefined) return { node: found.node, agents: found.agents }
  const node = changed.length === 1 ? changed[0] : changed.find((name) => turns(withNode(before, name, now.nodes.get(name) as NodeState)))
  return node === undefined ? undefined : { node, agents: [] }
}

function writingsOf(was: NodeState, is: NodeState): readonly { readonly state: NodeState; readonly agents: readonly DiaryAgent[] }[] {
  return WRITERS.flatMap(([fields, agents]) => {
    const others = fields.filter((field) => was[field] !== is[field])
    return others.length === 0 ? [] : [{ agents, state: { ...was, ...Object.fromEntries(others.map((field) => [field, is[field]])) } }]
  })
}

function withNode(state: NetworkState, name: string, node: NodeState): NetworkState {
  return { ...state, nodes: new Map([...state.nodes, [name, node]]) }
}
