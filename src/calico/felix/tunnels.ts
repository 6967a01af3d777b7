/**
 * Felix's tunnels and routes on one node: devices, routes, neighbours, FDB, WireGuard peers and its routing rule. What BIRD owns (no encapsulation,
 * IPIP) is left to it unless ProgramClusterRoutes says otherwise. After felix/dataplane/linux/{vxlan,ipip,noencap,route}_mgr.go and
 * felix/wireguard/wireguard.go.
 *
 *   VXLAN:  block via REMOTE TUNNEL ADDRESS dev vxlan.calico onlink ─▶ neigh ─▶ fdb ─▶ node address, UDP 4789
 *   IPIP:   block via NODE ADDRESS dev tunl0 onlink
 *   WG:     rule: not marked ─▶ table 1: block dev wireguard.cali
 */
import { cidr, contains, formatCidr } from '../../base/cidr.js'
import type { Ip } from '../../base/ip.js'
import { parseMac, type Mac } from '../../base/mac.js'
import { withPieces, type Pieces } from '../../dataplane/common-rows.js'
import type { DeviceSpec, FdbSpec, NeighbourSpec, Provenance, RouteSpec, RoutingRuleSpec, WireguardPeerSpec } from '../../dataplane/dataplane.js'
import { clusterRoutes, routesFromAfar, type ClusterRoute, type RouteInputs, type RouteNode } from './cluster-routes.js'
import type { FelixConfig } from './config.js'
import { vtepMac } from './names.js'

const VXLAN_DEVICE = 'vxlan.calico'
const IPIP_DEVICE = 'tunl0'
/** RTPROT_BOOT: what DeviceRouteProtocol is where nobody changed it. */
const BOOT = 3
/** For routes that a device does not tell apart from others' (felix/dataplane/dataplanedefs). */
const OWN_PROTOCOL = 80
/** First of RouteTableRange 1-250. */
const WIREGUARD_TABLE = '1'

interface TunnelView {
  readonly node: string
  readonly config: FelixConfig
  readonly cluster: RouteInputs
  /** The card that has the node's address. */
  readonly parentDevice: string
}

export interface TunnelPart {
  readonly devices: readonly DeviceSpec[]
  readonly routes: readonly RouteSpec[]
  readonly rules: readonly RoutingRuleSpec[]
  readonly neighbours: readonly NeighbourSpec[]
  readonly fdb: readonly FdbSpec[]
  readonly sysctls: Readonly<Record<string, number>>
}

function provenance(object: string): Provenance {
  return { by: 'felix', object }
}

/** `block 10.0.0.0/26 of n2`. */
function routeProvenance(route: ClusterRoute): Provenance {
  return provenance(`${route.kind} ${formatCidr(route.destination)} of ${route.node}`)
}

export function renderTunnels(view: TunnelView): TunnelPart {
  const { config, cluster, node } = view
  const self = nodesByName(cluster).get(node)
  const routes = clusterRoutes(node, cluster)
  const common = commonPieces(view)
  const vteps = config.vxlan.enabled && common === undefined ? remoteVteps(view) : []
  const part: TunnelPart = {
    devices: [
      ...(config.ipip.enabled && config.ipip.tunnelAddress !== undefined ? [ipipDevice(config.ipip.tunnelAddress, config.ipip.mtu)] : []),
      ...(config.vxlan.enabled && self !== undefined ? vxlanDevice(self, view) : []),
      ...(config.wireguard.enabled && self !== undefined ? wireguardDevice(self, view, routes) : []),
    ],
    routes: [
      ...(common === undefined ? routes.flatMap((route) => ownRoutes(route, view, tunnelsOf(vteps))) : []),
      ...(config.wireguard.enabled ? wireguardRoutes(routes, view) : []),
      ...(config.wireguard.enabled && config.wireguard.hostEncryption ? hostRoutes(view) : []),
    ],
    rules: config.wireguard.enabled ? [wireguardRule(config)] : [],
    neighbours: vteps.map(vtepNeighbour),
    fdb: vteps.map(vtepEntry),
    sysctls: config.wireguard.enabled ? { 'net.ipv4.conf.all.src_valid_mark': 1 } : {},
  }
  return common === undefined ? part : withPieces(part, common)
}

