/**
 * A packet under each backend of flannel: sizes on the wire, TTL and DF outside, and the traps of each. Sizes are those of the formats:
 * 14 of Ethernet; 20 of IPv4; 8 of UDP; 8 and 14 more of VXLAN; 16, the packet padded to 16, and 16 more of WireGuard.
 */
import { describe, expect, it } from 'vitest'
import { flannelCluster, KEY_A, leaseValue, NODES, type Backend, type ClusterWords } from '../kit/flannel-cluster.js'
import { buildText, networkOf, type Ask } from '../kit/network.js'
import { at, look, type Sight, type Sighting } from '../kit/sighting.js'

function ask(words: ClusterWords, destination = 'pod-b:9000', request: Ask = { proto: 'udp' }): Sighting {
  return look(networkOf(flannelCluster(words)), 'pod-a', destination, request)
}

const wire = (sighting: Sighting): Sight[] => at(sighting, { netns: 'host-a', device: 'eth0', direction: 'tx' })
const arrived = (sighting: Sighting): Sight[] => at(sighting, { netns: 'default/pod-b', device: 'eth0', direction: 'rx' })
const thousand = (df: boolean): Ask => ({ proto: 'udp', size: 1000, df })

const IPIP = 4
const UDP = 17

/** A packet of 1000 bytes inside. TTL outside, and at arrival of 64. */
const SIZES: readonly { readonly backend: Backend; readonly frame: number; readonly mtu: number; readonly ttl: number; readonly arrives: number }[] = [
  { backend: 'udp', frame: 14 + 20 + 8 + 1000, mtu: 1500 - 28, ttl: 64, arrives: 60 },
  { backend: 'vxlan', frame: 14 + 20 + 8 + 8 + 14 + 1000, mtu: 1500 - 50, ttl: 64, arrives: 62 },
  { backend: 'host-gw', frame: 14 + 1000, mtu: 1500, ttl: 63, arrives: 62 },
  { backend: 'ipip', frame: 14 + 20 + 1000, mtu: 1500 - 20, ttl: 63, arrives: 62 },
  { backend: 'wireguard', frame: 14 + 20 + 8 + 16 + 1008 + 16, mtu: 1500 - 80, ttl: 64, arrives: 62 },
  { backend: 'aws-vpc', frame: 14 + 1000, mtu: 1500, ttl: 63, arrives: 62 },
  { backend: 'gce', frame: 14 + 1000, mtu: 1500, ttl: 63, arrives: 62 },
]

/** What becomes of DF outside: set by flanneld's socket, never set, or the packet's own. */
const OUTER_DF: Readonly<Record<string, readonly [clear: boolean, set: boolean]>> = {
  udp: [true, true],
  vxlan: [false, false],
  wireguard: [false, false],
  ipip: [false, true],
  'host-gw': [false, true],
  'aws-vpc': [false, true],
  gce: [false, true],
}

describe.each(SIZES)('1000 bytes under $backend', ({ backend, frame, mtu, ttl, arrives }) => {
  const seen = ask({ backend }, 'pod-b:9000', thousand(false))

  it(`${frame} bytes in the frame`, () => {
    expect(seen.disposition).toBe('DELIVERED')
    expect(wire(seen).map(({ length }) => length)).toEqual([frame])
    expect(arrived(seen).map(({ length, ttl: left }) => [length, left])).toEqual([[1014, arrives]])
  })

  it(`TTL ${ttl} outside, and DF`, () => {
    expect(wire(seen).map((one) => one.ttl)).toEqual([ttl])
    const set = ask({ backend }, 'pod-b:9000', thousand(true))
    expect([wire(seen)[0].df, wire(set)[0].df]).toEqual(OUTER_DF[backend])
    expect(arrived(set)[0].df).toBe(true)
  })

  it(`FLANNEL_MTU ${mtu}: that much passes in one frame that fills the card, one byte more with DF does not`, () => {
    const network = networkOf(flannelCluster({ backend }))
    expect(network.subnetEnv.get('host-a')).toContain(`FLANNEL_MTU=${mtu}\n`)
    const full = look(network, 'pod-a', 'pod-b:9000', { proto: 'udp', size: mtu, df: true })
    expect(full.disposition).toBe('DELIVERED')
    // wireguard keeps 20 bytes for an outer IPv6 header, and pads no further than its MTU
    expect(wire(full).map(({ length }) => length)).toEqual([backend === 'wireguard' ? 1494 : 1514])
    expect(look(network, 'pod-a', 'pod-b:9000', { proto: 'udp', size: mtu + 1, df: true }).disposition).toBe('TOO_BIG')
  })
})

