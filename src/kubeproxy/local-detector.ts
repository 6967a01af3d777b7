/** How kube-proxy tells by a packet that a pod of the cluster sent it. Source: kubernetes pkg/proxy/util/localdetector.go. */
import { formatCidr, type Cidr } from '../base/cidr.js'
import type { KubeProxySettings } from '../cluster/services/kube-proxy-settings.js'
import type { Match } from '../dataplane/iptables.js'

export interface LocalDetector {
  /** Two nodes of one key have the same matches. */
  readonly key: string
  readonly local: Match
  readonly notLocal: Match
}

/** undefined: not implemented, the rules that need it are left out. */
export function localDetector(settings: KubeProxySettings, podCIDR: Cidr | undefined): LocalDetector | undefined {
  switch (settings.detectLocalMode) {
    case 'ClusterCIDR':
      return bySource(settings.clusterCIDR)
    case 'NodeCIDR':
      return bySource(podCIDR)
    case 'BridgeInterface':
      return byInterface(settings.bridgeInterface)
    case 'InterfaceNamePrefix':
      return byInterface(settings.interfaceNamePrefix === '' ? '' : `${settings.interfaceNamePrefix}+`)
  }
}

function bySource(net: Cidr | undefined): LocalDetector | undefined {
  return net === undefined ? undefined : { key: formatCidr(net), local: { kind: 'source', net }, notLocal: { kind: 'source', net, invert: true } }
}

function byInterface(name: string): LocalDetector | undefined {
  return name === '' ? undefined : { key: name, local: { kind: 'in-interface', name }, notLocal: { kind: 'in-interface', name, invert: true } }
}
