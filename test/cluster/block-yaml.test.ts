/** The quick reader of YAML against the package `yaml`: what it reads at all it reads the same, lines included. */
import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseAllDocuments, stringify } from 'yaml'
import { BlockYaml } from '../../src/cluster/block-yaml.js'
import { Prng } from '../../src/base/prng.js'
import { isObject, type JsonObject, type JsonValue, type Lines, type Located } from '../../src/cluster/located.js'
import { noiseOf, withoutNoise, type Noise } from '../../src/cluster/noise.js'
import { SharedStrings } from '../../src/cluster/shared-strings.js'
import { readYaml } from '../../src/cluster/yaml-text.js'

const reader = new BlockYaml(new SharedStrings(1000))

/** Without what the quick reader leaves out on the way. */
function trimmed({ value, lines }: Located): { readonly value: JsonValue; readonly lines: Lines } {
  if (!isObject(value)) return { value, lines }
  return withoutNoise(value, lines, headOf(value))
}

function headOf(value: JsonObject): Noise | undefined {
  const [apiVersion, kind] = [value.apiVersion, value.kind].map((part) => (typeof part === 'string' ? part : undefined))
  return noiseOf(apiVersion, kind)
}

/** True when the quick reader read it. */
function agrees(text: string): boolean {
  const found = reader.read(new TextEncoder().encode(text), 7)
  if (found === undefined) return false
  const { documents, issues } = readYaml(text, 7)
  // of what is left out the quick reader minds the indentation alone
  if (issues.length > 0 && isObject(found.value) && headOf(found.value)?.only !== undefined) return false
  expect({ text, count: documents.length, issues }).toEqual({ text, count: 1, issues: [] })
  const [quick, slow] = [trimmed(found), trimmed(documents[0])]
  expect({ text, value: JSON.stringify(quick.value) }).toEqual({ text, value: JSON.stringify(slow.value) })
  expect({ text, lines: [...quick.lines.table] }).toEqual({ text, lines: [...slow.lines.table] })
  return true
}

/** The examples as people write them, without their comments. */
const written = readdirSync('examples')
  .filter((file) => file.endsWith('.yaml'))
  .flatMap((file) => readFileSync(`examples/${file}`, 'utf8').split(/^---$/m))
  .filter((text) => text.includes(':'))

/** The same as a program prints them. */
const texts = readdirSync('examples')
  .filter((file) => file.endsWith('.yaml'))
  .flatMap((file) => [...parseAllDocuments(readFileSync(`examples/${file}`, 'utf8'))].map((document) => stringify(document.toJS(), { indentSeq: false })))
  .filter((text) => text.includes(':'))

