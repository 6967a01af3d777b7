import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { readJson } from '../../src/cluster/json-text.js'
import { linesAt } from '../../src/cluster/located.js'
import { readText } from '../../src/cluster/manifest-text.js'
import { readManifests, type KubernetesObject } from '../../src/cluster/manifest.js'
import { ProblemList } from '../../src/cluster/problem-list.js'
import { readYaml } from '../../src/cluster/yaml-text.js'

function read(text: string): { objects: readonly KubernetesObject[]; problems: string[] } {
  const problems = new ProblemList()
  const { objects } = readManifests([{ file: 'm', text }], problems)
  return { objects, problems: problems.problems.map(({ severity, line, what, fix }) => `${line} ${severity} ${what}|${fix}`) }
}

describe('JSON text', () => {
  it('reads what JSON.parse reads', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.nat(4), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent)
        expect(readJson(text, 1)).toMatchObject({ documents: [{ value: JSON.parse(text) }], issues: [] })
      }),
    )
  })

  it('refuses what JSON.parse refuses', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), fc.nat(), fc.constantFrom('{', '}', '"', ',', ':', '[', '0', '\n', 'x', ''), (value, at, sign) => {
        const text = JSON.stringify(value)
        const broken = text.slice(0, at % text.length) + sign + text.slice((at % text.length) + 1)
        let parsed: unknown
        let sound = true
        try {
          parsed = JSON.parse(broken)
        } catch {
          sound = false
        }
        const { documents, issues } = readJson(broken, 1)
        const duplicate = issues.some(({ what }) => what.includes('stands twice'))
        if (sound && !duplicate) expect(documents.map((document) => document.value)).toEqual([parsed])
        // several values in a row are a stream here and an error to JSON.parse; nothing at all is no document
        else if (!duplicate) expect(issues.length > 0 || documents.length !== 1).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  it('knows the line of every value and names what is wrong', () => {
    const { documents } = readJson('{\n "a": [1,\n  {"b": 2}]\n}', 10)
    expect(linesAt(documents[0].lines, ['a', 1, 'b']).line).toBe(12)
    expect(readJson('{"a": 1,\n "a": 2}', 1).issues).toEqual([
      { line: 2, what: 'the key "a" stands twice in one object, first on line 1', fix: 'Keep one of the two.' },
    ])
    expect(readJson('{"a": 1,\n}', 1).issues[0]).toMatchObject({ line: 1, what: 'a comma before }' })
    expect(readJson('{"a": 01}', 1).issues[0].what).toBe('01 is no JSON value')
    expect(readJson('{"a": True}', 1).issues[0].what).toBe('True is no JSON value')
    expect(readJson('{"a"\n: "x', 1).issues[0]).toMatchObject({ line: 2, what: 'a string that does not end on its line' })
    expect(readJson('['.repeat(5000), 1).issues[0].what).toMatch(/nested/)
    expect(readJson('['.repeat(5000), 1).issues[0].tooDeep).toBe(true)
    expect(readJson('{"a": True}', 1).issues[0].tooDeep).toBeUndefined()
  })
})

describe('YAML text', () => {
  it('reads what the yaml package itself makes of JSON-like values, in block and flow form', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.jsonValue({ maxDepth: 2 })), (value) => {
        const text = JSON.stringify(value, undefined, 2)
        expect(readYaml(text, 1).documents[0]?.value).toEqual(parse(text))
      }),
      { numRuns: 200 },
    )
  })

  it('shares aliases, merges maps, and knows the lines of both', () => {
    const { documents, issues } = readYaml('base: &b {x: 1,\n  y: 2}\nall:\n  <<: *b\n  y: 3\nlist: [*b]\n', 1)
    expect(issues).toEqual([])
    expect(documents[0].value).toEqual({ base: { x: 1, y: 2 }, all: { x: 1, y: 3 }, list: [{ x: 1, y: 2 }] })
    expect(linesAt(documents[0].lines, ['all', 'x']).line).toBe(1)
    expect(linesAt(documents[0].lines, ['all', 'y']).line).toBe(5)
    expect(linesAt(documents[0].lines, ['list', 0]).line).toBe(6)
  })

  it('takes a quoted << for a key, and a merge of what is no mapping for a fault', () => {
    const text = JSON.stringify({ a: { '<<': '' }, '<<': { b: 1 } }, undefined, 2)
    const { documents, issues } = readYaml(text, 1)
    expect(issues).toEqual([])
    expect(documents[0].value).toEqual(parse(text))
    expect(readYaml('a:\n  <<: x\n  b: 1\n', 1).issues).toMatchObject([{ line: 2, what: expect.stringContaining('no mapping') }])
    expect(readYaml('a:\n  <<: [{c: 1}, 2]\n', 1).issues).toMatchObject([{ line: 2, what: expect.stringContaining('no mapping') }])
  })

  it.each([
    ['a: [1, 2\nb: 3\n', 2],
    ['a:\n\t- b\n', 2],
    ['a: "open\nb: 1\n', 3],
    ['a: *nothing\n', 1],
    ['a: 1\nb: 2\na: 3\n', 3],
    ['a: &x [*x]\n', 1],
    ['? [a]\n: 1\n', 1],
    ['a: @b\n', 1],
    [`${'['.repeat(3000)}`, 1],
    [`${'- '.repeat(150)}x`, 1],
  ])('reports %j on line %i', (text, line) => {
    const { issues } = readYaml(text, 1)
    expect(issues.length).toBeGreaterThan(0)
    expect(issues[0].what).not.toBe('')
    expect(issues.map((issue) => issue.line)).toContain(line)
  })

  it('stops an alias bomb early', () => {
    const bomb = [
      'a0: &a0 [x, x, x, x, x, x, x, x, x]',
      ...Array.from({ length: 12 }, (_, index) => `a${index + 1}: &a${index + 1} [${Array(9).fill(`*a${index}`).join(', ')}]`),
    ].join('\n')
    const started = performance.now()
    expect(readYaml(bomb, 1).issues[0].what).toMatch(/aliases that amount to more/)
    expect(performance.now() - started).toBeLessThan(10_000)
    const long = `a: &a "${'y'.repeat(100_000)}"\nb: [${Array(500).fill('*a').join(', ')}]`
    expect(readYaml(long, 1).issues[0].what).toMatch(/aliases that amount to more/)
  })

  it('keeps __proto__ a plain key', () => {
    for (const text of ['{"__proto__": {"polluted": true}}', '__proto__: {polluted: true}']) {
      const value = readText(text).documents[0].value as Record<string, unknown>
      expect(Object.keys(value)).toEqual(['__proto__'])
      expect(value.polluted).toBeUndefined()
    }
  })
})

