// hot path
/**
 * VXLAN: a frame sent to the device is put into UDP for the VTEP that the FDB names for its MAC; one received on the UDP port
 * comes out of the device. Source: drivers/net/vxlan/vxlan_core.c (vxlan_xmit, vxlan_xmit_one, vxlan_rcv), RFC 7348.
 *
 *   ETHERNET | IPv4 20 | UDP 8 | VXLAN 8 | ETHERNET 14 | inner IP packet       the inner packet grows by 50 bytes
 */
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_NONE, IPV4_HEADER, isFragment, PAYLOAD_INNER, PROTO_TCP, PROTO_UDP, type Packet } from '../wire/packet.js'
import { frameLength } from '../wire/frame.js'
import { DEVICE_VXLAN, type Device } from './device.js'
import {
  CORRUPT,
  LOOP,
  NO_VTEP,
  REASON_IP_TUNNEL_ECN,
  REASON_LOCAL_MAC,
  REASON_RECURSION_LIMIT,
  REASON_IP_OUTNOROUTES,
  REASON_VXLAN_INVALID_HDR,
  REASON_NO_TX_TARGET,
  REASON_VXLAN_VNI_NOT_FOUND,
} from './disposition.js'
import { dropPacket } from './drop.js'
import { inetAddrType, RouteResult, RTN_LOCAL } from './fib.js'
import { routeOutputFrom } from './route-output.js'
import { flowHash } from './flow-hash.js'
import { ipLocalOut } from './ip-output.js'
import { MacTable } from './mac-table.js'
import type { Netns } from './netns.js'
import { PACKET_LOOPBACK } from './packet-type.js'
import { scrubPacket } from './scrub.js'
import { STEP_DECAP, STEP_ENCAP } from './trace.js'
import { ecnDecapsulate, ecnEncapsulate, TUNNEL_DEPTH_MAX } from './tunnel.js'

const UDP_AND_VXLAN = 16

const OUTER_ROUTE = new RouteResult()

/** FDB entries that the devices of many netns have in common (dataplane/common-rows.ts). */
export interface CommonVteps {
  readonly table: MacTable
  readonly remotes: Int32Array
}

/** From here on the slots of the common entries. */
const COMMON_SLOTS = 0x40000000
const NO_SLOTS: ReadonlySet<number> = new Set()

export class Vxlan {
  readonly vni: number
  readonly port: number
  local = 0
  learning = 0
  gbp = 0
  /** 0: the host's default. */
  ttl = 0
  inheritTtl = 0
  /** -1: taken from the inner packet. */
  tos = 0
  /** 0 unset, 1 set, 2 as the inner packet. */
  df = 0
  /** 0: the outer UDP header has none. */
  udpChecksum = 1
  private readonly table = new MacTable()
  private readonly remotes: number[] = []
  private readonly ports: number[] = []
  private readonly vnis: number[] = []
  /** Where the entries begin that were learned. */
  private learnedFrom = Infinity
  private common: CommonVteps | null = null
  /** Slots of the common entries that this device lacks. */
  private lacks = NO_SLOTS
  /** VTEPs for frames to everybody (the all-zero MAC); more than one: a copy each. */
  readonly everybody: number[] = []

  constructor(vni: number, port: number) {
    this.vni = vni
    this.port = port
  }

  /** An FDB entry: the MAC is behind the VTEP. */
  add(macHigh: number, macLow: number, remote: number, port: number, vni: number): void {
    if (macHigh === 0 && macLow === 0) {
      this.everybody.push(remote)
      return
    }
    const slot = this.remotes.push(remote) - 1
    this.ports.push(port)
    this.vnis.push(vni)
    this.table.set(macHigh, macLow, slot)
  }

  /** Cold. None of them has a MAC of an entry that was added. */
  addCommon(common: CommonVteps, lacks: ReadonlySet<number>): void {
    this.common = common
    this.lacks = lacks
  }

