// hot path
/** ARP: asking, answering, proxying, learning. Source: net/ipv4/arp.c (arp_solicit, arp_process, arp_ignore, arp_filter). */
import { ETHERTYPE_ARP, type Packet } from '../wire/packet.js'
import { SCOPE_HOST, SCOPE_LINK, type Device } from './device.js'
import { deviceTransmit } from './device-io.js'
import { consumePacket } from './drop.js'
import { inetAddrType, isMulticast, RouteResult, RTN_LOCAL, RTN_UNICAST } from './fib.js'
import { routeInput } from './route-input.js'
import { inetSelectAddr, routeOutput, sameSubnet } from './route-output.js'
import { HEARD_ANSWER, HEARD_QUESTION, HEARD_TALK, neighbourUpdate, NUD_PROBE, type NeighTable, type Neighbour } from './neigh.js'
import type { World } from './netns.js'
import { PACKET_HOST } from './packet-type.js'
import { STEP_ARP, STEP_ORIGINATE } from './trace.js'

const ARP_REQUEST = 1
const ARP_REPLY = 2

export const ARP_IGNORED = 0
export const ARP_ANSWERED = 1
const ARP_LEARNED = 2
export const ARP_PROXIED = 3

const ARP_ROUTE = new RouteResult()

/** arp_solicit: who has the address? Broadcast, or to the known MAC while probing. `because` waits for the answer (null: upkeep). */
export function arpSolicit(neighbour: Neighbour, because: Packet | null): void {
  const device = neighbour.device
  const netns = device.netns
  const request = netns.world.packets.take()
  request.id = netns.world.newPacketId()
  if (because !== null) request.leg = because.leg
  // inet_addr_type_dev_table: any address of this host, whichever device has it
  let sender = 0
  if (because !== null && device.arpAnnounce < 2 && inetAddrType(netns, because.src, null) === RTN_LOCAL) {
    if (device.arpAnnounce === 0 || onLink(device, neighbour.address, because.src)) sender = because.src
  }
  if (sender === 0) sender = inetSelectAddr(device, neighbour.address, SCOPE_LINK)
  const probing = neighbour.state === NUD_PROBE
  fillArp(request, device, ARP_REQUEST, probing ? neighbour.macHigh : 0xffff, probing ? neighbour.macLow : -1)
  request.src = sender
  request.dst = neighbour.address
  if (netns.world.trace.on === 1) netns.world.trace.note(STEP_ORIGINATE, ARP_REQUEST, netns, request, sender, neighbour.address, device.index)
  deviceTransmit(request, device)
}

function fillArp(packet: Packet, device: Device, operation: number, toHigh: number, toLow: number): void {
  packet.etherType = ETHERTYPE_ARP
  packet.dstMacHigh = toHigh
  packet.dstMacLow = toLow
  packet.srcMacHigh = device.macHigh
  packet.srcMacLow = device.macLow
  packet.arpOperation = operation
  packet.arpSenderMacHigh = device.macHigh
  packet.arpSenderMacLow = device.macLow
  packet.arpTargetMacHigh = 0
  packet.arpTargetMacLow = 0
}

/** arp_rcv, arp_process: the row is taken. */
export function arpReceive(packet: Packet, device: Device): void {
  const netns = device.netns
  const sender = packet.src
  const target = packet.dst
  if (packet.packetType === 3 || device.noArp === 1 || isMulticast(target) || (target >>> 24 === 127 && device.routeLocalnet === 0)) {
    consumePacket(netns, packet)
    return
  }
  const verdict = packet.arpOperation === ARP_REQUEST ? arpVerdict(device, sender, target) : ARP_IGNORED
  if (verdict !== ARP_IGNORED) {
    if (sender !== 0) learnSender(packet, device)
    if (verdict === ARP_PROXIED && packet.packetType !== PACKET_HOST && device.proxyDelayNs > 0) {
      answerLater(packet, device)
      return
    }
    noteArp(packet, device, verdict)
    answer(packet, device)
    return
  }
  const table = device.neighbours as NeighTable
  const known = table.find(sender)
  if (known !== undefined) {
    noteArp(packet, device, ARP_LEARNED)
    neighbourUpdate(
      known,
      packet.arpSenderMacHigh,
      packet.arpSenderMacLow,
      packet.arpOperation === ARP_REPLY && packet.packetType === PACKET_HOST ? HEARD_ANSWER : HEARD_TALK,
    )
  } else noteArp(packet, device, ARP_IGNORED)
  consumePacket(netns, packet)
}

/** pneigh_enqueue: whoever answers for another lets the other speak first. The row waits, and the question with it. */
function answerLater(packet: Packet, device: Device): void {
  const { world } = device.netns
  world.sim.schedule(device.proxyDelayNs, world.proxyTimer, world.inFlight.put(packet, device))
}