describe('manifests', () => {
  it('takes Lists apart, gives the items of a PodList their kind, skips empty documents', () => {
    const { objects, problems } = read(
      '---\n---\n# nothing\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Node, metadata: {name: a}}\n- apiVersion: v1\n  kind: PodList\n  items:\n  - metadata: {name: p, namespace: x}\n---\n{}\n',
    )
    expect(problems).toEqual([])
    expect(objects.map(({ label, line, apiVersion }) => [label, line, apiVersion])).toEqual([
      ['Node/a', 8, 'v1'],
      ['Pod/x/p', 12, 'v1'],
    ])
    expect(objects[1].lineOf(['metadata', 'namespace', 'deeper'])).toBe(12)
  })

  it('reads JSON documents between --- lines and JSON streams, and YAML flow that only looks like JSON', () => {
    const one = '{"apiVersion":"v1","kind":"Node",\n"metadata":{"name":"n1"}}'
    const two = '{apiVersion: v1, kind: Node, metadata: {name: n2}}'
    const { objects, problems } = read(`${one}\n---\n${two}\n---\n${one.replace('n1', 'n3')}\n${one.replace('n1', 'n4')}`)
    expect(problems).toEqual([])
    expect(objects.map(({ name, line }) => [name, line])).toEqual([
      ['n1', 1],
      ['n2', 4],
      ['n3', 6],
      ['n4', 8],
    ])
    expect(objects[3].lineOf(['metadata'])).toBe(9)
  })

  it('says in JSON words what is wrong in JSON', () => {
    expect(read('{"apiVersion": "v1",\n "kind": "Pod"\n "metadata": {}}').problems).toEqual(['3 error " where , or } was due|It belongs to the { of line 1.'])
  })

  it('refuses two objects of one identity that differ, and lets equal ones pass', () => {
    const object = (value: string): string => `apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {nodeName: ${value}}\n---\n`
    expect(read(object('a') + object('a')).problems).toEqual([])
    expect(read(object('a') + object('b')).problems).toEqual(['6 error stands here and in m:1, and the two differ|Keep one of them.'])
    // the same name in another namespace is another pod
    expect(read(object('a') + object('b').replace('name: p', 'name: p, namespace: y')).objects).toHaveLength(2)
  })

  it.each([
    ['just text', 'where a Kubernetes object was due'],
    ['- a\n- b', 'a list where a Kubernetes object was due'],
    ['kind: Pod\nmetadata: {name: a}', 'without an apiVersion'],
    ['apiVersion: v1\nmetadata: {name: a}', 'without a kind'],
    ['apiVersion: v1\nkind: Pod', 'a Pod without a name'],
    ['apiVersion: v1\nkind: Pod\nmetadata: {name: 12}', 'Write it in quotes: "12".'],
    ['apiVersion: v1\nkind: Pod\nmetadata: {generateName: x-}', 'generateName is filled in'],
    ['apiVersion: v1\nkind: List\nitems: {a: b}', 'items of a List is a mapping'],
    ['apiVersion: v1\nkind: List\nitems: [null]', 'nothing where a Kubernetes object was due'],
  ])('rejects %j', (text, words) => {
    const { objects, problems } = read(text)
    expect(objects).toEqual([])
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain(words)
  })
})
