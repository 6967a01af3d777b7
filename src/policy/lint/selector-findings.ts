/** Selectors that find nobody: of the policy itself, of a rule's peer, of its namespaces; with what was probably meant. */
import type { Finding } from '../../base/finding.js'
import type { Labels } from '../../cluster/labels.js'
import { matchesCalicoSelector, type SelectorNode } from '../../cluster/selector.js'
import { endpointLabels } from '../endpoint-labels.js'
import { policyName } from '../explain/explain-line.js'
import type { Condition, Direction, Peer, Policy, PolicyRule } from '../model.js'
import { lintFinding } from './catalogue.js'
import { DIRECTIONS, listed, podsWords, rulesOf, ruleWords, type LintFacts, type PodClass } from './facts.js'
import { METADATA_NAME, missOf, type Miss } from './near-labels.js'
import { peerSlips } from './peer-slips.js'
import { both, termsOf } from './selector-cover.js'

export function selectorFindings(facts: LintFacts): readonly Finding[] {
  // without pods a selector has nothing to find
  if (facts.classes.length === 0) return []
  return facts.policies.flatMap(({ policy }) => [
    ...subjectFindings(facts, policy),
    ...DIRECTIONS.flatMap((direction) => ruleFindings(facts, policy, direction)),
  ])
}

type Labelled = Extract<Condition, { kind: 'labels' }>

function subjectFindings(facts: LintFacts, policy: Policy): readonly Finding[] {
  if (policy.kind === 'NamespaceIsolation' || facts.selected(policy).length > 0 || selectsOthers(facts, policy.subject)) return []
  const hosts = facts.meetingAsPods(policy.subject)
  const place = policy.subject.find(({ kind }) => kind === 'labels') ?? policy
  if (hosts.length > 0) {
    const what = `${policyName(policy)} selects ${podsWords(hosts)}: pods on the host's network, and no other`
    return [lintFinding('NP106', { what, evidence: [facts.evidence(policy, policy.subjectWords, place)] })]
  }
  const namespaces = namespacesMissing(facts, policy.subject)
  if (namespaces !== undefined) return [namespaceFinding(facts, policy, { miss: namespaces, of: policyName(policy), peerWords: policy.subjectWords })]
  const rest = policy.subject.filter((one) => !isPodLabels(one))
  const among = (policy.namespace === '' ? facts.meeting(rest) : facts.inNamespace(policy.namespace)).filter(({ pod }) => !pod.hostNetwork)
  const wanted = policy.subject.filter(isPodLabels)
  const elsewhere = policy.namespace === '' || wanted.length === 0 || wanted.some(isEndpoint) ? [] : facts.meeting(wanted)
  const there = elsewhere.length === 0 ? '' : `; ${podsWords(elsewhere)} would be selected, in another namespace`
  if (among.length === 0) {
    const where = policy.namespace === '' ? 'where it selects' : `in namespace ${policy.namespace}`
    return [
      lintFinding('NP101', {
        what: `${policyName(policy)} selects nothing: the input has no pod ${where}${there}`,
        evidence: [facts.evidence(policy, policy.subjectWords, place)],
        ...(elsewhere.length === 0 ? { severity: 'info' as const } : { fix: `Put the policy into namespace ${namespacesOf(elsewhere)}.` }),
      }),
    ]
  }
  const miss = missAmong(facts, wanted, among)
  return [
    lintFinding('NP101', {
      what: `${policyName(policy)} selects nothing (${policy.subjectWords}) among ${podsWords(among)}: ${miss.what}${there}`,
      evidence: [facts.evidence(policy, policy.subjectWords, place)],
      ...(miss.near !== undefined ? { fix: miss.near } : elsewhere.length > 0 ? { fix: `Put the policy into namespace ${namespacesOf(elsewhere)}.` } : {}),
    }),
  ]
}

function namespacesOf(classes: readonly PodClass[]): string {
  return listed([...new Set(classes.map(({ pod }) => pod.namespace))].sort())
}

/** Host endpoints and network sets have labels as well. */
function selectsOthers({ world }: LintFacts, conditions: readonly Condition[]): boolean {
  const ofHosts = world.hostEndpoints.map(({ labels }) => labels)
  const ofAll = [...ofHosts, ...world.networkSets.map(({ labels }) => labels)]
  return conditions.some((one) => {
    if (one.kind === 'networks' || one.kind === 'service' || one.kind === 'notLabels' || one.kind === 'never') return true
    if (one.kind !== 'labels') return false
    if (one.of === 'node') return true
    return isEndpoint(one) && (one.of === 'endpoint' ? ofAll : ofHosts).some((labels) => matchesCalicoSelector(one.selector, labels))
  })
}

function isPodLabels(one: Condition): one is Labelled {
  return one.kind === 'labels' && (one.of === 'pod' || isEndpoint(one))
}

function isEndpoint({ of }: Labelled): boolean {
  return of === 'endpoint' || of === 'endpointItself'
}

function isNamespaceLabels(one: Condition): one is Labelled {
  return one.kind === 'labels' && one.of === 'namespace'
}

