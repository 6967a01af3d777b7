/** Services as far as BGP announces them. Readiness of the endpoints plays no part, as in confd's routes.go. */
import type { AdvertisedService } from '../calico/bgp/service-routes.js'
import type { Cluster } from '../cluster/cluster.js'
import { endpointNodes } from '../cluster/services/endpoints.js'

export function advertisedServices(cluster: Cluster): AdvertisedService[] {
  const nodes = endpointNodes(cluster)
  return cluster.services.map((service, index) => ({
    name: `${service.namespace}/${service.name}`,
    type: service.type,
    clusterIPs: service.clusterIP === undefined ? [] : [service.clusterIP],
    externalIPs: service.externalIPs,
    loadBalancerIPs: service.loadBalancerAddresses.map(({ address }) => address),
    ...(service.requestedLoadBalancerIP === undefined ? {} : { requestedLoadBalancerIP: service.requestedLoadBalancerIP }),
    externalTrafficPolicy: service.externalLocal ? 'Local' : 'Cluster',
    endpointNodes: nodes[index],
  }))
}
