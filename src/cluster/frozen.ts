/** Freezing what is built once: plain objects and lists by Object.freeze, maps by a Map that refuses changes. */

/** Freezes plain objects, lists and maps all the way down; what is frozen already is taken to be so inside too. The numbers of a typed array cannot be. */
export function deepFreeze<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value) || ArrayBuffer.isView(value)) return value
  Object.freeze(value)
  if (value instanceof Map) for (const item of value.values()) deepFreeze(item)
  else for (const item of Object.values(value)) deepFreeze(item)
  return value
}

/** A Map that holds what it was made of and nothing else. */
export class FrozenMap<Key, Value> extends Map<Key, Value> {
  constructor(entries: Iterable<readonly [Key, Value]>) {
    super()
    for (const [key, value] of entries) super.set(key, value)
  }

  override set(): this {
    throw new TypeError('the map is frozen')
  }

  override delete(): boolean {
    throw new TypeError('the map is frozen')
  }

  override clear(): void {
    throw new TypeError('the map is frozen')
  }
}
