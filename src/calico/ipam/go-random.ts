/**
 * Go's math/rand as Calico's IPAM draws from it: NewSource(seed), then big.Int.Rand. Bit for bit, because the first block that a node asks
 * for follows from its name alone. Source: Go src/math/rand/rng.go and src/math/big/nat.go (random).
 */
import { GO_RANDOM_STATE } from './go-random-table.js'

const LENGTH = 607
const TAP = 273
const MODULUS = 2147483647
const MASK_64 = (1n << 64n) - 1n

let state: readonly bigint[] | undefined

function initialState(): readonly bigint[] {
  if (state !== undefined) return state
  const bytes = Uint8Array.from(atob(GO_RANDOM_STATE), (character) => character.charCodeAt(0))
  const view = new DataView(bytes.buffer)
  state = Array.from({ length: LENGTH }, (_, index) => view.getBigUint64(index * 8, true))
  return state
}

/** x(n+1) = 48271 x(n) mod 2^31 - 1; exact in doubles. */
export function seedStep(x: number): number {
  return (48271 * x) % MODULUS
}

/** One source of random numbers. */
export class GoRandom {
  private readonly words: bigint[]
  private tap = 0
  private feed = LENGTH - TAP

  /** @param seed a whole number, 0 or more */
  constructor(seed: number) {
    const mixed = initialState()
    let x = seed % MODULUS || 89482311
    for (let i = 0; i < 20; i++) x = seedStep(x)
    this.words = mixed.map((word) => {
      let drawn = 0n
      for (const shift of [40n, 20n, 0n]) {
        x = seedStep(x)
        drawn ^= BigInt(x) << shift
      }
      return (drawn ^ word) & MASK_64
    })
  }

  uint64(): bigint {
    this.tap = (this.tap + LENGTH - 1) % LENGTH
    this.feed = (this.feed + LENGTH - 1) % LENGTH
    const sum = (this.words[this.feed] + this.words[this.tap]) & MASK_64
    this.words[this.feed] = sum
    return sum
  }

  /** The upper 32 of the 63 bits of Int63. */
  uint32(): number {
    return Number((this.uint64() >> 31n) & 0xffffffffn)
  }

  /**
   * A uniform number of [0, bound), as big.Int.Rand draws it on a 64-bit machine: two words of 32 bits, of which it keeps as many low bits
   * as the bound itself has, until what is left is below it.
   * @param bound 1 to 2^32 - 1
   */
  below(bound: number): number {
    const bits = 32 - Math.clz32(bound)
    const mask = bits === 32 ? 0xffffffff : 2 ** bits - 1
    for (;;) {
      const drawn = (this.uint32() & mask) >>> 0
      this.uint32()
      if (drawn < bound) return drawn
    }
  }
}

/** FNV-1, 32 bits: multiply, then xor. Over the bytes of UTF-8. */
export function fnv1(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash, 0x01000193) ^ byte
  return hash >>> 0
}
