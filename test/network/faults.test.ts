/**
 * What goes wrong with flannel, each as a small cluster: how the packet ends, the kernel's word for it, who answers, TTLs and lengths.
 * The numbers were measured on a real kernel with flannel's own attributes and proxy, unless a comment says otherwise.
 */
import { describe, expect, it } from 'vitest'
import { printRoutes } from '../../src/dataplane/ip-route.js'
import { flannelCluster, leaseValue, NODES, VTEP_A, VTEP_B, type Backend, type ClusterWords } from '../kit/flannel-cluster.js'
import { networkOf, type Ask } from '../kit/network.js'
import { at, look, type Sighting } from '../kit/sighting.js'

const BACKENDS: readonly Backend[] = ['udp', 'vxlan', 'host-gw']
const UDP = 17
const ARP = 0

function ask(words: ClusterWords, destination: string, request: Ask = {}, source = 'pod-a'): Sighting {
  return look(networkOf(flannelCluster(words)), source, destination, request)
}

/** TTL of the first packet at a tap. */
function ttlAt(sighting: Sighting, netns: string, device: string, direction: 'rx' | 'tx'): number | undefined {
  return at(sighting, { netns, device, direction })[0]?.ttl
}

const datagram: Ask = { proto: 'udp' }

describe('the tables of vxlan', () => {
  it('no FDB entry: gone without a word', () => {
    const lost = ask({ backend: 'vxlan', hosts: { 'host-a': { bridge: [`fdb del ${VTEP_B} dev flannel.1 self`] } } }, 'pod-b')
    expect(lost).toMatchObject({ disposition: 'NO_VTEP', reason: 'NO_TX_TARGET', netns: 'host-a', answer: '' })
    expect(at(lost, { netns: 'host-a', device: 'flannel.1' }).map(({ ttl, length }) => [ttl, length])).toEqual([[63, 98]])
    expect(at(lost, { netns: 'host-a', device: 'eth0' })).toEqual([])
  })

  it('no neighbour: three broadcast ARP requests into flannel.1, then ICMP 3/1 from the bridge after 3 s', () => {
    const lost = ask({ backend: 'vxlan', hosts: { 'host-a': { ip: ['neigh del 10.1.20.0 dev flannel.1'] } } }, 'pod-b')
    expect(lost).toMatchObject({ disposition: 'NEIGHBOR_FAILED', reason: 'NEIGH_FAILED', netns: 'host-a', answer: 'icmp 3/1 from 10.1.15.1' })
    const requests = at(lost, { netns: 'host-a', device: 'flannel.1' })
    expect(requests.map(({ proto, dstMac, dst, timeNs }) => [proto, dstMac, dst, Math.round(timeNs / 1e9)])).toEqual(
      [0, 1, 2].map((second) => [ARP, 'ff:ff:ff:ff:ff:ff', '10.1.20.0', second]),
    )
    expect(lost.answerNs).toBeGreaterThanOrEqual(2.9e9)
    expect(lost.answerNs).toBeLessThan(3.2e9)
  })

  it("a neighbour with somebody else's MAC: counted on flannel.1, never delivered", () => {
    const lost = ask({ backend: 'vxlan', macs: { 'host-b/flannel.1': 'ee:00:00:00:00:cc' } }, 'pod-b')
    expect(lost).toMatchObject({ disposition: 'NEIGHBOR_FAILED', reason: 'OTHERHOST', netns: 'host-b', answer: '' })
    expect(at(lost, { netns: 'host-b', device: 'flannel.1', direction: 'rx' }).map(({ dstMac, ttl }) => [dstMac, ttl])).toEqual([[VTEP_B, 63]])
  })

  it('two hosts with one VtepMAC: dropped as the frame comes out of its encapsulation', () => {
    const lost = ask({ backend: 'vxlan', leases: { '10.1.20.0-24': leaseValue('vxlan', '192.168.0.200', VTEP_A) } }, 'pod-b')
    expect(lost).toMatchObject({ reason: 'LOCAL_MAC', netns: 'host-b', answer: '' })
    expect(at(lost, { netns: 'host-b', device: 'eth0', direction: 'rx' })).toHaveLength(1)
    expect(at(lost, { netns: 'host-b', device: 'flannel.1' })).toEqual([])
  })

  it("a lease with this host's own address and another MAC: round in the device until the TTL is gone (measured for this test, Linux 6.18)", () => {
    const lost = ask({ backend: 'vxlan', leases: { '10.1.30.0-24': leaseValue('vxlan', '192.168.0.100', 'ee:00:00:00:00:77') } }, '10.1.30.5', { ttl: 6 })
    expect(lost).toMatchObject({ disposition: 'LOOP', netns: 'host-a', answer: 'icmp 11/0 from 10.1.15.1' })
    expect(at(lost, { netns: 'host-a', device: 'flannel.1' }).map(({ direction, ttl }) => `${direction} ${ttl}`)).toEqual(
      [5, 4, 3, 2, 1].flatMap((ttl) => [`tx ${ttl}`, `rx ${ttl}`]),
    )
    expect(at(lost, { netns: 'host-a', device: 'eth0' })).toEqual([])
  })

  it("flannel.1 down on the far host: its UDP port is closed, and the sender's kernel hears of it, not the pod", () => {
    const lost = ask({ backend: 'vxlan', hosts: { 'host-b': { ip: ['link set flannel.1 down'] } } }, 'pod-b')
    expect(lost).toMatchObject({ disposition: 'NO_SOCKET', netns: 'host-b', answer: '' })
    expect(at(lost, { netns: 'host-a', device: 'eth0', direction: 'rx' }).map(({ proto, src }) => [proto, src])).toEqual([[1, '192.168.0.200']])
  })

  it.each([
    ['default', {}, 8472, 1],
    ['VNI 42 on port 4789', { VNI: 42, Port: 4789 }, 4789, 42],
  ] as const)('%s: the header', (_name, backendOptions, port, vni) => {
    const came = ask({ backend: 'vxlan', backendOptions }, 'pod-b')
    expect(came.disposition).toBe('DELIVERED')
    const [outer] = at(came, { netns: 'host-a', device: 'eth0', direction: 'tx' })
    expect(outer).toMatchObject({ proto: UDP, dport: port, ttl: 64, df: false, length: 148, ipLength: 134 })
    expect(outer.sport).toBeGreaterThanOrEqual(32768)
    expect(outer.sport).toBeLessThanOrEqual(60998)
    expect([...outer.bytes.subarray(42, 50)]).toEqual([8, 0, 0, 0, 0, 0, vni, 0])
    expect(at(came, { netns: 'host-a', device: `flannel.${vni}`, direction: 'tx' })).toHaveLength(1)
  })
})

