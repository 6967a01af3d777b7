import { describe, expect, it } from 'vitest'
import {
  labelFault,
  matchesNodeTerms,
  matchesLabels,
  matchesRequirement,
  NODE_OPERATORS,
  requirementFaults,
  SELECTOR_OPERATORS,
  type Labels,
} from '../../src/cluster/labels.js'

const labels = { app: 'web', tier: '2' }

describe('selectors', () => {
  it.each([
    [{}, true],
    [{ app: 'web' }, true],
    [{ app: 'web', tier: '3' }, false],
    [{ zone: 'a' }, false],
  ])('labels %j', (wanted: Labels, matches) => {
    expect(matchesLabels(wanted, labels)).toBe(matches)
  })

  it.each([
    [{ key: 'app', operator: 'In', values: ['api', 'web'] }, true],
    [{ key: 'tier', operator: 'In', values: ['1'] }, false],
    [{ key: 'zone', operator: 'NotIn', values: ['a'] }, true],
    [{ key: 'app', operator: 'NotIn', values: ['web'] }, false],
    [{ key: 'zone', operator: 'Exists' }, false],
    [{ key: 'zone', operator: 'DoesNotExist' }, true],
    [{ key: 'constructor', operator: 'Exists' }, false],
  ])('requirement %j', (requirement, matches) => {
    expect(matchesRequirement(requirement, labels)).toBe(matches)
  })

  it('compares whole numbers with Gt and Lt, and nothing else', () => {
    const requirement = (operator: string, value: string) => ({ key: 'tier', operator, values: [value] })
    expect(matchesRequirement(requirement('Gt', '1'), labels)).toBe(true)
    expect(matchesRequirement(requirement('Gt', '2'), labels)).toBe(false)
    expect(matchesRequirement(requirement('Lt', '9223372036854775807'), labels)).toBe(true)
    expect(matchesRequirement(requirement('Lt', 'x'), labels)).toBe(false)
  })

  it('ORs the terms of node affinity and ANDs inside; an empty term matches nothing', () => {
    const node = { name: 'n1', labels }
    expect(matchesNodeTerms([], node)).toBe(false)
    expect(matchesNodeTerms([{}], node)).toBe(false)
    expect(matchesNodeTerms([{}, { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n1'] }] }], node)).toBe(true)
    expect(
      matchesNodeTerms(
        [{ matchExpressions: [{ key: 'app', operator: 'Exists' }], matchFields: [{ key: 'metadata.name', operator: 'NotIn', values: ['n1'] }] }],
        node,
      ),
    ).toBe(false)
  })

  it('names what breaks the grammar', () => {
    expect(requirementFaults({ key: 'a', operator: 'in', values: ['x'] }, SELECTOR_OPERATORS)[0].what).toBe('unknown operator "in"')
    expect(requirementFaults({ key: 'a', operator: 'In' }, SELECTOR_OPERATORS)[0].path).toEqual(['values'])
    expect(requirementFaults({ key: 'a', operator: 'Exists', values: ['x'] }, SELECTOR_OPERATORS)).toHaveLength(1)
    expect(requirementFaults({ key: 'a', operator: 'Gt', values: ['x'] }, NODE_OPERATORS)).toHaveLength(1)
    expect(requirementFaults({ key: 'a', operator: 'Gt', values: ['1'] }, SELECTOR_OPERATORS)[0].what).toContain('unknown operator')
    expect(requirementFaults({ key: 'a', operator: 'NotIn', values: ['x'] }, SELECTOR_OPERATORS)).toEqual([])
  })

  it.each([
    ['app', 'web', true],
    ['app.kubernetes.io/name', '', true],
    ['a'.repeat(63), 'x'.repeat(63), true],
    ['a'.repeat(64), 'x', false],
    ['app', 'x'.repeat(64), false],
    ['-app', 'x', false],
    ['a/b/c', 'x', false],
    ['Upper/x', 'y', false],
    ['app', 'has space', false],
  ])('label %s=%s: %s', (key, value, sound) => {
    expect(labelFault(key, value) === undefined).toBe(sound)
  })
})
