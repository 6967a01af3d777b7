// hot path
/**
 * IP sets, compiled: every element is three integers in an open-addressing table, so that a test is a few compares
 * (net/netfilter/ipset/ip_set_core.c, ip_set_hash_*.c, ip_set_bitmap_port.c, ip_set_list_set.c).
 *
 *   hash:ip        ip   -             32          hash:net        net  -             length
 *   hash:ip,port   ip   proto<<16|port 32         hash:net,port   net  proto<<16|port length
 *   bitmap:port    0    port           0          hash:net,iface  net  interface      length
 *   list:set       its sets, tried in order
 *
 * Of several networks of a set that hold an address the longest decides, and when that one says `nomatch` the set does not
 * match. A set of another type is not modelled: a test against it is NOT_MODELLED.
 */
import { maskOf } from '../../base/cidr.js'
import { PROTO_ICMP, PROTO_SCTP, PROTO_TCP, PROTO_UDP, type Packet } from '../../wire/packet.js'
import type { IpSet } from '../../dataplane/ipset.js'
import { MATCHED, NO_MATCH, NOT_MODELLED } from './bytecode.js'

export const SET_UNKNOWN = 0
export const SET_IP = 1
const SET_NET = 2
export const SET_IP_PORT = 3
export const SET_NET_PORT = 4
export const SET_NET_IFACE = 5
export const SET_BITMAP_PORT = 6
export const SET_LIST = 7

const KINDS: Readonly<Record<string, number>> = {
  'hash:ip': SET_IP,
  'hash:net': SET_NET,
  'hash:ip,port': SET_IP_PORT,
  'hash:net,port': SET_NET_PORT,
  'hash:net,iface': SET_NET_IFACE,
  'bitmap:port': SET_BITMAP_PORT,
  'list:set': SET_LIST,
}
/** How many of src, dst a test must name. */
const DIMENSIONS = [0, 1, 1, 2, 2, 2, 1, 0]

const SLOT_STRIDE = 4
const USED = 1
const NOMATCH = 2
const PROTO_UDPLITE = 136
export const SECOND_NS = 1e9

/** What a test of a hash:net,iface set needs from outside: the interned names of the packet's devices, -1 none. */
export interface SetContext {
  inInterface: number
  outInterface: number
  nowNs: number
}

export class CompiledSet {
  readonly name: string
  readonly kind: number
  readonly dimensions: number
  /** World's word for `ipset TYPE`, named when a packet meets a set that is not modelled. */
  readonly word: number
  /** list:set */
  members: CompiledSet[] = []
  /** An inet6 set: no IPv4 packet matches it. */
  readonly inet6: boolean
  /** hash:ip with a netmask. */
  readonly netmask: number
  /** Elements as the kernel counts them. */
  size = 0

  private slots = new Int32Array(SLOT_STRIDE * 8)
  private expires: Float64Array | null = null
  private readonly defaultTimeoutNs: number
  private readonly lengthCounts = new Int32Array(33)
  /** Prefix lengths in use, longest first. */
  private lengths = new Int32Array(33)
  private lengthTotal = 0

  /** Cold. */
  constructor(set: IpSet, word: number) {
    this.name = set.name
    this.kind = KINDS[set.type] ?? SET_UNKNOWN
    this.dimensions = DIMENSIONS[this.kind]
    this.word = word
    const options = set.options.split(/\s+/)
    const option = (name: string): string | undefined => (options.includes(name) ? options[options.indexOf(name) + 1] : undefined)
    this.inet6 = option('family') === 'inet6'
    this.netmask = maskOf(Number(option('netmask') ?? 32))
    this.defaultTimeoutNs = Number(option('timeout') ?? 0) * SECOND_NS
  }

  /** NOT_MODELLED, MATCHED or NO_MATCH; `sources` has bit i set where direction i is src. */
  test(packet: Packet, directions: number, sources: number, context: SetContext): number {
    if (this.kind === SET_UNKNOWN) return NOT_MODELLED
    if (directions < this.dimensions || this.inet6) return NO_MATCH
    const address = (sources & 1) !== 0 ? packet.src : packet.dst
    switch (this.kind) {
      case SET_IP:
        return this.holds(address & this.netmask, 0, 32, context.nowNs)
      case SET_NET:
        return this.testNetworks(address, 0, context.nowNs)
      case SET_IP_PORT: {
        const port = portKey(packet, (sources & 2) !== 0)
        return port < 0 ? NO_MATCH : this.holds(address, port, 32, context.nowNs)
      }
      case SET_NET_PORT: {
        const port = portKey(packet, (sources & 2) !== 0)
        return port < 0 ? NO_MATCH : this.testNetworks(address, port, context.nowNs)
      }
      case SET_NET_IFACE: {
        const device = (sources & 2) !== 0 ? context.inInterface : context.outInterface
        return device < 0 ? NO_MATCH : this.testInterfaces(address, device, context.nowNs)
      }
      case SET_BITMAP_PORT: {
        // the kernel takes the port of TCP and UDP only
        const port = packet.proto === PROTO_TCP || packet.proto === PROTO_UDP ? portKey(packet, (sources & 1) !== 0) : -1
        return port < 0 ? NO_MATCH : this.holds(0, port & 0xffff, 0, context.nowNs)
      }
      default:
        for (let i = 0; i < this.members.length; i++) {
          const said = this.members[i].test(packet, directions, sources, context)
          if (said !== NO_MATCH) return said
        }
        return NO_MATCH
    }
  }