  find(macHigh: number, macLow: number): number {
    const shared = this.findCommon(macHigh, macLow)
    if (shared >= 0) return shared + COMMON_SLOTS
    const slot = this.table.find(macHigh, macLow)
    return slot < 0 || this.remotes[slot] === 0 ? -1 : slot
  }

  private findCommon(macHigh: number, macLow: number): number {
    if (this.common === null) return -1
    const slot = this.common.table.find(macHigh, macLow)
    return slot < 0 || this.lacks.has(slot) ? -1 : slot
  }

  /** vxlan_snoop: the MAC is behind the VTEP that it was heard from. @returns false when an entry made by hand says otherwise */
  learn(macHigh: number, macLow: number, remote: number): boolean {
    const shared = this.findCommon(macHigh, macLow)
    if (shared >= 0) return this.remote(shared + COMMON_SLOTS) === remote
    const slot = this.table.find(macHigh, macLow)
    if (slot < 0) {
      if (this.learnedFrom > this.remotes.length) this.learnedFrom = this.remotes.length
      this.add(macHigh, macLow, remote, this.port, this.vni)
      return true
    }
    if (this.remotes[slot] === remote) return true
    if (slot < this.learnedFrom) return false
    this.remotes[slot] = remote
    return true
  }

  /** What was learned leads nowhere any more; the entries made by hand stay. */
  forgetLearned(): void {
    for (let slot = this.learnedFrom; slot < this.remotes.length; slot++) this.remotes[slot] = 0
  }

  remote(slot: number): number {
    return slot < COMMON_SLOTS ? this.remotes[slot] : (this.common as CommonVteps).remotes[slot - COMMON_SLOTS]
  }

  remotePort(slot: number): number {
    return slot < COMMON_SLOTS ? this.ports[slot] : this.port
  }

  remoteVni(slot: number): number {
    return slot < COMMON_SLOTS ? this.vnis[slot] : this.vni
  }
}

/** Is the UDP port one that a VXLAN device of the netns listens on? */
export function vxlanSocket(netns: Netns, port: number): boolean {
  const devices = netns.vxlanDevices
  for (let i = 0; i < devices.length; i++) if ((devices[i].vxlan as Vxlan).port === port && devices[i].up === 1) return true
  return false
}

/** vxlan_xmit: the row becomes the inner packet of a new one. */
export function vxlanTransmit(packet: Packet, device: Device): void {
  const vxlan = device.vxlan as Vxlan
  const slot = vxlan.find(packet.dstMacHigh, packet.dstMacLow)
  if (slot >= 0) {
    encapsulate(packet, device, vxlan.remote(slot), vxlan.remotePort(slot), vxlan.remoteVni(slot))
    return
  }
  const everybody = vxlan.everybody
  if (everybody.length === 0) {
    device.txDropped++
    dropPacket(device.netns, packet, NO_VTEP, REASON_NO_TX_TARGET, 'no FDB entry of the device leads to the MAC of the frame')
    return
  }
  for (let i = 1; i < everybody.length; i++) {
    const copy = device.netns.world.packets.clone(packet)
    copy.flooded |= 1
    encapsulate(copy, device, everybody[i], vxlan.port, vxlan.vni)
  }
  encapsulate(packet, device, everybody[0], vxlan.port, vxlan.vni)
}

