/**
 * What a BIRD daemon finds in its kernel: devices with addresses, and the main table's routes of others (sysdep/linux/netlink.c
 * nl_parse_route, sysdep/unix/krt.c krt_got_route).
 */
import type { Dataplane, RouteSpec } from '../../dataplane/dataplane.js'
import type { AlienRoute, BirdHost } from './bird.js'
import type { Destination } from './route.js'

/** /etc/iproute2/rt_protos, those that a node's routes bear. */
const PROTOCOL_NUMBERS: Readonly<Record<string, number>> = { unspec: 0, redirect: 1, kernel: 2, boot: 3, static: 4, ra: 9, zebra: 11, bird: 12, dhcp: 16 }
const SCOPE_NUMBERS = { global: 0, site: 200, link: 253, host: 254, nowhere: 255 } as const
const KERNELS_OWN = [PROTOCOL_NUMBERS.kernel, PROTOCOL_NUMBERS.redirect, PROTOCOL_NUMBERS.bird]

/** @param dataplane without BIRD's own routes, or with them: they are left out */
export function birdHostOf(dataplane: Pick<Dataplane, 'devices' | 'routes'>): BirdHost {
  return {
    devices: dataplane.devices
      .filter(({ kind, up }) => kind !== 'loopback' && up)
      .map(({ name, addresses }) => ({
        name,
        addresses: addresses.filter(({ scope }) => scope === 'global').map(({ address, length }) => ({ address, length })),
      })),
    aliens: dataplane.routes.flatMap(alienOf),
  }
}

/** A route of the main table as BIRD learns it; empty: it is the kernel's own, BIRD's, or of a kind that BIRD does not read. */
function alienOf(route: RouteSpec): AlienRoute[] {
  const source = PROTOCOL_NUMBERS[route.protocol ?? 'boot'] ?? Number(route.protocol)
  const destination = destinationOf(route)
  if ((route.table ?? 'main') !== 'main' || KERNELS_OWN.includes(source) || destination === undefined) return []
  const scope = SCOPE_NUMBERS[route.scope ?? 'global']
  return [{ prefix: route.destination, destination, facts: { source, metric: route.metric ?? 0, ...(scope === 0 ? {} : { scope }) } }]
}

function destinationOf(route: RouteSpec): Destination | undefined {
  if (route.type === 'blackhole' || route.type === 'unreachable' || route.type === 'prohibit') return { kind: route.type }
  if (route.type !== 'unicast') return undefined
  if (route.nexthops !== undefined) {
    return {
      kind: 'multipath',
      nexthops: route.nexthops.map(({ via, device, weight }) => ({ device, weight, ...(via === undefined ? {} : { gateway: via }) })),
    }
  }
  if (route.device === undefined) return undefined
  return route.via === undefined ? { kind: 'device', device: route.device } : { kind: 'router', gateway: route.via, device: route.device }
}
