/**
 * ClusterNetworkPolicy of the Kubernetes network policy API, typed but not interpreted: what a rule without a readable peer or port means is
 * the converter's business. Source: sigs.k8s.io/network-policy-api apis/v1alpha2 (v0.2.0).
 */
import type { LabelSelector } from '../labels.js'
import type { Place } from '../problem-list.js'
import type { CalicoResource } from './resource.js'

export const CLUSTER_POLICY_GROUP = 'policy.networking.k8s.io'

/** Both are selectors of their own; an absent one is empty, and selects everything. */
export interface NamespacedPods {
  readonly namespaceSelector: LabelSelector
  readonly podSelector: LabelSelector
}

/** One of them; none: the peer is said by a field that nobody here knows. */
export interface ClusterPolicyPeer {
  readonly namespaces?: LabelSelector
  readonly pods?: NamespacedPods
  /** Of egress; texts. */
  readonly networks: readonly string[]
  /** Of egress, of the experimental channel: Calico does not know them. */
  readonly nodes?: LabelSelector
  readonly domainNames?: readonly string[]
}

/** One field of it; none: every protocol. */
export interface ClusterPolicyProtocol {
  readonly protocol?: 'TCP' | 'UDP' | 'SCTP'
  /** Of the protocol; absent: all. */
  readonly port?: { readonly from: number; readonly to: number }
  /** Of whatever protocol. */
  readonly namedPort?: string
}

export interface ClusterPolicyRule extends Place {
  readonly name: string
  /** As written. */
  readonly action: string
  readonly peers: readonly ClusterPolicyPeer[]
  /** Empty: everything. */
  readonly protocols: readonly ClusterPolicyProtocol[]
}

export interface ClusterNetworkPolicy extends CalicoResource {
  readonly tier: 'Admin' | 'Baseline'
  readonly priority: number
  readonly subject: { readonly namespaces: LabelSelector } | { readonly pods: NamespacedPods }
  readonly ingress: readonly ClusterPolicyRule[]
  readonly egress: readonly ClusterPolicyRule[]
}
