/**
 * Endpoints that objects list: EndpointSlices word for word, or the older Endpoints, as kube-proxy reads them.
 * Source: kubernetes pkg/proxy/endpointslicecache.go; api discovery/v1 and v1beta1, core/v1 types.go.
 */
import { parseIp } from '../../base/ip.js'
import type { Cluster } from '../cluster.js'
import { isObject, type JsonObject, type JsonValue } from '../located.js'
import type { KubernetesObject } from '../manifest.js'
import type { ServiceEndpoint, ServicePort } from './service.js'

const SERVICE_LABEL = 'kubernetes.io/service-name'
const ZONE_LABEL = 'topology.kubernetes.io/zone'
const HOSTNAME_LABEL = 'kubernetes.io/hostname'

/** One address with all ports that its object gives it. */
export interface ListedAddress {
  readonly endpoint: Omit<ServiceEndpoint, 'port'>
  readonly ports: readonly ListedPort[]
}

export interface ListedPort extends Pick<ServicePort, 'name' | 'protocol'> {
  readonly port: number
}

export type EndpointCluster = Pick<Cluster, 'objects' | 'podByName' | 'podsByAddress' | 'nodeByName'>

/** Objects that list endpoints, by `ns/name` of the Service. */
export interface ListingObjects {
  readonly slices: ReadonlyMap<string, readonly KubernetesObject[]>
  readonly endpoints: ReadonlyMap<string, KubernetesObject>
}

export function listingObjects({ objects }: Pick<Cluster, 'objects'>): ListingObjects {
  const slices = new Map<string, KubernetesObject[]>()
  const endpoints = new Map<string, KubernetesObject>()
  for (const object of objects) {
    if (object.kind === 'EndpointSlice') {
      const name = mapping(mapping(object.value.metadata).labels)[SERVICE_LABEL]
      if (typeof name !== 'string') continue
      const key = `${object.namespace}/${name}`
      const known = slices.get(key)
      if (known === undefined) slices.set(key, [object])
      else known.push(object)
    } else if (object.kind === 'Endpoints') endpoints.set(`${object.namespace}/${object.name}`, object)
  }
  return { slices, endpoints }
}

export function addressesOfSlice({ value, namespace }: KubernetesObject, cluster: EndpointCluster): ListedAddress[] {
  if (value.addressType === 'IPv6' || value.addressType === 'FQDN') return []
  const ports = items(value.ports).flatMap((port) => readPort(mapping(port)))
  return items(value.endpoints).flatMap((item) => {
    const endpoint = mapping(item)
    // kube-proxy and the API say so: of several addresses only the first is used
    const [text] = items(endpoint.addresses)
    const address = typeof text === 'string' ? parseIp(text) : undefined
    if (address === undefined) return []
    // of v1beta1; what v1 keeps of it in deprecatedTopology says neither node nor zone
    const topology = mapping(endpoint.topology)
    const conditions = mapping(endpoint.conditions)
    const hints = mapping(endpoint.hints)
    const read = {
      address,
      ...optionalText('node', endpoint.nodeName ?? topology[HOSTNAME_LABEL]),
      ...optionalText('zone', endpoint.zone ?? topology[ZONE_LABEL]),
      ready: conditions.ready !== false,
      serving: conditions.serving !== false,
      terminating: conditions.terminating === true,
      ...optionalText('hostname', endpoint.hostname),
      ...namesOf('forZones', hints.forZones),
      ...namesOf('forNodes', hints.forNodes),
      ...podOf(mapping(endpoint.targetRef), { address, namespace }, cluster),
    }
    return [{ endpoint: withZone(read, cluster), ports }]
  })
}

export function addressesOfEndpoints({ value, namespace }: KubernetesObject, cluster: EndpointCluster): ListedAddress[] {
  return items(value.subsets).flatMap((item) => {
    const subset = mapping(item)
    const ports = items(subset.ports).flatMap((port) => readPort(mapping(port)))
    const read = (list: JsonValue | undefined, ready: boolean): ListedAddress[] =>
      items(list).flatMap((each) => {
        const { ip, nodeName, hostname, targetRef } = mapping(each)
        const address = typeof ip === 'string' ? parseIp(ip) : undefined
        if (address === undefined) return []
        const endpoint = {
          address,
          ...optionalText('node', nodeName),
          ready,
          serving: ready,
          terminating: false,
          ...optionalText('hostname', hostname),
          ...podOf(mapping(targetRef), { address, namespace }, cluster),
        }
        return [{ endpoint: withZone(endpoint, cluster), ports }]
      })
    return [...read(subset.addresses, true), ...read(subset.notReadyAddresses, false)]
  })
}

/** None for all ports, or for number 0: kube-proxy passes it over. */
function readPort({ name, protocol, port }: JsonObject): ListedPort[] {
  if (typeof port !== 'number' || port === 0) return []
  return [{ name: typeof name === 'string' ? name : '', protocol: protocol === 'UDP' || protocol === 'SCTP' ? protocol : 'TCP', port }]
}

/** The pod that it names, or else the one that has the address. */
function podOf(
  { kind, name }: JsonObject,
  { address, namespace }: { readonly address: number; readonly namespace: string },
  { podByName, podsByAddress }: EndpointCluster,
): Pick<ServiceEndpoint, 'pod'> {
  const pod = (kind === 'Pod' && typeof name === 'string' ? podByName.get(`${namespace}/${name}`) : undefined) ?? podsByAddress.get(address)?.[0]
  return pod === undefined ? {} : { pod }
}

/** The older objects leave the zone to the node. Without a nodeName it is local nowhere, whatever runs there (addEndpoints upstream). */
function withZone(endpoint: Omit<ServiceEndpoint, 'port'>, { nodeByName }: EndpointCluster): Omit<ServiceEndpoint, 'port'> {
  const { node } = endpoint
  const zone = endpoint.zone ?? (node === undefined ? undefined : nodeByName.get(node)?.labels[ZONE_LABEL])
  return { ...endpoint, ...(zone === undefined ? {} : { zone }) }
}

function namesOf(key: 'forZones' | 'forNodes', value: JsonValue | undefined): Pick<ServiceEndpoint, 'forZones' | 'forNodes'> {
  const names = items(value).flatMap((item) => {
    const { name } = mapping(item)
    return typeof name === 'string' ? [name] : []
  })
  return names.length === 0 ? {} : { [key]: names }
}

function optionalText(key: 'node' | 'zone' | 'hostname', value: JsonValue | undefined): Pick<ServiceEndpoint, 'node' | 'zone' | 'hostname'> {
  return typeof value === 'string' && value !== '' ? { [key]: value } : {}
}

function mapping(value: JsonValue | undefined): JsonObject {
  return isObject(value) ? value : {}
}

function items(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? (value as readonly JsonValue[]) : []
}
