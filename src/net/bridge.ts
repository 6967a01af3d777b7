// hot path
/**
 * A Linux bridge: learning, forwarding, flooding, ageing, hairpin, isolation, and bridge netfilter, which lends IPv4 frames to
 * iptables. Source: net/bridge/br_input.c, br_forward.c, br_fdb.c, br_device.c, br_netfilter_hooks.c.
 *
 *   port ─▶ [nf PREROUTING] ─▶ learn ─▶ for the bridge itself ─▶ up, as received on the bridge device
 *                                  └──▶ known port / flood ─▶ [nf FORWARD] ─▶ [nf POSTROUTING] ─▶ port
 */
import { ETHERTYPE_IPV4, type Packet } from '../wire/packet.js'
import { frameLength } from '../wire/frame.js'
import type { Device } from './device.js'
import { deliverToProtocol, deviceTransmit } from './device-io.js'
import { DENIED, NEIGHBOR_FAILED, REASON_BRIDGE_INGRESS_STP_STATE, REASON_NONE, REASON_NO_TX_TARGET, TOO_BIG } from './disposition.js'
import { consumePacket, dropPacket } from './drop.js'
import { MARTIAN_NONE, RTN_UNICAST } from './fib.js'
import { refuseMartian } from './ip-input.js'
import { ROUTE_RESULT, routeInput } from './route-input.js'
import { fragmentPacket } from './ip-output.js'
import { MacTable } from './mac-table.js'
import { runHook } from './netfilter-hook.js'
import { HOOK_FORWARD, HOOK_POSTROUTING, HOOK_PREROUTING } from './netfilter/netfilter.js'
import { connectedNeighbour, neighbourOutput } from './neigh.js'
import { PACKET_HOST } from './packet-type.js'
import { DIRECTION_RX, STEP_BRIDGE } from './trace.js'

export const BRIDGE_UP = 1
export const BRIDGE_FORWARD = 2
export const BRIDGE_FLOOD = 3
export const BRIDGE_SAME_PORT = 4
export const BRIDGE_OUT = 6

const FORWARDABLE_SLACK = 14 + 4

export class BridgePort {
  readonly device: Device
  readonly bridge: Bridge
  hairpin = 0
  learning = 1
  flood = 1
  isolated = 0

  constructor(device: Device, bridge: Bridge) {
    this.device = device
    this.bridge = bridge
  }
}

/** The bridge's own state behind its device. */
export class Bridge {
  readonly device: Device
  /** Newest first: the order in which a flood visits them (br_add_if puts a port at the head). */
  readonly ports: BridgePort[] = []
  ageingNs = 300e9
  nfCallIptables = 0

  private readonly table = new MacTable()
  /** Per entry: port (index in `entryPorts`), null for the bridge itself. */
  private readonly entryPorts: (BridgePort | null)[] = []
  private readonly entryLocal: number[] = []
  private readonly entryPermanent: number[] = []
  private readonly entryUsedNs: number[] = []
  private readonly entryMacs: number[] = []

  constructor(device: Device) {
    this.device = device
  }

  /** An entry by hand or of the bridge's own: never aged. */
  addPermanent(macHigh: number, macLow: number, port: BridgePort | null, local: number): void {
    const slot = this.slotFor(macHigh, macLow)
    this.entryPorts[slot] = port
    this.entryLocal[slot] = local
    this.entryPermanent[slot] = 1
  }

  /** br_fdb_update: the source of a frame is behind the port it came in by. */
  learn(macHigh: number, macLow: number, port: BridgePort): void {
    if (port.learning === 0 || (macHigh & 0x0100) !== 0) return
    const slot = this.slotFor(macHigh, macLow)
    if (this.entryLocal[slot] === 1) return
    if (this.entryPermanent[slot] === 0) this.entryPorts[slot] = port
    this.entryUsedNs[slot] = this.device.netns.world.sim.nowNs
  }

  /** Slot of the entry, -1 when unknown or aged. */
  find(macHigh: number, macLow: number): number {
    const slot = this.table.find(macHigh, macLow)
    if (slot < 0) return -1
    if (this.entryPermanent[slot] === 0 && this.device.netns.world.sim.nowNs - this.entryUsedNs[slot] > this.ageingNs) return -1
    return slot
  }

  isLocal(slot: number): boolean {
    return this.entryLocal[slot] === 1
  }

  isPermanent(slot: number): number {
    return this.entryPermanent[slot]
  }

  portOf(slot: number): BridgePort | null {
    return this.entryPorts[slot]
  }

  /** Forgets what was learned; the entries made by hand stay. */
  forgetLearned(): void {
    for (let slot = 0; slot < this.entryUsedNs.length; slot++) this.entryUsedNs[slot] = -Infinity
  }

