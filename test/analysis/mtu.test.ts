/** The MtuReport against single traces of the same sizes, against the arithmetic of headers, and against what the faults of an underlay are known to do. */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { DirectionDocument, MtuReport } from '../../src/analysis/mtu-document.js'
import { mtuText } from '../../src/analysis/mtu-text.js'
import { overheadOf } from '../../src/wire/overhead.js'
import { flannelCluster } from '../kit/flannel-cluster.js'
import { answer, networkOf } from '../kit/network.js'
import { bandsIn, oneSegment, passesWhole, report, SILENT, siteOf, wan } from './mtu-kit.js'

function example(name: string): ReturnType<typeof networkOf> {
  return networkOf(readFileSync(new URL(`../../examples/${name}.yaml`, import.meta.url), 'utf8'))
}

function back({ reverse }: MtuReport): DirectionDocument {
  if (reverse === null) throw new Error('the way back was not asked')
  return reverse
}

describe('examples', () => {
  it.each([
    ['flannel-udp', 'pod-a', 'pod-b', 1472, '1500 - 20 IPv4 - 8 UDP = 1472'],
    ['flannel-vxlan', 'shop/web-0', 'shop/api-0:8080', 1450, '1500 - 20 IPv4 - 8 UDP - 8 VXLAN - 14 inner Ethernet = 1450'],
    ['flannel-ipip', 'client', 'far:80', 1480, '1500 - 20 IPv4 = 1480'],
    ['flannel-wireguard', 'client', 'server:80', 1420, '1500 - 80 reserved, room for an IPv6 underlay, = 1420'],
    ['flannel-host-gw', 'client', 'server:80', 1500, '1500'],
  ])('%s: %s to %s', (name, source, destination, largest, arithmetic) => {
    const told = report(example(name), source, destination)
    expect(told.verdict).toBe('PASSES')
    expect([told.forward, back(told)].map((way) => [way.largest, way.full, way.mss, way.mssTimestamps])).toEqual(
      Array(2).fill([largest, largest, largest - 40, largest - 52]),
    )
    expect(told.forward.limit).toMatchObject({ mtu: largest, arithmetic })
    expect(bandsIn(told.forward)).toEqual([`${largest + 1}-${largest + 1} EMSGSIZE`])
  })

  it("Calico's table: room for IPv4 headers alone, and no udp", () => {
    const told = report(example('calico-wireguard'), 'shop/api-0', 'shop/web-0:80')
    expect(told.forward.limit).toMatchObject({ mtu: 1440 })
    expect(told.underlay).toEqual({ mtu: 1500, podMtu: { none: 1500, ipip: 1480, vxlan: 1450, wireguard: 1440 } })
    const text = mtuText(told, { width: 120, color: false, ascii: false, summaryOnly: false })
    expect(text).toContain('carries 1500; pod MTU without encapsulation 1500, ipip 1480, vxlan 1450, wireguard 1440\n')
  })

  it('underlay-mtu: a segment that carries less than the cards believe', () => {
    const told = report(example('underlay-mtu'), 'client', 'server:80')
    expect(told.verdict).toBe('BLACKHOLE')
    expect(told.forward.limit).toMatchObject({ kind: 'segment', mtu: 1450, place: { segment: 's0' } })
    expect(bandsIn(told.forward)).toEqual(['1401-1450 BLACKHOLE', '1451-1451 EMSGSIZE'])
    expect(told.tcp).toMatchObject({ forward: 1410, reverse: 1410, fits: { forward: false, reverse: false } })
  })

  it('mtu-blackhole: the rule that hides the news is named, and the way back is another matter', () => {
    const told = report(example('mtu-blackhole'), 'client', 'server:80')
    expect([told.verdict, told.forward.verdict, back(told).verdict]).toEqual(['BLACKHOLE', 'BLACKHOLE', 'LEARNED'])
    const [band] = told.forward.above
    expect(band).toMatchObject({ from: 1373, to: 1472, place: { netns: 'router/r0', device: 'eth1' } })
    expect(band.tries).toMatchObject([
      { told: { fate: 'LOST', disposition: 'DENIED', mtu: 1400, provenance: { by: 'owner of router r0', line: 52 } }, learned: [] },
    ])
    expect(told.underlay).toEqual({ mtu: 1400, podMtu: { none: 1400, ipip: 1380, udp: 1372, vxlan: 1350, wireguard: 1320 } })
  })
})

