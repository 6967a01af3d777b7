/**
 * Events ordered by (time, sequence): a binary heap over parallel typed arrays. Two events of one nanosecond run in the
 * order in which they were scheduled, which is what makes a run reproducible.
 */
const INITIAL_CAPACITY = 64

export class EventQueue {
  private times = new Float64Array(INITIAL_CAPACITY)
  private sequences = new Float64Array(INITIAL_CAPACITY)
  private handlers = new Int32Array(INITIAL_CAPACITY)
  private args = new Int32Array(INITIAL_CAPACITY)
  private size = 0
  private nextSequence = 0

  get length(): number {
    return this.size
  }

  /** Virtual time of the earliest event; Infinity when there is none. */
  peekTime(): number {
    return this.size === 0 ? Infinity : this.times[0]
  }

  peekHandler(): number {
    return this.handlers[0]
  }

  peekArg(): number {
    return this.args[0]
  }

  push(timeNs: number, handler: number, arg: number): void {
    if (this.size === this.times.length) this.grow()
    const leaf = this.size++
    this.place(leaf, timeNs, this.nextSequence++, handler, arg)
    this.siftUp(leaf)
  }

  /** Removes the earliest event; read it with the peeks first. */
  pop(): void {
    const last = --this.size
    if (last <= 0) return
    const timeNs = this.times[last]
    const sequence = this.sequences[last]
    const handler = this.handlers[last]
    const arg = this.args[last]
    let hole = 0
    for (;;) {
      let child = 2 * hole + 1
      if (child >= last) break
      if (child + 1 < last && this.before(child + 1, child)) child++
      if (timeNs < this.times[child] || (timeNs === this.times[child] && sequence < this.sequences[child])) break
      this.move(child, hole)
      hole = child
    }
    this.place(hole, timeNs, sequence, handler, arg)
  }

  clear(): void {
    this.size = 0
    this.nextSequence = 0
  }

  /** Takes the place alone, not the event: a double that is passed on costs a heap number. */
  private siftUp(leaf: number): void {
    const timeNs = this.times[leaf]
    const sequence = this.sequences[leaf]
    const handler = this.handlers[leaf]
    const arg = this.args[leaf]
    let hole = leaf
    while (hole > 0) {
      const parent = (hole - 1) >> 1
      if (this.times[parent] < timeNs || (this.times[parent] === timeNs && this.sequences[parent] < sequence)) break
      this.move(parent, hole)
      hole = parent
    }
    this.place(hole, timeNs, sequence, handler, arg)
  }

  private before(a: number, b: number): boolean {
    return this.times[a] < this.times[b] || (this.times[a] === this.times[b] && this.sequences[a] < this.sequences[b])
  }

  private move(from: number, to: number): void {
    this.place(to, this.times[from], this.sequences[from], this.handlers[from], this.args[from])
  }

  private place(at: number, timeNs: number, sequence: number, handler: number, arg: number): void {
    this.times[at] = timeNs
    this.sequences[at] = sequence
    this.handlers[at] = handler
    this.args[at] = arg
  }

  private grow(): void {
    const capacity = this.times.length * 2
    this.times = extended(this.times, new Float64Array(capacity))
    this.sequences = extended(this.sequences, new Float64Array(capacity))
    this.handlers = extended(this.handlers, new Int32Array(capacity))
    this.args = extended(this.args, new Int32Array(capacity))
  }
}

function extended<T extends Float64Array | Int32Array>(from: T, to: T): T {
  to.set(from)
  return to
}
