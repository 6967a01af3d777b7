/**
 * What would close one direction. NetworkPolicies only add, so that closing means to take away: from every rule that lets the connections through
 * the port, the peer, or exactly this peer on this port; or, where no policy selects the end, to isolate it and let everything else through. An
 * AdminNetworkPolicy can subtract.
 */
import { isObject, type JsonObject, type JsonValue } from '../../cluster/located.js'
import type { KubernetesObject } from '../../cluster/manifest.js'
import { firstMiss } from '../conditions.js'
import { ConnectionSet } from '../connections.js'
import { portsAt } from '../evaluate.js'
import { adminAbove, eachWith, join, ruleBefore } from './fix-allow.js'
import { localLabelOptions } from './fix-labels.js'
import { everybodyBut, isOnly, peerWithout } from './fix-peers.js'
import {
  fixName,
  listIn,
  networkPolicyPorts,
  networkPolicyRule,
  newNetworkPolicy,
  objectOf,
  peersField,
  policyLabel,
  rulesIn,
  type FixSide,
  type Option,
} from './fix-parts.js'
import { isOnNode, networkPolicyPeers } from './fix-selector.js'
import type { PatchStep } from './json-patch.js'
import type { Policy, PolicyRule } from '../model.js'

/** Empty where no edit is known that would do it. */
export function denyOptions(side: FixSide): readonly Option[] {
  const parts = side.meaning.parts.filter((part) => part.allowed && part.connections.meets(side.asked))
  if (parts.some(({ reason }) => reason.kind === 'exempt')) return []
  const reasons = parts.flatMap(({ reason }) => (reason.kind === 'rule' ? [reason] : []))
  const admin = reasons.filter(({ policy }) => policy.kind === 'AdminNetworkPolicy' || policy.kind === 'BaselineAdminNetworkPolicy')
  const foreign = reasons.filter(({ policy }) => policy.kind !== 'NetworkPolicy' && !admin.some((one) => one.policy === policy))
  if (foreign.length > 0) return adminAbove(side, undefined, 'Deny')
  const lists = [
    ...(reasons.some(({ policy }) => policy.kind === 'NetworkPolicy') ? [narrowingOptions(side)] : []),
    ...admin.map(({ policy, rule }) => ruleBefore(side, policy, rule.index, 'Deny')),
    ...(parts.some(({ reason }) => reason.kind === 'default') ? [isolationOptions(side)] : []),
  ]
  const highest = admin.flatMap(({ policy }) => (policy.kind === 'AdminNetworkPolicy' ? [policy] : [])).sort((a, b) => (a.order ?? 0) - (b.order ?? 0))
  return [...eachWith(lists), ...localLabelOptions(side, 'closed'), ...adminAbove(side, highest.at(0), 'Deny')]
}

/** Isolates the end, and lets through whatever is not asked about: everything with everybody else, and the other ports with this one. */
function isolationOptions(side: FixSide): readonly Option[] {
  const { situation, local, remote, direction, asked } = side
  if (local.kind !== 'pod' || isOnNode(situation.world, local)) return []
  const otherPorts = networkPolicyPorts(ConnectionSet.transport.minus(asked)) ?? []
  const rest = otherPorts.length === 0 ? [] : [networkPolicyRule(direction, undefined, otherPorts)]
  return everybodyBut(situation.world, remote, local.namespace).map((peers) => {
    const object = newNetworkPolicy(side, local, fixName(side, 'Deny'), [networkPolicyRule(direction, peers, undefined), ...rest])
    return { changes: [{ kind: 'create', object }], words: `a new NetworkPolicy that isolates it for ${direction} and opens the rest` }
  })
}

type Way = 'exactly' | 'this-peer-on-the-port' | 'the-port' | 'the-peer'

const WAYS: readonly Way[] = ['exactly', 'this-peer-on-the-port', 'the-port', 'the-peer']

const WAY_WORDS: Readonly<Record<Way, string>> = {
  exactly: 'all peers but this one',
  'this-peer-on-the-port': 'not this peer on this port',
  'the-port': 'without the port',
  'the-peer': 'without the peer',
}

