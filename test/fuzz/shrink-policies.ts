/** Policy worlds made smaller: objects left out, of policies rules, of rules and ends fields; for as long as what is looked for stays. */
import type { ManifestObject, PolicyDraft } from './policy-draft.js'
import { without } from './shrink-lists.js'

type Value = unknown

/** @param stays whether a draft still shows it; one that is refused does not */
export function shrinkPolicies(draft: PolicyDraft, stays: (smaller: PolicyDraft) => boolean): PolicyDraft {
  let best = draft
  for (let again = true; again;) {
    again = false
    for (const step of STEPS) {
      for (let candidates = step(best), at = 0; at < candidates.length; at++) {
        if (!stays(candidates[at])) continue
        best = candidates[at]
        candidates = step(best)
        at = -1
        again = true
      }
    }
  }
  return best
}

const STEPS: readonly ((draft: PolicyDraft) => readonly PolicyDraft[])[] = [
  (draft) => without(draft.policies).map((policies) => ({ ...draft, policies })),
  (draft) => without(draft.objects).map((objects) => ({ ...draft, objects })),
  (draft) => draft.policies.flatMap((policy, index) => plainer(policy).map((one) => ({ ...draft, policies: replaced(draft.policies, index, one) }))),
]

function replaced<Item>(list: readonly Item[], index: number, one: Item): readonly Item[] {
  return list.map((other, at) => (at === index ? one : other))
}

function plainer(policy: ManifestObject): readonly ManifestObject[] {
  return smaller(policy.spec).map((spec) => ({ ...policy, spec: spec as Readonly<Record<string, unknown>> }))
}

/** With one item of a list or one field left out, at any depth. */
function smaller(value: Value): readonly Value[] {
  if (Array.isArray(value)) {
    const list = value as readonly Value[]
    return [...without(list), ...list.flatMap((item, index) => smaller(item).map((one) => replaced(list, index, one)))]
  }
  if (typeof value !== 'object' || value === null) return []
  const entries = Object.entries(value)
  return [
    ...entries.map(([key]) => Object.fromEntries(entries.filter(([other]) => other !== key))),
    ...entries.flatMap(([key, inner]) => smaller(inner).map((one) => ({ ...value, [key]: one }))),
  ]
}
