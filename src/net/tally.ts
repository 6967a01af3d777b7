// hot path
/** What walks add up for questions that are asked in bulk (analysis/flows): frames and bytes by device, what tunnels added. No row is written for it. */

const FIRST_DEVICES = 64

export class Tally {
  /** By Device.index: what the device sent, link-layer header included, as a packet socket on it sees it. */
  frames: Float64Array = new Float64Array(FIRST_DEVICES)
  bytes: Float64Array = new Float64Array(FIRST_DEVICES)
  /** By Device.index: packets that the tunnel wrapped, and by how many bytes they grew. */
  wrapped: Float64Array = new Float64Array(FIRST_DEVICES)
  added: Float64Array = new Float64Array(FIRST_DEVICES)

  /** @param device index in the world */
  sent(device: number, length: number): void {
    if (device >= this.frames.length) this.grow(device)
    this.frames[device]++
    this.bytes[device] += length
  }

  encapsulated(device: number, added: number): void {
    if (device >= this.frames.length) this.grow(device)
    this.wrapped[device]++
    this.added[device] += added
  }

  /** Cold. */
  private grow(device: number): void {
    const size = 2 ** Math.ceil(Math.log2(device + 1))
    this.frames = grown(this.frames, size)
    this.bytes = grown(this.bytes, size)
    this.wrapped = grown(this.wrapped, size)
    this.added = grown(this.added, size)
  }
}

/** Cold. */
function grown(from: Float64Array, size: number): Float64Array {
  const to = new Float64Array(size)
  to.set(from)
  return to
}
