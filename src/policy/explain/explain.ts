/**
 * A question about two ends → for and against: direction by direction the tiers that were asked, the rules that had a say, those that nearly had
 * one and the term of each that failed, and what the answer rests on. The meaning itself is evaluate.ts's; nothing is decided here.
 */
import { asSeen, holds, type Reading } from '../conditions.js'
import { ConnectionSet, type Connection } from '../connections.js'
import { evaluatePair, portsAt, ruleMatches, type DirectionMeaning, type Part, type Reason, type Side } from '../evaluate.js'
import { assumptionsOf, type ExplainedAssumption } from './explain-assumptions.js'
import { endWords, failedPorts, failedSourcePort, failedTerm, failedWhole, type FailedTerm, type NamedEnd } from './explain-terms.js'
import type { Direction, End, Policy, PolicyRule, PolicyWorld, Tier } from '../model.js'

export interface Question {
  readonly source: End
  readonly destination: End
  readonly connection?: Connection
  /** Several; without this and without a connection: every connection. */
  readonly several?: ConnectionSet
  /** What the ends are called; absent: by their own names. */
  readonly names?: EndNames
}

export interface EndNames {
  readonly src: string
  readonly dst: string
}

/** isolate: the policy selects the end, and no rule names the connection. */
export type Effect = 'allow' | 'deny' | 'pass' | 'isolate'

export interface Cited {
  readonly tier: Tier
  readonly policy: Policy
  /** Absent: the policy as a whole. */
  readonly rule?: PolicyRule
  readonly effect: Effect
}

/** What came of asking one tier; without an effect: none of its rules names the connections, and they go on. */
export interface TierStep {
  readonly tier: Tier
  readonly cited: readonly Cited[]
}

/** A rule that would have changed the answer, had the terms held that failed. Without a rule: the policy does not select the end. */
export interface NearMiss {
  readonly tier: Tier
  readonly policy: Policy
  readonly rule?: PolicyRule
  readonly failed: readonly FailedTerm[]
}

/** Why some connections go as they do in one direction. */
export interface DirectedPart {
  readonly direction: Direction
  /** The end whose policies were asked. */
  readonly localName: string
  readonly allowed: boolean
  readonly reason: Reason
  readonly steps: readonly TierStep[]
  /** Further rules of the deciding tier that say the same of all of these connections. */
  readonly also: readonly Cited[]
  /** Nearest first. */
  readonly near: readonly NearMiss[]
}

export interface ExplainedPart {
  readonly connections: ConnectionSet
  readonly allowed: boolean
  readonly egress: DirectedPart
  readonly ingress: DirectedPart
}

export interface Explanation extends Question {
  /** Of what was asked. */
  readonly allowed: ConnectionSet
  readonly verdict: 'allowed' | 'denied' | 'partly'
  /** Disjoint; together they are what was asked. Those that are allowed come first. */
  readonly parts: readonly ExplainedPart[]
  readonly egress: DirectionMeaning
  readonly ingress: DirectionMeaning
  readonly assumptions: readonly ExplainedAssumption[]
}

export function explain(world: PolicyWorld, question: Question): Explanation {
  const { source, destination, connection } = question
  const asked = connection === undefined ? (question.several ?? ConnectionSet.all) : ConnectionSet.of(connection.protocol, connection.port)
  const meaning = evaluatePair(world, source, destination)
  const allowed = meaning.allowed.intersect(asked)
  const sides = sidesOf(world, question)
  const names = question.names ?? { src: endWords(source), dst: endWords(destination) }
  const egress = new DirectionReader(world, sides.egress, meaning.egress, [names.src, names.dst])
  const ingress = new DirectionReader(world, sides.ingress, meaning.ingress, [names.dst, names.src])
  const parts = meaning.egress.parts.flatMap((out) =>
    meaning.ingress.parts.flatMap((into): ExplainedPart[] => {
      const connections = out.connections.intersect(into.connections).intersect(asked)
      if (connections.isEmpty) return []
      return [{ connections, allowed: out.allowed && into.allowed, egress: egress.partOf(out, connections), ingress: ingress.partOf(into, connections) }]
    }),
  )
  return {
    ...question,
    allowed,
    verdict: allowed.isEmpty ? 'denied' : allowed.equals(asked) ? 'allowed' : 'partly',
    parts: parts.sort((a, b) => Number(b.allowed) - Number(a.allowed)),
    egress: meaning.egress,
    ingress: meaning.ingress,
    assumptions: assumptionsOf(world, question, { asked, allowed, assumed: meaning.assumed }),
  }
}

