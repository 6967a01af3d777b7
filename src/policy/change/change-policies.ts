/** Which policies came, went or say something else. */
import { contentOf } from './diff-reach.js'
import type { Policy, PolicyWorld } from '../model.js'

export interface PolicyChange {
  readonly how: 'added' | 'deleted' | 'changed'
  /** As it is; of one that went, as it was. */
  readonly policy: Policy
  readonly tier: string
  /** Of one that says something else now. */
  readonly was?: Policy
}

/** By kind and name; one that only moved to another line or file is the same. */
export function changedPolicies(before: PolicyWorld, after: PolicyWorld): readonly PolicyChange[] {
  const [old, now] = [policiesOf(before), policiesOf(after)]
  const gone = [...old].flatMap(([key, { policy, tier }]): PolicyChange | [] => (now.has(key) ? [] : { how: 'deleted', policy, tier }))
  const there = [...now].flatMap(([key, { policy, tier }]): PolicyChange | [] => {
    const was = old.get(key)
    if (was === undefined) return { how: 'added', policy, tier }
    return contentOf(was.policy) === contentOf(policy) && was.tier === tier ? [] : { how: 'changed', policy, tier, was: was.policy }
  })
  return [...there, ...gone]
}

interface Found {
  readonly policy: Policy
  readonly tier: string
}

function policiesOf({ tiers, unenforced }: PolicyWorld): ReadonlyMap<string, Found> {
  const all = [...tiers, ...unenforced].flatMap(({ name, policies }) => policies.map((policy): Found => ({ policy, tier: name })))
  return new Map(all.map((found) => [`${found.policy.kind}/${found.policy.namespace}/${found.policy.name}`, found]))
}
