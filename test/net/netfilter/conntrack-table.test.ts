import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { E_DST, E_PORTS, E_PROTO, ENTRY_STRIDE } from '../../../src/net/netfilter/conntrack-tuple.js'
import type { Conntrack } from '../../../src/net/netfilter/conntrack.js'
import { forward, host, packet, table } from './support.js'

const CLIENTS = 3

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('open' as const), client: fc.nat(CLIENTS - 1), server: fc.nat(400) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('kill' as const), which: fc.nat() }) },
)

interface Opened {
  readonly slot: number
  readonly client: number
}

/** Slots of the source's chain, in its order. */
function chainOf(conntrack: Conntrack, src: number, sourcePort: number, proto: number): number[] {
  const slots: number[] = []
  for (let at = conntrack.firstBySource(src, sourcePort, proto); at >= 0; at = conntrack.nextBySource(at)) {
    if (conntrack.rows[at * ENTRY_STRIDE] === src) slots.push(at)
    // a ring would never end
    expect(slots.length).toBeLessThanOrEqual(conntrack.used)
  }
  return slots
}

describe('the store of connections', () => {
  it('finds by tuple and by source what is open, and nothing that has ended, in whatever order they end', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 400 }), (steps) => {
        const at = host(table('nat', '-A POSTROUTING -s 9.9.9.9/32 -j MASQUERADE'))
        const { conntrack } = at.netns
        if (conntrack === null) throw new Error('conntrack is off')
        const first = packet()
        const open: Opened[] = []
        const ended: (readonly [src: number, dst: number, ports: number, proto: number])[] = []
        const tuple = (slot: number): readonly [number, number, number, number] => {
          const row = slot * ENTRY_STRIDE
          const { rows } = conntrack
          return [rows[row], rows[row + E_DST], rows[row + E_PORTS], rows[row + E_PROTO]]
        }
        for (const one of steps) {
          if (one.kind === 'kill') {
            if (open.length === 0) continue
            const [gone] = open.splice(one.which % open.length, 1)
            ended.push(tuple(gone.slot))
            conntrack.kill(gone.slot)
            continue
          }
          const passing = packet()
          passing.src = first.src + one.client
          passing.dst = first.dst + one.server
          forward(at, passing)
          if (!open.some(({ slot }) => slot === passing.conntrack)) open.push({ slot: passing.conntrack, client: one.client })
        }
        for (let client = 0; client < CLIENTS; client++) {
          const mine = open.filter((one) => one.client === client).map(({ slot }) => slot)
          expect(chainOf(conntrack, first.src + client, first.sport, first.proto).sort((a, b) => a - b)).toEqual(mine.sort((a, b) => a - b))
        }
        const stillOpen = new Set(open.map(({ slot }) => tuple(slot).join(' ')))
        for (const { slot } of open) expect(conntrack.find(...tuple(slot)) >> 1).toBe(slot)
        for (const one of ended) if (!stillOpen.has(one.join(' '))) expect(conntrack.find(...one)).toBe(-1)
        expect(conntrack.count).toBe(open.length)
      }),
      { numRuns: 60 },
    )
  })
})