/** What flannel's devices take off 1500, and what is left of 1400 when a router carries no more. */
const BACKENDS = [
  { backend: 'udp', pod: 1472, left: 1372, learned: 'LEARNED', silent: 'BLACKHOLE' },
  { backend: 'vxlan', pod: 1450, left: 1350, learned: 'FRAGMENTED', silent: 'FRAGMENTED' },
  { backend: 'ipip', pod: 1480, left: 1380, learned: 'TOLD', silent: 'BLACKHOLE' },
  { backend: 'wireguard', pod: 1420, left: 1328, learned: 'FRAGMENTED', silent: 'FRAGMENTED' },
] as const

describe.each(BACKENDS)('an underlay of 1400 under $backend', ({ backend, pod, left, learned, silent }) => {
  const overhead = overheadOf(backend).bytes

  it('a segment that carries less than its cards: BLACKHOLE', () => {
    const told = report(siteOf({ backend, cards: [1500, 1500], underlay: oneSegment(1400) }), 'client', 'server:80')
    expect(told.verdict).toBe('BLACKHOLE')
    expect([told.forward.largest, told.forward.deviceMtu]).toEqual([left, pod])
    expect(told.forward.limit?.kind).toBe('segment')
    expect(told.forward.above[0].tries).toHaveLength(1)
    expect(told.forward.table.at(-1)).toMatchObject({ small: 'DELIVERED', full: 'never arrives', lost: true })
  })

  it('cards of 1400: the agents know, and nothing is too big', () => {
    const told = report(siteOf({ backend, cards: [1400, 1400] }), 'client', 'server:80')
    expect(told.verdict).toBe('PASSES')
    expect(told.forward.largest).toBe(pod - 100)
  })

  it('a router link of 1400 that says so', () => {
    const told = report(siteOf({ backend, underlay: wan(1400) }), 'client', 'server:80')
    expect([told.forward.verdict, back(told).verdict]).toEqual([learned, learned])
    expect([told.forward.largest, back(told).largest]).toEqual([left, left])
    expect(told.forward.limit).toMatchObject({ kind: 'router', mtu: 1400, place: { netns: 'router/r0', device: 'eth1' } })
    expect(told.forward.limit?.arithmetic.startsWith('1400 - 20 IPv4')).toBe(true)
    expect(told.forward.fullOverhead).toBe(overhead)
  })

  it('a router link of 1400 whose ICMP is filtered', () => {
    const told = report(siteOf({ backend, underlay: wan(1400, { filter: SILENT }) }), 'client', 'server:80')
    expect([told.forward.verdict, back(told).verdict]).toEqual([silent, learned])
    expect(told.forward.largest).toBe(left)
  })
})

describe('host-gw and no overlay', () => {
  it('a segment of 1400 is a black hole for 1500', () => {
    const told = report(siteOf({ backend: 'host-gw', cards: [1500, 1500], underlay: oneSegment(1400) }), 'client', 'server:80')
    expect([told.verdict, told.forward.largest, told.forward.limit?.arithmetic]).toEqual(['BLACKHOLE', 1400, '1400'])
  })

  it('between nodes over a router the sender itself is told, and its next packet fits', () => {
    const told = report(siteOf({ backend: 'vxlan', underlay: wan(1400) }), 'node/node-1', 'node/node-2')
    expect(told.forward).toMatchObject({ verdict: 'TOLD', largest: 1400, deviceMtu: 1500 })
    expect(told.forward.above[0].tries.map(({ size, disposition }) => [size, disposition])).toEqual([
      [1500, 'TOO_BIG'],
      [1400, 'DELIVERED'],
    ])
    expect(told.forward.above[0].tries[0].told).toMatchObject({ from: '192.168.10.254', mtu: 1400, fate: 'ARRIVED', heardBy: 'node-1' })
  })

  it('a single trace agrees, of TCP too: TOO_BIG where the sender hears, BLACKHOLE where not', () => {
    const dispositions = ([[], SILENT] as const).map((filter) => {
      const network = siteOf({ backend: 'vxlan', underlay: wan(1400, { filter }) })
      return answer(network, 'node/node-1', 'node/node-2:22', { size: 1500, listen: true }).document.disposition
    })
    expect(dispositions).toEqual(['TOO_BIG', 'BLACKHOLE'])
  })

  it('and hears nothing where the router filters what it says', () => {
    expect(report(siteOf({ backend: 'vxlan', underlay: wan(1400, { filter: SILENT }) }), 'node/node-1', 'node/node-2').forward.verdict).toBe('BLACKHOLE')
  })

  it('without DF the router cuts', () => {
    const told = report(siteOf({ backend: 'vxlan', underlay: wan(1400) }), 'node/node-1', 'node/node-2')
    const [band] = told.forward.withoutDf
    expect(band).toMatchObject({ from: 1401, to: 1500, outcome: 'FRAGMENTED', reassembledAt: { netns: 'node-2' } })
    expect(band.fragments[0]).toMatchObject({ of: 'inner', sizes: [1396, 124], mtu: 1400, place: { netns: 'router/r0' } })
  })
})

