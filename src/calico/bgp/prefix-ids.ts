/** Prefixes by number, in the order in which they were first heard of: what daemons know of a prefix then lies in arrays. */
import type { Cidr } from '../../base/cidr.js'
import { maskOf } from '../../base/cidr.js'
import type { Ip } from '../../base/ip.js'

export class PrefixIds {
  /** By number. */
  readonly prefixes: Cidr[] = []
  private readonly byLength: (Map<number, number> | undefined)[] = []

  get size(): number {
    return this.prefixes.length
  }

  /** undefined: nobody has heard of it. */
  find({ base, length }: Cidr): number | undefined {
    return this.byLength[length]?.get(base)
  }

  of(prefix: Cidr): number {
    const { base, length } = prefix
    const ids = (this.byLength[length] ??= new Map<number, number>())
    let id = ids.get(base)
    if (id === undefined) {
      id = this.prefixes.push(prefix) - 1
      ids.set(base, id)
    }
    return id
  }

  /** All that contain an address, the longest first. */
  around(address: Ip): number[] {
    const found: number[] = []
    for (let length = 32; length >= 0; length--) {
      const id = this.byLength[length]?.get(address & maskOf(length))
      if (id !== undefined) found.push(id)
    }
    return found
  }
}
