/**
 * Services as far as BGP announces them: Service and EndpointSlice objects (the older Endpoints where a Service has no slice), and for a Service whose
 * endpoints nobody lists those that the EndpointSlice controller would find among the pods. Readiness plays no part, as in confd's routes.go.
 */
import { parseIp, type Ip } from '../base/ip.js'
import type { AdvertisedService } from '../calico/bgp/service-routes.js'
import type { Cluster } from '../cluster/cluster.js'
import { isObject, type JsonObject, type JsonValue } from '../cluster/located.js'
import { matchesLabels } from '../cluster/labels.js'
import type { KubernetesObject } from '../cluster/manifest.js'

const SERVICE_LABEL = 'kubernetes.io/service-name'
const TYPES = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'] as const

export function advertisedServices(cluster: Cluster): AdvertisedService[] {
  const listed = listedNodes(cluster)
  return cluster.objects.flatMap((object) => {
    if (object.kind !== 'Service' || object.apiVersion !== 'v1') return []
    const name = `${object.namespace}/${object.name}`
    const spec = mapping(object.value.spec)
    return [{ ...serviceOf(object, spec), name, endpointNodes: [...new Set(listed.get(name) ?? selectedNodes(cluster, object.namespace, spec))] }]
  })
}

function serviceOf({ value }: KubernetesObject, spec: JsonObject): Omit<AdvertisedService, 'name' | 'endpointNodes'> {
  const own = items(spec.clusterIPs)
  return {
    type: TYPES.find((type) => type === spec.type) ?? 'ClusterIP',
    clusterIPs: addresses(own.length > 0 ? own : [spec.clusterIP]),
    externalIPs: addresses(items(spec.externalIPs)),
    loadBalancerIPs: addresses(items(mapping(mapping(value.status).loadBalancer).ingress).map((ingress) => mapping(ingress).ip)),
    ...(parsed(spec.loadBalancerIP) === undefined ? {} : { requestedLoadBalancerIP: parsed(spec.loadBalancerIP) }),
    externalTrafficPolicy: spec.externalTrafficPolicy === 'Local' ? 'Local' : 'Cluster',
  }
}

/** Nodes of the endpoints that objects list, by `namespace/name` of the Service. */
function listedNodes({ objects, podsByAddress }: Cluster): ReadonlyMap<string, readonly string[]> {
  const slices = new Map<string, string[]>()
  const older = new Map<string, string[]>()
  const nodeOf = (endpoint: JsonObject, address: JsonValue | undefined): string[] => {
    const at = parsed(address)
    const node = typeof endpoint.nodeName === 'string' ? endpoint.nodeName : at === undefined ? undefined : podsByAddress.get(at)?.[0]?.node
    return node === undefined ? [] : [node]
  }
  for (const { kind, namespace, name, value } of objects) {
    if (kind === 'EndpointSlice' && value.addressType !== 'IPv6' && value.addressType !== 'FQDN') {
      const service = mapping(mapping(value.metadata).labels)[SERVICE_LABEL]
      if (typeof service !== 'string') continue
      const nodes = items(value.endpoints).flatMap((endpoint) => nodeOf(mapping(endpoint), items(mapping(endpoint).addresses)[0]))
      slices.set(`${namespace}/${service}`, [...(slices.get(`${namespace}/${service}`) ?? []), ...nodes])
    } else if (kind === 'Endpoints') {
      const subsets = items(value.subsets).flatMap((subset) => [...items(mapping(subset).addresses), ...items(mapping(subset).notReadyAddresses)])
      older.set(
        `${namespace}/${name}`,
        subsets.flatMap((endpoint) => nodeOf(mapping(endpoint), mapping(endpoint).ip)),
      )
    }
  }
  return new Map([...older, ...slices])
}

/** Of a Service with a selector. */
function selectedNodes({ pods }: Cluster, namespace: string, { selector }: JsonObject): string[] {
  const wanted = Object.entries(mapping(selector)).filter((entry): entry is [string, string] => typeof entry[1] === 'string')
  if (wanted.length === 0) return []
  const labels = Object.fromEntries(wanted)
  return pods.flatMap((pod) =>
    pod.namespace === namespace && !pod.terminated && pod.node !== undefined && matchesLabels(labels, pod.labels) ? [pod.node] : [],
  )
}

function mapping(value: JsonValue | undefined): JsonObject {
  return isObject(value) ? value : {}
}

function items(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? (value as readonly JsonValue[]) : []
}

function parsed(value: JsonValue | undefined): Ip | undefined {
  return typeof value === 'string' ? parseIp(value) : undefined
}

function addresses(values: readonly (JsonValue | undefined)[]): Ip[] {
  return values.flatMap((value) => parsed(value) ?? [])
}
