/**
 * WireGuard devices: two hosts with a pod network each. Lengths are those of the message formats (wireguard.com/protocol), times and
 * counts those of drivers/net/wireguard/{timers,send,receive}.c.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatIp, ip } from '../../src/base/ip.js'
import { compileWorld, resetWorld } from '../../src/net/compile.js'
import { NETNS_NODE } from '../../src/net/netns.js'
import { AllowedIps, type WireguardPeer } from '../../src/net/wireguard-peer.js'
import { overheadOf } from '../../src/wire/overhead.js'
import { type Packet, PROTO_UDP } from '../../src/wire/packet.js'
import { decode, TYPE_DATA, TYPE_INITIATION, TYPE_RESPONSE, type Fields } from '../../src/wire/wireguard.js'
import { dataplaneOf, Kit, packetOf, type Hosts, type PacketWords, type SeenFrame, type WorldOptions } from './kit.js'

interface Words {
  readonly mtu?: number
  /** Instead of `key A port 51820`. */
  readonly near?: string
  readonly far?: string
  /** Peer lines of host a and host b. */
  readonly nearPeer?: string
  readonly farPeer?: string
  readonly nearMore?: string
  readonly farMore?: string
  readonly iptables?: string
  readonly farIptables?: string
}

const TO_B = 'wg wg0 peer B endpoint 192.168.0.2:51820 allowed-ips 10.1.2.0/24'
const TO_A = 'wg wg0 peer A endpoint 192.168.0.1:51820 allowed-ips 10.1.1.0/24'

/** A pod on each host: p1 10.1.1.2 on a, p2 10.1.2.2 on b; the whole 10.1.0.0/16 is routed to wg0. */
function hosts(words: Words = {}): Hosts {
  const host = (own: number, device: string, more: string): string =>
    `link eth0 nic s0 mtu ${words.mtu ?? 1500}\nlink v0 veth p${own}/eth0\nlink wg0 wireguard ${device}\n` +
    `addr 192.168.0.${own}/24 dev eth0\naddr 10.1.${own}.1/24 dev v0\naddr 10.1.${own}.0/32 dev wg0\n` +
    `sysctl net.ipv4.ip_forward=1\nroute add 10.1.0.0/16 dev wg0\n${more}`
  const pod = (own: number, name: string): string =>
    `link eth0 veth ${name}/v0\naddr 10.1.${own}.2/24 dev eth0\nroute add default via 10.1.${own}.1\nsocket udp 9000`
  const a = host(1, words.near ?? 'key A port 51820', `${words.nearPeer ?? TO_B}\n${words.nearMore ?? ''}`)
  const b = host(2, words.far ?? 'key B port 51820', `${words.farPeer ?? TO_A}\n${words.farMore ?? ''}`)
  return {
    a: words.iptables === undefined ? a : { text: a, iptables: words.iptables },
    b: words.farIptables === undefined ? b : { text: b, iptables: words.farIptables },
    p1: pod(1, 'a'),
    p2: pod(2, 'b'),
  }
}

const nat = (rule: string): string => `*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n${rule}\nCOMMIT`
const filter = (rule: string): string => `*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n${rule}\nCOMMIT`

const SEGMENTS = [{ name: 's0', mtu: 1500, latencyNs: 50_000, rateBps: 0 }]

function kitOf(words: Words = {}, options: WorldOptions = {}): Kit {
  return new Kit(hosts(words), { warm: true, segments: SEGMENTS, ...options })
}

/** Neighbours known, sessions not: what is asked about is the handshake alone. */
function coldKitOf(words: Words = {}): Kit {
  const known = (address: string, mac: string, device: string): string => `\nneigh add ${address} lladdr ${mac} dev ${device} nud permanent`
  const nearMore = `${words.nearMore ?? ''}${known('192.168.0.2', '02:00:00:00:02:01', 'eth0')}${known('10.1.1.2', '02:00:00:00:03:01', 'v0')}`
  const farMore = `${words.farMore ?? ''}${known('192.168.0.1', '02:00:00:00:01:01', 'eth0')}${known('10.1.2.2', '02:00:00:00:04:01', 'v0')}`
  return new Kit(hosts({ ...words, nearMore, farMore }), { segments: SEGMENTS })
}

