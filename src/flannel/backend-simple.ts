/**
 * The backends that put nothing into the kernel: alloc grants subnets and leaves the rest to others; aws-vpc and gce write a route for
 * the own subnet into the cloud's route table. Packets to another node's pods take whatever route the node has, mostly the default.
 * Source: flannel pkg/backend/alloc, backend/awsvpc and backend/gce up to 0.19.2, pkg/backend/simple_network.go.
 */
import type { Problem } from '../base/problem.js'
import { backendSource, EMPTY_PART, fromLease, type Backend, type BackendPart, type CloudPart, type FlannelView, type RegistrationView } from './backend.js'
import { GoFields } from './go-json.js'
import type { LeaseAttributes } from './lease.js'

/** Priority of the route that flanneld inserts at GCE; a smaller number would win. */
const GCE_PRIORITY = 1000

export const allocBackend: Backend = { type: 'alloc', attributes, render: (view) => part(view) }

export const awsVpcBackend: Backend = {
  type: 'aws-vpc',
  attributes,
  render(view) {
    const problems = checkRouteTableId(view)
    const cloud: CloudPart = { provider: 'aws', route: ownRoute(view), clearsSourceDestinationCheck: true, clearsBlackholesIn: view.config.network }
    return { ...part(view), cloud, problems }
  },
}

export const gceBackend: Backend = {
  type: 'gce',
  attributes,
  render: (view) => ({ ...part(view), cloud: { provider: 'gce', route: { ...ownRoute(view), metric: GCE_PRIORITY }, clearsSourceDestinationCheck: false } }),
}

/** BackendType is left out. */
function attributes(view: RegistrationView): LeaseAttributes {
  return { publicIp: view.externalInterface.publicIp, backendType: '' }
}

function part(view: FlannelView): BackendPart {
  return { ...EMPTY_PART, mtu: view.externalInterface.mtu, problems: [] }
}

/** To the card that has IfaceAddr, or to the instance that flanneld runs on: one and the same here. */
function ownRoute(view: FlannelView): CloudPart['route'] {
  const { subnet } = view.ownLease
  return { destination: subnet, nextHop: view.externalInterface.address, provenance: fromLease(subnet) }
}

/** RouteTableID names one table or several; without it flanneld takes the one of its card's segment, as is done here in any case. */
function checkRouteTableId(view: FlannelView): readonly Problem[] {
  const fields = new GoFields(view.config.backend, backendSource('aws-vpc'))
  const tables = fields.raw('RouteTableID')
  if (tables === undefined || tables === null || typeof tables === 'string') return []
  if (!Array.isArray(tables)) fields.problem('Unexpected RouteTableID type. Must be string or array of strings.')
  else if (tables.some((table) => typeof table !== 'string')) fields.problem('Unexpected type in RouteTableID slice. Must be strings.')
  return fields.problems
}
