/**
 * What a change would do to pods that are not there yet: a selector of a policy that came, went or changed may match no pod today, and then shows in
 * no row. A pod is made up that it matches, and what that pod could do is compared, before and after.
 */
import type { PolicyChange } from './change-policies.js'
import { holdsAll, type Reading } from '../conditions.js'
import { ClassKeys, sharedOf } from './diff-classes.js'
import type { ConnectionSet } from '../connections.js'
import type { SideEnd } from './diff-ends.js'
import type { DiffRow } from './diff-row.js'
import { Selection } from './diff-select.js'
import { evaluatePair } from '../evaluate.js'
import { imaginePeer } from '../exposure/imagined-pod.js'
import type { Condition, Direction, End, Peer, Policy, PolicyPod, PolicyRule, PolicyWorld } from '../model.js'
import { workloadName } from '../peer-name.js'

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

/** @param rows of the change: what they show of pods that a policy selects is not told twice */
export function futureOf(
  before: PolicyWorld,
  after: PolicyWorld,
  { policies: changes, rows }: { readonly policies: readonly PolicyChange[]; readonly rows: readonly DiffRow[] },
): readonly FutureNote[] {
  const notes: FutureNote[] = []
  const seen = new Set<string>()
  const selections = [new Selection(before), new Selection(after)] as const
  let known: readonly Other[] | undefined
  for (const change of changes) {
    for (const { policy, world } of versionsOf(change, before, after)) {
      for (const candidate of candidatesOf(policy)) {
        if (notes.length >= MOST) return notes
        if (candidate.conditions.length === 0 || isShown(candidate, world, rows)) continue
        const peer: Peer = { conditions: candidate.conditions, words: candidate.words, file: policy.file, line: policy.line }
        const imagined = imaginePeer(world, peer)
        const key = imagined && JSON.stringify([imagined.pod.namespace, imagined.pod.labels, imagined.pod.serviceAccount])
        if (imagined === undefined || key === undefined || seen.has(key)) continue
        seen.add(key)
        const namespace = imagined.world.namespaces.get(imagined.pod.namespace)
        const around = (one: Selection): Selection =>
          namespace === undefined || one.world.namespaces.has(namespace.name)
            ? one
            : new Selection({ ...one.world, namespaces: new Map([...one.world.namespaces, [namespace.name, namespace]]) })
        const pod: SideEnd = { key: `imagined ${key}`, end: imagined.pod }
        known ??= others(before, after)
        const effects = effectsOn(pod, known, [around(selections[0]), around(selections[1])])
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

/**
 * Rows tell of a policy's own selector where they speak of a pod that it matches; where they do not (every such pod has other policies), one
 * that comes may fare differently. A peer that matches a living pod has had its say.
 */
function isShown({ conditions, rule }: Candidate, world: PolicyWorld, rows: readonly DiffRow[]): boolean {
  const reading: Reading = { world, assumed: new Set() }
  if (rule !== undefined) return world.pods.some((pod) => !pod.imagined && holdsAll(conditions, pod, reading))
  const ends = rows.flatMap(({ source, destination }) => [source, destination].flatMap((unit) => (unit.after ?? unit.before)?.end ?? []))
  return ends.some((end) => end.kind === 'pod' && holdsAll(conditions, end, reading))
}

function effectsOn(pod: SideEnd, among: readonly Other[], [before, after]: readonly [Selection, Selection]): readonly FutureEffect[] {
  const found = new Map<string, { readonly effect: FutureEffect['effect']; readonly direction: Direction; readonly others: Set<string> }>()
  for (const { name, sides } of among) {
    for (const direction of ['ingress', 'egress'] as const) {
      const was = allowed(before, direction, pod, sides[0])
      const is = allowed(after, direction, pod, sides[1])
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

function allowed(selection: Selection, direction: Direction, pod: SideEnd, other: SideEnd): ConnectionSet {
  const [source, destination] = direction === 'ingress' ? [other, pod] : [pod, other]
  return evaluatePair(selection.around(source, destination), source.end, destination.end).allowed
}

interface Other {
  readonly name: string
  readonly sides: readonly [before: SideEnd, after: SideEnd]
}

/** One pod of each kind that is there before and after, and the outside. */
function others(before: PolicyWorld, after: PolicyWorld): readonly Other[] {
  const shared = sharedOf([before, after])
  const { bounds } = shared
  const keys = [new ClassKeys(before, shared), new ClassKeys(after, shared)] as const
  const old = new Map(before.pods.map((pod) => [`${pod.namespace}/${pod.name}`, pod]))
  const found = new Map<string, Other>()
  for (const pod of after.pods) {
    const was = old.get(`${pod.namespace}/${pod.name}`)
    if (was === undefined) continue
    const name = workloadName(pod)
    const sides = [
      { key: keys[0].of(was), end: was },
      { key: keys[1].of(pod), end: pod },
    ] as const
    found.set(`${name} ${sides[0].key} ${sides[1].key}`, { name, sides })
  }
  const outside = bounds.families.flatMap((family) =>
    bounds.cells[family].map((range): Other => {
      const end: End = { kind: 'outside', range }
      const side = { key: keys[0].of(end), end }
      return { name: 'outside', sides: [side, side] }
    }),
  )
  return [...found.values(), ...outside]
}