function vtepNeighbour({ name, tunnel, mac }: Vtep): NeighbourSpec {
  return { address: tunnel, device: VXLAN_DEVICE, mac, state: 'permanent', provenance: provenance(`VTEP of ${name}`) }
}

function vtepEntry({ name, address, mac }: Vtep): FdbSpec {
  return { mac, device: VXLAN_DEVICE, destination: address, self: true, state: 'permanent', provenance: provenance(`VTEP of ${name}`) }
}

const BY_NAME = new WeakMap<RouteInputs, ReadonlyMap<string, RouteNode>>()

function nodesByName(cluster: RouteInputs): ReadonlyMap<string, RouteNode> {
  let known = BY_NAME.get(cluster)
  if (known === undefined) {
    known = new Map(cluster.nodes.map((node) => [node.name, node]))
    BY_NAME.set(cluster, known)
  }
  return known
}

/** What a node that has none of the blocks would have. */
interface Stranger {
  readonly routes: readonly RouteSpec[]
  /** By node: its routes, and the place of what others have of each. */
  readonly places: ReadonlyMap<string, readonly { readonly route: ClusterRoute; readonly at: number; readonly rows: number }[]>
  readonly vtepPlaces: ReadonlyMap<string, number>
  readonly neighbours: readonly NeighbourSpec[]
  readonly fdb: readonly FdbSpec[]
}

/** No node has this name. */
const NOBODY = ''
const STRANGERS = new WeakMap<RouteInputs, Map<string, Stranger>>()

/** Of VXLAN that asks for no subnet, whoever the node is: all its lists but for its own blocks and its own VTEP are the other nodes' too. */
function commonPieces(view: TunnelView): Pieces | undefined {
  const { config, cluster, node } = view
  const { vxlan, ipip, wireguard, deviceRouteProtocol, programClusterRoutes } = config
  if (!vxlan.enabled || wireguard.enabled || cluster.pools.some(({ vxlanMode, ipipMode }) => vxlanMode === 'CrossSubnet' || ipipMode === 'CrossSubnet')) {
    return undefined
  }
  const key = JSON.stringify([vxlan.mtu, ipip.mtu, deviceRouteProtocol, programClusterRoutes, view.parentDevice])
  const known = STRANGERS.get(cluster) ?? new Map<string, Stranger>()
  STRANGERS.set(cluster, known)
  const stranger = known.get(key) ?? strangerOf({ ...view, node: NOBODY })
  known.set(key, stranger)
  const instead = new Map<number, readonly RouteSpec[]>()
  for (const { route, at, rows } of stranger.places.get(node) ?? []) {
    const own = ownRoutes(route, view, new Map())
    if (rows === 1) instead.set(at, own)
    else if (own.length > 0) return undefined
  }
  const vtep = stranger.vtepPlaces.get(node)
  const others = new Map(vtep === undefined ? [] : [[vtep, []]])
  return {
    routes: [{ common: stranger.routes, instead }],
    neighbours: [{ common: stranger.neighbours, instead: others }],
    fdb: [{ common: stranger.fdb, instead: others }],
  }
}

function strangerOf(view: TunnelView): Stranger {
  const vteps = remoteVteps(view)
  const tunnels = tunnelsOf(vteps)
  const routes: RouteSpec[] = []
  const places = new Map<string, { readonly route: ClusterRoute; readonly at: number; readonly rows: number }[]>()
  for (const route of routesFromAfar(view.cluster)) {
    const rows = ownRoutes(route, view, tunnels)
    const ofNode = places.get(route.node)
    const place = { route, at: routes.length, rows: rows.length }
    if (ofNode === undefined) places.set(route.node, [place])
    else ofNode.push(place)
    routes.push(...rows)
  }
  const vtepPlaces = new Map(vteps.map(({ name }, at) => [name, at]))
  return { routes, places, vtepPlaces, neighbours: vteps.map(vtepNeighbour), fdb: vteps.map(vtepEntry) }
}

