/**
 * IPIP devices: two hosts with a pod network each, and what the tunnel does to addresses, TTL, TOS, DF and lengths. Sizes are those of
 * flannel's table (20 bytes more), TOS vectors those of RFC 6040 figures 3 and 4 as Linux applies them.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatIp, ip } from '../../src/base/ip.js'
import { decodeFrame } from '../../src/wire/frame-decode.js'
import { overheadOf } from '../../src/wire/overhead.js'
import { Packet, PROTO_IPIP } from '../../src/wire/packet.js'
import { Kit, packetOf, type Hosts, type PacketWords, type SeenFrame, type WorldOptions } from './kit.js'

interface Words {
  /** Of the tunnel of host a. */
  readonly tunnel?: string
  readonly route?: string
  readonly mtu?: number
  readonly more?: string
  readonly iptables?: string
  /** Of the tunnel of host b. */
  readonly far?: string
  readonly farMore?: string
}

const NEAR = 'local 192.168.0.1'
const FAR = 'local 192.168.0.2'

/** A pod on each host: p1 10.1.1.2 on a, p2 10.1.2.2 on b. */
function hosts(words: Words = {}): Hosts {
  const mtu = words.mtu ?? 1500
  const a =
    `link eth0 nic s0 mtu ${mtu}\nlink v0 veth p1/eth0\nlink t0 ipip ${words.tunnel ?? NEAR}\n` +
    'addr 192.168.0.1/24 dev eth0\naddr 10.1.1.1/24 dev v0\naddr 10.1.1.0/32 dev t0\nsysctl net.ipv4.ip_forward=1\n' +
    `${words.route ?? 'route add 10.1.2.0/24 via 192.168.0.2 dev t0 onlink'}\n${words.more ?? ''}`
  const b =
    `link eth0 nic s0 mtu ${mtu}\nlink v0 veth p2/eth0\nlink t0 ipip ${words.far ?? FAR}\n` +
    'addr 192.168.0.2/24 dev eth0\naddr 10.1.2.1/24 dev v0\naddr 10.1.2.0/32 dev t0\nsysctl net.ipv4.ip_forward=1\n' +
    `route add 10.1.1.0/24 via 192.168.0.1 dev t0 onlink\n${words.farMore ?? ''}`
  const pod = (own: number, host: string): string =>
    `link eth0 veth ${host}/v0\naddr 10.1.${own}.2/24 dev eth0\nroute add default via 10.1.${own}.1\nsocket udp 9000`
  return { a: words.iptables === undefined ? a : { text: a, iptables: words.iptables }, b, p1: pod(1, 'a'), p2: pod(2, 'b') }
}

const SEGMENTS = [{ name: 's0', mtu: 1500, latencyNs: 50_000, rateBps: 0 }]

function kitOf(words: Words = {}, options: WorldOptions = {}): Kit {
  return new Kit(hosts(words), { warm: true, segments: SEGMENTS, ...options })
}

function ask(kit: Kit, words: Partial<PacketWords> = {}): void {
  kit.send('p1', packetOf({ src: '10.1.1.2', dst: '10.1.2.2', ...words }))
  kit.pass(1000)
}

const seen = (kit: Kit, netns: string, device: string): SeenFrame[] => kit.frames().filter((frame) => frame.netns === netns && frame.device === device)
const onWire = (kit: Kit): SeenFrame[] => seen(kit, 'a', 'eth0').filter(({ out }) => out)
const atPod = (kit: Kit): SeenFrame[] => seen(kit, 'p2', 'eth0').filter(({ out }) => !out)

function outerOf(kit: Kit): Packet {
  const [frame] = onWire(kit)
  expect(frame.packet.proto).toBe(PROTO_IPIP)
  return frame.packet
}

const words = (packet: Packet): string => `${formatIp(packet.src)} > ${formatIp(packet.dst)}`

