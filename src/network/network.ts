/**
 * The one composition root: cluster + agents → Dataplanes → kernels and cables, and the questions asked of them.
 */
import { assert } from '../base/assert.js'
import type { Ip } from '../base/ip.js'
import { LazyMap } from '../base/lazy-map.js'
import type { Problem } from '../base/problem.js'
import type { Cluster } from '../cluster/cluster.js'
import type { ClusterPod } from '../cluster/pod.js'
import type { CollectedNode } from '../collected/collected-node.js'
import { readDnsSettings } from '../cluster/dns/dns-settings.js'
import { resolve, type Resolution } from '../cluster/dns/resolve.js'
import { buildDnsWorld, type DnsWorld } from '../cluster/dns/dns-world.js'
import type { Dataplane, RouteSpec } from '../dataplane/dataplane.js'
import { formatSubnetEnv, type SubnetEnv } from '../flannel/subnet-env.js'
import { composeWorld, type NetnsSpec, type Unit } from '../net/compile.js'
import { NETNS_OUTSIDE, type Netns, type Sleeper, type World } from '../net/netns.js'
import { Trace } from '../net/trace.js'
import type { BgpPlan, planBgp } from './bgp-plan.js'
import type { CalicoHost, CalicoPlan } from './calico-part.js'
import { HOSTS_WITHOUT_DUMP, withCollected } from './collected-cluster.js'
import { Composition, type Agents, type Bare } from './composition.js'
import type { Endpoint } from './endpoint.js'
import { planFlannel, type FlannelPlan, type LeaseRow } from './flannel-plan.js'
import { bareHost, cardName } from './hosts.js'
import { usesCalico, type NodePlan } from './nodes.js'
import { outsideDataplane } from './outside.js'
import type { PodPlan } from './pods.js'
import { runTrace, type TraceOutcome } from './probe.js'
import type { TraceRequest } from './request.js'
import type { ServicePlan } from './service-plan.js'
import { nodeUnit, routerUnit, specsOf, withKernelsOf } from './units.js'

/** Calico's agents. They come from outside, so that a command whose network has none need not load them. */
export interface CalicoAgents {
  /** @param before the plan of the cluster as it was, where this one came of it: what IPAM gave stays given */
  readonly planCalico: (cluster: Cluster, hosts: readonly CalicoHost[], seed: number, before?: CalicoPlan) => CalicoPlan
  readonly planBgp: typeof planBgp
}

export interface BuildOptions {
  readonly seed: number
  /** Virtual time of the questions, nanoseconds; leases that ran out before it are gone. */
  readonly atNs?: number
  /** Wanted where the CNI is calico or canal. */
  readonly calico?: CalicoAgents
  /** Calico's plan of the cluster as it was before. */
  readonly before?: CalicoPlan
  /** Dumps of nodes of the cluster, one each: those nodes are as they were found. */
  readonly collected?: readonly CollectedNode[]
  /** The cluster is no more than these dumps: other hosts may be on its segments. */
  readonly dumpsAlone?: boolean
}

/** A network that is built and can be asked; nothing in it changes from one question to the next, but that what a question touches is there from then on. */
export class Network {
  readonly cluster: Cluster
  readonly flannel: FlannelPlan | undefined
  readonly calico: CalicoPlan | undefined
  readonly bgp: BgpPlan | undefined
  readonly world: World
  /** What was found wrong with nodes that are rendered only when a question touches them (composition.ts). */
  readonly lateProblems: Problem[] = []
  private readonly composition: Composition
  private readonly plans: LazyMap<NodePlan>
  /** Routers and hosts beyond the cluster. */
  private readonly beyond: readonly NetnsSpec[]
  private dnsWorld: DnsWorld | undefined
  /** By the name of what wakes together: a node, `router/NAME`. */
  private readonly sleepers: ReadonlyMap<string, Sleeper>
  private byNetns: ReadonlyMap<string, Dataplane> | undefined
  private readonly awake = new Map<string, Netns>()
  private readonly nodeOfPod: (netns: string) => string | undefined

