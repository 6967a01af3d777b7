/**
 * What BIRD is told on one node, as data: what confd renders into bird.cfg, bird_aggr.cfg and bird_ipam.cfg (bird-text.ts prints it), and
 * what the daemon of bird.ts runs on. The same shape serves a router of the data centre, which exports everything.
 */
import type { Cidr } from '../../base/cidr.js'
import type { Ip } from '../../base/ip.js'
import type { AffinityState } from '../../cluster/calico/ipam.js'
import type { BGPFilter } from '../../cluster/calico/bgp.js'

export const BGP_PORT = 179
export const DEFAULT_AS = 64512
/** Largest integer of a BIRD filter: LOCAL_PREF is this less the route's metric. */
export const PRIORITY_TOP = 2147483647
/** Preference of a route that must win over a local one (a machine that moves from one node to another). */
export const OVERRIDE_PREFERENCE = 200

export interface BirdConfig {
  /** The node, or `router/NAME`. */
  readonly name: string
  readonly routerId: Ip
  readonly localAs: number
  readonly listen: { readonly address?: Ip; readonly port: number }
  /** Interfaces of which `direct` takes no route, `*` at the end of a name stands for the rest. */
  readonly directExcept: readonly string[]
  readonly statics: readonly StaticRoute[]
  readonly kernel: KernelPolicy
  /** Absent: everything goes out, as of a plain router. */
  readonly exports?: ExportPolicy
  readonly bgpFilters: readonly BGPFilter[]
  readonly peers: readonly PeerConfig[]
}

export interface StaticRoute {
  readonly prefix: Cidr
  /** Absent: blackhole. */
  readonly via?: Ip
  readonly why: 'block' | 'service' | 'peer'
}

export interface PeerConfig {
  /** `Mesh_10_0_0_2`, `Global_…`, `Node_…`. */
  readonly name: string
  readonly neighbour: Ip
  readonly port: number
  readonly remoteAs: number
  readonly localAs: number
  /** Absent: the kernel's choice. */
  readonly sourceAddress?: Ip
  readonly passive: boolean
  /** Hops for TTL security; absent: off, TTL 64. */
  readonly ttlSecurity?: number
  /** Written out for all but mesh peers. */
  readonly multihop: boolean
  /** Set: this side reflects, and the peer is its client. */
  readonly clusterId?: Ip
  /** seconds */
  readonly gracefulRestartTime: number
  /** seconds; absent: a third of the hold time */
  readonly keepaliveTime?: number
  readonly password?: string
  /** `self ebgp`: itself for routes of other ASes, while what it reflects keeps its next hop (not in BIRD 1.6; a router of the fabric). */
  readonly nextHop: 'auto' | 'self' | 'self ebgp' | 'keep'
  readonly allowLocalAs: number
  readonly addPaths: boolean
  /** Names of BGPFilters, in order. */
  readonly filters: readonly string[]
  /** The BGPPeer that says so, and where; absent: the mesh, or a router's own list. */
  readonly provenance?: PeerProvenance
}

interface PeerProvenance {
  /** `BGPPeer/tor`. */
  readonly object: string
  readonly file: string
  readonly line: number
}

export interface CommunityRule {
  readonly cidr: Cidr
  /** `aa:nn` or `aa:nn:mm`. */
  readonly values: readonly string[]
}

interface BlockRule {
  readonly cidr: Cidr
  readonly state: AffinityState
}

/** What leaves the node: calico_export_to_bgp_peers and calico_aggr. */
export interface ExportPolicy {
  /** Metric of a route of ordinary priority; undefined: LOCAL_PREF stays 100 (before v3.32). */
  readonly normalPriority?: number
  readonly communities: readonly CommunityRule[]
  readonly disabledPools: readonly Cidr[]
  readonly blocks: readonly BlockRule[]
  /** Service prefixes that this node announces. */
  readonly services: readonly Cidr[]
  /** A reflector passes on what lies in the ranges of load balancers. */
  readonly reflected: readonly Cidr[]
  readonly pools: readonly Cidr[]
}

export type PoolInKernel =
  | { readonly cidr: Cidr; readonly action: 'plain' }
  | { readonly cidr: Cidr; readonly action: 'reject'; readonly why: string }
  /** By tunl0, unless `unless` holds the BGP next hop. */
  | { readonly cidr: Cidr; readonly action: 'tunnel'; readonly unless?: Cidr }

/** What gets into the kernel: calico_kernel_programming. */
export interface KernelPolicy {
  readonly rejected: readonly Cidr[]
  /** Metric of BGP routes of ordinary priority; undefined: none is set. */
  readonly normalPriority?: number
  readonly pools: readonly PoolInKernel[]
}

export const ACCEPT_ALL_IN_KERNEL: KernelPolicy = { rejected: [], pools: [] }

/** Seconds. */
export interface BirdTimers {
  readonly hold: number
  /** Where a peer's own is not set; never longer than a third of the hold time that both agreed on. */
  readonly keepalive: number
  readonly connectDelay: number
  readonly connectRetry: number
  readonly errorWaitMin: number
  readonly errorWaitMax: number
  readonly errorForget: number
  /** What a peer is asked to wait, where BGPConfiguration and BGPPeer leave it at BIRD's default. */
  readonly gracefulRestart: number
  /** Own recovery (-R): so long BIRD waits for End-of-RIB of all its peers. */
  readonly recoveryWait: number
  readonly kernelScan: number
}

/** Those of Calico's template, BIRD's defaults for the rest. */
export const TIMERS = {
  hold: 240,
  keepalive: 80,
  connectDelay: 2,
  connectRetry: 5,
  errorWaitMin: 5,
  errorWaitMax: 30,
  errorForget: 300,
  gracefulRestart: 120,
  recoveryWait: 240,
  kernelScan: 2,
} as const satisfies BirdTimers

/** Where it is written is no part of it. */
export function samePeer(a: PeerConfig, b: PeerConfig): boolean {
  return JSON.stringify({ ...a, provenance: undefined }) === JSON.stringify({ ...b, provenance: undefined })
}
