/**
 * AdminNetworkPolicy and BaselineAdminNetworkPolicy, typed but not interpreted. Source: sigs.k8s.io/network-policy-api apis/v1alpha1 (v0.1.7).
 */
import type { CalicoResource } from './calico/resource.js'
import type { NamespacedPods } from './calico/cluster-network-policy.js'
import type { LabelSelector } from './labels.js'
import type { Path } from './located.js'
import type { Place } from './problem-list.js'

export interface AdminPolicyPeer extends Place {
  /** One of these. */
  readonly namespaces?: LabelSelector
  readonly pods?: NamespacedPods
  /** Of egress. */
  readonly nodes?: LabelSelector
  /** Of egress; prefixes of either family. */
  readonly networks?: readonly string[]
  /** Of egress, of the experimental channel. */
  readonly domainNames?: readonly string[]
}

/** One of the three. */
export interface AdminPolicyPort extends Place {
  /** As written, TCP where absent: the CRD lets any word through. */
  readonly portNumber?: { readonly protocol: string; readonly port: number }
  readonly portRange?: { readonly protocol: string; readonly start: number; readonly end: number }
  readonly namedPort?: string
}

export interface AdminPolicyRule extends Place {
  readonly name?: string
  readonly action: 'Allow' | 'Deny' | 'Pass'
  readonly peers: readonly AdminPolicyPeer[]
  /** Empty: every connection. */
  readonly ports: readonly AdminPolicyPort[]
}

export interface AdminPolicySubject extends Place {
  /** One of the two. */
  readonly namespaces?: LabelSelector
  readonly pods?: NamespacedPods
}

/** Something that the CRD refuses, and netpol-analyzer takes. */
export interface AdminPolicyRefusal {
  readonly path: Path
  readonly what: string
  readonly fix: string
}

export interface AdminNetworkPolicy extends CalicoResource {
  readonly kind: 'AdminNetworkPolicy' | 'BaselineAdminNetworkPolicy'
  /** Absent for a baseline. */
  readonly priority?: number
  readonly subject: AdminPolicySubject
  readonly ingress: readonly AdminPolicyRule[]
  readonly egress: readonly AdminPolicyRule[]
  readonly refusals: readonly AdminPolicyRefusal[]
}
