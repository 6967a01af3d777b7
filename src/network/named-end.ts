/**
 * Ends of a question that stand for an address: a Service, a container of a pod, the kubelet that probes a pod, a name that the source's resolver looks up.
 */
import { formatIp, type Ip } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import type { Resolution } from '../cluster/dns/resolve.js'
import { nearestName } from '../cluster/nearest-name.js'
import type { ClusterPod } from '../cluster/pod.js'
import type { ClusterService, ServiceEndpoints, ServicePort } from '../cluster/services/service.js'
import type { Endpoint } from './endpoint.js'
import type { Network } from './network.js'
import { PORT_PROTOCOLS } from './pods.js'
import type { Protocol } from './request.js'
import { notModelled, requestProblem } from './request-problem.js'

/** What follows the name: `:80`, `:http`. */
export interface Wanted {
  readonly port?: number | string
  readonly proto?: Protocol
}

/** Where a client of the Service connects to. */
export function serviceEnd(network: Network, name: { readonly namespace: string; readonly name: string }, wanted: Wanted): Endpoint | Problem {
  const label = `svc/${name.namespace}/${name.name}`
  const endpoints = network.services.endpointsOf(name)
  if (endpoints === undefined)
    return requestProblem(label, `there is no Service "${name.name}" in namespace "${name.namespace}"`, suggestService(network, name))
  const { service } = endpoints
  if (service.type === 'ExternalName') {
    const what = `${label} is an ExternalName: nobody proxies it, its name leads to ${service.externalName ?? ''}`
    return requestProblem(label, what, `Ask from a pod for its DNS name: ${service.name}.${service.namespace}.svc.${network.cluster.clusterDomain}`)
  }
  const port = servicePort(service, wanted)
  if (port !== undefined && 'severity' in port) return port
  if (service.headless) return headlessEnd(endpoints, port, label)
  if (service.clusterIP === undefined) return requestProblem(label, `${label} has no IPv4 cluster IP`, 'netsim models IPv4 only.')
  const proto = wanted.proto ?? (port === undefined ? undefined : PORT_PROTOCOLS[port.protocol])
  return { name: label, address: service.clusterIP, service, ...(port === undefined ? {} : { port: port.port }), ...(proto === undefined ? {} : { proto }) }
}

/** A client gets the pods' addresses and takes the first; nobody translates ports. */
function headlessEnd({ addresses, ports, service }: ServiceEndpoints, port: ServicePort | undefined, label: string): Endpoint | Problem {
  const ready = addresses.filter((one) => one.ready)
  if (ready.length === 0)
    return requestProblem(
      label,
      `${label} is headless and no endpoint of it is ready: its name does not resolve`,
      `See what it selects: line ${service.line} of ${service.file}.`,
    )
  const behind = ports.find((one) => one.port === port)?.endpoints.find(({ address }) => address === ready[0].address)
  return {
    name: label,
    address: ready[0].address,
    others: ready.slice(1).map(({ address }) => address),
    service,
    ...(behind === undefined || port === undefined ? {} : { port: behind.port, proto: PORT_PROTOCOLS[port.protocol] }),
  }
}

/** The one that is meant; undefined where none is needed: ICMP. */
function servicePort(service: ClusterService, { port, proto }: Wanted): ServicePort | Problem | undefined {
  const label = `svc/${service.namespace}/${service.name}`
  const ofProtocol = service.ports.filter(({ protocol }) => proto === undefined || PORT_PROTOCOLS[protocol] === proto)
  if (port === undefined) {
    if (proto === 'icmp' || service.ports.length === 0) return undefined
    if (ofProtocol.length === 1) return ofProtocol[0]
    const what = ofProtocol.length === 0 ? `${label} has no ${proto ?? ''} port` : `${label} has ${ofProtocol.length} ports`
    return requestProblem(label, `${what}: ${portList(service)}`, `Say which: ${label}:${service.ports[0].port}.`)
  }
  const found = ofProtocol.find((one) => (typeof port === 'number' ? one.port === port : one.name === port))
  if (found !== undefined) return found
  const address = service.clusterIP === undefined ? 'an endpoint' : `${formatIp(service.clusterIP)}:${port}`
  return requestProblem(
    label,
    `${label} has no ${proto === undefined ? '' : `${proto} `}port ${port}; it has ${portList(service)}`,
    `To see what becomes of such a packet ask for ${address}.`,
  )
}

