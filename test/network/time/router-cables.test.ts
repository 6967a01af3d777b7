/** Loss on a cable between routers, which no node's card knows of, meets the sessions of BGP that go over it; what is down at the start is told. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { netsim } from '../../cli/memory-io.js'

const FABRIC = fileURLToPath(new URL('../../../examples/calico-fabric.yaml', import.meta.url))

function scenario(loss: string): string {
  const event = `{at: 10s, cable: router/spine, segment: up-2, loss: ${loss}}`
  return `apiVersion: netsim/v1\nkind: Scenario\nmetadata: {name: lossy}\nspec:\n  until: 15m\n  events:\n    - ${event}\n`
}

interface Row {
  readonly atNs: number
  readonly node: string
  readonly what: string
}

async function sessionsOf(loss: string): Promise<readonly Row[]> {
  const words = ['show', 'timeline', '--kind', 'bgp-session', '--from', '0s', '-o', 'json', '-f', '-', '-f', FABRIC]
  const { out, err } = await netsim(words, { stdin: scenario(loss) })
  expect(err).toBe('')
  return (JSON.parse(out) as { readonly items: readonly Row[] }).items.filter(({ what }) => what.startsWith('session'))
}

describe('loss on the cable of a spine', () => {
  it('of a tenth of the frames ends no session: TCP sends again', async () => {
    expect(await sessionsOf('10%')).toEqual([])
  })

  it('of all of them ends the one session that goes over it, within its hold time', async () => {
    const ends = (await sessionsOf('100%')).filter(({ what }) => what.includes('is down'))
    expect(
      ends
        .slice(0, 2)
        .map(({ node, what }) => `${node}: ${what}`)
        .sort(),
    ).toEqual([
      'router/spine: session with router/tor-2 is down: Error: Hold timer expired',
      'router/tor-2: session with router/spine is down: Error: Hold timer expired',
    ])
    for (const { atNs } of ends.slice(0, 2)) {
      expect(atNs).toBeGreaterThan(10e9 + 100e9)
      expect(atNs).toBeLessThan(10e9 + 242e9)
    }
  })
})

describe('BGP that is down at the start', () => {
  it('is told with a run as it is without', async () => {
    const text = readFileSync(new URL('../../../examples/calico-none.yaml', import.meta.url), 'utf8')
    const cluster = text.replace(
      'kubeProxy: {mode: none}',
      'kubeProxy: {mode: none}, hosts: [{node: node-1, iptables: ["-I INPUT -p tcp --dport 179 -j REJECT"]}]',
    )
    expect(cluster).not.toBe(text)
    const run = 'apiVersion: netsim/v1\nkind: Scenario\nmetadata: {name: s}\nspec: {until: 10s}\n'
    const without = await netsim(['show', 'sessions', '-f', '-'], { stdin: cluster })
    const within = await netsim(['show', 'sessions', '--at', '1s', '-f', '-'], { stdin: `${cluster}\n---\n${run}` })
    expect(without.err).toContain('rejects it')
    expect(within.err).toBe(without.err)
    const report = await netsim(['run', '-'], { stdin: `${cluster}\n---\n${run}` })
    expect(report.out).toMatch(/rejects\s+it/)
  })
})
