/**
 * What the cluster says of its nodes, apart from what netsim drew for want of a word: published MACs, leases, the networks of pods. What was drawn must
 * not be held against a dump.
 */
import { cidr, covers, formatCidr, overlaps, type Cidr } from '../../base/cidr.js'
import type { Ip } from '../../base/ip.js'
import type { Mac } from '../../base/mac.js'
import type { CollectedNode } from '../../collected/collected-node.js'
import type { Dataplane } from '../../dataplane/dataplane.js'
import { publishedMac } from '../../flannel/backend-vxlan.js'
import { parseSubnetKey, type Lease } from '../../flannel/lease.js'
import type { Network } from '../../network/network.js'
import { PodIndex } from './pod-index.js'

export class NodeFacts {
  private readonly network: Network
  private readonly dumps: ReadonlyMap<string, Dataplane>
  private readonly leaseBySubnet: ReadonlyMap<string, { readonly node?: string; readonly lease: Lease }>
  /** Of pods and Services. */
  readonly networks: readonly Cidr[]
  readonly pods: PodIndex

  constructor(network: Network, collected: readonly Pick<CollectedNode, 'name' | 'dataplane'>[]) {
    this.network = network
    this.dumps = new Map(collected.map(({ name, dataplane }) => [name, dataplane]))
    this.leaseBySubnet = new Map(network.leases.map((row) => [formatCidr(row.lease.subnet), row]))
    const { cluster, flannel, calico } = network
    this.pods = new PodIndex(cluster)
    this.networks = [
      ...(flannel?.config === undefined ? [] : [flannel.config.network]),
      ...(calico?.cluster.resources.ipPools ?? []).map((pool) => pool.cidr),
      ...cluster.nodes.flatMap(({ podCIDR }) => podCIDR ?? []),
      ...cluster.services.flatMap(({ clusterIP }) => (clusterIP === undefined ? [] : [cidr(clusterIP, 32)])),
      ...cluster.pods.flatMap(({ address, hostNetwork }) => (address === undefined || hostNetwork ? [] : [cidr(address, 32)])),
    ]
  }

  /** Does the input name the lease, or did netsim draw it? */
  isLeaseKnown(node: string): boolean {
    const { cluster, flannel } = this.network
    const lease = flannel?.ownLeases.get(node)
    if (lease === undefined) return false
    if (cluster.datastore !== 'etcd') return cluster.nodeByName.get(node)?.podCIDRAssumed === false
    return cluster.etcd.some(({ key }) => {
      const parsed = parseSubnetKey(key)
      return parsed !== undefined && formatCidr(parsed.subnet) === formatCidr(lease.subnet)
    })
  }

  ownLease(node: string): Lease | undefined {
    return this.network.flannel?.ownLeases.get(node)
  }

  /** VtepMAC: as the input says. */
  publishedMac(node: string): Mac | undefined {
    const { cluster } = this.network
    const lease = this.ownLease(node)
    if (lease === undefined) return undefined
    const published = cluster.datastore === 'etcd' ? this.isLeaseKnown(node) : cluster.nodeByName.get(node)?.flannel?.backendData !== undefined
    return published ? publishedMac(lease) : undefined
  }

  /** Of a node's tunnel: as the input says, else as the node's own dump has it. */
  knownMac(node: string, device: string): Mac | undefined {
    return this.publishedMac(node) ?? this.dumps.get(node)?.devices.find(({ name }) => name === device)?.mac
  }

  /** Of the card that has the node's address, as the node's own dump has it. */
  cardMac(node: string): Mac | undefined {
    const address = this.network.cluster.nodeByName.get(node)?.address
    return this.dumps.get(node)?.devices.find(({ addresses }) => addresses.some((own) => own.address === address))?.mac
  }

  /** MACs of other nodes' cards: as their dumps have them, as they were drawn here. */
  cardPairs(node: string): readonly (readonly [Mac, Mac])[] {
    return [...this.dumps.keys()].flatMap((name): (readonly [Mac, Mac])[] => {
      if (name === node) return []
      const { address } = this.network.cluster.nodeByName.get(name) ?? {}
      const drawn = this.network.dataplane(name)?.devices.find(({ addresses }) => addresses.some((own) => own.address === address))?.mac
      const own = this.cardMac(name)
      return drawn === undefined || own === undefined ? [] : [[own, drawn]]
    })
  }

  /** Of WireGuard, as the input says. */
  isKeyPublished(node: string): boolean {
    const found = this.network.cluster.nodeByName.get(node)
    if (found?.annotations['projectcalico.org/WireguardPublicKey'] !== undefined) return true
    return this.network.cluster.datastore === 'etcd' ? this.isLeaseKnown(node) : found?.flannel?.backendData !== undefined
  }

  /** Whose lease the prefix is; '' : of no node of the cluster. */
  nodeOfSubnet(prefix: Cidr): string | undefined {
    const row = this.leaseBySubnet.get(formatCidr(prefix))
    return row === undefined ? undefined : (row.node ?? '')
  }

  /** The node whose pods have addresses of the prefix, by lease, podCIDR or the address of a pod. */
  nodeBehind(prefix: Cidr): string | undefined {
    const { cluster } = this.network
    const byLease = this.nodeOfSubnet(prefix)
    if (byLease !== undefined && byLease !== '') return byLease
    const pod = prefix.length > 0 ? this.pods.first(prefix) : undefined
    if (pod?.node !== undefined) return pod.node
    return cluster.nodes.find(({ podCIDR }) => podCIDR !== undefined && prefix.length > 0 && covers(podCIDR, prefix))?.name
  }

  nodeWithAddress(address: Ip): string | undefined {
    return this.network.cluster.nodeByAddress.get(address)?.name
  }

  /** Does it take in addresses of pods or Services, more than a default route does? */
  concernsCluster(prefix: Cidr): boolean {
    return prefix.length > 0 && this.networks.some((one) => overlaps(one, prefix))
  }

  /** Where the Node object stands. */
  placeOf(node: string): { readonly object: string; readonly file: string; readonly line: number } | undefined {
    const found = this.network.cluster.nodeByName.get(node)
    return found === undefined ? undefined : { object: `Node/${node}`, file: found.file, line: found.line }
  }
}
