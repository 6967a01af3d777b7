/** Exact sets of connections against sets of points, written down one by one. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ConnectionSet, PORT_MAX, PORT_MIN, type Connection, type Protocol } from '../../src/policy/connections.js'

/** A range of one protocol, as a test names it. */
interface Part {
  readonly protocol: Protocol
  readonly first?: number
  readonly last?: number
}

const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP', 'SCTP', 'ICMP', 'ICMPv6', 47, 0, 255]

/** Where anything may begin or end, and one beside it. */
const PORTS = [0, 1, 2, 3, 79, 80, 81, 82, 442, 443, 444, 8080, 65533, 65534, 65535]
const POINTS: readonly Connection[] = [
  ...(['TCP', 'UDP', 'SCTP'] as const).flatMap((protocol) => PORTS.filter((port) => port >= PORT_MIN).map((port) => ({ protocol, port }))),
  ...(['ICMP', 'ICMPv6'] as const).flatMap((protocol) => PORTS.map((port) => ({ protocol, port }))),
  ...[0, 2, 5, 7, 46, 47, 48, 255].map((protocol) => ({ protocol, port: 0 })),
]

function isIn(point: Connection, { protocol, first, last }: Part): boolean {
  if (point.protocol !== protocol) return false
  return typeof protocol === 'number' || first === undefined || (first <= point.port && point.port <= (last ?? first))
}

/** The points that are in one of the parts. */
function points(parts: readonly Part[]): readonly Connection[] {
  return POINTS.filter((point) => parts.some((part) => isIn(point, part)))
}

function setOf(parts: readonly Part[]): ConnectionSet {
  return ConnectionSet.union(parts.map(({ protocol, first, last }) => ConnectionSet.of(protocol, first, last)))
}

function pointsOf(set: ConnectionSet): readonly Connection[] {
  return POINTS.filter((point) => set.has(point))
}

const port = fc.constantFrom(...PORTS)
const part: fc.Arbitrary<Part> = fc.oneof(
  fc.record({ protocol: fc.constantFrom(...PROTOCOLS) }),
  fc.tuple(fc.constantFrom(...PROTOCOLS.filter((protocol) => typeof protocol === 'string')), port, port).map(([protocol, a, b]) => ({
    protocol,
    first: Math.min(a, b),
    last: Math.max(a, b),
  })),
)
const parts = fc.array(part, { maxLength: 6 })

