/**
 * Nodes and their pods, agent by agent in the order in which a host boots: the bare host, docker, kube-proxy, the CNI, then what
 * its owner did by hand. From the cluster to a Dataplane for every netns.
 *
 *   bare host ─▶ + docker0 or cni0 with the pods' veths ─▶ + flanneld ─▶ + Felix, BIRD ─▶ + the owner's commands     pods: eth0, routes, sockets
 */
import { ip } from '../base/ip.js'
import { hashText } from '../base/prng.js'
import type { Problem } from '../base/problem.js'
import type { Cluster } from '../cluster/cluster.js'
import type { ClusterNode } from '../cluster/node.js'
import type { ClusterPod } from '../cluster/pod.js'
import { applyChainEdits } from '../dataplane/chain-edit.js'
import { piecesOf, withPieces, type Pieces } from '../dataplane/common-rows.js'
import type { Dataplane, DeviceSpec, FdbSpec, NeighbourSpec, RouteSpec, RoutingRuleSpec } from '../dataplane/dataplane.js'
import { DEFAULT_ROUTING_RULES } from '../dataplane/ip-rule.js'
import type { IptablesState, TableName } from '../dataplane/iptables.js'
import type { RuntimePart } from '../docker/attachment.js'
import { renderCni } from '../docker/cni-bridge.js'
import { renderDocker } from '../docker/docker.js'
import type { FlannelPart } from '../flannel/flanneld.js'
import type { KubeProxyPart } from '../kubeproxy/kube-proxy.js'
import type { CalicoPart } from './calico-part.js'
import type { BareNode } from './flannel-plan.js'
import { applyHostSettings } from './host-commands.js'
import { attachment, hostSockets, podsOn, type PodPlan } from './pods.js'

/** docker0 without --bip. */
export const DOCKER_DEFAULT_ADDRESS = { address: ip('172.17.0.1'), length: 16 }
const DOCKER_DEFAULT_MTU = 1500
const BRIDGES = { docker: 'docker0', cni: 'cni0' } as const

export interface NodePlan {
  readonly node: ClusterNode
  readonly dataplane: Dataplane
  readonly pods: readonly PodPlan[]
  /** Network namespaces of the node that are no pods of the cluster: of a dump. */
  readonly others?: readonly Dataplane[]
  readonly problems: readonly Problem[]
}

/** What the agents put on a node; undefined where one plays no part or could not start. */
export interface NodeAgents {
  readonly flannel: FlannelPart | undefined
  readonly runtime: RuntimePart | undefined
  readonly kubeProxy: KubeProxyPart | undefined
  readonly calico: CalicoPart | undefined
  /** What BIRD has in the kernel. */
  readonly birdRoutes: readonly RouteSpec[]
  /** Addresses of load balancers on its segment, where another node answers for them. */
  readonly balanced: readonly NeighbourSpec[]
}

export function planNode(cluster: Cluster, bare: BareNode & { readonly dataplane: Dataplane }, agents: NodeAgents): NodePlan {
  const { node } = bare
  const { calico, kubeProxy, runtime } = agents
  const problems = [...(runtime?.problems ?? []), ...(kubeProxy?.problems ?? [])]
  let dataplane = withAgents(cluster, bare, agents)
  for (const settings of cluster.hosts.filter((host) => host.node === node.name)) {
    const applied = applyHostSettings(dataplane, settings)
    dataplane = { ...applied.dataplane, iptables: inSaveOrder(applied.dataplane.iptables) }
    problems.push(...applied.problems)
  }
  const pods = calico?.pods ?? podPlans(runtime, podsOn(cluster, node.name))
  return { node, dataplane, pods, problems }
}

/** Pods are plugged in by Calico's CNI plugin: no bridge. */
export function usesCalico({ cni }: Cluster): boolean {
  return cni === 'calico' || cni === 'canal'
}

function withAgents(
  cluster: Cluster,
  { node, dataplane: bare }: BareNode & { readonly dataplane: Dataplane },
  { flannel, runtime, kubeProxy, calico, birdRoutes, balanced }: NodeAgents,
): Dataplane {
  const devices = [...bare.devices, ...(flannel?.devices ?? []), ...(runtime?.devices ?? []), ...(calico?.devices ?? [])]
  const inOrder = cluster.runtime.name === 'docker' ? [runtime, kubeProxy, flannel, calico] : [kubeProxy, flannel, runtime, calico]
  const [ofFlannel, ofCalico] = [flannel === undefined ? NO_PIECES : piecesOf(flannel), calico === undefined ? NO_PIECES : piecesOf(calico)]
  const dataplane = {
    netns: node.name,
    devices,
    routes: [],
    rules: routingRules(calico?.rules ?? []),
    neighbours: [],
    fdb: [],
    sysctls: { ...bare.sysctls, ...(kubeProxy?.sysctls ?? {}), ...(flannel?.sysctls ?? {}), ...(runtime?.sysctls ?? {}), ...(calico?.sysctls ?? {}) },
    iptables: inSaveOrder(
      applyChainEdits(
        { tables: [] },
        inOrder.flatMap((part) => part?.chainEdits ?? []),
      ),
    ),
    ipsets: [...(runtime?.ipsets ?? []), ...(calico?.ipsets ?? [])],
    sockets: [...(flannel?.sockets ?? []), ...(calico?.sockets ?? []), ...hostSockets(cluster, node)],
  }
  return withPieces<Dataplane>(dataplane, {
    routes: [bare.routes, ...ofFlannel.routes, runtime?.routes ?? [], ...ofCalico.routes, birdRoutes],
    neighbours: [...ofFlannel.neighbours, ...ofCalico.neighbours, balanced],
    fdb: [...ofFlannel.fdb, ...ofCalico.fdb, bridgeEntries(devices)],
  })
}