function ask(kit: Kit, words: Partial<PacketWords> = {}): void {
  kit.send('p1', packetOf({ src: '10.1.1.2', dst: '10.1.2.2', ...words }))
  kit.pass(1000)
}

const seen = (kit: Kit, netns: string, device: string, out: boolean): SeenFrame[] =>
  kit.frames().filter((frame) => frame.netns === netns && frame.device === device && frame.out === out && frame.packet.etherType !== 0x0806)
const atPod = (kit: Kit): SeenFrame[] => seen(kit, 'p2', 'eth0', false)
const messages = (kit: Kit, host: string): Fields[] => seen(kit, host, 'eth0', true).map(({ bytes }) => decode(bytes, 42) as Fields)
const forward = (kit: Kit): ReturnType<Kit['ends']> => kit.ends().filter(({ leg }) => leg === 0)
const words = (packet: Packet): string => `${formatIp(packet.src)}:${packet.sport} > ${formatIp(packet.dst)}:${packet.dport}`
const peerOfA = (kit: Kit): WireguardPeer => kit.device('a/wg0').wireguard?.peers[0] as WireguardPeer
const peerOfB = (kit: Kit): WireguardPeer => kit.device('b/wg0').wireguard?.peers[0] as WireguardPeer

describe('a WireGuard device with a session', () => {
  it('wraps in UDP from its port to the endpoint of the peer, and the peer unwraps', () => {
    const kit = kitOf()
    ask(kit, { length: 1000 })
    const [frame] = seen(kit, 'a', 'eth0', true)
    expect(words(frame.packet)).toBe('192.168.0.1:51820 > 192.168.0.2:51820')
    expect([frame.packet.proto, frame.packet.ipLength, frame.bytes.length, frame.packet.ttl, frame.packet.dontFragment]).toEqual([PROTO_UDP, 1068, 1082, 64, 0])
    expect(messages(kit, 'a')).toMatchObject([{ type: TYPE_DATA, counter: 0, length: 1040 }])
    expect(atPod(kit).map(({ packet }) => [formatIp(packet.src), packet.ipLength, packet.ttl])).toEqual([['10.1.1.2', 1000, 62]])
    expect(kit.ends()).toMatchObject([{ disposition: 'DELIVERED', netns: 'p2' }])
    expect(kit.rowsInUse()).toBe(0)
    expect(kit.world.live).toBe(0)
  })

  it('counts its messages, and each side has an index of its own', () => {
    const kit = kitOf()
    ask(kit)
    ask(kit)
    kit.send('p2', packetOf({ src: '10.1.2.2', dst: '10.1.1.2' }))
    kit.pass(1)
    const [first, second] = messages(kit, 'a')
    const [back] = messages(kit, 'b')
    expect([first.counter, second.counter, back.counter]).toEqual([0, 1, 0])
    expect(first.receiver).toBe(second.receiver)
    expect(back.receiver).not.toBe(first.receiver)
    expect(seen(kit, 'p1', 'eth0', false)).toHaveLength(1)
  })

  it('pads to sixteen, but not past its MTU: the lengths of wire/overhead, for every length', () => {
    const kit = kitOf()
    fc.assert(
      fc.property(fc.integer({ min: 28, max: 1420 }), (length) => {
        kit.clear()
        ask(kit, { length })
        const [frame] = seen(kit, 'a', 'eth0', true)
        expect(frame.packet.ipLength).toBe(length + overheadOf('wireguard', { length, mtu: 1420 }).bytes)
        expect(frame.bytes.length).toBe(14 + frame.packet.ipLength)
        expect(atPod(kit)[0].packet.ipLength).toBe(length)
      }),
      { numRuns: 150 },
    )
  })

  it.each([
    [1420, [1480]],
    [1410, [1480]],
    [84, [156]],
    [1009, [1084]],
    // 1500 without DF: cut to 1420 (1416 of whole eights and 104), each piece padded by itself
    [1500, [1480, 172]],
  ])('an inner packet of %i bytes is %j outside', (length, outside) => {
    const kit = kitOf()
    ask(kit, { length })
    expect(seen(kit, 'a', 'eth0', true).map(({ packet }) => packet.ipLength)).toEqual(outside)
    expect(kit.ends().map(({ disposition }) => disposition)).toEqual(['DELIVERED'])
  })

  it('pads no further than the MTU of the route', () => {
    const kit = kitOf({ nearMore: 'route add 10.1.2.2/32 dev wg0 mtu 1001' })
    ask(kit, { length: 1000 })
    // 1000 would be padded to 1008
    expect(messages(kit, 'a')[0].length).toBe(32 + 1001)
  })

  it('larger than its MTU with DF: fragmentation needed, 1420', () => {
    const kit = kitOf()
    ask(kit, { length: 1421, df: true })
    const [error] = seen(kit, 'p1', 'eth0', false)
    expect([error.packet.sport, error.packet.dport, error.packet.icmpSequence]).toEqual([3, 4, 1420])
    expect(forward(kit)).toMatchObject([{ disposition: 'TOO_BIG', netns: 'a' }])
  })

  it('on a smaller underlay the outer packet is cut, whatever DF says inside', () => {
    const kit = kitOf({ mtu: 1400 })
    ask(kit, { length: 1420, df: true })
    expect(seen(kit, 'a', 'eth0', true).map(({ packet }) => [packet.ipLength, packet.dontFragment, packet.moreFragments])).toEqual([
      [1396, 0, 1],
      [104, 0, 0],
    ])
    expect(atPod(kit)).toHaveLength(1)
  })

  it.each([
    [0xb8, 0],
    [0xb9, 1],
    [0xba, 2],
    [0xbb, 2],
  ])('TOS inside %i is %i outside: no DSCP leaks', (inside, outside) => {
    const kit = kitOf()
    ask(kit, { tos: inside })
    expect(seen(kit, 'a', 'eth0', true)[0].packet.tos).toBe(outside)
    expect(atPod(kit)[0].packet.tos).toBe(inside)
  })

  it('shows the inner packet on its own device, without a link layer', () => {
    const kit = kitOf()
    ask(kit)
    expect(seen(kit, 'a', 'wg0', true).map(({ bytes }) => [bytes[0], bytes.length])).toEqual([[0x45, 60]])
    expect(seen(kit, 'b', 'wg0', false).map(({ bytes }) => [bytes[0], bytes.length])).toEqual([[0x45, 60]])
  })

  it('gives the same bytes for the same seed, others for another', () => {
    const hex = (seed: number): string => {
      const kit = kitOf({}, { seed })
      ask(kit)
      return Buffer.from(seen(kit, 'a', 'eth0', true)[0].bytes).toString('hex')
    }
    expect(hex(5)).toBe(hex(5))
    expect(hex(5)).not.toBe(hex(6))
  })
})

