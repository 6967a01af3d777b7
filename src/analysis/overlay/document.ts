/** `netsim bench encap` as a document: what each backend does to packets of each size on each way. Lengths in bytes, times in nanoseconds. */
import type { CostConstant, CostName, Counts } from './cost-model.js'
import type { BackendId } from './names.js'

export interface OverlayReport {
  readonly apiVersion: 'netsim/v1'
  readonly kind: 'OverlayCost'
  readonly metadata: { readonly tool: string; readonly inputs: readonly string[]; readonly seed: number }
  readonly ways: readonly WayDocument[]
  /** The sizes that every backend is asked; each adds those about its own limits. */
  readonly sizes: readonly number[]
  readonly backends: readonly BackendDocument[]
  readonly costs: Readonly<Record<CostName, CostConstant>>
  readonly framing: { readonly bytes: number; readonly of: string }
  /** What the measurement leaves out of the cluster. */
  readonly notes: readonly string[]
}

/** `one segment`: both nodes on one switch; `through the router`: not. */
export interface WayDocument {
  readonly name: 'one segment' | 'through the router'
  readonly from: string
  readonly to: string
  /** The slowest segment on the way, bit/s; and the least MTU. */
  readonly rate: number
  readonly mtu: number
}

export interface BackendDocument {
  readonly id: BackendId
  readonly label: string
  readonly ways: readonly BackendWay[]
}

export interface BackendWay {
  readonly way: WayDocument['name']
  /** Absent: it passes. */
  readonly unreachable?: string
  /** MTU of the sending pod's device. */
  readonly podMtu: number
  /** Largest IP packet that arrives with DF set; 0: none. */
  readonly largest: number
  /** TCP payload of a full segment that passes so, with and without timestamps. */
  readonly mss: number
  readonly mssTimestamps: number
  readonly sizes: readonly SizeDocument[]
}

/** One UDP datagram without DF, from pod to pod. */
export interface SizeDocument {
  /** Of the IP packet that the pod's socket sends. */
  readonly size: number
  readonly disposition: string
  /** Frames and their bytes (layer 2, no preamble, no FCS) as the card of the sending node sends them. */
  readonly frames: number
  readonly wireBytes: number
  /** More than one plain Ethernet frame around the packet would have. */
  readonly overheadBytes: number
  readonly overheadPercent: number
  /** Payload that a link filled with such packets carries, bit/s. */
  readonly goodput: number
  /** Machines on the way, routers of the underlay left out. */
  readonly hosts: number
  readonly counts: Counts
  readonly headerOperations: {
    readonly encapsulated: number
    readonly decapsulated: number
    readonly ttlLowered: number
    readonly rewritten: number
    readonly fragmented: number
    readonly reassembled: number
  }
  /** By the cost model. */
  readonly cpuNs: number
  /** Cables and queues of the simulation, and the model's CPU time. */
  readonly latencyNs: number
}