function portList({ ports }: ClusterService): string {
  return ports.length === 0
    ? 'none'
    : ports.map(({ name, port, protocol }) => `${port}/${PORT_PROTOCOLS[protocol]}${name === '' ? '' : ` (${name})`}`).join(', ')
}

function suggestService({ cluster }: Network, { namespace, name }: { readonly namespace: string; readonly name: string }): string {
  const names = cluster.services.map((service) => (service.namespace === namespace ? service.name : `${service.namespace}/${service.name}`))
  const near = nearestName(name, names)
  if (near !== undefined) return `Did you mean svc/${near}?`
  return names.length === 0 ? 'There are no Services among the objects.' : `There are: ${names.slice(0, 8).join(', ')}${names.length > 8 ? ', …' : ''}.`
}

/** The containers of a pod share its network: from one to another the way is lo. @param pod what the pod itself resolves to */
export function containerEnd(
  pod: Endpoint,
  { pod: object, container: name }: { readonly pod: ClusterPod; readonly container: string },
  asker: Endpoint | undefined,
): Endpoint | Problem {
  const container = object.containers.find((one) => one.name === name)
  if (container === undefined) {
    const names = object.containers.map((one) => one.name)
    const near = nearestName(name, names)
    return requestProblem(
      `${pod.name}/${name}`,
      `the pod ${pod.name} has no container "${name}"`,
      near === undefined ? `It has ${names.join(', ')}.` : `Did you mean ${near}?`,
    )
  }
  const end = { ...pod, name: `${pod.name}/${name}` }
  const [port] = container.ports
  const only = container.ports.length === 1 ? { port: port.port, proto: PORT_PROTOCOLS[port.protocol] } : {}
  return { ...end, ...(asker?.netns !== undefined && asker.netns === pod.netns ? { address: LOOPBACK } : {}), ...only }
}

/** 127.0.0.1 */
const LOOPBACK: Ip = 0x7f000001

/** A name with dots, or one that the source's resolver knows. */
export function nameEnd(network: Network, asker: Endpoint | undefined, name: string): Endpoint | Problem {
  const resolution = network.lookup(asker, name)
  const { address, addresses, outcome } = resolution
  if (address !== undefined) {
    const found = network.services.endpoints.find(({ service }) => service.clusterIP === address)?.service
    return { name, address, others: addresses.slice(1), resolution, ...(found === undefined ? {} : { service: found }) }
  }
  const tried = resolution.queries.map((query) => `${query.name}: ${query.rcode}`).join(', ')
  const own = resolution.why.find(({ object }) => object !== '')
  if (outcome === 'outside' && own !== undefined && resolution.cname === undefined) {
    // the search list went on to the world outside, but an object of the cluster is what was meant
    const place = own.file === '' ? '' : ` (${own.file}:${own.line})`
    return requestProblem(name, `${name} does not resolve: ${own.text}${place}`, 'If a name of the world outside is meant, write it in spec.dns.hosts.')
  }
  if (outcome === 'outside') {
    const last = resolution.cname ?? resolution.queries.at(-1)?.name ?? name
    const what = `${last} is no name of the cluster, and what the world outside says of it is not among the objects`
    return notModelled(name, what, `Ask for its address, or write it in spec.dns.hosts of the Network document: {"${last}": ADDRESS}.`)
  }
  return requestProblem(name, `${name} does not resolve (${tried === '' ? whyText(resolution) : tried})`, whyText(resolution))
}

function whyText({ why }: Resolution): string {
  return why.map(({ text, file, line }) => (file === '' ? text : `${text} (${file}:${line})`)).join('; ')
}
