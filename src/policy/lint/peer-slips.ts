/**
 * "And" written as "or", and the reverse: a dash too many or too few before podSelector. Told where the pods of the input show it: as it is written
 * it adds nothing or finds nobody, the other way it does.
 */
import type { Finding } from '../../base/finding.js'
import type { Condition, Direction, Peer, Policy, PolicyRule } from '../model.js'
import { lintFinding } from './catalogue.js'
import { conditionsImply } from './condition-cover.js'
import { podsWords, ruleWords, type LintFacts } from './facts.js'

export interface RuleOf {
  readonly policy: Policy
  readonly direction: Direction
  readonly rule: PolicyRule
}

export interface Slips {
  readonly findings: readonly Finding[]
  /** Peers of which no more need be said. */
  readonly told: ReadonlySet<Peer>
}

export function peerSlips(facts: LintFacts, at: RuleOf): Slips {
  const told = new Set<Peer>()
  const findings: Finding[] = []
  const { peers } = at.rule
  peers.forEach((peer, index) => {
    const before = peers.at(index - 1)
    const pair = index === 0 || before === undefined ? undefined : splitPair(before, peer)
    if (pair !== undefined && !told.has(pair.pods)) {
      const found = twoPeers(facts, at, pair)
      if (found !== undefined) {
        findings.push(found)
        told.add(pair.pods)
      }
    }
    const one = onePeer(facts, at, peer)
    if (one === undefined) return
    findings.push(one)
    told.add(peer)
  })
  return { findings, told }
}

interface Pair {
  /** By namespaceSelector alone. */
  readonly namespaces: Peer
  /** By podSelector alone, in the policy's own namespace. */
  readonly pods: Peer
}

function splitPair(a: Peer, b: Peer): Pair | undefined {
  if (isByNamespace(a) && isByPod(b)) return { namespaces: a, pods: b }
  return isByPod(a) && isByNamespace(b) ? { namespaces: b, pods: a } : undefined
}

function isByNamespace({ conditions }: Peer): boolean {
  return conditions.length === 1 && isOf(conditions[0], 'namespace')
}

function isByPod({ conditions }: Peer): boolean {
  return conditions.length === 2 && conditions[0].kind === 'namespace' && isOf(conditions[1], 'pod')
}

function isOf(condition: Condition, of: 'namespace' | 'pod'): boolean {
  return condition.kind === 'labels' && condition.of === of
}

function twoPeers(facts: LintFacts, { policy, direction, rule }: RuleOf, { namespaces, pods }: Pair): Finding | undefined {
  const wanted = pods.conditions.filter((one) => isOf(one, 'pod'))
  const together = [...namespaces.conditions, ...wanted]
  const at = ruleWords(policy, direction, rule)
  const evidence = [facts.evidence(policy, pods.words, pods), facts.evidence(policy, namespaces.words, namespaces)]
  if (conditionsImply(pods.conditions, namespaces.conditions)) {
    const what = `${at}: ${pods.words} adds nothing beside ${namespaces.words}, which is a peer of its own`
    return lintFinding('NP104', { what, evidence })
  }
  const meant = facts.meeting(together)
  if (facts.matched(pods).length > 0 || meant.length === 0) return undefined
  const all = facts.matched(namespaces)
  if (all.length === meant.length) return undefined
  return lintFinding('NP104', {
    what: `${at}: ${pods.words} matches nobody; within ${namespaces.words} it would be ${podsWords(meant)}, and as it stands all of ${podsWords(all)} match`,
    evidence,
  })
}

function onePeer(facts: LintFacts, { policy, direction, rule }: RuleOf, peer: Peer): Finding | undefined {
  const spaces = peer.conditions.filter((one) => isOf(one, 'namespace'))
  const pods = peer.conditions.filter((one) => isOf(one, 'pod'))
  if (policy.namespace === '' || spaces.length !== 1 || pods.length !== 1 || facts.matched(peer).length > 0) return undefined
  const there = facts.meeting(spaces)
  const here = facts.meeting([{ kind: 'namespace', name: policy.namespace, words: '', file: '', line: 0 }, ...pods])
  if (there.length === 0 || here.length === 0) return undefined
  return lintFinding('NP105', {
    what: `${ruleWords(policy, direction, rule)}: nobody is ${peer.words}; ${podsWords(there)} would match by namespace, ${podsWords(here)} by labels`,
    evidence: [facts.evidence(policy, peer.words, peer)],
  })
}
