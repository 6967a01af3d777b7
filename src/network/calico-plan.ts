/**
 * Calico's part of every node: Felix with its endpoints, tunnels and policy, from the resources to what a node's Dataplane gets. BIRD's routes come after
 * (bgp-plan.ts), since its sessions run over what stands here. In Canal the addresses are host-local's, out of the node's podCIDR.
 */
import { formatCidr } from '../base/cidr.js'
import type { Ip } from '../base/ip.js'
import { LazyMap } from '../base/lazy-map.js'
import type { Problem } from '../base/problem.js'
import { buildCalicoCluster, type CalicoCluster } from '../calico/calico-cluster.js'
import { FelixBook } from '../calico/felix/felix-book.js'
import { resolveFelixConfig, type FelixConfig } from '../calico/felix/config.js'
import { compilePolicies, renderFelix, type FelixPolicies } from '../calico/felix/felix.js'
import { policyInputs, routeInputs } from '../calico/felix/inputs.js'
import type { RouteInputs } from '../calico/felix/cluster-routes.js'
import { hostMtu } from '../calico/mtu.js'
import { remoteVteps, renderTunnels } from '../calico/felix/tunnels.js'
import { renderWorkload, type WorkloadPart } from '../calico/workload-endpoint.js'
import type { CalicoNode } from '../cluster/calico/calico-node.js'
import type { WorkloadEndpoint } from '../cluster/calico/endpoint.js'
import type { FelixSettings } from '../cluster/calico/felix-configuration.js'
import type { Net } from '../cluster/calico/resource.js'
import type { Cluster } from '../cluster/cluster.js'
import type { ClusterNode } from '../cluster/node.js'
import type { ClusterPod } from '../cluster/pod.js'
import { piecesOf, withPieces } from '../dataplane/common-rows.js'
import type { Dataplane } from '../dataplane/dataplane.js'
import type { ChainEdit } from '../dataplane/iptables.js'
import { allocateRoundRobin } from '../docker/address-allocation.js'
import { renderPortmap } from '../docker/portmap.js'
import { birdSockets, completeNode, FORWARDING, hostInterfaces, tunnelAddresses, type CalicoHost, type CalicoPart, type CalicoPlan } from './calico-part.js'
import { attachment, podsOn, podSockets } from './pods.js'

/** `name` in Calico's CNI configuration list. */
const NETWORK_NAME = 'k8s-pod-network'

export function planCalico(cluster: Cluster, hosts: readonly CalicoHost[], seed: number, before?: CalicoPlan): CalicoPlan {
  const cni = cluster.cni === 'canal' ? 'canal' : 'calico'
  const problems: Problem[] = []
  const links = new Map(hosts.map((host) => [host.node.name, host.links]))
  const calico = buildCalicoCluster(cluster, {
    cni,
    hostLocal: () => hostLocalAddresses(cluster, problems),
    links,
    seed,
    ...(before === undefined ? {} : { before: before.cluster.addresses }),
  })
  problems.push(...calico.problems)
  const nodes = calico.resources.nodes.map((node) => completeNode(node, calico, seed))
  const workloadEndpoints = [...calico.endpoints.values()].flat()
  const policies = compilePolicies(
    policyInputs({ resources: calico.resources, namespaces: cluster.namespaces, objects: cluster.objects, workloadEndpoints }, calico.release),
  )
  const blocks = calico.addresses.affinities.flatMap(({ cidr, node, state }) => (state === 'confirmed' ? [{ cidr, node }] : []))
  const routes = routeInputs({ resources: calico.resources, workloadEndpoints }, { blocks, nodes })
  let book: FelixBook | undefined
  const hostByName = new Map(hosts.map((host) => [host.node.name, host]))
  const nodeByName = new Map(nodes.map((node) => [node.name, node]))
  const configs = new Map<string, FelixConfig>()
  for (const { node } of hosts) {
    const config = felixConfigOf(calico, node, nodeByName.get(node.name))
    if (config !== undefined) configs.set(node.name, config)
  }
  const partOf = (host: CalicoHost, config: FelixConfig): CalicoPart => planNodePart({ cluster, host, config, calico, nodes, policies, routes, seed })
  return {
    cluster: calico,
    nodes,
    book: () => (book ??= new FelixBook(calico, policies)),
    etcdKeys: [],
    unmodelled: [...new Set([...configs.values()].flatMap((config) => config.unmodelled))],
    parts: new LazyMap(configs.keys(), (name) => partOf(hostByName.get(name) as CalicoHost, configs.get(name) as FelixConfig)),
    partAt: (name, cardMtu) => {
      const host = hostByName.get(name)
      const links = host?.links.map((link) => (link.kind === 'nic' ? { ...link, mtu: cardMtu } : link)) ?? []
      const found = hostMtu(links, calico.felixSettings.get(name)?.mtuIfacePattern)
      const config = host === undefined ? undefined : felixConfigOf(calico, { name, mtu: found }, nodeByName.get(name), found)
      return host === undefined || config === undefined ? undefined : partOf(host, config)
    },
    problems,
    tunnelAddressesOf: (name) => tunnelAddresses(nodeByName.get(name)),
    problemsOf: (name, known) => {
      const found = configs.has(name) ? [] : [tooFewMarks(calico, calico.felixSettings.get(name) ?? {})]
      return found.filter(({ what }) => !known.some((other) => other.what === what))
    },
  }
}

