/** Fragments: any cut, in any order, comes together; what overlaps does not; what is missing is told after 30 seconds. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Kit, packetOf } from './kit.js'
import { PROTO_ICMP, type Packet } from '../../src/wire/packet.js'

const HOSTS = { a: 'link eth0 veth b/eth0\naddr 10.1.0.1/24 dev eth0', b: 'link eth0 veth a/eth0\naddr 10.1.0.2/24 dev eth0\nsocket udp 9000' }

function piece(whole: number, offset: number, size: number, id = 7): Packet {
  return packetOf({ src: '10.1.0.1', dst: '10.1.0.2', id, offset, length: 20 + size, whole: 20 + whole, more: offset + size < whole })
}

function warmKit(): Kit {
  return new Kit(HOSTS, { warm: true })
}

describe('a datagram in pieces', () => {
  it('is delivered once, whole, whatever the cuts and the order, duplicates dropped', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 40, max: 4000 }),
        fc.array(fc.integer({ min: 1, max: 499 }), { maxLength: 8 }),
        fc.integer(),
        fc.boolean(),
        (whole, marks, order, twice) => {
          const cuts = [...new Set(marks.map((mark) => mark * 8).filter((cut) => cut < whole))].sort((a, b) => a - b)
          if (cuts.length === 0) return
          const edges = [0, ...cuts, whole]
          const pieces = cuts.concat(whole).map((end, i) => piece(whole, edges[i], end - edges[i]))
          if (twice) pieces.splice(1, 0, pieces[0])
          const mixed = pieces
            .map((one, i) => ({ one, key: Math.imul(order ^ (i + 1), 0x9e3779b1) }))
            .sort((x, y) => x.key - y.key)
            .map(({ one }) => one)
          const kit = warmKit()
          for (const one of mixed) kit.send('a', one)
          // a duplicate of a datagram that is whole already waits for others that never come
          const delivered = kit.ends().filter(({ disposition }) => disposition === 'DELIVERED')
          expect(delivered).toHaveLength(1)
        },
      ),
      { numRuns: 100 },
    )
  })

  it('that overlap in part are given up, all of them', () => {
    const kit = warmKit()
    kit.send('a', piece(1400, 0, 600))
    kit.send('a', piece(1400, 592, 808))
    expect(kit.ends().map(({ disposition, reason }) => [disposition, reason])).toEqual([
      ['CORRUPT', 'DUP_FRAG'],
      ['CORRUPT', 'DUP_FRAG'],
    ])
    kit.send('a', piece(1400, 0, 600))
    kit.send('a', piece(1400, 600, 800))
    expect(kit.ends().at(-1)).toMatchObject({ disposition: 'DELIVERED' })
  })

  it('of different datagrams do not mix', () => {
    const kit = warmKit()
    kit.send('a', piece(1400, 0, 600, 1))
    kit.send('a', piece(1400, 600, 800, 2))
    expect(kit.ends()).toEqual([])
    kit.send('a', piece(1400, 600, 800, 1))
    expect(kit.ends()).toMatchObject([{ disposition: 'DELIVERED' }])
  })

  it('that stay alone for 30 seconds are told of, when the first of them is there', () => {
    const kit = warmKit()
    kit.send('a', piece(1400, 600, 800, 1))
    kit.send('a', piece(1400, 0, 600, 2))
    kit.pass(29_999)
    expect(kit.ends()).toEqual([])
    kit.pass(2)
    const errors = kit.frames().filter(({ netns, out, packet }) => netns === 'b' && out && packet.proto === PROTO_ICMP)
    expect(errors.map(({ packet }) => [packet.sport, packet.dport, packet.inner?.ipId])).toEqual([[11, 1, 2]])
    expect(kit.ends().filter(({ reason }) => reason === 'FRAG_REASM_TIMEOUT')).toHaveLength(2)
  })
})

describe('a router', () => {
  it('cuts pieces again, and the last host puts all of them together', () => {
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 8000 }), fc.integer({ min: 68, max: 1500 }), fc.integer({ min: 68, max: 1500 }), (length, first, second) => {
        const kit = new Kit(
          {
            a: `link eth0 veth r/ra mtu ${first}\naddr 10.1.0.1/24 dev eth0\nroute add default via 10.1.0.9`,
            r: `link ra veth a/eth0 mtu 1500\nlink rb veth b/eth0 mtu ${second}\naddr 10.1.0.9/24 dev ra\naddr 10.2.0.9/24 dev rb\nsysctl net.ipv4.ip_forward=1`,
            b: 'link eth0 veth r/rb\naddr 10.2.0.2/24 dev eth0\nroute add default via 10.2.0.9\nsocket udp 9000',
          },
          { warm: true },
        )
        kit.send('a', packetOf({ src: '10.1.0.1', dst: '10.2.0.2', length }))
        expect(kit.ends().filter(({ disposition }) => disposition === 'DELIVERED')).toHaveLength(1)
        const arrived = kit.frames().filter(({ netns, device, out }) => netns === 'b' && device === 'eth0' && !out)
        let bytes = 0
        for (const { packet } of arrived) {
          expect(packet.ipLength).toBeLessThanOrEqual(Math.min(second, 1500))
          bytes += packet.ipLength - 20
        }
        expect(bytes).toBe(length - 20)
        expect(kit.rowsInUse()).toBe(0)
      }),
      { numRuns: 100 },
    )
  })
})
