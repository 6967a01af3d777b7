/**
 * What a session still has to say: prefixes in buckets of equal attributes, withdrawals first, a later word on a prefix replacing
 * an earlier one that was not sent yet (proto/bgp/attrs.c bgp_rt_notify, packets.c bgp_create_update). So one UPDATE carries all blocks
 * of a node, and never those of two nodes.
 */
import type { PathAttributes } from './attributes.js'
import { prefixesPerUpdate, type PathPrefix, type SessionRules, type UpdateMessage } from './message.js'
import { attributesLength } from './on-the-wire.js'
import { pathKey, SharedPath } from './shared-path.js'

/** Most hold one prefix. */
type Bucket = PathPrefix | Map<string, PathPrefix>

function keyOf(path: PathPrefix): string {
  return path instanceof SharedPath ? path.key : pathKey(path)
}

export class Announcements {
  /** Equal attributes are one object: exporter.ts sees to it. */
  private readonly buckets = new Map<PathAttributes, Bucket>()
  private readonly withdrawn = new Map<string, PathPrefix>()
  /** The attributes under which a prefix stands; null: it is withdrawn. */
  private readonly places = new Map<string, PathAttributes | null>()

  announce(path: PathPrefix, attributes: PathAttributes): void {
    const key = keyOf(path)
    this.takeBack(key)
    this.places.set(key, attributes)
    const bucket = this.buckets.get(attributes)
    if (bucket === undefined) this.buckets.set(attributes, path)
    else if (bucket instanceof Map) bucket.set(key, path)
    else this.buckets.set(attributes, new Map([...(keyOf(bucket) === key ? [] : ([[keyOf(bucket), bucket]] as const)), [key, path]]))
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
    const bucket = this.buckets.get(place)
    if (bucket instanceof Map) bucket.delete(key)
    else this.buckets.delete(place)
  }

  clear(): void {
    this.buckets.clear()
    this.withdrawn.clear()
    this.places.clear()
  }

  /** The next UPDATE, or undefined when nothing is left. */
  next(rules: SessionRules): UpdateMessage | undefined {
    if (this.withdrawn.size > 0) {
      const withdrawn = this.take(this.withdrawn, prefixesPerUpdate(0, 32, rules))
      return { type: 'update', withdrawn, reachable: [] }
    }
    for (const [attributes, bucket] of this.buckets) {
      if (!(bucket instanceof Map)) {
        this.buckets.delete(attributes)
        this.places.delete(keyOf(bucket))
        return bucket instanceof SharedPath ? bucket.updateWith(attributes) : { type: 'update', withdrawn: [], attributes, reachable: [bucket] }
      }
      if (bucket.size === 0) {
        this.buckets.delete(attributes)
        continue
      }
      const reachable = this.take(bucket, prefixesPerUpdate(attributesLength(attributes, rules), 32, rules))
      return { type: 'update', withdrawn: [], attributes, reachable }
    }
    return undefined
  }

  private take(from: Map<string, PathPrefix>, count: number): PathPrefix[] {
    const taken: PathPrefix[] = []
    for (const [key, path] of from) {
      if (taken.length === count) break
      taken.push(path)
      from.delete(key)
      this.places.delete(key)
    }
    return taken
  }
}