  /** The SET target: adds or deletes what the packet shows. @returns false when the set's type is not modelled */
  change(packet: Packet, directions: number, sources: number, context: SetContext, change: SetChange): boolean {
    if (this.kind === SET_UNKNOWN || this.kind === SET_LIST) return false
    if (directions < this.dimensions || this.inet6) return true
    const first = (sources & 1) !== 0
    const address = first ? packet.src : packet.dst
    // an added network has the longest length that the set has, a /32 while it has none
    const network = this.kind === SET_NET || this.kind === SET_NET_PORT || this.kind === SET_NET_IFACE
    const length = network && this.lengthTotal > 0 ? this.lengths[0] : 32
    switch (this.kind) {
      case SET_IP:
        this.apply(address & this.netmask, 0, 32, context.nowNs, change)
        break
      case SET_NET:
        this.apply(address & maskOf(length), 0, length, context.nowNs, change)
        break
      case SET_IP_PORT:
      case SET_NET_PORT: {
        const port = portKey(packet, (sources & 2) !== 0)
        if (port >= 0) this.apply(address & maskOf(length), port, length, context.nowNs, change)
        break
      }
      case SET_NET_IFACE: {
        const device = (sources & 2) !== 0 ? context.inInterface : context.outInterface
        if (device >= 0) this.apply(address & maskOf(length), device, length, context.nowNs, change)
        break
      }
      default:
        if (packet.proto === PROTO_TCP || packet.proto === PROTO_UDP) this.apply(0, first ? packet.sport : packet.dport, 0, context.nowNs, change)
    }
    return true
  }

  /** Entries go away with time. Cold. */
  get hasTimeouts(): boolean {
    return this.expires !== null
  }

  /** Adds an element, or its timeout and nomatch anew. 0 ns: for ever. */
  add(a: number, b: number, length: number, expiresNs: number, nomatch: boolean): void {
    let at = this.find(a, b, length)
    if (at < 0) {
      if ((this.size + 1) * 2 > this.slots.length / SLOT_STRIDE) this.grow()
      at = -1 - this.find(a, b, length)
      this.slots[at] = a
      this.slots[at + 1] = b
      this.slots[at + 2] = length
      this.size++
      this.countLength(length, 1)
    }
    this.slots[at + 3] = nomatch ? USED | NOMATCH : USED
    if (expiresNs !== 0 && this.expires === null) this.expires = new Float64Array(this.slots.length / SLOT_STRIDE)
    if (this.expires !== null) this.expires[at / SLOT_STRIDE] = expiresNs
  }

  private apply(a: number, b: number, length: number, nowNs: number, change: SetChange): void {
    const at = this.find(a, b, length)
    const present = at >= 0 && !this.isExpired(at, nowNs)
    if (!change.add) {
      if (at >= 0) this.remove(at)
    } else if (!present || change.exist) {
      const timeout = change.timeoutNs >= 0 ? change.timeoutNs : this.defaultTimeoutNs
      this.add(a, b, length, timeout === 0 ? 0 : nowNs + timeout, false)
    }
  }

  private holds(a: number, b: number, length: number, nowNs: number): number {
    const at = this.find(a, b, length)
    return at >= 0 && !this.isExpired(at, nowNs) && (this.slots[at + 3] & NOMATCH) === 0 ? MATCHED : NO_MATCH
  }

  private testNetworks(address: number, b: number, nowNs: number): number {
    for (let i = 0; i < this.lengthTotal; i++) {
      const length = this.lengths[i]
      const at = this.find(address & maskOf(length), b, length)
      if (at >= 0 && !this.isExpired(at, nowNs)) return (this.slots[at + 3] & NOMATCH) === 0 ? MATCHED : NO_MATCH
    }
    return NO_MATCH
  }

