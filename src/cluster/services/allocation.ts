/**
 * What an API server would have drawn and the objects do not say: cluster IPs and node ports, the lowest free ones of the part that dynamic
 * requests come from, so that one input always gives the same; and addresses of load balancers, from the Network document's pool.
 * Sources: kubernetes pkg/registry/core/service/ipallocator (calculateRangeOffset), portallocator (calculateRangeOffset); kubeadm gives DNS the tenth.
 */
import { contains, formatCidr, type Cidr } from '../../base/cidr.js'
import { formatIp, type Ip } from '../../base/ip.js'
import { formatPlace, type Place, type ProblemList } from '../problem-list.js'
import type { ClusterService, LoadBalancerAddress, ServicePort } from './service.js'
import type { ServiceReading } from './read-service.js'

export interface ServiceRanges {
  readonly serviceCIDR: Cidr
  /** It is netsim's default, and proves nothing. */
  readonly serviceCIDRAssumed: boolean
  readonly pool?: Cidr
}

export const NODE_PORTS = { first: 30000, last: 32767 } as const
/** The lower part of the node ports is kept for those who ask. */
const STATIC_NODE_PORTS = 86
/** Addresses of the cluster DNS at the most common installers. */
const DNS_HOST = 10
const DNS_SERVICES = ['kube-dns', 'coredns']

export function allocate(readings: readonly ServiceReading[], ranges: ServiceRanges, problems: ProblemList): ClusterService[] {
  const addressed = giveClusterIPs(readings, ranges, problems)
  return giveBalancerAddresses(giveNodePorts(readings, addressed, problems), ranges, problems)
}

function giveClusterIPs(readings: readonly ServiceReading[], { serviceCIDR }: ServiceRanges, problems: ProblemList): ClusterService[] {
  // the first address is the API server's, whether its Service is in the input or not
  const used = new Set(readings.flatMap(({ service }) => service.clusterIP ?? []))
  const given = new Map<ServiceReading, Ip>()
  const take = (reading: ServiceReading, address: Ip): void => {
    used.add(address)
    given.set(reading, address)
  }
  const wanting = readings.filter(({ wantsClusterIP }) => wantsClusterIP)
  for (const reading of wanting) {
    const address = wellKnown(reading.service, serviceCIDR)
    if (address !== undefined && !used.has(address)) take(reading, address)
  }
  used.add(serviceCIDR.base + 1)
  const candidates = dynamicAddresses(serviceCIDR)
  for (const reading of wanting) {
    if (given.has(reading)) continue
    let candidate = candidates.next()
    while (candidate.done !== true && used.has(candidate.value)) candidate = candidates.next()
    if (candidate.done !== true) take(reading, candidate.value)
    else {
      const { object } = reading.service
      problems.error(
        object.at('spec'),
        object.label,
        `no address of ${formatCidr(serviceCIDR)} is left for the Service`,
        'Widen serviceCIDR, or write clusterIP.',
      )
    }
  }
  return readings.map((reading) => {
    const clusterIP = given.get(reading)
    return clusterIP === undefined ? reading.service : { ...reading.service, clusterIP, clusterIPAssumed: true }
  })
}

/** The lower band is kept for those who ask, and comes last. */
function* dynamicAddresses(net: Cidr): Generator<Ip> {
  const size = 2 ** (32 - net.length)
  const band = size <= 16 ? 0 : Math.min(Math.max(16, Math.floor(size / 16)), 256)
  for (let offset = 1 + band; offset < size - 1; offset++) yield net.base + offset
  for (let offset = 1; offset <= band; offset++) yield net.base + offset
}

/** What a Service has in nearly every cluster. */
function wellKnown({ namespace, name }: ClusterService, net: Cidr): Ip | undefined {
  const isDns = namespace === 'kube-system' && DNS_SERVICES.includes(name)
  const host = namespace === 'default' && name === 'kubernetes' ? 1 : isDns ? DNS_HOST : undefined
  return host !== undefined && contains(net, net.base + host) ? net.base + host : undefined
}

/** Upwards from above the static part; that part last. */
class NodePorts {
  private readonly used: Set<number>
  private next = NODE_PORTS.first + STATIC_NODE_PORTS

