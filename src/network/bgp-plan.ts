/**
 * The BIRDs of a cluster and of its data centre, run until they rest: from the network as Felix left it to the routes that each kernel has from BGP.
 * A session comes up only if its segments get through that network (bgp-path.ts).
 */
import { formatIp, type Ip } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import { BgpWorld } from '../calico/bgp/bgp-world.js'
import { birdHostOf } from '../calico/bgp/bird-host.js'
import type { BirdConfig } from '../calico/bgp/config.js'
import { birdConfigs } from '../calico/bgp/confd.js'
import { fabricConfig, type FabricPeer } from '../calico/bgp/fabric.js'
import { CALICO_BIRD } from '../calico/bgp/flavour.js'
import type { PathFinder } from '../calico/bgp/tcp.js'
import type { Cluster } from '../cluster/cluster.js'
import type { Router } from '../cluster/underlay.js'
import type { RouteSpec } from '../dataplane/dataplane.js'
import { bgpPaths } from './bgp-path.js'
import { bgpProblems } from './bgp-problems.js'
import { passwordOf, secretProblems } from './bgp-secrets.js'
import { advertisedServices } from './bgp-services.js'
import type { CalicoPlan } from './calico-part.js'
import { routerName } from './hosts.js'
import type { Network } from './network.js'

export interface BgpPlan {
  /** At rest. A daemon by its netns: a node, `router/NAME`. */
  readonly world: BgpWorld
  /** What BIRD has in the kernel, by netns. */
  readonly routes: ReadonlyMap<string, readonly RouteSpec[]>
  readonly problems: readonly Problem[]
  /** Which segments of BGP get through. */
  readonly path: PathFinder
  /** Sessions that are up, each end counted. */
  readonly established: number
  /** Some session is down, and routers learn routes: these may be what it waits for. */
  readonly mayGoOn: boolean
}

/** @param network as it is before BGP @returns undefined where nobody speaks BGP */
export function planBgp(network: Network, calico: CalicoPlan, seed: number): BgpPlan | undefined {
  const { cluster } = network
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
  const fabric = cluster.routers.flatMap((router) => routerConfig(router, cluster, configs) ?? [])
  const hosts = [...configs, ...fabric].flatMap((config) => {
    const host = network.birdHost(config.name)
    return host === undefined ? [] : [{ config, host }]
  })
  const all = hosts.map(({ config }) => config)
  if (all.length === 0) return undefined
  const paths = bgpPaths(network, all)
  const world = new BgpWorld({ flavour: CALICO_BIRD, seed, path: paths.find })
  for (const { config, host } of hosts) world.add(config, birdHostOf(host))
  const rested = world.settle()
  const sessions = [...world.birds.values()].flatMap((bird) => bird.sessions)
  const established = sessions.filter(({ phase }) => phase === 'up').length
  return {
    world,
    path: paths.find,
    established,
    mayGoOn: established < sessions.length && fabric.length > 0,
    routes: new Map([...world.birds].map(([name, bird]) => [name, bird.kernelRoutes()])),
    problems: [
      ...(rested ? [] : [restless(cluster)]),
      ...secretProblems(cluster, resources),
      ...bgpProblems({ network, world, paths, bgpPeers: resources.bgpPeers, carriesPods: resources.ipPools.some(({ vxlanMode }) => vxlanMode === 'Never') }),
    ],
  }
}

function restless(cluster: Cluster): Problem {
  const { file = '', line = 0 } = cluster.networkDocument ?? {}
  const what = 'BGP does not come to rest: after 15 minutes of virtual time routes still change'
  return { severity: 'warning', file, line, object: 'BGP', what, fix: 'See netsim show bgp NODE; the routes shown are those of that moment.' }
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
