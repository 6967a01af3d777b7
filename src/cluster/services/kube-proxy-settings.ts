/** What kube-proxy is told, as far as it changes rules: KubeProxyConfiguration with the defaults of pkg/proxy/apis/config/v1alpha1/defaults.go filled in. */
import type { Cidr } from '../../base/cidr.js'
import type { Place } from '../problem-list.js'

/** How kube-proxy tells a pod of the cluster by its packet (detectLocalMode). */
export type DetectLocalMode = 'ClusterCIDR' | 'NodeCIDR' | 'BridgeInterface' | 'InterfaceNamePrefix'

/** What netsim knows of but does not render; named where a packet would need it. */
export interface UnmodelledProxy extends Place {
  /** `mode: ipvs`, `version 1.5`. */
  readonly what: string
}

/** Words for prefixes: the node's own address, 127.0.0.0/8, 0.0.0.0/0 (expandNodePortAddressKeywords; before 1.37 `primary` alone). */
export const NODE_PORT_KEYWORDS = ['primary', 'localhost', 'all'] as const

export type NodePortAddress = Cidr | (typeof NODE_PORT_KEYWORDS)[number]

export interface KubeProxySettings {
  /** none: neither kube-proxy nor kubelet writes rules. */
  readonly mode: 'iptables' | 'none'
  /** Absent: a detector by ClusterCIDR is not implemented. */
  readonly clusterCIDR?: Cidr
  readonly detectLocalMode: DetectLocalMode
  readonly bridgeInterface: string
  readonly interfaceNamePrefix: string
  readonly masqueradeAll: boolean
  /** Number of the bit, 14 by default: mark 0x4000. */
  readonly masqueradeBit: number
  /** Empty: all. */
  readonly nodePortAddresses: readonly NodePortAddress[]
  readonly localhostNodePorts: boolean
  /** Set when the input asks for a proxy that is not modelled: then `mode` is none. */
  readonly unmodelled?: UnmodelledProxy
}

/** kube-proxy that nobody told anything. */
export const DEFAULT_KUBE_PROXY: KubeProxySettings = {
  mode: 'iptables',
  detectLocalMode: 'ClusterCIDR',
  bridgeInterface: '',
  interfaceNamePrefix: '',
  masqueradeAll: false,
  masqueradeBit: 14,
  nodePortAddresses: [],
  localhostNodePorts: true,
}
