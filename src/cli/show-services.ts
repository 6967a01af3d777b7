/**
 * What Kubernetes puts around the packet: `services` as `kubectl get services -A -o wide` prints them, `endpoints` port by port, the records of the
 * cluster's DNS, and Ingresses down to the endpoints behind their backends. What netsim drew, because no object says it, is marked assumed.
 */
import { formatIp } from '../base/ip.js'
import type { ClusterService, ServiceEndpoint, ServiceEndpoints, ServicePort } from '../cluster/services/service.js'
import { chosen, type Wanted } from './chosen.js'
import type { Loaded } from './load-network.js'
import type { Shown } from './show-command.js'
import { showDns } from './show-dns.js'
import { showIngress } from './show-ingress.js'
import type { ServiceKind } from './show-names.js'
import { table } from './table.js'

/** @throws UsageError that names the nearest */
export function showServiceKind(kind: ServiceKind, wanted: Wanted, loaded: Loaded): Shown {
  if (kind === 'dns') return showDns(wanted, loaded)
  if (kind === 'ingress') return showIngress(wanted, loaded)
  const all = chosen(
    'Service',
    loaded.network.services.endpoints.map((one) => ({ ...one, namespace: one.service.namespace, name: one.service.name })),
    wanted,
  )
  return kind === 'services' ? servicesShown(all.map(({ service }) => service)) : endpointsShown(all)
}

// ---- services

function servicesShown(services: readonly ClusterService[]): Shown {
  const rows = services.map((service) => [
    service.namespace,
    service.name,
    service.type,
    clusterAddress(service),
    outsideAddresses(service),
    service.ports.map(portText).join(','),
    Object.entries(service.selector ?? {})
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
  ])
  return { items: services.map(serviceItem), text: table(['NAMESPACE', 'NAME', 'TYPE', 'CLUSTER-IP', 'EXTERNAL-IP', 'PORT(S)', 'SELECTOR'], rows) }
}

function clusterAddress({ clusterIP, clusterIPAssumed, headless }: ClusterService): string | undefined {
  if (headless) return 'None'
  return clusterIP === undefined ? undefined : marked(formatIp(clusterIP), clusterIPAssumed)
}

/** kubectl's getServiceExternalIP: load balancers first, then spec.externalIPs. */
function outsideAddresses({ type, externalName, externalIPs, loadBalancerAddresses, loadBalancerHostnames }: ClusterService): string | undefined {
  if (type === 'ExternalName') return externalName
  const addresses = [
    ...loadBalancerAddresses.map(({ address, assumed }) => marked(formatIp(address), assumed)),
    ...loadBalancerHostnames,
    ...externalIPs.map((address) => formatIp(address)),
  ]
  return addresses.length === 0 && type === 'LoadBalancer' ? '<pending>' : addresses.join(',')
}

function portText({ port, nodePort, nodePortAssumed, protocol }: ServicePort): string {
  return `${port}${nodePort === undefined ? '' : `:${marked(`${nodePort}`, nodePortAssumed)}`}/${protocol}`
}

function marked(text: string, assumed: boolean): string {
  return assumed ? `${text} (assumed)` : text
}

function serviceItem(service: ClusterService): object {
  const { namespace, name, type, clusterIP, clusterIPAssumed, headless, externalName, file, line } = service
  return {
    namespace,
    name,
    type,
    ...(headless ? { clusterIP: 'None' } : clusterIP === undefined ? {} : { clusterIP: formatIp(clusterIP), clusterIPAssumed }),
    ...(externalName === undefined ? {} : { externalName }),
    externalIPs: service.externalIPs.map((address) => formatIp(address)),
    loadBalancer: [
      ...service.loadBalancerAddresses.map(({ address, mode, assumed }) => ({ address: formatIp(address), mode, assumed })),
      ...service.loadBalancerHostnames.map((hostname) => ({ hostname })),
    ],
    ports: service.ports.map(portItem),
    selector: service.selector ?? {},
    externalTrafficPolicy: service.externalLocal ? 'Local' : 'Cluster',
    internalTrafficPolicy: service.internalLocal ? 'Local' : 'Cluster',
    ...(service.affinitySeconds === undefined ? {} : { sessionAffinitySeconds: service.affinitySeconds }),
    file,
    line,
  }
}

function portItem({ name, port, protocol, targetPort, nodePort, nodePortAssumed }: ServicePort): object {
  return { ...(name === '' ? {} : { name }), port, protocol, targetPort, ...(nodePort === undefined ? {} : { nodePort, nodePortAssumed }) }
}

// ---- endpoints

function endpointsShown(all: readonly ServiceEndpoints[]): Shown {
  const rows = all.flatMap(({ service, ports, addresses, from }) => {
    const head = [service.namespace, service.name]
    const lines = [
      ...ports.flatMap(({ port, endpoints }) => endpoints.map((one) => [...head, portWord(port), ...endpointCells(one, from)])),
      // a headless Service need not have ports
      ...(ports.length === 0 ? addresses.map((one) => [...head, undefined, ...endpointCells(one, from)]) : []),
    ]
    return lines.length > 0 || service.type === 'ExternalName' ? lines : [[...head, service.ports.map(portWord).join(',')]]
  })
  return { items: all.map(endpointsItem), text: table(['NAMESPACE', 'SERVICE', 'PORT', 'ENDPOINT', 'READY', 'NODE', 'ZONE', 'POD', 'FROM'], rows) }
}

function portWord({ name, port, protocol }: ServicePort): string {
  return `${port}/${protocol}${name === '' ? '' : ` (${name})`}`
}

function endpointCells(endpoint: ServiceEndpoint, from: ServiceEndpoints['from']): (string | undefined)[] {
  const { address, port, node, zone, pod } = endpoint
  return [port === 0 ? formatIp(address) : `${formatIp(address)}:${port}`, readiness(endpoint), node, zone, pod?.name, from]
}

function readiness({ ready, serving, terminating }: ServiceEndpoint): string {
  const state = terminating ? (serving ? 'terminating, serving' : 'terminating') : 'no'
  return ready ? 'yes' : state
}

function endpointsItem({ service, ports, addresses, from }: ServiceEndpoints): object {
  return {
    namespace: service.namespace,
    service: service.name,
    from,
    ports: ports.map(({ port, endpoints }) => ({ ...portItem(port), endpoints: endpoints.map(endpointItem) })),
    addresses: addresses.map((one) => formatIp(one.address)),
  }
}

function endpointItem({ address, port, node, zone, ready, serving, terminating, hostname, pod }: ServiceEndpoint): object {
  return {
    address: formatIp(address),
    port,
    ready,
    serving,
    terminating,
    ...(node === undefined ? {} : { node }),
    ...(zone === undefined ? {} : { zone }),
    ...(hostname === undefined ? {} : { hostname }),
    ...(pod === undefined ? {} : { pod: `${pod.namespace}/${pod.name}` }),
  }
}
