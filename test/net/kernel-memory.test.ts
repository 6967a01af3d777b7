/** What kernels remember, put into a world that is made anew, is what a world that goes on remembers: the same frames at the same times. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ip } from '../../src/base/ip.js'
import { isSettled, laterMemory, NO_MEMORY, putMemory, takeMemory, type KernelMemory } from '../../src/net/kernel-memory.js'
import { NUD_DELAY, NUD_FAILED, NUD_INCOMPLETE, NUD_PROBE, NUD_REACHABLE, NUD_STALE, type NeighTable } from '../../src/net/neigh.js'
import { conntrackEntries } from '../../src/net/netfilter/conntrack-list.js'
import type { Conntrack } from '../../src/net/netfilter/conntrack.js'
import { TCP_SYN } from '../../src/wire/packet.js'
import { Kit, packetOf, type Hosts, type PacketWords, type SeenFrame } from './kit.js'

const ROUTER = {
  text: `link va veth a/eth0 master br0
    link vb veth b/eth0 master br0
    link br0 bridge
    link vc veth c/eth0
    addr 10.1.0.1/24 dev br0
    addr 10.2.0.1/24 dev vc
    sysctl net.ipv4.ip_forward=1`,
  iptables: `*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -d 10.96.0.1/32 -p udp -j DNAT --to-destination 10.2.0.2:9000
-A POSTROUTING -s 10.1.0.0/24 -o vc -j MASQUERADE
COMMIT
*filter
:FORWARD DROP [0:0]
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -d 10.2.0.2/32 -p icmp -m recent --name seen --rcheck --seconds 60 -j DROP
-A FORWARD -d 10.2.0.2/32 -p udp -m recent --name seen --set -j ACCEPT
-A FORWARD -j ACCEPT
COMMIT
`,
}

const pod = (port: string, address: string): string => `link eth0 veth r/${port}\naddr ${address}/24 dev eth0\nroute add default via 10.1.0.1 dev eth0`

const HOSTS: Hosts = {
  a: pod('va', '10.1.0.2'),
  b: pod('vb', '10.1.0.3'),
  r: ROUTER,
  c: 'link eth0 veth r/vc\naddr 10.2.0.2/24 dev eth0\nroute add default via 10.2.0.1 dev eth0\nsocket udp 9000\nsocket tcp 80',
}

const SENDS: readonly (readonly [string, PacketWords])[] = [
  ['a', { src: '10.1.0.2', dst: '10.2.0.2', proto: 'icmp', id: 7 }],
  ['a', { src: '10.1.0.2', dst: '10.96.0.1', dport: 53, sport: 40_000 }],
  ['a', { src: '10.1.0.2', dst: '10.1.0.3', proto: 'icmp' }],
  ['b', { src: '10.1.0.3', dst: '10.96.0.1', dport: 53, sport: 40_001 }],
  ['b', { src: '10.1.0.3', dst: '10.2.0.2', proto: 'tcp', dport: 80, sport: 41_000, flags: TCP_SYN }],
  ['c', { src: '10.2.0.2', dst: '10.1.0.3', proto: 'icmp' }],
  ['a', { src: '10.1.0.2', dst: '10.1.0.77', proto: 'icmp' }],
]

/** Longer than three ARP requests: all has ended. */
const WINDOW_MS = 4000

/** All but what is drawn: sequence numbers, identifications. */
function wordsOf({ netns, device, out, timeNs, packet: p }: SeenFrame, zeroNs: number): string {
  const macs = [p.srcMacHigh, p.srcMacLow, p.dstMacHigh, p.dstMacLow]
  return [netns, device, out, timeNs - zeroNs, p.etherType, p.proto, p.src, p.dst, p.sport, p.dport, p.tcpFlags, p.arpOperation, p.ttl, ...macs].join(' ')
}

/** What two hosts do in one nanosecond has no order between them. */
function framesOf(kit: Kit, zeroNs: number): readonly string[] {
  const frames = kit.frames().map((frame) => ({ timeNs: frame.timeNs, words: wordsOf(frame, zeroNs) }))
  return frames.sort((a, b) => a.timeNs - b.timeNs || (a.words < b.words ? -1 : 1)).map(({ words }) => words)
}

function putInto(kit: Kit, memory: KernelMemory, zeroNs: number): void {
  putMemory(kit.world, memory, zeroNs, (name) => kit.world.netns.find((netns) => netns.name === name))
}

const tracked = (kit: Kit): string[] => conntrackEntries(kit.netns('r').conntrack as Conntrack).map(({ slot: _, ...entry }) => JSON.stringify(entry))

