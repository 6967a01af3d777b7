/** docs/calico.md says what the code does: its table is what simulations give, and the tests and examples that it names are there. */
import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { comparisonTable } from './kit/calico-page.js'

const ROOT = new URL('../', import.meta.url)
const page = readFileSync(new URL('docs/calico.md', ROOT), 'utf8')

describe('docs/calico.md', () => {
  it('its table is what the simulations give: paste it where it is not', () => {
    expect(/<!-- generated: comparison -->\n([\s\S]*?)\n?<!-- end -->/.exec(page)?.[1]).toBe(comparisonTable())
  })

  it('names only tests and examples that are there', () => {
    const named = [...page.matchAll(/\b((?:test|examples)\/[\w/.-]+\.(?:test\.ts|yaml))/g)].map(([, path]) => path)
    expect(named.length).toBeGreaterThan(8)
    expect(named.filter((path) => !existsSync(new URL(path, ROOT)))).toEqual([])
  })
})
