/** How far a run of flows is, on one line of a terminal that is written over and taken away at the end. */
import type { Io } from './io.js'

const EVERY_MS = 200

export class Progress {
  private readonly io: Io
  private readonly total: number
  private readonly startMs = Date.now()
  private shownMs = this.startMs
  private walked = 0
  private width = 0

  /** @param total packets of the whole run */
  constructor(io: Io, total: number) {
    this.io = io
    this.total = total
  }

  add(packets: number): void {
    this.walked += packets
    const nowMs = Date.now()
    if (this.io.errIsTerminal !== true || nowMs - this.shownMs < EVERY_MS) return
    this.shownMs = nowMs
    const perSecond = (this.walked * 1000) / Math.max(1, nowMs - this.startMs)
    const left = Math.ceil((this.total - this.walked) / perSecond)
    const share = Math.floor((this.walked / this.total) * 100)
    this.show(`${this.walked} of ${this.total} packets, ${share} %, ${Math.round(perSecond)} packets/s, ${Math.max(0, left)} s left`)
  }

  end(): void {
    if (this.width > 0) this.show('')
  }

  private show(text: string): void {
    void this.io.err(`\r${text.padEnd(this.width)}${text === '' ? '\r' : ''}`)
    this.width = text.length
  }
}
