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

/** More turns of chance are not followed; what remains counts as those that were. */
const WAYS_MAX = 64

interface Way {
  readonly share: number
  readonly both: BothWays
}

/** Where cables lose frames one question has several outcomes: each is had in turn. */
function trace(network: Network, client: Ip, server: Ip, port: number): BothWays {
  const { chance } = network.world
  const ways: Way[] = []
  try {
    for (let tape: readonly number[] | undefined = []; tape !== undefined && ways.length < WAYS_MAX; tape = chance.following()) {
      chance.tell(tape, { forks: false })
      const both = traceOnce(network, client, server, port)
      ways.push({ share: chance.probability, both })
    }
  } finally {
    chance.untell()
  }
  return ways.length === 1 ? ways[0].both : together(ways)
}

function together(ways: readonly Way[]): BothWays {
  const shareOf = (some: readonly Way[]): number => some.reduce((sum, { share }) => sum + share, 0)
  const arrived = ways.filter(({ both }) => both.there.kind === 'open')
  const answered = arrived.filter(({ both }) => both.back.kind === 'open')
  const likeliest = (some: readonly Way[]): Way => some.reduce((best, way) => (way.share > best.share ? way : best))
  if (arrived.length === 0) return likeliest(ways).both
  const there = withLoss(arrived[0].both.there, 1 - shareOf(arrived) / shareOf(ways))
  if (answered.length === 0) return { ...likeliest(arrived).both, there }
  return { there, back: withLoss(answered[0].both.back, 1 - shareOf(answered) / shareOf(arrived)) }
}

function withLoss(verdict: PathVerdict, loss: number): PathVerdict {
  return verdict.kind === 'open' ? { ...verdict, loss } : verdict
}

function traceOnce(network: Network, client: Ip, server: Ip, port: number): BothWays {
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