describe('an IPIP device', () => {
  it('sends to the gateway of the route, and the other end unwraps', () => {
    const kit = kitOf()
    ask(kit, { length: 1000 })
    const outer = outerOf(kit)
    expect(words(outer)).toBe('192.168.0.1 > 192.168.0.2')
    expect([outer.ipLength, onWire(kit)[0].bytes.length]).toEqual([1020, 1034])
    expect(atPod(kit).map(({ packet }) => [words(packet), packet.ipLength, packet.ttl])).toEqual([['10.1.1.2 > 10.1.2.2', 1000, 62]])
    expect(kit.ends()).toMatchObject([{ disposition: 'DELIVERED', netns: 'p2' }])
    expect(kit.rowsInUse()).toBe(0)
  })

  it('shows the inner packet on its own device, without a link layer', () => {
    const kit = kitOf()
    ask(kit)
    for (const [host, out] of [
      ['a', true],
      ['b', false],
    ] as const) {
      const [frame] = seen(kit, host, 't0')
      expect([frame.out, frame.bytes[0], frame.bytes.length]).toEqual([out, 0x45, 60])
    }
  })

  it.each([
    ['as the inner packet, once it is forwarded', NEAR, 63],
    ['of its own', `${NEAR} ttl 9`, 9],
  ])('has a TTL %s', (_, tunnel, ttl) => {
    const kit = kitOf({ tunnel })
    ask(kit)
    expect(outerOf(kit).ttl).toBe(ttl)
    expect(atPod(kit)[0].packet.ttl).toBe(62)
  })

  it('to a remote end of its own asks no gateway', () => {
    const kit = kitOf({ tunnel: `${NEAR} remote 192.168.0.2`, route: 'route add 10.1.2.0/24 dev t0' })
    ask(kit)
    expect(words(outerOf(kit))).toBe('192.168.0.1 > 192.168.0.2')
    expect(atPod(kit)).toHaveLength(1)
  })

  it('without a gateway in the route sends to the inner destination itself', () => {
    const kit = kitOf({ route: 'route add 10.1.2.0/24 dev t0\nroute add 10.1.2.2/32 via 192.168.0.2 dev eth0' })
    // the more special route is not the tunnel's: ask for another address
    kit.send('p1', packetOf({ src: '10.1.1.2', dst: '10.1.2.3' }))
    kit.pass(1000)
    // 10.1.2.3 routes into t0 again: the tunnel would wrap itself
    expect(kit.ends()).toMatchObject([{ disposition: 'LOOP', netns: 'a' }])
  })

  it('takes the source of its route when it has no local address', () => {
    const kit = kitOf({ tunnel: '', far: FAR })
    ask(kit)
    expect(words(outerOf(kit))).toBe('192.168.0.1 > 192.168.0.2')
  })

  it.each([
    ['no route to the other end', 'route add 10.1.2.0/24 via 172.16.0.9 dev t0 onlink', NEAR],
    ['a local address that is not ours', 'route add 10.1.2.0/24 via 192.168.0.2 dev t0 onlink', 'local 192.168.0.77'],
  ])('loses the packet without a word: %s', (_, route, tunnel) => {
    const kit = kitOf({ route, tunnel })
    ask(kit)
    expect(kit.ends()).toMatchObject([{ disposition: 'NO_VTEP', netns: 'a', leg: 0 }])
    expect(kit.device('a/t0').txDropped).toBe(1)
    expect(kit.rowsInUse()).toBe(0)
  })

  it('whose other end is out of reach queues the outer packet at the neighbour and reports to itself', () => {
    const kit = kitOf({ route: 'route add 10.1.2.0/24 via 192.168.0.9 dev t0 onlink' })
    ask(kit)
    kit.pass(3000)
    expect(kit.ends().filter(({ leg }) => leg === 0)).toMatchObject([{ disposition: 'NEIGHBOR_FAILED', netns: 'a' }])
  })
})