function missAmong({ world }: LintFacts, wanted: readonly Labelled[], among: readonly PodClass[]): Miss {
  if (wanted.length === 0) return { what: 'nobody meets all of it' }
  const selector = wanted.map(({ selector: { root } }) => root).reduce(both)
  const inherits = wanted.some(isEndpoint)
  return missOf(
    selector,
    among.map(({ pod }) => (inherits ? endpointLabels(pod, world) : pod.labels)),
  )
}

interface NamespaceMiss extends Miss {
  /** Namespaces of which no object tells the labels. */
  readonly unknown: number
  readonly place: Condition
}

/** undefined: some namespace is selected, or it is not asked. */
function namespacesMissing({ world }: LintFacts, conditions: readonly Condition[]): NamespaceMiss | undefined {
  const asked = conditions.filter(isNamespaceLabels)
  if (asked.length === 0) return undefined
  const namespaces = [...world.namespaces.values()]
  if (namespaces.length === 0 || namespaces.some(({ labels }) => asked.every(({ selector }) => matchesCalicoSelector(selector, labels)))) return undefined
  const selector = asked.map(({ selector: { root } }) => root).reduce(both)
  const unknown = namespaces.filter(({ place }) => place === undefined).length
  return { ...byName(selector, [...world.namespaces.keys()]), ...missFrom(selector, namespaces), unknown, place: asked[0] }
}

function missFrom(selector: SelectorNode, namespaces: readonly { readonly labels: Labels }[]): Miss {
  return missOf(
    selector,
    namespaces.map(({ labels }) => labels),
  )
}

/** A label `name: shop` was meant for the namespace called shop. */
function byName(selector: SelectorNode, names: readonly string[]): Partial<Miss> {
  const named = termsOf(selector)
    .filter(({ label }) => label !== METADATA_NAME)
    .flatMap(({ values }) => values)
    .find((value) => names.includes(value))
  return named === undefined ? {} : { near: `Select it by its name: ${METADATA_NAME}: ${named}, or label the namespace.` }
}

interface NamespaceCase {
  readonly miss: NamespaceMiss
  readonly of: string
  readonly peerWords: string
}

function namespaceFinding(facts: LintFacts, policy: Policy, { miss, of, peerWords }: NamespaceCase): Finding {
  const { what, near, unknown, place } = miss
  const guess = unknown === 0 ? '' : ` (the labels of ${unknown === 1 ? '1 namespace are' : `${unknown} namespaces are`} not in the input)`
  return lintFinding('NP103', {
    what: `${of}: no namespace is selected (${peerWords}): ${what}${guess}`,
    evidence: [facts.evidence(policy, place.words, place)],
    // whoever gave only part of the cluster is not to be blamed
    ...(unknown > 0 && near === undefined ? { severity: 'info' as const } : {}),
    ...(near === undefined ? {} : { fix: near }),
  })
}

function ruleFindings(facts: LintFacts, policy: Policy, direction: Direction): readonly Finding[] {
  return rulesOf(policy, direction).flatMap((rule) => {
    const slips = peerSlips(facts, { policy, direction, rule })
    return [...slips.findings, ...rule.peers.filter((peer) => !slips.told.has(peer)).flatMap((peer) => peerFindings(facts, { policy, direction, rule, peer }))]
  })
}

interface PeerAt {
  readonly policy: Policy
  readonly direction: Direction
  readonly rule: PolicyRule
  readonly peer: Peer
}

function peerFindings(facts: LintFacts, { policy, direction, rule, peer }: PeerAt): readonly Finding[] {
  const { conditions } = peer
  const wanted = conditions.filter(isPodLabels)
  const at = ruleWords(policy, direction, rule)
  if (conditions.length === 0 || selectsOthers(facts, conditions)) return []
  const namespaces = namespacesMissing(facts, conditions)
  if (namespaces !== undefined) return [namespaceFinding(facts, policy, { miss: namespaces, of: at, peerWords: peer.words })]
  if (facts.matched(peer).length > 0) return []
  const evidence = [facts.evidence(policy, peer.words, wanted.at(0) ?? peer)]
  const hosts = facts.meetingAsPods(conditions)
  if (hosts.length > 0)
    return [lintFinding('NP107', { what: `${at}: ${peer.words} are ${podsWords(hosts)}, pods on the host's network, and no other`, evidence })]
  const among = facts.meeting(conditions.filter((one) => !isPodLabels(one)))
  if (among.length === 0) return [lintFinding('NP102', { what: `${at}: ${peer.words}: the input has no pod there`, evidence, severity: 'info' })]
  const miss = missAmong(facts, wanted, among)
  const elsewhere = wanted.length === 0 ? [] : facts.meeting(wanted)
  const there = elsewhere.length === 0 ? '' : `; ${podsWords(elsewhere)} would match, in another namespace`
  const fix = miss.near ?? (elsewhere.length === 0 ? undefined : `Add a namespaceSelector for ${namespacesOf(elsewhere)} to the peer.`)
  return [
    lintFinding('NP102', {
      what: `${at}: ${peer.words}: nobody among ${podsWords(among)}: ${miss.what}${there}`,
      evidence,
      ...(fix === undefined ? {} : { fix }),
    }),
  ]
}
