/**
 * Which nodes may have an address, on a card, a bridge, a tunnel or in a pod: told from the cluster's data alone, so that nobody is rendered to find out.
 * Not sure is yes. What the agents make is known here; what an owner did by hand is not, and such a node may have any.
 */
import { cidr, contains, type Cidr } from '../base/cidr.js'
import type { Ip } from '../base/ip.js'
import type { Cluster } from '../cluster/cluster.js'
import type { ClusterNode } from '../cluster/node.js'
import type { CalicoPlan } from './calico-part.js'
import type { Agents } from './composition.js'
import { DOCKER_DEFAULT_ADDRESS } from './nodes.js'
import { podsOn } from './pods.js'

interface Home {
  readonly prefixes: readonly Cidr[]
  readonly addresses: ReadonlySet<Ip>
}

export class AddressHomes {
  private readonly homes: ReadonlyMap<string, Home>
  private readonly handSet: ReadonlySet<string>

  /** @param podsOf the cluster whose pods run on a node */
  constructor(cluster: Cluster, { flannel, calico, collected }: Pick<Agents, 'flannel' | 'calico' | 'collected'>, podsOf: (node: string) => Cluster) {
    const docker = cidr(DOCKER_DEFAULT_ADDRESS.address, DOCKER_DEFAULT_ADDRESS.length)
    this.handSet = new Set([...cluster.hosts.map(({ node }) => node), ...(collected?.keys() ?? [])])
    this.homes = new Map(
      cluster.nodes.map((node) => {
        const prefixes = [flannel?.ownLeases.get(node.name)?.subnet, node.podCIDR, flannel === undefined && calico === undefined ? docker : undefined]
        return [node.name, { prefixes: prefixes.filter((prefix) => prefix !== undefined), addresses: addressesOf(podsOf(node.name), node, calico) }]
      }),
    )
  }

  /** By hand: its owner ran commands on it, or it is as a dump has it. */
  isHandSet(node: string): boolean {
    return this.handSet.has(node)
  }

  mayHave(node: string, address: Ip): boolean {
    const home = this.homes.get(node)
    if (home === undefined || this.handSet.has(node)) return true
    return home.addresses.has(address) || home.prefixes.some((prefix) => contains(prefix, address))
  }
}

function addressesOf(cluster: Cluster, node: ClusterNode, calico: CalicoPlan | undefined): ReadonlySet<Ip> {
  const addresses = new Set([node.address])
  for (const { address } of podsOn(cluster, node.name)) if (address !== undefined) addresses.add(address)
  if (calico === undefined) return addresses
  for (const address of calico.tunnelAddressesOf(node.name)) addresses.add(address)
  for (const { ipNetworks } of calico.cluster.endpoints.get(node.name) ?? []) for (const { base } of ipNetworks) addresses.add(base)
  return addresses
}
