/**
 * What a fix would change: a new object, a patch of one that is there, labels. And what the state and the world are afterwards: read again by the
 * same readers as before, so that a fix is proven on the very YAML that it prints.
 */
import { deepFreeze } from '../../cluster/frozen.js'
import type { JsonObject, JsonValue } from '../../cluster/located.js'
import { readManifests, type KubernetesObject } from '../../cluster/manifest.js'
import type { LabelChange } from '../../cluster/object-reference.js'
import { policyStateOf, type PolicyState } from '../../cluster/policy-state.js'
import { ProblemList } from '../../cluster/problem-list.js'
import { writeYaml } from '../../cluster/yaml-writer.js'
import { policyTiers } from '../dialects/tiers.js'
import { applyEdits, type Edit } from '../change/edit.js'
import { applyPatch, type PatchStep } from './json-patch.js'
import type { PolicyWorld } from '../model.js'
import { policyWorld } from '../world.js'

export type Change =
  | { readonly kind: 'create'; readonly object: JsonObject }
  | { readonly kind: 'patch'; readonly object: KubernetesObject; readonly steps: readonly PatchStep[] }
  /** `target` as --label takes it; `object` is what is labelled, absent for a namespace that no object declares. */
  | { readonly kind: 'label'; readonly target: string; readonly object?: KubernetesObject; readonly labels: readonly LabelChange[] }

export interface Situation {
  readonly state: PolicyState
  readonly world: PolicyWorld
}

/** undefined: the result would not be taken by an API server. */
export function afterChanges(before: Situation, changes: readonly Change[]): Situation | undefined {
  const edits = changes.map(editOf)
  if (edits.some((edit) => edit === undefined)) return undefined
  const edited = applyEdits(before.state.objects, edits as readonly Edit[], 'default')
  if (edited.problems.some(({ severity }) => severity === 'error')) return undefined
  return changes.some(({ kind }) => kind === 'label') ? readAgain(before, edited.objects) : withPolicies(before, edited.objects)
}

export const FIX_FILE = 'fix.yaml'

function editOf(change: Change): Edit | undefined {
  switch (change.kind) {
    case 'create': {
      const problems = new ProblemList()
      const { objects } = readManifests([{ file: FIX_FILE, text: writeYaml(change.object) }], problems)
      return problems.problems.length > 0 ? undefined : { kind: 'add', file: FIX_FILE, objects }
    }
    case 'patch':
      return { kind: 'replace', file: change.object.file, objects: [change.object.part([], deepFreeze(applyPatch(change.object.value, change.steps)))] }
    case 'label':
      return { kind: 'label', target: change.target, changes: change.labels }
  }
}

function readAgain({ state, world }: Situation, objects: readonly KubernetesObject[]): Situation | undefined {
  const known = new Set(policyStateOf(state).problems.map(problemKey))
  const read = policyStateOf({ objects, answers: state.answers, complete: state.complete })
  if (read.problems.some((problem) => problem.severity === 'error' && !known.has(problemKey(problem)))) return undefined
  return { state: read.state, world: policyWorld(read.state, world.switches) }
}

function problemKey({ file, line, object, what }: { file: string; line: number; object: string; what: string }): string {
  return `${file}\n${line}\n${object}\n${what}`
}

/** Where policies alone changed, only those are read: pods, namespaces and Services are what they were. */
function withPolicies({ state, world }: Situation, objects: readonly KubernetesObject[]): Situation | undefined {
  const old = new Set(state.objects)
  const changed = objects.filter((object) => !old.has(object))
  const read = policyStateOf({ objects: changed, complete: state.complete })
  if (read.problems.some(({ severity }) => severity === 'error')) return undefined
  const left = new Set(objects)
  const keep = <Item extends { readonly object?: KubernetesObject }>(list: readonly Item[], more: readonly Item[]): readonly Item[] => [
    ...list.filter(({ object }) => object === undefined || left.has(object)),
    ...more,
  ]
  const next: PolicyState = {
    ...state,
    objects,
    kubernetesPolicies: keep(state.kubernetesPolicies, read.state.kubernetesPolicies),
    adminNetworkPolicies: keep(state.adminNetworkPolicies, read.state.adminNetworkPolicies),
    clusterNetworkPolicies: keep(state.clusterNetworkPolicies, read.state.clusterNetworkPolicies),
  }
  return { state: next, world: { ...world, tiers: policyTiers(next, world.switches).tiers } }
}

/** How much there is to read in a change: values, without what every object has. */
export function changeSize(change: Change): number {
  switch (change.kind) {
    case 'create':
      return leaves(change.object.spec ?? null) + 2
    case 'patch':
      return change.steps.reduce((sum, step) => sum + 1 + (step.op === 'remove' ? 0 : leaves(step.value)), 0)
    case 'label':
      return change.labels.length
  }
}

function leaves(value: JsonValue): number {
  if (typeof value !== 'object' || value === null) return 1
  const inner: readonly JsonValue[] = Array.isArray(value) ? (value as readonly JsonValue[]) : Object.values(value)
  return inner.length === 0 ? 1 : inner.reduce<number>((sum, one) => sum + leaves(one), 0)
}
