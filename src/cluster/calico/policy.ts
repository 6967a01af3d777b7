/**
 * The v3 policy language: Tier, NetworkPolicy, GlobalNetworkPolicy, their staged kinds, Profile. Rules as they were written, defaults of the
 * API filled in; nothing converted. Source: api/…/v3/{policy_common,networkpolicy,globalnetworkpolicy,tier,profile}.go.
 */
import type { Labels } from '../labels.js'
import type { Place } from '../problem-list.js'
import type { CalicoPort, CalicoProtocol, CalicoResource, Net } from './resource.js'

export type PolicyDirection = 'ingress' | 'egress'
export type RuleAction = 'Allow' | 'Deny' | 'Log' | 'Pass'

export interface EntityRule {
  /** The nets that parse. */
  readonly nets: readonly Net[]
  readonly notNets: readonly Net[]
  /** Empty where absent: no restriction. */
  readonly selector: string
  readonly notSelector: string
  readonly namespaceSelector: string
  readonly services?: { readonly name: string; readonly namespace: string }
  readonly serviceAccounts?: { readonly names: readonly string[]; readonly selector: string }
  readonly ports: readonly CalicoPort[]
  readonly notPorts: readonly CalicoPort[]
}

export interface IcmpFields {
  readonly type?: number
  readonly code?: number
}

/** The place is the rule's own. */
export interface PolicyRule extends Place {
  readonly action: RuleAction
  readonly ipVersion?: 4 | 6
  readonly protocol?: CalicoProtocol
  readonly notProtocol?: CalicoProtocol
  readonly icmp?: IcmpFields
  readonly notIcmp?: IcmpFields
  readonly source: EntityRule
  readonly destination: EntityRule
  /** Matched by the application layer alone; iptables passes it over. */
  readonly http?: { readonly methods: readonly string[]; readonly paths: readonly { readonly exact?: string; readonly prefix?: string }[] }
  /** Become comments `k=v`. */
  readonly annotations: Readonly<Record<string, string>>
}

export interface Tier extends CalicoResource {
  /** Infinity where absent. */
  readonly order: number
  readonly defaultAction: 'Deny' | 'Pass'
}

export type CalicoPolicyKind = 'NetworkPolicy' | 'GlobalNetworkPolicy' | 'StagedNetworkPolicy' | 'StagedGlobalNetworkPolicy' | 'StagedKubernetesNetworkPolicy'

export interface CalicoPolicy extends CalicoResource {
  readonly kind: CalicoPolicyKind
  /** Empty for global ones. */
  readonly namespace: string
  readonly tier: string
  /** Infinity where absent. */
  readonly order: number
  readonly selector: string
  readonly serviceAccountSelector: string
  /** Global ones. */
  readonly namespaceSelector: string
  /** Defaulted as the API does. */
  readonly types: readonly PolicyDirection[]
  readonly ingress: readonly PolicyRule[]
  readonly egress: readonly PolicyRule[]
  readonly doNotTrack: boolean
  readonly preDNAT: boolean
  /** True also where doNotTrack or preDNAT imply it. */
  readonly applyOnForward: boolean
  /** Rendered by nobody. */
  readonly staged: boolean
}

export interface Profile extends CalicoResource {
  readonly ingress: readonly PolicyRule[]
  readonly egress: readonly PolicyRule[]
  /** Every endpoint of the profile has them too. */
  readonly labelsToApply: Labels
}