/** The two ends as the policies of each side see them. */
export function sidesOf(world: PolicyWorld, { source, destination }: Question): { readonly egress: Side; readonly ingress: Side } {
  const reading: Reading = { world, assumed: new Set() }
  const from = asSeen(source, reading)
  const to = asSeen(destination, reading)
  return {
    egress: { direction: 'egress', local: from, remote: to, same: false },
    ingress: { direction: 'ingress', local: to, remote: from, same: false },
  }
}

/** A rule of a policy that selects the end, held against the pair. */
export interface RuleReading {
  readonly tier: Tier
  readonly policy: Policy
  readonly rule: PolicyRule
  /** What it names of the connections between these ends, whoever decides them; empty where it does not match. */
  readonly named: ConnectionSet
  /** Its peers and what it says of the selected end hold, whatever its ports are. */
  readonly peerMatches: boolean
}

/** Every rule that had a chance to be asked, in the order in which they are asked. */
export function readRules(world: PolicyWorld, side: Side, selecting: readonly Policy[]): readonly RuleReading[] {
  const reading: Reading = { world, assumed: new Set() }
  return world.tiers.flatMap((tier) =>
    tier.policies
      .filter((policy) => selecting.includes(policy))
      .flatMap((policy) =>
        policy[side.direction].map((rule) => {
          const matches = ruleMatches(reading, rule, side)
          return { tier, policy, rule, named: ConnectionSet.union(matches.map(({ connections }) => connections)), peerMatches: matches.length > 0 }
        }),
      ),
  )
}

/** Explains the parts of one direction; the rules are read once for all of them. */
class DirectionReader {
  private readonly world: PolicyWorld
  private readonly side: Side
  private readonly meaning: DirectionMeaning
  private readonly rules: readonly RuleReading[]
  private readonly local: NamedEnd
  private readonly remote: NamedEnd

  /** @param names of the end whose policies are asked, and of the other */
  constructor(world: PolicyWorld, side: Side, meaning: DirectionMeaning, names: readonly [local: string, remote: string]) {
    this.world = world
    this.side = side
    this.meaning = meaning
    this.local = { end: side.local, name: names[0] }
    this.remote = { end: side.remote, name: names[1] }
    this.rules = readRules(world, side, meaning.selecting)
  }

  partOf(part: Part, connections: ConnectionSet): DirectedPart {
    const { allowed, reason } = part
    return {
      direction: this.side.direction,
      localName: this.local.name,
      allowed,
      reason,
      steps: this.stepsOf(part),
      also: this.alsoOf(part, connections),
      near: reason.kind === 'exempt' ? [] : this.nearOf(part, connections),
    }
  }

  private stepsOf({ reason, passedBy, allowed }: Part): readonly TierStep[] {
    const steps: TierStep[] = []
    if (reason.kind === 'exempt') return steps
    for (const tier of this.world.tiers) {
      if (!tier.policies.some((policy) => this.meaning.selecting.includes(policy))) continue
      if (reason.kind === 'rule' && reason.tier === tier) {
        const { policy, rule } = reason
        return [...steps, { tier, cited: [{ tier, policy, rule, effect: allowed ? 'allow' : 'deny' }] }]
      }
      if (reason.kind === 'tier-end' && reason.tier === tier) {
        return [...steps, { tier, cited: reason.policies.map((policy) => ({ tier, policy, effect: 'isolate' })) }]
      }
      const passes = passedBy.filter(({ policy }) => tier.policies.includes(policy))
      steps.push({ tier, cited: passes.map(({ policy, rule }) => ({ tier, policy, rule, effect: 'pass' })) })
    }
    return steps
  }

  private alsoOf({ reason, allowed }: Part, connections: ConnectionSet): readonly Cited[] {
    if (reason.kind !== 'rule') return []
    const effect = allowed ? 'allow' : 'deny'
    return this.rules
      .filter(({ tier, rule, named }) => tier === reason.tier && rule !== reason.rule && rule.action === effect && named.covers(connections))
      .map(({ tier, policy, rule }) => ({ tier, policy, rule, effect }))
  }

  /** Rules that were asked before it was decided, and policies that would have been asked had they selected the end. */
  private nearOf(part: Part, connections: ConnectionSet): readonly NearMiss[] {
    const { allowed, reason } = part
    const asked = this.rules.slice(0, this.decidedAt(reason))
    // passing on changes nothing where a later tier denies all the same
    const passes = reason.kind === 'rule' || reason.kind === 'tier-end' ? reason.tier : undefined
    const wanted = ({ tier, rule }: RuleReading): boolean =>
      rule.action === (allowed ? 'deny' : 'allow') || (!allowed && rule.action === 'pass' && tier === passes)
    const rules = asked
      .filter((one) => wanted(one) && !one.named.meets(connections))
      .map(({ tier, policy, rule }) => ({ tier, policy, rule, failed: this.failedOf(rule, connections) }))
    return [...rules, ...this.unselecting(part, connections)].sort(nearer)
  }

