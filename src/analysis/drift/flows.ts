/**
 * Questions that tell something about a difference: pods of the node and of others, Services, the node itself, what is outside; those that the difference is
 * about first. From a focus to requests. Which pods ask is the same each time.
 */
import { formatIp } from '../../base/ip.js'
import type { ClusterPod } from '../../cluster/pod.js'
import type { ClusterService } from '../../cluster/services/service.js'
import type { Network } from '../../network/network.js'
import { DEFAULT_REQUEST, type TraceRequest } from '../../network/request.js'
import { podEnd, portOf } from '../check/asker.js'
import type { Focus } from './difference.js'

export interface Flow {
  readonly relation: string
  /** `shop/web-0 → shop/api-0:8080 (tcp)` */
  readonly text: string
  readonly request: TraceRequest
  /** Flags and words of `netsim trace`. */
  readonly command: string
}

/** For one finding. */
const MOST_FLOWS = 40
const MOST_REMOTES = 3
const MOST_SERVICES = 4

export interface Asking {
  readonly network: Network
  readonly node: string
  readonly seed: number
}

export function flowsOf({ network, node, seed }: Asking, focus: Focus): readonly Flow[] {
  const maker = new FlowMaker(seed)
  const pods = livePods(network)
  const wanted = new Set(focus.pods ?? [])
  const first = (all: readonly ClusterPod[]): readonly ClusterPod[] => [...all].sort((a, b) => Number(wanted.has(nameOf(b))) - Number(wanted.has(nameOf(a))))
  const own = first(pods.filter((pod) => pod.node === node))
  const remotes = remoteNodes(network, node, focus, pods)
  const away = remotes.flatMap((name) => first(pods.filter((pod) => pod.node === name)).slice(0, wanted.size > 0 ? 3 : 1))
  const mine = own.slice(0, Math.max(1, Math.min(3, own.filter((pod) => wanted.has(nameOf(pod))).length)))
  for (const pod of mine) {
    for (const other of away) {
      maker.add('pod to pod on another node', podEnd(pod), { pod: other })
      maker.add('pod on another node to pod', podEnd(other), { pod })
    }
    for (const { proto, port } of focus.ports ?? []) {
      for (const other of away.slice(0, 2)) {
        maker.add('pod to pod on another node', podEnd(pod), { pod: other, proto, port })
        maker.add('pod on another node to pod', podEnd(other), { pod, proto, port })
      }
      maker.add('node to pod', `node/${node}`, { pod, proto, port })
    }
  }
  listening(maker, network, focus, { node, mine, away })
  sized(maker, focus, { node, mine, away })
  services(maker, network, focus, { node, mine, own, away })
  for (const pod of mine) {
    for (const other of own.filter((one) => one !== pod).slice(0, wanted.size > 0 ? 3 : 1)) {
      maker.add('pod to pod on its node', podEnd(pod), { pod: other })
      if (wanted.size > 0) maker.add('pod to pod on its node', podEnd(other), { pod })
    }
    maker.add('node to pod', `node/${node}`, { pod })
  }
  for (const other of away.slice(0, MOST_REMOTES)) maker.add('node to pod on another node', `node/${node}`, { pod: other })
  for (const name of remotes.slice(0, 2)) {
    for (const pod of mine.slice(0, 1)) maker.add('another node to pod', `node/${name}`, { pod })
    maker.addAddress('node to node', `node/${node}`, addressOf(network, name))
  }
  outside(maker, network, { node, mine, focus })
  return maker.flows.slice(0, MOST_FLOWS)
}

function nameOf({ namespace, name }: ClusterPod): string {
  return `${namespace}/${name}`
}

function livePods({ cluster }: Network): readonly ClusterPod[] {
  return cluster.pods.filter(
    ({ hostNetwork, terminated, node, pending }) => !hostNetwork && !terminated && pending === undefined && node !== undefined && cluster.nodeByName.has(node),
  )
}

