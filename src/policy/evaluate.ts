/**
 * The meaning of policies for one pair of ends: tier by tier, policy by policy, rule by rule, as model.ts says. Written to be read; the map of a
 * whole cluster comes from reachability.ts, which is held against this.
 */
import { addressesOf, asSeen, firstMiss, holds, holdsAll, type Reading } from './conditions.js'
import { ConnectionSet } from './connections.js'
import { coversRange } from './address-range.js'
import type { Action, Assumption, Direction, End, NamedPort, Peer, Policy, PolicyNode, PolicyPod, PolicyRule, PolicyWorld, RulePorts, Tier } from './model.js'

/** Why these connections go as they do, in one direction. */
export type Reason =
  | { readonly kind: 'rule'; readonly tier: Tier; readonly policy: Policy; readonly rule: PolicyRule; readonly peer: Peer }
  /** No rule of the policies that selected the end names them. */
  | { readonly kind: 'tier-end'; readonly tier: Tier; readonly policies: readonly Policy[] }
  /** No policy has the last word: everything is allowed. */
  | { readonly kind: 'default' }
  /** Not governed at all. */
  | { readonly kind: 'exempt'; readonly why: 'hairpin' | 'own-node' | 'other-protocols' | 'not-a-pod' | 'no-engine' }

export interface Part {
  readonly connections: ConnectionSet
  readonly allowed: boolean
  readonly reason: Reason
  /** Rules that passed them on, in order. */
  readonly passedBy: readonly { readonly policy: Policy; readonly rule: PolicyRule }[]
}

export interface DirectionMeaning {
  readonly direction: Direction
  readonly allowed: ConnectionSet
  /** Disjoint; together they are every connection. */
  readonly parts: readonly Part[]
  /** Policies that select the end in this direction, in the order of their tiers. */
  readonly selecting: readonly Policy[]
}

export interface PairMeaning {
  readonly egress: DirectionMeaning
  readonly ingress: DirectionMeaning
  /** Both directions let them through. */
  readonly allowed: ConnectionSet
  readonly assumed: readonly Assumption[]
}

export function evaluatePair(world: PolicyWorld, source: End, destination: End): PairMeaning {
  const reading: Reading = { world, assumed: new Set() }
  const from = asSeen(source, reading)
  const to = asSeen(destination, reading)
  const same = sameEnd(source, destination)
  const egress = evaluateDirection(reading, { direction: 'egress', local: from, remote: to, same })
  const ingress = evaluateDirection(reading, { direction: 'ingress', local: to, remote: from, same })
  return { egress, ingress, allowed: egress.allowed.intersect(ingress.allowed), assumed: [...reading.assumed].sort() }
}

export interface Side {
  readonly direction: Direction
  /** The end whose policies are asked. */
  readonly local: End
  readonly remote: End
  readonly same: boolean
}

function evaluateDirection(reading: Reading, side: Side): DirectionMeaning {
  const { direction, local } = side
  const { world } = reading
  const exempt = exemption(reading, side)
  if (exempt !== undefined) return meaning(direction, [{ connections: ConnectionSet.all, allowed: true, reason: exempt, passedBy: [] }], [])
  const parts: Part[] = []
  const selecting: Policy[] = []
  let undecided: readonly Undecided[] = [{ connections: ConnectionSet.all, passedBy: [] }]
  if (world.switches.otherProtocols === 'free') {
    const free = ConnectionSet.all.minus(ConnectionSet.transport)
    parts.push({ connections: free, allowed: true, reason: { kind: 'exempt', why: 'other-protocols' }, passedBy: [] })
    undecided = [{ connections: ConnectionSet.transport, passedBy: [] }]
  }
  for (const tier of world.tiers) {
    const policies = tier.policies.filter((policy) => policy.directions.includes(direction) && holdsAll(policy.subject, local, reading))
    if (policies.length === 0) continue
    selecting.push(...policies)
    undecided = undecided.flatMap((one) => evaluateTier(reading, { tier, policies, side, parts }, one))
  }
  for (const { connections, passedBy } of undecided) parts.push({ connections, allowed: true, reason: { kind: 'default' }, passedBy })
  return meaning(direction, parts, selecting)
}

