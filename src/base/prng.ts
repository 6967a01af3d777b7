/**
 * The one source of randomness: xoshiro128** (Blackman, Vigna 2018), seeded through splitmix32. Integers only, so that the
 * same seed gives the same bytes on every machine.
 */
export class Prng {
  private a: number
  private b: number
  private c: number
  private d: number

  constructor(seed: number) {
    let state = seed | 0
    const splitmix = (): number => {
      state = (state + 0x9e3779b9) | 0
      let z = state
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
      return (z ^ (z >>> 15)) | 0
    }
    this.a = splitmix()
    this.b = splitmix()
    this.c = splitmix()
    this.d = splitmix()
  }

  /** A uniform int32. */
  nextInt32(): number {
    const scrambled = Math.imul(this.b, 5)
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9)
    const t = this.b << 9
    this.c ^= this.a
    this.d ^= this.b
    this.b ^= this.c
    this.a ^= this.d
    this.c ^= t
    this.d = (this.d << 11) | (this.d >>> 21)
    return result | 0
  }

  /** A uniform integer in [0, bound), bound at most 2^31; unbiased (values past the last whole multiple are drawn again). */
  below(bound: number): number {
    const limit = 4294967296 - (4294967296 % bound)
    let value = this.nextInt32() >>> 0
    while (value >= limit) value = this.nextInt32() >>> 0
    return value % bound
  }
}

/** A stable 32-bit hash of text (FNV-1a), to give each named thing its own stream: `new Prng(seed ^ hashText(name))`. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash | 0
}
