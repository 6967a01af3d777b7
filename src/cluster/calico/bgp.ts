/** BGPConfiguration, BGPPeer, BGPFilter. Source: api/…/v3/{bgpconfig,bgppeer,bgpfilter}.go. Durations in seconds. */
import type { Cidr } from '../../base/cidr.js'
import type { Ip } from '../../base/ip.js'
import type { CalicoResource, Net } from './resource.js'

export interface SecretKey {
  readonly name: string
  readonly key: string
  readonly optional: boolean
}

interface BgpCommunity {
  readonly name: string
  /** `aa:nn` or `aa:nn:mm`. */
  readonly value: string
}

interface PrefixAdvertisement {
  readonly cidr: Net
  /** Values, or names of the communities above. */
  readonly communities: readonly string[]
}

/** `default` for the cluster, `node.NAME` for one node. Absent fields are not said, so that a node's object can lie over the cluster's. */
export interface BGPConfiguration extends CalicoResource {
  readonly logSeverityScreen?: string
  readonly nodeToNodeMeshEnabled?: boolean
  readonly asNumber?: number
  readonly serviceClusterIPs: readonly Net[]
  readonly serviceExternalIPs: readonly Net[]
  readonly serviceLoadBalancerIPs: readonly Net[]
  readonly serviceLoadBalancerAggregation?: 'Enabled' | 'Disabled'
  readonly communities: readonly BgpCommunity[]
  readonly prefixAdvertisements: readonly PrefixAdvertisement[]
  readonly listenPort?: number
  readonly nodeMeshPassword?: SecretKey
  readonly nodeMeshMaxRestartTime?: number
  readonly bindMode?: 'None' | 'NodeIP'
  readonly ignoredInterfaces: readonly string[]
  readonly localWorkloadPeeringIPV4?: Ip
  readonly programClusterRoutes?: 'Enabled' | 'Disabled'
  readonly ipv4NormalRoutePriority?: number
}

export interface BGPPeer extends CalicoResource {
  readonly node?: string
  readonly nodeSelector?: string
  /** Absent: `peerSelector` or `localWorkloadSelector` says who. */
  readonly peerIP?: Ip
  readonly peerPort?: number
  readonly asNumber?: number
  readonly localASNumber?: number
  readonly peerSelector?: string
  readonly nextHopMode?: 'Auto' | 'Self' | 'Keep'
  /** The older way to say `Keep`. */
  readonly keepOriginalNextHop: boolean
  readonly password?: SecretKey
  readonly sourceAddress: 'UseNodeIP' | 'None'
  readonly maxRestartTime?: number
  readonly keepaliveTime?: number
  readonly numAllowedLocalASNumbers?: number
  readonly ttlSecurity?: number
  readonly reachableBy?: Ip
  readonly filters: readonly string[]
  readonly localWorkloadSelector?: string
  readonly reversePeering?: 'Auto' | 'Manual'
}

export interface BGPFilter extends CalicoResource {
  readonly exportV4: readonly BGPFilterRule[]
  readonly importV4: readonly BGPFilterRule[]
}

type BGPFilterOperator = 'Equal' | 'NotEqual' | 'In' | 'NotIn'

export interface BGPFilterRule {
  readonly cidr?: Cidr
  readonly prefixLength?: { readonly min?: number; readonly max?: number }
  readonly source?: 'RemotePeers'
  readonly interface?: string
  /** Of `cidr`. */
  readonly matchOperator?: BGPFilterOperator
  readonly peerType?: 'eBGP' | 'iBGP'
  readonly communities?: readonly string[]
  readonly asPathPrefix?: readonly number[]
  readonly priority?: number
  readonly action: 'Accept' | 'Reject'
  readonly operations: readonly BGPFilterOperation[]
}

export type BGPFilterOperation =
  | { readonly kind: 'addCommunity'; readonly value: string }
  | { readonly kind: 'prependASPath'; readonly prefix: readonly number[] }
  | { readonly kind: 'setPriority'; readonly value: number }
