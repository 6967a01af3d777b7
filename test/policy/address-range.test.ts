/** Ranges of addresses against prefixes worked out by hand, and against counting. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { coversRange, EVERY_IPV4, EVERY_IPV6, formatRange, meetsRange, parseRange, type AddressRange } from '../../src/policy/address-range.js'

const family = fc.constantFrom<4 | 6>(4, 6)

/** Few addresses at either end and in the middle, so that ranges meet. */
const range: fc.Arbitrary<AddressRange> = fc.tuple(family, fc.nat(40), fc.nat(40), fc.constantFrom(0, 1, 2)).map(([of, a, b, where]) => {
  const most = of === 4 ? EVERY_IPV4.last : EVERY_IPV6.last
  const base = where === 0 ? 0n : where === 1 ? most - 40n : most / 2n
  return { family: of, first: base + BigInt(Math.min(a, b)), last: base + BigInt(Math.max(a, b)) }
})

function members({ family: of, first, last }: AddressRange): string[] {
  return Array.from({ length: Number(last - first) + 1 }, (_, i) => `${of} ${first + BigInt(i)}`)
}

describe('ranges of addresses', () => {
  it.each([
    ['10.0.0.0/8', 4, 0x0a000000n, 0x0affffffn],
    ['10.1.2.3', 4, 0x0a010203n, 0x0a010203n],
    ['10.1.2.3/24', 4, 0x0a010200n, 0x0a0102ffn],
    ['0.0.0.0/0', 4, 0n, 0xffffffffn],
    ['255.255.255.255/32', 4, 0xffffffffn, 0xffffffffn],
    ['192.0.2.255/31', 4, 0xc00002fen, 0xc00002ffn],
    ['::/0', 6, 0n, (1n << 128n) - 1n],
    ['2001:db8::/32', 6, 0x20010db8n << 96n, (0x20010db9n << 96n) - 1n],
    ['fd00::1', 6, (0xfd00n << 112n) + 1n, (0xfd00n << 112n) + 1n],
    ['::ffff:10.1.2.3', 6, 0xffff0a010203n, 0xffff0a010203n],
    ['FD00::A/127', 6, (0xfd00n << 112n) + 10n, (0xfd00n << 112n) + 11n],
  ] as const)('%s', (text, of, first, last) => {
    expect(parseRange(text)).toEqual({ family: of, first, last })
  })

  it.each([
    '',
    '10.0.0.0/33',
    '10.0.0/8',
    '010.0.0.1',
    '10.0.0.1/08',
    '10.0.0.256',
    '10.0.0.0/-1',
    ' 10.0.0.0/8',
    '::/129',
    ':::',
    'fd00::1%eth0',
    'fd00::/',
    'fd00',
    '1.2.3.4/',
    'web',
  ])('%j is none', (text) => {
    expect(parseRange(text)).toBeUndefined()
  })

  it.each(['10.0.0.0/8', '10.1.2.3', '0.0.0.0/0', '128.0.0.0/1', '255.255.255.254/31', '::/0', '2001:db8::/32', 'fd00::1', '::/1', '8000::/1'])(
    '%s is written as it was read',
    (text) => {
      expect(formatRange(parseRange(text) as AddressRange)).toBe(text)
    },
  )

  it('what is no prefix is written from, to', () => {
    expect(formatRange({ family: 4, first: 0x0a000001n, last: 0x0a000003n })).toBe('10.0.0.1-10.0.0.3')
    expect(formatRange({ family: 4, first: 0x0a000001n, last: 0x0a000002n })).toBe('10.0.0.1-10.0.0.2')
    expect(formatRange({ family: 4, first: 0x0b000000n, last: 0xffffffffn })).toBe('11.0.0.0-255.255.255.255')
    expect(formatRange({ family: 6, first: 1n, last: 4n })).toBe('::1-::4')
  })

  it('a prefix of any length is read and written alike', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, EVERY_IPV4.last), fc.integer({ min: 0, max: 32 }), (address, length) => {
        const quad = [24n, 16n, 8n, 0n].map((shift) => String((address >> shift) & 255n)).join('.')
        const parsed = parseRange(`${quad}/${length}`) as AddressRange
        expect(parsed.last - parsed.first + 1n).toBe(1n << BigInt(32 - length))
        expect(parsed.first <= address && address <= parsed.last).toBe(true)
        expect(parseRange(formatRange(parsed))).toEqual(parsed)
      }),
    )
    fc.assert(
      fc.property(fc.bigInt(0n, EVERY_IPV6.last), fc.integer({ min: 0, max: 128 }), (address, length) => {
        const groups = Array.from({ length: 8 }, (_, i) => ((address >> BigInt(112 - 16 * i)) & 0xffffn).toString(16)).join(':')
        const parsed = parseRange(`${groups}/${length}`) as AddressRange
        expect(parsed.last - parsed.first + 1n).toBe(1n << BigInt(128 - length))
        expect(parsed.first <= address && address <= parsed.last).toBe(true)
        expect(parseRange(formatRange(parsed))).toEqual(parsed)
      }),
    )
  })

  it('cover and meet as their addresses do; no family holds the other', () => {
    fc.assert(
      fc.property(range, range, (a, b) => {
        const [inA, inB] = [new Set(members(a)), members(b)]
        expect(coversRange(a, b)).toBe(inB.every((one) => inA.has(one)))
        expect(meetsRange(a, b)).toBe(inB.some((one) => inA.has(one)))
      }),
      { numRuns: 1000 },
    )
    expect(coversRange(EVERY_IPV4, { family: 6, first: 0n, last: 0n })).toBe(false)
    expect(coversRange(EVERY_IPV6, { family: 4, first: 0n, last: 0n })).toBe(false)
    expect(meetsRange(EVERY_IPV4, EVERY_IPV6)).toBe(false)
  })
})