  /** Learned entries that are still valid: [MAC, port, last heard at]. Cold. */
  learned(): readonly (readonly [number, BridgePort, number])[] {
    const rows: (readonly [number, BridgePort, number])[] = []
    for (let slot = 0; slot < this.entryMacs.length; slot++) {
      const port = this.entryPorts[slot]
      const aged = this.device.netns.world.sim.nowNs - this.entryUsedNs[slot] > this.ageingNs
      if (port !== null && this.entryPermanent[slot] === 0 && !aged) rows.push([this.entryMacs[slot], port, this.entryUsedNs[slot]])
    }
    return rows
  }

  /** What was learned before (kernel-memory.ts); what is there by hand stays as it is. Cold. */
  recall(macHigh: number, macLow: number, port: BridgePort, usedNs: number): void {
    const slot = this.slotFor(macHigh, macLow)
    if (this.entryLocal[slot] === 1 || this.entryPermanent[slot] === 1) return
    this.entryPorts[slot] = port
    this.entryUsedNs[slot] = usedNs
  }

  private slotFor(macHigh: number, macLow: number): number {
    const known = this.table.find(macHigh, macLow)
    if (known >= 0) return known
    const slot = this.entryMacs.push(macHigh * 0x100000000 + (macLow >>> 0)) - 1
    this.entryPorts.push(null)
    this.entryLocal.push(0)
    this.entryPermanent.push(0)
    this.entryUsedNs.push(-Infinity)
    this.table.set(macHigh, macLow, slot)
    return slot
  }
}

/** br_handle_frame: a frame came in by a port. */
export function bridgeReceive(packet: Packet, port: BridgePort): void {
  const bridge = port.bridge
  const device = bridge.device
  if (device.up === 0) {
    dropPacket(device.netns, packet, NEIGHBOR_FAILED, REASON_BRIDGE_INGRESS_STP_STATE, 'the bridge is down')
    return
  }
  if (packet.dstMacHigh === 0x0180 && (packet.dstMacLow & ~15) === (0xc2000000 | 0)) {
    consumePacket(device.netns, packet)
    return
  }
  if (packet.dstMacLow === device.macLow && packet.dstMacHigh === device.macHigh) packet.packetType = PACKET_HOST
  packet.physIn = -1
  packet.physOut = -1
  packet.bridgeNfDone = 0
  if (packet.etherType === ETHERTYPE_IPV4 && (device.netns.bridgeNfCallIptables === 1 || bridge.nfCallIptables === 1)) {
    if (!bridgePreRouting(packet, port)) return
  }
  handleFrameFinish(packet, port)
}

/** br_nf_pre_routing: iptables' PREROUTING sees the frame as received on the bridge. @returns false when the packet is gone */
function bridgePreRouting(packet: Packet, port: BridgePort): boolean {
  const device = port.bridge.device
  const netns = device.netns
  packet.physIn = port.device.index
  packet.bridgeNfDone = 1
  if (netns.netfilter === null) return true
  const destination = packet.dst
  if (!runHook(netns, HOOK_PREROUTING, packet, device, null)) return false
  if (packet.dst === destination) return true
  return bridgeAfterDnat(packet, port)
}

/**
 * br_nf_pre_routing_finish: PREROUTING gave the packet another destination. Routed elsewhere: up to the host, whose MAC it gets.
 * Routed back to the bridge's own subnet: bridged DNAT, the frame gets the MAC of the new destination and stays on layer 2.
 */
function bridgeAfterDnat(packet: Packet, port: BridgePort): boolean {
  const device = port.bridge.device
  const result = ROUTE_RESULT
  const error = routeInput(device.netns, packet, device, result)
  if (error !== 0 && result.martian !== MARTIAN_NONE) {
    refuseMartian(packet, device, result)
    return false
  }
  if (error === 0 && result.type === RTN_UNICAST && result.device === device && device.netns.ipForward === 1) {
    const target = result.gateway === 0 ? packet.dst : result.gateway
    const neighbour = connectedNeighbour(device, target)
    if (neighbour !== null) {
      packet.dstMacHigh = neighbour.macHigh
      packet.dstMacLow = neighbour.macLow
      packet.packetType = PACKET_HOST
      return true
    }
    // br_nf_pre_routing_finish_bridge: without such a header the bridge device makes one, asks for the MAC, and takes the frame up again in bridgeTransmit
    packet.bridgedDnat = 1
    packet.arpSenderMacHigh = packet.srcMacHigh
    packet.arpSenderMacLow = packet.srcMacLow
    neighbourOutput(packet, device, target)
    return false
  }
  packet.dstMacHigh = device.macHigh
  packet.dstMacLow = device.macLow
  packet.packetType = PACKET_HOST
  return true
}

