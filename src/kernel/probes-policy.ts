/**
 * Of the questions that verify asks, those about policies: for each rule of each policy's chains a question that takes it, and for each policy one that is
 * allowed and one that is denied, wherever any of the candidates does so. The candidates (pods of each kind, nodes, the ports that the rules speak of)
 * are asked of netsim first, which takes no time; the questions chosen are few (greedily, the one that shows the most that is new).
 */
import type { Dataplane } from '../dataplane/dataplane.js'
import type { Rule } from '../dataplane/iptables.js'
import { ROW_A, ROW_KIND, ROW_NETNS, STEP_RULE, STEP_STRIDE } from '../net/trace.js'
import type { Network } from '../network/network.js'
import { isOutcome } from '../network/probe.js'
import { DEFAULT_REQUEST, type TraceRequest } from '../network/request.js'

/** Felix's chains of a policy, either way (names.go PolicyInboundPfx, PolicyOutboundPfx). */
const POLICY_CHAIN = /^cali-p[io]-/
const MOST_ENDS = 10
const MOST_NODES = 3
const MOST_PORTS = 8
const MOST_CANDIDATES = 500
const MOST_CHOSEN = 48
/** Nothing listens there and seldom does a rule speak of it. */
const CLOSED_PORT = 9

export interface Candidate {
  readonly request: TraceRequest
  /** What it would show. */
  readonly shows: ReadonlySet<string>
}

/** @param base what all questions have in common @returns in the order of choice; empty where no policy is */
export function policyQuestions(network: Network, base: Partial<TraceRequest>): readonly TraceRequest[] {
  const dataplanes = network.nodes.map(({ dataplane }) => dataplane)
  const ports = portsOfPolicies(dataplanes)
  if (ports === undefined) return []
  const candidates: Candidate[] = []
  for (const request of requests(network, base, ports)) {
    if (candidates.length === MOST_CANDIDATES) break
    const shows = shownBy(network, request)
    if (shows.size > 0) candidates.push({ request, shows })
  }
  return greedily(candidates, MOST_CHOSEN)
}

function* requests(network: Network, base: Partial<TraceRequest>, ports: readonly string[]): Iterable<TraceRequest> {
  const pods = podKinds(network)
  const nodes = network.nodes.slice(0, MOST_NODES).map(({ node }) => `node/${node.name}`)
  const ends = [...pods, ...nodes]
  for (const port of ['icmp', ...ports]) {
    const [proto, number] = port.split(' ')
    for (const destination of ends) {
      for (const source of ends) {
        if (source === destination) continue
        const common = { ...DEFAULT_REQUEST, ...base, source }
        yield proto === 'icmp' ? { ...common, destination } : { ...common, destination: `${destination}:${number}`, proto: proto === 'udp' ? 'udp' : 'tcp' }
      }
    }
  }
}

/** A pod of each namespace, set of labels and node. */
function podKinds({ pods }: Network): readonly string[] {
  const kinds = new Map<string, string>()
  for (const { pod } of pods) {
    const kind = JSON.stringify([pod.namespace, Object.entries(pod.labels).sort(), pod.node])
    if (!kinds.has(kind)) kinds.set(kind, `${pod.namespace}/${pod.name}`)
  }
  return [...kinds.values()].slice(0, MOST_ENDS)
}

/** `tcp 80`, of rules and of the sets that they name; undefined: there is no policy. */
function portsOfPolicies(dataplanes: readonly Dataplane[]): readonly string[] | undefined {
  const ports = new Set<string>()
  let rules = 0
  for (const { iptables, ipsets } of dataplanes) {
    const members = new Map(ipsets.filter(({ type }) => type === 'hash:ip,port').map((set) => [set.name, set.members]))
    for (const { chains } of iptables.tables) {
      for (const chain of chains) {
        if (!POLICY_CHAIN.test(chain.name)) continue
        rules += chain.rules.length
        for (const rule of chain.rules) notePorts(rule, members, ports)
      }
    }
  }
  if (rules === 0) return undefined
  const named = [...ports].slice(0, MOST_PORTS)
  return [...new Set([...named, `tcp ${CLOSED_PORT}`, `udp ${CLOSED_PORT}`])]
}

function notePorts({ matches }: Rule, members: ReadonlyMap<string, readonly { readonly element: string }[]>, ports: Set<string>): void {
  const protocol = matches.find((match) => match.kind === 'protocol')
  const proto = protocol?.kind === 'protocol' && protocol.proto === 17 ? 'udp' : 'tcp'
  for (const match of matches) {
    if (match.kind === 'destination-port') ports.add(`${proto} ${match.ports[0]}`)
    else if (match.kind === 'multiport' && match.side !== 'sports') for (const [first] of match.ports) ports.add(`${proto} ${first}`)
    else if (match.kind === 'set') {
      for (const { element } of members.get(match.set)?.slice(0, 1) ?? []) {
        const [, word, number] = /,(tcp|udp):(\d+)$/.exec(element) ?? []
        if (number !== undefined) ports.add(`${word} ${number}`)
      }
    }
  }
}

/** Rules of policies that it takes, and of which policies' chains it is allowed or denied after. @param chains whose are of interest */
export function shownBy(network: Network, request: TraceRequest, chains = POLICY_CHAIN): ReadonlySet<string> {
  const shows = new Set<string>()
  const outcome = network.trace(request)
  if (!isOutcome(outcome)) return shows
  const { trace, netns } = network.world
  const denied = outcome.forward.disposition === 'DENIED' || outcome.forward.disposition === 'REJECTED'
  for (let step = 0; step < trace.stepCount; step++) {
    const at = step * STEP_STRIDE
    if (trace.steps[at + ROW_KIND] !== STEP_RULE) continue
    const [table, chain, rule, matched] = trace.steps.subarray(at + ROW_A, at + ROW_A + 4)
    const name = netns[trace.steps[at + ROW_NETNS]].netfilter?.chainName(chain) ?? ''
    if (!chains.test(name)) continue
    if (matched === 1) shows.add(`${table} ${name} ${rule}`)
    shows.add(`${name} ${denied ? 'denied' : 'allowed'}`)
  }
  return shows
}

/** The one that shows the most that none before it did, again and again. */
export function greedily(candidates: readonly Candidate[], atMost: number): readonly TraceRequest[] {
  const missing = new Set(candidates.flatMap(({ shows }) => [...shows]))
  const chosen: TraceRequest[] = []
  while (missing.size > 0 && chosen.length < atMost) {
    let best: Candidate | undefined
    let most = 0
    for (const candidate of candidates) {
      let count = 0
      for (const what of candidate.shows) if (missing.has(what)) count++
      if (count > most) [best, most] = [candidate, count]
    }
    if (best === undefined) break
    for (const what of best.shows) missing.delete(what)
    chosen.push(best.request)
  }
  return chosen
}
