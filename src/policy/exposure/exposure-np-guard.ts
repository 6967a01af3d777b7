/**
 * Exposure as netpol-analyzer (np-guard) means it: what every workload may do with pods that no object is. One hypothetical peer for each pair of
 * selectors that the rules name; a rule holds for it when it asks the same of pods and namespaces, or nothing. Policies that would select the
 * hypothetical peer itself are not asked. After pkg/netpol/eval/{exposure,check}.go and pkg/netpol/connlist/exposure_map.go.
 */
import { holdsAll, type Reading } from '../conditions.js'
import { ConnectionSet } from '../connections.js'
import { portsAt } from '../evaluate.js'
import { isEverybody, peerKey, peerSelectors, selectorKey, selectsAll, type PeerSelectors } from './exposure-peer.js'
import { matchesSelector } from '../../cluster/labels.js'
import type { Direction, NamedPort, Peer, Policy, PolicyPod, PolicyRule, PolicyWorld, RulePorts } from '../model.js'

/** Connections, and ports of a hypothetical destination that are known by name alone. */
export interface Potential {
  readonly connections: ConnectionSet
  readonly names: readonly NamedPort[]
}

export interface PeerPotential {
  /** Absent: the whole cluster. */
  readonly selectors?: PeerSelectors
  readonly potential: Potential
}

export interface DirectionExposure {
  /** A policy selects the workload in this direction. */
  readonly isProtected: boolean
  /** Empty where it is not protected: everything is open. */
  readonly peers: readonly PeerPotential[]
}

/** `pod` stands for its workload. */
export function npGuardExposure(world: PolicyWorld, pod: PolicyPod, direction: Direction, peers: readonly PeerSelectors[]): DirectionExposure {
  const everybody = potentialOf(world, pod, direction, undefined)
  if (everybody === undefined) return { isProtected: false, peers: [] }
  const found: PeerPotential[] = isNothing(everybody) ? [] : [{ potential: everybody }]
  for (const selectors of peers) {
    const potential = potentialOf(world, pod, direction, selectors)
    if (potential === undefined || potentialKey(potential) === potentialKey(everybody)) continue
    found.push({ selectors, potential })
  }
  return { isProtected: true, peers: found }
}

export function isNothing({ connections, names }: Potential): boolean {
  return !connections.meets(ConnectionSet.transport) && names.length === 0
}

function potentialKey({ connections, names }: Potential): string {
  return `${connections.intersect(ConnectionSet.transport).key} ${names.map(nameKey).sort().join(',')}`
}

function nameKey({ name, protocol }: NamedPort): string {
  return `${protocol ?? ''} ${name}`
}

/**
 * The peers to ask about: of every rule, each pair of selectors once. Those whose labels, without expressions, a pod of the world has are left
 * out: the pod stands in the list itself.
 */
export function hypotheticalPeers(world: PolicyWorld): readonly PeerSelectors[] {
  const found = new Map<string, PeerSelectors>()
  for (const policy of world.tiers.flatMap(({ policies }) => policies)) {
    for (const rule of policy.directions.flatMap((direction) => policy[direction])) {
      for (const selectors of ruleSelectors(policy, rule)) if (!found.has(peerKey(selectors))) found.set(peerKey(selectors), selectors)
    }
  }
  return [...found.values()].filter((selectors) => !isLivingPod(world, selectors))
}

/** A NetworkPolicy's rule that names everybody beside others is as good as everybody. */
function ruleSelectors(policy: Policy, rule: PolicyRule): readonly PeerSelectors[] {
  const all = rule.peers.flatMap((peer) => peerSelectors(peer) ?? [])
  const others = all.filter((selectors) => !isEverybody(selectors))
  return policy.kind === 'NetworkPolicy' && others.length < all.length ? [] : others
}

function isLivingPod(world: PolicyWorld, { namespace, pod }: PeerSelectors): boolean {
  if ([namespace, pod].some((selector) => selectsAll(selector) || (selector.matchExpressions ?? []).length > 0)) return false
  return world.pods.some((own) => matchesSelector(pod, own.labels) && matchesSelector(namespace, world.namespaces.get(own.namespace)?.labels ?? {}))
}

interface Undecided {
  connections: ConnectionSet
  readonly allowed: ConnectionSet[]
  readonly names: Map<string, NamedPort | 'decided'>
}

/** @returns undefined when no policy selects the pod */
function potentialOf(world: PolicyWorld, pod: PolicyPod, direction: Direction, selectors: PeerSelectors | undefined): Potential | undefined {
  const reading: Reading = { world, assumed: new Set() }
  const state: Undecided = { connections: ConnectionSet.all, allowed: [], names: new Map() }
  let isSelected = false
  for (const { policies, atEnd } of world.tiers) {
    const selecting = policies.filter((policy) => policy.directions.includes(direction) && holdsAll(policy.subject, pod, reading))
    if (selecting.length === 0) continue
    isSelected = true
    let passed = ConnectionSet.none
    for (const rule of selecting.flatMap((policy) => policy[direction])) {
      if (rule.action === 'log' || !holdsAll(rule.local, pod, reading) || !rule.peers.some((peer) => isNamed(peer, selectors))) continue
      const hit = (direction === 'ingress' ? portsAt(rule.ports, pod) : rule.ports.fixed).intersect(state.connections)
      state.connections = state.connections.minus(hit)
      if (rule.action === 'pass') passed = passed.union(hit)
      else if (rule.action === 'allow') state.allowed.push(hit)
      if (direction === 'egress') noteNames(rule.ports, rule.action, state)
    }
    state.connections = atEnd === 'deny' ? passed : state.connections.union(passed)
  }
  if (!isSelected) return undefined
  const names = [...state.names.values()].filter((name) => name !== 'decided')
  return { connections: ConnectionSet.union([...state.allowed, state.connections]), names }
}

/** The first rule that names a port decides it. */
function noteNames({ named }: RulePorts, action: PolicyRule['action'], { names }: Undecided): void {
  if (action === 'pass') return
  for (const port of named) if (!names.has(nameKey(port))) names.set(nameKey(port), action === 'allow' ? port : 'decided')
}

/** @param selectors undefined: whoever it may be, in the cluster */
function isNamed(peer: Peer, selectors: PeerSelectors | undefined): boolean {
  if (peer.conditions.length === 0) return true
  const own = peerSelectors(peer)
  if (own === undefined) return false
  return asksNoMore(own.namespace, selectors?.namespace) && asksNoMore(own.pod, selectors?.pod)
}

function asksNoMore(rule: PeerSelectors['pod'], asked: PeerSelectors['pod'] | undefined): boolean {
  return selectsAll(rule) || (asked !== undefined && selectorKey(rule) === selectorKey(asked))
}