describe('cryptokey routing', () => {
  const unreachable = (kit: Kit): unknown[] => seen(kit, 'p1', 'eth0', false).map(({ packet }) => [packet.sport, packet.dport])

  it('no peer for the destination: host unreachable', () => {
    const kit = kitOf()
    ask(kit, { dst: '10.1.9.9' })
    expect(forward(kit)).toMatchObject([{ disposition: 'NO_VTEP', netns: 'a' }])
    expect(unreachable(kit)).toEqual([[3, 1]])
  })

  it('a peer without an endpoint: host unreachable', () => {
    const kit = kitOf({ nearPeer: 'wg wg0 peer B allowed-ips 10.1.2.0/24' })
    ask(kit)
    expect(forward(kit)).toMatchObject([{ disposition: 'NO_VTEP', netns: 'a' }])
    expect(unreachable(kit)).toEqual([[3, 1]])
  })

  it('who was masqueraded into the tunnel hears of it all the same', () => {
    const iptables = nat('-A POSTROUTING -o wg0 -j MASQUERADE')
    const kit = kitOf({ iptables })
    ask(kit, { dst: '10.1.9.9' })
    const [error] = seen(kit, 'p1', 'eth0', false)
    expect([formatIp(error.packet.dst), formatIp(error.packet.inner?.src ?? 0)]).toEqual(['10.1.1.2', '10.1.1.2'])
  })

  it('a source that the peer may not use is dropped where it arrives', () => {
    const kit = kitOf({ farPeer: 'wg wg0 peer A endpoint 192.168.0.1:51820 allowed-ips 10.1.7.0/24' })
    ask(kit)
    expect(forward(kit)).toMatchObject([{ disposition: 'DENIED', reason: '', netns: 'b' }])
    expect(kit.device('b/wg0').rxDropped).toBe(1)
    expect(kit.rowsInUse()).toBe(0)
  })

  it('the longest prefix has the address; a prefix belongs to who was given it last', () => {
    const peers = ['x', 'y', 'z'].map((name) => ({ name }) as unknown as WireguardPeer)
    const prefix = fc.record({ address: fc.integer(), length: fc.integer({ min: 0, max: 32 }), peer: fc.integer({ min: 0, max: 2 }) })
    fc.assert(
      fc.property(fc.array(prefix, { maxLength: 12 }), fc.integer(), (prefixes, address) => {
        const allowed = new AllowedIps()
        let best = -1
        let expected: WireguardPeer | null = null
        for (const { address: base, length, peer } of prefixes) {
          allowed.add(base, length, peers[peer])
          const inside = length === 0 || base >>> (32 - length) === address >>> (32 - length)
          if (inside && length >= best) {
            best = length
            expected = peers[peer]
          }
        }
        expect(allowed.find(address)).toBe(expected)
      }),
    )
  })

  it('a tunnel that routes its own outer packets into itself ends', () => {
    const kit = kitOf({ nearPeer: 'wg wg0 peer B endpoint 192.168.0.2:51820 allowed-ips 0.0.0.0/0', nearMore: 'route add 192.168.0.2/32 dev wg0' })
    ask(kit)
    expect(forward(kit).at(-1)).toMatchObject({ disposition: 'LOOP', reason: 'RECURSION_LIMIT', netns: 'a' })
    expect(kit.rowsInUse()).toBe(0)
  })

  it('its fwmark leads the outer packets past it', () => {
    const more = 'rule add not fwmark 51820 table 7\nroute add default dev wg0 table 7\nroute add 10.1.1.0/24 dev v0 table 7'
    const kit = kitOf({ near: 'key A port 51820 fwmark 51820', nearPeer: TO_B.replace('10.1.2.0/24', '0.0.0.0/0'), nearMore: more })
    ask(kit)
    expect(seen(kit, 'a', 'eth0', true)[0].packet.mark).toBe(51820)
    expect(atPod(kit)).toHaveLength(1)
  })

  it('no route to the endpoint: lost without a word', () => {
    const kit = kitOf({ nearPeer: TO_B.replace('192.168.0.2', '172.16.0.9') }, { warm: false })
    kit.send('p1', packetOf({ src: '10.1.1.2', dst: '10.1.2.2' }))
    kit.pass(110_000)
    expect(forward(kit)).toMatchObject([{ disposition: 'NO_VTEP', netns: 'a' }])
    expect(seen(kit, 'p1', 'eth0', false)).toEqual([])
  })
})

