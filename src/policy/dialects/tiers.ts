/**
 * Policies of every dialect → the tiers in which they are asked.
 *
 *   Kubernetes:  admin (ANP, CNP) ─▶ NetworkPolicy, its end denies ─▶ baseline (BANP, CNP) ─▶ allowed
 *   Calico:      its tiers by their order, NetworkPolicies inside the tier default ─▶ profiles
 */
import type { Problem } from '../../base/problem.js'
import type { PolicyState } from '../../cluster/policy-state.js'
import { formatPlace, ProblemList } from '../../cluster/problem-list.js'
import type { Policy, Switches, Tier } from '../model.js'
import { adminPolicies } from './admin.js'
import { calicoTiers } from './calico.js'
import { nameClassic } from './classic.js'
import { clusterPolicies } from './cluster.js'
import { kubernetesPolicies } from './kubernetes.js'

export interface TiersResult {
  /** In the order in which they are asked; those without policies are not there. */
  readonly tiers: readonly Tier[]
  readonly problems: readonly Problem[]
}

/** Never throws on a state that was read. */
export function policyTiers(state: PolicyState, switches: Switches): TiersResult {
  const problems = new ProblemList()
  nameClassic(state, switches, problems)
  if (switches.as !== 'calico') nameCalicos(state, switches, problems)
  const tiers = switches.as === 'calico' ? calicoTiers(state, switches, problems) : kubernetesTiers(state, switches, problems)
  return { tiers: tiers.filter(({ policies }) => policies.length > 0), problems: problems.problems }
}

/** Whoever asks for another's view is told what that view leaves out. */
function nameCalicos({ calicoPolicies }: PolicyState, { as }: Switches, problems: ProblemList): void {
  const [first] = calicoPolicies.filter(({ staged }) => !staged)
  if (first === undefined) return
  const others = calicoPolicies.length - 1
  const what = `${others === 0 ? 'a policy' : `this and ${others} more policies`} of Calico: left out with --as ${as}`
  problems.warning(first, first.object?.label ?? first.name, what, 'Ask with --as calico.')
}

function kubernetesTiers(state: PolicyState, switches: Switches, problems: ProblemList): readonly Tier[] {
  const ofAdmin = adminPolicies(state.adminNetworkPolicies, switches, problems)
  const ofCluster = (tier: 'Admin' | 'Baseline'): readonly Policy[] =>
    clusterPolicies(
      state.clusterNetworkPolicies.filter((policy) => policy.tier === tier),
      switches,
      problems,
    )
  const admin = byPriority([...ofAdmin.filter(({ kind }) => kind === 'AdminNetworkPolicy'), ...ofCluster('Admin')])
  const baseline = byPriority([...ofAdmin.filter(({ kind }) => kind !== 'AdminNetworkPolicy'), ...ofCluster('Baseline')])
  for (const policies of [admin, baseline]) nameTies(policies, switches, problems)
  return [
    { name: 'admin', policies: admin, atEnd: 'next', ties: 'undefined' },
    { name: 'NetworkPolicy', policies: kubernetesPolicies(state.kubernetesPolicies, state.namespaces, switches, problems), atEnd: 'deny' },
    { name: 'baseline', policies: baseline, atEnd: 'next', ties: 'undefined' },
  ]
}

/** The lower number first; those without any (the baseline of v1alpha1) last; of equal ones by name, so that an answer does not depend on files. */
function byPriority(policies: readonly Policy[]): readonly Policy[] {
  const order = ({ order: own = Infinity }: Policy): number => own
  return [...policies].sort((a, b) => {
    const [left, right] = [order(a), order(b)]
    return left !== right ? (left < right ? -1 : 1) : a.name < b.name ? -1 : a.name > b.name ? 1 : 0
  })
}

/** netpol-analyzer refuses such input. */
function nameTies(policies: readonly Policy[], { as }: Switches, problems: ProblemList): void {
  policies.forEach((policy, i) => {
    const before = policies[i - 1] as Policy | undefined
    if (before?.order === undefined || before.order !== policy.order) return
    const what = `priority ${policy.order}, as ${before.kind}/${before.name} has (${formatPlace(before)}): which of the two is asked first is left open`
    const fix = 'Give each a priority of its own.'
    if (as === 'np-guard') problems.error(policy, `${policy.kind}/${policy.name}`, what, fix)
    else problems.warning(policy, `${policy.kind}/${policy.name}`, what, fix)
  })
}
