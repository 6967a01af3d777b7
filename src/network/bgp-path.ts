/**
 * Whether BGP's segments get through: a SYN from one speaker to another's port is traced over the network as it stands before BGP, with every rule on
 * the way. Hosts that nobody changed by hand are alike, so that of each pair of segments one question answers for all their nodes.
 */
import { formatIp, type Ip } from '../base/ip.js'
import type { BirdConfig } from '../calico/bgp/config.js'
import type { PathFinder, PathVerdict } from '../calico/bgp/tcp.js'
import { lossOf, type Loss } from './bgp-loss.js'
import { isOutcome } from './probe.js'
import { DEFAULT_REQUEST } from './request.js'
import type { Network } from './network.js'

const TTL = 64
/** One way within a segment, where an answer does not tell how long it took. */
const NEAR_NS = 50_000

interface BothWays {
  readonly there: PathVerdict
  readonly back: PathVerdict
  /** Why it is not open both ways. */
  readonly loss?: PathLoss
}

interface PathLoss extends Loss {
  readonly of: 'SYN' | 'SYN-ACK'
}

export interface BgpPaths {
  readonly find: PathFinder
  /** undefined: a connection can be made. */
  lossBetween(client: Ip, server: Ip, port: number): PathLoss | undefined
}

/** @param speakers whose addresses and ports are asked about */
export function bgpPaths(network: Network, speakers: readonly BirdConfig[]): BgpPaths {
  const ports = new Set(speakers.map(({ listen }) => listen.port))
  const alike = likeness(network)
  const known = new Map<string, BothWays>()
  const ask = (client: Ip, server: Ip, port: number): BothWays => {
    const key = `${alike(client)} ${alike(server)} ${port}`
    const found = known.get(key) ?? trace(network, client, server, port)
    known.set(key, found)
    return found
  }
  return {
    find: (from, to, sourcePort, port) => (ports.has(port) && !ports.has(sourcePort) ? ask(from, to, port).there : ask(to, from, sourcePort).back),
    lossBetween: (client, server, port) => ask(client, server, port).loss,
  }
}

/** Equal texts: every question has the same answer from either. Routers with rules and hosts with settings or host endpoints are like nobody else. */
function likeness(network: Network): (address: Ip) => string {
  const { cluster, calico } = network
  const filtered = cluster.routers.some(({ iptables }) => iptables.length > 0)
  const changed = new Set([...cluster.hosts.map(({ node }) => node), ...network.faultedNodes])
  for (const { node } of calico?.cluster.resources.hostEndpoints ?? []) changed.add(node)
  const plain = new Map<Ip, string>()
  for (const node of cluster.nodes) {
    if (!filtered && !changed.has(node.name) && cluster.nodeByAddress.get(node.address) === node) plain.set(node.address, `${node.segment} ${node.mtu}`)
  }
  return (address) => plain.get(address) ?? formatIp(address)
}

function trace(network: Network, client: Ip, server: Ip, port: number): BothWays {
  const outcome = network.trace({ ...DEFAULT_REQUEST, source: formatIp(client), destination: `${formatIp(server)}:${port}`, proto: 'tcp' })
  const lost: PathVerdict = { kind: 'lost' }
  if (!isOutcome(outcome)) return { there: lost, back: lost, loss: { of: 'SYN', text: outcome.map(({ what }) => what).join('; ') } }
  const { forward, reply, answer } = outcome
  const delayNs = answer === null ? NEAR_NS : Math.round(answer.timeNs / 2)
  if (forward.disposition !== 'DELIVERED') {
    return { there: answer === null ? lost : { kind: 'refused', delayNs }, back: lost, loss: { of: 'SYN', ...lossOf(network, forward) } }
  }
  const hops = answer === null ? 0 : Math.max(0, TTL - answer.ttl)
  const open: PathVerdict = { kind: 'open', delayNs, hops }
  if (reply?.disposition === 'DELIVERED') return { there: open, back: open }
  return { there: open, back: lost, loss: { of: 'SYN-ACK', ...(reply === null ? { text: 'nothing answers' } : lossOf(network, reply)) } }
}
