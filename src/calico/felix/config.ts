/**
 * What Felix renders from, once all is said: FelixConfiguration of the cluster, of the node, FELIX_… and built-in defaults → FelixConfig.
 * Defaults: felix/config/config_params.go at v3.32.1.
 */
import { formatIp, type Ip } from '../../base/ip.js'
import type { FelixSettings, ProtoPort } from '../../cluster/calico/felix-configuration.js'
import { unmodelledSettings } from '../../cluster/calico/felix-warnings.js'
import { tunnelMtus } from '../mtu.js'
import type { CalicoProfile } from '../version.js'
import { allocateMarks, DEFAULT_MARK_MASK, type Marks } from './marks.js'
import { act, type PortPair } from './rule.js'

export interface FailsafePort {
  readonly protocol: string
  readonly port: number
  /** `10.0.0.0/8`; absent: any. */
  readonly net?: string
}

export interface FelixConfig {
  readonly release: CalicoProfile
  readonly marks: Marks
  /** In the order of the option; `cali` by default. */
  readonly interfacePrefixes: readonly string[]
  readonly ipip: { readonly enabled: boolean; readonly tunnelAddress?: Ip; readonly mtu: number }
  readonly vxlan: { readonly enabled: boolean; readonly tunnelAddress?: Ip; readonly mtu: number; readonly port: number; readonly vni: number }
  readonly wireguard: {
    readonly enabled: boolean
    readonly interfaceName: string
    readonly port: number
    readonly mtu: number
    readonly hostEncryption: boolean
    readonly rulePriority: number
    readonly keepAlive: number
  }
  readonly ipvs: boolean
  readonly nodePortRanges: readonly PortPair[]
  readonly allowVxlanFromWorkloads: boolean
  readonly allowIpipFromWorkloads: boolean
  readonly endpointToHost: 'DROP' | 'REJECT' | 'ACCEPT' | 'RETURN'
  /** Action text: what an accepted packet meets in filter, in mangle, and a denied one. */
  readonly filterAllow: string
  readonly mangleAllow: string
  readonly deny: string
  readonly insertMode: 'insert' | 'append'
  readonly failsafeInbound: readonly FailsafePort[]
  readonly failsafeOutbound: readonly FailsafePort[]
  readonly conntrackInvalidCheck: boolean
  /** `MASQUERADE --random-fully` (iptables 1.6.2, and a kernel that knows it). */
  readonly randomFully: boolean
  readonly natPortRange?: PortPair
  readonly natOutgoingAddress?: Ip
  readonly natOutgoingInterface?: string
  readonly natExcludesHosts: boolean
  readonly blockedCidrAction: 'DROP' | 'REJECT' | 'none'
  readonly flowLogs: boolean
  readonly logPrefix: string
  readonly logRateLimit?: { readonly rate: string; readonly burst: number }
  readonly floatingIps: boolean
  readonly maxIpsetSize: number
  readonly deviceRouteProtocol: number
  readonly programClusterRoutes: boolean
  readonly externalHosts: readonly string[]
  readonly workloadRouteMetric: number
  /** Settings that Felix acts on and netsim does not: what is rendered is as if they were not said. */
  readonly unmodelled: readonly string[]
}

const CLUSTER_PORTS: readonly FailsafePort[] = [179, 2379, 2380, 5473, 6443, 6666, 6667].map((port) => ({ protocol: 'tcp', port }))
const DEFAULT_FAILSAFE_INBOUND: readonly FailsafePort[] = [{ protocol: 'tcp', port: 22 }, { protocol: 'udp', port: 68 }, ...CLUSTER_PORTS]
const DEFAULT_FAILSAFE_OUTBOUND: readonly FailsafePort[] = [{ protocol: 'udp', port: 53 }, { protocol: 'udp', port: 67 }, ...CLUSTER_PORTS]

/** What the node's surroundings say, beside the settings. */
export interface FelixSurroundings {
  readonly release: CalicoProfile
  /** Of the smallest card. */
  readonly hostMtu: number
  /** Does some pool use it? */
  readonly poolsUse: { readonly ipip: boolean; readonly vxlan: boolean }
  readonly ipipTunnelAddress?: Ip
  readonly vxlanTunnelAddress?: Ip
  /** kube-proxy in IPVS mode. */
  readonly ipvs?: boolean
  readonly randomFully?: boolean
}

/** undefined when the mark mask has too few bits. */
export function resolveFelixConfig(settings: FelixSettings, surroundings: FelixSurroundings): FelixConfig | undefined {
  const { release } = surroundings
  const wireguardEnabled = settings.wireguardEnabled === true
  const marks = allocateMarks(settings.iptablesMarkMask ?? DEFAULT_MARK_MASK, release, { wireguard: wireguardEnabled })
  if (marks === undefined) return undefined
  return {
    release,
    marks,
    interfacePrefixes: (settings.interfacePrefix ?? 'cali').split(',').filter((prefix) => prefix !== ''),
    ...tunnels(settings, surroundings),
    ...actions(settings),
    ipvs: surroundings.ipvs === true,
    nodePortRanges: (settings.kubeNodePortRanges ?? [{ from: 30000, to: 32767 }]).flatMap((range) =>
      'name' in range ? [] : [[range.from, range.to] as const],
    ),
    allowVxlanFromWorkloads: settings.allowVXLANPacketsFromWorkloads === true,
    allowIpipFromWorkloads: settings.allowIPIPPacketsFromWorkloads === true,
    insertMode: settings.chainInsertMode?.toLowerCase() === 'append' ? 'append' : 'insert',
    failsafeInbound: failsafes(settings.failsafeInboundHostPorts) ?? DEFAULT_FAILSAFE_INBOUND,
    failsafeOutbound: failsafes(settings.failsafeOutboundHostPorts) ?? DEFAULT_FAILSAFE_OUTBOUND,
    conntrackInvalidCheck: settings.disableConntrackInvalidCheck !== true,
    randomFully: surroundings.randomFully !== false,
    ...nat(settings),
    flowLogs: (settings.flowLogsGoldmaneServer ?? '') !== '' || settings.flowLogsLocalReporter === 'Enabled',
    logPrefix: settings.logPrefix ?? 'calico-packet',
    ...(settings.logActionRateLimit === undefined ? {} : { logRateLimit: { rate: settings.logActionRateLimit, burst: settings.logActionRateLimitBurst ?? 0 } }),
    floatingIps: settings.floatingIPs === 'Enabled',
    maxIpsetSize: settings.maxIpsetSize ?? 1_048_576,
    deviceRouteProtocol: settings.deviceRouteProtocol ?? 3,
    programClusterRoutes: (settings.programClusterRoutes ?? release.programClusterRoutes) === 'Enabled',
    externalHosts: (settings.externalNodesList ?? []).map(({ text }) => text),
    workloadRouteMetric: settings.ipv4NormalRoutePriority ?? release.workloadRouteMetric,
    unmodelled: unmodelledSettings(settings),
  }
}

