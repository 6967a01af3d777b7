/** HostEndpoint and WorkloadEndpoint. Source: api/…/v3/hostendpoint.go, libcalico-go/lib/apis/internalapi/workloadendpoint.go. */
import type { Cidr } from '../../base/cidr.js'
import type { Ip } from '../../base/ip.js'
import type { Mac } from '../../base/mac.js'
import type { CalicoResource, EndpointPort, NamespacedCalicoResource } from './resource.js'

export interface HostEndpoint extends CalicoResource {
  readonly node: string
  /** `*`: all interfaces of the host; absent: that which has one of the expected addresses. */
  readonly interfaceName?: string
  /** IPv4 ones. */
  readonly expectedIPs: readonly Ip[]
  readonly profiles: readonly string[]
  readonly ports: readonly EndpointPort[]
}

/**
 * One interface of a workload. With the Kubernetes datastore it is derived from a Pod (workloadEndpointOfPod in src/calico); with etcd it is a
 * resource of its own. `labels` are complete: namespace, orchestrator and service account are among them, inherited ones are not.
 */
export interface WorkloadEndpoint extends NamespacedCalicoResource {
  readonly node: string
  /** `k8s` */
  readonly orchestrator: string
  /** `k8s` for pods; else the workload's name. */
  readonly workload: string
  readonly pod: string
  /** `eth0` */
  readonly endpoint: string
  readonly containerId?: string
  readonly serviceAccount?: string
  /** `cali…` */
  readonly interfaceName: string
  readonly mac?: Mac
  /** /32s. Empty: no address yet; Felix takes it for absent. */
  readonly ipNetworks: readonly Cidr[]
  /** Floating addresses. */
  readonly ipNats: readonly { readonly internal: Ip; readonly external: Ip }[]
  /** In the order in which they are asked. */
  readonly profiles: readonly string[]
  readonly ports: readonly EndpointPort[]
  readonly allowedSourcePrefixes: readonly Cidr[]
}
