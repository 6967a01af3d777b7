// hot path
/**
 * A frame leaves by a device (dev_queue_xmit) or arrives at one (netif_receive_skb): the packet socket's tap, then the device's
 * own way. Source: net/core/dev.c, drivers/net/veth.c.
 */
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_NONE, type Packet } from '../wire/packet.js'
import { frameLength } from '../wire/frame.js'
import { arpReceive } from './arp.js'
import { bridgeReceive, bridgeTransmit } from './bridge.js'
import { DEVICE_BRIDGE, DEVICE_IPIP, DEVICE_LOOPBACK, DEVICE_NIC, DEVICE_TUN, DEVICE_VETH, DEVICE_VXLAN, DEVICE_WIREGUARD, type Device } from './device.js'
import { NO_VTEP, REASON_DEV_READY, REASON_OTHERHOST, REASON_PKT_TOO_BIG, TOO_BIG, NEIGHBOR_FAILED, INCOMPLETE, REASON_NONE, CORRUPT } from './disposition.js'
import { dropPacket } from './drop.js'
import { ipReceive } from './ip-input.js'
import { ipipTransmit } from './ipip.js'
import { PACKET_HOST, PACKET_LOOPBACK, packetTypeFor } from './packet-type.js'
import { segmentTransmit } from './link.js'
import { scrubPacket } from './scrub.js'
import type { World } from './netns.js'
import { DIRECTION_RX, DIRECTION_TX, STEP_RECEIVE, STEP_SEND } from './trace.js'
import { vxlanTransmit } from './vxlan.js'
import { wireguardTransmit } from './wireguard.js'

/** Ethernet header plus the VLAN tag that is_skb_forwardable() always allows for. */
const FORWARDABLE_SLACK = 14 + 4

/** dev_queue_xmit: the row is handed over. */
export function deviceTransmit(packet: Packet, device: Device): void {
  const trace = device.netns.world.trace
  if (device.up === 0) {
    device.txDropped++
    dropPacket(device.netns, packet, NEIGHBOR_FAILED, REASON_DEV_READY, 'device is down')
    return
  }
  // without a carrier linkwatch has taken the queue away (dev_deactivate): no tap sees the frame
  if (device.kind === DEVICE_VETH && (device.peer === null || device.peer.up === 0)) {
    device.txDropped++
    dropPacket(device.netns, packet, NEIGHBOR_FAILED, REASON_DEV_READY, 'the other end of the veth is down')
    return
  }
  device.txPackets++
  // skb_checksum_help: offloads are off, but lo needs no checksum
  if (device.kind !== DEVICE_LOOPBACK) packet.partial = 0
  if (trace.tally !== null) trace.tally.sent(device.index, frameLength(packet))
  if (trace.on === 1 && device.kind !== DEVICE_LOOPBACK) {
    trace.note(STEP_SEND, 0, device.netns, packet, device.index, frameLength(packet), device.mtu)
    trace.frame(device, DIRECTION_TX, packet)
  }
  switch (device.kind) {
    case DEVICE_VETH:
      vethTransmit(packet, device)
      return
    case DEVICE_BRIDGE:
      bridgeTransmit(packet, device)
      return
    case DEVICE_VXLAN:
      vxlanTransmit(packet, device)
      return
    case DEVICE_IPIP:
      ipipTransmit(packet, device)
      return
    case DEVICE_WIREGUARD:
      wireguardTransmit(packet, device)
      return
    case DEVICE_NIC:
      segmentTransmit(packet, device)
      return
    case DEVICE_TUN:
      tunTransmit(packet, device)
      return
    case DEVICE_LOOPBACK:
      packet.packetType = PACKET_HOST
      device.netns.world.enqueue(packet, device)
      return
    default:
      dropPacket(device.netns, packet, INCOMPLETE, REASON_NONE, device.notModelled)
  }
}

function vethTransmit(packet: Packet, device: Device): void {
  const peer = device.peer as Device
  if (frameLength(packet) > peer.mtu + FORWARDABLE_SLACK) {
    peer.rxDropped++
    dropPacket(peer.netns, packet, TOO_BIG, REASON_PKT_TOO_BIG, 'larger than the MTU of the other end of the veth')
    return
  }
  scrubPacket(packet)
  if (peer.netns !== device.netns) packet.mark = 0
  peer.netns.world.enqueue(packet, peer)
}

function tunTransmit(packet: Packet, device: Device): void {
  const tun = device.tun
  if (tun === null || tun.process === null) {
    device.txDropped++
    dropPacket(device.netns, packet, NO_VTEP, REASON_DEV_READY, 'no process holds the TUN device open')
    return
  }
  tun.process.receive(packet, device)
}

/** netif_receive_skb for a frame that comes out of the backlog. */
export function deviceReceive(packet: Packet, device: Device): void {
  const netns = device.netns
  const trace = netns.world.trace
  if (netns.touched === 0) netns.world.touch(netns)
  if (device.up === 0) {
    device.rxDropped++
    dropPacket(netns, packet, NEIGHBOR_FAILED, REASON_DEV_READY, 'device is down')
    return
  }
  device.rxPackets++
  if (device.kind !== DEVICE_LOOPBACK) packet.packetType = packet.packetType === PACKET_LOOPBACK ? PACKET_HOST : packetTypeFor(packet, device)
  if (trace.on === 1) {
    trace.note(STEP_RECEIVE, 0, netns, packet, device.index, frameLength(packet), packet.packetType)
    trace.frame(device, DIRECTION_RX, packet)
  }
  packet.inDevice = device.index
  if (device.port !== null) {
    bridgeReceive(packet, device.port)
    return
  }
  deliverToProtocol(packet, device)
}

/** The layer-3 handler of the frame's type (deliver_skb). The bridge hands up through here too. */
export function deliverToProtocol(packet: Packet, device: Device): void {
  switch (packet.etherType) {
    case ETHERTYPE_NONE:
    case ETHERTYPE_IPV4:
      ipReceive(packet, device)
      return
    case ETHERTYPE_ARP:
      arpReceive(packet, device)
      return
    default:
      dropPacket(device.netns, packet, CORRUPT, REASON_OTHERHOST, 'unknown EtherType')
  }
}

/** Wires the world's backlog to this file; called once by the compiler. */
export function connectBacklog(world: World): void {
  world.receive = deviceReceive
}