function tunnelsOf(vteps: readonly Vtep[]): ReadonlyMap<string, Ip> {
  return new Map(vteps.map(({ name, tunnel }) => [name, tunnel]))
}

export function ipipDevice(address: Ip, mtu: number): DeviceSpec {
  return {
    kind: 'ipip',
    name: IPIP_DEVICE,
    mtu,
    up: true,
    addresses: [{ address, length: 32, scope: 'global' }],
    ttl: 'inherit',
    tos: 0,
    pmtudisc: false,
    provenance: provenance('IPIP tunnel address'),
  }
}

function vtepMacOf({ name, vxlanTunnelMac }: RouteNode): Mac {
  return (vxlanTunnelMac === undefined ? undefined : parseMac(vxlanTunnelMac)) ?? vtepMac(name, 4)
}

/** None while the node's own addresses are not known. */
function vxlanDevice(self: RouteNode, { config, parentDevice }: TunnelView): readonly DeviceSpec[] {
  const { mtu, vni, port } = config.vxlan
  const { address, vxlanTunnelAddress } = self
  if (address === undefined || vxlanTunnelAddress === undefined) return []
  return [
    {
      kind: 'vxlan',
      name: VXLAN_DEVICE,
      mtu,
      mac: vtepMacOf(self),
      up: true,
      addresses: [{ address: vxlanTunnelAddress, length: 32, scope: 'global' }],
      vni,
      port,
      local: address.address,
      link: parentDevice,
      learning: false,
      gbp: false,
      ttl: 0,
      tos: 0,
      df: 'unset',
      udpChecksum: true,
      provenance: provenance('VXLAN tunnel address'),
    },
  ]
}

interface Vtep {
  readonly name: string
  readonly tunnel: Ip
  readonly address: Ip
  readonly mac: Mac
}

/** Those of other nodes that have both addresses. */
export function remoteVteps({ node, cluster }: Pick<TunnelView, 'node' | 'cluster'>): readonly Vtep[] {
  return cluster.nodes.flatMap((other) => {
    if (other.name === node || other.address === undefined || other.vxlanTunnelAddress === undefined) return []
    return [{ name: other.name, tunnel: other.vxlanTunnelAddress, address: other.address.address, mac: vtepMacOf(other) }]
  })
}

/** The route that Felix itself programs for a destination: none for BIRD's, and for local workloads those of their endpoints. */
function ownRoutes(route: ClusterRoute, view: TunnelView, tunnels: ReadonlyMap<string, Ip>): readonly RouteSpec[] {
  const { config, node } = view
  const { destination, poolType } = route
  const isOurs = poolType === 'vxlan' ? config.vxlan.enabled : poolType !== 'none' && config.programClusterRoutes
  if (!isOurs || (route.kind === 'tunnel' && !route.standsAlone)) return []
  const protocol = `${config.deviceRouteProtocol === BOOT ? OWN_PROTOCOL : config.deviceRouteProtocol}`
  const common = { destination, provenance: routeProvenance(route) }
  if (route.node === node) return route.kind === 'block' && destination.length < 32 ? [{ ...common, type: 'blackhole', protocol }] : []
  const target = nodesByName(view.cluster).get(route.node)?.address?.address
  if (poolType === 'noEncap' || route.sameSubnet)
    return target === undefined ? [] : [{ ...common, type: 'unicast', via: target, device: view.parentDevice, onlink: true, protocol }]
  if (poolType === 'ipip')
    return target === undefined ? [] : [{ ...common, type: 'unicast', via: target, device: IPIP_DEVICE, onlink: true, protocol, mtu: config.ipip.mtu }]
  return vxlanRoute(route, view, tunnels)
}

/** A remote tunnel address that stands alone is the VTEP itself: no gateway. */
function vxlanRoute(route: ClusterRoute, { config }: TunnelView, tunnels: ReadonlyMap<string, Ip>): readonly RouteSpec[] {
  const { mtu } = config.vxlan
  const boot = config.deviceRouteProtocol === BOOT ? {} : { protocol: `${config.deviceRouteProtocol}` }
  const common = { destination: route.destination, type: 'unicast', device: VXLAN_DEVICE, mtu, provenance: routeProvenance(route), ...boot } as const
  if (route.kind === 'tunnel') return [{ ...common, scope: 'link' }]
  const via = tunnels.get(route.node)
  return via === undefined ? [] : [{ ...common, via, onlink: true }]
}