  /** As testNetworks; but a network that the set has with another interface only ends the search too. */
  private testInterfaces(address: number, device: number, nowNs: number): number {
    for (let i = 0; i < this.lengthTotal; i++) {
      const length = this.lengths[i]
      const network = address & maskOf(length)
      const at = this.find(network, device, length)
      if (at >= 0 && !this.isExpired(at, nowNs)) return (this.slots[at + 3] & NOMATCH) === 0 ? MATCHED : NO_MATCH
      if (this.networkKnown(network, length)) return NO_MATCH
    }
    return NO_MATCH
  }

  /** hash:net,iface: networks that have an element, whatever its interface. */
  private networkKnown(network: number, length: number): boolean {
    if (this.networks === null) {
      this.networks = new Set()
      for (let at = 0; at < this.slots.length; at += SLOT_STRIDE) {
        if (this.slots[at + 3] !== 0) this.networks.add((this.slots[at] >>> 0) * 64 + this.slots[at + 2])
      }
    }
    return this.networks.has((network >>> 0) * 64 + length)
  }

  private networks: Set<number> | null = null

  private isExpired(at: number, nowNs: number): boolean {
    if (this.expires === null) return false
    const end = this.expires[at / SLOT_STRIDE]
    return end !== 0 && end <= nowNs
  }

  /** Offset of the element's slot, or -1 minus that of the free slot where it would go. */
  private find(a: number, b: number, length: number): number {
    const slots = this.slots
    const mask = slots.length - 1
    let at = (hashElement(a, b, length) * SLOT_STRIDE) & mask
    while (slots[at + 3] !== 0) {
      if (slots[at] === a && slots[at + 1] === b && slots[at + 2] === length) return at
      at = (at + SLOT_STRIDE) & mask
    }
    return -1 - at
  }

  /** Takes a slot out and moves up those that had stepped past it. */
  private remove(at: number): void {
    const slots = this.slots
    const mask = slots.length - 1
    this.countLength(slots[at + 2], -1)
    this.networks = null
    this.size--
    let hole = at
    let next = (hole + SLOT_STRIDE) & mask
    while (slots[next + 3] !== 0) {
      const home = (hashElement(slots[next], slots[next + 1], slots[next + 2]) * SLOT_STRIDE) & mask
      if (((next - home) & mask) >= ((next - hole) & mask)) {
        slots.copyWithin(hole, next, next + SLOT_STRIDE)
        if (this.expires !== null) this.expires[hole / SLOT_STRIDE] = this.expires[next / SLOT_STRIDE]
        hole = next
      }
      next = (next + SLOT_STRIDE) & mask
    }
    slots[hole + 3] = 0
  }

  private grow(): void {
    const old = this.slots
    const expires = this.expires
    this.slots = new Int32Array(old.length * 2)
    if (expires !== null) this.expires = new Float64Array(expires.length * 2)
    for (let from = 0; from < old.length; from += SLOT_STRIDE) {
      if (old[from + 3] === 0) continue
      const at = -1 - this.find(old[from], old[from + 1], old[from + 2])
      for (let i = 0; i < SLOT_STRIDE; i++) this.slots[at + i] = old[from + i]
      if (this.expires !== null && expires !== null) this.expires[at / SLOT_STRIDE] = expires[from / SLOT_STRIDE]
    }
  }

  private countLength(length: number, by: number): void {
    const count = (this.lengthCounts[length] += by)
    this.networks = null
    if (by === 1 ? count !== 1 : count !== 0) return
    this.lengthTotal = 0
    for (let l = 32; l >= 0; l--) if (this.lengthCounts[l] > 0) this.lengths[this.lengthTotal++] = l
  }
}

/** What a SET target does; timeoutNs -1: the set's default. */
export interface SetChange {
  readonly add: boolean
  readonly exist: boolean
  readonly timeoutNs: number
}

/** proto << 16 | port of a packet, -1 when a fragment has none (ip_set_get_ip4_port). */
function portKey(packet: Packet, source: boolean): number {
  switch (packet.proto) {
    case PROTO_TCP:
    case PROTO_UDP:
    case PROTO_SCTP:
      if (packet.fragmentOffset !== 0) return -1
      return (packet.proto << 16) | (source ? packet.sport : packet.dport)
    case PROTO_UDPLITE:
      return -1
    case PROTO_ICMP:
      return packet.fragmentOffset !== 0 ? -1 : (PROTO_ICMP << 16) | (packet.sport << 8) | packet.dport
    default:
      return packet.proto === 0 ? -1 : packet.proto << 16
  }
}

function hashElement(a: number, b: number, length: number): number {
  let hash = Math.imul(a ^ (length << 7), 0x85ebca6b) ^ b
  hash = Math.imul(hash ^ (hash >>> 15), 0x9e3779b1)
  return hash ^ (hash >>> 16)
}
