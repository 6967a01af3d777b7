/** What would open one direction: for every part of the meaning that stands in the way, the edits that take it out of the way. */
import { isObject } from '../../cluster/located.js'
import { firstMiss } from '../conditions.js'
import { portsAt, type Part } from '../evaluate.js'
import type { Change } from './fix-change.js'
import { localLabelOptions, remoteLabelOptions } from './fix-labels.js'
import {
  adminPolicyRule,
  directionWord,
  fixName,
  listIn,
  networkPolicyPorts,
  newAdminPolicy,
  newNetworkPolicy,
  objectOf,
  peersField,
  policyLabel,
  ruleForRemote,
  rulesIn,
  type FixSide,
  type Option,
} from './fix-parts.js'
import { isOnNode, networkPolicyPeers } from './fix-selector.js'
import type { Policy } from '../model.js'

/** Empty where no edit is known that would do it. */
export function allowOptions(side: FixSide): readonly Option[] {
  const parts = side.meaning.parts.filter((part) => !part.allowed && part.connections.meets(side.asked))
  return eachWith(parts.map((part) => partOptions(side, part)))
}

const MOST = 24

/** One option of every list, in all ways, the first ones first. */
export function eachWith(lists: readonly (readonly Option[])[]): readonly Option[] {
  const [first = [], ...rest] = lists
  if (rest.length === 0) return first
  return first.flatMap((one) => eachWith(rest).map((other) => join(one, other))).slice(0, MOST)
}

export function join(one: Option, other: Option): Option {
  const has = new Set(one.changes.map((change) => JSON.stringify(change)))
  const changes = [...one.changes, ...other.changes.filter((change) => !has.has(JSON.stringify(change)))]
  const needs = one.needs ?? other.needs
  return { changes, words: one.words === other.words ? one.words : `${one.words}; ${other.words}`, ...(needs === undefined ? {} : { needs }) }
}

function partOptions(side: FixSide, { reason }: Part): readonly Option[] {
  if (reason.kind === 'tier-end') return networkPolicyOptions(side, reason.policies)
  if (reason.kind !== 'rule') return []
  const { policy, rule } = reason
  if (policy.kind === 'AdminNetworkPolicy') return [...ruleBefore(side, policy, rule.index, 'Allow'), ...adminAbove(side, policy, 'Allow')]
  if (policy.kind === 'BaselineAdminNetworkPolicy') return [...ruleBefore(side, policy, rule.index, 'Allow'), ...newPolicyOptions(side)]
  return []
}

function networkPolicyOptions(side: FixSide, policies: readonly Policy[]): readonly Option[] {
  const own = policies.filter(({ kind }) => kind === 'NetworkPolicy')
  return [
    ...own.flatMap((policy) => editOptions(side, policy)),
    ...remoteLabelOptions(side, own),
    ...localLabelOptions(side, 'open'),
    ...newPolicyOptions(side),
  ]
}

function newPolicyOptions(side: FixSide): readonly Option[] {
  const { local, situation } = side
  const rule = ruleForRemote(side)
  if (rule === undefined || local.kind !== 'pod' || isOnNode(situation.world, local)) return []
  const object = newNetworkPolicy(side, local, fixName(side, 'Allow'), [rule])
  return [{ changes: [{ kind: 'create', object }], words: `a new NetworkPolicy for ${directionWord(side.direction).toLowerCase()}` }]
}

/** A port more in a rule that names the remote end, a peer more in one that names the ports, or a rule more. */
function editOptions(side: FixSide, policy: Policy): readonly Option[] {
  const { situation, direction, local, remote, asked } = side
  const object = objectOf(situation, policy)
  const rules = object === undefined ? undefined : rulesIn(object, policy, direction)
  if (object === undefined || rules === undefined) return []
  const reading = { world: situation.world, assumed: new Set<never>() }
  const ports = networkPolicyPorts(asked)
  const peers = networkPolicyPeers(situation.world, remote, policy.namespace)
  const field = peersField(direction)
  const options: Option[] = []
  const patch = (steps: Extract<Change, { kind: 'patch' }>['steps'], words: string): void => {
    options.push({ changes: [{ kind: 'patch', object, steps }], words })
  }
  policy[direction].forEach((rule, index) => {
    const namesRemote = rule.peers.some((peer) => firstMiss(peer, remote, reading) === undefined)
    const named = portsAt(rule.ports, direction === 'ingress' ? local : remote)
    const base = ['spec', direction, index]
    if (namesRemote && !named.covers(asked) && ports !== undefined && ports.length > 0 && listIn(rules[index], 'ports').length > 0) {
      const steps = ports.map((value) => ({ op: 'add' as const, path: [...base, 'ports', '-'], value }))
      patch(steps, `a port more in ${direction} rule #${index + 1} of ${policyLabel(policy)}`)
    }
    if (!namesRemote && named.covers(asked) && peers.length > 0 && listIn(rules[index], field).length > 0) {
      const steps = peers.map((value) => ({ op: 'add' as const, path: [...base, field, '-'], value }))
      patch(steps, `a peer more in ${direction} rule #${index + 1} of ${policyLabel(policy)}`)
    }
  })
  const rule = ruleForRemote(side)
  if (rule !== undefined) {
    const hasList = isObject(object.value.spec) && Array.isArray(object.value.spec[direction])
    const step = hasList ? { path: ['spec', direction, '-'], value: rule } : { path: ['spec', direction], value: [rule] }
    patch([{ op: 'add', ...step }], `an ${direction} rule more in ${policyLabel(policy)}`)
  }
  return options
}

/** In the same admin policy, before the rule that decides now. */
export function ruleBefore(side: FixSide, policy: Policy, index: number, action: 'Allow' | 'Deny'): readonly Option[] {
  const object = objectOf(side.situation, policy)
  const rule = adminPolicyRule(side, action)
  if (object === undefined || rule === undefined || rulesIn(object, policy, side.direction) === undefined) return []
  const steps = [{ op: 'add' as const, path: ['spec', side.direction, index], value: rule }]
  return [{ changes: [{ kind: 'patch', object, steps }], words: `an ${side.direction} rule more in ${policyLabel(policy)}, before #${index + 1}` }]
}

/** A policy of its own that is asked before the given one; with priority 0 there is no place before it. */
export function adminAbove(side: FixSide, policy: Policy | undefined, action: 'Allow' | 'Deny'): readonly Option[] {
  const admin = side.situation.world.tiers.flatMap(({ policies }) => policies).filter(({ kind }) => kind === 'AdminNetworkPolicy')
  const taken = new Set(admin.map(({ order }) => order))
  const first = policy?.order ?? Math.min(...admin.map(({ order }) => order ?? 0), 100)
  const free = Array.from({ length: first }, (_, i) => first - 1 - i).find((priority) => !taken.has(priority))
  const object = free === undefined ? undefined : newAdminPolicy(side, action, free)
  if (object === undefined) return []
  return [
    {
      changes: [{ kind: 'create', object }],
      words: `a new AdminNetworkPolicy that ${action === 'Allow' ? 'allows' : 'denies'} it for ${side.direction}`,
      needs: NEEDS_ADMIN,
    },
  ]
}

const NEEDS_ADMIN = 'the API policy.networking.k8s.io/v1alpha1, and a network plugin that enforces it'
