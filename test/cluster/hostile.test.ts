import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { Prng } from '../../src/base/prng.js'
import { buildCluster } from '../../src/cluster/cluster.js'

const EXAMPLES = readdirSync('examples')
  .filter((file) => file.endsWith('.yaml'))
  .map((file) => readFileSync(`examples/${file}`, 'utf8'))
/** The same objects as one JSON List, so that the JSON reader gets its share. */
const INPUTS = [
  ...EXAMPLES,
  ...EXAMPLES.map((text) =>
    JSON.stringify({ apiVersion: 'v1', kind: 'List', items: buildCluster([{ file: 'x', text }]).cluster.objects.map(({ value }) => value) }, undefined, 1),
  ),
]

const NASTY = [
  'null',
  '[]',
  '{}',
  '""',
  '-1',
  '99999999999999999999',
  '1e999',
  '.nan',
  'true',
  '"\u0000"',
  '&a [*a]',
  '*a',
  '!!binary x',
  '[[[[[[[[[[[[[[[[',
  '{{{{',
  '\t',
  '---',
  '"',
  "'",
  '%YAML 9',
  '10.1.2.3/8',
  '256.1.1.1',
  '::1/64',
  '0x10',
  '010.1.1.1/24',
  '__proto__: {a: b}',
  'constructor',
  '\ufeff',
  '<<: *x',
  '? ',
  '|',
  '- - - - -',
]

type Mutation = (text: string, prng: Prng) => string

const MUTATIONS: Mutation[] = [
  // a byte becomes another
  (text, prng) => {
    const at = prng.below(text.length)
    return text.slice(0, at) + String.fromCharCode(prng.below(128)) + text.slice(at + 1)
  },
  // a line goes, comes twice, or changes places
  (text, prng) => splice(text, prng, () => []),
  (text, prng) => splice(text, prng, (line) => [line, line]),
  (text, prng) => splice(text, prng, (line) => [' '.repeat(prng.below(4)) + line]),
  // a value becomes one of another type
  (text, prng) => replaceSome(text, /(?<=: ?)[^\n,{}[\]]+/g, prng, () => NASTY[prng.below(NASTY.length)]),
  // a number becomes a huge one, an address any
  (text, prng) => replaceSome(text, /[0-9]+/g, prng, () => String(prng.nextInt32() * (prng.below(2) === 0 ? 1 : 1e12))),
  // a key is lost or misspelt
  (text, prng) => replaceSome(text, /[A-Za-z]{3,}(?="?:)/g, prng, (word) => word.slice(1) + word[0]),
  // deep nesting
  (text, prng) => replaceSome(text, /(?<=: ?)[^\n,{}[\]]+/g, prng, () => '['.repeat(200) + ']'.repeat(prng.below(2) * 200)),
  // cut off
  (text, prng) => text.slice(0, prng.below(text.length)),
]

function splice(text: string, prng: Prng, change: (line: string) => string[]): string {
  const lines = text.split('\n')
  const at = prng.below(lines.length)
  return [...lines.slice(0, at), ...change(lines[at]), ...lines.slice(at + 1)].join('\n')
}

function replaceSome(text: string, pattern: RegExp, prng: Prng, by: (found: string) => string): string {
  const matches = [...text.matchAll(pattern)]
  if (matches.length === 0) return text
  const chosen = matches[prng.below(matches.length)]
  return text.slice(0, chosen.index) + by(chosen[0]) + text.slice(chosen.index + chosen[0].length)
}

describe('hostile input', () => {
  it('1,000 mutated manifests: never an exception, every Problem with its place', { timeout: 60_000 }, () => {
    let withErrors = 0
    let slowest = 0
    for (let seed = 0; seed < 1000; seed++) {
      const prng = new Prng(seed)
      let text = INPUTS[prng.below(INPUTS.length)]
      for (let count = 1 + prng.below(4); count > 0 && text.length > 0; count--) text = MUTATIONS[prng.below(MUTATIONS.length)](text, prng)
      const started = performance.now()
      let result: ReturnType<typeof buildCluster>
      try {
        result = buildCluster([{ file: 'm.yaml', text }])
      } catch (error) {
        throw new Error(`seed ${seed} threw ${String(error)} on\n${text}`, { cause: error })
      }
      slowest = Math.max(slowest, performance.now() - started)
      const lines = text.split('\n').length
      for (const problem of result.problems) {
        const place = `seed ${seed}: ${JSON.stringify(problem)}`
        expect(problem.file, place).toBe('m.yaml')
        expect(problem.line >= 1 && problem.line <= lines + 1, place).toBe(true)
        expect(problem.what, place).not.toMatch(/^$|undefined|\[object|NaN/)
      }
      if (result.problems.some(({ severity }) => severity === 'error')) withErrors++
    }
    // most mutations of so dense a text break it; and it must not be that everything is refused
    expect(withErrors).toBeGreaterThan(400)
    expect(withErrors).toBeLessThan(1000)
    // milliseconds take it when the machine is free; this is against growth that never ends
    expect(slowest).toBeLessThan(10_000)
  })

  it.each([
    ['', 0],
    ['\u0000\u0001', 1],
    ['[', 1],
    ['{', 1],
    ['{"a":'.repeat(100_000), 1],
    ['['.repeat(100_000), 1],
    ['- '.repeat(20_000), 1],
    ['a: '.repeat(5_000), 1],
    ['null', 0],
    ['---\n'.repeat(1000), 0],
    ['{}', 0],
    ['"'.repeat(1001), 1],
  ])('%#: takes nonsense calmly', (text, least) => {
    const { problems } = buildCluster([{ file: 'm', text }])
    expect(problems.length).toBeGreaterThanOrEqual(least)
    expect(problems.every(({ file, line }) => file === 'm' && line >= 1)).toBe(true)
    expect(problems.length).toBeLessThan(100)
  })
})