describe('memory that is taken and put into a fresh world', () => {
  it('is that of a world that goes on, whatever was sent and however long it waited', () => {
    const gap = fc.constantFrom(0, 1, 900, 6000, 26_500, 31_000, 61_000, 122_000, 296_500, 301_000)
    const steps = fc.array(fc.record({ send: fc.nat(SENDS.length - 1), gapMs: gap }), { minLength: 2, maxLength: 6 })
    fc.assert(
      fc.property(steps, (story) => {
        const going = new Kit(HOSTS)
        let memory = NO_MEMORY
        for (const { send, gapMs } of story) {
          const [netns, words] = SENDS[send]
          going.pass(gapMs)
          const zeroNs = going.world.sim.nowNs
          const fresh = new Kit(HOSTS)
          putInto(fresh, memory, zeroNs)
          expect(tracked(fresh)).toEqual(tracked(going))
          going.send(netns, packetOf(words))
          fresh.send(netns, packetOf(words))
          going.pass(WINDOW_MS)
          fresh.pass(WINDOW_MS)
          expect(framesOf(fresh, 0)).toEqual(framesOf(going, zeroNs))
          expect(fresh.ends().map(({ disposition, reason, netns: at }) => [disposition, reason, at])).toEqual(
            going.ends().map(({ disposition, reason, netns: at }) => [disposition, reason, at]),
          )
          memory = takeMemory(fresh.world, zeroNs, memory)
          going.clear()
        }
      }),
      { numRuns: 50, seed: 20_261_123 },
    )
  })

  it('keeps nothing that has run out: 30 s of a UDP connection, 300 s of a station', () => {
    const kit = new Kit(HOSTS)
    kit.send('a', packetOf(SENDS[1][1]))
    kit.pass(10)
    const memory = takeMemory(kit.world, 0)
    const heldAt = (atNs: number): readonly number[] => {
      const fresh = new Kit(HOSTS)
      putInto(fresh, memory, atNs)
      return [tracked(fresh).length, fresh.device('r/br0').bridge?.learned().length ?? -1]
    }
    expect([29e9, 31e9, 299e9, 301e9].map(heldAt)).toEqual([
      [1, 1],
      [0, 1],
      [0, 1],
      [0, 0],
    ])
  })

  it('goes on asking for a neighbour that does not answer: failed three seconds after the first question, not after the last packet', () => {
    const kit = new Kit(HOSTS)
    kit.send('a', packetOf(SENDS[6][1]))
    kit.pass(1500)
    const fresh = new Kit(HOSTS)
    putInto(fresh, takeMemory(kit.world, 0), 2500e6)
    const state = (one: Kit): number | undefined => (one.device('a/eth0').neighbours as NeighTable).find(ip('10.1.0.77'))?.state
    expect(state(fresh)).toBe(NUD_INCOMPLETE)
    fresh.send('a', packetOf(SENDS[6][1]))
    fresh.pass(499)
    expect([state(fresh), fresh.ends().length]).toEqual([NUD_INCOMPLETE, 0])
    fresh.pass(2)
    expect([state(fresh), fresh.ends()[0].reason]).toEqual([NUD_FAILED, 'NEIGH_FAILED'])
  })

  it('fires what was due between: DELAY becomes PROBE after five seconds and asks the neighbour itself', () => {
    const kit = new Kit(HOSTS)
    kit.send('a', packetOf(SENDS[2][1]))
    kit.pass(31_000)
    kit.send('a', packetOf(SENDS[2][1]))
    kit.pass(10)
    const neighbour = (one: Kit): number | undefined => (one.device('a/eth0').neighbours as NeighTable).find(ip('10.1.0.3'))?.state
    expect(neighbour(kit)).toBe(NUD_DELAY)
    const memory = takeMemory(kit.world, 0)
    const answering = new Kit(HOSTS)
    putInto(answering, memory, 37e9)
    expect(neighbour(answering)).toBe(NUD_REACHABLE)
    const { b: _, ...others } = HOSTS
    const withoutB = { ...others, r: { ...ROUTER, text: ROUTER.text.replace('link vb veth b/eth0 master br0', '') } }
    const silent = (atNs: number): number | undefined => {
      const fresh = new Kit(withoutB)
      putInto(fresh, memory, atNs)
      return neighbour(fresh)
    }
    // asked at 36, 37 and 38 s
    expect([37e9, 38.9e9, 39e9].map(silent)).toEqual([NUD_PROBE, NUD_PROBE, NUD_FAILED])
  })

  it('is of no use to another host of the same name, or to another device', () => {
    const kit = new Kit(HOSTS)
    kit.send('a', packetOf(SENDS[0][1]))
    kit.pass(10)
    const memory = takeMemory(kit.world, 0)
    const held = (hosts: Hosts, device: string, carrier = 1): number => {
      const fresh = new Kit(hosts)
      fresh.device(device).carrier = carrier
      putInto(fresh, memory, 1e9)
      return [...(fresh.device(device).neighbours as NeighTable).all()].length
    }
    expect(held(HOSTS, 'a/eth0')).toBe(1)
    // the first host's place gives it other MACs
    expect(held({ z: '', ...HOSTS }, 'a/eth0')).toBe(0)
    expect(held(HOSTS, 'a/eth0', 0)).toBe(0)
  })

  it('drops a masqueraded connection with the address that it got', () => {
    const kit = new Kit(HOSTS)
    kit.send('a', packetOf(SENDS[1][1]))
    kit.pass(10)
    const fresh = new Kit({ ...HOSTS, r: { ...ROUTER, text: ROUTER.text.replace('addr 10.2.0.1/24', 'addr 10.2.0.9/24') } })
    putInto(fresh, takeMemory(kit.world, 0), 1e9)
    expect([tracked(kit).length, tracked(fresh).length]).toEqual([1, 0])
  })
})

