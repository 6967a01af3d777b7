/** Who speaks BGP in a cluster and its data centre, and what each is told: confd's part for the nodes, the document's for routers with an AS number. */
import { formatIp, type Ip } from '../base/ip.js'
import type { BirdConfig } from '../calico/bgp/config.js'
import { birdConfigs } from '../calico/bgp/confd.js'
import { fabricConfig, type FabricPeer } from '../calico/bgp/fabric.js'
import type { Cluster } from '../cluster/cluster.js'
import type { Router } from '../cluster/underlay.js'
import { passwordOf } from './bgp-secrets.js'
import { advertisedServices } from './bgp-services.js'
import type { CalicoPlan } from './calico-part.js'
import { routerName } from './hosts.js'

/** By name a node, or `router/NAME`: the nodes first. @returns undefined where Calico runs no BIRD */
export function bgpSpeakers(cluster: Cluster, calico: Pick<CalicoPlan, 'cluster' | 'nodes'>): BirdConfig[] | undefined {
  const { resources, release, manifest, addresses } = calico.cluster
  if (manifest.backend !== 'bird') return undefined
  const configs = birdConfigs({
    nodes: calico.nodes,
    ipPools: resources.ipPools,
    blockAffinities: addresses.affinities,
    bgpConfigurations: resources.bgpConfigurations,
    bgpPeers: resources.bgpPeers,
    bgpFilters: resources.bgpFilters,
    services: advertisedServices(cluster),
    profile: release,
    passwordOf: (secret) => passwordOf(cluster, secret),
  })
  return [...configs, ...cluster.routers.flatMap((router) => routerConfig(router, cluster, configs) ?? [])]
}

/** A router with an AS number peers with whom the document lists, else with every node that has it as a peer and every such router beside it. */
function routerConfig(router: Router, cluster: Cluster, nodes: readonly BirdConfig[]): BirdConfig | undefined {
  const { asn, interfaces } = router
  const [first] = interfaces
  if (asn === undefined || interfaces.length === 0) return undefined
  const own = new Set(interfaces.map(({ address }) => address))
  const listed = router.peers.length > 0 ? new Set(router.peers) : undefined
  const wanted = (peer: FabricPeer): boolean => listed === undefined || listed.has(peer.address)
  const peers = [...nodePeers(own, asn, nodes), ...routerPeers(router, cluster.routers)].filter(wanted)
  return fabricConfig({ name: routerName(router), address: first.address, asNumber: asn, peers })
}

/** The nodes that have one of the router's addresses as neighbour. It reflects between those of its own AS: without that a rack with one AS stays apart. */
function nodePeers(own: ReadonlySet<Ip>, asn: number, nodes: readonly BirdConfig[]): FabricPeer[] {
  return nodes.flatMap((node) =>
    node.peers.flatMap(({ neighbour, localAs }) =>
      own.has(neighbour) ? [{ address: node.routerId, asNumber: localAs, sourceAddress: neighbour, client: localAs === asn }] : [],
    ),
  )
}

/** Routers with an AS number that share a segment: once for each pair, over the first segment of theirs; the one with the higher address, as text, dials. */
function routerPeers(router: Router, routers: readonly Router[]): FabricPeer[] {
  return routers.flatMap((other): FabricPeer[] => {
    if (other === router || other.asn === undefined) return []
    for (const { segment, address } of router.interfaces) {
      const there = other.interfaces.find((one) => one.segment === segment)
      if (there !== undefined)
        return [{ address: there.address, asNumber: other.asn, sourceAddress: address, passive: formatIp(there.address) > formatIp(address) }]
    }
    return []
  })
}
