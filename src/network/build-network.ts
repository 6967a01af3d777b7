/** A cluster → its network, with every agent at hand: for a library, where building is a plain call. The command loads what the network asks for. */
import type { Problem } from '../base/problem.js'
import type { Cluster } from '../cluster/cluster.js'
import { CALICO_AGENTS } from './calico-agents.js'
import { composeNetwork, type BuildOptions, type Network } from './network.js'

export function buildNetwork(cluster: Cluster, options: Omit<BuildOptions, 'calico'>): { readonly network: Network; readonly problems: readonly Problem[] } {
  return composeNetwork(cluster, { ...options, calico: CALICO_AGENTS })
}
