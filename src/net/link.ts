// hot path
/**
 * A segment of the underlay: a switch with cables, and the only crossing between kernels that takes time. The switch
 * knows behind which cable each card is (a MAC that no card has is flooded). A frame larger than its MTU is lost without a word.
 * In a cloud it also checks the addresses of what each card sends and gets, unless the card's owner has that switched off
 * (AWS: source/destination check of the network interface; GCE: an instance without canIpForward; flannel's Documentation of both).
 * A cable may be out: its card has no carrier, linkwatch has put the noop queue on it (net/sched/sch_generic.c dev_deactivate), which loses whatever it is
 * given without a word to the sender; routes over it stay (RTNH_F_LINKDOWN alone), neighbours go (arp_evict_nocarrier). Or it loses some frames.
 */
import { ARP_REQUEST } from '../wire/arp.js'
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, type Packet } from '../wire/packet.js'
import { frameLength } from '../wire/frame.js'
import type { Device } from './device.js'
import { deviceReceive } from './device-io.js'
import { BLACKHOLE, DENIED, INCOMPLETE, NEIGHBOR_FAILED, REASON_DEV_READY, REASON_NONE, REASON_OTHERHOST, REASON_PKT_TOO_BIG } from './disposition.js'
import { consumePacket, dropPacket } from './drop.js'
import { MacTable } from './mac-table.js'
import { scrubPacket } from './scrub.js'
import type { AddressList, Home, Netns, Sleeper, World } from './netns.js'
import { STEP_LINK } from './trace.js'

/** A segment's MTU is that of IP packets; its frames are untagged. */
const ETHERNET_HEADER = 14

/** The words of such a loss. */
export const FOREIGN_SOURCE = 'source/destination check of the ENI/instance: the packet is from an address that its card does not have'
export const FOREIGN_DESTINATION = 'source/destination check of the ENI/instance: the packet is for an address that the card it goes to does not have'

/** A large segment has as many hosts. */
const ADDRESSES_KEPT = 10_000
/** Of so many cards an ARP request is shown to all; of more only to those that it means something to. */
const OVERHEARD_MAX = 50

export class Segment {
  readonly index: number
  readonly name: string
  mtu: number
  latencyNs: number
  /** bits per second; 0: no serialisation time. */
  rateBps: number
  /** Why nobody knows who else is on it; null: all that are on it are known. */
  othersUnknown: string | null = null
  /** A place for each card, in the order of hosts; null while its host sleeps. */
  private readonly cards: (Device | null)[] = []
  private readonly sleepers: Sleeper[] = []
  /** Places of those that a list knows, by name; and of those that are asked themselves. */
  private readonly listed = new Map<AddressList, Map<string, number[]>>()
  private readonly unlisted: number[] = []
  private readonly stations = new MacTable()
  /** Address → places of the cards whose hosts may answer for it. */
  private readonly answering = new Map<number, readonly number[]>()

  constructor(index: number, name: string, mtu: number, latencyNs: number, rateBps: number) {
    this.index = index
    this.name = name
    this.mtu = mtu
    this.latencyNs = latencyNs
    this.rateBps = rateBps
  }

  /** Cold. A host that sleeps has a card here: what is sent to its MAC wakes it. */
  reserve(macHigh: number, macLow: number, sleeper: Sleeper): void {
    const at = this.sleepers.push(sleeper) - 1
    this.answering.clear()
    this.stations.set(macHigh, macLow, this.cards.push(null) - 1)
    if (sleeper.home === undefined) this.unlisted.push(at)
    else this.list(sleeper.home, at)
  }

  /** Cold. */
  private list({ name, list }: Home, at: number): void {
    const places = this.listed.get(list) ?? new Map<string, number[]>()
    this.listed.set(list, places)
    places.set(name, [...(places.get(name) ?? []), at])
  }

  /** Cold. The host has woken: its card takes the first place that was kept for it. */
  plug(device: Device, sleeper: Sleeper): void {
    let at = this.sleepers.indexOf(sleeper)
    while (this.cards[at] !== null || this.sleepers[at] !== sleeper) at++
    this.cards[at] = device
    device.segment = this
  }

  /** Cold. The cards of those that are awake. */
  get members(): readonly Device[] {
    return this.cards.filter((card) => card !== null)
  }

  /** Cold. The other cards with a cable whose hosts may answer an ARP request for the address; those hosts are awake then. */
  cardsThatMayAnswer(address: number, except: Device): Device[] {
    const cards: Device[] = []
    for (const at of this.placesThatMayAnswer(address)) {
      const card = this.cardAt(at)
      if (card !== except && card.carrier === 1) cards.push(card)
    }
    return cards
  }

