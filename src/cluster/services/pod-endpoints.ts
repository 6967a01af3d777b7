/**
 * Endpoints that the EndpointSlice controller would list: pods behind the selector, their conditions, their own port of a name, hints.
 * Source: kubernetes/endpointslice utils.go, reconciler.go, trafficdist/trafficdist.go; kubernetes pkg/api/v1/pod/util.go.
 */
import type { Ip } from '../../base/ip.js'
import type { Cluster } from '../cluster.js'
import type { ClusterPod } from '../pod.js'
import type { ListedAddress, ListedPort } from './listed-endpoints.js'
import type { ClusterService, ServicePort } from './service.js'

const ZONE_LABEL = 'topology.kubernetes.io/zone'

export type AddressOf = (pod: ClusterPod) => Ip | undefined

/** @param pods behind the selector */
export function addressesOfPods(
  service: ClusterService,
  pods: readonly ClusterPod[],
  { nodeByName }: Pick<Cluster, 'nodeByName'>,
  addressOf: AddressOf,
): ListedAddress[] {
  return pods.flatMap((pod) => {
    const node = pod.node === undefined ? undefined : nodeByName.get(pod.node)
    // a pod whose node is gone is gone with it
    if (pod.terminated || (node === undefined && !service.publishNotReady)) return []
    const address = pod.address ?? addressOf(pod)
    if (address === undefined) return []
    const zone = node?.labels[ZONE_LABEL]
    const ready = service.publishNotReady || (pod.ready && !pod.terminating)
    const endpoint: ListedAddress['endpoint'] = {
      address,
      ...(pod.node === undefined ? {} : { node: pod.node }),
      ...(zone === undefined ? {} : { zone }),
      ready,
      serving: pod.ready,
      terminating: pod.terminating,
      ...(pod.hostname !== undefined && pod.subdomain === service.name ? { hostname: pod.hostname } : {}),
      ...(ready ? hintsOf(service, pod.node, zone) : {}),
      pod,
    }
    return [{ endpoint, ports: service.ports.flatMap((port) => portOn(pod, port)) }]
  })
}

/** A distribution hints each endpoint at its own place; the heuristic of topology-mode Auto is not modelled. */
function hintsOf(
  { trafficDistribution: distribution }: ClusterService,
  node: string | undefined,
  zone: string | undefined,
): Pick<ListedAddress['endpoint'], 'forZones' | 'forNodes'> {
  if (distribution === undefined || distribution === 'Auto') return {}
  const near = distribution === 'PreferSameNode' && node !== undefined
  return { ...(zone === undefined ? {} : { forZones: [zone] }), ...(near ? { forNodes: [node] } : {}) }
}

/** A number as it is; a name as the pod's containers give it, and none where no container does (FindPort). */
function portOn(pod: ClusterPod, { name, protocol, targetPort }: ServicePort): ListedPort[] {
  const port = targetPortOn(pod, { protocol, targetPort })
  return port === undefined ? [] : [{ name, protocol, port }]
}

export function targetPortOn(pod: ClusterPod, { protocol, targetPort }: Pick<ServicePort, 'protocol' | 'targetPort'>): number | undefined {
  if (typeof targetPort === 'number') return targetPort
  for (const { ports } of [...pod.containers.filter(({ sidecar }) => !sidecar), ...pod.containers.filter(({ sidecar }) => sidecar)]) {
    const found = ports.find((port) => port.name === targetPort && port.protocol === protocol)
    if (found !== undefined) return found.port
  }
  return undefined
}
