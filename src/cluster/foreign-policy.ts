/**
 * Objects of other engines that decide who reaches whom, and that netsim does not model. An answer beside them is not the whole answer: they are
 * named, with what they change.
 */
import { groupOf } from './kinds.js'
import type { KubernetesObject } from './manifest.js'
import type { ProblemList } from './problem-list.js'

const LEAVES_OUT = 'What they allow and deny is not in the answer.'
const SECOND_NETWORK = 'The answer is that of the one network that every pod has.'

/** By kind and group. */
const FOREIGN: Readonly<Record<string, readonly [group: string, fix: string]>> = {
  CiliumNetworkPolicy: ['cilium.io', LEAVES_OUT],
  CiliumClusterwideNetworkPolicy: ['cilium.io', LEAVES_OUT],
  AuthorizationPolicy: ['security.istio.io', `${LEAVES_OUT} They work on requests, behind what policies of the network let through.`],
  ServerAuthorization: ['policy.linkerd.io', `${LEAVES_OUT} They work on requests, behind what policies of the network let through.`],
  EgressFirewall: ['k8s.ovn.org', LEAVES_OUT],
  EgressNetworkPolicy: ['network.openshift.io', LEAVES_OUT],
  UserDefinedNetwork: ['k8s.ovn.org', 'As a primary network it keeps its pods from all others, whatever policies say. That is not in the answer.'],
  ClusterUserDefinedNetwork: ['k8s.ovn.org', 'As a primary network it keeps its pods from all others, whatever policies say. That is not in the answer.'],
  NetworkAttachmentDefinition: ['k8s.cni.cncf.io', SECOND_NETWORK],
  MultiNetworkPolicy: ['k8s.cni.cncf.io', SECOND_NETWORK],
}

export function isForeignPolicy({ apiVersion, kind }: Pick<KubernetesObject, 'apiVersion' | 'kind'>): boolean {
  return Object.hasOwn(FOREIGN, kind) && FOREIGN[kind][0] === groupOf(apiVersion)
}

/** @returns true when there are any: an answer is then INCOMPLETE */
export function nameForeignPolicies(objects: readonly KubernetesObject[], problems: ProblemList): boolean {
  const kinds = new Map<string, KubernetesObject[]>()
  for (const object of objects) if (isForeignPolicy(object)) kinds.set(object.kind, [...(kinds.get(object.kind) ?? []), object])
  for (const [kind, [first, ...others]] of kinds) {
    const count = others.length === 0 ? '' : `, and ${others.length} more of the kind`
    problems.warning(first, first.label, `${kind} of ${groupOf(first.apiVersion)} is not modelled${count}: INCOMPLETE`, FOREIGN[kind][1])
  }
  return kinds.size > 0
}
