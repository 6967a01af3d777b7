/**
 * Lists and mappings of a text that say the same become one value: the pods of a Deployment differ in names and addresses, hardly in what they ask of a
 * node. Only what stands under the same key and not long after one another is compared, part by part: parts have been shared before their whole is read.
 */
import type { JsonObject, JsonValue } from './located.js'

/** How many values of a key are remembered: pods of a few templates take turns. */
const REMEMBERED = 8
/** What has more parts is seldom found again. */
const PARTS_MAX = 16

interface Known<Value> {
  readonly value: Value
  /** In the order of the text; of a list none. */
  readonly keys: readonly string[]
}

class Recent<Value> {
  private readonly known: Known<Value>[] = []
  private next = 0

  /** The newest are looked at first. */
  find(is: (known: Known<Value>) => boolean): Value | undefined {
    const { known } = this
    for (let back = 1; back <= known.length; back++) {
      const one = known[(this.next - back + REMEMBERED) % REMEMBERED]
      if (is(one)) return one.value
    }
    return undefined
  }

  add(one: Known<Value>): void {
    this.known[this.next] = one
    this.next = (this.next + 1) % REMEMBERED
  }
}

const NO_KEYS: readonly string[] = []

export class SharedValues {
  private readonly lists = new Map<string, Recent<readonly JsonValue[]>>()
  private readonly mappings = new Map<string, Recent<JsonObject>>()

  /** @param key under which it stands. @returns a frozen list of the same items, as long as it is */
  list(key: string, value: readonly JsonValue[]): readonly JsonValue[] {
    const { length } = value
    if (length > PARTS_MAX) return Object.freeze(value)
    const recent = recentOf(this.lists, key)
    const found = recent.find(({ value: other }) => other.length === length && value.every((part, at) => Object.is(part, other[at])))
    if (found !== undefined) return found
    // without the room that push makes
    const kept = Object.freeze(value.slice())
    recent.add({ value: kept, keys: NO_KEYS })
    return kept
  }

  /** @param keys in the order of the text, each once */
  mapping(key: string, value: JsonObject, keys: readonly string[]): JsonObject {
    const { length } = keys
    if (length > PARTS_MAX) return Object.freeze(value)
    const recent = recentOf(this.mappings, key)
    const found = recent.find(
      ({ value: other, keys: others }) => others.length === length && keys.every((name, at) => name === others[at] && Object.is(value[name], other[name])),
    )
    if (found !== undefined) return found
    recent.add({ value: Object.freeze(value), keys })
    return value
  }
}

function recentOf<Value>(all: Map<string, Recent<Value>>, key: string): Recent<Value> {
  const known = all.get(key)
  if (known !== undefined) return known
  const made = new Recent<Value>()
  all.set(key, made)
  return made
}
