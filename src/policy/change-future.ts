/**
 * What a change would do to pods that are not there yet: a selector of a policy that came, went or changed may match no pod today, and then shows in
 * no row. A pod is made up that it matches, and what that pod could do is compared, before and after.
 */
import type { PolicyChange } from './change-policies.js'
import { holdsAll, type Reading } from './conditions.js'
import { ClassKeys, sharedOf } from './diff-classes.js'
import { evaluatePair } from './evaluate.js'
import { imaginePeer } from './imagined-pod.js'
import type { Condition, Direction, End, Peer, Policy, PolicyPod, PolicyRule, PolicyWorld } from './model.js'
import { workloadName } from './peer-name.js'

export interface FutureNote {
  readonly change: PolicyChange
  /** The peer of it that names such pods; absent: the policy selects them. */
  readonly rule?: { readonly rule: PolicyRule; readonly direction: Direction }
  /** What is asked of such a pod: `app=db`. */
  readonly words: string
  readonly pod: PolicyPod
  /** Names of those that it could no longer (not before) reach, or be reached by; `outside` for addresses outside. */
  readonly effects: readonly FutureEffect[]
}

export interface FutureEffect {
  readonly effect: 'opened' | 'closed'
  /** Of the made-up pod. */
  readonly direction: Direction
  readonly others: readonly string[]
}

/** So many selectors are followed up. */
const MOST = 12

export function futureOf(before: PolicyWorld, after: PolicyWorld, changes: readonly PolicyChange[]): readonly FutureNote[] {
  const notes: FutureNote[] = []
  const seen = new Set<string>()
  for (const change of changes) {
    for (const { policy, world } of versionsOf(change, before, after)) {
      for (const candidate of candidatesOf(policy)) {
        if (notes.length >= MOST) return notes
        if (candidate.conditions.length === 0 || isMatched(candidate.conditions, world)) continue
        const peer: Peer = { conditions: candidate.conditions, words: candidate.words, file: policy.file, line: policy.line }
        const imagined = imaginePeer(world, peer)
        const key = imagined && JSON.stringify([imagined.pod.namespace, imagined.pod.labels, imagined.pod.serviceAccount])
        if (imagined === undefined || key === undefined || seen.has(key)) continue
        seen.add(key)
        const namespace = imagined.world.namespaces.get(imagined.pod.namespace)
        const around = (one: PolicyWorld): PolicyWorld =>
          namespace === undefined || one.namespaces.has(namespace.name)
            ? one
            : { ...one, namespaces: new Map([...one.namespaces, [namespace.name, namespace]]) }
        const effects = effectsOn(imagined.pod, around(before), around(after))
        if (effects.length > 0)
          notes.push({ change, words: candidate.words, pod: imagined.pod, effects, ...(candidate.rule === undefined ? {} : { rule: candidate.rule }) })
      }
    }
  }
  return notes
}

function versionsOf(
  { how, policy, was }: PolicyChange,
  before: PolicyWorld,
  after: PolicyWorld,
): readonly { readonly policy: Policy; readonly world: PolicyWorld }[] {
  if (how === 'deleted') return [{ policy, world: before }]
  return [{ policy, world: after }, ...(was === undefined ? [] : [{ policy: was, world: before }])]
}

interface Candidate {
  readonly conditions: readonly Condition[]
  readonly words: string
  readonly rule?: { readonly rule: PolicyRule; readonly direction: Direction }
}

/** The policy's own selector, then its peers' that are about pods. */
function candidatesOf(policy: Policy): readonly Candidate[] {
  const peers = (['ingress', 'egress'] as const).flatMap((direction) =>
    policy[direction].flatMap((rule) => rule.peers.map((peer): Candidate => ({ conditions: peer.conditions, words: peer.words, rule: { rule, direction } }))),
  )
  return [{ conditions: policy.subject, words: policy.subjectWords }, ...peers]
}

function isMatched(conditions: readonly Condition[], world: PolicyWorld): boolean {
  const reading: Reading = { world, assumed: new Set() }
  return world.pods.some((pod) => !pod.imagined && holdsAll(conditions, pod, reading))
}

function effectsOn(pod: PolicyPod, before: PolicyWorld, after: PolicyWorld): readonly FutureEffect[] {
  const found = new Map<string, { readonly effect: FutureEffect['effect']; readonly direction: Direction; readonly others: Set<string> }>()
  for (const [name, old, now] of others(before, after)) {
    for (const direction of ['ingress', 'egress'] as const) {
      const was = evaluatePair(before, ...pairOf(direction, pod, old)).allowed
      const is = evaluatePair(after, ...pairOf(direction, pod, now)).allowed
      for (const [effect, piece] of [['opened', is.minus(was)] as const, ['closed', was.minus(is)] as const]) {
        if (piece.isEmpty) continue
        const key = `${direction} ${effect}`
        const entry = found.get(key) ?? { effect, direction, others: new Set() }
        found.set(key, entry)
        entry.others.add(name)
      }
    }
  }
  return [...found.values()].map(({ effect, direction, others: names }) => ({ effect, direction, others: [...names] }))
}

function pairOf(direction: Direction, pod: PolicyPod, other: End): readonly [source: End, destination: End] {
  return direction === 'ingress' ? [other, pod] : [pod, other]
}

/** One pod of each kind that is there before and after, and the outside. */
function others(before: PolicyWorld, after: PolicyWorld): readonly (readonly [name: string, before: End, after: End])[] {
  const shared = sharedOf([before, after])
  const { bounds } = shared
  const keys = [new ClassKeys(before, shared), new ClassKeys(after, shared)] as const
  const old = new Map(before.pods.map((pod) => [`${pod.namespace}/${pod.name}`, pod]))
  const found = new Map<string, readonly [string, End, End]>()
  for (const pod of after.pods) {
    const was = old.get(`${pod.namespace}/${pod.name}`)
    const name = workloadName(pod)
    if (was !== undefined) found.set(`${name} ${keys[0].of(was)} ${keys[1].of(pod)}`, [name, was, pod])
  }
  const ranges = bounds.families.flatMap((family) => bounds.cells[family])
  return [...found.values(), ...ranges.map((range) => ['outside', { kind: 'outside', range } as const, { kind: 'outside', range } as const] as const)]
}
