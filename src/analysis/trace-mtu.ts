/** The MTU arithmetic of a question: what the sender's card carries, what the underlay carries, what the overlay adds, what is left for TCP. */
import { FRAME_STRIDE, ROW_A, ROW_KIND, ROW_LEG, ROW_NETNS, ROW_PACKET, STEP_AGENT, STEP_ENCAP, STEP_ROUTE, STEP_SEND, STEP_STRIDE } from '../net/trace.js'
import { DEVICE_LOOPBACK, DEVICE_NIC, type Device } from '../net/device.js'
import type { World } from '../net/netns.js'
import type { Network } from '../network/network.js'
import type { TraceOutcome } from '../network/probe.js'
import { largestInside, overheadOf, type Encapsulation } from '../wire/overhead.js'
import { LEG_FORWARD } from '../wire/packet.js'
import { tunnelPutOn } from './encapsulation.js'
import type { MtuDocument } from './trace-document.js'

/** IPv4 and TCP headers without options. */
const TCP_AND_IP = 40

/** null when the packet never left a device. Where no card of the underlay was crossed, outer is inner. */
export function mtuOf(network: Network, outcome: TraceOutcome): MtuDocument | null {
  const { trace, devices } = network.world
  let inner = 0
  let outer = 0
  let path = Infinity
  let limitedBy = ''
  let tunnel: Encapsulation = 'none'
  let widest: Encapsulation = 'none'
  for (let i = 0; i < trace.stepCount; i++) {
    const at = i * STEP_STRIDE
    if (trace.steps[at + ROW_LEG] !== LEG_FORWARD) continue
    const kind = trace.steps[at + ROW_KIND]
    if (kind === STEP_ENCAP || kind === STEP_AGENT) tunnel = tunnelPutOn(network.world, i)?.encapsulation ?? 'none'
    else if (kind === STEP_SEND) {
      const device = devices[trace.steps[at + ROW_A]]
      if (device.kind === DEVICE_LOOPBACK) continue
      if (inner === 0 && trace.steps[at + ROW_NETNS] === network.netns(outcome.source.netns ?? '')?.index) inner = device.mtu
      if (device.kind === DEVICE_NIC) {
        outer = outer === 0 ? device.mtu : Math.min(outer, device.mtu)
        if (overheadOf(tunnel).bytes > overheadOf(widest).bytes) widest = tunnel
      }
      const carries = device.kind === DEVICE_NIC ? largestInside(tunnel, device.mtu) : device.mtu
      if (carries < path) {
        path = carries
        limitedBy = `${device.netns.name} ${device.name}`
      }
      if (device.kind === DEVICE_NIC) tunnel = 'none'
    } else if (i === outcome.forward.step && outcome.forward.kernelReason === 'PKT_TOO_BIG') {
      // what refused it stands on the way too, and nothing was sent by it
      const refused = trace.steps[at + ROW_A + 4]
      const netns = trace.steps[at + ROW_NETNS]
      if (inner === 0 && netns === network.netns(outcome.source.netns ?? '')?.index) inner = refused
      if (largestInside(tunnel, refused) < path) {
        path = largestInside(tunnel, refused)
        limitedBy = `${network.world.netns[netns].name} ${routedTo(network.world, i)?.name ?? ''}`.trim()
      }
    }
  }
  for (let i = 0; i < trace.frameCount; i++) {
    const segment = devices[trace.frames[i * FRAME_STRIDE + 1]].segment
    if (segment !== null && largestInside(widest, segment.mtu) < path) {
      path = largestInside(widest, segment.mtu)
      limitedBy = `segment ${segment.name}`
    }
  }
  if (inner === 0 || path === Infinity) return null
  return { inner, outer: outer === 0 ? inner : outer, overhead: overheadOf(widest).bytes, path, mss: path - TCP_AND_IP, limitedBy }
}

/** Where the packet of a row was routed to, last before it. */
function routedTo({ trace: { steps }, devices }: World, row: number): Device | undefined {
  const packet = steps[row * STEP_STRIDE + ROW_PACKET]
  for (let at = (row - 1) * STEP_STRIDE; at >= 0; at -= STEP_STRIDE)
    if (steps[at + ROW_KIND] === STEP_ROUTE && steps[at + ROW_PACKET] === packet) return devices[steps[at + ROW_A + 3]]
  return undefined
}

/** The most that an encapsulation of the forward leg added to a packet, WireGuard's padding of that packet included. */
export function bytesAdded({ world }: Network): number {
  const { trace } = world
  let most = 0
  for (let row = 0; row < trace.stepCount; row++) {
    if (trace.steps[row * STEP_STRIDE + ROW_LEG] === LEG_FORWARD) most = Math.max(most, tunnelPutOn(world, row)?.bytes ?? 0)
  }
  return most
}
