/**
 * The one composition root: cluster + agents → Dataplanes → kernels and cables, and the questions asked of them.
 */
import { assert } from '../base/assert.js'
import type { Problem } from '../base/problem.js'
import type { Cluster } from '../cluster/cluster.js'
import type { Dataplane, RouteSpec } from '../dataplane/dataplane.js'
import { formatSubnetEnv, type SubnetEnv } from '../flannel/subnet-env.js'
import { UDP_HANDLER } from '../flannel/backend-udp.js'
import { attachProcess, compileWorld, type NetnsSpec } from '../net/compile.js'
import { Trace } from '../net/trace.js'
import { deviceNamed, NETNS_NODE, NETNS_POD, NETNS_ROUTER, type Netns, type World } from '../net/netns.js'
import { UdpProcess } from './flannel-udp.js'
import type { BgpPlan, planBgp } from './bgp-plan.js'
import type { CalicoHost, CalicoPlan } from './calico-part.js'
import { planFlannel, type BareNode, type FlannelPlan, type LeaseRow } from './flannel-plan.js'
import { planCloud, withCheck } from './cloud.js'
import { bareHost, BIRD_SOCKET, cardName, routerDataplane } from './hosts.js'
import { planNode, usesCalico, type NodePlan } from './nodes.js'
import type { PodPlan } from './pods.js'
import { runTrace, type TraceOutcome } from './probe.js'
import type { TraceRequest } from './request.js'

/** Calico's agents. They come from outside, so that a command whose network has none need not load them. */
export interface CalicoAgents {
  readonly planCalico: (cluster: Cluster, hosts: readonly CalicoHost[], seed: number) => CalicoPlan
  readonly planBgp: typeof planBgp
}

export interface BuildOptions {
  readonly seed: number
  /** Virtual time of the questions, nanoseconds; leases that ran out before it are gone. */
  readonly atNs?: number
  /** Wanted where the CNI is calico or canal. */
  readonly calico?: CalicoAgents
}

/** A network that is built and can be asked; nothing in it changes from one question to the next. */
export class Network {
  readonly cluster: Cluster
  readonly nodes: readonly NodePlan[]
  readonly flannel: FlannelPlan | undefined
  readonly calico: CalicoPlan | undefined
  readonly bgp: BgpPlan | undefined
  /** Of every netns: nodes, pods, routers. */
  readonly dataplanes: ReadonlyMap<string, Dataplane>
  readonly specs: readonly NetnsSpec[]
  readonly world: World
  private readonly netnsByName: ReadonlyMap<string, Netns>

  constructor(parts: Pick<Network, 'cluster' | 'nodes' | 'flannel' | 'calico' | 'bgp' | 'specs' | 'world'>) {
    this.cluster = parts.cluster
    this.nodes = parts.nodes
    this.flannel = parts.flannel
    this.calico = parts.calico
    this.bgp = parts.bgp
    this.specs = parts.specs
    this.world = parts.world
    this.dataplanes = new Map(parts.specs.map(({ dataplane }) => [dataplane.netns, dataplane]))
    this.netnsByName = new Map(parts.world.netns.map((netns) => [netns.name, netns]))
  }

  get nodeNames(): readonly string[] {
    return this.nodes.map(({ node }) => node.name)
  }