describe('a translation', () => {
  it('that is remembered keeps its port: another source of the same port gets another', () => {
    const kit = new Kit(HOSTS)
    kit.send('a', packetOf(SENDS[1][1]))
    kit.pass(10)
    const portsSeen = (memory: KernelMemory, atNs: number): readonly number[] => {
      const fresh = new Kit(HOSTS)
      putInto(fresh, memory, atNs)
      fresh.send('b', packetOf({ src: '10.1.0.3', dst: '10.96.0.1', dport: 53, sport: 40_000 }))
      return fresh.frames().flatMap(({ netns, packet }) => (netns === 'c' && packet.dport === 9000 ? [packet.sport] : []))
    }
    const memory = takeMemory(kit.world, 0)
    expect(portsSeen(NO_MEMORY, 1e9)).toEqual([40_000])
    expect(portsSeen(memory, 1e9)).not.toEqual([40_000])
    expect(portsSeen(memory, 31e9)).toEqual([40_000])
  })
})

describe('a world', () => {
  it('is settled while those who are believed in would answer, and those who failed would not', () => {
    const kit = new Kit(HOSTS, { warm: true })
    kit.send('a', packetOf(SENDS[2][1]))
    kit.pass(10)
    const memory = takeMemory(kit.world, 0)
    expect(isSettled(kit.world)).toBe(true)
    const { b: _, ...others } = HOSTS
    const withoutB = { ...others, r: { ...ROUTER, text: ROUTER.text.replace('link vb veth b/eth0 master br0', '') } }
    const settledAt = (atNs: number, packet: boolean): boolean => {
      const fresh = new Kit(withoutB, { warm: true })
      putInto(fresh, memory, atNs)
      if (packet) fresh.send('a', packetOf(SENDS[2][1]))
      fresh.pass(packet ? 9000 : 0)
      return isSettled(fresh.world)
    }
    expect([settledAt(1e9, false), settledAt(40e9, true)]).toEqual([false, true])
  })

  it('that went on as it was has grown no older, but for connections that nothing renewed', () => {
    const kit = new Kit(HOSTS)
    kit.send('a', packetOf(SENDS[1][1]))
    kit.pass(1000)
    const first = takeMemory(kit.world, 0)
    kit.send('b', packetOf(SENDS[3][1]))
    kit.pass(1000)
    const memory = takeMemory(kit.world, 0, first)
    const later = laterMemory(memory, first, 20e9)
    const expiries = (one: KernelMemory): number[] => (one.netns.get('r')?.connections ?? []).map(({ expiresNs }) => expiresNs)
    expect([expiries(memory), expiries(later)]).toEqual([
      [30e9, 31e9],
      [30e9, 51e9],
    ])
    const neighbour = (one: KernelMemory): readonly number[] =>
      (one.netns.get('a')?.neighbours ?? []).map(({ state, confirmedNs }) => (state === NUD_REACHABLE || state === NUD_STALE ? confirmedNs : -1))
    expect(neighbour(later)).toEqual(neighbour(memory).map((atNs) => atNs + 20e9))
    expect(later.atNs - memory.atNs).toBe(20e9)
  })
})
