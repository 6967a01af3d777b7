/**
 * flanneld's udp backend at run time: the C proxy between the TUN device and a UDP socket. The proxy works on bytes, as the real
 * one does; what it decides is applied to the packet's row. Reading and writing take time, and one packet comes after the other.
 *
 *   kernel ─▶ flannel0 ─▶ read ─▶ UdpProxy ─▶ sendto 8285 ─▶ kernel          kernel ─▶ socket ─▶ recv ─▶ UdpProxy ─▶ write ─▶ flannel0
 */
import type { Ip } from '../base/ip.js'
import { ETHERTYPE_NONE, IPV4_HEADER, PAYLOAD_INNER, PROTO_UDP, type Packet } from '../wire/packet.js'
import { encodeIp } from '../wire/frame.js'
import { headerFaultOf } from '../wire/ipv4.js'
import { decodeFrame } from '../wire/frame-decode.js'
import { AGENT_DROPPED, REASON_NONE } from '../net/disposition.js'
import { dropPacket } from '../net/drop.js'
import type { Device } from '../net/device.js'
import type { Netns, UserSpace } from '../net/netns.js'
import { STEP_AGENT, STEP_ORIGINATE } from '../net/trace.js'
import { tunWrite } from '../net/tun.js'
import { sendDatagram } from '../net/udp.js'
import type { ProxySpec } from '../flannel/backend.js'
import { UdpProxy } from '../flannel/udp-proxy.js'

/** One crossing into user space and back: a wake-up and two copies; a round figure for this machine class, no promise. */
const CROSSING_NS = 20_000

const UDP_HEADER = 8
const TTL_OFFSET = 8

/** What the trace says of the proxy: `sent`, `written`. */
export const PROXY_SENT = 1
const PROXY_WRITTEN = 2

export class UdpProcess implements UserSpace {
  private readonly netns: Netns
  private readonly tun: Device
  private readonly proxy: UdpProxy
  private readonly address: Ip
  private readonly port: number
  private readonly handler: number
  /** Read in the order of arrival. */
  private readonly waiting: { readonly packet: Packet; readonly fromTun: boolean }[] = []
  private busyUntilNs = 0

  constructor(netns: Netns, tun: Device, spec: ProxySpec) {
    this.netns = netns
    this.tun = tun
    this.proxy = new UdpProxy(spec.tunAddress, spec.tunMtu)
    for (const route of spec.routes) this.proxy.setRoute(route.subnet, route.nextHop, route.port)
    this.address = spec.address
    this.port = spec.port
    this.handler = netns.world.sim.register(() => this.next())
  }

  receive(packet: Packet, device: Device | null): void {
    const { sim } = this.netns.world
    if (this.busyUntilNs < sim.nowNs || this.waiting.length === 0) this.busyUntilNs = sim.nowNs
    this.busyUntilNs += CROSSING_NS
    this.waiting.push({ packet, fromTun: device !== null })
    sim.schedule(this.busyUntilNs - sim.nowNs, this.handler, 0)
  }

  /** Nothing is under way any more. */
  reset(): void {
    this.waiting.length = 0
    this.busyUntilNs = 0
  }

  private next(): void {
    const first = this.waiting.shift()
    if (first === undefined) return
    if (first.fromTun) this.send(first.packet)
    else this.write(first.packet)
    this.netns.world.drain()
  }

  /** tun_to_udp. */
  private send(packet: Packet): void {
    const result = this.proxy.fromTun(encodeIp(packet))
    if (result.action === 'drop') {
      this.drop(packet, result.reason)
      return
    }
    if (result.action === 'icmp') {
      this.answer(packet, result.bytes)
      return
    }
    const { world } = this.netns
    const ttlBefore = packet.ttl
    age(packet, result.bytes)
    this.note(packet, PROXY_SENT, result.to, result.port, ttlBefore)
    const outer = world.packets.take()
    outer.id = packet.id
    outer.leg = packet.leg
    outer.proto = PROTO_UDP
    outer.src = this.address
    outer.dst = result.to
    outer.sport = this.port
    outer.dport = result.port
    outer.ttl = this.netns.defaultTtl
    outer.payloadKind = PAYLOAD_INNER
    outer.payloadLength = result.bytes.length
    outer.inner = packet
    outer.ipLength = IPV4_HEADER + UDP_HEADER + result.bytes.length
    outer.ipId = world.prng.nextInt32() & 0xffff
    if (world.trace.tally !== null) world.trace.tally.encapsulated(this.tun.index, outer.ipLength - result.bytes.length)
    sendDatagram(this.netns, outer)
  }

  /** udp_to_tun: what came is taken to be an IP packet, whoever sent it. */
  private write(outer: Packet): void {
    const { world } = this.netns
    const payload = encodeIp(outer).subarray(IPV4_HEADER + UDP_HEADER)
    const result = this.proxy.fromUdp(payload)
    if (result.action === 'drop') {
      this.drop(outer, result.reason)
      return
    }
    const carried = outer.inner
    outer.inner = null
    const packet = carried !== null && outer.vni < 0 ? carried : this.foreign(outer, result.bytes)
    if (packet === undefined) return
    packet.leg = outer.leg
    if (packet !== outer) world.packets.release(outer)
    const ttlBefore = packet.ttl
    age(packet, result.bytes)
    packet.truncatedLength = result.bytes.length < packet.ipLength ? result.bytes.length : 0
    this.note(packet, PROXY_WRITTEN, 0, 0, ttlBefore)
    tunWrite(packet, this.tun)
  }

  /** Somebody else's datagram: read as the kernel will read it. */
  private foreign(outer: Packet, bytes: Uint8Array): Packet | undefined {
    const packet = this.netns.world.packets.take()
    packet.id = outer.id
    if (decodeFrame(bytes, { link: 'none' }, packet) === 'ok') return packet
    this.netns.world.packets.release(packet)
    this.drop(outer, 'the datagram holds no IPv4 packet: the kernel refuses what the proxy writes to the TUN device')
    return undefined
  }

  /** ICMP network unreachable, written back to the TUN device; the offender is gone. */
  private answer(offender: Packet, bytes: Uint8Array): void {
    const { world } = this.netns
    const icmp = world.packets.take()
    if (decodeFrame(bytes, { link: 'none' }, icmp) !== 'ok') {
      world.packets.release(icmp)
      this.drop(offender, 'no route')
      return
    }
    icmp.id = world.newPacketId()
    icmp.leg = 1
    icmp.etherType = ETHERTYPE_NONE
    if (world.trace.on === 1) world.trace.note(STEP_ORIGINATE, 4, this.netns, icmp, icmp.src, icmp.dst)
    world.live++
    this.drop(offender, 'no lease for the destination; it writes ICMP network unreachable to the TUN device')
    tunWrite(icmp, this.tun)
  }

  private drop(packet: Packet, reason: string): void {
    dropPacket(this.netns, packet, AGENT_DROPPED, REASON_NONE, `flanneld: ${reason}`)
  }

  private note(packet: Packet, what: number, to: Ip, port: number, ttlBefore: number): void {
    const { trace } = this.netns.world
    if (trace.on === 1) trace.note(STEP_AGENT, what, this.netns, packet, what, to, port, ttlBefore, packet.ttl, this.tun.index)
  }
}

/** The proxy mends the checksum for a TTL one lower; where that was 0 it becomes 255, and the checksum wrong. */
function age(packet: Packet, bytes: Uint8Array): void {
  packet.ttl = bytes[TTL_OFFSET]
  packet.headerFault = headerFaultOf(bytes, 0, (bytes[0] & 15) * 4)
}
