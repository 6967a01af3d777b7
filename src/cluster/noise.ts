/**
 * What objects of a real cluster carry that nothing here reads, by kind: left out while the text is read, so that a dump of tens of thousands
 * of pods takes a tenth of its size. A new reader of a field takes it off this list.
 */
import { kindInfo } from './kinds.js'
import { Lines, setKey, sizeAt, type JsonObject, type JsonValue } from './located.js'

/** Of a mapping; a list hands its own to each of its items. */
export interface Noise {
  readonly drop?: ReadonlySet<string>
  /** All other keys are left out. */
  readonly only?: ReadonlySet<string>
  readonly inside?: ReadonlyMap<string, Noise>
}

/** Everything of a value. */
export const ALL_NOISE: Noise = {}

function noise(drop: readonly string[], inside: Readonly<Record<string, Noise>> = {}): Noise {
  return { drop: new Set(drop), inside: new Map(Object.entries(inside)) }
}

const METADATA = noise(['managedFields'], { annotations: noise(['kubectl.kubernetes.io/last-applied-configuration']) })
const COMMON = noise([], { metadata: METADATA })

const CONTAINER = noise(['env', 'envFrom', 'volumeMounts', 'volumeDevices', 'terminationMessagePath', 'terminationMessagePolicy'])

/** A workload's template keeps its containers' environment: flanneld and calico-node are set up by it. */
const POD = noise([], {
  metadata: METADATA,
  spec: noise(['volumes'], { containers: CONTAINER, initContainers: CONTAINER, ephemeralContainers: CONTAINER }),
  status: noise(['containerStatuses', 'initContainerStatuses', 'ephemeralContainerStatuses']),
})

const NODE = noise([], { metadata: METADATA, status: noise(['images', 'volumesInUse', 'volumesAttached']) })

/** Enough to name the object, and to know which of two is the newer. */
const HEAD: Noise = {
  only: new Set(['apiVersion', 'kind', 'metadata']),
  inside: new Map([['metadata', { only: new Set(['name', 'namespace', 'generateName', 'uid', 'resourceVersion']) }]]),
}

/** undefined for a kind that is not known yet: nothing can be told of it. */
export function noiseOf(apiVersion: string | undefined, kind: string | undefined): Noise | undefined {
  if (apiVersion === undefined || kind === undefined) return COMMON
  if (apiVersion === 'v1' && kind === 'Pod') return POD
  if (apiVersion === 'v1' && kind === 'Node') return NODE
  // a list is taken apart, its items have noise of their own
  if (kind.endsWith('List') || apiVersion.startsWith('netsim/')) return COMMON
  const role = kindInfo(apiVersion, kind)?.role ?? 'none'
  return role === 'none' ? HEAD : COMMON
}

/** What stands for the noise of `key`: ALL_NOISE when the key is left out. */
export function noiseAt(around: Noise | undefined, key: string): Noise | undefined {
  if (around === undefined) return undefined
  if (around === ALL_NOISE || around.drop?.has(key) === true || around.only?.has(key) === false) return ALL_NOISE
  return around.inside?.get(key)
}

/** The same without its noise; what has none is handed back as it is. */
export function withoutNoise(value: JsonObject, lines: Lines, around: Noise | undefined): { readonly value: JsonObject; readonly lines: Lines } {
  if (!hasNoise(value, around)) return { value, lines }
  const table: number[] = []
  const kept = copy(lines, around, table) as JsonObject
  return { value: kept, lines: new Lines(kept, Int32Array.from(table), 0) }
}

function hasNoise(value: JsonValue, around: Noise | undefined): boolean {
  if (around === undefined || typeof value !== 'object' || value === null) return false
  if (Array.isArray(value)) return value.some((item: JsonValue) => hasNoise(item, around))
  const object = value as JsonObject
  if (around.only === undefined) {
    for (const key of around.drop ?? []) if (Object.hasOwn(object, key)) return true
  } else if (Object.keys(object).some((key) => around.only?.has(key) === false)) return true
  for (const [key, inner] of around.inside ?? []) if (Object.hasOwn(object, key) && hasNoise(object[key], inner)) return true
  return false
}

function copy({ value, table: from, start }: Lines, around: Noise | undefined, to: number[]): JsonValue {
  const opened = to.push(from[start]) - 1
  if (typeof value !== 'object' || value === null) return value
  to.push(0)
  let index = start + 2
  const next = (part: JsonValue, inner: Noise | undefined): JsonValue | undefined => {
    const lines = new Lines(part, from, index)
    index += sizeAt(part, from, index)
    return inner === ALL_NOISE ? undefined : copy(lines, inner, to)
  }
  let kept: JsonValue
  if (Array.isArray(value)) kept = value.map((item: JsonValue) => next(item, around) as JsonValue)
  else {
    const object: Record<string, JsonValue> = {}
    for (const key of Object.keys(value)) {
      const part = next((value as JsonObject)[key], noiseAt(around, key))
      if (part !== undefined) setKey(object, key, part)
    }
    kept = object
  }
  to[opened + 1] = to.length - opened
  return Object.freeze(kept)
}