describe('what a netns does with IPIP', () => {
  const ipip = (src: string, dst: string): Packet => {
    const outer = packetOf({ src, dst, proto: PROTO_IPIP, length: 80 })
    outer.payloadKind = 1
    outer.inner = packetOf({ src: '10.1.9.9', dst: '10.1.2.2' })
    outer.payloadLength = 60
    return outer
  }

  /** b with these devices gets an IPIP packet from a: which device takes it? */
  function taker(devices: string, src = '192.168.0.1'): string {
    const far = `link eth0 nic s0\naddr 192.168.0.2/24 dev eth0\naddr 192.168.0.3/24 dev eth0\n${devices}`
    const near = 'link eth0 nic s0\naddr 192.168.0.1/24 dev eth0\naddr 192.168.0.8/24 dev eth0'
    const kit = new Kit({ a: near, b: far }, { warm: true, segments: SEGMENTS })
    kit.send('a', ipip(src, '192.168.0.2'))
    kit.pass(10)
    const taken = kit.frames().find(({ netns, device, out }) => netns === 'b' && device !== 'eth0' && device !== 'lo' && !out)
    const error = kit.frames().find(({ netns, packet, out }) => netns === 'b' && out && packet.proto === 1)
    return taken?.device ?? (error === undefined ? 'nobody' : `icmp ${error.packet.sport}/${error.packet.dport}`)
  }

  it.each([
    ['both ends before one', 'link t1 ipip remote 192.168.0.1\nlink t2 ipip local 192.168.0.2 remote 192.168.0.1\nlink t3 ipip local 192.168.0.2', 't2'],
    ['the remote end before the local', 'link t3 ipip local 192.168.0.2\nlink t1 ipip remote 192.168.0.1\nlink tunl0 ipip', 't1'],
    ['the local end before tunl0', 'link tunl0 ipip\nlink t3 ipip local 192.168.0.2', 't3'],
    ['tunl0 last', 'link t4 ipip local 192.168.0.3\nlink t5 ipip remote 192.168.0.9\nlink tunl0 ipip', 'tunl0'],
    ['no device that is down', 'link t2 ipip local 192.168.0.2 down\nlink tunl0 ipip', 'tunl0'],
    ['another remote end only: port unreachable', 'link t5 ipip remote 192.168.0.9', 'icmp 3/3'],
    ['a device for all, which is not tunl0: port unreachable', 'link t6 ipip', 'icmp 3/3'],
    ['tunl0 that is down: port unreachable', 'link tunl0 ipip down', 'icmp 3/3'],
    ['no module: protocol unreachable', '', 'icmp 3/2'],
  ])('%s', (_, devices, device) => expect(taker(devices)).toBe(device))

  it('a packet of garbage is no IP packet', () => {
    const kit = kitOf()
    kit.send('a', packetOf({ src: '192.168.0.1', dst: '192.168.0.2', proto: PROTO_IPIP }))
    kit.pass(10)
    expect(kit.ends()).toMatchObject([{ disposition: 'CORRUPT', reason: 'IP_INHDR', netns: 'b' }])
  })
})

describe('TOS', () => {
  // RFC 6040 figure 3, normal mode as Linux has it: CE inside is ECT(0) outside. tos 0 hides the inner DSCP.
  it.each([
    [0x00, '', 0x00],
    [0xb8, '', 0x00],
    [0xb9, '', 0x01],
    [0xba, '', 0x02],
    [0xbb, '', 0x02],
    [0xb8, 'tos inherit', 0xb8],
    [0xbb, 'tos inherit', 0xba],
    [0xb9, 'tos 32', 0x21],
  ])('inside %i with "%s" is %i outside', (inside, tunnel, outside) => {
    const kit = kitOf({ tunnel: `${NEAR} ${tunnel}` })
    ask(kit, { tos: inside })
    expect(outerOf(kit).tos).toBe(outside)
    expect(atPod(kit)[0].packet.tos).toBe(inside)
  })

  // RFC 6040 figure 4; -1: dropped
  it.each([
    [0, 0, 0],
    [0, 2, 0],
    [0, 1, 0],
    [0, 3, -1],
    [2, 0, 2],
    [2, 2, 2],
    [2, 1, 1],
    [2, 3, 3],
    [1, 0, 1],
    [1, 2, 1],
    [1, 1, 1],
    [1, 3, 3],
    [3, 0, 3],
    [3, 2, 3],
    [3, 1, 3],
    [3, 3, 3],
  ])('inside %i that arrives under %i comes out as %i', (inside, outside, result) => {
    const kit = kitOf()
    const outer = packetOf({ src: '192.168.0.1', dst: '192.168.0.2', proto: PROTO_IPIP, length: 80, tos: outside })
    outer.payloadKind = 1
    outer.inner = packetOf({ src: '10.1.1.2', dst: '10.1.2.2', tos: 0xb8 | inside })
    outer.payloadLength = 60
    kit.send('a', outer)
    kit.pass(10)
    const tos = atPod(kit).map(({ packet }) => packet.tos)
    expect(tos).toEqual(result < 0 ? [] : [0xb8 | result])
    if (result < 0) expect(kit.ends()).toMatchObject([{ disposition: 'CORRUPT', reason: 'IP_TUNNEL_ECN', netns: 'b' }])
  })
})

