/** Neighbours, ICMP and its rations, bridges, VXLAN, TUN, lo: what the walk does, seen from outside. Times and numbers are the kernel's. */
import { describe, expect, it } from 'vitest'
import { formatMac } from '../../src/base/mac.js'
import { IcmpLimits } from '../../src/net/icmp.js'
import { NUD_DELAY, NUD_FAILED, NUD_PERMANENT, NUD_PROBE, NUD_REACHABLE, NUD_STALE, type NeighTable } from '../../src/net/neigh.js'
import { ETHERTYPE_ARP, PROTO_ICMP, type Packet } from '../../src/wire/packet.js'
import { ip } from '../../src/base/ip.js'
import type { Vxlan } from '../../src/net/vxlan.js'
import { arpOf, Kit, macFor, packetOf, type SeenFrame } from './kit.js'

const PAIR = {
  a: 'link eth0 veth b/eth0\naddr 10.1.0.1/24 dev eth0\n' + 'socket udp 9000',
  b: 'link eth0 veth a/eth0\naddr 10.1.0.2/24 dev eth0\nsocket udp 9000',
}

function state(kit: Kit, device: string, address: string): number | undefined {
  return (kit.device(device).neighbours as NeighTable).find(ip(address))?.state
}

function arpsFrom(kit: Kit, netns: string): SeenFrame[] {
  return kit.frames().filter((frame) => frame.netns === netns && frame.out && frame.packet.etherType === ETHERTYPE_ARP)
}

const at = (kit: Kit, netns: string, device: string): SeenFrame[] => kit.frames().filter((frame) => frame.netns === netns && frame.device === device)

