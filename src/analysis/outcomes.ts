/**
 * Every outcome of a question and how likely each is: a Service has several endpoints, a route several next hops, a rule matches now and then. The
 * question is asked again with other choices (net/chance.ts) until there are no others; outcomes that differ in nothing that a user sees are one.
 */
import { formatIp } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import type { Disposition } from '../net/disposition.js'
import { ROW_LEG, ROW_NETNS, ROW_PACKET, STEP_STRIDE } from '../net/trace.js'
import type { Network } from '../network/network.js'
import { isOutcome, type TraceOutcome } from '../network/probe.js'
import type { TraceRequest } from '../network/request.js'
import { LEG_FORWARD } from '../wire/packet.js'
import { arrivalOf } from './arrival.js'
import type { EndDocument, ServerDocument } from './trace-document.js'
import { endOf } from './trace-report.js'

export interface Outcome {
  /** 0 to 1. */
  readonly probability: number
  readonly disposition: Disposition
  /** Who took the packet; absent where it did not arrive. */
  readonly server?: ServerDocument
  /** Netns after netns, as the forward's packet came to them. */
  readonly path: readonly string[]
  /** The kernel's word for the loss. */
  readonly kernelReason?: string
}

export interface Outcomes {
  readonly apiVersion: 'netsim/v1'
  readonly kind: 'Outcomes'
  readonly request: { readonly source: EndDocument; readonly destination: EndDocument; readonly proto: string; readonly dport: number }
  /** Most likely first; those of one likelihood in the order in which the rules stand. */
  readonly outcomes: readonly Outcome[]
  /** How often the question was asked. */
  readonly asked: number
  /** What the outcomes that were not followed make up together; 0: all were. */
  readonly unfollowed: number
}

/** More choices than this are no answer to anybody. */
const OUTCOME_LIMIT = 2048

/** Problems where the question names what is not there. */
export function allOutcomes(network: Network, request: TraceRequest, limit = OUTCOME_LIMIT): Outcomes | readonly Problem[] {
  const found = new Map<string, Outcome>()
  const tally: Tally = { found, asked: 0, followed: 0, limit }
  const first = follow(network, request, { share: 1, tally })
  if (!isOutcome(first)) return first
  // of several addresses of a name DNS gives any first (CoreDNS's loadbalance plugin turns them)
  const others = first.destination.others ?? []
  if (others.length > 0) {
    found.clear()
    Object.assign(tally, { asked: 0, followed: 0 })
    const port = first.dport === 0 ? '' : `:${first.dport}`
    for (const address of [first.destination.address, ...others]) {
      const one = { ...request, destination: `${formatIp(address)}${port}`, proto: first.proto }
      const again = follow(network, one, { share: 1 / (others.length + 1), tally })
      if (!isOutcome(again)) return again
    }
  }
  const outcomes = [...found.values()].sort((a, b) => b.probability - a.probability)
  const unfollowed = Math.max(0, 1 - tally.followed)
  return { ...headOf(first), outcomes, asked: tally.asked, unfollowed: unfollowed < ROUNDING ? 0 : unfollowed }
}

/** What sums of 31-bit shares may miss. */
const ROUNDING = 1e-9

interface Tally {
  readonly found: Map<string, Outcome>
  readonly limit: number
  asked: number
  /** Of all that may happen. */
  followed: number
}

/** @returns the first outcome */
function follow(
  network: Network,
  request: TraceRequest,
  { share, tally }: { readonly share: number; readonly tally: Tally },
): TraceOutcome | readonly Problem[] {
  return eachChoice(network, request, (outcome, probability) => {
    tally.asked++
    tally.followed += share * probability
    add(tally.found, outcomeOf(network, outcome, share * probability))
    return tally.asked < tally.limit
  })
}

/**
 * One choice after the other, until there are no others.
 * @param visit is handed each outcome while its rows stand, and how likely it is; false: no more
 * @returns the first outcome
 */
export function eachChoice(
  network: Network,
  request: TraceRequest,
  visit: (outcome: TraceOutcome, probability: number) => boolean,
): TraceOutcome | readonly Problem[] {
  const { chance } = network.world
  let first: TraceOutcome | undefined
  let tape: readonly number[] | undefined = []
  try {
    for (let more = true; more;) {
      chance.tell(tape)
      const outcome = network.trace(request)
      if (!isOutcome(outcome)) return outcome
      first ??= outcome
      more = visit(outcome, chance.probability)
      tape = chance.following()
      if (tape === undefined) break
    }
  } finally {
    chance.untell()
  }
  return first as TraceOutcome
}

function headOf({ source, destination, proto, dport }: TraceOutcome): Pick<Outcomes, 'apiVersion' | 'kind' | 'request'> {
  return { apiVersion: 'netsim/v1', kind: 'Outcomes', request: { source: endOf(source), destination: endOf(destination), proto, dport } }
}

function outcomeOf(network: Network, outcome: TraceOutcome, probability: number): Outcome {
  const arrival = arrivalOf(network, outcome)
  const { kernelReason } = outcome.disposition === 'REPLY_LOST' && outcome.reply !== null ? outcome.reply : outcome.forward
  return {
    probability,
    disposition: outcome.disposition,
    ...(arrival === undefined ? {} : { server: { netns: arrival.netns, address: arrival.address, ...portOf(arrival), sees: arrival.sees } }),
    path: pathOf(network, outcome.packetId),
    ...(outcome.disposition === 'DELIVERED' || kernelReason === '' ? {} : { kernelReason }),
  }
}

function portOf({ port }: ServerDocument): Pick<ServerDocument, 'port'> {
  return port === undefined ? {} : { port }
}

/** Of the packet itself: ARP and what answers it go elsewhere too. */
function pathOf({ world: { trace, netns } }: Network, packetId: number): string[] {
  const path: string[] = []
  for (let i = 0; i < trace.stepCount; i++) {
    const at = i * STEP_STRIDE
    const { name } = netns[trace.steps[at + ROW_NETNS]]
    if (trace.steps[at + ROW_LEG] === LEG_FORWARD && trace.steps[at + ROW_PACKET] === packetId && path[path.length - 1] !== name) path.push(name)
  }
  return path
}

/** Alike but for ports that chance drew. */
function add(found: Map<string, Outcome>, outcome: Outcome): void {
  const { disposition, server, path, kernelReason } = outcome
  const key = JSON.stringify([disposition, server?.netns, server?.address, server?.port, server?.sees.address, path, kernelReason])
  const known = found.get(key)
  found.set(key, known === undefined ? outcome : { ...known, probability: known.probability + outcome.probability })
}
