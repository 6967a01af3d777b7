/** Bytes → strings of their own. A slice of a larger string would keep all of that alive; these do not, and equal short ones are one. */

/** Of the running hash: hash = imul(hash ^ byte, HASH_PRIME), from 0 (as in FNV). */
export const HASH_PRIME = 0x01000193

const LONGEST_SHARED = 96
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Keys and words come again and again: one string serves all of them. By hash; a newer one takes the place. */
export class SharedStrings {
  private readonly strings: string[]

  /** @param size of the text, roughly, in bytes */
  constructor(size: number) {
    this.strings = new Array<string>(2 ** Math.min(15, Math.ceil(Math.log2(16 + size / 16)))).fill('')
  }

  /** Of ASCII alone, with its hash. */
  ascii(buffer: Uint8Array, start: number, end: number, hash: number): string {
    const length = end - start
    if (length > LONGEST_SHARED) return UTF8.decode(buffer.subarray(start, end))
    const slot = (hash ^ (hash >>> 15) ^ length) & (this.strings.length - 1)
    const candidate = this.strings[slot]
    if (candidate.length === length) {
      let at = 0
      while (at < length && candidate.charCodeAt(at) === buffer[start + at]) at++
      if (at === length) return candidate
    }
    const text = String.fromCharCode.apply(null, buffer.subarray(start, end) as unknown as number[])
    this.strings[slot] = text
    return text
  }
}

/** undefined for bytes that are no UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return UTF8.decode(bytes)
  } catch {
    return undefined
  }
}
