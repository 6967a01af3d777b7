/**
 * Edits of a state, before anything is read of it: objects → objects, in the order in which the edits were given, as kubectl would leave them.
 * What reads and checks a state sees the result; an object that no edit touches stays the very same, with its file and line.
 *
 *   add      apply: an object of the same name gives way (its status, and the node of a pod, stay), else it is new
 *   replace  the same, and it must be there
 *   delete   the object; a namespace with all that is in it; a workload with the pods and objects that it owns
 *   label    metadata.labels; of a workload its pod template, and the pods and ReplicaSets of the input that are its own: as after the rollout
 *   scale    spec.replicas; pods of the input beyond the number go, the last ones first
 */
import type { Problem } from '../../base/problem.js'
import { deepFreeze } from '../../cluster/frozen.js'
import { groupOf } from '../../cluster/kinds.js'
import { matchesSelector, type Labels } from '../../cluster/labels.js'
import { isObject, valueAt, withValue, type JsonObject, type JsonValue, type Path } from '../../cluster/located.js'
import { readManifests, type KubernetesObject } from '../../cluster/manifest.js'
import { findObject, isFault, parseReference, type Fault, type LabelChange, type Reference } from '../../cluster/object-reference.js'
import type { ClusterPod } from '../../cluster/pod.js'
import { policyStateOf, type PolicyState } from '../../cluster/policy-state.js'
import { formatPlace, ProblemList } from '../../cluster/problem-list.js'
import type { Readings } from '../../cluster/readings.js'

export type Edit =
  | { readonly kind: 'add' | 'replace'; readonly file: string; readonly objects: readonly KubernetesObject[] }
  | { readonly kind: 'delete'; readonly target: string }
  | { readonly kind: 'label'; readonly target: string; readonly changes: readonly LabelChange[] }
  | { readonly kind: 'scale'; readonly target: string; readonly replicas: number }

/** What an edit did to one object. */
export interface Touched {
  readonly how: 'added' | 'replaced' | 'deleted' | 'labelled' | 'scaled'
  /** `NetworkPolicy/shop/db`. */
  readonly object: string
  readonly file: string
  readonly line: number
  /** In words, where there is more to say: `tier=db, was tier=web`. */
  readonly detail: string
}

export interface EditResult {
  readonly objects: readonly KubernetesObject[]
  /** Of pods that no object is, since a workload makes them: by `namespace/name`. withMadeLabels puts them on. */
  readonly madeLabels: ReadonlyMap<string, readonly LabelChange[]>
  readonly touched: readonly Touched[]
  readonly problems: readonly Problem[]
}

/** @param namespace of references that name none @param readings of the objects, where they are kept */
export function applyEdits(objects: readonly KubernetesObject[], edits: readonly Edit[], namespace: string, readings?: Readings): EditResult {
  const editor = new Editor(objects, namespace, readings)
  for (const edit of edits) editor.apply(edit)
  return { objects: editor.objects, madeLabels: editor.madeLabels, touched: editor.touched, problems: editor.problems.problems }
}

/** @param state read of the edited objects */
export function withMadeLabels(state: PolicyState, { madeLabels }: Pick<EditResult, 'madeLabels'>): PolicyState {
  if (madeLabels.size === 0) return state
  const madePods = state.madePods.map((pod) => {
    const changes = madeLabels.get(`${pod.namespace}/${pod.name}`)
    return changes === undefined ? pod : { ...pod, labels: changed(pod.labels, changes) }
  })
  return { ...state, madePods }
}

function changed<Value extends JsonValue>(labels: Readonly<Record<string, Value>>, changes: readonly LabelChange[]): Readonly<Record<string, Value | string>> {
  const all = new Map<string, Value | string>(Object.entries(labels))
  for (const { key, value } of changes) {
    if (value === undefined) all.delete(key)
    else all.set(key, value)
  }
  return Object.fromEntries(all)
}

