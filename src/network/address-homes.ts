/**
 * Which nodes may have an address, on a card, a bridge, a tunnel or in a pod: told from the cluster's data alone, so that nobody is rendered to find out.
 * Not sure is yes. What the agents make is known here; what an owner did by hand is not, and such a node may have any.
 */
import { cidr, maskOf, type Cidr } from '../base/cidr.js'
import type { Ip } from '../base/ip.js'
import type { Cluster } from '../cluster/cluster.js'
import type { ClusterNode } from '../cluster/node.js'
import type { CalicoPlan } from './calico-part.js'
import type { Agents } from './composition.js'
import { DOCKER_DEFAULT_ADDRESS } from './nodes.js'
import { podsOn } from './pods.js'

export class AddressHomes {
  /** By address, and by length and base of a prefix; most have one node each. */
  private readonly byAddress = new Map<Ip, string | Set<string>>()
  private readonly byPrefix = new Map<number, Map<Ip, string | Set<string>>>()
  private readonly nodes: ReadonlySet<string>
  private readonly handSet: ReadonlySet<string>
  /** Who may have the address that was asked for last: of a large cluster every node is asked, one after the other. */
  private lastAsked: { readonly address: Ip; readonly nodes: ReadonlySet<string> } | undefined

  /** @param podsOf the cluster whose pods run on a node */
  constructor(cluster: Cluster, { flannel, calico, collected }: Pick<Agents, 'flannel' | 'calico' | 'collected'>, podsOf: (node: string) => Cluster) {
    const docker = cidr(DOCKER_DEFAULT_ADDRESS.address, DOCKER_DEFAULT_ADDRESS.length)
    this.handSet = new Set([...cluster.hosts.map(({ node }) => node), ...(collected?.keys() ?? [])])
    this.nodes = new Set(cluster.nodes.map(({ name }) => name))
    for (const node of cluster.nodes) {
      const { name } = node
      for (const prefix of [flannel?.ownLeases.get(name)?.subnet, node.podCIDR, flannel === undefined && calico === undefined ? docker : undefined])
        if (prefix !== undefined) this.addPrefix(prefix, name)
      for (const address of addressesOf(podsOf(name), node, calico)) addTo(this.byAddress, address, name)
    }
  }

  private addPrefix({ base, length }: Cidr, node: string): void {
    let ofLength = this.byPrefix.get(length)
    if (ofLength === undefined) this.byPrefix.set(length, (ofLength = new Map<Ip, string | Set<string>>()))
    addTo(ofLength, base, node)
  }

  /** By hand: its owner ran commands on it, or it is as a dump has it. */
  isHandSet(node: string): boolean {
    return this.handSet.has(node)
  }

  mayHave(node: string, address: Ip): boolean {
    return this.hostsWith(address).has(node) || this.handSet.has(node) || !this.nodes.has(node)
  }

  /** Of nodes that nobody set by hand. */
  hostsWith(address: Ip): ReadonlySet<string> {
    if (this.lastAsked?.address !== address) this.lastAsked = { address, nodes: this.nodesWith(address) }
    return this.lastAsked.nodes
  }

  private nodesWith(address: Ip): ReadonlySet<string> {
    const found = [this.byAddress.get(address)]
    for (const [length, ofLength] of this.byPrefix) found.push(ofLength.get(address & maskOf(length)))
    return new Set(found.flatMap((one) => (one === undefined ? [] : typeof one === 'string' ? [one] : [...one])))
  }
}

function addTo(homes: Map<Ip, string | Set<string>>, at: Ip, node: string): void {
  const known = homes.get(at)
  if (known === undefined) homes.set(at, node)
  else if (typeof known === 'string') homes.set(at, new Set([known, node]))
  else known.add(node)
}

function addressesOf(cluster: Cluster, node: ClusterNode, calico: CalicoPlan | undefined): ReadonlySet<Ip> {
  const addresses = new Set([node.address])
  for (const { address } of podsOn(cluster, node.name)) if (address !== undefined) addresses.add(address)
  if (calico === undefined) return addresses
  for (const address of calico.tunnelAddressesOf(node.name)) addresses.add(address)
  for (const { ipNetworks } of calico.cluster.endpoints.get(node.name) ?? []) for (const { base } of ipNetworks) addresses.add(base)
  return addresses
}