describe('a handshake', () => {
  it('comes before the first packet of a cold pair: 148 bytes, 92 bytes, then what waited', () => {
    const kit = coldKitOf()
    ask(kit)
    expect(messages(kit, 'a').map(({ type, length }) => [type, length])).toEqual([
      [TYPE_INITIATION, 148],
      [TYPE_DATA, 96],
    ])
    expect(messages(kit, 'b').map(({ type, length }) => [type, length])).toEqual([[TYPE_RESPONSE, 92]])
    const [initiation, data] = messages(kit, 'a')
    const [response] = messages(kit, 'b')
    expect(response.receiver).toBe(initiation.sender)
    expect([data.receiver, data.counter]).toEqual([response.sender, 0])
    expect(seen(kit, 'a', 'eth0', true).map(({ packet }) => packet.tos)).toEqual([0x88, 0])
    expect(kit.ends()).toMatchObject([{ disposition: 'DELIVERED', netns: 'p2' }])
    expect(kit.rowsInUse()).toBe(0)
    expect(kit.world.live).toBe(0)
  })

  it('has a plain last field and zero bytes where the format says so', () => {
    const kit = coldKitOf()
    ask(kit)
    const [initiation] = seen(kit, 'a', 'eth0', true)
    const [response] = seen(kit, 'b', 'eth0', true)
    for (const [frame, type] of [
      [initiation, 1],
      [response, 2],
    ] as const) {
      expect([...frame.bytes.subarray(42, 46)]).toEqual([type, 0, 0, 0])
      expect(frame.bytes.subarray(-16).every((byte) => byte === 0)).toBe(true)
      expect(new Set(frame.bytes.subarray(54, -16)).size).toBeGreaterThan(30)
    }
  })

  it('teaches the other side the endpoint that it was not told', () => {
    const kit = coldKitOf({ farPeer: 'wg wg0 peer A allowed-ips 10.1.1.0/24' })
    expect(peerOfB(kit).address).toBe(0)
    ask(kit)
    expect([formatIp(peerOfB(kit).address), peerOfB(kit).port, formatIp(peerOfB(kit).source)]).toEqual(['192.168.0.1', 51820, '192.168.0.2'])
    kit.send('p2', packetOf({ src: '10.1.2.2', dst: '10.1.1.2' }))
    kit.pass(10)
    expect(seen(kit, 'p1', 'eth0', false)).toHaveLength(1)
  })

  it('of a responder is confirmed by the first data, after which it may send itself', () => {
    const kit = coldKitOf()
    kit.send('p1', packetOf({ src: '10.1.1.2', dst: '10.1.2.2' }))
    kit.pass(0.11)
    // the response is on its way: b has keys that it may not use yet
    expect([peerOfB(kit).valid, peerOfA(kit).valid]).toEqual([0, 1])
    kit.pass(1)
    expect(peerOfB(kit).valid).toBe(1)
  })

  it.each([
    ['no peer of the receiver', { farPeer: 'wg wg0 peer C endpoint 192.168.0.1:51820 allowed-ips 10.1.1.0/24' }],
    ['for another key than the receiver’s', { far: 'key X port 51820' }],
  ])('of a key that is %s is repeated every 5 s, 20 times in all, and what waits is dropped without a word', (_, given) => {
    const kit = coldKitOf(given)
    kit.send('p1', packetOf({ src: '10.1.1.2', dst: '10.1.2.2' }))
    kit.pass(120_000)
    const times = seen(kit, 'a', 'eth0', true).map(({ timeNs }) => timeNs)
    expect(messages(kit, 'a').every(({ type }) => type === TYPE_INITIATION)).toBe(true)
    expect(times).toHaveLength(20)
    for (let i = 1; i < times.length; i++) {
      expect(times[i] - times[i - 1]).toBeGreaterThanOrEqual(5e9)
      expect(times[i] - times[i - 1]).toBeLessThan(5.333e9)
    }
    expect(new Set(messages(kit, 'a').map(({ sender }) => sender)).size).toBe(20)
    expect(forward(kit)).toMatchObject([{ disposition: 'NO_VTEP', netns: 'a' }])
    expect(kit.ends()).toHaveLength(1)
    expect(seen(kit, 'p1', 'eth0', false)).toEqual([])
    expect(kit.rowsInUse()).toBe(0)
    expect(kit.world.live).toBe(0)
  })

  it('is asked for once however many packets wait; more than 129 push out the oldest', () => {
    const kit = coldKitOf({ farPeer: 'wg wg0 peer C allowed-ips 10.1.1.0/24' })
    for (let i = 0; i < 131; i++) kit.send('p1', packetOf({ src: '10.1.1.2', dst: '10.1.2.2', sport: 41_000 + i }))
    kit.pass(10)
    expect(messages(kit, 'a')).toHaveLength(1)
    expect(peerOfA(kit).staged).toHaveLength(129)
    expect(kit.ends()).toHaveLength(2)
  })

  it('sends all that waited, in order', () => {
    const kit = coldKitOf()
    for (let i = 0; i < 3; i++) kit.send('p1', packetOf({ src: '10.1.1.2', dst: '10.1.2.2', sport: 41_000 + i }))
    kit.pass(10)
    expect(atPod(kit).map(({ packet }) => packet.sport)).toEqual([41_000, 41_001, 41_002])
    expect(messages(kit, 'a').map(({ type, counter }) => [type, counter])).toEqual([
      [TYPE_INITIATION, 0],
      [TYPE_DATA, 0],
      [TYPE_DATA, 1],
      [TYPE_DATA, 2],
    ])
  })

  it('that a firewall drops is no end of the question: the packet waits on, and is lost when the device gives up', () => {
    const farIptables = filter('-A INPUT -p udp --dport 51820 -j DROP')
    const kit = coldKitOf({ farIptables })
    kit.send('p1', packetOf({ src: '10.1.1.2', dst: '10.1.2.2' }))
    kit.pass(10)
    expect(kit.ends()).toEqual([])
    kit.pass(120_000)
    expect(kit.ends()).toMatchObject([{ disposition: 'NO_VTEP', netns: 'a' }])
    expect(kit.rowsInUse()).toBe(0)
  })

  it('to a host without WireGuard is answered by ICMP, which is no answer to the question', () => {
    const kit = coldKitOf({ far: 'key B port 51821' })
    kit.send('p1', packetOf({ src: '10.1.1.2', dst: '10.1.2.2' }))
    kit.pass(10)
    expect(seen(kit, 'b', 'eth0', true).map(({ packet }) => [packet.proto, packet.sport, packet.dport])).toEqual([[1, 3, 3]])
    expect([kit.ends(), kit.world.live]).toEqual([[], 1])
  })

  it('is needed in a warm network too where no endpoint leads to the peer', () => {
    const kit = kitOf({ nearPeer: TO_B.replace('192.168.0.2', '192.168.0.77') })
    kit.send('p1', packetOf({ src: '10.1.1.2', dst: '10.1.2.2' }))
    kit.pass(120_000)
    expect(forward(kit)).toMatchObject([{ disposition: 'NO_VTEP', netns: 'a' }])
  })

  it('survives a NAT on the way: the peer is where it was heard from', () => {
    const iptables = nat('-A POSTROUTING -p udp --dport 51820 -j SNAT --to-source 192.168.0.1:7777')
    const kit = coldKitOf({ iptables })
    ask(kit)
    expect([peerOfB(kit).port, atPod(kit).length]).toEqual([7777, 1])
    kit.send('p2', packetOf({ src: '10.1.2.2', dst: '10.1.1.2' }))
    kit.pass(10)
    expect(seen(kit, 'p1', 'eth0', false)).toHaveLength(1)
  })
})

