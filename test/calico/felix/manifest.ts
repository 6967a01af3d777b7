/** Manifests → what Felix's render starts from, with endpoints made of pods in the shortest words. */
import { ip } from '../../../src/base/ip.js'
import { cidr } from '../../../src/base/cidr.js'
import { backendPolicy, type BackendPolicy } from '../../../src/calico/felix/backend-policy.js'
import { compilePolicies, type FelixPolicies, type PolicyInputs } from '../../../src/calico/felix/felix.js'
import { clusterNetworkPolicy } from '../../../src/calico/felix/cluster-network-policy.js'
import { kubernetesPolicy } from '../../../src/calico/felix/kubernetes-policy.js'
import { CALICO_3_32 } from '../../../src/calico/version.js'
import { readCalicoResources, type CalicoResources } from '../../../src/cluster/calico/calico-resources.js'
import type { WorkloadEndpoint } from '../../../src/cluster/calico/endpoint.js'
import type { EndpointPort } from '../../../src/cluster/calico/resource.js'
import type { Labels } from '../../../src/cluster/labels.js'
import { readManifests } from '../../../src/cluster/manifest.js'
import { ProblemList } from '../../../src/cluster/problem-list.js'

export interface ReadManifest {
  readonly resources: CalicoResources
  readonly policies: readonly BackendPolicy[]
}

export function manifest(text: string): ReadManifest {
  const problems = new ProblemList()
  const { objects } = readManifests([{ file: 'policies.yaml', text }], problems)
  const resources = readCalicoResources({ objects, nodes: [], findsAddress: true }, problems)
  const [error] = problems.problems.filter(({ severity }) => severity === 'error')
  if (error !== undefined) throw new Error(`${error.file}:${error.line} ${error.what}`)
  return {
    resources,
    policies: [
      ...resources.policies.map(backendPolicy),
      ...resources.kubernetesPolicies.map(kubernetesPolicy),
      ...resources.clusterNetworkPolicies.map(clusterNetworkPolicy),
    ],
  }
}

export interface PodWords {
  readonly name: string
  readonly namespace?: string
  readonly node?: string
  readonly address: string
  readonly interfaceName: string
  readonly labels?: Labels
  readonly ports?: readonly EndpointPort[]
  readonly serviceAccount?: string
}

export function podEndpoint({ name, namespace = 'default', node = 'n1', serviceAccount = 'default', ...pod }: PodWords): WorkloadEndpoint {
  return {
    name: `${node}-k8s-${name}-eth0`,
    namespace,
    labels: {
      ...pod.labels,
      'projectcalico.org/namespace': namespace,
      'projectcalico.org/orchestrator': 'k8s',
      'projectcalico.org/serviceaccount': serviceAccount,
    },
    annotations: {},
    file: 'pods.yaml',
    line: 1,
    node,
    orchestrator: 'k8s',
    workload: `${namespace}.${name}`,
    pod: name,
    endpoint: 'eth0',
    serviceAccount,
    interfaceName: pod.interfaceName,
    ipNetworks: [cidr(ip(pod.address), 32)],
    ipNats: [],
    profiles: [`kns.${namespace}`, `ksa.${namespace}.${serviceAccount}`],
    ports: pod.ports ?? [],
    allowedSourcePrefixes: [],
  }
}

export function compiled(text: string, pods: readonly WorkloadEndpoint[], more: Partial<PolicyInputs> = {}): FelixPolicies {
  const { resources } = manifest(text)
  const namespaces = [...new Set(pods.map(({ namespace }) => namespace))]
  return compilePolicies({
    release: CALICO_3_32,
    tiers: resources.tiers,
    policies: resources.policies,
    kubernetesPolicies: resources.kubernetesPolicies,
    clusterPolicies: resources.clusterNetworkPolicies,
    profiles: resources.profiles,
    namespaces: namespaces.map((name) => ({ name, labels: { team: name } })),
    serviceAccounts: [],
    workloadEndpoints: pods,
    hostEndpoints: resources.hostEndpoints,
    networkSets: [...resources.networkSets, ...resources.globalNetworkSets],
    services: [],
    ...more,
  })
}
