/**
 * Who peers with whom: BGPPeer resources → the peerings of each node, global ones first, then those of nodes, then the reverse of both that nobody wrote.
 * Source: calico v3.32.1 confd/pkg/backends/calico/client.go updatePeersV1, nodeAsBGPPeers, nodesWithIPPortAndAS.
 */
import type { Ip } from '../../base/ip.js'
import type { BGPConfiguration, BGPPeer } from '../../cluster/calico/bgp.js'
import type { CalicoNode } from '../../cluster/calico/calico-node.js'
import { isSelectorFault, matchesCalicoSelector, parseSelector } from '../../cluster/selector.js'
import { BGP_PORT, DEFAULT_AS } from './config.js'

export interface Peering {
  readonly peer: BGPPeer
  readonly peerIP: Ip
  /** Absent: 179. */
  readonly port?: number
  readonly asNumber: number
  /** What decides who dials, for global peerings: the peer is one of the cluster's nodes and was named by its address. */
  readonly calicoNode: boolean
  readonly clusterId?: string
  readonly localAs?: number
  readonly allowLocalAs: number
}

export interface Peerings {
  readonly global: readonly Peering[]
  /** By the node's name. */
  readonly ofNode: ReadonlyMap<string, readonly Peering[]>
}

/** `default` under `node.NAME`. */
export interface BgpSettings {
  readonly cluster?: BGPConfiguration
  readonly ofNode: ReadonlyMap<string, BGPConfiguration>
}

export function bgpSettings(configurations: readonly BGPConfiguration[]): BgpSettings {
  const ofNode = configurations.filter(({ name }) => name.startsWith('node.')).map((one) => [one.name.slice('node.'.length), one] as const)
  const cluster = configurations.find(({ name }) => name === 'default')
  return { ...(cluster === undefined ? {} : { cluster }), ofNode: new Map(ofNode) }
}

function clusterAs(settings: BgpSettings): number {
  return settings.cluster?.asNumber ?? DEFAULT_AS
}

export function asOf(node: CalicoNode, settings: BgpSettings): number {
  return node.asNumber ?? clusterAs(settings)
}

/** Absent: 179. */
export function listenPortOf(node: string, settings: BgpSettings): number | undefined {
  return settings.ofNode.get(node)?.listenPort ?? settings.cluster?.listenPort
}

/** Where a node's BIRD waits for its peers. */
export function listenOf(node: Pick<CalicoNode, 'name' | 'bgpAddress'>, settings: BgpSettings): { readonly address?: Ip; readonly port: number } {
  const bindsNode = (settings.ofNode.get(node.name)?.bindMode ?? settings.cluster?.bindMode) === 'NodeIP'
  return { ...(bindsNode && node.bgpAddress !== undefined ? { address: node.bgpAddress.address } : {}), port: listenPortOf(node.name, settings) ?? BGP_PORT }
}

export function computePeerings(peers: readonly BGPPeer[], nodes: readonly CalicoNode[], settings: BgpSettings): Peerings {
  const global = new Map<string, Peering>()
  const ofNode = new Map<string, Map<string, Peering>>()
  const key = ({ peerIP, port }: Peering): string => `${peerIP}:${port ?? 0}`
  const emitGlobal = (peering: Peering): void => {
    if (!global.has(key(peering))) global.set(key(peering), peering)
  }
  const emitNode = (node: string, peering: Peering): void => {
    const own = ofNode.get(node) ?? new Map<string, Peering>()
    ofNode.set(node, own)
    if (!own.has(key(peering)) && !global.has(key(peering))) own.set(key(peering), peering)
  }
  const isGlobal = (peer: BGPPeer): boolean => peer.node === undefined && (peer.nodeSelector ?? '') === ''
  for (const peer of peers.filter(isGlobal)) forward(peer, nodes, settings).forEach(emitGlobal)
  for (const peer of peers.filter((one) => !isGlobal(one))) {
    for (const peering of forward(peer, nodes, settings)) for (const node of localNodes(peer, nodes)) emitNode(node, peering)
  }
  for (const peer of peers) {
    if (peer.reversePeering === 'Manual' || peer.localWorkloadSelector !== undefined) continue
    const far = remoteNodes(peer, nodes, settings)
    const near = isGlobal(peer) ? nodes.map(({ name }) => name) : localNodes(peer, nodes)
    for (const name of near) {
      const peering = asPeering(
        nodes.find((node) => node.name === name),
        peer,
        settings,
      )
      if (peering !== undefined) far.forEach((node) => emitNode(node.name, peering))
    }
  }
  return { global: [...global.values()], ofNode: new Map([...ofNode].map(([node, own]) => [node, [...own.values()]])) }
}

