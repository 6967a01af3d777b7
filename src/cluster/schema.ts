/**
 * Values against valibot schemas → Problems with file:line, one for each thing wrong. Schemas are built when their kind is first met: most
 * runs use few of them. A message of netsim's own is `say(what, fix)`.
 */
import * as v from 'valibot'
import { isObject, type JsonValue, type Path } from './located.js'
import { describeValue, type KubernetesObject } from './manifest.js'
import { editDistance, suggestName } from './nearest-name.js'
import type { ProblemList } from './problem-list.js'

const SEPARATOR = '\u0000'

/** The text of an issue: what is wrong (the path goes before it) and what to do. */
export function say(what: string, fix: string): string {
  return `${what}${SEPARATOR}${fix}`
}

/** `nullish` in Kubernetes' sense: null and absent are the same. */
export function optional<const Schema extends v.GenericSchema>(schema: Schema): v.NullishSchema<Schema, undefined> {
  return v.nullish(schema, undefined)
}

/**
 * Says in JSON Schema what a check after it says in code, for docs/network.schema.json (test/network-schema.test.ts makes it).
 * Put it before the first transformation; at run time it does nothing.
 */
export function inJsonSchema<Input>(words: Record<string, unknown>): v.MetadataAction<Input, Record<string, unknown>> {
  return v.metadata(words)
}

/** A schema built on first use. */
export function lazily<Schema>(build: () => Schema): () => Schema {
  let built: { readonly schema: Schema } | undefined
  return () => (built ??= { schema: build() }).schema
}

/**
 * The object as its schema gives it, or undefined when something is wrong (all of it reported).
 * @param unknownFields `refuse`: a field that the schema does not have is an error (netsim's own documents); `hint`: only one that is
 *   spelt almost like a known one is a warning (Kubernetes objects have far more fields than netsim reads); `name`: so is every one in the
 *   spec (kinds that are read whole: whoever acts on them goes on without the field).
 */
export function check<const Schema extends v.GenericSchema>(
  schema: Schema,
  object: KubernetesObject,
  problems: ProblemList,
  unknownFields: UnknownFields,
): v.InferOutput<Schema> | undefined {
  const shaped = checkShape(schema, object.value, [], { object, problems, unknownFields })
  const result = v.safeParse(schema, object.value)
  if (result.success) return shaped ? result.output : undefined
  for (const issue of result.issues) reportIssue(issue, object, problems)
  return undefined
}

function reportIssue(issue: v.BaseIssue<unknown>, object: KubernetesObject, problems: ProblemList): void {
  const inner = (issue.path ?? []).map((item) => item.key as string | number)
  const path = [...object.within, ...inner]
  const place = { file: object.file, line: object.lineOf(inner) }
  if (issue.message.includes(SEPARATOR)) {
    const [what, fix] = issue.message.split(SEPARATOR)
    problems.error(place, object.label, `${formatPath(path)}: ${what}`, fix)
    return
  }
  const choices = choicesOf(issue)
  const due = EXPECTED[issue.expected ?? ''] ?? (choices.length > 0 ? choices.join(' or ') : (issue.expected ?? 'something else'))
  if (issue.input === undefined) problems.error(place, object.label, `${formatPath(path)} is missing`, `Write ${due} there.`)
  else problems.error(place, object.label, `${formatPath(path)} is ${describeValue(issue.input)}, not ${due}`, fixOf(issue))
}

const EXPECTED: Readonly<Record<string, string>> = { string: 'text', number: 'a number', boolean: 'true or false', Array: 'a list', Object: 'a mapping' }

function fixOf(issue: v.BaseIssue<unknown>): string {
  if (issue.expected === 'string' && (typeof issue.input === 'number' || typeof issue.input === 'boolean'))
    return `Write it in quotes: "${String(issue.input)}".`
  const glued = typeof issue.input === 'string' ? /^([A-Za-z0-9_./-]+):([^\s:/].*)$/.exec(issue.input) : null
  if (glued !== null && (issue.expected === 'Object' || issue.type === 'record')) return `A blank belongs after the colon: ${glued[1]}: ${glued[2]}.`
  if (issue.expected === 'Array') return 'Start each item on a line of its own with "- ".'
  const choices = choicesOf(issue)
  return choices.length > 0 && typeof issue.input === 'string' ? suggestName(issue.input, choices) : ''
}

