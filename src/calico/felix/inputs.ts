/**
 * From what stands in the cluster to what Felix starts from: resources and Kubernetes objects → PolicyInputs, RouteInputs. Service endpoints
 * come from EndpointSlices, as Felix reads them (felix/serviceindex/serviceindex.go).
 */
import type { Cidr } from '../../base/cidr.js'
import { parseIp, type Ip } from '../../base/ip.js'
import type { CalicoNode } from '../../cluster/calico/calico-node.js'
import type { CalicoResources } from '../../cluster/calico/calico-resources.js'
import type { WorkloadEndpoint } from '../../cluster/calico/endpoint.js'
import type { KubernetesNetworkPolicy } from '../../cluster/calico/kubernetes-policy.js'
import type { Labels } from '../../cluster/labels.js'
import { isObject, type JsonObject, type JsonValue } from '../../cluster/located.js'
import type { KubernetesObject } from '../../cluster/manifest.js'
import type { CalicoProfile } from '../version.js'
import type { RouteInputs, RouteNode } from './cluster-routes.js'
import type { ServiceEndpoints } from './endpoint-index.js'
import type { PolicyInputs } from './felix.js'

interface ClusterObjects {
  readonly resources: CalicoResources
  readonly namespaces: readonly { readonly name: string; readonly labels: Labels }[]
  /** All of the input: ServiceAccounts and EndpointSlices are taken from it. */
  readonly objects: readonly KubernetesObject[]
  /** Of all nodes: those of pods and those that stand as resources. */
  readonly workloadEndpoints: readonly WorkloadEndpoint[]
}

export function policyInputs({ resources, namespaces, objects, workloadEndpoints }: ClusterObjects, release: CalicoProfile): PolicyInputs {
  return {
    release,
    tiers: resources.tiers,
    policies: resources.policies,
    kubernetesPolicies: resources.kubernetesPolicies.map(withTypes),
    clusterPolicies: resources.clusterNetworkPolicies,
    profiles: resources.profiles,
    namespaces,
    serviceAccounts: objects
      .filter(({ apiVersion, kind }) => apiVersion === 'v1' && kind === 'ServiceAccount')
      .map(({ namespace, name, value }) => ({ namespace, name, labels: labelsOf(value) })),
    workloadEndpoints,
    hostEndpoints: resources.hostEndpoints,
    networkSets: [...resources.networkSets, ...resources.globalNetworkSets],
    services: objects.filter(({ kind }) => kind === 'EndpointSlice').flatMap(sliceEndpoints),
  }
}

/** Nobody stores a NetworkPolicy without types: the API server says them (SetDefaults_NetworkPolicy of kubernetes/pkg/apis/networking/v1/defaults.go). */
function withTypes(policy: KubernetesNetworkPolicy): KubernetesNetworkPolicy {
  if (policy.staged || policy.policyTypes.length > 0) return policy
  return { ...policy, policyTypes: policy.egress.length > 0 ? ['Ingress', 'Egress'] : ['Ingress'] }
}

function labelsOf(value: JsonObject): Labels {
  const { metadata } = value
  const labels = isObject(metadata) && isObject(metadata.labels) ? metadata.labels : {}
  return Object.fromEntries(Object.entries(labels).filter((entry): entry is [string, string] => typeof entry[1] === 'string'))
}

function itemsOf(value: JsonValue | undefined): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : []
}

const SERVICE_LABEL = 'kubernetes.io/service-name'

/** A slice that says no service belongs to none; of IPv6 ones there is no set here. */
function sliceEndpoints({ namespace, value }: KubernetesObject): readonly ServiceEndpoints[] {
  const labels = labelsOf(value)
  const name = Object.hasOwn(labels, SERVICE_LABEL) ? labels[SERVICE_LABEL] : undefined
  if (name === undefined) return []
  const addresses = itemsOf(value.endpoints).flatMap((endpoint) => (Array.isArray(endpoint.addresses) ? (endpoint.addresses as readonly JsonValue[]) : []))
  return [
    {
      service: `${namespace}/${name}`,
      addresses: addresses.filter((address): address is string => typeof address === 'string' && parseIp(address) !== undefined),
      ports: itemsOf(value.ports).flatMap(({ port, protocol }) =>
        typeof port === 'number' ? [{ port, protocol: typeof protocol === 'string' ? protocol : 'TCP' }] : [],
      ),
    },
  ]
}

function routeNode(node: CalicoNode): RouteNode {
  const { name, bgpAddress, ipipTunnelAddress, vxlanTunnelAddress, vxlanTunnelMac, wireguardAddress, wireguardPublicKey } = node
  return {
    name,
    ...(bgpAddress === undefined ? {} : { address: bgpAddress }),
    ...(ipipTunnelAddress === undefined ? {} : { ipipTunnelAddress }),
    ...(vxlanTunnelAddress === undefined ? {} : { vxlanTunnelAddress }),
    ...(vxlanTunnelMac === undefined ? {} : { vxlanTunnelMac }),
    ...(wireguardAddress === undefined ? {} : { wireguardAddress }),
    ...(wireguardPublicKey === undefined ? {} : { wireguardPublicKey }),
  }
}

/** @param allocated blocks by affinity and the nodes, both as IPAM left them: tunnel addresses filled in */
export function routeInputs(
  { resources, workloadEndpoints }: Pick<ClusterObjects, 'resources' | 'workloadEndpoints'>,
  allocated: { readonly blocks: readonly { readonly cidr: Cidr; readonly node: string }[]; readonly nodes: readonly CalicoNode[] },
): RouteInputs {
  return {
    nodes: allocated.nodes.map(routeNode),
    pools: resources.ipPools,
    blocks: allocated.blocks,
    workloads: workloadEndpoints.flatMap(({ ipNetworks, node }) => ipNetworks.map(({ base }): { address: Ip; node: string } => ({ address: base, node }))),
  }
}
