import { describe, expect, it } from 'vitest'
import { ALPHABET, assumedUid, generateName, podsPrefix, safeEncode, templateHash } from '../../../src/cluster/workloads/names.js'

describe('names that an API server draws', () => {
  // k8s.io/apimachinery pkg/util/rand: 27 characters, no vowels, no y, none of 0 1 3
  it('uses the alphabet of today', () => {
    expect(ALPHABET).toBe('bcdfghjklmnpqrstvwxz2456789')
    expect(ALPHABET).toHaveLength(27)
  })

  it('encodes the digits as SafeEncodeString does', () => {
    expect(safeEncode('0123456789')).toBe('456789bcdf')
  })

  it('hashes a template in the form of pod-template-hash, whatever the order of its keys', () => {
    const hash = templateHash({ metadata: { labels: { a: '1', b: '2' } }, spec: { containers: [] } })
    expect(hash).toMatch(/^[456789bcdf]{1,10}$/)
    expect(templateHash({ spec: { containers: [] }, metadata: { labels: { b: '2', a: '1' } } })).toBe(hash)
    expect(templateHash({ metadata: { labels: { a: '1', b: '3' } }, spec: { containers: [] } })).not.toBe(hash)
  })

  // k8s.io/apiserver pkg/storage/names: at most 58 of the base, five more
  it('cuts a long base at 58 characters', () => {
    const name = generateName(podsPrefix('w'.repeat(80)), 'x', new Set())
    expect(name).toHaveLength(63)
    expect(name).toMatch(new RegExp(`^w{58}[${ALPHABET}]{5}$`))
  })

  it('draws again what is taken, and the same for the same', () => {
    const taken = new Set<string>()
    const [first, second] = [generateName('web-', 'a', taken), generateName('web-', 'a', taken)]
    expect(first).not.toBe(second)
    expect([...taken]).toEqual([first, second])
    expect(generateName('web-', 'a', new Set())).toBe(first)
  })

  it('makes UUIDs of version 4', () => {
    expect(assumedUid('Job/default/pi')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(assumedUid('a')).not.toBe(assumedUid('b'))
  })
})