describe('a neighbour', () => {
  it('is asked three times, a second apart, and then every packet that waited is answered', () => {
    const kit = new Kit(PAIR)
    kit.send('a', packetOf({ src: '10.1.0.1', dst: '10.1.0.9' }))
    kit.send('a', packetOf({ src: '10.1.0.1', dst: '10.1.0.9', sport: 40001 }))
    kit.pass(2999)
    expect(arpsFrom(kit, 'a').map(({ timeNs }) => timeNs)).toEqual([0, 1e9, 2e9])
    expect(kit.ends()).toEqual([])
    kit.pass(1)
    expect(kit.ends().filter(({ reason }) => reason === 'NEIGH_FAILED')).toHaveLength(2)
    const errors = at(kit, 'a', 'lo').map(({ packet }) => [packet.sport, packet.dport, packet.inner?.sport])
    expect(errors).toEqual([
      [3, 1, 40000],
      [3, 1, 40001],
    ])
    expect(state(kit, 'a/eth0', '10.1.0.9')).toBe(NUD_FAILED)
  })

  it('goes from REACHABLE to STALE to DELAY to PROBE and back when it answers', () => {
    const kit = new Kit(PAIR)
    kit.send('a', packetOf({ src: '10.1.0.1', dst: '10.1.0.2' }))
    expect([state(kit, 'a/eth0', '10.1.0.2'), state(kit, 'b/eth0', '10.1.0.1')]).toEqual([NUD_REACHABLE, NUD_STALE])
    kit.pass(31_000)
    kit.clear()
    kit.send('a', packetOf({ src: '10.1.0.1', dst: '10.1.0.2' }))
    expect(state(kit, 'a/eth0', '10.1.0.2')).toBe(NUD_DELAY)
    kit.pass(5001)
    const [probe] = arpsFrom(kit, 'a')
    expect(probe.packet.dstMacLow).toBe(kit.device('b/eth0').macLow)
    expect(state(kit, 'a/eth0', '10.1.0.2')).toBe(NUD_REACHABLE)
  })

  it('that does not answer its probes is failed', () => {
    const kit = new Kit({ ...PAIR, a: `${PAIR.a}\nneigh add 10.1.0.9 lladdr 02:00:00:00:02:01 dev eth0 nud stale` }, { warm: true })
    kit.world.warm = 0
    kit.send('a', packetOf({ src: '10.1.0.1', dst: '10.1.0.9' }))
    kit.pass(5500)
    expect(state(kit, 'a/eth0', '10.1.0.9')).toBe(NUD_PROBE)
    kit.pass(3000)
    expect([state(kit, 'a/eth0', '10.1.0.9'), arpsFrom(kit, 'a').length]).toEqual([NUD_FAILED, 3])
  })

  it('that is permanent stays, whatever is heard', () => {
    const kit = new Kit({ ...PAIR, a: `${PAIR.a}\nneigh add 10.1.0.2 lladdr 02:aa:aa:aa:aa:aa dev eth0 nud permanent` })
    kit.transmit('b/eth0', arpOf(1, { mac: macFor(2, 1), ip: '10.1.0.2' }, { mac: 0xffffffffffff, ip: '10.1.0.1' }))
    kit.pass(60_000)
    expect(state(kit, 'a/eth0', '10.1.0.2')).toBe(NUD_PERMANENT)
    kit.clear()
    kit.send('a', packetOf({ src: '10.1.0.1', dst: '10.1.0.2' }))
    expect(kit.frames()[0].packet.dstMacHigh).toBe(0x02aa)
  })

  it('with two MACs is believed the first within a second', () => {
    const kit = new Kit(PAIR)
    kit.send('a', packetOf({ src: '10.1.0.1', dst: '10.1.0.2' }))
    const other = arpOf(2, { mac: 0x020000000999, ip: '10.1.0.2' }, { mac: macFor(1, 1), ip: '10.1.0.1' })
    kit.transmit('b/eth0', other)
    const known = (): number | undefined => (kit.device('a/eth0').neighbours as NeighTable).find(ip('10.1.0.2'))?.macLow
    expect(known()).toBe(macFor(2, 1) | 0)
    kit.pass(1001)
    kit.transmit('b/eth0', other)
    expect(known()).toBe(0x020000000999 | 0)
  })

  it('that asks while it is in DELAY is still probed', () => {
    const kit = new Kit(PAIR)
    kit.send('a', packetOf({ src: '10.1.0.1', dst: '10.1.0.2' }))
    kit.pass(31_000)
    kit.send('a', packetOf({ src: '10.1.0.1', dst: '10.1.0.2' }))
    kit.transmit('b/eth0', arpOf(1, { mac: macFor(2, 1), ip: '10.1.0.2' }, { mac: 0xffffffffffff, ip: '10.1.0.1' }))
    expect(state(kit, 'a/eth0', '10.1.0.2')).toBe(NUD_DELAY)
    kit.clear()
    kit.pass(5001)
    expect(arpsFrom(kit, 'a')).toHaveLength(1)
  })

  it('for which 101 packets wait loses the oldest', () => {
    const kit = new Kit(PAIR)
    for (let i = 0; i < 103; i++) kit.send('a', packetOf({ src: '10.1.0.1', dst: '10.1.0.9', sport: 1000 + i }))
    expect(kit.ends().map(({ reason }) => reason)).toEqual(['NEIGH_QUEUEFULL', 'NEIGH_QUEUEFULL'])
  })
})

