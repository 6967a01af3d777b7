/** Equal parts of a JSON text become one value; lines stay each part's own. */
import { describe, expect, it } from 'vitest'
import { linesAt, type JsonObject, type JsonValue } from '../../src/cluster/located.js'
import { readJson } from '../../src/cluster/json-text.js'

function read(text: string) {
  const { documents, issues } = readJson(text, 1)
  expect(issues).toEqual([])
  return documents[0]
}

function at(value: JsonValue, ...path: readonly (string | number)[]): JsonValue {
  return path.reduce<JsonValue>((inner, step) => (inner as Readonly<Record<string | number, JsonValue>>)[step], value)
}

describe('values that a text repeats', () => {
  const POD = '{"spec": {"tolerations": [{"key": "a", "effect": "NoExecute"}],\n "limits": {"cpu": 1}}}'

  it('are one value, frozen, whose every place has its own line', () => {
    const { value, lines } = read(`[${POD},\n${POD}]`)
    expect(at(value, 0)).toBe(at(value, 1))
    expect(Object.isFrozen(at(value, 0, 'spec', 'tolerations'))).toBe(true)
    expect([0, 1].map((index) => linesAt(lines, [index, 'spec', 'limits', 'cpu']).line)).toEqual([2, 4])
    expect(value).toEqual(JSON.parse(`[${POD},${POD}]`))
  })

  it("are apart where they stand under another key, in another order, or differ in a number's kind", () => {
    const text = '[{"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}, {"a": {"x": "1", "y": 2}}, {"a": {"x": 0}}, {"a": {"x": -0}}]'
    const { value } = read(text)
    expect(value).toEqual(JSON.parse(text))
    expect(at(value, 0, 'a')).not.toBe(at(value, 0, 'b'))
    expect(Object.keys(at(value, 1, 'a') as JsonObject)).toEqual(['y', 'x'])
    expect(Object.is(at(value, 4, 'a', 'x'), -0)).toBe(true)
  })

  it('take turns: what differs in between hides none of the last few', () => {
    const items = Array.from({ length: 40 }, (_, index) => `{"labels": {"tier": "t${index % 4}"}}`)
    const { value } = read(`[${items.join(',')}]`)
    const distinct = new Set((value as readonly JsonObject[]).map(({ labels }) => labels))
    expect(distinct.size).toBe(4)
  })

  it('hold keys that JavaScript treats apart as their own text does', () => {
    const text = '[{"m": {"b": 1, "2": 0, "1": 0}}, {"m": {"b": 1, "2": 0, "1": 0}}, {"m": {"__proto__": 1}}, {"m": {"__proto__": 2}}]'
    const { value } = read(text)
    expect(JSON.stringify(value)).toBe(JSON.stringify(JSON.parse(text)))
  })
})
