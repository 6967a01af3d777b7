import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checksumOf, fold, pseudoHeaderSum, sumOf, updateChecksum } from '../../src/wire/checksum.js'
import { hex } from './support.js'

describe('the Internet checksum', () => {
  it('sums the example of RFC 1071 §3', () => {
    const bytes = hex('0001 f203 f4f5 f6f7')
    expect(sumOf(bytes, 0, 8)).toBe(0xddf2)
    expect(checksumOf(bytes, 0, 8)).toBe(0x220d)
  })

  it('counts an odd last byte as the high half of a word', () => {
    expect(sumOf(hex('0001 f2'), 0, 3)).toBe(0xf201)
    expect(sumOf(hex('0001 f203 f4'), 0, 5)).toBe(fold(0x0001 + 0xf203 + 0xf400))
  })

  it('agrees with a word by word reference over any range', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(40), (bytes, start) => {
        const end = Math.max(start, bytes.length)
        let reference = 0n
        for (let at = start; at < bytes.length; at += 2) reference += BigInt(bytes[at] * 256 + (at + 1 < bytes.length ? bytes[at + 1] : 0))
        // One's complement: the sum modulo 2^16 - 1, where a sum that is not all zeros keeps 0xffff for zero.
        const expected = reference === 0n ? 0 : Number(((reference - 1n) % 0xffffn) + 1n)
        expect(sumOf(bytes, start, Math.min(end, bytes.length))).toBe(expected)
      }),
    )
  })

  it('does not lose carries in the longest datagram', () => {
    const bytes = new Uint8Array(65535).fill(0xff)
    expect(sumOf(bytes, 0, 65534)).toBe(0xffff)
    expect(sumOf(bytes, 0, 65535)).toBe(0xff00)
  })

  it('sums a pseudo header: bytes written out by hand', () => {
    const pseudo = hex('c0a80001 ffffffff 00 11 05dc')
    expect(pseudoHeaderSum(0xc0a80001 | 0, -1, 17, 0x5dc)).toBe(sumOf(pseudo, 0, 12))
  })
})

describe('the incremental update', () => {
  it('gives the result of RFC 1624 §4, where RFC 1141 went wrong', () => {
    expect(updateChecksum(0xdd2f, 0x5555, 0x3285)).toBe(0x0000)
  })

  it.each([
    [0xfeff, 0x0000],
    [0xffff, 0x0100],
    [0xff12, 0x0013],
    [0x44ca, 0x45ca],
  ])("equals what flannel's proxy and the kernel write when the TTL falls by one: %s", (before, after) => {
    expect(updateChecksum(before, 0x4011, 0x3f11)).toBe(after)
  })

  it('equals the full computation, whichever word changes', () => {
    const nonZero = fc.uint8Array({ minLength: 20, maxLength: 60 }).filter((bytes) => bytes.length % 4 === 0)
    fc.assert(
      fc.property(nonZero, fc.nat(), fc.integer({ min: 0, max: 0xffffffff }), (bytes, place, value) => {
        // Some other word stays non-zero, as in any real header: all zeros are the one case in which the two zeros differ.
        bytes[0] = 0x45
        const at = 4 * (1 + (place % (bytes.length / 4 - 1)))
        const view = new DataView(bytes.buffer, bytes.byteOffset)
        const before = { checksum: checksumOf(bytes, 0, bytes.length), word: view.getUint16(at) }
        view.setUint16(at, value & 0xffff)
        expect(updateChecksum(before.checksum, before.word, value & 0xffff)).toBe(checksumOf(bytes, 0, bytes.length))
      }),
    )
  })
})