/** br_handle_frame_finish. */
function handleFrameFinish(packet: Packet, port: BridgePort): void {
  const bridge = port.bridge
  bridge.learn(packet.srcMacHigh, packet.srcMacLow, port)
  if ((packet.dstMacHigh & 0x0100) !== 0) {
    note(packet, bridge, port, BRIDGE_FLOOD, null, 0)
    const copy = bridge.device.netns.world.packets.clone(packet)
    copy.flooded |= 1
    flood(copy, bridge, port)
    passUp(packet, bridge)
    return
  }
  let slot = bridge.find(packet.dstMacHigh, packet.dstMacLow)
  if (slot < 0 && bridge.device.netns.world.warm === 1) slot = locateStation(packet, bridge)
  if (slot < 0) {
    note(packet, bridge, port, BRIDGE_FLOOD, null, 0)
    floodUnknown(packet, bridge, port)
    return
  }
  if (bridge.isLocal(slot)) {
    note(packet, bridge, port, BRIDGE_UP, null, bridge.isPermanent(slot))
    passUp(packet, bridge)
    return
  }
  const out = bridge.portOf(slot) as BridgePort
  if (out === port && port.hairpin === 0) {
    note(packet, bridge, port, BRIDGE_SAME_PORT, out, bridge.isPermanent(slot))
    dropPacket(bridge.device.netns, packet, DENIED, REASON_NONE, 'the bridge does not send a frame back out of the port it came in by (hairpin is off)')
    return
  }
  note(packet, bridge, port, BRIDGE_FORWARD, out, bridge.isPermanent(slot))
  if (mayDeliver(port, out)) forward(packet, bridge, out, 0)
  else dropPacket(bridge.device.netns, packet, DENIED, REASON_NONE, 'both ports of the bridge are isolated')
}

/** br_dev_xmit: the host sends by the bridge device. */
export function bridgeTransmit(packet: Packet, device: Device): void {
  const bridge = device.bridge as Bridge
  if (packet.bridgedDnat === 1) {
    resumeBridged(packet, bridge)
    return
  }
  packet.physIn = -1
  packet.bridgeNfDone = 0
  if ((packet.dstMacHigh & 0x0100) !== 0) {
    note(packet, bridge, null, BRIDGE_FLOOD, null, 0)
    flood(packet, bridge, null)
    return
  }
  let slot = bridge.find(packet.dstMacHigh, packet.dstMacLow)
  if (slot < 0 && device.netns.world.warm === 1) slot = locateStation(packet, bridge)
  if (slot >= 0 && bridge.portOf(slot) !== null) {
    const out = bridge.portOf(slot) as BridgePort
    note(packet, bridge, null, BRIDGE_OUT, out, bridge.isPermanent(slot))
    pushOut(packet, bridge, out)
    return
  }
  note(packet, bridge, null, BRIDGE_FLOOD, null, 0)
  floodUnknown(packet, bridge, null)
}

/** br_nf_pre_routing_finish_bridge_slow: the MAC of bridged DNAT is known now; the frame goes on as if it had just come in by its port. */
function resumeBridged(packet: Packet, bridge: Bridge): void {
  const port = bridge.device.netns.world.devices[packet.physIn].port as BridgePort
  packet.bridgedDnat = 0
  packet.srcMacHigh = packet.arpSenderMacHigh
  packet.srcMacLow = packet.arpSenderMacLow
  handleFrameFinish(packet, port)
}

/**
 * The warm state: a bridge has heard every station that is behind its ports. Looked for when it is first needed and then kept,
 * as if it had been learned.
 */
function locateStation(packet: Packet, bridge: Bridge): number {
  for (let i = 0; i < bridge.ports.length; i++) {
    const port = bridge.ports[i]
    const peer = port.device.peer
    if (peer !== null && peer.up === 1 && peer.macHigh === packet.dstMacHigh && peer.macLow === packet.dstMacLow) {
      bridge.learn(packet.dstMacHigh, packet.dstMacLow, port)
      return bridge.find(packet.dstMacHigh, packet.dstMacLow)
    }
    const segment = port.device.segment
    if (segment !== null && segment.hasStation(packet.dstMacHigh, packet.dstMacLow, port.device)) {
      bridge.learn(packet.dstMacHigh, packet.dstMacLow, port)
      return bridge.find(packet.dstMacHigh, packet.dstMacLow)
    }
  }
  return -1
}

/** A frame to a MAC that nobody knows is copied to every port; when there is none, it is lost. */
function floodUnknown(packet: Packet, bridge: Bridge, from: BridgePort | null): void {
  const netns = bridge.device.netns
  const copies = flood(packet, bridge, from)
  if (copies === 0) dropPacket(netns, packet, NEIGHBOR_FAILED, REASON_NO_TX_TARGET, 'no port of the bridge leads to the MAC of the frame')
}

