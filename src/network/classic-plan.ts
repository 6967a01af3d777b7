/**
 * Calico's part of every node in its first generation: Felix 1.4.9 on the classic model (pools, profiles with tags, policies of tiers), with today's IPAM,
 * endpoints and BIRD, which have changed little. From resources of calicoctl 1.x or keys under /calico/v1 to what a node's Dataplane gets.
 */
import { randomMac, type Mac } from '../base/mac.js'
import { LazyMap } from '../base/lazy-map.js'
import { hashText, Prng } from '../base/prng.js'
import type { Problem } from '../base/problem.js'
import type { CalicoCluster } from '../calico/calico-cluster.js'
import { ClassicBook } from '../calico/classic/classic-book.js'
import { classicConfig, renderClassic, type ClassicCluster } from '../calico/classic/classic.js'
import { buildClassicCluster, classicPodAddresses, endpointOf, sharedBgp, sharedEndpoint, sharedPools } from '../calico/classic/cluster.js'
import { ipipDevice } from '../calico/felix/tunnels.js'
import { planAddresses, type AddressPlan } from '../calico/ipam/address-plan.js'
import { CALICO_CLASSIC } from '../calico/version.js'
import { renderWorkload, type WorkloadPart } from '../calico/workload-endpoint.js'
import { readCalicoManifest } from '../cluster/calico/calico-manifest.js'
import { readCalicoResources } from '../cluster/calico/calico-resources.js'
import type { CalicoNode } from '../cluster/calico/calico-node.js'
import { classicEtcdTree } from '../cluster/calico/classic-etcd-tree.js'
import type { ClassicModel } from '../cluster/calico/classic-model.js'
import type { WorkloadEndpoint } from '../cluster/calico/endpoint.js'
import { readClassic } from '../cluster/calico/read-classic.js'
import type { Cluster } from '../cluster/cluster.js'
import type { ClusterPod } from '../cluster/pod.js'
import { ProblemList } from '../cluster/problem-list.js'
import type { Dataplane } from '../dataplane/dataplane.js'
import { birdSockets, completeNode, FORWARDING, hostInterfaces, tunnelAddresses, type CalicoHost, type CalicoPart, type CalicoPlan } from './calico-part.js'
import { podsOn, podSockets } from './pods.js'

/** What the CNI plugin and Docker gave both ends of a veth. */
const POD_MTU = 1500

/** undefined: nothing of the classic model is in the input. */
export function planClassic(cluster: Cluster, hosts: readonly CalicoHost[], seed: number, before?: CalicoPlan): CalicoPlan | undefined {
  const problems = new ProblemList()
  const model = readClassic(cluster.objects, cluster.etcd, problems)
  if (model === undefined) return undefined
  const pods = cluster.nodes.flatMap(({ name }) => podsOn(cluster, name))
  const macOf = (pod: ClusterPod): Mac =>
    cluster.pins.macs.get(`${pod.namespace}/${pod.name}/eth0`) ??
    endpointOf(model, pod)?.mac ??
    randomMac(new Prng(seed ^ hashText(`${pod.namespace}/${pod.name}`)))
  const shared = sharedCluster({ cluster, model, pods, seed, ...(before === undefined ? {} : { before: before.cluster.addresses }) }, problems)
  const classic = buildClassicCluster(
    {
      model,
      objects: cluster.objects,
      namespaces: cluster.namespaces,
      nodes: cluster.nodes,
      pods,
      addressOf: (pod) => shared.addresses.pods.get(`${pod.namespace}/${pod.name}`) ?? pod.address,
      macOf,
    },
    problems,
  )
  const endpoints = new Map(cluster.nodes.map(({ name }) => [name, endpointsOn(cluster, classic, name, macOf)]))
  const calico: CalicoCluster = { ...shared, endpoints }
  const nodes = calico.resources.nodes.map((node) => completeNode(node, calico, seed))
  reportHomeless(model, pods, problems)
  let book: ClassicBook | undefined
  const hostByName = new Map(hosts.map((host) => [host.node.name, host]))
  const made = new LazyMap(hostByName.keys(), (name) => nodePart({ cluster, host: hostByName.get(name) as CalicoHost, calico, classic, nodes, seed }))
  return {
    cluster: calico,
    nodes,
    book: () => (book ??= new ClassicBook(classic.model)),
    etcdKeys: classicEtcdTree(classic.model),
    unmodelled: [],
    parts: new LazyMap(hostByName.keys(), (name) => (made.get(name) as NodePart).part),
    // the tunnel's MTU is a setting, whatever the card's is
    partAt: (name) => made.get(name)?.part,
    problems: [...problems.problems, ...shared.problems],
    tunnelAddressesOf: (name) => {
      const { ipipTunnelAddress: told } = classicConfig(classic, name).config
      return [...(told === undefined ? [] : [told]), ...tunnelAddresses(nodes.find((node) => node.name === name))]
    },
    problemsOf: (name, known) =>
      (made.get(name)?.problems ?? []).filter(({ what, object }) => !known.some((other) => other.what === what && other.object === object)),
  }
}

interface SharedInput {
  readonly cluster: Cluster
  readonly model: ClassicModel
  readonly pods: readonly ClusterPod[]
  readonly seed: number
  /** Of the cluster as it was before. */
  readonly before?: AddressPlan
}

