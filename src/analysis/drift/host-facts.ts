/**
 * What only the host itself says: how much its card carries. Where the input says nothing of it, the agents are taken to have found the card that the dump
 * has, and render from it. From a cluster and dumps to the cluster as those hosts are.
 */
import { formatIp, type Ip } from '../../base/ip.js'
import type { Cluster } from '../../cluster/cluster.js'
import { IPAM_KINDS } from './ipam-known.js'
import { MTU_ANNOTATION, type ClusterNode } from '../../cluster/node.js'
import type { Dataplane } from '../../dataplane/dataplane.js'

/** A node as far as its dump tells of it. */
interface Dump {
  readonly name: string
  readonly dataplane: Dataplane
}

/** The same cluster where the dumps say nothing new. */
export function withHostFacts(cluster: Cluster, dumps: readonly Dump[]): Cluster {
  return withTunnelAddresses(withCardSizes(cluster, dumps), dumps)
}

function withNodes(cluster: Cluster, nodes: readonly ClusterNode[]): Cluster {
  return {
    ...cluster,
    nodes,
    nodeByName: new Map(nodes.map((node) => [node.name, node])),
    nodeByAddress: new Map([...nodes].reverse().map((node) => [node.address, node])),
  }
}

function withCardSizes(cluster: Cluster, dumps: readonly Dump[]): Cluster {
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
  return { ...withNodes(cluster, nodes), segments }
}

const ANNOTATION = 'projectcalico.org/IPv4'
const TUNNELS: Readonly<Record<string, string>> = {
  'vxlan.calico': `${ANNOTATION}VXLANTunnelAddr`,
  tunl0: `${ANNOTATION}IPIPTunnelAddr`,
  'wireguard.cali': `${ANNOTATION}WireguardInterfaceAddr`,
}

/** Calico takes addresses of tunnels out of its pools; where neither annotations nor IPAM's resources are in the input, the nodes say which. */
function withTunnelAddresses(cluster: Cluster, dumps: readonly Dump[]): Cluster {
  if (cluster.cni !== 'calico' || cluster.objects.some(({ kind }) => IPAM_KINDS.has(kind))) return cluster
  const found = new Map<string, Record<string, string>>()
  const learn = (node: string, device: string, address: Ip): void => {
    found.set(node, { [TUNNELS[device]]: formatIp(address), ...found.get(node) })
  }
  for (const { name, dataplane } of dumps)
    for (const { name: device, addresses } of dataplane.devices)
      if (Object.hasOwn(TUNNELS, device) && addresses.length > 0) learn(name, device, addresses[0].address)
  for (const { dataplane } of dumps) {
    const device = 'vxlan.calico'
    const behind = new Map(
      dataplane.fdb.flatMap(({ mac, device: on, destination }) => (on === device && destination !== undefined ? [[mac, destination]] : [])),
    )
    for (const { mac, device: on, address } of dataplane.neighbours) {
      const far = on === device && mac !== undefined ? behind.get(mac) : undefined
      const other = far === undefined ? undefined : cluster.nodeByAddress.get(far)
      if (other !== undefined) learn(other.name, device, address)
    }
  }
  const nodes = cluster.nodes.map((node) => ({ ...node, annotations: { ...found.get(node.name), ...node.annotations } }))
  return found.size === 0 ? cluster : withNodes(cluster, nodes)
}

/** Nobody wrote how large packets may be there. */
function isAssumed({ segments }: Cluster, { annotations, segment }: ClusterNode): boolean {
  return annotations[MTU_ANNOTATION] === undefined && segments.find(({ name }) => name === segment)?.inferred === true
}
