/** How long a session waits before it tries anew: each error doubles it, until none has come for long (proto/bgp/bgp.c bgp_update_startup_delay). */
import type { BirdTimers } from './config.js'

const SECOND = 1e9

export class ErrorWait {
  seconds = 0
  private lastNs = -1

  longer(nowNs: number, { errorForget, errorWaitMin, errorWaitMax }: BirdTimers): void {
    if (this.lastNs >= 0 && nowNs - this.lastNs >= errorForget * SECOND) this.seconds = 0
    this.lastNs = nowNs
    this.seconds = this.seconds === 0 ? errorWaitMin : Math.min(2 * this.seconds, errorWaitMax)
  }
}