  constructor(used: Set<number>) {
    this.used = used
  }

  take(): number | undefined {
    for (let tries = NODE_PORTS.last - NODE_PORTS.first; tries >= 0; tries--) {
      const port = this.next
      this.next = port === NODE_PORTS.last ? NODE_PORTS.first : port + 1
      if (this.used.has(port)) continue
      this.used.add(port)
      return port
    }
    return undefined
  }
}

function giveNodePorts(readings: readonly ServiceReading[], services: readonly ClusterService[], problems: ProblemList): ClusterService[] {
  const written = services.flatMap(({ ports, healthCheckNodePort }) => [...ports.flatMap(({ nodePort }) => nodePort ?? []), healthCheckNodePort])
  const free = new NodePorts(new Set(written))
  return services.map((service, index) => {
    const { wantsNodePorts, wantsHealthCheckPort } = readings[index]
    const exhausted = (place: Place): void => {
      problems.error(place, service.object.label, 'no node port is left', `Write nodePort, from ${NODE_PORTS.first} to ${NODE_PORTS.last}.`)
    }
    // TCP and UDP of one port share a node port only where the object says so
    const ports = !wantsNodePorts ? service.ports : service.ports.map((port) => (port.nodePort === undefined ? drawn(port, free.take(), exhausted) : port))
    const healthCheckNodePort = wantsHealthCheckPort ? (free.take() ?? 0) : service.healthCheckNodePort
    return { ...service, ports, healthCheckNodePort }
  })
}

function drawn(port: ServicePort, nodePort: number | undefined, exhausted: (place: Place) => void): ServicePort {
  if (nodePort === undefined) exhausted(port)
  return nodePort === undefined ? port : { ...port, nodePort, nodePortAssumed: true }
}

function giveBalancerAddresses(services: readonly ClusterService[], { pool }: ServiceRanges, problems: ProblemList): ClusterService[] {
  const used = new Map<Ip, ClusterService>()
  for (const service of services) for (const { address } of service.loadBalancerAddresses) used.set(address, service)
  const isOpen = ({ type, loadBalancerAddresses: known, loadBalancerHostnames: names }: ClusterService): boolean =>
    type === 'LoadBalancer' && known.length + names.length === 0
  // those who ask come first: nobody is to be given what another has asked for
  const requested = new Map<ClusterService, LoadBalancerAddress>()
  for (const service of services.filter(isOpen)) {
    const address = service.requestedLoadBalancerIP
    if (address === undefined || pool === undefined || !contains(pool, address) || used.has(address)) continue
    used.set(address, service)
    requested.set(service, { address, mode: 'VIP', assumed: true })
  }
  let offset = pool !== undefined && pool.length < 31 ? 1 : 0
  const next = (net: Cidr): Ip | undefined => {
    const end = 2 ** (32 - net.length) - (net.length < 31 ? 1 : 0)
    while (offset < end && used.has(net.base + offset)) offset++
    return offset < end ? net.base + offset++ : undefined
  }
  return services.map((service) => {
    if (!isOpen(service)) return service
    const address = pool === undefined ? undefined : (requested.get(service)?.address ?? next(pool))
    if (address === undefined) reportPending(service, { pool, used }, problems)
    return address === undefined ? service : { ...service, loadBalancerAddresses: [{ address, mode: 'VIP', assumed: true }] }
  })
}

function reportPending(
  service: ClusterService,
  { pool, used }: { readonly pool: Cidr | undefined; readonly used: ReadonlyMap<Ip, ClusterService> },
  problems: ProblemList,
): void {
  const { object, requestedLoadBalancerIP: asked } = service
  const holder = asked === undefined ? undefined : used.get(asked)
  const why = pool === undefined ? '' : `: ${formatCidr(pool)} has none left`
  problems.warning(
    object.at('status', 'loadBalancer'),
    object.label,
    holder === undefined
      ? `no load balancer has given the Service an address${why}`
      : `loadBalancerIP ${formatIp(asked as Ip)} is that of ${holder.namespace}/${holder.name} (${formatPlace(holder)})`,
    'Its node ports are open all the same; write status.loadBalancer.ingress, or loadBalancer: {pool: 192.0.2.0/24} in the Network document.',
  )
}
