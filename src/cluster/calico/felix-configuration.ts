/**
 * FelixConfiguration: `default` for the cluster, `node.NAME` for one node. Absent fields are not said, so that a node's object lies over
 * the cluster's and the environment (FELIX_…) over both. Only what shapes the dataplane is read. Source: api/…/v3/felixconfig.go.
 */
import type { Ip } from '../../base/ip.js'
import type { CalicoPort, CalicoResource, Net } from './resource.js'

export interface ProtoPort {
  /** `tcp`, `udp`, `sctp`. */
  readonly protocol: string
  readonly port: number
  readonly net?: Net
}

export interface FelixSettings {
  readonly allowIPIPPacketsFromWorkloads?: boolean
  readonly allowVXLANPacketsFromWorkloads?: boolean
  readonly bpfEnabled?: boolean
  readonly chainInsertMode?: string
  readonly defaultEndpointToHostAction?: string
  readonly deviceRouteProtocol?: number
  readonly deviceRouteSourceAddress?: Ip
  readonly disableConntrackInvalidCheck?: boolean
  readonly externalNodesList?: readonly Net[]
  readonly failsafeInboundHostPorts?: readonly ProtoPort[]
  readonly failsafeOutboundHostPorts?: readonly ProtoPort[]
  readonly featureDetectOverride?: string
  readonly floatingIPs?: string
  readonly flowLogsGoldmaneServer?: string
  readonly flowLogsLocalReporter?: string
  readonly interfaceExclude?: string
  readonly interfacePrefix?: string
  readonly ipForwarding?: string
  readonly ipipEnabled?: boolean
  readonly ipipMTU?: number
  readonly iptablesBackend?: string
  readonly iptablesFilterAllowAction?: string
  readonly iptablesFilterDenyAction?: string
  readonly iptablesMangleAllowAction?: string
  readonly iptablesMarkMask?: number
  readonly iptablesNATOutgoingInterfaceFilter?: string
  readonly ipv4ElevatedRoutePriority?: number
  readonly ipv4NormalRoutePriority?: number
  readonly ipv6Support?: boolean
  readonly istioAmbientMode?: string
  readonly kubeNodePortRanges?: readonly CalicoPort[]
  readonly logActionRateLimit?: string
  readonly logActionRateLimitBurst?: number
  readonly logPrefix?: string
  readonly maxIpsetSize?: number
  readonly mtuIfacePattern?: string
  readonly natOutgoingAddress?: Ip
  readonly natOutgoingExclusions?: string
  readonly natPortRange?: { readonly from: number; readonly to: number }
  readonly nftablesMode?: string
  readonly programClusterRoutes?: string
  readonly removeExternalRoutes?: boolean
  readonly routeSource?: string
  readonly routeSyncDisabled?: boolean
  readonly routeTableRanges?: readonly { readonly min: number; readonly max: number }[]
  readonly serviceLoopPrevention?: string
  readonly vxlanEnabled?: boolean
  readonly vxlanMTU?: number
  readonly vxlanPort?: number
  readonly vxlanVNI?: number
  readonly wireguardEnabled?: boolean
  readonly wireguardHostEncryptionEnabled?: boolean
  readonly wireguardInterfaceName?: string
  readonly wireguardKeepAlive?: number
  readonly wireguardListeningPort?: number
  readonly wireguardMTU?: number
  readonly wireguardRoutingRulePriority?: number
  readonly workloadSourceSpoofing?: string
}

export interface FelixConfiguration extends CalicoResource {
  readonly settings: FelixSettings
}