/** neigh_proxy_process. */
export function proxyTimerFired(world: World, slot: number): void {
  const packet = world.inFlight.packetAt(slot)
  const device = world.inFlight.deviceAt(slot)
  world.inFlight.release(slot)
  noteArp(packet, device, ARP_PROXIED)
  answer(packet, device)
  world.drain()
}

/** Would this device answer who-has `target` tell `sender`? ARP_IGNORED, ARP_ANSWERED or ARP_PROXIED. Changes nothing. */
export function arpVerdict(device: Device, sender: number, target: number): number {
  const netns = device.netns
  const probe = netns.world.probePacket
  probe.src = sender === 0 ? target : sender
  probe.dst = target
  probe.tos = 0
  probe.mark = 0
  probe.proto = 0
  const type = inetAddrType(netns, target, null)
  if (sender === 0) return type === RTN_LOCAL && arpIgnore(device, sender, target) === 0 ? ARP_ANSWERED : ARP_IGNORED
  if (routeInput(netns, probe, device, ARP_ROUTE) !== 0) return ARP_IGNORED
  if (ARP_ROUTE.type === RTN_LOCAL) {
    if (arpIgnore(device, sender, target) === 1 || (device.arpFilter === 1 && arpFiltered(device, sender, target))) return ARP_IGNORED
    return ARP_ANSWERED
  }
  if (device.forwarding === 0 || ARP_ROUTE.type !== RTN_UNICAST) return ARP_IGNORED
  const elsewhere = ARP_ROUTE.device !== device
  if (elsewhere && device.proxyArp === 1) return ARP_PROXIED
  if (!elsewhere && device.proxyArpPvlan === 1 && sender !== target) return ARP_PROXIED
  return elsewhere && (device.neighbours as NeighTable).isProxied(target) ? ARP_PROXIED : ARP_IGNORED
}

/** net.ipv4.conf.*.arp_ignore: 1 when the request is not to be answered. */
function arpIgnore(device: Device, sender: number, target: number): number {
  switch (device.arpIgnore) {
    case 1:
      return confirmsAddress(device, 0, target, SCOPE_HOST) ? 0 : 1
    case 2:
      return confirmsAddress(device, sender, target, SCOPE_HOST) ? 0 : 1
    case 3:
      for (let i = 0; i < device.netns.devices.length; i++) if (confirmsAddress(device.netns.devices[i], 0, target, SCOPE_LINK)) return 0
      return 1
    case 8:
      return 1
    default:
      return 0
  }
}

/** confirm_addr_indev: the device has the address, with a scope within the limit, and (for another sender than 0) in a subnet with the sender. */
function confirmsAddress(device: Device, sender: number, target: number, scopeLimit: number): boolean {
  const { addresses } = device
  let own = false
  let near = false
  for (let i = 0; i < addresses.length; i++) {
    const { address, length, scope } = addresses[i]
    if (address === target && scope <= scopeLimit) own = true
    if (sameSubnet(address, target, length) && (sender === 0 || sameSubnet(address, sender, length))) near = true
  }
  return own && near
}

/** arp_filter: 1 when this host would not answer the sender by this device. */
function arpFiltered(device: Device, sender: number, target: number): boolean {
  const probe = device.netns.world.probePacket
  probe.src = target
  probe.dst = sender
  return routeOutput(device.netns, probe, null, ARP_ROUTE) !== 0 || ARP_ROUTE.device !== device
}

/** inet_addr_onlink: a subnet of the device holds both. */
function onLink(device: Device, a: number, b: number): boolean {
  const { addresses } = device
  for (let i = 0; i < addresses.length; i++) {
    const { address, length } = addresses[i]
    if (sameSubnet(address, a, length) && sameSubnet(address, b, length)) return true
  }
  return false
}

/** neigh_event_ns: whoever asks is known from then on. */
function learnSender(packet: Packet, device: Device): void {
  const table = device.neighbours as NeighTable
  const neighbour = table.find(packet.src) ?? table.create(packet.src)
  neighbourUpdate(neighbour, packet.arpSenderMacHigh, packet.arpSenderMacLow, HEARD_QUESTION)
}

/** arp_send_dst: is-at, to whoever asked. The request's row is given back. */
function answer(packet: Packet, device: Device): void {
  const toHigh = packet.arpSenderMacHigh
  const toLow = packet.arpSenderMacLow
  const sender = packet.src
  const world = device.netns.world
  const reply = world.packets.take()
  reply.id = world.newPacketId()
  reply.leg = packet.leg
  fillArp(reply, device, ARP_REPLY, toHigh, toLow)
  reply.arpTargetMacHigh = toHigh
  reply.arpTargetMacLow = toLow
  reply.src = packet.dst
  reply.dst = sender
  consumePacket(device.netns, packet)
  deviceTransmit(reply, device)
}

function noteArp(packet: Packet, device: Device, verdict: number): void {
  const trace = device.netns.world.trace
  if (trace.on === 1) trace.note(STEP_ARP, verdict, device.netns, packet, packet.arpOperation, packet.src, packet.dst, verdict, device.index)
}
