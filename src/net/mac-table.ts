// hot path
/** MAC → slot: open addressing over the two halves of the address, so that a lookup makes no heap number. Used by bridge and VXLAN FDBs. */
const EMPTY = -1

export class MacTable {
  private highs: Int32Array = new Int32Array(16)
  private lows: Int32Array = new Int32Array(16)
  private slots: Int32Array = new Int32Array(16).fill(EMPTY)
  private count = 0

  /** The slot stored for the address, -1 when there is none. */
  find(high: number, low: number): number {
    const mask = this.slots.length - 1
    let at = hash(high, low) & mask
    while (this.slots[at] !== EMPTY) {
      if (this.lows[at] === low && this.highs[at] === high) return this.slots[at]
      at = (at + 1) & mask
    }
    return -1
  }

  set(high: number, low: number, slot: number): void {
    if ((this.count + 1) * 2 > this.slots.length) this.grow()
    const mask = this.slots.length - 1
    let at = hash(high, low) & mask
    while (this.slots[at] !== EMPTY && (this.lows[at] !== low || this.highs[at] !== high)) at = (at + 1) & mask
    if (this.slots[at] === EMPTY) this.count++
    this.highs[at] = high
    this.lows[at] = low
    this.slots[at] = slot
  }

  clear(): void {
    this.slots.fill(EMPTY)
    this.count = 0
  }

  private grow(): void {
    const highs = this.highs
    const lows = this.lows
    const slots = this.slots
    const size = slots.length * 2
    this.highs = new Int32Array(size)
    this.lows = new Int32Array(size)
    this.slots = new Int32Array(size).fill(EMPTY)
    this.count = 0
    for (let i = 0; i < slots.length; i++) if (slots[i] !== EMPTY) this.set(highs[i], lows[i], slots[i])
  }
}

function hash(high: number, low: number): number {
  const mixed = Math.imul(low ^ Math.imul(high, 0x9e3779b1), 0x85ebca6b)
  return mixed ^ (mixed >>> 15)
}
