/** kube-proxy in iptables mode: what it is told, and what it puts on a node. Types of the agent; proxier.ts renders. Source: kubernetes pkg/proxy/iptables/proxier.go. */
import type { Cidr } from '../base/cidr.js'
import type { Ip } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import type { ServiceEndpoints } from '../cluster/services/service.js'
import type { ChainEdit } from '../dataplane/iptables.js'

/** KubeProxyConfiguration, as far as it changes rules; defaults of pkg/proxy/apis/config/v1alpha1/defaults.go filled in. */
export interface KubeProxySettings {
  readonly mode: 'iptables' | 'none'
  /** Empty: the detector is not implemented. */
  readonly clusterCIDR?: Cidr
  readonly detectLocalMode: 'ClusterCIDR' | 'NodeCIDR' | 'BridgeInterface' | 'InterfaceNamePrefix'
  readonly bridgeInterface: string
  readonly interfaceNamePrefix: string
  readonly masqueradeAll: boolean
  /** Number of the bit, 14 by default: mark 0x4000. */
  readonly masqueradeBit: number
  /** Empty: all. `primary` as its own word. */
  readonly nodePortAddresses: readonly (Cidr | 'primary')[]
  readonly localhostNodePorts: boolean
}

export interface KubeProxyView {
  readonly node: string
  /** InternalIP. */
  readonly nodeAddress: Ip
  /** Of the node's devices, loopback included: what nodePortAddresses picks from. */
  readonly addresses: readonly Ip[]
  readonly podCIDR?: Cidr
  /** topology.kubernetes.io/zone */
  readonly zone?: string
  /** In the order of `ns/name`; headless and ExternalName ones may be among them. */
  readonly services: readonly ServiceEndpoints[]
  readonly settings: KubeProxySettings
  /** net.netfilter.nf_conntrack_tcp_be_liberal */
  readonly conntrackBeLiberal: boolean
}

export interface KubeProxyPart {
  /** Kubelet's own chains first, then kube-proxy's, in the order in which they make them. */
  readonly chainEdits: readonly ChainEdit[]
  readonly sysctls: Readonly<Record<string, number>>
  readonly problems: readonly Problem[]
}