  /** @param kernels of nodes and pods that have something else in their kernel than their agents put there */
  constructor(composition: Composition, bgp: BgpPlan | undefined, kernels: ReadonlyMap<string, Dataplane> = new Map()) {
    const { cluster, agents, seed, bare } = composition
    this.composition = composition
    this.cluster = cluster
    this.flannel = agents.flannel
    this.calico = agents.calico
    this.bgp = bgp
    const { moment } = agents
    const birdRoutes = (name: string): readonly RouteSpec[] => moment?.birdRoutes(name) ?? bgp?.routes.get(name) ?? []
    this.plans = new LazyMap(bare.keys(), (name) => {
      return withKernelsOf(this.touched(composition.planOf(name, birdRoutes(name))), kernels)
    })
    const outside = cluster.outsideHosts.map((host) => {
      const dataplane = outsideDataplane(cluster, host, seed)
      return { dataplane: { ...dataplane, neighbours: composition.balancedNeighbours(dataplane) }, role: NETNS_OUTSIDE }
    })
    this.beyond = [...composition.routerSpecs(birdRoutes), ...outside]
    this.nodeOfPod = moment === undefined ? homesOfPods(cluster, agents.calico) : (netns) => moment.homeOf(netns)
    const units: [string, Unit][] = [
      ...cluster.nodes.map(({ name }): [string, Unit] => [name, nodeUnit(composition, name, { plan: () => this.planNamed(name), handSet: kernels.has(name) })]),
      ...this.beyond.map((spec): [string, Unit] => [spec.dataplane.netns, routerUnit(spec)]),
    ]
    const segments = cluster.segments.map((segment) => {
      const { name, mtu, latency, rate } = segment
      const others = agents.dumpsAlone === true ? { othersUnknown: HOSTS_WITHOUT_DUMP } : {}
      return { name, mtu: moment?.segmentMtu(segment) ?? mtu, latencyNs: latency, rateBps: rate, ...others }
    })
    this.world = composeWorld(
      units.map(([, unit]) => ({ ...unit, woken: (byName) => this.woken(unit, byName) })),
      segments,
      seed,
    )
    this.sleepers = new Map(units.map(([name], at) => [name, this.world.sleepers[at]]))
  }

  get nodeNames(): readonly string[] {
    return this.cluster.nodes.map(({ name }) => name)
  }

  /** All, and all are rendered for it; as for pods, dataplanes and specs. Who wants one asks for it: nodePlan, podPlan, dataplane. */
  get nodes(): readonly NodePlan[] {
    return [...this.plans.values()]
  }

  get pods(): readonly PodPlan[] {
    return this.nodes.flatMap(({ pods }) => pods)
  }

  /** The same network, but for what some nodes and pods have in their kernel: agents are as here, and what is rendered already is shared. */
  withKernels(kernels: ReadonlyMap<string, Dataplane>): Network {
    return new Network(this.composition, this.bgp, kernels)
  }

  /** Of every netns: nodes, pods, routers, hosts beyond. */
  get dataplanes(): ReadonlyMap<string, Dataplane> {
    this.byNetns ??= new Map(this.allSpecs().map(({ dataplane }) => [dataplane.netns, dataplane]))
    return this.byNetns
  }

  /** Of every netns, all of them awake in the world. */
  get specs(): readonly NetnsSpec[] {
    this.world.wakeAll()
    return this.allSpecs()
  }

  /** Of the problems, what was known before any question. */
  get problems(): readonly Problem[] {
    return [...this.composition.agentProblems(), ...this.composition.problems(this.plans), ...(this.bgp?.problems ?? [])]
  }

  get services(): ServicePlan {
    return this.composition.services
  }

  /** What the cluster's DNS knows. */
  get dns(): DnsWorld {
    const { cluster, services } = this
    this.dnsWorld ??= buildDnsWorld({
      settings: readDnsSettings(cluster, cluster.services),
      services: services.endpoints,
      namespaces: cluster.namespaces.map(({ name }) => name),
      pods: cluster.pods,
      addressOf: (pod) => this.composition.addressOf(pod),
    })
    return this.dnsWorld
  }

  /** By the resolver of whoever asks: a pod's own, or the node's. */
  lookup(asker: Endpoint | undefined, name: string): Resolution {
    const pod = asker?.netns === undefined ? undefined : this.cluster.podByName.get(asker.netns)
    return resolve(this.dns, pod === undefined || asker === undefined ? {} : { pod, address: asker.address }, name)
  }

  nodePlan(name: string): NodePlan | undefined {
    return this.plans.get(name)
  }

  podPlan(namespace: string, name: string): PodPlan | undefined {
    const plan = this.plans.get(this.nodeOfPod(`${namespace}/${name}`) ?? '')
    return plan?.pods.find(({ pod }) => pod.namespace === namespace && pod.name === name)
  }

