// hot path
/** A TUN device: what the kernel routes to it a process reads, what the process writes arrives on it (drivers/net/tun.c). */
import { ETHERTYPE_NONE, type Packet } from '../wire/packet.js'
import { scrubPacket } from './scrub.js'
import type { Device } from './device.js'
import type { UserSpace } from './netns.js'
import { bufferOf } from './truesize.js'

export class Tun {
  /** Who holds the device open; null: nobody, and packets are lost. */
  process: UserSpace | null = null
}

/** The process wrote an IP packet into the device: it is received there (tun_get_user). */
export function tunWrite(packet: Packet, device: Device): void {
  packet.etherType = ETHERTYPE_NONE
  packet.mark = 0
  packet.bufferSize = bufferOf(packet.ipLength)
  scrubPacket(packet)
  const world = device.netns.world
  world.enqueue(packet, device)
  world.drain()
}
