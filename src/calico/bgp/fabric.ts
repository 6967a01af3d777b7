/**
 * A router of the data centre that speaks BGP (`underlay.routers` with an `asn`): takes and passes on everything, to its nodes and to other routers,
 * as Calico's design without overlays wants of a top-of-rack switch.
 */
import type { Cidr } from '../../base/cidr.js'
import type { Ip } from '../../base/ip.js'
import { ACCEPT_ALL_IN_KERNEL, BGP_PORT, TIMERS, type BirdConfig, type PeerConfig } from './config.js'

interface FabricRouter {
  /** `router/NAME` */
  readonly name: string
  readonly address: Ip
  readonly asNumber: number
  readonly peers: readonly FabricPeer[]
  /** Blackholes that it announces beside what it learns: aggregates. */
  readonly networks?: readonly Cidr[]
}

export interface FabricPeer {
  readonly address: Ip
  readonly asNumber: number
  /** The router's own address on the peer's segment; absent: `address`. */
  readonly sourceAddress?: Ip
  /** The peer is a reflection client: it must have the router's own number. */
  readonly client?: boolean
  /** Peers that dial; absent: the router dials too. */
  readonly passive?: boolean
}

export function fabricConfig(router: FabricRouter): BirdConfig {
  return {
    name: router.name,
    routerId: router.address,
    localAs: router.asNumber,
    listen: { port: BGP_PORT },
    directExcept: [],
    statics: (router.networks ?? []).map((prefix) => ({ prefix, why: 'service' })),
    kernel: ACCEPT_ALL_IN_KERNEL,
    bgpFilters: [],
    peers: router.peers.map((peer, i) => fabricPeer(router, peer, i)),
  }
}

function fabricPeer(router: FabricRouter, peer: FabricPeer, i: number): PeerConfig {
  return {
    name: `peer${i + 1}`,
    neighbour: peer.address,
    port: BGP_PORT,
    remoteAs: peer.asNumber,
    localAs: router.asNumber,
    sourceAddress: peer.sourceAddress ?? router.address,
    passive: peer.passive ?? false,
    multihop: false,
    ...(peer.client === true ? { clusterId: router.address } : {}),
    gracefulRestartTime: TIMERS.gracefulRestart,
    // else nodes would have to know the networks between routers, by other means than BGP
    nextHop: peer.client === true ? 'self ebgp' : 'auto',
    allowLocalAs: 0,
    addPaths: false,
    filters: [],
  }
}
