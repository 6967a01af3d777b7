/** A question to netsim → the same question to a laboratory: what the process at the source would give its socket. */
import { encodeIp } from '../wire/frame.js'
import { advertisedMss, discoversPathMtu, initialWindow, WINDOW_SCALE } from '../net/tcp.js'
import { ETHERTYPE_NONE, Packet, PROTO_TCP, TCP_OPTIONS_SYN, TCP_SYN } from '../wire/packet.js'
import type { Network } from '../network/network.js'
import type { Prediction } from './prediction.js'
import type { LabProbe } from './lab-types.js'

/** Not netsim's own chance: where they show, they must stand for it all along. */
const ECHO_ID = 0x6e73
const SEQUENCE = 0x5eed0001
const TIMESTAMP = 0x00c0ffee
const IP_ID = 0x4d2
const INADDR_LOOPBACK = 0x7f000001
const SYN_LENGTH = 60
const TCP_HEADERS = 40

/** undefined for what no process can send here. */
export function labProbeOf(network: Network, prediction: Prediction, options: { readonly trace: boolean }): LabProbe | undefined {
  const { request, outcome } = prediction
  const { source, destination, proto, dport, size } = outcome
  if (source.netns === undefined || proto === 'sctp') return undefined
  const target = destination.address === 0 ? INADDR_LOOPBACK : destination.address
  // as network/probe.ts has it: a host's process is bound to nothing
  const from = source.name.startsWith('node/') || source.netns === source.node || target >>> 24 === 127 ? 0 : source.address
  const listen =
    (request.listen || destination.listens === true) && destination.netns !== undefined && proto !== 'icmp'
      ? [{ netns: destination.netns, proto, port: dport }]
      : []
  const common = { netns: source.netns, predictedNs: framesEndNs(prediction), trace: options.trace, ...(listen.length === 0 ? {} : { listen }) }
  const { ttl, df, sport } = request
  if (proto === 'icmp') return { ...common, kind: 'icmp', source: from, destination: target, id: ECHO_ID, sequence: 1, size, ttl, df }
  if (proto === 'udp') return { ...common, kind: 'udp', source: from, destination: target, sport, dport, size, ttl, df }
  const syn = synOf(network, prediction, { from, target })
  // a client never sends more than a segment, and what is longer goes by a raw socket, which cuts nothing to pieces
  if (!syn.dontFragment && size > syn.mtu) return undefined
  return {
    ...common,
    kind: 'tcp',
    source: from,
    destination: target,
    sport,
    dport,
    ttl,
    df,
    syn: syn.bytes,
    ...(request.size === undefined ? {} : { size: request.size }),
  }
}

/** A kernel's timers run late, by a tick or more each. */
const PATIENCE = 1.15

/** From the first frame to the last; what ends later without a frame need not be waited for. */
function framesEndNs({ frames }: Prediction): number {
  return frames.length === 0 ? 0 : Math.round((frames[frames.length - 1].timeNs - frames[0].timeNs) * PATIENCE)
}

interface Syn {
  readonly bytes: Uint8Array
  readonly dontFragment: boolean
  /** Towards the peer. */
  readonly mtu: number
}

function synOf(network: Network, { outcome, request }: Prediction, { from, target }: { readonly from: number; readonly target: number }): Syn {
  const packet = new Packet()
  Object.assign(packet, {
    etherType: ETHERTYPE_NONE,
    proto: PROTO_TCP,
    src: from,
    dst: target,
    sport: request.sport,
    dport: outcome.dport,
    ttl: request.ttl,
    dontFragment: 0,
    ipId: IP_ID,
    ipLength: SYN_LENGTH,
    tcpFlags: TCP_SYN,
    tcpOptions: TCP_OPTIONS_SYN,
    tcpSeq: SEQUENCE,
    tcpWscale: WINDOW_SCALE,
    tcpTsVal: TIMESTAMP,
  })
  const netns = network.netns(outcome.source.netns ?? '')
  packet.dontFragment = request.df || (netns !== undefined && discoversPathMtu(netns, packet) === 1) ? 1 : 0
  packet.tcpMss = netns === undefined ? 0 : advertisedMss(netns, packet)
  packet.tcpWindow = initialWindow(packet.tcpMss)
  return { bytes: encodeIp(packet), dontFragment: packet.dontFragment === 1, mtu: packet.tcpMss + TCP_HEADERS }
}
