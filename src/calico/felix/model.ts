/**
 * What Felix's calculation hands to its dataplane: policies and profiles with rules whose selectors have become IDs of IP sets.
 * After felix/proto/felixbackend.proto (Rule, Policy, Profile, WorkloadEndpoint).
 */
import type { PolicyDirection } from '../../cluster/calico/policy.js'
import type { Provenance } from '../../dataplane/dataplane.js'
import type { PolicyId } from './names.js'
import type { PortPair } from './rule.js'

export type FelixAction = 'allow' | 'deny' | 'pass' | 'log'

/** Lists are ORed within, fields ANDed; the empty list is no restriction. Nets are text of either family. */
export interface FelixPolicyRule {
  readonly action: FelixAction
  readonly ipVersion?: 4 | 6
  /** Lower-case name, or number. */
  readonly protocol?: string | number
  readonly notProtocol?: string | number
  readonly icmp?: { readonly type: number; readonly code?: number }
  readonly notIcmp?: { readonly type: number; readonly code?: number }
  readonly source: FelixRuleSide
  readonly destination: FelixRuleSide
  /** Become comments `k=v`. */
  readonly annotations: Readonly<Record<string, string>>
  readonly provenance?: Provenance
}

export interface FelixRuleSide {
  readonly nets: readonly string[]
  readonly notNets: readonly string[]
  /** Set IDs; all must match. */
  readonly sets: readonly string[]
  readonly notSets: readonly string[]
  readonly ports: readonly PortPair[]
  readonly notPorts: readonly PortPair[]
  /** IDs of ip,port sets; one must match, with `ports`. */
  readonly namedPorts: readonly string[]
  readonly notNamedPorts: readonly string[]
  /** IDs of ip,port sets of services (destinations only); all must match. */
  readonly ipPortSets: readonly string[]
}

export interface FelixPolicy {
  readonly id: PolicyId
  readonly tier: string
  readonly untracked: boolean
  readonly preDnat: boolean
  readonly ingress: readonly FelixPolicyRule[]
  readonly egress: readonly FelixPolicyRule[]
  readonly provenance?: Provenance
}

export interface FelixProfile {
  readonly name: string
  readonly ingress: readonly FelixPolicyRule[]
  readonly egress: readonly FelixPolicyRule[]
  readonly provenance?: Provenance
}

/** Policies of one selector that follow one another. */
export interface PolicyGroup {
  /** Canonical. */
  readonly selector: string
  readonly policies: readonly PolicyId[]
}

/** A tier as one endpoint meets it: the policies that apply to it, in order. */
export interface EndpointTier {
  readonly name: string
  /** Empty for a tier that does not exist: taken as Deny. */
  readonly defaultAction: string
  readonly ingress: readonly PolicyGroup[]
  readonly egress: readonly PolicyGroup[]
}

export function groupsOf(tier: EndpointTier, direction: PolicyDirection): readonly PolicyGroup[] {
  return direction === 'ingress' ? tier.ingress : tier.egress
}

/** Limits of an endpoint's traffic; 0 none. */
export interface QosControls {
  readonly ingressPacketRate: number
  readonly ingressPacketBurst: number
  readonly egressPacketRate: number
  readonly egressPacketBurst: number
  readonly ingressMaxConnections: number
  readonly egressMaxConnections: number
}