describe('who cuts what', () => {
  it('vxlan: the outer packet, at the router, whole again at the other host', () => {
    const [band] = report(siteOf({ backend: 'vxlan', underlay: wan(1400) }), 'client', 'server:80').forward.above
    expect(band.fragments).toEqual([{ place: { node: 'router/r0', netns: 'router/r0', device: 'eth1' }, mtu: 1400, of: 'outer', sizes: [1396, 124] }])
    expect(band.reassembledAt).toMatchObject({ netns: 'node-2' })
  })

  it('udp: the host that encapsulates hears of it, the second packet is cut there (flannel.md 2.1: 1396 + 124)', () => {
    const [band] = report(siteOf({ backend: 'udp', underlay: wan(1400) }), 'client', 'server:80').forward.above
    expect(band.tries[0].learned).toEqual([{ netns: 'node-1', destination: '192.168.20.12', mtu: 1400 }])
    expect(band.tries.map(({ size, disposition }) => [size, disposition])).toEqual([
      [1472, 'TOO_BIG'],
      [1472, 'DELIVERED'],
    ])
    expect(band.fragments).toMatchObject([{ of: 'outer', sizes: [1396, 124], place: { netns: 'node-1', device: 'eth0' } }])
  })

  it('ipip: first the host hears, then the pod, from its gateway', () => {
    const [band] = report(siteOf({ backend: 'ipip', underlay: wan(1400) }), 'client', 'server:80').forward.above
    expect(band.tries.map(({ told }) => told?.heardBy)).toEqual(['node-1', 'default/client', undefined])
    expect(band.tries[1].told).toMatchObject({ from: '10.244.1.1', mtu: 1380 })
    expect(band.tries[2]).toMatchObject({ size: 1380, disposition: 'DELIVERED' })
  })
})

describe('TCP', () => {
  it('takes the lesser of two announcements: unequal pods fit without help, datagrams do not', () => {
    const site = { backend: 'host-gw', cards: [9000, 1500], underlay: oneSegment(1500) } as const
    const told = report(siteOf(site), 'client', 'server:80')
    expect(told.tcp).toMatchObject({ source: { announced: 8960 }, destination: { announced: 1460 }, forward: 1460, reverse: 1460 })
    expect([told.verdict, told.forward.deviceMtu, told.forward.full, told.forward.largest]).toEqual(['PASSES', 9000, 1500, 1500])
    const datagrams = report(siteOf(site), 'client', 'server:53', { proto: 'udp' })
    expect([datagrams.forward.verdict, back(datagrams).verdict]).toEqual(['BLACKHOLE', 'PASSES'])
  })

  it('a clamp on the way is seen in the other end’s announcement, and mends the connection', () => {
    const rule = '-t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1310'
    const hosts = [{ node: 'node-1', iptables: [rule] }]
    const told = report(siteOf({ backend: 'vxlan', cards: [1500, 1500], underlay: oneSegment(1400), hosts }), 'client', 'server:80')
    expect(told.tcp).toMatchObject({
      source: { announced: 1410, arrived: 1310 },
      destination: { announced: 1410, arrived: 1310 },
      fits: { forward: true, reverse: true },
    })
    expect(told.tcp?.clamps.map(({ place, from, to }) => [place.netns, from, to])).toEqual([
      ['node-1', 1410, 1310],
      ['node-1', 1410, 1310],
    ])
    expect(told.verdict).toBe('PASSES')
    expect(bandsIn(told.forward)).toEqual(['1351-1450 BLACKHOLE', '1451-1451 EMSGSIZE'])
  })

  it('a route may announce less than its device carries', () => {
    const hosts = [{ node: 'node-2', ip: ['route replace 192.168.0.0/16 dev eth0 advmss 1000 src 192.168.20.12'] }]
    const told = report(siteOf({ backend: 'vxlan', hosts }), 'node/node-1', 'node/node-2:22', { listen: true })
    expect(told.tcp).toMatchObject({ source: { announced: 1460 }, destination: { announced: 1000 }, forward: 1000, reverse: 1460 })
    expect([told.forward.full, told.forward.largest]).toEqual([1040, 1500])
  })

  it('the way back is asked inside the connection, where a firewall lets nothing new in', () => {
    const iptables = ['-I FORWARD -i flannel.1 -m conntrack --ctstate NEW -j DROP']
    const network = siteOf({ backend: 'vxlan', hosts: [{ node: 'node-1', iptables }] })
    expect(back(report(network, 'client', 'server:80'))).toMatchObject({ asked: 'answer', largest: 1450, verdict: 'PASSES' })
    const datagrams = report(network, 'client', 'server:53', { proto: 'udp' })
    expect(datagrams.reverse).toBeNull()
    expect(datagrams.reverseWhy).toContain('DENIED')
    expect(datagrams.verdict).toBe('PASSES')
  })
})

