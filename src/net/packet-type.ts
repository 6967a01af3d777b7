// hot path
/** Whom a received frame is for (include/uapi/linux/if_packet.h, eth_type_trans). */
import { ETHERTYPE_NONE, type Packet } from '../wire/packet.js'
import type { Device } from './device.js'

export const PACKET_HOST = 0
const PACKET_BROADCAST = 1
const PACKET_MULTICAST = 2
export const PACKET_OTHERHOST = 3
/** Handed over within the host: for us, whatever its MAC says. */
export const PACKET_LOOPBACK = 5

export function packetTypeFor(packet: Packet, device: Device): number {
  if (device.ethernet === 0 || packet.etherType === ETHERTYPE_NONE) return PACKET_HOST
  if (packet.dstMacLow === device.macLow && packet.dstMacHigh === device.macHigh) return PACKET_HOST
  if (packet.dstMacHigh === 0xffff && packet.dstMacLow === -1) return PACKET_BROADCAST
  return (packet.dstMacHigh & 0x0100) !== 0 ? PACKET_MULTICAST : PACKET_OTHERHOST
}
