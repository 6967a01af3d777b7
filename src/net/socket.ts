// hot path
/**
 * Where packets arrive: listening sockets, the kernel's own services, and the client that asked the question.
 * Source: net/ipv4/udp.c, tcp_ipv4.c, ping.c (lookups).
 */
import { LEG_FORWARD, PROTO_ICMP, PROTO_TCP, PROTO_UDP, type Packet } from '../wire/packet.js'
import type { SocketSpec } from '../dataplane/dataplane.js'
import { DELIVERED, REASON_NONE } from './disposition.js'
import { consumePacket } from './drop.js'
import type { Netns, UserSpace } from './netns.js'
import { STEP_SOCKET } from './trace.js'

/** In place of a SocketSpec's index: the question takes the port as open. */
export const SPEC_ASSUMED = -3
/** A pod on the host's network that declares no port, asked by its name: taken to listen. */
export const SPEC_UNDECLARED = -4

interface Listener {
  readonly proto: number
  readonly address: number
  readonly first: number
  readonly last: number
  /** Index in Netns.socketSpecs. */
  readonly spec: number
  /** null: answers as an open port does. */
  process: UserSpace | null
}

/** Who asked: gets what comes back to its port, and may go on talking (a TCP handshake). */
interface Client {
  readonly proto: number
  /** Source port, or ICMP identifier. */
  readonly port: number
  /** The packet has been delivered; the row stays the caller's. */
  receive(packet: Packet): void
}

export class SocketTable {
  private readonly listeners: Listener[]
  /** TCP connections that a listener accepted: peer address and port, own port. */
  readonly accepted: number[] = []
  client: Client | null = null
  /** Bytes of data that a TCP listener answers data with (a question about the way back). */
  answerLength = 0

  constructor(specs: readonly SocketSpec[]) {
    this.listeners = specs.map((spec, index) => ({
      proto: spec.proto === 'tcp' ? PROTO_TCP : spec.proto === 'udp' ? PROTO_UDP : 132,
      address: spec.address,
      first: spec.port,
      last: spec.portEnd ?? spec.port,
      spec: index,
      process: null,
    }))
  }

  /** A process takes the socket. */
  bind(spec: number, process: UserSpace): void {
    for (const listener of this.listeners) if (listener.spec === spec) listener.process = process
  }

  /** The listener for a packet to address:port, an exact address before a wildcard; -1 none. */
  find(proto: number, address: number, port: number): number {
    let wildcard = -1
    for (let i = 0; i < this.listeners.length; i++) {
      const listener = this.listeners[i]
      if (listener.proto !== proto || port < listener.first || port > listener.last) continue
      if (listener.address === address) return i
      if (listener.address === 0 && wildcard < 0) wildcard = i
    }
    return wildcard
  }

  specOf(listener: number): number {
    return this.listeners[listener].spec
  }

  processOf(listener: number): UserSpace | null {
    return this.listeners[listener].process
  }

  isAccepted(packet: Packet): boolean {
    for (let i = 0; i < this.accepted.length; i += 3) {
      if (this.accepted[i] === packet.src && this.accepted[i + 1] === packet.sport && this.accepted[i + 2] === packet.dport) return true
    }
    return false
  }

  accept(packet: Packet): void {
    if (!this.isAccepted(packet)) this.accepted.push(packet.src, packet.sport, packet.dport)
  }

  /** The question takes a port as open (`--listen`), until forget(). */
  open(proto: number, port: number, spec = SPEC_ASSUMED): void {
    this.listeners.push({ proto, address: 0, first: port, last: port, spec, process: null })
  }

  forget(): void {
    this.accepted.length = 0
    this.client = null
    this.answerLength = 0
    const last = this.listeners[this.listeners.length - 1]
    if (last !== undefined && (last.spec === SPEC_ASSUMED || last.spec === SPEC_UNDECLARED)) this.listeners.pop()
  }
}

/** A socket took the packet; the row is given back. */
export function deliver(netns: Netns, packet: Packet, listener: number): void {
  noteDelivery(netns, packet, listener < 0 ? -1 : netns.sockets.specOf(listener))
  consumePacket(netns, packet)
}

/** The kernel itself is the destination (ICMP). */
export function deliverToKernel(netns: Netns, packet: Packet): void {
  noteDelivery(netns, packet, -1)
  consumePacket(netns, packet)
}

/** The client's socket, or nobody: an ICMP message that finds no socket has still arrived. */
export function deliverToClient(netns: Netns, packet: Packet): void {
  noteDelivery(netns, packet, -2)
  const client = netns.sockets.client
  if (client !== null && packet.leg !== LEG_FORWARD && packet.flooded === 0) client.receive(packet)
  consumePacket(netns, packet)
}

/** True when the segment or datagram is for the client of this netns. */
export function isForClient(netns: Netns, packet: Packet): boolean {
  const client = netns.sockets.client
  return client !== null && client.proto === packet.proto && client.proto !== PROTO_ICMP && client.port === packet.dport && packet.leg !== LEG_FORWARD
}

/** spec: index of the socket, -1 the kernel's own, -2 the client's. */
function noteDelivery(netns: Netns, packet: Packet, spec: number): void {
  const trace = netns.world.trace
  if (trace.on === 0) {
    if (trace.endsAlone === 1 && packet.flooded === 0) trace.end(DELIVERED, REASON_NONE, netns, packet)
    return
  }
  trace.note(STEP_SOCKET, DELIVERED, netns, packet, packet.proto, packet.dport, spec, packet.sport, packet.src, packet.dst)
  if (packet.flooded === 0) trace.end(DELIVERED, REASON_NONE, netns, packet)
}