  /** Of a netns by its name; renders no more than what wakes with it. */
  dataplane(netns: string): Dataplane | undefined {
    return this.specsWith(netns).find(({ dataplane }) => dataplane.netns === netns)?.dataplane
  }

  /** What the pod has or is given, without its node being rendered; undefined: nothing. */
  addressOf(pod: ClusterPod): Ip | undefined {
    return this.composition.addressOf(pod)
  }

  /** Of a moment of a run (time/network-at.ts): not all that the objects say need be there. */
  get isMoment(): boolean {
    return this.composition.agents.moment !== undefined
  }

  /** Nodes whose cards are not as their objects say: another MTU, or a cable that is out, lossy or slow. */
  get faultedNodes(): readonly string[] {
    const isWhole = ({ node, devices }: Bare): boolean =>
      devices.every((device) => device.kind !== 'nic' || (device.cable === undefined && device.mtu === node.mtu))
    return [...this.composition.bare.values()].flatMap((bare) => (isWhole(bare) ? [] : [bare.node.name]))
  }

  /** Of nodes that are as they were found. */
  get collected(): readonly CollectedNode[] {
    return [...(this.composition.agents.collected?.values() ?? [])]
  }

  /** Why nothing of a node runs (it is off), in words; undefined: it runs. */
  absenceOf(node: string): string | undefined {
    return this.composition.absenceOf(node)
  }

  /** Of a node or a router, without BIRD's routes in a network before BGP. */
  birdHost(netns: string): Pick<Dataplane, 'devices' | 'routes'> | undefined {
    return this.composition.birdHost(netns) ?? this.dataplane(netns)
  }

  podWithAddress(address: Ip): PodPlan | undefined {
    return firstOf(this.nodesThatMayHave(address), ({ pods }) => pods.find((pod) => pod.address === address))
  }

  /** The first netns with the address on a device of its own. */
  netnsWithAddress(address: Ip): string | undefined {
    const has = ({ dataplane }: NetnsSpec): boolean =>
      dataplane.devices.some((device) => device.addresses.some((own) => own.address === address && own.scope !== 'host'))
    const found = firstOf(this.nodesThatMayHave(address), (plan) => specsOf(plan).find(has)) ?? this.beyond.find(has)
    return found?.dataplane.netns
  }

  get leases(): readonly LeaseRow[] {
    return this.flannel?.leases ?? []
  }

  /** What etcd holds once the agents have registered. */
  get etcdKeys(): readonly { readonly key: string; readonly value: string }[] {
    return [...(this.flannel?.etcdKeys ?? []), ...(this.calico?.etcdKeys ?? [])]
  }

  /** /run/flannel/subnet.env by node. */
  get subnetEnv(): ReadonlyMap<string, string> {
    const files = new Map<string, string>()
    for (const [node, env] of this.subnetEnvs()) files.set(node, formatSubnetEnv(env, this.cluster.flannel.version))
    return files
  }

  subnetEnvs(): ReadonlyMap<string, SubnetEnv> {
    const envs = new Map<string, SubnetEnv>()
    for (const [node, part] of this.flannel?.parts ?? []) if (part.subnetEnv !== undefined) envs.set(node, part.subnetEnv)
    return envs
  }

  /** Awake from now on. */
  netns(name: string): Netns | undefined {
    this.sleepers.get(this.unitOf(name))?.wake()
    return this.awake.get(name)
  }

  /** Problems when the request names what is not there. */
  trace(request: TraceRequest): TraceOutcome | readonly Problem[] {
    return runTrace(this, request)
  }

  /** Asks aside: `read` finds the rows of this question, and after it those of the question before stand as they stood. */
  traceAside<Result>(request: TraceRequest, read: (outcome: TraceOutcome | readonly Problem[]) => Result): Result {
    const { world } = this
    const before = world.trace
    world.trace = new Trace(world.sim)
    try {
      return read(runTrace(this, request))
    } finally {
      world.trace = before
    }
  }

  private allSpecs(): readonly NetnsSpec[] {
    return [...this.nodes.flatMap(specsOf), ...this.beyond]
  }

  private planNamed(name: string): NodePlan {
    return this.plans.get(name) as NodePlan
  }

  private unitOf(netns: string): string {
    return this.plans.has(netns) ? netns : (this.nodeOfPod(netns) ?? netns)
  }

  private specsWith(netns: string): readonly NetnsSpec[] {
    const plan = this.plans.get(this.unitOf(netns))
    return plan === undefined ? this.beyond : specsOf(plan)
  }

