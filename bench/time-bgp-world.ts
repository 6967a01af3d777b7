/**
 * BGP of clusters as confd configures them, without the rest of the network: nodes in one segment, a /26 each, in a full mesh or as clients of reflectors.
 * The same size, the same configuration.
 */
import { cidr } from '../src/base/cidr.js'
import { formatIp, type Ip } from '../src/base/ip.js'
import { BgpWorld } from '../src/calico/bgp/bgp-world.js'
import { DEFAULT_AS, type BirdConfig, type PeerConfig } from '../src/calico/bgp/config.js'
import { CALICO_BIRD } from '../src/calico/bgp/flavour.js'

const POOL = cidr((10 << 24) | (64 << 16), 10)
const SEGMENT = cidr(172 << 24, 8)

export interface BgpSize {
  readonly nodes: number
  /** 0: a full mesh. All of one cluster ID; they run no pods. */
  readonly reflectors: number
}

function addressAt(index: number): Ip {
  return SEGMENT.base + index + 1
}

function peer(own: Ip, neighbour: Ip, more: Partial<PeerConfig>): PeerConfig {
  return {
    name: `Mesh_${formatIp(neighbour).replaceAll('.', '_')}`,
    neighbour,
    port: 179,
    remoteAs: DEFAULT_AS,
    localAs: DEFAULT_AS,
    sourceAddress: own,
    passive: false,
    multihop: false,
    gracefulRestartTime: 120,
    nextHop: 'auto',
    allowLocalAs: 0,
    addPaths: true,
    filters: [],
    ...more,
  }
}

/** Reflectors have the last indices, and wait for their clients to dial, so that nothing collides. */
function peersOf(index: number, { nodes, reflectors }: BgpSize): PeerConfig[] {
  const own = addressAt(index)
  const all = Array.from({ length: nodes + reflectors }, (_, other) => other).filter((other) => other !== index)
  if (reflectors === 0) return all.map((other) => peer(own, addressAt(other), { passive: formatIp(addressAt(other)) > formatIp(own) }))
  const isReflector = index >= nodes
  return all
    .filter((other) => isReflector || other >= nodes)
    .map((other) => {
      const name = `Node_${formatIp(addressAt(other)).replaceAll('.', '_')}`
      const client = isReflector && other < nodes ? { clusterId: addressAt(nodes) } : {}
      return peer(own, addressAt(other), { name, multihop: true, passive: isReflector && (other < nodes || other > index), ...client })
    })
}

function configAt(index: number, size: BgpSize): BirdConfig {
  const blocks = index < size.nodes ? [cidr(POOL.base + 64 * index, 26)] : []
  return {
    name: `node-${index}`,
    routerId: addressAt(index),
    localAs: DEFAULT_AS,
    listen: { port: 179 },
    directExcept: ['cali*', 'kube-ipvs*'],
    statics: blocks.map((prefix) => ({ prefix, why: 'block' as const })),
    kernel: { rejected: [], normalPriority: 1024, pools: [{ cidr: POOL, action: 'plain' }] },
    exports: {
      normalPriority: 1024,
      communities: [],
      disabledPools: [],
      blocks: blocks.map((block) => ({ cidr: block, state: 'confirmed' as const })),
      services: [],
      reflected: [],
      pools: [POOL],
    },
    bgpFilters: [],
    peers: peersOf(index, size),
  }
}

/** All started at once, at time 0. */
export function bgpWorld(size: BgpSize): BgpWorld {
  const world = new BgpWorld({ flavour: CALICO_BIRD, seed: 1, recover: true })
  for (let index = 0; index < size.nodes + size.reflectors; index++) {
    const devices = [{ name: 'eth0', addresses: [{ address: addressAt(index), length: SEGMENT.length }] }]
    world.add(configAt(index, size), { devices, aliens: [] })
  }
  return world
}