  /** How many of the rules came before the answer. */
  private decidedAt(reason: Reason): number {
    if (reason.kind === 'rule') return this.rules.findIndex(({ rule }) => rule === reason.rule)
    if (reason.kind !== 'tier-end') return this.rules.length
    return this.rules.findLastIndex(({ tier }) => tier === reason.tier) + 1
  }

  /** Policies of which one term alone keeps them from selecting the end, and which would then have said otherwise. */
  private unselecting({ allowed, reason }: Part, connections: ConnectionSet): readonly NearMiss[] {
    const { direction, local } = this.side
    const last = reason.kind === 'rule' || reason.kind === 'tier-end' ? this.world.tiers.indexOf(reason.tier) : this.world.tiers.length
    const reading: Reading = { world: this.world, assumed: new Set() }
    return this.world.tiers.slice(0, last + 1).flatMap((tier) =>
      tier.policies
        .filter((policy) => policy.directions.includes(direction) && !this.meaning.selecting.includes(policy))
        .flatMap((policy): NearMiss[] => {
          const missed = policy.subject.filter((condition) => !holds(condition, local, reading))
          // in another namespace it is no near miss
          if (missed.length !== 1 || missed[0].kind === 'namespace') return []
          const named = readRules(this.world, this.side, [policy])
          const says = named.find(({ rule, named: set }) => rule.action === (allowed ? 'deny' : 'allow') && set.meets(connections))
          const isolates = allowed && tier.atEnd === 'deny' && !named.some(({ named: set }) => set.meets(connections))
          if (says === undefined && !isolates) return []
          const failed = failedTerm('subject', missed[0], this.local, this.world)
          // a policy that is plainly for others comes near nobody
          if (failed.letters > failed.term.length / 3) return []
          return [{ tier, policy, ...(says === undefined ? {} : { rule: says.rule }), failed: [failed] }]
        }),
    )
  }

  private failedOf(rule: PolicyRule, connections: ConnectionSet): readonly FailedTerm[] {
    const { local, remote, world } = this
    const destination = this.side.direction === 'ingress' ? local : remote
    const reading: Reading = { world, assumed: new Set() }
    const own = rule.local.filter((condition) => !holds(condition, local.end, reading)).map((condition) => failedTerm('local', condition, local, world))
    const ports = portsAt(rule.ports, destination.end).meets(connections) ? [] : [failedPorts(rule, destination, connections)]
    const { sourcePort } = world.switches
    const source = rule.sourcePorts?.some(([first, last]) => first <= sourcePort && sourcePort <= last) === false ? [failedSourcePort(rule, sourcePort)] : []
    const failed = [...own, ...this.failedPeer(rule, reading), ...ports, ...source]
    // all that is left is a Service of which the destination is an endpoint, by other ports
    return failed.length > 0 ? failed : [failedWhole(rule, 'port', rule.ports.words, 'the endpoints of the Service have other ports')]
  }

  /** Of the peer that came nearest. */
  private failedPeer(rule: PolicyRule, reading: Reading): readonly FailedTerm[] {
    const { remote, world } = this
    if (rule.peers.length === 0) return [failedWhole(rule, 'peer', 'nobody', 'it names no peer, which is nobody')]
    const misses = rule.peers.map(({ conditions }) =>
      conditions.filter((condition) => !holds(condition, remote.end, reading)).map((condition) => failedTerm('peer', condition, remote, world)),
    )
    return misses.reduce((best, one) => (one.length < best.length || (one.length === best.length && letters(one) < letters(best)) ? one : best))
  }
}

/** Fewer failed terms are nearer; a rule whose peer matches, then one that names somebody else, then a policy for others; then fewer letters are. */
function nearer(a: NearMiss, b: NearMiss): number {
  return farness(a) - farness(b) || letters(a.failed) - letters(b.failed)
}

function farness({ failed }: NearMiss): number {
  const terms = failed.map(({ what }) => what)
  return failed.length * 2 + (terms.includes('subject') ? 2 : terms.includes('peer') ? 1 : 0)
}

function letters(failed: readonly FailedTerm[]): number {
  return failed.reduce((sum, term) => sum + term.letters, 0)
}
