// hot path
/**
 * WireGuard: a packet sent to the device goes, encrypted, in UDP to the peer whose allowed IPs hold its destination; one received on the
 * UDP port comes out of the device when its source is among the sender's. A session begins with a handshake of two messages, repeated
 * every five seconds. Source: drivers/net/wireguard (device.c wg_xmit, send.c, receive.c, socket.c send4, timers.c, allowedips.c).
 *
 *   IPv4 20 | UDP 8 | header 16 | inner IP packet, padded to 16 | tag 16       the inner packet grows by 60 bytes and its padding
 *
 * A session that is up stays up: renewing keys (after 120 s) and keepalives (after 10 s of silence) come later than any question ends.
 * Which peer a message is from, a kernel learns by decrypting it; here its index says so (WireguardRegistry).
 */
import { ETHERTYPE_NONE, IPV4_HEADER, LEG_FORWARD, PAYLOAD_BYTES, PAYLOAD_WIREGUARD, PROTO_UDP, type Packet } from '../wire/packet.js'
import { DATA_HEADER, DATA_TAG, decode, initiation, KEEPALIVE_LENGTH, padding, response, TYPE_INITIATION, TYPE_RESPONSE } from '../wire/wireguard.js'
import type { Device } from './device.js'
import { DENIED, INCOMPLETE, LOOP, NO_VTEP, REASON_NONE, REASON_RECURSION_LIMIT } from './disposition.js'
import { consumePacket, dropPacket } from './drop.js'
import { EINVAL, inetAddrType, RouteResult, RTN_LOCAL } from './fib.js'
import { icmpNdoSend, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH } from './icmp.js'
import { localOut } from './ip-output.js'
import type { Netns, World } from './netns.js'
import { PACKET_HOST } from './packet-type.js'
import { outputMtu, routeOutput } from './route-output.js'
import { noteRoute, ROUTE_OUT } from './route-step.js'
import { scrubPacket } from './scrub.js'
import { HANDSHAKE_RECEIVED, HANDSHAKE_SENT, HANDSHAKE_WAIT, STEP_DECAP, STEP_ENCAP, STEP_HANDSHAKE } from './trace.js'
import { ecnDecapsulate, ecnEncapsulate, TUNNEL_DEPTH_MAX } from './tunnel.js'
import { hasSession, type Wireguard, type WireguardPeer } from './wireguard-peer.js'

/** REKEY_TIMEOUT, and REKEY_TIMEOUT_JITTER_MAX_JIFFIES (a third of a second) in milliseconds. */
const REKEY_TIMEOUT_NS = 5e9
const JITTER_MS = 333
/** MAX_TIMER_HANDSHAKES. */
const HANDSHAKES_MAX = 18
/** MAX_STAGED_PACKETS. */
const STAGED_MAX = 128
/** HANDSHAKE_DSCP: AF41. */
const HANDSHAKE_TOS = 0x88
const UDP_HEADER = 8
/** Of Packet.flooded: what the device says for itself. */
const OWN_TALK = 2

const OUTER_ROUTE = new RouteResult()

/** The device of the netns that has the UDP port; null: none. */
export function wireguardSocket(netns: Netns, port: number): Device | null {
  const devices = netns.wireguardDevices
  for (let i = 0; i < devices.length; i++) if ((devices[i].wireguard as Wireguard).port === port && devices[i].up === 1) return devices[i]
  return null
}

/** wg_xmit. */
export function wireguardTransmit(inner: Packet, device: Device): void {
  const peer = (device.wireguard as Wireguard).allowed.find(inner.dst)
  if (peer === null) {
    unreachable(inner, device, 'no peer has the destination among its allowed IPs')
    return
  }
  if (peer.address === 0) {
    unreachable(inner, device, 'the peer has no endpoint, neither told nor heard of')
    return
  }
  if (inner.depth >= TUNNEL_DEPTH_MAX) {
    device.txDropped++
    dropPacket(device.netns, inner, LOOP, REASON_RECURSION_LIMIT, 'the tunnel routes into itself')
    return
  }
  if (hasSession(peer)) sendData(peer, inner)
  else stage(peer, inner)
}

