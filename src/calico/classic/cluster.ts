/**
 * The classic model with what a running cluster adds to it: the policy controller's policies and profiles, an endpoint for every pod that has
 * none, the nodes that calico/node has made known. And the way back to today's resources, for the agents that both share: IPAM, BIRD, the CNI
 * plugin's plumbing.
 * Source: calico cni-plugin v1.5 k8s/k8s.go (CmdAddK8s), calico.go (the profile that it makes); libcalico-go v1.0 lib/client.
 */
import { formatCidr } from '../../base/cidr.js'
import { formatIp, type Ip } from '../../base/ip.js'
import type { Mac } from '../../base/mac.js'
import type { BGPConfiguration, BGPPeer } from '../../cluster/calico/bgp.js'
import {
  ANY_CLASSIC_MATCH,
  type ClassicModel,
  type ClassicProfile,
  type ClassicRule,
  type ClassicWorkloadEndpoint,
} from '../../cluster/calico/classic-model.js'
import type { WorkloadEndpoint } from '../../cluster/calico/endpoint.js'
import { IP_POOL_DEFAULTS, type IPPool } from '../../cluster/calico/ip-pool.js'
import { CALICO_GROUPS, groupOf } from '../../cluster/kinds.js'
import type { ClusterNamespace } from '../../cluster/cluster.js'
import type { KubernetesObject } from '../../cluster/manifest.js'
import type { ClusterPod } from '../../cluster/pod.js'
import type { ProblemList } from '../../cluster/problem-list.js'
import { hostInterfaceName, workloadEndpointOfPod } from '../workload-endpoint.js'
import { compileClassic, type ClassicCluster } from './classic.js'
import { asksForController, namespaceProfileName, NAMESPACE_LABEL, policyController } from './policy-controller.js'

interface ClassicClusterInput {
  readonly model: ClassicModel
  readonly objects: readonly KubernetesObject[]
  readonly namespaces: readonly ClusterNamespace[]
  readonly nodes: readonly { readonly name: string; readonly address: Ip }[]
  /** Those on the pod network that have a node. */
  readonly pods: readonly ClusterPod[]
  readonly addressOf: (pod: ClusterPod) => Ip | undefined
  /** Of eth0 in the pod: the CNI plugin writes it down, and Felix drops what has another. */
  readonly macOf: (pod: ClusterPod) => Mac | undefined
  /** `name` of the CNI configuration: the profile of every pod where no policy controller runs. */
  readonly networkName?: string
}

const DEFAULT_NETWORK_NAME = 'k8s-pod-network'
const KUBERNETES = 'k8s'

export function buildClassicCluster(input: ClassicClusterInput, problems: ProblemList): ClassicCluster {
  const { model, objects, namespaces, networkName = DEFAULT_NETWORK_NAME } = input
  const controlled = asksForController(objects, namespaces)
  const networkPolicies = objects.filter(({ kind, apiVersion }) => kind === 'NetworkPolicy' && !CALICO_GROUPS.includes(groupOf(apiVersion)))
  const made = controlled ? policyController({ networkPolicies, namespaces }, problems) : { tiers: [], policies: [], profiles: [] }
  const profileOf = (pod: ClusterPod): string => (controlled ? namespaceProfileName(pod.namespace) : networkName)
  const derived = input.pods
    .filter((pod) => endpointOf(model, pod) === undefined)
    .map((pod) => podEndpoint(pod, { ...input, profile: profileOf(pod), controlled }))
  const completed: ClassicModel = {
    ...model,
    tiers: overlaid(model.tiers, made.tiers),
    policies: overlaid(model.policies, made.policies),
    profiles: withNetworkProfile(
      overlaid(model.profiles, made.profiles),
      derived.some(({ profiles }) => profiles.includes(networkName)) ? networkName : undefined,
    ),
    workloadEndpoints: [...model.workloadEndpoints, ...derived],
    nodes: completedNodes(model, input.nodes),
  }
  return compileClassic(completed)
}

/** The newer of one name takes the older's place. */
function overlaid<Item extends { readonly name: string; readonly tier?: string }>(older: readonly Item[], newer: readonly Item[]): readonly Item[] {
  const key = ({ tier, name }: Item): string => `${tier ?? ''}/${name}`
  return [...new Map([...older, ...newer].map((item) => [key(item), item])).values()]
}

/** calico/node makes its host known when it starts. */
function completedNodes({ nodes }: ClassicModel, known: ClassicClusterInput['nodes']): ClassicModel['nodes'] {
  const own = nodes.map((node) => {
    const address = node.address ?? known.find(({ name }) => name === node.name)?.address
    return address === undefined ? node : { ...node, address }
  })
  const started = known.filter(({ name }) => !nodes.some((node) => node.name === name))
  return [...own, ...started.map(({ name, address }) => ({ name, address, file: '', line: 0 }))]
}