/** vxlan_xmit_one. */
function encapsulate(inner: Packet, device: Device, remote: number, port: number, vni: number): void {
  const netns = device.netns
  const world = netns.world
  const vxlan = device.vxlan as Vxlan
  if (inner.depth >= TUNNEL_DEPTH_MAX) {
    dropPacket(netns, inner, LOOP, REASON_RECURSION_LIMIT, 'the tunnel routes into itself')
    return
  }
  const outer = world.packets.take()
  outer.id = inner.id
  outer.leg = inner.leg
  outer.flooded = inner.flooded
  outer.etherType = ETHERTYPE_NONE
  outer.proto = PROTO_UDP
  outer.src = vxlan.local
  outer.dst = remote
  outer.sport = sourcePort(netns, inner, outer)
  outer.dport = port
  outer.mark = inner.mark
  outer.ttl = vxlan.inheritTtl === 1 ? inner.ttl : vxlan.ttl === 0 ? netns.defaultTtl : vxlan.ttl
  outer.tos = outerTos(vxlan, inner)
  outer.dontFragment = vxlan.df === 1 || (vxlan.df === 2 && inner.dontFragment === 1) ? 1 : 0
  const result = OUTER_ROUTE
  const error = routeOutputFrom(netns, outer, null, result)
  // udp_tunnel_dst_lookup fails alike for want of a route, for one into itself and for a source that is not this host's
  if (error !== 0 || result.device === null || result.device === device) {
    device.txDropped++
    world.packets.release(outer)
    dropPacket(netns, inner, result.device === device ? LOOP : NO_VTEP, REASON_IP_OUTNOROUTES, 'no route to the VTEP', remote)
    return
  }
  if (outer.src === 0) outer.src = result.source
  else if (inetAddrType(netns, outer.src, null) !== RTN_LOCAL) {
    device.txDropped++
    world.packets.release(outer)
    dropPacket(netns, inner, NO_VTEP, REASON_IP_OUTNOROUTES, 'the local address of the VXLAN device is not an address of this host', vxlan.local)
    return
  }
  if (inner.etherType === ETHERTYPE_NONE) inner.etherType = ETHERTYPE_IPV4
  const innerFrame = frameLength(inner)
  outer.inner = inner
  outer.payloadKind = PAYLOAD_INNER
  outer.payloadLength = innerFrame
  outer.vni = vni
  outer.gbp = vxlan.gbp === 1 && inner.mark !== 0 ? inner.mark & 0xffff : -1
  outer.depth = inner.depth + 1
  outer.ipLength = IPV4_HEADER + UDP_AND_VXLAN + innerFrame
  outer.ipId = outer.dontFragment === 1 ? 0 : world.prng.nextInt32() & 0xffff
  if (world.trace.tally !== null) world.trace.tally.encapsulated(device.index, outer.ipLength - (innerFrame - 14))
  if (world.trace.on === 1) {
    world.trace.note(STEP_ENCAP, 0, netns, outer, device.index, outer.src, outer.dst, outer.sport, outer.dport, outer.ipLength - (innerFrame - 14))
  }
  if (result.type === RTN_LOCAL) {
    bypass(outer, device)
    return
  }
  // udp_set_csum leaves the sum to the device, or makes none (VXLAN_F_UDP_ZERO_CSUM_TX)
  outer.partial = vxlan.udpChecksum
  outer.unsummed = 1 - vxlan.udpChecksum
  ipLocalOut(outer, netns, null, 1)
}

/** ip_tunnel_ecn_encap: DSCP of the device, ECN of the inner packet. */
function outerTos(vxlan: Vxlan, inner: Packet): number {
  const base = vxlan.tos < 0 ? inner.tos : vxlan.tos
  if (inner.etherType === ETHERTYPE_ARP) return base & ~3
  return ecnEncapsulate(base, inner.tos)
}

/** udp_flow_src_port: a hash of the inner flow, mapped into the local port range; fragments hash without ports. */
function sourcePort(netns: Netns, inner: Packet, outer: Packet): number {
  const ports = !isFragment(inner) && (inner.proto === PROTO_UDP || inner.proto === PROTO_TCP) && inner.etherType !== ETHERTYPE_ARP
  // a hash of ports stays with the packet when it is wrapped again (skb_clear_hash_if_not_l4)
  const kept = inner.depth > 0 && inner.flowHash !== 0
  const hash = kept
    ? inner.flowHash
    : flowHash(inner.src, inner.dst, inner.proto, ports ? inner.sport : 0, ports ? inner.dport : 0, netns.world.hashSeed ^ netns.index)
  outer.flowHash = kept || ports ? hash : 0
  const spread = (hash ^ (hash << 16)) >>> 0
  return netns.localPortMin + Math.floor((spread * (netns.localPortMax - netns.localPortMin)) / 0x100000000)
}