/**
 * br_flood: a copy to each port that may have it, the last one gets the row itself. @returns how many went out; with 0 the row
 * is still the caller's (unicast only)
 */
function flood(packet: Packet, bridge: Bridge, from: BridgePort | null): number {
  const broadcast = (packet.dstMacHigh & 0x0100) !== 0
  const packets = bridge.device.netns.world.packets
  let previous: BridgePort | null = null
  let count = 0
  for (let i = 0; i < bridge.ports.length; i++) {
    const port = bridge.ports[i]
    if ((from !== null && !mayDeliver(from, port)) || port.device.up === 0 || (!broadcast && port.flood === 0)) continue
    if (previous !== null) {
      const copy = packets.clone(packet)
      copy.flooded |= 1
      sendOrForward(copy, bridge, previous, from)
    }
    previous = port
    count++
  }
  if (previous !== null) sendOrForward(packet, bridge, previous, from)
  else if (broadcast) consumePacket(bridge.device.netns, packet)
  return count
}

function sendOrForward(packet: Packet, bridge: Bridge, port: BridgePort, from: BridgePort | null): void {
  if (from === null) pushOut(packet, bridge, port)
  else forward(packet, bridge, port, packet.flooded)
}

/** should_deliver. */
function mayDeliver(from: BridgePort, to: BridgePort): boolean {
  return (to !== from || to.hairpin === 1) && to.device.up === 1 && (from.isolated === 0 || to.isolated === 0)
}

/** __br_forward: through bridge netfilter's FORWARD and POSTROUTING to the port. */
function forward(packet: Packet, bridge: Bridge, out: BridgePort, flooded: number): void {
  const device = bridge.device
  const netns = device.netns
  if (packet.bridgeNfDone === 1) {
    packet.physOut = out.device.index
    packet.flooded = flooded
    // br_nf_forward_ip: as for the host, or REJECT would not answer
    packet.packetType = PACKET_HOST
    if (netns.netfilter !== null) {
      if (!runHook(netns, HOOK_FORWARD, packet, device, device)) return
      if (!runHook(netns, HOOK_POSTROUTING, packet, device, device)) return
    }
    packet.bridgeNfDone = 0
    const limit = packet.fragMaxSize > 0 && packet.fragMaxSize < out.device.mtu ? packet.fragMaxSize : out.device.mtu
    if (packet.ipLength > limit) {
      refragment(packet, bridge, out)
      return
    }
    packet.fragMaxSize = 0
    packet.fragmentSizes = null
  }
  pushOut(packet, bridge, out)
}

/**
 * br_nf_dev_queue_xmit: what is too big for the port, and what conntrack put together, is cut to the bridge's MTU. With DF it
 * is lost without a word (br_nf_ip_fragment).
 */
function refragment(packet: Packet, bridge: Bridge, out: BridgePort): void {
  if ((packet.dontFragment === 1 && packet.fragMaxSize === 0) || packet.fragMaxSize > bridge.device.mtu) {
    dropPacket(
      bridge.device.netns,
      packet,
      TOO_BIG,
      REASON_NONE,
      'larger than the MTU of the bridge port, and DF is set: the bridge drops it and tells nobody',
      packet.ipLength,
      bridge.device.mtu,
    )
    return
  }
  const pieces: Packet[] = []
  fragmentPacket(bridge.device.netns, packet, bridge.device, bridge.device.mtu, pieces)
  for (let i = 0; i < pieces.length; i++) pushOut(pieces[i], bridge, out)
}

/** br_dev_queue_push_xmit. */
function pushOut(packet: Packet, bridge: Bridge, out: BridgePort): void {
  if (frameLength(packet) > out.device.mtu + FORWARDABLE_SLACK) {
    dropPacket(bridge.device.netns, packet, TOO_BIG, REASON_NONE, 'larger than the MTU of the bridge port')
    return
  }
  deviceTransmit(packet, out.device)
}

/** br_pass_frame_up: the frame is the host's, received on the bridge device. */
function passUp(packet: Packet, bridge: Bridge): void {
  const device = bridge.device
  const trace = device.netns.world.trace
  device.rxPackets++
  if (trace.on === 1) trace.frame(device, DIRECTION_RX, packet)
  packet.inDevice = device.index
  deliverToProtocol(packet, device)
}

function note(packet: Packet, bridge: Bridge, port: BridgePort | null, decision: number, out: BridgePort | null, permanent: number): void {
  const netns = bridge.device.netns
  const trace = netns.world.trace
  if (trace.on === 0) return
  trace.note(
    STEP_BRIDGE,
    decision,
    netns,
    packet,
    bridge.device.index,
    port === null ? -1 : port.device.index,
    decision,
    out === null ? -1 : out.device.index,
    permanent,
  )
}
