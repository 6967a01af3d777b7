/**
 * BGP of clusters as confd configures them, without the rest of the network: nodes in one segment, a /26 each, in a full mesh or as clients of reflectors.
 * The same size, the same configuration.
 */
import { cidr } from '../src/base/cidr.js'
import { formatIp, type Ip } from '../src/base/ip.js'
import { BgpWorld } from '../src/calico/bgp/bgp-world.js'
import type { BirdConfig, PeerConfig } from '../src/calico/bgp/config.js'
import { CALICO_BIRD } from '../src/calico/bgp/flavour.js'
import { peer, plainConfig } from '../test/calico/bgp/kit.js'

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
  return plainConfig({ name: `node-${index}`, routerId: addressAt(index), pool: POOL, blocks, peers: peersOf(index, size) })
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
