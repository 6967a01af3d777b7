/** Calico's view of an address that a packet did not reach: in which pool it is, whose block it lies in, who would have had to announce it. */
import { contains, formatCidr } from '../base/cidr.js'
import { formatIp, type Ip } from '../base/ip.js'
import type { Network } from '../network/network.js'

/** What to look at where no route led on. @returns undefined where Calico has no part in it */
export function noRouteAdvice({ calico, bgp }: Network, address: Ip, netns: string | undefined): string | undefined {
  const pool = calico?.cluster.resources.ipPools.find(({ cidr }) => contains(cidr, address))
  if (calico === undefined || pool === undefined) return undefined
  const text = `${formatIp(address)} is in pool ${pool.name} (${formatCidr(pool.cidr)})`
  const block = blockOf(calico, address)
  const owner = block === undefined ? "and in no node's block: nobody announces it" : `in ${block.node}'s block ${block.text}, which did not get here`
  const look = bgp?.world.birds.has(netns ?? '') === true ? `netsim show bgp ${netns}` : 'netsim show sessions'
  return `${text} ${owner}; compare netsim show blocks with ${look}`
}

/** A blackhole for a whole block keeps its free addresses from leaving by the default route. */
export function nullRouteAdvice({ calico }: Network, address: Ip): string | undefined {
  const block = calico === undefined ? undefined : blockOf(calico, address)
  if (block === undefined) return undefined
  return `${formatIp(address)} is a free address of ${block.node}'s block ${block.text}: no pod has it; netsim show workloadendpoints`
}

function blockOf({ cluster }: NonNullable<Network['calico']>, address: Ip): { readonly node: string; readonly text: string } | undefined {
  const found = cluster.addresses.affinities.find(({ cidr }) => contains(cidr, address))
  return found === undefined ? undefined : { node: found.node, text: formatCidr(found.cidr) }
}
