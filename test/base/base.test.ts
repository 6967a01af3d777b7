/** Addresses, prefixes, MACs, chance, problems: the words everything else is built of. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { broadcastOf, cidr, contains, covers, formatCidr, maskOf, nextCidr, overlaps, parseAddressWithLength, parseCidr } from '../../src/base/cidr.js'
import { compareIp, formatIp, ip, isIpv6Text, parseIp } from '../../src/base/ip.js'
import { BROADCAST_MAC, formatMac, macHigh, macLow, macOf, parseMac, randomMac } from '../../src/base/mac.js'
import { hashText, Prng } from '../../src/base/prng.js'
import { formatProblem, hasErrors, type Problem } from '../../src/base/problem.js'

const int32 = fc.integer({ min: -0x80000000, max: 0x7fffffff })
const length = fc.integer({ min: 0, max: 32 })

describe('addresses', () => {
  it('go to text and back', () => {
    fc.assert(fc.property(int32, (value) => parseIp(formatIp(value)) === value))
  })

  it.each(['10.1', '10.1.2', '010.0.0.1', '0x0a.0.0.1', '256.0.0.1', '10.0.0.1/8', ' 10.0.0.1', '10.0.0.1 ', '', '::1', '1.2.3.4.5', '-1.0.0.0'])(
    'refuses %j',
    (text) => {
      expect(parseIp(text)).toBeUndefined()
      expect(() => ip(text)).toThrow(TypeError)
    },
  )

  it('compare without a sign', () => {
    expect(['200.0.0.1', '10.0.0.1', '127.255.255.255', '128.0.0.0'].map(ip).sort(compareIp).map(formatIp)).toEqual([
      '10.0.0.1',
      '127.255.255.255',
      '128.0.0.0',
      '200.0.0.1',
    ])
  })

  it('of version 6 are known as such', () => {
    expect(['fe80::1', '2001:db8::/32', '::'].map(isIpv6Text)).toEqual([true, true, true])
    expect(['10.0.0.1', 'a:b', ':'].map(isIpv6Text)).toEqual([false, false, false])
  })
})

describe('prefixes', () => {
  it('hold what agrees in the first bits, by arithmetic on whole numbers', () => {
    fc.assert(
      fc.property(int32, length, int32, (base, bits, address) => {
        const size = 2 ** (32 - bits)
        const prefix = cidr(base, bits)
        expect(contains(prefix, address)).toBe(Math.floor((address >>> 0) / size) === Math.floor((base >>> 0) / size))
        expect(broadcastOf(prefix) >>> 0).toBe((prefix.base >>> 0) + size - 1)
        expect(parseCidr(formatCidr(prefix))).toEqual(prefix)
      }),
    )
  })

  it('cover and overlap as sets do', () => {
    fc.assert(
      fc.property(int32, length, int32, length, (a, la, b, lb) => {
        const one = cidr(a, la)
        const two = cidr(b, lb)
        const range = (prefix: typeof one): readonly [number, number] => [prefix.base >>> 0, broadcastOf(prefix) >>> 0]
        const [[first1, last1], [first2, last2]] = [range(one), range(two)]
        expect(covers(one, two)).toBe(first1 <= first2 && last2 <= last1)
        expect(overlaps(one, two)).toBe(first1 <= last2 && first2 <= last1)
      }),
    )
  })

  it('have neighbours of their size', () => {
    expect(formatCidr(nextCidr(cidr(ip('10.1.255.0'), 24)))).toBe('10.2.0.0/24')
    expect(formatCidr(nextCidr(cidr(ip('127.255.255.0'), 24)))).toBe('128.0.0.0/24')
  })

  it('are told from prefixes with host bits and from what is none', () => {
    expect(parseCidr('10.1.2.3/16')).toBe('host-bits')
    expect(parseCidr('10.1.0.0/33')).toBe('syntax')
    expect(parseCidr('10.1.0.0/08')).toBe('syntax')
    expect(parseCidr('10.1.2.3')).toEqual({ base: ip('10.1.2.3'), length: 32 })
    expect(parseAddressWithLength('10.1.2.3/16')).toEqual({ address: ip('10.1.2.3'), length: 16 })
    expect([0, 1, 31, 32].map((bits) => maskOf(bits) >>> 0)).toEqual([0, 0x80000000, 0xfffffffe, 0xffffffff])
  })
})

describe('MACs', () => {
  it('go to text, to halves, and back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: BROADCAST_MAC }), (mac) => {
        expect(parseMac(formatMac(mac))).toBe(mac)
        expect(macOf(macHigh(mac), macLow(mac))).toBe(mac)
      }),
    )
    expect(parseMac('02:00:00:00:00:0')).toBeUndefined()
  })

  it('drawn by chance are local and unicast', () => {
    const prng = new Prng(3)
    for (let i = 0; i < 1000; i++) expect(macHigh(randomMac(prng)) & 0x0300).toBe(0x0200)
  })
})

describe('chance', () => {
  /** What the reference program of xoshiro128** prints for these states (prng.di.unimi.it/xoshiro128starstar.c). */
  it.each([
    { state: [1, 2, 3, 4], first: [11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804] },
    { state: [0xdeadbeef, 0xffffffff, 0x80000000, 0x12345678], first: [4294962679, 3132614827, 2029798784, 3300166474, 2794299937, 2753684394] },
  ])('is xoshiro128** from $state', ({ state, first }) => {
    expect(
      first.map(
        (
          (prng) => () =>
            prng.nextInt32() >>> 0
        )(withState(state)),
      ),
    ).toEqual(first)
  })

  it('stays so for a million draws', () => {
    const prng = withState([1, 2, 3, 4])
    for (let i = 0; i < 10; i++) prng.nextInt32()
    let folded = 0
    for (let i = 0; i < 1_000_000; i++) folded ^= prng.nextInt32()
    expect(folded >>> 0).toBe(3769302641)
  })

  it('is even below a bound', () => {
    const prng = new Prng(1)
    const counts = new Array<number>(7).fill(0)
    for (let i = 0; i < 70_000; i++) counts[prng.below(7)]++
    // chi-square with 6 degrees of freedom: 22.5 at 0.1 %
    expect(counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0)).toBeLessThan(22.5)
  })

  it('comes again from the same seed, and differs from another', () => {
    const draw = (seed: number): number[] =>
      Array.from(
        { length: 5 },
        (
          (prng) => () =>
            prng.nextInt32()
        )(new Prng(seed)),
      )
    expect(draw(9)).toEqual(draw(9))
    expect(draw(9)).not.toEqual(draw(10))
  })

  /** FNV-1a 32, from draft-eastlake-fnv. */
  it.each([
    ['', 0x811c9dc5],
    ['a', 0xe40c292c],
    ['foobar', 0xbf9cf968],
  ])('hashes %j', (text, hash) => {
    expect(hashText(text) >>> 0).toBe(hash)
  })
})

function withState([a, b, c, d]: readonly number[]): Prng {
  return Object.assign(new Prng(0), { a: a | 0, b: b | 0, c: c | 0, d: d | 0 })
}

describe('problems', () => {
  const problem: Problem = { severity: 'warning', file: 'a.yaml', line: 3, object: 'Node/n1', what: 'what', fix: 'do this' }
  it('say where, what and what to do', () => {
    expect(formatProblem(problem)).toBe('a.yaml:3: warning: Node/n1: what\n    do this')
    expect(formatProblem({ ...problem, line: 0, object: '', fix: '' })).toBe('a.yaml: warning: what')
    expect([hasErrors([problem]), hasErrors([problem, { ...problem, severity: 'error' }])]).toEqual([false, true])
  })
})