it('wireguard pads what it carries to 16 bytes, never beyond its MTU', () => {
  const network = networkOf(flannelCluster({ backend: 'wireguard' }))
  const length = (size: number): number => wire(look(network, 'pod-a', 'pod-b:9000', { proto: 'udp', size }))[0].length
  expect([84, 96, 97, 1000, 1008, 1009, 1408, 1409, 1420].map(length)).toEqual(
    [96, 96, 112, 1008, 1008, 1024, 1408, 1420, 1420].map((padded) => 14 + 20 + 8 + 16 + padded + 16),
  )
})

describe('ipip', () => {
  it('is IP protocol 4 from card to card, and the same bytes within', () => {
    const seen = ask({ backend: 'ipip' })
    expect(wire(seen)).toMatchObject([{ proto: IPIP, src: '192.168.0.100', dst: '192.168.0.200' }])
    expect(at(seen, { netns: 'host-a', device: 'flannel.ipip' })).toMatchObject([{ proto: UDP, src: '10.1.15.2', dst: '10.1.20.3', direction: 'tx' }])
    expect(at(seen, { netns: 'host-b', device: 'flannel.ipip' })).toMatchObject([{ proto: UDP, ttl: 63, direction: 'rx' }])
  })

  it('DirectRouting: no tunnel on the link, and the MTU of one all the same', () => {
    const words: ClusterWords = { backend: 'ipip', backendOptions: { DirectRouting: true } }
    expect(wire(ask(words, 'pod-b:9000', thousand(false)))).toMatchObject([{ proto: UDP, length: 1014 }])
    expect(ask(words, 'pod-b:9000', { proto: 'udp', size: 1481, df: true }).disposition).toBe('TOO_BIG')
  })

  it('an address without a lease takes the default route', () => {
    expect(ask({ backend: 'ipip' }, '10.1.99.9:9000')).toMatchObject({ disposition: 'NO_ROUTE', netns: 'router/router' })
  })

  it('the tunnel of the far host down: the packet finds neither it nor tunl0', () => {
    const lost = ask({ backend: 'ipip', hosts: { 'host-b': { ip: ['link set flannel.ipip down'] } } })
    expect(lost).toMatchObject({ disposition: 'NO_VTEP', netns: 'host-b' })
  })

  it('TTL: the answer to a probe that ends on the far host comes from the address of its tunnel', () => {
    expect(ask({ backend: 'ipip' }, 'pod-b', { ttl: 1 })).toMatchObject({ disposition: 'TTL_EXCEEDED', answer: 'icmp 11/0 from 10.1.15.1' })
    expect(ask({ backend: 'ipip' }, 'pod-b', { ttl: 2 })).toMatchObject({ disposition: 'TTL_EXCEEDED', netns: 'host-b', answer: 'icmp 11/0 from 10.1.20.0' })
    expect(ask({ backend: 'ipip' }, 'pod-b', { ttl: 3 }).disposition).toBe('DELIVERED')
  })

  it('a router on the way lowers the TTL outside, not within', () => {
    const s1 = { name: 's1', cidr: '192.168.1.0/24', router: '192.168.1.254' }
    const underlay = { segments: [{ name: 's0', cidr: '192.168.0.0/24', router: '192.168.0.254' }, s1] }
    const text = flannelCluster({ backend: 'ipip', underlay, nodes: [NODES[0], { name: 'host-b', address: '192.168.1.200' }] })
    const seen = look(networkOf(text.replaceAll('192.168.0.200', '192.168.1.200')), 'pod-a', 'pod-b:9000', { proto: 'udp' })
    expect(at(seen, { netns: 'host-b', device: 'eth0', direction: 'rx' })).toMatchObject([{ ttl: 62 }])
    expect(arrived(seen)).toMatchObject([{ ttl: 62 }])
  })
})