describe('leases', () => {
  it.each(BACKENDS)('%s: a lease whose host nobody is: ARP on the underlay for 3 s; only host-gw tells the pod', (backend) => {
    const lost = ask({ backend, leases: { '10.1.30.0-24': leaseValue(backend, '192.168.0.66', 'ee:00:00:00:00:66') } }, '10.1.30.5')
    expect(lost).toMatchObject({
      disposition: 'NEIGHBOR_FAILED',
      reason: 'NEIGH_FAILED',
      netns: 'host-a',
      answer: backend === 'host-gw' ? 'icmp 3/1 from 10.1.15.1' : '',
    })
    expect(at(lost, { netns: 'host-a', device: 'eth0', direction: 'tx' }).map(({ proto, dst }) => [proto, dst])).toEqual(Array(3).fill([ARP, '192.168.0.66']))
  })

  it.each(BACKENDS)('%s: a lease that nobody renews holds until its time is over, and not a second longer', (backend) => {
    const text = flannelCluster({ backend, leases: { '10.1.30.0-24': { value: leaseValue(backend, '192.168.0.66', 'ee:00:00:00:00:66'), ttl: 600 } } })
    const when = (second: number): Sighting => look(networkOf(text, { atNs: second * 1e9 }), 'pod-a', '10.1.30.5')
    expect(when(599).disposition).toBe('NEIGHBOR_FAILED')
    expect(when(600)).toMatchObject(backend === 'udp' ? { disposition: 'AGENT_DROPPED', netns: 'host-a' } : { disposition: 'NO_ROUTE', netns: 'router/router' })
  })

  it('the leases of living hosts are renewed', () => {
    const leases = { '10.1.20.0-24': { value: leaseValue('vxlan', '192.168.0.200', VTEP_B), ttl: 600 } }
    expect(look(networkOf(flannelCluster({ backend: 'vxlan', leases }), { atNs: 90_000e9 }), 'pod-a', 'pod-b').disposition).toBe('DELIVERED')
  })

  it('udp swallows what nobody leased; its ICMP 3/0 dies at flannel0 as a local source', () => {
    const echo = ask({ backend: 'udp' }, '10.1.99.5')
    expect(echo).toMatchObject({ disposition: 'AGENT_DROPPED', netns: 'host-a', answer: '' })
    expect(at(echo, { netns: 'host-a', device: 'flannel0', direction: 'rx' })).toEqual([])
    const words = ask({ backend: 'udp' }, '10.1.99.5:9000', datagram)
    expect(words).toMatchObject({ disposition: 'AGENT_DROPPED', answer: '' })
    expect(at(words, { netns: 'host-a', device: 'flannel0', direction: 'rx' }).map(({ src, dst, ttl, length, df }) => [src, dst, ttl, length, df])).toEqual([
      ['10.1.15.0', '10.1.15.2', 8, 56, false],
    ])
  })

  it('with accept_local on flannel0 it reaches the pod with TTL 7', () => {
    const told = ask({ backend: 'udp', hosts: { 'host-a': { sysctls: { 'net.ipv4.conf.flannel0.accept_local': 1 } } } }, '10.1.99.5:9000', datagram)
    expect(told).toMatchObject({ disposition: 'AGENT_DROPPED', answer: 'icmp 3/0 from 10.1.15.0', answerTtl: 7 })
  })

  it('flanneld reports a missing route before it looks at the TTL', () => {
    const lost = ask({ backend: 'udp' }, '10.1.99.5:9000', { ...datagram, ttl: 2 })
    expect(at(lost, { netns: 'host-a', device: 'flannel0', direction: 'rx' })).toHaveLength(1)
  })

  it.each(['vxlan', 'host-gw'] as const)('%s: what nobody leased takes the default route; without one, ICMP 3/0 from the bridge', (backend) => {
    const away = ask({ backend }, '10.1.99.5:9000', datagram)
    expect(away).toMatchObject({ disposition: 'NO_ROUTE', netns: 'router/router', answer: '' })
    // -s Network -d Network RETURN: not masqueraded
    expect(at(away, { netns: 'host-a', device: 'eth0', direction: 'tx' }).map(({ src, ttl }) => [src, ttl])).toEqual([['10.1.15.2', 63]])
    const none = ask({ backend, hosts: { 'host-a': { ip: ['route del default'] } } }, '10.1.99.5:9000', datagram)
    expect(none).toMatchObject({ disposition: 'NO_ROUTE', reason: 'IP_INNOROUTES', netns: 'host-a', answer: 'icmp 3/0 from 10.1.15.1' })
  })

  it('an unused address of the own subnet: the pod asks the bridge three times, the host says nothing', () => {
    const lost = ask({ backend: 'vxlan' }, '10.1.15.99')
    expect(lost).toMatchObject({ disposition: 'NEIGHBOR_FAILED', netns: 'default/pod-a' })
    expect(at(lost, { netns: 'default/pod-a', device: 'eth0' }).map(({ proto, dst }) => [proto, dst])).toEqual(Array(3).fill([ARP, '10.1.15.99']))
    expect(lost.sights.filter(({ device, proto }) => device.startsWith('flannel') || (proto !== ARP && device !== 'lo'))).toEqual([])
  })

  it('udp does not look at BackendType: a host of another backend answers port unreachable, and the pod hears nothing', () => {
    // the router stands for a host without flanneld's udp socket
    const lost = ask({ backend: 'udp', leases: { '10.1.30.0-24': leaseValue('vxlan', '192.168.0.254', 'ee:00:00:00:00:66') } }, '10.1.30.5')
    expect(lost).toMatchObject({ disposition: 'NO_SOCKET', netns: 'router/router', answer: '' })
    expect(at(lost, { netns: 'host-a', device: 'eth0', direction: 'tx' }).map(({ sport, dport, length }) => [sport, dport, length])).toEqual([
      [8285, 8285, 126],
    ])
    expect(at(lost, { netns: 'host-a', device: 'eth0', direction: 'rx' }).map(({ proto, src }) => [proto, src])).toEqual([[1, '192.168.0.254']])
  })

  it.each(['vxlan', 'host-gw'] as const)('%s passes over the leases of other backends', (backend) => {
    const text = flannelCluster({ backend, leases: { '10.1.20.0-24': leaseValue('udp', '192.168.0.200') } })
    expect(printRoutes(networkOf(text).dataplanes.get('host-a')?.routes ?? [])).not.toContain('10.1.20.0/24')
    expect(look(networkOf(text), 'pod-a', 'pod-b').disposition).toBe('NO_ROUTE')
  })
})

