/** One packet through a fresh world of these netns: how it ended. */
import { expect, it } from 'vitest'
import type { Dataplane } from '../../../src/dataplane/dataplane.js'
import { compileWorld } from '../../../src/net/compile.js'
import { DISPOSITIONS } from '../../../src/net/disposition.js'
import { ipLocalOut } from '../../../src/net/ip-output.js'
import { NETNS_NODE } from '../../../src/net/netns.js'
import { dataplaneOf, packetOf } from '../../net/kit.js'

export interface Sent {
  readonly from: string
  readonly src: string
  readonly dst: string
  /** `tcp 80`, `udp 53`, `icmp`. */
  readonly what: string
}

/** The first end: the packet's own, before any answer's. */
export function send(dataplanes: readonly Dataplane[], { from, src, dst, what }: Sent): string {
  const world = compileWorld(
    dataplanes.map((dataplane) => ({ dataplane, role: NETNS_NODE })),
    [],
    1,
  )
  world.warm = 1
  world.trace.on = 1
  const [proto, port] = what.split(' ')
  const words = { src, dst, proto: proto as 'tcp' | 'udp' | 'icmp' }
  const packet = world.packets.clone(packetOf(port === undefined ? words : { ...words, dport: Number(port) }))
  packet.id = world.newPacketId()
  packet.etherType = 0
  world.live++
  const netns = world.netns.find(({ name }) => name === from)
  if (netns === undefined) throw new Error(from)
  ipLocalOut(packet, netns, null, 1)
  world.drain()
  world.sim.run(world.sim.nowNs + 5e9)
  return world.trace.endCount === 0 ? 'nothing' : DISPOSITIONS[world.trace.ends[1]]
}

/** One test a row: from, to, what, and how it ends. @param addressOf of an end's name */
export function itSends(
  dataplanes: readonly Dataplane[],
  addressOf: (name: string) => string,
  rows: readonly (readonly [string, string, string, string])[],
): void {
  it.each(rows)('%s → %s %s: %s', (from, to, what, expected) => {
    expect(send(dataplanes, { from, src: addressOf(from), dst: addressOf(to), what })).toBe(expected)
  })
}

/** A netns as Calico's CNI plugin leaves it, on the wire of the host's device. */
export function podNetns(name: string, index: number, { address, hostDevice }: { readonly address: string; readonly hostDevice: string }): Dataplane {
  const routes = 'route add 169.254.1.1 dev eth0 scope link\nroute add default via 169.254.1.1 dev eth0'
  return dataplaneOf(name, index, `link eth0 veth host/${hostDevice}\naddr ${address}/32 dev eth0\n${routes}`)
}

/** Every port of both protocols is open. */
export const LISTENING = (['tcp', 'udp'] as const).map((proto) => ({ proto, address: 0, port: 1, portEnd: 65535, handler: 'open' }))
