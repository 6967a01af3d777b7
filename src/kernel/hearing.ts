/**
 * Was it taken? A datagram that an open port swallows, and the reply to an echo, cause no frame any more: whether the last netns' own rules
 * let them through shows at the socket alone. That is compared here, for questions of these two kinds.
 */
import { PORT_FLANNEL_UDP } from '../wire/frame-decode.js'
import { PORT_IANA, PORT_LINUX } from '../wire/vxlan.js'
import type { FrameDifference } from './compare.js'
import type { Prediction } from './prediction.js'

/** Ports behind which no socket of the laboratory listens but a tunnel. */
const TUNNELS: readonly number[] = [PORT_FLANNEL_UDP, PORT_LINUX, PORT_IANA]

/** @param heard netns in which a socket took what was asked about: the datagram, or the reply to the echo */
export function hearingDifference(prediction: Prediction, heard: readonly string[]): FrameDifference | undefined {
  const { outcome, request, frames } = prediction
  const place = listener(prediction)
  if (request.packet !== undefined || place === undefined) return undefined
  const { netns, what } = place
  const expected = outcome.disposition === 'DELIVERED'
  if (expected === heard.includes(netns)) return undefined
  const device = frames.findLast((frame) => frame.netns === netns)?.device ?? 'lo'
  const common = { netns, device, direction: 'rx', fields: [], at: frames.length } as const
  return expected
    ? { ...common, kind: 'missing', what: `predicted: a socket takes ${what}; the kernel gave it to none` }
    : { ...common, kind: 'extra', what: `predicted ${outcome.disposition}: nobody takes ${what}; the kernel gave it to a socket` }
}

/** undefined: not to be told. */
function listener({ outcome, request, document, tunnelPorts }: Prediction): { readonly netns: string; readonly what: string } | undefined {
  const { proto, source, destination, dport, reply } = outcome
  if (proto === 'icmp') return source.netns === undefined || reply === null ? undefined : { netns: source.netns, what: 'the echo reply' }
  if (proto !== 'udp' || TUNNELS.includes(dport) || tunnelPorts.has(dport)) return undefined
  const netns = document.forward.hops.at(-1)?.netns ?? destination.netns
  // the asking socket has the same port there, and either may get it
  if (netns === undefined || (netns === source.netns && dport === request.sport)) return undefined
  return { netns, what: 'the datagram' }
}
