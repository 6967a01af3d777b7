/** A moment in which every agent has come to rest is the network that is put together at once: every example, every netns, all of its data. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { networkAt } from '../../../src/network/time/network-at.js'
import { clusterOf, momentsOf } from './moment-kit.js'

const ROOT = new URL('../../../examples/', import.meta.url)

/** Files, and what lies in one folder together. */
function inputsOf(name: string): readonly string[] {
  const url = new URL(name, ROOT)
  if (!statSync(url).isDirectory()) return [name]
  return readdirSync(url)
    .sort()
    .flatMap((file) => (statSync(new URL(`${name}/${file}`, ROOT)).isFile() && !file.endsWith('.txt') ? [`${name}/${file}`] : []))
}

const EXAMPLES = readdirSync(ROOT).filter((name) => inputsOf(name).length > 0)

describe('at rest', () => {
  it('there are examples', () => expect(EXAMPLES.length).toBeGreaterThan(25))

  it.each(EXAMPLES)('%s', (name) => {
    const cluster = clusterOf(inputsOf(name).map((file) => ({ file, text: readFileSync(new URL(file, ROOT), 'utf8') })))
    const { book, state, steady } = momentsOf(cluster)
    const moment = networkAt(book, state)
    expect([...moment.dataplanes.keys()]).toEqual([...steady.dataplanes.keys()])
    for (const [netns, dataplane] of steady.dataplanes) expect(moment.dataplanes.get(netns)).toEqual(dataplane)
    expect(moment.specs.map(({ role, fabric }) => ({ role, fabric }))).toEqual(steady.specs.map(({ role, fabric }) => ({ role, fabric })))
    expect(moment.leases.map(({ node, lease }) => ({ node, subnet: lease.subnet }))).toEqual(
      [...steady.leases].sort((a, b) => (a.lease.subnet.base >>> 0) - (b.lease.subnet.base >>> 0)).map(({ node, lease }) => ({ node, subnet: lease.subnet })),
    )
  })
})
