/**
 * Calico's blocks of addresses where the input does not say which node has which: a route to a block that leads to where the cluster's pods of it are is
 * right, whatever block netsim would have drawn. From both sides' routes to both without such ones.
 */
import { contains, formatCidr } from '../../base/cidr.js'
import type { Ip } from '../../base/ip.js'
import type { Cluster } from '../../cluster/cluster.js'
import type { Dataplane, RouteSpec } from '../../dataplane/dataplane.js'
import type { Network } from '../../network/network.js'
import { isIpamKnown } from './ipam-known.js'
import type { NodeFacts } from './node-facts.js'
import type { Unjudged } from './unjudged.js'

const TUNNELS: ReadonlySet<string | undefined> = new Set(['vxlan.calico', 'tunl0', 'wireguard.cali'])

export function unknownBlocks(
  { cluster, calico }: Network,
  facts: NodeFacts,
  sides: { readonly expected: Dataplane; readonly there: Dataplane },
): Unjudged | undefined {
  if (calico === undefined || isIpamKnown(cluster)) return undefined
  const pools = calico.cluster.resources.ipPools
  const isBlock = ({ destination, device, type, via, protocol }: RouteSpec): boolean =>
    pools.some((pool) => pool.cidr.length <= destination.length && contains(pool.cidr, destination.base)) &&
    (type === 'blackhole' || via !== undefined) &&
    (TUNNELS.has(device) || protocol === 'bird' || protocol === '80' || type === 'blackhole')
  const key = (route: RouteSpec): string => `${formatCidr(route.destination)} ${route.via ?? ''} ${route.device ?? ''} ${route.type}`
  const [wanted, has] = [sides.expected, sides.there].map(({ routes }) => routes.filter(isBlock))
  const [wantedKeys, hasKeys] = [new Set(wanted.map(key)), new Set(has.map(key))]
  const nodeOf = hopsOf(cluster, sides.there)
  const gone = new Set<RouteSpec>()
  for (const route of has) {
    if (wantedKeys.has(key(route))) continue
    const node = route.type === 'blackhole' ? sides.expected.netns : nodeOf(route)
    if (node !== undefined && facts.pods.in(route.destination).every((pod) => pod.node === node)) gone.add(route)
  }
  const ways = has.filter(({ type }) => type !== 'blackhole').sort((a, b) => b.destination.length - a.destination.length)
  for (const route of wanted) {
    if (hasKeys.has(key(route))) continue
    // pods that are there have a way to them, by another block
    const leads = facts.pods.in(route.destination).every(({ address = 0, node }) => {
      const way = ways.find(({ destination }) => contains(destination, address))
      return node === sides.expected.netns || (way !== undefined && nodeOf(way) === node)
    })
    if (leads && route.type === 'blackhole' ? has.some(({ type }) => type === 'blackhole') : leads) gone.add(route)
  }
  if (gone.size === 0) return undefined
  const what =
    `the routes to ${gone.size} ${gone.size === 1 ? 'block' : 'blocks'} of addresses: the input does not say which node has which, and they lead to where ` +
    'the pods are: give kubectl get ipamblocks.crd.projectcalico.org,blockaffinities.crd.projectcalico.org'
  return { what, without: (dataplane) => ({ ...dataplane, routes: dataplane.routes.filter((route) => !gone.has(route)) }) }
}

/** The node that a route leads to: by its address, or by the tunnel's neighbour and FDB entry. */
function hopsOf({ nodeByAddress }: Cluster, { neighbours, fdb }: Dataplane): (route: RouteSpec) => string | undefined {
  const far = new Map<string, Ip>(
    fdb.flatMap(({ mac, device, destination }) => (destination === undefined ? [] : [[`${device} ${mac}`, destination] as const])),
  )
  const behind = new Map<string, Ip>(
    neighbours.flatMap(({ address, device, mac }) => {
      const destination = far.get(`${device} ${mac ?? ''}`)
      return destination === undefined ? [] : [[`${device} ${address}`, destination] as const]
    }),
  )
  return ({ via, device }) => {
    if (via === undefined) return undefined
    return nodeByAddress.get(behind.get(`${device ?? ''} ${via}`) ?? via)?.name
  }
}
