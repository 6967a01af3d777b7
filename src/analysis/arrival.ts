/** Who took the packet that a question is about, and as whose it came: what a server's log would say of the client. */
import { formatIp } from '../base/ip.js'
import { LEG_FORWARD } from '../wire/packet.js'
import { ROW_A, ROW_LEG, ROW_NETNS, ROW_PACKET, ROW_TTL, STEP_SOCKET, STEP_STRIDE } from '../net/trace.js'
import type { Network } from '../network/network.js'
import type { TraceOutcome } from '../network/probe.js'
import type { ServerDocument } from './trace-document.js'

export interface Arrival extends ServerDocument {
  readonly ttl: number
}

/** undefined where it did not arrive. Reads the rows of the network's last question. */
export function arrivalOf({ world: { trace, netns } }: Network, outcome: TraceOutcome): Arrival | undefined {
  if (outcome.forward.disposition !== 'DELIVERED') return undefined
  for (let i = trace.stepCount - 1; i >= 0; i--) {
    const at = i * STEP_STRIDE
    const { steps } = trace
    if (steps[at] !== STEP_SOCKET || steps[at + ROW_LEG] !== LEG_FORWARD || steps[at + ROW_PACKET] !== outcome.packetId) continue
    const ports = outcome.proto !== 'icmp'
    return {
      netns: netns[steps[at + ROW_NETNS]].name,
      address: formatIp(steps[at + ROW_A + 5]),
      ...(ports ? { port: steps[at + ROW_A + 1] } : {}),
      sees: { address: formatIp(steps[at + ROW_A + 4]), ...(ports ? { port: steps[at + ROW_A + 3] } : {}) },
      ttl: steps[at + ROW_TTL],
    }
  }
  return undefined
}
