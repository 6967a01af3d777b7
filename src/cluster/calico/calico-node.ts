/**
 * Calico's view of a node: its own Node resource (etcd datastore), or the Kubernetes Node and the annotations that calico-node writes on it.
 * Source: libcalico-go/lib/apis/internalapi/node.go, lib/backend/k8s/resources/node.go.
 */
import type { Ip } from '../../base/ip.js'
import type { CalicoResource } from './resource.js'

export interface CalicoNode extends CalicoResource {
  /** spec.bgp.ipv4Address with its prefix length (32 where none was written); absent: the node takes no part in BGP over IPv4. */
  readonly bgpAddress?: { readonly address: Ip; readonly length: number }
  /** What calico-node would have found and written itself; false when an annotation or resource says it. */
  readonly bgpAddressAssumed: boolean
  readonly asNumber?: number
  /** Text of an IPv4 address; absent or empty: no route reflector. */
  readonly routeReflectorClusterID?: string
  readonly ipipTunnelAddress?: Ip
  readonly vxlanTunnelAddress?: Ip
  readonly vxlanTunnelMac?: string
  readonly wireguardAddress?: Ip
  /** base64 */
  readonly wireguardPublicKey?: string
  /** Addresses of the node that Kubernetes or Calico lists. */
  readonly addresses: readonly Ip[]
}
