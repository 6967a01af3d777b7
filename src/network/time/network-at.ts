/**
 * A moment of a run → a Network: kernels and cables of nodes that are not all as far. The objects are those of the newest version; what each node has in its
 * kernel is what its own agents have come to by then.
 *
 *   NetworkState ─▶ of each node: pods of one version, Felix and kube-proxy of others, flanneld's view, BIRD's routes, its cable ─▶ Composition ─▶ Network
 *
 * Exact is: what runs on a node, Felix's chains and sets against what is plugged in (calico-part.ts, mixedPart), kube-proxy's rules, flanneld's part from its
 * view, BIRD's routes. Taken as of the version whose pods run: the node's settings and what its owner did, which are there again after a boot. A tunnel's
 * MTU stays what it was when its agent started, whatever the card's is by now.
 */
import { LazyMap } from '../../base/lazy-map.js'
import type { Cluster } from '../../cluster/cluster.js'
import type { ClusterNode } from '../../cluster/node.js'
import type { Router, Segment } from '../../cluster/underlay.js'
import type { CableSpec, NeighbourSpec, RouteSpec } from '../../dataplane/dataplane.js'
import { mixedPart, type CalicoPart, type CalicoPlan } from '../calico-part.js'
import { Composition, withCables, type Bare, type Moment } from '../composition.js'
import { bareNodes, Network } from '../network.js'
import type { NodePlan } from '../nodes.js'
import { podsOn } from '../pods.js'
import type { ServicePlan } from '../service-plan.js'
import { flannelOfViews } from './flannel-at.js'
import type { Cable, ClusterVersion, NetworkState, NodeState } from './network-state.js'
import type { PlanBook } from './plan-book.js'

export { PlanBook } from './plan-book.js'

/** Networks that are kept of one book. */
const NETWORKS_KEPT = 6
const KEPT = new WeakMap<PlanBook, MomentOfRun[]>()

/** The network as it is in that state; one that was asked for lately is the same object. The state may be one that is still being written. */
export function networkAt(book: PlanBook, state: NetworkState): Network {
  const kept = KEPT.get(book) ?? []
  KEPT.set(book, kept)
  const at = kept.findIndex((moment) => moment.isOf(state))
  const moment = at < 0 ? new MomentOfRun(book, state) : kept.splice(at, 1)[0]
  kept.push(moment)
  if (kept.length > NETWORKS_KEPT) kept.shift()
  return moment.network
}

class MomentOfRun implements Moment {
  readonly network: Network
  readonly routers: readonly Router[]
  private readonly book: PlanBook
  private readonly state: NetworkState
  /** As they were when it was asked for. */
  private readonly nodes: ReadonlyMap<string, NodeState>
  private readonly bare: ReadonlyMap<string, Bare>
  private readonly calico: CalicoPlan | undefined
  private homes: ReadonlyMap<string, string> | undefined

  constructor(book: PlanBook, state: NetworkState) {
    this.book = book
    this.nodes = new Map(state.nodes)
    this.state = { ...state, nodes: this.nodes }
    const newest = book.cluster(state.version)
    const machines = this.machines(newest)
    const cluster = withMachines(newest, machines)
    this.routers = cluster.routers.map((router) => this.routerOf(router))
    const hosts = machines.length === 0 ? book.bare(state.version) : [...book.bare(state.version), ...bareNodes({ ...cluster, nodes: machines }, book.seed)]
    const bare = hosts.map((one) => this.withFaults(one))
    this.bare = new Map(bare.map((one) => [one.node.name, one]))
    this.calico = book.calico(state.version) === undefined ? undefined : this.calicoAt(book.calico(state.version) as CalicoPlan)
    const usesFlannel = cluster.cni === 'flannel' || cluster.cni === 'canal'
    const flannel = usesFlannel ? flannelOfViews(book, this.nodes, cluster) : undefined
    this.network = new Network(new Composition(cluster, bare, { flannel, calico: this.calico, moment: this }, book.seed), undefined)
  }