  /** Cold. Hosts know that of themselves from the start, asleep or awake: each address is looked for once. */
  private placesThatMayAnswer(address: number): readonly number[] {
    let places = this.answering.get(address)
    if (places === undefined) {
      const found = this.unlisted.filter((at) => this.sleepers[at].mayAnswer(address))
      for (const [list, known] of this.listed) for (const name of list.hostsWith(address)) found.push(...(known.get(name) ?? []))
      places = found.sort((a, b) => a - b)
      if (this.answering.size >= ADDRESSES_KEPT) this.answering.clear()
      this.answering.set(address, places)
    }
    return places
  }

  get size(): number {
    return this.cards.length
  }

  /** An ARP request for the address means something to the host of the card: it may answer, or has met packets of this question and may know the sender. */
  heeds(at: number, address: number): boolean {
    const card = this.cards[at]
    return (card !== null && card.netns.touched === 1) || this.placesThatMayAnswer(address).includes(at)
  }

  cardAt(at: number): Device {
    return this.cards[at] ?? this.woken(at)
  }

  /** Cold. */
  private woken(at: number): Device {
    this.sleepers[at].wake()
    return this.cards[at] as Device
  }

  /** A bridge behind a card has stations of its own: the card's cable leads to them. */
  hasStation(macHigh: number, macLow: number, except: Device): boolean {
    const at = this.stations.find(macHigh, macLow)
    return at >= 0 && this.cards[at] !== except
  }

  /** null also while the host of the card sleeps. */
  memberOf(macHigh: number, macLow: number): Device | null {
    const at = this.stations.find(macHigh, macLow)
    return at < 0 ? null : this.cards[at]
  }

  /** Cold. The card with the MAC, its host awake. */
  wakeMember(macHigh: number, macLow: number): Device | null {
    const at = this.stations.find(macHigh, macLow)
    return at < 0 ? null : this.cardAt(at)
  }

  /** A station behind a bridge was heard. */
  learn(macHigh: number, macLow: number, member: Device): void {
    if ((macHigh & 0x0100) === 0) this.stations.set(macHigh, macLow, this.cards.indexOf(member))
  }
}

/** Frames on the cables: an event's argument is the slot. */
export class InFlight {
  private readonly packets: (Packet | null)[] = []
  private readonly devices: (Device | null)[] = []
  private readonly free: number[] = []

  get count(): number {
    return this.packets.length - this.free.length
  }

  /** Cold. */
  reset(): void {
    this.packets.length = 0
    this.devices.length = 0
    this.free.length = 0
  }

  put(packet: Packet, device: Device): number {
    const slot = this.free.pop()
    if (slot === undefined) {
      this.devices.push(device)
      return this.packets.push(packet) - 1
    }
    this.packets[slot] = packet
    this.devices[slot] = device
    return slot
  }

  packetAt(slot: number): Packet {
    return this.packets[slot] as Packet
  }

  deviceAt(slot: number): Device {
    return this.devices[slot] as Device
  }

  release(slot: number): void {
    this.packets[slot] = null
    this.devices[slot] = null
    this.free.push(slot)
  }
}

/** A frame goes onto the cable. */
export function segmentTransmit(packet: Packet, device: Device): void {
  const segment = device.segment
  const netns = device.netns
  if (segment === null || device.carrier === 0) {
    device.txDropped++
    dropPacket(netns, packet, NEIGHBOR_FAILED, REASON_DEV_READY, 'no cable in the card')
    return
  }
  const length = frameLength(packet)
  if (length > segment.mtu + ETHERNET_HEADER) {
    dropPacket(netns, packet, BLACKHOLE, REASON_PKT_TOO_BIG, 'the underlay segment carries less than the card sends', length - ETHERNET_HEADER, segment.mtu)
    return
  }
  if (device.sourceDestinationCheck === 1 && refusesSender(packet, device)) return
  if (device.port !== null) segment.learn(packet.srcMacHigh, packet.srcMacLow, device)
  // one frame after the other: the card is busy until the one before is on the wire
  const nowNs = netns.world.sim.nowNs
  const startNs = device.busyUntilNs > nowNs ? device.busyUntilNs : nowNs
  device.busyUntilNs = startNs + (segment.rateBps === 0 ? 0 : Math.round((length * 8e9) / segment.rateBps))
  if (device.cableLoss > 0 && losesFrame(packet, device, netns)) return
  const delayNs = device.busyUntilNs - nowNs + segment.latencyNs + device.cableDelayNs
  if (netns.world.trace.on === 1) netns.world.trace.note(STEP_LINK, 0, netns, packet, segment.index, segment.latencyNs, delayNs - segment.latencyNs)
  if ((packet.dstMacHigh & 0x0100) !== 0) {
    broadcast(packet, device, segment, delayNs)
    return
  }
  const target = segment.memberOf(packet.dstMacHigh, packet.dstMacLow)
  if (target === null) {
    sendUnheard(packet, device, segment, delayNs)
    return
  }
  if (target === device || target.carrier === 0) {
    dropPacket(netns, packet, NEIGHBOR_FAILED, REASON_OTHERHOST, UNPLUGGED, target.netns.index)
    return
  }
  if (target.sourceDestinationCheck === 1 && refusesTarget(packet, target, netns)) return
  if (target.cableLoss > 0 && losesFrame(packet, target, netns)) return
  scheduleArrival(netns.world, packet, target, delayNs)
}

