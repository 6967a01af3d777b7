/**
 * The one composition root: cluster + agents → Dataplanes → kernels and cables, and the questions asked of them.
 */
import type { Problem } from '../base/problem.js'
import type { Cluster } from '../cluster/cluster.js'
import type { Dataplane } from '../dataplane/dataplane.js'
import { formatSubnetEnv, type SubnetEnv } from '../flannel/subnet-env.js'
import { UDP_HANDLER } from '../flannel/backend-udp.js'
import { attachProcess, compileWorld, type NetnsSpec } from '../net/compile.js'
import { deviceNamed, NETNS_NODE, NETNS_POD, NETNS_ROUTER, type Netns, type World } from '../net/netns.js'
import { UdpProcess } from './flannel-udp.js'
import { planFlannel, type BareNode, type FlannelPlan, type LeaseRow } from './flannel-plan.js'
import { planCloud, withCheck } from './cloud.js'
import { bareHost, cardName, routerDataplane } from './hosts.js'
import { planNode, type NodePlan, type PodPlan } from './nodes.js'
import { runTrace, type TraceOutcome } from './probe.js'
import type { TraceRequest } from './request.js'

export interface BuildOptions {
  readonly seed: number
  /** Virtual time of the questions, nanoseconds; leases that ran out before it are gone. */
  readonly atNs?: number
}

/** A network that is built and can be asked; nothing in it changes from one question to the next. */
export class Network {
  readonly cluster: Cluster
  readonly nodes: readonly NodePlan[]
  readonly flannel: FlannelPlan | undefined
  /** Of every netns: nodes, pods, routers. */
  readonly dataplanes: ReadonlyMap<string, Dataplane>
  readonly specs: readonly NetnsSpec[]
  readonly world: World
  private readonly netnsByName: ReadonlyMap<string, Netns>

  constructor(parts: Pick<Network, 'cluster' | 'nodes' | 'flannel' | 'specs' | 'world'>) {
    this.cluster = parts.cluster
    this.nodes = parts.nodes
    this.flannel = parts.flannel
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
    return this.flannel?.etcdKeys ?? []
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
}

type Bare = BareNode & { readonly dataplane: Dataplane }

function bareNodes(cluster: Cluster, seed: number): Bare[] {
  return cluster.nodes.map((node) => {
    const dataplane = bareHost(cluster, node, seed)
    const externalInterface = { name: cardName(cluster), address: node.address, mtu: node.mtu, publicIp: node.address }
    return { node, dataplane, devices: dataplane.devices, routes: dataplane.routes, externalInterface }
  })
}

function planAgents(cluster: Cluster, bare: readonly Bare[], { seed, atNs = 0 }: BuildOptions): FlannelPlan | undefined {
  return cluster.cni === 'flannel' ? planFlannel(cluster, bare, { seed, atNs }) : undefined
}

/** What the agents would say of a cluster that is wrong already, so that one run tells everything; builds nothing. */
export function agentProblems(cluster: Cluster, options: BuildOptions): readonly Problem[] {
  return planAgents(cluster, bareNodes(cluster, options.seed), options)?.problems ?? []
}

export function buildNetwork(cluster: Cluster, options: BuildOptions): { readonly network: Network; readonly problems: readonly Problem[] } {
  const bare = bareNodes(cluster, options.seed)
  const flannel = planAgents(cluster, bare, options)
  const cloud = planCloud(cluster, flannel)
  const problems: Problem[] = [...(flannel?.problems ?? []), ...cloud.problems]
  const nodes = bare.map((one) => {
    const dataplane = withCheck(one.dataplane, cloud.checkedNodes.has(one.node.name))
    return planNode(cluster, { ...one, dataplane }, flannel?.parts.get(one.node.name), options.seed)
  })
  const specs: NetnsSpec[] = []
  for (const plan of nodes) {
    problems.push(...plan.problems)
    specs.push({ dataplane: plan.dataplane, role: NETNS_NODE }, ...plan.pods.map(({ dataplane }) => ({ dataplane, role: NETNS_POD })))
  }
  for (const router of cluster.routers) {
    const fabric = cloud.fabrics.get(router.name)
    const { dataplane, problems: found } = routerDataplane(cluster, router, options.seed, fabric)
    problems.push(...found)
    specs.push({ dataplane, role: NETNS_ROUTER, fabric: fabric !== undefined })
  }
  if (cluster.cni === 'calico' || cluster.cni === 'canal') problems.push(notModelled(cluster, cluster.cni))
  const segments = cluster.segments.map(({ name, mtu, latency, rate }) => ({ name, mtu, latencyNs: latency, rateBps: rate }))
  const network = new Network({ cluster, nodes, flannel, specs, world: compileWorld(specs, segments, options.seed) })
  startProxies(network)
  return { network, problems }
}

function notModelled(cluster: Cluster, cni: string): Problem {
  const place = cluster.networkDocument ?? { file: 'cluster', line: 0 }
  return {
    severity: 'error',
    file: place.file,
    line: place.line,
    object: '',
    what: `the CNI ${cni} is not modelled yet`,
    fix: 'Modelled are flannel, and none (plain docker).',
  }
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
