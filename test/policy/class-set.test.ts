/** Sets of numbers, as lists and as bitsets, against Set; maps in pieces against arrays; labels by list against asking each one. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ClassSet, ClassWeights } from '../../src/policy/reach/class-set.js'
import { LabelIndex } from '../../src/policy/reach/label-index.js'
import { combined, explicitPieces, mapWithin, valueAt, type Piecewise } from '../../src/policy/reach/piecewise.js'
import { matchesCalicoSelector, parseSelector, type Selector } from '../../src/cluster/selector.js'
import { Draw, randomLabels } from './random-world.js'

const BOUND = 200

/** Thin ones become lists, thick ones bitsets; some lie far out. */
const ids = fc.oneof(
  fc.uniqueArray(fc.nat(BOUND - 1), { maxLength: 5 }),
  fc.uniqueArray(fc.nat(BOUND - 1), { maxLength: 150 }),
  fc.nat(BOUND).map((length) => Array.from({ length }, (_, i) => i)),
)

function sorted(list: Iterable<number>): number[] {
  return [...list].sort((a, b) => a - b)
}

function collect(set: ClassSet): number[] {
  const found: number[] = []
  set.forEach((id) => found.push(id))
  return found
}

describe('sets of classes', () => {
  it('do as sets do', () => {
    fc.assert(
      fc.property(ids, ids, (a, b) => {
        const [left, right] = [ClassSet.of(a), ClassSet.of(b)]
        const inRight = new Set(b)
        const both = sorted(a.filter((id) => inRight.has(id)))
        const onlyLeft = sorted(a.filter((id) => !inRight.has(id)))
        expect(collect(left)).toEqual(sorted(a))
        expect([...left.toArray()]).toEqual(sorted(a))
        expect(left.size).toBe(a.length)
        expect(collect(left.and(right))).toEqual(both)
        expect(collect(left.minus(right))).toEqual(onlyLeft)
        expect(collect(left.or(right))).toEqual(sorted(new Set([...a, ...b])))
        expect(collect(ClassSet.union([left, right, left]))).toEqual(sorted(new Set([...a, ...b])))
        expect(left.meets(right)).toBe(both.length > 0)
        expect(left.equals(right)).toBe(onlyLeft.length === 0 && a.length === b.length)
        expect(left.isEmpty).toBe(a.length === 0)
        for (const id of [0, 31, 32, 63, 64, 5000]) expect(left.has(id)).toBe(a.includes(id))
        expect(sorted(a).every((id) => id < left.bound)).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  it('add up weights', () => {
    const weights = new ClassWeights(Float64Array.from({ length: BOUND }, (_, i) => i * i))
    fc.assert(
      fc.property(ids, (list) => {
        expect(ClassSet.of(list).sum(weights)).toBe(list.reduce((sum, id) => sum + id * id, 0))
      }),
    )
  })

  it('below a bound are all numbers below it', () => {
    for (const bound of [0, 1, 31, 32, 33, 64, 100]) expect(collect(ClassSet.below(bound))).toEqual(Array.from({ length: bound }, (_, i) => i))
  })
})

describe('maps in pieces', () => {
  type Step = readonly [ids: readonly number[] | undefined, add: number]
  const steps = fc.array(fc.tuple(fc.option(ids, { nil: undefined }), fc.nat(3)), { maxLength: 6 })

  function build(list: readonly Step[]): { readonly map: Piecewise; readonly values: readonly number[] } {
    let map: Piecewise = { pieces: [], rest: 0 }
    let values = Array.from({ length: BOUND }, () => 0)
    for (const [members, add] of list) {
      map = mapWithin(map, members === undefined ? undefined : ClassSet.of(members), (value) => (value * 2 + add) % 7)
      const inside = members === undefined ? undefined : new Set(members)
      values = values.map((value, id) => (inside === undefined || inside.has(id) ? (value * 2 + add) % 7 : value))
    }
    return { map, values }
  }

  it('do as arrays do, and stay disjoint, one piece for a value', () => {
    fc.assert(
      fc.property(steps, steps, (a, b) => {
        const [left, right] = [build(a), build(b)]
        const both = combined(left.map, right.map, (one, other) => (one * other) % 5)
        for (const [{ pieces, rest }, values] of [
          [left.map, left.values],
          [both, left.values.map((value, id) => (value * right.values[id]) % 5)],
        ] as const) {
          expect(Array.from({ length: BOUND }, (_, id) => valueAt({ pieces, rest }, id))).toEqual(values)
          const explicit = explicitPieces({ pieces, rest }, ClassSet.below(BOUND))
          expect(explicit.reduce((sum, { set }) => sum + set.size, 0)).toBe(BOUND)
          expect(new Set(pieces.map(({ value }) => value)).size).toBe(pieces.length)
          expect(pieces.some(({ set, value }) => set.isEmpty || value === rest)).toBe(false)
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('who has which labels', () => {
  it.each([
    'all()',
    'has(app)',
    '!has(app)',
    "app == 'a'",
    "app != 'a'",
    "app in {'a', 'ab'}",
    "app not in {'a', ''}",
    "app contains 'b'",
    "app starts with 'a'",
    "tier ends with 'b'",
    "app == 'a' && !(tier == 'b' || env in {'', 'ab'})",
    "has(constructor) || constructor != 'a'",
    "toString == 'a'",
  ])('%s: as asking each one', (text) => {
    const draw = new Draw(11)
    const all = Array.from({ length: 120 }, () => randomLabels(draw))
    const index = new LabelIndex()
    all.forEach((labels, id) => index.add(id, labels))
    const selector = parseSelector(text) as Selector
    const expected = all.flatMap((labels, id) => (matchesCalicoSelector(selector, labels) ? [id] : []))
    expect([...index.select(selector.root).toArray()]).toEqual(expected)
    index.add(120, { app: 'ab', tier: 'b' })
    expect(index.select(selector.root).has(120)).toBe(matchesCalicoSelector(selector, { app: 'ab', tier: 'b' }))
  })
})
