/**
 * What a session still has to say: prefixes in buckets of equal attributes, withdrawals first, a later word on a prefix replacing
 * an earlier one that was not sent yet (proto/bgp/attrs.c bgp_rt_notify, packets.c bgp_create_update). So one UPDATE carries all blocks
 * of a node, and never those of two nodes.
 */
import { attributesKey, encodeAttributes, type PathAttributes } from './attributes.js'
import { prefixesPerUpdate, type PathPrefix, type SessionRules, type UpdateMessage } from './message.js'
import { prefixKey } from './route.js'

interface Bucket {
  readonly attributes: PathAttributes
  readonly prefixes: Map<string, PathPrefix>
}

export class Announcements {
  private readonly buckets = new Map<string, Bucket>()
  private readonly withdrawn = new Map<string, PathPrefix>()
  /** Which bucket holds a prefix. */
  private readonly places = new Map<string, Map<string, PathPrefix>>()

  announce(path: PathPrefix, attributes: PathAttributes): void {
    const key = attributesKey(attributes)
    let bucket = this.buckets.get(key)
    if (bucket === undefined) {
      bucket = { attributes, prefixes: new Map() }
      this.buckets.set(key, bucket)
    }
    this.place(path, bucket.prefixes)
  }

  withdraw(path: PathPrefix): void {
    this.place(path, this.withdrawn)
  }

  private place(path: PathPrefix, into: Map<string, PathPrefix>): void {
    const key = `${prefixKey(path.prefix)} ${path.pathId}`
    this.places.get(key)?.delete(key)
    into.set(key, path)
    this.places.set(key, into)
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
    for (const [key, { attributes, prefixes }] of this.buckets) {
      if (prefixes.size === 0) {
        this.buckets.delete(key)
        continue
      }
      const reachable = this.take(prefixes, prefixesPerUpdate(encodeAttributes(attributes, rules).length, 32, rules))
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
