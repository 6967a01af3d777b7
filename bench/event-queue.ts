/**
 * sim/event-queue.ts against the plain way to write it: a binary heap of objects. Both stand at 64 events; an operation takes
 * the earliest out and puts a later one in, as a running simulation does.
 */
import { Prng } from '../src/base/prng.js'
import { EventQueue } from '../src/sim/event-queue.js'
import type { Suite } from './suite.js'

const PENDING = 64
const OPERATIONS = 1000

interface Event {
  readonly timeNs: number
  readonly sequence: number
  readonly handler: number
  readonly arg: number
}

class ObjectHeap {
  private readonly heap: Event[] = []
  private nextSequence = 0

  push(timeNs: number, handler: number, arg: number): void {
    let at = this.heap.push({ timeNs, sequence: this.nextSequence++, handler, arg }) - 1
    for (let parent = (at - 1) >> 1; at > 0 && before(this.heap[at], this.heap[parent]); parent = (at - 1) >> 1) at = this.swap(at, parent)
  }

  pop(): Event {
    const first = this.heap[0]
    const last = this.heap.pop() as Event
    if (this.heap.length === 0) return first
    this.heap[0] = last
    for (let at = 0, child = 1; child < this.heap.length; child = 2 * at + 1) {
      if (child + 1 < this.heap.length && before(this.heap[child + 1], this.heap[child])) child++
      if (!before(this.heap[child], this.heap[at])) break
      at = this.swap(at, child)
    }
    return first
  }

  private swap(from: number, to: number): number {
    const moved = this.heap[from]
    this.heap[from] = this.heap[to]
    this.heap[to] = moved
    return to
  }
}

function before(a: Event, b: Event): boolean {
  return a.timeNs < b.timeNs || (a.timeNs === b.timeNs && a.sequence < b.sequence)
}

const prng = new Prng(1)
const delays = Float64Array.from({ length: OPERATIONS }, () => prng.below(100_000))
const queue = new EventQueue()
const heap = new ObjectHeap()
for (let i = 0; i < PENDING; i++) {
  queue.push(delays[i], 1, i)
  heap.push(delays[i], 1, i)
}

export const suites: readonly Suite[] = [
  {
    name: `event queue: pop and push among ${PENDING}`,
    base: 'typed arrays',
    cases: [
      {
        name: 'typed arrays',
        operations: OPERATIONS,
        run: () => {
          let sum = 0
          for (let i = 0; i < OPERATIONS; i++) {
            const timeNs = queue.peekTime()
            const arg = queue.peekArg()
            queue.pop()
            queue.push(timeNs + delays[i], 1, arg)
            sum += arg
          }
          return sum
        },
      },
      {
        name: 'heap of objects',
        operations: OPERATIONS,
        run: () => {
          let sum = 0
          for (let i = 0; i < OPERATIONS; i++) {
            const { timeNs, arg } = heap.pop()
            heap.push(timeNs + delays[i], 1, arg)
            sum += arg
          }
          return sum
        },
      },
    ],
  },
]
