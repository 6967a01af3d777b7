/**
 * Which endpoints of a service port a node uses: ready ones, near ones where hints say so, and those that still serve while they end when there
 * is no other. Source: kubernetes pkg/proxy/topology.go CategorizeEndpoints.
 */
import type { ServiceEndpoint } from '../cluster/services/service.js'

/** A node as endpoints are near to it. */
export interface ProxyNode {
  readonly node: string
  readonly zone?: string
}

/** What of its endpoints a service port ever asks for. */
export interface PolicyUse {
  readonly cluster: boolean
  readonly local: boolean
}

export interface EndpointChoice<Endpoint extends ServiceEndpoint> {
  /** For policy Cluster. */
  readonly cluster: readonly Endpoint[]
  /** For policy Local. */
  readonly local: readonly Endpoint[]
  /** Both, in the order of the input. */
  readonly reachable: readonly Endpoint[]
  /** Anywhere in the cluster, near or far. */
  readonly any: boolean
}

export function chooseEndpoints<Endpoint extends ServiceEndpoint>(endpoints: readonly Endpoint[], use: PolicyUse, at: ProxyNode): EndpointChoice<Endpoint> {
  const cluster = use.cluster ? clusterEndpoints(endpoints, at) : []
  if (!use.local) return { cluster, local: [], reachable: cluster, any: cluster.length > 0 }
  const here = endpoints.filter(({ node }) => node === at.node)
  const ready = here.filter((endpoint) => endpoint.ready)
  const local = ready.length > 0 ? ready : here.filter(isEnding)
  const any = cluster.length > 0 || endpoints.some((endpoint) => endpoint.ready || isEnding(endpoint))
  if (!use.cluster) return { cluster, local, reachable: local, any }
  const used = new Set<Endpoint>([...cluster, ...local])
  return { cluster, local, reachable: endpoints.filter((endpoint) => used.has(endpoint)), any }
}

/** Whether the answer for policy Cluster may differ from node to node. */
export function hasHints(endpoints: readonly ServiceEndpoint[]): boolean {
  return endpoints.some(({ forZones, forNodes }) => (forZones?.length ?? 0) > 0 || (forNodes?.length ?? 0) > 0)
}

function isEnding({ serving, terminating }: ServiceEndpoint): boolean {
  return serving && terminating
}

function clusterEndpoints<Endpoint extends ServiceEndpoint>(endpoints: readonly Endpoint[], at: ProxyNode): readonly Endpoint[] {
  const ready = endpoints.filter((endpoint) => endpoint.ready)
  if (ready.length === 0) return endpoints.filter(isEnding)
  return nearby(ready, ({ forNodes }) => forNodes, at.node) ?? nearby(ready, ({ forZones }) => forZones, at.zone) ?? ready
}

/** Those that a hint gives to `mine`; undefined when one lacks the hint, or none is for `mine`. */
function nearby<Endpoint extends ServiceEndpoint>(
  ready: readonly Endpoint[],
  hintsOf: (endpoint: Endpoint) => readonly string[] | undefined,
  mine: string | undefined,
): readonly Endpoint[] | undefined {
  if (mine === undefined || !ready.every((endpoint) => (hintsOf(endpoint)?.length ?? 0) > 0)) return undefined
  const near = ready.filter((endpoint) => hintsOf(endpoint)?.includes(mine))
  return near.length === 0 ? undefined : near
}