const NO_PIECES: Pieces = { routes: [], neighbours: [], fdb: [] }

/** None but the kernel's own stay unsaid. */
function routingRules(added: readonly RoutingRuleSpec[]): readonly RoutingRuleSpec[] {
  return added.length === 0 ? [] : [...DEFAULT_ROUTING_RULES, ...added].sort((a, b) => a.priority - b.priority)
}

/** What a bridge keeps of itself: an entry for each port's MAC, and one for its own when no port has it (br_fdb_add_local, br_fdb_change_mac_address). */
function bridgeEntries(devices: readonly DeviceSpec[]): FdbSpec[] {
  const entries: FdbSpec[] = []
  for (const bridge of devices.filter(({ kind }) => kind === 'bridge')) {
    const members = devices.filter(({ name, master }) => master === bridge.name || name === bridge.name)
    // ports first: the bridge has mostly taken its MAC from one of them
    for (const { name, mac } of members.sort((a, b) => Number(a === bridge) - Number(b === bridge))) {
      if (mac === undefined || entries.some((entry) => entry.mac === mac && entry.master === bridge.name)) continue
      entries.push({ mac, device: name, master: bridge.name, state: 'permanent', provenance: { by: 'kernel' } })
    }
  }
  return entries
}

/** enum nft_table_type of iptables/nft.h: the order in which iptables-nft-save prints the tables. */
const SAVE_ORDER: readonly TableName[] = ['mangle', 'security', 'raw', 'filter', 'nat']

/** Chains of one's own by name, behind the built-in ones (nft_chain_list_get sorts them; libiptc does too). */
function inSaveOrder({ tables }: IptablesState): IptablesState {
  const ordered = tables.map((table) => {
    const own = table.chains.filter(({ policy }) => policy === undefined).sort((a, b) => (a.name < b.name ? -1 : 1))
    return { ...table, chains: [...table.chains.filter(({ policy }) => policy !== undefined), ...own] }
  })
  return { tables: ordered.sort((a, b) => SAVE_ORDER.indexOf(a.name) - SAVE_ORDER.indexOf(b.name)) }
}

interface RuntimeInput {
  /** cni0 is there, whether or not a pod still is. */
  readonly bridgeStays?: boolean
  readonly flannel: FlannelPart | undefined
  readonly seed: number
}

/** undefined when there is no network to plug pods into: flanneld never wrote subnet.env; or when Calico's CNI plugin plugs them in. */
export function renderRuntime(cluster: Cluster, node: ClusterNode, { flannel, seed, bridgeStays = false }: RuntimeInput): RuntimePart | undefined {
  const env = flannel?.subnetEnv
  if (usesCalico(cluster) || (cluster.cni === 'flannel' && env === undefined)) return undefined
  const docker = cluster.runtime.name === 'docker'
  const lastGiven = cluster.lastAddresses?.get(node.name)
  const bridgeMac = cluster.pins.macs.get(`${node.name}/${BRIDGES[cluster.runtime.name]}`)
  const view = {
    node: node.name,
    subnet: env?.subnet ?? DOCKER_DEFAULT_ADDRESS,
    mtu: env?.mtu ?? DOCKER_DEFAULT_MTU,
    // who masquerades: flanneld, or else the runtime (mk-docker-opts.sh, flannel CNI plugin)
    ipMasq: env === undefined ? true : !env.ipMasq,
    pods: podsOn(cluster, node.name).map((pod) => attachment(cluster, node, pod)),
    seed: seed ^ hashText(node.name),
    ...(bridgeMac === undefined ? {} : { bridgeMac }),
    ...(lastGiven === undefined ? {} : { lastGiven }),
  }
  if (docker) {
    const { dockerVersion, iptables, icc, userlandProxy } = cluster.runtime
    return renderDocker({ ...view, version: dockerVersion, iptables, icc, userlandProxy, forwardPolicyDrop: false })
  }
  return renderCni({ ...view, hairpin: true, bridgeStays, ...(env?.network === undefined ? {} : { networkCidr: env.network }) })
}

function podPlans(runtime: RuntimePart | undefined, pods: readonly ClusterPod[]): PodPlan[] {
  const plans: PodPlan[] = []
  for (const plugged of runtime?.pods ?? []) {
    const pod = pods.find(({ namespace, name }) => namespace === plugged.attachment.namespace && name === plugged.attachment.name)
    if (pod !== undefined) plans.push({ pod, address: plugged.address, dataplane: plugged.dataplane })
  }
  return plans.slice()
}
