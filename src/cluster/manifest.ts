/**
 * Files of manifests → Kubernetes objects that know their lines. Multi-document YAML, JSON and JSON streams; `kind: List` and `PodList` are
 * taken apart; the text is all that is looked at here, the fields of each kind are checked later.
 */
import { answerShape, type EtcdApi } from '../base/etcd-tree.js'
import { classicName, isClassicKind } from './calico/classic-identity.js'
import { isObject, linesAt, type JsonObject, type JsonValue, type Lines, type Located, type Path, type TextResult } from './located.js'
import { readJson } from './json-text.js'
import { kindInfo } from './kinds.js'
import { formatPlace, type Place, type ProblemList } from './problem-list.js'
import { readYaml } from './yaml-text.js'

export interface Input {
  /** The file as the user named it, `-` for standard input. */
  readonly file: string
  readonly text: string
}

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
  private readonly lines: Lines

  constructor(
    head: { readonly apiVersion: string; readonly kind: string; readonly namespace: string; readonly name: string; readonly file: string },
    value: JsonObject,
    lines: Lines,
  ) {
    this.apiVersion = head.apiVersion
    this.kind = head.kind
    this.namespace = head.namespace
    this.name = head.name
    this.file = head.file
    this.line = lines.line
    this.value = value
    this.lines = lines
    Object.freeze(this)
  }

  /** `Node/n1`, `Pod/default/web-0`. */
  get label(): string {
    return objectLabel(this.kind, this.namespace, this.name)
  }

  /** The line of the deepest part of `path` that exists, 1-based. */
  lineOf(path: Path): number {
    return linesAt(this.lines, path).line
  }

  at(...path: Path): Place {
    return { file: this.file, line: this.lineOf(path) }
  }

  /** The place of line `textLine` (1-based) inside the text at `path`: exact in a YAML block scalar, else the text's own line. */
  inText(path: Path, textLine: number): Place {
    const lines = linesAt(this.lines, path)
    return { file: this.file, line: lines.block === true ? lines.line + textLine : lines.line }
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
  const collected: Collected = { objects: new Map(), answers: [], problems, complete: true }
  for (const input of inputs) {
    const { documents, issues } = readText(input.text)
    for (const issue of issues) problems.error({ file: input.file, line: issue.line }, '', issue.what, issue.fix)
    if (issues.length > 0) collected.complete = false
    for (const document of documents) collectDocument(document, { file: input.file }, collected)
  }
  return { objects: [...collected.objects.values()], answers: collected.answers, complete: collected.complete }
}

/** Text that starts like JSON is read as JSON, document by document (they may be separated by ---); what fails there may still be YAML. */
export function readText(text: string): TextResult {
  const plain = text.startsWith('\ufeff') ? text.slice(1) : text
  if (!/^\s*(---\s)?\s*[{[]/.test(plain)) return readYaml(plain, 1)
  const documents: Located[] = []
  const issues: TextResult['issues'][number][] = []
  for (const chunk of splitDocuments(plain)) {
    const result = readJsonOrYaml(chunk.text, chunk.line)
    documents.push(...result.documents)
    issues.push(...result.issues)
  }
  return { documents, issues }
}

function readJsonOrYaml(text: string, line: number): TextResult {
  if (!/^\s*[{[]/.test(text)) return readYaml(text, line)
  const json = readJson(text, line)
  if (json.issues.length === 0) return json
  // so deep that YAML would refuse it too, after long work
  if (json.issues.some(({ tooDeep }) => tooDeep === true)) return { documents: [], issues: json.issues }
  const yaml = readYaml(text, line)
  // flow YAML ({a: b}) is no JSON; with errors in both the text decides whose words help more
  return yaml.issues.length === 0 || !/^\s*[{[]\s*["{[\]}]/.test(text) ? yaml : { documents: [], issues: json.issues }
}

/** Cuts at lines `---`: in YAML such a line ends a document even inside a block scalar. */
function splitDocuments(text: string): { readonly text: string; readonly line: number }[] {
  const chunks: { text: string; line: number }[] = []
  let start = 0
  let line = 1
  const cut = (end: number): void => {
    const chunk = text.slice(start, end)
    if (chunk.trim() !== '') chunks.push({ text: chunk, line })
    line += countNewlines(chunk)
  }
  for (const match of text.matchAll(/^---(?=\s|$)/gm)) {
    cut(match.index)
    start = match.index + 3
  }
  cut(text.length)
  return chunks
}

function countNewlines(text: string): number {
  let count = 0
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count++
  return count
}

interface Collected {
  readonly objects: Map<string, KubernetesObject>
  readonly answers: SavedAnswer[]
  readonly problems: ProblemList
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
    for (const [index, item] of value.entries()) collectDocument({ value: item, lines: lines.items?.[index] ?? lines }, context, collected)
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
  items.forEach((item: JsonValue, index) => {
    collectDocument({ value: item, lines: at.items?.[index] ?? at }, { file: context.file, ...(itemOf === undefined ? {} : { itemOf }) }, collected)
  })
}

function collectObject(value: JsonObject, head: Head, context: Context, collected: Collected): void {
  const { apiVersion, kind, lines } = head
  const metadata = value.metadata
  const name = isClassicKind(apiVersion, kind) ? classicName(kind, metadata) : isObject(metadata) ? metadata.name : undefined
  const generated = isObject(metadata) ? metadata.generateName : undefined
  const isNetwork = apiVersion.startsWith('netsim/') && name === undefined
  if (!isNetwork && (typeof name !== 'string' || name === '')) {
    const place = { file: context.file, line: linesAt(lines, ['metadata', 'name']).line }
    const fix =
      typeof generated === 'string'
        ? 'generateName is filled in by an API server: write a name.'
        : typeof name === 'number'
          ? `Write it in quotes: "${name}".`
          : 'Give it a metadata.name.'
    reject(collected, place, `a ${kind} without a name${name === undefined ? '' : ` (${describeValue(name)})`}`, fix)
    return
  }
  const ownNamespace = isObject(metadata) && typeof metadata.namespace === 'string' ? metadata.namespace : ''
  const info = kindInfo(apiVersion, kind)
  const namespace = info === undefined ? ownNamespace : info.namespaced ? ownNamespace || 'default' : ''
  const object = new KubernetesObject({ apiVersion, kind, namespace, name: isNetwork ? 'default' : String(name), file: context.file }, value, lines)
  const identity = `${apiVersion.split('/')[0]}\n${object.label}`
  const earlier = collected.objects.get(identity)
  if (earlier === undefined) collected.objects.set(identity, object)
  else if (JSON.stringify(earlier.value) !== JSON.stringify(value)) {
    collected.problems.error(object, object.label, `stands here and in ${formatPlace(earlier)}, and the two differ`, 'Keep one of them.')
  }
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