describe('TTL, and who answers a traceroute', () => {
  const hop = (backend: Backend, ttl: number): Sighting => ask({ backend }, 'pod-b:9000', { ...datagram, ttl })

  it('udp: the bridge, nobody, nobody, flannel0 of the far host, the pod', () => {
    expect(hop('udp', 1)).toMatchObject({ disposition: 'TTL_EXCEEDED', answer: 'icmp 11/0 from 10.1.15.1', netns: 'host-a' })
    expect(hop('udp', 2)).toMatchObject({ disposition: 'AGENT_DROPPED', answer: '', netns: 'host-a' })
    expect(hop('udp', 3)).toMatchObject({ disposition: 'AGENT_DROPPED', answer: '', netns: 'host-b' })
    expect(hop('udp', 4)).toMatchObject({ disposition: 'TTL_EXCEEDED', answer: 'icmp 11/0 from 10.1.20.0', netns: 'host-b' })
    expect(hop('udp', 5)).toMatchObject({ disposition: 'DELIVERED' })
  })

  it.each([
    ['vxlan', '10.1.20.0'],
    ['host-gw', '192.168.0.200'],
  ] as const)('%s: the bridge, %s, the pod', (backend, second) => {
    expect(hop(backend, 1)).toMatchObject({ disposition: 'TTL_EXCEEDED', answer: 'icmp 11/0 from 10.1.15.1' })
    expect(hop(backend, 2)).toMatchObject({ disposition: 'TTL_EXCEEDED', answer: `icmp 11/0 from ${second}` })
    expect(hop(backend, 3)).toMatchObject({ disposition: 'DELIVERED' })
  })

  it.each([
    ['udp', 60, 1042],
    ['vxlan', 62, 1064],
    ['host-gw', 62, 1014],
  ] as const)('%s: 1000 bytes arrive with TTL %i, %i bytes on the wire', (backend, ttl, wire) => {
    const came = ask({ backend }, 'pod-b:9000', { ...datagram, size: 1000, df: true })
    expect(came.disposition).toBe('DELIVERED')
    expect(ttlAt(came, 'default/pod-b', 'eth0', 'rx')).toBe(ttl)
    const [outer] = at(came, { netns: 'host-a', device: 'eth0', direction: 'tx' })
    expect([outer.length, outer.ttl, outer.df]).toEqual([wire, backend === 'host-gw' ? 63 : 64, backend !== 'vxlan'])
  })

  it.each([
    ['udp', '10.1.15.0', 61],
    ['vxlan', '10.1.15.0', 63],
    ['host-gw', '192.168.0.100', 63],
  ] as const)('%s: a process of the host speaks as %s', (backend, source, ttl) => {
    const came = ask({ backend }, 'pod-b:9000', datagram, 'node/host-a')
    expect(at(came, { netns: 'default/pod-b', device: 'eth0' }).map((sight) => [sight.src, sight.ttl])).toEqual([[source, ttl]])
    if (backend === 'udp') expect(ttlAt(came, 'host-b', 'flannel0', 'rx')).toBe(62)
  })
})

