/** Timers with callbacks over the event queue: what a daemon's own event loop gives it. One handler of the simulation serves them all. */
import type { Simulation } from './simulation.js'

export interface Timer {
  /** Virtual time, ns. */
  readonly dueNs: number
  cancel(): void
}

interface Slot extends Timer {
  run: (() => void) | undefined
}

export class Timers {
  private readonly handler: number
  private readonly slots: (Slot | undefined)[] = []
  private readonly free: number[] = []

  private readonly simulation: Simulation

  constructor(simulation: Simulation) {
    this.simulation = simulation
    this.handler = simulation.register((at) => this.fire(at))
  }

  get nowNs(): number {
    return this.simulation.nowNs
  }

  after(delayNs: number, run: () => void): Timer {
    const slot: Slot = {
      dueNs: this.nowNs + delayNs,
      run,
      cancel: () => {
        slot.run = undefined
      },
    }
    const at = this.free.pop() ?? this.slots.length
    this.slots[at] = slot
    this.simulation.schedule(delayNs, this.handler, at)
    return slot
  }

  private fire(at: number): void {
    const slot = this.slots[at]
    this.slots[at] = undefined
    this.free.push(at)
    slot?.run?.()
  }
}
