/** Timers that carry on what brought them about: whatever a timer's callback does has the cause that was in force when the timer was set. */
import { Timers, type Timer } from '../../sim/timers.js'

export class CausalTimers extends Timers {
  /** Entry of the diary; undefined: nothing but the start. */
  cause: number | undefined = undefined

  override after(delayNs: number, run: () => void): Timer {
    const { cause } = this
    return super.after(delayNs, () => {
      this.cause = cause
      run()
    })
  }

  /** @param cause entry of the diary */
  because(cause: number | undefined, run: () => void): void {
    const before = this.cause
    this.cause = cause
    run()
    this.cause = before
  }
}
