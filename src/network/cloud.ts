/**
 * A cloud under the cluster: which routers of the underlay are its fabric, what flanneld's aws-vpc and gce backends write into their route
 * tables, and for which cards the fabric checks addresses.
 */
import { contains, formatCidr, type Cidr } from '../base/cidr.js'
import type { Problem } from '../base/problem.js'
import type { Cluster } from '../cluster/cluster.js'
import type { ClusterNode } from '../cluster/node.js'
import type { Cloud } from '../cluster/network-document.js'
import type { Router } from '../cluster/underlay.js'
import type { Dataplane, RouteSpec } from '../dataplane/dataplane.js'
import type { CloudPart } from '../flannel/backend.js'
import type { FlannelPlan } from './flannel-plan.js'

export interface CloudPlan {
  /** The routers that are a cloud's fabric, by name. */
  readonly fabrics: ReadonlyMap<string, FabricPlan>
  /** Nodes whose card the fabric checks. */
  readonly checkedNodes: ReadonlySet<string>
  readonly problems: readonly Problem[]
}

export interface FabricPlan {
  readonly cloud: Cloud
  /** Of flanneld; they lead out of the router's device of that segment. */
  readonly routes: readonly { readonly segment: string; readonly route: CloudPart['route'] }[]
  /** flanneld deletes the table's blackhole routes in these prefixes. */
  readonly clearsBlackholesIn: readonly Cidr[]
}

/** Entries of a route table at AWS unless more are asked for (flannel Documentation/aws-vpc-backend.md, Limitations). */
const AWS_ROUTES_MAX = 50
const CLOUD_OF_BACKEND: ReadonlyMap<string, Cloud> = new Map([
  ['aws-vpc', 'aws'],
  ['gce', 'gce'],
])
const BACKEND_OF = { aws: 'aws-vpc', gce: 'gce' } as const

export function planCloud(cluster: Cluster, flannel: FlannelPlan | undefined): CloudPlan {
  const problems: Problem[] = []
  const backend = flannel?.config?.backendType ?? ''
  const clouds = new Map<string, Cloud>()
  for (const router of cluster.routers) {
    const cloud = router.cloud ?? (router.implicit ? CLOUD_OF_BACKEND.get(backend) : undefined)
    if (cloud !== undefined) clouds.set(router.name, cloud)
  }
  const fabrics = new Map<string, Filling>([...clouds].map(([name, cloud]) => [name, { cloud, routes: [], clearsBlackholesIn: [] }]))
  // no other backend has a part in it, and none need be rendered for that
  const parts = CLOUD_OF_BACKEND.has(backend) ? flannel?.parts : undefined
  for (const node of cluster.nodes) {
    const part = parts?.get(node.name)?.cloud
    if (part === undefined) continue
    const router = routerOf(cluster, node, clouds)
    const fabric = router === undefined ? undefined : fabrics.get(router.name)
    if (fabric === undefined || fabric.cloud !== part.provider) {
      problems.push(noCloud(node, part, fabric))
      continue
    }
    fabric.routes.push({ segment: node.segment, route: part.route })
    if (part.clearsBlackholesIn !== undefined && fabric.clearsBlackholesIn.length === 0) fabric.clearsBlackholesIn.push(part.clearsBlackholesIn)
  }
  for (const [name, { cloud, routes }] of fabrics) if (cloud === 'aws' && routes.length > AWS_ROUTES_MAX) problems.push(tableFull(cluster, name, routes.length))
  const checkedNodes = new Set<string>()
  for (const node of cluster.nodes) if (isChecked(cluster, node, { parts, clouds, backend })) checkedNodes.add(node.name)
  return { fabrics, checkedNodes, problems }
}

interface Filling {
  readonly cloud: Cloud
  readonly routes: { readonly segment: string; readonly route: CloudPart['route'] }[]
  readonly clearsBlackholesIn: Cidr[]
}

/** What its owner says counts, then what flanneld does, then what the segment says; else a cloud checks. */
function isChecked(
  cluster: Cluster,
  node: ClusterNode,
  how: { readonly parts: FlannelPlan['parts'] | undefined; readonly clouds: ReadonlyMap<string, Cloud>; readonly backend: string },
): boolean {
  const told = cluster.hosts.filter((host) => host.node === node.name && host.sourceDestinationCheck !== undefined)
  if (told.length > 0) return told[told.length - 1].sourceDestinationCheck === true
  if (how.parts?.get(node.name)?.cloud?.clearsSourceDestinationCheck === true) return false
  const segment = cluster.segments.find(({ name }) => name === node.segment)
  if (segment?.sourceDestinationCheck !== undefined) return segment.sourceDestinationCheck
  const router = routerOf(cluster, node, how.clouds)
  const cloud = router === undefined ? undefined : how.clouds.get(router.name)
  // flannel's gce backend needs instances made with --can-ip-forward: with it they are taken to be
  return cloud !== undefined && how.backend !== 'gce'
}

function routerOf(cluster: Cluster, node: ClusterNode, clouds: ReadonlyMap<string, Cloud>): Router | undefined {
  return cluster.routers.find((router) => clouds.has(router.name) && router.interfaces.some(({ segment }) => segment === node.segment))
}

function noCloud(node: ClusterNode, part: CloudPart, fabric: Filling | undefined): Problem {
  const backend = BACKEND_OF[part.provider]
  const place = fabric === undefined ? 'is on no cloud' : `is on a cloud of ${fabric.cloud}`
  return {
    severity: 'error',
    file: node.file,
    line: node.line,
    object: `Node/${node.name}`,
    what: `flanneld cannot start with backend ${backend}: the node ${place}`,
    fix: `Give the router of segment ${node.segment} cloud: ${part.provider} in spec.underlay.routers of the Network document.`,
  }
}

function tableFull(cluster: Cluster, router: string, routes: number): Problem {
  const place = cluster.networkDocument ?? cluster.nodes[0]
  return {
    severity: 'warning',
    file: place.file,
    line: place.line,
    object: `router ${router}`,
    what: `${routes} nodes want a route; AWS allows ${AWS_ROUTES_MAX} in a route table unless more are asked for, and flanneld of the next node does not start`,
    fix: 'Ask AWS for more, or use vxlan.',
  }
}

/** The router's own routes with flanneld's: aws-vpc takes away what leads nowhere, and any other route for its subnet. */
export function fabricRoutes(dataplane: Dataplane, router: Router, fabric: FabricPlan): RouteSpec[] {
  const written: RouteSpec[] = fabric.routes.map(({ segment, route }) => ({
    destination: route.destination,
    type: 'unicast',
    via: route.nextHop,
    device: `eth${router.interfaces.findIndex((one) => one.segment === segment)}`,
    scope: 'global',
    ...(route.metric === undefined ? {} : { metric: route.metric }),
    provenance: route.provenance,
  }))
  const replaced = new Set(fabric.cloud === 'aws' ? written.map(({ destination }) => formatCidr(destination)) : [])
  const kept = dataplane.routes.filter(
    ({ type, destination }) =>
      !replaced.has(formatCidr(destination)) && !(type === 'blackhole' && fabric.clearsBlackholesIn.some((prefix) => contains(prefix, destination.base))),
  )
  return [...kept, ...written]
}

/** The cards of a host as the cloud treats them. */
export function withCheck(dataplane: Dataplane, checked: boolean): Dataplane {
  if (!checked) return dataplane
  return { ...dataplane, devices: dataplane.devices.map((device) => (device.kind === 'nic' ? { ...device, sourceDestinationCheck: true } : device)) }
}
