/** All dialects' policies of a state → the tiers in which they are asked. */
import type { Problem } from '../../base/problem.js'
import type { PolicyState } from '../../cluster/policy-state.js'
import type { Switches, Tier } from '../model.js'

export interface TiersResult {
  /** In the order in which they are asked. */
  readonly tiers: readonly Tier[]
  readonly problems: readonly Problem[]
}

export function policyTiers(_state: PolicyState, _switches: Switches): TiersResult {
  return { tiers: [], problems: [] }
}
