/** What policies do together: directions closed or open altogether, a deny-all that another one undoes, pods that none selects. */
import { grouped } from '../../base/grouped.js'
import type { Finding } from '../../base/finding.js'
import { ConnectionSet } from '../connections.js'
import { policyName } from '../explain/explain-line.js'
import type { Direction, Policy, PolicyRule } from '../model.js'
import { lintFinding } from './catalogue.js'
import { counted, DIRECTIONS, listed, podsWords, rulesOf, ruleWords, type LintFacts, type PodClass } from './facts.js'
import { selectsAllOf } from './rule-cover.js'

export function effectFindings(facts: LintFacts): readonly Finding[] {
  return [
    ...DIRECTIONS.flatMap((direction) => [...blockedFindings(facts, direction), ...undoneFindings(facts, direction), ...unprotectedFindings(facts, direction)]),
    ...allowedFindings(facts),
  ]
}

/** Every peer on every port of TCP, UDP and SCTP. */
function allowsEverything({ action, peers, ports, local, sourcePorts }: PolicyRule): boolean {
  const numbers = ports.within === undefined ? ports.fixed : ports.fixed.intersect(ports.within)
  const isAnyPort = ports.except.length === 0 && sourcePorts === undefined && numbers.covers(ConnectionSet.transport)
  return action === 'allow' && local.length === 0 && isAnyPort && peers.some(({ conditions }) => conditions.length === 0)
}

function allowedFindings(facts: LintFacts): readonly Finding[] {
  return facts.policies.flatMap(({ policy }) =>
    DIRECTIONS.flatMap((direction) =>
      rulesOf(policy, direction)
        .filter(allowsEverything)
        .map((rule) =>
          lintFinding('NP404', {
            what: `${ruleWords(policy, direction, rule)} allows everything: ${policy.subjectWords}`,
            evidence: [facts.evidence(policy, `every peer, ${rule.ports.words}`, rule)],
          }),
        ),
    ),
  )
}

/** Of each pod the policies that select it in a direction, in the order asked. */
function selectingOf(facts: LintFacts, direction: Direction): ReadonlyMap<PodClass, readonly Policy[]> {
  const found = new Map<PodClass, Policy[]>()
  for (const { policy } of facts.policies) {
    if (!policy.directions.includes(direction)) continue
    for (const one of facts.selected(policy)) {
      const known = found.get(one)
      if (known === undefined) found.set(one, [policy])
      else known.push(policy)
    }
  }
  return found
}

/** Tiers that close what they select. */
function isolates(facts: LintFacts, policy: Policy): boolean {
  return facts.policies.some((one) => one.policy === policy && one.tier.atEnd === 'deny')
}

function blockedFindings(facts: LintFacts, direction: Direction): readonly Finding[] {
  const isolating = new Set(facts.policies.filter(({ policy }) => isolates(facts, policy)).map(({ policy }) => policy))
  const blocked = [...selectingOf(facts, direction)].filter(
    ([, policies]) =>
      policies.some((policy) => isolating.has(policy)) &&
      policies.every((policy) =>
        policy[direction].every(({ action, peers, ports }) => (action !== 'allow' && action !== 'pass') || peers.length === 0 || isNoPort(ports)),
      ),
  )
  return [...grouped(blocked, ([, policies]) => JSON.stringify(policies.map(policyName))).values()].map((group) => {
    const [[, policies]] = group
    const who = `${listed(policies.map(policyName))} ${policies.length === 1 ? 'has' : 'have'}`
    return lintFinding('NP403', {
      what: `all ${direction} of ${podsWords(group.map(([one]) => one))} is closed: ${who} no rule that allows any`,
      evidence: policies.slice(0, MOST_POLICIES).map((policy) => facts.evidence(policy, `closes ${direction}`)),
    })
  })
}

function isNoPort({ fixed, named }: PolicyRule['ports']): boolean {
  return fixed.isEmpty && named.length === 0
}

const MOST_POLICIES = 20

function undoneFindings(facts: LintFacts, direction: Direction): readonly Finding[] {
  const plain = facts.policies.map(({ policy }) => policy).filter(({ kind, directions }) => kind === 'NetworkPolicy' && directions.includes(direction))
  const open = plain.filter((policy) => policy[direction].some(allowsEverything))
  return plain
    .filter((policy) => policy[direction].length === 0)
    .flatMap((policy) => {
      const selected = facts.selected(policy)
      const opening = open.filter((other) => other.namespace === policy.namespace && facts.selected(other).some((one) => selected.includes(one)))
      const always = opening.find((other) => selectsAllOf(other, policy, direction))
      const now = selected.length > 0 && selected.every((one) => opening.some((other) => facts.selected(other).includes(one)))
      if (always === undefined && !now) return []
      const by = always === undefined ? opening : [always]
      const allowing = `${listed(by.map(policyName))} ${by.length === 1 ? 'allows' : 'allow'} all of it`
      return [
        lintFinding('NP405', {
          what: `${policyName(policy)} closes ${direction} of ${podsWords(selected)}, and ${allowing}`,
          evidence: [facts.evidence(policy, `closes ${direction}`), ...by.map((other) => facts.evidence(other, `allows all ${direction}`))],
          // of pods to come it may close something
          ...(always === undefined ? { severity: 'info' as const } : {}),
        }),
      ]
    })
}

function unprotectedFindings(facts: LintFacts, direction: Direction): readonly Finding[] {
  const selecting = selectingOf(facts, direction)
  const namespaces = new Set(
    facts.policies.filter(({ policy }) => policy.namespace !== '' && policy.directions.includes(direction)).map(({ policy }) => policy.namespace),
  )
  return [...namespaces].sort().flatMap((namespace) => {
    const pods = facts.inNamespace(namespace).filter(({ pod }) => !pod.hostNetwork)
    const open = pods.filter((one) => !selecting.has(one))
    if (open.length === 0 || open.length === pods.length) return []
    const one = facts.policies.find(({ policy }) => policy.namespace === namespace && policy.directions.includes(direction))
    const many = open.flatMap(({ members }) => members).length
    const which = many === 1 ? 'this pod' : `these ${counted(many, 'pod')}`
    return [
      lintFinding('NP410', {
        what: `namespace ${namespace}: all ${direction} of ${podsWords(open)} is open, no policy selects ${which}`,
        evidence: [
          { what: 'no policy selects it', file: open[0].pod.file, line: open[0].pod.line, object: `Pod/${namespace}/${open[0].pod.name}` },
          ...(one === undefined ? [] : [facts.evidence(one.policy, 'a policy of the namespace')]),
        ],
      }),
    ]
  })
}