function tunnels(settings: FelixSettings, surroundings: FelixSurroundings): Pick<FelixConfig, 'ipip' | 'vxlan' | 'wireguard'> {
  const { ipipTunnelAddress, vxlanTunnelAddress, poolsUse } = surroundings
  const mtus = tunnelMtus(surroundings.hostMtu, settings)
  return {
    ipip: {
      enabled: settings.ipipEnabled ?? poolsUse.ipip,
      ...(ipipTunnelAddress === undefined ? {} : { tunnelAddress: ipipTunnelAddress }),
      mtu: mtus.ipip,
    },
    vxlan: {
      enabled: settings.vxlanEnabled ?? poolsUse.vxlan,
      ...(vxlanTunnelAddress === undefined ? {} : { tunnelAddress: vxlanTunnelAddress }),
      mtu: mtus.vxlan,
      port: settings.vxlanPort ?? 4789,
      vni: settings.vxlanVNI ?? 4096,
    },
    wireguard: {
      enabled: settings.wireguardEnabled === true,
      interfaceName: settings.wireguardInterfaceName ?? 'wireguard.cali',
      port: settings.wireguardListeningPort ?? 51820,
      mtu: mtus.wireguard,
      hostEncryption: settings.wireguardHostEncryptionEnabled === true,
      rulePriority: settings.wireguardRoutingRulePriority ?? 99,
      keepAlive: settings.wireguardKeepAlive ?? 0,
    },
  }
}

function actions(settings: FelixSettings): Pick<FelixConfig, 'endpointToHost' | 'filterAllow' | 'mangleAllow' | 'deny' | 'blockedCidrAction'> {
  const allow = (text: string | undefined): string => (text?.toUpperCase() === 'RETURN' ? act.return : act.accept)
  const toHost = (settings.defaultEndpointToHostAction ?? 'DROP').toUpperCase()
  const loop = (settings.serviceLoopPrevention ?? 'Drop').toLowerCase()
  return {
    endpointToHost: toHost === 'ACCEPT' || toHost === 'RETURN' || toHost === 'REJECT' ? toHost : 'DROP',
    filterAllow: allow(settings.iptablesFilterAllowAction),
    mangleAllow: allow(settings.iptablesMangleAllowAction),
    deny: settings.iptablesFilterDenyAction?.toUpperCase() === 'REJECT' ? act.reject : act.drop,
    blockedCidrAction: loop === 'disabled' ? 'none' : loop === 'reject' ? 'REJECT' : 'DROP',
  }
}

function failsafes(ports: readonly ProtoPort[] | undefined): readonly FailsafePort[] | undefined {
  return ports?.flatMap(({ protocol, port, net }) => {
    // entries of the other family have no rule in this one
    if (net?.family === 6) return []
    return [{ protocol: protocol.toLowerCase(), port, ...(net === undefined ? {} : { net: net.text }) }]
  })
}

function nat(settings: FelixSettings): Pick<FelixConfig, 'natPortRange' | 'natOutgoingAddress' | 'natOutgoingInterface' | 'natExcludesHosts'> {
  const { natPortRange, natOutgoingAddress, iptablesNATOutgoingInterfaceFilter } = settings
  return {
    ...(natPortRange === undefined || natPortRange.to === 0 ? {} : { natPortRange: [natPortRange.from, natPortRange.to] as const }),
    ...(natOutgoingAddress === undefined ? {} : { natOutgoingAddress }),
    ...(iptablesNATOutgoingInterfaceFilter ? { natOutgoingInterface: iptablesNATOutgoingInterfaceFilter } : {}),
    natExcludesHosts: settings.natOutgoingExclusions === 'IPPoolsAndHostIPs',
  }
}

/** The word that comments use for the deny action. */
export function denyWord({ deny }: Pick<FelixConfig, 'deny'>): 'Drop' | 'Reject' {
  return deny === act.reject ? 'Reject' : 'Drop'
}

export function snatAction(config: FelixConfig, ports: PortPair | undefined): string {
  const { natOutgoingAddress, randomFully } = config
  const toPorts = ports === undefined ? undefined : `${ports[0]}-${ports[1]}`
  if (natOutgoingAddress === undefined) return act.masquerade({ ...(toPorts === undefined ? {} : { toPorts }), randomFully })
  const address = formatIp(natOutgoingAddress)
  return act.snat(toPorts === undefined ? address : `${address}:${toPorts}`, { randomFully })
}
