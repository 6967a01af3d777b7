import { describe, expect, it } from 'vitest'
import { formatIp } from '../../../src/base/ip.js'
import { conntrackEntries } from '../../../src/net/netfilter/conntrack-list.js'
import { tcpTransition } from '../../../src/net/netfilter/conntrack-tcp.js'
import {
  CT_ESTABLISHED,
  CT_ESTABLISHED_REPLY,
  CT_INVALID,
  CT_NEW,
  CT_RELATED_REPLY,
  CT_UNTRACKED,
  IPS_ASSURED,
  IPS_SEEN_REPLY,
} from '../../../src/net/netfilter/conntrack-tuple.js'
import type { Conntrack } from '../../../src/net/netfilter/conntrack.js'
import { NF_ACCEPT, NF_DROP } from '../../../src/net/netfilter/netfilter.js'
import { scrubPacket } from '../../../src/net/scrub.js'
import { PAYLOAD_RAW, TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, type Packet } from '../../../src/wire/packet.js'
import { answer, forward, host, icmpError, packet, route, send, table, type Host, type PacketSpec } from './support.js'

const TRACKING = table('filter', '-A FORWARD -m conntrack --ctstate INVALID')

function conntrackOf(at: Host): Conntrack {
  if (at.netns.conntrack === null) throw new Error('conntrack is off')
  return at.netns.conntrack
}

function pass(at: Host, passing: Packet, from = 'ra', to = 'rb'): Packet {
  expect(forward(at, passing, from, to)).toBe(NF_ACCEPT)
  return passing
}

const shown = ({ src, sport, dst, dport }: Packet): string => `${formatIp(src)}:${sport} > ${formatIp(dst)}:${dport}`

describe('conntrack is on', () => {
  // measured on Linux 6.18 with iptables 1.8.9, see needsConntrack
  it.each<[string, string, boolean]>([
    ['an empty nat table', table('nat'), false],
    ['a nat table without a NAT target', table('nat', '-A POSTROUTING -j ACCEPT'), false],
    ['NOTRACK', table('raw', '-A PREROUTING -j CT --notrack'), false],
    ['a masquerade', table('nat', '-A POSTROUTING -s 9.9.9.9/32 -j MASQUERADE'), true],
    ['a chain that nothing jumps to', table('filter', '-A U-X -m conntrack --ctstate NEW'), true],
    ['-m state', table('filter', '-A FORWARD -m state --state NEW'), true],
    ['connmark', table('mangle', '-A FORWARD -m connmark --mark 0x1'), true],
    ['CONNMARK', table('mangle', '-A FORWARD -j CONNMARK --save-mark'), true],
  ])('%s: %s', (_, rules, expected) => {
    expect(host(rules).netns.conntrack !== null).toBe(expected)
  })
})

describe('timeouts', () => {
  const secondsLeft = (at: Host): number[] => conntrackEntries(conntrackOf(at)).map((entry) => entry.secondsLeft)

  it('gives UDP 30 s, and 120 s as a stream: answered, and still running after 2 s', () => {
    const at = host(TRACKING)
    const first = pass(at, packet())
    expect(secondsLeft(at)).toEqual([30])
    pass(at, answer(first), 'rb', 'ra')
    pass(at, packet())
    expect(secondsLeft(at)).toEqual([30])
    at.world.sim.nowNs = 2.1e9
    pass(at, packet())
    expect(conntrackEntries(conntrackOf(at)).map(({ secondsLeft: left, status }) => [left, status & IPS_ASSURED])).toEqual([[120, IPS_ASSURED]])
    at.world.sim.nowNs = 130e9
    expect(secondsLeft(at)).toEqual([])
    expect(pass(at, packet()).conntrackState).toBe(CT_NEW)
  })

  it('keeps an established TCP connection for five days, a reset one ten seconds, and follows the sysctls', () => {
    const at = host(TRACKING, { sysctls: { 'net.netfilter.nf_conntrack_tcp_timeout_syn_sent': 7 } })
    const syn = pass(at, packet({ proto: 'tcp' }))
    expect(secondsLeft(at)).toEqual([7])
    pass(at, answer(syn), 'rb', 'ra')
    pass(at, packet({ proto: 'tcp', flags: TCP_ACK }))
    expect(secondsLeft(at)).toEqual([432_000])
    pass(at, packet({ proto: 'tcp', flags: TCP_RST }))
    expect(conntrackEntries(conntrackOf(at)).map((entry) => [entry.secondsLeft, entry.tcpState])).toEqual([[10, 'CLOSE']])
  })
})

