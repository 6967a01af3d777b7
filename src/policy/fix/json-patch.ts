/** JSON patches (RFC 6902) as kubectl takes them, and what they make of a value. Only `add`, `replace` and `remove` are made here. */
import { isObject, type JsonObject, type JsonValue, type Path } from '../../cluster/located.js'

export type PatchStep = { readonly op: 'add' | 'replace'; readonly path: Path; readonly value: JsonValue } | { readonly op: 'remove'; readonly path: Path }

/** In the order given. A step whose path does not lead anywhere leaves the value as it is. */
export function applyPatch(value: JsonObject, steps: readonly PatchStep[]): JsonObject {
  return steps.reduce<JsonObject>((result, step) => {
    const patched = patchAt(result, step.path, step)
    return isObject(patched) ? patched : result
  }, value)
}

function patchAt(value: JsonValue, [key, ...rest]: Path, step: PatchStep): JsonValue {
  if (Array.isArray(value)) return patchList(value as readonly JsonValue[], key, { rest, step })
  if (!isObject(value)) return value
  if (rest.length > 0) return Object.hasOwn(value, key) ? { ...value, [key]: patchAt(value[key], rest, step) } : value
  if (step.op !== 'remove') return { ...value, [key]: step.value }
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== key))
}

interface Deeper {
  readonly rest: Path
  readonly step: PatchStep
}

function patchList(list: readonly JsonValue[], key: string | number, { rest, step }: Deeper): JsonValue {
  const index = key === '-' ? list.length : Number(key)
  if (rest.length > 0) return list.map((item, i) => (i === index ? patchAt(item, rest, step) : item))
  const before = list.slice(0, index)
  if (step.op === 'add') return [...before, step.value, ...list.slice(index)]
  return step.op === 'remove' ? [...before, ...list.slice(index + 1)] : [...before, step.value, ...list.slice(index + 1)]
}

/** As `kubectl patch --type=json -p` takes it. */
export function patchText(steps: readonly PatchStep[]): string {
  return JSON.stringify(steps.map((step) => ({ op: step.op, path: pointer(step.path), ...(step.op === 'remove' ? {} : { value: step.value }) })))
}

/** RFC 6901. */
function pointer(path: Path): string {
  return path.map((step) => `/${String(step).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}