describe('ICMP errors', () => {
  const CHAIN = {
    a: 'link eth0 veth r/ra\naddr 10.1.0.2/24 dev eth0\nroute add default via 10.1.0.1',
    r:
      'link ra veth a/eth0\nlink rb nic s9\naddr 10.1.0.1/24 dev ra\naddr 10.9.0.9/24 dev rb\nroute add unreachable 10.20.0.0/16\n' +
      'sysctl net.ipv4.ip_forward=1',
  }
  const errors = (kit: Kit): Packet[] =>
    at(kit, 'r', 'ra')
      .filter(({ out, packet }) => out && packet.proto === PROTO_ICMP)
      .map(({ packet }) => packet)

  it('are six at once and then one a second for each destination', () => {
    const kit = new Kit(CHAIN, { warm: true })
    for (let i = 0; i < 10; i++) kit.send('a', packetOf({ src: '10.1.0.2', dst: '10.9.0.1', ttl: 1 }))
    expect(errors(kit)).toHaveLength(6)
    kit.pass(999)
    kit.send('a', packetOf({ src: '10.1.0.2', dst: '10.9.0.1', ttl: 1 }))
    expect(errors(kit)).toHaveLength(6)
    kit.pass(1)
    kit.send('a', packetOf({ src: '10.1.0.2', dst: '10.9.0.1', ttl: 1 }))
    expect(errors(kit)).toHaveLength(7)
  })

  it('of missing routes are two at once: ip_error takes from the same bucket', () => {
    const kit = new Kit(CHAIN, { warm: true })
    for (let i = 0; i < 6; i++) kit.send('a', packetOf({ src: '10.1.0.2', dst: '10.20.0.1' }))
    expect(errors(kit)).toHaveLength(2)
  })

  it('are 50 at once over all destinations, and are filled up after 20 ms', () => {
    const limits = new IcmpLimits()
    let sent = 0
    for (let i = 0; i < 80; i++) {
      if (!limits.globalAllows(1e9)) continue
      limits.consumeGlobal()
      sent++
    }
    expect(sent).toBe(50)
    // the first message that finds the bucket empty refills it for the time since the last filling
    expect([limits.globalAllows(1e9 + 19e6), limits.globalAllows(3e9)]).toEqual([false, true])
  })

  it('say frag-needed without a ration', () => {
    const limits = new IcmpLimits()
    expect([limits.limits(3, 4), limits.limits(3, 1), limits.limits(11, 0), limits.limits(5, 1), limits.limits(0, 0)]).toEqual([
      false,
      true,
      true,
      false,
      false,
    ])
  })

  it('redirect nine times at most, each after twice the time', () => {
    const limits = new IcmpLimits()
    const sentAt: number[] = []
    for (let ms = 0; ms < 19_000; ms += 5) if (limits.redirectAllows(1, ms * 1e6)) sentAt.push(ms)
    expect(sentAt).toHaveLength(9)
    expect(sentAt.slice(0, 4)).toEqual([0, 45, 130, 295])
  })

  it('quote no more than 576 bytes allow, with TOS 0xc0 and the address that the route back prefers', () => {
    const kit = new Kit(CHAIN, { warm: true })
    kit.send('a', packetOf({ src: '10.1.0.2', dst: '10.9.0.1', ttl: 1, length: 1400 }))
    expect(errors(kit).map(({ ipLength, tos, src, ttl }) => [ipLength, tos, src, ttl])).toEqual([[576, 0xc0, ip('10.1.0.1'), 64]])
  })

  it.each([
    ['errors', packetOf({ src: '10.1.0.2', dst: '10.9.0.1', ttl: 1, proto: 'icmp', icmpType: 3, icmpCode: 1, length: 64 })],
    ['unknown ICMP types', packetOf({ src: '10.1.0.2', dst: '10.9.0.1', ttl: 1, proto: 'icmp', icmpType: 77, length: 64 })],
    ['later fragments', packetOf({ src: '10.1.0.2', dst: '10.9.0.1', ttl: 1, offset: 800, length: 60, whole: 860 })],
    ['frames to everybody', packetOf({ src: '10.1.0.2', dst: '10.1.0.1', dport: 9, from: macFor(1, 1), to: 0xffffffffffff })],
    ['subnet broadcasts', packetOf({ src: '10.1.0.2', dst: '10.1.0.255', dport: 9, from: macFor(1, 1), to: macFor(2, 1) })],
  ])('are never about %s', (_, packet) => {
    const kit = new Kit(CHAIN, { warm: true })
    if (packet.etherType === 0) kit.send('a', packet)
    else kit.transmit('a/eth0', packet)
    expect(at(kit, 'r', 'ra').filter(({ out }) => !out)).toHaveLength(1)
    expect(errors(kit)).toEqual([])
  })
})

