/**
 * Files of manifests → Kubernetes objects that know their lines. Multi-document YAML, JSON and JSON streams; `kind: List` and `PodList` are
 * taken apart; the text is all that is looked at here, the fields of each kind are checked later.
 */
import { answerShape, type EtcdApi } from '../base/etcd-tree.js'
import { classicName, isClassicKind } from './calico/classic-identity.js'
import { groupOf, kindInfo } from './kinds.js'
import { isObject, linesAt, type JsonObject, type JsonValue, type Lines, type Located, type Path } from './located.js'
import { readBytes, readText } from './manifest-text.js'
import { noiseOf, withoutNoise } from './noise.js'
import type { Place, ProblemList } from './problem-list.js'
import { RepeatedObjects } from './repeated-objects.js'

interface NamedInput {
  /** The file as the user named it, `-` for standard input. */
  readonly file: string
}

export interface TextInput extends NamedInput {
  readonly text: string
}

/** A file in pieces: of any size, never in memory as a whole. */
export interface ByteInput extends NamedInput {
  readonly chunks: Iterable<Uint8Array>
}

export type Input = TextInput | ByteInput

interface Identity {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly file: string
}

const WHOLE: Path = Object.freeze([])

/** One object as it was written. */
export class KubernetesObject implements Place {
  readonly apiVersion: string
  readonly kind: string
  /** `default` where a namespaced object names none; empty for objects of the cluster. */
  readonly namespace: string
  readonly name: string
  readonly file: string
  readonly line: number
  readonly value: JsonObject
  /** Where inside the object of that name the value stands: [] but for part(). */
  readonly within: Path
  private readonly lines: Lines

  constructor(head: Identity, value: JsonObject, lines: Lines, within: Path = WHOLE) {
    this.apiVersion = head.apiVersion
    this.kind = head.kind
    this.namespace = head.namespace
    this.name = head.name
    this.file = head.file
    this.line = lines.line
    this.value = value
    this.within = within
    this.lines = lines
    Object.freeze(this)
  }

  /** `Node/n1`, `Pod/default/web-0`. */
  get label(): string {
    return objectLabel(this.kind, this.namespace, this.name)
  }

  /** What stands at `path` (a workload's template), under the name of the whole; `value` may be completed. */
  part(path: Path, value: JsonObject): KubernetesObject {
    return new KubernetesObject(this, value, linesAt(this.lines, path), Object.freeze([...path]))
  }

  /** Another object of the same text: a copy, which stands nowhere else. */
  renamed(name: string, value: JsonObject): KubernetesObject {
    const { apiVersion, kind, namespace, file } = this
    return new KubernetesObject({ apiVersion, kind, namespace, name, file }, value, this.lines)
  }

  /** What a controller makes of it: an object of its own, which stands in the same text. */
  made(head: Pick<KubernetesObject, 'apiVersion' | 'kind' | 'name'>, value: JsonObject): KubernetesObject {
    const { namespace, file } = this
    return new KubernetesObject({ ...head, namespace, file }, value, this.lines)
  }

  /** The line of the deepest part of `path` that exists, 1-based. */
  lineOf(path: Path): number {
    return linesAt(this.lines, path).line
  }

  /** The deepest part of `path` that exists. */
  located(path: Path): Located {
    const lines = linesAt(this.lines, path)
    return { value: lines.value, lines }
  }

  at(...path: Path): Place {
    return { file: this.file, line: this.lineOf(path) }
  }

  /** The place of line `textLine` (1-based) inside the text at `path`: exact in a YAML block scalar, else the text's own line. */
  inText(path: Path, textLine: number): Place {
    const { line, block } = linesAt(this.lines, path)
    return { file: this.file, line: block ? line + textLine : line }
  }
}

function objectLabel(kind: string, namespace: string, name: string): string {
  return namespace === '' ? `${kind}/${name}` : `${kind}/${namespace}/${name}`
}

/** What the text held. `complete` is false when some of it could not be read: then a missing object proves nothing. */
interface Manifests {
  readonly objects: readonly KubernetesObject[]
  readonly answers: readonly SavedAnswer[]
  readonly complete: boolean
}

/** What an etcd server answered, saved as it was: no object, told by its shape. */
export interface SavedAnswer extends Located {
  readonly shape: EtcdApi | 'error'
  readonly file: string
}

export function readManifests(inputs: readonly Input[], problems: ProblemList): Manifests {
  const collected: Collected = { objects: new Map(), answers: [], problems, repeated: new RepeatedObjects(problems), complete: true }
  for (const input of inputs) {
    const { documents, issues } = 'text' in input ? readText(input.text) : readBytes(input.chunks, Infinity)
    for (const issue of issues) problems.error({ file: input.file, line: issue.line }, '', issue.what, issue.fix)
    if (issues.length > 0) collected.complete = false
    for (const document of documents) collectDocument(document, { file: input.file }, collected)
  }
  collected.repeated.tell()
  return { objects: [...collected.objects.values()], answers: collected.answers, complete: collected.complete }
}

/** What stands inside another object (`located` of KubernetesObject), as if it were a document of its file. */
export function readDocuments(documents: readonly Located[], file: string, problems: ProblemList): readonly KubernetesObject[] {
  const collected: Collected = { objects: new Map(), answers: [], problems, repeated: new RepeatedObjects(problems), complete: true }
  for (const document of documents) collectDocument(document, { file }, collected)
  collected.repeated.tell()
  return [...collected.objects.values()]
}

