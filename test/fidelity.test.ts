/** docs/fidelity.md says what the code does: its generated parts are what the code gives, and the tests that it names are there. */
import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { generatedParts } from './kit/fidelity-page.js'

const ROOT = new URL('../', import.meta.url)
const page = readFileSync(new URL('docs/fidelity.md', ROOT), 'utf8')

function between(name: string): string {
  const found = new RegExp(`<!-- generated: ${name} -->\\n([\\s\\S]*?)\\n?<!-- end -->`).exec(page)
  return found?.[1] ?? `docs/fidelity.md has no part "${name}"`
}

describe('docs/fidelity.md', () => {
  it.each(Object.entries(generatedParts()))('the part "%s" is what the code gives: paste it where it is not', (name, text) => {
    expect(between(name)).toBe(text)
  })

  it('names only tests that are there', () => {
    const named = [...page.matchAll(/`(test\/[\w/.-]+)`/g)].map(([, path]) => path)
    expect(named.length).toBeGreaterThan(8)
    expect(named.filter((path) => !existsSync(new URL(path, ROOT)))).toEqual([])
  })

  it('names every test against the real kernel', () => {
    for (const name of ['walk', 'netfilter', 'dataplane-text', 'verify']) expect(page).toContain(`\`test/real-kernel/${name}.test.ts\``)
  })
})
