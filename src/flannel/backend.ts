/**
 * The one shape of flannel's backends: from what flanneld knows (a view) to what it puts into the kernel. A backend is pure:
 * the same view gives the same part, whatever happened before. Source: flannel pkg/backend/common.go.
 */
import type { Cidr } from '../base/cidr.js'
import type { Ip } from '../base/ip.js'
import type { Mac } from '../base/mac.js'
import type { Problem } from '../base/problem.js'
import type { DeviceSpec, FdbSpec, NeighbourSpec, Provenance, RouteSpec, SocketSpec } from '../dataplane/dataplane.js'
import type { FlannelConfig } from './config.js'
import { problemAt, type GoFields, type TextSource } from './go-json.js'
import { leaseObject, type Lease, type LeaseAttributes } from './lease.js'
import { sameSubnet } from './subnet-allocation.js'
import type { Underlay } from './underlay.js'
import { atLeast } from './version.js'

export interface ExternalInterface {
  readonly name: string
  /** Its first address (IfaceAddr). */
  readonly address: Ip
  readonly mtu: number
  /** What peers send to (ExtAddr): `--public-ip`, or the address. */
  readonly publicIp: Ip
}

/** All that flanneld of one node knows. */
export interface FlannelView {
  readonly nodeName: string
  readonly version: string
  readonly config: FlannelConfig
  readonly ownLease: Lease
  /** Leases in the order in which they were learnt; the own one among them is skipped. */
  readonly leases: readonly Lease[]
  readonly externalInterface: ExternalInterface
  /** `--ip-masq` */
  readonly ipMasq: boolean
  /** `--iptables-forward-rules`, default true. */
  readonly forwardRules?: boolean
  /** iptables knows `--random-fully` (1.6.2 on) and it is not switched off; default true. */
  readonly randomFully?: boolean
  /** The node's own routes, for DirectRouting and for what the kernel lets host-gw add. */
  readonly underlay: Underlay
  /** MAC of the tunnel device when it is pinned. */
  readonly pinnedMac?: Mac
  /** The tunnel device as it was found in the kernel: its MAC and MTU stay what they were. */
  readonly existingDevice?: { readonly mac?: Mac; readonly mtu: number }
  readonly seed: number
}

export interface BackendPart {
  readonly devices: readonly DeviceSpec[]
  readonly routes: readonly RouteSpec[]
  readonly neighbours: readonly NeighbourSpec[]
  readonly fdb: readonly FdbSpec[]
  readonly sockets: readonly SocketSpec[]
  /** udp: what the user-space proxy is set up with. */
  readonly proxy?: ProxySpec
  /** aws-vpc, gce: what flanneld tells the cloud. */
  readonly cloud?: CloudPart
  /** What subnet.env says as FLANNEL_MTU; not always what the device has. */
  readonly mtu: number
  readonly problems: readonly Problem[]
}

/** The C proxy's start: its device and, in the order in which they were set, its routes. */
export interface ProxySpec {
  readonly device: string
  readonly tunAddress: Ip
  readonly tunMtu: number
  readonly address: Ip
  readonly port: number
  readonly routes: readonly { readonly subnet: Cidr; readonly nextHop: Ip; readonly port: number }[]
}

type CloudProvider = 'aws' | 'gce'

/** What flanneld of one node writes through the cloud's API; the kernel of the node knows nothing of it. */
export interface CloudPart {
  readonly provider: CloudProvider
  /** An entry of the cloud's route table: the own subnet leads to the own instance, named here by its address. */
  readonly route: { readonly destination: Cidr; readonly nextHop: Ip; readonly metric?: number; readonly provenance: Provenance }
  /** It switches the source/destination check of its own card off. */
  readonly clearsSourceDestinationCheck: boolean
  /** It deletes routes of the table that lead nowhere and lie in this prefix. */
  readonly clearsBlackholesIn?: Cidr
}

/** What flanneld knows before it has a lease; enough to ask for one. */
export type RegistrationView = Pick<FlannelView, 'nodeName' | 'version' | 'config' | 'externalInterface' | 'pinnedMac' | 'existingDevice' | 'seed'>

export interface Backend {
  readonly type: string
  /** What the node publishes in its lease. */
  attributes(view: RegistrationView): LeaseAttributes
  /** Errors mean that flanneld exits at start. */
  render(view: FlannelView): BackendPart
}

export const EMPTY_PART = { devices: [], routes: [], neighbours: [], fdb: [], sockets: [] } as const

/** The name by which all of flanneld's provenance goes. */
export const FLANNELD = 'flanneld'

export function fromLease(subnet: Cidr): Provenance {
  return { by: FLANNELD, object: leaseObject(subnet) }
}

/** Where Problems about a backend's configuration point. */
export function backendSource(type: string): TextSource {
  return { file: 'network config', line: 0, object: `Backend ${type}` }
}

/** An option that this version does not know is passed over, as Go does with a field that a struct lacks; it is said. */
export function optionSince(fields: GoFields, name: string, since: string, version: string): boolean {
  if (atLeast(version, since)) return true
  if (fields.raw(name) !== undefined) fields.problem(`${name} has no effect: flannel ${version} does not know it, ${since} and newer do`, '', 'warning')
  return false
}

/**
 * Leases that a backend acts on: the other nodes', of its own type. Every backend but udp passes over those of another
 * (pkg/backend/route_network.go, vxlan/vxlan_network.go), and the owner sees only the effect: they are added to `problems`, each in its turn.
 */
export function* remoteLeases({ leases, ownLease }: FlannelView, type: string, problems: Problem[]): Generator<Lease> {
  for (const lease of leases) {
    if (sameSubnet(lease.subnet, ownLease.subnet)) continue
    if (lease.attributes.backendType === type) yield lease
    else problems.push(otherBackend(lease, type))
  }
}

function otherBackend(lease: Lease, type: string): Problem {
  const theirs = lease.attributes.backendType
  const whose = theirs === '' ? 'no backend (udp writes it so)' : `backend ${theirs}`
  const what = `the lease is of ${whose}, not ${type}: flanneld ignores it, no packet gets there`
  return leaseProblem(lease, what, `let all nodes run with one backend, or write "BackendType":"${type}" as the node published it`)
}

export function leaseProblem(lease: Lease, what: string, fix = ''): Problem {
  return problemAt({ file: 'etcd', line: 0, object: leaseObject(lease.subnet) }, what, fix, 'warning')
}