describe('what arrives on the port', () => {
  it.each([
    ['no message of WireGuard', packetOf({ src: '192.168.0.1', dst: '192.168.0.2', dport: 51820, sport: 51820 })],
    ['too short a one', packetOf({ src: '192.168.0.1', dst: '192.168.0.2', dport: 51820, sport: 51820, length: 29 })],
  ])('%s is dropped without a word', (_, packet) => {
    const kit = kitOf()
    kit.send('a', packet)
    kit.pass(10)
    expect(kit.ends()).toMatchObject([{ disposition: 'NO_VTEP', netns: 'b' }])
    expect(seen(kit, 'b', 'eth0', true)).toEqual([])
  })

  it('nothing listens while the device is down', () => {
    const kit = kitOf()
    kit.device('b/wg0').up = 0
    kit.send('a', packetOf({ src: '192.168.0.1', dst: '192.168.0.2', dport: 51820 }))
    kit.pass(10)
    expect(forward(kit)).toMatchObject([{ disposition: 'NO_SOCKET', netns: 'b' }])
  })

  it('a congestion mark is taken over where it fits, and nothing is dropped where it does not', () => {
    for (const [inside, result] of [
      [0, 0],
      [2, 3],
    ]) {
      const kit = kitOf()
      kit.send('p1', packetOf({ src: '10.1.1.2', dst: '10.1.2.2', tos: inside }))
      // a router of the underlay marks the packet that is on the cable
      const { world } = kit
      for (let slot = 0; slot < 4; slot++) {
        const flying = (world.inFlight as unknown as { packets: (Packet | null)[] }).packets[slot]
        if (flying?.proto === PROTO_UDP && flying.dport === 51820) flying.tos |= 3
      }
      kit.pass(10)
      expect(atPod(kit).map(({ packet }) => packet.tos)).toEqual([result])
    }
  })
})

