/** The environment of a container as a manifest says it: values, and those that it takes from a ConfigMap of the input. */
import { isObject, type JsonObject, type JsonValue } from './located.js'
import type { KubernetesObject } from './manifest.js'

/** What comes from elsewhere (a field of the pod, a Secret) is left out. */
export function readEnvironment(container: object, objects: readonly KubernetesObject[]): Record<string, string> {
  const environment: Record<string, string> = {}
  const entries: unknown = 'env' in container ? container.env : undefined
  for (const entry of Array.isArray(entries) ? (entries as readonly JsonValue[]) : []) {
    if (!isObject(entry) || typeof entry.name !== 'string') continue
    const reference = isObject(entry.valueFrom) ? entry.valueFrom.configMapKeyRef : undefined
    const value = isObject(reference) ? lookUp(reference, objects) : (entry.value ?? '')
    if (typeof value === 'string' && !('valueFrom' in entry && !isObject(reference))) environment[entry.name] = value
  }
  return environment
}

function lookUp(reference: JsonObject, objects: readonly KubernetesObject[]): JsonValue | undefined {
  const data = objects.find(({ kind, name }) => kind === 'ConfigMap' && name === reference.name)?.value.data
  return isObject(data) && typeof reference.key === 'string' ? data[reference.key] : undefined
}
