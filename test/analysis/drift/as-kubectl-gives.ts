/** A network's objects as `kubectl get … -o json` would print them of the cluster that runs it: pods with their addresses, what agents wrote on nodes. */
import { formatIp } from '../../../src/base/ip.js'
import { formatMac } from '../../../src/base/mac.js'
import type { ClusterNode } from '../../../src/cluster/node.js'
import type { ClusterPod } from '../../../src/cluster/pod.js'
import type { Network } from '../../../src/network/network.js'

interface Json {
  readonly [key: string]: unknown
}

export type Keep = (kind: string, object: Json) => Json | undefined

/** One List, without what `keep` gives nothing of. */
export function asKubectlGives(network: Network, keep: Keep): string {
  const { cluster } = network
  const own = cluster.objects.filter(({ kind }) => kind !== 'Node' && kind !== 'Pod').map(({ value }) => value as Json)
  const objects = [...cluster.nodes.map((node) => nodeObject(network, node)), ...cluster.pods.map((pod) => podObject(network, pod)), ...own]
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects.flatMap((object) => keep(String(object.kind), object) ?? []) }, null, 1)
}

const FLANNEL = 'flannel.alpha.coreos.com'

function nodeObject(network: Network, node: ClusterNode): Json {
  const { flannel, cluster } = network
  const value = node.object.value as Json
  const metadata = value.metadata as Json
  const tunnel = network.dataplane(node.name)?.devices.find(({ kind }) => kind === 'vxlan')
  const written =
    flannel?.config === undefined || cluster.datastore !== 'kubernetes'
      ? {}
      : {
          [`${FLANNEL}/backend-type`]: flannel.config.backendType,
          [`${FLANNEL}/public-ip`]: formatIp(node.address),
          [`${FLANNEL}/kube-subnet-manager`]: 'true',
          [`${FLANNEL}/backend-data`]: tunnel?.mac === undefined ? 'null' : JSON.stringify({ VNI: 1, VtepMAC: formatMac(tunnel.mac) }),
        }
  return { ...value, metadata: { ...metadata, annotations: { ...written, ...(metadata.annotations as Json | undefined) } } }
}

function podObject(network: Network, pod: ClusterPod): Json {
  const { namespace, name, labels, node, hostNetwork, object, annotations } = pod
  const given = network.nodePlan(node ?? '')?.pods.find((one) => one.pod === pod)?.address
  const address = given ?? (hostNetwork ? network.cluster.nodeByName.get(node ?? '')?.address : undefined)
  const spec = object.value.spec as Json
  const written = 'template' in spec ? ((spec.template as Json).spec as Json) : spec
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, labels, annotations },
    spec: { ...written, nodeName: node },
    status: {
      phase: pod.phase,
      ...(address === undefined ? {} : { podIP: formatIp(address), podIPs: [{ ip: formatIp(address) }] }),
      conditions: [{ type: 'Ready', status: pod.ready ? 'True' : 'False' }],
    },
  }
}

const only =
  (...kinds: readonly string[]): Keep =>
  (kind, object) =>
    kinds.includes(kind) ? object : undefined

const bare: Keep = (kind, object) => (kind === 'Node' ? { ...object, metadata: { ...(object.metadata as Json), annotations: {} } } : object)

/** What people have at hand, by what they typed. */
export const GIVEN: Readonly<Record<string, Keep>> = {
  'nodes,pods,services,endpointslices,configmaps': only('Node', 'Pod', 'Service', 'EndpointSlice', 'ConfigMap'),
  'nodes,pods,services': only('Node', 'Pod', 'Service'),
  'nodes,pods': only('Node', 'Pod'),
  'nodes,pods,services, of nodes without annotations': (kind, object) => {
    const kept = only('Node', 'Pod', 'Service')(kind, object)
    return kept === undefined ? undefined : bare(kind, kept)
  },
}
