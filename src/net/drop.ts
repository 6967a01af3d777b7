// hot path
/** A packet ends without arriving: the step, the disposition, the row given back (kfree_skb_reason). */
import { ETHERTYPE_ARP, PROTO_UDP, type Packet } from '../wire/packet.js'
import type { UnknownParts } from '../dataplane/dataplane.js'
import {
  INCOMPLETE,
  MARTIAN,
  NEIGHBOR_FAILED,
  NO_ROUTE,
  NO_SOCKET,
  NO_VTEP,
  REASON_IP_INADDRERRORS,
  REASON_IP_LOCALNET,
  REASON_IP_LOCAL_SOURCE,
  REASON_IP_OUTNOROUTES,
  REASON_NEIGH_FAILED,
  REASON_NEIGH_QUEUEFULL,
  REASON_NO_SOCKET,
  REASON_NO_TX_TARGET,
  REASON_NONE,
  RPFILTER,
} from './disposition.js'
import type { Netns } from './netns.js'
import { STEP_DROP } from './trace.js'

/**
 * @param detail a sentence for people, a constant of the caller; interned only while a trace is on
 */
export function dropPacket(netns: Netns, packet: Packet, disposition: number, reason: number, detail: string, number1 = 0, number2 = 0): void {
  if (netns.unknown !== null && disposition !== INCOMPLETE) {
    const why = restsOn(netns.unknown, disposition, reason, packet.proto)
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
function restsOn({ routes, sysctls, neighbours, fdb, sockets }: UnknownParts, disposition: number, reason: number, proto: number): string | undefined {
  switch (disposition) {
    case NO_ROUTE:
      return reason === REASON_IP_INADDRERRORS ? (sysctls ?? routes) : routes
    case RPFILTER:
      return routes ?? sysctls
    case NEIGHBOR_FAILED:
      return reason === REASON_NEIGH_FAILED || reason === REASON_NEIGH_QUEUEFULL || reason === REASON_NONE ? neighbours : undefined
    case NO_VTEP:
      return reason === REASON_NO_TX_TARGET ? fdb : reason === REASON_IP_OUTNOROUTES ? routes : undefined
    case NO_SOCKET:
      // UDP for many gives no reason (udp.ts)
      return reason === REASON_NO_SOCKET || (reason === REASON_NONE && proto === PROTO_UDP) ? sockets : undefined
    case MARTIAN:
      // route_localnet, accept_local
      return reason === REASON_IP_LOCALNET || reason === REASON_IP_LOCAL_SOURCE ? sysctls : undefined
    default:
      return undefined
  }
}