function meaning(direction: Direction, parts: readonly Part[], selecting: readonly Policy[]): DirectionMeaning {
  const allowed = ConnectionSet.union(parts.filter((part) => part.allowed).map(({ connections }) => connections))
  return { direction, allowed, parts, selecting }
}

interface Undecided {
  readonly connections: ConnectionSet
  readonly passedBy: Part['passedBy']
}

interface TierAsked {
  readonly tier: Tier
  /** Those that select the end in this direction. */
  readonly policies: readonly Policy[]
  readonly side: Side
  /** What is decided is put here. */
  readonly parts: Part[]
}

/** @returns what goes on to the next tier */
function evaluateTier(reading: Reading, { tier, policies, side, parts }: TierAsked, { connections, passedBy }: Undecided): readonly Undecided[] {
  let left = connections
  const onwards: Undecided[] = []
  for (const [index, policy] of policies.entries()) {
    if (tier.ties === 'undefined' && startsTie(policies, index) && isDisputed(reading, { policies, index, side }, left)) reading.assumed.add('equal-priority')
    for (const rule of policy[side.direction]) {
      for (const { peer, connections: named } of ruleMatches(reading, rule, side)) {
        const hit = named.intersect(left)
        if (hit.isEmpty || rule.action === 'log') continue
        left = left.minus(hit)
        if (rule.action === 'pass') onwards.push({ connections: hit, passedBy: [...passedBy, { policy, rule }] })
        else parts.push({ connections: hit, allowed: rule.action === 'allow', reason: { kind: 'rule', tier, policy, rule, peer }, passedBy })
      }
    }
  }
  if (left.isEmpty) return onwards
  if (tier.atEnd === 'next') return [...onwards, { connections: left, passedBy }]
  parts.push({ connections: left, allowed: false, reason: { kind: 'tier-end', tier, policies }, passedBy })
  return onwards
}

/** The policy is the first of several with one priority. */
function startsTie(policies: readonly Policy[], index: number): boolean {
  const { order } = policies[index]
  return order !== undefined && policies[index + 1]?.order === order && policies[index - 1]?.order !== order
}

interface Tie {
  readonly policies: readonly Policy[]
  readonly index: number
  readonly side: Side
}

/** Policies of one priority, from `index` on, that decide some of the connections in different ways: the answer rests on their order. */
function isDisputed(reading: Reading, { policies, index, side }: Tie, connections: ConnectionSet): boolean {
  const tied = policies.slice(index).filter(({ order }) => order === policies[index].order)
  const decisions = tied.map((policy) => decisionsOf(reading, policy, side, connections))
  return decisions.some((one, i) =>
    decisions.slice(i + 1).some((other) => one.some(([action, set]) => other.some(([second, more]) => action !== second && set.meets(more)))),
  )
}

/** What a policy would do with the connections if it were asked alone. */
function decisionsOf(reading: Reading, policy: Policy, side: Side, connections: ConnectionSet): readonly (readonly [Action, ConnectionSet])[] {
  let left = connections
  return policy[side.direction].flatMap((rule) => {
    if (rule.action === 'log') return []
    const hit = ConnectionSet.union(ruleMatches(reading, rule, side).map(({ connections: named }) => named)).intersect(left)
    left = left.minus(hit)
    return hit.isEmpty ? [] : [[rule.action, hit] as const]
  })
}

/** What a rule names of the connections between these ends, peer by peer. */
export function ruleMatches(reading: Reading, rule: PolicyRule, side: Side): readonly { readonly peer: Peer; readonly connections: ConnectionSet }[] {
  const { local, remote, direction } = side
  if (!holdsAll(rule.local, local, reading) || !hasSourcePort(rule, reading)) return []
  const destination = direction === 'ingress' ? local : remote
  return rule.peers
    .filter((peer) => firstMiss(peer, remote, reading) === undefined)
    .map((peer) => ({ peer, connections: portsToward(rule, peer, { direction, destination }, reading.world) }))
}

/**
 * What a rule names of the connections to an end that it and its peer match. Calico finds named ports among the endpoints that the destination's selector
 * selects: who is matched as an address of a network set has none (felix/calc/rule_scanner.go ruleToParsedRule).
 */
