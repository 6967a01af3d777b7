// hot path
/** A packet ends without arriving: the step, the disposition, the row given back (kfree_skb_reason). */
import { ETHERTYPE_ARP, type Packet } from '../wire/packet.js'
import type { UnknownParts } from '../dataplane/dataplane.js'
import {
  INCOMPLETE,
  NEIGHBOR_FAILED,
  NO_ROUTE,
  NO_SOCKET,
  NO_VTEP,
  REASON_IP_INADDRERRORS,
  REASON_IP_OUTNOROUTES,
  REASON_NO_TX_TARGET,
  REASON_NONE,
  REASON_OTHERHOST,
  RPFILTER,
} from './disposition.js'
import type { Netns } from './netns.js'
import { STEP_DROP } from './trace.js'

/**
 * @param detail a sentence for people, a constant of the caller; interned only while a trace is on
 */
export function dropPacket(netns: Netns, packet: Packet, disposition: number, reason: number, detail: string, number1 = 0, number2 = 0): void {
  if (netns.unknown !== null && disposition !== INCOMPLETE) {
    const why = restsOn(netns.unknown, disposition, reason)
    if (why !== undefined) {
      dropPacket(netns, packet, INCOMPLETE, REASON_NONE, why)
      return
    }
  }
  const world = netns.world
  if (world.trace.on === 1 && packet.etherType !== ETHERTYPE_ARP) {
    world.trace.note(STEP_DROP, disposition, netns, packet, disposition, reason, world.word(detail), number1, number2, packet.flooded)
    if (packet.flooded === 0) world.trace.end(disposition, reason, netns, packet)
  } else if (world.trace.endsAlone === 1 && packet.etherType !== ETHERTYPE_ARP && packet.flooded === 0) world.trace.end(disposition, reason, netns, packet)
  world.trace.droppingRule = -1
  consumePacket(netns, packet)
}

/** The packet has done its work here; nothing was lost (consume_skb). */
export function consumePacket(netns: Netns, packet: Packet): void {
  if (packet.etherType !== ETHERTYPE_ARP && packet.flooded === 0) netns.world.live--
  netns.world.packets.release(packet)
}

/** Cold. Would the packet have been lost if what nobody knows of the netns were known? Why not, in words; undefined: yes. */
function restsOn({ routes, sysctls, neighbours, fdb, sockets }: UnknownParts, disposition: number, reason: number): string | undefined {
  switch (disposition) {
    case NO_ROUTE:
      return reason === REASON_IP_INADDRERRORS ? (sysctls ?? routes) : routes
    case RPFILTER:
      return routes ?? sysctls
    case NEIGHBOR_FAILED:
      return reason === REASON_OTHERHOST ? undefined : neighbours
    case NO_VTEP:
      return reason === REASON_NO_TX_TARGET ? fdb : reason === REASON_IP_OUTNOROUTES ? routes : undefined
    case NO_SOCKET:
      return sockets
    default:
      return undefined
  }
}