function unreachable(inner: Packet, device: Device, detail: string): void {
  device.txDropped++
  icmpNdoSend(device.netns, inner, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0)
  dropPacket(device.netns, inner, NO_VTEP, REASON_NONE, detail, inner.dst)
}

/** wg_packet_send_staged_packets, encrypt_packet: the row becomes the inner packet of a new one; a keepalive has none. */
function sendData(peer: WireguardPeer, inner: Packet | null): void {
  const { world } = peer.device.netns
  const outer = world.packets.take()
  if (inner === null) outer.flooded = OWN_TALK
  else {
    outer.id = inner.id
    outer.leg = inner.leg
    outer.flooded = inner.flooded
    outer.depth = inner.depth + 1
    outer.tos = ecnEncapsulate(0, inner.tos)
  }
  outer.payloadKind = PAYLOAD_WIREGUARD
  outer.payloadLength = inner === null ? KEEPALIVE_LENGTH : DATA_HEADER + inner.ipLength + padding(inner.ipLength, paddingLimit(inner, peer.device)) + DATA_TAG
  outer.tcpSeq = peer.sendIndex
  outer.tcpAck = peer.sendCounter++
  outer.inner = inner
  send(peer, outer)
}

/** PACKET_CB(skb)->mtu: that of the inner packet's route. */
function paddingLimit(inner: Packet, device: Device): number {
  const mtu = inner.nextMtu === 0 ? device.mtu : inner.nextMtu
  const learned = device.netns.fib.pathMtus.get(inner.dst)
  return learned !== undefined && learned < mtu ? learned : mtu
}

/** send4: from the address that the peer last wrote to, while it is still good, else from that of the route. */
function send(peer: WireguardPeer, outer: Packet): void {
  const { device } = peer
  const { netns } = device
  const { world } = netns
  const wireguard = device.wireguard as Wireguard
  outer.etherType = ETHERTYPE_NONE
  outer.proto = PROTO_UDP
  outer.sport = wireguard.port
  outer.dst = peer.address
  outer.dport = peer.port
  outer.mark = wireguard.fwmark
  outer.ttl = netns.defaultTtl
  outer.ipLength = IPV4_HEADER + UDP_HEADER + outer.payloadLength
  outer.ipId = world.prng.nextInt32() & 0xffff
  const result = OUTER_ROUTE
  const error = routeToEndpoint(peer, outer, result)
  if (error !== 0 || result.device === null) {
    device.txDropped++
    const unknown = netns.unknown?.routes
    if (unknown !== undefined) dropPacket(netns, outer, INCOMPLETE, REASON_NONE, unknown)
    else dropPacket(netns, outer, NO_VTEP, REASON_NONE, 'no route to the endpoint of the peer', peer.address)
    return
  }
  if (outer.src === 0) outer.src = result.source
  const mtu = outputMtu(netns, outer.dst, result)
  if (world.trace.tally !== null && outer.inner !== null) world.trace.tally.encapsulated(device.index, outer.ipLength - outer.inner.ipLength)
  if (world.trace.on === 1 && outer.inner !== null) {
    const added = outer.ipLength - outer.inner.ipLength
    world.trace.note(STEP_ENCAP, peer.index, netns, outer, device.index, outer.src, outer.dst, outer.sport, outer.dport, added)
  }
  noteRoute(netns, outer, result, ROUTE_OUT)
  // a worker sends it, not whoever gave the inner packet to the device: the ICMP socket that he may hold is free again by then
  const held = world.icmpSocketHeld
  world.icmpSocketHeld = 0
  localOut(outer, netns, result.device, result.gateway, mtu)
  world.icmpSocketHeld = held
}

function routeToEndpoint(peer: WireguardPeer, outer: Packet, result: RouteResult): number {
  const { netns } = peer.device
  if (peer.source !== 0 && inetAddrType(netns, peer.source, null) !== RTN_LOCAL) peer.forgetSource()
  outer.src = peer.source
  const error = routeOutput(netns, outer, null, result)
  const elsewhere = error === 0 ? result.device === null || result.device.index !== peer.sourceDevice : error === EINVAL
  if (peer.source === 0 || !elsewhere) return error
  peer.forgetSource()
  outer.src = 0
  return routeOutput(netns, outer, null, result)
}

