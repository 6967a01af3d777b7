/**
 * Backends over an underlay of 1400, against THIS KERNEL: the network is built in namespaces (kernel/), asked the same questions, and every
 * frame on every device compared. ipip and wireguard need modules that not every kernel has, and are left out there; so are clouds anywhere.
 * Skipped by name without root or the tools.
 */
import { describe, expect, it } from 'vitest'
import { labNetworkOf } from '../../src/kernel/lab.js'
import { checkKernel } from '../../src/kernel/lab-check.js'
import { probeName, type VerifyProbe } from '../../src/kernel/probes.js'
import { verifyNetwork } from '../../src/kernel/verify.js'
import { DEFAULT_REQUEST } from '../../src/network/request.js'
import { flannelCluster, NODES, type Backend } from '../kit/flannel-cluster.js'
import { networkOf, type Ask } from '../kit/network.js'

const PREFIX = `netsim-b1400-${process.pid}-`
const LONG_MS = 120_000
const S0 = { name: 's0', cidr: '192.168.0.0/24', router: '192.168.0.254' }
const B = '192.168.1.200'

/** Two segments of 1500 and one of 1400 between their routers. */
const MIDDLE = {
  segments: [S0, { name: 'm', cidr: '192.168.5.0/24', router: '192.168.5.1', mtu: 1400 }, { name: 's1', cidr: '192.168.1.0/24', router: '192.168.1.254' }],
  routers: [
    { name: 'r0', segments: ['s0', 'm'], addresses: { m: '192.168.5.1' }, routes: ['192.168.1.0/24 via 192.168.5.2'] },
    { name: 'r1', segments: ['m', 's1'], addresses: { m: '192.168.5.2', s1: '192.168.1.254' }, routes: ['192.168.0.0/24 via 192.168.5.1'] },
  ],
}
const ALLOC_ROUTES = ['10.1.15.0/24 via 192.168.0.100', '10.1.20.0/24 via 192.168.0.200']

/** 1400 is: the segment's alone; the segment's and the cards'; the cards' once flannel has started; a segment's behind a router. */
type Where = 'segment' | 'cards' | 'shrunk cards' | 'router'

const SHRUNK = { ip: ['link set eth0 mtu 1400'] }

function textOf(backend: Backend, underlay: Where): string {
  const routers = backend === 'alloc' ? { routers: [{ name: 'r0', segments: ['s0'], routes: ALLOC_ROUTES }] } : {}
  const narrow = { segments: [{ ...S0, mtu: 1400 }], ...routers }
  if (underlay === 'shrunk cards') return flannelCluster({ backend, hosts: { 'host-a': SHRUNK, 'host-b': SHRUNK } })
  if (underlay === 'cards') return flannelCluster({ backend, underlay: narrow })
  if (underlay === 'segment')
    return flannelCluster({ backend, underlay: narrow, nodes: NODES.map((node) => ({ ...node, annotations: { 'netsim/mtu': '1500' } })) })
  const text = flannelCluster({ backend, underlay: MIDDLE, nodes: [NODES[0], { name: 'host-b', address: B }] })
  return text.replaceAll('192.168.0.200', B)
}

const SIZES = [1372, 1400, 1450, 1472, 1500]
const asks: readonly Ask[] = SIZES.flatMap((size) => [
  { proto: 'udp', size, df: true },
  { proto: 'udp', size },
])
const probes: readonly VerifyProbe[] = asks.map((ask) => {
  const request = { ...DEFAULT_REQUEST, source: 'pod-a', destination: 'pod-b:9000', ...ask }
  return { name: probeName(request), request }
})

const machine = await checkKernel(labNetworkOf(networkOf(textOf('vxlan', 'cards'))), PREFIX).then(
  ({ missing }) => missing.map(({ what }) => what),
  (error: unknown) => [String(error)],
)
if (machine.length > 0) console.warn(`backends are not held against a kernel here: ${machine.join(', ')}`)

describe.skipIf(machine.length > 0)('an underlay of 1400 on THIS KERNEL', () => {
  it.each<[Backend, Where]>([
    ['udp', 'segment'],
    ['vxlan', 'segment'],
    ['host-gw', 'segment'],
    ['alloc', 'segment'],
    ['udp', 'cards'],
    ['vxlan', 'cards'],
    ['host-gw', 'cards'],
    ['alloc', 'cards'],
    ['udp', 'shrunk cards'],
    ['host-gw', 'shrunk cards'],
    ['udp', 'router'],
    ['vxlan', 'router'],
  ])(
    '%s, 1400 is that of the %s: every frame, in whole packets and pieces, is the kernel’s',
    async (backend, underlay) => {
      const result = await verifyNetwork(networkOf(textOf(backend, underlay)), { probes, prefix: PREFIX, rules: false })
      expect(result.complaints).toEqual([])
      expect(result.probes.flatMap(({ name, differences }) => differences.map(({ netns, device, what }) => `${name}: ${netns} ${device} ${what}`))).toEqual([])
      expect(result.probes.filter(({ verdict }) => verdict === 'left-out')).toEqual([])
      expect(result.summary.framesEqual).toBe(result.summary.frames)
      expect(result.summary.frames).toBeGreaterThan(20)
    },
    LONG_MS,
  )
})