/** The words of such a loss. */
export const LOSSY_CABLE = 'lost on a cable that loses frames'
/** Number: the Netns.index of whose card it is. */
export const UNPLUGGED = 'the card that the frame is for has no carrier'

function losesFrame(packet: Packet, card: Device, netns: Netns): boolean {
  if (netns.world.chance.matches(card.cableLoss, netns.world.prng) === 0) return false
  dropPacket(netns, packet, BLACKHOLE, REASON_NONE, LOSSY_CABLE)
  return true
}

/** Nobody who is awake has the MAC: whoever sleeps with it wakes for it, else it is flooded. */
function sendUnheard(packet: Packet, device: Device, segment: Segment, delayNs: number): void {
  const target = segment.wakeMember(packet.dstMacHigh, packet.dstMacLow)
  if (target === null) {
    if (segment.othersUnknown !== null) dropPacket(device.netns, packet, INCOMPLETE, REASON_NONE, segment.othersUnknown)
    else broadcast(packet, device, segment, delayNs)
    return
  }
  const { netns } = device
  if (target.carrier === 0) {
    dropPacket(netns, packet, NEIGHBOR_FAILED, REASON_OTHERHOST, UNPLUGGED, target.netns.index)
    return
  }
  if (target.sourceDestinationCheck === 1 && refusesTarget(packet, target, netns)) return
  if (target.cableLoss > 0 && losesFrame(packet, target, netns)) return
  scheduleArrival(netns.world, packet, target, delayNs)
}

// The checks stand apart from segmentTransmit: it must stay small enough for V8 to inline what it hands its delay to, or the delay is boxed.

function refusesSender(packet: Packet, device: Device): boolean {
  if (packet.etherType !== ETHERTYPE_IPV4 || hasAddress(device, packet.src)) return false
  dropPacket(device.netns, packet, DENIED, REASON_NONE, FOREIGN_SOURCE)
  return true
}

function refusesTarget(packet: Packet, target: Device, netns: Netns): boolean {
  if (!isRefused(packet, target)) return false
  dropPacket(netns, packet, DENIED, REASON_NONE, FOREIGN_DESTINATION)
  return true
}

function isRefused(packet: Packet, target: Device): boolean {
  return target.sourceDestinationCheck === 1 && packet.etherType === ETHERTYPE_IPV4 && !hasAddress(target, packet.dst)
}

function hasAddress(device: Device, address: number): boolean {
  const { addresses } = device
  for (let i = 0; i < addresses.length; i++) if (addresses[i].address === address) return true
  return false
}

function broadcast(packet: Packet, device: Device, segment: Segment, delayNs: number): void {
  const world = device.netns.world
  // who would only overhear it does nothing with it (arp_process), and in a large segment is not told, nor woken for it
  const asked = segment.size > OVERHEARD_MAX && packet.etherType === ETHERTYPE_ARP && packet.arpOperation === ARP_REQUEST
  let previous: Device | null = null
  for (let i = 0; i < segment.size; i++) {
    if (asked && !segment.heeds(i, packet.dst)) continue
    const member = segment.cardAt(i)
    if (member === device || member.carrier === 0 || isRefused(packet, member)) continue
    if (previous !== null) {
      const copy = world.packets.clone(packet)
      copy.flooded |= 1
      if (previous.cableLoss === 0 || !losesFrame(copy, previous, device.netns)) scheduleArrival(world, copy, previous, delayNs)
    }
    previous = member
  }
  if (previous !== null) {
    if (previous.cableLoss === 0 || !losesFrame(packet, previous, device.netns)) scheduleArrival(world, packet, previous, delayNs)
  } else if (asked) consumePacket(device.netns, packet)
  else dropPacket(device.netns, packet, NEIGHBOR_FAILED, REASON_OTHERHOST, 'nobody else is on the segment')
}

function scheduleArrival(world: World, packet: Packet, device: Device, delayNs: number): void {
  // another machine knows nothing of marks, connections or bridge ports here
  packet.mark = 0
  scrubPacket(packet)
  world.sim.schedule(delayNs + device.cableDelayNs, world.arrivalHandler, world.inFlight.put(packet, device))
}

/** The frame is at the other end. */
export function frameArrived(world: World, slot: number): void {
  const packet = world.inFlight.packetAt(slot)
  const device = world.inFlight.deviceAt(slot)
  world.inFlight.release(slot)
  deviceReceive(packet, device)
  world.drain()
}
