// hot path
/** A packet ends without arriving: the step, the disposition, the row given back (kfree_skb_reason). */
import { ETHERTYPE_ARP, type Packet } from '../wire/packet.js'
import type { Netns } from './netns.js'
import { STEP_DROP } from './trace.js'

/**
 * @param detail a sentence for people, a constant of the caller; interned only while a trace is on
 */
export function dropPacket(netns: Netns, packet: Packet, disposition: number, reason: number, detail: string, number1 = 0, number2 = 0): void {
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
