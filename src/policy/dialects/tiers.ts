/**
 * Policies of every dialect → the tiers in which they are asked.
 *
 *   Kubernetes:  admin (ANP, CNP) ─▶ NetworkPolicy, its end denies ─▶ baseline (BANP, CNP) ─▶ allowed
 *   Calico:      its tiers by their order, NetworkPolicies inside the tier default ─▶ profiles
 */
import type { Problem } from '../../base/problem.js'
import type { PolicyState } from '../../cluster/policy-state.js'
import { ProblemList } from '../../cluster/problem-list.js'
import type { Switches, Tier } from '../model.js'
import { kubernetesPolicies } from './kubernetes.js'

export interface TiersResult {
  /** Those without policies are not there. */
  readonly tiers: readonly Tier[]
  readonly problems: readonly Problem[]
}

/** Never throws on a state that was read. */
export function policyTiers(state: PolicyState, _switches: Switches): TiersResult {
  const problems = new ProblemList()
  const tiers: Tier[] = [{ name: 'NetworkPolicy', policies: kubernetesPolicies(state.kubernetesPolicies, state.namespaces, problems), atEnd: 'deny' }]
  return { tiers: tiers.filter(({ policies }) => policies.length > 0), problems: problems.problems }
}
