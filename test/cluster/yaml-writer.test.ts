/** What is written is read back the same, by YAML 1.2 and by 1.1, which kubectl speaks. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import type { JsonValue } from '../../src/cluster/located.js'
import { writeYaml } from '../../src/cluster/yaml-writer.js'

describe('YAML that is written', () => {
  it.each(['1.1', '1.2'] as const)('is read back by YAML %s', (version) => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        const plain = JSON.parse(JSON.stringify(value)) as JsonValue
        expect(parse(writeYaml(plain), { version })).toEqual(plain)
      }),
      { numRuns: 300 },
    )
  })

  it.each(['yes', 'no', 'on', 'off', 'y', 'null', '~', '1:30', '0755', '1e3', '2020-01-01', '', ' x', '- a', 'a: b', '#c', '*', '0x1f'])(
    'puts %j in quotes',
    (text) => {
      expect(writeYaml({ label: text })).toMatch(/^label: ["']/)
    },
  )
})