/** The words of a picklist; valibot tells them as `("etcd" | "kubernetes")`. */
function choicesOf(issue: v.BaseIssue<unknown>): string[] {
  return issue.type === 'picklist' ? [...(issue.expected ?? '').matchAll(/"([^"]+)"/g)].map(([, word]) => word) : []
}

/** `spec.containers[0].ports`, `metadata.labels["a.b/c"]`. */
function formatPath(path: Path): string {
  const text = path.map((step) => (typeof step === 'number' ? `[${step}]` : /^[A-Za-z0-9_-]+$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`)).join('')
  return text === '' ? 'the object' : text.replace(/^\./, '')
}

export type UnknownFields = 'refuse' | 'hint' | 'name'

interface Unknown {
  readonly object: KubernetesObject
  readonly problems: ProblemList
  readonly unknownFields: UnknownFields
}

type SchemaEntries = Readonly<Record<string, SchemaShape>>

/** A schema as valibot lays it out; a pipe carries the fields of its first part. */
interface SchemaShape {
  readonly type: string
  readonly entries?: SchemaEntries
  readonly item?: SchemaShape
  readonly wrapped?: SchemaShape
  /** Of a record. */
  readonly value?: SchemaShape
}

/** Reports unknown fields, and lists where mappings are due: valibot takes a list for an object. False when there was one. */
function checkShape(schema: SchemaShape, value: JsonValue | undefined, path: Path, context: Unknown): boolean {
  if (schema.wrapped !== undefined) return checkShape(schema.wrapped, value, path, context)
  if (schema.item !== undefined && Array.isArray(value))
    return allOf(value.map((item: JsonValue, index) => checkShape(schema.item as SchemaShape, item, [...path, index], context)))
  if (schema.entries === undefined && schema.type !== 'record') return true
  if (Array.isArray(value)) {
    const { object, problems } = context
    problems.error(
      { file: object.file, line: object.lineOf(path) },
      object.label,
      `${formatPath([...object.within, ...path])} is a list, not a mapping`,
      'Write key: value, without the dash.',
    )
    return false
  }
  if (!isObject(value)) return true
  const { entries } = schema
  if (entries === undefined)
    return schema.value === undefined || allOf(Object.keys(value).map((key) => checkShape(schema.value as SchemaShape, value[key], [...path, key], context)))
  return allOf(
    Object.keys(value).map((key) => {
      if (Object.hasOwn(entries, key)) return checkShape(entries[key], value[key], [...path, key], context)
      reportUnknownField(key, entries, path, context)
      return true
    }),
  )
}

/** All are looked at before this is asked. */
function allOf(checks: readonly boolean[]): boolean {
  return checks.every(Boolean)
}

function reportUnknownField(key: string, entries: SchemaEntries, path: Path, context: Unknown): void {
  const { object, problems, unknownFields } = context
  const meant = unknownFields === 'refuse' ? undefined : misspeltField(key, entries)
  const isNamed = unknownFields === 'name' && path[0] === 'spec'
  if (unknownFields !== 'refuse' && meant === undefined && !isNamed) return
  const place = { file: object.file, line: object.lineOf([...path, key]) }
  const field = formatPath([...object.within, ...path, key])
  if (unknownFields === 'refuse') problems.error(place, object.label, `unknown field ${field}`, suggestName(key, Object.keys(entries)))
  else if (meant !== undefined) problems.warning(place, object.label, `unknown field ${field}`, `Did you mean ${meant}? As it stands the field says nothing.`)
  else problems.warning(place, object.label, `unknown field ${field}: it says nothing`, `The fields here are ${Object.keys(entries).join(', ')}.`)
}

/** By mapping of a schema and name: the pods of a dump have the same fields, tens of thousands of times. */
const misspelt = new WeakMap<SchemaEntries, Map<string, string | undefined>>()

/** The known field that is spelt almost like it. */
function misspeltField(key: string, entries: SchemaEntries): string | undefined {
  let found = misspelt.get(entries)
  if (found === undefined) misspelt.set(entries, (found = new Map<string, string | undefined>()))
  if (!found.has(key)) {
    const isNear = (candidate: string): boolean => candidate.length >= 5 && editDistance(key.toLowerCase(), candidate.toLowerCase()) <= 1
    found.set(key, key.length < 5 ? undefined : Object.keys(entries).find(isNear))
  }
  return found.get(key)
}