describe('edges', () => {
  it('pods of one node', () => {
    const told = report(siteOf({ backend: 'vxlan' }), 'client', 'neighbour:80')
    expect([told.verdict, told.forward.largest, told.underlay]).toEqual(['PASSES', 1450, null])
  })

  it('a pod to itself: lo carries the longest packet that there is', () => {
    const told = report(siteOf({ backend: 'vxlan' }), 'client', 'client:80')
    expect(told.forward).toMatchObject({ verdict: 'PASSES', largest: 65535, limit: null, above: [] })
  })

  it('a node to a pod of another', () => {
    expect(report(siteOf({ backend: 'vxlan' }), 'node/node-1', 'server:80').forward).toMatchObject({ verdict: 'PASSES', largest: 1450 })
  })

  it('jumbo frames', () => {
    const told = report(siteOf({ backend: 'vxlan', underlay: oneSegment(9000) }), 'client', 'server:80')
    expect([told.forward.largest, told.forward.limit?.arithmetic]).toEqual([8950, '9000 - 20 IPv4 - 8 UDP - 8 VXLAN - 14 inner Ethernet = 8950'])
  })

  it('only the way back is narrow', () => {
    const hosts = [{ node: 'node-2', ip: ['route replace 192.168.0.0/16 dev eth0 mtu 1300 src 192.168.20.12'] }]
    const told = report(siteOf({ backend: 'vxlan', hosts }), 'node/node-1', 'node/node-2', {})
    expect([told.forward.largest, back(told).largest]).toEqual([1500, 1300])
    expect(back(told).limit).toMatchObject({ kind: 'route', mtu: 1300 })
  })

  it('nothing passes: why, and nothing else', () => {
    const hosts = [{ node: 'node-2', iptables: ['-I FORWARD -p tcp --dport 80 -j DROP'] }]
    const told = report(siteOf({ backend: 'vxlan', hosts }), 'client', 'server:80')
    expect([told.verdict, told.forward.largest, told.reverse, told.tcp]).toEqual(['UNREACHABLE', 0, null, null])
    expect(told.forward.small).toMatchObject({ disposition: 'DENIED', size: 60 })
  })

  it('an address outside', () => {
    expect(report(siteOf({ backend: 'vxlan' }), 'client', '8.8.8.8:443').verdict).toBe('UNREACHABLE')
  })

  it('two pods of one address', () => {
    expect(report(example('docker-only'), 'pod-a', 'pod-b').verdict).toBe('UNKNOWN')
  })

  it('a rule that looks at the length', () => {
    const hosts = [{ node: 'node-2', iptables: ['-I FORWARD -m length --length 1000:65535 -j DROP'] }]
    const told = report(siteOf({ backend: 'vxlan', hosts }), 'client', 'server:53', { proto: 'udp' })
    expect(told.forward).toMatchObject({ verdict: 'BLACKHOLE', largest: 999, limit: { kind: 'rule', mtu: 0, place: { netns: 'node-2' } } })
    expect(told.forward.above[0]).toMatchObject({ from: 1000, to: 1450, outcome: 'LOST' })
    expect(told.fixes.at(-1)).toContain('looks at the length')
  })

  it('something that is not modelled, met by large packets alone', () => {
    const hosts = [{ node: 'node-2', iptables: ['-I FORWARD -m length --length 1000:65535 -m string --algo bm --string x -j DROP'] }]
    const told = report(siteOf({ backend: 'vxlan', hosts }), 'client', 'server:53', { proto: 'udp' })
    expect([told.verdict, told.forward.largest]).toEqual(['UNKNOWN', 999])
    expect(told.forward.above[0]).toMatchObject({ from: 1000, outcome: 'UNKNOWN' })
  })

  it('a remote TUN that is smaller cuts datagrams short (flannel.md trap 34)', () => {
    const told = report(siteOf({ backend: 'udp', cards: [1500, 1400], underlay: oneSegment(1500) }), 'client', 'server:53', { proto: 'udp' })
    expect(told.forward).toMatchObject({ verdict: 'BLACKHOLE', largest: 1372, deviceMtu: 1472 })
  })

  it.each([10, 64, 255])('a TTL of %i changes no size', (ttl) => {
    expect(report(siteOf({ backend: 'vxlan', underlay: wan(1400) }), 'client', 'server:80', { ttl }).forward.largest).toBe(1350)
  })

  it('the same whether neighbours are known or not', () => {
    const network = siteOf({ backend: 'ipip', underlay: wan(1400) })
    const strip = ({ forward, reverse }: MtuReport): unknown[] => [forward.largest, forward.above, reverse?.largest]
    expect(strip(report(network, 'client', 'server:80', { cold: true }))).toEqual(strip(report(network, 'client', 'server:80')))
  })

  it('leaves the network as it was: the report again is the same report', () => {
    const network = siteOf({ backend: 'udp', underlay: wan(1400) })
    expect(report(network, 'client', 'server:80')).toEqual(report(network, 'client', 'server:80'))
  })
})