/** The packet waits for a session. */
function stage(peer: WireguardPeer, inner: Packet): void {
  const { device, staged } = peer
  const { netns } = device
  if (staged.length > STAGED_MAX) {
    device.txDropped++
    dropPacket(netns, staged.shift() as Packet, NO_VTEP, REASON_NONE, 'too many packets wait for the handshake with the peer')
  }
  staged.push(inner)
  if (netns.world.trace.on === 1) noteHandshake(peer, inner, HANDSHAKE_WAIT, 0)
  peer.attempts = 0
  initiate(peer)
}

function sendStaged(peer: WireguardPeer): void {
  const { staged } = peer
  while (staged.length > 0) sendData(peer, staged.shift() as Packet)
}

function noteHandshake(peer: WireguardPeer, packet: Packet, action: number, type: number): void {
  const { netns, index } = peer.device
  netns.world.trace.note(STEP_HANDSHAKE, action, netns, packet, index, peer.index, type, peer.attempts + 1, packet.src, packet.sport)
}

/** wg_packet_send_handshake_initiation: not more often than every five seconds. */
function initiate(peer: WireguardPeer): void {
  const { world } = peer.device.netns
  const { nowNs } = world.sim
  if (nowNs - peer.lastHandshakeNs < REKEY_TIMEOUT_NS) return
  world.wireguard.forget(peer.handshakeIndex)
  peer.handshakeIndex = world.wireguard.draw(peer)
  armTimer(peer, REKEY_TIMEOUT_NS + world.prng.below(JITTER_MS) * 1e6)
  const { staged } = peer
  sendHandshake(peer, initiation(peer.handshakeIndex), TYPE_INITIATION, staged.length === 0 ? LEG_FORWARD : staged[0].leg)
}

function sendHandshake(peer: WireguardPeer, message: Uint8Array, type: number, leg: number): void {
  const { world } = peer.device.netns
  peer.lastHandshakeNs = world.sim.nowNs
  const outer = world.packets.take()
  outer.id = world.newPacketId()
  outer.leg = leg
  outer.flooded = OWN_TALK
  outer.tos = HANDSHAKE_TOS
  outer.payloadKind = PAYLOAD_BYTES
  outer.payloadBytes = message
  outer.payloadLength = message.length
  outer.src = peer.address
  outer.sport = peer.port
  if (world.trace.on === 1) noteHandshake(peer, outer, HANDSHAKE_SENT, type)
  send(peer, outer)
}

/** A timer's argument holds the peer and the low bits of its timer number. */
const TIMER_WRAP = 64

function armTimer(peer: WireguardPeer, delayNs: number): void {
  const { world } = peer.device.netns
  peer.timer++
  world.sim.schedule(delayNs, world.wireguardTimer, peer.index * TIMER_WRAP + (peer.timer & (TIMER_WRAP - 1)))
}

/** wg_expired_retransmit_handshake: once more, or what waits is given up, and nobody is told. */
export function wireguardTimerFired(world: World, argument: number): void {
  const peer = world.wireguard.peers[Math.floor(argument / TIMER_WRAP)]
  if ((peer.timer & (TIMER_WRAP - 1)) !== argument % TIMER_WRAP) return
  if (peer.attempts > HANDSHAKES_MAX) {
    const { device, staged } = peer
    for (let i = 0; i < staged.length; i++) {
      device.txDropped++
      dropPacket(device.netns, staged[i], NO_VTEP, REASON_NONE, 'the peer answered none of 20 handshake initiations', peer.attempts + 1)
    }
    staged.length = 0
  } else {
    peer.attempts++
    peer.forgetSource()
    initiate(peer)
  }
  world.drain()
}

