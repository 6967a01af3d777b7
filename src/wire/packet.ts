/**
 * A packet in flight: one row of integers (Linux: struct sk_buff), its payload described by kind and length, never by bytes.
 * The encoder (frame.ts) makes bytes of it when a tap or a user-space process asks. Every field is an int32, so that V8 keeps
 * the row unboxed; addresses are signed int32, MACs a high 16-bit and a low 32-bit half.
 *
 *   ETHERNET | IPv4 ( | UDP/TCP/ICMP | payload )      payload = PATTERN: byte i is (i + payloadOffset) mod 256
 *                                                             = INNER:   a whole packet (VXLAN: with its Ethernet header; TUN proxy: IP only)
 *                                                             = QUOTE:   the first bytes of the offending IP packet of an ICMP error
 *                                                             = BYTES:   payloadBytes as they stand (a packet that came from outside)
 *                                                             = WIREGUARD: a data message; the inner packet is in it, and nowhere in its bytes
 *   ETHERNET | IPv4 | payloadBytes                    payload = RAW:     no L4 header either (a fragment that came from outside)
 *
 * A fragment keeps the L4 fields and payload of its whole packet and says which bytes of the IP payload it carries:
 * [fragmentOffset, fragmentOffset + ipLength - ihl).
 */

export const ETHERTYPE_NONE = 0
export const ETHERTYPE_IPV4 = 0x0800
export const ETHERTYPE_ARP = 0x0806

export const PROTO_ICMP = 1
export const PROTO_IGMP = 2
export const PROTO_IPIP = 4
export const PROTO_TCP = 6
export const PROTO_UDP = 17
export const PROTO_SCTP = 132
export const PROTO_UDPLITE = 136
/** IPPROTO_RAW: of no packet, but of the socket that sends any. */
export const PROTO_RAW = 255

export const PAYLOAD_PATTERN = 0
export const PAYLOAD_INNER = 1
export const PAYLOAD_QUOTE = 2
/** payloadBytes, payloadLength of them, after the L4 header (and the VXLAN header where vni says so). */
export const PAYLOAD_BYTES = 3
/**
 * payloadBytes are the IP payload itself, L4 header and its checksum included, starting at its byte payloadOffset; payloadLength is
 * where they end. Only the decoder makes such rows, for what a row cannot say; their L4 fields are a reading that the encoder ignores.
 */
export const PAYLOAD_RAW = 4
/** A WireGuard data message of payloadLength bytes, over UDP: receiver index in tcpSeq, counter in tcpAck; `inner` null: a keepalive. */
export const PAYLOAD_WIREGUARD = 5

export const TCP_FIN = 0x01
export const TCP_SYN = 0x02
export const TCP_RST = 0x04
export const TCP_PSH = 0x08
export const TCP_ACK = 0x10
export const TCP_URG = 0x20
export const TCP_ECE = 0x40
export const TCP_CWR = 0x80

/** Which TCP options a segment carries, as Linux lays them out. */
export const TCP_OPTIONS_NONE = 0
/** mss, sackok, timestamp, nop, wscale: 20 bytes. */
export const TCP_OPTIONS_SYN = 1
/** nop, nop, timestamp: 12 bytes. */
export const TCP_OPTIONS_TIMESTAMP = 2
/** mss: 4 bytes, the answer to a SYN that has no options. */
export const TCP_OPTIONS_MSS = 3

/** What a packet is to the question that was asked. */
export const LEG_FORWARD = 0
export const LEG_REPLY = 1

export class Packet {
  // Identity (not on the wire)
  /** Distinct for each packet a netns originates; clones, fragments and rewritten packets keep it. */
  id = 0
  leg = LEG_FORWARD

  // Ethernet
  dstMacHigh = 0
  dstMacLow = 0
  srcMacHigh = 0
  srcMacLow = 0
  /** ETHERTYPE_NONE: there is no link-layer header (TUN). */
  etherType = ETHERTYPE_NONE

  // ARP (etherType ARP): src and dst below are the sender's and target's protocol addresses
  arpOperation = 0
  arpSenderMacHigh = 0
  arpSenderMacLow = 0
  arpTargetMacHigh = 0
  arpTargetMacLow = 0

  // IPv4
  src = 0
  dst = 0
  proto = 0
  tos = 0
  ttl = 0
  ipId = 0
  /** 0 or 1. */
  dontFragment = 0
  moreFragments = 0
  /** In bytes (the header's field times eight). */
  fragmentOffset = 0
  /** Total length: header, L4 header and payload, of this fragment. */
  ipLength = 0
  /** IP options as they stand between header and payload; null when there are none. Length is a multiple of 4, at most 40. */
  ipOptions: Uint8Array | null = null
  /** By how much the header's own checksum is wrong: one's complement; 0: it is right. */
  headerFault = 0
  /** Bytes that really are there, when a user-space process cut the datagram short; 0: all of ipLength. */
  truncatedLength = 0

