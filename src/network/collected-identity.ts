/**
 * Is the dump of the node that it is said to be of? From a cluster and dumps to Problems: a dump of another node, or of another cluster, differs in
 * everything, and nothing of that is a fault of the node.
 */
import { contains, formatCidr } from '../base/cidr.js'
import { formatIp, type Ip } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import type { Cluster } from '../cluster/cluster.js'
import { isObject } from '../cluster/located.js'
import type { ClusterNode } from '../cluster/node.js'
import type { CollectedNode } from '../collected/collected-node.js'

export function checkIdentity(cluster: Cluster, nodes: readonly CollectedNode[]): readonly Problem[] {
  return nodes.flatMap((collected) => {
    const claimed = cluster.nodeByName.get(collected.name)
    if (claimed === undefined) return []
    const own = evidence(claimed, collected)
    // its address may be another now, and the node the same
    if (own.length > 0) return []
    const [best] = cluster.nodes
      .map((node) => ({ node, words: node === claimed ? [] : evidence(node, collected) }))
      .sort((a, b) => b.words.length - a.words.length)
    if (best === undefined || best.words.length === 0) return stranger(cluster, claimed, collected)
    const { source, name } = collected
    const what = `this dump says that it is ${best.node.name} (${best.words.join(', ')}), not ${name}`
    const fix = `Give it as what it is: --node ${best.node.name}=${source}`
    return [{ severity: 'error', file: source, line: 0, object: `Node/${name}`, what, fix }]
  })
}

function addressesOf({ dataplane }: CollectedNode): ReadonlySet<Ip> {
  return new Set(dataplane.devices.flatMap(({ kind, addresses }) => (kind === 'loopback' ? [] : addresses.map(({ address }) => address))))
}

/** What of the node is in the dump. */
function evidence(node: ClusterNode, collected: CollectedNode): readonly string[] {
  const { hostname, subnetEnv, dataplane } = collected
  const bridge = dataplane.devices.find(({ name }) => name === 'cni0')?.addresses[0]?.address
  const gateway = subnetEnv?.subnet?.address ?? bridge
  return [
    ...(hostname !== undefined && namesOf(node).has(hostname) ? [`hostname ${hostname}`] : []),
    ...(addressesOf(collected).has(node.address) ? [`InternalIP ${formatIp(node.address)}`] : []),
    ...(node.podCIDR !== undefined && !node.podCIDRAssumed && gateway !== undefined && contains(node.podCIDR, gateway)
      ? [`podCIDR ${formatCidr(node.podCIDR)}`]
      : []),
  ]
}

/** With and without the domain. */
function namesOf({ name, labels, object }: ClusterNode): ReadonlySet<string> {
  const { status } = object.value
  const addresses = isObject(status) && Array.isArray(status.addresses) ? status.addresses : []
  const hosts = addresses.flatMap((one) => (isObject(one) && one.type === 'Hostname' && typeof one.address === 'string' ? [one.address] : []))
  const all = [name, labels['kubernetes.io/hostname'] ?? name, ...hosts]
  return new Set([...all, ...all.map((one) => one.split('.')[0])])
}

/** It has neither the name nor an address of any node: the node may have been set up anew, or the objects are of another cluster. */
function stranger({ podByName }: Cluster, claimed: ClusterNode, collected: CollectedNode): readonly Problem[] {
  const { source, name, hostname, pods } = collected
  const known = pods.filter((pod) => pod.known)
  if (known.some((pod) => podByName.has(pod.name))) return []
  const own = [...addressesOf(collected)].slice(0, 3).map(formatIp).join(', ')
  const says = [
    ...(hostname === undefined ? [] : [`its hostname is ${hostname}`]),
    `it has ${own === '' ? 'no address' : own} and not the InternalIP ${formatIp(claimed.address)}`,
    ...(known.length === 0 ? [] : [`none of its ${known.length} pods is in the input`]),
  ]
  // one thing alone may have changed
  if (hostname === undefined && known.length === 0) return []
  const what = `this dump is of no node of the cluster: ${says.join(', ')}`
  const fix = 'Give the objects of the cluster that it is of (-f), or the dump of this one’s node.'
  return [{ severity: 'error', file: source, line: 0, object: `Node/${name}`, what, fix }]
}
