/**
 * What the states of a run do to what kernels remember: power that goes takes all of it, a pod that ends takes its own, and agents delete connections. From
 * the memory after a packet to the one that the next packet finds.
 *
 *   kube-proxy    UDP connections to endpoints that its rules lead to no more (kubernetes pkg/proxy/conntrack/cleanup.go); TCP is left alone
 *   Felix         all connections of an address whose pod has left the node (felix/conntrack/conntrack.go, called by routetable/route_table.go)
 *   CNI plugin    neighbour entries of an address that a new pod announces (plugins/main/bridge/bridge.go, arping)
 *   kernel        a netns that ends; masquerade of a device or address that is gone, neighbours of a card without carrier (net/kernel-memory.ts)
 */
import type { ClusterPod } from '../../cluster/pod.js'
import { forgetConnections, forgetNeighbours, forgetNetns, putMemory, takeMemory, type KernelMemory } from '../../net/kernel-memory.js'
import { E_DST, E_PORTS, E_PROTO, E_REPLY_DST, E_REPLY_PORTS, E_REPLY_SRC, E_SRC } from '../../net/netfilter/conntrack-tuple.js'
import { resetWorld } from '../../net/compile.js'
import { PROTO_UDP } from '../../wire/packet.js'
import type { Network } from '../network.js'
import type { ControlRun, NetworkState, NodeState } from './network-state.js'

export type NetworkAt = (state: NetworkState) => Network

export class MemoryEvents {
  private readonly run: ControlRun
  private readonly networkAt: NetworkAt

  constructor(run: ControlRun, networkAt: NetworkAt) {
    this.run = run
    this.networkAt = networkAt
  }

  /** The memory of a moment in one state (by its place), as it is when another has come into force. */
  carry(memory: KernelMemory, from: number, to: number): KernelMemory {
    let carried = memory
    for (let at = from + 1; at <= to && carried.netns.size > 0; at++) {
      carried = this.timersUntil(carried, at)
      carried = this.through(carried, at)
    }
    return carried
  }

  /** Timers that fire before a state comes into force meet the network of the one before. */
  private timersUntil(memory: KernelMemory, at: number): KernelMemory {
    const { states } = this.run
    const untilNs = states[at].atNs
    const isDue = [...memory.netns.values()].some(({ neighbours }) => neighbours.some(({ timerNs }) => timerNs >= 0 && timerNs < untilNs))
    if (!isDue) return memory
    const network = this.networkAt(states[at - 1])
    resetWorld(network.world, { seed: this.run.seed, warm: true })
    putMemory(network.world, memory, untilNs, (name) => network.netns(name))
    return takeMemory(network.world, untilNs, memory)
  }

  private through(memory: KernelMemory, at: number): KernelMemory {
    const { states } = this.run
    let carried = memory
    const homes = this.homesOf(memory, at - 1)
    for (const [node, pods] of homes) {
      const before = states[at - 1].nodes.get(node)
      const now = states[at].nodes.get(node)
      if (before === now) continue
      if (now === undefined || !now.power) carried = forgetNetns(carried, new Set([node, ...pods]))
      else if (before !== undefined) carried = this.nodeChanged(carried, { node, pods, before, now, at })
    }
    return carried
  }

  private nodeChanged(memory: KernelMemory, { node, pods, before, now, at }: NodeChange): KernelMemory {
    let carried = memory
    if (now.pods !== before.pods) {
      const gone = this.gone(node, before.pods, now.pods).map(nameOf)
      carried = forgetNetns(carried, new Set(gone.filter((name) => pods.includes(name))))
      // the bridge plugin announces a new pod; docker's MACs go by the address
      const come = this.gone(node, now.pods, before.pods).flatMap(({ address }) => address ?? [])
      carried = forgetNeighbours(carried, new Set([node, ...pods]), new Set(come))
    }
    if (now.felix !== before.felix && this.usesCalico(now)) {
      const addresses = new Set(this.gone(node, before.felix, now.felix).flatMap(({ address }) => (address === undefined ? [] : [address])))
      carried = forgetConnections(carried, node, (row) => OF_ADDRESS.some((field) => addresses.has(row[field])))
    }
    if (now.kubeProxy !== before.kubeProxy && hasTranslatedUdp(carried, node)) carried = this.withoutStaleUdp(carried, node, at)
    return carried
  }