/** Both ends need a key. */
function usesWireguard(name: string, { cluster, node }: Pick<TunnelView, 'cluster' | 'node'>): boolean {
  const keyOf = (wanted: string): string => cluster.nodes.find((candidate) => candidate.name === wanted)?.wireguardPublicKey ?? ''
  return name !== node && keyOf(name) !== '' && keyOf(node) !== ''
}

/** A node without WireGuard, and the node itself, is left to the tables after this one: local pods may have addresses of a peer's block. */
function wireguardRoutes(routes: readonly ClusterRoute[], view: TunnelView): readonly RouteSpec[] {
  const ownBlocks = routes.filter(({ node, kind, destination }) => node === view.node && kind === 'block' && destination.length < 32)
  return routes.flatMap((route): RouteSpec[] => {
    const { node, destination } = route
    if (node === view.node && destination.length === 32 && ownBlocks.some((block) => contains(block.destination, destination.base))) return []
    const common = { destination, table: WIREGUARD_TABLE, provenance: routeProvenance(route) }
    if (!usesWireguard(node, view)) return [{ ...common, type: 'throw' }]
    return [{ ...common, type: 'unicast', device: view.config.wireguard.interfaceName, scope: 'link' }]
  })
}

/** With host encryption the nodes' own addresses go by WireGuard too. */
function hostRoutes(view: TunnelView): readonly RouteSpec[] {
  return view.cluster.nodes.flatMap((node): RouteSpec[] => {
    if (node.address === undefined || node.name === view.node) return []
    const common = { destination: cidr(node.address.address, 32), table: WIREGUARD_TABLE, provenance: provenance(`host address of ${node.name}`) }
    if (!usesWireguard(node.name, view)) return [{ ...common, type: 'throw' }]
    return [{ ...common, type: 'unicast', device: view.config.wireguard.interfaceName, scope: 'link' }]
  })
}

function wireguardRule({ marks, wireguard }: FelixConfig): RoutingRuleSpec {
  return {
    priority: wireguard.rulePriority,
    not: true,
    fwmark: marks.wireguard,
    fwmask: marks.wireguard,
    action: 'lookup',
    table: WIREGUARD_TABLE,
    provenance: provenance('WireGuard'),
  }
}

function wireguardDevice(self: RouteNode, view: TunnelView, routes: readonly ClusterRoute[]): readonly DeviceSpec[] {
  const { wireguard, marks } = view.config
  if (self.wireguardPublicKey === undefined) return []
  const address = self.wireguardAddress ?? (wireguard.hostEncryption ? self.address?.address : undefined)
  const addresses = address === undefined ? [] : [{ address, length: 32, scope: 'global' as const }]
  return [
    {
      kind: 'wireguard',
      name: wireguard.interfaceName,
      mtu: wireguard.mtu,
      up: true,
      addresses,
      port: wireguard.port,
      publicKey: self.wireguardPublicKey,
      fwmark: marks.wireguard,
      peers: view.cluster.nodes.filter(({ name }) => usesWireguard(name, view)).map((peer) => wireguardPeer(peer, view, routes)),
      provenance: provenance('WireGuard'),
    },
  ]
}

function wireguardPeer(peer: RouteNode, { config }: TunnelView, routes: readonly ClusterRoute[]): WireguardPeerSpec {
  const { wireguard } = config
  const covered = routes.filter(({ node }) => node === peer.name).map(({ destination }) => destination)
  const host = wireguard.hostEncryption && peer.address !== undefined ? [cidr(peer.address.address, 32)] : []
  const allowed = new Map([...covered, ...host].map((net) => [formatCidr(net), net]))
  return {
    publicKey: peer.wireguardPublicKey ?? '',
    ...(peer.address === undefined ? {} : { endpoint: { address: peer.address.address, port: wireguard.port } }),
    allowedIps: [...allowed.values()],
    persistentKeepalive: wireguard.keepAlive,
  }
}
