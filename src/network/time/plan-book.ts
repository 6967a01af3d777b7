/**
 * What the agents make of each version of the objects, made once: plans as if everything had come to rest on that version. What a moment of a run is put
 * together from (network-at.ts), and what the agents in time ask for: what the CNI would give a pod, what Felix and kube-proxy would write.
 *
 *   version ─▶ Composition (bare hosts, leases, Calico's plan, Services)      Calico's IPAM goes on from version to version
 */
import type { Ip } from '../../base/ip.js'
import type { Cluster } from '../../cluster/cluster.js'
import type { ClusterPod } from '../../cluster/pod.js'
import { renderFlannel, remainsAfterExit, type FlannelPart, type FlannelView } from '../../flannel/flanneld.js'
import type { CalicoPlan } from '../calico-part.js'
import type { Bare, Composition } from '../composition.js'
import { compositionOf, type CalicoAgents } from '../network.js'
import type { NodePlan } from '../nodes.js'
import type { ServicePlan } from '../service-plan.js'
import type { ClusterVersion, NetworkState } from './network-state.js'

export interface BookInput {
  /** May grow. */
  readonly versions: readonly ClusterVersion[]
  readonly seed: number
  /** Wanted where the CNI is calico or canal. */
  readonly calico?: CalicoAgents
  /** Of the run, to tell since when a node is off; may grow. */
  readonly states?: readonly NetworkState[]
}

/** Versions whose plans are kept beside the first; a state seldom has more than a few. */
const VERSIONS_KEPT = 16
/** Of one node, with what it was put together from. */
const NODE_PLANS_KEPT = 4

interface KeptPlan {
  readonly key: readonly unknown[]
  readonly plan: NodePlan
}

export class PlanBook {
  readonly versions: readonly ClusterVersion[]
  readonly seed: number
  readonly states: readonly NetworkState[]
  private readonly agents: CalicoAgents | undefined
  private readonly settled = new Map<number, Composition>()
  /** Calico's plans are made in the order of the versions: IPAM goes on from one to the next. Of each only what is needed for that is kept for long. */
  private readonly calicoPlans: (CalicoPlan | undefined)[] = []
  private readonly tried = new WeakMap<Cluster, Composition>()
  private readonly nodePlans = new Map<string, KeptPlan[]>()
  private readonly emptied = new WeakMap<Cluster, Cluster>()
  private readonly flannelParts = new WeakMap<FlannelView, Readonly<Record<'runs' | 'exit' | 'kill', FlannelPart>>>()

  constructor({ versions, seed, calico, states = [] }: BookInput) {
    this.versions = versions
    this.seed = seed
    this.states = states
    this.agents = calico
  }

  cluster(version: number): Cluster {
    return this.versions[version].cluster
  }

  /** Everything as it would be at rest on the version. */
  composition(version: number): Composition {
    const known = this.settled.get(version)
    if (known !== undefined) return known
    const made = this.compose(this.cluster(version), this.calicoBefore(version))
    this.calicoPlans[version] = made.agents.calico
    this.settled.set(version, made)
    for (const old of this.settled.keys()) {
      if (this.settled.size <= VERSIONS_KEPT) break
      if (old !== 0 && old !== version) this.settled.delete(old)
    }
    return made
  }

  /** Hosts before any agent. */
  bare(version: number): readonly Bare[] {
    return [...this.composition(version).bare.values()]
  }

  /** undefined: Calico has no part in this cluster. */
  calico(version: number): CalicoPlan | undefined {
    return this.composition(version).agents.calico
  }

  services(version: number): ServicePlan {
    return this.composition(version).services
  }

  /** What the CNI gives a pod of the cluster, whose other pods have what they have; undefined: nothing. @param cluster the next version, or one of the book */
  addressOf(cluster: Cluster, pod: ClusterPod): Ip | undefined {
    const known = this.versions.findIndex((version) => version.cluster === cluster)
    if (known >= 0) return this.composition(known).addressOf(pod)
    const tried = this.tried.get(cluster) ?? this.compose(cluster, this.calicoBefore(this.versions.length))
    this.tried.set(cluster, tried)
    return tried.addressOf(pod)
  }

  /** flanneld's part of the node that has the view; without the process what it leaves behind, having ended or been killed. */
  flannelPart(view: FlannelView, how: 'runs' | 'exit' | 'kill'): FlannelPart {
    let parts = this.flannelParts.get(view)
    if (parts === undefined) {
      const running = renderFlannel(view)
      parts = { runs: running, exit: remainsAfterExit(running, view.version), kill: remainsAfterExit(running, view.version, 'kill') }
      this.flannelParts.set(view, parts)
    }
    return parts[how]
  }

  /** The cluster before any of its pods has been plugged in. */
  withoutPods(version: number): Cluster {
    const cluster = this.cluster(version)
    const known = this.emptied.get(cluster) ?? { ...cluster, pods: [], addressRequests: [], podByName: new Map(), podsByAddress: new Map() }
    this.emptied.set(cluster, known)
    return known
  }

  /** @param key all that the plan depends on, compared by identity */
  nodePlan(node: string, key: readonly unknown[], make: () => NodePlan): NodePlan {
    const kept = this.nodePlans.get(node) ?? []
    this.nodePlans.set(node, kept)
    const known = kept.find((one) => one.key.every((part, at) => part === key[at]))
    if (known !== undefined) return known.plan
    const plan = make()
    kept.push({ key, plan })
    if (kept.length > NODE_PLANS_KEPT) kept.shift()
    return plan
  }

  private compose(cluster: Cluster, before: CalicoPlan | undefined): Composition {
    return compositionOf(cluster, {
      seed: this.seed,
      ...(this.agents === undefined ? {} : { calico: this.agents }),
      ...(before === undefined ? {} : { before }),
    })
  }

  private calicoBefore(version: number): CalicoPlan | undefined {
    if (version === 0 || this.agents === undefined) return undefined
    for (let earlier = this.calicoPlans.length; earlier < version; earlier++) this.composition(earlier)
    return this.calicoPlans[version - 1]
  }
}