  /** Says the other state the same of everything? Its time apart. */
  isOf(state: NetworkState): boolean {
    const own = this.state
    if (own.version !== state.version || own.underlay !== state.underlay || own.nodes.size !== state.nodes.size) return false
    for (const [name, node] of state.nodes) if (this.nodes.get(name) !== node) return false
    return true
  }

  // ---- Moment

  podsOf(node: string): Cluster {
    const pods = this.nodes.get(node)?.pods ?? -1
    return pods < 0 ? this.book.withoutPods(this.state.version) : this.book.cluster(pods)
  }

  hadPods(node: string): boolean {
    return this.nodes.get(node)?.hadPods === true
  }

  /** Of two of one name the one that the API tells of. */
  homeOf(pod: string): string | undefined {
    if (this.homes === undefined) {
      const newest = this.book.cluster(this.state.version)
      const homes = new Map<string, string>()
      for (const name of this.nodes.keys()) {
        if (this.absenceOf(name) !== undefined) continue
        for (const one of this.pluggedOn(name)) if (!homes.has(one) || newest.podByName.get(one)?.node === name) homes.set(one, name)
      }
      this.homes = homes
    }
    return this.homes.get(pod)
  }

  servicesOf(node: string): ServicePlan | undefined {
    const version = this.nodes.get(node)?.kubeProxy ?? -1
    return version < 0 ? undefined : this.book.services(version)
  }

  birdRoutes(netns: string): readonly RouteSpec[] {
    return this.nodes.get(netns)?.bird ?? this.state.underlay.bird.get(netns) ?? []
  }

  absenceOf(node: string): string | undefined {
    const state = this.nodes.get(node)
    if (state === undefined) return this.bare.has(node) ? 'is not there yet' : undefined
    if (state.power) return undefined
    const since = this.offSince(node)
    return since === undefined ? 'has no power' : `has no power since ${sinceText(since / 1e9)}`
  }

  cableOf(router: Router, segment: string): CableSpec | undefined {
    const { cables } = this.state.underlay
    const cable = [`router/${router.name}`, router.name]
      .flatMap((end) => [cables.get(`${end} ${segment}`), cables.get(`${end} `)])
      .find((one) => one !== undefined)
    return cable === undefined ? undefined : cableSpec(cable)
  }

  segmentMtu({ name, mtu }: Segment): number {
    return this.state.underlay.mtus.get(name) ?? mtu
  }

  kept(node: string, balanced: readonly NeighbourSpec[], make: () => NodePlan): NodePlan {
    const state = this.nodes.get(node)
    const { cable, mtu = 0 } = state ?? {}
    const { address, prefixLength, segment, podCIDR, labels, mtu: ofObject } = (this.bare.get(node) as Bare).node
    const host = JSON.stringify([address, prefixLength, segment, podCIDR, labels, ofObject, mtu, cable, balanced])
    const absent = this.absenceOf(node) !== undefined
    const key = [
      absent,
      host,
      this.podsOf(node),
      this.hadPods(node),
      state?.felix,
      state?.felixMtu,
      state?.kubeProxy,
      state?.flannel,
      state?.flanneldRuns,
      state?.flanneldKilled,
    ]
    return this.book.nodePlan(node, key, make)
  }

  // ---- of what it is made

  /** Nodes that the API does not tell of any more: who deletes a Node leaves the machine as it is. */
  private machines(newest: Cluster): readonly ClusterNode[] {
    return [...this.nodes].flatMap(([name, { power, pods }]) => {
      if (newest.nodeByName.has(name) || !power) return []
      const node = lastWith(this.book.versions, name, Math.max(pods, this.state.version))
      return node === undefined ? [] : [node]
    })
  }

  private routerOf(router: Router): Router {
    const { firewalls } = this.state.underlay
    const added = firewalls.get(router.name) ?? firewalls.get(`router/${router.name}`) ?? []
    return added.length === 0 ? router : { ...router, iptables: [...router.iptables, ...added] }
  }