describe('TCP', () => {
  it('moves as the state machine says: open, close, reopen', () => {
    expect([tcpTransition(0, 0, 0), tcpTransition(1, 1, 1), tcpTransition(0, 3, 2)]).toEqual([1, 2, 3])
    const at = host(TRACKING)
    const spec: PacketSpec = { proto: 'tcp' }
    const syn = pass(at, packet(spec))
    const back = (flags: number): Packet => pass(at, Object.assign(answer(syn), { tcpFlags: flags }), 'rb', 'ra')
    const states = [
      back(TCP_SYN | TCP_ACK),
      pass(at, packet({ ...spec, flags: TCP_ACK })),
      pass(at, packet({ ...spec, flags: TCP_FIN | TCP_ACK })),
      back(TCP_FIN | TCP_ACK),
      pass(at, packet({ ...spec, flags: TCP_ACK })),
    ]
    expect(states.map((one) => one.conntrackState)).toEqual([CT_ESTABLISHED_REPLY, CT_ESTABLISHED, CT_ESTABLISHED, CT_ESTABLISHED_REPLY, CT_ESTABLISHED])
    const [closed] = conntrackEntries(conntrackOf(at))
    expect(closed.tcpState).toBe('TIME_WAIT')
    expect(pass(at, packet(spec)).conntrackState).toBe(CT_NEW)
    const [reopened] = conntrackEntries(conntrackOf(at))
    expect([reopened.tcpState, reopened.id === closed.id]).toEqual(['SYN_SENT', false])
  })

  it('forgets a connection that was refused', () => {
    const at = host(TRACKING)
    const syn = pass(at, packet({ proto: 'tcp' }))
    pass(at, Object.assign(answer(syn), { tcpFlags: TCP_RST | TCP_ACK }), 'rb', 'ra')
    expect(conntrackOf(at).count).toBe(0)
  })

  it('calls a segment without flags, or a SYN-ACK that nobody asked for, invalid', () => {
    const at = host(TRACKING)
    expect(pass(at, packet({ proto: 'tcp', flags: 0 })).conntrackState).toBe(CT_INVALID)
    expect(pass(at, packet({ proto: 'tcp', flags: TCP_SYN | TCP_ACK })).conntrackState).toBe(CT_INVALID)
    expect(conntrackOf(at).count).toBe(0)
  })

  it('picks a connection up in mid-stream unless tcp_loose is 0', () => {
    const spec: PacketSpec = { proto: 'tcp', flags: TCP_ACK }
    expect(pass(host(TRACKING), packet(spec)).conntrackState).toBe(CT_NEW)
    expect(pass(host(TRACKING, { sysctls: { 'net.netfilter.nf_conntrack_tcp_loose': 0 } }), packet(spec)).conntrackState).toBe(CT_INVALID)
  })
})

