/** Meaning = chains, over random clusters of every dialect and over the examples (docs/policy-agreement.md). Many more: `npm run fuzz:policy`. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { DIALECTS, manifestOfPolicies, OUTSIDE_ADDRESSES, randomPolicyDraft, type ManifestObject } from '../fuzz/policy-draft.js'
import type { Dialect } from '../fuzz/random-dialects.js'
import { compareDraft } from '../fuzz/play-policies.js'
import { compare, Sides } from './agreement.js'

const WORLDS_OF_EACH = 2
const FIRST_SEED = 9000
const NAMESPACES = ['default', 'prod', 'dev']

const calico = (kind: string, name: string, spec: object, more: object = {}): ManifestObject => ({
  apiVersion: 'projectcalico.org/v3',
  kind,
  metadata: { name, ...more },
  spec: spec as Readonly<Record<string, unknown>>,
})
const office = calico('GlobalNetworkSet', 'office', { nets: ['10.244.0.0/16'] }, { labels: { site: 'office' } })

/** What random worlds brought up, made small. */
const FOUND: readonly (readonly [string, Dialect, readonly ManifestObject[]])[] = [
  [
    'who is matched as an address of a network set has no named ports',
    'calico',
    [
      office,
      calico('GlobalNetworkPolicy', 'p', { egress: [{ action: 'Allow', protocol: 'UDP', destination: { selector: "site == 'office'", ports: ['dns', 99] } }] }),
    ],
  ],
  [
    'named ports of a protocol by its number',
    'calico',
    [calico('GlobalNetworkPolicy', 'p', { egress: [{ action: 'Deny', protocol: 6, destination: { notPorts: ['admin'] } }, { action: 'Allow' }] })],
  ],
  [
    'a ClusterNetworkPolicy whose namespaces only exclude takes in a global network set',
    'mixed',
    [
      office,
      {
        apiVersion: 'policy.networking.k8s.io/v1alpha2',
        kind: 'ClusterNetworkPolicy',
        metadata: { name: 'c' },
        spec: {
          tier: 'Admin',
          priority: 1,
          subject: { namespaces: {} },
          egress: [{ action: 'Deny', to: [{ namespaces: { matchExpressions: [{ key: 'env', operator: 'DoesNotExist' }] } }] }],
        },
      },
    ],
  ],
]

describe('meaning and chains agree', () => {
  it.each(DIALECTS)('on random worlds of the dialect %s', { timeout: 120_000 }, (dialect) => {
    const results = Array.from({ length: WORLDS_OF_EACH }, (_, index) => compareDraft(randomPolicyDraft(FIRST_SEED + index, dialect)))
    expect(results.flatMap(({ differences }) => differences.slice(0, 3))).toEqual([])
    const sum = (of: (result: (typeof results)[number]) => number): number => results.reduce((all, result) => all + of(result), 0)
    // both answers are given, and often
    expect(sum(({ denied }) => denied)).toBeGreaterThan(500)
    expect(sum(({ verdicts, denied }) => verdicts - denied)).toBeGreaterThan(500)
  })

  const examples = readdirSync('examples').filter((file) => {
    const text = file.endsWith('.yaml') ? readFileSync(`examples/${file}`, 'utf8') : ''
    return text.includes('NetworkPolicy') && /^kind: Node$/m.test(text)
  })

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

  it.each(FOUND)('where they once did not: %s', (_, dialect, policies) => {
    const { differences } = compareDraft({ ...randomPolicyDraft(43, dialect), policies })
    expect(differences.slice(0, 3)).toEqual([])
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