const mtus = fc.integer({ min: 600, max: 9000 })
const sites = fc.record({
  backend: fc.constantFrom('udp', 'vxlan', 'ipip', 'wireguard'),
  cards: fc.tuple(mtus, mtus),
  segment: mtus,
  routed: fc.option(mtus, { nil: undefined }),
  silent: fc.boolean(),
  proto: fc.constantFrom('udp', 'icmp', 'tcp'),
} as const)

describe('any underlay', () => {
  it('the largest size passes whole, one more does not, and whoever disagrees asks one packet', () => {
    fc.assert(
      fc.property(sites, ({ backend, cards, segment, routed, silent, proto }) => {
        const underlay = routed === undefined ? oneSegment(segment) : wan(routed, { outer: segment, filter: silent ? SILENT : [] })
        const network = siteOf({ backend, cards, underlay })
        const destination = proto === 'icmp' ? 'server' : 'server:80'
        const told = report(network, 'client', destination, { proto })
        const { largest, full, above, verdict } = told.forward
        const passes = (size: number): boolean => passesWhole(network, 'client', destination, { proto, size })
        expect([passes(largest), passes(largest + 1)]).toEqual([true, false])
        for (const { from, to, outcome } of above) expect([passes(from), passes(to)]).toEqual([outcome === 'PASSES', outcome === 'PASSES'])
        if (full > largest) expect(verdict).not.toBe('PASSES')
        if (full > largest) expect(told.forward.fullOverhead + full).toBeGreaterThan(told.forward.limit?.mtu ?? 0)
      }),
      { numRuns: 25 },
    )
  })
})

it('flannel before MTU was an option, with docker: the cards are what there is to set', () => {
  const underlay = { segments: [{ name: 's0', cidr: '192.168.0.0/24', router: '192.168.0.254', mtu: 1400 }] }
  const nodes = ['100', '200'].map((tail, index) => ({
    name: index === 0 ? 'host-a' : 'host-b',
    address: `192.168.0.${tail}`,
    annotations: { 'netsim/mtu': '1500' },
  }))
  const told = report(networkOf(flannelCluster({ backend: 'vxlan', underlay, nodes })), 'pod-a', 'pod-b:80')
  expect(told.fixes[0]).toBe(
    "set the MTU of the hosts' cards to 1400 before flanneld starts: pods' MTU 1350 (FLANNEL_MTU, handed to docker --mtu); " +
      "flannel's device and the bridge keep their old MTU until they are made anew",
  )
})
