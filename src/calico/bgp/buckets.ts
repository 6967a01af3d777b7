/**
 * What waits to be said: prefixes in buckets of equal attributes, withdrawals first, a later word on a prefix replacing
 * an earlier one that was not sent yet (proto/bgp/attrs.c bgp_rt_notify, packets.c bgp_create_update). So one UPDATE carries all blocks
 * of a node, and never those of two nodes.
 */
import type { PathAttributes } from './attributes.js'
import { prefixLength, roomForPrefixes, type PathPrefix, type SessionRules, type UpdateMessage } from './message.js'
import { attributesLength } from './on-the-wire.js'
import { pathKey, SharedPath } from './shared-path.js'

/** A path ID, a length and a whole address: while there is room for that much one more is written, however short. */
const LONGEST_PREFIX = 9

/** Most hold one prefix. */
type Bucket = PathPrefix | Map<string, PathPrefix>

function keyOf(path: PathPrefix): string {
  return path instanceof SharedPath ? path.key : pathKey(path)
}

export class Buckets {
  /** Equal attributes are one object: exporter.ts sees to it. */
  private readonly buckets = new Map<PathAttributes, Bucket>()
  private readonly withdrawn = new Map<string, PathPrefix>()
  /** The attributes under which a prefix stands; null: it is withdrawn. */
  private readonly places = new Map<string, PathAttributes | null>()
  /** Where `next` is among the buckets: before it none is left, but for one that is not empty yet, or may be filled again. */
  private queue: Iterator<[PathAttributes, Bucket], undefined> | undefined
  private current: readonly [PathAttributes, Bucket] | undefined

  announce(path: PathPrefix, attributes: PathAttributes): void {
    const key = keyOf(path)
    this.takeBack(key)
    this.places.set(key, attributes)
    const bucket = this.buckets.get(attributes)
    if (bucket === undefined) this.buckets.set(attributes, path)
    else if (bucket instanceof Map) bucket.set(key, path)
    else {
      const both = [bucket, path].map((one) => [keyOf(one), one] as const)
      this.buckets.set(attributes, new Map(both))
    }
  }

  withdraw(path: PathPrefix): void {
    const key = keyOf(path)
    this.takeBack(key)
    this.places.set(key, null)
    this.withdrawn.set(key, path)
  }

  private takeBack(key: string): void {
    const place = this.places.get(key)
    if (place === undefined) return
    if (place === null) {
      this.withdrawn.delete(key)
      return
    }
    // an empty bucket keeps its place until an UPDATE is made (bgp_create_update)
    const bucket = this.buckets.get(place)
    if (bucket instanceof Map) bucket.delete(key)
    else this.buckets.set(place, new Map())
  }

  get isEmpty(): boolean {
    return this.places.size === 0
  }

  clear(): void {
    this.buckets.clear()
    this.withdrawn.clear()
    this.places.clear()
    this.queue = this.current = undefined
  }

  /** The next UPDATE, or undefined when nothing is left. */
  next(rules: SessionRules): UpdateMessage | undefined {
    if (this.withdrawn.size > 0) {
      const withdrawn = this.take(this.withdrawn, roomForPrefixes(0), rules)
      return { type: 'update', withdrawn, reachable: [] }
    }
    for (let head = this.head(); head !== undefined; head = this.head()) {
      const [attributes, bucket] = head
      if (!(bucket instanceof Map)) {
        this.buckets.delete(attributes)
        this.places.delete(keyOf(bucket))
        return bucket instanceof SharedPath ? bucket.updateWith(attributes) : { type: 'update', withdrawn: [], attributes, reachable: [bucket] }
      }
      if (bucket.size === 0) {
        this.buckets.delete(attributes)
        this.current = undefined
        continue
      }
      this.current = head
      const reachable = this.take(bucket, roomForPrefixes(attributesLength(attributes, rules)), rules)
      return { type: 'update', withdrawn: [], attributes, reachable }
    }
    return undefined
  }

  /** The first bucket. */
  private head(): readonly [PathAttributes, Bucket] | undefined {
    if (this.current !== undefined) return this.current
    this.queue ??= this.buckets[Symbol.iterator]()
    const { value, done } = this.queue.next()
    if (done !== true) return value
    this.queue = undefined
    return undefined
  }

  /** What goes into one message (BIRD 1.6: packets.c bgp_encode_prefixes). */
  private take(from: Map<string, PathPrefix>, room: number, rules: SessionRules): PathPrefix[] {
    const taken: PathPrefix[] = []
    let left = room
    for (const [key, path] of from) {
      if (left < LONGEST_PREFIX) break
      left -= prefixLength(path, rules)
      taken.push(path)
      from.delete(key)
      this.places.delete(key)
    }
    return taken
  }
}
