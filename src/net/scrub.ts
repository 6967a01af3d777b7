// hot path
/** What one network stack knows of a packet is forgotten where it leaves that stack (skb_scrub_packet). The mark is the caller's: it stays within one netns. */
import type { Packet } from '../wire/packet.js'

export function scrubPacket(packet: Packet): void {
  packet.conntrack = -1
  packet.conntrackState = 0
  packet.notrack = 0
  packet.physIn = -1
  packet.physOut = -1
  packet.bridgeNfDone = 0
  packet.fragMaxSize = 0
  packet.fragmentSizes = null
  packet.depth = 0
}
