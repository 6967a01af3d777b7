/** Service objects → ClusterServices, checked against one another and against the cluster's networks. */
import { contains, formatCidr, type Cidr } from '../../base/cidr.js'
import { formatIp, type Ip } from '../../base/ip.js'
import type { KubernetesObject } from '../manifest.js'
import { formatPlace, type ProblemList } from '../problem-list.js'
import { allocate, NODE_PORTS, type ServiceRanges } from './allocation.js'
import { readService } from './read-service.js'
import type { ClusterService, ServicePort } from './service.js'

export interface ServiceSurroundings extends ServiceRanges {
  readonly clusterCIDR?: Cidr
  readonly nodes: readonly { readonly name: string; readonly podCIDR?: Cidr }[]
}

/** In the order of `ns/name`. @param objects of kind Service */
export function readServices(objects: readonly KubernetesObject[], surroundings: ServiceSurroundings, problems: ProblemList): ClusterService[] {
  const readings = objects.flatMap((object) => readService(object, problems) ?? [])
  checkClusterIPs(
    readings.map(({ service }) => service),
    surroundings,
    problems,
  )
  checkNodePorts(
    readings.map(({ service }) => service),
    problems,
  )
  const services = allocate(readings, surroundings, problems)
  checkSharedAddresses(services, problems)
  return services.sort((a, b) => compare(`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function checkClusterIPs(
  services: readonly ClusterService[],
  { serviceCIDR, serviceCIDRAssumed, clusterCIDR, nodes }: ServiceSurroundings,
  problems: ProblemList,
): void {
  const first = new Map<Ip, ClusterService>()
  for (const service of services) {
    const { clusterIP, object } = service
    if (clusterIP === undefined) continue
    const place = object.at('spec', 'clusterIP')
    const other = first.get(clusterIP)
    first.set(clusterIP, other ?? service)
    if (other !== undefined)
      problems.error(
        place,
        object.label,
        `clusterIP ${formatIp(clusterIP)} is that of Service ${other.namespace}/${other.name} too (${formatPlace(other.object.at('spec', 'clusterIP'))})`,
        'Give each its own, or leave it out.',
      )
    if (!serviceCIDRAssumed && !contains(serviceCIDR, clusterIP))
      problems.warning(place, object.label, `clusterIP ${formatIp(clusterIP)} is outside the Services' ${formatCidr(serviceCIDR)}`, 'Mend it, or serviceCIDR.')
    const node = nodes.find(({ podCIDR }) => podCIDR !== undefined && contains(podCIDR, clusterIP))
    const pods = node?.podCIDR ?? (clusterCIDR !== undefined && contains(clusterCIDR, clusterIP) ? clusterCIDR : undefined)
    const whose = node === undefined ? 'clusterCIDR' : `podCIDR of node ${node.name},`
    if (pods !== undefined)
      problems.warning(
        place,
        object.label,
        `clusterIP ${formatIp(clusterIP)} is one of the pods' addresses (${whose} ${formatCidr(pods)})`,
        'A pod that gets this address cannot be reached at the ports of the Service: keep the two networks apart.',
      )
  }
}

/** One node port is one Service's, whatever the protocol; that Service may have it for several. */
function checkNodePorts(services: readonly ClusterService[], problems: ProblemList): void {
  const first = new Map<number, { readonly service: ClusterService; readonly port: ServicePort }>()
  for (const service of services) {
    for (const port of service.ports) {
      const { nodePort } = port
      if (nodePort === undefined) continue
      const other = first.get(nodePort)
      first.set(nodePort, other ?? { service, port })
      if (other !== undefined && other.service !== service)
        problems.error(
          port,
          service.object.label,
          `nodePort ${nodePort} is that of Service ${other.service.namespace}/${other.service.name} too (${formatPlace(other.port)})`,
          'Give each its own, or leave it out.',
        )
      if (nodePort < NODE_PORTS.first || nodePort > NODE_PORTS.last)
        problems.warning(
          port,
          service.object.label,
          `nodePort ${nodePort} is outside ${NODE_PORTS.first}-${NODE_PORTS.last}`,
          'An API server takes it only with --service-node-port-range.',
        )
    }
  }
}

/** Two Services behind one address and port: kube-proxy takes whichever it writes first, and its order is drawn anew each time. */
function checkSharedAddresses(services: readonly ClusterService[], problems: ProblemList): void {
  const first = new Map<string, ClusterService>()
  for (const service of services) {
    const addresses = new Set([...service.externalIPs, ...service.loadBalancerAddresses.map(({ address }) => address)])
    for (const address of addresses) {
      for (const port of service.ports) {
        const key = `${formatIp(address)}:${port.port}/${port.protocol}`
        const other = first.get(key)
        first.set(key, other ?? service)
        if (other === undefined || other === service) continue
        problems.warning(
          port,
          service.object.label,
          `${key} is claimed by Service ${other.namespace}/${other.name} too (${formatPlace(other)})`,
          'Which of the two gets the packets is left to chance: give each its own address or port.',
        )
      }
    }
  }
}