export function portsToward(
  { ports, local }: PolicyRule,
  peer: Peer,
  { direction, destination }: { readonly direction: Direction; readonly destination: End },
  world: PolicyWorld,
): ConnectionSet {
  const reading: Reading = { world, assumed: new Set() }
  const hasNames = ports.named.length + ports.except.length > 0
  const isItself = (direction === 'ingress' ? local : peer.conditions).every(
    (condition) => condition.kind !== 'labels' || condition.of !== 'endpoint' || holds({ ...condition, of: 'endpointItself' }, destination, reading),
  )
  const found = portsAt(hasNames && !isItself ? { ...ports, named: [], except: [] } : ports, destination)
  return found.intersect(servicePorts(peer, destination, world))
}

export function hasSourcePort({ sourcePorts }: PolicyRule, { world, assumed }: Reading): boolean {
  if (sourcePorts === undefined) return true
  assumed.add('source-port')
  return sourcePorts.some(([first, last]) => first <= world.switches.sourcePort && world.switches.sourcePort <= last)
}

/** A rule's connections once the destination has given its named ports their numbers. */
export function portsAt({ fixed, named, within, except }: RulePorts, destination: End): ConnectionSet {
  const all = fixed.union(ConnectionSet.union(named.map((port) => namedPortsOf(port, destination))))
  const inside = within === undefined ? all : all.intersect(within)
  return inside.minus(ConnectionSet.union(except.map((port) => namedPortsOf(port, destination))))
}

/** A name may stand for several numbers, and for none: nobody but a pod has any. */
function namedPortsOf({ name, protocol }: NamedPort, destination: End): ConnectionSet {
  if (destination.kind !== 'pod') return ConnectionSet.none
  const ports = destination.ports.filter((port) => port.name === name && (protocol === undefined || port.protocol === protocol))
  return ConnectionSet.union(ports.map(({ protocol: own, port }) => ConnectionSet.of(own, port)))
}

/** A destination by Service holds for the ports of the Service's endpoints alone (a source by Service for every port). */
export function servicePorts(peer: Peer, destination: End, world: PolicyWorld): ConnectionSet {
  return peer.conditions.reduce((all, condition) => {
    if (condition.kind !== 'service' || !condition.withPorts) return all
    const found = world.services.filter(({ namespace, name }) => namespace === condition.namespace && name === condition.name)
    const endpoints = found.flatMap(({ endpoints: list }) => list).filter(({ address }) => addressesOf(destination).some((own) => coversRange(address, own)))
    return all.intersect(ConnectionSet.union(endpoints.map(({ protocol, port }) => ConnectionSet.of(protocol, port))))
  }, ConnectionSet.all)
}

/** Why no policy is asked, if none is. */
export function exemption({ world, assumed }: Reading, { direction, local, remote, same }: Side): Extract<Reason, { kind: 'exempt' }> | undefined {
  if (world.noEngine !== undefined) return { kind: 'exempt', why: 'no-engine' }
  if (local.kind === 'outside') return { kind: 'exempt', why: 'not-a-pod' }
  if (local.kind === 'node' && !world.hostEndpoints.some(({ node }) => node === local.name)) return { kind: 'exempt', why: 'not-a-pod' }
  if (same && local.kind === 'pod') {
    assumed.add('hairpin')
    if (world.switches.hairpin === 'allowed') return { kind: 'exempt', why: 'hairpin' }
  }
  if (direction === 'ingress' && local.kind === 'pod' && remote.kind === 'node' && runsOn(local, remote)) {
    assumed.add('own-node')
    if (world.switches.ownNode === 'allowed') return { kind: 'exempt', why: 'own-node' }
  }
  // a host's endpoint is its card: what goes between the host and its pods does not pass it (felix/rules/static.go filterInputChain, filterOutputChain)
  if (local.kind === 'node' && remote.kind === 'pod' && runsOn(remote, local)) return { kind: 'exempt', why: 'own-node' }
  return undefined
}

export function runsOn(pod: PolicyPod, node: PolicyNode): boolean {
  return node.name !== '' && pod.node === node.name
}

export function sameEnd(a: End, b: End): boolean {
  return a === b || (a.kind === 'pod' && b.kind === 'pod' && a.namespace === b.namespace && a.name === b.name)
}
