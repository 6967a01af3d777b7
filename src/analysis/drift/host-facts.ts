/**
 * What only the host itself says: how much its card carries. Where the input says nothing of it, the agents are taken to have found the card that the dump
 * has, and render from it. From a cluster and dumps to the cluster as those hosts are.
 */
import type { Cluster } from '../../cluster/cluster.js'
import { MTU_ANNOTATION, type ClusterNode } from '../../cluster/node.js'
import type { Dataplane } from '../../dataplane/dataplane.js'

/** The same cluster where the dumps say nothing new. */
export function withHostFacts(cluster: Cluster, dumps: readonly { readonly name: string; readonly dataplane: Dataplane }[]): Cluster {
  const found = new Map<string, number>()
  for (const { name, dataplane } of dumps) {
    const node = cluster.nodeByName.get(name)
    const card = dataplane.devices.find(({ addresses }) => addresses.some(({ address }) => address === node?.address))
    if (node !== undefined && card !== undefined && isAssumed(cluster, node)) found.set(name, card.mtu)
  }
  const bySegment = new Map(
    cluster.segments.map(({ name }) => [name, new Set(cluster.nodes.flatMap((node) => (node.segment === name ? (found.get(node.name) ?? []) : [])))] as const),
  )
  const mtuOf = (node: ClusterNode): number => {
    const own = found.get(node.name)
    const [all, ...others] = bySegment.get(node.segment) ?? []
    return own ?? (all !== undefined && others.length === 0 && isAssumed(cluster, node) ? all : node.mtu)
  }
  const nodes = cluster.nodes.map((node) => (mtuOf(node) === node.mtu ? node : { ...node, mtu: mtuOf(node) }))
  if (nodes.every((node, at) => node === cluster.nodes[at])) return cluster
  const segments = cluster.segments.map((segment) => {
    const most = Math.max(...nodes.flatMap((node) => (node.segment === segment.name ? [node.mtu] : [])), ...(segment.inferred ? [] : [segment.mtu]))
    return segment.inferred && Number.isFinite(most) ? { ...segment, mtu: most } : segment
  })
  return {
    ...cluster,
    nodes,
    segments,
    nodeByName: new Map(nodes.map((node) => [node.name, node])),
    nodeByAddress: new Map([...nodes].reverse().map((node) => [node.address, node])),
  }
}

/** Nobody wrote how large packets may be there. */
function isAssumed({ segments }: Cluster, { annotations, segment }: ClusterNode): boolean {
  return annotations[MTU_ANNOTATION] === undefined && segments.find(({ name }) => name === segment)?.inferred === true
}