describe('the table', () => {
  it('drops a new connection when it is full, and takes it again when others have expired', () => {
    const at = host(TRACKING, { sysctls: { 'net.netfilter.nf_conntrack_max': 2 } })
    pass(at, packet({ sport: 1 }))
    pass(at, packet({ sport: 2 }))
    expect(forward(at, packet({ sport: 3 }))).toBe(NF_DROP)
    pass(at, packet({ sport: 2 }))
    at.world.sim.nowNs = 31e9
    pass(at, packet({ sport: 3 }))
  })

  it('finds every one of 5,000 connections in both directions, and none after they expired', () => {
    const at = host(TRACKING)
    for (let i = 0; i < 5000; i++) pass(at, packet({ sport: 1024 + i }))
    expect(conntrackOf(at).count).toBe(5000)
    for (let i = 0; i < 5000; i++) expect(pass(at, answer(packet({ sport: 1024 + i })), 'rb', 'ra').conntrackState).toBe(CT_ESTABLISHED_REPLY)
    expect(conntrackEntries(conntrackOf(at)).every((entry) => (entry.status & IPS_SEEN_REPLY) !== 0)).toBe(true)
    at.world.sim.nowNs = 40e9
    for (let i = 0; i < 5000; i++) expect(pass(at, packet({ sport: 1024 + i })).conntrackState).toBe(CT_NEW)
    expect(conntrackOf(at).count).toBe(5000)
  })

  it('does not grow by packets that are dropped before they are confirmed', () => {
    const at = host(table('filter', '-A FORWARD -m conntrack --ctstate NEW -j DROP'))
    const { capacity } = conntrackOf(at)
    for (let i = 0; i < 5000; i++) expect(forward(at, packet({ sport: i }))).toBe(NF_DROP)
    // lost without a verdict: routing failed between two hooks
    for (let i = 0; i < 5000; i++) at.netfilter.run(0, packet({ sport: i }), at.device('ra'), null)
    expect([conntrackOf(at).count, conntrackOf(at).capacity <= capacity * 2]).toEqual([0, true])
  })

  it('does not look a packet up again that has a connection, and looks it up anew once it has left the stack', () => {
    const at = host(TRACKING)
    const passing = pass(at, packet())
    const { conntrack } = passing
    pass(at, passing)
    expect([passing.conntrack, passing.conntrackState]).toEqual([conntrack, CT_NEW])
    scrubPacket(passing)
    expect([passing.conntrack, passing.conntrackState]).toEqual([-1, CT_INVALID])
    pass(at, passing)
    expect([passing.conntrack, passing.conntrackState, conntrackOf(at).count]).toEqual([conntrack, CT_NEW, 1])
  })

  it('leaves an untracked packet alone', () => {
    const at = host(table('raw', '-A PREROUTING -j NOTRACK') + TRACKING)
    expect([pass(at, packet()).conntrackState, conntrackOf(at).count]).toEqual([CT_UNTRACKED, 0])
  })
})