/** The CNI plugin makes it when it is not there: under Kubernetes it lets everything through. */
function withNetworkProfile(profiles: readonly ClassicProfile[], name: string | undefined): readonly ClassicProfile[] {
  if (name === undefined || profiles.some((profile) => profile.name === name)) return profiles
  const allow: ClassicRule = { action: 'allow', match: ANY_CLASSIC_MATCH, not: ANY_CLASSIC_MATCH, file: '', line: 0 }
  return [...profiles, { name, rules: { inbound: [allow], outbound: [allow] }, tags: [name], labels: {}, file: '', line: 0 }]
}

/** The endpoint that stands in the model for this pod. */
export function endpointOf({ workloadEndpoints }: ClassicModel, { namespace, name, node }: ClusterPod): ClassicWorkloadEndpoint | undefined {
  return workloadEndpoints.find(
    (endpoint) => endpoint.orchestrator === KUBERNETES && endpoint.workload === `${namespace}.${name}` && (node === undefined || endpoint.node === node),
  )
}

interface PodEndpointOptions extends Pick<ClassicClusterInput, 'model' | 'addressOf' | 'macOf'> {
  readonly profile: string
  readonly controlled: boolean
}

function podEndpoint(pod: ClusterPod, { model, addressOf, macOf, profile, controlled }: PodEndpointOptions): ClassicWorkloadEndpoint {
  const address = addressOf(pod)
  const mac = macOf(pod)
  return {
    node: pod.node ?? '',
    orchestrator: KUBERNETES,
    workload: `${pod.namespace}.${pod.name}`,
    name: 'eth0',
    active: true,
    interfaceName: hostInterfaceName(pod.namespace, pod.name, model.settings.get('InterfacePrefix')?.value),
    ...(mac === undefined ? {} : { mac }),
    profiles: [profile],
    ipNetworks: address === undefined ? [] : [{ base: address, length: 32 }],
    ipNats: [],
    labels: controlled ? { ...pod.labels, [NAMESPACE_LABEL]: pod.namespace } : {},
    file: pod.file,
    line: pod.line,
  }
}

/** For renderWorkload: the pod's end is eth0 whatever the endpoint is called. */
export function sharedEndpoint({ interfaceName, mac, ipNetworks, ipNats, profiles, labels }: ClassicWorkloadEndpoint, pod: ClusterPod): WorkloadEndpoint {
  return { ...workloadEndpointOfPod(pod, ipNetworks[0]?.base), interfaceName, ipNetworks, ipNats, profiles, labels, ...(mac === undefined ? {} : { mac }) }
}

/** Addresses that endpoints of the model have, by `namespace/name` of their pods: IPAM gave them before. */
export function classicPodAddresses(model: ClassicModel, pods: readonly ClusterPod[]): ReadonlyMap<string, Ip> {
  return new Map(
    pods.flatMap((pod): [string, Ip][] => {
      const network = endpointOf(model, pod)?.ipNetworks[0]
      return network === undefined ? [] : [[`${pod.namespace}/${pod.name}`, network.base]]
    }),
  )
}

/** For IPAM, tunnels and BIRD's export. */
export function sharedPools({ pools }: ClassicModel): readonly IPPool[] {
  return pools.map(({ cidr, ipip, ipipMode, masquerade, disabled, file, line }) => ({
    ...IP_POOL_DEFAULTS,
    name: formatCidr(cidr).replace('/', '-'),
    cidr,
    ...(ipip ? { ipipMode } : {}),
    natOutgoing: masquerade,
    disabled,
    file,
    line,
  }))
}

/** For BIRD. AS numbers of single nodes stand in `model.nodes`. */
export function sharedBgp({ asNumber, nodeMesh, bgpPeers }: ClassicModel): { readonly configuration: BGPConfiguration; readonly peers: readonly BGPPeer[] } {
  const none = { labels: {}, annotations: {} }
  return {
    configuration: {
      ...none,
      name: 'default',
      nodeToNodeMeshEnabled: nodeMesh,
      asNumber,
      serviceClusterIPs: [],
      serviceExternalIPs: [],
      serviceLoadBalancerIPs: [],
      communities: [],
      prefixAdvertisements: [],
      ignoredInterfaces: [],
      file: '',
      line: 0,
    },
    peers: bgpPeers.map(({ node, peerIP, asNumber: number, file, line }) => ({
      ...none,
      name: `${node ?? 'global'}-${formatIp(peerIP)}`,
      ...(node === undefined ? {} : { node }),
      peerIP,
      asNumber: number,
      keepOriginalNextHop: false,
      sourceAddress: 'UseNodeIP',
      filters: [],
      file,
      line,
    })),
  }
}
