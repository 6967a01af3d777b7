/** How NetworkPolicies are written: what is left out, and what the API takes for granted then. */
import type { Evidence, Finding } from '../../base/finding.js'
import { isObject, type JsonValue } from '../../cluster/located.js'
import type { KubernetesObject } from '../../cluster/manifest.js'
import { policyName } from '../explain/explain-line.js'
import type { Direction } from '../model.js'
import { lintFinding } from './catalogue.js'
import { counted, DIRECTIONS, podsWords, type LintFacts, type PolicyAt } from './facts.js'

export function textFindings(facts: LintFacts): readonly Finding[] {
  const written = facts.policies.flatMap(({ tier, policy }) => {
    const object = policy.kind === 'NetworkPolicy' ? facts.objectOf(policy) : undefined
    return object === undefined ? [] : [{ tier, policy, object }]
  })
  return [
    ...written.flatMap((one) => [
      ...namespaceFindings(facts, one),
      ...typeFindings(facts, one),
      ...ignoredFindings(facts, one),
      ...protocolFindings(facts, one),
    ]),
    ...duplicateFindings(facts),
  ]
}

type Written = PolicyAt & { readonly object: KubernetesObject }

function namespaceFindings(facts: LintFacts, { policy, object }: Written): readonly Finding[] {
  const { metadata } = object.value
  if (isObject(metadata) && typeof metadata.namespace === 'string' && metadata.namespace !== '') return []
  const selected = facts.selected(policy)
  const there = selected.length === 0 ? 'where it selects no pod' : `where it selects ${podsWords(selected)}`
  return [
    lintFinding('NP001', {
      what: `${policyName(policy)} names no namespace: it is taken to live in ${policy.namespace}, ${there}`,
      evidence: [facts.evidence(policy, 'no metadata.namespace', object.at('metadata'))],
    }),
  ]
}

function typeFindings(facts: LintFacts, { tier, policy, object }: Written): readonly Finding[] {
  if (listAt(object, 'policyTypes').length > 0) return []
  const spec = object.at('spec')
  const types = policy.directions.map((direction) => (direction === 'ingress' ? 'Ingress' : 'Egress')).join(', ')
  if (policy.directions.includes('egress') && policy.ingress.length === 0 && policy.directions.includes('ingress')) {
    const selected = facts.selected(policy)
    const others = tier.policies.filter((other) => other !== policy && other.directions.includes('ingress'))
    const closed = selected.filter((one) => !others.some((other) => facts.selected(other).includes(one)))
    if (closed.length > 0 || selected.length === 0) {
      const whom = closed.length === 0 ? 'the pods that it selects' : podsWords(closed)
      return [
        lintFinding('NP003', {
          what: `${policyName(policy)} has egress rules alone, and closes ingress of ${whom}: no other policy does`,
          evidence: [facts.evidence(policy, 'no policyTypes', spec)],
        }),
      ]
    }
  }
  return [
    lintFinding('NP002', {
      what: `${policyName(policy)} has no policyTypes: as its rules are they mean [${types}]`,
      evidence: [facts.evidence(policy, 'no policyTypes', spec)],
    }),
  ]
}

function ignoredFindings(facts: LintFacts, { policy, object }: Written): readonly Finding[] {
  if (listAt(object, 'policyTypes').length === 0) return []
  return DIRECTIONS.filter((direction) => !policy.directions.includes(direction) && listAt(object, direction).length > 0).map((direction) =>
    lintFinding('NP004', {
      what: `${policyName(policy)} has ${counted(listAt(object, direction).length, `${direction} rule`)}, and policyTypes do not name ${typeOf(direction)}`,
      evidence: [
        facts.evidence(policy, `${direction} rules that are ignored`, object.at('spec', direction)),
        facts.evidence(policy, 'policyTypes', object.at('spec', 'policyTypes')),
      ],
      fix: `Add ${typeOf(direction)} to policyTypes, or take the rules out.`,
    }),
  )
}

function typeOf(direction: Direction): string {
  return direction === 'ingress' ? 'Ingress' : 'Egress'
}

/** One finding for a policy, with every port. */
function protocolFindings(facts: LintFacts, { policy, object }: Written): readonly Finding[] {
  const evidence: Evidence[] = DIRECTIONS.flatMap((direction) =>
    listAt(object, direction).flatMap((rule, index) => {
      const ports = isObject(rule) && Array.isArray(rule.ports) ? (rule.ports as readonly JsonValue[]) : []
      return ports.flatMap((port, at): Evidence[] =>
        isObject(port) && (port.protocol === undefined || port.protocol === null)
          ? [facts.evidence(policy, `${direction} rule #${index + 1}: ${portWords(port.port)}, TCP alone`, object.at('spec', direction, index, 'ports', at))]
          : [],
      )
    }),
  )
  if (evidence.length === 0) return []
  return [lintFinding('NP005', { what: `${policyName(policy)} names ${counted(evidence.length, 'port')} without a protocol`, evidence })]
}

function portWords(port: JsonValue | undefined): string {
  return typeof port === 'number' || typeof port === 'string' ? `port ${port}` : 'every port'
}

/** What stands under spec, as far as it is a list. */
function listAt({ value }: KubernetesObject, key: 'policyTypes' | Direction): readonly JsonValue[] {
  const { spec } = value
  const list = isObject(spec) ? spec[key] : undefined
  return Array.isArray(list) ? (list as readonly JsonValue[]) : []
}

const POLICY_OBJECT = /^[A-Za-z]*NetworkPolicy\//

/** The reader found them; of such pairs one is kept. */
function duplicateFindings({ problems }: LintFacts): readonly Finding[] {
  return problems
    .filter(({ severity, object, what }) => severity === 'error' && POLICY_OBJECT.test(object) && what.startsWith('stands here and in '))
    .map(({ file, line, object, what }) => lintFinding('NP006', { what: `${object} ${what}`, evidence: [{ what: object, file, line, object }] }))
}
