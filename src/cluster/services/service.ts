/**
 * Services and the endpoints behind them, as kube-proxy, DNS, Ingress controllers and BGP look at them. What they are; services.ts reads them,
 * endpoints.ts finds who is behind.
 */
import type { Cidr } from '../../base/cidr.js'
import type { Ip } from '../../base/ip.js'
import type { Labels } from '../labels.js'
import type { KubernetesObject } from '../manifest.js'
import type { ClusterPod } from '../pod.js'
import type { Place } from '../problem-list.js'

export type ServiceProtocol = 'TCP' | 'UDP' | 'SCTP'

/** Its place is that of the entry in spec.ports. */
export interface ServicePort extends Place {
  /** Empty where the only port has none. */
  readonly name: string
  readonly protocol: ServiceProtocol
  readonly port: number
  /** A number, or the name of a containerPort. */
  readonly targetPort: number | string
  readonly nodePort?: number
  /** The API server would have drawn it: netsim took the lowest free one. */
  readonly nodePortAssumed: boolean
}

export interface LoadBalancerAddress {
  readonly address: Ip
  /** VIP: packets come with this destination. Proxy: the load balancer ends the connection, or aims at node ports. */
  readonly mode: 'VIP' | 'Proxy'
  /** From the Network document's pool, because the object has no status. */
  readonly assumed: boolean
}

export interface ClusterService extends Place {
  readonly namespace: string
  readonly name: string
  readonly type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName'
  /** Absent: headless, ExternalName. */
  readonly clusterIP?: Ip
  /** The API server would have drawn it. */
  readonly clusterIPAssumed: boolean
  /** clusterIP: None. */
  readonly headless: boolean
  readonly externalName?: string
  readonly ports: readonly ServicePort[]
  /** Absent or empty: endpoints are somebody else's to write. */
  readonly selector?: Labels
  readonly externalIPs: readonly Ip[]
  readonly loadBalancerAddresses: readonly LoadBalancerAddress[]
  /** Hostname-only load balancers (AWS). */
  readonly loadBalancerHostnames: readonly string[]
  /** spec.loadBalancerIP */
  readonly requestedLoadBalancerIP?: Ip
  readonly sourceRanges: readonly Cidr[]
  /** sessionAffinity ClientIP, with its timeout in seconds; absent: None. */
  readonly affinitySeconds?: number
  /** externalTrafficPolicy: Local (of a Service that can be reached from outside). */
  readonly externalLocal: boolean
  /** internalTrafficPolicy: Local. */
  readonly internalLocal: boolean
  /** 0: none. */
  readonly healthCheckNodePort: number
  readonly publishNotReady: boolean
  /** spec.trafficDistribution, or Auto of the topology-mode annotation. */
  readonly trafficDistribution?: 'PreferSameZone' | 'PreferSameNode' | 'Auto'
  readonly object: KubernetesObject
}

/** One address and port behind a service port. */
export interface ServiceEndpoint {
  readonly address: Ip
  readonly port: number
  readonly node?: string
  readonly zone?: string
  readonly ready: boolean
  readonly serving: boolean
  readonly terminating: boolean
  /** Its own DNS name under the Service. */
  readonly hostname?: string
  /** Topology hints; absent: none. */
  readonly forZones?: readonly string[]
  readonly forNodes?: readonly string[]
  readonly pod?: ClusterPod
}

/** Who is behind a Service. */
export interface ServiceEndpoints {
  readonly service: ClusterService
  /**
   * By port, in the order of service.ports; each list without duplicates, in the order of the strings `ip:port` (kube-proxy sorts so). A headless
   * Service may have no ports: then who is behind it is in `addresses` alone.
   */
  readonly ports: readonly { readonly port: ServicePort; readonly endpoints: readonly ServiceEndpoint[] }[]
  /** Every address once, whatever its ports: what DNS answers for a headless Service. */
  readonly addresses: readonly ServiceEndpoint[]
  /** Who says so. */
  readonly from: 'EndpointSlice' | 'Endpoints' | 'pods' | 'nobody'
}

/** `ns/name`, or `ns/name:port` where the port has a name (kube-proxy's ServicePortName, now). */
export function servicePortName(service: Pick<ClusterService, 'namespace' | 'name'>, port: Pick<ServicePort, 'name'>): string {
  return `${service.namespace}/${service.name}${port.name === '' ? '' : `:${port.name}`}`
}
