/**
 * What confd renders for BIRD on a node, from Calico's resources. Source: calico v3.32.1 confd/pkg/backends/calico/bgp_processor.go and the templates of
 * confd/etc/calico/confd/templates.
 */
import { cidr, formatCidr, type Cidr } from '../../base/cidr.js'
import { formatIp, parseIp, type Ip } from '../../base/ip.js'
import type { BGPConfiguration, BGPFilter, BGPPeer, SecretKey } from '../../cluster/calico/bgp.js'
import type { CalicoNode } from '../../cluster/calico/calico-node.js'
import type { IPPool } from '../../cluster/calico/ip-pool.js'
import type { BlockAffinity } from '../../cluster/calico/ipam.js'
import type { CalicoProfile } from '../version.js'
import { BGP_PORT, TIMERS, type BirdConfig, type CommunityRule, type ExportPolicy, type PeerConfig, type PoolInKernel, type StaticRoute } from './config.js'
import { asOf, bgpSettings, computePeerings, listenOf, listenPortOf, type BgpSettings, type Peering, type Peerings } from './peerings.js'
import { serviceRoutes, type AdvertisedService, type ServiceRoutes } from './service-routes.js'

/** IPv4 only. */
export interface ConfdInput {
  readonly nodes: readonly CalicoNode[]
  readonly ipPools: readonly IPPool[]
  readonly blockAffinities: readonly BlockAffinity[]
  readonly bgpConfigurations: readonly BGPConfiguration[]
  readonly bgpPeers: readonly BGPPeer[]
  readonly bgpFilters: readonly BGPFilter[]
  readonly services: readonly AdvertisedService[]
  readonly profile: CalicoProfile
  /** The text of a Secret's key; undefined: there is none, and the session goes without. */
  passwordOf?(secret: SecretKey): string | undefined
}

/** Every node that takes part in BGP over IPv4, in the nodes' order. */
export function birdConfigs(input: ConfdInput): BirdConfig[] {
  const settings = bgpSettings(input.bgpConfigurations)
  const peerings = computePeerings(input.bgpPeers, input.nodes, settings)
  return input.nodes.flatMap((node) => (node.bgpAddress === undefined ? [] : [birdConfig(node, node.bgpAddress, { input, settings, peerings })]))
}

interface Context {
  readonly input: ConfdInput
  readonly settings: BgpSettings
  readonly peerings: Peerings
}

function birdConfig(node: CalicoNode, own: NonNullable<CalicoNode['bgpAddress']>, context: Context): BirdConfig {
  const { input, settings } = context
  const blocks = blocksOf(node.name, input.blockAffinities)
  const services = serviceRoutes(node, settings.cluster, input.services)
  const peers = peersOf(node, own.address, context)
  const normalPriority = input.profile.localPreferenceFromMetric ? (settings.cluster?.ipv4NormalRoutePriority ?? input.profile.birdRouteMetric) : undefined
  const priority = normalPriority === undefined ? {} : { normalPriority }
  return {
    name: node.name,
    routerId: own.address,
    localAs: asOf(node, settings),
    listen: listenOf(node, settings),
    directExcept: [...(settings.cluster?.ignoredInterfaces ?? []), 'cali*', 'kube-ipvs*'],
    statics: staticsOf(blocks, services, [...context.peerings.global, ...(context.peerings.ofNode.get(node.name) ?? [])]),
    kernel: {
      rejected: services.rejected,
      ...priority,
      pools: poolsInKernel(input, settings, cidr(own.address, own.length)),
    },
    exports: exportPolicy(node, { context, blocks, services, priority }),
    bgpFilters: input.bgpFilters,
    peers,
  }
}

function blocksOf(node: string, affinities: readonly BlockAffinity[]): BlockAffinity[] {
  // a pending affinity counts as none (client.go updateCache)
  return affinities
    .filter((affinity) => affinity.type === 'host' && affinity.node === node && affinity.state !== 'pending')
    .sort((a, b) => (formatCidr(a.cidr) < formatCidr(b.cidr) ? -1 : 1))
}