  // UDP, TCP, SCTP; for ICMP sport is the type and dport the code
  sport = 0
  dport = 0
  /** ICMP: the second word, high half: echo identifier. */
  icmpId = 0
  /** ICMP: the second word, low half: echo sequence; next-hop MTU of a frag-needed. */
  icmpSequence = 0
  tcpSeq = 0
  tcpAck = 0
  tcpFlags = 0
  tcpWindow = 0
  tcpOptions = TCP_OPTIONS_NONE
  tcpMss = 0
  tcpWscale = 0
  tcpTsVal = 0
  tcpTsEcr = 0
  /** By how much the L4 checksum is wrong: one's complement, 1 to 0xfffe, and NAT leaves it so (RFC 1624); 0: it is right. SCTP's CRC: 1 is its complement. */
  corrupt = 0
  /** 1: the L4 checksum is not made yet, and its place holds the sum of the pseudo header, more by `corrupt` (CHECKSUM_PARTIAL): a quotation shows it. */
  partial = 0
  /** 1: a UDP header without a checksum (zero), as a tunnel may be told to send it. */
  unsummed = 0

  // Payload of the whole (unfragmented) packet
  payloadKind = PAYLOAD_PATTERN
  /** Bytes after the L4 header of the whole packet; with VXLAN after its 8-byte header. */
  payloadLength = 0
  /** First value of the pattern; with RAW the place of payloadBytes in the IP payload. */
  payloadOffset = 0
  /** The payload of BYTES and RAW; rows share it, so nobody writes to it. */
  payloadBytes: Uint8Array | null = null
  /** The inner packet, or the packet that an ICMP error quotes. */
  inner: Packet | null = null
  /** VXLAN network identifier of a UDP packet whose payload is INNER with an Ethernet header; -1 otherwise. */
  vni = -1
  /** The low 16 bits of the mark, carried by VXLAN-GBP; -1: no GBP. */
  gbp = -1

  // Metadata of the kernel that holds the packet (struct sk_buff, nf_bridge_info); not on the wire
  mark = 0
  /** Slot of the conntrack entry, -1 when untracked or not yet seen. */
  conntrack = -1
  /** CT_* state of the packet with regard to that entry (net/netfilter/conntrack). */
  conntrackState = 0
  /** 1: the packet has been through a NOTRACK. */
  notrack = 0
  /** World index of the device it came in on, -1 for a locally made one. */
  inDevice = -1
  /** Bridge ports it came in by and goes out by, -1 outside a bridge. */
  physIn = -1
  physOut = -1
  /** Where it goes next on its way out (rt_nexthop): MASQUERADE picks the source that suits it. */
  nextHop = 0
  /** MTU of the route that it leaves by, for a tunnel device (dst_mtu). */
  nextMtu = 0
  /** Bridge netfilter has already run PREROUTING for it. */
  bridgeNfDone = 0
  /** 1: bridged DNAT waits for the MAC of its new destination; arpSender* holds the source MAC meanwhile (nf_bridge_info.bridged_dnat). */
  bridgedDnat = 0
  /** The largest fragment it was put together from, 0 when it was whole (IPCB(skb)->frag_max_size). */
  fragMaxSize = 0
  /** Lengths of the IP payload of each fragment it was put together from, in order: re-fragmentation keeps the cuts (skb frag_list); null when it was whole. */
  fragmentSizes: Int32Array | null = null
  /** Bytes of the buffer that a process' write into a TUN device took (skb->truesize); 0: that of a socket of this host. */
  bufferSize = 0
  /** 1: a copy that a flood made: its loss is no news. 2 and more: no packet of the question, what a tunnel says for itself (a handshake). */
  flooded = 0
  /** PACKET_HOST 0, BROADCAST 1, MULTICAST 2, OTHERHOST 3. */
  packetType = 0
  /** How a rule wants it answered (net/netfilter REJECT), 0 for not at all. */
  rejectWith = 0
  /** How many times it was encapsulated in this netns (guards against a tunnel that routes into itself). */
  depth = 0
  /** Cache key of the flow hash that encapsulation and multipath use, 0 when not yet computed. */
  flowHash = 0

