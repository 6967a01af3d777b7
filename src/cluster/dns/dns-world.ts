/** What a cluster's DNS answers from: settings, Services with their endpoints, namespaces and pods, by what they are asked for. */
import type { Ip } from '../../base/ip.js'
import type { Cluster } from '../cluster.js'
import type { ClusterPod } from '../pod.js'
import { allEndpoints } from '../services/endpoints.js'
import type { ServiceEndpoints } from '../services/service.js'
import { readDnsSettings, type DnsSettings } from './dns-settings.js'

export interface DnsWorld {
  readonly settings: DnsSettings
  /** By `name.namespace`, lower case. */
  readonly services: ReadonlyMap<string, ServiceEndpoints>
  readonly namespaces: ReadonlySet<string>
  /** Living pods with an address, by it. */
  readonly pods: ReadonlyMap<Ip, readonly ClusterPod[]>
}

export interface DnsWorldInput {
  readonly settings: DnsSettings
  readonly services: readonly ServiceEndpoints[]
  /** Names of those that exist. */
  readonly namespaces: readonly string[]
  readonly pods: readonly ClusterPod[]
  /** Of a pod, once IPAM has given it one; absent: what the object says. */
  readonly addressOf?: (pod: ClusterPod) => Ip | undefined
}

export function buildDnsWorld({ settings, services, namespaces, pods, addressOf = ({ address }) => address }: DnsWorldInput): DnsWorld {
  const byAddress = new Map<Ip, ClusterPod[]>()
  for (const pod of pods) {
    const address = pod.terminated ? undefined : addressOf(pod)
    const sharing = address === undefined ? undefined : byAddress.get(address)
    if (sharing !== undefined) sharing.push(pod)
    else if (address !== undefined) byAddress.set(address, [pod])
  }
  return {
    settings,
    services: new Map(services.map((endpoints) => [`${endpoints.service.name}.${endpoints.service.namespace}`.toLowerCase(), endpoints])),
    namespaces: new Set([...namespaces, ...services.map(({ service }) => service.namespace)]),
    pods: byAddress,
  }
}

/** @param addressOf the address of a pod, once IPAM has given it one */
export function clusterDnsWorld(cluster: Cluster, addressOf: (pod: ClusterPod) => Ip | undefined): DnsWorld {
  return buildDnsWorld({
    settings: readDnsSettings(cluster, cluster.services),
    services: allEndpoints(cluster, addressOf),
    namespaces: cluster.namespaces.map(({ name }) => name),
    pods: cluster.pods,
    addressOf,
  })
}