describe('a bridge', () => {
  const LAN = (options = ''): Record<string, string> => ({
    n: `link br0 bridge ${options}\nlink v1 veth p1/eth0 master br0\nlink v2 veth p2/eth0 master br0\nlink v3 veth p3/eth0 master br0`,
    p1: 'link eth0 veth n/v1\n' + 'addr 10.1.0.1/24 dev eth0',
    p2: 'link eth0 veth n/v2\naddr 10.1.0.2/24 dev eth0\n' + 'socket udp 9000',
    p3: 'link eth0 veth n/v3\naddr 10.1.0.3/24 dev eth0',
  })
  const frame = (from: number, to: number): Packet => packetOf({ src: '10.1.0.1', dst: '10.1.0.2', from, to })
  const outPorts = (kit: Kit): string[] =>
    kit
      .frames()
      .filter(({ netns, out }) => netns === 'n' && out)
      .map(({ device }) => device)
  const [P1, P2] = [macFor(2, 1), macFor(3, 1)]

  it('floods what it does not know, the newest port first, and learns who speaks', () => {
    const kit = new Kit(LAN())
    kit.transmit('p1/eth0', frame(P1, P2))
    expect(outPorts(kit)).toEqual(['v3', 'v2'])
    kit.clear()
    kit.transmit('p2/eth0', frame(P2, P1))
    expect(outPorts(kit)).toEqual(['v1'])
  })

  it('forgets after 300 seconds, or after its ageing time', () => {
    for (const [options, seconds] of [
      ['', 300],
      ['ageing 10', 10],
    ] as const) {
      const kit = new Kit(LAN(options))
      kit.transmit('p2/eth0', frame(P2, 0xffffffffffff))
      kit.pass(seconds * 1000)
      kit.clear()
      kit.transmit('p1/eth0', frame(P1, P2))
      expect(outPorts(kit)).toEqual(['v2'])
      kit.pass(1)
      kit.clear()
      kit.transmit('p1/eth0', frame(P1, P2))
      expect(outPorts(kit)).toEqual(['v3', 'v2'])
    }
  })

  it('sends nothing back unless hairpin is on, nothing between isolated ports, nothing unknown to ports without flood', () => {
    const ports = (flags: string): string[] => {
      const hosts = LAN()
      const kit = new Kit({ ...hosts, n: hosts.n.replaceAll('master br0', `master br0 ${flags}`) })
      kit.transmit('p2/eth0', frame(P2, 0xffffffffffff))
      kit.clear()
      kit.transmit('p1/eth0', frame(P1, P2))
      kit.transmit('p1/eth0', frame(P1, P1))
      kit.transmit('p1/eth0', frame(P1, 0x020000000999))
      return outPorts(kit)
    }
    expect(ports('')).toEqual(['v2', 'v3', 'v2'])
    expect(ports('hairpin')).toEqual(['v2', 'v1', 'v3', 'v2', 'v1'])
    expect(ports('isolated')).toEqual([])
    expect(ports('noflood')).toEqual(['v2'])
    expect(ports('nolearning')).toEqual(['v3', 'v2', 'v3', 'v2', 'v3', 'v2'])
  })

  it("takes frames to its own MACs, its ports' included, for its host", () => {
    for (const own of [macFor(1, 1), macFor(1, 3)]) {
      const kit = new Kit(LAN())
      kit.transmit('p1/eth0', frame(P1, own))
      expect([outPorts(kit), at(kit, 'n', 'br0').length]).toEqual([[], 1])
    }
  })
})