const WORKLOAD_KINDS: readonly string[] = ['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'ReplicationController', 'Job', 'CronJob', 'PetSet']
const SCALED_KINDS: readonly string[] = ['Deployment', 'StatefulSet', 'ReplicaSet', 'ReplicationController', 'PetSet']

class Editor {
  readonly problems = new ProblemList()
  readonly touched: Touched[] = []
  readonly madeLabels = new Map<string, readonly LabelChange[]>()
  objects: readonly KubernetesObject[]
  private readonly namespace: string
  private readonly readings: Readings | undefined

  constructor(objects: readonly KubernetesObject[], namespace: string, readings: Readings | undefined) {
    this.objects = objects
    this.namespace = namespace
    this.readings = readings
  }

  apply(edit: Edit): void {
    switch (edit.kind) {
      case 'add':
      case 'replace':
        return this.put(edit)
      case 'delete':
        return this.delete(edit.target)
      case 'label':
        return this.label(edit.target, edit.changes)
      case 'scale':
        return this.scale(edit.target, edit.replicas)
    }
  }

  private put({ kind, file, objects }: Extract<Edit, { kind: 'add' | 'replace' }>): void {
    if (objects.length === 0) this.error(file, `flag --${kind}`, { what: 'the file holds no object', fix: 'Give it the manifest of what is to be there.' })
    for (const object of objects) {
      const old = this.objects.find((other) => isSame(other, object))
      if (old === undefined && kind === 'replace') {
        const reference: Reference = { text: object.label, kind: object.kind, isCalico: false, name: object.name, namespace: object.namespace }
        const fault = findObject(this.objects, reference, this.namespace)
        this.problems.error(
          object,
          object.label,
          'there is nothing of that name to replace',
          `${isFault(fault) ? fault.fix : ''} --add puts new ones in.`.trim(),
        )
        continue
      }
      const put = old === undefined ? object : takingOver(object, old)
      this.objects = old === undefined ? [...this.objects, put] : this.objects.map((other) => (other === old ? put : other))
      this.touch(old === undefined ? 'added' : 'replaced', put, old === undefined ? '' : `was ${old.file}:${old.line}`)
    }
  }

  private delete(target: string): void {
    const made = this.madePod(target)
    if (made !== undefined) {
      const what = `${made.object.label} makes this pod, and would make another`
      return this.error(target, 'flag --delete', { what, fix: 'Scale or delete the workload.' })
    }
    const object = this.find(target, 'delete')
    if (object === undefined) return
    const gone = new Set(object.kind === 'Namespace' ? [object, ...this.objects.filter(({ namespace }) => namespace === object.name)] : this.withOwned(object))
    this.objects = this.objects.filter((other) => !gone.has(other))
    this.touch('deleted', object, gone.size === 1 ? '' : `and ${gone.size - 1} ${object.kind === 'Namespace' ? 'in it' : 'of its own'}`)
  }

  private label(target: string, changes: readonly LabelChange[]): void {
    const made = this.madePod(target)
    if (made !== undefined) return this.labelMade(made, changes)
    const object = this.findOrDeclare(target)
    if (object === undefined) return
    const paths = new Map([[object, labelsPath(object)]])
    if (isWorkload(object)) for (const owned of this.withOwned(object).slice(1)) paths.set(owned, labelsPath(owned))
    const before = labelsAt(object.value, labelsPath(object))
    if (isWorkload(object) && !isSelected(object, changed(before, changes))) {
      const place = formatPlace(object.at('spec', 'selector'))
      const what = `its selector (${place}) would not match its pods any more: an API server refuses that`
      return this.error(object.label, 'flag --label', { what, fix: 'Label one of its pods, or replace the workload with --replace.' })
    }
    this.objects = this.objects.map((other) => {
      const path = paths.get(other)
      return path === undefined ? other : withLabels(other, path, changes)
    })
    this.touch('labelled', object, `${changeWords(before, changes)}${isWorkload(object) ? ' (its pod template)' : ''}`)
  }

  private labelMade({ namespace, name, labels, object }: ClusterPod, changes: readonly LabelChange[]): void {
    const key = `${namespace}/${name}`
    this.madeLabels.set(key, [...(this.madeLabels.get(key) ?? []), ...changes])
    const { file, line } = object
    this.touched.push({ how: 'labelled', object: `Pod/${key}`, file, line, detail: `${changeWords(labels, changes)} (a pod of ${object.label})` })
  }

  /** A pod that no object is, since a workload makes it. */
  private madePod(target: string): ClusterPod | undefined {
    const reference = parseReference(target, this.objects)
    if (isFault(reference) || reference.kind !== 'Pod' || !isFault(findObject(this.objects, reference, this.namespace))) return undefined
    const { madePods } = policyStateOf({ objects: this.objects, complete: true }, this.readings).state
    return madePods.find(({ namespace, name }) => namespace === (reference.namespace ?? this.namespace) && name === reference.name)
  }

  private scale(target: string, replicas: number): void {
    const object = this.find(target, 'scale')
    if (object === undefined) return
    if (!SCALED_KINDS.includes(object.kind))
      return this.error(target, 'flag --scale', {
        what: `a ${object.kind} has no replicas`,
        fix: `Those of ${SCALED_KINDS.slice(0, 4).join(', ')} can be scaled.`,
      })
    const owned = this.withOwned(object).slice(1)
    const pods = owned.filter(({ kind }) => kind === 'Pod')
    const surplus = new Set(pods.slice(replicas))
    const copies = Array.from({ length: pods.length === 0 ? 0 : Math.max(0, replicas - pods.length) }, (_, index) => copyOf(pods[0], index))
    const changed = new Set([object, ...owned.filter(({ kind }) => SCALED_KINDS.includes(kind))])
    const was = valueAt(object.value, ['spec', 'replicas'])
    this.objects = [
      ...this.objects.filter((other) => !surplus.has(other)).map((other) => (changed.has(other) ? withReplicas(other, replicas) : other)),
      ...copies,
    ]
    this.touch('scaled', object, `${typeof was === 'number' ? was : 1} → ${replicas} replicas`)
  }

  /** Itself first, then what it owns by ownerReferences, all the way down. */
  private withOwned(object: KubernetesObject): readonly KubernetesObject[] {
    const found = [object]
    for (const owner of found) {
      if (!isWorkload(owner)) continue
      found.push(...this.objects.filter((other) => other.namespace === owner.namespace && isOwnedBy(other, owner) && !found.includes(other)))
    }
    return found
  }

  /** A namespace that no object declares is there because something lives in it: it can be labelled. */
  private findOrDeclare(target: string): KubernetesObject | undefined {
    const reference = parseReference(target, this.objects)
    if (!isFault(reference) && reference.kind === 'Namespace' && isFault(findObject(this.objects, reference, this.namespace))) {
      if (this.objects.some(({ namespace }) => namespace === reference.name)) {
        const text = `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":${JSON.stringify(reference.name)}}}`
        const { objects } = readManifests([{ file: 'flag --label', text }], this.problems)
        this.objects = [...this.objects, ...objects]
      }
    }
    return this.find(target, 'label')
  }

  private find(target: string, flag: string): KubernetesObject | undefined {
    const reference = parseReference(target, this.objects)
    const found = isFault(reference) ? reference : findObject(this.objects, reference, this.namespace)
    if (!isFault(found)) return found
    this.error(target, `flag --${flag}`, found)
    return undefined
  }

  private error(object: string, file: string, { what, fix }: Fault): void {
    this.problems.error({ file, line: 0 }, object, what, fix)
  }

  private touch(how: Touched['how'], { label, file, line }: KubernetesObject, detail: string): void {
    this.touched.push({ how, object: label, file, line, detail })
  }
}

function isSame(a: KubernetesObject, b: KubernetesObject): boolean {
  return a.label === b.label && familyOf(a) === familyOf(b)
}

/** Two objects of one identity are one for the API server. */
export function identityOf(object: KubernetesObject): string {
  return `${familyOf(object)}\n${object.label}`
}

/** The API server keeps one store for what moved from extensions to a group of its own. */
function familyOf({ apiVersion }: KubernetesObject): string {
  const group = groupOf(apiVersion)
  return ['extensions', 'networking.k8s.io', 'apps', 'batch'].includes(group) ? 'kubernetes' : group.endsWith('projectcalico.org') ? 'calico' : group
}

/** Neither apply nor replace writes the status; and a pod stays on its node. */
function takingOver(object: KubernetesObject, old: KubernetesObject): KubernetesObject {
  let { value } = object
  if (old.value.status !== undefined && value.status === undefined) value = { ...value, status: old.value.status }
  const node = valueAt(old.value, ['spec', 'nodeName'])
  if (object.kind === 'Pod' && node !== undefined && valueAt(value, ['spec', 'nodeName']) === undefined) value = withValue(value, ['spec', 'nodeName'], node)
  return value === object.value ? object : object.part([], deepFreeze(value))
}

export function isWorkload({ kind, apiVersion }: KubernetesObject): boolean {
  return WORKLOAD_KINDS.includes(kind) && !groupOf(apiVersion).endsWith('projectcalico.org')
}

function labelsPath(object: KubernetesObject): Path {
  if (!isWorkload(object)) return ['metadata', 'labels']
  return object.kind === 'CronJob' ? ['spec', 'jobTemplate', 'spec', 'template', 'metadata', 'labels'] : ['spec', 'template', 'metadata', 'labels']
}

/** ReplicationControllers have plain labels for a selector; a Job's is made for it. */
function isSelected({ kind, value }: KubernetesObject, labels: Readonly<Record<string, JsonValue>>): boolean {
  const selector = valueAt(value, ['spec', 'selector'])
  if (!isObject(selector) || kind === 'Job' || kind === 'CronJob') return true
  return matchesSelector(kind === 'ReplicationController' ? { matchLabels: selector } : selector, labels as Labels)
}

function changeWords(before: JsonObject, changes: readonly LabelChange[]): string {
  return changes.map(({ key, value }) => `${value === undefined ? `${key}-` : `${key}=${value}`}${wasWords(before[key], value)}`).join(', ')
}

function wasWords(old: JsonValue | undefined, value: string | undefined): string {
  if (old === undefined) return value === undefined ? ' (it had none)' : ''
  return old === value ? ' (as it was)' : `, was ${typeof old === 'string' ? old : JSON.stringify(old)}`
}

function labelsAt(value: JsonObject, path: Path): JsonObject {
  const labels = valueAt(value, path)
  return isObject(labels) ? labels : {}
}

function withLabels(object: KubernetesObject, path: Path, changes: readonly LabelChange[]): KubernetesObject {
  return object.part([], deepFreeze(withValue(object.value, path, changed(labelsAt(object.value, path), changes))))
}

/** A live object's status counts for its reader: it follows. */
function withReplicas(object: KubernetesObject, replicas: number): KubernetesObject {
  const value = withValue(object.value, ['spec', 'replicas'], replicas)
  const isLive = valueAt(value, ['status', 'replicas']) !== undefined
  return object.part([], deepFreeze(isLive ? withValue(value, ['status', 'replicas'], replicas) : value))
}

/** Another pod of the same owner: its address is not known yet. */
function copyOf(pod: KubernetesObject, index: number): KubernetesObject {
  const { status: _, ...rest } = pod.value
  const value = withValue(rest, ['metadata', 'name'], `${pod.name}-new-${index + 1}`)
  return pod.renamed(`${pod.name}-new-${index + 1}`, deepFreeze(value))
}

function isOwnedBy({ value }: KubernetesObject, owner: KubernetesObject): boolean {
  const references = valueAt(value, ['metadata', 'ownerReferences'])
  return (
    Array.isArray(references) &&
    references.some((reference: JsonValue) => isObject(reference) && reference.kind === owner.kind && reference.name === owner.name)
  )
}