/** wg_packet_receive: the row is taken. `device` is the one that has the UDP port. */
export function wireguardReceive(outer: Packet, device: Device): void {
  if (outer.payloadKind === PAYLOAD_WIREGUARD) {
    receiveData(outer, device)
    return
  }
  const type = outer.payloadKind === PAYLOAD_BYTES && outer.payloadBytes !== null ? outer.payloadBytes[0] : 0
  const known = type === TYPE_INITIATION ? receiveInitiation(outer, device) : type === TYPE_RESPONSE && receiveResponse(outer, device)
  if (known) consumePacket(device.netns, outer)
  else {
    const detail = type === TYPE_INITIATION ? 'the handshake is from a key that is no peer of the device, or for another key than its own' : NO_MESSAGE
    dropPacket(device.netns, outer, NO_VTEP, REASON_NONE, detail)
  }
}

const NO_MESSAGE = 'the device has not asked for this message, or it is none of WireGuard'

/** Cold. wg_noise_handshake_consume_initiation, wg_packet_send_handshake_response. @returns false when the sender is no peer */
function receiveInitiation(outer: Packet, device: Device): boolean {
  const { wireguard: registry, trace } = device.netns.world
  const own = device.wireguard as Wireguard
  const message = decode(outer.payloadBytes as Uint8Array, 0)
  const sender = typeof message === 'string' ? null : registry.find(message.sender)
  // mac1 is made with the key that the sender takes for ours
  if (sender === null || typeof message === 'string' || sender.publicKey !== own.publicKey) return false
  const peer = own.peerWith((sender.device.wireguard as Wireguard).publicKey)
  if (peer === null) return false
  if (trace.on === 1) noteHandshake(peer, outer, HANDSHAKE_RECEIVED, TYPE_INITIATION)
  peer.heardFrom(outer)
  registry.forget(peer.handshakeIndex)
  peer.handshakeIndex = 0
  peer.nextReceiveIndex = registry.draw(peer)
  peer.nextSendIndex = message.sender
  sendHandshake(peer, response(peer.nextReceiveIndex, message.sender), TYPE_RESPONSE, outer.leg)
  return true
}

/** Cold. wg_noise_handshake_consume_response: the session is up for the one who began. */
function receiveResponse(outer: Packet, device: Device): boolean {
  const { wireguard: registry, trace } = device.netns.world
  const message = decode(outer.payloadBytes as Uint8Array, 0)
  const peer = typeof message === 'string' ? null : registry.find(message.receiver)
  if (peer === null || typeof message === 'string' || peer.device !== device || peer.handshakeIndex !== message.receiver) return false
  if (trace.on === 1) noteHandshake(peer, outer, HANDSHAKE_RECEIVED, TYPE_RESPONSE)
  peer.heardFrom(outer)
  peer.beginSession(message.sender)
  peer.handshakeIndex = 0
  if (peer.staged.length === 0) sendData(peer, null)
  else sendStaged(peer)
  return true
}

/** wg_packet_consume_data, wg_packet_consume_data_done. */
function receiveData(outer: Packet, device: Device): void {
  const { netns } = device
  const { world } = netns
  const peer = world.wireguard.find(outer.tcpSeq)
  if (peer === null || peer.device !== device) {
    dropPacket(netns, outer, NO_VTEP, REASON_NONE, 'no session of the device has the index of the message')
    return
  }
  peer.heardFrom(outer)
  if (outer.tcpSeq === peer.nextReceiveIndex) {
    // the first message under the new key confirms it
    peer.nextReceiveIndex = 0
    peer.beginSession(peer.nextSendIndex)
    sendStaged(peer)
  }
  const inner = outer.inner
  if (inner === null) {
    consumePacket(netns, outer)
    return
  }
  ecnDecapsulate(outer.tos, inner)
  if ((device.wireguard as Wireguard).allowed.find(inner.src) !== peer) {
    device.rxDropped++
    dropPacket(netns, outer, DENIED, REASON_NONE, 'the source of the inner packet is not among the allowed IPs of the peer that sent it')
    return
  }
  if (world.trace.on === 1) world.trace.note(STEP_DECAP, peer.index, netns, inner, device.index, outer.src, outer.ipLength - inner.ipLength, outer.sport)
  inner.leg = outer.leg
  if (outer.flooded === 0 && inner.flooded === 1) inner.flooded = 0
  inner.mark = 0
  scrubPacket(inner)
  inner.packetType = PACKET_HOST
  outer.inner = null
  world.packets.release(outer)
  world.enqueue(inner, device)
}