describe('VXLAN', () => {
  const host = (own: number, flags = ''): string =>
    `link eth0 veth h${3 - own}/eth0\nlink vx vxlan id 5 local 10.0.0.${own} dstport 8472 ${flags}\naddr 10.0.0.${own}/24 dev eth0\n` +
    `addr 10.9.0.${own}/24 dev vx\n` +
    `fdb add ${formatMac(macFor(3 - own, 2))} dev vx dst 10.0.0.${3 - own} self permanent\n` +
    `neigh add 10.9.0.${3 - own} lladdr ${formatMac(macFor(3 - own, 2))} dev vx nud permanent\nsocket udp 9000`
  const marked = (kit: Kit, mark: number): void => {
    const packet = packetOf({ src: '10.9.0.1', dst: '10.9.0.2' })
    packet.mark = mark
    kit.send('h1', packet)
  }

  it('adds 50 bytes and takes them away', () => {
    const kit = new Kit({ h1: host(1), h2: host(2) }, { warm: true })
    kit.send('h1', packetOf({ src: '10.9.0.1', dst: '10.9.0.2' }))
    const lengths = (netns: string, device: string): number[] => at(kit, netns, device).map(({ bytes }) => bytes.length)
    expect([lengths('h1', 'vx'), lengths('h1', 'eth0'), lengths('h2', 'eth0'), lengths('h2', 'vx')]).toEqual([[74], [124], [124], [74]])
    expect(kit.ends()).toMatchObject([{ disposition: 'DELIVERED', netns: 'h2' }])
    expect(kit.rowsInUse()).toBe(0)
  })

  it('carries the mark with GBP only, and a device without GBP refuses it', () => {
    for (const [one, two, disposition] of [
      ['gbp', 'gbp', 'DELIVERED'],
      ['gbp', '', 'NO_VTEP'],
      ['', 'gbp', 'DELIVERED'],
    ] as const) {
      const kit = new Kit({ h1: host(1, one), h2: host(2, two) }, { warm: true })
      marked(kit, 0x123)
      expect(kit.ends()).toMatchObject([{ disposition, ...(disposition === 'NO_VTEP' ? { reason: 'VXLAN_INVALID_HDR' } : {}) }])
      expect(at(kit, 'h1', 'eth0')[0].packet.gbp).toBe(one === 'gbp' ? 0x123 : -1)
    }
  })

  it('learns who is behind which VTEP, but not against an entry made by hand, and forgets it with the world', () => {
    const hosts = (own1: string): Record<string, string> => ({ h1: own1.replace(/fdb.*/, ''), h2: host(2, 'learning') })
    const kit = new Kit(hosts(host(1, 'learning')), { warm: true })
    const vxlan = kit.device('h1/vx').vxlan as Vxlan
    const known = (): number => vxlan.find(0x0200, macFor(2, 2) | 0)
    expect(known()).toBe(-1)
    kit.send('h2', packetOf({ src: '10.9.0.2', dst: '10.9.0.1' }))
    expect(vxlan.remote(known())).toBe(ip('10.0.0.2'))
    vxlan.forgetLearned()
    expect(known()).toBe(-1)
    const other = new Kit({ h1: host(1, 'learning').replace('dst 10.0.0.2', 'dst 10.0.0.7'), h2: host(2) }, { warm: true })
    other.send('h2', packetOf({ src: '10.9.0.2', dst: '10.9.0.1' }))
    expect(other.ends().at(-1)).toMatchObject({ disposition: 'NO_VTEP', netns: 'h1' })
  })

  it('drops an unknown VNI, its own MAC, and what no FDB entry leads to', () => {
    const reason = (h1: string, h2: string): string => {
      const kit = new Kit({ h1, h2 }, { warm: true })
      kit.send('h1', packetOf({ src: '10.9.0.1', dst: '10.9.0.2' }))
      return kit.ends()[0].reason
    }
    expect(reason(host(1), host(2).replace('id 5', 'id 6'))).toBe('VXLAN_VNI_NOT_FOUND')
    expect(reason(host(1).replace(/fdb.*/, ''), host(2))).toBe('NO_TX_TARGET')
    const kit = new Kit({ h1: host(1), h2: host(2) }, { warm: true })
    kit.device('h2/vx').macLow = kit.device('h1/vx').macLow
    kit.send('h1', packetOf({ src: '10.9.0.1', dst: '10.9.0.2' }))
    expect(kit.ends()[0].reason).toBe('LOCAL_MAC')
  })
})

describe('the rest of a host', () => {
  it('loses what it routes into a TUN that nobody holds', () => {
    const kit = new Kit({ h: 'link t0 tun\naddr 10.8.0.1/24 dev t0' })
    kit.send('h', packetOf({ dst: '10.8.0.9' }))
    expect([kit.ends(), kit.frames().map(({ bytes }) => bytes.length)]).toMatchObject([[{ disposition: 'NO_VTEP' }], [60]])
  })

  it('speaks to itself over lo, seen once', () => {
    const kit = new Kit({ h: 'link e nic s0\naddr 10.1.0.1/24 dev e' })
    kit.send('h', packetOf({ dst: '10.1.0.1', proto: 'icmp' }))
    expect(kit.frames().map(({ device, out, packet }) => [device, out, packet.sport])).toEqual([
      ['lo', false, 8],
      ['lo', false, 0],
    ])
  })

  it('loses a frame that is larger than the other end of a veth takes', () => {
    const kit = new Kit({ ...PAIR, b: PAIR.b.replace('veth a/eth0', 'veth a/eth0 mtu 1400') }, { warm: true })
    kit.send('a', packetOf({ src: '10.1.0.1', dst: '10.1.0.2', length: 1404 }))
    kit.send('a', packetOf({ src: '10.1.0.1', dst: '10.1.0.2', length: 1405 }))
    expect(kit.ends().map(({ disposition }) => disposition)).toEqual(['DELIVERED', 'TOO_BIG'])
  })
})
