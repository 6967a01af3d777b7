/**
 * What Calico's IPAM keeps in the datastore, as dumps hold it. Source: libcalico-go/lib/backend/model/{block,block_affinity,ipam_config,
 * ipam_handle}.go and lib/apis/crd.projectcalico.org/v1.
 */
import type { Cidr } from '../../base/cidr.js'
import type { CalicoResource } from './resource.js'

export type AffinityState = 'confirmed' | 'pending' | 'pendingDeletion'
export type AffinityType = 'host' | 'virtual'

export interface BlockAffinity extends CalicoResource {
  readonly node: string
  readonly type: AffinityType
  readonly cidr: Cidr
  readonly state: AffinityState
}

/** Who has an address, and for what. */
export interface AllocationAttribute {
  readonly handleId?: string
  /** `pod`, `namespace`, `node`, `type` (`ipipTunnelAddress`, …), `timestamp`. */
  readonly secondary: Readonly<Record<string, string>>
}

export interface IPAMBlock extends CalicoResource {
  readonly cidr: Cidr
  /** `host:n1`, `virtual:load-balancer`; absent: its node is gone. */
  readonly affinity?: string
  /** By ordinal; undefined is free. An entry is an index into `attributes`. */
  readonly allocations: readonly (number | undefined)[]
  /** Free ordinals in the order in which they will be given out. */
  readonly unallocated: readonly number[]
  readonly attributes: readonly AllocationAttribute[]
  readonly strictAffinity: boolean
}

export interface IPAMHandle extends CalicoResource {
  readonly handleId: string
  /** Addresses of each block. */
  readonly blocks: Readonly<Record<string, number>>
}

export interface IPAMConfig {
  readonly strictAffinity: boolean
  readonly autoAllocateBlocks: boolean
  /** 0 means the default of 20. */
  readonly maxBlocksPerHost: number
}

export const DEFAULT_IPAM_CONFIG: IPAMConfig = { strictAffinity: false, autoAllocateBlocks: true, maxBlocksPerHost: 0 }