function staticsOf(blocks: readonly BlockAffinity[], services: ServiceRoutes, peerings: readonly Peering[]): StaticRoute[] {
  return [
    // a blackhole for a single address would keep its own workload out
    ...blocks.filter((block) => block.cidr.length < 32).map((block): StaticRoute => ({ prefix: block.cidr, why: 'block' })),
    ...services.announced.map((prefix): StaticRoute => ({ prefix, why: 'service' })),
    ...peerings.flatMap(({ peerIP, peer }): StaticRoute[] =>
      peer.reachableBy === undefined ? [] : [{ prefix: cidr(peerIP, 32), via: peer.reachableBy, why: 'peer' }],
    ),
  ]
}

interface ExportInput {
  readonly context: Context
  readonly blocks: readonly BlockAffinity[]
  readonly services: ServiceRoutes
  readonly priority: { readonly normalPriority?: number }
}

function exportPolicy(node: CalicoNode, { context, blocks, services, priority }: ExportInput): ExportPolicy {
  const { ipPools } = context.input
  const sorted = (pools: readonly IPPool[]): Cidr[] => pools.map((pool) => pool.cidr).sort((a, b) => (formatCidr(a) < formatCidr(b) ? -1 : 1))
  const reflects = (node.routeReflectorClusterID ?? '') !== ''
  return {
    ...priority,
    communities: communitiesOf(context.settings.ofNode.get(node.name), context.settings.cluster),
    disabledPools: sorted(ipPools.filter((pool) => pool.disableBGPExport)),
    blocks: blocks.map((block) => ({ cidr: block.cidr, state: block.state })),
    services: services.announced,
    reflected: reflects ? services.ranges : [],
    pools: sorted(ipPools.filter((pool) => !pool.disableBGPExport)),
  }
}

/** A node's own list stands in place of the cluster's. */
function communitiesOf(own: BGPConfiguration | undefined, cluster: BGPConfiguration | undefined): CommunityRule[] {
  const source = (own?.prefixAdvertisements.length ?? 0) > 0 ? own : cluster
  const named = new Map([...(cluster?.communities ?? []), ...(own?.communities ?? [])].map(({ name, value }) => [name, value]))
  return (source?.prefixAdvertisements ?? []).flatMap(({ cidr: net, communities }) =>
    net.family === 4 ? [{ cidr: net.cidr, values: communities.map((one) => named.get(one) ?? one).filter((one) => /^\d+:\d+(:\d+)?$/.test(one)) }] : [],
  )
}

/** In the order of the lines' text, as confd sorts them. */
function poolsInKernel(input: ConfdInput, settings: BgpSettings, localSubnet: Cidr): PoolInKernel[] {
  // BIRD's half of the switch: absent means that it programs (bgp_processor.go processIPPools)
  const programs = settings.cluster?.programClusterRoutes !== 'Disabled'
  return input.ipPools
    .map((pool): PoolInKernel => {
      if (pool.vxlanMode !== 'Never') return { cidr: pool.cidr, action: 'reject', why: 'VXLAN routes are handled by Felix.' }
      if (!programs) return { cidr: pool.cidr, action: 'reject', why: 'Cluster routes are handled by Felix.' }
      if (pool.ipipMode === 'Never') return { cidr: pool.cidr, action: 'plain' }
      return { cidr: pool.cidr, action: 'tunnel', ...(pool.ipipMode === 'CrossSubnet' ? { unless: localSubnet } : {}) }
    })
    .sort((a, b) => (formatCidr(a.cidr) < formatCidr(b.cidr) ? -1 : 1))
}

