/**
 * Why a pair's connections were opened or closed: direction by direction the part of the meaning that forbade them and the part that lets them
 * through, each with the rule, the tier's end or the default that it rests on.
 */
import type { ConnectionSet } from '../connections.js'
import type { DirectionMeaning, PairMeaning, Part, Reason } from '../evaluate.js'
import type { Direction, Policy, PolicyRule } from '../model.js'

export interface Decision {
  readonly part: Part
  /** All policies that select the end in this direction. */
  readonly selecting: readonly Policy[]
}

export interface Cause {
  readonly effect: 'opened' | 'closed'
  readonly direction: Direction
  readonly connections: ConnectionSet
  /** Absent: one of the ends was not there. */
  readonly before?: Decision
  readonly after?: Decision
}

/** Of the directions in which it changed; of a pair with one side alone, both directions of that side. */
export function causesOf(effect: Cause['effect'], piece: ConnectionSet, before: PairMeaning | undefined, after: PairMeaning | undefined): readonly Cause[] {
  if (piece.isEmpty) return []
  return (['egress', 'ingress'] as const).flatMap((direction) => {
    const old = before?.[direction]
    const now = after?.[direction]
    if (old === undefined || now === undefined) return joined(oneSided({ effect, direction, piece }, old, now))
    const wasAllowed = effect === 'closed'
    const found: Cause[] = []
    for (const from of partsOf(old, wasAllowed, piece)) {
      for (const to of partsOf(now, !wasAllowed, from.connections))
        found.push({ effect, direction, connections: to.connections, before: from.decision, after: to.decision })
    }
    return joined(found)
  })
}

interface Asked {
  readonly effect: Cause['effect']
  readonly direction: Direction
  readonly piece: ConnectionSet
}

function oneSided({ effect, direction, piece }: Asked, old: DirectionMeaning | undefined, now: DirectionMeaning | undefined): readonly Cause[] {
  const there = old ?? now
  if (there === undefined) return []
  return partsOf(there, true, piece).map(({ decision, connections }) => ({
    effect,
    direction,
    connections,
    ...(old === undefined ? { after: decision } : { before: decision }),
  }))
}

interface Piece {
  readonly decision: Decision
  readonly connections: ConnectionSet
}

function partsOf({ parts, selecting }: DirectionMeaning, allowed: boolean, within: ConnectionSet): readonly Piece[] {
  return parts.flatMap((part) => {
    if (part.allowed !== allowed) return []
    const connections = part.connections.intersect(within)
    return connections.isEmpty ? [] : [{ decision: { part, selecting }, connections }]
  })
}

/** Those that rest on the same reasons are one. */
function joined(causes: readonly Cause[]): readonly Cause[] {
  const byReasons = new Map<string, Cause>()
  for (const cause of causes) {
    const key = `${reasonKey(cause.before)}\n${reasonKey(cause.after)}`
    const earlier = byReasons.get(key)
    byReasons.set(key, earlier === undefined ? cause : { ...earlier, connections: earlier.connections.union(cause.connections) })
  }
  return [...byReasons.values()]
}

/** Equal where the same rule, tier's end or default speaks. */
export function reasonKey(decision: Decision | undefined): string {
  if (decision === undefined) return ''
  const { part } = decision
  const passed = part.passedBy.map(({ policy, rule }) => ruleKey(policy, rule))
  return [part.allowed, ownKey(part.reason), ...passed].join(' ')
}

function ownKey(reason: Reason): string {
  switch (reason.kind) {
    case 'rule':
      return `rule ${reason.tier.name} ${ruleKey(reason.policy, reason.rule)} ${reason.peer.words}`
    case 'tier-end':
      return `end ${reason.tier.name} ${reason.policies.map(policyKey).join(' ')}`
    case 'default':
      return 'default'
    case 'exempt':
      return `exempt ${reason.why}`
  }
}

function policyKey({ kind, namespace, name }: Policy): string {
  return `${kind}/${namespace}/${name}`
}

function ruleKey(policy: Policy, { index, file, line }: PolicyRule): string {
  return `${policyKey(policy)}#${index}@${file}:${line}`
}