describe('translation', () => {
  const MASQUERADE = table('nat', '-A POSTROUTING -o rb -j MASQUERADE')

  it('gives a second client with the same port another one, of the same class of ports', () => {
    const at = host(MASQUERADE)
    for (const [sport, low, high] of [
      [40000, 1024, 65535],
      [700, 600, 1023],
      [100, 1, 511],
    ] as const) {
      expect(pass(at, packet({ sport })).sport).toBe(sport)
      const second = pass(at, packet({ src: '10.1.0.3', sport }))
      expect(second.sport).not.toBe(sport)
      expect(second.sport >= low && second.sport <= high).toBe(true)
      expect(shown(pass(at, answer(second), 'rb', 'ra'))).toBe(`10.2.0.2:9000 > 10.1.0.3:${sport}`)
    }
  })

  it('keeps the mapping of a source towards another destination', () => {
    const at = host(MASQUERADE)
    pass(at, packet())
    const moved = pass(at, packet({ src: '10.1.0.3' }))
    expect(pass(at, packet({ src: '10.1.0.3', dst: '10.2.0.9' })).sport).toBe(moved.sport)
  })

  it('draws the port by the seed with --random-fully, the same for the same seed', () => {
    const ports = (seed: number): number[] => {
      const at = host(table('nat', '-A POSTROUTING -o rb -j MASQUERADE --random-fully'), { seed })
      return [1, 2, 3].map((last) => pass(at, packet({ src: `10.1.0.${last}` })).sport)
    }
    expect(ports(7)).toEqual(ports(7))
    expect(ports(7)).not.toEqual(ports(8))
    expect(ports(7).every((port) => port >= 1024)).toBe(true)
  })

  it('drops what a full port range cannot take', () => {
    const at = host(table('nat', '-A POSTROUTING -p udp -j SNAT --to-source 10.2.0.1:5000-5001'))
    pass(at, packet({ sport: 1 }))
    pass(at, packet({ sport: 2 }))
    expect([forward(at, packet({ sport: 3 })), conntrackOf(at).insertFailed]).toEqual([NF_DROP, 1])
  })

  it('rewrites the packet that an ICMP error quotes, and its receiver', () => {
    const at = host(MASQUERADE)
    const sent = pass(at, packet())
    const error = icmpError(sent, '10.2.0.2')
    const prerouting = at.netfilter.run(0, error, at.device('rb'), null)
    expect([prerouting, formatIp(error.dst), error.conntrackState]).toEqual([NF_ACCEPT, '10.1.0.2', CT_RELATED_REPLY])
    expect(error.inner === null ? '' : shown(error.inner)).toBe('10.1.0.2:40000 > 10.2.0.2:9000')
  })

  it('lets the answer to a rejected packet look as if the first destination gave it, as measured on Linux 6.18', () => {
    const at = host(table('nat', '-A PREROUTING -d 10.9.0.2/32 -j DNAT --to-destination 10.2.0.2') + table('filter', '-A FORWARD -j REJECT'))
    const udp = packet({ dst: '10.9.0.2' })
    expect(forward(at, udp)).toBe(NF_DROP)
    const error = icmpError(udp, '10.1.0.1')
    conntrackOf(at).attach(error, udp)
    expect([send(at, error, 'ra'), formatIp(error.src), error.inner === null ? '' : shown(error.inner)]).toEqual([
      NF_ACCEPT,
      '10.9.0.2',
      '10.1.0.2:40000 > 10.9.0.2:9000',
    ])
    const tcp = packet({ dst: '10.9.0.2', proto: 'tcp' })
    expect(forward(at, tcp)).toBe(NF_DROP)
    const reset = Object.assign(answer(tcp), { tcpFlags: TCP_RST | TCP_ACK })
    conntrackOf(at).attach(reset, tcp)
    expect([send(at, reset, 'ra'), shown(reset), conntrackOf(at).count]).toEqual([NF_ACCEPT, '10.9.0.2:9000 > 10.1.0.2:40000', 0])
  })

  it('takes an error that is not for the sender of what it quotes for invalid', () => {
    const at = host(MASQUERADE)
    const error = Object.assign(icmpError(pass(at, packet()), '10.2.0.2'), { dst: 0x0a010009 })
    at.netfilter.run(0, error, at.device('rb'), null)
    expect(error.conntrackState).toBe(CT_INVALID)
  })

  it('refuses where the out device has no address to masquerade with', () => {
    const at = host(MASQUERADE, { devices: { ra: [], rb: [] } })
    at.netns.loopback.addresses = []
    expect(forward(at, packet())).toBe(NF_DROP)
  })

  it('forgets a masqueraded connection whose packets leave by another device', () => {
    const at = host(table('nat', '-A POSTROUTING -j MASQUERADE'), { devices: { ra: ['10.1.0.1/24'], rb: ['10.2.0.1/24'], rc: ['10.3.0.1/24'] } })
    pass(at, packet())
    expect(forward(at, packet(), 'ra', 'rc')).toBe(NF_DROP)
    expect(formatIp(pass(at, packet(), 'ra', 'rc').src)).toBe('10.3.0.1')
  })
})

