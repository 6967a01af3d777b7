/** What changed when a state came into force: on which node, in which words. */
import { describe, expect, it } from 'vitest'
import { readFileSync } from 'node:fs'
import { changesAt, changesBetween } from '../../../src/network/time/changes-at.js'
import { changeText } from '../../../src/network/time/dataplane-diff.js'
import type { NetworkState } from '../../../src/network/time/network-state.js'
import { clusterOf, momentsOf, withNodes } from './moment-kit.js'

const { book, state } = momentsOf(clusterOf([{ file: 'x.yaml', text: readFileSync(new URL('../../../examples/flannel-vxlan.yaml', import.meta.url), 'utf8') }]))
const [first, second] = [...state.nodes.keys()]

function told(...states: readonly NetworkState[]): string[] {
  return changesAt({ states, book }, states.length - 1).map((change) => `${change.netns} ${changeText(change)}`)
}

describe('a state', () => {
  it('that is the first, or says the same, changed nothing', () => {
    expect(told(state)).toEqual([])
    expect(told(state, { ...state, atNs: 5 })).toEqual([])
    expect(told(state, withNodes(state, { [first]: {} }))).toEqual([])
  })

  it('a lease that a flanneld has heard is gone: its route, its neighbour, its FDB entry, there alone', () => {
    const view = state.nodes.get(first)?.flannel
    if (view === undefined) throw new Error('it has a view')
    const lines = told(state, withNodes(state, { [first]: { flannel: { ...view, leases: [view.ownLease] } } }))
    expect(lines.map((line) => line.replace(/\d+\.\d+\.\d+\.\d+|([0-9a-f]{2}:){5}[0-9a-f]{2}/g, 'X'))).toEqual([
      `${first} - X/24 via X dev flannel.1 onlink`,
      `${first} - X dev flannel.1 lladdr X PERMANENT`,
      `${first} - X dev flannel.1 dst X self permanent`,
    ])
  })

  it('power and cable', () => {
    const off = withNodes(state, { [second]: { power: false } })
    expect(told(state, off)).toEqual([`${second} - power, and with it all that was in the kernel`])
    expect(told(off, withNodes(off, { [first]: { mtu: 1400 } })).every((line) => line.startsWith(first))).toBe(true)
    expect(told(off, state)[0]).toBe(`${second} + power: the kernel starts with nothing`)
    expect(told(off, state).length).toBeGreaterThan(20)
    const cut = told(state, withNodes(state, { [second]: { cable: { cut: true, loss: 0, delayNs: 0 } } }))
    expect(cut).toEqual([`${second} - eth0 LOWER_UP state UP`, `${second} + eth0 NO-CARRIER state DOWN`])
    expect(told(state, withNodes(state, { [second]: { mtu: 1400 } })).slice(0, 2)).toEqual([`${second} - eth0 mtu 1500`, `${second} + eth0 mtu 1400`])
  })

  it('rules of a router, and only of who is asked about', () => {
    const router = book.cluster(0).routers[0].name
    const text = 'iptables -A FORWARD -p udp -j DROP'
    const after = {
      ...withNodes(state, { [first]: { mtu: 1400 } }),
      underlay: { ...state.underlay, firewalls: new Map([[router, [{ text, file: 's', line: 1 }]]]) },
    }
    expect(told(state, after)).toContain(`router/${router} + -t filter -A FORWARD -p udp -j DROP`)
    const only = changesBetween(book, state, after, [first])
    expect(new Set(only.map(({ netns }) => netns))).toEqual(new Set([first]))
  })
})