  get pods(): readonly PodPlan[] {
    return this.nodes.flatMap(({ pods }) => pods)
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

  netns(name: string): Netns | undefined {
    return this.netnsByName.get(name)
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
}

type Bare = BareNode & { readonly dataplane: Dataplane }

function bareNodes(cluster: Cluster, seed: number): Bare[] {
  return cluster.nodes.map((node) => {
    const dataplane = bareHost(cluster, node, seed)
    const externalInterface = { name: cardName(cluster), address: node.address, mtu: node.mtu, publicIp: node.address }
    return { node, dataplane, devices: dataplane.devices, routes: dataplane.routes, externalInterface }
  })
}

interface Agents {
  readonly flannel: FlannelPlan | undefined
  readonly calico: CalicoPlan | undefined
}

function calicoAgents({ calico }: BuildOptions): CalicoAgents {
  assert(calico !== undefined, "a network of Calico's is built without its agents")
  return calico
}

function planAgents(cluster: Cluster, bare: readonly Bare[], options: BuildOptions): Agents {
  const { cni } = cluster
  const { seed, atNs = 0 } = options
  const flannel = cni === 'flannel' || cni === 'canal' ? planFlannel(cluster, bare, { seed, atNs }) : undefined
  const hosts = bare.map(({ node, dataplane }) => {
    const part = flannel?.parts.get(node.name)
    return { node, dataplane, ...(part === undefined ? {} : { flannel: part }) }
  })
  return { flannel, calico: usesCalico(cluster) ? calicoAgents(options).planCalico(cluster, hosts, seed) : undefined }
}

/** What the agents would say of a cluster that is wrong already, so that one run tells everything; builds nothing. */
export function agentProblems(cluster: Cluster, options: BuildOptions): readonly Problem[] {
  return problemsOf(planAgents(cluster, bareNodes(cluster, options.seed), options))
}

function problemsOf({ flannel, calico }: Agents): readonly Problem[] {
  return [...(flannel?.problems ?? []), ...(calico?.problems ?? [])]
}

/** Synchronous, of agents that are at hand; build-network.ts has them all. */
export function composeNetwork(cluster: Cluster, options: BuildOptions): { readonly network: Network; readonly problems: readonly Problem[] } {
  const bare = bareNodes(cluster, options.seed)
  const agents = planAgents(cluster, bare, options)
  const before = assemble(cluster, bare, { ...agents, bgp: undefined }, options)
  const { network, problems } = withBgp(before, agents, (bgp) => assemble(cluster, bare, { ...agents, bgp }, options), options)
  return { network, problems: [...problemsOf(agents), ...problems, ...(network.bgp?.problems ?? [])] }
}

interface Assembled {
  readonly network: Network
  readonly problems: readonly Problem[]
}

/** What routers learn by BGP may be the way that other sessions wait for (a mesh over a routed fabric): again, until no more of them come up. */
function withBgp(before: Assembled, { calico }: Agents, build: (bgp: BgpPlan) => Assembled, options: BuildOptions): Assembled {
  let built = before
  let established = -1
  for (;;) {
    const bgp = calico === undefined ? undefined : calicoAgents(options).planBgp(built.network, calico, options.seed)
    if (bgp === undefined) return built
    built = build(bgp)
    if (!bgp.mayGoOn || bgp.established <= established) return built
    established = bgp.established
  }
}

/** Dataplanes, kernels and cables of all that the agents said. */
function assemble(
  cluster: Cluster,
  bare: readonly Bare[],
  { flannel, calico, bgp }: Agents & { readonly bgp: BgpPlan | undefined },
  { seed }: BuildOptions,
): Assembled {
  const cloud = planCloud(cluster, flannel)
  const problems: Problem[] = [...cloud.problems]
  const birdRoutes = (name: string): readonly RouteSpec[] => bgp?.routes.get(name) ?? []
  const nodes = bare.map((one) => {
    const { name } = one.node
    const dataplane = withCheck(one.dataplane, cloud.checkedNodes.has(name))
    const parts = { flannel: flannel?.parts.get(name), calico: calico?.parts.get(name), birdRoutes: birdRoutes(name) }
    return planNode(cluster, { ...one, dataplane }, parts, seed)
  })
  const specs: NetnsSpec[] = []
  for (const plan of nodes) {
    problems.push(...plan.problems)
    specs.push({ dataplane: plan.dataplane, role: NETNS_NODE }, ...plan.pods.map(({ dataplane }) => ({ dataplane, role: NETNS_POD })))
  }
  for (const router of cluster.routers) {
    const fabric = cloud.fabrics.get(router.name)
    const { dataplane, problems: found } = routerDataplane(cluster, router, seed, fabric)
    problems.push(...found)
    const routes = [...dataplane.routes, ...birdRoutes(dataplane.netns)]
    const sockets = router.asn === undefined ? dataplane.sockets : [...dataplane.sockets, BIRD_SOCKET]
    specs.push({ dataplane: { ...dataplane, routes, sockets }, role: NETNS_ROUTER, fabric: fabric !== undefined })
  }
  const segments = cluster.segments.map(({ name, mtu, latency, rate }) => ({ name, mtu, latencyNs: latency, rateBps: rate }))
  const network = new Network({ cluster, nodes, flannel, calico, bgp, specs, world: compileWorld(specs, segments, seed) })
  startProxies(network)
  return { network, problems }
}

/** flanneld's udp backend runs a process behind flannel0. */
function startProxies(network: Network): void {
  for (const [name, part] of network.flannel?.parts ?? []) {
    const netns = network.netns(name)
    const dataplane = network.dataplanes.get(name)
    if (part.proxy === undefined || netns === undefined || dataplane === undefined) continue
    const tun = deviceNamed(netns, part.proxy.device)
    if (tun !== null) attachProcess(netns, UDP_HANDLER, new UdpProcess(netns, tun, part.proxy), dataplane)
  }
}