  private withoutStaleUdp(memory: KernelMemory, node: string, at: number): KernelMemory {
    const endpoints = endpointsOf(this.networkAt(this.run.states[at]), node)
    return forgetConnections(
      memory,
      node,
      (row) => isTranslatedUdp(row) && !endpoints.has(row[E_REPLY_SRC]) && !endpoints.has(`${row[E_REPLY_SRC]} ${row[E_REPLY_PORTS] >>> 16}`),
    )
  }

  /** Nodes with what the memory knows of them and their pods. */
  private homesOf(memory: KernelMemory, at: number): ReadonlyMap<string, readonly string[]> {
    const state = this.run.states[at]
    const homes = new Map<string, string[]>()
    for (const name of memory.netns.keys()) {
      const home = state.nodes.has(name) ? name : this.homeOf(name, state)
      if (home === undefined) continue
      const known = homes.get(home) ?? []
      if (home !== name) known.push(name)
      homes.set(home, known)
    }
    return homes
  }

  private homeOf(pod: string, state: NetworkState): string | undefined {
    const found = this.run.versions[state.version].cluster.podByName.get(pod)?.node
    if (found !== undefined) return found
    // the API tells of it no more, and its node has not ended it yet
    for (const [node, { pods }] of state.nodes) if (pods >= 0 && this.run.versions[pods].cluster.podByName.get(pod)?.node === node) return node
    return undefined
  }

  /** Pods of a node that one version has and another has not, or has with another address. */
  private gone(node: string, before: number, now: number): readonly ClusterPod[] {
    const kept = this.podsOf(now, node)
    return this.podsOf(before, node).filter((pod) => !kept.some((one) => isSamePod(one, pod)))
  }

  private podsOf(version: number, node: string): readonly ClusterPod[] {
    if (version < 0) return []
    return this.run.versions[version].cluster.pods.filter((pod) => pod.node === node && !pod.terminated && !pod.hostNetwork)
  }

  private usesCalico({ felix }: NodeState): boolean {
    const { cni } = this.run.versions[Math.max(felix, 0)].cluster
    return cni === 'calico' || cni === 'canal'
  }
}

interface NodeChange {
  readonly node: string
  /** Of those in memory. */
  readonly pods: readonly string[]
  readonly before: NodeState
  readonly now: NodeState
  /** Place of the state. */
  readonly at: number
}

const OF_ADDRESS = [E_SRC, E_DST, E_REPLY_SRC, E_REPLY_DST]

function nameOf({ namespace, name }: ClusterPod): string {
  return `${namespace}/${name}`
}

function isSamePod(a: ClusterPod, b: ClusterPod): boolean {
  return a.namespace === b.namespace && a.name === b.name && a.address === b.address
}

function isTranslatedUdp(row: Int32Array): boolean {
  return row[E_PROTO] === PROTO_UDP && (row[E_REPLY_SRC] !== row[E_DST] || row[E_REPLY_PORTS] >>> 16 !== (row[E_PORTS] & 0xffff))
}

function hasTranslatedUdp(memory: KernelMemory, node: string): boolean {
  return memory.netns.get(node)?.connections.some(({ row }) => isTranslatedUdp(row)) === true
}

/** `address port` of what the node's rules translate to, the address alone where any port is meant. */
function endpointsOf(network: Network, node: string): ReadonlySet<string | number> {
  const found = new Set<string | number>()
  for (const { name, chains } of network.dataplane(node)?.iptables.tables ?? []) {
    if (name !== 'nat') continue
    for (const { rules } of chains) {
      for (const { target } of rules) {
        if (target?.kind !== 'DNAT' || target.to.first === undefined) continue
        found.add(target.to.ports === undefined ? target.to.first : `${target.to.first} ${target.to.ports[0]}`)
      }
    }
  }
  return found
}
