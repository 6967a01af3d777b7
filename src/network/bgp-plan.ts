/**
 * The BIRDs of a cluster and of its data centre, run until they rest: from the network as Felix left it to the routes that each kernel has from BGP.
 * A session comes up only if its segments get through that network (bgp-path.ts).
 */
import type { Problem } from '../base/problem.js'
import { BgpWorld } from '../calico/bgp/bgp-world.js'
import { birdHostOf } from '../calico/bgp/bird-host.js'
import { CALICO_BIRD } from '../calico/bgp/flavour.js'
import type { PathFinder } from '../calico/bgp/tcp.js'
import type { Cluster } from '../cluster/cluster.js'
import type { RouteSpec } from '../dataplane/dataplane.js'
import { bgpPaths } from './bgp-path.js'
import { bgpProblems } from './bgp-problems.js'
import { secretProblems } from './bgp-secrets.js'
import { bgpSpeakers } from './bgp-speakers.js'
import type { CalicoPlan } from './calico-part.js'
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
  const { resources } = calico.cluster
  const speakers = bgpSpeakers(cluster, calico)
  if (speakers === undefined) return undefined
  const hosts = speakers.flatMap((config) => {
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
    mayGoOn: established < sessions.length && speakers.some(({ name }) => cluster.nodeByName.get(name) === undefined),
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
