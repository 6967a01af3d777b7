/** A question finds rules as they were written, whatever questions were asked before it: their counters, buckets, lists and sets begin anew. */
import { describe, expect, it } from 'vitest'
import { EXAMPLE_TEXT } from '../../src/cluster/example.js'
import { answer, networkOf } from '../kit/network.js'

const ON_HOST_B: readonly (readonly [string, string, string])[] = [
  ['nothing that a packet changes', '"-I FORWARD -p udp -j DROP"', 'DELIVERED'],
  ['every second packet', '"-I FORWARD -d 10.1.20.3 -m statistic --mode nth --every 2 --packet 1 -j DROP"', 'DELIVERED'],
  ['a bucket of one', '"-I FORWARD -d 10.1.20.3 -j DROP", "-I FORWARD -d 10.1.20.3 -m limit --limit 1/day --limit-burst 1 -j ACCEPT"', 'DELIVERED'],
  ['whoever was seen', '"-I FORWARD -d 10.1.20.3 -m recent --name seen --set", "-I FORWARD -d 10.1.20.3 -m recent --name seen --rcheck -j DROP"', 'DELIVERED'],
]

describe.each(ON_HOST_B)('%s', (_, rules, wanted) => {
  const hosts = `  hosts: [{node: host-b, iptables: [${rules}]}]\n`
  const network = networkOf(EXAMPLE_TEXT.replace('  kubeProxy:', `${hosts}  kubeProxy:`))

  it('answers the third question as the first, packets counted anew', () => {
    const asked = [1, 2, 3].map(() => {
      const { outcome } = answer(network, 'pod-a', 'pod-b', {})
      const netfilter = network.world.netns.find(({ name }) => name === 'host-b')?.netfilter
      return [outcome.disposition, [...(netfilter?.packets ?? [])]] as const
    })
    expect(asked[0][0]).toBe(wanted)
    expect(asked[0][1].some((count) => count > 0)).toBe(true)
    expect(asked.slice(1)).toEqual([asked[0], asked[0]])
  })
})