  /** The card with its cable and what an event made its MTU; a node without power has none. */
  private withFaults(bare: Bare): Bare {
    const state = this.nodes.get(bare.node.name)
    const cable = state?.power === true ? state.cable : { cut: true, loss: 0, delayNs: 0 }
    const mtu = state?.mtu
    const isWhole = !cable.cut && cable.loss === 0 && cable.delayNs === 0
    if (isWhole && mtu === undefined) return bare
    const cabled = isWhole ? bare.dataplane : withCables(bare.dataplane, () => cableSpec(cable))
    const devices = cabled.devices.map((device) => (device.kind === 'nic' && mtu !== undefined ? { ...device, mtu } : device))
    return { ...bare, devices, dataplane: { ...cabled, devices } }
  }

  private pluggedOn(node: string): readonly string[] {
    if (this.calico === undefined) return podsOn(this.podsOf(node), node).map(({ namespace, name }) => `${namespace}/${name}`)
    return (this.calico.cluster.endpoints.get(node) ?? []).flatMap(({ namespace, pod, ipNetworks }) => (ipNetworks.length === 0 ? [] : [`${namespace}/${pod}`]))
  }

  /** Of the newest version, but for what each node has come to. */
  private calicoAt(newest: CalicoPlan): CalicoPlan {
    const { book, nodes } = this
    const of = (version: number | undefined): CalicoPlan | undefined => (version === undefined || version < 0 ? undefined : book.calico(version))
    const names = [...this.bare.keys()]
    const endpoints = new Map(names.map((name) => [name, of(nodes.get(name)?.pods)?.cluster.endpoints.get(name) ?? []]))
    const partOf = (name: string): CalicoPart | undefined => {
      const { pods = -1, felix = -1, felixMtu } = nodes.get(name) ?? {}
      const knows = felixMtu === undefined ? of(felix)?.parts.get(name) : of(felix)?.partAt(name, felixMtu)
      if (pods === felix && felixMtu === undefined) return knows
      return mixedPart(knows, of(pods)?.parts.get(name))
    }
    return {
      ...newest,
      cluster: { ...newest.cluster, endpoints },
      parts: new LazyMap(names, partOf) as unknown as ReadonlyMap<string, CalicoPart>,
      tunnelAddressesOf: (name) => of(nodes.get(name)?.felix)?.tunnelAddressesOf(name) ?? [],
    }
  }

  /** Of the scenario, ns; undefined: the run's states are not at hand. */
  private offSince(node: string): number | undefined {
    const { states } = this.book
    let since: number | undefined
    for (let at = states.length - 1; at >= 0; at--) {
      const { atNs, nodes } = states[at]
      if (atNs > this.state.atNs) continue
      if (nodes.get(node)?.power !== false) break
      since = atNs
    }
    return since
  }
}

/** As `--at` reads it: 12.5s, 5m, 24h1s. */
function sinceText(seconds: number): string {
  if (seconds < 60) return `${seconds}s`
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.round((seconds % 60) * 1e6) / 1e6]
  return `${hours === 0 ? '' : `${hours}h`}${minutes === 0 ? '' : `${minutes}m`}${rest === 0 ? '' : `${rest}s`}`
}

function cableSpec({ cut, loss, delayNs }: Cable): CableSpec {
  return { ...(cut ? { cut } : {}), ...(loss === 0 ? {} : { loss }), ...(delayNs === 0 ? {} : { delayNs }) }
}

function withMachines(cluster: Cluster, machines: readonly ClusterNode[]): Cluster {
  if (machines.length === 0) return cluster
  const nodes = [...cluster.nodes, ...machines]
  return {
    ...cluster,
    nodes,
    nodeByName: new Map(nodes.map((node) => [node.name, node])),
    nodeByAddress: new Map([...nodes].reverse().map((node) => [node.address, node])),
  }
}

/** The newest reading of a node, up to a version. */
function lastWith(versions: readonly ClusterVersion[], name: string, upTo: number): ClusterNode | undefined {
  for (let at = Math.min(upTo, versions.length - 1); at >= 0; at--) {
    const node = versions[at].cluster.nodeByName.get(name)
    if (node !== undefined) return node
  }
  return undefined
}
