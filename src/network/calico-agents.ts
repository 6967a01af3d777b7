/** Calico's agents as the composition wants them. Most networks have none of them, so the command imports this file when one does. */
import { planBgp } from './bgp-plan.js'
import { planCalico } from './calico-plan.js'
import { planClassic } from './classic-plan.js'
import type { CalicoAgents } from './network.js'

export const CALICO_AGENTS: CalicoAgents = {
  planCalico: (cluster, hosts, seed, before) => planClassic(cluster, hosts, seed, before) ?? planCalico(cluster, hosts, seed, before),
  planBgp,
}
