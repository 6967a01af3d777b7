import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  isSelectorFault,
  matchesCalicoSelector,
  parseSelector,
  selectorOf,
  withLabelPrefix,
  type Selector,
  type SelectorNode,
} from '../../src/cluster/selector.js'

function selector(text: string): Selector {
  const result = parseSelector(text)
  if (isSelectorFault(result)) throw new Error(`${text}: ${result.fault} at ${result.at}`)
  return result
}

// From the tests of libcalico-go/lib/selector/parser/parser_test.go (calico v3.32.1).
describe('canonical text', () => {
  it.each([
    ['', 'all()'],
    [' all() ', 'all()'],
    [' (all() )', 'all()'],
    ['! (has( b)||! has(a ))', '!(has(b) || !has(a))'],
    ['! (a == "b"&&! c != "d")', '!(a == "b" && !c != "d")'],
    ['a == "b"', 'a == "b"'],
    ['a in {"z", "z", "x", "y", "x", "a"}', 'a in {"a", "x", "y", "z"}'],
    ['a not in {"z", "z", "x", "y", "x", "a"}', 'a not in {"a", "x", "y", "z"}'],
    ['a notin {"z"}', 'a not in {"z"}'],
    [`a startswith '"'`, `a starts with '"'`],
    ['a endswith "x"', 'a ends with "x"'],
    ['a contains "x"', 'a contains "x"'],
    [`a!='"'`, `a != '"'`],
    ['!!has(a)', 'has(a)'],
    ['!! ! has(a)', '!has(a)'],
    ['a == "b" || c == "d" && e == "f"', '(a == "b" || (c == "d" && e == "f"))'],
    ['a in {}', 'a in {}'],
    ['a in {"b",}', 'a in {"b"}'],
    ['global()', 'global()'],
    ['in == "in"', 'in == "in"'],
    ['has(has)', 'has(has)'],
    ['all == "x"', 'all == "x"'],
  ])('%s', (text, canonical) => {
    expect(selector(text).text).toBe(canonical)
  })
})

describe('prefixes', () => {
  it.each([
    [`k == 'v' && x == 'y'`, '(visited/k == "v" && visited/x == "y")'],
    [`!(!(k == 'v' && has(t) || all()) && (a in {'b', 'c'}))`, '!(!((visited/k == "v" && has(visited/t)) || all()) && visited/a in {"b", "c"})'],
    [`!(k == 'v')`, '!visited/k == "v"'],
  ])('%s', (text, canonical) => {
    expect(withLabelPrefix(selector(text), 'visited/').text).toBe(canonical)
  })
})

describe('matching', () => {
  it.each<[string, Record<string, string>, boolean]>([
    [`a == 'b'`, { a: 'b' }, true],
    [`a == 'b'`, {}, false],
    [`a != 'b'`, {}, true],
    [`a != 'b'`, { a: 'b' }, false],
    [`a not in {"'", '"', "c"}`, {}, true],
    [`a not in {"'", '"', "c"}`, { a: 'e' }, true],
    [`a not in {"'", '"', "c"}`, { a: 'c' }, false],
    [`a != 'a1' && !b == 'b1'`, { a: 'a1', b: 'b1' }, false],
    ['!!! has(a)', { a: 'b' }, false],
    ['has(constructor)', {}, false],
    ['constructor != "x"', {}, true],
    ['a contains "ell"', { a: 'hello' }, true],
    ['a contains ""', {}, false],
    ['a starts with "he"', { a: 'hello' }, true],
    ['a ends with "lo"', { a: 'hello' }, true],
    ['a starts with "lo"', { a: 'hello' }, false],
    ['a in {}', { a: '' }, false],
    ['global()', {}, true],
    [`!a in {"x"}`, { a: 'y' }, true],
  ])('%s on %j', (text, labels, expected) => {
    expect(matchesCalicoSelector(selector(text), labels)).toBe(expected)
  })
})

describe('refused', () => {
  it.each([
    'b == b',
    `'b1' == b`,
    'b',
    'a b',
    '!',
    '()',
    '(a == "foo"',
    'foo in ""',
    'foo == "bar" &',
    'foo == "bar" & has(b)',
    'has(foo) &&',
    '%',
    'a == "b',
    `a == 'b`,
    'a in {"b"',
    'a in {"b" "c"}',
    'has( foo',
    'has (foo)',
    'all(',
    'a = "b"',
    'a startsx with "b"',
    'a == "b"\n&& c == "d"',
    `has(${'a'.repeat(513)})`,
    'a inx {"b"}',
    'has(a) has(b)',
  ])('%s', (text) => {
    const result = parseSelector(text)
    expect(isSelectorFault(result)).toBe(true)
  })
})

const label = fc.stringMatching(/^[a-zA-Z0-9_./-]{1,8}$/)
const value = fc.string({ maxLength: 6 }).map((text) => text.replaceAll("'", ''))
const { node } = fc.letrec<{ node: SelectorNode }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4 },
    fc.constant<SelectorNode>({ kind: 'all' }),
    label.map((name): SelectorNode => ({ kind: 'has', label: name })),
    fc
      .tuple(label, fc.constantFrom('==', '!=', 'contains', 'starts with', 'ends with'), value)
      .map(([name, operator, text]): SelectorNode => ({ kind: 'compare', label: name, operator, value: text })),
    tie('node').map((operand): SelectorNode => (operand.kind === 'not' ? operand : { kind: 'not', operand })),
    fc.tuple(fc.constantFrom('and', 'or'), fc.array(tie('node'), { minLength: 2, maxLength: 3 })).map(([kind, operands]): SelectorNode => ({ kind, operands })),
  ),
}))

describe('properties', () => {
  it('reads back what it prints, with the same meaning', () => {
    fc.assert(
      fc.property(node, fc.dictionary(label, value, { maxKeys: 4 }), (root, labels) => {
        const printed = selectorOf(root)
        const again = selector(printed.text)
        expect(again.text).toBe(printed.text)
        expect(matchesCalicoSelector(again, labels)).toBe(matchesCalicoSelector(printed, labels))
      }),
    )
  })

  it('never throws', () => {
    fc.assert(fc.property(fc.string(), (text) => typeof parseSelector(text) === 'object'))
    const alphabet = fc.constantFrom('a', 'has(', ')', '(', '!', '&&', '||', '==', '"x"', ' in ', '{', '}', ',', 'all()', ' ')
    fc.assert(fc.property(fc.array(alphabet, { maxLength: 20 }), (parts) => typeof parseSelector(parts.join('')) === 'object'))
    expect(isSelectorFault(parseSelector('('.repeat(100_000)))).toBe(true)
  })
})
