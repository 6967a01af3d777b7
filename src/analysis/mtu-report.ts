/**
 * `netsim trace --mtu`: how large packets between two ends may be, each way. From a network and a question to an MtuReport; asks some
 * hundred questions of the simulation.
 */
import type { Problem } from '../base/problem.js'
import type { Disposition } from '../net/disposition.js'
import type { Network } from '../network/network.js'
import { isOutcome, type TraceOutcome } from '../network/probe.js'
import type { TraceRequest } from '../network/request.js'
import type { MtuReport, MtuVerdict } from './mtu-document.js'
import { clientText, fixesOf, underlayDocument } from './mtu-advice.js'
import { measure, unreachable, worse, type Asking, type Measured } from './mtu-direction.js'
import type { Way } from './mtu-probe.js'
import { handshakeOf, tcpOf, type Handshake } from './mtu-tcp.js'
import type { TraceDocument } from './trace-document.js'
import { traceDocument } from './trace-report.js'

/** Problems when the request names what is not there. */
export function mtuReport(network: Network, request: TraceRequest): MtuReport | readonly Problem[] {
  const outcome = network.trace(request)
  if (!isOutcome(outcome)) return outcome
  const document = traceDocument(network, outcome)
  const handshake = outcome.proto === 'tcp' ? handshakeOf(network) : null
  const asked: TraceRequest = { ...request, proto: outcome.proto }
  const arrived = outcome.disposition === 'DELIVERED' || outcome.disposition === 'EXITED'
  if (!arrived || (outcome.proto === 'tcp' && handshake === null)) return stopped({ network, request: asked, outcome, document })
  return answered({ network, request: asked, outcome, document }, handshake)
}

interface Asked {
  readonly network: Network
  readonly request: TraceRequest
  readonly outcome: TraceOutcome
  readonly document: TraceDocument
}

/** Of these nothing is known that a larger packet could tell; a SYN that leaves the modelled world is not answered in it. */
const UNSETTLED: readonly Disposition[] = ['INCOMPLETE', 'AMBIGUOUS', 'EXITED', 'DELIVERED']

/** A small packet does not arrive: no size does. */
function stopped(asked: Asked): MtuReport {
  const verdict: MtuVerdict = UNSETTLED.includes(asked.outcome.disposition) ? 'UNKNOWN' : 'UNREACHABLE'
  const forward = unreachable(forwardWay(asked), askingOf(asked), verdict)
  const reverseWhy = 'nothing was asked of the way back: a small packet does not make the round'
  return {
    ...frame(asked, verdict),
    forward,
    reverse: null,
    reverseWhy,
    tcp: null,
    underlay: null,
    client: asked.document.result.client,
    fixes: asked.document.result.fixes,
  }
}

function answered(asked: Asked, handshake: Handshake | null): MtuReport {
  const { network, request } = asked
  const forward = measure(forwardWay(asked), { ...askingOf(asked), ...(handshake === null ? {} : { segment: handshake.destination.arrived }) })
  const back = reverseOf(asked, handshake)
  const reverse = back.measured?.document ?? null
  const verdict = worse(forward.document.verdict, reverse?.verdict ?? 'PASSES')
  const least = [forward.underlay, back.measured?.underlay ?? 0].filter((mtu) => mtu > 0)
  const underlay = underlayDocument(network, least.length === 0 ? 0 : Math.min(...least))
  const mtus = { forward: forward.document.deviceMtu, reverse: reverse?.deviceMtu ?? 0xffff }
  return {
    ...frame(asked, verdict),
    forward: forward.document,
    reverse,
    ...(back.why === undefined ? {} : { reverseWhy: back.why }),
    tcp: handshake === null ? null : tcpOf(handshake, mtus, { forward: forward.document.largest, reverse: reverse?.largest ?? null }),
    underlay,
    client: clientText(verdict, request.proto ?? ''),
    fixes: fixesOf(network, [forward.document, ...(reverse === null ? [] : [reverse])], underlay),
  }
}

function forwardWay({ network, request, outcome }: Asked): Way {
  return { network, request, answers: false, sourceNetns: outcome.source.netns ?? '' }
}

function askingOf({ outcome, document }: Asked): Asking {
  const { source, destination } = document.request
  const { disposition, result } = document
  return { from: source.name, to: destination.name, small: { size: outcome.size, disposition, cause: result.cause } }
}

/** Of TCP the server's data in the same connection; else a question of its own from the other end, which new connections must be allowed to. */
function reverseOf(asked: Asked, handshake: Handshake | null): { readonly measured?: Measured; readonly why?: string } {
  const { network, request, outcome, document } = asked
  const { source, destination } = outcome
  if (destination.netns === undefined || destination.netns === '') return { why: `${destination.name} is outside the modelled world` }
  const ends = { from: document.request.destination.name, to: document.request.source.name }
  if (handshake !== null) {
    const way: Way = { network, request, answers: true, sourceNetns: destination.netns }
    return { measured: measure(way, { ...ends, small: askingOf(asked).small, segment: handshake.source.arrived }) }
  }
  const port = outcome.dport === 0 ? '' : `:${request.sport}`
  const back: TraceRequest = { ...request, source: request.destination.replace(/:\d+$/, ''), destination: `${request.source}${port}`, listen: true }
  const turned: TraceRequest = outcome.dport === 0 ? back : { ...back, sport: outcome.dport }
  const small = network.trace(turned)
  if (!isOutcome(small)) return { why: `the way back cannot be asked: ${small.map(({ what }) => what).join('; ')}` }
  const { disposition, result } = traceDocument(network, small)
  if (disposition !== 'DELIVERED')
    return { why: `not asked: a packet from ${destination.name} of its own accord does not arrive (${disposition}); answers may` }
  const way: Way = { network, request: turned, answers: false, sourceNetns: small.source.netns ?? '' }
  return { measured: measure(way, { ...ends, from: ends.from, to: source.name, small: { size: small.size, disposition, cause: result.cause } }) }
}

type Frame = Pick<MtuReport, 'apiVersion' | 'kind' | 'verdict' | 'metadata' | 'request' | 'next' | 'warnings' | 'notModelled'>

function frame({ document, request }: Asked, verdict: MtuVerdict): Frame {
  const { source, destination, proto, sport, dport } = document.request
  const port = dport === 0 ? '' : `:${dport}`
  const told = proto === 'udp' ? ' --proto udp' : ''
  return {
    apiVersion: 'netsim/v1',
    kind: 'MtuReport',
    verdict,
    metadata: document.metadata,
    request: { source, destination, proto, sport, dport },
    next: [`netsim trace ${source.name} ${destination.name}${port}${told}${request.ttl === 64 ? '' : ` --ttl ${request.ttl}`} -v`],
    warnings: document.warnings,
    notModelled: document.notModelled,
  }
}
