/** Names of kube-proxy's chains: a prefix and 16 letters of the SHA-256 of who it is for. Source: proxier.go portProtoHash, servicePortEndpointChainName. */
import { base32, sha256 } from '../base/sha.js'

/** The built-in names; the service's own are hashed. */
export const CHAIN = {
  services: 'KUBE-SERVICES',
  externalServices: 'KUBE-EXTERNAL-SERVICES',
  nodePorts: 'KUBE-NODEPORTS',
  forward: 'KUBE-FORWARD',
  proxyFirewall: 'KUBE-PROXY-FIREWALL',
  postrouting: 'KUBE-POSTROUTING',
  markMasquerade: 'KUBE-MARK-MASQ',
  firewall: 'KUBE-FIREWALL',
} as const

export interface ServiceChainNames {
  readonly cluster: string
  readonly local: string
  readonly external: string
  readonly firewall: string
}

function hashOf(text: string): string {
  return base32(sha256(text)).slice(0, 16)
}

/** @param name `ns/name:port` @param protocol lower case */
export function serviceChainNames(name: string, protocol: string): ServiceChainNames {
  const hash = hashOf(name + protocol)
  return { cluster: `KUBE-SVC-${hash}`, local: `KUBE-SVL-${hash}`, external: `KUBE-EXT-${hash}`, firewall: `KUBE-FW-${hash}` }
}

/** @param endpoint `10.180.0.1:80` */
export function endpointChainName(name: string, protocol: string, endpoint: string): string {
  return `KUBE-SEP-${hashOf(name + protocol + endpoint)}`
}
