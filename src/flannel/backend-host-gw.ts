/**
 * The host-gw backend: for each remote lease a route whose gateway is the node's PublicIP. No device, no bytes added; all nodes
 * must share a link. Source: flannel pkg/backend/hostgw, pkg/backend/route_network.go.
 */
import { formatCidr } from '../base/cidr.js'
import { formatIp } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import { withPieces, type Piece } from '../dataplane/common-rows.js'
import type { RouteSpec } from '../dataplane/dataplane.js'
import { backendSource, EMPTY_PART, fromLease, leaseProblem, remoteLeases, type Backend, type BackendPart, type FlannelView } from './backend.js'
import { commonLeases } from './common-leases.js'
import type { Lease } from './lease.js'
import { atLeast } from './version.js'

export const hostGwBackend: Backend = {
  type: 'host-gw',
  attributes: (view) => ({ publicIp: view.externalInterface.publicIp, backendType: 'host-gw' }),
  render: renderHostGw,
}

function renderHostGw(view: FlannelView): BackendPart {
  const { externalInterface, version } = view
  const mtu = externalInterface.mtu
  if (externalInterface.publicIp !== externalInterface.address && atLeast(version, '0.5.6')) {
    const address = `the address ${formatIp(externalInterface.address)} of ${externalInterface.name}`
    const what = `PublicIP ${formatIp(externalInterface.publicIp)} of ${view.nodeName} differs from ${address}: behind NAT host-gw cannot work, flanneld exits`
    return { ...EMPTY_PART, mtu, problems: [{ severity: 'error', ...backendSource('host-gw'), what, fix: 'leave --public-ip out, or use vxlan' }] }
  }
  const common = commonRoutes(view)
  if (common !== undefined) return withPieces({ ...EMPTY_PART, mtu, problems: [] }, { routes: [common], neighbours: [], fdb: [] })
  const routes: RouteSpec[] = []
  const problems: Problem[] = []
  for (const lease of remoteLeases(view, 'host-gw', problems)) {
    const refusal = refusedBecause(view, lease)
    if (refusal === undefined) routes.push(directRoute(lease, externalInterface.name))
    else problems.push(leaseProblem(lease, refusal, 'host-gw needs all nodes on one link; use vxlan, with DirectRouting where it can be'))
  }
  return { ...EMPTY_PART, routes, mtu, problems }
}

/** Of nodes that all share one link: the same on each of them. */
function commonRoutes(view: FlannelView): Piece<RouteSpec> | undefined {
  const { name } = view.externalInterface
  const leases = commonLeases(view, 'host-gw')
  if (leases === undefined || view.underlay.linkOf(leases.publicIps, name) !== name) return undefined
  return leases.others(view, `direct ${name}`, (all) => all.map((lease) => directRoute(lease, name)))
}

/** What the vxlan backend writes with DirectRouting too. */
export function directRoute({ subnet, attributes }: Lease, device: string): RouteSpec {
  return { destination: subnet, type: 'unicast', via: attributes.publicIp, device, scope: 'global', provenance: fromLease(subnet) }
}

/** The kernel takes a gateway that is on the link of the route's device, or one of the host's own addresses. flanneld tries again every 10 s. */
function refusedBecause(view: FlannelView, lease: Lease): string | undefined {
  const { name } = view.externalInterface
  const gateway = lease.attributes.publicIp
  const way = view.underlay.lookup(gateway, name)
  if (way !== undefined && (way.local === true || way.gateway === undefined)) return undefined
  const reason = way?.gateway === undefined ? `no route of ${name} leads to it` : `it lies behind ${formatIp(way.gateway)}`
  const refusal = `the kernel refuses gateway ${formatIp(gateway)} on ${name} (Nexthop has invalid gateway), because ${reason}`
  return `${view.nodeName}: no route to ${formatCidr(lease.subnet)}: ${refusal}`
}