/** Pods at 1500 over a tunnel that bears less: flannel's MTU option, or a card that shrank after docker started. */
const WIDE_PODS: Readonly<Record<'udp' | 'vxlan', ClusterWords>> = {
  udp: {
    backend: 'udp',
    nodes: NODES.map((node) => ({ ...node, annotations: { 'netsim/mtu': '1528' } })),
    hosts: { 'host-a': { ip: ['link set flannel0 mtu 1472', 'link set eth0 mtu 1500'] } },
  },
  vxlan: { backend: 'vxlan', version: '0.21.3', backendOptions: { MTU: 1550 } },
}

describe('MTU', () => {
  it.each([
    ['udp', 1472],
    ['vxlan', 1450],
  ] as const)('%s: one byte more than the tunnel bears, with DF: ICMP 3/4 mtu %i from the bridge, 576 bytes', (backend, mtu) => {
    const told = ask(WIDE_PODS[backend], 'pod-b:9000', { ...datagram, size: mtu + 1, df: true })
    expect(told).toMatchObject({ disposition: 'TOO_BIG', reason: 'PKT_TOO_BIG', netns: 'host-a', answer: `icmp 3/4 mtu ${mtu} from 10.1.15.1` })
    const [icmp] = at(told, { netns: 'default/pod-a', device: 'eth0', direction: 'rx' })
    expect([icmp.ipLength, icmp.bytes[15]]).toEqual([576, 0xc0])
    expect(ask(WIDE_PODS[backend], 'pod-b:9000', { ...datagram, size: mtu, df: true }).disposition).toBe('DELIVERED')
  })

  it.each([
    ['udp', 'flannel0', [1468, 25], [1496, 53]],
    ['vxlan', 'flannel.1', [1444, 27], [1494, 77]],
  ] as const)('%s: without DF the kernel cuts before the tunnel, each piece its own datagram', (backend, device, pieces, outers) => {
    const came = ask(WIDE_PODS[backend], 'pod-b:9000', { ...datagram, size: pieces[0] + pieces[1] - 20 })
    expect(came.disposition).toBe('DELIVERED')
    expect(at(came, { netns: 'host-a', device, direction: 'tx' }).map(({ ipLength }) => ipLength)).toEqual(pieces)
    const sent = at(came, { netns: 'host-a', device: 'eth0', direction: 'tx' })
    expect(sent.map(({ ipLength, offset, more }) => [ipLength, offset, more])).toEqual(outers.map((length) => [length, 0, false]))
  })

  it('the fragments of a flow leave from another VXLAN source port than its whole packets', () => {
    const whole = at(ask(WIDE_PODS.vxlan, 'pod-b:9000', { ...datagram, size: 1000 }), { netns: 'host-a', device: 'eth0', direction: 'tx' })
    const pieces = at(ask(WIDE_PODS.vxlan, 'pod-b:9000', { ...datagram, size: 1451 }), { netns: 'host-a', device: 'eth0', direction: 'tx' })
    expect(pieces[0].sport).toBe(pieces[1].sport)
    expect(pieces[0].sport).not.toBe(whole[0].sport)
  })

  it.each([
    ['udp', 1472],
    ['vxlan', 1450],
  ] as const)('%s: the underlay shrunk to 1400: the outer packet is cut, 1396 and 124, DF 0, and arrives', (backend, size) => {
    const came = ask({ backend, hosts: { 'host-a': { ip: ['link set eth0 mtu 1400'] } } }, 'pod-b:9000', { ...datagram, size, df: true })
    expect(came.disposition).toBe('DELIVERED')
    const sent = at(came, { netns: 'host-a', device: 'eth0', direction: 'tx' })
    expect(sent.map(({ ipLength, df, offset, more }) => [ipLength, df, offset, more])).toEqual([
      [1396, false, 0, true],
      [124, false, 1376, false],
    ])
    expect(at(came, { netns: 'default/pod-b', device: 'eth0' }).map(({ ipLength, df }) => [ipLength, df])).toEqual([[size, true]])
  })

  it('host-gw over a shrunk underlay tells the pod', () => {
    const told = ask({ backend: 'host-gw', hosts: { 'host-a': { ip: ['link set eth0 mtu 1400'] } } }, 'pod-b:9000', { ...datagram, size: 1450, df: true })
    expect(told).toMatchObject({ disposition: 'TOO_BIG', answer: 'icmp 3/4 mtu 1400 from 10.1.15.1' })
  })

  it("the pod's own device is too small: the call fails, nothing is sent", () => {
    const failed = ask({ backend: 'vxlan' }, 'pod-b:9000', { ...datagram, size: 1451, df: true })
    expect(failed).toMatchObject({ disposition: 'TOO_BIG', netns: 'default/pod-a', answer: '', sights: [] })
  })

  it('a switch that bears less than the cards send: nobody is told', () => {
    const underlay = { segments: [{ name: 's0', cidr: '192.168.0.0/24', router: '192.168.0.254', mtu: 1400 }] }
    const nodes = NODES.map((node) => ({ ...node, annotations: { 'netsim/mtu': '1500' } }))
    expect(ask({ backend: 'udp', underlay, nodes }, 'pod-b:9000', { ...datagram, size: 1472 })).toMatchObject({ disposition: 'BLACKHOLE', answer: '' })
  })

  it('udp: a receiver of smaller MTU cuts the datagram short, and the kernel refuses what is left', () => {
    const nodes = [NODES[0], { ...NODES[1], annotations: { 'netsim/mtu': '1400' } }]
    const lost = ask({ backend: 'udp', nodes }, 'pod-b:9000', { ...datagram, size: 1472 })
    expect(lost).toMatchObject({ disposition: 'CORRUPT', netns: 'host-b', answer: '' })
    expect(at(lost, { netns: 'host-b', device: 'flannel0', direction: 'rx' }).map(({ length, ipLength }) => [length, ipLength])).toEqual([[1372, 1472]])
    expect(ask({ backend: 'udp', nodes }, 'pod-b:9000', { ...datagram, size: 1372 }).disposition).toBe('DELIVERED')
  })
})