describe('netfilter and marks', () => {
  it('the outer packet passes OUTPUT with the device’s mark, not the inner one’s; inside arrives without a mark', () => {
    const mangle = (rules: string): string =>
      `*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n${rules}\nCOMMIT`
    const kit = kitOf({
      iptables: mangle('-A FORWARD -j MARK --set-xmark 0x7/0xffffffff'),
      farIptables: mangle('-A PREROUTING -i eth0 -j MARK --set-xmark 0x9/0xffffffff'),
    })
    ask(kit)
    expect(seen(kit, 'a', 'wg0', true)[0].packet.mark).toBe(7)
    expect(seen(kit, 'a', 'eth0', true)[0].packet.mark).toBe(0)
    expect(seen(kit, 'b', 'wg0', false)[0].packet.mark).toBe(0)
  })

  it('a rule of INPUT sees UDP, one of FORWARD the inner packet', () => {
    const outer = kitOf({ farIptables: filter('-A INPUT -p udp -m udp --dport 51820 -j DROP') })
    ask(outer)
    expect(outer.ends()).toMatchObject([{ disposition: 'DENIED', reason: 'NETFILTER_DROP', netns: 'b' }])
    const inner = kitOf({ farIptables: filter('-A FORWARD -i wg0 -p udp -m udp --dport 9000 -j DROP') })
    ask(inner)
    expect(inner.ends()).toMatchObject([{ disposition: 'DENIED', reason: 'NETFILTER_DROP', netns: 'b' }])
  })

  it('sends no redirects of its own (wg_open)', () => {
    const kit = kitOf()
    expect([kit.device('a/wg0').sendRedirects, kit.device('a/eth0').sendRedirects]).toEqual([0, 1])
  })
})

describe('between two questions', () => {
  it('sessions, endpoints and what waits are forgotten', () => {
    const specs = Object.entries(hosts({ farPeer: 'wg wg0 peer A allowed-ips 10.1.1.0/24' })).map(([name, host], index) => ({
      dataplane: dataplaneOf(name, index + 1, host),
      role: NETNS_NODE,
    }))
    const world = compileWorld(specs, SEGMENTS, 1)
    const peers = world.wireguard.peers
    expect(peers.map(({ publicKey }) => publicKey)).toEqual(['B', 'A'])
    peers[1].address = ip('1.2.3.4')
    peers[1].beginSession(world.wireguard.draw(peers[0]))
    resetWorld(world, { seed: 1, warm: true })
    expect([peers[1].valid, peers[1].address, peers[0].address, world.wireguard.find(peers[1].sendIndex)]).toEqual([0, 0, ip('192.168.0.2'), null])
  })
})