/** host-local with usePodCidr: the gateway's .1 is nobody's, addresses go on from .2. */
function hostLocalAddresses(cluster: Cluster, problems: Problem[]): ReadonlyMap<string, Ip> {
  const addresses = new Map<string, Ip>()
  for (const node of cluster.nodes) {
    const pods = podsOn(cluster, node.name).map((pod) => attachment(cluster, node, pod))
    if (pods.length === 0) continue
    if (node.podCIDR === undefined) {
      const { file, line } = node
      const what = 'the node has no podCIDR: host-local has no address for its pods'
      problems.push({ severity: 'error', file, line, object: `Node/${node.name}`, what, fix: 'Write spec.podCIDR.' })
      continue
    }
    const subnet = { address: (node.podCIDR.base + 1) | 0, length: node.podCIDR.length }
    const lastGiven = cluster.lastAddresses?.get(node.name)
    const allocation = allocateRoundRobin({ node: node.name, subnet, pods, ...(lastGiven === undefined ? {} : { lastGiven }) })
    problems.push(...allocation.problems)
    for (const { pod, address } of allocation.given) addresses.set(`${pod.namespace}/${pod.name}`, address)
  }
  return addresses
}

interface NodeInput {
  readonly cluster: Cluster
  readonly host: CalicoHost
  readonly config: FelixConfig
  readonly calico: CalicoCluster
  readonly nodes: readonly CalicoNode[]
  readonly policies: FelixPolicies
  readonly routes: RouteInputs
  readonly seed: number
}

function planNodePart(input: NodeInput): CalicoPart {
  const { host, config, calico, nodes, policies, routes } = input
  const { name } = host.node
  const settings = calico.felixSettings.get(name) ?? {}
  const node = nodes.find((candidate) => candidate.name === name)
  const card = cardOf(host)
  const tunnels = renderTunnels({ node: name, config, cluster: routes, parentDevice: card })
  const endpoints = calico.endpoints.get(name) ?? []
  const workloads = plugIn(endpoints, { ...input, settings })
  // chains and sets are the most of it, and BIRD asks for none
  const felix = once(() =>
    renderFelix({
      config,
      policies,
      workloadEndpoints: endpoints,
      hostEndpoints: calico.resources.hostEndpoints.filter((endpoint) => endpoint.node === name),
      interfaces: hostInterfaces([...host.links, ...tunnels.devices]),
      pools: calico.resources.ipPools,
      hostAddresses: nodes.flatMap(({ bgpAddress, addresses }) => (bgpAddress === undefined ? addresses.slice(0, 1) : [bgpAddress.address])),
      remoteVteps: remoteVteps({ node: name, cluster: routes }).map(({ address }) => address),
      serviceCidrs: serviceCidrs(calico),
    }),
  )
  const plugged = {
    devices: workloads.map(({ part }) => part.device),
    routes: workloads.flatMap(({ part }) => part.routes),
    sysctls: Object.assign({}, ...workloads.map(({ part }) => part.sysctls)) as Dataplane['sysctls'],
    chainEdits: hostPortEdits(input, workloads),
  }
  const pieces = piecesOf(tunnels)
  const part: CalicoPart = {
    plugged,
    devices: [...tunnels.devices, ...plugged.devices],
    routes: [],
    rules: tunnels.rules,
    neighbours: [],
    fdb: [],
    sysctls: { ...FORWARDING, ...tunnels.sysctls, ...plugged.sysctls },
    get ipsets() {
      return felix().ipsets
    },
    sockets: birdSockets(calico, node),
    get chainEdits() {
      // portmap runs when a pod comes; Felix puts its jumps above it again and again
      return [...plugged.chainEdits, ...felix().edits]
    },
    pods: workloads.flatMap(({ pod, address, part }) => (pod === undefined ? [] : [{ pod, address, dataplane: { ...part.pod, sockets: podSockets(pod) } }])),
  }
  return withPieces(part, { ...pieces, routes: [...pieces.routes, plugged.routes] })
}