/** Those that it is about, then some that have pods. */
function remoteNodes({ cluster }: Network, node: string, focus: Focus, pods: readonly ClusterPod[]): readonly string[] {
  const wanted = new Set(focus.pods ?? [])
  const about = [...(focus.nodes ?? []), ...pods.filter((pod) => wanted.has(nameOf(pod))).flatMap((pod) => pod.node ?? [])]
  const others = [...new Set(pods.flatMap((pod) => pod.node ?? []))]
  const all = [...new Set([...about, ...others, ...cluster.nodes.map(({ name }) => name)])].filter((name) => name !== node)
  return about.length > 0 ? all.slice(0, Math.max(MOST_REMOTES, Math.min(about.length, 6))) : all.slice(0, MOST_REMOTES)
}

function addressOf({ cluster }: Network, node: string): string {
  return formatIp(cluster.nodeByName.get(node)?.address ?? 0)
}

interface Ends {
  readonly node: string
  readonly mine: readonly ClusterPod[]
  readonly away: readonly ClusterPod[]
}

/** Nobody is taken to listen who does not. */
function listening(
  maker: FlowMaker,
  { services: { endpoints } }: Network,
  { listening: ports = [], services: wanted = [] }: Focus,
  { node, mine, away }: Ends,
): void {
  const [pod] = mine
  if (pod === undefined) return
  for (const { proto, port } of ports) {
    const sources = [...away.slice(0, 1).map(podEnd), `node/${node}`]
    for (const source of sources) maker.add('to a port of the pod', source, { pod, proto, port, asItListens: true })
    for (const { service } of endpoints) {
      if (!wanted.includes(`${service.namespace}/${service.name}`) || service.clusterIP === undefined || service.headless) continue
      const own = service.ports.find((one) => one.protocol === proto.toUpperCase())
      if (own === undefined) continue
      const told = `svc/${service.namespace}/${service.name}`
      maker.addService('to its Service', sources[0], { to: formatIp(service.clusterIP), told, proto, port: own.port, asItListens: true })
    }
  }
}

/** Packets of these lengths, from the node too: its own MTU is the card's. */
function sized(maker: FlowMaker, { sizes = [] }: Focus, { node, mine, away }: Ends): void {
  const [pod, other] = [mine.at(0), away.at(0)]
  for (const size of sizes) {
    if (other !== undefined) maker.add('full-size packets', pod === undefined ? `node/${node}` : podEnd(pod), { pod: other, size })
    if (pod !== undefined && other !== undefined) maker.add('full-size packets', podEnd(other), { pod, size })
    if (other !== undefined) maker.add('full-size packets', `node/${node}`, { pod: other, size })
    if (pod !== undefined) maker.add('full-size packets', `node/${node}`, { pod, size })
  }
}

function services(maker: FlowMaker, network: Network, focus: Focus, { node, mine, own, away }: Ends & { readonly own: readonly ClusterPod[] }): void {
  const { cluster } = network
  if (cluster.kubeProxy.mode === 'none') return
  const wanted = new Set(focus.services ?? [])
  const isAsked = ({ clusterIP, headless }: ClusterService): boolean => clusterIP !== undefined && !headless
  const about = cluster.services.filter((service) => wanted.has(`${service.namespace}/${service.name}`) && isAsked(service))
  const alive = network.services.endpoints.filter(
    ({ service, ports }) => isAsked(service) && ports.some(({ endpoints }) => endpoints.some(({ ready }) => ready)),
  )
  const all = [...new Set([...about, ...alive.map(({ service }) => service)])].slice(0, Math.max(about.length, MOST_SERVICES))
  for (const service of all) {
    const isAbout = about.includes(service)
    for (const port of service.ports.slice(0, isAbout ? 3 : 1)) {
      if (port.protocol === 'SCTP') continue
      const proto = port.protocol === 'UDP' ? 'udp' : 'tcp'
      const to = { to: formatIp(service.clusterIP ?? 0), told: `svc/${service.namespace}/${service.name}`, proto, port: port.port } as const
      for (const pod of mine.slice(0, 2)) maker.addService('pod to Service', podEnd(pod), to)
      maker.addService('node to Service', `node/${node}`, to)
      const behind = own.find((pod) => network.services.endpointsOf(service)?.addresses.some((one) => one.pod === pod))
      if (behind !== undefined) maker.addService('pod to its own Service', podEnd(behind), to)
      if (port.nodePort !== undefined) {
        const at = { to: addressOf(network, node), told: `${node} (nodePort of ${service.namespace}/${service.name})`, proto, port: port.nodePort } as const
        for (const other of away.slice(0, 1)) maker.addService('to a node port', `node/${other.node}`, at)
        for (const host of cluster.outsideHosts.slice(0, 1)) maker.addService('from outside to a node port', `host/${host.name}`, at)
      }
      for (const { address } of service.loadBalancerAddresses.slice(0, 1))
        for (const host of cluster.outsideHosts.slice(0, 1))
          maker.addService('from outside to a Service', `host/${host.name}`, {
            ...to,
            to: formatIp(address),
            told: `${formatIp(address)} of svc/${service.namespace}/${service.name}`,
          })
    }
  }
}

