/**
 * Nodes and routers put together on demand: from what the agents said of all to the plan of the one that is asked for. In a cluster of a few nodes all are
 * rendered at once and everything wrong with them is said at once; in a large one a node that no question touches is never rendered, and what only
 * rendering finds wrong with it is said when it is.
 */
import { covers } from '../base/cidr.js'
import type { Ip } from '../base/ip.js'
import { LazyMap } from '../base/lazy-map.js'
import type { Problem } from '../base/problem.js'
import type { Cluster } from '../cluster/cluster.js'
import type { ClusterPod } from '../cluster/pod.js'
import type { CollectedNode } from '../collected/collected-node.js'
import type { Router, Segment } from '../cluster/underlay.js'
import type { CableSpec, Dataplane, NeighbourSpec, RouteSpec } from '../dataplane/dataplane.js'
import type { RuntimePart } from '../docker/attachment.js'
import type { NetnsSpec } from '../net/compile.js'
import { NETNS_ROUTER } from '../net/netns.js'
import { AddressHomes } from './address-homes.js'
import type { CalicoPlan } from './calico-part.js'
import { planCloud, withCheck, type CloudPlan } from './cloud.js'
import { planCollected } from './collected-plan.js'
import type { BareNode, FlannelPlan } from './flannel-plan.js'
import { BIRD_SOCKET, routerDataplane } from './hosts.js'
import { planNode, renderRuntime, type NodePlan } from './nodes.js'
import { ServicePlan } from './service-plan.js'

/** Up to so many nodes all are rendered when the cluster is loaded, and all Problems told. */
const EAGER_NODES_MAX = 50

export type Bare = BareNode & { readonly dataplane: Dataplane }

export interface Agents {
  readonly flannel: FlannelPlan | undefined
  readonly calico: CalicoPlan | undefined
  /** Nodes that are as dumps have them, whatever the agents would make. */
  readonly collected?: ReadonlyMap<string, CollectedNode>
  /** The cluster is no more than these dumps. */
  readonly dumpsAlone?: boolean
  /** Absent: every agent of every node has come to rest on the cluster as it is. */
  readonly moment?: Moment
}

/** A moment of a run in time (time/network-at.ts): how far each node has come, and what is broken. */
export interface Moment {
  /** Whose pods run on the node. */
  podsOf(node: string): Cluster
  /** Has a pod ever run on the node since it booted? */
  hadPods(node: string): boolean
  /** Where a pod runs, by `namespace/name`. */
  homeOf(pod: string): string | undefined
  /** What its kube-proxy has written; undefined: it never ran. */
  servicesOf(node: string): ServicePlan | undefined
  /** What BIRD has in the kernel of a netns. */
  birdRoutes(netns: string): readonly RouteSpec[]
  /** Why nothing of the node runs, in words; undefined: it runs. */
  absenceOf(node: string): string | undefined
  /** With what was done to their rules. */
  readonly routers: readonly Router[]
  /** Of a router's card. */
  cableOf(router: Router, segment: string): CableSpec | undefined
  /** Of IP packets that the segment's switch lets through. */
  segmentMtu(segment: Segment): number
  /** A node is put together once for all moments that find it the same. */
  kept(node: string, balanced: readonly NeighbourSpec[], make: () => NodePlan): NodePlan
}

/** Each rendering is kept: networks that differ only in BIRD's routes share them. */
export class Composition {
  readonly cluster: Cluster
  readonly agents: Agents
  readonly seed: number
  readonly homes: AddressHomes
  readonly services: ServicePlan
  /** Before any agent, with the cloud's check of the card. */
  readonly bare: ReadonlyMap<string, Bare>
  private readonly cloud: CloudPlan
  private readonly runtimes: LazyMap<RuntimePart | undefined>
  /** Without BIRD's routes. */
  private readonly plans: LazyMap<NodePlan>
  private readonly routers: readonly { readonly spec: NetnsSpec; readonly problems: readonly Problem[] }[]

