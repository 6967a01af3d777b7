/**
 * The mark bits that Felix takes from its mask, lowest first, and the marks of endpoints under IPVS. After felix/dataplane/driver.go,
 * felix/markbits/mark_bits.go and felix/rules/epmark.go.
 */
import { assert } from '../../base/assert.js'
import type { CalicoProfile } from '../version.js'

/** Each a mask of bits as uint32. */
export interface Marks {
  readonly accept: number
  readonly pass: number
  /** 0 in releases that deny without a mark. */
  readonly drop: number
  readonly scratch0: number
  readonly scratch1: number
  /** 0 unless WireGuard is on. */
  readonly wireguard: number
  /** All bits that are left: one number per endpoint (IPVS). */
  readonly endpoint: number
  readonly nonCaliEndpoint: number
}

export const DEFAULT_MARK_MASK = 0xffff0000

function bitsOf(mask: number): number[] {
  return Array.from({ length: 32 }, (_, i) => (1 << i) >>> 0).filter((bit) => (mask & bit) !== 0)
}

/** undefined when the mask has too few bits. */
export function allocateMarks(mask: number, release: Pick<CalicoProfile, 'dropMark'>, options: { readonly wireguard: boolean }): Marks | undefined {
  const free = bitsOf(mask)
  const needed = 4 + (release.dropMark ? 1 : 0) + (options.wireguard ? 1 : 0)
  if (free.length < needed) return undefined
  const take = (): number => free.shift() ?? 0
  const accept = take()
  const pass = take()
  const drop = release.dropMark ? take() : 0
  const scratch0 = take()
  const scratch1 = take()
  const wireguard = options.wireguard ? take() : 0
  const endpoint = free.reduce((bits, bit) => (bits | bit) >>> 0, 0)
  return { accept, pass, drop, scratch0, scratch1, wireguard, endpoint, nonCaliEndpoint: free[0] ?? 0 }
}

/** What each chain that begins a walk clears: all but the drop bit. */
export function calicoBits(marks: Marks): number {
  return (marks.accept | marks.pass | marks.scratch0 | marks.scratch1) >>> 0
}

/** FNV-1, 32 bits: multiply, then xor. */
function fnv1(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(text)) hash = (Math.imul(hash, 0x01000193) ^ byte) >>> 0
  return hash
}

/** Interface names → their marks, in the order asked: each probes upward from its hash past 0 and what is taken. */
export class EndpointMarks {
  readonly mask: number
  private readonly bits: readonly number[]
  private readonly marks = new Map<string, number>()
  private readonly taken = new Set<number>()

  constructor(mask: number, nonCaliMark: number) {
    this.mask = mask
    this.bits = bitsOf(mask)
    this.taken.add(this.numberOf(nonCaliMark))
  }

  /** @throws when every number of the mask is taken. */
  markOf(name: string): number {
    const known = this.marks.get(name)
    if (known !== undefined) return known
    const size = 2 ** this.bits.length
    const start = fnv1(name)
    for (let i = 0; i < size; i++) {
      const number = (start + i) % size
      if (number === 0 || this.taken.has(number)) continue
      const mark = this.bits.reduce((bits, bit, place) => ((number & (1 << place)) === 0 ? bits : (bits | bit) >>> 0), 0)
      this.taken.add(number)
      this.marks.set(name, mark)
      return mark
    }
    assert(false, `no endpoint mark is left for ${name}`)
  }

  private numberOf(mark: number): number {
    return this.bits.reduce((number, bit, place) => ((mark & bit) === 0 ? number : number | (1 << place)), 0)
  }
}