function selected(text: string, nodes: readonly CalicoNode[]): CalicoNode[] {
  const selector = parseSelector(text)
  return isSelectorFault(selector) ? [] : nodes.filter(({ labels }) => matchesCalicoSelector(selector, labels))
}

function localNodes(peer: BGPPeer, nodes: readonly CalicoNode[]): string[] {
  if ((peer.nodeSelector ?? '') !== '') return selected(peer.nodeSelector ?? '', nodes).map(({ name }) => name)
  return peer.node === undefined ? [] : [peer.node]
}

function remoteNodes(peer: BGPPeer, nodes: readonly CalicoNode[], settings: BgpSettings): CalicoNode[] {
  if ((peer.peerSelector ?? '') !== '') return selected(peer.peerSelector ?? '', nodes)
  return peer.peerIP === undefined ? [] : nodesAt(peer, nodes, settings, peer.peerPort)
}

function nodesAt(peer: BGPPeer, nodes: readonly CalicoNode[], settings: BgpSettings, port: number | undefined): CalicoNode[] {
  return nodes.filter((node) => {
    if (node.bgpAddress?.address !== peer.peerIP || asOf(node, settings) !== (peer.asNumber ?? clusterAs(settings))) return false
    return port === undefined || (listenPortOf(node.name, settings) ?? port) === port
  })
}

/** The peer's own words: a selector over nodes, or an address. */
function forward(peer: BGPPeer, nodes: readonly CalicoNode[], settings: BgpSettings): Peering[] {
  if (peer.localWorkloadSelector !== undefined) return []
  if ((peer.peerSelector ?? '') !== '') {
    return selected(peer.peerSelector ?? '', nodes).flatMap((node) => asPeering(node, peer, settings) ?? [])
  }
  if (peer.peerIP === undefined) return []
  const there = peer.peerPort === undefined ? nodesAt(peer, nodes, settings, undefined).at(0) : undefined
  const port = peer.peerPort ?? (there === undefined ? undefined : listenPortOf(there.name, settings))
  return [
    {
      peer,
      peerIP: peer.peerIP,
      ...(port === undefined ? {} : { port }),
      asNumber: peer.asNumber ?? 0,
      calicoNode: nodes.some((node) => node.bgpAddress?.address === peer.peerIP),
      ...(peer.localASNumber === undefined ? {} : { localAs: peer.localASNumber }),
      allowLocalAs: peer.numAllowedLocalASNumbers ?? 0,
    },
  ]
}

/** A node as the far end; such peerings are never marked as those of a Calico node, so neither end waits for the other. */
function asPeering(node: CalicoNode | undefined, peer: BGPPeer, settings: BgpSettings): Peering | undefined {
  if (node?.bgpAddress === undefined) return undefined
  const port = listenPortOf(node.name, settings)
  return {
    peer,
    peerIP: node.bgpAddress.address,
    ...(port === undefined ? {} : { port }),
    asNumber: asOf(node, settings),
    calicoNode: false,
    ...((node.routeReflectorClusterID ?? '') === '' ? {} : { clusterId: node.routeReflectorClusterID }),
    allowLocalAs: 0,
  }
}