interface Collected {
  readonly objects: Map<string, KubernetesObject>
  readonly answers: SavedAnswer[]
  readonly problems: ProblemList
  readonly repeated: RepeatedObjects
  complete: boolean
}

/** What a list says about its items: `PodList` of v1 holds Pods of v1, whose own kind the API leaves out. */
interface Context {
  readonly file: string
  readonly itemOf?: { readonly apiVersion: string; readonly kind: string }
}

function collectDocument(document: Located, context: Context, collected: Collected): void {
  const { value, lines } = document
  const place = { file: context.file, line: lines.line }
  if (isClassicList(value)) {
    for (const item of lines.items()) collectDocument({ value: item.value, lines: item }, context, collected)
    return
  }
  if (!isObject(value)) {
    reject(collected, place, `${describeValue(value)} where a Kubernetes object was due`, 'An object has apiVersion, kind and metadata.')
    return
  }
  if (Object.keys(value).length === 0) return
  const shape = context.itemOf === undefined ? answerShape(value) : undefined
  if (shape !== undefined) {
    collected.answers.push({ shape, file: context.file, value, lines })
    return
  }
  const apiVersion = value.apiVersion ?? context.itemOf?.apiVersion
  const kind = value.kind ?? context.itemOf?.kind
  if (typeof apiVersion !== 'string' || typeof kind !== 'string' || apiVersion === '' || kind === '') {
    const missing = typeof kind !== 'string' || kind === '' ? 'kind' : 'apiVersion'
    reject(
      collected,
      { file: context.file, line: linesAt(lines, [missing]).line },
      `an object without ${missing === 'kind' ? 'a kind' : 'an apiVersion'}`,
      'Every object starts like this: apiVersion: v1, kind: Pod.',
    )
  } else if (Array.isArray(value.items) || (kind.endsWith('List') && !('metadata' in value && isObject(value.metadata) && 'name' in value.metadata))) {
    collectList(value, { apiVersion, kind, lines }, context, collected)
  } else {
    collectObject(value, { apiVersion, kind, lines }, context, collected)
  }
}

/** What `calicoctl get -o yaml` printed in its first releases: resources in a bare list. */
function isClassicList(value: JsonValue): value is readonly JsonValue[] {
  if (!Array.isArray(value)) return false
  const first: unknown = value[0]
  return isObject(first) && typeof first.apiVersion === 'string' && typeof first.kind === 'string' && isClassicKind(first.apiVersion, first.kind)
}

interface Head {
  readonly apiVersion: string
  readonly kind: string
  readonly lines: Lines
}

function collectList(value: JsonObject, head: Head, context: Context, collected: Collected): void {
  const items = value.items ?? []
  const at = linesAt(head.lines, ['items'])
  if (!Array.isArray(items)) {
    reject(collected, { file: context.file, line: at.line }, `items of a ${head.kind} is ${describeValue(items)}`, 'items is a list of objects.')
    return
  }
  const itemKind = head.kind.slice(0, -'List'.length)
  const itemOf = itemKind === '' || !head.kind.endsWith('List') ? undefined : { apiVersion: head.apiVersion, kind: itemKind }
  const inside: Context = { file: context.file, ...(itemOf === undefined ? {} : { itemOf }) }
  for (const item of at.items()) collectDocument({ value: item.value, lines: item }, inside, collected)
}

function collectObject(found: JsonObject, head: Head, context: Context, collected: Collected): void {
  const { apiVersion, kind } = head
  const { value, lines } = withoutNoise(found, head.lines, noiseOf(apiVersion, kind))
  const metadata = value.metadata
  const name = isClassicKind(apiVersion, kind) ? classicName(kind, metadata) : isObject(metadata) ? metadata.name : undefined
  const isNetwork = apiVersion.startsWith('netsim/') && name === undefined
  if (!isNetwork && (typeof name !== 'string' || name === '')) return rejectNameless(value, { ...head, lines }, context, collected)
  const ownNamespace = isObject(metadata) && typeof metadata.namespace === 'string' ? metadata.namespace : ''
  const info = kindInfo(apiVersion, kind)
  const namespace = info === undefined ? ownNamespace : info.namespaced ? ownNamespace || 'default' : ''
  const object = new KubernetesObject({ apiVersion, kind, namespace, name: isNetwork ? 'default' : String(name), file: context.file }, value, lines)
  const identity = `${groupOf(apiVersion)}\n${object.label}`
  const earlier = collected.objects.get(identity)
  if (earlier === undefined) collected.objects.set(identity, object)
  else if (collected.repeated.isNewer(object, earlier)) collected.objects.set(identity, object)
}

function rejectNameless(value: JsonObject, { kind, lines }: Head, context: Context, collected: Collected): void {
  const metadata = isObject(value.metadata) ? value.metadata : {}
  const { name, generateName } = metadata
  const fix =
    typeof generateName === 'string'
      ? 'generateName is filled in by an API server: write a name.'
      : typeof name === 'number'
        ? `Write it in quotes: "${name}".`
        : 'Give it a metadata.name.'
  const place = { file: context.file, line: linesAt(lines, ['metadata', 'name']).line }
  reject(collected, place, `a ${kind} without a name${name === undefined ? '' : ` (${describeValue(name)})`}`, fix)
}

function reject(collected: Collected, place: Place, what: string, fix: string): void {
  collected.complete = false
  collected.problems.error(place, '', what, fix)
}

/** A value in a few words, for messages. */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a mapping'
  if (typeof value === 'string') return value.length > 60 ? `"${value.slice(0, 57)}..."` : JSON.stringify(value)
  return `the ${typeof value} ${JSON.stringify(value)}`
}
