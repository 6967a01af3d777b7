/**
 * Which rules decide nothing, whoever comes: the rules that are asked before them (or, where order plays no part, the others) name every connection
 * that they name. Exact over ports, proven by form over ends (condition-cover.ts).
 */
import { ConnectionSet } from '../connections.js'
import type { Direction, NamedPort, Peer, Policy, PolicyRule, RulePorts, Tier } from '../model.js'
import { casesOf, conditionsImply, type Conditions } from './condition-cover.js'

export interface RuleAt {
  readonly tier: Tier
  readonly policy: Policy
  readonly direction: Direction
  readonly rule: PolicyRule
}

/** Named ports as `name` or `name/TCP`; a connection is in when its number is, or its port has such a name. */
interface PortBound {
  readonly numbers: ConnectionSet
  readonly names: readonly NamedPort[]
}

const NO_PORTS: PortBound = { numbers: ConnectionSet.none, names: [] }

/** No connection outside of it is named. */
function upperBound({ fixed, named, within }: RulePorts): PortBound {
  return { numbers: within === undefined ? fixed : fixed.intersect(within), names: named }
}

/** Every connection inside of it is named, whatever numbers the names have. */
function lowerBound({ fixed, named, within, except }: RulePorts): PortBound {
  if (except.length > 0) return NO_PORTS
  return within === undefined ? { numbers: fixed, names: named } : { numbers: fixed.intersect(within), names: [] }
}

function unite(a: PortBound, b: PortBound): PortBound {
  return { numbers: a.numbers.union(b.numbers), names: [...a.names, ...b.names] }
}

function covers(outer: PortBound, inner: PortBound): boolean {
  return outer.numbers.covers(inner.numbers) && inner.names.every((name) => outer.names.some((one) => takesIn(one, name)) || hasAnyNumber(outer, name))
}

function takesIn(outer: NamedPort, inner: NamedPort): boolean {
  return outer.name === inner.name && (outer.protocol === undefined || outer.protocol === inner.protocol)
}

function hasAnyNumber({ numbers }: PortBound, { protocol }: NamedPort): boolean {
  return numbers.covers(protocol === undefined ? ConnectionSet.transport : ConnectionSet.of(protocol))
}

/** A rule that is asked before, or beside, with what it takes for it to be asked. */
export interface Other {
  readonly policy: Policy
  readonly rule: PolicyRule
}

/** Which of the others name every connection of the rule, of one peer or of all; undefined: they do not. */
export function coveringRules(policy: Policy, rule: PolicyRule, others: readonly Other[], peers: readonly Peer[] = rule.peers): readonly Other[] | undefined {
  // what its Service's endpoints listen on is not known by form
  const wanted = upperBound(rule.ports)
  const local = [...policy.subject, ...rule.local]
  const candidates = others.filter(
    (other) =>
      (other.rule.sourcePorts === undefined || sameSourcePorts(other.rule, rule)) && conditionsImply(local, [...other.policy.subject, ...other.rule.local]),
  )
  const used = new Set<Other>()
  const conditionsOfOthers = candidates.flatMap((other) => other.rule.peers.map(({ conditions }) => conditions))
  for (const peer of peers) {
    // nobody meets it
    if (peer.conditions.some(({ kind }) => kind === 'never')) continue
    for (const one of casesOf(peer.conditions, conditionsOfOthers)) {
      const named = namers(one, candidates)
      const together = named.reduce((all, other) => unite(all, lowerBound(other.rule.ports)), NO_PORTS)
      if (!covers(together, wanted)) return undefined
      for (const other of fewest(named, wanted)) used.add(other)
    }
  }
  return [...used]
}

function sameSourcePorts(a: PolicyRule, b: PolicyRule): boolean {
  return JSON.stringify(a.sourcePorts) === JSON.stringify(b.sourcePorts)
}

function namers(one: Conditions, others: readonly Other[]): readonly Other[] {
  return others.filter(({ rule }) => rule.peers.some(({ conditions }) => !limitsPorts(conditions) && conditionsImply(one, conditions)))
}

/** A peer by Service names the ports of its endpoints alone. */
function limitsPorts(conditions: Conditions): boolean {
  return conditions.some(({ kind }) => kind === 'service')
}

/** One that does it alone, where there is one. */
function fewest(named: readonly Other[], wanted: PortBound): readonly Other[] {
  const alone = named.find(({ rule }) => covers(lowerBound(rule.ports), wanted))
  return alone === undefined ? named : [alone]
}

/** A policy selects every end that `policy` selects, in that direction. */
export function selectsAllOf(other: Policy, policy: Policy, direction: Direction): boolean {
  return other.directions.includes(direction) && conditionsImply(policy.subject, other.subject)
}
