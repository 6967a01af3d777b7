/** Pod templates of workloads as their controllers read them, each read once; and which of them are the same. */
import { isObject, valueAt, type JsonObject, type JsonValue } from '../../../cluster/located.js'
import type { KubernetesObject } from '../../../cluster/manifest.js'
import { ProblemList } from '../../../cluster/problem-list.js'
import { templateHash } from '../../../cluster/workloads/names.js'
import { HASH_LABEL } from '../../../cluster/workloads/replicated.js'
import { readTemplate, type Template } from '../../../cluster/workloads/template.js'
import { edited } from './pod-object.js'

export class Templates {
  private readonly known = new WeakMap<JsonObject, Template>()

  /** undefined: it is wrong beyond use, which was told when it came. */
  of(workload: KubernetesObject): Template | undefined {
    const value = templateOf(workload)
    const known = this.known.get(value)
    if (known !== undefined) return known
    const template = readTemplate(workload, ['Always', 'OnFailure', 'Never'], new ProblemList())
    if (template !== undefined) this.known.set(value, template)
    return template
  }
}

export function templateOf({ value }: KubernetesObject): JsonObject {
  const template = valueAt(value, ['spec', 'template'])
  return isObject(template) ? template : {}
}

/** Without the label by which ReplicaSets tell theirs apart. */
export function plainTemplate(template: JsonObject): JsonObject {
  const labels = valueAt(template, ['metadata', 'labels'])
  if (!isObject(labels) || !Object.hasOwn(labels, HASH_LABEL)) return template
  const { [HASH_LABEL]: _, ...others } = labels
  return { ...template, metadata: { ...(template.metadata as JsonObject), labels: others } }
}

const HASHES = new WeakMap<JsonObject, string>()

/** The same for templates that are the same but for that label. */
export function revisionHash(workload: KubernetesObject): string {
  const template = templateOf(workload)
  let hash = HASHES.get(template)
  if (hash === undefined) HASHES.set(template, (hash = templateHash(plainTemplate(template))))
  return hash
}

export function withTemplate(workload: KubernetesObject, template: JsonObject): KubernetesObject {
  return edited(workload, ['spec', 'template'], template)
}

/** A number of the spec; what is no number counts as not written. */
export function specNumber({ value }: KubernetesObject, field: string, otherwise: number): number {
  const written = valueAt(value, ['spec', field])
  return typeof written === 'number' ? written : otherwise
}

export function specText({ value }: KubernetesObject, ...path: readonly string[]): JsonValue | undefined {
  return valueAt(value, ['spec', ...path])
}
