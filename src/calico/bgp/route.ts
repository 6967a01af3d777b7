/** A route of BIRD's table (nest/route.h struct rte with its rta). */
import type { Cidr } from '../../base/cidr.js'
import type { Ip } from '../../base/ip.js'
import type { PathAttributes } from './attributes.js'

/** nest/route.h DEF_PREF_*. */
export const PREFERENCE = { direct: 240, static: 200, bgp: 100, kernel: 10 } as const

/** IGP metric where none is known (nest/route.h IGP_METRIC_UNKNOWN). */
export const UNKNOWN_METRIC = 0x80000000

export interface NextHop {
  readonly gateway?: Ip
  readonly device: string
  readonly weight?: number
}

export type Destination =
  | { readonly kind: 'router'; readonly gateway: Ip; readonly device: string }
  | { readonly kind: 'device'; readonly device: string }
  | { readonly kind: 'multipath'; readonly nexthops: readonly NextHop[] }
  | { readonly kind: 'blackhole' | 'unreachable' | 'prohibit' }

/** What the kernel says of a route that somebody else put there. */
export interface KernelFacts {
  /** rtm_protocol as a number: 2 kernel, 3 boot, 4 static, 12 bird, 80 Felix. */
  readonly source: number
  readonly metric: number
  /** rtm_scope; absent: global. */
  readonly scope?: number
}

export interface BgpFacts {
  readonly attributes: PathAttributes
  /** The peer that sent it. */
  readonly from: Ip
  readonly peerId: Ip
  readonly internal: boolean
  readonly remoteAs: number
  /** IGP metric of the way to the next hop. */
  readonly igpMetric: number
  /** Kept while the peer restarts. */
  readonly stale: boolean
}

export interface BirdRoute {
  readonly prefix: Cidr
  /** The protocol instance: `direct1`, `static1`, `kernel1`, `Mesh_10_0_0_2`. */
  readonly protocol: string
  readonly kind: 'direct' | 'static' | 'kernel' | 'bgp'
  /** With the protocol, what one route replaces another by: the peer's path ID, the interface's number, 0. */
  readonly source: number
  readonly preference: number
  readonly destination: Destination
  readonly kernel?: KernelFacts
  readonly bgp?: BgpFacts
  /** Virtual time of the last change, ns. */
  readonly changedNs: number
}

export function prefixKey(prefix: Cidr): string {
  return `${prefix.base}/${prefix.length}`
}

export function isReachable(destination: Destination): boolean {
  return destination.kind === 'router' || destination.kind === 'device' || destination.kind === 'multipath'
}

/** When it changed aside, and whether it is stale. */
export function sameRoute(a: BirdRoute, b: BirdRoute): boolean {
  return (
    a.preference === b.preference &&
    sameDestination(a.destination, b.destination) &&
    JSON.stringify(a.kernel) === JSON.stringify(b.kernel) &&
    (a.bgp === undefined) === (b.bgp === undefined) &&
    (a.bgp === undefined || JSON.stringify({ ...a.bgp, stale: false }) === JSON.stringify({ ...b.bgp, stale: false }))
  )
}

export function sameDestination(a: Destination, b: Destination): boolean {
  if (a === b) return true
  if (a.kind === 'router' && b.kind === 'router') return a.gateway === b.gateway && a.device === b.device
  return a.kind === b.kind && (!isReachable(a) || JSON.stringify(a) === JSON.stringify(b))
}
