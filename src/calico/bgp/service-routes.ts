/**
 * Service addresses that a node announces: whole ranges of BGPConfiguration from every node, single addresses of services that keep to local endpoints.
 * Source: calico v3.32.1 confd/pkg/backends/calico/{client,routes}.go updateGlobalRoutes, advertiseThisService, getAllRoutesForService.
 */
import { cidr, contains, type Cidr } from '../../base/cidr.js'
import type { Ip } from '../../base/ip.js'
import type { BGPConfiguration } from '../../cluster/calico/bgp.js'
import type { Net } from '../../cluster/calico/resource.js'

/** A Service of Kubernetes, as far as its routes go. */
export interface AdvertisedService {
  /** `namespace/name` */
  readonly name: string
  readonly type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName'
  /** Empty: headless. */
  readonly clusterIPs: readonly Ip[]
  readonly externalIPs: readonly Ip[]
  /** status.loadBalancer.ingress */
  readonly loadBalancerIPs: readonly Ip[]
  /** spec.loadBalancerIP: what was asked for. */
  readonly requestedLoadBalancerIP?: Ip
  readonly externalTrafficPolicy: 'Cluster' | 'Local'
  /** Nodes with an endpoint of it. */
  readonly endpointNodes: readonly string[]
}

export interface ServiceRoutes {
  /** Announced: a blackhole each in `static`. */
  readonly announced: readonly Cidr[]
  /** Kept out of the own kernel. */
  readonly rejected: readonly Cidr[]
  /** What a reflector passes on. */
  readonly ranges: readonly Cidr[]
}

const EXCLUDE_LABEL = 'node.kubernetes.io/exclude-from-external-load-balancers'

export function serviceRoutes(
  node: { readonly name: string; readonly labels: Readonly<Record<string, string>> },
  settings: BGPConfiguration | undefined,
  services: readonly AdvertisedService[],
): ServiceRoutes {
  if (settings === undefined) return { announced: [], rejected: [], ranges: [] }
  const external = ipv4(settings.serviceExternalIPs)
  const balanced = ipv4(settings.serviceLoadBalancerIPs)
  const aggregated = settings.serviceLoadBalancerAggregation !== 'Disabled'
  const whole = [...ipv4(settings.serviceClusterIPs), ...external.filter(isRange), ...(aggregated ? balanced.filter(isRange) : [])]
  const excluded = node.labels[EXCLUDE_LABEL] === 'true'
  const single = excluded
    ? []
    : services.flatMap((service) => routesOf(service, node.name, { external, balanced, aggregated, cluster: settings.serviceClusterIPs.length > 0 }))
  const announced = [...(excluded ? [] : whole), ...single]
  return { announced: unique(announced), rejected: unique(whole), ranges: balanced }
}

function ipv4(nets: readonly Net[]): Cidr[] {
  return nets.flatMap((net) => (net.family === 4 ? [net.cidr] : []))
}

function isRange({ length }: Cidr): boolean {
  return length < 32
}

function unique(prefixes: readonly Cidr[]): Cidr[] {
  return [...new Map(prefixes.map((prefix) => [`${prefix.base}/${prefix.length}`, prefix])).values()]
}

interface Allowed {
  readonly external: readonly Cidr[]
  readonly balanced: readonly Cidr[]
  readonly aggregated: boolean
  readonly cluster: boolean
}

function routesOf(service: AdvertisedService, node: string, allowed: Allowed): Cidr[] {
  if (!isAnnounced(service, node, allowed)) return []
  const within = (ranges: readonly Cidr[], addresses: readonly Ip[]): Ip[] => addresses.filter((address) => ranges.some((range) => contains(range, address)))
  const addresses = [
    ...(allowed.cluster ? service.clusterIPs : []),
    ...within(allowed.external, service.externalIPs),
    ...within(allowed.balanced, service.loadBalancerIPs),
  ]
  return addresses.map((address) => cidr(address, 32))
}

function isAnnounced(service: AdvertisedService, node: string, allowed: Allowed): boolean {
  if (service.type === 'ExternalName' || service.clusterIPs.length === 0) return false
  const single = (ranges: readonly Cidr[], addresses: readonly Ip[]): boolean => ranges.some((range) => !isRange(range) && addresses.includes(range.base))
  if (service.externalTrafficPolicy === 'Cluster') {
    const { requestedLoadBalancerIP: requested } = service
    const balancedIPs = requested === undefined ? service.loadBalancerIPs : [requested, ...service.loadBalancerIPs]
    if (service.type === 'LoadBalancer' && single(allowed.balanced, balancedIPs)) return true
    if (single(allowed.external, service.externalIPs)) return true
    return !allowed.aggregated && service.endpointNodes.length > 0
  }
  return service.endpointNodes.includes(node)
}
