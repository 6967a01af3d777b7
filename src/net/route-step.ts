// hot path
/** A route lookup as a trace's step, on the way in and on the way out. */
import type { Packet } from '../wire/packet.js'
import type { RouteResult } from './fib.js'
import type { Netns } from './netns.js'
import { STEP_ROUTE } from './trace.js'

export const ROUTE_IN = 0
export const ROUTE_OUT = 1

/** The step of a lookup that is done. */
export function noteRoute(netns: Netns, packet: Packet, result: RouteResult, direction: number): void {
  const trace = netns.world.trace
  if (trace.on === 0) return
  trace.note(
    STEP_ROUTE,
    direction,
    netns,
    packet,
    packet.dst,
    result.route === null ? -1 : result.route.index,
    result.gateway,
    result.device === null ? -1 : result.device.index,
    result.type,
    result.source,
  )
}
