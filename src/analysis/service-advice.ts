/** Losses on the way to a Service, in the words of its object: nobody behind it, nobody behind it here, or an address that only the cluster's nodes translate. */
import { formatIp, type Ip } from '../base/ip.js'
import type { ClusterService, ServiceEndpoints } from '../cluster/services/service.js'
import type { Network } from '../network/network.js'
import type { TraceOutcome } from '../network/probe.js'
import type { StepDocument } from './trace-document.js'

export interface Advice {
  readonly cause: string
  readonly fixes: readonly string[]
}

/** Of a loss with disposition NO_ENDPOINT. */
export function noEndpointAdvice(network: Network, step: StepDocument | undefined): Advice | undefined {
  const endpoints = serviceOf(network, step?.provenance?.object)
  if (endpoints === undefined) return undefined
  const { service, addresses } = endpoints
  const usable = addresses.filter(({ ready, serving, terminating }) => ready || (serving && terminating))
  const verb = step?.text.includes('-j REJECT') === true ? 'rejects' : 'drops'
  if (usable.length > 0) {
    const policy = service.externalLocal ? 'externalTrafficPolicy' : 'internalTrafficPolicy'
    const nodes = [...new Set(usable.flatMap(({ node }) => node ?? []))].sort()
    return {
      cause: `${nameOf(service)} has no endpoint on this node, and its ${policy} is Local: kube-proxy ${verb} what comes for it here`,
      fixes: [`endpoints are on ${nodes.join(', ')}: send there (a load balancer's health check does), or set ${policy}: Cluster`],
    }
  }
  return { cause: `${nameOf(service)} has no endpoints: kube-proxy ${verb} what comes for it; ${whyNone(endpoints)}`, fixes: [fixOf(endpoints)] }
}

/** Where a cluster IP led nowhere because nobody on the way translated it. */
export function untranslatedAdvice(network: Network, { destination, forward, source, proto, dport }: TraceOutcome, address: Ip): string | undefined {
  const service = network.cluster.services.find(({ clusterIP }) => clusterIP === address) ?? destination.service
  if (service === undefined || service.clusterIP !== address || forward.disposition === 'DELIVERED') return undefined
  if (network.cluster.kubeProxy.mode === 'none') return `${nameOf(service)}: no kube-proxy translates its cluster IP here (kubeProxy.mode: none)`
  if (source.netns !== undefined && source.node === undefined) return `a cluster IP is known to the cluster's nodes alone: ${fromOutside(network, service)}`
  const known = service.ports.map((port) => `${port.port}/${port.protocol.toLowerCase()}`).join(', ')
  const asked = proto === 'icmp' ? 'an echo request' : `${dport}/${proto}`
  return `${nameOf(service)} has ${known}; no rule of kube-proxy's translates ${asked}`
}

function fromOutside({ cluster }: Network, service: ClusterService): string {
  const ways = [
    ...service.loadBalancerAddresses.map(({ address }) => `its load balancer ${formatIp(address)}`),
    ...service.externalIPs.map((address) => `its external IP ${formatIp(address)}`),
    ...service.ports.flatMap(({ nodePort }) => (nodePort === undefined || cluster.nodes.length === 0 ? [] : [`node/${cluster.nodes[0].name}:${nodePort}`])),
  ]
  return ways.length === 0 ? `${nameOf(service)} is of type ${service.type}, give it a node port or a load balancer` : `ask for ${ways.join(' or ')}`
}

function serviceOf(network: Network, object: string | undefined): ServiceEndpoints | undefined {
  const [kind, namespace, name] = object?.split('/') ?? []
  return kind === 'Service' ? network.services.endpointsOf({ namespace, name }) : undefined
}

function nameOf({ namespace, name, file, line }: ClusterService): string {
  return `Service ${namespace}/${name} (${file}:${line})`
}

function whyNone({ service, addresses, from }: ServiceEndpoints): string {
  const selector = Object.entries(service.selector ?? {})
  const text = selector.map(([key, value]) => `${key}=${value}`).join(',')
  const pods = addresses.flatMap(({ pod }) => (pod === undefined ? [] : [`${pod.namespace}/${pod.name}`]))
  if (addresses.length > 0)
    return `${addresses.length === 1 ? 'the one' : `none of the ${addresses.length}`} behind it is ${addresses.length === 1 ? 'not ' : ''}ready: ${pods.join(', ')}`
  if (from === 'EndpointSlice' || from === 'Endpoints') return `its ${from} lists none`
  return selector.length === 0 ? 'it has no selector, and nothing lists endpoints for it' : `its selector ${text} selects no pod`
}

function fixOf({ service, addresses, from }: ServiceEndpoints): string {
  if (addresses.length > 0) return 'mend what keeps the pods from being ready, or set publishNotReadyAddresses'
  const { file } = service
  if (from !== 'pods') return `see what writes the ${from === 'nobody' ? 'EndpointSlice' : from} of ${service.namespace}/${service.name}`
  return `correct the selector (${file}:${service.object.lineOf(['spec', 'selector'])}) or the labels of the pods it is meant for`
}
