/** kube-proxy in iptables mode: what it sees of a node, and what it puts there. proxier.ts renders. Source: kubernetes pkg/proxy/iptables/proxier.go. */
import type { Cidr } from '../base/cidr.js'
import type { Ip } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import type { KubeProxySettings } from '../cluster/services/kube-proxy-settings.js'
import type { ChainEdit } from '../dataplane/iptables.js'
import type { PreparedServices } from './prepared-services.js'

export interface KubeProxyView {
  readonly node: string
  /** InternalIP. */
  readonly nodeAddress: Ip
  /** Of the node's devices, loopback included: what nodePortAddresses picks from. */
  readonly addresses: readonly Ip[]
  readonly podCIDR?: Cidr
  /** topology.kubernetes.io/zone */
  readonly zone?: string
  /** Made once for all nodes by `prepareServices`. */
  readonly services: PreparedServices
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