/** encap_bypass_if_local: the VTEP is this host: into the device that has the VNI, without a wire. */
function bypass(outer: Packet, device: Device): void {
  const netns = device.netns
  const target = deviceFor(netns, outer.vni, outer.dport)
  if (target === null) {
    device.txDropped++
    dropPacket(netns, outer, NO_VTEP, REASON_VXLAN_VNI_NOT_FOUND, 'the VTEP is this host, and no device here has the VNI')
    return
  }
  // vxlan_encap_bypass: PACKET_HOST, whatever MAC the frame bears
  ;(outer.inner as Packet).packetType = PACKET_LOOPBACK
  unwrap(outer, target)
}

function deviceFor(netns: Netns, vni: number, port: number): Device | null {
  const devices = netns.vxlanDevices
  for (let i = 0; i < devices.length; i++) {
    const vxlan = devices[i].vxlan as Vxlan
    if (vxlan.vni === vni && vxlan.port === port && devices[i].kind === DEVICE_VXLAN) return devices[i]
  }
  return null
}

/** vxlan_rcv: the row is taken; its inner packet arrives on the device. */
export function vxlanReceive(outer: Packet, device: Device): void {
  const netns = device.netns
  const inner = outer.inner
  if (inner === null || outer.vni < 0) {
    dropPacket(netns, outer, NO_VTEP, REASON_VXLAN_INVALID_HDR, 'the payload is no VXLAN')
    return
  }
  const target = deviceFor(netns, outer.vni, outer.dport)
  if (target === null) {
    dropPacket(netns, outer, NO_VTEP, REASON_VXLAN_VNI_NOT_FOUND, 'no VXLAN device here has the VNI', outer.vni)
    return
  }
  if (outer.gbp >= 0 && (target.vxlan as Vxlan).gbp === 0) {
    dropPacket(netns, outer, NO_VTEP, REASON_VXLAN_INVALID_HDR, 'reserved bits are set in the VXLAN header (GBP, which the device does not expect)')
    return
  }
  if (inner.srcMacHigh === target.macHigh && inner.srcMacLow === target.macLow) {
    dropPacket(netns, outer, NO_VTEP, REASON_LOCAL_MAC, 'the inner frame bears the MAC of the device itself: two hosts have the same VtepMAC')
    return
  }
  unwrap(outer, target)
}

function unwrap(outer: Packet, target: Device): void {
  const netns = target.netns
  const world = netns.world
  const inner = outer.inner as Packet
  const vxlan = target.vxlan as Vxlan
  if (world.trace.on === 1) world.trace.note(STEP_DECAP, 0, netns, inner, target.index, outer.src, outer.ipLength - inner.ipLength, outer.vni)
  inner.leg = outer.leg
  if (outer.flooded === 0 && inner.flooded === 1) inner.flooded = 0
  inner.mark = outer.gbp >= 0 ? outer.gbp : outer.mark
  if (outer.bufferSize > 0) inner.bufferSize = outer.bufferSize
  scrubPacket(inner)
  if (vxlan.learning === 1 && !vxlan.learn(inner.srcMacHigh, inner.srcMacLow, outer.src)) {
    dropPacket(netns, outer, NO_VTEP, REASON_LOCAL_MAC, 'an FDB entry made by hand has the MAC of the inner frame behind another VTEP')
    return
  }
  if (!ecnDecapsulate(outer.tos, inner)) {
    dropPacket(netns, outer, CORRUPT, REASON_IP_TUNNEL_ECN, 'congestion was marked outside on a packet whose inside does not speak of congestion')
    return
  }
  outer.inner = null
  world.packets.release(outer)
  world.enqueue(inner, target)
}