  private *nodesThatMayHave(address: Ip): Iterable<NodePlan> {
    for (const name of this.plans.keys()) if (this.composition.homes.mayHave(name, address)) yield this.planNamed(name)
  }

  private touched(plan: NodePlan): NodePlan {
    if (!this.composition.isEager(plan.node.name)) this.lateProblems.push(...this.composition.problemsOf(plan, this.lateProblems))
    return plan
  }

  private woken(unit: Unit, byName: ReadonlyMap<string, Netns>): void {
    // of two pods of one name (its node is cut off, and it was made anew elsewhere) the one that the API tells of is meant
    for (const [name, netns] of byName) if (!this.awake.has(name) || byName.has(this.unitOf(name))) this.awake.set(name, netns)
    unit.woken(byName)
  }
}

function firstOf<Item, Found>(items: Iterable<Item>, find: (item: Item) => Found | undefined): Found | undefined {
  for (const item of items) {
    const found = find(item)
    if (found !== undefined) return found
  }
  return undefined
}

/** Calico's endpoints may stand as resources that name another node than the Pod does. */
function homesOfPods(cluster: Cluster, calico: CalicoPlan | undefined): (netns: string) => string | undefined {
  if (calico === undefined) return (netns) => cluster.podByName.get(netns)?.node
  const homes = new Map<string, string>()
  for (const [node, endpoints] of calico.cluster.endpoints) {
    for (const { namespace, pod, ipNetworks } of endpoints) {
      const netns = `${namespace}/${pod}`
      if (ipNetworks.length > 0 && !homes.has(netns)) homes.set(netns, node)
    }
  }
  return (netns) => homes.get(netns)
}

export function bareNodes(cluster: Cluster, seed: number): Bare[] {
  return cluster.nodes.map((node) => {
    const dataplane = bareHost(cluster, node, seed)
    const externalInterface = { name: cardName(cluster), address: node.address, mtu: node.mtu, publicIp: node.address }
    return { node, dataplane, devices: dataplane.devices, routes: dataplane.routes, externalInterface }
  })
}

function calicoAgents({ calico }: BuildOptions): CalicoAgents {
  assert(calico !== undefined, "a network of Calico's is built without its agents")
  return calico
}

function planAgents(cluster: Cluster, bare: readonly Bare[], options: BuildOptions): Agents {
  const { cni } = cluster
  const { seed, atNs = 0, before } = options
  const flannel = cni === 'flannel' || cni === 'canal' ? planFlannel(cluster, bare, { seed, atNs }) : undefined
  if (!usesCalico(cluster)) return { flannel, calico: undefined }
  const hosts = bare.map(({ node, dataplane }) => ({ node, dataplane, links: [...dataplane.devices, ...(flannel?.links(node.name) ?? [])] }))
  return { flannel, calico: calicoAgents(options).planCalico(cluster, hosts, seed, before) }
}

/** What the agents would say of a cluster that is wrong already, so that one run tells everything; builds nothing. */
export function agentProblems(cluster: Cluster, options: BuildOptions): readonly Problem[] {
  return compositionOf(cluster, options).agentProblems()
}

/** With every agent at rest. */
export function compositionOf(cluster: Cluster, options: BuildOptions): Composition {
  const { seed, collected = [], dumpsAlone = false } = options
  const told = collected.length === 0 ? cluster : withCollected(cluster, collected)
  const bare = bareNodes(told, seed)
  const agents = planAgents(told, bare, options)
  const dumps = collected.length === 0 ? {} : { collected: new Map(collected.map((node) => [node.name, node])), dumpsAlone }
  return new Composition(told, bare, { ...agents, ...dumps }, seed)
}

/** Synchronous, of agents that are at hand; build-network.ts has them all. */
export function composeNetwork(cluster: Cluster, options: BuildOptions): { readonly network: Network; readonly problems: readonly Problem[] } {
  const composition = compositionOf(cluster, options)
  const network = withBgp(composition, options)
  return { network, problems: network.problems }
}

/** What routers learn by BGP may be the way that other sessions wait for (a mesh over a routed fabric): again, until no more of them come up. */
function withBgp(composition: Composition, options: BuildOptions): Network {
  const { calico } = composition.agents
  let network = new Network(composition, undefined)
  let established = -1
  for (;;) {
    const bgp = calico === undefined ? undefined : calicoAgents(options).planBgp(network, calico, options.seed)
    if (bgp === undefined) return network
    network = new Network(composition, bgp)
    if (!bgp.mayGoOn || bgp.established <= established) return network
    established = bgp.established
  }
}
