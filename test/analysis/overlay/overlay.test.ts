/** What overlays cost, measured, beside what the RFCs and plain arithmetic say of it. */
import { describe, expect, it } from 'vitest'
import { overlayChart } from '../../../src/analysis/overlay/chart.js'
import { COSTS, cpuNs, type Counts } from '../../../src/analysis/overlay/cost-model.js'
import type { BackendWay, OverlayReport, SizeDocument } from '../../../src/analysis/overlay/document.js'
import { DEFAULT_SIZES, overlayReport } from '../../../src/analysis/overlay/report.js'
import { BACKEND_IDS } from '../../../src/analysis/overlay/names.js'
import { buildCluster } from '../../../src/cluster/cluster.js'
import { EXAMPLE_TEXT } from '../../../src/cluster/example.js'

function reportOf(text: string): OverlayReport {
  const { cluster } = buildCluster([{ file: 'cluster.yaml', text }])
  const report = overlayReport(cluster, { sizes: DEFAULT_SIZES, backends: [], costs: {}, seed: 1 })
  if (typeof report === 'string') throw new Error(report)
  return { ...report, metadata: { tool: 'netsim', inputs: [], seed: 1 } }
}

function node(name: string, address: string, mtu = 1500): string {
  return `---\napiVersion: v1\nkind: Node\nmetadata: {name: ${name}, annotations: {netsim/mtu: "${mtu}"}}\nstatus: {addresses: [{type: InternalIP, address: ${address}}]}\n`
}

const report = reportOf(EXAMPLE_TEXT)

function wayOf(of: OverlayReport, id: string, name: BackendWay['way'] = 'one segment'): BackendWay {
  const found = of.backends.find((backend) => backend.id === id)?.ways.find(({ way }) => way === name)
  if (found === undefined) throw new Error(`${id} is not measured ${name}`)
  return found
}

function sizeOf({ sizes }: BackendWay, size: number): SizeDocument {
  const found = sizes.find((one) => one.size === size)
  if (found === undefined) throw new Error(`${size} is not measured`)
  return found
}

/** By header lengths: RFC 791 (20), 768 (8), 7348 (8, and the inner Ethernet's 14); WireGuard's paper, 5.4.6: 16 before, 16 behind. */
const ADDED: Readonly<Record<string, number>> = {
  'flannel-host-gw': 0,
  'flannel-udp': 20 + 8,
  'flannel-vxlan': 20 + 8 + 8 + 14,
  'flannel-vxlan-direct': 0,
  'flannel-ipip': 20,
  'flannel-wireguard': 20 + 8 + 16 + 16,
  'calico-none': 0,
  'calico-ipip': 20,
  'calico-ipip-crosssubnet': 0,
  'calico-vxlan': 50,
  'calico-vxlan-crosssubnet': 0,
  'calico-wireguard': 60,
  canal: 50,
}

/** Packets of a datagram whose IP packet has `size` bytes: RFC 791, pieces of whole eights. */
function fragments(size: number, mtu: number): number[] {
  const pieces: number[] = []
  for (let left = size - 20; left > 0;) {
    const room = mtu - 20
    const piece = left <= room ? left : room - (room % 8)
    pieces.push(piece + 20)
    left -= piece
  }
  return pieces
}

describe('what an overlay puts on the wire', () => {
  it.each(Object.entries(ADDED))('%s: headers alone, where the packet passes whole', (id, bytes) => {
    const way = wayOf(report, id)
    for (const size of [64, 128, 256, 512, 1024, 1280])
      expect(sizeOf(way, size)).toMatchObject({ frames: 1, overheadBytes: bytes, wireBytes: size + 14 + bytes })
    expect(way.largest).toBe(1500 - Math.max(bytes, POD_MTU_SAYS[id] ?? bytes))
    expect(sizeOf(way, way.largest).frames).toBe(1)
  })

  it.each(['flannel-udp', 'flannel-vxlan', 'flannel-ipip', 'calico-ipip', 'calico-vxlan'])('%s: every fragment has the headers', (id) => {
    const way = wayOf(report, id)
    for (const size of [1500, 4000, 9000]) {
      const pieces = fragments(size, way.podMtu)
      const wire = pieces.reduce((sum, piece) => sum + piece + 14 + ADDED[id], 0)
      expect(sizeOf(way, size)).toMatchObject({ disposition: 'DELIVERED', frames: pieces.length, wireBytes: wire, overheadBytes: wire - size - 14 })
    }
  })

  it('pads what WireGuard seals to whole blocks of 16, up to the MTU', () => {
    const way = wayOf(report, 'flannel-wireguard')
    expect([1280, 1400, 1420].map((size) => sizeOf(way, size).overheadBytes)).toEqual([60, 60 + 8, 60])
  })

  it('carries what is left of the link, preamble and gap counted', () => {
    for (const { ways } of report.backends)
      for (const { sizes } of ways)
        for (const one of sizes) {
          const bits = (one.size - 28) / (one.wireBytes + 24 * one.frames)
          expect(one.goodput).toBe(Math.round(bits * 10e9))
        }
  })

  it('counts the devices of each path and the crossings of flanneld’s proxies', () => {
    const devices = Object.fromEntries(report.backends.map(({ id, ways }) => [id, sizeOf(ways[0], 64).counts.devices]))
    expect(devices).toMatchObject({ 'flannel-vxlan': 10, 'flannel-host-gw': 8, 'calico-none': 6, 'calico-vxlan': 8 })
    expect(report.backends.filter(({ ways }) => sizeOf(ways[0], 64).counts.crossings > 0).map(({ id }) => id)).toEqual(['flannel-udp'])
  })

  it('measures every backend that the command line names, in that order', () => {
    expect(report.backends.map(({ id }) => id)).toEqual([...BACKEND_IDS])
  })

  it('takes the rate that is asked for goodput and for the cables', () => {
    const { cluster } = buildCluster([{ file: 'cluster.yaml', text: EXAMPLE_TEXT }])
    const slow = overlayReport(cluster, { sizes: [1280], backends: ['calico-none'], costs: {}, seed: 1, rate: 1e9 })
    if (typeof slow === 'string') throw new Error(slow)
    const fast = sizeOf(wayOf(report, 'calico-none'), 1280)
    const found = slow.backends[0].ways[0].sizes[0]
    // both are rounded to one bit a second
    expect(Math.abs(found.goodput - fast.goodput / 10)).toBeLessThanOrEqual(1)
    // 1294 bytes of frame at a tenth of the rate
    expect(found.latencyNs - fast.latencyNs).toBeGreaterThan(1294 * 8 * 0.89)
  })
})

