/** What is not known of a netns: a loss that rests on it is INCOMPLETE, any other stays what it is; and routes that ip calls dead stay dead. */
import { describe, expect, it } from 'vitest'
import { cidr } from '../../src/base/cidr.js'
import { ip } from '../../src/base/ip.js'
import { EMPTY_DATAPLANE, type Dataplane, type RouteSpec, type UnknownParts } from '../../src/dataplane/dataplane.js'
import { compileWorld } from '../../src/net/compile.js'
import {
  INCOMPLETE,
  MARTIAN,
  NEIGHBOR_FAILED,
  NO_ROUTE,
  NO_SOCKET,
  REASON_DEV_READY,
  REASON_IP_INNOROUTES,
  REASON_IP_LOCALNET,
  REASON_IP_INVALID_SOURCE,
  REASON_NEIGH_FAILED,
  REASON_NO_SOCKET,
  REASON_NONE,
} from '../../src/net/disposition.js'
import { dropPacket } from '../../src/net/drop.js'
import { RouteResult } from '../../src/net/fib.js'
import { NETNS_NODE, type World } from '../../src/net/netns.js'
import { routeOutput } from '../../src/net/route-output.js'
import { PROTO_TCP, PROTO_UDP } from '../../src/wire/packet.js'

function worldOf(parts: Partial<Dataplane>): World {
  return compileWorld([{ dataplane: { ...EMPTY_DATAPLANE, netns: 'n1', ...parts }, role: NETNS_NODE }], [], 1)
}

describe('what is lost in a netns of which something is not known', () => {
  const why = 'the dump does not tell'
  const lost = (unknown: UnknownParts, disposition: number, reason: number, proto = PROTO_TCP): number => {
    const world = worldOf({ unknown })
    world.trace.on = 1
    const packet = world.packets.take()
    packet.proto = proto
    world.live++
    dropPacket(world.netns[0], packet, disposition, reason, 'lost')
    expect([world.trace.endCount, world.live]).toEqual([1, 0])
    return world.trace.ends[1]
  }

  it.each([
    [{ routes: why }, NO_ROUTE, REASON_IP_INNOROUTES],
    [{ neighbours: why }, NEIGHBOR_FAILED, REASON_NEIGH_FAILED],
    [{ sockets: why }, NO_SOCKET, REASON_NO_SOCKET],
    [{ sysctls: why }, MARTIAN, REASON_IP_LOCALNET],
  ] as const)('%j: %i for the reason %i is not sure', (unknown, disposition, reason) => {
    expect(lost(unknown, disposition, reason)).toBe(INCOMPLETE)
  })

  it('a datagram for many, of which the kernel gives no reason, is not sure either', () => {
    expect([lost({ sockets: why }, NO_SOCKET, REASON_NONE, PROTO_UDP), lost({ sockets: why }, NO_SOCKET, REASON_NONE)]).toEqual([INCOMPLETE, NO_SOCKET])
  })

  it.each([
    [{ routes: why }, NEIGHBOR_FAILED, REASON_NEIGH_FAILED],
    [{ neighbours: why }, NEIGHBOR_FAILED, REASON_DEV_READY],
    [{ sysctls: why }, MARTIAN, REASON_IP_INVALID_SOURCE],
    [{ sysctls: why }, NO_SOCKET, REASON_NO_SOCKET],
  ] as const)('%j: %i for the reason %i rests on nothing of it', (unknown, disposition, reason) => {
    expect(lost(unknown, disposition, reason)).toBe(disposition)
  })
})

describe('a route that ip calls dead', () => {
  const connected: RouteSpec = { destination: cidr(ip('192.168.10.0'), 24), type: 'unicast', device: 'eth0', protocol: 'kernel', scope: 'link' }
  const leads = (route: RouteSpec): boolean => {
    const world = worldOf({
      devices: [{ kind: 'nic', name: 'eth0', mtu: 1500, up: true, segment: '', addresses: [{ address: ip('192.168.10.11'), length: 24, scope: 'global' }] }],
      routes: [route],
    })
    const packet = world.packets.take()
    packet.dst = ip('192.168.10.12')
    return routeOutput(world.netns[0], packet, null, new RouteResult()) === 0
  }

  it('is not made anew of the address', () => expect([leads(connected), leads({ ...connected, dead: true })]).toEqual([true, false]))
})
