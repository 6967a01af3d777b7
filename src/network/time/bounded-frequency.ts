/**
 * kube-proxy's throttle: at least the minimal interval between two runs, but that unused runs are saved up, to two. Of a run that is asked for: when it may be.
 * Source: kubernetes pkg/util/async/bounded_frequency_runner.go tryRun, with the token bucket of client-go util/flowcontrol.
 */
const BURST = 2

export class BoundedFrequency {
  private readonly minIntervalNs: number
  private tokens = BURST
  private countedNs = 0
  private lastRunNs = -Infinity

  constructor(minIntervalNs: number) {
    this.minIntervalNs = minIntervalNs
  }

  /** ns from now until it may run; 0: at once. */
  waitNs(nowNs: number): number {
    if (this.minIntervalNs === 0 || this.tokensAt(nowNs) >= 1) return 0
    // the runner looks again an interval after the last run, and then until there is a token
    const interval = this.lastRunNs + this.minIntervalNs - nowNs
    const token = (1 - this.tokensAt(nowNs)) * this.minIntervalNs
    return Math.ceil(Math.max(interval, token, 0))
  }

  ran(nowNs: number): void {
    this.tokens = Math.max(0, this.tokensAt(nowNs) - 1)
    this.countedNs = nowNs
    this.lastRunNs = nowNs
  }

  private tokensAt(nowNs: number): number {
    return this.minIntervalNs === 0 ? BURST : Math.min(BURST, this.tokens + (nowNs - this.countedNs) / this.minIntervalNs)
  }
}