describe('DF and lengths', () => {
  it.each([
    ['clear inside, clear outside', NEAR, false, 0],
    ['set inside, set outside', NEAR, true, 1],
    ['clear inside, pmtudisc', `${NEAR} pmtudisc`, false, 1],
    ['set inside, pmtudisc', `${NEAR} pmtudisc`, true, 1],
  ])('%s', (_, tunnel, df, outside) => {
    const kit = kitOf({ tunnel })
    ask(kit, { df })
    expect(outerOf(kit).dontFragment).toBe(outside)
    expect(atPod(kit)[0].packet.dontFragment).toBe(df ? 1 : 0)
  })

  it('an inner packet of the device’s MTU fills the underlay; one larger is cut inside', () => {
    const kit = kitOf()
    ask(kit, { length: 1480 })
    ask(kit, { length: 1500 })
    expect(onWire(kit).map(({ bytes }) => bytes.length)).toEqual([1514, 1510, 14 + 20 + 20 + 24])
    expect(atPod(kit).map(({ packet }) => packet.ipLength)).toEqual([1480, 1476, 44])
    expect(kit.ends().map(({ disposition }) => disposition)).toEqual(['DELIVERED', 'DELIVERED'])
  })

  it('larger than the device with DF: fragmentation needed, 1480', () => {
    const kit = kitOf()
    ask(kit, { length: 1500, df: true })
    expect(kit.ends().filter(({ leg }) => leg === 0)).toMatchObject([{ disposition: 'TOO_BIG', netns: 'a' }])
    const [error] = seen(kit, 'p1', 'eth0').filter(({ out }) => !out)
    expect([error.packet.sport, error.packet.dport, error.packet.icmpSequence]).toEqual([3, 4, 1480])
  })

  it('on an underlay of 1400: without DF the outer packet is cut', () => {
    const kit = kitOf({ mtu: 1400 })
    ask(kit, { length: 1480 })
    expect(onWire(kit).map(({ packet }) => [packet.ipLength, packet.fragmentOffset, packet.moreFragments])).toEqual([
      [1396, 0, 1],
      [124, 1376, 0],
    ])
    expect(atPod(kit).map(({ packet }) => packet.ipLength)).toEqual([1480])
  })

  it('on an underlay of 1400: with DF the tunnel itself answers with what it leaves room for, 1380', () => {
    const kit = kitOf({ mtu: 1400 })
    ask(kit, { length: 1381, df: true })
    expect(onWire(kit)).toEqual([])
    expect(kit.ends().filter(({ leg }) => leg === 0)).toMatchObject([{ disposition: 'TOO_BIG', reason: 'PKT_TOO_BIG', netns: 'a' }])
    const [error] = seen(kit, 'p1', 'eth0').filter(({ out }) => !out)
    expect([error.packet.sport, error.packet.dport, error.packet.icmpSequence, words(error.packet)]).toEqual([3, 4, 1380, '10.1.1.1 > 10.1.1.2'])
    kit.clear()
    ask(kit, { length: 1380, df: true })
    expect(onWire(kit).map(({ packet }) => packet.ipLength)).toEqual([1400])
  })

  it('on an underlay of 1400 with pmtudisc: larger and without DF, the outer packet is lost, and nobody outside hears of it', () => {
    const kit = kitOf({ mtu: 1400, tunnel: `${NEAR} pmtudisc` })
    ask(kit, { length: 1480 })
    expect(onWire(kit)).toEqual([])
    expect(kit.ends().filter(({ leg }) => leg === 0)).toMatchObject([{ disposition: 'TOO_BIG', netns: 'a' }])
    expect(seen(kit, 'p1', 'eth0').filter(({ out }) => !out)).toEqual([])
  })

  it('its own packets to the same place are cut to what the tunnel learned', () => {
    const kit = kitOf({ mtu: 1400 })
    kit.send('a', packetOf({ src: '10.1.1.0', dst: '10.1.2.2', length: 1480, df: true }))
    expect(kit.netns('a').fib.pathMtus.get(ip('10.1.2.2'))).toBe(1380)
  })

  it('adds what wire/overhead says, whatever the length', () => {
    fc.assert(
      fc.property(fc.integer({ min: 28, max: 1480 }), (length) => {
        const kit = kitOf()
        ask(kit, { length })
        const outer = outerOf(kit)
        expect(outer.ipLength).toBe(length + overheadOf('ipip').bytes)
        const read = new Packet()
        expect(decodeFrame(onWire(kit)[0].bytes, { link: 'ethernet' }, read)).toBe('ok')
        expect([read.proto, read.inner?.ipLength, read.inner?.payloadKind]).toEqual([PROTO_IPIP, length, 0])
      }),
      { numRuns: 60 },
    )
  })
})

