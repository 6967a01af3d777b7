/** Small clusters for BIRD: nodes 10.0.0.1 … on one segment, a /26 each of 10.244.0.0/16, as confd renders them for a pool without encapsulation. */
import { cidr, type Cidr } from '../../../src/base/cidr.js'
import { formatIp, ip, type Ip } from '../../../src/base/ip.js'
import type { BirdHost } from '../../../src/calico/bgp/bird-host.js'
import { DEFAULT_AS, type BirdConfig, type PeerConfig } from '../../../src/calico/bgp/config.js'
import { CALICO_BIRD, type BirdFlavour } from '../../../src/calico/bgp/flavour.js'
import { prefix } from '../kit.js'

/** Debian's BIRD 1.6: Calico's without its way into tunnels. */
export const BIRD_1: BirdFlavour = { ...CALICO_BIRD, name: 'bird1', version: '1.6.8', tunnels: false }

export const POOL = prefix('10.244.0.0/16')

export function nodeAddress(number: number): Ip {
  return ip(`10.0.0.${number}`)
}

export function blockOf(number: number): Cidr {
  return cidr(ip(`10.244.${number}.0`), 26)
}

export function peer(own: Ip, other: Ip, more: Partial<PeerConfig> = {}): PeerConfig {
  return {
    name: `Mesh_${formatIp(other).replaceAll('.', '_')}`,
    neighbour: other,
    port: 179,
    remoteAs: DEFAULT_AS,
    localAs: DEFAULT_AS,
    sourceAddress: own,
    passive: formatIp(other) > formatIp(own),
    multihop: false,
    gracefulRestartTime: 120,
    nextHop: 'auto',
    allowLocalAs: 0,
    addPaths: true,
    filters: [],
    ...more,
  }
}

export function config(number: number, peers: readonly PeerConfig[], blocks: readonly Cidr[] = [blockOf(number)]): BirdConfig {
  return plainConfig({ name: `n${number}`, routerId: nodeAddress(number), pool: POOL, blocks, peers })
}

interface PlainNode {
  readonly name: string
  readonly routerId: Ip
  readonly pool: Cidr
  readonly blocks: readonly Cidr[]
  readonly peers: readonly PeerConfig[]
}

/** A node of a cluster with nothing but one pool, which no tunnel carries. */
export function plainConfig({ name, routerId, pool, blocks, peers }: PlainNode): BirdConfig {
  return {
    name,
    routerId,
    localAs: DEFAULT_AS,
    listen: { port: 179 },
    directExcept: ['cali*', 'kube-ipvs*'],
    statics: blocks.map((block) => ({ prefix: block, why: 'block' as const })),
    kernel: { rejected: [], normalPriority: 1024, pools: [{ cidr: pool, action: 'plain' }] },
    exports: {
      normalPriority: 1024,
      communities: [],
      disabledPools: [],
      blocks: blocks.map((block) => ({ cidr: block, state: 'confirmed' as const })),
      services: [],
      reflected: [],
      pools: [pool],
    },
    bgpFilters: [],
    peers,
  }
}

export function host(number: number): BirdHost {
  return { devices: [{ name: 'eth0', addresses: [{ address: nodeAddress(number), length: 24 }] }], aliens: [] }
}

export function mesh(count: number): BirdConfig[] {
  const numbers = Array.from({ length: count }, (_, i) => i + 1)
  return numbers.map((own) =>
    config(
      own,
      numbers.filter((other) => other !== own).map((other) => peer(nodeAddress(own), nodeAddress(other))),
    ),
  )
}

/** Clients 1 … and reflectors 201 …, without blocks; reflectors wait for their clients to dial, so that nothing collides. */
export function reflectors(clients: number, clusterIds: readonly string[]): BirdConfig[] {
  const numbers = Array.from({ length: clients }, (_, i) => i + 1)
  const ids = clusterIds.map((_, i) => 201 + i)
  const named = (own: number, other: number, more: Partial<PeerConfig>): PeerConfig =>
    peer(nodeAddress(own), nodeAddress(other), { name: `Node_${formatIp(nodeAddress(other)).replaceAll('.', '_')}`, multihop: true, ...more })
  return [
    ...numbers.map((own) =>
      config(
        own,
        ids.map((other) => named(own, other, { passive: false })),
      ),
    ),
    ...ids.map((own, i) =>
      config(
        own,
        [
          ...numbers.map((other) => named(own, other, { passive: true, clusterId: ip(clusterIds[i]) })),
          ...ids
            .map((other, j) => ({ other, j }))
            .filter(({ other }) => other !== own)
            .map(({ other, j }) => named(own, other, { passive: other > own, ...(clusterIds[j] === clusterIds[i] ? {} : { clusterId: ip(clusterIds[i]) }) })),
        ],
        [],
      ),
    ),
  ]
}