describe('packets that no protocol will hear of', () => {
  const rules = table('filter', '-A FORWARD -m conntrack --ctstate INVALID')
  const stateOf = (change: Partial<Packet>, spec: PacketSpec = {}, sysctls: Readonly<Record<string, number>> = {}): number => {
    const at = host(rules, { sysctls })
    const sent = Object.assign(packet(spec), change)
    route(at, sent, 'ra')
    return sent.conntrackState
  }

  it('takes a wrong checksum for invalid where the packet comes in, unless nf_conntrack_checksum is 0', () => {
    expect(stateOf({ corrupt: 0 })).toBe(CT_NEW)
    expect(stateOf({ corrupt: 1 })).toBe(CT_INVALID)
    expect(stateOf({ corrupt: 1 }, { proto: 'tcp' })).toBe(CT_INVALID)
    expect(stateOf({ corrupt: 1 }, { proto: 'icmp' })).toBe(CT_INVALID)
    expect(stateOf({ corrupt: 1 }, {}, { 'net.netfilter.nf_conntrack_checksum': 0 })).toBe(CT_NEW)
  })

  it.each([
    ['SYN', 0x02, CT_NEW],
    ['SYN, URG and PSH', 0x2a, CT_NEW],
    ['ACK and URG', 0x30, CT_NEW],
    ['SYN and FIN', 0x03, CT_INVALID],
    ['SYN and RST', 0x06, CT_INVALID],
    ['SYN, ACK and URG', 0x32, CT_INVALID],
    ['ACK and SYN and FIN', 0x13, CT_INVALID],
  ])('judges the flags of TCP: %s', (_, tcpFlags, state) => {
    expect(stateOf({ tcpFlags }, { proto: 'tcp' })).toBe(state)
  })

  it('takes ICMP types above 18 for invalid', () => {
    expect(stateOf({ sport: 19 }, { proto: 'icmp' })).toBe(CT_INVALID)
  })

  const raw = (proto: number, bytes: readonly number[]): Partial<Packet> => ({
    proto,
    payloadKind: PAYLOAD_RAW,
    payloadBytes: Uint8Array.from(bytes),
    payloadOffset: 0,
    payloadLength: bytes.length,
    ipLength: 20 + bytes.length,
  })

  it.each([
    ['SCTP without a chunk', 132, [0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0], CT_INVALID],
    ['SCTP that begins with DATA', 132, [0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 4], CT_INVALID],
    ['SCTP with a chunk of length 0', 132, [0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0], CT_INVALID],
    ['SCTP that begins with a heartbeat', 132, [0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 4], CT_NEW],
    ['SCTP with a chunk that has no state (ECNE)', 132, [0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 4], CT_INVALID],
    ['an SCTP heartbeat with a tag', 132, [0, 1, 0, 2, 1, 2, 3, 4, 0, 0, 0, 0, 4, 0, 0, 4], CT_NEW],
    ['an SCTP shutdown with a tag that nobody was told', 132, [0, 1, 0, 2, 1, 2, 3, 4, 0, 0, 0, 0, 7, 0, 0, 4], CT_INVALID],
    ['an SCTP shutdown without a tag', 132, [0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 4], CT_NEW],
    ['an SCTP INIT cut short', 132, [0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 20], CT_INVALID],
    ['an SCTP INIT', 132, [0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 20, ...new Array<number>(16).fill(1)], CT_NEW],
    ['an SCTP INIT with a tag', 132, [0, 1, 0, 2, 9, 9, 9, 9, 0, 0, 0, 0, 1, 0, 0, 20, ...new Array<number>(16).fill(1)], CT_INVALID],
    ['an SCTP COOKIE ACK out of the blue', 132, [0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 4], CT_INVALID],
    ['an SCTP COOKIE ECHO behind a heartbeat', 132, [0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 4, 10, 0, 0, 4], CT_INVALID],
    ['a TCP header cut short', 6, [0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2], CT_INVALID],
    ['a TCP header that says it is longer than the packet', 6, [0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x60, 2, 0, 0, 0, 0, 0, 0], CT_INVALID],
    ['a UDP header cut short', 17, [0, 1, 0, 2], CT_INVALID],
    ['a UDP length beyond the packet', 17, [0, 1, 0, 2, 0, 9, 0, 0], CT_INVALID],
    ['a UDP length short of the packet, without checksum', 17, [0, 1, 0, 2, 0, 8, 0, 0, 0], CT_NEW],
    ['GRE of version 1 that carries no PPP', 47, [0, 1, 8, 0, 0, 0, 0, 0], CT_INVALID],
    ['GRE of version 1 cut short', 47, [0, 1, 8, 0, 0, 0, 0], CT_NEW],
    ['GRE of version 1 with PPP', 47, [0, 1, 0x88, 0x0b, 0, 0, 0, 0], CT_NEW],
    ['GRE of version 0', 47, [0, 0, 8, 0], CT_NEW],
  ])('%s', (_, proto, bytes, state) => {
    expect(stateOf(raw(proto, bytes), {}, { 'net.netfilter.nf_conntrack_checksum': 0 })).toBe(state)
  })

  it('loses GRE that is too short to be translated', () => {
    const at = host(table('nat', '-A POSTROUTING -j MASQUERADE'))
    expect(route(at, Object.assign(packet(), raw(47, [0])), 'ra').verdict).toBe(NF_DROP)
    expect(route(at, Object.assign(packet(), raw(47, [0, 0, 8, 0, 0, 0, 0, 0])), 'ra').verdict).toBe(NF_ACCEPT)
  })
})
