/** The MTU arithmetic of a question: what the sender's card carries, what the underlay carries, what the overlay adds, what is left for TCP. */
import { FRAME_STRIDE, ROW_A, ROW_KIND, ROW_LEG, ROW_NETNS, STEP_AGENT, STEP_ENCAP, STEP_SEND, STEP_STRIDE } from '../net/trace.js'
import { DEVICE_LOOPBACK, DEVICE_NIC, DEVICE_WIREGUARD } from '../net/device.js'
import { PROXY_SENT } from '../network/flannel-udp.js'
import type { Network } from '../network/network.js'
import type { TraceOutcome } from '../network/probe.js'
import { overheadOf } from '../wire/overhead.js'
import { LEG_FORWARD } from '../wire/packet.js'
import type { MtuDocument } from './trace-document.js'

/** IPv4 and TCP headers without options. */
const TCP_AND_IP = 40
/** flanneld's udp backend: IPv4 and UDP. */
const PROXY_BYTES = 28
const WIREGUARD_BYTES = overheadOf('wireguard').bytes
/** WireGuard pads to whole blocks: what does not fill one does not fit. */
const WIREGUARD_BLOCK = 16

/** null when the packet never left a device. Where no card of the underlay was crossed, outer is inner. */
export function mtuOf(network: Network, outcome: TraceOutcome): MtuDocument | null {
  const { trace, devices } = network.world
  let inner = 0
  let outer = 0
  let path = Infinity
  let limitedBy = ''
  let overhead = 0
  let added = 0
  for (let i = 0; i < trace.stepCount; i++) {
    const at = i * STEP_STRIDE
    if (trace.steps[at + ROW_LEG] !== LEG_FORWARD) continue
    const kind = trace.steps[at + ROW_KIND]
    if (kind === STEP_ENCAP) added = devices[trace.steps[at + ROW_A]].kind === DEVICE_WIREGUARD ? WIREGUARD_BYTES : trace.steps[at + ROW_A + 5]
    else if (kind === STEP_AGENT) added = trace.steps[at + ROW_A] === PROXY_SENT ? PROXY_BYTES : 0
    else if (kind === STEP_SEND) {
      const device = devices[trace.steps[at + ROW_A]]
      if (device.kind === DEVICE_LOOPBACK) continue
      if (inner === 0 && trace.steps[at + ROW_NETNS] === network.netns(outcome.source.netns ?? '')?.index) inner = device.mtu
      if (device.kind === DEVICE_NIC) {
        outer = outer === 0 ? device.mtu : Math.min(outer, device.mtu)
        overhead = Math.max(overhead, added)
      }
      const carries = device.kind === DEVICE_NIC ? roomFor(device.mtu, added) : device.mtu
      if (carries < path) {
        path = carries
        limitedBy = `${device.netns.name} ${device.name}`
      }
      if (device.kind === DEVICE_NIC) added = 0
    }
  }
  for (let i = 0; i < trace.frameCount; i++) {
    const segment = devices[trace.frames[i * FRAME_STRIDE + 1]].segment
    if (segment !== null && roomFor(segment.mtu, overhead) < path) {
      path = roomFor(segment.mtu, overhead)
      limitedBy = `segment ${segment.name}`
    }
  }
  if (inner === 0 || path === Infinity) return null
  return { inner, outer: outer === 0 ? inner : outer, overhead, path, mss: path - TCP_AND_IP, limitedBy }
}

/** The largest packet inside of an outer one of `mtu` bytes. */
function roomFor(mtu: number, added: number): number {
  const room = mtu - added
  return added === WIREGUARD_BYTES ? room - (room % WIREGUARD_BLOCK) : room
}

/** The most that an encapsulation of the forward leg added to a packet, WireGuard's padding of that packet included. */
export function bytesAdded(network: Network): number {
  const { trace } = network.world
  let most = 0
  for (let i = 0; i < trace.stepCount; i++) {
    const at = i * STEP_STRIDE
    if (trace.steps[at + ROW_LEG] !== LEG_FORWARD) continue
    const added = trace.steps[at + ROW_KIND] === STEP_ENCAP ? trace.steps[at + ROW_A + 5] : 0
    const sent = trace.steps[at + ROW_KIND] === STEP_AGENT && trace.steps[at + ROW_A] === PROXY_SENT ? PROXY_BYTES : 0
    most = Math.max(most, added, sent)
  }
  return most
}
