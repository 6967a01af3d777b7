/** A policy draft on both sides: what its policies mean, and what Felix's chains do. */
import { compare, Sides, type Agreement } from '../policy/agreement.js'
import { manifestOfPolicies, OUTSIDE_ADDRESSES, type PolicyDraft } from './policy-draft.js'
import { shrinkPolicies } from './shrink-policies.js'

/** Over Calico's VXLAN nobody outside is led to a pod's address. */
export function compareDraft(draft: PolicyDraft): Agreement {
  const sides = new Sides([{ file: 'drawn.yaml', text: manifestOfPolicies(draft) }])
  return compare(sides, { outside: OUTSIDE_ADDRESSES, invalidToo: true, ...(draft.mode === 'vxlan' ? {} : { client: 'host/client' }) })
}

/** Smaller, with a difference of the same kind as its first. */
export function smallest(draft: PolicyDraft): PolicyDraft {
  const [first] = compareDraft(draft).differences
  return shrinkPolicies(draft, (smaller) => {
    try {
      return compareDraft(smaller).differences.some((one) => natureOf(one) === natureOf(first))
    } catch {
      // no world at all: a node was left out that a pod names
      return false
    }
  })
}

function natureOf({ meaning, chains, connection, source, destination }: Agreement['differences'][number]): string {
  return `${meaning} ${chains} ${connection.protocol} ${source.startsWith('node/')} ${destination.startsWith('node/')}`
}
