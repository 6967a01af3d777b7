/** The JSON that annotations held before it became fields: text → what its schema gives, or a Problem. */
import * as v from 'valibot'
import type { KubernetesObject } from './manifest.js'
import type { ProblemList } from './problem-list.js'

interface Annotation {
  readonly key: string
  readonly object: KubernetesObject
  readonly problems: ProblemList
}

/** A JSON text in an annotation against its schema; undefined when it does not fit, which is reported. */
export function readAnnotation<const Schema extends v.GenericSchema>(
  text: string,
  schema: Schema,
  { key, object, problems }: Annotation,
): v.InferOutput<Schema> | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    value = undefined
  }
  const result = v.safeParse(schema, value)
  if (result.success) return result.output
  const [issue] = result.issues
  const where = issue.path?.map((item) => String(item.key)).join('.') ?? ''
  problems.error(
    object.at('metadata', 'annotations', key),
    object.label,
    `annotation ${key} is ${value === undefined ? 'no JSON' : `wrong${where === '' ? '' : ` at ${where}`}`}`,
    'It holds, as JSON, what the field of that name in the spec holds today.',
  )
  return undefined
}
