/**
 * Of the questions that verify asks, those about Services: each port of each kind of Service by every address that it has (cluster IP, node ports, external
 * IPs, load balancers), from its own endpoints (hairpin), from pods beside them and elsewhere, from nodes and from hosts beyond the cluster. Of these
 * candidates few are chosen: those that take rules of kube-proxy's that no other did, or come another way. Nobody outside is led to a cluster IP.
 */
import { formatIp } from '../base/ip.js'
import type { ClusterService, ServiceEndpoints, ServicePort } from '../cluster/services/service.js'
import type { Network } from '../network/network.js'
import { DEFAULT_REQUEST, type TraceRequest } from '../network/request.js'
import { greedily, shownBy, type Candidate } from './probes-policy.js'

const PROXY_CHAIN = /^KUBE-/
const MOST_SERVICES = 12
const MOST_NODES = 3
const MOST_HOSTS = 2
const MOST_CANDIDATES = 400
const MOST_CHOSEN = 72
const PROTOCOLS = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' } as const

interface Source {
  readonly name: string
  /** What it is to the Service. */
  readonly kind: 'endpoint' | 'pod' | 'node' | 'outside'
  readonly node?: string
}

interface Door {
  readonly kind: 'cluster IP' | 'external IP' | 'load balancer' | 'node port'
  /** As a question names it, with the port. */
  readonly destination: string
  /** Whose address it is. */
  readonly node?: string
}

/** @param base what all questions have in common @returns in the order of choice; empty where kube-proxy does not run or there is no Service */
export function serviceQuestions(network: Network, base: Partial<TraceRequest>): readonly TraceRequest[] {
  if (network.cluster.kubeProxy.mode === 'none') return []
  const candidates: Candidate[] = []
  for (const { request, ways } of requests(network, base)) {
    if (candidates.length === MOST_CANDIDATES) break
    candidates.push({ request, shows: new Set([...ways, ...shownBy(network, request, PROXY_CHAIN)]) })
  }
  return greedily(candidates, MOST_CHOSEN)
}

function* requests(network: Network, base: Partial<TraceRequest>): Iterable<{ readonly request: TraceRequest; readonly ways: readonly string[] }> {
  for (const behind of kindsOfServices(network)) {
    const { service, ports } = behind
    for (const { port, endpoints } of ports) {
      const proto = PROTOCOLS[port.protocol]
      if (proto === 'sctp') continue
      const sources = sourcesOf(network, new Set(endpoints.map(({ address }) => formatIp(address))))
      for (const door of doorsOf(network, service, port)) {
        for (const source of sources) {
          if (door.kind === 'cluster IP' && source.kind === 'outside') continue
          const own = door.node === undefined ? '' : door.node === source.node ? 'own' : 'other'
          const place = source.kind === 'outside' ? 'outside' : 'inside'
          const ways = [[service.namespace, service.name, port.name, port.port, door.kind, place].join(' '), [door.kind, own, source.kind].join(' ')]
          yield { request: { ...DEFAULT_REQUEST, ...base, source: source.name, destination: door.destination, proto }, ways }
        }
      }
    }
  }
}

/** One of each set of properties that rules are made of. */
function kindsOfServices({ services }: Network): readonly ServiceEndpoints[] {
  const kinds = new Map<string, ServiceEndpoints>()
  for (const one of services.endpoints) {
    const { service, ports } = one
    const { type, headless, externalIPs, loadBalancerAddresses, sourceRanges, affinitySeconds, externalLocal, internalLocal } = service
    if (headless || service.clusterIP === undefined) continue
    const counts = ports.map(({ port, endpoints }) => [port.protocol, Math.min(endpoints.filter(({ ready }) => ready).length, 3)])
    const addresses = [externalIPs.length, loadBalancerAddresses.map(({ mode }) => mode), sourceRanges.length]
    const kind = JSON.stringify([type, addresses, affinitySeconds !== undefined, externalLocal, internalLocal, counts])
    if (!kinds.has(kind)) kinds.set(kind, one)
  }
  return [...kinds.values()].slice(0, MOST_SERVICES)
}

function doorsOf({ cluster, nodes }: Network, service: ClusterService, { port, nodePort }: ServicePort): readonly Door[] {
  const doors: Door[] = [{ kind: 'cluster IP', destination: `svc/${service.namespace}/${service.name}:${port}` }]
  for (const address of service.externalIPs) doors.push({ kind: 'external IP', destination: `${formatIp(address)}:${port}` })
  for (const { address, mode } of service.loadBalancerAddresses) {
    if (mode === 'VIP' && !cluster.nodeByAddress.has(address)) doors.push({ kind: 'load balancer', destination: `${formatIp(address)}:${port}` })
  }
  if (nodePort === undefined) return doors
  return [
    ...doors,
    ...nodes.slice(0, MOST_NODES).map(({ node }) => ({ kind: 'node port' as const, destination: `node/${node.name}:${nodePort}`, node: node.name })),
  ]
}

/** Of each node one pod that is behind the Service and one that is not, the node itself, and hosts beyond. */
function sourcesOf({ nodes, cluster }: Network, behind: ReadonlySet<string>): readonly Source[] {
  const sources: Source[] = []
  for (const { node, pods } of nodes.slice(0, MOST_NODES)) {
    for (const isBehind of [true, false]) {
      const found = pods.find(({ address }) => behind.has(formatIp(address)) === isBehind)
      if (found !== undefined) sources.push({ name: `${found.pod.namespace}/${found.pod.name}`, kind: isBehind ? 'endpoint' : 'pod', node: node.name })
    }
    sources.push({ name: `node/${node.name}`, kind: 'node', node: node.name })
  }
  return [...sources, ...cluster.outsideHosts.slice(0, MOST_HOSTS).map(({ name }) => ({ name: `host/${name}`, kind: 'outside' as const }))]
}