function outside(
  maker: FlowMaker,
  { cluster }: Network,
  { node, mine, focus }: { readonly node: string; readonly mine: readonly ClusterPod[]; readonly focus: Focus },
): void {
  const [host] = cluster.outsideHosts
  const router = cluster.segments.find(({ name }) => name === cluster.nodeByName.get(node)?.segment)?.router
  const far = host === undefined ? (router === undefined ? undefined : formatIp(router)) : formatIp(host.address)
  const told = host === undefined ? `${far} (the gateway)` : `${far} (host/${host.name})`
  for (const source of [...mine.slice(0, 1).map(podEnd), `node/${node}`]) {
    const who = source.startsWith('node/') ? 'node' : 'pod'
    if (far !== undefined) maker.addAddress(`${who} to outside`, source, far, told)
    for (const address of (focus.addresses ?? []).slice(0, 3)) maker.addAddress(`${who} to an address that it is about`, source, formatIp(address))
  }
}

interface ToPod {
  readonly pod: ClusterPod
  readonly proto?: 'tcp' | 'udp'
  readonly port?: number
  /** Whole, not to be fragmented. */
  readonly size?: number
  /** Not only whether it gets there. */
  readonly asItListens?: boolean
}

interface ToService {
  readonly to: string
  readonly told: string
  readonly proto: 'tcp' | 'udp'
  readonly port: number
  readonly asItListens?: boolean
}

class FlowMaker {
  private readonly byKey = new Map<string, Flow>()
  private readonly seed: number

  constructor(seed: number) {
    this.seed = seed
  }

  get flows(): readonly Flow[] {
    return [...this.byKey.values()]
  }

  add(relation: string, source: string, { pod, proto = 'tcp', port = portOf(pod), size, asItListens = false }: ToPod): void {
    const more = size === undefined ? {} : { size, df: true }
    this.put(
      relation,
      { source, destination: `${podEnd(pod)}:${port}`, proto, listen: !asItListens, ...more },
      `${nameOf(pod)}:${port} (${proto}${size === undefined ? '' : `, ${size} bytes, don't fragment`})`,
    )
  }

  addService(relation: string, source: string, { to, told, proto, port, asItListens = false }: ToService): void {
    this.put(relation, { source, destination: `${to}:${port}`, proto, listen: !asItListens }, `${told}:${port} (${proto})`)
  }

  addAddress(relation: string, source: string, to: string, told = to): void {
    this.put(relation, { source, destination: to, proto: 'icmp', listen: false }, `${told} (icmp)`)
  }

  private put(
    relation: string,
    asked: Pick<TraceRequest, 'source' | 'destination' | 'proto' | 'listen'> & Partial<Pick<TraceRequest, 'size' | 'df'>>,
    told: string,
  ): void {
    const { source, destination, proto, size, listen } = asked
    const key = JSON.stringify(asked)
    if (this.byKey.has(key)) return
    const words = [
      source,
      destination,
      ...(listen ? ['--listen'] : []),
      ...(proto === 'udp' ? ['--proto udp'] : []),
      ...(size === undefined ? [] : [`--size ${size}`, '--df']),
    ]
    this.byKey.set(key, {
      relation,
      text: `${source.replace(/^pod\//, '')} → ${told}`,
      request: { ...DEFAULT_REQUEST, seed: this.seed, ...asked },
      command: `netsim trace ${words.join(' ')}`,
    })
  }
}
