/** Meaning = chains, over random clusters of every dialect and over the examples (docs/policy-agreement.md). Many more: `npm run fuzz:policy`. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { DIALECTS, manifestOfPolicies, OUTSIDE_ADDRESSES, randomPolicyDraft } from '../fuzz/policy-draft.js'
import { compareDraft } from '../fuzz/play-policies.js'
import { compare, Sides } from './agreement.js'

const WORLDS_OF_EACH = 5
const FIRST_SEED = 9000
const NAMESPACES = ['default', 'prod', 'dev']

describe('meaning and chains agree', () => {
  it.each(DIALECTS)('on random worlds of the dialect %s', (dialect) => {
    const results = Array.from({ length: WORLDS_OF_EACH }, (_, index) => compareDraft(randomPolicyDraft(FIRST_SEED + index, dialect)))
    expect(results.flatMap(({ differences }) => differences.slice(0, 3))).toEqual([])
    const sum = (of: (result: (typeof results)[number]) => number): number => results.reduce((all, result) => all + of(result), 0)
    // both answers are given, and often
    expect(sum(({ denied }) => denied)).toBeGreaterThan(1000)
    expect(sum(({ verdicts, denied }) => verdicts - denied)).toBeGreaterThan(1000)
  })

  const examples = readdirSync('examples').filter((file) => file.endsWith('.yaml') && readFileSync(`examples/${file}`, 'utf8').includes('NetworkPolicy'))

  it.each(examples)('on examples/%s', (file) => {
    const sides = new Sides([{ file, text: readFileSync(`examples/${file}`, 'utf8') }])
    const { differences, denied, verdicts } = compare(sides, { outside: OUTSIDE_ADDRESSES.slice(0, 1) })
    expect(differences.slice(0, 3)).toEqual([])
    expect(denied).toBeGreaterThan(0)
    expect(verdicts).toBeGreaterThan(denied)
  })

  it('of an egress policy without policyTypes, which closes ingress too', () => {
    const draft = randomPolicyDraft(1, 'kubernetes')
    const spec = { podSelector: {}, egress: [{}] }
    const policies = NAMESPACES.map((namespace) => ({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: 'out', namespace }, spec }))
    const { differences, denied } = compareDraft({ ...draft, policies })
    expect(differences).toEqual([])
    expect(denied).toBeGreaterThan(0)
  })

  it('is held against something: a world whose policies only one side has differs', () => {
    const draft = randomPolicyDraft(2, 'kubernetes')
    const spec = { podSelector: {}, policyTypes: ['Ingress', 'Egress'] }
    const deny = NAMESPACES.map((namespace) => ({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: 'no', namespace }, spec }))
    const sides = new Sides([{ file: 'drawn.yaml', text: manifestOfPolicies({ ...draft, policies: deny }) }])
    const { tiers: _, ...rest } = sides.world
    const open = Object.assign(Object.create(Sides.prototype) as Sides, sides, { world: { ...rest, tiers: [] } })
    expect(compare(open, { outside: [] }).differences.length).toBeGreaterThan(0)
  })
})