describe('the quick reader of YAML', () => {
  it('reads what programs print as the package does', () => {
    const read = texts.filter(agrees)
    expect(read.length).toBeGreaterThan(texts.length / 2)
  })

  it('reads what people write as the package does', () => {
    const read = written.filter(agrees)
    expect(read.length).toBeGreaterThan(written.length / 2)
  })

  it('reads random values in brackets', () => {
    const leaf = fc.oneof(
      fc.stringMatching(/^[ a-z:#'"\\,{}[\]|>-]{0,12}$/),
      fc.integer(),
      fc.double(),
      fc.boolean(),
      fc.constantFrom(null, '1e3', '~', '.5', '-'),
    )
    const key = fc.stringMatching(/^[a-z][a-z:# -]{0,6}$/)
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof({ depthSize: 'small' }, leaf, fc.array(tie('tree'), { maxLength: 4 }), fc.dictionary(key, tie('tree'), { maxKeys: 4 })),
    }))
    let read = 0
    fc.assert(
      fc.property(fc.dictionary(key, tree, { minKeys: 1, maxKeys: 4 }), fc.constantFrom('', ' '), (value, space) => {
        const flow = (part: unknown): string => stringify(part, { collectionStyle: 'flow', lineWidth: 0, flowCollectionPadding: space === '' }).trimEnd()
        if (
          agrees(
            Object.entries(value)
              .map(([name, part]) => `${JSON.stringify(name)}: ${flow(part)}\n`)
              .join(''),
          )
        )
          read++
      }),
      { numRuns: Number(process.env.RUNS ?? 400) },
    )
    expect(read).toBeGreaterThan(100)
  })

  it('reads random values, printed with and without folds', () => {
    const key = fc.oneof(fc.stringMatching(/^[a-z][a-zA-Z./-]{0,8}$/), fc.string({ maxLength: 6 }))
    const leaf = fc.oneof(
      fc.string({ maxLength: 30 }),
      fc.string({ unit: 'grapheme', maxLength: 10 }),
      fc.stringMatching(/^[ a-z:#'"\n\\|>-]{0,20}$/),
      fc.constantFrom('yes', 'null', '0123', '1e3', '1.0', '0x1f', '.5', '-', '', '~', 'a\nb', 'a\nb\n', '\n', 'a\n\n', ' a\n b\n'),
      fc.integer(),
      fc.double(),
      fc.boolean(),
      fc.constant(null),
    )
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof({ depthSize: 'small' }, leaf, fc.array(tie('tree'), { maxLength: 4 }), fc.dictionary(key, tie('tree'), { maxKeys: 4 })),
    }))
    let read = 0
    fc.assert(
      fc.property(fc.dictionary(key, tree, { minKeys: 1, maxKeys: 4 }), fc.boolean(), fc.constantFrom(0, 20, 80), (value, indentSeq, lineWidth) => {
        const text = stringify(value, { indentSeq, lineWidth })
        if (agrees(text)) read++
        if (agrees(text.replaceAll('\n', '\r\n'))) read++
      }),
      { numRuns: Number(process.env.RUNS ?? 400) },
    )
    expect(read).toBeGreaterThan(100)
  })

  it('mutated manifests: gives up or agrees', () => {
    const signs = [...' -:#\'"|>{}[],&*!?\n\t~0.\\a', '  ', '- ', ': ', ' #', '\n  ', '\n\n', '|\n', '---\n']
    let read = 0
    for (let seed = 0; seed < Number(process.env.RUNS ?? 400) * 4; seed++) {
      const prng = new Prng(seed)
      let text = prng.below(2) === 0 ? texts[prng.below(texts.length)] : written[prng.below(written.length)]
      for (let count = 1 + prng.below(3); count > 0; count--) {
        const at = prng.below(text.length + 1)
        text = text.slice(0, at) + signs[prng.below(signs.length)] + text.slice(at + prng.below(3))
      }
      if (agrees(text)) read++
    }
    expect(read).toBeGreaterThan(100)
  })

  it.each([
    'a: |\n  x\n  y\n\n\nb: 1\n',
    'a: |-\n    x\n      y\nb: 1\n',
    'a: |+\n  x\n\nb:\n- 1\n- c: d\n  e: f\n',
    'a:\n- - 1\n  - 2\n-   b: 1\n    c: 2\n',
    'apiVersion: v1\nkind: Pod\nmetadata:\n  creationTimestamp: null\n  name: "a"\n',
    "a: 'it''s'\nb: \"\\u00e4\\n\"\nc: 12345678901234567890\nd: -0\ne: +1.5e3\n",
    'a:\n# comment\n  b: c\n  # comment\n\nd: []\ne: {}\nf:\n',
    "a: {b: c}\nd: [1, \"x, y\", 'it''s', {e: [], f: {}}]\ng: [ a b , -1 ]\n",
    'a: {b : c:d, e-f/g: http://h:80/?i=j#k, "l": ~}\nm:\n- {n: o}\n-   [p]\n',
  ])('reads %j', (text) => {
    expect(agrees(text)).toBe(true)
  })

  it.each([
    'a: &x 1',
    'a: *x',
    'a: b: c',
    'a: b #c',
    'a: "x\n  y"',
    'a: x\n  y',
    '? a',
    'a: 1\na: 2',
    '- a\nb: c',
    'a:\n\tb: 1',
    'a: {b: c,}',
    'a: {b: c} # d',
    'a: {b, c: d}',
    'a: {b:c}',
    'a: {b: }',
    'a: {b: c, b: d}',
    'a: {1: b}',
    'a: [b: c]',
    'a: [b,, c]',
    'a: [b\n  ]',
    'a: [*b]',
    'a: [b] c',
    '- {a: b}: c',
    '{a: b}',
    '1: a',
    '<<: {}',
    'a: >\n  x\n',
  ])('leaves %j to the package', (text) => {
    expect(reader.read(new TextEncoder().encode(`${text}\n`), 1)).toBeUndefined()
  })
})