/** What the agent keeps free is more than what is added: WireGuard over IPv6 (flannel 80), and pods that share their MTU with tunnels. */
const POD_MTU_SAYS: Readonly<Record<string, number>> = {
  'flannel-vxlan-direct': 50,
  'flannel-wireguard': 80,
  'calico-ipip-crosssubnet': 20,
  'calico-vxlan-crosssubnet': 50,
}

describe('other grounds', () => {
  it('two segments: what crosses the router is told apart, and host-gw does not', () => {
    const two = reportOf(node('a', '10.9.1.1') + node('b', '10.9.1.2') + node('c', '10.9.2.1'))
    expect(two.ways.map(({ name, from, to }) => [name, from, to])).toEqual([
      ['one segment', 'a', 'b'],
      ['through the router', 'a', 'c'],
    ])
    const far = 'through the router'
    expect(wayOf(two, 'flannel-host-gw', far)).toMatchObject({ unreachable: 'NO_ROUTE', largest: 0, sizes: [] })
    expect(sizeOf(wayOf(two, 'flannel-vxlan-direct', far), 512).overheadBytes).toBe(50)
    expect(sizeOf(wayOf(two, 'calico-ipip-crosssubnet', far), 512).overheadBytes).toBe(20)
    expect(sizeOf(wayOf(two, 'calico-ipip-crosssubnet'), 512).overheadBytes).toBe(0)
  })

  it('jumbo cards', () => {
    const segment =
      '---\napiVersion: netsim/v1\nkind: Network\nmetadata: {name: default}\nspec: {underlay: {segments: [{name: s, cidr: 10.9.1.0/24, router: 10.9.1.254, mtu: 9000}]}}\n'
    const jumbo = reportOf(node('a', '10.9.1.1', 9000) + node('b', '10.9.1.2', 9000) + segment)
    expect(wayOf(jumbo, 'flannel-vxlan').largest).toBe(8950)
    expect(sizeOf(wayOf(jumbo, 'flannel-host-gw'), 9000).frames).toBe(1)
  })

  it('one node has no way to another', () => {
    const { cluster } = buildCluster([{ file: 'one.yaml', text: node('a', '10.9.1.1') }])
    expect(overlayReport(cluster, { sizes: [64], backends: [], costs: {}, seed: 1 })).toContain('two')
  })
})

describe('the cost model', () => {
  const NOTHING: Counts = { devices: 0, bridges: 0, tunnels: 0, seals: 0, sealedBytes: 0, crossings: 0, rules: 0, lookups: 0 }
  /** As the walk counts it, without the agents' rules: the measured paths have none. */
  const bare = (id: string): Counts => ({ ...sizeOf(wayOf(report, id), 64).counts, rules: 0, lookups: 0 })

  // measured: Linux 6.18, UDP of 64 bytes, no rules, no connection tracking (docs/overhead.md)
  it.each([
    ['loopback', { ...NOTHING, devices: 1 }, 1499],
    ['same host, bridge', { ...NOTHING, devices: 4, bridges: 1 }, 2353],
    ['Calico, no tunnel', bare('calico-none'), 2384],
    ['flannel host-gw', bare('flannel-host-gw'), 3403],
    ['flannel vxlan', bare('flannel-vxlan'), 4561],
    ['Calico VXLAN', bare('calico-vxlan'), 3828],
    ['flannel udp', bare('flannel-udp'), 9596],
  ])('%s within a tenth of what was measured', (_, counts, measured) => {
    expect(Math.abs(cpuNs(counts, COSTS) / measured - 1)).toBeLessThan(0.1)
  })

  it('what is set is taken, and said to be', () => {
    const { cluster } = buildCluster([{ file: 'cluster.yaml', text: EXAMPLE_TEXT }])
    const asked = overlayReport(cluster, { sizes: [64], backends: ['flannel-udp'], costs: { crossing: 0, crypto: 7 }, seed: 1 })
    if (typeof asked === 'string') throw new Error(asked)
    expect(asked.costs.crypto).toEqual({ ...COSTS.crypto, ns: 7, source: 'as asked', assumed: false })
    expect(asked.backends[0].ways[0].sizes[0].cpuNs).toBe(sizeOf(wayOf(report, 'flannel-udp'), 64).cpuNs - 2 * COSTS.crossing.ns)
  })
})

describe('charts', () => {
  it.each(['overhead', 'goodput'] as const)('%s names every backend, and is the same twice', (chart) => {
    const svg = overlayChart(report, chart, 'one segment')
    for (const { label } of report.backends) expect(svg).toContain(`>${label}</text>`)
    expect(svg).toBe(overlayChart(report, chart, 'one segment'))
    expect(svg).not.toMatch(/NaN|undefined/)
  })
})
