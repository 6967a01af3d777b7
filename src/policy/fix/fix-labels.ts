/** Labels that would bring an end under a selector of a policy: only such as it lacks; what it has by that key stays. */
import type { LabelSelector, Labels } from '../../cluster/labels.js'
import { matchesRequirement } from '../../cluster/labels.js'
import { firstMiss, holdsAll } from '../conditions.js'
import { portsAt } from '../evaluate.js'
import { METADATA_NAME } from '../exposure/exposure-peer.js'
import type { Change, Situation } from './fix-change.js'
import { policyLabel, type FixSide, type Option } from './fix-parts.js'
import type { Condition, Policy, PolicyPod, PolicyRule } from '../model.js'

const MOST_LABELS = 2

/** undefined: the labels cannot be brought to match without overwriting one. */
export function lackingLabels({ matchLabels = {}, matchExpressions = [] }: LabelSelector, labels: Labels): Labels | undefined {
  const lacking: Record<string, string> = {}
  for (const [key, value] of Object.entries(matchLabels)) {
    if (!Object.hasOwn(labels, key)) lacking[key] = value
    else if (labels[key] !== value) return undefined
  }
  for (const requirement of matchExpressions) {
    const { key, operator, values = [] } = requirement
    if (matchesRequirement(requirement, { ...labels, ...lacking })) continue
    if (Object.hasOwn(labels, key) || Object.hasOwn(lacking, key) || (operator !== 'In' && operator !== 'Exists')) return undefined
    lacking[key] = operator === 'In' ? values[0] : 'true'
  }
  return lacking
}

interface Lacking {
  readonly pod: Labels
  readonly namespace: Labels
}

/** What the conditions miss of a pod, if labels are all that is missing. */
function lackingOf(conditions: readonly Condition[], pod: PolicyPod, { world }: Situation): Lacking | undefined {
  const reading = { world, assumed: new Set<never>() }
  const lacking = { pod: {}, namespace: {} }
  for (const condition of conditions) {
    if (holdsAll([condition], pod, reading)) continue
    if (condition.kind !== 'labels' || condition.written === undefined || (condition.of !== 'pod' && condition.of !== 'namespace')) return undefined
    const own = condition.of === 'pod' ? pod.labels : (world.namespaces.get(pod.namespace)?.labels ?? {})
    const more = lackingLabels(condition.written, own)
    if (more === undefined || Object.hasOwn(more, METADATA_NAME)) return undefined
    lacking[condition.of] = { ...lacking[condition.of], ...more }
  }
  const count = Object.keys(lacking.pod).length + Object.keys(lacking.namespace).length
  return count === 0 || count > MOST_LABELS ? undefined : lacking
}

function labelChanges(situation: Situation, pod: PolicyPod, lacking: Lacking): readonly Change[] {
  const changes: Change[] = []
  if (Object.keys(lacking.pod).length > 0) changes.push(labelPod(situation, pod, lacking.pod))
  if (Object.keys(lacking.namespace).length > 0) {
    const object = situation.state.objects.find(({ kind, name }) => kind === 'Namespace' && name === pod.namespace)
    changes.push({ kind: 'label', target: `namespace/${pod.namespace}`, ...(object === undefined ? {} : { object }), labels: changesOf(lacking.namespace) })
  }
  return changes
}

/** Of a workload its template: a label on one of its pods is gone with the next one. */
function labelPod({ state }: Situation, pod: PolicyPod, labels: Labels): Change {
  const { kind, name } = pod.workload
  const workload = state.objects.find((object) => object.kind === kind && object.name === name && object.namespace === pod.namespace)
  const object = workload ?? state.objects.find((one) => one.kind === 'Pod' && one.name === pod.name && one.namespace === pod.namespace)
  const target = workload === undefined ? `pod/${pod.namespace}/${pod.name}` : `${kind.toLowerCase()}/${pod.namespace}/${name}`
  return { kind: 'label', target, ...(object === undefined ? {} : { object }), labels: changesOf(labels) }
}

function changesOf(labels: Labels): readonly { readonly key: string; readonly value: string }[] {
  return Object.entries(labels).map(([key, value]) => ({ key, value }))
}

/** The remote end comes under a peer of a rule that names these connections already. */
export function remoteLabelOptions(side: FixSide, policies: readonly Policy[]): readonly Option[] {
  const { situation, direction, remote } = side
  if (remote.kind !== 'pod') return []
  return policies.flatMap((policy) =>
    policy[direction].flatMap((rule) => {
      if (!namesPorts(rule, side)) return []
      return rule.peers.flatMap((peer): Option[] => {
        const lacking = lackingOf(peer.conditions, remote, situation)
        if (lacking === undefined) return []
        return [{ changes: labelChanges(situation, remote, lacking), words: `labels that ${policyLabel(policy)} lets in by rule #${rule.index + 1}` }]
      })
    }),
  )
}

/** The local end comes under a policy: one that names the connections (`open`), or one that does not. */
export function localLabelOptions(side: FixSide, want: 'open' | 'closed'): readonly Option[] {
  const { situation, direction, local } = side
  if (local.kind !== 'pod') return []
  const reading = { world: situation.world, assumed: new Set<never>() }
  const policies = situation.world.tiers.flatMap((tier) => tier.policies)
  return policies.flatMap((policy): Option[] => {
    if (!policy.directions.includes(direction) || (policy.namespace !== '' && policy.namespace !== local.namespace)) return []
    const names = policy[direction].some((rule) => namesPorts(rule, side) && rule.peers.some((peer) => firstMiss(peer, side.remote, reading) === undefined))
    if (names !== (want === 'open') || holdsAll(policy.subject, local, reading)) return []
    const lacking = lackingOf(policy.subject, local, situation)
    return lacking === undefined ? [] : [{ changes: labelChanges(situation, local, lacking), words: `labels that bring it under ${policyLabel(policy)}` }]
  })
}

function namesPorts(rule: PolicyRule, { direction, local, remote, asked }: FixSide): boolean {
  return rule.action === 'allow' && portsAt(rule.ports, direction === 'ingress' ? local : remote).covers(asked)
}
