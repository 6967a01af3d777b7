/**
 * Was it taken? A datagram that an open port swallows, and the reply to an echo, cause no frame any more: whether the last netns' own rules
 * let them through shows at the socket alone. That is compared here, for questions of these two kinds.
 */
import type { Disposition } from '../net/disposition.js'
import { PORT_FLANNEL_UDP } from '../wire/frame-decode.js'
import { ICMP_ECHO_REPLY } from '../wire/icmp.js'
import { PROTO_ICMP } from '../wire/packet.js'
import { PORT_IANA, PORT_LINUX } from '../wire/vxlan.js'
import type { FrameDifference } from './compare.js'
import type { Prediction } from './prediction.js'

/** Ports behind which no socket of the laboratory listens but a tunnel. */
const TUNNELS: readonly number[] = [PORT_FLANNEL_UDP, PORT_LINUX, PORT_IANA]

const TAKEN_BY_OTHERS: readonly Disposition[] = ['AMBIGUOUS', 'EXITED', 'INCOMPLETE']

/** @param heard netns in which a socket took what was asked about: the datagram, or the reply to the echo */
export function hearingDifference(prediction: Prediction, heard: readonly string[]): FrameDifference | undefined {
  const { outcome, request, frames } = prediction
  const place = listener(prediction)
  if (request.packet !== undefined || place === undefined) return undefined
  const { netns, what, expected } = place
  if (expected === heard.includes(netns)) return undefined
  const device = frames.findLast((frame) => frame.netns === netns)?.device ?? 'lo'
  const common = { netns, device, direction: 'rx', fields: [], at: frames.length } as const
  return expected
    ? { ...common, kind: 'missing', what: `predicted: a socket takes ${what}; the kernel gave it to none` }
    : { ...common, kind: 'extra', what: `predicted ${outcome.disposition}: nobody takes ${what}; the kernel gave it to a socket` }
}

interface Listener {
  readonly netns: string
  readonly what: string
  readonly expected: boolean
}

/** undefined: not to be told. */
function listener({ outcome, request, document, tunnelPorts }: Prediction): Listener | undefined {
  const { proto, source, destination, dport, answer, disposition } = outcome
  if (proto === 'icmp') {
    // without an echo reply what came back may be an ICMP error, which is no reply
    const expected = answer?.proto === PROTO_ICMP && answer.type === ICMP_ECHO_REPLY
    return source.netns === undefined ? undefined : { netns: source.netns, what: 'the echo reply', expected }
  }
  if (proto !== 'udp' || TUNNELS.includes(dport) || tunnelPorts.has(dport)) return undefined
  const netns = document.forward.hops.at(-1)?.netns ?? destination.netns
  // the asking socket has the same port there, and either may get it; who took it in place of whom it was for is a verdict, and no loss
  if (netns === undefined || (netns === source.netns && dport === request.sport) || TAKEN_BY_OTHERS.includes(disposition)) return undefined
  // what is said to many may be lost to one and taken by another
  const taken = document.forward.hops.some((hop) => hop.netns === netns && hop.steps.some(({ kind, action }) => kind === 'socket' && action === 'DELIVERED'))
  return { netns, what: 'the datagram', expected: disposition === 'DELIVERED' || taken }
}
