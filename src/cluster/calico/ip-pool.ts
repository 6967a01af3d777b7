/** IPPool and IPReservation: objects → types with Calico's defaults. Source: api/…/v3/ippool.go, libcalico-go/lib/clientv3/ippool.go. */
import type { Cidr } from '../../base/cidr.js'
import type { CalicoResource, Net } from './resource.js'

export type EncapsulationMode = 'Never' | 'Always' | 'CrossSubnet'
export type PoolUse = 'Workload' | 'Tunnel' | 'LoadBalancer'

/** IPv4 ones only; an IPv6 pool is reported and left out. */
export interface IPPool extends CalicoResource {
  readonly cidr: Cidr
  readonly ipipMode: EncapsulationMode
  readonly vxlanMode: EncapsulationMode
  readonly natOutgoing: boolean
  readonly disabled: boolean
  readonly disableBGPExport: boolean
  /** Prefix length of its blocks. */
  readonly blockSize: number
  /** `all()` where absent. */
  readonly nodeSelector: string
  /** Empty: every namespace. */
  readonly namespaceSelector: string
  readonly allowedUses: readonly PoolUse[]
  readonly assignmentMode: 'Automatic' | 'Manual'
}

/** What a pool is where its object says nothing. */
export const IP_POOL_DEFAULTS = {
  labels: {},
  annotations: {},
  ipipMode: 'Never',
  vxlanMode: 'Never',
  natOutgoing: false,
  disabled: false,
  disableBGPExport: false,
  blockSize: 26,
  nodeSelector: 'all()',
  namespaceSelector: '',
  allowedUses: ['Workload', 'Tunnel'],
  assignmentMode: 'Automatic',
} as const satisfies Partial<IPPool>

export interface IPReservation extends CalicoResource {
  readonly reservedCIDRs: readonly Net[]
}
