/** The examples of RFC 6902 appendix A, and RFC 6901 section 3. */
import { describe, expect, it } from 'vitest'
import { applyPatch, patchText } from '../../src/policy/fix/json-patch.js'

describe('JSON patches', () => {
  it.each([
    ['A.1 adding an object member', { foo: 'bar' }, { op: 'add', path: ['baz'], value: 'qux' }, { baz: 'qux', foo: 'bar' }],
    ['A.2 adding an array element', { foo: ['bar', 'baz'] }, { op: 'add', path: ['foo', 1], value: 'qux' }, { foo: ['bar', 'qux', 'baz'] }],
    ['A.3 removing an object member', { baz: 'qux', foo: 'bar' }, { op: 'remove', path: ['baz'] }, { foo: 'bar' }],
    ['A.4 removing an array element', { foo: ['bar', 'qux', 'baz'] }, { op: 'remove', path: ['foo', 1] }, { foo: ['bar', 'baz'] }],
    ['A.5 replacing a value', { baz: 'qux', foo: 'bar' }, { op: 'replace', path: ['baz'], value: 'boo' }, { baz: 'boo', foo: 'bar' }],
    [
      'A.10 adding a nested member object',
      { foo: 'bar' },
      { op: 'add', path: ['child'], value: { grandchild: {} } },
      { foo: 'bar', child: { grandchild: {} } },
    ],
    ['A.16 adding an array value', { foo: ['bar'] }, { op: 'add', path: ['foo', '-'], value: ['abc', 'def'] }, { foo: ['bar', ['abc', 'def']] }],
  ] as const)('%s', (_, before, step, after) => {
    expect(applyPatch(before, [step])).toEqual(after)
  })

  it('A.12: a step whose path leads nowhere changes nothing', () => {
    expect(applyPatch({ foo: 'bar' }, [{ op: 'add', path: ['baz', 'bat'], value: 'qux' }])).toEqual({ foo: 'bar' })
  })

  it('write ~ and / of keys as RFC 6901 has them', () => {
    expect(patchText([{ op: 'remove', path: ['metadata', 'labels', 'app.kubernetes.io/name~x', 0] }])).toBe(
      '[{"op":"remove","path":"/metadata/labels/app.kubernetes.io~1name~0x/0"}]',
    )
  })
})