/** Every rule that lets them through has to be narrowed: one that is left would do. */
function narrowingOptions(side: FixSide): readonly Option[] {
  const { situation, meaning, direction } = side
  const policies = meaning.selecting.filter((policy) => policy.kind === 'NetworkPolicy' && policy[direction].some((rule) => letsThrough(rule, side)))
  const found = WAYS.flatMap((way): Option[] => {
    const parts = policies.map((policy) => {
      const object = objectOf(situation, policy)
      return object === undefined ? undefined : narrowPolicy(side, { policy, object }, way)
    })
    if (parts.length === 0 || parts.some((part) => part === undefined)) return []
    return [(parts as readonly Option[]).reduce(join)]
  })
  const texts = found.map(({ changes }) => JSON.stringify(changes.map((change) => (change.kind === 'patch' ? [change.object.label, change.steps] : change))))
  return found.filter((_, index) => texts.indexOf(texts[index]) === index)
}

function letsThrough(rule: PolicyRule, { situation, direction, local, remote, asked }: FixSide): boolean {
  const reading = { world: situation.world, assumed: new Set<never>() }
  const ports = portsAt(rule.ports, direction === 'ingress' ? local : remote)
  return ports.meets(asked) && rule.peers.some((peer) => firstMiss(peer, remote, reading) === undefined)
}

interface Target {
  readonly policy: Policy
  readonly object: KubernetesObject
}

function narrowPolicy(side: FixSide, { policy, object }: Target, way: Way): Option | undefined {
  const { direction } = side
  const rules = rulesIn(object, policy, direction)
  if (rules === undefined) return undefined
  const steps: PatchStep[] = []
  let left = rules.length
  // from the last one on, so that the places of the others stay
  for (const rule of [...policy[direction]].reverse()) {
    if (!letsThrough(rule, side)) continue
    const narrowed = narrowRule(side, { rule, json: rules[rule.index], home: policy.namespace }, way)
    if (narrowed === undefined) return undefined
    steps.push(...ruleSteps(['spec', direction, rule.index], rules[rule.index], narrowed))
    left += narrowed.length - 1
  }
  const spec = isObject(object.value.spec) ? object.value.spec : {}
  // without policyTypes an empty list of egress rules isolates nothing
  if (left === 0 && direction === 'egress' && listIn(spec, 'policyTypes').length === 0)
    steps.push({ op: 'add', path: ['spec', 'policyTypes'], value: ['Ingress', 'Egress'] })
  const gone = steps.every(({ op, path }) => op === 'remove' && path.length === 3)
  const which = steps.map(({ path }) => `#${Number(path[2]) + 1}`).reverse()
  const words = gone ? `${policyLabel(policy)} without its ${direction} rule ${which.join(', ')}` : `${policyLabel(policy)}: ${WAY_WORDS[way]}`
  return { changes: [{ kind: 'patch', object, steps }], words }
}

interface WrittenRule {
  readonly rule: PolicyRule
  readonly json: JsonObject
  readonly home: string
}

/** @returns what stands in the rule's place; undefined where this way cannot be written */
function narrowRule(side: FixSide, { rule, json, home }: WrittenRule, way: Way): readonly JsonObject[] | undefined {
  const { situation, direction, remote } = side
  const reading = { world: situation.world, assumed: new Set<never>() }
  const field = peersField(direction)
  const peers = listIn(json, field)
  if (peers.length > 0 && peers.length !== rule.peers.length) return undefined
  const names = (index: number): boolean => firstMiss(rule.peers[index], remote, reading) === undefined
  const restPorts = portsWithout(json, side, rule)
  if (way === 'the-port') return restPorts.length === 0 ? [] : [{ ...json, ports: restPorts }]
  const others = peers.filter((_, index) => !names(index))
  if (way === 'the-peer') return peers.length === 0 ? undefined : others.length === 0 ? [] : [{ ...json, [field]: others }]
  const kept = keptPeers(side, { rule, json, home }, { names, way })
  if (kept === undefined) return undefined
  const remaining = kept.length === 0 ? [] : [{ ...json, [field]: kept }]
  const own = peers.length === 0 ? undefined : networkPolicyPeers(situation.world, remote, home)
  const rest = restPorts.length === 0 || own?.length === 0 ? [] : [networkPolicyRule(direction, own, restPorts)]
  return [...remaining, ...rest]
}

