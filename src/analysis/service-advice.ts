/**
 * Losses on the way to a Service, in the words of its object: nobody behind it, nobody behind it here, a source or a port that it does not take, or an
 * address that only the cluster's nodes translate.
 */
import { formatCidr } from '../base/cidr.js'
import { formatIp, type Ip } from '../base/ip.js'
import type { ClusterService, ServiceEndpoints } from '../cluster/services/service.js'
import type { Network } from '../network/network.js'
import type { TraceOutcome } from '../network/probe.js'
import type { StepDocument } from './trace-document.js'

const FIREWALL = 'KUBE-PROXY-FIREWALL'

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

/** Where a cluster IP or a node port led nowhere because nobody on the way translated it. */
export function untranslatedAdvice(network: Network, outcome: TraceOutcome, address: Ip): string | undefined {
  const { destination, forward, source } = outcome
  const { unmodelled } = network.cluster.kubeProxy
  if (unmodelled !== undefined && forward.disposition === 'INCOMPLETE')
    return `${unmodelled.what} is not modelled; kubeProxy: {mode: iptables} in a Network document answers as iptables mode would`
  if (forward.disposition === 'NO_SOCKET')
    return network.cluster.nodeByAddress.has(address) ? nodePortAdvice(network, outcome) : targetPortAdvice(network, outcome, address)
  const outer = network.cluster.services.find((one) => outsideAddressesOf(one).includes(address))
  if (outer !== undefined && forward.disposition !== 'DELIVERED') return undeclaredAdvice(network, outcome, outer)
  const service = network.cluster.services.find(({ clusterIP }) => clusterIP === address) ?? destination.service
  if (service === undefined || service.clusterIP !== address || forward.disposition === 'DELIVERED') return undefined
  if (network.cluster.kubeProxy.mode === 'none') return `${nameOf(service)}: no kube-proxy translates its cluster IP here (kubeProxy.mode: none)`
  if (source.netns !== undefined && source.node === undefined) return `a cluster IP is known to the cluster's nodes alone: ${fromOutside(network, service)}`
  return undeclaredAdvice(network, outcome, service)
}

/** Ports that the Service lacks, at an address of its: undefined where it has them, and something else lost the packet. */
function undeclaredAdvice(network: Network, { proto, dport }: TraceOutcome, service: ClusterService): string | undefined {
  if (network.cluster.kubeProxy.mode === 'none') return undefined
  if (service.clusterIP === undefined || service.ports.some((port) => port.port === dport && port.protocol.toLowerCase() === proto)) return undefined
  const known = service.ports.map((port) => `${port.port}/${port.protocol.toLowerCase()}`).join(', ')
  const asked = proto === 'icmp' ? 'an echo request' : `${dport}/${proto}`
  return `${nameOf(service)} has ${known}; no rule of kube-proxy's translates ${asked}`
}

function outsideAddressesOf({ loadBalancerAddresses, externalIPs }: ClusterService): Ip[] {
  return [...loadBalancerAddresses.map(({ address }) => address), ...externalIPs]
}

/** Who accepts packets in INPUT before kube-proxy's chains do (Felix, from workloads) leaves a node port without endpoints to the host. */
function nodePortAdvice(network: Network, { proto, dport }: TraceOutcome): string | undefined {
  const owned = network.services.endpoints.find(({ service }) =>
    service.ports.some(({ nodePort, protocol }) => nodePort === dport && protocol.toLowerCase() === proto),
  )
  if (owned === undefined) return undefined
  const start = `${dport}/${proto} is the node port of ${nameOf(owned.service)}`
  if (network.cluster.kubeProxy.mode === 'none') return `${start}: no kube-proxy translates it here (kubeProxy.mode: none)`
  return isUsed(owned) ? undefined : `${start}, which has no endpoints: ${whyNone(owned)}`
}

/** A pod was asked on the port of its Service: through a headless Service's name, or at its own address. */
function targetPortAdvice({ services }: Network, { proto, dport, destination }: TraceOutcome, address: Ip): string | undefined {
  const named = destination.resolution !== undefined
  const found = services.endpoints.flatMap(({ service, ports }) =>
    ports.flatMap(({ port, endpoints }) => {
      const here = endpoints.find((one) => one.address === address)
      const isMeant = port.port === dport && port.protocol.toLowerCase() === proto
      return isMeant && here !== undefined && here.port !== dport ? [{ service, listens: here.port }] : []
    }),
  )
  const meant = found.find(({ service }) => service.headless === named) ?? found.at(0)
  if (meant === undefined) return undefined
  const why = meant.service.headless ? 'which is headless, so nobody translates it' : 'and translated at its cluster IP alone'
  return `${dport} is the port of ${nameOf(meant.service)}, ${why}; the pod itself listens on ${meant.listens}`
}

/** Of a drop by loadBalancerSourceRanges (kube-proxy's chain KUBE-PROXY-FIREWALL). @param step where it was dropped */
export function sourceRangeAdvice(network: Network, { source }: Pick<TraceOutcome, 'source'>, step: StepDocument | undefined): Advice | undefined {
  if (step?.at?.chain !== FIREWALL) return undefined
  const service = serviceOf(network, step.provenance?.object)?.service
  if (service === undefined) return undefined
  const { object } = service
  const client = formatIp(source.address)
  const ranges = service.sourceRanges.map(formatCidr).join(', ')
  const place = `${service.file}:${object.lineOf(['spec', 'loadBalancerSourceRanges'])}`
  const inside = network.cluster.podByName.has(source.netns ?? '') && service.clusterIP !== undefined
  return {
    cause: `${client} is in none of the loadBalancerSourceRanges of ${nameOf(service)}: kube-proxy drops what it sends to the load balancer's address`,
    fixes: [
      `add ${client}/32 to the ranges (${place}), which are ${ranges}`,
      ...(inside ? [`inside the cluster ask for ${formatIp(service.clusterIP)}: the ranges do not count there`] : []),
    ],
  }
}

function isUsed({ addresses }: ServiceEndpoints): boolean {
  return addresses.some(({ ready, serving, terminating }) => ready || (serving && terminating))
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
  if (addresses.length === 1) return `the one behind it is not ready: ${pods.join(', ')}`
  if (addresses.length > 0) return `none of the ${addresses.length} behind it is ready: ${pods.join(', ')}`
  if (from === 'EndpointSlice' || from === 'Endpoints') return `its ${from} lists none`
  return selector.length === 0 ? 'it has no selector, and nothing lists endpoints for it' : `its selector ${text} selects no pod`
}

function fixOf({ service, addresses, from }: ServiceEndpoints): string {
  if (addresses.length > 0) return 'mend what keeps the pods from being ready, or set publishNotReadyAddresses'
  const { file } = service
  if (from !== 'pods') return `see what writes the ${from === 'nobody' ? 'EndpointSlice' : from} of ${service.namespace}/${service.name}`
  return `correct the selector (${file}:${service.object.lineOf(['spec', 'selector'])}) or the labels of the pods it is meant for`
}