describe('sets of connections', () => {
  it('hold what they were made of, and nothing else', () => {
    fc.assert(
      fc.property(parts, (list) => {
        expect(pointsOf(setOf(list))).toEqual(points(list))
      }),
    )
  })

  it('unite, intersect and subtract point by point', () => {
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        const [left, right] = [setOf(a), setOf(b)]
        const [inLeft, inRight] = [new Set(points(a)), new Set(points(b))]
        const where = (holds: (point: Connection) => boolean): readonly Connection[] => POINTS.filter(holds)
        expect(pointsOf(left.union(right))).toEqual(where((point) => inLeft.has(point) || inRight.has(point)))
        expect(pointsOf(left.intersect(right))).toEqual(where((point) => inLeft.has(point) && inRight.has(point)))
        expect(pointsOf(left.minus(right))).toEqual(where((point) => inLeft.has(point) && !inRight.has(point)))
      }),
      { numRuns: 500 },
    )
  })

  it('are equal exactly when their keys are, however they came to be', () => {
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        const [left, right] = [setOf(a), setOf(b)]
        expect(setOf([...a].reverse()).key).toBe(left.key)
        expect(left.minus(right).union(left.intersect(right)).key).toBe(left.key)
        expect(left.union(right).minus(right).union(left.intersect(right)).equals(left)).toBe(true)
        expect(ConnectionSet.all.minus(ConnectionSet.all.minus(left)).key).toBe(left.key)
        expect(left.equals(right)).toBe(left.minus(right).isEmpty && right.minus(left).isEmpty)
      }),
      { numRuns: 500 },
    )
  })

  it('cover, meet and are empty as their points say', () => {
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        const [left, right] = [setOf(a), setOf(b)]
        expect(left.covers(right)).toBe(right.minus(left).isEmpty)
        expect(left.meets(right)).toBe(!left.intersect(right).isEmpty)
        expect(left.covers(left.intersect(right))).toBe(true)
        expect(left.union(right).covers(left)).toBe(true)
        expect(left.isEmpty).toBe(left.witness() === undefined)
        const witness = left.witness()
        if (witness !== undefined) expect(left.has(witness)).toBe(true)
      }),
    )
  })

  it('give back their ranges, which make them up', () => {
    fc.assert(
      fc.property(parts, (list) => {
        const set = setOf(list)
        const axes = (['TCP', 'UDP', 'SCTP', 'ICMP', 'ICMPv6'] as const).flatMap((protocol) =>
          set.ranges(protocol).map(([first, last]) => ({ protocol, first, last })),
        )
        const others = set.otherProtocols().flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i): Part => ({ protocol: first + i })))
        expect(setOf([...axes, ...others]).key).toBe(set.key)
        for (const { protocol, first, last } of axes)
          expect(first <= last && set.has({ protocol, port: first }) && set.has({ protocol, port: last })).toBe(true)
      }),
    )
  })

  it('touching ranges are one', () => {
    const set = ConnectionSet.of('TCP', 80, 89).union(ConnectionSet.of('TCP', 90, 99))
    expect(set.ranges('TCP')).toEqual([[80, 99]])
    expect(set.minus(ConnectionSet.of('TCP', 85)).ranges('TCP')).toEqual([
      [80, 84],
      [86, 99],
    ])
  })

  it('all is every protocol that there is, by name or by number', () => {
    const byNumber = ConnectionSet.union(Array.from({ length: 256 }, (_, protocol) => ConnectionSet.of(protocol)))
    expect(byNumber.key).toBe(ConnectionSet.all.key)
    expect(byNumber.isAll).toBe(true)
    expect(ConnectionSet.of(6).key).toBe(ConnectionSet.of('TCP').key)
    expect(ConnectionSet.of(17).key).toBe(ConnectionSet.of('UDP').key)
    expect(ConnectionSet.of(132).key).toBe(ConnectionSet.of('SCTP').key)
    expect(ConnectionSet.of(1).key).toBe(ConnectionSet.of('ICMP').key)
    expect(ConnectionSet.of(58).key).toBe(ConnectionSet.of('ICMPv6').key)
    expect(ConnectionSet.of(47).ranges(47)).toEqual([[47, 47]])
    expect(ConnectionSet.of(47).ranges(48)).toEqual([])
    expect(ConnectionSet.of(47).has({ protocol: 47, port: 0 })).toBe(true)
    expect(ConnectionSet.of(47).witness()).toEqual({ protocol: 47, port: 0 })
  })

  it('transport is TCP, UDP and SCTP on every port, and no ICMP', () => {
    const { transport } = ConnectionSet
    for (const protocol of ['TCP', 'UDP', 'SCTP'] as const) expect(transport.ranges(protocol)).toEqual([[PORT_MIN, PORT_MAX]])
    expect(transport.meets(ConnectionSet.of('ICMP'))).toBe(false)
    expect(transport.meets(ConnectionSet.of(47))).toBe(false)
    expect(transport.isAll).toBe(false)
  })

  it('ports out of range are cut off', () => {
    expect(ConnectionSet.of('TCP', 0).isEmpty).toBe(true)
    expect(ConnectionSet.of('TCP', 65536, 70000).isEmpty).toBe(true)
    expect(ConnectionSet.of('UDP', -5, 3).ranges('UDP')).toEqual([[1, 3]])
    expect(ConnectionSet.of('ICMP', 0).has({ protocol: 'ICMP', port: 0 })).toBe(true)
  })

  it('what is asked by number is the protocol of that number', () => {
    expect(ConnectionSet.of('TCP', 80).has({ protocol: 6, port: 80 })).toBe(true)
    expect(ConnectionSet.of('TCP', 80).has({ protocol: 6, port: 81 })).toBe(false)
    expect(ConnectionSet.of('ICMP').ranges(1)).toEqual([[0, 65535]])
  })
})
