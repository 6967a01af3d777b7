/**
 * Who is behind each Service: what EndpointSlices list, else Endpoints objects, else the pods that the selector selects.
 * The order and the merging are kube-proxy's (kubernetes pkg/proxy/endpointslicecache.go).
 */
import { formatIp } from '../../base/ip.js'
import type { Cluster } from '../cluster.js'
import { addressesOfEndpoints, addressesOfSlice, listingObjects, type EndpointCluster, type ListedAddress, type ListingObjects } from './listed-endpoints.js'
import { addressesOfPods, type AddressOf } from './pod-endpoints.js'
import { SelectedPods } from './selected-pods.js'
import type { ClusterService, ServiceEndpoint, ServiceEndpoints, ServicePort } from './service.js'

export type ServiceCluster = EndpointCluster & Pick<Cluster, 'services' | 'pods'>

/** In the order of cluster.services. @param addressOf of pods whose address no object gives; undefined: it has none (yet) */
export function allEndpoints(cluster: ServiceCluster, addressOf: AddressOf): readonly ServiceEndpoints[] {
  const listing = listingObjects(cluster)
  const selected = new SelectedPods(cluster.pods)
  return cluster.services.map((service) => {
    const { addresses, from } = addressesOf(service, { cluster, listing, selected, addressOf })
    const ports = service.ports.map((port) => ({ port, endpoints: endpointsOfPort(port, addresses) }))
    return { service, ports, addresses: distinct(addresses), from }
  })
}

/** Names of the nodes with an endpoint, ready or not, in the order of cluster.services: known before any pod has its address. */
export function endpointNodes(cluster: ServiceCluster): readonly (readonly string[])[] {
  // where a pod runs does not hang on its address
  const sources = { cluster, listing: listingObjects(cluster), selected: new SelectedPods(cluster.pods), addressOf: () => 0 }
  return cluster.services.map((service) => [...new Set(addressesOf(service, sources).addresses.flatMap(({ endpoint }) => endpoint.node ?? []))])
}

interface Sources {
  readonly cluster: ServiceCluster
  readonly listing: ListingObjects
  readonly selected: SelectedPods
  readonly addressOf: AddressOf
}

function addressesOf(
  service: ClusterService,
  { cluster, listing, selected, addressOf }: Sources,
): { readonly addresses: readonly ListedAddress[]; readonly from: ServiceEndpoints['from'] } {
  const name = `${service.namespace}/${service.name}`
  if (service.type === 'ExternalName') return { addresses: [], from: 'nobody' }
  const slices = listing.slices.get(name)
  if (slices !== undefined) return { addresses: slices.flatMap((slice) => addressesOfSlice(slice, cluster)), from: 'EndpointSlice' }
  const endpoints = listing.endpoints.get(name)
  if (endpoints !== undefined) return { addresses: addressesOfEndpoints(endpoints, cluster), from: 'Endpoints' }
  if (service.selector === undefined) return { addresses: [], from: 'nobody' }
  return { addresses: addressesOfPods(service, selected.of(service.namespace, service.selector), cluster, addressOf), from: 'pods' }
}

/**
 * By name and protocol of the service port. One that is listed twice counts once: a listing that ends yields to one that does not, and of two alike,
 * where upstream leaves it open, the one that tells the node counts (addEndpoints).
 */
function endpointsOfPort({ name, protocol }: ServicePort, addresses: readonly ListedAddress[]): readonly ServiceEndpoint[] {
  const found = new Map<string, ServiceEndpoint>()
  for (const { endpoint, ports } of addresses) {
    for (const port of ports) {
      if (port.name !== name || port.protocol !== protocol) continue
      const key = `${formatIp(endpoint.address)}:${port.port}`
      const known = found.get(key)
      if (known === undefined || outdoes(endpoint, known)) found.set(key, { ...endpoint, port: port.port })
    }
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, endpoint]) => endpoint)
}

function outdoes(endpoint: ListedAddress['endpoint'], known: ServiceEndpoint): boolean {
  return !endpoint.terminating && (known.terminating || (known.node === undefined && endpoint.node !== undefined))
}

/** What DNS answers with: every address once, ready if any of its listings is. */
function distinct(addresses: readonly ListedAddress[]): readonly ServiceEndpoint[] {
  const found = new Map<number, ServiceEndpoint>()
  for (const { endpoint, ports } of addresses) {
    const known = found.get(endpoint.address)
    if (known === undefined || (!known.ready && endpoint.ready)) found.set(endpoint.address, { ...endpoint, port: ports[0]?.port ?? 0 })
  }
  return [...found.values()]
}
