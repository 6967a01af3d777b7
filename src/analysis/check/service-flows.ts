/**
 * Services as packets: of each one that has endpoints, a connection of pods to its address; and of each node a pod that asks a Service of its own until
 * kube-proxy draws the pod itself, which wants a bridge that sends a frame back where it came from.
 */
import { formatIp, type Ip } from '../../base/ip.js'
import type { ClusterPod } from '../../cluster/pod.js'
import type { ServiceEndpoint, ServiceEndpoints } from '../../cluster/services/service.js'
import type { Network } from '../../network/network.js'
import { Asker, podEnd } from './asker.js'
import type { AskedDocument } from './finding.js'
import type { FlowFindings } from './flow-findings.js'
import type { PodClass } from './pair-classes.js'

const MOST_QUESTIONS = 300
/** Nodes from which a Service is asked. */
const MOST_SOURCES = 3
const MOST_HAIRPINS = 30
/** Draws until the pod gets itself: the chance that it never does is (1 - 1/n)^24. */
const MOST_DRAWS = 24

interface Entrance {
  readonly service: ServiceEndpoints
  readonly address: Ip
  readonly port: number
  readonly proto: 'tcp' | 'udp'
  readonly endpoints: readonly ServiceEndpoint[]
}

export function askServices(network: Network, flows: FlowFindings, how: { readonly classes: readonly PodClass[]; readonly seed: number }): AskedDocument {
  const entrances = entrancesOf(network)
  const sources = sourcesOf(how.classes)
  const pairs = entrances.flatMap((entrance) => sources.map((source) => ({ entrance, source })))
  const stride = Math.max(1, Math.ceil(pairs.length / MOST_QUESTIONS))
  const chosen = pairs.filter((_, index) => index % stride === 0)
  const asker = new Asker(network, how.seed, flows)
  for (const { entrance, source } of chosen) askOne(asker, source, entrance)
  askHairpins(network, flows, entrances, how.seed)
  return { what: 'Services', asked: chosen.length, of: pairs.length, pairs: pairs.length, covered: chosen.length }
}

/** The first port that a packet can be asked of, of each Service with an address and somebody behind it. */
function entrancesOf(network: Network): readonly Entrance[] {
  if (network.cluster.kubeProxy.mode === 'none') return []
  return network.services.endpoints.flatMap((one): Entrance | [] => {
    const { clusterIP, headless, internalLocal } = one.service
    // whether a pod's own node has an endpoint is what internalTrafficPolicy Local is about
    if (clusterIP === undefined || headless || internalLocal) return []
    const found = one.ports.find(({ port, endpoints }) => port.protocol !== 'SCTP' && endpoints.some(({ ready }) => ready))
    if (found === undefined) return []
    const proto = found.port.protocol === 'UDP' ? 'udp' : 'tcp'
    return { service: one, address: clusterIP, port: found.port.port, proto, endpoints: found.endpoints }
  })
}

/** Pods of different nodes, as far apart in the list as they can be. */
function sourcesOf(classes: readonly PodClass[]): readonly ClusterPod[] {
  const first = new Map<string, ClusterPod>()
  for (const { node, pods } of classes) if (!first.has(node)) first.set(node, pods[0])
  const all = [...first.values()]
  const stride = Math.max(1, Math.floor(all.length / MOST_SOURCES))
  return all.filter((_, index) => index % stride === 0).slice(0, MOST_SOURCES)
}

function askOne(asker: Asker, source: ClusterPod, { address, port, proto }: Entrance): void {
  asker.ask('pod to Service', podEnd(source), { to: formatIp(address), port, proto, pairs: 1 })
}

/** One of each node. */
function askHairpins(network: Network, flows: FlowFindings, entrances: readonly Entrance[], seed: number): void {
  const asked = new Set<string>()
  for (const entrance of entrances) {
    const { address, port, proto } = entrance
    for (const { pod } of entrance.endpoints) {
      if (pod?.node === undefined || pod.hostNetwork || asked.has(pod.node) || asked.size >= MOST_HAIRPINS) continue
      asked.add(pod.node)
      for (let draw = 0; draw < MOST_DRAWS; draw++) {
        const asker = new Asker(network, seed + draw, flows)
        const own = network.podPlan(pod.namespace, pod.name)?.address
        const answer = asker.ask('pod to Service', podEnd(pod), { to: formatIp(address), port, proto, pairs: 1, hairpinOf: own })
        if (answer?.facts.nat.some(({ side, to }) => side === 'destination' && to === own) === true) break
      }
    }
  }
}
