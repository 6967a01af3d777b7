/** Who asks: the socket at the source of a question, from the packet that it makes to what comes back, and a connection between its packets. */
import { formatIp } from '../base/ip.js'
import {
  ETHERTYPE_NONE,
  IPV4_HEADER,
  l4HeaderLength,
  LEG_FORWARD,
  PAYLOAD_BYTES,
  PAYLOAD_PATTERN,
  PROTO_ICMP,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDP,
  TCP_ACK,
  TCP_OPTIONS_NONE,
  TCP_OPTIONS_SYN,
  TCP_OPTIONS_TIMESTAMP,
  TCP_PSH,
  TCP_RST,
  TCP_SYN,
  type Packet,
} from '../wire/packet.js'
import { ICMP_DEST_UNREACH, ICMP_ECHO, ICMP_FRAG_NEEDED } from '../net/icmp.js'
import { ipLocalOut } from '../net/ip-output.js'
import type { Netns } from '../net/netns.js'
import { rawSend } from '../net/raw.js'
import { advertisedMss, discoversPathMtu, initialWindow, scaledWindow, WINDOW_SCALE } from '../net/tcp.js'
import { STEP_ORIGINATE } from '../net/trace.js'
import type { Endpoint } from './endpoint.js'
import type { Protocol, TraceRequest } from './request.js'

/** As the IP header has them. */
export const PROTOCOL_NUMBERS: Readonly<Record<Protocol, number>> = { tcp: PROTO_TCP, udp: PROTO_UDP, icmp: PROTO_ICMP, sctp: PROTO_SCTP }
const INADDR_LOOPBACK = 0x7f000001

export interface Answer {
  readonly proto: number
  /** ICMP type and code; TCP flags. */
  readonly type: number
  readonly code: number
  readonly flags: number
  /** Next-hop MTU of a frag-needed. */
  readonly mtu: number
  readonly from: string
  readonly ttl: number
  readonly timeNs: number
}

/** A flow that goes on, between two of its packets. */
export interface OpenConnection {
  /** Source port, or ICMP identifier. */
  readonly port: number
  /** Own address, that the first packet was given. */
  readonly source: number
  /** TCP: of the next byte; ICMP: of the last echo. */
  readonly sequence: number
  /** TCP: next byte that is expected. */
  readonly acknowledge: number
  /** TCP: the peer's newest timestamp. */
  readonly timestamp: number
  /** TCP: the handshake is done; others: always. */
  readonly established: boolean
}

export interface Question {
  readonly request: TraceRequest
  readonly source: Endpoint
  readonly destination: Endpoint
  readonly netns: Netns
  readonly proto: Protocol
  readonly dport: number
  readonly size: number
  /** Sent as it stands, by a raw socket. */
  readonly packet?: Packet
}

/** The one who asks: sends the first packet, goes on with the handshake, notes what comes back. */
export class Client {
  readonly proto: number
  port: number
  packetId = 0
  answer: Answer | null = null
  /** ICMP fragmentation needed has come, whatever else did. */
  toldTooBig = false
  private readonly question: Question
  private readonly netns: Netns
  /** The connection that the packet belongs to; absent: it opens one. */
  private readonly open: OpenConnection | undefined
  /** 1: a packet of the flow has been sent. */
  private goesOn = 0
  private handshakeDone = false
  private source = 0
  private sequence = 0
  private acknowledge = 0
  private timestamp = 0

  /** @param connection open: the first packet of one that goes on */
  constructor(question: Question, connection?: 'open' | OpenConnection) {
    this.question = question
    this.netns = question.netns
    this.proto = PROTOCOL_NUMBERS[question.proto]
    this.port = question.request.sport
    this.open = connection === 'open' ? undefined : connection
    if (this.open === undefined) return
    ;({ port: this.port, source: this.source, sequence: this.sequence, acknowledge: this.acknowledge, timestamp: this.timestamp } = this.open)
    this.handshakeDone = this.open.established
  }

  start(): void {
    const { proto, size } = this.question
    if (proto === 'tcp' && this.handshakeDone) {
      this.sendSegment(TCP_ACK | TCP_PSH, size - IPV4_HEADER - 32)
      return
    }
    const packet = this.newPacket()
    if (proto === 'icmp') {
      packet.sport = ICMP_ECHO
      packet.icmpId = this.open === undefined && this.goesOn === 0 ? this.netns.world.prng.nextInt32() & 0xffff : this.port
      packet.icmpSequence = (this.sequence + 1) & 0xffff
      this.sequence = packet.icmpSequence
      this.port = packet.icmpId
    } else if (proto === 'tcp') this.fillSyn(packet)
    packet.payloadLength = proto === 'tcp' ? 0 : size - IPV4_HEADER - l4HeaderLength(packet)
    this.send(packet)
  }

  /** The next packet of the flow, in the same world: what the socket knows stays. */
  next(): void {
    this.answer = null
    this.toldTooBig = false
    this.goesOn = 1
    this.start()
  }

