/**
 * What the API server refuses in a NetworkPolicy (networking.k8s.io/v1, and extensions/v1beta1, which is converted before it is looked at).
 * Source: k8s.io/kubernetes pkg/apis/networking/validation/validation.go (ValidateNetworkPolicySpec, ValidateNetworkPolicyPeer, ValidateIPBlock,
 * ValidateNetworkPolicyPort). Label selectors are looked at where they are read.
 */
import type { KubernetesPeerSpec } from './calico/read-kubernetes-policy.js'
import type { KubernetesPolicyPort } from './calico/kubernetes-policy.js'
import type { ResourceReader } from './calico/resource-reader.js'
import type { Path } from './located.js'
import { checkPortNumber, isInside, parsePrefix, portNameFault, TRANSPORTS } from './policy-fields.js'

const POLICY_TYPES: readonly string[] = ['Ingress', 'Egress']

export function checkApiSpec({ policyTypes }: { readonly policyTypes?: readonly string[] | null | undefined }, reader: ResourceReader): void {
  const types = policyTypes ?? []
  if (types.length > POLICY_TYPES.length) reader.error(['spec', 'policyTypes'], `${types.length} policyTypes`, 'There are two: Ingress and Egress.')
  types.forEach((type, i) => {
    if (!POLICY_TYPES.includes(type)) reader.error(['spec', 'policyTypes', i], `policyTypes: ${JSON.stringify(type)}`, 'Write Ingress or Egress.')
  })
}

export function checkApiPeer(peer: KubernetesPeerSpec, path: Path, reader: ResourceReader): void {
  const { ipBlock, podSelector, namespaceSelector } = peer
  const selects = Boolean(podSelector) || Boolean(namespaceSelector)
  if (!ipBlock) {
    if (!selects) reader.error(path, 'a peer that says nobody', 'Write podSelector, namespaceSelector or ipBlock; {} selects all.')
    return
  }
  if (selects) reader.error(path, 'ipBlock beside a selector in one peer', 'Make a peer of each.')
  const outer = parsePrefix(ipBlock.cidr)
  if (outer === undefined) reader.error([...path, 'ipBlock', 'cidr'], `${JSON.stringify(ipBlock.cidr)} is no prefix`, 'Write it like 10.0.0.0/8.')
  const exceptions = ipBlock.except ?? []
  exceptions.forEach((text, i) => {
    const at = [...path, 'ipBlock', 'except', i]
    const inner = parsePrefix(text)
    if (inner === undefined) reader.error(at, `${JSON.stringify(text)} is no prefix`, 'Write it like 10.1.0.0/16.')
    else if (outer !== undefined && !isInside(inner, outer))
      reader.error(at, `${text} is not a part of ${ipBlock.cidr}`, 'An exception lies inside its cidr, and is smaller.')
  })
}

export function checkApiPort({ protocol, port, endPort }: KubernetesPolicyPort, path: Path, reader: ResourceReader): void {
  if (protocol !== undefined && !TRANSPORTS.includes(protocol))
    reader.error([...path, 'protocol'], `protocol ${JSON.stringify(protocol)}`, 'Write TCP, UDP or SCTP.')
  if (port === undefined) {
    if (endPort !== undefined) reader.error([...path, 'endPort'], 'endPort without port', 'Write the first port too.')
    return
  }
  if (typeof port === 'string') {
    const fault = portNameFault(port)
    const fix = /^\d+$/.test(port) ? 'Write the number without quotes.' : 'A name has up to 15 of a to z, 0 to 9 and -, one letter at least.'
    if (fault !== undefined) reader.error([...path, 'port'], `${JSON.stringify(port)} is no name of a port: ${fault}`, fix)
    if (endPort !== undefined) reader.error([...path, 'endPort'], 'endPort with a port by name', 'Write the first port as a number.')
    return
  }
  checkPortNumber(port, [...path, 'port'], reader)
  if (endPort === undefined) return
  checkPortNumber(endPort, [...path, 'endPort'], reader)
  if (endPort < port) reader.error([...path, 'endPort'], `endPort ${endPort} is less than port ${port}`, 'Write the higher of the two as endPort.')
}