/** The peers of a rule without this one end. */
function keptPeers(
  { situation, remote }: FixSide,
  { rule, json, home }: WrittenRule,
  { names, way }: { readonly names: (index: number) => boolean; readonly way: Way },
): readonly JsonValue[] | undefined {
  const { world } = situation
  const peers = listIn(json, 'from').length > 0 ? listIn(json, 'from') : listIn(json, 'to')
  if (peers.length === 0) return way === 'exactly' ? everybodyBut(world, remote, home).at(0) : undefined
  const kept = peers.map((peer, index): readonly JsonValue[] | undefined => {
    if (!names(index)) return [peer]
    if (way === 'this-peer-on-the-port' || isOnly(world, rule.peers[index], remote)) return []
    return isObject(peer) ? peerWithout(world, peer, { end: remote, home }) : undefined
  })
  return kept.some((one) => one === undefined) ? undefined : kept.flatMap((one) => one ?? [])
}

/** The rule's ports but those asked about; a name that stands for one of them goes whole. */
function portsWithout(json: JsonObject, { local, remote, direction, asked }: FixSide, rule: PolicyRule): readonly JsonValue[] {
  const entries = listIn(json, 'ports')
  if (entries.length === 0) return networkPolicyPorts(ConnectionSet.transport.minus(asked)) ?? []
  const destination = direction === 'ingress' ? local : remote
  return entries.flatMap((entry): readonly JsonValue[] => {
    const set = entrySet(entry, destination, rule)
    return set.meets(asked) ? (networkPolicyPorts(set.minus(asked)) ?? []) : [entry]
  })
}

function entrySet(entry: JsonValue, destination: FixSide['local'], rule: PolicyRule): ConnectionSet {
  if (!isObject(entry)) return ConnectionSet.of('TCP')
  const protocol = entry.protocol === 'UDP' || entry.protocol === 'SCTP' ? entry.protocol : 'TCP'
  const { port, endPort } = entry
  if (typeof port === 'number') return ConnectionSet.of(protocol, port, typeof endPort === 'number' ? endPort : port)
  if (typeof port !== 'string') return ConnectionSet.of(protocol)
  return portsAt({ ...rule.ports, fixed: ConnectionSet.none, named: rule.ports.named.filter(({ name }) => name === port) }, destination)
}

/** The shortest steps from one rule to those in its place. */
function ruleSteps(path: readonly (string | number)[], old: JsonObject, now: readonly JsonObject[]): readonly PatchStep[] {
  if (now.length === 0) return [{ op: 'remove', path }]
  const [first, ...more] = now
  const index = Number(path.at(-1))
  const inserts = more.map((value, i): PatchStep => ({ op: 'add', path: [...path.slice(0, -1), index + 1 + i], value }))
  return [...fieldSteps(path, old, first), ...inserts]
}

function fieldSteps(path: readonly (string | number)[], old: JsonObject, now: JsonObject): readonly PatchStep[] {
  return ['from', 'to', 'ports'].flatMap((field): readonly PatchStep[] => {
    if (JSON.stringify(old[field]) === JSON.stringify(now[field])) return []
    const [was, is] = [listIn(old, field), listIn(now, field)]
    const texts = is.map((item) => JSON.stringify(item))
    const gone = was.flatMap((item, i) => (texts.includes(JSON.stringify(item)) ? [] : [i]))
    if (was.length > 0 && is.length > 0 && was.length - gone.length === is.length)
      return gone.reverse().map((i) => ({ op: 'remove', path: [...path, field, i] }))
    return [{ op: Object.hasOwn(old, field) ? 'replace' : 'add', path: [...path, field], value: is }]
  })
}
