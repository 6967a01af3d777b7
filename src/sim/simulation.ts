/**
 * Virtual time. Whoever wants events registers a handler once and gets an id; an event is that id with one integer, so that
 * scheduling allocates nothing. What the integer means (a slot in a table of packets, of neighbours, of timers) is the
 * handler's business. Knows nothing of packets.
 */
import { assert } from '../base/assert.js'
import { EventQueue } from './event-queue.js'

/** 90 days: past it a run is taken to be endless. */
export const TIME_LIMIT_NS = 90 * 86_400 * 1e9

type EventHandler = (arg: number) => void

export class Simulation {
  /** Virtual time, integer nanoseconds since the start of the run. */
  nowNs = 0
  private readonly queue = new EventQueue()
  private readonly handlers: EventHandler[] = []

  register(handler: EventHandler): number {
    return this.handlers.push(handler) - 1
  }

  schedule(delayNs: number, handler: number, arg: number): void {
    assert(delayNs >= 0 && Number.isInteger(delayNs), 'a delay is a whole number of nanoseconds, none negative')
    this.queue.push(this.nowNs + delayNs, handler, arg)
  }

  /** Runs the earliest event; false when there is none before the limit. */
  step(untilNs: number = TIME_LIMIT_NS): boolean {
    // asked first: a time that may be Infinity is one that V8 boxes
    if (this.queue.length === 0) return false
    const timeNs = this.queue.peekTime()
    if (timeNs > untilNs) return false
    const handler = this.queue.peekHandler()
    const arg = this.queue.peekArg()
    this.queue.pop()
    this.nowNs = timeNs
    this.handlers[handler](arg)
    return true
  }

  /** Runs until nothing is pending or the time is reached. @returns the number of events run */
  run(untilNs: number = TIME_LIMIT_NS): number {
    let count = 0
    while (this.step(untilNs)) count++
    return count
  }

  /** Virtual time of the earliest event; Infinity when there is none. */
  get nextNs(): number {
    return this.queue.peekTime()
  }

  get pending(): number {
    return this.queue.length
  }

  /** Forgets all pending events and starts again at time 0; the handlers stay. */
  reset(): void {
    this.queue.clear()
    this.nowNs = 0
  }
}