describe('wireguard', () => {
  it('is UDP from port to port, and another port of the peer is its lease’s', () => {
    const words: ClusterWords = {
      backend: 'wireguard',
      backendOptions: { ListenPort: 40001 },
      leases: {
        '10.1.15.0-24': leaseValue('wireguard', '192.168.0.100', '', KEY_A).replace('51820', '40001'),
        '10.1.20.0-24': leaseValue('wireguard', '192.168.0.200', '', 'YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI=').replace('51820', '40001'),
      },
    }
    expect(wire(ask(words))).toMatchObject([{ proto: UDP, sport: 40001, dport: 40001, src: '192.168.0.100', dst: '192.168.0.200' }])
  })

  it('an address without a lease finds no peer: ICMP host unreachable from the bridge', () => {
    expect(ask({ backend: 'wireguard' }, '10.1.99.9:9000')).toMatchObject({ netns: 'host-a', answer: 'icmp 3/1 from 10.1.15.1' })
    expect(wire(ask({ backend: 'wireguard' }, '10.1.99.9:9000'))).toEqual([])
  })

  it('a source that is not in the AllowedIPs of its peer is dropped on arrival', () => {
    const iptables = ['-t nat -I POSTROUTING -o flannel-wg -j SNAT --to-source 10.1.77.7']
    const lost = ask({ backend: 'wireguard', hosts: { 'host-a': { iptables } } })
    expect(lost).toMatchObject({ disposition: 'DENIED', netns: 'host-b', answer: '' })
    expect(at(lost, { netns: 'host-b', device: 'flannel-wg' })).toEqual([])
  })

  it('without a key the lease makes no peer, and says so', () => {
    const { network, problems } = buildText(
      flannelCluster({ backend: 'wireguard', leases: { '10.1.20.0-24': JSON.stringify({ PublicIP: '192.168.0.200', BackendType: 'wireguard' }) } }),
    )
    expect(problems.map(({ what }) => what).join('\n')).toContain('flanneld makes no peer of the lease')
    expect(look(network, 'pod-a', 'pod-b:9000', { proto: 'udp' })).toMatchObject({ netns: 'host-a', answer: 'icmp 3/1 from 10.1.15.1' })
  })

  it('the kernel’s TTL outside does not tell how often the packet was forwarded', () => {
    expect(wire(ask({ backend: 'wireguard' }, 'pod-b', { ttl: 5 }))).toMatchObject([{ ttl: 64 }])
    expect(ask({ backend: 'wireguard' }, 'pod-b', { ttl: 2 })).toMatchObject({
      disposition: 'TTL_EXCEEDED',
      netns: 'host-b',
      answer: 'icmp 11/0 from 10.1.20.0',
    })
  })
})

describe('alloc', () => {
  it('leases and nothing else: the default route has the packet, which its router may know or not', () => {
    // nor does the router know the way back to the pod: its ICMP error has no route either
    expect(ask({ backend: 'alloc' })).toMatchObject({ disposition: 'NO_ROUTE', netns: 'router/router', answer: '' })
    const underlay = {
      segments: [{ name: 's0', cidr: '192.168.0.0/24', router: '192.168.0.254' }],
      routers: [{ name: 'r0', segments: ['s0'], routes: ['10.1.15.0/24 via 192.168.0.100', '10.1.20.0/24 via 192.168.0.200'] }],
    }
    const seen = ask({ backend: 'alloc', underlay })
    expect(seen.disposition).toBe('DELIVERED')
    expect(arrived(seen)).toMatchObject([{ ttl: 61 }])
  })

  it('the address of the pod is kept: rules are by Network, whoever routes', () => {
    expect(wire(ask({ backend: 'alloc' }))).toMatchObject([{ src: '10.1.15.2', dst: '10.1.20.3' }])
  })
})
