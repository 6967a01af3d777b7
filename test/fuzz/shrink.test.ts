import { describe, expect, it } from 'vitest'
import { randomWorld } from './random-world.js'
import { shrink } from './shrink.js'

const PROBES = 10

describe('a world that differs is made smaller', () => {
  it('keeps what the difference needs and nothing else', async () => {
    const draft = randomWorld(7, { probes: PROBES })
    const guilty = {
      ...draft,
      hosts: [
        {
          node: draft.nodes[0].name,
          sysctls: [],
          ipset: [],
          ip: [],
          iptables: ['-t raw -I OUTPUT', '-t filter -I FORWARD -s 10.244.1.2 -m length --length 0:99 -j DROP', '-t nat -N X'],
        },
      ],
    }
    let played = 0
    const small = await shrink(guilty, (smaller) => {
      played++
      return Promise.resolve(smaller.probes.length > 0 && smaller.hosts.some(({ iptables }) => iptables.some((rule) => rule.endsWith('-j DROP'))))
    })
    expect(small.probes).toHaveLength(1)
    expect(small.nodes).toHaveLength(1)
    expect(small.pods).toHaveLength(1)
    expect(small.hosts.map(({ iptables }) => iptables)).toEqual([['-t filter -I FORWARD -j DROP']])
    expect(played).toBeLessThan(200)
  })
})