  constructor(cluster: Cluster, bare: readonly Bare[], agents: Agents, seed: number) {
    this.cluster = cluster
    this.agents = agents
    this.seed = seed
    this.homes = new AddressHomes(cluster, agents, (node) => this.podsOf(node))
    this.services = new ServicePlan(cluster, (pod) => this.addressOf(pod))
    this.cloud = planCloud(cluster, agents.flannel)
    const { checkedNodes } = this.cloud
    this.bare = new Map(bare.map((one) => [one.node.name, { ...one, dataplane: withCheck(one.dataplane, checkedNodes.has(one.node.name)) }]))
    this.runtimes = new LazyMap(this.bare.keys(), (name) =>
      renderRuntime(this.podsOf(name), (this.bare.get(name) as Bare).node, {
        flannel: agents.flannel?.parts.get(name),
        seed,
        bridgeStays: agents.moment?.hadPods(name) === true,
      }),
    )
    const { moment } = agents
    this.plans = new LazyMap(this.bare.keys(), (name) => {
      const render = (): NodePlan => this.render(name, [])
      return moment === undefined ? render() : moment.kept(name, this.balancedNeighbours((this.bare.get(name) as Bare).dataplane), render)
    })
    this.routers = (moment?.routers ?? cluster.routers).map((router) => {
      const fabric = this.cloud.fabrics.get(router.name)
      const rendered = routerDataplane(cluster, router, seed, fabric)
      const { problems } = rendered
      const dataplane = moment === undefined ? rendered.dataplane : withCables(rendered.dataplane, (segment) => moment.cableOf(router, segment))
      const sockets = router.asn === undefined ? dataplane.sockets : [...dataplane.sockets, BIRD_SOCKET]
      return { spec: { dataplane: { ...dataplane, sockets }, role: NETNS_ROUTER, fabric: fabric !== undefined }, problems }
    })
  }

  /** Is it rendered when the cluster is loaded? A node whose owner ran commands always is: what they did shows only then. */
  isEager(node: string): boolean {
    return this.bare.size <= EAGER_NODES_MAX || this.homes.isHandSet(node)
  }

  /** BIRD's routes come before what the owner does by hand; where he did nothing they are added to what is rendered already. */
  planOf(node: string, birdRoutes: readonly RouteSpec[]): NodePlan {
    const plan = this.plans.get(node) as NodePlan
    if (birdRoutes.length === 0 || this.absenceOf(node) !== undefined || this.agents.collected?.has(node) === true) return plan
    if (this.homes.isHandSet(node)) return this.render(node, birdRoutes)
    return { ...plan, dataplane: { ...plan.dataplane, routes: [...plan.dataplane.routes, ...birdRoutes] } }
  }

  /** What BIRD finds there at its start: Felix's chains and sets need not be rendered for it. */
  birdHost(node: string): Pick<Dataplane, 'devices' | 'routes'> | undefined {
    const bare = this.bare.get(node)
    const { flannel, calico, collected } = this.agents
    const found = bare === undefined || this.homes.isHandSet(node) ? this.plans.get(node)?.dataplane : undefined
    // in a dump what BIRD wrote stands already
    if (found !== undefined && collected?.has(node) === true) return { ...found, routes: found.routes.filter(({ protocol }) => protocol !== 'bird') }
    if (bare === undefined || found !== undefined) return found
    const parts = [bare.dataplane, flannel?.parts.get(node), this.runtimes.get(node), calico?.parts.get(node)]
    return { devices: parts.flatMap((part) => part?.devices ?? []), routes: parts.flatMap((part) => part?.routes ?? []) }
  }

  /** Its pods as they run there. */
  podsOf(node: string): Cluster {
    return this.agents.moment?.podsOf(node) ?? this.cluster
  }

  /** Why nothing of the node runs. */
  absenceOf(node: string): string | undefined {
    return this.agents.moment?.absenceOf(node)
  }

  routerSpecs(birdRoutes: (netns: string) => readonly RouteSpec[]): readonly NetnsSpec[] {
    return this.routers.map(({ spec }) => {
      const known = [...spec.dataplane.routes, ...birdRoutes(spec.dataplane.netns)]
      const isKnown = ({ destination }: RouteSpec): boolean => known.some((route) => route.destination.length > 0 && covers(route.destination, destination))
      const routes = [...known, ...this.services.balancedRoutes(cardsBySegment(spec.dataplane)).filter((route) => !isKnown(route))]
      const neighbours = [...spec.dataplane.neighbours, ...this.balancedNeighbours(spec.dataplane)]
      return { ...spec, dataplane: { ...spec.dataplane, routes, neighbours } }
    })
  }

  /** What the agents find wrong: with what they are told, then with the nodes that are rendered at once. */
  agentProblems(): readonly Problem[] {
    const { flannel, calico } = this.agents
    const eager = [...this.bare.keys()].filter((name) => this.isEager(name))
    const byFlannel: Problem[] = []
    for (const name of eager) byFlannel.push(...(flannel?.problemsOf(name, byFlannel) ?? []))
    const byCalico: Problem[] = [...(calico?.problems ?? [])]
    for (const name of eager) byCalico.push(...(calico?.problemsOf(name, byCalico) ?? []))
    return [...(flannel?.problems ?? []), ...byFlannel, ...byCalico]
  }