/** The portmap plugin, which Calico's configuration list chains behind its own. */
function hostPortEdits({ cluster, host }: NodeInput, workloads: readonly { readonly pod?: ClusterPod; readonly address: Ip }[]): ChainEdit[] {
  const pods = workloads.flatMap(({ pod, address }) => (pod === undefined ? [] : [{ attachment: attachment(cluster, host.node, pod), address }]))
  return renderPortmap({ networkName: NETWORK_NAME, prefixLength: 32, pods })
}

function once<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | undefined
  return () => (made ??= { value: make() }).value
}

/** undefined: Felix does not start. */
function felixConfigOf(
  calico: CalicoCluster,
  { name, mtu }: Pick<ClusterNode, 'name' | 'mtu'>,
  node: CalicoNode | undefined,
  found = calico.mtus.get(name)?.host ?? mtu,
): FelixConfig | undefined {
  return resolveFelixConfig(calico.felixSettings.get(name) ?? {}, {
    release: calico.release,
    hostMtu: found,
    poolsUse: calico.poolsUse,
    ...(node?.ipipTunnelAddress === undefined ? {} : { ipipTunnelAddress: node.ipipTunnelAddress }),
    ...(node?.vxlanTunnelAddress === undefined ? {} : { vxlanTunnelAddress: node.vxlanTunnelAddress }),
  })
}

function tooFewMarks({ resources }: CalicoCluster, { iptablesMarkMask }: FelixSettings): Problem {
  const said = resources.felixConfigurations.find(({ settings }) => settings.iptablesMarkMask !== undefined)
  return {
    severity: 'error',
    file: said?.file ?? '',
    line: said?.line ?? 0,
    object: said === undefined ? 'FelixConfiguration' : `FelixConfiguration/${said.name}`,
    what: `iptablesMarkMask 0x${(iptablesMarkMask ?? 0).toString(16)} has too few bits for Felix, which does not start`,
    fix: 'Leave it out, or give it at least 8 bits.',
  }
}

/** The card that has the node's own address (route_mgr.go detectParentIface). */
function cardOf({ node, dataplane }: CalicoHost): string {
  return dataplane.devices.find((device) => device.addresses.some(({ address }) => address === node.address))?.name ?? ''
}

/** Of BGPConfiguration: what cali-cidr-block keeps from going round in circles. */
function serviceCidrs({ resources }: CalicoCluster): readonly string[] {
  const texts = (nets: readonly Net[]): readonly string[] => nets.flatMap((net) => (net.family === 4 ? [formatCidr(net.cidr)] : []))
  const configuration = resources.bgpConfigurations.find(({ name }) => name === 'default')
  if (configuration === undefined) return []
  const { serviceClusterIPs, serviceExternalIPs, serviceLoadBalancerIPs } = configuration
  return [...texts(serviceClusterIPs), ...texts(serviceExternalIPs), ...texts(serviceLoadBalancerIPs)]
}

interface Workload {
  /** Absent: the endpoint stands as a resource, and no Pod belongs to it. */
  readonly pod?: ClusterPod
  readonly address: Ip
  readonly part: WorkloadPart
}

interface PlugInput extends NodeInput {
  readonly settings: FelixSettings
}

/** Only what is a Pod of the input has a netns. */
function plugIn(endpoints: readonly WorkloadEndpoint[], { cluster, host, calico, settings, config, seed }: PlugInput): readonly Workload[] {
  return endpoints.flatMap((endpoint): Workload[] => {
    const pod = cluster.podByName.get(`${endpoint.namespace}/${endpoint.pod}`)
    if (pod === undefined || endpoint.ipNetworks.length === 0) return []
    const pinnedMac = cluster.pins.macs.get(`${endpoint.namespace}/${endpoint.pod}/${endpoint.endpoint}`)
    const part = renderWorkload({
      endpoint,
      mtu: calico.mtus.get(host.node.name)?.pod ?? host.node.mtu,
      routeMetric: config.workloadRouteMetric,
      routeProtocol: config.deviceRouteProtocol,
      ...(settings.deviceRouteSourceAddress === undefined ? {} : { routeSource: settings.deviceRouteSourceAddress }),
      defaultRpFilter: host.dataplane.sysctls['net.ipv4.conf.default.rp_filter'] ?? 0,
      floatingIps: config.floatingIps,
      ipv6: settings.ipv6Support !== false,
      ipForwarding: calico.manifest.allowsIpForwarding,
      ...(pinnedMac === undefined ? {} : { pinnedMac }),
      seed,
    })
    return [{ pod, address: endpoint.ipNetworks[0].base, part }]
  })
}