function peersOf(node: CalicoNode, own: Ip, context: Context): PeerConfig[] {
  const { peerings } = context
  const explicit = [
    ...peerings.global.map((peering) => explicitPeer(node, own, { peering, prefix: 'Global' }, context)),
    ...(peerings.ofNode.get(node.name) ?? []).map((peering) => explicitPeer(node, own, { peering, prefix: 'Node' }, context)),
  ]
  const peers = [...meshPeers(node, own, context), ...explicit.filter(({ neighbour }) => neighbour !== own)]
  return peers.sort((a, b) => (a.name < b.name ? -1 : 1))
}

function meshPeers(node: CalicoNode, own: Ip, { input, settings }: Context): PeerConfig[] {
  const meshed = settings.cluster?.nodeToNodeMeshEnabled ?? true
  const isReflector = (one: CalicoNode): boolean => (one.routeReflectorClusterID ?? '') !== ''
  if (!meshed || isReflector(node)) return []
  const secret = settings.cluster?.nodeMeshPassword
  const password = secret === undefined ? undefined : input.passwordOf?.(secret)
  return input.nodes.flatMap((peer) => {
    if (peer.bgpAddress === undefined || peer.bgpAddress.address === own || isReflector(peer)) return []
    const text = formatIp(peer.bgpAddress.address)
    return [
      {
        name: `Mesh_${text.replaceAll('.', '_')}`,
        neighbour: peer.bgpAddress.address,
        port: listenPortOf(peer.name, settings) ?? BGP_PORT,
        // one without a number of its own is taken to have this node's
        remoteAs: peer.asNumber ?? asOf(node, settings),
        localAs: asOf(node, settings),
        sourceAddress: own,
        // by the text of the addresses, not by their value
        passive: text > formatIp(own),
        multihop: false,
        gracefulRestartTime: settings.cluster?.nodeMeshMaxRestartTime ?? TIMERS.gracefulRestart,
        ...(password === undefined ? {} : { password }),
        nextHop: 'auto' as const,
        allowLocalAs: 0,
        addPaths: true,
        filters: [],
      },
    ]
  })
}

function explicitPeer(
  node: CalicoNode,
  own: Ip,
  { peering, prefix }: { readonly peering: Peering; readonly prefix: 'Global' | 'Node' },
  { input, settings }: Context,
): PeerConfig {
  const { peer, peerIP } = peering
  const text = formatIp(peerIP)
  const nodeAs = asOf(node, settings)
  const localAs = peering.localAs ?? nodeAs
  const clusterId = node.routeReflectorClusterID ?? ''
  const isClient = peering.asNumber === localAs && clusterId !== '' && peering.clusterId !== clusterId
  const password = peer.password === undefined ? undefined : input.passwordOf?.(peer.password)
  const keeps = peer.nextHopMode === undefined && peer.keepOriginalNextHop && peering.asNumber !== localAs
  return {
    name: `${prefix}_${text.replaceAll('.', '_')}${peering.port === undefined ? '' : `_port_${peering.port}`}`,
    neighbour: peerIP,
    port: peering.port ?? BGP_PORT,
    remoteAs: peering.asNumber,
    localAs,
    ...(peer.sourceAddress === 'UseNodeIP' ? { sourceAddress: own } : {}),
    passive: prefix === 'Global' && peering.calicoNode && text > formatIp(own),
    ...(peer.ttlSecurity === undefined || peer.ttlSecurity === 0 ? {} : { ttlSecurity: peer.ttlSecurity }),
    multihop: true,
    ...(isClient ? { clusterId: parseIp(clusterId) ?? own } : {}),
    gracefulRestartTime: peer.maxRestartTime ?? TIMERS.gracefulRestart,
    ...(peer.keepaliveTime === undefined ? {} : { keepaliveTime: peer.keepaliveTime }),
    ...(password === undefined ? {} : { password }),
    nextHop: peer.nextHopMode === 'Self' ? 'self' : peer.nextHopMode === 'Keep' || keeps ? 'keep' : 'auto',
    allowLocalAs: peering.allowLocalAs,
    addPaths: true,
    filters: peer.filters,
    provenance: { object: `BGPPeer/${peer.name}`, file: peer.file, line: peer.line },
  }
}
