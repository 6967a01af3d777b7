/** Services of a cluster whose kube-proxy netsim does not render: what is asked of them has no answer here. */
import type { Ip } from '../base/ip.js'
import type { Cluster } from '../cluster/cluster.js'
import type { ClusterService } from '../cluster/services/service.js'

interface Asked {
  readonly address: Ip
  readonly port: number
  /** `tcp`, … */
  readonly proto: string
}

/** Would that kube-proxy translate it? */
export function needsUnmodelledProxy({ kubeProxy, services, nodeByAddress }: Cluster, { address, port, proto }: Asked): boolean {
  if (kubeProxy.unmodelled === undefined) return false
  const atNode = nodeByAddress.has(address)
  return services.some((service) => addressesOf(service).includes(address) || (atNode && hasNodePort(service, port, proto)))
}

function addressesOf({ clusterIP, externalIPs, loadBalancerAddresses }: ClusterService): readonly (Ip | undefined)[] {
  return [clusterIP, ...externalIPs, ...loadBalancerAddresses.map(({ address }) => address)]
}

function hasNodePort({ ports }: ClusterService, port: number, proto: string): boolean {
  return ports.some(({ nodePort, protocol }) => nodePort === port && protocol.toLowerCase() === proto)
}
