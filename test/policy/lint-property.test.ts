/** What lint calls redundant or unreachable can be taken out, all of it at once, and no pair of ends notices: in random worlds of every shape. */
import { describe, expect, it } from 'vitest'
import { evaluatePair } from '../../src/policy/evaluate.js'
import { unreachableRules } from '../../src/policy/lint/order-findings.js'
import { redundantPolicies, redundantRules } from '../../src/policy/lint/redundancy-findings.js'
import type { Policy, PolicyRule, PolicyWorld, Tier } from '../../src/policy/model.js'
import { Draw, endsOf, nameOf, randomWorld, type RandomWorld } from './random-world.js'

/** More of them: NETSIM_POLICY_WORLDS=5000. */
const WORLDS = Number(process.env.NETSIM_POLICY_WORLDS ?? 120)

function without(world: PolicyWorld, rules: ReadonlySet<PolicyRule>, policies: ReadonlySet<Policy>): PolicyWorld {
  const kept = (list: readonly PolicyRule[]): readonly PolicyRule[] => list.filter((rule) => !rules.has(rule))
  const tiers = world.tiers.map((tier): Tier => ({
    ...tier,
    policies: tier.policies
      .filter((policy) => !policies.has(policy))
      .map((policy): Policy => ({ ...policy, ingress: kept(policy.ingress), egress: kept(policy.egress) })),
  }))
  return { ...world, tiers }
}

/** Pairs that connect otherwise in `after`. */
function differences(drawn: RandomWorld, after: PolicyWorld): string[] {
  const ends = endsOf(drawn)
  return ends.flatMap((source) =>
    ends.flatMap((destination) => {
      const before = evaluatePair(drawn.world, source, destination).allowed
      const now = evaluatePair(after, source, destination).allowed
      return before.equals(now) ? [] : [`${nameOf(source)} → ${nameOf(destination)}: ${before.key} became ${now.key}`]
    }),
  )
}

describe('what adds nothing', () => {
  it('rules and policies that others make superfluous change no pair when they are gone', () => {
    let rules = 0
    let policies = 0
    for (let seed = 0; seed < WORLDS; seed++) {
      const drawn = randomWorld(new Draw(seed), 5)
      const found = drawn.world.tiers.map((tier) => ({ tier, rules: redundantRules(tier) }))
      const gone = found.flatMap(({ tier, rules: own }) => redundantPolicies(tier, own))
      const out = new Set(found.flatMap(({ rules: own }) => own.map(({ rule }) => rule)))
      if (out.size + gone.length === 0) continue
      rules += out.size
      policies += gone.length
      expect(differences(drawn, without(drawn.world, out, new Set(gone))), `seed ${seed}`).toEqual([])
    }
    expect(rules).toBeGreaterThan(WORLDS / 10)
    expect(policies).toBeGreaterThan(WORLDS / 50)
  })

  it('rules that never decide change no pair when any one of them is gone', () => {
    let rules = 0
    for (let seed = 0; seed < WORLDS; seed++) {
      const drawn = randomWorld(new Draw(seed), 4)
      for (const { rule } of unreachableRules(drawn.world)) {
        rules++
        expect(differences(drawn, without(drawn.world, new Set([rule]), new Set())), `seed ${seed}`).toEqual([])
      }
    }
    expect(rules).toBeGreaterThan(WORLDS / 10)
  })
})
