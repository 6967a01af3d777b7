/** How a name of a question was looked up, as a document; and the deciding query as the datagram that goes over the network. */
import { formatIp } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import type { Attempt, Resolution } from '../cluster/dns/resolve.js'
import { encode, queryOf, RCODES, type Message } from '../wire/dns.js'
import type { Network } from '../network/network.js'
import { resolveEndpoint } from '../network/endpoint.js'
import type { TraceRequest } from '../network/request.js'
import { requestProblem } from '../network/request-problem.js'
import type { LookupDocument } from './trace-document.js'

export function lookupDocument({ name, resolver, outcome, queries, addresses, cname, why }: Resolution): LookupDocument {
  return {
    name,
    policy: resolver.policy,
    outcome,
    queries: queries.map(({ name: asked, type, server, rcode, records }) => ({
      name: asked,
      type,
      ...(server === undefined ? {} : { server: formatIp(server) }),
      rcode,
      answers: records.flatMap((record) => (record.type === 'A' ? formatIp(record.address) : record.type === 'CNAME' ? record.target : [])),
    })),
    addresses: addresses.map(formatIp),
    ...(cname === undefined ? {} : { cname }),
    why: why.map(({ object, text, file, line }) => ({ ...(object === '' ? {} : { object }), text, ...(file === '' ? {} : { file, line }) })),
  }
}

/** One line for people. */
export function lookupText({ name, outcome, queries, addresses, why }: LookupDocument): string {
  const server = queries.at(-1)?.server
  const places = why.flatMap(({ object, file, line }) =>
    object === undefined && file === undefined ? [] : [`${object ?? ''}${file === undefined ? '' : ` (${file}:${line ?? 0})`}`.trim()],
  )
  const by = places.length === 0 ? '' : `, from ${places[0]}${places.length > 1 ? ` and ${places.length - 1} more` : ''}`
  if (outcome === 'files') return `${name} is ${addresses.join(', ')} by /etc/hosts`
  const asked = queries.map((query) => `${query.name} ${query.rcode === 'NOERROR' ? query.answers.join(', ') || 'no address' : query.rcode}`).join('; ')
  return `${server === undefined ? 'looked up' : `${server} says`}: ${asked}${by}`
}

export interface NameQuery {
  readonly request: TraceRequest
  readonly lookup: LookupDocument
}

/** The A query that decides the name of `request.destination`, in place of the question about the address. Problems where it goes nowhere. */
export function queryRequest(network: Network, request: TraceRequest): NameQuery | readonly Problem[] {
  const { namespace, destination } = request
  const asker = resolveEndpoint(network, request.source, { namespace })
  if ('severity' in asker) return [asker]
  const name = destination.replace(/:[^:.]*$/, '')
  const resolution = network.lookup(asker, name)
  const decided = resolution.queries.at(-1)
  if (decided?.server === undefined) {
    const why = resolution.why.map(({ text }) => text).join('; ')
    const what =
      resolution.queries.length === 0
        ? `${name} needs no query (${resolution.outcome}${why === '' ? '' : `: ${why}`})`
        : `nobody says which server ${request.source} asks for ${name}`
    return [requestProblem(name, what, "Give the nodes' resolver in spec.dns.nodes of the Network document, or ask from a pod with dnsPolicy ClusterFirst.")]
  }
  const { payload, answer } = messagesOf(decided, request.seed)
  const { size, ...rest } = request
  if (size !== undefined) return [requestProblem('--size', 'a DNS query is as long as its name makes it', 'Leave --size out.')]
  const query: TraceRequest = { ...rest, proto: 'udp', destination: `${formatIp(decided.server)}:53`, payload, ...(answer === undefined ? {} : { answer }) }
  return { request: query, lookup: lookupDocument(resolution) }
}

function messagesOf(attempt: Attempt, seed: number): { readonly payload: Uint8Array; readonly answer?: Uint8Array } {
  const { name, type, rcode, records, additional } = attempt
  const query = queryOf({ name, type }, seed & 0xffff)
  const payload = encode(query)
  if (rcode === 'unknown') return { payload }
  const answer: Message = { ...query, response: true, authoritative: true, recursionAvailable: true, rcode: RCODES[rcode], answers: records, additional }
  return { payload, answer: encode(answer, { compress: true }) }
}
