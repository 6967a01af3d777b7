/** All of Calico's resources of a cluster, by kind, each list in the order of names as the datastore lists them. */
import type { BGPConfiguration, BGPFilter, BGPPeer } from './bgp.js'
import type { CalicoNode } from './calico-node.js'
import type { HostEndpoint, WorkloadEndpoint } from './endpoint.js'
import type { FelixConfiguration } from './felix-configuration.js'
import type { IPPool, IPReservation } from './ip-pool.js'
import type { BlockAffinity, IPAMBlock, IPAMConfig, IPAMHandle } from './ipam.js'
import type { KubernetesNetworkPolicy } from './kubernetes-policy.js'
import type { NetworkSet } from './network-set.js'
import type { CalicoPolicy, Profile, Tier } from './policy.js'

export interface CalicoResources {
  readonly ipPools: readonly IPPool[]
  readonly ipReservations: readonly IPReservation[]
  readonly ipamBlocks: readonly IPAMBlock[]
  readonly blockAffinities: readonly BlockAffinity[]
  readonly ipamHandles: readonly IPAMHandle[]
  readonly ipamConfig: IPAMConfig
  readonly felixConfigurations: readonly FelixConfiguration[]
  readonly bgpConfigurations: readonly BGPConfiguration[]
  readonly bgpPeers: readonly BGPPeer[]
  readonly bgpFilters: readonly BGPFilter[]
  /** One for each Node of the cluster, in the cluster's order. */
  readonly nodes: readonly CalicoNode[]
  readonly hostEndpoints: readonly HostEndpoint[]
  /** Those that stand as objects; pods give theirs by workloadEndpointOfPod. */
  readonly workloadEndpoints: readonly WorkloadEndpoint[]
  readonly tiers: readonly Tier[]
  /** Calico's own, namespaced and global, staged ones too. */
  readonly policies: readonly CalicoPolicy[]
  readonly kubernetesPolicies: readonly KubernetesNetworkPolicy[]
  readonly networkSets: readonly NetworkSet[]
  readonly globalNetworkSets: readonly NetworkSet[]
  readonly profiles: readonly Profile[]
}
