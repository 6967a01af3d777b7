/**
 * What Felix's chains say of one packet, asked of the simulated kernels a few thousand times a second: the packet is sent as it stands (a raw socket),
 * goes its way through routes, conntrack and iptables, and is left alone once its own end is known. Nothing here knows what a policy is.
 */
import { formatIp, ip } from '../../src/base/ip.js'
import { resetWorld } from '../../src/net/compile.js'
import { DELIVERED, DENIED, DISPOSITIONS, INCOMPLETE, NO_SOCKET, REJECTED } from '../../src/net/disposition.js'
import type { Netns } from '../../src/net/netns.js'
import { rawSend } from '../../src/net/raw.js'
import { END_STRIDE, ROW_A, STEP_ROUTE, STEP_STRIDE } from '../../src/net/trace.js'
import type { Network } from '../../src/network/network.js'
import type { Connection } from '../../src/policy/connections.js'
import { ETHERTYPE_NONE, l4HeaderLength, LEG_FORWARD, PROTO_ICMP, PROTO_TCP, TCP_SYN } from '../../src/wire/packet.js'

export const SOURCE_PORT = 40000
const PAYLOAD = 32
const EVENT_LIMIT = 2000
const PROTOCOL_NUMBERS = { TCP: 6, UDP: 17, SCTP: 132, ICMP: 1, ICMPv6: 58 } as const

/** The netns of a destination that is nobody's in the cluster. */
export const BEYOND = ''

/** Where packets come from and go to. */
export interface Place {
  /** Of whoever sends or receives: `default/web-0`, a node, `client`. */
  readonly netns: string
  readonly address: string
}

/** A port without a socket was reached all the same, and a protocol that no simulated socket speaks. */
const TAKEN: readonly number[] = [DELIVERED, NO_SOCKET, INCOMPLETE]

/** A word other than the two is a network that is not sound for this question: no way, a wrong source, a loop. */
export type Verdict = 'allowed' | 'denied' | Lowercase<string>

export class Chains {
  private readonly network: Network
  private source = ''

  constructor(network: Network) {
    this.network = network
  }

  ask(source: Place, destination: Place, connection: Connection): Verdict {
    const { world } = this.network
    const id = this.begin(source, destination, connection)
    world.drain()
    for (let events = 0; this.endOf(id) < 0 && events < EVENT_LIMIT && world.sim.step(); events++);
    world.trace.on = 0
    return this.verdict(this.endOf(id), destination)
  }

  /** The address that the kernel of a node gives its packets to `destination`. */
  sourceOf(node: string, destination: Place): string {
    this.begin({ netns: node, address: '0.0.0.0' }, destination, { protocol: 'UDP', port: 9 })
    const { trace } = this.network.world
    this.network.world.drain()
    trace.on = 0
    for (let at = 0; at < trace.stepCount; at++) {
      if (trace.steps[at * STEP_STRIDE] === STEP_ROUTE) return formatIp(trace.steps[at * STEP_STRIDE + ROW_A + 5])
    }
    throw new Error(`no route from ${node} to ${destination.address}`)
  }

  private begin(source: Place, destination: Place, connection: Connection): number {
    const { world } = this.network
    const netns = this.network.netns(source.netns)
    if (netns === undefined) throw new Error(`there is no ${source.netns}`)
    // connections of one source are all different: what conntrack knows of others does no harm
    if (this.source !== source.netns) resetWorld(world, { seed: 1, warm: true })
    this.source = source.netns
    world.sim.reset()
    world.inFlight.reset()
    world.trace.clear()
    world.live = 0
    world.trace.on = 1
    world.trace.level = 0
    return this.send(netns, [source, destination], connection)
  }

  private send(netns: Netns, [source, destination]: readonly [Place, Place], { protocol, port }: Connection): number {
    const { world } = netns
    const packet = world.packets.take()
    const isIcmp = protocol === 'ICMP'
    packet.id = world.newPacketId()
    packet.leg = LEG_FORWARD
    packet.etherType = ETHERTYPE_NONE
    packet.proto = typeof protocol === 'number' ? protocol : PROTOCOL_NUMBERS[protocol]
    packet.src = ip(source.address)
    packet.dst = ip(destination.address)
    packet.ttl = 64
    packet.sport = isIcmp ? port >> 8 : SOURCE_PORT
    packet.dport = isIcmp ? port & 0xff : port
    if (packet.proto === PROTO_ICMP) packet.icmpId = port
    if (packet.proto === PROTO_TCP) packet.tcpFlags = TCP_SYN
    packet.payloadLength = PAYLOAD
    packet.ipLength = 20 + l4HeaderLength(packet) + PAYLOAD
    world.live++
    const { id } = packet
    rawSend(packet, netns)
    return id
  }

  private endOf(id: number): number {
    const { trace } = this.network.world
    for (let at = 0; at < trace.endCount; at++) if (trace.ends[at * END_STRIDE + 4] === id) return at * END_STRIDE
    return -1
  }

  /** What got to where the cluster ends was not held back. */
  private verdict(at: number, destination: Place): Verdict {
    const { trace, netns } = this.network.world
    if (at < 0) return 'no end'
    const disposition = trace.ends[at + 1]
    const where = netns[trace.ends[at + 3]].name
    if (disposition === DENIED || disposition === REJECTED) return 'denied'
    const isThere = destination.netns === BEYOND ? where.startsWith('host/') || where.startsWith('router/') : where === destination.netns
    const isTaken = TAKEN.includes(disposition) || destination.netns === BEYOND
    return isThere && isTaken ? 'allowed' : (`${DISPOSITIONS[disposition].toLowerCase()} at ${where}` as Verdict)
  }
}
