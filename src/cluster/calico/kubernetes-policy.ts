/**
 * Kubernetes' own NetworkPolicy, typed but not interpreted: what a wrong CIDR or operator means is the converter's business.
 * Source: k8s.io/api/networking/v1.
 */
import type { LabelSelector } from '../labels.js'
import type { Place } from '../problem-list.js'
import type { CalicoResource } from './resource.js'

export interface KubernetesPolicyPeer {
  readonly podSelector?: LabelSelector
  readonly namespaceSelector?: LabelSelector
  readonly ipBlock?: { readonly cidr: string; readonly except: readonly string[] }
}

export interface KubernetesPolicyPort {
  readonly protocol?: string
  readonly port?: number | string
  readonly endPort?: number
}

export interface KubernetesPolicyRule extends Place {
  /** `from` or `to`; empty: everybody. */
  readonly peers: readonly KubernetesPolicyPeer[]
  /** Empty: every port of every protocol. */
  readonly ports: readonly KubernetesPolicyPort[]
}

export interface KubernetesNetworkPolicy extends CalicoResource {
  readonly namespace: string
  /** Calico's StagedKubernetesNetworkPolicy: enforced by nobody. */
  readonly staged: boolean
  readonly podSelector: LabelSelector
  /** As written: `Ingress`, `Egress`; empty where absent. */
  readonly policyTypes: readonly string[]
  readonly ingress: readonly KubernetesPolicyRule[]
  readonly egress: readonly KubernetesPolicyRule[]
}
