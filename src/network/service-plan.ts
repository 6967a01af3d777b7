/**
 * Services of a network: who is behind each once pods have their addresses, what kube-proxy makes of it on a node, and what stands for the load
 * balancer outside. Everything is worked out when it is first asked for.
 */
import { contains, cidr } from '../base/cidr.js'
import type { Ip } from '../base/ip.js'
import type { Mac } from '../base/mac.js'
import type { Cluster } from '../cluster/cluster.js'
import type { ClusterNode } from '../cluster/node.js'
import type { ClusterPod } from '../cluster/pod.js'
import { allEndpoints } from '../cluster/services/endpoints.js'
import type { ClusterService, LoadBalancerAddress, ServiceEndpoints } from '../cluster/services/service.js'
import type { DeviceSpec, NeighbourSpec, RouteSpec } from '../dataplane/dataplane.js'
import type { KubeProxyPart } from '../kubeproxy/kube-proxy.js'
import { prepareServices, type PreparedServices } from '../kubeproxy/prepared-services.js'
import { renderKubeProxy } from '../kubeproxy/proxier.js'

const ZONE = 'topology.kubernetes.io/zone'
const LIBERAL = 'net.netfilter.nf_conntrack_tcp_be_liberal'

interface Balanced {
  readonly service: ClusterService
  readonly address: Ip
  /** That it may choose. */
  readonly nodes: readonly ClusterNode[]
}

export class ServicePlan {
  private readonly cluster: Cluster
  private readonly addressOf: (pod: ClusterPod) => Ip | undefined
  private known: readonly ServiceEndpoints[] | undefined
  private prepared: PreparedServices | undefined
  private outside: readonly Balanced[] | undefined

  constructor(cluster: Cluster, addressOf: (pod: ClusterPod) => Ip | undefined) {
    this.cluster = cluster
    this.addressOf = addressOf
  }

  /** Of every Service, in the order of cluster.services. */
  get endpoints(): readonly ServiceEndpoints[] {
    this.known ??= allEndpoints(this.cluster, this.addressOf)
    return this.known
  }

  endpointsOf(service: Pick<ClusterService, 'namespace' | 'name'>): ServiceEndpoints | undefined {
    return this.endpoints.find((one) => one.service.namespace === service.namespace && one.service.name === service.name)
  }

  /** undefined where none runs. @param devices of the node, before the pods' */
  proxyPart(node: ClusterNode, devices: readonly DeviceSpec[]): KubeProxyPart | undefined {
    const { kubeProxy, hosts } = this.cluster
    if (kubeProxy.mode === 'none') return undefined
    this.prepared ??= prepareServices(this.endpoints, kubeProxy)
    const liberal = hosts.some((host) => host.node === node.name && host.sysctls.some(({ name, value }) => name === LIBERAL && value !== 0))
    return renderKubeProxy({
      node: node.name,
      nodeAddress: node.address,
      addresses: devices.flatMap(({ addresses }) => addresses.map(({ address }) => address)),
      ...(node.podCIDR === undefined ? {} : { podCIDR: node.podCIDR }),
      ...(node.labels[ZONE] === undefined ? {} : { zone: node.labels[ZONE] }),
      services: this.prepared,
      settings: kubeProxy,
      conntrackBeLiberal: liberal,
    })
  }

  /** Nobody announced it and no node has it: the fabric is taken to hand what comes for it to the nodes that may take it. */
  balancedRoutes(segments: ReadonlyMap<string, string>): RouteSpec[] {
    return this.balanced().flatMap(({ service, address, nodes }) => {
      if (this.segmentOf(address) !== undefined) return []
      const nexthops = nodes.flatMap((node) => {
        const device = segments.get(node.segment)
        return device === undefined ? [] : [{ via: node.address, device, weight: 1 }]
      })
      if (nexthops.length === 0) return []
      const [{ via, device }] = nexthops
      const to = nexthops.length === 1 ? { via, device } : { nexthops }
      return [{ destination: cidr(address, 32), type: 'unicast', ...to, provenance: provenanceOf(service) }]
    })
  }

  /**
   * An address of the nodes' own segment: a process of one node answers ARP for it, as MetalLB's speaker does in layer 2 mode, and whoever else is on
   * the segment has heard it. The node itself has no such entry, and its kernel would not answer: the address is out of the card that it is asked on
   * (net/ipv4/arp.c, arp_process).
   * @param cards of one netns, by segment
   */
  balancedNeighbours(netns: string, cards: ReadonlyMap<string, string>, macOf: (node: string) => Mac | undefined): NeighbourSpec[] {
    return this.balanced().flatMap(({ service, address, nodes }) => {
      const segment = this.segmentOf(address)
      const device = segment === undefined ? undefined : cards.get(segment)
      const speaker = nodes.find((one) => one.segment === segment)?.name
      const mac = speaker === undefined ? undefined : macOf(speaker)
      if (device === undefined || mac === undefined || speaker === netns) return []
      return [{ address, device, mac, state: 'permanent', provenance: provenanceOf(service) }]
    })
  }

  /** Addresses that a load balancer outside answers for, each with the nodes that it may choose. */
  private balanced(): readonly Balanced[] {
    this.outside ??= this.cluster.services.flatMap((service) =>
      service.loadBalancerAddresses.filter((one) => this.isOutside(one)).map(({ address }) => ({ service, address, nodes: this.healthyNodes(service) })),
    )
    return this.outside
  }

  /** k3s and bare-metal clusters give a node's own address: then there is nothing between. A host that somebody wrote down is its own answer. */
  private isOutside({ address, mode }: LoadBalancerAddress): boolean {
    const { nodeByAddress, outsideHosts } = this.cluster
    return mode === 'VIP' && !nodeByAddress.has(address) && !outsideHosts.some((host) => host.address === address)
  }

  /** By its health check: with externalTrafficPolicy Local, nodes with an endpoint that is ready. */
  private healthyNodes(service: ClusterService): readonly ClusterNode[] {
    if (!service.externalLocal) return this.cluster.nodes
    const local = new Set(this.endpointsOf(service)?.addresses.flatMap(({ ready, node }) => (ready && node !== undefined ? [node] : [])) ?? [])
    return this.cluster.nodes.filter(({ name }) => local.has(name))
  }

  /** Among those that nodes are in: in another nobody of the cluster answers ARP. */
  private segmentOf(address: Ip): string | undefined {
    const { segments, nodes } = this.cluster
    return segments.find((segment) => contains(segment.cidr, address) && nodes.some((node) => node.segment === segment.name))?.name
  }
}

function provenanceOf({ namespace, name, file, line }: ClusterService): NonNullable<RouteSpec['provenance']> {
  return { by: 'load balancer (assumed)', object: `Service/${namespace}/${name}`, file, line }
}
