/** Values by prefix: a map of addresses for each length, as a small integer is a key that costs neither text nor hashing. In the order of the lengths. */
import type { Cidr } from '../../base/cidr.js'

export class PrefixMap<T> {
  private readonly byLength: (Map<number, T> | undefined)[] = []
  /** Lengths in use, the longest first. */
  private used: readonly number[] = []
  size = 0

  get lengths(): readonly number[] {
    return this.used
  }

  at(base: number, length: number): T | undefined {
    return this.byLength[length]?.get(base)
  }

  get({ base, length }: Cidr): T | undefined {
    return this.byLength[length]?.get(base)
  }

  set({ base, length }: Cidr, value: T): void {
    let values = this.byLength[length]
    if (values === undefined) {
      values = this.byLength[length] = new Map()
    }
    if (values.size === 0) this.used = [...this.used, length].sort((a, b) => b - a)
    if (!values.has(base)) this.size++
    values.set(base, value)
  }

  delete({ base, length }: Cidr): boolean {
    const values = this.byLength[length]
    if (values?.delete(base) !== true) return false
    this.size--
    if (values.size === 0) this.used = this.used.filter((other) => other !== length)
    return true
  }

  clear(): void {
    this.byLength.length = 0
    this.used = []
    this.size = 0
  }

  values(): T[] {
    return this.used.flatMap((length) => [...(this.byLength[length]?.values() ?? [])])
  }
}