  /** Copies every field but leaves `inner` shared: the caller says whether to copy that too. */
  copyFrom(from: Packet): this {
    this.id = from.id
    this.leg = from.leg
    this.dstMacHigh = from.dstMacHigh
    this.dstMacLow = from.dstMacLow
    this.srcMacHigh = from.srcMacHigh
    this.srcMacLow = from.srcMacLow
    this.etherType = from.etherType
    this.arpOperation = from.arpOperation
    this.arpSenderMacHigh = from.arpSenderMacHigh
    this.arpSenderMacLow = from.arpSenderMacLow
    this.arpTargetMacHigh = from.arpTargetMacHigh
    this.arpTargetMacLow = from.arpTargetMacLow
    this.src = from.src
    this.dst = from.dst
    this.proto = from.proto
    this.tos = from.tos
    this.ttl = from.ttl
    this.ipId = from.ipId
    this.dontFragment = from.dontFragment
    this.moreFragments = from.moreFragments
    this.fragmentOffset = from.fragmentOffset
    this.ipLength = from.ipLength
    this.ipOptions = from.ipOptions
    this.headerFault = from.headerFault
    this.truncatedLength = from.truncatedLength
    this.sport = from.sport
    this.dport = from.dport
    this.icmpId = from.icmpId
    this.icmpSequence = from.icmpSequence
    this.tcpSeq = from.tcpSeq
    this.tcpAck = from.tcpAck
    this.tcpFlags = from.tcpFlags
    this.tcpWindow = from.tcpWindow
    this.tcpOptions = from.tcpOptions
    this.tcpMss = from.tcpMss
    this.tcpWscale = from.tcpWscale
    this.tcpTsVal = from.tcpTsVal
    this.tcpTsEcr = from.tcpTsEcr
    this.corrupt = from.corrupt
    this.partial = from.partial
    this.unsummed = from.unsummed
    this.payloadKind = from.payloadKind
    this.payloadLength = from.payloadLength
    this.payloadOffset = from.payloadOffset
    this.payloadBytes = from.payloadBytes
    this.inner = from.inner
    this.vni = from.vni
    this.gbp = from.gbp
    this.mark = from.mark
    this.conntrack = from.conntrack
    this.conntrackState = from.conntrackState
    this.notrack = from.notrack
    this.inDevice = from.inDevice
    this.physIn = from.physIn
    this.physOut = from.physOut
    this.nextHop = from.nextHop
    this.nextMtu = from.nextMtu
    this.bridgeNfDone = from.bridgeNfDone
    this.bridgedDnat = from.bridgedDnat
    this.fragMaxSize = from.fragMaxSize
    this.fragmentSizes = from.fragmentSizes
    this.bufferSize = from.bufferSize
    this.flooded = from.flooded
    this.packetType = from.packetType
    this.rejectWith = from.rejectWith
    this.depth = from.depth
    this.flowHash = from.flowHash
    return this
  }
}

/** A pristine row: `packet.copyFrom(BLANK)` resets one. */
export const BLANK: Readonly<Packet> = new Packet()

/** Rows are taken from here and given back, so that a walk allocates nothing once the pool is warm. */
export class PacketPool {
  private readonly free: Packet[] = []
  /** Rows ever made: a test holds it still across a million packets. */
  made = 0

  take(): Packet {
    return this.row().copyFrom(BLANK)
  }

  /** Of any content. */
  private row(): Packet {
    const packet = this.free.pop()
    if (packet !== undefined) return packet
    this.made++
    return new Packet()
  }

  /** A copy of the row, inner packets copied too. */
  clone(from: Packet): Packet {
    const packet = this.row().copyFrom(from)
    if (from.inner !== null) packet.inner = this.clone(from.inner)
    return packet
  }

  /** A copy of the row, inner packets copied too, in a row that is there; what that carried is given back. */
  copy(from: Packet, to: Packet): void {
    const carried = to.inner
    to.copyFrom(from)
    if (carried !== null) this.release(carried)
    if (from.inner !== null) to.inner = this.clone(from.inner)
  }

  /** Gives back the row and what it carries. The caller must hold the only reference. */
  release(packet: Packet): void {
    const inner = packet.inner
    packet.inner = null
    this.free.push(packet)
    if (inner !== null) this.release(inner)
  }
}

export const IPV4_HEADER = 20

/** Bytes of the IP header with its options. */
export function ipHeaderLength(packet: Packet): number {
  return packet.ipOptions === null ? IPV4_HEADER : IPV4_HEADER + packet.ipOptions.length
}

/** Bytes that the L4 header takes in the whole packet. */
export function l4HeaderLength(packet: Packet): number {
  if (packet.payloadKind === PAYLOAD_RAW) return 0
  switch (packet.proto) {
    case PROTO_ICMP:
    case PROTO_UDP:
      return 8
    case PROTO_TCP:
      return tcpHeaderLength(packet.tcpOptions)
    case PROTO_SCTP:
      return 12
    default:
      return 0
  }
}

export function tcpHeaderLength(options: number): number {
  switch (options) {
    case TCP_OPTIONS_SYN:
      return 40
    case TCP_OPTIONS_TIMESTAMP:
      return 32
    case TCP_OPTIONS_MSS:
      return 24
    default:
      return 20
  }
}

/** Bytes of the payload of the whole IP packet: L4 header, VXLAN header where there is one, payload. */
export function wholeIpPayloadLength(packet: Packet): number {
  return l4HeaderLength(packet) + (packet.vni >= 0 ? 8 : 0) + packet.payloadLength
}

export function isFragment(packet: Packet): boolean {
  return packet.moreFragments !== 0 || packet.fragmentOffset !== 0
}
