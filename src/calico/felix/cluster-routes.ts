/**
 * Where addresses of the pods' network live, seen from one node: blocks, borrowed addresses, tunnel addresses. After felix/calc/l3_route_resolver.go.
 */
import { cidr, contains, formatCidr, type Cidr } from '../../base/cidr.js'
import { compareIp, formatIp, type Ip } from '../../base/ip.js'
import type { IPPool } from '../../cluster/calico/ip-pool.js'

/** A node as routes need it. */
export interface RouteNode {
  readonly name: string
  /** Absent: Calico has not learnt it yet. `length` is that of its own annotation. */
  readonly address?: { readonly address: Ip; readonly length: number }
  readonly ipipTunnelAddress?: Ip
  readonly vxlanTunnelAddress?: Ip
  /** Overrides that made from the node's name. */
  readonly vxlanTunnelMac?: string
  readonly wireguardAddress?: Ip
  /** base64 */
  readonly wireguardPublicKey?: string
}

/** Who has what, in the whole cluster. */
export interface RouteInputs {
  readonly nodes: readonly RouteNode[]
  readonly pools: readonly IPPool[]
  /** Blocks and the node that each is affine to. */
  readonly blocks: readonly { readonly cidr: Cidr; readonly node: string }[]
  readonly workloads: readonly { readonly address: Ip; readonly node: string }[]
}

type PoolType = 'none' | 'vxlan' | 'ipip' | 'noEncap'

export interface ClusterRoute {
  readonly destination: Cidr
  readonly node: string
  readonly poolType: PoolType
  /** The pool is CrossSubnet and the node's address lies in the asking node's own subnet. */
  readonly sameSubnet: boolean
  readonly kind: 'block' | 'workload' | 'tunnel'
  /** The address belongs to another node's block. */
  readonly borrowed: boolean
  /** A tunnel address that no block of its node covers: it needs a route of its own. */
  readonly standsAlone: boolean
}

/** VXLAN first, where a pool has both. */
export function poolTypeOf(pool: Pick<IPPool, 'ipipMode' | 'vxlanMode'> | undefined): PoolType {
  if (pool === undefined) return 'none'
  return pool.vxlanMode !== 'Never' ? 'vxlan' : pool.ipipMode !== 'Never' ? 'ipip' : 'noEncap'
}

function isCrossSubnet(pool: IPPool | undefined): boolean {
  return pool?.vxlanMode === 'CrossSubnet' || pool?.ipipMode === 'CrossSubnet'
}

const SEEN_FROM_AFAR = new WeakMap<RouteInputs, readonly ClusterRoute[]>()

/** In the order of destinations, wider before narrower; a tunnel address that is a block of its own as tunnel. */
export function clusterRoutes(self: string, inputs: RouteInputs): readonly ClusterRoute[] {
  const routes = routesFromAfar(inputs)
  if (!inputs.pools.some(isCrossSubnet)) return routes
  const byName = new Map(inputs.nodes.map((node) => [node.name, node]))
  const own = byName.get(self)?.address
  const inOwnSubnet = (name: string): boolean => {
    const other = byName.get(name)?.address
    return own !== undefined && other !== undefined && contains(cidr(own.address, own.length), other.address)
  }
  return routes.map((route) => {
    const { destination, node } = route
    return isCrossSubnet(poolOf(inputs, destination)) && inOwnSubnet(node) ? { ...route, sameSubnet: true } : route
  })
}

function poolOf({ pools }: RouteInputs, destination: Cidr): IPPool | undefined {
  return pools.find((candidate) => contains(candidate.cidr, destination.base))
}

/** As a node in no other's subnet sees them: one list, the same for all that ask, of inputs that stay as they are. */
export function routesFromAfar(inputs: RouteInputs): readonly ClusterRoute[] {
  const known = SEEN_FROM_AFAR.get(inputs)
  if (known !== undefined) return known
  const { nodes, blocks, workloads } = inputs
  const describe = (destination: Cidr, node: string, rest: Pick<ClusterRoute, 'kind' | 'borrowed' | 'standsAlone'>): ClusterRoute => ({
    ...{ destination, node, poolType: poolTypeOf(poolOf(inputs, destination)), sameSubnet: false },
    ...rest,
  })
  const byBlock = new Map(blocks.map((block) => [formatCidr(block.cidr), block.node]))
  const lengths = [...new Set(blocks.map((block) => block.cidr.length))]
  /** undefined: in no block. */
  const ownerOf = (address: Ip): string | undefined => {
    for (const length of lengths) {
      const owner = byBlock.get(formatCidr(cidr(address, length)))
      if (owner !== undefined) return owner
    }
    return undefined
  }
  const routes = new Map<string, ClusterRoute>()
  const add = (route: ClusterRoute): void => void routes.set(formatCidr(route.destination), route)
  for (const block of blocks) add(describe(block.cidr, block.node, { kind: 'block', borrowed: false, standsAlone: false }))
  for (const { address, node } of workloads) {
    const owner = ownerOf(address)
    if (owner !== node) add(describe(cidr(address, 32), node, { kind: 'workload', borrowed: owner !== undefined, standsAlone: false }))
  }
  for (const node of nodes) {
    for (const address of tunnelAddresses(node)) {
      const owner = ownerOf(address)
      const borrowed = owner !== undefined && owner !== node.name
      const standsAlone = borrowed || byBlock.has(`${formatIp(address)}/32`)
      add(describe(cidr(address, 32), node.name, { kind: 'tunnel', borrowed, standsAlone }))
    }
  }
  const sorted = [...routes.values()].sort((a, b) => compareIp(a.destination.base, b.destination.base) || a.destination.length - b.destination.length)
  SEEN_FROM_AFAR.set(inputs, sorted)
  return sorted
}

/** Each once. */
function tunnelAddresses({ ipipTunnelAddress, vxlanTunnelAddress, wireguardAddress }: RouteNode): readonly Ip[] {
  return [...new Set([ipipTunnelAddress, vxlanTunnelAddress, wireguardAddress].filter((address) => address !== undefined))]
}
