// hot path
/** A TUN device: what the kernel routes to it a process reads, what the process writes arrives on it (drivers/net/tun.c). */
import { ETHERTYPE_NONE, type Packet } from '../wire/packet.js'
import { scrubPacket } from './scrub.js'
import type { Device } from './device.js'
import type { UserSpace } from './netns.js'

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

/** NET_SKB_PAD; sizeof(struct skb_shared_info), of struct sk_buff; the head of small packets (SKB_SMALL_HEAD_CACHE_SIZE): x86-64. */
const HEADROOM = 64
const SHARED_INFO = 320
const SKB = 256
const SMALL_HEAD = 704
const CACHE_LINE = 64

/** tun_alloc_skb, kmalloc_reserve: the smallest power of two that holds it all. */
function bufferOf(length: number): number {
  const head = Math.ceil((HEADROOM + length) / CACHE_LINE) * CACHE_LINE + SHARED_INFO
  return (head <= SMALL_HEAD ? SMALL_HEAD : 2 ** Math.ceil(Math.log2(head))) + SKB
}
