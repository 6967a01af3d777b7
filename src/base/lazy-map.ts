/** A map whose keys are known and whose values are made when they are first asked for, each once unless it is forgotten. */
export class LazyMap<Value> implements ReadonlyMap<string, Value> {
  private readonly order: ReadonlySet<string>
  private readonly make: (key: string) => Value
  private readonly made = new Map<string, Value>()

  constructor(keys: Iterable<string>, make: (key: string) => Value) {
    this.order = new Set(keys)
    this.make = make
  }

  get size(): number {
    return this.order.size
  }

  has(key: string): boolean {
    return this.order.has(key)
  }

  get(key: string): Value | undefined {
    if (this.made.has(key)) return this.made.get(key)
    if (!this.order.has(key)) return undefined
    const value = this.make(key)
    this.made.set(key, value)
    return value
  }

  /** Who asks for it after this has it made anew. */
  forget(key: string): void {
    this.made.delete(key)
  }

  keys(): MapIterator<string> {
    return this.order.keys()
  }

  /** Makes what is not made yet, as do the other ways to see all. */
  values(): MapIterator<Value> {
    return this.all().values()
  }

  entries(): MapIterator<[string, Value]> {
    return this.all().entries()
  }

  [Symbol.iterator](): MapIterator<[string, Value]> {
    return this.entries()
  }

  forEach(visit: (value: Value, key: string, map: ReadonlyMap<string, Value>) => void): void {
    for (const [key, value] of this.all()) visit(value, key, this)
  }

  private all(): Map<string, Value> {
    return new Map([...this.order].map((key) => [key, this.get(key) as Value]))
  }
}
