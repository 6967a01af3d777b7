/**
 * What netpol-analyzer refuses to answer, though it has a meaning: pods of one owner that policies tell apart (it shows owners, not pods), and a
 * port by name towards addresses outside. After its pkg/netpol/eval/resources.go and internal/k8s/netpol.go.
 */
import type { Problem } from '../base/problem.js'
import { formatPlace, ProblemList, type Place } from '../cluster/problem-list.js'
import { holdsAll, type Reading } from './conditions.js'
import type { Policy, PolicyPod, PolicyRule, PolicyWorld } from './model.js'
import { workloadName } from './peer-name.js'

export function npGuardRefusals(world: PolicyWorld): readonly Problem[] {
  const problems = new ProblemList()
  const policies = world.tiers.flatMap((tier) => tier.policies)
  refuseUnlikePods(world, policies, problems)
  for (const policy of policies) for (const rule of policy.egress) refuseNamedPort(policy, rule, problems)
  return problems.problems
}

function refuseUnlikePods(world: PolicyWorld, policies: readonly Policy[], problems: ProblemList): void {
  const first = new Map<string, PolicyPod>()
  const reading: Reading = { world, assumed: new Set() }
  for (const pod of world.pods) {
    const owner = workloadName(pod)
    const other = first.get(owner)
    if (other === undefined) first.set(owner, pod)
    else if (other.labels !== pod.labels) {
      const policy = policies.find((one) => tellsApart(one, pod, other, reading))
      if (policy === undefined) continue
      const what = `${policy.kind} ${formatPlace(policy)} tells it from ${other.namespace}/${other.name}, which ${owner} owns too`
      problems.error(
        pod,
        `Pod/${pod.namespace}/${pod.name}`,
        what,
        'netpol-analyzer shows owners, not pods: leave --compat out, or give the two the same labels.',
      )
    }
  }
}

function tellsApart({ subject, ingress, egress }: Policy, a: PolicyPod, b: PolicyPod, reading: Reading): boolean {
  const differs = (conditions: Policy['subject']): boolean => holdsAll(conditions, a, reading) !== holdsAll(conditions, b, reading)
  return differs(subject) || [...ingress, ...egress].some(({ peers }) => peers.some(({ conditions }) => differs(conditions)))
}

function refuseNamedPort(policy: Policy, { peers, ports, ...place }: PolicyRule & Place, problems: ProblemList): void {
  if (policy.kind !== 'NetworkPolicy' || ports.named.length === 0) return
  if (!peers.some(({ conditions }) => conditions.some(({ kind }) => kind === 'networks'))) return
  const what = `${ports.words} by name to addresses outside, which have none`
  problems.error(place, `${policy.kind}/${policy.namespace}/${policy.name}`, what, 'Write the number.')
}
