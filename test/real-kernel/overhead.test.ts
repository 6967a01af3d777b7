/**
 * What `netsim bench encap` says of bytes and frames on the wire, held against this kernel: each backend's network is built for real, the same
 * datagrams are sent, and what the first node's card puts on its cable is counted. IPIP and WireGuard need devices that not every kernel has; what
 * cannot be built is skipped by name.
 */
import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { backendNetwork, DEFAULT_SIZES, overlayReport } from '../../src/analysis/overlay/report.js'
import { BACKEND_IDS, type BackendId } from '../../src/analysis/overlay/names.js'
import { buildCluster, type Cluster } from '../../src/cluster/cluster.js'
import { EXAMPLE_TEXT } from '../../src/cluster/example.js'
import { checkKernel } from '../../src/kernel/lab-check.js'
import { KernelLab, labNetworkOf } from '../../src/kernel/lab.js'
import type { Network } from '../../src/network/network.js'

const PREFIX = `netsim-test-${process.pid}-`
const SEED = 1
const PORT = 9
const ready = process.getuid?.() === 0 && spawnSync('ip', ['netns', 'list']).status === 0

const { cluster: builtIn } = buildCluster([{ file: 'example', text: EXAMPLE_TEXT }])

/** Two segments: CrossSubnet and DirectRouting go two ways. */
const TWO_SEGMENTS = `
apiVersion: v1
kind: Node
metadata: {name: a-1}
status: {addresses: [{type: InternalIP, address: 192.168.1.11}]}
---
apiVersion: v1
kind: Node
metadata: {name: a-2}
status: {addresses: [{type: InternalIP, address: 192.168.1.12}]}
---
apiVersion: v1
kind: Node
metadata: {name: b-1}
status: {addresses: [{type: InternalIP, address: 192.168.2.11}]}
---
apiVersion: netsim/v1
kind: Network
metadata: {name: default}
spec:
  cni: none
  underlay:
    segments: [{name: a, cidr: 192.168.1.0/24}, {name: b, cidr: 192.168.2.0/24}]
`

function nicOf(network: Network, node: string): string {
  return network.dataplane(node)?.devices.find(({ kind }) => kind === 'nic')?.name ?? ''
}

function podAddress(network: Network, node: string): number {
  return network.podPlan('default', `on-${node}`)?.address ?? 0
}

interface Sent {
  readonly way: string
  readonly size: number
  readonly frames: number
  readonly wireBytes: number
}

/** What the tables say. */
function told(cluster: Cluster, id: BackendId): readonly Sent[] {
  const report = overlayReport(cluster, { sizes: DEFAULT_SIZES, backends: [id], costs: {}, seed: SEED })
  if (typeof report === 'string') throw new Error(report)
  return report.backends[0].ways.flatMap(({ way, sizes }) => sizes.map(({ size, frames, wireBytes }) => ({ way, size, frames, wireBytes })))
}

/** What this kernel does for the same sizes; a text: why it cannot. */
async function seen(cluster: Cluster, id: BackendId, wanted: readonly Sent[]): Promise<readonly Sent[] | string> {
  const { network, ways } = backendNetwork(cluster, id, SEED)
  const labNetwork = labNetworkOf(network)
  const { missing, cannotBuild } = await checkKernel(labNetwork, PREFIX)
  if (missing.length > 0) throw new Error(missing.map(({ what }) => what).join('; '))
  if (cannotBuild.length > 0) return cannotBuild[0].why
  const lab = await KernelLab.start(labNetwork, { prefix: PREFIX })
  try {
    const found: Sent[] = []
    for (const { way, size } of wanted) {
      const ends = ways.find(({ name }) => name === way)
      if (ends === undefined) throw new Error(way)
      await lab.warm([podAddress(network, ends.to)])
      const sighting = await lab.send({
        kind: 'udp',
        netns: `default/on-${ends.from}`,
        source: podAddress(network, ends.from),
        destination: podAddress(network, ends.to),
        sport: 40000,
        dport: PORT,
        size,
        ttl: 64,
        df: false,
        listen: [{ netns: `default/on-${ends.to}`, proto: 'udp', port: PORT }],
        predictedNs: 5e6,
      })
      const nic = nicOf(network, ends.from)
      const frames = sighting.frames.filter(({ netns, device, direction }) => netns === ends.from && device === nic && direction === 'tx')
      found.push({ way, size, frames: frames.length, wireBytes: frames.reduce((sum, { bytes }) => sum + bytes.length, 0) })
    }
    return found
  } finally {
    await lab.close()
  }
}

describe.skipIf(!ready)('bytes and frames on the wire are the kernel’s own', () => {
  const { cluster: twoSegments } = buildCluster([{ file: 'two-segments', text: TWO_SEGMENTS }])
  it.each(BACKEND_IDS)('%s, on the built-in cluster', async (id) => {
    const wanted = told(builtIn, id)
    expect(wanted.length).toBeGreaterThan(DEFAULT_SIZES.length)
    const found = await seen(builtIn, id, wanted)
    if (typeof found === 'string') return void console.warn(`${id}: ${found}`)
    expect(found).toEqual(wanted)
  })

  it.each(['flannel-vxlan-direct', 'calico-vxlan-crosssubnet'] as const)('%s, on one segment and through the router', async (id) => {
    const wanted = told(twoSegments, id)
    expect(new Set(wanted.map(({ way }) => way)).size).toBe(2)
    expect(await seen(twoSegments, id, wanted)).toEqual(wanted)
  })
})