  /** What stands in the way of putting them together. @param plans of a network of this composition */
  problems(plans: ReadonlyMap<string, NodePlan>): readonly Problem[] {
    const eager = [...this.bare.keys()].filter((name) => this.isEager(name))
    return [...this.cloud.problems, ...eager.flatMap((name) => plans.get(name)?.problems ?? []), ...this.routers.flatMap(({ problems }) => problems)]
  }

  /** What rendering a node finds that is not rendered at once. */
  problemsOf({ node: { name }, problems }: NodePlan, known: readonly Problem[]): readonly Problem[] {
    const { flannel, calico } = this.agents
    const byFlannel = flannel?.problemsOf(name, known) ?? []
    return [...byFlannel, ...(calico?.problemsOf(name, [...calico.problems, ...known]) ?? []), ...problems]
  }

  /** What the pod has, or is given once its node runs; undefined: nothing. Renders of its node only what gives addresses. */
  addressOf(pod: ClusterPod): Ip | undefined {
    if (pod.address !== undefined || pod.node === undefined || pod.hostNetwork) return pod.address
    const { calico, collected } = this.agents
    const found = collected?.has(pod.node) === true ? this.plans.get(pod.node)?.pods.find((plan) => plan.pod === pod) : undefined
    if (found !== undefined) return found.address
    const is = (namespace: string, name: string): boolean => namespace === pod.namespace && name === pod.name
    if (calico !== undefined) {
      const endpoint = calico.cluster.endpoints.get(pod.node)?.find((one) => is(one.namespace, one.pod))
      return endpoint?.ipNetworks.at(0)?.base
    }
    return this.runtimes.get(pod.node)?.pods.find(({ attachment }) => is(attachment.namespace, attachment.name))?.address
  }

  /** Load balancers' addresses on its segments, each at the node that answers for it. */
  balancedNeighbours(dataplane: Dataplane): readonly NeighbourSpec[] {
    return this.services.balancedNeighbours(
      dataplane.netns,
      cardsBySegment(dataplane),
      (node) => this.bare.get(node)?.dataplane.devices.find(({ kind }) => kind === 'nic')?.mac,
    )
  }

  private render(name: string, birdRoutes: readonly RouteSpec[]): NodePlan {
    const { flannel, calico } = this.agents
    const bare = this.bare.get(name) as Bare
    const collected = this.agents.collected?.get(name)
    if (collected !== undefined) {
      const proxied = flannel?.parts.get(name)?.proxy
      return planCollected(this.cluster, collected, {
        node: bare.node,
        ...(proxied === undefined ? {} : { proxied }),
        checked: bare.dataplane.devices.some((device) => device.kind === 'nic' && device.sourceDestinationCheck === true),
      })
    }
    if (this.absenceOf(name) !== undefined) return { node: bare.node, dataplane: bare.dataplane, pods: [], problems: [] }
    const runtime = this.runtimes.get(name)
    const { moment } = this.agents
    const services = moment === undefined ? this.services : moment.servicesOf(name)
    const plan = planNode(this.podsOf(name), bare, {
      flannel: flannel?.parts.get(name),
      runtime,
      kubeProxy: services?.proxyPart(bare.node, [...bare.devices, ...(flannel?.parts.get(name)?.devices ?? []), ...(runtime?.devices ?? [])]),
      calico: calico?.parts.get(name),
      birdRoutes,
      balanced: this.balancedNeighbours(bare.dataplane),
    })
    // what is left of it is in the plan; of thousands of nodes it would be too much to keep
    if (!this.isEager(name)) this.runtimes.forget(name)
    return plan
  }
}

/** The cards of a host as their cables leave them. */
export function withCables(dataplane: Dataplane, cableOf: (segment: string) => CableSpec | undefined): Dataplane {
  const devices = dataplane.devices.map((device) => {
    const cable = device.kind === 'nic' && device.segment !== undefined ? cableOf(device.segment) : undefined
    return cable === undefined || device.kind !== 'nic' ? device : { ...device, cable }
  })
  return { ...dataplane, devices }
}

function cardsBySegment({ devices }: Dataplane): ReadonlyMap<string, string> {
  return new Map(
    devices.flatMap((device): [string, string][] => (device.kind === 'nic' && device.segment !== undefined ? [[device.segment, device.name]] : [])),
  )
}