  /** What was given, as it stands. */
  sendRaw(given: Packet): void {
    const { world } = this.netns
    const packet = world.packets.clone(given)
    packet.id = world.newPacketId()
    packet.leg = LEG_FORWARD
    packet.etherType = ETHERTYPE_NONE
    this.packetId = packet.id
    world.live++
    world.trace.note(STEP_ORIGINATE, 0, this.netns, packet, packet.src, packet.dst)
    rawSend(packet, this.netns)
  }

  /** After the question: what its socket knows. */
  connection(): OpenConnection {
    const { port, source, sequence, acknowledge, timestamp } = this
    return { port, source, sequence, acknowledge, timestamp, established: this.proto !== PROTO_TCP || this.handshakeDone }
  }

  /** TCP with --size: once the handshake is done, one segment of that size. */
  receive(packet: Packet): void {
    const { world } = this.netns
    if (packet.proto === PROTO_ICMP && packet.sport === ICMP_DEST_UNREACH && packet.dport === ICMP_FRAG_NEEDED) this.toldTooBig = true
    // in words, for whoever reads what was recorded
    if (world.trace.on === 1 && (this.answer === null || packet.proto === PROTO_TCP)) {
      this.answer = {
        proto: packet.proto,
        type: packet.sport,
        code: packet.dport,
        flags: packet.tcpFlags,
        mtu: packet.icmpSequence,
        from: formatIp(packet.src),
        ttl: packet.ttl,
        timeNs: world.sim.nowNs,
      }
    }
    if (packet.proto !== PROTO_TCP || (packet.tcpFlags & (TCP_ACK | TCP_RST)) !== TCP_ACK) return
    const opens = (packet.tcpFlags & TCP_SYN) !== 0 ? 1 : 0
    this.source = packet.dst
    this.sequence = packet.tcpAck
    this.acknowledge = (packet.tcpSeq + packet.payloadLength + opens) | 0
    this.timestamp = packet.tcpTsVal
    if (opens === 0 || this.handshakeDone || this.question.request.size === undefined) return
    this.handshakeDone = true
    this.sendSegment(TCP_ACK, 0)
    this.sendSegment(TCP_ACK | TCP_PSH, this.question.size - IPV4_HEADER - 32)
  }

  private newPacket(): Packet {
    const { request, source, destination, proto, dport } = this.question
    const { world } = this.netns
    const packet = world.packets.take()
    packet.id = world.newPacketId()
    packet.leg = LEG_FORWARD
    packet.etherType = ETHERTYPE_NONE
    packet.proto = PROTOCOL_NUMBERS[proto]
    // ip_route_output_key_hash_rcu: whoever asks 0.0.0.0 asks himself
    packet.dst = destination.address === 0 ? INADDR_LOOPBACK : destination.address
    // a host's process is bound to nothing: its kernel picks the source; and everybody's does for 127.0.0.0/8
    packet.src = source.name.startsWith('node/') || source.netns === source.node || packet.dst >>> 24 === 127 ? 0 : source.address
    packet.sport = request.sport
    packet.dport = proto === 'icmp' ? 0 : dport
    packet.ttl = request.ttl
    packet.dontFragment = request.df || (proto === 'tcp' && discoversPathMtu(this.netns, packet) === 1) ? 1 : 0
    packet.ipId = world.prng.nextInt32() & 0xffff
    packet.payloadKind = request.payload === undefined ? PAYLOAD_PATTERN : PAYLOAD_BYTES
    packet.payloadBytes = request.payload ?? null
    return packet
  }

  private fillSyn(packet: Packet): void {
    const { prng } = this.netns.world
    packet.tcpFlags = TCP_SYN
    packet.tcpOptions = TCP_OPTIONS_SYN
    packet.tcpSeq = prng.nextInt32()
    packet.tcpMss = advertisedMss(this.netns, packet)
    packet.tcpWindow = initialWindow(packet.tcpMss)
    packet.tcpWscale = WINDOW_SCALE
    packet.tcpTsVal = prng.nextInt32()
  }

  private sendSegment(flags: number, length: number): void {
    const packet = this.newPacket()
    packet.src = this.source
    packet.tcpFlags = flags
    packet.tcpOptions = TCP_OPTIONS_TIMESTAMP
    packet.tcpSeq = this.sequence
    packet.tcpAck = this.acknowledge
    packet.tcpWindow = scaledWindow(initialWindow(advertisedMss(this.netns, packet)))
    packet.tcpTsVal = this.netns.world.prng.nextInt32()
    packet.tcpTsEcr = this.timestamp
    packet.payloadLength = length
    this.send(packet)
  }

  private send(packet: Packet): void {
    const { world } = this.netns
    if (packet.tcpOptions === TCP_OPTIONS_NONE && packet.proto === PROTO_TCP) packet.tcpWindow = 0
    packet.ipLength = IPV4_HEADER + l4HeaderLength(packet) + packet.payloadLength
    this.packetId = packet.id
    world.live++
    world.trace.note(STEP_ORIGINATE, 0, this.netns, packet, packet.src, packet.dst)
    ipLocalOut(packet, this.netns, null, 0)
  }
}