/** Pools, addresses and peers in the shape that IPAM, BIRD and `show` have them; endpoints come after. */
function sharedCluster({ cluster, model, pods, seed, before }: SharedInput, problems: ProblemList): CalicoCluster {
  const manifest = readCalicoManifest(cluster.objects, 'calico', problems)
  const none = readCalicoResources({ objects: [], nodes: cluster.nodes, findsAddress: true }, problems)
  const { configuration, peers } = sharedBgp(model)
  const numbers = new Map(model.nodes.map(({ name, asNumber }) => [name, asNumber]))
  const resources = {
    ...none,
    ipPools: sharedPools(model),
    bgpConfigurations: [configuration],
    bgpPeers: peers,
    nodes: none.nodes.map((node): CalicoNode => {
      const asNumber = numbers.get(node.name)
      return asNumber === undefined ? node : { ...node, asNumber }
    }),
  }
  const known = classicPodAddresses(model, pods)
  const addresses = planAddresses({
    resources,
    pods: pods.map((pod) => {
      const address = known.get(`${pod.namespace}/${pod.name}`)
      return address === undefined ? pod : { ...pod, address }
    }),
    namespaces: cluster.namespaces,
    wireguardNodes: new Set(),
    reclaimsEmptyBlocks: CALICO_CLASSIC.reclaimsEmptyBlocks,
    seed,
    ...(before === undefined ? {} : { before }),
  })
  return {
    release: CALICO_CLASSIC,
    manifest,
    resources,
    serviceAccounts: [],
    poolsUse: { ipip: resources.ipPools.some(({ ipipMode }) => ipipMode !== 'Never'), vxlan: false },
    felixSettings: new Map(),
    mtus: new Map(),
    addresses,
    endpoints: new Map(),
    problems: addresses.problems,
  }
}

function endpointsOn(cluster: Cluster, { model }: ClassicCluster, node: string, macOf: (pod: ClusterPod) => Mac): readonly WorkloadEndpoint[] {
  return podsOn(cluster, node).flatMap((pod) => {
    const endpoint = endpointOf(model, pod)
    return endpoint === undefined ? [] : [{ ...sharedEndpoint(endpoint, pod), mac: macOf(pod) }]
  })
}

/** An endpoint without a Pod is in the chains and the sets; there is no netns that could send from it. */
function reportHomeless(model: ClassicModel, pods: readonly ClusterPod[], problems: ProblemList): void {
  const homes = new Set(pods.map((pod) => endpointOf(model, pod)))
  const homeless = model.workloadEndpoints.filter((endpoint) => !homes.has(endpoint))
  if (homeless.length === 0) return
  const names = homeless.map(({ workload }) => workload).join(', ')
  problems.warning(
    homeless[0],
    `workloadEndpoint/${homeless[0].workload}`,
    `no Pod belongs to ${homeless.length === 1 ? 'the endpoint' : `${homeless.length} endpoints:`} ${names}; rules count with it, nothing can be sent from it`,
    'Add a Pod with spec.nodeName; a workload NAMESPACE.POD of orchestrator k8s is that Pod.',
  )
}

interface NodeInput {
  readonly cluster: Cluster
  readonly host: CalicoHost
  readonly calico: CalicoCluster
  readonly classic: ClassicCluster
  readonly nodes: readonly CalicoNode[]
  readonly seed: number
}

interface NodePart {
  readonly part: CalicoPart
  readonly problems: readonly Problem[]
}

function nodePart({ cluster, host, calico, classic, nodes, seed }: NodeInput): NodePart {
  const { name } = host.node
  const { config } = classicConfig(classic, name)
  const node = nodes.find((candidate) => candidate.name === name)
  const tunnelAddress = config.ipipTunnelAddress ?? node?.ipipTunnelAddress
  const tunnels = config.ipip && tunnelAddress !== undefined ? [ipipDevice(tunnelAddress, config.ipipMtu)] : []
  const felix = renderClassic({
    cluster: classic,
    node: name,
    interfaces: hostInterfaces([...host.dataplane.devices, ...tunnels]),
    ...(node?.ipipTunnelAddress === undefined ? {} : { ipipTunnelAddress: node.ipipTunnelAddress }),
  })
  const workloads = (calico.endpoints.get(name) ?? []).filter(({ ipNetworks }) => ipNetworks.length > 0)
  const ends = workloads.map((endpoint) => ({ endpoint, part: plugIn(endpoint, host, seed) }))
  const plugged = {
    devices: ends.map(({ part }) => part.device),
    routes: ends.flatMap(({ part }) => part.routes),
    sysctls: Object.assign({}, ...ends.map(({ part }) => part.sysctls)) as Dataplane['sysctls'],
    chainEdits: [],
  }
  return {
    part: {
      plugged,
      devices: [...tunnels, ...plugged.devices],
      routes: plugged.routes,
      rules: [],
      neighbours: felix.neighbours,
      fdb: [],
      sysctls: { ...FORWARDING, ...plugged.sysctls, ...felix.sysctls },
      ipsets: felix.ipsets,
      sockets: birdSockets(calico, node),
      chainEdits: felix.edits,
      pods: ends.flatMap(({ endpoint, part }) => {
        const pod = cluster.podByName.get(`${endpoint.namespace}/${endpoint.pod}`)
        return pod === undefined ? [] : [{ pod, address: endpoint.ipNetworks[0].base, dataplane: { ...part.pod, sockets: podSockets(pod) } }]
      }),
    },
    problems: felix.problems,
  }
}

function plugIn(endpoint: WorkloadEndpoint, { dataplane }: CalicoHost, seed: number): WorkloadPart {
  return renderWorkload({
    endpoint,
    mtu: POD_MTU,
    routeMetric: CALICO_CLASSIC.workloadRouteMetric,
    routeProtocol: BOOT,
    defaultRpFilter: dataplane.sysctls['net.ipv4.conf.default.rp_filter'] ?? 0,
    floatingIps: true,
    ipv6: false,
    ipForwarding: false,
    seed,
  })
}

/** RTPROT_BOOT, which `ip route` writes where nobody says otherwise. */
const BOOT = 3
