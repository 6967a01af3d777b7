/** What the nodes bear so far: pods, host ports, resources; from each pod that has its place. Nodes are indexes, in the order of their names. */
import type { NodeReading } from '../node.js'
import type { ContainerPort } from '../pod-containers.js'
import type { ClusterPod } from '../pod.js'

/** The kubelet's --max-pods where status.allocatable says nothing. */
const DEFAULT_MAX_PODS = 110

export type HostPort = Pick<ContainerPort, 'protocol' | 'hostIP'> & { readonly port: number }

/** Whole thousandths: sums of fractions must compare exactly. */
function thousandths(amount: number): number {
  return Math.round(amount * 1000)
}

export class Loads {
  readonly nodes: readonly NodeReading[]
  readonly indexOf: ReadonlyMap<string, number>
  readonly pods: Int32Array
  readonly maxPods: Int32Array
  private readonly hostPorts: HostPort[][]
  private readonly owners = new Map<string, Int32Array>()
  /** Thousandths left, by resource; Infinity on nodes that say nothing of what they have. */
  private readonly free = new Map<string, Float64Array>()

  constructor(nodes: readonly NodeReading[]) {
    this.nodes = [...nodes].sort((a, b) => (a.name < b.name ? -1 : 1))
    this.indexOf = new Map(this.nodes.map(({ name }, index) => [name, index]))
    this.pods = new Int32Array(nodes.length)
    this.maxPods = Int32Array.from(this.nodes, ({ allocatable }) => allocatable?.pods ?? DEFAULT_MAX_PODS)
    this.hostPorts = this.nodes.map(() => [])
  }

  add(pod: ClusterPod, node: number): void {
    this.pods[node]++
    const owner = ownerKey(pod)
    if (owner !== undefined) this.countsOf(owner)[node]++
    const wanted = hostPortsOf(pod)
    if (wanted.length > 0) this.hostPorts[node].push(...wanted)
    for (const [name, amount] of Object.entries(pod.scheduling.requests)) this.freeOf(name)[node] -= thousandths(amount)
  }

  /** Pods of the owner, by node. */
  countsOf(owner: string): Int32Array {
    let counts = this.owners.get(owner)
    if (counts === undefined) this.owners.set(owner, (counts = new Int32Array(this.nodes.length)))
    return counts
  }

  private freeOf(resource: string): Float64Array {
    let free = this.free.get(resource)
    if (free === undefined) {
      free = Float64Array.from(this.nodes, ({ allocatable }) => (allocatable === undefined ? Infinity : thousandths(allocatable[resource] ?? 0)))
      this.free.set(resource, free)
    }
    return free
  }

  /** Ready to be asked for many nodes. */
  requestsOf(pod: ClusterPod): readonly Request[] {
    return Object.entries(pod.scheduling.requests).map(([name, amount]) => ({ name, amount: thousandths(amount), free: this.freeOf(name) }))
  }

  takenPort(wanted: readonly HostPort[], node: number): HostPort | undefined {
    const taken = this.hostPorts[node]
    if (taken.length === 0) return undefined
    return wanted.find(({ port, protocol, hostIP }) =>
      taken.some((other) => other.port === port && other.protocol === protocol && sameHostAddress(other.hostIP, hostIP)),
    )
  }
}

export interface Request {
  readonly name: string
  /** Thousandths. */
  readonly amount: number
  readonly free: Float64Array
}

export function ownerKey(pod: ClusterPod): string | undefined {
  return pod.owner === undefined ? undefined : `${pod.namespace}/${pod.owner.kind}/${pod.owner.name}`
}

/** On the host's network every declared port is the host's. */
export function hostPortsOf(pod: ClusterPod): HostPort[] {
  return pod.ports.flatMap(({ hostPort, port, protocol, hostIP }) => {
    const claimed = hostPort ?? (pod.hostNetwork ? port : undefined)
    return claimed === undefined ? [] : [{ port: claimed, protocol, ...(hostIP === undefined ? {} : { hostIP }) }]
  })
}

function sameHostAddress(a = '0.0.0.0', b = '0.0.0.0'): boolean {
  return a === b || a === '0.0.0.0' || b === '0.0.0.0'
}