describe('netfilter and marks', () => {
  const HOOKS = (rules: string): string => `*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
${rules}
COMMIT`

  it('the outer packet passes OUTPUT and POSTROUTING with the mark of the inner one, and is routed without it', () => {
    const mark = '-A FORWARD -j MARK --set-xmark 0x7/0xffffffff'
    const more = 'rule add fwmark 7 to 192.168.0.0/24 blackhole\nrule add fwmark 15 to 192.168.0.0/24 blackhole'
    const plain = kitOf({ iptables: HOOKS(mark), more })
    ask(plain)
    expect(atPod(plain)).toHaveLength(1)
    expect(onWire(plain)[0].packet.mark).toBe(7)
    // OUTPUT sees the mark 7, changes it, and only then does a route lookup mind it
    const again = kitOf({ iptables: HOOKS(`${mark}\n-A OUTPUT -p ipencap -m mark --mark 0x7 -j MARK --set-xmark 0xf/0xffffffff`), more })
    ask(again)
    expect(again.ends()).toMatchObject([{ disposition: 'NO_ROUTE', netns: 'a' }])
  })

  it('a rule of OUTPUT can drop it, and one of FORWARD sees the inner packet alone', () => {
    const kit = kitOf({
      iptables:
        '*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A FORWARD -p ipencap -j DROP\n-A OUTPUT -p ipencap -j DROP\nCOMMIT',
    })
    ask(kit)
    expect(kit.ends()).toMatchObject([{ disposition: 'DENIED', reason: 'NETFILTER_DROP', netns: 'a' }])
  })

  it('who was masqueraded into the tunnel is told of a path too small under his own address', () => {
    const nat =
      '*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -o t0 -j MASQUERADE\nCOMMIT'
    const kit = kitOf({ mtu: 1400, iptables: nat })
    ask(kit, { length: 1400, df: true })
    const [error] = seen(kit, 'p1', 'eth0').filter(({ out }) => !out)
    expect([error.packet.icmpSequence, formatIp(error.packet.dst), formatIp(error.packet.inner?.src ?? 0)]).toEqual([1380, '10.1.1.2', '10.1.1.2'])
  })
})

describe('ICMP about outer packets', () => {
  const remote = { tunnel: `${NEAR} remote 192.168.0.2`, route: 'route add 10.1.2.0/24 dev t0' }

  it('a device with a remote end tells the next sender, once for each error, and sends all the same', () => {
    const kit = kitOf({ ...remote, far: 'local 192.168.0.2 remote 192.168.0.99' })
    ask(kit)
    // host b has no tunnel for a: port unreachable comes back
    expect(kit.device('a/t0').ipip?.errorCount).toBe(1)
    kit.clear()
    ask(kit)
    const errors = seen(kit, 'p1', 'eth0').filter(({ out }) => !out)
    expect(errors.map(({ packet }) => [packet.sport, packet.dport])).toEqual([[3, 1]])
    expect(onWire(kit)).toHaveLength(1)
  })

  it('not after 30 s', () => {
    const kit = kitOf({ ...remote, far: 'local 192.168.0.2 remote 192.168.0.99' })
    ask(kit)
    kit.pass(30_000)
    kit.clear()
    ask(kit)
    expect(seen(kit, 'p1', 'eth0').filter(({ out }) => !out)).toEqual([])
  })

  it('a device without one forgets', () => {
    const kit = kitOf({ far: 'local 192.168.0.2 remote 192.168.0.99' })
    ask(kit)
    expect(kit.device('a/t0').ipip?.errorCount).toBe(0)
  })
})
